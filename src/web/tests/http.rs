use std::io::Write as _;
use std::sync::Arc;

use super::*;

const GET: &[u8] = b"GET /now/1 HTTP/1.1\r\nHost: a\r\n\r\n";
const LATER: &[u8] = b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n";

/// A request of chance, its answer's body, and whether it is HEAD.
fn request(rng: &mut Rng, n: usize) -> (Vec<u8>, Vec<u8>, bool) {
    let most = 1 << rng.below(13);
    let len = rng.below(most);
    let body = vec![b'x'; len];
    let kind = if rng.one_in(2) { "later" } else { "now" };
    match rng.below(5) {
        0 => (
            format!("GET /{kind}/{n} HTTP/1.1\r\nHost: a\r\n\r\n").into(),
            if kind == "now" {
                format!("GET {n}")
            } else {
                format!("later {n} 0")
            }
            .into(),
            false,
        ),
        1 => (
            format!("HEAD /{kind}/{n} HTTP/1.1\r\nHost: a\r\n\r\n").into(),
            Vec::new(),
            true,
        ),
        2 => {
            let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
            ([head.as_bytes(), &body].concat(), body, false)
        }
        3 => {
            let mut bytes =
                b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for piece in body.chunks(1 + rng.below(1000)) {
                write!(bytes, "{:x}\r\n", piece.len()).unwrap();
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            (bytes, body, false)
        }
        _ => {
            let head =
                format!("POST /later/{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
            let response = format!("later {n} {len}").into();
            ([head.as_bytes(), &body].concat(), response, false)
        }
    }
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    for is_secure in [false, true] {
        for_seeds(40, |rng| {
            let config = WebConfig {
                pipeline_max: 1 + rng.below(8),
                messages_per_turn: 1 + rng.below(8),
                ..WebConfig::default()
            };
            let reactor = ReactorConfig {
                output_high_water_bytes: 1 << (8 + rng.below(10)),
                ..ReactorConfig::default()
            };
            let mut world = world(config, reactor);
            let mut client = if is_secure {
                secure(&mut world)
            } else {
                plain(&mut world)
            };
            client.peer.set_capacity(1 + rng.below(10_000));
            client.peer.chop(Rng::new(rng.next()));
            let mut expected = Vec::new();
            for n in 0..1 + rng.below(40) {
                let (bytes, body, is_head) = request(rng, n);
                client.write(&bytes);
                expected.push((body, is_head));
            }
            client.finish();
            for _ in 0..rng.below(300) {
                client.pump_some(rng);
                if rng.one_in(2) {
                    world.turn();
                }
                if rng.one_in(4) {
                    respond_later(&mut world, Some(rng));
                }
            }
            loop {
                run(&mut world, &mut [&mut client]);
                if site(&mut world).later.is_empty() {
                    break;
                }
                respond_later(&mut world, Some(rng));
            }
            for (n, (body, is_head)) in expected.iter().enumerate() {
                let response = read_response(&mut client.received, *is_head);
                let response = response.unwrap_or_else(|| panic!("no answer {n}"));
                assert_eq!(response.status, 200);
                assert!(response.body == *body, "answer {n} differs");
            }
            assert_eq!(client.received, b"");
            assert!(client.saw_orderly_end());
            assert_empty(&mut world);
        });
    }
}

#[test]
fn continue_goes_out_when_it_is_wanted_and_its_turn() {
    let post =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut world = usual();
    let mut client = plain(&mut world);
    ask(&mut world, &mut client, post);
    assert_eq!(client.received, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.received.clear();
    ask(&mut world, &mut client, b"hi");
    assert_eq!(statuses(&mut client).0, [200]);

    // The body is there already.
    ask(&mut world, &mut client, &[post.as_slice(), b"hi"].concat());
    assert_eq!(statuses(&mut client).0, [200]);

    // An answer is due before.
    ask(&mut world, &mut client, &[LATER, post].concat());
    assert_eq!(client.received, b"");
    respond_later(&mut world, None);
    run(&mut world, &mut [&mut client]);
    assert_eq!(statuses(&mut client).0, [200, 100]);
    ask(&mut world, &mut client, b"ho");
    assert_eq!(statuses(&mut client).0, [200]);
}

#[test]
fn refusals_come_after_the_answers_before_them_and_close() {
    let long = |len: usize| "x".repeat(len);
    let cases = [
        (
            413,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
        ),
        (
            414,
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(20_000)),
        ),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(70_000)),
        ),
        (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned()),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
    ];
    for (status, bad) in cases {
        for is_later in [false, true] {
            let mut world = usual();
            let mut client = plain(&mut world);
            let before = if is_later { LATER } else { GET };
            let bytes = [before, bad.as_bytes(), GET].concat();
            ask(&mut world, &mut client, &bytes);
            if is_later {
                assert_eq!(client.received, b"");
                respond_later(&mut world, None);
                run(&mut world, &mut [&mut client]);
            }
            assert_eq!(statuses(&mut client), (vec![200, status], true));
            assert!(client.saw_orderly_end());
            client.finish();
            run(&mut world, &mut [&mut client]);
            assert_empty(&mut world);
        }
    }
}

