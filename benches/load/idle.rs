//! Connections that do nothing, and what they hold.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::Load;
use crate::client::{Failure, Memory, Opening, Target, kernel_bytes, open, slab_bytes};
use crate::connection::{Connection, Tally};
use crate::job::Job;
use crate::progress::Progress;
use crate::report::{Figure, Measured};

const READ_BYTES: usize = 64 << 10;
/// Size of the messages on each connection, in bytes.
const MESSAGE_BYTES: usize = 16 << 10;
/// Number of connections are opened before those that are open are looked after.
const BATCH: usize = 500;
/// Number of connections carry something at the same time.
const CARRYING: usize = 64;

/// Steps before they idle.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) opening: Opening,
    pub(crate) at_once: usize,
    /// Bytes that each carries each way.
    pub(crate) traffic: usize,
    pub(crate) pids: Vec<u32>,
}

pub(crate) struct Idle {
    poll: Poll,
    /// Those that were there first.
    first: Vec<Connection>,
    connections: Vec<Connection>,
    room: Vec<u8>,
    figures: Vec<Figure>,
}

impl Plan {
    /// Opens the first of `count` connections, as many as are opened at the same time: what they set up is
    /// not the cost of those that follow.
    pub(crate) fn touch(&self, count: usize) -> Result<Vec<Connection>, Failure> {
        let mut quiet = Progress::new(false);
        let first = self.at_once.min(count / 10).max(1);
        let (mut poll, mut connections) = self.connect(first, &mut quiet)?;
        self.carry(&mut poll, &mut connections, &mut quiet)?;
        Memory::settled(&self.pids)?;
        Ok(connections)
    }

    fn connect(
        &self,
        count: usize,
        progress: &mut Progress,
    ) -> Result<(Poll, Vec<Connection>), Failure> {
        let mut poll = Poll::new()?;
        let job = Job::echo(MESSAGE_BYTES);
        let mut connections = Vec::with_capacity(count);
        let mut none = Tally::new()?;
        let mut served = Instant::now();
        let mut room = vec![0; READ_BYTES];
        while connections.len() < count {
            let (first, more) = (connections.len(), BATCH.min(count - connections.len()));
            let (target, opening) = (&self.target, &self.opening);
            let wires = open(
                &mut poll,
                target,
                opening,
                first,
                more,
                self.at_once,
                |open| {
                    progress.tick(|| format!("{open} connections"));
                },
            )?;
            let wires = wires.into_iter();
            connections.extend(wires.map(|wire| Connection::new(wire, job.clone())));
            // Those that were there first may have been pinged.
            if served.elapsed() > Duration::from_secs(5) || connections.len() == count {
                for connection in &mut connections {
                    connection.serve(&mut room, &mut none)?;
                }
                served = Instant::now();
            }
        }
        Ok((poll, connections))
    }

    /// Has all of them carry what they are to carry, some at a time.
    fn carry(
        &self,
        poll: &mut Poll,
        connections: &mut [Connection],
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let messages = self.traffic.div_ceil(MESSAGE_BYTES);
        let mut room = vec![0; READ_BYTES];
        let mut events = Events::with_capacity(1024);
        let mut tally = Tally::new()?;
        let (mut first, mut left) = (0, vec![messages; connections.len()]);
        while first < connections.len() && messages > 0 {
            let end = connections.len().min(first + CARRYING);
            let now = Instant::now();
            for connection in connections.get_mut(first..end).unwrap_or_default() {
                connection.ask(now);
                connection.flush()?;
            }
            while left
                .get(first..end)
                .is_some_and(|left| left.iter().any(|left| *left > 0))
            {
                poll.poll(&mut events, Some(Duration::from_secs(10)))?;
                if events.is_empty() {
                    return Err("an echo does not come".into());
                }
                for event in &events {
                    let index = event.token().0;
                    let (Some(connection), Some(left)) =
                        (connections.get_mut(index), left.get_mut(index))
                    else {
                        continue;
                    };
                    let mut is_drained = false;
                    while !is_drained {
                        let turn = connection.turn(&mut room, &mut tally)?;
                        is_drained = turn.is_drained;
                        *left -= turn.done;
                        if turn.done > 0 && *left > 0 {
                            connection.ask(Instant::now());
                            connection.flush()?;
                        }
                    }
                }
                progress.tick(|| format!("{} echoes", tally.responded));
            }
            first = end;
        }
        Ok(())
    }
}

impl Idle {
    /// `first` are those of `count` that are there already, and `before` is what the server holds with them.
    pub(crate) fn start(
        plan: &Plan,
        count: usize,
        first: Vec<Connection>,
        before: Option<Memory>,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let kernel = || Ok::<_, Failure>(kernel_bytes()? + slab_bytes()?);
        let kernel_before = kernel()?;
        let start = Instant::now();
        let count = count.saturating_sub(first.len()).max(1);
        let (mut poll, mut connections) = plan.connect(count, progress)?;
        let open_seconds = start.elapsed().as_secs_f64();
        let each = |after: Option<Memory>| {
            let grown = after
                .zip(before)
                .map(|(after, before)| after.resident as f64 - before.resident as f64);
            grown.unwrap_or(f64::NAN) / count as f64
        };
        let rss_each_open = each(Memory::settled(&plan.pids)?);
        plan.carry(&mut poll, &mut connections, progress)?;
        let rss_each = match plan.traffic {
            0 => rss_each_open,
            _ => each(Memory::settled(&plan.pids)?),
        };
        let kernel_each = (kernel()? as f64 - kernel_before as f64) / count as f64;
        Ok(Self {
            poll,
            first,
            connections,
            room: vec![0; READ_BYTES],
            figures: vec![
                Figure::new("rss_each", "RSS each B", rss_each),
                Figure::new("rss_each_open", "B once open", rss_each_open),
                Figure::new("kernel_each", "kernel each B", kernel_each),
                Figure::new("open_seconds", "opened in s", open_seconds).with_digits(1),
            ],
        })
    }
}

impl Load for Idle {
    fn run(&mut self, duration: Duration, progress: &mut Progress) -> Result<Measured, Failure> {
        let mut events = Events::with_capacity(1024);
        let mut none = Tally::new()?;
        let start = Instant::now();
        while let Some(left) = duration.checked_sub(start.elapsed()) {
            match self
                .poll
                .poll(&mut events, Some(left.min(Duration::from_secs(1))))
            {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    connection.serve(&mut self.room, &mut none)?;
                }
            }
            for connection in &mut self.first {
                connection.serve(&mut self.room, &mut none)?;
            }
            progress.tick(|| "idle".to_owned());
        }
        let all = self.first.iter().chain(&self.connections);
        let closed = all.filter(|one| one.is_closed).count();
        let mut measured = Measured::new(start.elapsed(), 0.0, none)?;
        measured.more.clone_from(&self.figures);
        measured
            .more
            .push(Figure::new("closed", "closed", closed as f64));
        Ok(measured)
    }
}
