//! Delivery of input to the handler, and of output to the peer.

use super::*;

#[test]
fn an_echo_is_exact() {
    for security in securities() {
        for_seeds(60, |rng| {
            let mut sim = probe(small(rng), echo);
            let mut clients: Vec<(SimClient, Vec<u8>)> = (0..1 + rng.below(3))
                .map(|_| {
                    let peer = sim.accept(&security).unwrap();
                    peer.set_capacity(1 + rng.below(100_000));
                    if rng.one_in(2) {
                        peer.chop(Rng::new(rng.next()));
                    }
                    let mut client = client(peer, &security);
                    let len = 1 << rng.below(18);
                    let sent = rng.bytes(len);
                    let mut left = sent.as_slice();
                    while !left.is_empty() {
                        let (piece, rest) = left.split_at(1 + rng.below(left.len()));
                        client.write(piece);
                        refresh_keys(&mut client, rng);
                        left = rest;
                    }
                    client.finish();
                    (client, sent)
                })
                .collect();
            for _ in 0..rng.below(400) {
                let lucky = rng.below(clients.len());
                clients[lucky].0.pump_some(rng);
                refresh_keys(&mut clients[lucky].0, rng);
                if rng.one_in(2) {
                    sim.turn();
                }
            }
            let mut all: Vec<&mut SimClient> = clients.iter_mut().map(|(c, _)| c).collect();
            run(&mut sim, &mut all);
            for (client, sent) in &clients {
                assert!(client.received == *sent, "an echo differs");
                assert!(client.saw_orderly_end());
            }
            sim.audit();
            assert_eq!(sim.connections(), 0);
        });
    }
}

/// Echoes whole lines, at most three at a time; sometimes pauses, and resumes by mail.
struct LineEcho {
    mailbox: crate::reactor::Mailbox<()>,
    rng: Rng,
    above_high_water: HashMap<ConnId, bool>,
}

impl Handler for LineEcho {
    type Conn = bool;
    type Mail = ();

    fn open(&mut self, _: &mut Cx<'_>, _: Endpoint) -> Option<bool> {
        Some(false)
    }

    fn data(&mut self, cx: &mut Cx<'_>, paused: &mut bool, input: &mut [u8]) -> usize {
        assert!(!*paused, "data while paused");
        let mut used = 0;
        for _ in 0..3 {
            if cx.is_above_high_water() {
                self.above_high_water.insert(cx.id(), true);
                return used;
            }
            let Some(len) = input[used..].iter().position(|&b| b == b'\n') else {
                return used;
            };
            let line = &input[used..=used + len];
            if self.rng.one_in(2) {
                cx.write(line);
            } else {
                let sent = cx.send(cx.id(), &Shared::from(line));
                assert_ne!(sent, SendStatus::Dropped);
            }
            used += len + 1;
        }
        if self.rng.one_in(4) {
            cx.pause();
            *paused = true;
            self.mailbox.send(Some(cx.id()), ()).unwrap();
        } else {
            cx.resume();
        }
        used
    }

    fn writable(&mut self, cx: &mut Cx<'_>, paused: &mut bool) {
        if self.above_high_water.remove(&cx.id()).is_some() && !*paused {
            cx.resume();
        }
    }

    fn mail(&mut self, cx: &mut Cx<'_>, conn: Option<&mut bool>, (): ()) {
        if let Some(paused) = conn {
            *paused = false;
            cx.resume();
        }
    }
}

#[test]
fn leavings_come_again_until_they_are_used() {
    for security in securities() {
        for_seeds(60, |rng| {
            let mut config = small(rng);
            config.tail_bytes_max = 64 * 1024 + 4096;
            let seed = rng.next();
            let mut sim = Sim::new(config, |mailbox| LineEcho {
                mailbox,
                rng: Rng::new(seed),
                above_high_water: HashMap::new(),
            });
            let peer = sim.accept(&security).unwrap();
            peer.set_capacity(1 + rng.below(20_000));
            let mut client = client(peer, &security);
            let mut sent = Vec::new();
            for _ in 0..rng.below(500) {
                sent.extend(vec![b'x'; rng.below(100)]);
                sent.push(b'\n');
            }
            client.write(&sent);
            client.write(b"half a line");
            client.finish();
            for _ in 0..rng.below(200) {
                client.pump_some(rng);
                if rng.one_in(2) {
                    sim.turn();
                }
            }
            run(&mut sim, &mut [&mut client]);
            assert!(client.received == sent, "the lines differ");
            assert!(client.saw_orderly_end());
            sim.audit();
            assert_eq!(sim.connections(), 0);
        });
    }
}

#[test]
fn an_idle_connection_owns_no_buffer() {
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), echo);
        let mut client = client(sim.accept(&security).unwrap(), &security);
        for _ in 0..3 {
            client.write(&[7; 50_000]);
            run(&mut sim, &mut [&mut client]);
            sim.audit();
        }
        assert_eq!(client.received.len(), 150_000);
        let held = sim
            .engine
            .core
            .states
            .iter()
            .any(|(_, c)| c.held().is_some());
        assert!(!held);
        // The time a handshake had may wake it once.
        sim.advance(20 * SECOND);
        assert_eq!(sim.engine.core.sleep_max(), None);
    }
}

#[test]
fn one_write_for_all_that_a_turn_queues() {
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), |cx, call| {
            if let Call::Data(input) = call {
                for _ in 0..10 {
                    cx.write(b"piece");
                    let sent = cx.send(cx.id(), &Shared::from(b"shared".as_slice()));
                    assert_eq!(sent, SendStatus::Accepted);
                }
                return input.len();
            }
            1
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        let before = client.peer.writes();
        client.write(b"go");
        run(&mut sim, &mut [&mut client]);
        assert_eq!(client.peer.writes() - before, 1);
        assert_eq!(client.received.len(), 110);
    }
}

#[test]
fn a_busy_peer_does_not_starve_another() {
    let mut sim = probe(ReactorConfig::default(), |_, call| match call {
        Call::Data(input) => input.len(),
        _ => 1,
    });
    let busy = sim.accept(&Security::Plain).unwrap();
    let calm = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    busy.send(&vec![0; 10 << 20]);
    sim.turn();
    calm.send(b"x");
    sim.turn();
    assert_eq!(calm.unread(), 0);
    assert!(busy.unread() > 9 << 20);
    sim.settle();
    assert_eq!(busy.unread(), 0);
}
