//! Times of handlers, and the time of a shutdown.

use super::*;

#[test]
fn a_deadline_that_moves_does_not_fire_early() {
    for_seeds(50, |rng| {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Mail(ms) => {
                cx.set_timeout(Duration::from_millis(ms.into()));
                0
            }
            _ => 1,
        });
        let peer = sim.accept(&Security::Plain).unwrap();
        sim.settle();
        let mut due = None;
        for _ in 0..20 {
            let ms = 1 + u32::try_from(rng.below(100_000)).unwrap();
            sim.mailbox().send(Some(peer.id), ms).unwrap();
            sim.settle();
            due = Some(sim.now() + Duration::from_millis(ms.into()));
            sim.handler().calls();
            let part = Duration::from_micros(rng.next() % (u64::from(ms) * 1000));
            sim.advance(part);
            assert_eq!(sim.handler().calls(), [""; 0], "early");
        }
        let left = due.unwrap() - sim.now();
        sim.advance(left + Duration::from_millis(2));
        assert_eq!(sim.handler().calls(), ["expired"]);
        assert_eq!(sim.engine.core.sleep_max(), None);
    });
}

#[test]
fn a_deadline_in_the_past_does_not_keep_the_loop() {
    let mut left = 10;
    let mut sim = probe(ReactorConfig::default(), move |cx, call| {
        if let Call::Open | Call::Expired = call
            && left > 0
        {
            left -= 1;
            cx.set_deadline(cx.now());
        }
        1
    });
    sim.accept(&Security::Plain).unwrap();
    sim.turn();
    assert_eq!(sim.handler().calls(), [""; 0]);
    sim.advance(SECOND);
    assert_eq!(sim.handler().calls(), ["expired"; 10]);
}

#[test]
fn a_cleared_deadline_does_not_fire() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| {
        match call {
            Call::Open => cx.set_timeout(SECOND),
            Call::Mail(_) => cx.clear_deadline(),
            _ => {}
        }
        1
    });
    let peer = sim.accept(&Security::Plain).unwrap();
    sim.mailbox().send(Some(peer.id), 0).unwrap();
    sim.advance(10 * SECOND);
    assert_eq!(sim.handler().calls(), ["mail 0 true"]);
    assert_eq!(sim.engine.core.sleep_max(), None);
}

#[test]
fn draining_tells_everyone_and_ends() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        if let Call::Mail(_) = call {
            cx.shutdown(10 * SECOND);
        }
        echo(cx, call)
    };
    let mut sim = probe(ReactorConfig::default(), act);
    let peers: Vec<Peer> = (0..600)
        .map(|_| sim.accept(&Security::Plain).unwrap())
        .collect();
    sim.settle();
    sim.mailbox().send(None, 0).unwrap();
    sim.turn();
    sim.turn();
    // One that comes when its place in the table was told already hears of it, too.
    let late = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    let calls = sim.handler().calls();
    let told = calls.iter().filter(|call| *call == "draining").count();
    assert_eq!(told, 601);
    assert!(!sim.is_drained());
    for peer in peers.iter().chain([&late]) {
        assert!(peer.at_end());
        peer.shut();
    }
    sim.settle();
    assert!(sim.is_drained());
    sim.audit();
}

#[test]
fn draining_ends_at_its_deadline() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| {
        if let Call::Mail(_) = call {
            cx.shutdown(10 * SECOND);
        }
        1
    });
    sim.accept(&Security::Plain).unwrap();
    sim.mailbox().send(None, 0).unwrap();
    sim.advance(9 * SECOND);
    assert_eq!(sim.handler().calls(), ["mail 0 false", "draining"]);
    assert!(!sim.is_drained());
    assert_eq!(sim.engine.core.sleep_max(), Some(SECOND));
    sim.advance(SECOND);
    assert!(sim.is_drained());
}

#[test]
fn a_service_deadline_needs_no_connection_and_fires_once() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| {
        if let Call::Mail(ms) = call {
            let at = cx.now() + Duration::from_millis(ms.into());
            cx.set_service_deadline((ms > 0).then_some(at));
        }
        1
    });
    for (set, wait_ms, calls) in [
        (&[700][..], 699, 0),
        (&[], 1, 1),
        (&[], 10_000, 0),
        // The last one counts, sooner or later than the one before.
        (&[5000, 20], 20, 1),
        (&[20, 5000], 4999, 0),
        (&[], 1, 1),
        (&[300, 0], 10_000, 0),
    ] {
        for ms in set {
            sim.mailbox().send(None, *ms).unwrap();
            sim.settle();
        }
        sim.handler().calls();
        sim.advance(Duration::from_millis(wait_ms));
        assert_eq!(sim.handler().calls(), vec!["service expired"; calls]);
    }
    assert_eq!(sim.engine.core.sleep_max(), None, "nothing wakes the loop");
    sim.audit();
}

