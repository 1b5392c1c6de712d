//! The receiving half of a connection: frames in, events out.

use std::mem;

use super::frame::{Header, Opcode};
use super::mask::{self, MaskKey};
use super::message::Message;
use super::{Error, Event, Role, close};

/// How much a peer may send at a time. Control frames have their own, fixed limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload of one frame of a message.
    pub frame_bytes_max: u64,
    /// The largest message, all its fragments together.
    pub message_bytes_max: usize,
}

impl Default for Limits {
    /// 1 MiB each.
    fn default() -> Self {
        Self {
            frame_bytes_max: 1 << 20,
            message_bytes_max: 1 << 20,
        }
    }
}

/// What a step came to. `used` bytes at the start of the input are done with and must not be
/// shown again.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'b> {
    /// Nothing more can be done until more bytes arrive.
    More {
        /// Bytes done with. What is left, if anything, is the start of a header or of a control
        /// frame: at most 130 bytes.
        used: usize,
    },
    /// There is an event, and there may be more: step again.
    Event {
        /// Bytes done with.
        used: usize,
        /// What arrived.
        event: Event<'b>,
    },
}

/// Reads what the peer sends.
#[derive(Debug)]
pub struct Receiver {
    message: Message,
    reading: Reading,
    role: Role,
}

#[derive(Debug)]
enum Reading {
    AwaitHeader,
    AwaitPayload(Payload),
    /// A message was handed out from the buffer, which is free as of the next call.
    AwaitRelease,
    /// The peer will send nothing more of meaning (RFC 6455 §5.5.1).
    CloseReceived,
    /// The peer broke the protocol (§7.1.7).
    Failed,
}

/// The rest of a frame of a message.
#[derive(Debug)]
struct Payload {
    left: u64,
    mask_key: Option<MaskKey>,
    fin: bool,
}

/// What was found in the input: like [`Step`], but nothing borrowed from the receiver yet.
enum Found<'i> {
    Nothing,
    /// A frame that is an event by itself, its payload unmasked.
    Frame(Opcode, &'i [u8]),
    /// The last byte of a message that is in the buffer.
    MessageEnd,
}

impl Receiver {
    pub(super) const fn new(role: Role) -> Self {
        Self {
            message: Message::new(),
            reading: Reading::AwaitHeader,
            role,
        }
    }

    /// Takes one event out of `input`, the bytes received and not yet done with. Step until
    /// [`Step::More`], each time with what is left of the input.
    ///
    /// Payloads are unmasked in place, so bytes that are done with are not what they were. After
    /// a Close, or an error, all further input is done with unread.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Whatever way its bytes are cut, the events before
    /// the error and the error are the same.
    pub fn step<'b>(&'b mut self, input: &'b mut [u8], limits: &Limits) -> Result<Step<'b>, Error> {
        let input_bytes = input.len();
        let mut rest = input;
        let found = self
            .advance(&mut rest, limits)
            .inspect_err(|_| self.fail())?;
        let used = input_bytes - rest.len();
        let event = match found {
            Found::Nothing => return Ok(Step::More { used }),
            Found::Frame(opcode, payload) => self
                .frame_event(opcode, payload)
                .inspect_err(|_| self.fail())?,
            Found::MessageEnd => self.message.event(),
        };
        Ok(Step::Event { used, event })
    }

    /// Whether a Close was received. With one sent too, the closing handshake is complete.
    pub const fn is_close_received(&self) -> bool {
        matches!(self.reading, Reading::CloseReceived)
    }

    /// Whether the peer broke the protocol, and the connection with it.
    pub const fn is_failed(&self) -> bool {
        matches!(self.reading, Reading::Failed)
    }

    /// Whether the first bytes of a message are here and its last are not.
    pub const fn is_message_under_way(&self) -> bool {
        self.message.is_under_way() && !matches!(self.reading, Reading::AwaitRelease)
    }

    /// The memory that messages under way hold.
    pub fn buffer_bytes(&self) -> usize {
        self.message.capacity()
    }

    /// Gives an empty buffer to assemble messages in. It comes back at once when it is not
    /// needed because there is one; otherwise [`recycle`](Self::recycle) returns it.
    #[must_use = "a buffer that is not wanted comes back"]
    pub fn lend(&mut self, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
        match &mut self.message {
            Message::None(own) if own.capacity() == 0 => {
                buffer.clear();
                *own = buffer;
                None
            }
            _ => Some(buffer),
        }
    }

    /// Takes back the buffer, emptied, if there is one and no message is under way. Called after
    /// [`Step::More`], it leaves an idle connection without any.
    pub fn recycle(&mut self) -> Option<Vec<u8>> {
        if self.is_message_under_way() || self.message.capacity() == 0 {
            return None;
        }
        if matches!(self.reading, Reading::AwaitRelease) {
            self.reading = Reading::AwaitHeader;
        }
        Some(self.message.take())
    }

    fn fail(&mut self) {
        self.reading = Reading::Failed;
        self.message.clear();
    }

