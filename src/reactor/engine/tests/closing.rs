//! The end of connections, and output and mail for those that have ended.

use super::*;

#[test]
fn finishing_sends_all_that_is_queued() {
    for security in securities() {
        for_seeds(20, |rng| {
            let len = rng.below(300_000);
            let mut sim = probe(ReactorConfig::default(), move |cx, call| match call {
                Call::Data(input) => {
                    cx.write(&vec![9; len]);
                    cx.finish();
                    assert_eq!(cx.send_copy(cx.id(), b"late"), SendStatus::Dropped);
                    input.len()
                }
                _ => 1,
            });
            let mut client = client(sim.accept(&security).unwrap(), &security);
            client.peer.set_capacity(1 + rng.below(30_000));
            client.peer.chop(Rng::new(rng.next()));
            client.write(b"x");
            run(&mut sim, &mut [&mut client]);
            assert_eq!(client.received, vec![9; len]);
            assert!(client.saw_orderly_end());
            // It waits for the peer's own end, and drops what comes until then.
            assert_eq!(sim.connections(), 1);
            client.peer.send(b"late");
            sim.settle();
            assert_eq!(client.peer.unread(), 0);
            client.peer.shut();
            sim.settle();
            sim.audit();
            assert_eq!(sim.connections(), 0);
            let calls = sim.handler().calls();
            assert_eq!(calls.last().unwrap(), "closed(finished)");
        });
    }
}

/// As one does that writes a large message, and only then looks whether there is something to read.
#[test]
fn who_is_still_sending_gets_the_last_bytes_when_it_is_done() {
    for security in securities() {
        for within in [None, Some(5 * SECOND)] {
            let mut sim = probe(ReactorConfig::default(), move |cx, call| match call {
                Call::Data(input) => {
                    cx.write(&[9; 100_000]);
                    match within {
                        None => cx.finish(),
                        Some(time) => cx.finish_within(time),
                    }
                    input.len()
                }
                _ => 1,
            });
            let mut client = client(sim.accept(&security).unwrap(), &security);
            run(&mut sim, &mut [&mut client]);
            client.peer.set_capacity(10_000);
            client.write(b"x");
            client.pump();
            sim.settle();
            for _ in 0..4 {
                client.peer.send(&vec![7; 1_000_000]);
                sim.settle();
                assert_eq!(client.peer.unread(), 0, "it is waited for in vain");
                assert!(!client.peer.at_end() && !client.peer.is_dropped());
                sim.advance(SECOND);
            }
            run(&mut sim, &mut [&mut client]);
            assert!(client.received == [9; 100_000]);
            assert!(client.saw_orderly_end());
            sim.audit();
        }
        // What it sends keeps nothing open that has had its time.
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.write(&[9; 100_000]);
                cx.finish_within(5 * SECOND);
                input.len()
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        client.peer.set_capacity(10_000);
        client.write(b"x");
        client.pump();
        sim.settle();
        for _ in 0..6 {
            client.peer.send(&[7; 1000]);
            sim.advance(SECOND);
        }
        assert!(client.peer.is_dropped());
        let calls = sim.handler().calls();
        assert_eq!(calls.last().unwrap(), "closed(tooslow)");
    }
}

/// The output was over its mark, so reads had stopped before the end.
#[test]
fn what_waited_to_be_read_is_dropped_at_the_end() {
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.write(&[9; 300_000]);
                input.len()
            }
            Call::Stalled(_) => {
                cx.write(b"too slow");
                cx.finish_within(5 * SECOND);
                0
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        client.peer.set_capacity(10_000);
        client.write(b"x");
        client.pump();
        sim.settle();
        client.peer.send(&vec![7; 1_000_000]);
        sim.settle();
        assert_eq!(client.peer.unread(), 1_000_000);
        sim.advance(11 * SECOND);
        assert_eq!(client.peer.unread(), 0);
        run(&mut sim, &mut [&mut client]);
        assert!(client.received.ends_with(b"\x09too slow"));
        assert!(client.saw_orderly_end());
        sim.audit();
    }
}

#[test]
fn a_slow_reader_gets_its_last_bytes_while_it_takes_some() {
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.write(&[9; 200_000]);
                cx.finish();
                input.len()
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        client.peer.set_capacity(10_000);
        client.write(b"x");
        for _ in 0..40 {
            client.pump();
            sim.advance(4 * SECOND);
        }
        assert_eq!(client.received.len(), 200_000);
        assert!(client.saw_orderly_end());
        sim.advance(5 * SECOND);
        assert_eq!(sim.connections(), 0);
    }
}

#[test]
fn lingering_ends() {
    for security in securities() {
        // The peer takes everything and never ends its side.
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.finish();
                input.len()
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(b"x");
        run(&mut sim, &mut [&mut client]);
        sim.advance(Duration::from_millis(4_900));
        assert_eq!(sim.connections(), 1);
        sim.advance(Duration::from_millis(200));
        assert_eq!(sim.connections(), 0);
        assert_eq!(sim.handler().calls().last().unwrap(), "closed(finished)");
        sim.audit();
    }
}

#[test]
fn one_who_still_sends_is_waited_for_longer() {
    // A close while data arrives would be a reset, which could overtake the answer.
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.finish();
                input.len()
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        for second in 0..30 {
            client.write(&[b'x'; 1000]);
            run(&mut sim, &mut [&mut client]);
            assert_eq!(sim.connections(), 1, "after {second} s");
            sim.advance(SECOND);
        }
        client.write(b"x");
        run(&mut sim, &mut [&mut client]);
        sim.advance(SECOND);
        assert_eq!(sim.connections(), 0);
        sim.audit();
    }
}

