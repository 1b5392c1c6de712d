//! Peers that take what they are sent too slowly, or not at all.

use super::{Call, SECOND, client, echo, probe, securities};
use crate::reactor::sim::run;
use crate::reactor::{ReactorConfig, Security, SendStatus, Shared, Stall};
use std::time::Duration;

#[test]
fn a_peer_that_takes_nothing_of_the_last_bytes_is_given_up() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
        Call::Data(input) => {
            cx.write(&[0; 1000]);
            cx.finish();
            input.len()
        }
        _ => 1,
    });
    let peer = sim.accept(&Security::Plain).unwrap();
    peer.set_capacity(10);
    peer.send(b"x");
    sim.advance(59 * SECOND);
    assert_eq!(sim.connections(), 1);
    sim.advance(2 * SECOND);
    assert_eq!(sim.connections(), 0);
    assert_eq!(sim.handler().calls().last().unwrap(), "closed(tooslow)");
    sim.audit();
}

#[test]
fn a_peer_that_does_not_read_stalls() {
    let config = ReactorConfig {
        output_high_water_bytes: 1000,
        ..ReactorConfig::default()
    };
    let mut sim = probe(config, echo);
    let peer = sim.accept(&Security::Plain).unwrap();
    peer.set_capacity(100);
    peer.send(&[1; 5000]);
    sim.advance(Duration::from_millis(9_900));
    assert_eq!(sim.handler().calls(), ["data 5000"]);
    sim.advance(Duration::from_millis(200));
    assert_eq!(sim.handler().calls(), ["stalled"]);
    // It reads after all: the clock starts anew the next time.
    let mut got = 0;
    while got < 5000 {
        got += peer.take_all().len();
        sim.settle();
    }
    assert_eq!(sim.handler().calls(), ["drained"]);
    peer.send(&[1; 5000]);
    sim.advance(9 * SECOND);
    assert_eq!(sim.handler().calls(), ["data 5000"]);
    sim.advance(2 * SECOND);
    assert_eq!(sim.handler().calls(), ["stalled"]);
}

#[test]
fn a_peer_that_is_behind_and_takes_much_is_no_stall() {
    // A thousand bytes in ten seconds are asked for.
    for (per_second, stalls) in [(90, true), (110, false)] {
        let config = ReactorConfig {
            output_high_water_bytes: 1000,
            ..ReactorConfig::default()
        };
        let mut sim = probe(config, echo);
        let peer = sim.accept(&Security::Plain).unwrap();
        peer.set_capacity(200);
        peer.send(&[1; 9000]);
        for _ in 0..40 {
            sim.advance(SECOND);
            peer.take(per_second);
        }
        let calls = sim.handler().calls();
        assert_eq!(calls.contains(&"stalled".into()), stalls, "{per_second}");
    }
}

#[test]
fn a_peer_has_to_take_so_much_of_what_waits() {
    // A minute to take 14,400 bytes in, before the end and at it.
    for (per_second, finishes, ends) in [
        (230, false, true),
        (250, false, false),
        (230, true, true),
        (250, true, false),
    ] {
        let mut sim = probe(ReactorConfig::default(), move |cx, call| match call {
            Call::Data(input) => {
                cx.write(&[0; 100_000]);
                if finishes {
                    cx.finish();
                }
                input.len()
            }
            Call::Stalled(Stall::TooSlow) => {
                cx.close();
                0
            }
            _ => 1,
        });
        let peer = sim.accept(&Security::Plain).unwrap();
        peer.set_capacity(1000);
        peer.send(b"x");
        let mut got = 0;
        while !peer.is_dropped() && got < 99_000 {
            sim.advance(SECOND);
            got += peer.take(per_second).len();
        }
        assert_eq!(got < 99_000, ends, "{got}");
    }
}

#[test]
fn a_peer_that_took_all_in_time_may_rest() {
    let mut sim = probe(ReactorConfig::default(), echo);
    let peer = sim.accept(&Security::Plain).unwrap();
    peer.set_capacity(1000);
    for _ in 0..3 {
        peer.send(&[1; 5000]);
        sim.advance(50 * SECOND);
        let mut got = 0;
        while got < 5000 {
            got += peer.take_all().len();
            sim.settle();
        }
        sim.advance(600 * SECOND);
        assert_eq!(sim.handler().calls(), ["data 5000"]);
    }
}

