//! Counters of a reactor, in plain numbers: nothing is shared, nothing is locked.

use std::time::Duration;

use super::CloseReason;

/// Times that took so long, by the size of the longest. A fixed set of bounds, from 50 µs to 5 s.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: [u64; Self::BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// The upper bounds, in microseconds; what is longer comes after the last.
    pub const BOUNDS_US: [u64; 15] = [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
        1_000_000, 5_000_000,
    ];

    /// Counts one.
    pub fn record(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let index = Self::BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        } else {
            invariant!("there is a count for each bound and one above");
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Number of took no longer than each bound, and how many there are.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = Self::BOUNDS_US.iter().copied().map(Duration::from_micros);
        let bounds = bounds.map(Some).chain([None]);
        bounds.zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    /// Their number.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }
}

const MINUTE_MS: u64 = 60_000;

/// The longest turn of a loop: of all, and of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LongestTurn {
    of_all: Duration,
    /// The minute of the last turn, since the reactor was made.
    minute: u64,
    in_minute: Duration,
    in_minute_before: Duration,
}

impl LongestTurn {
    pub(super) fn record(&mut self, time: Duration, now_ms: u64) {
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            self.in_minute_before = match minute.saturating_sub(self.minute) {
                1 => self.in_minute,
                _ => Duration::ZERO,
            };
            self.in_minute = Duration::ZERO;
            self.minute = minute;
        }
        self.in_minute = self.in_minute.max(time);
        self.of_all = self.of_all.max(time);
    }

    pub(super) fn of_all(&self) -> Duration {
        self.of_all
    }

    /// Of this minute and the one before.
    pub(super) fn of_late(&self, now_ms: u64) -> Duration {
        match (now_ms / MINUTE_MS).saturating_sub(self.minute) {
            0 => self.in_minute.max(self.in_minute_before),
            1 => self.in_minute,
            _ => Duration::ZERO,
        }
    }
}

/// Counters of a reactor since it was made.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Connections the handler took.
    pub accepted: u64,
    /// Connections it refused.
    pub rejected: u64,
    /// Times that none could be accepted for want of descriptors or memory.
    pub exhausted: u64,
    /// Connections that have ended, by [`CloseReason`].
    pub closed: [u64; CloseReason::ALL.len()],
    /// Callbacks that have panicked.
    pub panics: u64,
    /// Bytes read from sockets.
    pub bytes_in: u64,
    /// Bytes that sockets took.
    pub bytes_out: u64,
    /// Durations of turns, from the end of the wait for events on.
    pub turns: Histogram,
    pub(super) longest_turn: LongestTurn,
}

/// Number of connections of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Await the answer to a connect, or the end of a TLS handshake.
    pub handshaking: usize,
    /// Bytes go both ways.
    pub open: usize,
    /// The last bytes are on their way, or the peer's own end is awaited.
    pub finishing: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_of_late_is_forgotten_and_that_of_all_is_not() {
        let of = Duration::from_millis;
        let mut longest = LongestTurn::default();
        longest.record(of(3), 10);
        longest.record(of(7), 59_999);
        longest.record(of(2), 60_000);
        assert_eq!((longest.of_all(), longest.of_late(60_000)), (of(7), of(7)));
        longest.record(of(1), 120_000);
        assert_eq!((longest.of_all(), longest.of_late(120_000)), (of(7), of(2)));
        // Nobody asks, and there are no turns either.
        assert_eq!(longest.of_late(180_000), of(1));
        assert_eq!(longest.of_late(240_000), Duration::ZERO);
        longest.record(of(4), 600_000);
        assert_eq!((longest.of_all(), longest.of_late(600_000)), (of(7), of(4)));
    }

    #[test]
    fn times_are_counted_under_every_bound_that_holds_them() {
        let mut histogram = Histogram::default();
        for us in [0, 50, 51, 5_000_000, 5_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[14], counts[15]), (2, 3, 4, 5));
        assert_eq!(counts.len(), 16);
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.sum(), Duration::from_micros(10_000_102));
        let last = histogram.cumulative().last().unwrap();
        assert_eq!(last, (None, 5));
    }
}
