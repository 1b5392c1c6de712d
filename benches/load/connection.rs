//! One connection under load.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use edgeloop::proto::ws::frame::{self, Opcode};
use hdrhistogram::Histogram;

use crate::client::{Failure, Progress, Wire};
use crate::job::{Answer, AnswerKind, Job};

/// Number of reads a connection gets before it is another's turn.
const READS_PER_TURN: usize = 4;
/// An hour in nanoseconds: the longest that anything may take.
const LATENCY_MAX: u64 = 3_600_000_000_000;

/// A connection, and when each operation under way on it was begun.
pub(crate) struct Connection {
    wire: Wire,
    responses: Answers,
    pub(crate) is_closed: bool,
}

/// Counts for all connections together.
pub(crate) struct Tally {
    /// In nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Answers that were hoped for.
    pub(crate) responded: usize,
    /// Others, by status.
    pub(crate) rejected: BTreeMap<u16, usize>,
    /// Operations that were due, but for which there was never a connection.
    pub(crate) never_begun: usize,
    /// Of content: heads and TLS are not counted.
    pub(crate) content_bytes: u64,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            latencies: Histogram::new_with_bounds(1, LATENCY_MAX, 3)?,
            responded: 0,
            rejected: BTreeMap::new(),
            never_begun: 0,
            content_bytes: 0,
        })
    }

    pub(crate) fn done(&mut self) -> usize {
        self.responded + self.rejected.values().sum::<usize>()
    }

    /// An operation that was due at `due` has ended.
    pub(crate) fn end(&mut self, due: Instant, now: Instant) {
        let latency = now.saturating_duration_since(due).as_nanos();
        let latency = u64::try_from(latency).unwrap_or(LATENCY_MAX);
        self.latencies.saturating_record(latency.max(1));
    }
}

/// Outcome of a turn.
pub(crate) struct Turn {
    /// Operations that have ended.
    pub(crate) done: usize,
    /// The next event says when there is more.
    pub(crate) is_drained: bool,
}

impl Connection {
    pub(crate) const fn new(wire: Wire, job: Job) -> Self {
        Self {
            wire,
            responses: Answers::new(job),
            is_closed: false,
        }
    }

    /// Part of the current response that has arrived, from 0 to 1.
    pub(crate) fn progress(&self) -> f64 {
        self.responses.progress()
    }

    /// Begins an operation that was due then, with the next flush.
    pub(crate) fn ask(&mut self, due: Instant) {
        self.responses.begun.push_back(due);
        self.wire.queue(self.responses.job.request());
    }

    /// Writes what is to be written, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.wire.flush()
    }

    /// Takes the answers there are.
    pub(crate) fn turn(&mut self, room: &mut [u8], tally: &mut Tally) -> Result<Turn, Failure> {
        self.flush()?;
        let before = tally.done();
        let mut is_drained = false;
        for _ in 0..READS_PER_TURN {
            match self.read(room, tally)? {
                Progress::More => {}
                Progress::Short | Progress::Drained => {
                    is_drained = true;
                    break;
                }
                Progress::Closed => {
                    self.is_closed = true;
                    is_drained = true;
                    break;
                }
            }
        }
        Ok(Turn {
            done: tally.done() - before,
            is_drained,
        })
    }

    /// Answers what the server asks, where nothing has been asked of it.
    pub(crate) fn serve(&mut self, room: &mut [u8], none: &mut Tally) -> Result<(), Failure> {
        self.flush()?;
        while !self.is_closed {
            match self.read(room, none)? {
                Progress::More | Progress::Short => {}
                Progress::Drained => break,
                Progress::Closed => self.is_closed = true,
            }
        }
        Ok(())
    }

    /// Reads once.
    pub(crate) fn read(&mut self, room: &mut [u8], tally: &mut Tally) -> Result<Progress, Failure> {
        let mut now = None;
        let responses = &mut self.responses;
        let progress = self.wire.receive(room, |plain| {
            let now = *now.get_or_insert_with(Instant::now);
            responses.take(plain, now, tally)
        })?;
        if !responses.pongs.is_empty() {
            self.wire.send(&responses.pongs)?;
            responses.pongs.clear();
        }
        Ok(progress)
    }
}

