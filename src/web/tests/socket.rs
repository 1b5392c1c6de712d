use super::*;
use crate::proto::ws::{Event, Role, WsLimits, WsMachine, WsStep};

pub(super) const HANDSHAKE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The client's side of a WebSocket.
struct Ws {
    client: SimClient,
    machine: WsMachine,
    pongs: bool,
    texts: Vec<String>,
    pings: usize,
    /// Of pings of its own.
    pongs_seen: usize,
    close: Option<Option<CloseCode>>,
}

impl Ws {
    /// Opens a WebSocket, with `more` sent along with the handshake.
    fn open(world: &mut World, mut client: SimClient, more: &[(&str, usize)]) -> Self {
        client.write(HANDSHAKE);
        let mut ws = Self {
            client,
            machine: WsMachine::new(Role::Client),
            pongs: true,
            texts: Vec::new(),
            pings: 0,
            pongs_seen: 0,
            close: None,
        };
        for &(text, times) in more {
            for _ in 0..times {
                ws.send(Event::Text(text));
            }
        }
        run(world, &mut [&mut ws.client]);
        let response = read_response(&mut ws.client.received, false).unwrap();
        assert_eq!(response.status, 101);
        ws.read();
        ws
    }

    fn send(&mut self, event: Event<'_>) {
        let mut out = Vec::new();
        let (_, sender) = self.machine.split();
        sender.send_masked(&mut out, event, [1, 2, 3, 4]).unwrap();
        self.client.write(&out);
    }

    /// Takes what came, and answers pings and closes.
    fn read(&mut self) {
        loop {
            let (receiver, _) = self.machine.split();
            let (used, reply) = match receiver.step(&mut self.client.received, &WsLimits::default())
            {
                Ok(WsStep::More { used }) => {
                    self.client.received.drain(..used);
                    return;
                }
                Ok(WsStep::Event { used, event }) => {
                    let mut reply = None;
                    match event {
                        Event::Text(text) => self.texts.push(text.into()),
                        Event::Ping(data) => {
                            self.pings += 1;
                            reply = Some(data.to_vec());
                        }
                        Event::Close(reason) => self.close = Some(reason.map(|(code, _)| code)),
                        Event::Pong(_) => self.pongs_seen += 1,
                        Event::Binary(_) => {}
                    }
                    (used, reply)
                }
                Ok(WsStep::TooLong { .. }) => panic!("all is wanted"),
                Err(error) => panic!("{error}"),
            };
            self.client.received.drain(..used);
            if let Some(data) = reply
                && self.pongs
            {
                self.send(Event::Pong(&data));
            }
        }
    }

    fn run(&mut self, world: &mut World) {
        run(world, &mut [&mut self.client]);
        self.read();
        run(world, &mut [&mut self.client]);
    }
}

fn ended(world: &mut World) -> Vec<(u16, bool, u64)> {
    let ended = std::mem::take(&mut site(world).ended);
    ended
        .into_iter()
        .map(|(code, clean, messages)| (code.value(), clean, messages))
        .collect()
}

#[test]
fn frames_may_come_with_the_handshake() {
    for is_secure in [false, true] {
        let mut world = usual();
        let client = if is_secure {
            secure(&mut world)
        } else {
            plain(&mut world)
        };
        let mut ws = Ws::open(&mut world, client, &[("first", 1), ("second", 1)]);
        assert_eq!(ws.texts, ["first", "second"]);
        ws.send(Event::Text("third"));
        ws.run(&mut world);
        assert_eq!(ws.texts.len(), 3);
        world.audit();
    }
}

