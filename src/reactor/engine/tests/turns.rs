//! The time of a turn: who has much to do leaves time to the others, and loses nothing.

use super::*;
use crate::reactor::sim::{clock_readings, pass};

const MICRO: Duration = Duration::from_micros(1);
const TURN: Duration = Duration::from_millis(5);

/// Echoes, and takes this time for each callback.
fn slow(time: Duration) -> impl FnMut(&mut Cx<'_>, Call<'_>) -> usize {
    move |cx, call| {
        if matches!(
            call,
            Call::Data(_) | Call::Mail(_) | Call::Expired | Call::Draining | Call::Closed
        ) {
            pass(time);
        }
        echo(cx, call)
    }
}

/// A simulation in which many short callbacks have been seen to be short, and its connections.
fn settled<F>(act: F, peers: usize) -> (Sim<Probe<F>>, Vec<Peer>)
where
    F: FnMut(&mut Cx<'_>, Call<'_>) -> usize,
{
    let mut sim = probe(ReactorConfig::default(), act);
    let peers: Vec<Peer> = (0..peers)
        .map(|_| sim.accept(&Security::Plain).unwrap())
        .collect();
    sim.settle();
    sim.handler().calls();
    (sim, peers)
}

/// Turns once. Returns how long that took.
fn turn<H: Handler>(sim: &mut Sim<H>) -> Duration {
    let began = sim.now();
    sim.turn();
    sim.now() - began
}

fn is_idle<H: Handler>(sim: &Sim<H>) -> bool {
    sim.engine.sleep_max() != Some(Duration::ZERO)
}

#[test]
fn heavy_callbacks_are_one_or_few_in_a_turn() {
    let each = Duration::from_millis(67);
    let (mut sim, peers) = settled(slow(each), 95);
    for peer in &peers {
        peer.send(b"x");
    }
    let mut turns: Vec<Duration> = Vec::new();
    while turns.is_empty() || !is_idle(&sim) {
        turns.push(turn(&mut sim));
    }
    // At first it is not known that they are: as many as are between two readings.
    assert!(turns[0] <= 16 * each, "{turns:?}");
    assert!(turns[1..].iter().all(|took| *took <= each), "{turns:?}");
    assert!(peers.iter().all(|peer| peer.take_all() == b"x"));
    sim.audit();
}

#[test]
fn answers_go_out_while_others_wait_for_their_turn() {
    let (mut sim, peers) = settled(slow(2 * TURN), 50);
    // The first reading of the clock is after a few callbacks.
    for peer in &peers {
        peer.send(b"x");
    }
    sim.turn();
    let responded = peers.iter().filter(|peer| !peer.take_all().is_empty());
    let responded = responded.count();
    assert!((1..=16).contains(&responded), "{responded}");
    // Who was left over is served before who came later.
    peers[0].send(b"y");
    let mut order = Vec::new();
    while !is_idle(&sim) || order.len() < 50 - responded + 1 {
        sim.turn();
        for (number, peer) in peers.iter().enumerate() {
            if !peer.take_all().is_empty() {
                order.push(number);
            }
        }
    }
    assert_eq!(order, (responded..50).chain([0]).collect::<Vec<_>>());
}

#[test]
fn mail_is_delivered_in_order_over_many_turns_while_sockets_are_served() {
    const LETTERS: u32 = 20_000;
    let (mut sim, peers) = settled(slow(20 * MICRO), 1);
    for number in 0..LETTERS {
        sim.mailbox().send(None, number).unwrap();
    }
    let (mut turns, mut longest) = (0_u32, Duration::ZERO);
    loop {
        peers[0].send(b"ping");
        longest = longest.max(turn(&mut sim));
        turns += 1;
        assert_eq!(peers[0].take_all(), b"ping", "nobody waits for the mail");
        if turns == 10 {
            // It does not wait for those before it either.
            sim.mailbox().send_urgent(None, LETTERS).unwrap();
            sim.turn();
            let calls = sim.handler().calls();
            let first = calls.iter().find(|call| call.starts_with("mail ")).cloned();
            let urgent = format!("mail {LETTERS} false");
            let place = calls.iter().rposition(|call| *call == urgent);
            assert!(place.is_some(), "{first:?}");
            sim.handler().log = calls;
        }
        if is_idle(&sim) {
            break;
        }
    }
    // Each turn has a quarter of its time for mail, and finds out after sixteen letters at most.
    assert!(longest <= TURN / 2, "{longest:?}");
    assert!((200..600).contains(&turns), "{turns}");
    let calls = sim.handler().calls();
    let numbers = calls.iter().filter_map(|call| {
        let rest = call.strip_prefix("mail ")?;
        rest.split(' ').next()?.parse::<u32>().ok()
    });
    let numbers: Vec<u32> = numbers.filter(|number| *number < LETTERS).collect();
    assert_eq!(numbers, Vec::from_iter(0..LETTERS));
}

