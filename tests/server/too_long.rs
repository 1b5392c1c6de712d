//! Messages over 64 KiB, as sent or decompressed: refused, thrown away as they come, and paid for by their user.

use flate2::{Compress, Compression, FlushCompress};
use serde_json::json;

use crate::support::Server;
use crate::support::ws::{
    BINARY, CLOSE, CONTINUATION, PING, PONG, RawSocket, Socket, TEXT, assert_upgraded, handshake,
    masked,
};

const KIB: usize = 1 << 10;
/// In the opcode's byte: the message is compressed.
const PACKED: u8 = 0x40;

/// A socket that compresses, and gets what is short as it is.
fn socket(server: &Server, token: &str) -> RawSocket {
    let mut connection = server.connect();
    let bearer = format!("Bearer {token}");
    let more = [
        ("Authorization", &*bearer),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    assert_upgraded(&handshake(&mut connection, "/ws", &more));
    let mut socket = RawSocket(connection);
    assert_eq!(socket.frame().json()["type"], "system");
    socket
}

fn compressed(data: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut bytes = Vec::with_capacity(data.len() + KIB);
    compress
        .compress_vec(data, &mut bytes, FlushCompress::Sync)
        .unwrap();
    assert!(bytes.ends_with(&[0, 0, 0xFF, 0xFF]));
    bytes.truncate(bytes.len() - 4);
    bytes
}

/// So many bytes that are answered with `unknown_type` if they are read.
fn question(id: &str, bytes: usize) -> String {
    let text = format!(r#"{{"type":"nothing","id":"{id}"}}"#);
    text.clone() + &" ".repeat(bytes - text.len())
}

/// The message is refused, and the next one is read.
fn expect_too_long(socket: &mut RawSocket, what: &str) {
    let error = socket.frame().json();
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("error"), &json!("invalid")),
        "{what}"
    );
    assert_eq!(error["id"], json!(null), "{what}");
    socket.send(true, TEXT, question(what, 100).as_bytes());
    expect_read(socket, what);
}

fn expect_read(socket: &mut RawSocket, id: &str) {
    let error = socket.frame().json();
    assert_eq!(
        (&error["code"], &error["id"]),
        (&json!("unknown_type"), &json!(id))
    );
}

#[test]
fn over_64_kib_is_invalid_and_the_socket_goes_on() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut socket = socket(&server, &token);
    let longest = question("longest", 64 * KIB);
    socket.send(true, TEXT, longest.as_bytes());
    expect_read(&mut socket, "longest");
    socket.send(true, TEXT | PACKED, &compressed(longest.as_bytes()));
    expect_read(&mut socket, "longest");

    let long = question("long", 64 * KIB + 1);
    let large = question("large", 1000 * KIB);
    for data in [long.as_bytes(), large.as_bytes(), &[0xFF; 200 * KIB]] {
        for opcode in [TEXT, BINARY] {
            socket.send(true, opcode, data);
            expect_too_long(&mut socket, "whole");
            let (first, rest) = data.split_at(40 * KIB);
            if opcode == BINARY || first.is_ascii() {
                socket.send(false, opcode, first);
                socket.send(true, PING, b"between");
                socket.send(false, CONTINUATION, rest);
                socket.send(true, CONTINUATION, b"");
                assert_eq!(socket.frame().opcode, PONG);
                expect_too_long(&mut socket, "in fragments");
            }
        }
    }
    for data in [long.as_bytes(), large.as_bytes()] {
        for opcode in [TEXT | PACKED, BINARY | PACKED] {
            let data = compressed(data);
            socket.send(true, opcode, &data);
            expect_too_long(&mut socket, "compressed");
            let (first, rest) = data.split_at(data.len() - 5);
            socket.send(false, opcode, first);
            socket.send(true, PING, b"between");
            assert_eq!(socket.frame().opcode, PONG);
            socket.send(true, CONTINUATION, rest);
            expect_too_long(&mut socket, "compressed in fragments");
        }
    }
    socket.expect_alive();
}

