//! Connections on their way to be open: outbound ones, handshakes, and what is no TLS.

use super::*;

#[test]
fn outbound_connections() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        if let Call::Open = call {
            cx.write(b"hello");
        }
        echo(cx, call)
    };
    let mut sim = probe(ReactorConfig::default(), act);
    let mut client = SimClient::plain(sim.connect().unwrap());
    sim.settle();
    assert_eq!(client.peer.writes(), 0);
    client.peer.complete_connect(false);
    client.write(b" again");
    run(&mut sim, &mut [&mut client]);
    assert_eq!(client.received, b"hello again");

    let peer = sim.connect().unwrap();
    peer.complete_connect(true);
    sim.settle();
    assert!(peer.is_dropped());
    let silent = sim.connect().unwrap();
    sim.advance(11 * SECOND);
    assert!(silent.is_dropped());
    let calls = sim.handler().calls();
    assert_eq!(
        calls[1..],
        ["closed(connectfailed)", "closed(connectfailed)"]
    );
}

#[cfg(feature = "tls")]
#[test]
fn a_handshake_takes_only_so_long() {
    let security = &securities()[1];
    let mut sim = probe(ReactorConfig::default(), echo);
    let peer = sim.accept(security).unwrap();
    sim.advance(9 * SECOND);
    peer.send(b"\x16\x03\x01");
    sim.advance(Duration::from_millis(1_100));
    assert!(peer.is_dropped());
    assert_eq!(sim.handler().calls(), ["closed(handshaketimeout)"]);
    let mut quick = SimClient::secure(sim.accept(security).unwrap());
    run(&mut sim, &mut [&mut quick]);
    sim.advance(60 * SECOND);
    assert_eq!(sim.handler().calls(), [""; 0]);
    sim.audit();
}

#[cfg(feature = "tls")]
#[test]
fn what_is_not_tls_gets_an_alert() {
    let openings: [(&[u8], bool); 4] = [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", true),
        (b"\0\0\0\0\0\0\0\0", false),
        (b"{\"GET\": 1}\n", false),
        (b"\xe9\xe9\xe9\xe9\xe9\xe9", false),
    ];
    for (opening, is_shown) in openings {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            // Not for those who speak no TLS, whatever is written later.
            Call::Open => {
                cx.write(b"secret");
                1
            }
            Call::Cleartext(_) => {
                cx.write(b"second thoughts");
                REFUSED
            }
            call => echo(cx, call),
        });
        let peer = sim.accept(&securities()[1]).unwrap();
        peer.send(opening);
        sim.settle();
        let response = peer.take_all();
        assert_eq!((response[0], response.len()), (21, 7), "an alert alone");
        assert!(peer.at_end());
        peer.shut();
        sim.settle();
        let mut calls = vec!["closed(tls)".to_owned()];
        if is_shown {
            calls.insert(0, format!("cleartext {}", opening.len()));
        }
        assert_eq!(sim.handler().calls(), calls);
        sim.audit();
    }
}

#[cfg(feature = "tls")]
#[test]
fn cleartext_can_be_answered() {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    for_seeds(20, |rng| {
        let mut sim = probe(ReactorConfig::default(), |cx, call| match call {
            Call::Open => {
                cx.write(b"for TLS only");
                1
            }
            Call::Cleartext(input) if input.ends_with(b"\r\n\r\n") => {
                assert_eq!(input, request, "all of it is shown");
                cx.write(&[b'a'; 50_000]);
                ANSWERED
            }
            Call::Cleartext(_) => INCOMPLETE,
            call => echo(cx, call),
        });
        let peer = sim.accept(&securities()[1]).unwrap();
        peer.set_capacity(1 + rng.below(20_000));
        let mut pieces = 0;
        let mut rest = request.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + rng.below(rest.len()));
            assert_eq!(peer.take_all(), b"", "an answer to a part");
            peer.send(piece);
            sim.settle();
            sim.audit();
            (pieces, rest) = (pieces + 1, after);
        }
        // What still comes is dropped, and no reset overtakes the answer.
        peer.send(&[b'x'; 100_000]);
        let mut response = Vec::new();
        while !peer.at_end() {
            response.extend(peer.take_all());
            sim.settle();
        }
        assert_eq!(response, [b'a'; 50_000]);
        assert!(peer.is_shut() && !peer.is_dropped());
        assert_eq!(peer.unread(), 0);
        peer.shut();
        sim.settle();
        let calls = sim.handler().calls();
        assert_eq!(calls.len(), pieces + 1, "{calls:?}");
        assert_eq!(calls.last().unwrap(), "closed(finished)");
        assert_eq!(sim.connections(), 0);
        sim.audit();
    });
}

