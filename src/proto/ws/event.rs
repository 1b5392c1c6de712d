//! Counts of what connections carry, in either direction.

use super::CloseCode;

/// A message or a control frame, as received or to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message.
    Text(&'b str),
    /// A whole binary message.
    Binary(&'b [u8]),
    /// A ping with at most 125 bytes. It is answered with a pong of the same bytes (§5.5.2).
    Ping(&'b [u8]),
    /// A pong with at most 125 bytes, asked for or not (§5.5.3).
    Pong(&'b [u8]),
    /// A close with its code and reason. It is answered with a close, unless one was sent
    /// already (§5.5.1).
    Close(Option<(CloseCode, &'b str)>),
}
