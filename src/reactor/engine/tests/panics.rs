//! A callback that panics ends its connection, and nothing else.

use super::*;

/// The callbacks that a connection can have, each of which panics in its turn.
const CALLBACKS: [&str; 12] = [
    "open",
    "preface",
    "data",
    "cleartext",
    "eof",
    "drained",
    "expired",
    "serviceexpired",
    "stalled",
    "draining",
    "mail",
    "closed",
];

fn name(call: &Call<'_>) -> String {
    let text = format!("{call:?}").to_lowercase();
    text.split('(').next().unwrap().to_owned()
}

fn config() -> ReactorConfig {
    ReactorConfig {
        output_high_water_bytes: 1000,
        ..ReactorConfig::default()
    }
}

/// Panics once, when `callback` comes to the connection that was opened first, with an answer half written.
fn fragile(callback: &'static str) -> Sim<Probe<impl FnMut(&mut Cx<'_>, Call<'_>) -> usize>> {
    let mut opened = 0;
    let mut fragile = None;
    let mut has_panicked = false;
    let mut sim = probe(config(), move |cx, call| {
        if matches!(call, Call::Open) {
            opened += 1;
            if opened == 1 {
                fragile = Some(cx.id());
                cx.set_timeout(20 * SECOND);
                cx.set_service_deadline(Some(cx.now() + 5 * SECOND));
                if callback == "preface" {
                    cx.expect_proxy_header();
                }
            }
        }
        let is_it = fragile == Some(cx.id()) || matches!(call, Call::ServiceExpired);
        if is_it && !has_panicked && name(&call) == callback {
            has_panicked = true;
            cx.write_with(|out| {
                out.extend_from_slice(b"half");
                panic!("as the test wants");
            });
            // There was nothing to write to.
            panic!("as the test wants");
        }
        match call {
            Call::Data(ref input) if is_it && **input == *b"large" => {
                cx.write(&[7; 5000]);
                cx.notify_when_flushed();
                5
            }
            Call::Preface(_) => 0,
            Call::Expired | Call::Stalled(_) => {
                cx.close();
                0
            }
            call => echo(cx, call),
        }
    });
    sim.panics = 1;
    sim
}

/// Another connection is served as if nothing had happened.
fn is_served(
    sim: &mut Sim<Probe<impl FnMut(&mut Cx<'_>, Call<'_>) -> usize>>,
    other: &mut SimClient,
) {
    other.received.clear();
    other.write(b"still here?");
    run(sim, &mut [other]);
    assert_eq!(other.received, b"still here?");
}

#[test]
fn whatever_callback_panics_ends_its_connection_alone() {
    for security in securities() {
        let is_plain = matches!(security, Security::Plain);
        for callback in CALLBACKS {
            if callback == "cleartext" && is_plain {
                continue;
            }
            let mut sim = fragile(callback);
            let first = sim.accept(&security);
            let mut other = client(sim.accept(&security).unwrap(), &security);
            is_served(&mut sim, &mut other);
            if callback == "open" {
                assert!(first.is_none());
                is_served(&mut sim, &mut other);
                assert_eq!(sim.connections(), 1);
                continue;
            }
            let first = first.unwrap();
            let id = first.id;
            let mut first = match callback {
                "cleartext" => SimClient::plain(first),
                _ => client(first, &security),
            };
            provoke(&mut sim, &mut first, callback);
            let calls = sim.handler().calls();
            let reason = match callback {
                // These are about no connection, or about one that has ended.
                "serviceexpired" => None,
                "closed" => Some("closed(finished)"),
                _ => Some("closed(panicked)"),
            };
            if let Some(reason) = reason {
                assert!(
                    calls.iter().any(|call| call == reason),
                    "{callback}: {calls:?}"
                );
                assert!(!sim.engine.core.is_open(id));
                assert!(!first.received.windows(4).any(|bytes| bytes == b"half"));
            }
            // A shutdown ends the other, too.
            if callback != "draining" {
                is_served(&mut sim, &mut other);
            }
            sim.audit();
        }
    }
}

