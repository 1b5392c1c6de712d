//! RFC 6455 on the wire, frame by frame.

use crate::support::Server;
use crate::support::ws::{
    BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, RawSocket, TEXT, head, masked, unmasked,
};

/// A server and a way to more sockets on it.
struct Bench {
    server: Server,
    token: String,
}

impl Bench {
    fn new(config: &str) -> Self {
        let server = Server::with_config(config);
        let token = server.register_and_login("ann");
        Self { server, token }
    }

    fn socket(&self) -> RawSocket {
        RawSocket::open(&self.server, &self.token)
    }

    /// These bytes end a new connection with this close code.
    fn refuses(&self, bytes: impl AsRef<[u8]>, code: u16) {
        let mut socket = self.socket();
        socket.0.send(&bytes);
        let shown = bytes.as_ref();
        eprintln!("{}", shown[..shown.len().min(20)].escape_ascii());
        socket.expect_refusal(code);
    }
}

/// A message that is answered to its sender alone, naming its id.
fn question(id: &str) -> String {
    format!(r#"{{"type":"no-such-type","id":"{id}"}}"#)
}

fn expect_answer(socket: &mut RawSocket, id: &str) {
    let response = socket.frame().json();
    assert_eq!(
        (response["type"].as_str(), response["id"].as_str()),
        (Some("error"), Some(id))
    );
}

#[test]
fn messages_may_come_in_fragments() {
    let bench = Bench::new("");
    let mut socket = bench.socket();
    let text = question("\u{20AC}\u{1F600}");
    // Cut everywhere, also within characters, with pings between and empty fragments.
    for cut in 0..=text.len() {
        let (start, end) = text.as_bytes().split_at(cut);
        socket.send(false, TEXT, start);
        socket.send(true, PING, &[u8::try_from(cut).unwrap()]);
        socket.send(false, CONTINUATION, b"");
        socket.send(true, CONTINUATION, end);
        let pong = socket.frame();
        assert_eq!(
            (pong.opcode, pong.payload),
            (PONG, vec![u8::try_from(cut).unwrap()])
        );
        expect_answer(&mut socket, "\u{20AC}\u{1F600}");
    }
}

#[test]
fn where_the_bytes_are_cut_does_not_matter() {
    let bench = Bench::new("");
    let mut socket = bench.socket();
    let mut bytes = Vec::new();
    for id in ["a", "b"] {
        bytes.extend(masked(true, TEXT, question(id).as_bytes()));
        bytes.extend(masked(true, PING, id.as_bytes()));
    }
    for byte in &bytes {
        socket.0.send([*byte]);
    }
    socket.0.send(&bytes);
    for _ in 0..2 {
        for id in ["a", "b"] {
            expect_answer(&mut socket, id);
            assert_eq!(socket.frame().payload, id.as_bytes());
        }
    }
}

#[test]
fn frames_may_follow_the_handshake_at_once() {
    let bench = Bench::new("");
    let mut connection = bench.server.connect();
    let mut bytes = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        bench.server.host(),
        crate::support::ws::KEY,
        bench.token
    )
    .into_bytes();
    bytes.extend(masked(true, TEXT, question("early").as_bytes()));
    connection.send(bytes);
    crate::support::ws::assert_upgraded(&connection.respond());
    let mut socket = RawSocket(connection);
    assert_eq!(socket.frame().json()["type"], "system");
    expect_answer(&mut socket, "early");
}

#[test]
fn every_length_form_is_understood() {
    let bench = Bench::new("");
    let mut socket = bench.socket();
    let bare = question("").len();
    for length in [125, 126, 127, 65_535, 65_536, 200_000] {
        // The id is too long to be one, so what is answered is only that.
        socket.send(true, TEXT, question(&"x".repeat(length - bare)).as_bytes());
        assert_eq!(socket.frame().json()["type"], "error", "{length}");
    }
    for length in [0, 1, 125] {
        socket.send(true, PING, &vec![7; length]);
        assert_eq!(
            socket.frame(),
            Frame {
                is_final: true,
                opcode: PONG,
                payload: vec![7; length]
            }
        );
    }
    socket.send(true, PONG, b"nobody asked");
    socket.expect_alive();
}

#[test]
fn closing_is_answered_in_kind() {
    let bench = Bench::new("");
    for code in [1000_u16, 1001, 1003, 1007, 1011, 3000, 4999] {
        let mut socket = bench.socket();
        let payload = [&code.to_be_bytes()[..], b"bye"].concat();
        socket.send(true, CLOSE, &payload);
        assert_eq!(socket.frame().close_code(), code);
        socket.0.expect_close();
    }
    let mut socket = bench.socket();
    socket.send(true, CLOSE, b"");
    let echo = socket.frame();
    assert_eq!(echo.opcode, CLOSE);
    assert!(
        echo.payload.is_empty() || echo.close_code() == 1000,
        "{echo:?}"
    );
    socket.0.expect_close();
}

#[test]
fn nothing_counts_after_a_close() {
    let bench = Bench::new("");
    let mut socket = bench.socket();
    let mut bytes = masked(true, CLOSE, &1000_u16.to_be_bytes());
    bytes.extend(masked(true, TEXT, question("late").as_bytes()));
    bytes.extend(masked(true, PING, b"late"));
    socket.0.send(bytes);
    socket.expect_refusal(1000);
}

#[test]
fn a_bad_close_is_1002() {
    let bench = Bench::new("");
    bench.refuses(masked(true, CLOSE, &[3]), 1002);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        bench.refuses(masked(true, CLOSE, &code.to_be_bytes()), 1002);
    }
}