#[test]
fn the_last_answer_ends_the_connection_and_drops_the_rest() {
    let cases: [(&[u8], bool); 3] = [
        (b"GET /close HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (
            b"GET /now/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            true,
        ),
        (b"GET /now/1 HTTP/1.0\r\n\r\n", true),
    ];
    for (last, close) in cases {
        for before in [GET, LATER] {
            let mut world = usual();
            let mut client = plain(&mut world);
            ask(
                &mut world,
                &mut client,
                &[before, last, GET, LATER].concat(),
            );
            respond_later(&mut world, None);
            run(&mut world, &mut [&mut client]);
            assert_eq!(statuses(&mut client), (vec![200, 200], close));
            assert!(client.saw_orderly_end());
            client.peer.shut();
            world.settle();
            assert_empty(&mut world);
        }
    }
}

#[test]
fn a_half_close_leaves_the_answers_time() {
    // Also when the input ends within a request: that one is dropped.
    let partial = [
        b"".as_slice(),
        b"GET /now",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ];
    for rest in partial {
        for is_secure in [false, true] {
            let mut world = usual();
            let mut client = if is_secure {
                secure(&mut world)
            } else {
                plain(&mut world)
            };
            client.write(&[GET, LATER, LATER, rest].concat());
            client.finish();
            run(&mut world, &mut [&mut client]);
            assert_eq!(statuses(&mut client).0, [200]);
            respond_later(&mut world, None);
            run(&mut world, &mut [&mut client]);
            assert_eq!(statuses(&mut client).0, [200, 200]);
            assert!(client.saw_orderly_end(), "{rest:?}");
            assert_empty(&mut world);
        }
    }
}

#[test]
fn a_slow_request_is_told_so() {
    for partial in [
        b"GET /now".as_slice(),
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
    ] {
        let mut world = usual();
        let mut client = plain(&mut world);
        ask(&mut world, &mut client, GET);
        assert_eq!(statuses(&mut client).0, [200]);
        world.advance(40 * SECOND);
        // Each byte gains nothing.
        for byte in partial {
            ask(&mut world, &mut client, &[*byte]);
            world.advance(Duration::from_millis(100));
        }
        world.advance(31 * SECOND);
        run(&mut world, &mut [&mut client]);
        assert_eq!(statuses(&mut client), (vec![408], true));
        assert!(client.saw_orderly_end());
    }
}

#[test]
fn idle_connections_end_silently() {
    let mut world = usual();
    let mut fresh = plain(&mut world);
    let mut used = plain(&mut world);
    ask(&mut world, &mut used, GET);
    assert_eq!(statuses(&mut used).0, [200]);
    world.advance(59 * SECOND);
    run(&mut world, &mut [&mut fresh, &mut used]);
    assert!(!fresh.peer.at_end() && !used.peer.at_end());
    world.advance(2 * SECOND);
    run(&mut world, &mut [&mut fresh, &mut used]);
    assert!(fresh.saw_orderly_end() && used.saw_orderly_end());
    assert_eq!((fresh.received.len(), used.received.len()), (0, 0));
    world.advance(6 * SECOND);
    assert_empty(&mut world);
}

#[test]
fn an_answer_that_takes_too_long_is_503() {
    let mut world = usual();
    let mut client = plain(&mut world);
    ask(&mut world, &mut client, &[LATER, GET].concat());
    world.advance(29 * SECOND);
    run(&mut world, &mut [&mut client]);
    assert_eq!(client.received, b"");
    world.advance(2 * SECOND);
    run(&mut world, &mut [&mut client]);
    assert_eq!(statuses(&mut client), (vec![503], true));
    // The answer comes to nobody.
    respond_later(&mut world, None);
    run(&mut world, &mut [&mut client]);
    client.peer.shut();
    world.settle();
    assert_empty(&mut world);
}

#[test]
fn a_slow_reader_has_its_time() {
    // Answers that the client does not take hold up others for longer than those may take.
    let reactor = ReactorConfig {
        send_bytes_per_second_min: 0,
        ..ReactorConfig::default()
    };
    let mut world = world(WebConfig::default(), reactor);
    let mut client = plain(&mut world);
    client.peer.set_capacity(1_000);
    client.write(&[b"GET /big/20000 HTTP/1.1\r\nHost: a\r\n\r\n", LATER].concat());
    client.pump();
    world.advance(29 * SECOND);
    let part = client.peer.take(500);
    assert_eq!(part.len(), 500);
    // In each minute it takes some.
    world.advance(60 * SECOND);
    assert!(!client.peer.is_dropped());
    client.peer.take(500);
    world.advance(55 * SECOND);
    assert!(!client.peer.is_dropped());
    world.advance(200 * SECOND);
    assert!(client.peer.is_dropped());
    assert_empty(&mut world);
}

