//! The receiving side of a room.

use std::time::{Duration, Instant};

use edgeloop::proto::ws::deflate::NegotiatedDeflate;
use edgeloop::proto::ws::frame::{self, Header, Opcode};
use edgeloop::proto::ws::{Event, Role, WsLimits, WsMachine, WsStep};
use hdrhistogram::Histogram;

use super::wire::Progress;
use super::{Failure, Wire};

/// Messages to publish, each with its number in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    pub(crate) bytes: usize,
    pub(crate) is_text: bool,
}

impl Messages {
    /// Text as a chat might send it, or bytes that start with the number.
    pub(crate) fn message(self, number: u64) -> Vec<u8> {
        const WORDS: &[u8] =
            b"the quick brown fox jumps over the lazy dog and says hello to all in here ";
        let (open, close) = match self.is_text {
            true => {
                let open = format!("{{\"number\":{number},\"from\":\"ada\",\"text\":\"");
                (open.into_bytes(), &b"\"}"[..])
            }
            false => (number.to_be_bytes().to_vec(), &b""[..]),
        };
        let left = self.bytes.saturating_sub(open.len() + close.len());
        let words = WORDS.iter().cycle().take(left);
        let mut message = open;
        message.extend(words);
        message.extend_from_slice(close);
        message
    }

    pub(crate) const fn opcode(self) -> Opcode {
        match self.is_text {
            true => Opcode::Text,
            false => Opcode::Binary,
        }
    }
}

/// Messages published so far, as the first receiver read them, and their times to everybody.
pub(crate) struct Record {
    messages: Messages,
    /// The frame of each message, in their order, until everybody has it, and who has not.
    frames: Vec<(Box<[u8]>, usize)>,
    receivers: usize,
    negotiated: Option<NegotiatedDeflate>,
    begun: Instant,
    interval: Duration,
    /// In nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) reads: u64,
}

impl Record {
    /// The first message is due at `begun`.
    pub(crate) fn new(
        messages: Messages,
        receivers: usize,
        negotiated: Option<NegotiatedDeflate>,
        begun: Instant,
        interval: Duration,
    ) -> Result<Self, Failure> {
        Ok(Self {
            messages,
            frames: Vec::new(),
            receivers,
            negotiated,
            begun,
            interval,
            latencies: Histogram::new(3)?,
            reads: 0,
        })
    }

    /// When this message has to be sent.
    pub(crate) fn due(&self, number: usize) -> Instant {
        self.begun + self.interval * u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Takes the message `number` from the front of `input`, where it must be. Returns its bytes; `None`
    /// if it is not whole yet.
    fn take(
        &mut self,
        number: usize,
        input: &[u8],
        now: Instant,
    ) -> Result<Option<usize>, Failure> {
        if number == self.frames.len() && !self.read(input)? {
            return Ok(None);
        }
        let due = self.due(number);
        let (frame, left) = self.frames.get_mut(number).ok_or("no such message")?;
        if !input.starts_with(frame) {
            if frame.starts_with(input) {
                return Ok(None);
            }
            let found = input.get(..frame.len().min(input.len()));
            let found = found.unwrap_or_default().escape_ascii();
            return Err(format!("not message {number}, but {found}").into());
        }
        let frame_bytes = frame.len();
        *left -= 1;
        if *left == 0 {
            *frame = Box::default();
        }
        let late = now.saturating_duration_since(due);
        self.latencies.record(u64::try_from(late.as_nanos())?)?;
        Ok(Some(frame_bytes))
    }

    /// Reads the next message, which nobody got before: it must be the next one that was sent, too.
    fn read(&mut self, input: &[u8]) -> Result<bool, Failure> {
        let Some((header, head_bytes)) = Header::decode(input)? else {
            return Ok(false);
        };
        let end = head_bytes + usize::try_from(header.payload_bytes)?;
        let Some(frame) = input.get(..end) else {
            return Ok(false);
        };
        let mut machine = match self.negotiated {
            Some(negotiated) => WsMachine::with_compression(Role::Client, negotiated),
            None => WsMachine::new(Role::Client),
        };
        let (receiver, _) = machine.split();
        let mut copy = frame.to_vec();
        let limits = WsLimits {
            frame_bytes_max: header.payload_bytes.max(WsLimits::DEFAULT.frame_bytes_max),
            message_bytes_max: self.messages.bytes.max(WsLimits::DEFAULT.message_bytes_max),
            ..WsLimits::DEFAULT
        };
        let found = match receiver.step(&mut copy, &limits)? {
            WsStep::Event {
                event: Event::Text(text),
                ..
            } if self.messages.is_text => text.as_bytes(),
            WsStep::Event {
                event: Event::Binary(bytes),
                ..
            } if !self.messages.is_text => bytes,
            _ => return Err(format!("no message of the kind that was sent: {header:?}").into()),
        };
        let number = self.frames.len();
        if found != self.messages.message(number as u64) {
            let found = found.get(..40).unwrap_or(found).escape_ascii();
            return Err(format!("not message {number}, but {found}").into());
        }
        self.frames.push((frame.into(), self.receivers));
        Ok(true)
    }
}

/// Somebody in the room.
pub(crate) struct Receiver {
    pub(crate) wire: Wire,
    /// The start of a frame.
    rest: Vec<u8>,
    /// Number of messages have come.
    pub(crate) count: usize,
    pub(crate) is_closed: bool,
}

impl Receiver {
    pub(crate) const fn new(wire: Wire) -> Self {
        Self {
            wire,
            rest: Vec::new(),
            count: 0,
            is_closed: false,
        }
    }

