//! A bounded queue of jobs from any thread to a fixed set of workers: in the order they came, or in turns
//! of the networks they are for.
//!
//! Unlike a channel it can be closed from the pushing side while other handles live, and it closes
//! itself when its last worker is gone: a job is refused, done, or dropped at once, never left lying.

mod fair;

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::fair::Fair;
use super::limits::ClientNetwork;
use crate::web::{Histogram, now};

/// Jobs are taken in the order they came.
pub(super) type Queue<T> = Pushing<VecDeque<Timed<T>>>;
/// Jobs are taken in turns of the networks they are for.
pub(super) type FairQueue<T> = Pushing<Fair<Timed<T>>>;
/// The taking side of a [`Queue`].
pub(super) type Worker<T> = Taking<VecDeque<Timed<T>>>;
/// The taking side of a [`FairQueue`].
pub(super) type FairWorker<T> = Taking<Fair<Timed<T>>>;

/// A job with the time it was queued.
type Timed<T> = (Instant, T);

/// Jobs that wait, in the order they are to be taken.
pub(super) trait Waiting: Default {
    type Job;

    fn count(&self) -> usize;

    fn take_next(&mut self) -> Option<Timed<Self::Job>>;
}

impl<T> Waiting for VecDeque<Timed<T>> {
    type Job = T;

    fn count(&self) -> usize {
        self.len()
    }

    fn take_next(&mut self) -> Option<Timed<T>> {
        self.pop_front()
    }
}

impl<T> Waiting for Fair<Timed<T>> {
    type Job = T;

    fn count(&self) -> usize {
        self.len()
    }

    fn take_next(&mut self) -> Option<Timed<T>> {
        self.pop()
    }
}

/// The pushing side. Pushing never waits for room.
pub(super) struct Pushing<W> {
    shared: Arc<QueueShared<W>>,
}

/// The taking side, one per worker thread. Dropping the last one closes the queue and drops what
/// is in it.
pub(super) struct Taking<W: Waiting> {
    shared: Arc<QueueShared<W>>,
    /// When it took what it is busy with.
    since: Cell<Option<Instant>>,
}

/// Load of a queue, now and so far.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// Jobs that wait.
    pub(super) waiting: usize,
    /// Waiting times of those that are under way or done.
    pub(super) waits: Histogram,
    /// Jobs for which there was no room.
    pub(super) rejected: u64,
    /// The time workers have spent on those that are done, all workers together.
    pub(super) busy: Duration,
}

struct QueueShared<W> {
    state: Mutex<QueueState<W>>,
    /// Time for which jobs kept their workers.
    busy_us: AtomicU64,
    changed: Condvar,
    jobs_max: usize,
}

struct QueueState<W> {
    jobs: W,
    waits: Histogram,
    rejected: u64,
    workers: usize,
    closed: bool,
}

impl<T> Queue<T> {
    /// Queues `job`, or gives it back when the queue is full or closed.
    pub(super) fn push(&self, job: T) -> Result<(), T> {
        let mut state = self.shared.lock();
        if state.closed || state.jobs.len() >= self.shared.jobs_max {
            state.rejected += 1;
            return Err(job);
        }
        state.jobs.push_back((now(), job));
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl<T> FairQueue<T> {
    /// Queues `job` for a network. When there is no room, the job that would be taken last has to go, if it
    /// is another one: the caller gets it back.
    ///
    /// # Errors
    /// There is no room for `job`, or the queue is closed.
    pub(super) fn push_for(&self, network: ClientNetwork, job: T) -> Result<Option<T>, T> {
        let mut state = self.shared.lock();
        if state.closed {
            state.rejected += 1;
            return Err(job);
        }
        let timed = (now(), job);
        let pushed = state.jobs.push(network, timed, self.shared.jobs_max);
        state.rejected += u64::from(!matches!(pushed, Ok(None)));
        drop(state);
        self.shared.changed.notify_one();
        match pushed {
            Ok(displaced) => Ok(displaced.map(|(_, job)| job)),
            Err((_, job)) => Err(job),
        }
    }
}

impl<W: Waiting> Pushing<W> {
    pub(super) fn new(jobs_max: usize) -> Self {
        let state = QueueState {
            jobs: W::default(),
            waits: Histogram::default(),
            rejected: 0,
            workers: 0,
            closed: false,
        };
        Self {
            shared: Arc::new(QueueShared {
                state: Mutex::new(state),
                busy_us: AtomicU64::new(0),
                changed: Condvar::new(),
                jobs_max,
            }),
        }
    }

    /// Load of a queue, now and so far.
    pub(super) fn load(&self) -> Load {
        let state = self.shared.lock();
        Load {
            waiting: state.jobs.count(),
            waits: state.waits.clone(),
            rejected: state.rejected,
            busy: Duration::from_micros(self.shared.busy_us.load(Ordering::Relaxed)),
        }
    }

    /// Refuses new jobs from now on; the workers end once they have done those already queued.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// A new worker's side. Jobs may be pushed before the first worker comes.
    pub(super) fn worker(&self) -> Taking<W> {
        self.shared.lock().workers += 1;
        Taking {
            shared: Arc::clone(&self.shared),
            since: Cell::new(None),
        }
    }
}

impl<W> Clone for Pushing<W> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<W: Waiting> Taking<W> {
    /// Waits for a job. `None`: the queue is closed and empty.
    pub(super) fn take(&self) -> Option<W::Job> {
        let mut job = None;
        self.begin(1, None, |taken| job = Some(taken));
        job
    }

    /// Waits for a job, `patience` long at most, then moves up to `jobs_max` of those queued to `into`,
    /// in order. `false`: the queue is closed and was empty.
    pub(super) fn take_many(
        &self,
        jobs_max: usize,
        patience: Duration,
        into: &mut Vec<W::Job>,
    ) -> bool {
        self.begin(jobs_max, Some(patience), |taken| into.push(taken))
    }

    fn begin(
        &self,
        jobs_max: usize,
        patience: Option<Duration>,
        mut take: impl FnMut(W::Job),
    ) -> bool {
        let mut state = self.wait(patience);
        if state.jobs.count() == 0 {
            return !state.closed;
        }
        let now = now();
        let QueueState { jobs, waits, .. } = &mut *state;
        for _ in 0..jobs_max {
            let Some((since, job)) = jobs.take_next() else {
                break;
            };
            waits.record(now.saturating_duration_since(since));
            take(job);
        }
        drop(state);
        self.since.set(Some(now));
        true
    }

    /// Notes that the job taken last is done.
    fn end(&self) {
        if let Some(since) = self.since.take() {
            let busy = now().saturating_duration_since(since);
            let us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
            self.shared.busy_us.fetch_add(us, Ordering::Relaxed);
        }
    }

    fn wait(&self, patience: Option<Duration>) -> MutexGuard<'_, QueueState<W>> {
        self.end();
        let idle = |state: &mut QueueState<W>| state.jobs.count() == 0 && !state.closed;
        let (changed, state) = (&self.shared.changed, self.shared.lock());
        match patience {
            None => changed
                .wait_while(state, idle)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let woken = changed.wait_timeout_while(state, patience, idle);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

impl<W: Waiting> Drop for Taking<W> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.workers = state.workers.saturating_sub(1);
        if state.workers > 0 {
            return;
        }
        state.closed = true;
        let undone = std::mem::take(&mut state.jobs);
        // Dropping a job answers it, and the answer may push here: not under the lock.
        drop(state);
        drop(undone);
    }
}

impl<W> QueueShared<W> {
    /// No code that can panic runs under the lock, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, QueueState<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Number of panics of workers since the process began.
pub(super) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Runs one piece of work so that a panic in it ends that work alone, not the worker's thread.
/// `work` must leave nothing half-done in what it borrows, or the caller must throw that away.
pub(super) fn shielded<T>(what: &str, work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) => {
            PANICS.fetch_add(1, Ordering::Relaxed);
            log::error!("{what} panicked: {}", reason(panic.as_ref()));
            None
        }
    }
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no reason given"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Nobody waits for so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let queue = Queue::new(2);
        let worker = queue.worker();
        assert_eq!(queue.push(1), Ok(()));
        assert_eq!(queue.push(2), Ok(()));
        assert_eq!(queue.push(3), Err(3));
        assert_eq!(worker.take(), Some(1));
        assert_eq!(queue.push(4), Ok(()));
    }

