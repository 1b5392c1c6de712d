//! The receiving half of a connection: frames in, events out.

use std::mem;

use super::deflate::{Direction, INFLATER_BYTES, Inflater};
use super::frame::{self, Header, Opcode, RESERVED_1, Start};
use super::limits::WsLimits;
use super::mask::{self, MaskKey};
use super::message::MessageBuffer;
use super::{Event, Role, WsError, close};

/// Result of a step. `used` bytes at the start of the input are done with and must not be
/// shown again.
#[derive(Debug, PartialEq, Eq)]
pub enum WsStep<'b> {
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
        /// Event that arrived.
        event: Event<'b>,
    },
    /// A message over [`WsLimits::message_bytes_wanted_max`] has ended, and was thrown away. There may be
    /// more: step again.
    TooLong {
        /// Bytes done with.
        used: usize,
        /// Its length as it came, or as far as it was decompressed, whichever is more.
        bytes: u64,
    },
}

/// Reads what the peer sends.
#[derive(Debug)]
pub struct Receiver {
    message: MessageBuffer,
    reading: FrameState,
    /// Here only while a compressed message needs it, unless its window is kept.
    inflater: Option<Box<Inflater>>,
    /// Compression parameters of the peer.
    peer: Option<Direction>,
    /// Payload of the frames of the message under way, as they come and as their headers say.
    received_bytes: u64,
    /// Frames of it.
    fragments: u32,
    form: MessageForm,
    role: Role,
}

/// Form of the message under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageForm {
    Plain,
    Compressed,
    /// Compressed, and no byte has come of it yet.
    CompressedEmpty,
}

impl MessageForm {
    const fn compressed(is_nothing: bool) -> Self {
        if is_nothing {
            Self::CompressedEmpty
        } else {
            Self::Compressed
        }
    }
}

#[derive(Debug)]
enum FrameState {
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

/// Finding in the input: like [`Step`], but nothing borrowed from the receiver yet.
enum Parsed<'i> {
    Nothing,
    /// A frame that is an event by itself, its payload unmasked.
    Frame(Opcode, &'i [u8]),
    /// The last byte of a message that is in the buffer.
    MessageEnd,
    /// That of one that was dropped, and how long it was.
    DroppedEnd(u64),
}

impl Receiver {
    pub(super) const fn new(role: Role, peer: Option<Direction>) -> Self {
        Self {
            message: MessageBuffer::new(),
            reading: FrameState::AwaitHeader,
            inflater: None,
            peer,
            received_bytes: 0,
            fragments: 0,
            form: MessageForm::Plain,
            role,
        }
    }

