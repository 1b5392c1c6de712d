//! All output together: what it takes is counted once, sockets are written to before anybody is closed, and those
//! who have waited longest are closed first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;
use crate::reactor::output_queue::PLACE_BYTES;
use crate::reactor::shared::HEADER_BYTES;

/// Open connections, and the most output there was in any callback.
#[derive(Clone, Default)]
struct CountingRoom {
    ids: Rc<RefCell<Vec<ConnId>>>,
    peak: Rc<Cell<usize>>,
}

const FRAME_BYTES: usize = 10_000;
const BYE: &[u8] = b"bye";

type RoomAction = Box<dyn FnMut(&mut Cx<'_>, Call<'_>) -> usize>;

/// Mail sends a frame to all, made once if it is an even number and copied for each if it is odd. Who is
/// closed for too much output says bye.
fn room(config: ReactorConfig) -> (Sim<Probe<RoomAction>>, CountingRoom) {
    let room = CountingRoom::default();
    let CountingRoom { ids, peak } = room.clone();
    let act: RoomAction = Box::new(move |cx, call| {
        match call {
            Call::Open => ids.borrow_mut().push(cx.id()),
            Call::Closed => ids.borrow_mut().retain(|id| *id != cx.id()),
            Call::Mail(number) => {
                let frame = vec![number.to_le_bytes()[0]; FRAME_BYTES];
                let shared = Shared::from(frame.as_slice());
                for id in ids.borrow().iter() {
                    match number % 2 {
                        0 => cx.send(*id, &shared),
                        _ => cx.send_copy(*id, &frame),
                    };
                }
            }
            Call::Stalled(Stall::Full) => {
                cx.write(BYE);
                cx.finish_within(5 * SECOND);
            }
            Call::Stalled(_) => cx.close(),
            _ => {}
        }
        peak.set(peak.get().max(cx.queued_bytes_total()));
        1
    });
    (probe(config, act), room)
}

fn publish<H: Handler<Mail = u32>>(sim: &Sim<H>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        sim.mailbox().send(None, number).unwrap();
    }
}

#[test]
fn what_all_wait_for_counts_once() {
    for security in securities() {
        let (mut sim, _) = room(ReactorConfig::default());
        let mut clients: Vec<_> = (0..20)
            .map(|_| client(sim.accept(&security).unwrap(), &security))
            .collect();
        run(&mut sim, &mut clients.iter_mut().collect::<Vec<_>>());
        for client in &clients {
            client.peer.set_capacity(1);
        }
        // The first is encrypted for each, and what comes behind it waits for all of them.
        publish(&sim, 0..1);
        sim.settle();
        let first = sim.engine.core.queued_bytes_total();
        publish(&sim, 2..3);
        sim.settle();
        let total = sim.engine.core.queued_bytes_total();
        assert_eq!(total - first, FRAME_BYTES + HEADER_BYTES + 20 * PLACE_BYTES);
        sim.audit();
        let (taking, going) = clients.split_at_mut(10);
        for client in going.iter() {
            client.peer.reset();
        }
        for client in taking.iter() {
            client.peer.set_capacity(usize::MAX);
        }
        run(&mut sim, &mut taking.iter_mut().collect::<Vec<_>>());
        assert!(
            taking
                .iter()
                .all(|one| one.received.len() == 2 * FRAME_BYTES)
        );
        assert_eq!(sim.engine.core.queued_bytes_total(), 0);
        sim.audit();
    }
}

#[test]
fn sockets_take_what_they_can_before_anybody_is_closed() {
    let config = ReactorConfig {
        output_high_water_bytes: 20_000,
        output_bytes_max: 50_000,
        output_bytes_max_total: 100_000,
        ..ReactorConfig::default()
    };
    for security in securities() {
        let (mut sim, room) = room(config.clone());
        let mut clients: Vec<_> = (0..5)
            .map(|_| client(sim.accept(&security).unwrap(), &security))
            .collect();
        run(&mut sim, &mut clients.iter_mut().collect::<Vec<_>>());
        for client in &clients {
            client.peer.set_capacity(usize::MAX);
        }
        // A megabyte to each in one turn, and the sockets take it.
        publish(&sim, 0..100);
        sim.turn();
        run(&mut sim, &mut clients.iter_mut().collect::<Vec<_>>());
        assert!(
            clients
                .iter()
                .all(|one| one.received.len() == 100 * FRAME_BYTES)
        );
        assert!(
            room.peak.get() <= 100_000 + 5 * FRAME_BYTES,
            "{}",
            room.peak.get()
        );
        assert_eq!(sim.connections(), 5);
        sim.audit();
    }
}