    /// Reads what there is. Without a record, no message is to come.
    pub(crate) fn receive(
        &mut self,
        room: &mut [u8],
        mut record: Option<&mut Record>,
    ) -> Result<(), Failure> {
        self.wire.flush()?;
        let mut pongs = Vec::new();
        loop {
            let now = Instant::now();
            let (rest, count) = (&mut self.rest, &mut self.count);
            let progress = self.wire.receive(room, |plain| {
                let record = record.as_deref_mut();
                if rest.is_empty() {
                    let used = take_frames(count, plain, now, record, &mut pongs)?;
                    rest.extend_from_slice(plain.get(used..).unwrap_or_default());
                } else {
                    rest.extend_from_slice(plain);
                    let used = take_frames(count, rest, now, record, &mut pongs)?;
                    rest.drain(..used);
                }
                Ok(())
            })?;
            if let Some(record) = &mut record {
                record.reads += 1;
            }
            match progress {
                Progress::More => {}
                Progress::Short | Progress::Drained => break,
                Progress::Closed => {
                    self.is_closed = true;
                    return Ok(());
                }
            }
        }
        if pongs.is_empty() {
            return Ok(());
        }
        self.wire.send(&pongs)
    }
}

/// Takes the whole frames at the front of `input`, and answers pings. Returns how much they are.
fn take_frames(
    count: &mut usize,
    input: &[u8],
    now: Instant,
    mut record: Option<&mut Record>,
    pongs: &mut Vec<u8>,
) -> Result<usize, Failure> {
    let mut used = 0;
    loop {
        let rest = input.get(used..).unwrap_or_default();
        let Some((header, head_bytes)) = Header::decode(rest)? else {
            return Ok(used);
        };
        if header.opcode.is_control() {
            let end = head_bytes + usize::try_from(header.payload_bytes)?;
            let Some(payload) = rest.get(head_bytes..end) else {
                return Ok(used);
            };
            if header.opcode == Opcode::Ping {
                frame::encode_masked(pongs, Opcode::Pong, payload, [1, 2, 3, 4]);
            }
            used += end;
            continue;
        }
        let record = record
            .as_deref_mut()
            .ok_or("a message to its own sender, or from somebody else")?;
        match record.take(*count, rest, now)? {
            None => return Ok(used),
            Some(bytes) => used += bytes,
        }
        *count += 1;
    }
}