#[test]
fn what_is_queued_as_the_rest_has_gone_is_taken_at_the_same_pace() {
    // A minute to take 60,000 bytes in, of which 10,000 wait at a time. What follows them is there at once or
    // late, and that is not the peer's time.
    for (per_second, delay, ends) in [
        (900, None, true),
        (1_100, None, false),
        (900, Some(50 * SECOND), true),
        (1_100, Some(50 * SECOND), false),
    ] {
        let config = ReactorConfig {
            send_bytes_per_second_min: 1_000,
            ..ReactorConfig::default()
        };
        let mut sim = probe(config, move |cx, call| match (call, delay) {
            (Call::Drained, Some(delay)) => {
                cx.set_timeout(delay);
                0
            }
            (Call::Data(_) | Call::Drained | Call::Expired, _) => {
                cx.write(&[0; 10_000]);
                cx.notify_when_flushed();
                1
            }
            (Call::Stalled(Stall::TooSlow), _) => {
                cx.close();
                0
            }
            _ => 1,
        });
        let peer = sim.accept(&Security::Plain).unwrap();
        peer.set_capacity(200);
        peer.send(b"x");
        let mut got = 0;
        while !peer.is_dropped() && got < 200_000 {
            sim.advance(SECOND / 10);
            got += peer.take(per_second / 10).len();
        }
        assert_eq!(got < 200_000, ends, "{got} at {per_second}");
    }
}

#[test]
fn a_connection_that_opens_over_the_mark_can_stall() {
    let config = ReactorConfig {
        output_high_water_bytes: 1000,
        ..ReactorConfig::default()
    };
    let mut sim = probe(config, |cx, call| {
        if let Call::Open = call {
            cx.write(&[0; 5000]);
        }
        1
    });
    let peer = sim.connect().unwrap();
    peer.set_capacity(10);
    peer.complete_connect(false);
    sim.advance(11 * SECOND);
    assert_eq!(sim.handler().calls(), ["stalled"]);
}

#[test]
fn last_words_follow_what_was_begun() {
    for security in securities() {
        let config = ReactorConfig {
            output_high_water_bytes: 80_000,
            output_bytes_max: 100_000,
            ..ReactorConfig::default()
        };
        let mut sim = probe(config, |cx, call| match call {
            Call::Data(input) => {
                for byte in &*input {
                    let sent = cx.send(cx.id(), &Shared::from(vec![*byte; 30_000]));
                    assert_ne!(sent, SendStatus::Dropped); // the socket may take it
                }
                input.len()
            }
            Call::Stalled(Stall::Full) => {
                assert_ne!(cx.write(b"bye"), SendStatus::Dropped);
                cx.finish_within(SECOND);
                assert_eq!(cx.write(b"no"), SendStatus::Dropped);
                0
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        client.peer.set_capacity(100);
        for input in [b"1".as_slice(), b"2345"] {
            client.write(input);
            client.pump();
            sim.settle();
            sim.audit();
        }
        assert_eq!(sim.handler().calls(), ["data 1", "data 4", "stalled"]);
        client.peer.set_capacity(usize::MAX);
        run(&mut sim, &mut [&mut client]);
        let all = [vec![b'1'; 30_000], b"bye".to_vec()].concat();
        assert!(client.received == all, "{} bytes", client.received.len());
    }
}

#[test]
fn a_peer_has_to_keep_its_pace_where_more_comes_when_all_has_gone() {
    let config = ReactorConfig {
        send_bytes_per_second_min: 10_000,
        ..ReactorConfig::default()
    };
    // It takes 150,000 bytes at once: all that is queued, and a part of what comes then.
    for (every, ends) in [(30, true), (10, false)] {
        let mut sim = probe(config.clone(), |cx, call| match call {
            Call::Data(_) | Call::Drained => {
                cx.write(&[0; 100_000]);
                cx.notify_when_flushed();
                1
            }
            Call::Stalled(Stall::TooSlow) => {
                cx.close();
                1
            }
            _ => 1,
        });
        let peer = sim.accept(&Security::Plain).unwrap();
        peer.set_capacity(150_000);
        peer.send(b"x");
        for _ in 0..600 / every {
            sim.advance(every * SECOND);
            peer.take_all();
        }
        assert_eq!(sim.connections() == 0, ends, "{every} s");
        sim.audit();
    }
}

#[test]
fn a_peer_is_not_blamed_while_nothing_comes_to_be_sent() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| {
        if let Call::Data(_) = call {
            cx.write(&[0; 1000]);
            cx.notify_when_flushed();
        }
        1
    });
    let peer = sim.accept(&Security::Plain).unwrap();
    peer.set_capacity(10);
    peer.send(b"x");
    sim.settle();
    peer.set_capacity(10_000);
    peer.take_all();
    sim.advance(600 * SECOND);
    assert_eq!(sim.handler().calls(), ["data 1", "drained"]);
    assert_eq!(sim.connections(), 1);
    sim.audit();
}
