//! Counts, errors and the time to stop: shared by all threads of a run.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Limit on what should happen at once, on a machine with much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Errors that are printed as they come; all are counted.
const ERRORS_SHOWN: u64 = 40;

/// Why something went wrong, in words.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a load generator measures; the ban is for the code under load"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Locks, whatever became of a thread that held it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Operations that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// An answer to a request for a page or a file.
    Get,
    /// A registration, a login or a profile, right or refused.
    Account,
    /// A session of a chat user, from the upgrade to the end.
    Session,
    /// A chat message sent.
    Sent,
    /// A chat message received and compared with what was due.
    Received,
    /// A connection of a client that does not behave.
    Rude,
    /// A connection of the crowd.
    Arrival,
}

impl Op {
    pub(crate) const ALL: [Self; 7] = [
        Self::Get,
        Self::Account,
        Self::Session,
        Self::Sent,
        Self::Received,
        Self::Rude,
        Self::Arrival,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "gets",
            Self::Account => "accounts",
            Self::Session => "sessions",
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Rude => "rude",
            Self::Arrival => "arrivals",
        }
    }
}

/// The counts of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: [AtomicU64; Op::ALL.len()],
    errors: AtomicU64,
    stopping: AtomicBool,
    /// Latencies of the probe since they were last taken, in microseconds.
    probes: Mutex<Vec<u64>>,
}

impl Tally {
    pub(crate) fn add(&self, op: Op, count: u64) {
        if let Some(counter) = self.counts.get(op as usize) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self, op: Op) -> u64 {
        self.counts
            .get(op as usize)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Something was not as it had to be.
    pub(crate) fn error(&self, who: &str, error: &dyn std::fmt::Display) {
        let before = self.errors.fetch_add(1, Ordering::Relaxed);
        if before < ERRORS_SHOWN {
            println!("ERROR {who}: {error}");
        }
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn probed(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        lock(&self.probes).push(micros);
    }

    pub(crate) fn take_probes(&self) -> Vec<u64> {
        std::mem::take(&mut *lock(&self.probes))
    }
}

/// Keeps a thread to so many turns a second; one that fell behind does not catch up.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    pub(crate) fn per_second(turns: u32) -> Self {
        Self::every(Duration::from_secs(1) / turns.max(1))
    }

    pub(crate) fn per_minute(turns: u32) -> Self {
        Self::every(Duration::from_secs(60) / turns.max(1))
    }

    fn every(interval: Duration) -> Self {
        Self {
            interval,
            next: now(),
        }
    }

    /// Waits for the next turn.
    pub(crate) fn wait(&mut self) {
        let at = now();
        if let Some(early) = self.next.checked_duration_since(at) {
            thread::sleep(early);
            self.next += self.interval;
        } else {
            self.next = at + self.interval;
        }
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from).max(1))
    }

    pub(crate) fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        among.get(self.below(among.len()))
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