/// Reads answers as they come, without holding what is in them.
struct Answers {
    job: Job,
    begun: VecDeque<Instant>,
    /// The start of a head.
    head: Vec<u8>,
    /// The content of the answer being read, and how much of it is still to come.
    content_bytes: u64,
    left_bytes: u64,
    kind: AnswerKind,
    pongs: Vec<u8>,
}

impl Answers {
    const fn new(job: Job) -> Self {
        Self {
            job,
            begun: VecDeque::new(),
            head: Vec::new(),
            content_bytes: 0,
            left_bytes: 0,
            kind: AnswerKind::Expected,
            pongs: Vec::new(),
        }
    }

    fn progress(&self) -> f64 {
        if self.left_bytes == 0 || self.kind != AnswerKind::Expected {
            return 0.0;
        }
        1.0 - self.left_bytes as f64 / self.content_bytes as f64
    }

    /// Reads what came, as of `now`.
    fn take(&mut self, input: &[u8], now: Instant, tally: &mut Tally) -> Result<(), Failure> {
        if self.head.is_empty() {
            let used = self.read(input, now, tally)?;
            self.head
                .extend_from_slice(input.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut joined = std::mem::take(&mut self.head);
        joined.extend_from_slice(input);
        let used = self.read(&joined, now, tally)?;
        joined.drain(..used);
        self.head = joined;
        Ok(())
    }

    /// Returns how much of `input` is done with: the rest is the start of a head.
    fn read(&mut self, input: &[u8], now: Instant, tally: &mut Tally) -> Result<usize, Failure> {
        let mut used = 0;
        loop {
            if self.left_bytes > 0 {
                let rest = input.get(used..).unwrap_or_default();
                let left = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
                let here = rest.get(..left).unwrap_or(rest);
                used += here.len();
                self.left_bytes -= here.len() as u64;
                match self.kind {
                    AnswerKind::Expected => {
                        self.job.check(here)?;
                        tally.content_bytes += here.len() as u64;
                    }
                    AnswerKind::Refused(_) => {}
                    AnswerKind::Ping => {
                        frame::encode_masked(&mut self.pongs, Opcode::Pong, here, [1, 2, 3, 4]);
                    }
                }
                if self.left_bytes > 0 {
                    return Ok(used);
                }
                self.end(now, tally)?;
            }
            let rest = input.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(used);
            }
            let Some(response) = self.job.respond(rest)? else {
                return Ok(used);
            };
            let Answer {
                head_bytes,
                content_bytes,
                kind,
            } = response;
            used += head_bytes;
            self.kind = kind;
            self.content_bytes = content_bytes;
            self.left_bytes = content_bytes;
            if content_bytes == 0 {
                self.end(now, tally)?;
            }
        }
    }

    fn end(&mut self, now: Instant, tally: &mut Tally) -> Result<(), Failure> {
        match self.kind {
            // One with nothing in it has not been answered.
            AnswerKind::Ping if self.content_bytes == 0 => {
                frame::encode_masked(&mut self.pongs, Opcode::Pong, &[], [1, 2, 3, 4]);
                return Ok(());
            }
            AnswerKind::Ping => return Ok(()),
            AnswerKind::Expected => {
                let due = self.begun.pop_front().ok_or("an answer nobody asked for")?;
                tally.end(due, now);
                tally.responded += 1;
            }
            AnswerKind::Refused(status) => {
                self.begun.pop_front().ok_or("an answer nobody asked for")?;
                *tally.rejected.entry(status).or_default() += 1;
            }
        }
        Ok(())
    }
}