#[test]
fn the_handshake_waits_for_the_answers_before_it() {
    let mut world = usual();
    let mut client = plain(&mut world);
    client.write(b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /now/2 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write(HANDSHAKE);
    let mut ws = Ws {
        client,
        machine: WsMachine::new(Role::Client),
        pongs: true,
        texts: Vec::new(),
        pings: 0,
        pongs_seen: 0,
        close: None,
    };
    ws.send(Event::Text("early"));
    run(&mut world, &mut [&mut ws.client]);
    assert_eq!(ws.client.received, b"");
    respond_later(&mut world, None);
    run(&mut world, &mut [&mut ws.client]);
    for status in [200, 200, 101] {
        assert_eq!(
            read_response(&mut ws.client.received, false)
                .unwrap()
                .status,
            status
        );
    }
    ws.read();
    assert_eq!(ws.texts, ["early"]);
}

#[test]
fn no_handshake_is_refused_and_http_goes_on() {
    let mut world = usual();
    let mut client = plain(&mut world);
    let plain_get = b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\nGET /now/1 HTTP/1.1\r\nHost: a\r\n\r\n";
    ask(&mut world, &mut client, plain_get);
    let (all, close) = statuses(&mut client);
    assert_eq!(all[1..], [200]);
    assert!((400..500).contains(&all[0]) && !close);
    assert_eq!(ended(&mut world), []);
}

#[test]
fn nothing_is_lost_or_stuck_behind_a_budget() {
    for is_secure in [false, true] {
        for_seeds(20, |rng| {
            let config = WebConfig {
                messages_per_turn: 1 + rng.below(10),
                ..WebConfig::default()
            };
            let reactor = ReactorConfig {
                output_high_water_bytes: 1 << (6 + rng.below(10)),
                ..ReactorConfig::default()
            };
            let mut world = world(config, reactor);
            let client = if is_secure {
                secure(&mut world)
            } else {
                plain(&mut world)
            };
            let mut ws = Ws::open(&mut world, client, &[("a", rng.below(50))]);
            ws.client.peer.set_capacity(1 + rng.below(3000));
            ws.client.peer.chop(Rng::new(rng.next()));
            let mut expected = ws.texts.clone();
            for n in 0..rng.below(300) {
                let text = format!("{n}").repeat(1 + rng.below(100));
                ws.send(Event::Text(&text));
                expected.push(text);
            }
            ws.send(Event::Close(Some((CloseCode::NORMAL, "done"))));
            for _ in 0..rng.below(200) {
                ws.client.pump_some(rng);
                world.turn();
            }
            ws.run(&mut world);
            assert!(ws.texts == expected, "echoes differ");
            assert_eq!(ws.close, Some(Some(CloseCode::NORMAL)));
            assert!(ws.client.saw_orderly_end());
            ws.client.peer.shut();
            world.settle();
            let count = expected.len() as u64;
            assert_eq!(ended(&mut world), [(1000, true, count)]);
            assert_empty(&mut world);
        });
    }
}

#[test]
fn silence_is_pinged_and_then_given_up() {
    let mut world = usual();
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    for _ in 0..5 {
        world.advance(29 * SECOND);
        ws.run(&mut world);
        let before = ws.pings;
        world.advance(2 * SECOND);
        ws.run(&mut world);
        assert_eq!(ws.pings, before + 1);
    }
    ws.pongs = false;
    ws.pings = 0;
    for (after, pings) in [(31, 1), (10, 2), (10, 3)] {
        world.advance(after * SECOND);
        ws.run(&mut world);
        assert_eq!(ws.pings, pings);
        assert!(!ws.client.peer.at_end());
    }
    world.advance(10 * SECOND);
    ws.run(&mut world);
    assert_eq!(ws.pings, 3);
    assert!(ws.client.saw_orderly_end());
    world.advance(6 * SECOND);
    assert_eq!(ended(&mut world), [(1006, false, 0)]);
    assert_empty(&mut world);
}

#[test]
fn our_close_is_the_last_word() {
    let mut world = usual();
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    ws.send(Event::Text("close"));
    ws.send(Event::Text("too late"));
    run(&mut world, &mut [&mut ws.client]);
    let publish = letter(Mail::Publish("news"));
    world.mailbox().send(None, publish).unwrap();
    ws.run(&mut world);
    assert_eq!(ws.texts, [""; 0]);
    assert_eq!(ws.close, Some(Some(CloseCode::NORMAL)));
    assert!(!ws.client.peer.at_end(), "it waits for the peer's Close");
    ws.send(Event::Close(Some((CloseCode::NORMAL, ""))));
    ws.run(&mut world);
    assert!(ws.client.saw_orderly_end());
    ws.client.peer.shut();
    world.settle();
    assert_eq!(ended(&mut world), [(1000, true, 2)]);
    assert_empty(&mut world);
}

#[test]
fn a_close_without_answer_times_out() {
    let mut world = usual();
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    let close = letter(Mail::Close);
    world
        .mailbox()
        .send(Some(ws.client.peer.id), close)
        .unwrap();
    world.advance(Duration::from_millis(4_900));
    ws.run(&mut world);
    assert_eq!(ws.close, Some(Some(CloseCode::NORMAL)));
    assert!(!ws.client.peer.at_end());
    // What the peer says meanwhile gains it no time.
    ws.machine = WsMachine::new(Role::Client);
    ws.send(Event::Text("but"));
    ws.run(&mut world);
    world.advance(Duration::from_millis(200));
    ws.run(&mut world);
    assert!(ws.client.saw_orderly_end());
    world.advance(6 * SECOND);
    assert_eq!(ended(&mut world), [(1000, false, 1)]);
    assert_empty(&mut world);
}

#[test]
fn broken_frames_are_answered_with_a_close() {
    let mut world = usual();
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    ws.client.write(b"\x81\x02hi");
    ws.run(&mut world);
    assert_eq!(ws.close, Some(Some(CloseCode::PROTOCOL_ERROR)));
    assert!(ws.client.saw_orderly_end());
    ws.client.peer.shut();
    world.settle();
    assert_eq!(ended(&mut world)[0].0, 1002);
    assert_empty(&mut world);
}

#[test]
fn a_consumer_that_does_not_read_is_told_to_come_back() {
    let reactor = ReactorConfig {
        output_high_water_bytes: 1_000,
        ..ReactorConfig::default()
    };
    let mut world = world(WebConfig::default(), reactor);
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    ws.client.peer.set_capacity(10);
    for _ in 0..300 {
        let publish = letter(Mail::Publish("news of the day"));
        world.mailbox().send(None, publish).unwrap();
    }
    world.advance(11 * SECOND);
    ws.client.peer.set_capacity(1 << 20);
    ws.run(&mut world);
    ws.run(&mut world);
    assert_eq!(ws.texts.len(), 300);
    assert_eq!(ws.close, Some(Some(CloseCode::TRY_AGAIN_LATER)));
    world.advance(6 * SECOND);
    assert_eq!(ended(&mut world)[0].0, 1013);
    assert_empty(&mut world);
}

#[test]
fn the_peers_end_without_a_close_is_abnormal() {
    for is_reset in [false, true] {
        let mut world = usual();
        let client = plain(&mut world);
        let mut ws = Ws::open(&mut world, client, &[("hello", 1)]);
        if is_reset {
            ws.client.peer.reset();
        } else {
            ws.client.finish();
        }
        ws.run(&mut world);
        assert_eq!(ended(&mut world), [(1006, false, 1)]);
        assert_empty(&mut world);
    }
}

#[test]
fn those_who_go_away_do_so_one_after_the_other() {
    let mut world = usual();
    let mut sockets: Vec<_> = (0..200)
        .map(|_| {
            let client = plain(&mut world);
            Ws::open(&mut world, client, &[])
        })
        .collect();
    world.mailbox().send(None, letter(Mail::Drain)).unwrap();
    let (mut gone, mut most) = (0, 0);
    for _ in 0..20 {
        // Somebody who talks goes when it is time, too.
        sockets[0].send(Event::Text("still here"));
        world.advance(Duration::from_millis(10));
        for ws in &mut sockets {
            ws.run(&mut world);
        }
        let now_gone = sockets.iter().filter(|ws| ws.close.is_some()).count();
        most = most.max(now_gone - gone);
        gone = now_gone;
    }
    assert_eq!(gone, 200);
    assert!(most <= 20, "{most} in 10 ms");
}

#[test]
fn shutdown_says_going_away() {
    let mut world = usual();
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    let client = plain(&mut world);
    let mut silent = Ws::open(&mut world, client, &[]);
    world.mailbox().send(None, letter(Mail::Drain)).unwrap();
    world.advance(Duration::from_millis(3));
    ws.run(&mut world);
    silent.run(&mut world);
    for ws in [&ws, &silent] {
        assert_eq!(ws.close, Some(Some(CloseCode::GOING_AWAY)));
    }
    ws.send(Event::Close(Some((CloseCode::GOING_AWAY, ""))));
    ws.run(&mut world);
    assert!(ws.client.saw_orderly_end());
    ws.client.peer.shut();
    world.advance(6 * SECOND);
    silent.run(&mut world);
    assert!(silent.client.saw_orderly_end());
    silent.client.peer.shut();
    world.settle();
    assert!(world.is_drained());
    let mut ended = ended(&mut world);
    ended.sort();
    assert_eq!(ended, [(1001, false, 0), (1001, true, 0)]);
    assert_empty(&mut world);
}

#[test]
fn an_idle_websocket_owns_no_buffer() {
    let mut world = usual();
    let client = secure(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    let long = "x".repeat(200_000);
    for _ in 0..3 {
        ws.send(Event::Text(&long));
        ws.run(&mut world);
    }
    assert_eq!(ws.texts.len(), 3);
    world.audit();
}

#[test]
fn the_round_trip_of_a_ping_is_measured() {
    let mut world = usual();
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    ws.send(Event::Text("round trip"));
    // Nobody asked for these.
    ws.send(Event::Pong(b""));
    ws.send(Event::Pong(&0_u64.to_be_bytes()));
    ws.run(&mut world);
    ws.pongs = false;
    world.advance(29 * SECOND);
    while ws.client.received.is_empty() {
        world.advance(Duration::from_millis(1));
        run(&mut world, &mut [&mut ws.client]);
    }
    let ping = ws.client.received.split_off(ws.client.received.len() - 8);
    world.advance(Duration::from_millis(70));
    ws.send(Event::Pong(&ping));
    ws.send(Event::Text("round trip"));
    // The same again says nothing new.
    world.advance(Duration::from_millis(70));
    ws.send(Event::Pong(&ping));
    ws.send(Event::Text("round trip"));
    ws.client.received.clear();
    ws.run(&mut world);
    // To a tick of the timers.
    let [before, after, again] = ws.texts.as_slice() else {
        panic!("{:?}", ws.texts);
    };
    assert_eq!((&**before, after), ("None", again));
    assert!(
        ["Some(140ms)", "Some(141ms)"].contains(&&**after),
        "{after}"
    );
}

#[test]
fn too_many_control_frames_are_against_the_policy() {
    let config = WebConfig {
        control_frames_per_second: 10,
        ..WebConfig::default()
    };
    let mut world = world(config, ReactorConfig::default());
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    for _ in 0..3 {
        for _ in 0..1000 {
            ws.send(Event::Ping(b"still there?"));
        }
        ws.run(&mut world);
        assert_eq!(ws.close, None);
        assert_eq!(std::mem::take(&mut ws.pongs_seen), 1000);
        // Its pongs count as well.
        for _ in 0..11 {
            world.advance(10 * SECOND);
            ws.run(&mut world);
        }
    }
    for _ in 0..1001 {
        ws.send(Event::Pong(b""));
    }
    ws.run(&mut world);
    assert_eq!(ws.close, Some(Some(CloseCode::POLICY_VIOLATION)));
    world.advance(6 * SECOND);
    assert_eq!(ended(&mut world), [(1008, false, 0)]);
}

#[test]
fn a_message_has_its_time_whatever_comes_between() {
    let mut world = usual();
    let client = plain(&mut world);
    let mut ws = Ws::open(&mut world, client, &[]);
    // One that takes 59 s, and the next has its own time.
    ws.client.write(&[0x01, 0x81, 0, 0, 0, 0, b'a']);
    ws.run(&mut world);
    world.advance(59 * SECOND);
    ws.client.write(&[0x80, 0x81, 0, 0, 0, 0, b'b']);
    ws.client.write(&[0x01, 0x81, 0, 0, 0, 0, b'c']);
    ws.run(&mut world);
    assert_eq!(ws.texts, ["ab"]);
    for _ in 0..59 {
        ws.send(Event::Ping(b"alive"));
        ws.run(&mut world);
        world.advance(SECOND);
    }
    assert_eq!(ws.close, None);
    world.advance(2 * SECOND);
    ws.run(&mut world);
    assert_eq!(ws.close, Some(Some(CloseCode::POLICY_VIOLATION)));
    world.advance(6 * SECOND);
    assert_eq!(ended(&mut world), [(1008, false, 1)]);
}

#[test]
fn a_message_has_so_many_fragments() {
    let mut config = WebConfig::default();
    config.ws.fragments_max = 3;
    let mut world = world(config, ReactorConfig::default());
    for (fragments, is_too_many) in [(3, false), (4, true)] {
        let client = plain(&mut world);
        let mut ws = Ws::open(&mut world, client, &[]);
        for number in 1..=fragments {
            let opcode = u8::from(number == 1) | u8::from(number == fragments) << 7;
            ws.client.write(&[opcode, 0x81, 0, 0, 0, 0, b'a']);
        }
        ws.run(&mut world);
        if is_too_many {
            assert_eq!(ws.close, Some(Some(CloseCode::POLICY_VIOLATION)));
        } else {
            assert_eq!(ws.texts, ["aaa"]);
        }
    }
}

#[test]
fn messages_are_compressed_both_ways_where_that_was_asked_for() {
    let long = "{\"type\":\"message\",\"message\":\"hello\"}".repeat(20);
    for (offer, is_on) in [
        ("permessage-deflate; client_max_window_bits", true),
        ("permessage-deflate; server_max_window_bits=8", true),
        ("permessage-deflate; odd", false),
        ("other", false),
    ] {
        let mut world = usual();
        let mut client = plain(&mut world);
        let request = String::from_utf8(HANDSHAKE.to_vec()).unwrap();
        let line = format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n");
        client.write(request.replace("\r\n\r\n", &line).as_bytes());
        run(&mut world, &mut [&mut client]);
        let response = read_response(&mut client.received, false).unwrap();
        assert_eq!(response.status, 101);
        // "Hello" compressed, as a client sends it, and a message that is worth it.
        let hello: &[u8] = if is_on {
            b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0"
        } else {
            b"\x81\x85\0\0\0\0Hello"
        };
        client.write(hello);
        let mut frame = Vec::new();
        crate::proto::ws::frame::encode_masked(
            &mut frame,
            crate::proto::ws::frame::Opcode::Text,
            long.as_bytes(),
            [1, 2, 3, 4],
        );
        client.write(&frame);
        run(&mut world, &mut [&mut client]);
        let (short, rest) = client.received.split_at(7);
        assert_eq!(short, b"\x81\x05Hello", "under the threshold");
        assert_eq!(rest[0], if is_on { 0xC1 } else { 0x81 }, "{offer}");
        assert_eq!(rest.len() < 100, is_on, "{offer}");
    }
}

#[test]
fn a_compressed_message_of_noise_is_1007_and_a_bomb_1009() {
    let mut config = WebConfig::default();
    config.ws.message_bytes_max = 1000;
    let mut world = world(config, ReactorConfig::default());
    for (payload, code) in [
        // A block of a type that does not exist; and one byte 2000 times.
        (&b"\xff"[..], CloseCode::INVALID_PAYLOAD),
        (
            &b"\x4a\x4c\x1c\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x50\x07\x00\x00"[..],
            CloseCode::TOO_BIG,
        ),
    ] {
        let mut client = plain(&mut world);
        let request = String::from_utf8(HANDSHAKE.to_vec()).unwrap();
        let line = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        client.write(request.replace("\r\n\r\n", line).as_bytes());
        let length = 0x80 | u8::try_from(payload.len()).unwrap();
        client.write(&[0xC2, length, 0, 0, 0, 0]);
        client.write(payload);
        run(&mut world, &mut [&mut client]);
        read_response(&mut client.received, false).unwrap();
        let [high, low] = code.value().to_be_bytes();
        assert_eq!(client.received, [0x88, 2, high, low]);
    }
}

/// One byte 2000 times, compressed.
const PACKED: [u8; 18] =
    *b"\x4a\x4c\x1c\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x50\x07\x00\x00";

fn compressed(client: &mut SimClient) {
    let request = String::from_utf8(HANDSHAKE.to_vec()).unwrap();
    let line = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    client.write(request.replace("\r\n\r\n", line).as_bytes());
}

#[test]
fn what_is_longer_than_wanted_is_1009_unless_the_service_goes_on() {
    let mut config = WebConfig::default();
    config.ws.message_bytes_wanted_max = 1000;
    let long = [&[0x82, 0xFE, 0x03, 0xE9, 0, 0, 0, 0][..], &[b'x'; 1001]].concat();
    let frame = [&[0xC1, 0x80 | 18, 0, 0, 0, 0][..], &PACKED].concat();
    for (bytes, told) in [(long, "too long: 1001"), (frame, "too long: 1000")] {
        for goes_on in [false, true] {
            let mut world = world(config, ReactorConfig::default());
            site(&mut world).goes_on_over_long = goes_on;
            let mut client = plain(&mut world);
            compressed(&mut client);
            client.write(&bytes);
            client.write(b"\x81\x82\0\0\0\0hi");
            run(&mut world, &mut [&mut client]);
            read_response(&mut client.received, false).unwrap();
            let expected = if goes_on {
                let length = u8::try_from(told.len()).unwrap();
                [&[0x81, length], told.as_bytes(), b"\x81\x02hi"].concat()
            } else {
                b"\x88\x19\x03\xF1the message is too long".to_vec()
            };
            assert_eq!(client.received, expected);
            let heard: &[usize] = if goes_on { &[2] } else { &[] };
            assert_eq!(site(&mut world).messages, heard);
        }
    }
}

#[test]
fn what_comes_after_our_close_is_not_looked_at() {
    let mut world = usual();
    let mut client = plain(&mut world);
    compressed(&mut client);
    client.write(b"\x81\x85\0\0\0\0close");
    // No text, and no DEFLATE: neither matters any more.
    client.write(b"\x81\x82\0\0\0\0\xFF\xFF");
    client.write(b"\xC1\x82\0\0\0\0\xFF\xFF");
    client.write(b"\x01\x82\0\0\0\0\xFF\xFF\x80\x80\0\0\0\0");
    client.write(b"\x88\x82\0\0\0\0\x03\xE8");
    run(&mut world, &mut [&mut client]);
    client.peer.shut();
    world.settle();
    assert_eq!(site(&mut world).messages, [5]);
    assert_eq!(ended(&mut world), [(1000, true, 4)]);
}

#[test]
fn the_service_is_asked_for_a_websocket_when_nothing_is_owed_before_it() {
    for is_secure in [false, true] {
        let mut world = usual();
        let mut client = if is_secure {
            secure(&mut world)
        } else {
            plain(&mut world)
        };
        client.peer.set_capacity(4_000);
        // One that is answered later, and one of which the peer does not take all.
        client.write(b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.write(HANDSHAKE);
        run(&mut world, &mut [&mut client]);
        assert_eq!(site(&mut world).sockets.len(), 0, "it was asked at once");
        respond_later(&mut world, None);
        run(&mut world, &mut [&mut client]);
        assert_eq!(site(&mut world).sockets.len(), 1);
        assert_eq!(
            read_response(&mut client.received, false).unwrap().status,
            200
        );
        assert_eq!(
            read_response(&mut client.received, false).unwrap().status,
            101
        );
        assert_eq!(client.received, b"");
        world.audit();
    }
}

#[test]
fn a_websocket_that_comes_later_is_asked_for_in_its_turn_and_waits_for_nobody() {
    let mut world = usual();
    let mut client = plain(&mut world);
    client.write(b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let later = String::from_utf8(HANDSHAKE.to_vec()).unwrap();
    client.write(later.replace("/ws", "/later/2").as_bytes());
    client.write(b"GET /now/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    run(&mut world, &mut [&mut client]);
    assert_eq!(
        site(&mut world).later.len(),
        1,
        "the second one is not asked"
    );
    respond_later(&mut world, None);
    run(&mut world, &mut [&mut client]);
    assert_eq!(statuses(&mut client), (vec![200], false));
    assert_eq!(site(&mut world).later.len(), 1, "and now it is");
    // It is answered as any other, and what was sent behind it is read.
    respond_later(&mut world, None);
    run(&mut world, &mut [&mut client]);
    assert_eq!(statuses(&mut client), (vec![200, 200], false));
    client.finish();
    run(&mut world, &mut [&mut client]);
    assert_empty(&mut world);
}

#[test]
fn who_goes_before_the_turn_of_a_websocket_opens_none() {
    let mut world = usual();
    let mut client = plain(&mut world);
    client.write(b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write(HANDSHAKE);
    run(&mut world, &mut [&mut client]);
    drop(client);
    world.advance(120 * SECOND);
    assert_eq!(site(&mut world).sockets.len(), 0);
    assert_empty(&mut world);
}
