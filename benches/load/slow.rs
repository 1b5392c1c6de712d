//! Readers who take their time.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::Load;
use crate::client::{self, Failure, Opening, Target, open};
use crate::connection::{Connection, Tally};
use crate::job::Job;
use crate::progress::Progress;
use crate::report::{Figure, Measured};

/// Reads of each in a second.
const READS_PER_SECOND: usize = 10;

pub(crate) struct Slow {
    poll: Poll,
    readers: Vec<Connection>,
    room: Vec<u8>,
}

impl Slow {
    /// Asks on all connections for a file, of which each is to take so many bytes in a second.
    pub(crate) fn start(
        target: &Target,
        job: &Job,
        count: usize,
        bytes: usize,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let mut poll = Poll::new()?;
        let wires = open(
            &mut poll,
            target,
            &Opening::Handshake,
            0,
            count,
            32,
            |open| {
                progress.tick(|| format!("{open} connections"));
            },
        )?;
        let readers = wires.into_iter();
        let mut readers: Vec<_> = readers
            .map(|wire| Connection::new(wire, job.clone()))
            .collect();
        for reader in &mut readers {
            reader.ask(Instant::now());
            reader.flush()?;
        }
        Ok(Self {
            poll,
            readers,
            room: vec![0; bytes.div_ceil(READS_PER_SECOND)],
        })
    }
}

impl Load for Slow {
    fn run(&mut self, duration: Duration, progress: &mut Progress) -> Result<Measured, Failure> {
        let mut events = Events::with_capacity(1024);
        let mut tally = Tally::new()?;
        let count = self.readers.len();
        let interval = Duration::from_secs(1) / u32::try_from(READS_PER_SECOND * count)?;
        let start = Instant::now();
        let mut reads: usize = 0;
        while start.elapsed() < duration {
            let due = start + interval * u32::try_from(reads).unwrap_or(u32::MAX);
            // Events tell only when more can be written: reads come at their own time.
            let patience = client::until(due).min(Duration::from_secs(1));
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if Instant::now() < due {
                continue;
            }
            if let Some(reader) = self.readers.get_mut(reads % count)
                && !reader.is_closed
            {
                let before = tally.done();
                let read = reader.read(&mut self.room, &mut tally)?;
                reader.is_closed = read == client::Progress::Closed;
                if tally.done() > before {
                    reader.ask(Instant::now());
                }
                if !reader.is_closed {
                    reader.flush()?;
                }
            }
            reads += 1;
            progress.tick(|| format!("{} bytes of content", tally.content_bytes));
        }
        let closed = self.readers.iter().filter(|one| one.is_closed).count();
        let operations = tally.responded as f64;
        let mut measured = Measured::new(start.elapsed(), operations, tally)?;
        measured.more = vec![Figure::new("closed", "closed", closed as f64)];
        Ok(measured)
    }
}
