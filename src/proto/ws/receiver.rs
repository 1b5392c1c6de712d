//! The receiving half of a connection: frames in, events out.

use std::mem;

use super::deflate::{Direction, INFLATER_BYTES, Inflater};
use super::frame::{self, Header, Opcode, RESERVED_1, Start};
use super::mask::{self, MaskKey};
use super::message::Message;
use super::{Error, Event, Role, close};

/// How much a peer may send at a time. Control frames have their own, fixed limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload of one frame of a message.
    pub frame_bytes_max: u64,
    /// The largest message, all its fragments together, as it comes and decompressed. Over it
    /// decompression stops.
    pub message_bytes_max: usize,
    /// The largest message that is of use, as it comes and decompressed. One over it is an event without
    /// content, [`Step::TooLong`], and the connection goes on: nothing of it is kept, and as soon as it is
    /// over it is not read, so UTF-8 and compression of the rest are not checked. It is only decompressed
    /// further if its window is kept for the next message.
    pub message_bytes_wanted_max: usize,
    /// The most frames one message may come in.
    pub fragments_max: u32,
    /// How much of a compressed message waits as it came, in bytes, before a decompressor is taken for
    /// the rest of the time that it arrives. Text that is not UTF-8 is found that much later.
    pub packed_bytes_held_max: usize,
}

impl Limits {
    /// 1 MiB each, all of it wanted, 4096 frames, and nothing waits.
    pub const DEFAULT: Self = Self {
        frame_bytes_max: 1 << 20,
        message_bytes_max: 1 << 20,
        message_bytes_wanted_max: usize::MAX,
        fragments_max: 4096,
        packed_bytes_held_max: 0,
    };