#[cfg(feature = "tls")]
#[test]
fn cleartext_has_the_time_and_the_room_of_a_handshake() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| match call {
        Call::Cleartext(_) => INCOMPLETE,
        call => echo(cx, call),
    };
    let mut sim = probe(ReactorConfig::default(), act);
    let slow = sim.accept(&securities()[1]).unwrap();
    for _ in 0..9 {
        slow.send(b"A");
        sim.advance(SECOND);
    }
    assert!(!slow.is_dropped());
    sim.advance(SECOND);
    assert!(slow.is_dropped());
    assert_eq!(slow.take_all(), b"");
    let calls = sim.handler().calls();
    assert_eq!(calls.last().unwrap(), "closed(handshaketimeout)");

    let endless = sim.accept(&securities()[1]).unwrap();
    endless.send(&vec![b'A'; 1 << 20]);
    sim.settle();
    assert!(endless.is_dropped());
    assert_eq!(sim.connections(), 0);
    sim.audit();
}

#[cfg(feature = "tls")]
#[test]
fn cleartext_within_tls_is_no_cleartext() {
    let mut sim = probe(ReactorConfig::default(), echo);
    let mut client = client(sim.accept(&securities()[1]).unwrap(), &securities()[1]);
    client.write(b"GET");
    run(&mut sim, &mut [&mut client]);
    assert_eq!(client.received, b"GET");
    client.peer.send(b"GET / HTTP/1.1\r\n\r\n");
    sim.settle();
    let calls = sim.handler().calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("cleartext")),
        "{calls:?}"
    );
    assert!(
        client.peer.take_all().starts_with(&[23]),
        "an encrypted alert"
    );
    assert!(client.peer.at_end());
}

/// Awaits a preface of four bytes that say nothing and `more` that are not looked at.
fn behind_a_preface(more: usize) -> impl FnMut(&mut Cx<'_>, Call<'_>) -> usize {
    move |cx, call| match call {
        Call::Open => {
            cx.expect_proxy_header();
            1
        }
        Call::Preface(input) if input.len() < 4 => MORE,
        Call::Preface(_) => 4 + more,
        call => echo(cx, call),
    }
}

#[test]
fn what_a_preface_ends_with_is_dropped_as_it_comes() {
    for_seeds(20, |rng| {
        for security in &securities() {
            let more = rng.below(65_536);
            let mut sim = probe(ReactorConfig::default(), behind_a_preface(more));
            let peer = sim.accept(security).unwrap();
            let proxy_header = rng.bytes(4 + more);
            let mut rest = proxy_header.as_slice();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + rng.below(rest.len().min(30_000)));
                peer.send(piece);
                if rng.one_in(2) {
                    sim.settle();
                    sim.audit();
                }
                rest = after;
            }
            let mut client = client(peer, security);
            client.write(b"hello");
            run(&mut sim, &mut [&mut client]);
            assert_eq!(client.received, b"hello");
            let calls = sim.handler().calls();
            assert!(
                calls
                    .iter()
                    .filter(|call| call.starts_with("preface"))
                    .count()
                    <= 4,
                "what is dropped is not shown: {calls:?}"
            );
            // It had its time, and that is over.
            sim.advance(60 * SECOND);
            assert!(!client.peer.is_dropped());
            sim.audit();
        }
    });
}

#[test]
fn a_preface_takes_only_so_long_and_is_only_so_long() {
    for security in &securities() {
        for (sent, is_passed) in [(2, false), (4, true), (20_000, true)] {
            let mut sim = probe(ReactorConfig::default(), behind_a_preface(40_000));
            let peer = sim.accept(security).unwrap();
            peer.send(&vec![0; sent]);
            sim.settle();
            assert_eq!(sim.handler().calls().len(), 1);
            for _ in 0..9 {
                peer.send(if is_passed { b"more" } else { b"" });
                sim.advance(SECOND);
            }
            assert!(!peer.is_dropped());
            sim.advance(2 * SECOND);
            assert!(peer.is_dropped());
            assert_eq!(sim.handler().calls(), ["closed(handshaketimeout)"]);
            sim.audit();
        }
        let mut sim = probe(ReactorConfig::default(), behind_a_preface(65_536));
        let peer = sim.accept(security).unwrap();
        peer.send(&[0; 4]);
        sim.settle();
        assert_eq!(
            sim.handler().calls(),
            ["preface 4", "closed(inputoverflow)"]
        );
        assert!(peer.is_dropped());
    }
    // Who has not begun may take its time: that is for the handler to say.
    let mut sim = probe(ReactorConfig::default(), behind_a_preface(0));
    let peer = sim.accept(&Security::Plain).unwrap();
    sim.advance(60 * SECOND);
    assert!(!peer.is_dropped());
}