#[test]
fn a_service_deadline_that_has_passed_ends_the_input_of_its_turn() {
    let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
        Call::Data(input) => {
            cx.set_service_deadline(Some(cx.now()));
            input.len()
        }
        _ => 1,
    });
    let peers: Vec<Peer> = (0..10)
        .map(|_| sim.accept(&Security::Plain).unwrap())
        .collect();
    sim.settle();
    sim.handler().calls();
    peers.iter().for_each(|peer| peer.send(b"x"));
    sim.turn();
    let calls = sim.handler().calls();
    let (last, data) = calls.split_last().unwrap();
    assert_eq!((data.len(), last.as_str()), (10, "service expired"));
    assert!(data.iter().all(|call| call == "data 1"));
}

#[test]
fn what_a_service_deadline_writes_goes_out_in_its_turn() {
    let mut to = ConnId::NONE;
    let mut sim = probe(ReactorConfig::default(), move |cx, call| match call {
        Call::Data(input) => {
            to = cx.id();
            cx.set_service_deadline(Some(cx.now()));
            input.len()
        }
        Call::ServiceExpired => {
            assert_eq!(cx.send_copy(to, b"at the end"), SendStatus::Accepted);
            0
        }
        _ => 1,
    });
    let peer = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    peer.send(b"x");
    sim.turn();
    assert_eq!(peer.take_all(), b"at the end");
}

#[test]
fn a_service_deadline_set_anew_does_not_keep_the_loop() {
    let mut left = 10;
    let mut sim = probe(ReactorConfig::default(), move |cx, call| {
        if let Call::Mail(_) | Call::ServiceExpired = call
            && left > 0
        {
            left -= 1;
            cx.set_service_deadline(Some(cx.now()));
        }
        1
    });
    sim.mailbox().send(None, 0).unwrap();
    sim.turn();
    assert_eq!(sim.handler().calls(), ["mail 0 false", "service expired"]);
    sim.settle();
    assert_eq!(sim.handler().calls(), ["service expired"; 9]);
}

/// Times that no clock has room for, or hardly.
const ENDLESS: [Duration; 5] = [
    Duration::MAX,
    Duration::from_secs(u64::MAX / 2),
    Duration::from_millis(u64::MAX),
    Duration::from_millis(u64::MAX / 2),
    Duration::from_millis(u64::MAX / 4),
];

const HOUR: Duration = Duration::from_secs(3600);

/// All times are this one.
fn timed(time: Duration) -> ReactorConfig {
    ReactorConfig {
        output_high_water_bytes: 1000,
        stall_grace: time,
        handshake_timeout: time,
        send_timeout: time,
        linger_timeout: time,
        linger_timeout_max: time,
        accept_pause: time,
        turn_time_max: time,
        ..ReactorConfig::default()
    }
}

/// Asks for this time wherever there is one to ask for.
fn asks_for(time: Duration) -> impl FnMut(&mut Cx<'_>, Call<'_>) -> usize {
    move |cx, call| match call {
        Call::Open => {
            cx.expect_proxy_header();
            cx.set_timeout(time);
            1
        }
        Call::Preface(input) if input.len() < 2 => MORE,
        Call::Preface(_) => 2,
        Call::Data(input) => {
            cx.write(&[9; 100_000]);
            cx.notify_when_flushed();
            if *input == *b"last" {
                cx.finish_within(time);
            }
            input.len()
        }
        Call::Mail(_) => {
            cx.shutdown(time);
            assert!(cx.grace_left() > 100 * HOUR);
            0
        }
        _ => {
            cx.set_timeout(time);
            1
        }
    }
}

#[test]
fn any_time_may_be_asked_for() {
    for time in ENDLESS {
        for security in &securities() {
            let mut sim = probe(timed(time), asks_for(time));
            let pending = sim.connect().unwrap();
            let peer = sim.accept(security).unwrap();
            peer.send(b"a");
            sim.advance(HOUR);
            peer.send(b"b");
            let mut client = client(peer, security);
            run(&mut sim, &mut [&mut client]);
            client.peer.set_capacity(10_000);
            client.write(b"first");
            client.pump();
            sim.advance(HOUR);
            run(&mut sim, &mut [&mut client]);
            assert_eq!(client.received.len(), 100_000);

            sim.mailbox().send(None, 0).unwrap();
            sim.advance(HOUR);
            assert!(!sim.is_drained());
            client.write(b"last");
            client.pump();
            sim.advance(HOUR);
            run(&mut sim, &mut [&mut client]);
            assert_eq!(client.received.len(), 200_000);
            assert!(client.saw_orderly_end());
            sim.advance(HOUR);
            assert_eq!(
                sim.connections(),
                2,
                "it lingers, and the other is not there yet"
            );
            client.peer.shut();
            pending.complete_connect(true);
            sim.settle();
            assert!(sim.is_drained());
            let calls = sim.handler().calls();
            assert!(
                !calls
                    .iter()
                    .any(|call| call == "expired" || call == "stalled")
            );
            sim.audit();
        }
    }
}
