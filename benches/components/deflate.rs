//! Compressed messages.

use std::hint::black_box;

use edgeloop::proto::ws::deflate::{Compression, Deflaters, NegotiatedDeflate};
use edgeloop::proto::ws::handshake::read_request;
use edgeloop::proto::ws::{self, Role};

use super::Repeat;

/// Compresses whatever its size.
const HOW: Compression = Compression {
    threshold_bytes: 0,
    ..Compression::DEFAULT
};

/// Text like that of chats, of this length.
fn json_like(bytes: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        let user = ["ann", "bob", "cleo", "dan"].get(number % 4).unwrap_or(&"");
        text.push_str(&format!(
            "{{\"type\":\"message\",\"id\":\"{:08x}\",\"username\":\"{user}\",\"message\":\"number {number}\"}},",
            number.wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF
        ));
    }
    text.truncate(bytes);
    text
}

fn negotiated() -> NegotiatedDeflate {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let opening = read_request("GET", true, fields).unwrap();
    opening.negotiate(&Compression::DEFAULT).unwrap()
}

/// A message compressed by itself, as for a broadcast.
pub(crate) fn compress(repeat: impl Repeat, bytes: usize) {
    let window = negotiated().server().window_bits();
    let text = json_like(bytes);
    let mut deflaters = Deflaters::default();
    repeat.repeat(|| {
        let compressed =
            deflaters.compress_without_takeover(&HOW, black_box(window), text.as_bytes());
        compressed.unwrap().len()
    });
}

/// A compressed message received, whole.
pub(crate) fn decompress(repeat: impl Repeat, bytes: usize) {
    let negotiated = negotiated();
    let (mut deflaters, mut wire) = (Deflaters::default(), Vec::new());
    let text = json_like(bytes);
    let mut server = ws::WsMachine::with_compression(Role::Server, negotiated);
    let (_, sender) = server.split();
    let event = ws::Event::Text(&text);
    sender
        .send_compressed(&mut wire, event, &mut deflaters, &HOW)
        .unwrap();
    let limits = ws::WsLimits::default();
    let mut client = ws::WsMachine::with_compression(Role::Client, negotiated);
    repeat.repeat(
        || match client.split().0.step(black_box(&mut wire), &limits) {
            Ok(ws::WsStep::Event { used, .. }) => used,
            other => panic!("{other:?}"),
        },
    );
}