#[test]
fn the_largest_message_is_1009_for_what_is_thrown_away_too() {
    let server = Server::with_config("ws_max_message_size=200000");
    let token = server.register_and_login("ann");
    let fragment = vec![0; 100_000];
    for compressed in [0, PACKED] {
        let mut socket = socket(&server, &token);
        socket.send(false, BINARY | compressed, &fragment);
        socket.send(false, CONTINUATION, &fragment);
        socket.send(true, PING, b"still here");
        assert_eq!(socket.frame().opcode, PONG);
        socket.send(true, CONTINUATION, b"x");
        socket.expect_refusal(1009);
    }
}

#[test]
fn a_flood_of_messages_that_inflate_is_the_user_s_to_pay() {
    let server = Server::start();
    let tokens = ["ann", "bob"].map(|name| server.register_and_login(name));
    let mut bob = Socket::join(&server, "bob", &tokens[1]);
    let (mut first, mut second) = (socket(&server, &tokens[0]), socket(&server, &tokens[0]));
    let text = format!(
        r#"{{"type":"message","message":"{}"}}"#,
        "\\n".repeat(500 * KIB)
    );
    let bomb = masked(true, TEXT | PACKED, &compressed(text.as_bytes()));
    first.0.send(bomb.repeat(500));
    let mut responses = Vec::new();
    loop {
        let frame = first.frame();
        if frame.opcode == CLOSE {
            assert_eq!(frame.close_code(), 1008);
            break;
        }
        responses.push(frame.json());
    }
    let count = |code: &str| {
        responses
            .iter()
            .filter(|response| response["code"] == code)
            .count()
    };
    let (invalid, limited) = (count("invalid"), count("rate_limited"));
    assert_eq!(invalid + limited, responses.len());
    assert!(
        (50..140).contains(&invalid) && (1..140).contains(&limited),
        "{invalid} {limited}"
    );
    for response in responses
        .iter()
        .filter(|response| response["code"] == "rate_limited")
    {
        assert!(
            (1..=60).contains(&response["retryAfter"].as_u64().unwrap()),
            "{response}"
        );
    }
    // All that is sent now is thrown away, until the socket ends.
    first.0.send(bomb.repeat(100));
    first.send(true, CLOSE, &1008_u16.to_be_bytes());
    assert!(first.0.rest().0.is_empty());

    second.send(true, TEXT, br#"{"type":"join"}"#);
    assert_eq!(second.frame().close_code(), 1008);
    bob.send(&json!({"type": "message", "message": "what was that?"}));
    bob.expect("message");
}

#[test]
fn small_messages_that_are_refused_are_answered_so_often() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut socket = RawSocket::open(&server, &token);
    socket.0.send(masked(true, TEXT, b"{").repeat(12_000));
    let mut responses = 0;
    loop {
        let frame = socket.frame();
        if frame.opcode == CLOSE {
            assert_eq!(frame.close_code(), 1008);
            break;
        }
        assert_eq!(frame.json()["type"], "error");
        responses += 1;
    }
    assert!((5_000..10_000).contains(&responses), "{responses}");
}

/// All that is allowed in a minute, as long as it may be, with what a page sends while somebody types.
#[test]
fn who_keeps_to_the_limits_notices_nothing() {
    let server = Server::with_config("ws_compression_threshold=1048576");
    let token = server.register_and_login("ann");
    let mut socket = socket(&server, &token);
    socket.send(true, TEXT, br#"{"type":"join"}"#);
    assert_eq!(socket.frame().json()["type"], "users");
    // 12 bytes for each character.
    let text = "\\uD83D\\uDE00".repeat(4096);
    let message = format!(r#"{{"type":"message","message":"{text}"}}"#);
    let typing = masked(true, TEXT, br#"{"type":"typing"}"#);
    for number in 0..100 {
        socket.0.send(typing.repeat(5));
        if number % 2 == 0 {
            socket.send(true, TEXT | PACKED, &compressed(message.as_bytes()));
        } else {
            socket.send(true, TEXT, message.as_bytes());
        }
        let heard = socket.frame().json();
        assert_eq!(heard["type"], "message", "message {number}: {heard}");
    }
    socket.send(true, TEXT, message.as_bytes());
    assert_eq!(socket.frame().json()["code"], "rate_limited");
    socket.expect_alive();
}
