//! When operations begin, and on which connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::client::until;
use crate::connection::Tally;

/// Time to wait for an event when nothing is due.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hands out what is to be begun: at once where a connection is free, or at a steady rate.
pub(crate) struct Schedule {
    /// In the order in which they are to be used; each as often as it may be.
    free: VecDeque<usize>,
    slots: usize,
    rate: Option<f64>,
    start: Instant,
    duration: Duration,
    /// Number of were begun, of how many, where there is a rate.
    begun: u32,
    total: u32,
}

impl Schedule {
    pub(crate) fn new(connections: usize, depth: usize, rate: Option<f64>) -> Self {
        let free: VecDeque<usize> = (0..depth).flat_map(|_| 0..connections).collect();
        Self {
            slots: free.len(),
            free,
            rate,
            start: Instant::now(),
            duration: Duration::ZERO,
            begun: 0,
            total: 0,
        }
    }

    /// Begins a round.
    pub(crate) fn start(&mut self, now: Instant, duration: Duration) {
        self.start = now;
        self.duration = duration;
        self.begun = 0;
        let total = self.rate.unwrap_or_default() * duration.as_secs_f64();
        // A rate and a time that come to more are not for one thread.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        let total = total.ceil() as u32;
        self.total = total;
    }

    /// The connection that is to begin one, and when that was due.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(usize, Instant)> {
        let due = match self.rate {
            None if now.saturating_duration_since(self.start) < self.duration => now,
            None => return None,
            Some(_) => self.due().filter(|due| *due <= now)?,
        };
        let slot = self.free.pop_front()?;
        self.begun += 1;
        Some((slot, due))
    }

    /// An operation on this connection has ended.
    pub(crate) fn free(&mut self, slot: usize) {
        self.free.push_back(slot);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.free.len() < self.slots
    }

    /// Time to wait for events.
    pub(crate) fn patience(&self) -> Duration {
        match self.due() {
            Some(due) if !self.free.is_empty() => until(due).min(PATIENCE),
            _ => PATIENCE,
        }
    }

    /// Returns `true` if the round is over. At a rate everything that was begun is waited for; what could not
    /// even begin in twice the time ends as late as it is then.
    pub(crate) fn is_over(&mut self, now: Instant, tally: &mut Tally) -> bool {
        let elapsed = now.saturating_duration_since(self.start);
        if self.rate.is_none() {
            return elapsed >= self.duration;
        }
        if elapsed > self.duration * 2 {
            while let Some(due) = self.due() {
                tally.end(due, now);
                tally.never_begun += 1;
                self.begun += 1;
            }
        }
        self.begun == self.total && !self.is_busy()
    }

    /// When the next one is due.
    fn due(&self) -> Option<Instant> {
        let rate = self.rate.filter(|_| self.begun < self.total)?;
        Some(self.start + Duration::from_secs_f64(f64::from(self.begun) / rate))
    }
}