#[test]
fn mail_that_comes_without_end_leaves_time_for_sockets_and_timers() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        match call {
            Call::Mail(_) => pass(3 * TURN),
            Call::Open => cx.set_timeout(SECOND),
            Call::Expired => return 0,
            _ => {}
        }
        echo(cx, call)
    };
    let (mut sim, peers) = settled(act, 3);
    peers[0].send(b"x");
    for number in 0..200 {
        sim.mailbox().send(None, number).unwrap();
        sim.mailbox().send(None, number).unwrap();
        sim.turn();
    }
    assert_eq!(peers[0].take_all(), b"x");
    let expired = sim.handler().calls();
    let expired = expired.iter().filter(|call| *call == "expired").count();
    assert_eq!(expired, 3);
}

#[test]
fn timers_of_many_fire_over_many_turns() {
    let mut longest = Duration::ZERO;
    let act = |cx: &mut Cx<'_>, call: Call<'_>| match call {
        Call::Open => {
            cx.set_timeout(SECOND);
            1
        }
        Call::Expired => {
            pass(100 * MICRO);
            0
        }
        call => echo(cx, call),
    };
    let (mut sim, peers) = settled(act, 1000);
    let due = sim.now() + SECOND;
    sim.advance(Duration::from_millis(900));
    // From here on in single turns.
    while sim.now() < due + SECOND {
        if is_idle(&sim) {
            sim.advance(Duration::from_millis(1));
        }
        peers[0].send(b"x");
        longest = longest.max(turn(&mut sim));
        assert_eq!(peers[0].take_all(), b"x");
    }
    assert!(longest <= TURN, "{longest:?}");
    let calls = sim.handler().calls();
    let expired = calls.iter().filter(|call| *call == "expired").count();
    assert_eq!(expired, 1000);
}

#[test]
fn a_shutdown_is_told_of_and_ends_are_told_of_over_many_turns() {
    let mut longest = Duration::ZERO;
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        match call {
            Call::Draining | Call::Closed => pass(100 * MICRO),
            Call::Mail(_) => cx.shutdown(60 * SECOND),
            _ => {}
        }
        echo(cx, call)
    };
    let (mut sim, peers) = settled(act, 1000);
    sim.mailbox().send(None, 0).unwrap();
    for peer in &peers {
        peer.shut();
    }
    while !sim.is_drained() {
        longest = longest.max(turn(&mut sim));
    }
    assert!(longest <= TURN + 2 * 16 * 100 * MICRO, "{longest:?}");
    let calls = sim.handler().calls();
    let closed = calls.iter().filter(|call| call.starts_with("closed"));
    assert_eq!(closed.count(), 1000);
    sim.audit();
}

#[test]
fn what_waits_to_be_written_is_written_over_many_turns() {
    // Something that takes time is called back about for each write: the peer has taken all of it.
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        match call {
            Call::Data(_) => {
                cx.write(b"some");
                cx.notify_when_flushed();
                return 1;
            }
            Call::Drained => pass(100 * MICRO),
            _ => {}
        }
        echo(cx, call)
    };
    let (mut sim, peers) = settled(act, 1000);
    for peer in &peers {
        peer.send(b"x");
    }
    let mut turns: Vec<Duration> = Vec::new();
    while turns.is_empty() || !is_idle(&sim) {
        turns.push(turn(&mut sim));
    }
    assert!(
        turns.iter().all(|took| *took <= TURN + 16 * 100 * MICRO),
        "{turns:?}"
    );
    assert!(turns.len() >= 20, "{}", turns.len());
    assert!(peers.iter().all(|peer| peer.take_all() == b"some"));
    sim.audit();
}

#[test]
fn a_callback_can_ask_for_time_and_goes_on_where_it_stopped() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        let Call::Data(input) = call else {
            return echo(cx, call);
        };
        for (used, byte) in input.iter().enumerate() {
            if used > 0 && !cx.has_time() {
                cx.resume();
                return used;
            }
            pass(100 * MICRO);
            cx.write(&[*byte]);
        }
        input.len()
    };
    let (mut sim, peers) = settled(act, 2);
    let bytes: Vec<u8> = (0..=255).collect();
    peers[0].send(&bytes);
    peers[1].send(b"x");
    let mut turns: Vec<Duration> = Vec::new();
    let mut waited = None;
    while turns.is_empty() || !is_idle(&sim) {
        turns.push(turn(&mut sim));
        if waited.is_none() && !peers[1].take_all().is_empty() {
            waited = Some(turns.len());
        }
    }
    assert!(turns.iter().all(|took| *took <= TURN), "{turns:?}");
    assert!(turns.len() >= 5, "{turns:?}");
    assert!(waited <= Some(2), "{waited:?}");
    assert_eq!(peers[0].take_all(), bytes);
}

#[test]
fn a_turn_with_little_to_do_reads_the_clock_at_its_end_only() {
    let (mut sim, peers) = settled(echo, 200);
    // It is found out by and by that callbacks are short.
    for _ in 0..20 {
        for peer in &peers {
            peer.send(b"x");
        }
        sim.settle();
    }
    let before = clock_readings();
    peers[0].send(b"x");
    sim.turn();
    assert_eq!(clock_readings() - before, 1);
    let before = clock_readings();
    for peer in &peers {
        peer.send(b"x");
    }
    sim.turn();
    // 200 reads and 200 writes.
    let readings = clock_readings() - before;
    assert!(readings <= 400 / 16 + 2, "{readings}");
}