    /// Takes one event out of `input`, the bytes received and not yet done with. Step until
    /// [`WsStep::More`], each time with what is left of the input.
    ///
    /// Payloads are unmasked in place, so bytes that are done with are not what they were. After
    /// a Close, or an error, all further input is done with unread.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Whatever way its bytes are cut, the events before
    /// the error and the error are the same.
    pub fn step<'b>(
        &'b mut self,
        input: &'b mut [u8],
        limits: &WsLimits,
    ) -> Result<WsStep<'b>, WsError> {
        let input_bytes = input.len();
        let mut rest = input;
        let found = self
            .advance(&mut rest, limits)
            .inspect_err(|_| self.fail())?;
        let used = input_bytes - rest.len();
        let event = match found {
            Parsed::Nothing => return Ok(WsStep::More { used }),
            Parsed::Frame(opcode, payload) => self
                .frame_event(opcode, payload)
                .inspect_err(|_| self.fail())?,
            Parsed::MessageEnd => self.message.event(),
            Parsed::DroppedEnd(bytes) => return Ok(WsStep::TooLong { used, bytes }),
        };
        Ok(WsStep::Event { used, event })
    }

    /// Returns `true` if a Close was received. With one sent too, the closing handshake is complete.
    pub const fn is_close_received(&self) -> bool {
        matches!(self.reading, FrameState::CloseReceived)
    }

    /// Returns `true` if the peer broke the protocol, and the connection with it.
    pub const fn is_failed(&self) -> bool {
        matches!(self.reading, FrameState::Failed)
    }

    /// Returns `true` if the first bytes of a message are here and its last are not.
    pub const fn is_message_under_way(&self) -> bool {
        self.message.is_under_way() && !matches!(self.reading, FrameState::AwaitRelease)
    }

    /// The memory that messages under way hold, but for an [`Inflater`].
    pub fn buffer_bytes(&self) -> usize {
        self.message.capacity()
    }

    /// As [`buffer_bytes`](Self::buffer_bytes), with what decompresses the message under way; about.
    pub fn held_bytes(&self) -> usize {
        let keeps_window = self.peer.is_some_and(Direction::keeps_window);
        let is_lent = self.inflater.is_some() && !keeps_window;
        self.buffer_bytes() + if is_lent { INFLATER_BYTES } else { 0 }
    }

    /// Gives an empty buffer to assemble messages in. It comes back at once when it is not
    /// needed because there is one; otherwise [`recycle`](Self::recycle) returns it, unless it is given up
    /// with a message that is too long.
    #[must_use = "a buffer that is not wanted comes back"]
    pub fn lend(&mut self, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
        match &mut self.message {
            MessageBuffer::None(own) if own.capacity() == 0 => {
                buffer.clear();
                *own = buffer;
                None
            }
            _ => Some(buffer),
        }
    }

    /// Takes back the buffer, emptied, if there is one and no message is under way. Called after
    /// [`WsStep::More`], it leaves an idle connection without any.
    pub fn recycle(&mut self) -> Option<Vec<u8>> {
        if self.is_message_under_way() || self.message.capacity() == 0 {
            return None;
        }
        if matches!(self.reading, FrameState::AwaitRelease) {
            self.reading = FrameState::AwaitHeader;
        }
        Some(self.message.take())
    }

    /// Gives what decompresses a message. It comes back at once when it is not needed, because
    /// nothing was agreed on or there is one; otherwise
    /// [`recycle_inflater`](Self::recycle_inflater) returns it. Without any the receiver makes one
    /// when it has to.
    #[must_use = "what is not wanted comes back"]
    pub fn lend_inflater(&mut self, inflater: Box<Inflater>) -> Option<Box<Inflater>> {
        match (self.peer, &self.inflater) {
            (Some(peer), None) if !peer.keeps_window() => {
                self.inflater = Some(inflater);
                None
            }
            _ => Some(inflater),
        }
    }

    /// Takes back what decompresses, unless a message under way needs it, or it holds a window
    /// that the next message needs.
    pub fn recycle_inflater(&mut self) -> Option<Box<Inflater>> {
        let is_over = matches!(self.reading, FrameState::CloseReceived | FrameState::Failed);
        let keeps_window = self.peer.is_none_or(Direction::keeps_window);
        let is_in_use = self.form != MessageForm::Plain
            && self.is_message_under_way()
            && !matches!(
                self.message,
                MessageBuffer::Held { .. } | MessageBuffer::Dropped { .. }
            );
        if is_in_use || (keeps_window && !is_over) {
            return None;
        }
        let mut inflater = self.inflater.take()?;
        if keeps_window {
            return None; // of another size than the others, perhaps
        }
        inflater.reset();
        Some(inflater)
    }

    fn fail(&mut self) {
        self.reading = FrameState::Failed;
        self.message.clear();
    }

    /// Reads on until there is an event or nothing to read, and leaves in `rest` what it did not
    /// read.
    fn advance<'i>(
        &mut self,
        rest: &mut &'i mut [u8],
        limits: &WsLimits,
    ) -> Result<Parsed<'i>, WsError> {
        loop {
            match &mut self.reading {
                FrameState::AwaitHeader => {
                    self.admit_start(rest)?;
                    let Some((header, header_bytes)) = Header::decode(rest)? else {
                        return Ok(Parsed::Nothing);
                    };
                    if !self.admit_length(&header, limits)? {
                        take(rest, header_bytes);
                        self.begin(&header);
                        self.drop_message(limits)?;
                        continue;
                    }
                    if let Some(payload) = take_whole(rest, &header, header_bytes) {
                        if header.reserved == 0 {
                            return Ok(Parsed::Frame(header.opcode, payload));
                        }
                        self.message.begin(header.opcode);
                        self.form = MessageForm::compressed(payload.is_empty());
                        self.received_bytes = header.payload_bytes;
                        self.inflate(payload, limits)?;
                        return self.finish(limits);
                    }
                    if header.opcode.is_control() {
                        return Ok(Parsed::Nothing);
                    }
                    take(rest, header_bytes);
                    self.begin(&header);
                }
                FrameState::AwaitPayload(payload) => {
                    let piece = payload.take(rest);
                    let (is_whole, fin) = (payload.left == 0, payload.fin);
                    self.push(piece, limits)?;
                    if !is_whole {
                        return Ok(Parsed::Nothing);
                    }
                    if fin {
                        return self.finish(limits);
                    }
                    self.reading = FrameState::AwaitHeader;
                }
                FrameState::AwaitRelease => {
                    self.message.clear();
                    self.reading = FrameState::AwaitHeader;
                }
                FrameState::CloseReceived | FrameState::Failed => {
                    *rest = &mut [];
                    return Ok(Parsed::Nothing);
                }
            }
        }
    }

    /// The first frame of a message, or the next, whose payload follows.
    fn begin(&mut self, header: &Header) {
        if header.opcode == Opcode::Continuation {
            self.fragments += 1;
        } else {
            self.fragments = 1;
            self.received_bytes = 0;
            if header.reserved != 0 {
                self.form = MessageForm::CompressedEmpty;
                self.message.hold(header.opcode);
            } else {
                self.form = MessageForm::Plain;
                self.message.begin(header.opcode);
            }
        }
        self.received_bytes += header.payload_bytes;
        self.reading = FrameState::AwaitPayload(Payload {
            left: header.payload_bytes,
            mask_key: header.mask_key,
            fin: header.fin,
        });
    }

    /// Throws away the message under way, what there is of it and what comes.
    #[cold]
    fn drop_message(&mut self, limits: &WsLimits) -> Result<(), WsError> {
        if self.inflates_dropped() {
            // The next message may refer to what is in this one.
            if let Some(held) = self.message.release() {
                self.inflate(&held, limits)?;
            }
            self.message.drop_rest();
            return Ok(());
        }
        self.message.drop_rest();
        if self.form != MessageForm::Plain
            && let Some(inflater) = &mut self.inflater
        {
            inflater.reset();
        }
        if let FrameState::AwaitPayload(payload) = &mut self.reading {
            payload.mask_key = None; // nobody looks
        }
        Ok(())
    }

    /// Returns `true` if what is dropped of the message under way is to be decompressed.
    fn inflates_dropped(&self) -> bool {
        self.form != MessageForm::Plain && self.peer.is_some_and(Direction::keeps_window)
    }

    /// Appends a piece of payload to the message.
    fn push(&mut self, piece: &[u8], limits: &WsLimits) -> Result<(), WsError> {
        if self.form == MessageForm::Plain {
            return Ok(self.message.push(piece, limits.bytes_kept_max())?);
        }
        if !piece.is_empty() {
            self.form = MessageForm::Compressed;
        }
        if self.message.keep(piece, limits.compressed_bytes_held_max) {
            return Ok(());
        }
        if let Some(held) = self.message.release() {
            self.inflate(&held, limits)?;
        }
        self.inflate(piece, limits)
    }

    fn inflate(&mut self, piece: &[u8], limits: &WsLimits) -> Result<(), WsError> {
        let goes_on = self.inflates_dropped();
        if self.message.is_dropped() && !goes_on {
            return Ok(());
        }
        let Some(peer) = self.peer else {
            return Ok(()); // nothing was agreed on, so nothing is packed
        };
        let message = &mut self.message;
        let inflated = self
            .inflater
            .get_or_insert_with(|| Inflater::boxed(peer))
            .inflate(piece, &mut |piece| {
                message.push_inflated(piece, limits, goes_on)
            });
        self.inflated(inflated, limits)
    }

    /// Goes on after an error which is that the message has just been dropped.
    fn inflated(
        &mut self,
        inflated: Result<(), WsError>,
        limits: &WsLimits,
    ) -> Result<(), WsError> {
        if inflated.is_err() && self.message.is_dropped() && !self.inflates_dropped() {
            return self.drop_message(limits);
        }
        inflated
    }

    /// The last byte of a message is here.
    fn finish<'i>(&mut self, limits: &WsLimits) -> Result<Parsed<'i>, WsError> {
        if self.form != MessageForm::Plain {
            if let Some(held) = self.message.release() {
                self.inflate(&held, limits)?;
            }
            let goes_on = self.inflates_dropped();
            let is_nothing = self.form == MessageForm::CompressedEmpty;
            let message = &mut self.message;
            if let Some(inflater) = &mut self.inflater
                && (goes_on || !message.is_dropped())
            {
                let finished = inflater.finish(is_nothing, &mut |piece| {
                    message.push_inflated(piece, limits, goes_on)
                });
                self.inflated(finished, limits)?;
            }
        }
        if self.message.is_dropped() {
            return Ok(self.finish_dropped());
        }
        self.message.finish()?;
        self.reading = FrameState::AwaitRelease;
        Ok(Parsed::MessageEnd)
    }

    #[cold]
    fn finish_dropped<'i>(&mut self) -> Parsed<'i> {
        let inflated_bytes = self.message.bytes() as u64;
        self.message.clear();
        self.reading = FrameState::AwaitHeader;
        Parsed::DroppedEnd(self.received_bytes.max(inflated_bytes))
    }

    /// Returns `true` if a frame may begin with these bytes, now and from this peer: each is looked at as
    /// soon as it is here.
    #[inline]
    fn admit_start(&self, input: &[u8]) -> Result<(), WsError> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(());
        };
        let start = Start::decode(first)?;
        let is_new = matches!(start.opcode, Opcode::Text | Opcode::Binary);
        let allowed = if is_new && self.peer.is_some() {
            RESERVED_1
        } else {
            0
        };
        if start.reserved & !allowed != 0 {
            return Err(WsError::ReservedBits);
        }
        match (start.opcode, self.message.is_under_way()) {
            (Opcode::Continuation, false) => return Err(WsError::ContinuationUnexpected),
            (Opcode::Text | Opcode::Binary, true) => return Err(WsError::ContinuationMissing),
            _ => {}
        }
        match (
            self.role,
            rest.first().map(|&second| frame::is_masked(second)),
        ) {
            (Role::Server, Some(false)) => Err(WsError::MaskMissing),
            (Role::Client, Some(true)) => Err(WsError::MaskUnexpected),
            _ => Ok(()),
        }
    }

    /// Returns `true` if this frame may be this long, and its message have one more; then, whether the message is
    /// still wanted.
    fn admit_length(&self, header: &Header, limits: &WsLimits) -> Result<bool, WsError> {
        if header.opcode.is_control() {
            return Ok(true);
        }
        let mut message_bytes = header.payload_bytes;
        if header.opcode == Opcode::Continuation {
            if self.fragments >= limits.fragments_max {
                return Err(WsError::FragmentsTooMany);
            }
            message_bytes = message_bytes.saturating_add(self.received_bytes);
        }
        if header.payload_bytes > limits.frame_bytes_max {
            return Err(WsError::FrameTooBig);
        }
        if message_bytes <= limits.bytes_kept_max() as u64 {
            return Ok(true);
        }
        // How long a compressed message is otherwise turns out when it is decompressed.
        if message_bytes > limits.message_bytes_max as u64 {
            return Err(WsError::MessageTooBig);
        }
        Ok(false)
    }

    /// Event of a frame that is no part of a larger message.
    fn frame_event<'i>(&mut self, opcode: Opcode, payload: &'i [u8]) -> Result<Event<'i>, WsError> {
        Ok(match opcode {
            Opcode::Text => Event::Text(str::from_utf8(payload).map_err(|_| WsError::TextNotUtf8)?),
            // A continuation is never an event by itself.
            Opcode::Binary | Opcode::Continuation => Event::Binary(payload),
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            Opcode::Close => {
                let code = close::decode(payload)?;
                self.message.clear();
                self.reading = FrameState::CloseReceived;
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
