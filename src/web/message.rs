//! Messages of a WebSocket, and a service's view of one.

use std::fmt;
use std::time::Duration;

use crate::proto::ws::frame::{self as framing, Opcode};
use crate::proto::ws::{CloseCode, Event, Sender};
use crate::reactor::{ConnId, Cx, Shared};

/// A message of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl Message<'_> {
    /// How long it is, in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Frames a message once, to be sent to any number of WebSockets.
///
/// ```
/// use edgeloop::web::{Message, frame};
///
/// assert_eq!(frame(Message::Text("hi")).as_ref(), b"\x81\x02hi");
/// ```
pub fn frame(message: Message<'_>) -> Shared {
    let mut bytes = Vec::new();
    match message {
        Message::Text(text) => framing::encode(&mut bytes, Opcode::Text, text.as_bytes()),
        Message::Binary(data) => framing::encode(&mut bytes, Opcode::Binary, data),
    }
    Shared::from(bytes)
}

/// A WebSocket, to its service: what [`Cx`] is, and frames.
pub struct WsCx<'a, 'b> {
    pub(super) cx: &'a mut Cx<'b>,
    pub(super) sender: &'a mut Sender,
    pub(super) close: &'a mut Option<CloseCode>,
    pub(super) close_timeout: Duration,
}

impl<'b> WsCx<'_, 'b> {
    /// The connection.
    pub fn id(&self) -> ConnId {
        self.cx.id()
    }

    /// The callback's view of the reactor.
    ///
    /// Plain bytes written to this connection would not be frames: send with
    /// [`reply`](Self::reply), or send to others what [`frame`] made.
    pub fn cx(&mut self) -> &mut Cx<'b> {
        self.cx
    }

    /// Sends a message to this WebSocket. After a Close nothing is sent any more.
    pub fn reply(&mut self, message: Message<'_>) {
        let event = match message {
            Message::Text(text) => Event::Text(text),
            Message::Binary(data) => Event::Binary(data),
        };
        send(self.cx, self.sender, event);
    }

    /// Closes this WebSocket: sends a Close, then waits for the peer's (RFC 6455 §7.1.2).
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if !self.sender.is_sealed() {
            self.close.get_or_insert(code);
            send(self.cx, self.sender, Event::Close(Some((code, reason))));
            self.cx.seal();
            self.cx.set_timeout(self.close_timeout);
        }
    }
}

impl fmt::Debug for WsCx<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsCx")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// Frames and queues; after a Close it does nothing.
pub(super) fn send(cx: &mut Cx<'_>, sender: &mut Sender, event: Event<'_>) {
    if sender.is_sealed() {
        return;
    }
    cx.write_with(|out| {
        if let Err(error) = sender.send(out, event) {
            log::debug!("frame not sent: {error}");
        }
    });
}