    /// The most bytes that are kept of one message.
    #[inline]
    pub(super) const fn bytes_kept_max(&self) -> usize {
        if self.message_bytes_wanted_max < self.message_bytes_max {
            self.message_bytes_wanted_max
        } else {
            self.message_bytes_max
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
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
    /// A message over [`Limits::message_bytes_wanted_max`] has ended, and was thrown away. There may be
    /// more: step again.
    TooLong {
        /// Bytes done with.
        used: usize,
        /// How long it was, as it came or as far as it was decompressed, whichever is more.
        bytes: u64,
    },
}

/// Reads what the peer sends.
#[derive(Debug)]
pub struct Receiver {
    message: Message,
    reading: Reading,
    /// Here only while a compressed message needs it, unless its window is kept.
    inflater: Option<Box<Inflater>>,
    /// How the peer compresses.
    peer: Option<Direction>,
    /// Payload of the frames of the message under way, as they come and as their headers say.
    received_bytes: u64,
    /// Frames of it.
    fragments: u32,
    form: Form,
    role: Role,
}

/// How the message under way comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Packed,
    /// Compressed, and no byte has come of it yet.
    PackedNothing,
}

impl Form {
    const fn packed(is_nothing: bool) -> Self {
        if is_nothing {
            Self::PackedNothing
        } else {
            Self::Packed
        }
    }
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
    /// That of one that was dropped, and how long it was.
    DroppedEnd(u64),
}

impl Receiver {
    pub(super) const fn new(role: Role, peer: Option<Direction>) -> Self {
        Self {
            message: Message::new(),
            reading: Reading::AwaitHeader,
            inflater: None,
            peer,
            received_bytes: 0,
            fragments: 0,
            form: Form::Plain,
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
            Found::DroppedEnd(bytes) => return Ok(Step::TooLong { used, bytes }),
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
        let is_over = matches!(self.reading, Reading::CloseReceived | Reading::Failed);
        let keeps_window = self.peer.is_none_or(Direction::keeps_window);
        let is_in_use = self.form != Form::Plain
            && self.is_message_under_way()
            && !matches!(self.message, Message::Held { .. } | Message::Dropped { .. });
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
                    self.admit_start(rest)?;
                    let Some((header, header_bytes)) = Header::decode(rest)? else {
                        return Ok(Found::Nothing);
                    };
                    if !self.admit_length(&header, limits)? {
                        take(rest, header_bytes);
                        self.begin(&header);
                        self.drop_message(limits)?;
                        continue;
                    }
                    if let Some(payload) = take_whole(rest, &header, header_bytes) {
                        if header.reserved == 0 {
                            return Ok(Found::Frame(header.opcode, payload));
                        }
                        self.message.begin(header.opcode);
                        self.form = Form::packed(payload.is_empty());
                        self.received_bytes = header.payload_bytes;
                        self.inflate(payload, limits)?;
                        return self.finish(limits);
                    }
                    if header.opcode.is_control() {
                        return Ok(Found::Nothing);
                    }
                    take(rest, header_bytes);
                    self.begin(&header);
                }
                Reading::AwaitPayload(payload) => {
                    let piece = payload.take(rest);
                    let (is_whole, fin) = (payload.left == 0, payload.fin);
                    self.push(piece, limits)?;
                    if !is_whole {
                        return Ok(Found::Nothing);
                    }
                    if fin {
                        return self.finish(limits);
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

    /// The first frame of a message, or the next, whose payload follows.
    fn begin(&mut self, header: &Header) {
        if header.opcode == Opcode::Continuation {
            self.fragments += 1;
        } else {
            self.fragments = 1;
            self.received_bytes = 0;
            if header.reserved != 0 {
                self.form = Form::PackedNothing;
                self.message.hold(header.opcode);
            } else {
                self.form = Form::Plain;
                self.message.begin(header.opcode);
            }
        }
        self.received_bytes += header.payload_bytes;
        self.reading = Reading::AwaitPayload(Payload {
            left: header.payload_bytes,
            mask_key: header.mask_key,
            fin: header.fin,
        });
    }

    /// Throws away the message under way, what there is of it and what comes.
    #[cold]
    fn drop_message(&mut self, limits: &Limits) -> Result<(), Error> {
        if self.inflates_dropped() {
            // The next message may refer to what is in this one.
            if let Some(held) = self.message.release() {
                self.inflate(&held, limits)?;
            }
            self.message.drop_rest();
            return Ok(());
        }
        self.message.drop_rest();
        if self.form != Form::Plain
            && let Some(inflater) = &mut self.inflater
        {
            inflater.reset();
        }
        if let Reading::AwaitPayload(payload) = &mut self.reading {
            payload.mask_key = None; // nobody looks
        }
        Ok(())
    }

    /// Whether what is dropped of the message under way is to be decompressed.
    fn inflates_dropped(&self) -> bool {
        self.form != Form::Plain && self.peer.is_some_and(Direction::keeps_window)
    }

    /// Appends a piece of payload to the message.
    fn push(&mut self, piece: &[u8], limits: &Limits) -> Result<(), Error> {
        if self.form == Form::Plain {
            return Ok(self.message.push(piece, limits.bytes_kept_max())?);
        }
        if !piece.is_empty() {
            self.form = Form::Packed;
        }
        if self.message.keep(piece, limits.packed_bytes_held_max) {
            return Ok(());
        }
        if let Some(held) = self.message.release() {
            self.inflate(&held, limits)?;
        }
        self.inflate(piece, limits)
    }

    fn inflate(&mut self, piece: &[u8], limits: &Limits) -> Result<(), Error> {
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
    fn inflated(&mut self, inflated: Result<(), Error>, limits: &Limits) -> Result<(), Error> {
        if inflated.is_err() && self.message.is_dropped() && !self.inflates_dropped() {
            return self.drop_message(limits);
        }
        inflated
    }

    /// The last byte of a message is here.
    fn finish<'i>(&mut self, limits: &Limits) -> Result<Found<'i>, Error> {
        if self.form != Form::Plain {
            if let Some(held) = self.message.release() {
                self.inflate(&held, limits)?;
            }
            let goes_on = self.inflates_dropped();
            let is_nothing = self.form == Form::PackedNothing;
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
        self.reading = Reading::AwaitRelease;
        Ok(Found::MessageEnd)
    }

    #[cold]
    fn finish_dropped<'i>(&mut self) -> Found<'i> {
        let inflated_bytes = self.message.bytes() as u64;
        self.message.clear();
        self.reading = Reading::AwaitHeader;
        Found::DroppedEnd(self.received_bytes.max(inflated_bytes))
    }

    /// Whether a frame may begin with these bytes, now and from this peer: each is looked at as
    /// soon as it is here.
    #[inline]
    fn admit_start(&self, input: &[u8]) -> Result<(), Error> {
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
            return Err(Error::ReservedBits);
        }
        match (start.opcode, self.message.is_under_way()) {
            (Opcode::Continuation, false) => return Err(Error::ContinuationUnexpected),
            (Opcode::Text | Opcode::Binary, true) => return Err(Error::ContinuationMissing),
            _ => {}
        }
        match (
            self.role,
            rest.first().map(|&second| frame::is_masked(second)),
        ) {
            (Role::Server, Some(false)) => Err(Error::MaskMissing),
            (Role::Client, Some(true)) => Err(Error::MaskUnexpected),
            _ => Ok(()),
        }
    }

    /// Whether this frame may be this long, and its message have one more; then, whether the message is
    /// still wanted.
    fn admit_length(&self, header: &Header, limits: &Limits) -> Result<bool, Error> {
        if header.opcode.is_control() {
            return Ok(true);
        }
        let mut message_bytes = header.payload_bytes;
        if header.opcode == Opcode::Continuation {
            if self.fragments >= limits.fragments_max {
                return Err(Error::FragmentsTooMany);
            }
            message_bytes = message_bytes.saturating_add(self.received_bytes);
        }
        if header.payload_bytes > limits.frame_bytes_max {
            return Err(Error::FrameTooBig);
        }
        if message_bytes <= limits.bytes_kept_max() as u64 {
            return Ok(true);
        }
        // How long a compressed message is otherwise turns out when it is decompressed.
        if message_bytes > limits.message_bytes_max as u64 {
            return Err(Error::MessageTooBig);
        }
        Ok(false)
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
