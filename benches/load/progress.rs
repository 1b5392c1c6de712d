//! A line of progress, once a second.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Lines on standard error, if somebody is there to read them.
pub(crate) struct Progress {
    is_on: bool,
    start: Instant,
    next: Instant,
}

impl Progress {
    pub(crate) fn new(is_wanted: bool) -> Self {
        let now = Instant::now();
        Self {
            is_on: is_wanted || io::stderr().is_terminal(),
            start: now,
            next: now + Duration::from_secs(1),
        }
    }

    /// Tells this if it is time again.
    pub(crate) fn tick(&mut self, line: impl FnOnce() -> String) {
        if !self.is_on {
            return;
        }
        let now = Instant::now();
        if now >= self.next {
            self.next = now + Duration::from_secs(1);
            let seconds = now.saturating_duration_since(self.start).as_secs();
            writeln!(io::stderr(), "{seconds:>4} s  {}", line()).ok();
        }
    }
}