#[test]
fn finishing_at_once_is_orderly() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| {
        if let Call::Open = call {
            cx.finish();
        }
        1
    });
    let mut client = SimClient::plain(sim.accept(&Security::Plain).unwrap());
    run(&mut sim, &mut [&mut client]);
    assert!(client.saw_orderly_end());
    client.peer.shut();
    sim.settle();
    assert_eq!(sim.handler().calls(), ["closed(finished)"]);
}

#[test]
fn a_connection_closed_and_refused_takes_no_other_with_it() {
    let mut opened = 0;
    let mut sim = probe(ReactorConfig::default(), move |cx, call| match call {
        Call::Open => {
            opened += 1;
            if opened == 1 {
                cx.write(b"go away");
                cx.close();
                return 0;
            }
            1
        }
        call => echo(cx, call),
    });
    assert!(sim.accept(&Security::Plain).is_none());
    let mut client = SimClient::plain(sim.accept(&Security::Plain).unwrap());
    client.write(b"hello");
    run(&mut sim, &mut [&mut client]);
    assert_eq!(client.received, b"hello");
    sim.audit();
}

#[test]
fn closing_drops_what_is_queued() {
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.write(b"never");
                cx.close();
                cx.write(b"seen");
                input.len() - 1
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(b"xy");
        run(&mut sim, &mut [&mut client]);
        assert!(client.peer.is_dropped());
        assert_eq!(client.received, b"");
        assert_eq!(sim.handler().calls(), ["data 2", "closed(closed)"]);
        sim.audit();
    }
}

#[test]
fn the_end_waits_for_what_the_handler_left() {
    // Paused with a tail, the peer ends: the rest comes first, then the end.
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Data(input) if input.len() == 4 => {
                cx.pause();
                1
            }
            Call::Data(input) => input.len(),
            Call::Mail(_) => {
                cx.resume();
                0
            }
            call => echo(cx, call),
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(b"abcd");
        client.finish();
        run(&mut sim, &mut [&mut client]);
        assert_eq!(sim.handler().calls(), ["data 4"]);
        sim.mailbox().send(Some(client.peer.id), 1).unwrap();
        run(&mut sim, &mut [&mut client]);
        let calls = sim.handler().calls();
        assert_eq!(calls, ["mail 1 true", "data 3", "eof", "closed(finished)"]);
    }
}

#[test]
fn the_end_comes_although_the_handler_does_not_resume() {
    // The input ends while the output is over its mark and part of a message is left.
    let config = ReactorConfig {
        output_high_water_bytes: 1_000,
        ..ReactorConfig::default()
    };
    for security in securities() {
        let mut sim = probe(config.clone(), |cx, call| match call {
            Call::Data(input) => {
                if input.len() > 5 {
                    cx.write(&[0; 5_000]);
                }
                input.len().saturating_sub(5)
            }
            call => echo(cx, call),
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        client.peer.set_capacity(100);
        client.write(b"message, part");
        client.finish();
        run(&mut sim, &mut [&mut client]);
        assert_eq!(client.received.len(), 5_000);
        assert!(client.saw_orderly_end());
        assert_eq!(sim.connections(), 0);
    }
}

#[test]
fn mail_to_the_gone_arrives_without_state() {
    let mut sim = probe(ReactorConfig::default(), echo);
    let first = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    first.reset();
    sim.settle();
    let second = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    assert_eq!(first.id.index(), second.id.index());
    for (to, mail) in [(Some(first.id), 1), (Some(second.id), 2), (None, 3)] {
        sim.mailbox().send(to, mail).unwrap();
    }
    sim.settle();
    let calls = sim.handler().calls();
    assert_eq!(calls[1..], ["mail 1 false", "mail 2 true", "mail 3 false"]);
}

#[test]
fn bytes_for_the_gone_reach_nobody() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
        Call::Mail(index) => {
            let ghost = ConnId::new(index, 77);
            assert_eq!(cx.send_copy(ghost, b"boo"), SendStatus::Dropped);
            assert_eq!(
                cx.send(ghost, &Shared::from(b"boo".as_slice())),
                SendStatus::Dropped
            );
            assert_eq!(cx.send_copy(ConnId::NONE, b"boo"), SendStatus::Dropped);
            0
        }
        call => echo(cx, call),
    });
    let peer = sim.accept(&Security::Plain).unwrap();
    sim.mailbox().send(None, 0).unwrap();
    sim.settle();
    assert_eq!(peer.take_all(), b"");
    sim.audit();
}

#[test]
fn a_reset_ends_a_connection_in_any_state() {
    for security in securities() {
        for_seeds(40, |rng| {
            let mut sim = probe(small(rng), echo);
            let peer = sim.accept(&security).unwrap();
            peer.set_capacity(1 + rng.below(10_000));
            let mut client = client(peer, &security);
            let len = rng.below(100_000);
            client.write(&rng.bytes(len));
            if rng.one_in(2) {
                client.finish();
            }
            for _ in 0..rng.below(30) {
                client.pump_some(rng);
                sim.turn();
            }
            client.peer.reset();
            sim.settle();
            assert_eq!(sim.connections(), 0);
            let calls = sim.handler().calls();
            let ends = calls.iter().filter(|call| call.starts_with("closed"));
            assert_eq!(ends.count(), 1);
            sim.audit();
        });
    }
}
