//! The receiving side of the room.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use edgeloop::proto::ws::deflate::Agreed;
use edgeloop::proto::ws::frame::{self, Header, Opcode};
use edgeloop::proto::ws::{Event, Limits, Machine, Role, Step};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use rustls::ClientConnection;
use serde_json::Value;

use crate::client::{Client, Failure};

/// What was published so far, as the first who got it read it, and how long it took to everybody.
pub(crate) struct Record {
    /// The frame of each message, in their order.
    frames: Vec<Box<[u8]>>,
    agreed: Option<Agreed>,
    begun: Instant,
    interval: Duration,
    /// In microseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) reads: u64,
}

impl Record {
    /// The first message is due at `begun`.
    pub(crate) fn new(
        begun: Instant,
        interval: Duration,
        agreed: Option<Agreed>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            frames: Vec::new(),
            agreed,
            begun,
            interval,
            latencies: Histogram::new(3)?,
            reads: 0,
        })
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
        let frame = self.frames.get(number).ok_or("no such message")?;
        if !input.starts_with(frame) {
            if frame.starts_with(input) {
                return Ok(None);
            }
            let found = input.get(..frame.len().min(input.len()));
            let found = found.unwrap_or_default().escape_ascii();
            return Err(format!("not message {number}, but {found}").into());
        }
        let due = self.begun + self.interval * u32::try_from(number)?;
        let late = now.saturating_duration_since(due);
        self.latencies.record(u64::try_from(late.as_micros())?)?;
        Ok(Some(frame.len()))
    }

    /// Reads the next message, which nobody got before: it must be the next one in number, too.
    fn read(&mut self, input: &[u8]) -> Result<bool, Failure> {
        let Some((header, head_bytes)) = Header::decode(input)? else {
            return Ok(false);
        };
        let end = head_bytes + usize::try_from(header.payload_bytes)?;
        let Some(frame) = input.get(..end) else {
            return Ok(false);
        };
        let mut machine = match self.agreed {
            Some(agreed) => Machine::with_compression(Role::Client, agreed),
            None => Machine::new(Role::Client),
        };
        let (receiver, _) = machine.split();
        let mut copy = frame.to_vec();
        let Step::Event {
            event: Event::Text(text),
            ..
        } = receiver.step(&mut copy, &Limits::DEFAULT)?
        else {
            return Err(format!("no message of text: {header:?}").into());
        };
        let message: Value = serde_json::from_str(text)?;
        let number = message.get("number").and_then(Value::as_u64);
        if number != Some(self.frames.len() as u64) {
            return Err(format!("message {number:?} instead of {}", self.frames.len()).into());
        }
        self.frames.push(frame.into());
        Ok(true)
    }
}

/// Somebody in the room who reads.
pub(crate) struct Receiver {
    pub(crate) socket: TcpStream,
    tls: ClientConnection,
    /// The start of a frame.
    rest: Vec<u8>,
    /// How many messages have come.
    pub(crate) count: usize,
}

impl Receiver {
    pub(crate) fn new(client: Client) -> Result<Self, Failure> {
        let Client { socket, tls } = client;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpStream::from_std(socket),
            tls: tls.ok_or("no TLS")?,
            rest: Vec::new(),
            count: 0,
        })
    }

    /// Reads what there is.
    pub(crate) fn receive(&mut self, room: &mut [u8], record: &mut Record) -> Result<(), Failure> {
        loop {
            let count = match self.socket.read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) => return Err("the server closed the connection".into()),
                read => read?,
            };
            record.reads += 1;
            let is_short = count < room.len();
            let now = Instant::now();
            let mut cipher = room.get(..count).unwrap_or_default();
            while !cipher.is_empty() {
                self.tls.read_tls(&mut cipher)?;
                self.tls.process_new_packets()?;
                self.take_plain(now, record)?;
            }
            if is_short {
                break;
            }
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    fn take_plain(&mut self, now: Instant, record: &mut Record) -> Result<(), Failure> {
        loop {
            let mut reader = self.tls.reader();
            let plain = match reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Ok([]) => return Err("the server closed the connection".into()),
                read => read?,
            };
            let plain_bytes = plain.len();
            let mut pongs = Vec::new();
            if self.rest.is_empty() {
                let used = take_frames(&mut self.count, plain, now, record, &mut pongs)?;
                self.rest
                    .extend_from_slice(plain.get(used..).unwrap_or_default());
            } else {
                self.rest.extend_from_slice(plain);
                let used = take_frames(&mut self.count, &self.rest, now, record, &mut pongs)?;
                self.rest.drain(..used);
            }
            reader.consume(plain_bytes);
            self.tls.writer().write_all(&pongs)?;
        }
    }
}

/// Takes the whole frames at the front of `input`, and answers pings. Returns how much they are.
fn take_frames(
    count: &mut usize,
    input: &[u8],
    now: Instant,
    record: &mut Record,
    pongs: &mut Vec<u8>,
) -> Result<usize, Failure> {
    let mut used = 0;
    loop {
        let rest = input.get(used..).unwrap_or_default();
        let Some((header, head_bytes)) = Header::decode(rest)? else {
            return Ok(used);
        };
        if header.opcode == Opcode::Ping {
            let end = head_bytes + usize::try_from(header.payload_bytes)?;
            let Some(payload) = rest.get(head_bytes..end) else {
                return Ok(used);
            };
            frame::encode_masked(pongs, Opcode::Pong, payload, [1, 2, 3, 4]);
            used += end;
            continue;
        }
        match record.take(*count, rest, now)? {
            None => return Ok(used),
            Some(bytes) => used += bytes,
        }
        *count += 1;
    }
}
