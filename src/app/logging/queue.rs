//! Lines on their way to the writer thread: a bounded buffer, filled by many, emptied by one.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time for which the writer lets lines gather after the first. Bounds wake-ups and writes per second
/// under load, and callers make no system call while it lasts.
const GATHER: Duration = Duration::from_millis(10);
/// Limit on the bytes that gather: few enough to stay in the processor's cache until they are written.
const GATHER_BYTES: usize = 64 * 1024;

/// A bounded buffer of whole lines. Nobody but the writer and `flush` ever waits at it.
#[derive(Debug)]
pub(super) struct LineQueue {
    bytes_max: usize,
    state: Mutex<LineQueueState>,
    /// Wakes the writer.
    filled: Condvar,
    /// Wakes those who wait for the writer.
    written: Condvar,
}

#[derive(Debug, Default)]
struct LineQueueState {
    lines: Vec<u8>,
    /// Lines that found no room since the last batch.
    dropped: u64,
    /// Batches handed to the writer, and how many of them it has written.
    taken: u64,
    done: u64,
    writer: Writer,
    /// The log file is to be opened again before the next batch is written.
    reopen: bool,
    /// Somebody waits: do not gather.
    hurry: bool,
    closed: bool,
}

impl LineQueueState {
    /// Returns `true` if the writer has nothing to do.
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.reopen
    }
}

/// State of the writer thread, so that callers wake it only when that is needed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Writer {
    #[default]
    Busy,
    AwaitLine,
    Gather,
    Ended,
}

/// Facts about a batch for the writer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Lines that were dropped behind it.
    pub(super) dropped: u64,
    /// `true` if the log file is to be opened again first.
    pub(super) reopen: bool,
}

impl LineQueue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        }
    }

    /// Puts a line in, or counts it as dropped when there is no room.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if line.len() > self.bytes_max.saturating_sub(state.lines.len()) {
            state.dropped = state.dropped.saturating_add(1);
        } else {
            state.lines.extend_from_slice(line);
        }
        let wake = match state.writer {
            Writer::AwaitLine => true,
            Writer::Gather => self.has_gathered(&state),
            Writer::Busy | Writer::Ended => false,
        };
        if wake {
            // Once is enough, and the lock is better free when the writer comes.
            state.writer = Writer::Busy;
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Asks the writer to open the log file again, soon and also without a line.
    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        (state.reopen, state.hurry) = (true, true);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for lines, or another thing to do, and swaps them for the empty `batch`; `None` when the queue
    /// is closed and empty. For one writer only.
    pub(super) fn take(&self, batch: &mut Vec<u8>) -> Option<Taken> {
        let mut state = self.lock();
        state.done = state.taken;
        self.written.notify_all();
        if state.lines.is_empty() {
            state.writer = Writer::AwaitLine;
            state = self
                .filled
                .wait_while(state, |s| s.is_empty() && !s.closed)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.writer = Writer::Gather;
        (state, _) = self
            .filled
            .wait_timeout_while(state, GATHER, |s| {
                !s.hurry && !s.closed && !self.has_gathered(s)
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.writer = Writer::Busy;
        if state.is_empty() {
            state.writer = Writer::Ended;
            self.written.notify_all();
            return None;
        }
        state.hurry = false;
        state.taken += 1;
        mem::swap(&mut state.lines, batch);
        Some(Taken {
            dropped: mem::take(&mut state.dropped),
            reopen: mem::take(&mut state.reopen),
        })
    }

    /// Waits until all that was pushed before is written, but no longer than `patience`.
    /// Returns whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        let pending = !state.is_empty();
        let goal = state.taken + u64::from(pending);
        state.hurry |= pending;
        self.filled.notify_one();
        let (_state, waited) = self
            .written
            .wait_timeout_while(state, patience, |s| s.done < goal)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Takes no more lines, and waits for the writer to end, but no longer than `patience`.
    pub(super) fn close(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        state.closed = true;
        self.filled.notify_one();
        let (_state, waited) = self
            .written
            .wait_timeout_while(state, patience, |s| s.writer != Writer::Ended)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    fn has_gathered(&self, state: &LineQueueState) -> bool {
        state.lines.len() > GATHER_BYTES.min(self.bytes_max / 2)
    }

    fn lock(&self) -> MutexGuard<'_, LineQueueState> {
        // Nothing panics while it holds the lock; if it did, the state would still be sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