#[test]
fn text_that_is_not_utf8_is_1007() {
    let bench = Bench::new("");
    let wrong: [&[u8]; 5] = [
        b"\xFF",
        b"\xC0\xAF",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"caf\xC3",
    ];
    for bytes in wrong {
        bench.refuses(masked(true, TEXT, bytes), 1007);
    }
    let reason = [&1000_u16.to_be_bytes()[..], b"\xFF"].concat();
    bench.refuses(masked(true, CLOSE, &reason), 1007);
    // Found where it is, not when the message is whole.
    let mut early = masked(true, TEXT, &[b"caf\xFF".as_slice(), &[b'x'; 996]].concat());
    early.truncate(20);
    bench.refuses(early, 1007);
    let fragments = [
        masked(false, TEXT, b"\xE2\x82"),
        masked(false, CONTINUATION, b"\x28"),
    ]
    .concat();
    bench.refuses(fragments, 1007);
}

#[test]
fn broken_framing_is_1002() {
    let bench = Bench::new("");
    bench.refuses(unmasked(true, TEXT, b"{}"), 1002);
    for bit in [0x40_u8, 0x20, 0x10] {
        let mut frame = masked(true, TEXT, b"{}");
        frame[0] |= bit;
        bench.refuses(frame, 1002);
    }
    for opcode in (3..8).chain(11..16) {
        bench.refuses(masked(true, opcode, b""), 1002);
    }
    for opcode in [CLOSE, PING, PONG] {
        bench.refuses(masked(false, opcode, b""), 1002);
        bench.refuses(masked(true, opcode, &[b'x'; 126]), 1002);
    }
    bench.refuses(masked(true, CONTINUATION, b"{}"), 1002);
    bench.refuses(
        [masked(false, TEXT, b"{"), masked(true, TEXT, b"}")].concat(),
        1002,
    );
    bench.refuses(
        [masked(false, BINARY, b"{"), masked(true, TEXT, b"}")].concat(),
        1002,
    );
    bench.refuses([0x81, 0x80 | 126, 0, 125, 1, 2, 3, 4], 1002);
    bench.refuses(
        [0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4],
        1002,
    );
    bench.refuses(
        [0x81, 0x80 | 127, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4],
        1002,
    );
}

#[test]
fn what_is_too_big_is_1009() {
    let bench = Bench::new("ws_max_frame_size=1000\nws_max_message_size=2000");
    let mut socket = bench.socket();
    let bare = question("").len();
    socket.send(true, TEXT, question(&"x".repeat(1000 - bare)).as_bytes());
    assert_eq!(socket.frame().json()["type"], "error");
    let text = question(&"x".repeat(2000 - bare));
    let (first, second) = text.as_bytes().split_at(1000);
    socket.send(false, TEXT, first);
    socket.send(true, CONTINUATION, second);
    assert_eq!(socket.frame().json()["type"], "error");

    // Judged by its head, before the payload.
    bench.refuses(
        [head(true, TEXT, 1001, true), vec![1, 2, 3, 4]].concat(),
        1009,
    );
    bench.refuses(
        [head(true, TEXT, 1 << 40, true), vec![1, 2, 3, 4]].concat(),
        1009,
    );
    let first = masked(false, TEXT, &[b'x'; 1000]);
    let second = masked(false, CONTINUATION, &[b'x'; 1000]);
    bench.refuses(
        [first, second, masked(true, CONTINUATION, b"x")].concat(),
        1009,
    );
}

#[test]
fn a_silent_client_is_asked_whether_it_lives() {
    let bench = Bench::new("ws_ping_interval=1");
    let mut socket = bench.socket();
    for _ in 0..3 {
        let ping = socket.frame();
        assert_eq!((ping.is_final, ping.opcode), (true, PING), "{ping:?}");
        socket.send(true, PONG, &ping.payload);
    }
    socket.send(true, TEXT, question("alive").as_bytes());
    expect_answer(&mut socket, "alive");
}

#[test]
fn a_half_close_ends_the_socket() {
    let bench = Bench::new("");
    let mut socket = bench.socket();
    socket.send(true, TEXT, question("last").as_bytes());
    socket.0.half_close();
    expect_answer(&mut socket, "last");
    let (_, end) = socket.0.rest();
    assert_eq!(end, crate::support::http::End::Clean);
}

/// A client that sends all of a large frame before it looks at what has come.
#[test]
fn a_close_is_heard_by_who_is_still_sending() {
    const PAYLOAD_BYTES: usize = 16 << 20;
    let bench = Bench::new("");
    for (first, code) in [(0x82, 1009), (0xf2, 1002), (0x8b, 1002)] {
        let mut frame = head(true, BINARY, PAYLOAD_BYTES, true);
        frame[0] = first;
        frame.resize(frame.len() + 4 + PAYLOAD_BYTES, b'x');
        let mut socket = bench.socket();
        socket.0.send(&frame);
        socket.expect_refusal(code);
    }
    // Pongs that nobody reads are bounded, and so are pings: policy.
    let mut socket = bench.socket();
    socket.0.send(masked(true, PONG, b"").repeat(200_000));
    socket.expect_refusal(1008);
}

#[test]
fn a_burst_of_a_thousand_pings_is_answered() {
    let bench = Bench::new("");
    let mut socket = bench.socket();
    // One more asks in the end whether the socket is alive.
    let pings: Vec<u8> = (0..999_u16)
        .flat_map(|number| masked(true, PING, &number.to_be_bytes()))
        .collect();
    socket.0.send(&pings);
    for number in 0..999_u16 {
        let pong = socket.frame();
        assert_eq!(
            (pong.opcode, pong.payload),
            (PONG, number.to_be_bytes().to_vec())
        );
    }
    socket.expect_alive();
}