#[test]
fn those_who_have_waited_longest_are_closed_and_nobody_else() {
    for number in [0, 1] {
        let config = ReactorConfig {
            output_bytes_max_total: 200_000,
            ..ReactorConfig::default()
        };
        let (mut sim, _) = room(config);
        let peers: Vec<_> = (0..6)
            .map(|_| sim.accept(&Security::Plain).unwrap())
            .collect();
        sim.settle();
        let mut gone = Vec::new();
        for round in 0..60 {
            // The last stops reading first, then the one before it; the others go on.
            if let Some(at) = [5, 4, 3].get(round / 3).filter(|_| round % 3 == 0) {
                peers[*at].set_capacity(0);
            }
            publish(&sim, number..number + 1);
            sim.settle();
            sim.audit();
            sim.advance(SECOND);
            for (at, peer) in peers.iter().enumerate() {
                if at < 3 {
                    peer.take_all();
                }
                if peer.is_dropped() && !gone.contains(&at) {
                    gone.push(at);
                }
            }
        }
        assert_eq!(gone, [5, 4, 3], "{number}");
        let calls = sim.handler().calls();
        let told = calls.iter().filter(|call| *call == "stalled").count();
        assert_eq!(told, 3);
    }
}

#[test]
fn no_more_are_closed_than_it_takes() {
    let config = ReactorConfig {
        output_bytes_max_total: 100_000,
        ..ReactorConfig::default()
    };
    let (mut sim, _) = room(config);
    let peers: Vec<_> = (0..6)
        .map(|_| sim.accept(&Security::Plain).unwrap())
        .collect();
    sim.settle();
    for peer in &peers {
        peer.set_capacity(0);
    }
    // Each holds 30,000 when the limit is met, so one of them makes room for the rest.
    for number in [1, 3, 5] {
        publish(&sim, number..number + 1);
        sim.advance(SECOND / 2);
    }
    sim.advance(2 * SECOND);
    let gone = peers.iter().filter(|peer| peer.is_dropped()).count();
    assert_eq!(gone, 0, "they have five seconds");
    sim.advance(10 * SECOND);
    let left: usize = peers.iter().filter(|peer| !peer.is_dropped()).count();
    assert_eq!(left, 3);
    sim.audit();
}

#[test]
fn what_is_about_to_be_made_does_not_break_the_ceiling() {
    let (max, peers) = (1_000_000, 20);
    for (security, shift) in securities()
        .into_iter()
        .flat_map(|s| [(s.clone(), 0), (s, 1)])
    {
        let config = ReactorConfig {
            output_bytes_max_total: max,
            ..ReactorConfig::default()
        };
        let (mut sim, room) = room(config);
        let mut clients: Vec<_> = (0..peers)
            .map(|_| client(sim.accept(&security).unwrap(), &security))
            .collect();
        run(&mut sim, &mut clients.iter_mut().collect::<Vec<_>>());
        for client in &clients {
            client.peer.set_capacity(5_000);
        }
        // Ten megabytes for each in one turn, and nobody takes any of it.
        for number in 0..1_000 {
            publish(&sim, 2 * number + shift..2 * number + shift + 1);
        }
        sim.turn();
        let most = max + max / 2 + peers * FRAME_BYTES;
        assert!(room.peak.get() <= most, "{}", room.peak.get());
        sim.audit();
        sim.advance(20 * SECOND);
        sim.audit();
    }
}