#[test]
fn too_many_requests_under_way_stop_the_reads() {
    for is_secure in [false, true] {
        let mut world = usual();
        let mut client = if is_secure {
            secure(&mut world)
        } else {
            plain(&mut world)
        };
        ask(&mut world, &mut client, &LATER.repeat(5_000));
        assert_eq!(site(&mut world).later.len(), 64);
        let mut responded = 0;
        while responded < 5_000 {
            let waiting = site(&mut world).later.len();
            assert!(waiting > 0 && waiting <= 64, "stuck after {responded}");
            respond_later(&mut world, None);
            run(&mut world, &mut [&mut client]);
            responded += statuses(&mut client).0.len();
        }
        world.audit();
    }
}

#[test]
fn files() {
    let mut file = tempfile::tempfile().unwrap();
    let bytes = Rng::new(1).bytes(1_000_000);
    file.write_all(&bytes).unwrap();
    let file = Arc::new(file);
    for (is_secure, is_never_now) in [(false, false), (true, true), (true, false)] {
        for (offset, len) in [(0, 1_000_000), (17, 999_983), (5, 1), (9, 0)] {
            let mut world = usual();
            world.handler().reader.is_never_now = is_never_now;
            let mut client = if is_secure {
                secure(&mut world)
            } else {
                plain(&mut world)
            };
            client.peer.set_capacity(50_000);
            let file = Arc::clone(&file).into();
            site(&mut world).file = Some(FileBody { file, offset, len });
            let get = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n";
            let head = b"HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n";
            let unchanged = b"GET /unchanged HTTP/1.1\r\nHost: a\r\n\r\n";
            client.write(&[head.as_slice(), unchanged, LATER, get, GET, get].concat());
            client.finish();
            run(&mut world, &mut [&mut client]);
            respond_later(&mut world, None);
            world.wait_for_mail(|world| {
                run(world, &mut [&mut client]);
                client.peer.at_end()
            });
            let received = &mut client.received;
            assert_eq!(read_response(received, true).unwrap().body, b"");
            assert_eq!(read_response(received, false).unwrap().status, 304);
            assert_eq!(read_response(received, false).unwrap().body, b"later 1 0");
            let start = usize::try_from(offset).unwrap();
            let part = &bytes[start..start + usize::try_from(len).unwrap()];
            assert!(read_response(received, false).unwrap().body == part);
            assert_eq!(read_response(received, false).unwrap().body, b"GET 1");
            assert!(read_response(received, false).unwrap().body == part);
            assert!(client.saw_orderly_end());
            assert_empty(&mut world);
        }
    }
}

#[test]
fn parts_go_out_in_their_order() {
    let mut file = tempfile::tempfile().unwrap();
    let bytes = Rng::new(1).bytes(300_000);
    file.write_all(&bytes).unwrap();
    let file = FileBody {
        file: Arc::new(file).into(),
        offset: 0,
        len: 300_000,
    };
    let expected: Vec<u8> = parts(&file)
        .iter()
        .flat_map(|part| match part {
            Part::Shared(shared) => shared.as_ref(),
            Part::File(part) => &bytes[..usize::try_from(part.len).unwrap()],
        })
        .copied()
        .collect();
    for is_secure in [false, true] {
        let mut world = usual();
        let mut client = if is_secure {
            secure(&mut world)
        } else {
            plain(&mut world)
        };
        client.peer.set_capacity(50_000);
        site(&mut world).file = Some(file.clone());
        let head = b"HEAD /parts HTTP/1.1\r\nHost: a\r\n\r\n";
        let get = b"GET /parts HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write(&[head.as_slice(), get, GET, get].concat());
        client.finish();
        world.wait_for_mail(|world| {
            run(world, &mut [&mut client]);
            client.peer.at_end()
        });
        let received = &mut client.received;
        assert_eq!(read_response(received, true).unwrap().body, b"");
        assert!(read_response(received, false).unwrap().body == expected);
        assert_eq!(read_response(received, false).unwrap().body, b"GET 1");
        assert!(read_response(received, false).unwrap().body == expected);
        assert!(client.saw_orderly_end());
        assert_empty(&mut world);
    }
}

