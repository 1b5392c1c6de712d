//! The ceiling for all requests and messages that are not complete.

use std::io::Write as _;
use std::sync::Arc;

#[cfg(feature = "ws")]
use super::socket::HANDSHAKE;
use super::*;
#[cfg(feature = "ws")]
use crate::proto::ws::{Event, Role, WsMachine};
use crate::web::reader::can_read_now;

const HEAD: &[u8] = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";

/// A world in which little may be held, and somebody who holds most of it.
fn crowded() -> (World, SimClient) {
    let reactor = ReactorConfig {
        input_bytes_max_total: 100_000,
        ..ReactorConfig::default()
    };
    let mut world = world(WebConfig::default(), reactor);
    let mut first = plain(&mut world);
    ask(&mut world, &mut first, &[HEAD, &[b'x'; 59_000]].concat());
    assert_eq!(first.received, b"");
    (world, first)
}

/// The rest of what it sends comes, and is answered; then nothing is held.
fn finish(mut world: World, mut first: SimClient) {
    ask(&mut world, &mut first, &[b'x'; 1_000]);
    assert_eq!(statuses(&mut first), (vec![200], false));
    first.finish();
    run(&mut world, &mut [&mut first]);
    world.advance(60 * SECOND);
    assert_empty(&mut world);
}

#[test]
fn a_body_for_which_there_is_no_room_is_503() {
    for is_secure in [false, true] {
        let (mut world, first) = crowded();
        let mut second = match is_secure {
            false => plain(&mut world),
            true => secure(&mut world),
        };
        ask(&mut world, &mut second, &[HEAD, &[b'x'; 50_000]].concat());
        assert_eq!(statuses(&mut second), (vec![503], true));
        world.audit();
        // One that is short may come in pieces, and one that comes at once is not held at all.
        let mut small = plain(&mut world);
        let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
        for piece in [&head[..10], &head[10..], b"o", b"k"] {
            ask(&mut world, &mut small, piece);
        }
        ask(&mut world, &mut small, &[HEAD, &[b'x'; 60_000]].concat());
        assert_eq!(statuses(&mut small), (vec![200, 200], false));
        drop(second);
        small.finish();
        run(&mut world, &mut [&mut small]);
        finish(world, first);
    }
}

#[cfg(feature = "ws")]
#[test]
fn a_message_for_which_there_is_no_room_is_1013() {
    let (mut world, first) = crowded();
    let mut client = plain(&mut world);
    ask(&mut world, &mut client, HANDSHAKE);
    client.received.clear();
    let mut frame = Vec::new();
    let text = "x".repeat(60_000);
    let mut machine = WsMachine::new(Role::Client);
    let (_, sender) = machine.split();
    sender
        .send_masked(&mut frame, Event::Text(&text), [1, 2, 3, 4])
        .unwrap();
    ask(&mut world, &mut client, &frame[..55_000]);
    // A close with its code.
    assert_eq!(client.received[..1], [0x88]);
    assert_eq!(client.received[2..4], 1013_u16.to_be_bytes());
    world.advance(60 * SECOND);
    assert_eq!(site(&mut world).ended[0].0, CloseCode::TRY_AGAIN_LATER);
    // Meanwhile the one before had its time.
    let mut first = first;
    run(&mut world, &mut [&mut first]);
    assert_eq!(statuses(&mut first), (vec![408], true));
    world.audit();
}

#[cfg(feature = "ws")]
#[test]
fn a_handshake_that_awaits_its_turn_is_held_and_503_without_room() {
    let reactor = ReactorConfig {
        input_bytes_max_total: 63_000,
        ..ReactorConfig::default()
    };
    let mut world = world(WebConfig::default(), reactor);
    let mut first = plain(&mut world);
    ask(&mut world, &mut first, &[HEAD, &[b'x'; 59_000]].concat());
    let handshake = String::from_utf8(HANDSHAKE.to_vec()).unwrap();
    let padded = |count: usize| {
        let field = format!("X-Padding: {}\r\n\r\n", "x".repeat(count));
        let later = "GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n";
        format!(
            "{later}{}{field}",
            handshake.trim_end_matches("\r\n").to_owned() + "\r\n"
        )
    };
    for (count, all, close) in [(5_000, vec![200, 503], true), (500, vec![200, 101], false)] {
        let mut second = plain(&mut world);
        ask(&mut world, &mut second, padded(count).as_bytes());
        world.audit();
        respond_later(&mut world, None);
        run(&mut world, &mut [&mut second]);
        assert_eq!(statuses(&mut second), (all, close), "{count}");
        drop(second);
    }
    world.advance(120 * SECOND);
    drop(first);
    world.advance(120 * SECOND);
    assert_empty(&mut world);
}

