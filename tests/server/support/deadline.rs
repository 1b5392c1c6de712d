//! Waiting for a condition, with an end.

use std::time::{Duration, Instant};

/// Time that a test waits for something that should happen at once on an idle machine.
///
/// It is long because a full machine is slow, and costs nothing when the condition holds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Interval at which a condition is polled that nothing announces.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A moment after which waiting is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// [`PATIENCE`] from now.
    pub(crate) fn new() -> Self {
        Self(now() + PATIENCE)
    }

    /// Time left, or `None` when the moment has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0
            .checked_duration_since(now())
            .filter(|left| !left.is_zero())
    }
}

/// Polls `probe` until it gives a value.
///
/// # Panics
///
/// When it has given none within [`PATIENCE`]; `what` says what was missing.
pub(crate) fn wait_for<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    poll(probe).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// As [`wait_for`], but gives `None` when the time is up.
pub(crate) fn poll<T>(probe: impl FnMut() -> Option<T>) -> Option<T> {
    poll_for(PATIENCE, probe)
}

/// As [`poll`], with a patience of one's own.
pub(crate) fn poll_for<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline(now() + patience);
    loop {
        let found = probe();
        if found.is_some() || deadline.left().is_none() {
            return found;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests watch real processes; the ban is for the code under test"
)]
fn now() -> Instant {
    Instant::now()
}