    #[test]
    fn jobs_are_taken_in_order_up_to_the_cap() {
        let queue = Queue::new(10);
        let worker = queue.worker();
        for n in 0..5 {
            queue.push(n).unwrap();
        }
        let mut taken = Vec::new();
        worker.take_many(3, PATIENCE, &mut taken);
        assert_eq!(taken, [0, 1, 2]);
        worker.take_many(3, PATIENCE, &mut taken);
        assert_eq!(taken, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_closed_queue_is_emptied_then_ends() {
        let queue = Queue::new(10);
        let worker = queue.worker();
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(2));
        assert_eq!(worker.take(), Some(1));
        assert_eq!(worker.take(), None);
    }

    #[test]
    fn closing_wakes_every_waiting_worker() {
        let queue = Queue::<u8>::new(1);
        let threads: Vec<_> = (0..3)
            .map(|_| queue.worker())
            .map(|worker| thread::spawn(move || worker.take()))
            .collect();
        queue.close();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), None);
        }
    }

    #[test]
    fn the_last_worker_to_leave_drops_what_is_queued() {
        let queue = Queue::new(10);
        let (first, last) = (queue.worker(), queue.worker());
        let job = Arc::new(());
        queue.push(Arc::clone(&job)).unwrap();
        drop(first);
        assert_eq!(Arc::strong_count(&job), 2);
        drop(last);
        assert_eq!(Arc::strong_count(&job), 1);
        assert!(queue.push(Arc::clone(&job)).is_err());
    }

    #[test]
    fn every_job_is_done_once_by_some_worker() {
        let queue = Queue::new(10_000);
        let threads: Vec<_> = (0..4)
            .map(|_| queue.worker())
            .map(|worker| {
                thread::spawn(move || std::iter::from_fn(|| worker.take()).collect::<Vec<u32>>())
            })
            .collect();
        for n in 0..10_000 {
            queue.push(n).unwrap();
        }
        queue.close();
        let mut done: Vec<u32> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        done.sort_unstable();
        assert_eq!(done, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_waits_what_waited_and_what_found_no_room_is_counted() {
        let queue = Queue::new(3);
        let worker = queue.worker();
        let pushed = (0..5).filter(|n| queue.push(*n).is_ok()).count();
        assert_eq!(pushed, 3);
        assert_eq!(worker.take(), Some(0));
        let load = queue.load();
        assert_eq!((load.waiting, load.waits.count(), load.rejected), (2, 1, 2));
        assert_eq!(load.busy, Duration::ZERO);
        worker.take_many(9, PATIENCE, &mut Vec::new());
        let load = queue.load();
        assert_eq!((load.waiting, load.waits.count(), load.rejected), (0, 3, 2));
    }

    #[test]
    fn a_panic_ends_its_own_work_alone() {
        assert_eq!(shielded("a test", || -> u8 { panic!("on purpose") }), None);
        assert_eq!(shielded("a test", || 1), Some(1));
    }
}
