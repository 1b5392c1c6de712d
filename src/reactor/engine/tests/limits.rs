//! Ceilings for what waits, on both sides.

use super::*;

#[test]
fn over_the_mark_reads_stop_until_drained() {
    let config = ReactorConfig {
        output_high_water_bytes: 100_000,
        ..ReactorConfig::default()
    };
    let mut sim = probe(config, echo);
    let peer = sim.accept(&Security::Plain).unwrap();
    peer.set_capacity(1_000);
    peer.send(&[1; 1_000_000]);
    sim.settle();
    let queued = sim.engine.core.queued_bytes_total();
    assert!((100_000..200_000).contains(&queued), "{queued}");
    assert!(peer.unread() > 800_000);
    let mut got = 0;
    while sim.engine.core.queued_bytes_total() > 50_000 {
        assert!(!sim.handler().calls().contains(&"drained".into()));
        got += peer.take_all().len();
        sim.turn();
    }
    assert_eq!(sim.handler().calls(), ["drained"]);
    while got < 1_000_000 {
        got += peer.take_all().len();
        sim.settle();
    }
    sim.audit();
}

#[test]
fn who_asks_hears_that_all_output_has_gone() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| match call {
        Call::Data(input) => {
            let count = input.len();
            cx.notify_when_flushed(); // nothing to be told yet, if this is the first
            cx.write(&[0; 50_000]);
            if input == b"tell" {
                cx.notify_when_flushed();
            }
            count
        }
        _ => 1,
    };
    let mut sim = probe(ReactorConfig::default(), act);
    let peer = sim.accept(&Security::Plain).unwrap();
    peer.set_capacity(1_000);
    for (input, told) in [(b"hush", false), (b"tell", true), (b"hush", false)] {
        peer.send(input);
        sim.settle();
        assert_eq!(sim.handler().calls(), ["data 4"]);
        while sim.engine.core.queued_bytes_total() > 0 {
            assert!(sim.handler().calls().is_empty());
            peer.take_all();
            sim.turn();
        }
        peer.take_all();
        sim.settle();
        let calls = sim.handler().calls();
        assert_eq!(calls, ["drained"].repeat(usize::from(told)));
    }
    sim.audit();
}

#[test]
fn limits_on_output() {
    let config = ReactorConfig {
        output_high_water_bytes: 1_000,
        output_bytes_max: 10_000,
        output_bytes_max_total: 20_000,
        ..ReactorConfig::default()
    };
    let act = |cx: &mut Cx<'_>, call: Call<'_>| match call {
        Call::Data(input) => {
            let count = input.len();
            cx.write(&vec![0; count]);
            count
        }
        _ => 1,
    };
    let mut sim = probe(config, act);
    let one = sim.accept(&Security::Plain).unwrap();
    one.set_capacity(0);
    one.send(&[0; 10_001]);
    sim.settle();
    assert!(one.is_dropped());
    let calls = sim.handler().calls();
    assert_eq!(calls[1..], ["stalled", "closed(outputoverflow)"]);
    sim.audit();
    // All together: who has waited longest goes.
    let crowd: Vec<Peer> = (0..3)
        .map(|_| sim.accept(&Security::Plain).unwrap())
        .collect();
    for peer in &crowd {
        peer.set_capacity(0);
        peer.send(&[0; 9_000]);
        sim.settle();
    }
    let gone: Vec<bool> = crowd.iter().map(Peer::is_dropped).collect();
    assert_eq!(gone, [true, false, false]);
    sim.audit();
    for peer in &crowd {
        peer.reset();
    }
    sim.settle();
    sim.audit();
    assert_eq!(sim.connections(), 0);
}

#[test]
fn too_much_output_is_told_though_nothing_is_left_of_it() {
    let config = ReactorConfig {
        output_high_water_bytes: 1_000,
        output_bytes_max: 10_000,
        ..ReactorConfig::default()
    };
    for notifies_when_flushed in [false, true] {
        let mut sim = probe(config.clone(), move |cx, call| match call {
            Call::Data(input) => {
                cx.shutdown(10 * SECOND);
                input.len()
            }
            // After the timers of a turn, before its writes.
            Call::Draining => {
                cx.write(&[0; 900]);
                if notifies_when_flushed {
                    cx.notify_when_flushed();
                } else {
                    cx.write(&[0; 900]);
                }
                cx.write(&[0; 10_000]);
                0
            }
            _ => 1,
        });
        let peer = sim.accept(&Security::Plain).unwrap();
        peer.set_capacity(0);
        peer.send(b"a");
        sim.settle();
        let calls = sim.handler().calls();
        assert_eq!(
            calls,
            ["data 1", "draining", "stalled", "closed(outputoverflow)"]
        );
        assert!(peer.is_dropped());
        sim.audit();
    }
}

#[test]
fn reads_that_a_crowd_held_back_go_on() {
    let config = ReactorConfig {
        output_high_water_bytes: 10_000,
        output_bytes_max_total: 9_000,
        ..ReactorConfig::default()
    };
    for ends_by_reset in [false, true] {
        let mut sim = probe(config.clone(), echo);
        let crowd = sim.accept(&Security::Plain).unwrap();
        let peer = sim.accept(&Security::Plain).unwrap();
        crowd.set_capacity(1);
        peer.set_capacity(1);
        peer.send(b"ab");
        sim.settle();
        crowd.send(&[0; 9_999]);
        sim.settle();
        // Something is queued for it and there is too much in all: not read.
        peer.send(b"c");
        sim.settle();
        assert_eq!(peer.unread(), 1);
        if ends_by_reset {
            crowd.reset();
        } else {
            peer.set_capacity(100);
            assert_eq!(peer.take_all(), b"a");
        }
        sim.settle();
        assert_eq!(peer.unread(), 0, "held back for ever");
    }
}

