//! Everybody in a room: those who read, those who do not, and one who publishes.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use edgeloop::proto::ws::deflate::Compression;
use edgeloop::proto::ws::frame;
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use super::receiver::{Messages, Receiver, Record};
use super::{Failure, OFFER, Opening, Target, Wire, negotiated, open};

/// The most that is read from a connection at once.
const READ_BYTES: usize = 64 << 10;
/// Silence after which missing messages count as lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// Names and texts of the chat.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// All but the publisher.
    pub(crate) connections: usize,
    /// Number of them that never read.
    pub(crate) silent: usize,
    /// Messages in a second.
    pub(crate) rate: u32,
    pub(crate) bytes: usize,
    pub(crate) is_text: bool,
    /// All agree on compression, from the first byte on.
    pub(crate) compress: bool,
}

/// Its outcome.
pub(crate) struct Outcome {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Those who read but were closed.
    pub(crate) closed: usize,
    pub(crate) reads: u64,
    /// From when a message was due to when it was read, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) elapsed: Duration,
}

/// All of them, connected.
pub(crate) struct Room {
    terms: Terms,
    poll: Poll,
    receivers: Vec<Receiver>,
    publisher: Receiver,
    _silent: Vec<Wire>,
}

impl Room {
    /// `tell` is told how many have come.
    pub(crate) fn connect(
        target: &Target,
        terms: &Terms,
        tell: impl FnMut(usize),
    ) -> Result<Self, Failure> {
        let mut poll = Poll::new()?;
        let opening = Opening::Upgrade(if terms.compress { OFFER } else { "" });
        let mut wires = open(
            &mut poll,
            target,
            &opening,
            0,
            terms.connections + 1,
            32,
            tell,
        )?;
        let publisher = Receiver::new(wires.pop().ok_or("nobody publishes")?);
        let mut silent = wires.split_off(terms.connections - terms.silent.min(terms.connections));
        for wire in &mut silent {
            poll.registry().deregister(&mut wire.socket)?;
        }
        Ok(Self {
            terms: terms.clone(),
            poll,
            receivers: wires.into_iter().map(Receiver::new).collect(),
            publisher,
            _silent: silent,
        })
    }

    /// Publishes for so long, and waits for all deliveries. `tell` is told how many messages are out.
    pub(crate) fn publish(
        &mut self,
        duration: Duration,
        mut tell: impl FnMut(usize),
    ) -> Result<Outcome, Failure> {
        let Terms {
            rate,
            bytes,
            is_text,
            compress,
            ..
        } = self.terms;
        let messages = Messages { bytes, is_text };
        let millis = u64::try_from(duration.as_millis())?;
        let total = usize::try_from(u64::from(rate) * millis / 1000)?;
        let negotiated = compress
            .then(|| negotiated(&Compression::DEFAULT))
            .transpose()?;
        let begun = Instant::now() + Duration::from_millis(100);
        let interval = Duration::from_secs(1) / rate;
        let mut record = Record::new(messages, self.receivers.len(), negotiated, begun, interval)?;
        let mut buffer = vec![0; READ_BYTES];
        for receiver in self.receivers.iter_mut().filter(|one| !one.is_closed) {
            receiver.receive(&mut buffer, None)?;
            receiver.count = 0;
        }
        let mut left = self.receivers.iter().filter(|one| !one.is_closed).count();
        let mut events = Events::with_capacity(1024);
        let (mut sent, mut last) = (0, begun);
        while sent < total || left > 0 {
            sent = self.send_due(&record, sent, total)?;
            let patience = match sent < total {
                true => until(record.due(sent)),
                false => PATIENCE,
            };
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if sent == total && events.is_empty() {
                break;
            }
            for event in &events {
                let Token(index) = event.token();
                sent = self.send_due(&record, sent, total)?;
                let Some(receiver) = self.receivers.get_mut(index) else {
                    self.publisher.receive(&mut buffer, None)?;
                    continue;
                };
                let was_done = receiver.count == total || receiver.is_closed;
                receiver.receive(&mut buffer, Some(&mut record))?;
                if !was_done && (receiver.count == total || receiver.is_closed) {
                    left -= 1;
                }
                last = Instant::now();
            }
            tell(sent);
        }
        if self.publisher.is_closed {
            return Err("the server closed the connection of the publisher".into());
        }
        let counts = self.receivers.iter().map(|receiver| receiver.count);
        Ok(Outcome {
            expected: (total * self.receivers.len()) as u64,
            delivered: counts.sum::<usize>() as u64,
            closed: self.receivers.iter().filter(|one| one.is_closed).count(),
            reads: record.reads,
            latencies: record.latencies,
            elapsed: last.saturating_duration_since(begun),
        })
    }

    /// Sends what is due after the first `sent`, and returns how many that makes.
    fn send_due(&mut self, record: &Record, sent: usize, total: usize) -> Result<usize, Failure> {
        let Terms { bytes, is_text, .. } = self.terms;
        let messages = Messages { bytes, is_text };
        let mut next = sent;
        while next < total && record.due(next) <= Instant::now() {
            let mut message = Vec::new();
            let payload = messages.message(next as u64);
            frame::encode_masked(&mut message, messages.opcode(), &payload, [9, 8, 7, 6]);
            self.publisher.wire.send(&message)?;
            next += 1;
        }
        Ok(next)
    }
}

/// Time to poll until then: the kernel counts in milliseconds, the last of which is
/// waited for awake.
pub(crate) fn until(due: Instant) -> Duration {
    let left = due.saturating_duration_since(Instant::now());
    Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}
