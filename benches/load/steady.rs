//! The same operation again and again, over connections that stay.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::Load;
use crate::client::{Failure, Opening, Target, open};
use crate::connection::{Connection, Tally};
use crate::job::Job;
use crate::progress::Progress;
use crate::report::Measured;
use crate::schedule::Schedule;

/// The most that is read from a connection at once.
const READ_BYTES: usize = 256 << 10;
/// Time for which all responses may be missing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of connections are opened at the same time.
const AT_ONCE: usize = 32;

/// All connections and the loop that drives them.
pub(crate) struct Steady {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    schedule: Schedule,
    /// Connections that have something to send.
    asked: Vec<usize>,
    /// Connections that may have more to read: epoll does not tell again.
    unfinished: Vec<usize>,
    room: Box<[u8]>,
}

impl Steady {
    pub(crate) fn start(
        target: &Target,
        job: &Job,
        connections: usize,
        depth: usize,
        rate: Option<f64>,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let mut poll = Poll::new()?;
        let opening = match target.url.is_websocket {
            true => Opening::Upgrade(""),
            false => Opening::Handshake,
        };
        let wires = open(
            &mut poll,
            target,
            &opening,
            0,
            connections,
            AT_ONCE,
            |open| {
                progress.tick(|| format!("{open} connections"));
            },
        )?;
        Ok(Self::over(
            poll,
            wires
                .into_iter()
                .map(|wire| Connection::new(wire, job.clone()))
                .collect(),
            depth,
            rate,
        ))
    }

    /// Over connections that are open, and registered with their index.
    pub(crate) fn over(
        poll: Poll,
        connections: Vec<Connection>,
        depth: usize,
        rate: Option<f64>,
    ) -> Self {
        Self {
            poll,
            events: Events::with_capacity(1024),
            schedule: Schedule::new(connections.len(), depth, rate),
            asked: Vec::new(),
            unfinished: (0..connections.len()).collect(),
            connections,
            room: vec![0; READ_BYTES].into(),
        }
    }

    /// Begins what there is to begin.
    fn begin(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        while let Some((slot, due)) = self.schedule.next(now) {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.ask(due);
                self.asked.push(slot);
            }
        }
        self.asked.dedup();
        for slot in self.asked.drain(..) {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.flush()?;
            }
        }
        Ok(())
    }

    /// Reads what has come, and begins what that makes room for.
    fn turn(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let patience = match self.unfinished.is_empty() {
            true => self.schedule.patience(),
            false => Duration::ZERO,
        };
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let mut turns = std::mem::take(&mut self.unfinished);
        turns.extend(self.events.iter().map(|event| event.token().0));
        turns.sort_unstable();
        turns.dedup();
        for index in turns {
            let Some(connection) = self.connections.get_mut(index) else {
                continue;
            };
            let turn = connection.turn(&mut self.room, tally)?;
            if connection.is_closed {
                return Err("the server closed the connection".into());
            }
            if !turn.is_drained {
                self.unfinished.push(index);
            }
            for _ in 0..turn.done {
                self.schedule.free(index);
            }
            self.begin()?;
        }
        Ok(())
    }

    /// Number of answers the parts of those under way come to.
    fn progress(&self) -> f64 {
        self.connections.iter().map(Connection::progress).sum()
    }
}

impl Load for Steady {
    fn run(&mut self, duration: Duration, progress: &mut Progress) -> Result<Measured, Failure> {
        let mut tally = Tally::new()?;
        let parts = self.progress();
        let start = Instant::now();
        let (mut seen, mut last) = ((0, 0), start);
        self.schedule.start(start, duration);
        loop {
            self.begin()?;
            let now = Instant::now();
            if self.schedule.is_over(now, &mut tally) {
                break;
            }
            self.turn(&mut tally)?;
            let came = (tally.done(), tally.content_bytes);
            if came != seen || !self.schedule.is_busy() {
                (seen, last) = (came, now);
            } else if now.saturating_duration_since(last) > PATIENCE {
                return Err("the server has not answered for ten seconds".into());
            }
            progress.tick(|| format!("{} operations", tally.done()));
        }
        let operations = tally.responded as f64 + self.progress() - parts;
        Measured::new(start.elapsed(), operations, tally)
    }
}

/// Asks one thing, to which answers of these statuses will do, too.
pub(crate) fn ask_once(target: &Target, job: &Job, others: &[u16]) -> Result<(), Failure> {
    let mut quiet = Progress::new(false);
    let mut once = Steady::start(target, job, 1, 1, None, &mut quiet)?;
    let mut tally = Tally::new()?;
    let start = Instant::now();
    once.schedule.start(start, Duration::from_nanos(1));
    if let Some(connection) = once.connections.first_mut() {
        connection.ask(start);
    }
    while tally.done() == 0 {
        once.turn(&mut tally)?;
        if start.elapsed() > PATIENCE {
            return Err("the server does not answer".into());
        }
    }
    match tally
        .rejected
        .keys()
        .find(|status| !others.contains(status))
    {
        Some(status) => Err(format!("{status} is the answer").into()),
        None => Ok(()),
    }
}