/// A request whose path is that long.
fn long_path(bytes: usize) -> Vec<u8> {
    let path = format!("/{}/x", "p".repeat(bytes - 3));
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

#[test]
fn requests_that_await_their_turn_are_held_and_without_room_the_last() {
    const PATH: usize = 7_000;
    let (mut world, first) = crowded();
    let others = world.held_input_bytes();
    let room = 100_000 - others;
    let mut second = plain(&mut world);
    ask(
        &mut world,
        &mut second,
        b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let mut taken = 0;
    for _ in 0..20 {
        let before = world.held_input_bytes();
        ask(&mut world, &mut second, &long_path(PATH));
        world.audit();
        if world.held_input_bytes() < before + PATH {
            break;
        }
        taken += 1;
    }
    // One is too many, and taken still.
    assert!(
        (room / (PATH + 1_000)..=room / PATH + 1).contains(&taken),
        "{taken}"
    );
    assert_eq!(second.received, b"");
    respond_later(&mut world, None);
    run(&mut world, &mut [&mut second]);
    // All that were taken are answered, and nothing behind them.
    assert_eq!(statuses(&mut second), (vec![200; 1 + taken], true));
    assert_eq!(world.held_input_bytes(), others);
    drop(second);
    finish(world, first);
}

#[test]
fn what_one_who_went_has_held_is_free_again() {
    let (mut world, first) = crowded();
    drop(first);
    world.advance(60 * SECOND);
    assert_empty(&mut world);
    let mut second = plain(&mut world);
    ask(&mut world, &mut second, &[HEAD, &[b'x'; 59_000]].concat());
    finish(world, second);
}

/// A file that holds `has` bytes, and is to be sent as if it had `len`.
fn file(has: usize, len: usize) -> FileBody {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![1; has]).unwrap();
    FileBody {
        file: Arc::new(file).into(),
        offset: 0,
        len: len as u64,
    }
}

#[test]
fn files_come_in_small_pieces_when_there_is_little_room() {
    const CLIENTS: usize = 60;
    let reactor = ReactorConfig {
        output_bytes_max_total: 4 << 20,
        ..ReactorConfig::default()
    };
    let mut world = world(WebConfig::default(), reactor);
    world.handler().reader.is_never_now = true;
    let len = 1 << 20;
    site(&mut world).file = Some(file(len, len));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| plain(&mut world)).collect();
    for client in &mut clients {
        client.peer.set_capacity(1);
        client.write(b"GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        // All ask before a piece comes for any.
        client.pump();
    }
    world.settle();
    world.wait_for_mail(|world| world.handler().reader.expected == 0);
    let queued = world.queued_bytes();
    assert!(
        (4 << 20..(4 << 20) + CLIENTS * 33_000).contains(&queued),
        "{queued}"
    );
    for client in &mut clients {
        client.peer.set_capacity(4 << 20);
        world.wait_for_mail(|world| {
            run(world, &mut [client]);
            client.peer.at_end()
        });
        let responded = read_response(&mut client.received, false).unwrap();
        assert_eq!(responded.body.len(), len);
    }
}

#[test]
fn little_of_a_file_waits_for_one_who_does_not_take_it() {
    for is_never_now in [false, true] {
        let mut world = world(WebConfig::default(), ReactorConfig::default());
        world.handler().reader.is_never_now = is_never_now;
        let len = 10 << 20;
        let file = file(len, len);
        // There are file systems that cannot say what the kernel has in memory.
        let is_now = !is_never_now && can_read_now(&file.file.open().unwrap());
        site(&mut world).file = Some(file);
        let mut client = plain(&mut world);
        client.peer.set_capacity(1);
        client.write(b"GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.pump();
        world.settle();
        world.wait_for_mail(|world| world.handler().reader.expected == 0);
        let queued = world.queued_bytes();
        let most = if is_now { 193 << 10 } else { 257 << 10 };
        assert!((100 << 10..most).contains(&queued), "{queued}");
        client.peer.set_capacity(4 << 20);
        world.wait_for_mail(|world| {
            run(world, &mut [&mut client]);
            client.peer.at_end()
        });
        let responded = read_response(&mut client.received, false).unwrap();
        assert_eq!(responded.body.len(), len);
    }
}

#[test]
fn no_more_is_read_of_a_file_when_its_output_is_refused() {
    let reactor = ReactorConfig {
        output_bytes_max: 100_000,
        ..ReactorConfig::default()
    };
    let mut world = world(WebConfig::default(), reactor);
    site(&mut world).file = Some(file(1 << 20, 2 << 20));
    let mut client = plain(&mut world);
    ask(
        &mut world,
        &mut client,
        b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    world.wait_for_mail(|_| client.peer.is_dropped());
    // Who reads to its end asks the thread for what is missing there.
    assert_eq!(world.handler().reader.expected, 0);
}