    /// Reads on until there is an event or nothing to read, and leaves in `rest` what it did not
    /// read.
    fn advance<'i>(
        &mut self,
        rest: &mut &'i mut [u8],
        limits: &Limits,
    ) -> Result<Found<'i>, Error> {
        loop {
            match &mut self.reading {
                Reading::AwaitHeader => {
                    let Some((header, header_bytes)) = Header::decode(rest)? else {
                        return Ok(Found::Nothing);
                    };
                    self.admit(&header, limits)?;
                    if let Some(payload) = take_whole(rest, &header, header_bytes) {
                        return Ok(Found::Frame(header.opcode, payload));
                    }
                    if header.opcode.is_control() {
                        return Ok(Found::Nothing);
                    }
                    take(rest, header_bytes);
                    self.message.begin(header.opcode);
                    self.reading = Reading::AwaitPayload(Payload {
                        left: header.payload_bytes,
                        mask_key: header.mask_key,
                        fin: header.fin,
                    });
                }
                Reading::AwaitPayload(payload) => {
                    self.message
                        .push(payload.take(rest), limits.message_bytes_max)?;
                    if payload.left > 0 {
                        return Ok(Found::Nothing);
                    }
                    if payload.fin {
                        self.message.finish()?;
                        self.reading = Reading::AwaitRelease;
                        return Ok(Found::MessageEnd);
                    }
                    self.reading = Reading::AwaitHeader;
                }
                Reading::AwaitRelease => {
                    self.message.clear();
                    self.reading = Reading::AwaitHeader;
                }
                Reading::CloseReceived | Reading::Failed => {
                    *rest = &mut [];
                    return Ok(Found::Nothing);
                }
            }
        }
    }

    /// Whether this frame may come now, from this peer, and be this long.
    fn admit(&self, header: &Header, limits: &Limits) -> Result<(), Error> {
        // RSV1 gets its meaning here once permessage-deflate (RFC 7692) is negotiated.
        if header.reserved != 0 {
            return Err(Error::ReservedBits);
        }
        match (self.role, header.mask_key) {
            (Role::Server, None) => return Err(Error::MaskMissing),
            (Role::Client, Some(_)) => return Err(Error::MaskUnexpected),
            (Role::Server, Some(_)) | (Role::Client, None) => {}
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        match (header.opcode, self.message.is_under_way()) {
            (Opcode::Continuation, false) => return Err(Error::ContinuationUnexpected),
            (Opcode::Text | Opcode::Binary, true) => return Err(Error::ContinuationMissing),
            _ => {}
        }
        if header.payload_bytes > limits.frame_bytes_max {
            return Err(Error::FrameTooBig);
        }
        let room = limits
            .message_bytes_max
            .saturating_sub(self.message.bytes());
        if usize::try_from(header.payload_bytes).map_or(true, |bytes| bytes > room) {
            return Err(Error::MessageTooBig);
        }
        Ok(())
    }

    /// What a frame says that is no part of a larger message.
    fn frame_event<'i>(&mut self, opcode: Opcode, payload: &'i [u8]) -> Result<Event<'i>, Error> {
        Ok(match opcode {
            Opcode::Text => Event::Text(str::from_utf8(payload).map_err(|_| Error::TextNotUtf8)?),
            // A continuation is never an event by itself.
            Opcode::Binary | Opcode::Continuation => Event::Binary(payload),
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            Opcode::Close => {
                let code = close::decode(payload)?;
                self.message.clear();
                self.reading = Reading::CloseReceived;
                Event::Close(code)
            }
        })
    }
}

impl Payload {
    /// Takes what there is of the payload, unmasked.
    fn take<'i>(&mut self, rest: &mut &'i mut [u8]) -> &'i [u8] {
        let bytes = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        let piece = take(rest, bytes);
        self.left -= bytes as u64;
        if let Some(key) = &mut self.mask_key {
            mask::apply(piece, *key);
            *key = mask::rotated(*key, bytes);
        }
        piece
    }
}

/// Takes a whole frame that is an event by itself: a control frame, or an unfragmented message.
/// Returns its payload, unmasked.
fn take_whole<'i>(
    rest: &mut &'i mut [u8],
    header: &Header,
    header_bytes: usize,
) -> Option<&'i [u8]> {
    let payload_bytes = usize::try_from(header.payload_bytes).ok()?;
    let stands_alone = header.fin && header.opcode != Opcode::Continuation;
    if !stands_alone || rest.len() - header_bytes < payload_bytes {
        return None;
    }
    take(rest, header_bytes);
    let payload = take(rest, payload_bytes);
    if let Some(key) = header.mask_key {
        mask::apply(payload, key);
    }
    Some(payload)
}

/// Takes the first `bytes` off `rest`, or all there are.
fn take<'i>(rest: &mut &'i mut [u8], bytes: usize) -> &'i mut [u8] {
    let bytes = bytes.min(rest.len());
    let (front, back) = mem::take(rest).split_at_mut(bytes);
    *rest = back;
    front
}
