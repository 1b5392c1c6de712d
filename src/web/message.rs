//! Messages of a WebSocket, and a service's view of one.

use std::fmt;
use std::time::Duration;

use crate::proto::ws::deflate::{Compression, Deflaters, WindowBits};
use crate::proto::ws::frame::{self as framing, Opcode};
use crate::proto::ws::{CloseCode, Event, Sender};
use crate::reactor::{ConnId, Cx, SendStatus, Shared};

/// A message of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl Message<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    fn parts(&self) -> (Opcode, &[u8]) {
        match self {
            Self::Text(text) => (Opcode::Text, text.as_bytes()),
            Self::Binary(data) => (Opcode::Binary, data),
        }
    }

    /// Returns `true` if it is empty.
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
        let (opcode, payload) = message.parts();
        Self::of(opcode, 0, payload)
    }

    /// Frames a message compressed, for all whose [`WsCx::shared_window`] is this one. `None` when it
    /// is too short to be worth it, or would not be smaller: then all get what [`new`](Self::new) makes.
    #[must_use]
    pub fn compressed(
        message: Message<'_>,
        deflaters: &mut Deflaters,
        how: &Compression,
        window: WindowBits,
    ) -> Option<Self> {
        let (opcode, payload) = message.parts();
        let compressed = deflaters.compress_without_takeover(how, window, payload)?;
        Some(Self::of(opcode, framing::RESERVED_1, compressed))
    }

    /// Frames a payload, with `reserved` in the first frame.
    fn of(opcode: Opcode, reserved: u8, payload: &[u8]) -> Self {
        if payload.len() <= FRAGMENT_BYTES {
            let mut bytes = Vec::new();
            framing::encode_reserved(&mut bytes, opcode, reserved, payload);
            return Self {
                whole: Shared::from(bytes),
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
                reserved: if number == 0 { reserved } else { 0 },
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
    pub fn send_to(&self, cx: &mut Cx<'_>, to: ConnId) -> SendStatus {
        self.send(cx, to, None).0
    }

    /// The same; with a label so that it may give way to later ones with the same.
    /// Returns how many messages gave way.
    pub(super) fn send(
        &self,
        cx: &mut Cx<'_>,
        to: ConnId,
        label: Option<u32>,
    ) -> (SendStatus, usize) {
        match label {
            // What may give way has to be in one piece.
            Some(label) => cx.send_lossy(to, &self.whole, label),
            None if self.fragments.is_empty() => (cx.send(to, &self.whole), 0),
            None => {
                let sent = self.fragments.iter().map(|fragment| cx.send(to, fragment));
                (sent.last().unwrap_or(SendStatus::Dropped), 0)
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
    pub(super) deflaters: &'a mut Deflaters,
    pub(super) compression: Option<Compression>,
    pub(super) round_trip: Option<Duration>,
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

    /// Round trip of the last ping, the peer's own time included. `None` before the
    /// first: pings go out when the peer is silent.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The window of the compressed messages that are framed for many and that this peer can read
    /// ([`Framed::compressed`]); `None` when it is to get uncompressed ones.
    /// It stays the same as long as the connection lives.
    pub fn shared_window(&self) -> Option<WindowBits> {
        self.sender.shared_window()
    }

    /// Sends a message to this WebSocket. After a Close nothing is sent any more.
    pub fn reply(&mut self, message: Message<'_>) -> SendStatus {
        if self.sender.is_sealed() {
            return SendStatus::Dropped;
        }
        let (opcode, payload) = message.parts();
        let compressed = match &self.compression {
            Some(how) => self.sender.pack(self.deflaters, how, payload),
            None => None,
        };
        let (reserved, payload) = match compressed {
            Some(compressed) => (framing::RESERVED_1, compressed),
            None => (0, payload),
        };
        if payload.len() > FRAGMENT_BYTES {
            let id = self.cx.id();
            return Framed::of(opcode, reserved, payload).send_to(self.cx, id);
        }
        self.cx
            .write_with(|out| framing::encode_reserved(out, opcode, reserved, payload))
    }

    /// Sends a message that was framed before to this WebSocket.
    pub fn send(&mut self, message: &Framed) -> SendStatus {
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
pub(super) fn send(cx: &mut Cx<'_>, sender: &mut Sender, event: Event<'_>) -> SendStatus {
    if sender.is_sealed() {
        return SendStatus::Dropped;
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