#[test]
fn a_file_cut_short_ends_the_connection() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[1; 500_000]).unwrap();
    let mut world = usual();
    let mut client = plain(&mut world);
    site(&mut world).file = Some(FileBody {
        file: Arc::new(file).into(),
        offset: 0,
        len: 500_001,
    });
    client.write(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write(GET);
    world.wait_for_mail(|world| {
        run(world, &mut [&mut client]);
        client.peer.at_end()
    });
    assert!(client.peer.is_dropped());
    assert!(read_response(&mut client.received, false).is_none());
    assert_empty(&mut world);
}

#[test]
fn what_is_in_flight_at_shutdown_is_answered() {
    let mut world = usual();
    let mut busy = plain(&mut world);
    let mut idle = plain(&mut world);
    let mut fresh = plain(&mut world);
    let mut asking = plain(&mut world);
    ask(&mut world, &mut busy, &[LATER, LATER].concat());
    ask(&mut world, &mut idle, GET);
    ask(&mut world, &mut asking, &GET[..10]);
    assert_eq!(statuses(&mut idle).0, [200]);
    run(&mut world, &mut [&mut fresh]);
    world.mailbox().send(None, letter(Mail::Drain)).unwrap();
    run(
        &mut world,
        &mut [&mut busy, &mut idle, &mut fresh, &mut asking],
    );
    ask(&mut world, &mut asking, &GET[10..]);
    assert_eq!(statuses(&mut asking), (vec![200], true));
    asking.peer.shut();
    ask(&mut world, &mut fresh, GET);
    assert_eq!(statuses(&mut fresh), (vec![200], true));
    fresh.peer.shut();
    respond_later(&mut world, None);
    run(&mut world, &mut [&mut busy]);
    assert_eq!(statuses(&mut busy), (vec![200, 200], true));
    busy.peer.shut();
    // The next request may have been on its way. It was not.
    assert!(!idle.peer.at_end());
    world.advance(Duration::from_millis(1100));
    run(&mut world, &mut [&mut idle]);
    assert!(idle.saw_orderly_end());
    idle.peer.shut();
    world.settle();
    assert!(world.is_drained());
    assert_empty(&mut world);
}

#[test]
fn who_takes_an_answer_late_does_not_hold_up_a_shutdown() {
    // Its time between requests has passed by then, or not.
    for waits_secs in [0, 6] {
        let config = WebConfig {
            keepalive_timeout: 5 * SECOND,
            ..WebConfig::default()
        };
        let mut world = world(config, ReactorConfig::default());
        let mut client = plain(&mut world);
        client.peer.set_capacity(10);
        client.write(GET);
        client.pump();
        world.advance(waits_secs * SECOND);
        world.mailbox().send(None, letter(Mail::Drain)).unwrap();
        world.advance(2 * SECOND);
        assert!(!client.peer.at_end());
        client.peer.set_capacity(1000);
        run(&mut world, &mut [&mut client]);
        assert_eq!(statuses(&mut client).0, [200]);
        assert!(client.peer.at_end());
    }
}

#[test]
fn a_silent_fresh_connection_does_not_hold_up_a_shutdown() {
    let mut world = usual();
    let mut fresh = plain(&mut world);
    run(&mut world, &mut [&mut fresh]);
    world.mailbox().send(None, letter(Mail::Drain)).unwrap();
    world.advance(Duration::from_millis(900));
    assert!(!fresh.peer.at_end());
    world.advance(Duration::from_millis(200));
    assert!(fresh.peer.at_end());
}

#[test]
fn the_access_log_hears_of_every_answer() {
    let mut world = usual();
    let mut client = plain(&mut world);
    let head = b"HEAD /now/3 HTTP/1.1\r\nHost: a\r\n\r\n";
    ask(
        &mut world,
        &mut client,
        &[GET, head.as_slice(), b"nonsense\r\n\r\n"].concat(),
    );
    let served = std::mem::take(&mut site(&mut world).served);
    assert_eq!(served[0], ("/now/1".into(), 200, 5));
    assert_eq!(served[1], ("/now/3".into(), 200, 0));
    assert_eq!((&*served[2].0, served[2].1), ("", 400));
}

#[test]
fn an_empty_body_is_a_body() {
    let mut world = usual();
    let mut client = plain(&mut world);
    let post = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    ask(&mut world, &mut client, &[post, GET].concat());
    assert_eq!(statuses(&mut client).0, [200, 200]);
}

#[test]
fn a_body_in_many_pieces_is_complete_with_its_last() {
    let mut world = usual();
    let mut client = plain(&mut world);
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    ask(&mut world, &mut client, head);
    for pieces in 60..70 {
        ask(&mut world, &mut client, &b"1\r\nx\r\n".repeat(pieces));
    }
    ask(&mut world, &mut client, b"0\r\n\r\n");
    assert_eq!(
        read_response(&mut client.received, false)
            .unwrap()
            .body
            .len(),
        645
    );
}