#[test]
fn all_tails_together_have_a_limit() {
    let config = ReactorConfig {
        input_bytes_max_total: 10_000,
        ..ReactorConfig::default()
    };
    for security in securities() {
        let mut sim = probe(config.clone(), |_, call| match call {
            Call::Data(_) => 0,
            _ => 1,
        });
        let mut clients: Vec<_> = (0..3)
            .map(|_| client(sim.accept(&security).unwrap(), &security))
            .collect();
        for client in &mut clients {
            client.write(&[0; 5_000]);
            run(&mut sim, &mut [client]);
        }
        let gone: Vec<bool> = clients.iter().map(|one| one.peer.is_dropped()).collect();
        assert_eq!(gone, [false, false, true]);
        // A little is never too much.
        let mut small = client(sim.accept(&security).unwrap(), &security);
        small.write(&[0; 4_000]);
        run(&mut sim, &mut [&mut small]);
        assert!(!small.peer.is_dropped());
        sim.audit();
        for one in &clients {
            one.peer.reset();
        }
        small.peer.reset();
        sim.settle();
        sim.audit();
        assert_eq!(sim.connections(), 0);
    }
}

#[test]
fn the_tail_has_a_limit() {
    let config = ReactorConfig {
        tail_bytes_max: 100,
        ..ReactorConfig::default()
    };
    for security in securities() {
        let mut sim = probe(config.clone(), |_, call| match call {
            Call::Data(_) => 0,
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(&[0; 100]);
        run(&mut sim, &mut [&mut client]);
        client.write(&[0; 1]);
        run(&mut sim, &mut [&mut client]);
        let calls = sim.handler().calls();
        assert_eq!(calls, ["data 100", "data 101", "closed(inputoverflow)"]);
        sim.audit();
    }
}

/// The first bytes of a ClientHello that will be longer.
#[cfg(feature = "tls")]
fn unfinished_hello(bytes: usize) -> Vec<u8> {
    let mut hello = vec![b'x'; bytes];
    hello[..9].copy_from_slice(&[22, 3, 1, 0x3F, 0, 1, 0, 0x3E, 0xFC]);
    hello
}

#[cfg(feature = "tls")]
#[test]
fn unfinished_handshakes_count_as_input() {
    let config = ReactorConfig {
        input_bytes_max_total: 10_000,
        ..ReactorConfig::default()
    };
    let mut sim = probe(config, echo);
    let security = &securities()[1];
    let accept = |sim: &mut Sim<_>| sim.accept(security).unwrap();
    let peers: Vec<_> = (0..3).map(|_| accept(&mut sim)).collect();
    for (peer, held) in peers.iter().zip([5_000, 10_000, 10_000]) {
        for piece in unfinished_hello(5_000).chunks(700) {
            peer.send(piece);
            sim.settle();
            sim.audit();
        }
        assert_eq!(sim.engine.core.held_input_bytes, held);
    }
    let gone: Vec<bool> = peers.iter().map(Peer::is_dropped).collect();
    assert_eq!(gone, [false, false, true]);
    // Whoever says hello in a usual length gets through.
    let mut small = client(accept(&mut sim), security);
    small.write(b"hello");
    run(&mut sim, &mut [&mut small]);
    assert_eq!(small.received, b"hello");
    sim.audit();
    // Time ends what does not go on.
    sim.advance(20 * SECOND);
    assert!(peers.iter().all(Peer::is_dropped));
    assert_eq!(sim.engine.core.held_input_bytes, 0);
    sim.audit();
}

#[cfg(feature = "tls")]
#[test]
fn handshakes_that_fail_hold_nothing_while_they_end() {
    let mut sim = probe(ReactorConfig::default(), echo);
    let peer = sim.accept(&securities()[1]).unwrap();
    peer.send(&unfinished_hello(9_000));
    sim.settle();
    assert_eq!(sim.engine.core.held_input_bytes, 9_000);
    peer.send(&[b'x'; 20_000]);
    sim.settle();
    assert!(!peer.is_dropped(), "the alert is to arrive");
    assert_eq!(peer.take_all()[..1], [21]);
    assert_eq!(sim.engine.core.held_input_bytes, 0);
    sim.audit();
}

/// Records and tails that were long leave no room behind when a byte of the next one waits.
#[test]
fn what_waits_takes_no_more_than_is_counted() {
    for security in securities() {
        let mut sim = probe(ReactorConfig::default(), |_, call| match call {
            // A length and that many bytes; waits for the rest.
            Call::Data(input) => {
                let length =
                    usize::from(u16::from_be_bytes([input[0], *input.get(1).unwrap_or(&0)]));
                if input.len() < length + 2 {
                    0
                } else {
                    length + 2
                }
            }
            _ => 1,
        });
        let mut long = vec![7; 40_002];
        long[..2].copy_from_slice(&40_000_u16.to_be_bytes());
        let mut clients: Vec<_> = (0..4)
            .map(|_| client(sim.accept(&security).unwrap(), &security))
            .collect();
        for client in &mut clients {
            client.write(&long[..39_000]);
            run(&mut sim, &mut [client]);
            sim.audit();
            client.write(&long[39_000..]);
            client.write(&[9]);
            run(&mut sim, &mut [client]);
            sim.audit();
        }
        assert_eq!(sim.engine.core.held_input_bytes, clients.len());
    }
}
