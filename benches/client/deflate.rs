//! Compression as our clients offer it.

use edgeloop::proto::ws::deflate::{Compression, NegotiatedDeflate};
use edgeloop::proto::ws::handshake;

use super::Failure;

/// Extension that is offered, and would be accepted in a response.
pub(crate) const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// Parameters that a server with this compression agrees to.
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
