//! Jobs, and the thread that runs them.

use super::StoreError;
use super::errors::{Cause, StoreTrouble};
use super::files::Files;
use super::stops;
use crate::app::completion::{Completion, Overloaded, Promise};
use crate::app::queue::{Queue, Worker, shielded};
use crate::web::now;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bounds the time a commit takes, and with it how long the first of its writes waits.
const BATCH_JOBS_MAX: usize = 256;
/// Time to wait for a lock that was waited for in vain before.
const LOCKED_PATIENCE: Duration = Duration::from_millis(50);

/// Time for which reads rely on the last look at the files.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Interval of looks at the files while there is no work.
const IDLE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Work for the store's thread.
pub(super) enum StoreJob {
    /// Answered as soon as it has run. Must change nothing.
    Read(Box<dyn Task>),
    /// Answered when it is durable.
    Write(Box<dyn Task>),
}

pub(super) type JobOutcome<T> = Result<T, StoreError>;

/// Failure of a job: by the database, or by a rule of ours.
pub(super) enum StoreFault {
    Sqlite(rusqlite::Error),
    Refused(StoreError),
}

impl From<rusqlite::Error> for StoreFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for StoreFault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// Queues work that changes nothing. `Err`: no room, and the reply was dropped uncalled.
pub(super) fn read<T: Send + 'static>(
    queue: &Queue<StoreJob>,
    work: impl FnOnce(&Connection) -> Result<T, StoreFault> + Send + 'static,
    reply: Completion<JobOutcome<T>>,
) -> Result<(), Overloaded> {
    submit(queue, StoreJob::Read(Pending::boxed(work, reply)))
}

/// Queues work that changes the database, and is undone if it fails. `Err` as for [`read`].
pub(super) fn write<T: Send + 'static>(
    queue: &Queue<StoreJob>,
    work: impl FnOnce(&Connection) -> Result<T, StoreFault> + Send + 'static,
    reply: Completion<JobOutcome<T>>,
) -> Result<(), Overloaded> {
    submit(queue, StoreJob::Write(Pending::boxed(work, reply)))
}

fn submit(queue: &Queue<StoreJob>, job: StoreJob) -> Result<(), Overloaded> {
    queue.push(job).map_err(|job| {
        match job {
            StoreJob::Read(task) | StoreJob::Write(task) => task.withdraw(),
        }
        Overloaded
    })
}

/// One job's work and the reply owed for it. Dropped unanswered, it answers `Unavailable`.
pub(super) trait Task: Send {
    /// Does the work and keeps its outcome.
    fn run(&mut self, db: &Connection) -> Ran;
    /// Answers with the outcome of `run`.
    fn respond(self: Box<Self>);
    /// Answers that the database failed.
    fn fail(self: Box<Self>, error: StoreError);
    /// Drops the reply uncalled.
    fn withdraw(self: Box<Self>);
}

/// Outcome of a task's work. Unless it is done, its changes are rolled back.
pub(super) enum Ran {
    Done,
    /// A rule of ours forbids it, or it panicked.
    Refused,
    Failed(rusqlite::Error),
}

struct Pending<T, F> {
    work: Option<F>,
    outcome: JobOutcome<T>,
    promise: Promise<JobOutcome<T>>,
}

impl<T, F> Pending<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreFault> + Send + 'static,
{
    fn boxed(work: F, reply: Completion<JobOutcome<T>>) -> Box<dyn Task> {
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
    F: FnOnce(&Connection) -> Result<T, StoreFault> + Send + 'static,
{
    fn run(&mut self, db: &Connection) -> Ran {
        let Some(work) = self.work.take() else {
            return Ran::Refused;
        };
        let (outcome, ran) = match shielded("a store job", || work(db)) {
            Some(Ok(done)) => (Ok(done), Ran::Done),
            Some(Err(StoreFault::Refused(error))) => (Err(error), Ran::Refused),
            Some(Err(StoreFault::Sqlite(error))) => {
                (Err(Cause::of(&error).respond()), Ran::Failed(error))
            }
            None => (Err(StoreError::Unavailable), Ran::Refused),
        };
        self.outcome = outcome;
        ran
    }

    fn respond(self: Box<Self>) {
        let Self {
            outcome, promise, ..
        } = *self;
        promise.keep(outcome);
    }

    fn fail(self: Box<Self>, error: StoreError) {
        self.promise.keep(Err(error));
    }

    fn withdraw(self: Box<Self>) {
        self.promise.withdraw();
    }
}

/// Runs jobs until the queue is closed and empty.
pub(super) fn run(
    db: &Connection,
    file: &Path,
    files: &mut Files,
    patience: Duration,
    worker: &Worker<StoreJob>,
) {
    let mut desk = Desk {
        db,
        files,
        found_well: None,
        patience,
        is_locked: false,
        trouble: StoreTrouble::new(file),
    };
    let mut batch = Vec::new();
    let mut writes = Vec::new();
    while worker.take_many(BATCH_JOBS_MAX, IDLE_LOOK_EVERY, &mut batch) {
        if batch.is_empty() {
            desk.look_idly();
        }
        for job in batch.drain(..) {
            match job {
                StoreJob::Read(task) => desk.read(task),
                StoreJob::Write(task) => writes.push(task),
            }
        }
        if !writes.is_empty() {
            desk.write(&mut writes);
        }
    }
    desk.leave();
}

/// Why a group of writes is not in the database.
struct Lost {
    cause: Cause,
    error: String,
}

impl From<rusqlite::Error> for Lost {
    fn from(error: rusqlite::Error) -> Self {
        Self {
            cause: Cause::of(&error),
            error: described(&error),
        }
    }
}

/// Resources of the thread.
struct Desk<'a> {
    db: &'a Connection,
    files: &'a mut Files,
    /// When the files were looked at last, if nothing was wrong with them.
    found_well: Option<Instant>,
    /// Time to wait for a lock of another process.
    patience: Duration,
    /// `true` if it was in vain the last time.
    is_locked: bool,
    trouble: StoreTrouble,
}

impl Desk<'_> {
    /// Looks for faults of the files.
    fn look(&mut self) -> Option<Cause> {
        let found = self.files.look();
        self.found_well = found.is_none().then(now);
        if found == Some(Cause::WalGone) && self.files.is_wal_ours_alone() {
            // Nobody finds a WAL without a name again, and what is in it was acknowledged.
            if let Err(error) = execute(self.db, "PRAGMA wal_checkpoint(PASSIVE)") {
                self.tell(&error);
            }
        }
        found
    }

