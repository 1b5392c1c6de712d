//! Jobs, and the thread that runs them.

use super::StoreError;
use crate::app::queue::{Queue, Worker, shielded};
use crate::app::reply::{Overloaded, Promise, Reply};
use rusqlite::Connection;

/// Bounds the time a commit takes, and with it how long the first of its writes waits.
const BATCH_JOBS_MAX: usize = 256;

/// Work for the store's thread.
pub(super) enum Job {
    /// Answered as soon as it has run. Must change nothing.
    Read(Box<dyn Task>),
    /// Answered when it is durable.
    Write(Box<dyn Task>),
}

pub(super) type Answer<T> = Result<T, StoreError>;

/// How a job's work may fail: by the database, or by a rule of ours.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Refused(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// Queues work that changes nothing. `Err`: no room, and the reply was dropped uncalled.
pub(super) fn read<T: Send + 'static>(
    queue: &Queue<Job>,
    work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    reply: Reply<Answer<T>>,
) -> Result<(), Overloaded> {
    submit(queue, Job::Read(Pending::boxed(work, reply)))
}

/// Queues work that changes the database, and is undone if it fails. `Err` as for [`read`].
pub(super) fn write<T: Send + 'static>(
    queue: &Queue<Job>,
    work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    reply: Reply<Answer<T>>,
) -> Result<(), Overloaded> {
    submit(queue, Job::Write(Pending::boxed(work, reply)))
}

fn submit(queue: &Queue<Job>, job: Job) -> Result<(), Overloaded> {
    queue.push(job).map_err(|job| {
        match job {
            Job::Read(task) | Job::Write(task) => task.withdraw(),
        }
        Overloaded
    })
}

/// One job's work and the reply owed for it. Dropped unanswered, it answers `Unavailable`.
pub(super) trait Task: Send {
    /// Does the work and keeps its outcome; false when what it did is to be undone.
    fn run(&mut self, db: &Connection) -> bool;
    /// Answers with the outcome of `run`.
    fn answer(self: Box<Self>);
    /// Drops the reply uncalled.
    fn withdraw(self: Box<Self>);
}

struct Pending<T, F> {
    work: Option<F>,
    outcome: Answer<T>,
    promise: Promise<Answer<T>>,
}

impl<T, F> Pending<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
{
    fn boxed(work: F, reply: Reply<Answer<T>>) -> Box<dyn Task> {
        Box::new(Self {
            work: Some(work),
            outcome: Err(StoreError::Unavailable),
            promise: Promise::new(reply, || Err(StoreError::Unavailable)),
        })
    }
}

impl<T, F> Task for Pending<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
{
    fn run(&mut self, db: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        self.outcome = match shielded("a store job", || work(db)) {
            Some(Ok(done)) => Ok(done),
            Some(Err(Fault::Refused(error))) => Err(error),
            Some(Err(Fault::Sqlite(error))) => {
                log::error!("a store job failed: {error}");
                Err(StoreError::Unavailable)
            }
            None => Err(StoreError::Unavailable),
        };
        self.outcome.is_ok()
    }

    fn answer(self: Box<Self>) {
        let Self {
            outcome, promise, ..
        } = *self;
        promise.keep(outcome);
    }

    fn withdraw(self: Box<Self>) {
        self.promise.withdraw();
    }
}

/// Runs jobs until the queue is closed and empty.
pub(super) fn run(db: &Connection, worker: &Worker<Job>) {
    let mut batch = Vec::new();
    let mut writes = Vec::new();
    loop {
        worker.take_many(BATCH_JOBS_MAX, &mut batch);
        if batch.is_empty() {
            break;
        }
        for job in batch.drain(..) {
            match job {
                Job::Read(mut task) => {
                    task.run(db);
                    answer(task);
                }
                Job::Write(task) => writes.push(task),
            }
        }
        if !writes.is_empty() {
            write_group(db, &mut writes);
        }
    }
    // SQLite writes the WAL back when the connection closes, but says nothing if that fails.
    if let Err(error) = execute(db, "PRAGMA wal_checkpoint(TRUNCATE)") {
        log::warn!("the database's WAL was not written back, the next start will do it: {error}");
    }
}

fn write_group(db: &Connection, tasks: &mut Vec<Box<dyn Task>>) {
    match commit_group(db, tasks) {
        Ok(()) => tasks.drain(..).for_each(answer),
        Err(error) => {
            log::error!("{} writes were not committed: {error}", tasks.len());
            roll_back(db);
            // A dropped task answers `Unavailable`.
            tasks.drain(..).for_each(|task| {
                shielded("a reply", || drop(task));
            });
        }
    }
}

fn commit_group(db: &Connection, tasks: &mut [Box<dyn Task>]) -> rusqlite::Result<()> {
    execute(db, "BEGIN IMMEDIATE")?;
    for task in tasks {
        execute(db, "SAVEPOINT job")?;
        if !task.run(db) {
            // Some errors (disk full, I/O) end the whole transaction: then this fails, and the
            // group with it.
            execute(db, "ROLLBACK TO job")?;
        }
        execute(db, "RELEASE job")?;
    }
    execute(db, "COMMIT")
}

fn roll_back(db: &Connection) {
    if db.is_autocommit() {
        return;
    }
    if let Err(error) = execute(db, "ROLLBACK") {
        log::error!("a failed transaction was not rolled back: {error}");
    }
}

fn answer(task: Box<dyn Task>) {
    shielded("a reply", || task.answer());
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}
