//! Compression as our clients offer it.

use edgeloop::proto::ws::deflate::{Compression, NegotiatedDeflate};
use edgeloop::proto::ws::handshake;

use super::Failure;

/// What is offered, and as an answer would be accepted.
pub(crate) const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// What a server that compresses like this agrees to.
pub(crate) fn negotiated(how: &Compression) -> Result<NegotiatedDeflate, Failure> {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let opening = handshake::read_request("GET", true, fields)?;
    opening.negotiate(how).ok_or_else(|| "no offer".into())
}