    /// The same, as of a moment ago.
    fn glance(&mut self) -> Option<Cause> {
        let holds = |at| now().saturating_duration_since(at) < LOOK_EVERY;
        if self.found_well.is_some_and(holds) {
            return None;
        }
        self.look()
    }

    /// While there is nothing to do: the process may be killed or another may take over before there is.
    fn look_idly(&mut self) {
        if let Some(cause) = self.look() {
            self.tell_of(cause, "nobody has asked for it");
        }
    }

    fn read(&mut self, mut task: Box<dyn Task>) {
        if let Some(cause) = self.glance() {
            self.tell_of(cause, "nothing was read");
            shielded("a reply", || task.fail(cause.respond()));
            return;
        }
        if let Ran::Failed(error) = task.run(self.db) {
            self.tell(&error);
        }
        respond(task);
    }

    fn write(&mut self, tasks: &mut Vec<Box<dyn Task>>) {
        match self.commit_group(tasks) {
            Ok(()) => {
                self.set_locked(false);
                self.trouble.writes_stored();
                tasks.drain(..).for_each(respond);
            }
            Err(Lost { cause, error }) => {
                self.tell_of(cause, &error);
                self.trouble.writes_failed(tasks.len());
                roll_back(self.db);
                self.set_locked(cause == Cause::Locked);
                tasks.drain(..).for_each(|task| {
                    shielded("a reply", || task.fail(cause.respond()));
                });
            }
        }
    }

    fn commit_group(&mut self, tasks: &mut [Box<dyn Task>]) -> Result<(), Lost> {
        if let Some(cause) = self.look() {
            return Err(Lost {
                cause,
                error: "nothing was written".to_owned(),
            });
        }
        execute(self.db, "BEGIN IMMEDIATE")?;
        for task in tasks {
            execute(self.db, "SAVEPOINT job")?;
            match task.run(self.db) {
                Ran::Done => {}
                Ran::Refused => execute(self.db, "ROLLBACK TO job")?,
                // Some errors (disk full, I/O) end the whole transaction, and the group with it.
                Ran::Failed(error) if self.db.is_autocommit() => return Err(error.into()),
                Ran::Failed(error) => {
                    self.tell(&error);
                    execute(self.db, "ROLLBACK TO job")?;
                }
            }
            execute(self.db, "RELEASE job")?;
        }
        execute(self.db, "COMMIT")?;
        match self.look() {
            Some(cause) => Err(Lost {
                cause,
                error: "what was just written may not be found again".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Leaves the files to the next start.
    fn leave(&mut self) {
        let found = self.look();
        let is_sound = found != Some(Cause::Overwritten) && self.files.is_wal_ours_alone();
        // SQLite writes the WAL back when the connection closes, but says nothing if that fails.
        let written = if found.is_none() {
            stops::end(self.db).and_then(|()| execute(self.db, "PRAGMA wal_checkpoint(TRUNCATE)"))
        } else if is_sound || found == Some(Cause::Moved) {
            execute(self.db, "PRAGMA wal_checkpoint(TRUNCATE)")
        } else {
            Ok(())
        };
        if let Err(error) = written {
            log::warn!(
                "the database's WAL was not written back, the next start will do it: {error}"
            );
        }
        if let Some(cause) = found {
            self.tell_of(cause, "it is left as it is");
        }
        // And removes what has the name of the WAL, which must be ours.
        if !self.files.has_wal() || found == Some(Cause::Overwritten) {
            let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            if let Err(error) = self.db.set_db_config(keep, true) {
                log::error!("the database's WAL may be written back or removed: {error}");
            }
        }
    }

    fn tell(&mut self, error: &rusqlite::Error) {
        self.tell_of(Cause::of(error), &described(error));
    }

    fn tell_of(&mut self, cause: Cause, error: &str) {
        self.trouble.tell(cause, &error);
        if cause == Cause::Damaged {
            // Pages that are kept are not read again: a repaired one would not be seen.
            execute(self.db, "PRAGMA shrink_memory").ok();
        }
    }

    /// While another process holds on to its lock, reads are not to wait behind every group of writes.
    fn set_locked(&mut self, is_locked: bool) {
        if self.is_locked == is_locked {
            return;
        }
        self.is_locked = is_locked;
        let patience = if is_locked {
            self.patience.min(LOCKED_PATIENCE)
        } else {
            self.patience
        };
        if let Err(error) = self.db.busy_timeout(patience) {
            log::error!("the store's patience cannot be changed: {error}");
        }
    }
}

/// The words of SQLite, and its number for them, which says more.
fn described(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(code) => format!("{error} (SQLite {})", code.extended_code),
        None => error.to_string(),
    }
}

fn roll_back(db: &Connection) {
    if db.is_autocommit() {
        return;
    }
    if let Err(error) = execute(db, "ROLLBACK") {
        log::error!("a failed transaction was not rolled back: {error}");
    }
}

fn respond(task: Box<dyn Task>) {
    shielded("a reply", || task.respond());
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}
