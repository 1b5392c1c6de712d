use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
/// Stretch of time in which a body has to keep its pace.
const BODY_WINDOW: Duration = Duration::from_secs(10);

/// Parts of a whole request, cut where a slow client may pause.
const PARTS: [(&[u8], &[u8]); 4] = [
    (b"G", b"ET /now/1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET /now/1 HTTP/1.1\r\nHost: a\r\n\r", b"\n"),
    (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
        b"o",
    ),
    (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r",
        b"\n",
    ),
];

#[test]
fn a_request_has_its_time_to_the_millisecond() {
    for is_secure in [false, true] {
        for (first, rest) in PARTS {
            let timeout = if first.starts_with(b"POST") {
                BODY_WINDOW
            } else {
                WebConfig::DEFAULT.request_timeout
            };
            for (waits, status) in [
                (timeout - MILLISECOND, 200),
                (timeout, 200),
                (timeout + 2 * MILLISECOND, 408),
            ] {
                let mut world = usual();
                let mut client = if is_secure {
                    secure(&mut world)
                } else {
                    plain(&mut world)
                };
                ask(&mut world, &mut client, first);
                world.advance(waits);
                ask(&mut world, &mut client, rest);
                assert_eq!(
                    statuses(&mut client),
                    (vec![status], status == 408),
                    "{waits:?}"
                );
                assert_eq!(client.saw_orderly_end(), status == 408);
            }
        }
    }
}

#[test]
fn dates_change_once_a_second() {
    let mut world = usual();
    let mut client = plain(&mut world);
    let get = b"GET /now/1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut dates = Vec::new();
    for _ in 0..25 {
        ask(&mut world, &mut client, get);
        let text = String::from_utf8(std::mem::take(&mut client.received)).unwrap();
        let date = text.lines().find_map(|line| line.strip_prefix("Date: "));
        dates.push(date.unwrap().to_owned());
        world.advance(100 * MILLISECOND);
    }
    let date = |second: usize| format!("Sun, 06 Nov 1994 08:49:{} GMT", 37 + second);
    let wanted: Vec<String> = (0..25).map(|tenth| date(tenth / 10)).collect();
    assert_eq!(dates, wanted);
}

#[test]
fn a_collected_body_has_its_pace_and_its_time() {
    // The default of 240 bytes in a second: 2,400 in each stretch of ten.
    for (bytes_each, responded_after) in [(2_400, None), (2_399, Some(1)), (200, Some(1))] {
        let mut world = usual();
        let mut client = plain(&mut world);
        let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7200\r\n\r\n";
        ask(&mut world, &mut client, head);
        for stretch in 1..=2 {
            ask(&mut world, &mut client, &vec![b'x'; bytes_each]);
            world.advance(BODY_WINDOW + MILLISECOND);
            ask(&mut world, &mut client, b"");
            let is_over = responded_after.is_some_and(|after| stretch >= after);
            assert_eq!(!client.received.is_empty(), is_over, "{bytes_each}");
            if is_over {
                break;
            }
        }
        if responded_after.is_none() {
            ask(&mut world, &mut client, &vec![b'x'; 2_400]);
        }
        let status = if responded_after.is_some() { 408 } else { 200 };
        assert_eq!(statuses(&mut client), (vec![status], status == 408));
    }
}

#[test]
fn a_collected_body_that_keeps_its_pace_is_not_waited_for_beyond_its_time() {
    let mut world = usual();
    let mut client = plain(&mut world);
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    ask(&mut world, &mut client, head);
    let seconds = WebConfig::DEFAULT.request_timeout.as_secs();
    for second in 1..=seconds {
        ask(&mut world, &mut client, &[b'x'; 1000]);
        assert!(client.received.is_empty(), "408 after {second} s");
        world.advance(1000 * MILLISECOND);
    }
    world.advance(2 * MILLISECOND);
    ask(&mut world, &mut client, b"");
    assert_eq!(statuses(&mut client), (vec![408], true));
}

#[test]
fn the_time_reads_stop_is_not_the_body_s() {
    let reactor = ReactorConfig {
        output_high_water_bytes: 50,
        ..ReactorConfig::default()
    };
    let mut world = world(WebConfig::default(), reactor);
    let mut client = plain(&mut world);
    client.peer.set_capacity(10);
    client.write(b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    client.write(&[b'x'; 100]);
    client.pump();
    world.settle();
    respond_later(&mut world, None);
    // The answer is over the mark, and nobody takes it.
    world.advance(BODY_WINDOW - 1000 * MILLISECOND);
    client.peer.set_capacity(1 << 20);
    run(&mut world, &mut [&mut client]);
    world.advance(BODY_WINDOW - 1000 * MILLISECOND);
    ask(&mut world, &mut client, &[b'x'; 4_900]);
    assert_eq!(statuses(&mut client), (vec![200, 200], false));
}

#[cfg(feature = "ws")]
#[test]
fn any_time_may_be_configured() {
    const HOUR: Duration = Duration::from_secs(3600);
    for time in [Duration::MAX, Duration::from_millis(u64::MAX)] {
        let config = WebConfig {
            connection_timeout: time,
            request_timeout: time,
            keepalive_timeout: time,
            message_timeout: time,
            ping_interval: time,
            pong_timeout: time,
            close_timeout: time,
            body_bytes_per_second_min: 0,
            ..WebConfig::default()
        };
        let mut world = world(config, ReactorConfig::default());
        // A request in pieces, one that is answered late, and the time between two.
        let mut client = plain(&mut world);
        world.advance(HOUR);
        for (first, rest) in PARTS {
            ask(&mut world, &mut client, first);
            world.advance(if first.starts_with(b"POST") {
                SECOND
            } else {
                HOUR
            });
            ask(&mut world, &mut client, rest);
            assert_eq!(statuses(&mut client), (vec![200], false));
            world.advance(HOUR);
        }
        ask(
            &mut world,
            &mut client,
            b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        world.advance(HOUR);
        respond_later(&mut world, None);
        run(&mut world, &mut [&mut client]);
        assert_eq!(statuses(&mut client), (vec![200], false));

        // WebSockets: half a message, silence, a Close that is not answered.
        let mut sockets: Vec<SimClient> = (0..2).map(|_| plain(&mut world)).collect();
        for socket in &mut sockets {
            ask(&mut world, socket, UPGRADE);
            socket.received.clear();
            ask(&mut world, socket, &[0x01, 0x81, 0, 0, 0, 0, b'q']);
            world.advance(HOUR);
        }
        let mut quiet = b"\x80\x84\0\0\0\0uiet".to_vec();
        quiet.extend(b"\x81\x85\0\0\0\0close");
        ask(&mut world, &mut sockets[0], &quiet);
        assert!(sockets[0].received.starts_with(&[0x88]));
        world.advance(HOUR);
        assert_eq!(world.connections(), 3);

        let drain = letter(Mail::DrainForEver);
        assert!(world.mailbox().send(None, drain).is_ok());
        world.advance(HOUR);
        let mut clients: Vec<&mut SimClient> = sockets.iter_mut().collect();
        run(&mut world, &mut clients);
        assert!(sockets[1].received.starts_with(&[0x88]), "told to go");
        for client in sockets.iter().chain([&client]) {
            client.peer.shut();
        }
        world.advance(HOUR);
        assert_empty(&mut world);
    }
}

#[cfg(feature = "ws")]
const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
