//! Messages of a WebSocket, and a service's view of one.

use std::fmt;
use std::time::Duration;

use crate::proto::ws::frame::{self as framing, Opcode};
use crate::proto::ws::{CloseCode, Event, Sender};
use crate::reactor::{ConnId, Cx, Sent, Shared};

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

/// A longer message is sent in fragments of this size (RFC 6455 §5.4), so that pings and pongs need not
/// wait for its end.
const FRAGMENT_BYTES: usize = 64 * 1024;

/// A message framed once, to be sent to any number of WebSockets: long ones in fragments, between which
/// control frames may pass.
///
/// See [`Topics::publish`](super::Topics::publish) and [`WsCx::send`].
#[derive(Clone, Debug)]
pub struct Framed {
    whole: Shared,
    /// The frames in it, if there are several.
    fragments: Box<[Shared]>,
}

impl Framed {
    /// Frames a message.
    #[must_use]
    pub fn new(message: Message<'_>) -> Self {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(data) => (Opcode::Binary, data),
        };
        if payload.len() <= FRAGMENT_BYTES {
            return Self {
                whole: frame(message),
                fragments: Box::default(),
            };
        }
        let pieces = payload.chunks(FRAGMENT_BYTES);
        let count = pieces.len();
        let mut bytes = Vec::with_capacity(payload.len() + count * framing::HEADER_BYTES_MAX);
        let mut ranges = Vec::with_capacity(count);
        for (number, piece) in pieces.enumerate() {
            let start = bytes.len();
            let header = framing::Header {
                fin: number + 1 == count,
                reserved: 0,
                opcode: if number == 0 {
                    opcode
                } else {
                    Opcode::Continuation
                },
                mask_key: None,
                payload_bytes: piece.len() as u64,
            };
            header.encode(&mut bytes);
            bytes.extend_from_slice(piece);
            ranges.push(start..bytes.len());
        }
        let whole = Shared::from(bytes);
        Self {
            fragments: ranges.into_iter().map(|range| whole.slice(range)).collect(),
            whole,
        }
    }

    /// Queues it on a WebSocket.
    pub fn send_to(&self, cx: &mut Cx<'_>, to: ConnId) -> Sent {
        self.send(cx, to, None).0
    }

    /// The same; with a label so that it may give way to later ones with the same.
    /// Returns how many messages gave way.
    pub(super) fn send(&self, cx: &mut Cx<'_>, to: ConnId, label: Option<u32>) -> (Sent, usize) {
        match label {
            // What may give way has to be in one piece.
            Some(label) => cx.send_lossy(to, &self.whole, label),
            None if self.fragments.is_empty() => (cx.send(to, &self.whole), 0),
            None => {
                let sent = self.fragments.iter().map(|fragment| cx.send(to, fragment));
                (sent.last().unwrap_or(Sent::Gone), 0)
            }
        }
    }
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
    pub fn reply(&mut self, message: Message<'_>) -> Sent {
        if message.len() > FRAGMENT_BYTES {
            return self.send(&Framed::new(message));
        }
        let event = match message {
            Message::Text(text) => Event::Text(text),
            Message::Binary(data) => Event::Binary(data),
        };
        send(self.cx, self.sender, event)
    }

    /// Sends a message that was framed before to this WebSocket.
    pub fn send(&mut self, message: &Framed) -> Sent {
        message.send_to(self.cx, self.cx.id())
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

/// Frames and queues; after a Close it does nothing. Pings and pongs pass messages that wait.
pub(super) fn send(cx: &mut Cx<'_>, sender: &mut Sender, event: Event<'_>) -> Sent {
    if sender.is_sealed() {
        return Sent::Gone;
    }
    let mut encode = |out: &mut Vec<u8>| {
        if let Err(error) = sender.send(out, event) {
            log::debug!("frame not sent: {error}");
        }
    };
    match event {
        Event::Ping(_) | Event::Pong(_) => {
            let mut frame = Vec::new();
            encode(&mut frame);
            cx.write_urgent(&frame)
        }
        Event::Text(_) | Event::Binary(_) | Event::Close(_) => cx.write_with(encode),
    }
}