fn provoke(
    sim: &mut Sim<Probe<impl FnMut(&mut Cx<'_>, Call<'_>) -> usize>>,
    first: &mut SimClient,
    callback: &str,
) {
    match callback {
        "preface" | "data" => first.write(b"x"),
        "cleartext" => first.write(b"GET"),
        "drained" => first.write(b"large"),
        "eof" | "closed" => first.finish(),
        _ => {}
    }
    run(sim, &mut [&mut *first]);
    match callback {
        "stalled" => {
            first.peer.set_capacity(10);
            first.write(b"large");
            first.pump();
            sim.settle();
            sim.advance(15 * SECOND);
        }
        "expired" => sim.advance(21 * SECOND),
        "serviceexpired" => sim.advance(6 * SECOND),
        "draining" => sim.engine.core.shutdown(60 * SECOND),
        "mail" => {
            let id = first.peer.id;
            sim.mailbox().send(Some(id), 1).unwrap();
        }
        "closed" => first.peer.shut(),
        _ => {}
    }
    sim.settle();
}

#[test]
fn mail_to_nobody_that_panics_is_lost_and_nothing_else() {
    let mut sim = probe(config(), |cx, call| match call {
        Call::Mail(1) => panic!("as the test wants"),
        call => echo(cx, call),
    });
    sim.panics = 1;
    let mut other = client(sim.accept(&Security::Plain).unwrap(), &Security::Plain);
    sim.mailbox().send(None, 1).unwrap();
    sim.mailbox().send(None, 2).unwrap();
    sim.settle();
    let calls = sim.handler().calls();
    assert!(calls.contains(&"mail 2 false".to_owned()), "{calls:?}");
    is_served(&mut sim, &mut other);
    sim.audit();
}

#[test]
fn the_last_words_of_a_handler_that_panicked_go_out() {
    for security in securities() {
        let mut sim = probe(config(), |cx, call| match call {
            Call::Data(_) => panic!("as the test wants"),
            Call::Panicked => {
                cx.write(b"sorry");
                cx.finish();
                0
            }
            call => echo(cx, call),
        });
        sim.panics = 1;
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(b"x");
        run(&mut sim, &mut [&mut client]);
        assert_eq!(client.received, b"sorry");
        assert!(client.saw_orderly_end());
        client.peer.shut();
        sim.settle();
        let calls = sim.handler().calls();
        assert_eq!(calls.last().unwrap(), "closed(panicked)");
        sim.audit();
    }
}

#[test]
fn a_handler_that_panics_again_is_asked_no_more() {
    let mut sim = probe(config(), |cx, call| match call {
        Call::Data(_) | Call::Panicked | Call::Closed => panic!("as the test wants"),
        call => echo(cx, call),
    });
    sim.panics = 3;
    let mut client = client(sim.accept(&Security::Plain).unwrap(), &Security::Plain);
    client.write(b"x");
    run(&mut sim, &mut [&mut client]);
    assert_eq!(sim.connections(), 0);
    sim.audit();
}

/// Unconsumed input may outgrow the buffer that was made for it: that had no room for a read then,
/// and a read of nothing looks like the end.
#[test]
fn more_may_be_left_than_at_the_start() {
    for security in securities() {
        let mut is_raised = false;
        let mut sim = probe(ReactorConfig::default(), move |cx, call| match call {
            Call::Data(input) => {
                if !std::mem::replace(&mut is_raised, true) {
                    cx.config_mut().tail_bytes_max = 1 << 20;
                }
                if input.len() < 700_000 {
                    return 0;
                }
                assert!(input.iter().all(|byte| *byte == b'x'));
                cx.write(format!("{} bytes", input.len()).as_bytes());
                input.len()
            }
            call => echo(cx, call),
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(&vec![b'x'; 700_000]);
        run(&mut sim, &mut [&mut client]);
        assert_eq!(client.received, b"700000 bytes");
        assert!(!sim.handler().calls().contains(&"eof".to_owned()));
    }
}

#[test]
fn a_broken_invariant_ends_the_connection_that_was_worked_on() {
    crate::invariant::as_in_release(|| {
        for security in securities() {
            let mut sim = probe(config(), |cx, call| match call {
                Call::Data(input) if *input == b"broken"[..] => {
                    assert!(!invariant!(input.is_empty(), "as the test wants"));
                    input.len()
                }
                call => echo(cx, call),
            });
            let mut first = client(sim.accept(&security).unwrap(), &security);
            let mut other = client(sim.accept(&security).unwrap(), &security);
            run(&mut sim, &mut [&mut first, &mut other]);
            first.write(b"broken");
            run(&mut sim, &mut [&mut first]);
            let calls = sim.handler().calls();
            assert_eq!(calls.last().unwrap(), "closed(panicked)");
            is_served(&mut sim, &mut other);
            assert_eq!(sim.connections(), 1);
        }
    });
}