#[test]
fn one_that_is_over_its_own_limit_is_closed_only_when_its_socket_is_full() {
    let config = ReactorConfig {
        output_high_water_bytes: 20_000,
        output_bytes_max: 55_000,
        ..ReactorConfig::default()
    };
    for security in securities() {
        let (mut sim, _) = room(config.clone());
        let mut clients: Vec<_> = (0..2)
            .map(|_| client(sim.accept(&security).unwrap(), &security))
            .collect();
        run(&mut sim, &mut clients.iter_mut().collect::<Vec<_>>());
        clients[0].peer.set_capacity(usize::MAX);
        clients[1].peer.set_capacity(1);
        publish(&sim, 0..30);
        sim.turn();
        let mut all: Vec<_> = clients.iter_mut().collect();
        run(&mut sim, &mut all);
        assert_eq!(clients[0].received.len(), 30 * FRAME_BYTES);
        let calls = sim.handler().calls();
        let told = calls.iter().filter(|call| *call == "stalled").count();
        assert_eq!(told, 1);
        clients[1].peer.set_capacity(usize::MAX);
        run(&mut sim, &mut clients.iter_mut().collect::<Vec<_>>());
        assert!(clients[1].received.ends_with(BYE));
        sim.audit();
    }
}

/// Queues, finishes and says last words at random.
fn at_random(mut choice: Rng) -> impl FnMut(&mut Cx<'_>, Call<'_>) -> usize {
    let ids = RefCell::new(Vec::new());
    move |cx: &mut Cx<'_>, call: Call<'_>| {
        match call {
            Call::Open => ids.borrow_mut().push(cx.id()),
            Call::Closed => ids.borrow_mut().retain(|id| *id != cx.id()),
            Call::Mail(len) => {
                let shared = Shared::from(vec![1; len as usize]);
                let part = shared.slice(choice.below(100)..choice.below(20_000));
                for id in ids.borrow().iter() {
                    match choice.below(5) {
                        0 => _ = cx.send(*id, &shared),
                        1 => _ = cx.send(*id, &part),
                        2 => _ = cx.send_lossy(*id, &shared, 7),
                        3 => _ = cx.send_copy(*id, part.as_ref()),
                        _ => {}
                    }
                }
            }
            Call::Data(input) => {
                cx.write_urgent(b"urgent");
                if choice.one_in(9) {
                    cx.finish();
                }
                return input.len();
            }
            Call::Stalled(_) if choice.one_in(2) => {
                cx.write(BYE);
                cx.finish_within(SECOND);
            }
            _ => {}
        }
        1
    }
}

/// Whatever happens to what is queued, the count is that of what is there.
#[test]
fn the_count_is_that_of_what_is_there() {
    for security in securities() {
        for_seeds(40, |rng| {
            let config = ReactorConfig {
                output_high_water_bytes: 10_000 << rng.below(4),
                output_bytes_max: 200_000,
                output_bytes_max_total: 100_000 << rng.below(4),
                ..ReactorConfig::default()
            };
            let mut sim = probe(config, at_random(Rng::new(rng.next())));
            let mut clients: Vec<_> = (0..6)
                .map(|_| client(sim.accept(&security).unwrap(), &security))
                .collect();
            run(&mut sim, &mut clients.iter_mut().collect::<Vec<_>>());
            for client in &clients {
                client.peer.set_capacity(rng.below(30_000));
                client.peer.chop(Rng::new(rng.next()));
            }
            for _ in 0..40 {
                for _ in 0..rng.below(4) {
                    let len = u32::try_from(rng.below(20_000)).unwrap();
                    publish(&sim, len..len + 1);
                }
                let at = rng.below(clients.len());
                match rng.below(12) {
                    0 => clients[at].peer.reset(),
                    1 => clients[at].write(b"x"),
                    2..6 => drop(clients[at].pump()),
                    6 => sim.advance(SECOND),
                    _ => {}
                }
                sim.turn();
                sim.audit_output();
            }
            for client in &clients {
                client.peer.reset();
            }
            sim.settle();
            sim.audit();
            assert_eq!(sim.engine.core.queued_bytes_total(), 0);
        });
    }
}
