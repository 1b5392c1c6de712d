//! The database: SQLite in one file, on one thread of its own.
//!
//! Jobs reach the thread through a bounded queue and never block who sends them. The thread takes
//! all that is queued, runs the reads and answers them, then runs the writes in one transaction
//! (group commit), each in a savepoint, so that a failing one undoes only itself. A write is
//! answered after the commit has been synced: an answer means durable.
//!
//! Order: writes take effect in the order they were sent. A read sees every write answered before
//! it was sent; one sent while a write is still unanswered may run before that write.

mod errors;
mod files;
mod logins;
pub mod maintenance;
mod pruning;
mod schema;
mod stops;
mod users;
mod worker;

pub use logins::{Login, LoginAttempt, Logins, Success};
pub use schema::OpenError;
pub use users::{Identified, NewUser, Renames, User, UserChanges, UserTable};

use super::pseudonyms::Pseudonyms;
use super::queue::{Load, Queue};
use files::Files;
use std::fmt;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use worker::StoreJob;

/// Options of a [`Store`].
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Jobs that may wait; one more is refused.
    pub queue_jobs_max: usize,
    /// Time to wait for another process that has locked the file: reads wait behind it.
    pub busy_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            queue_jobs_max: 1024,
            busy_timeout: Duration::from_secs(2),
        }
    }
}

/// Why a job did not do what it was to do. Nothing of it is in the database, with the one
/// exception every database has: after [`StoreError::Unavailable`] a write may prove to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Another user has this e-mail address, case of ASCII letters aside.
    EmailTaken,
    /// Another user has this username, or has had it.
    UsernameTaken,
    /// The user has changed the username as often as allowed.
    TooManyRenames {
        /// When to try again: the value for `Retry-After`.
        retry_after_s: u32,
    },
    /// There is no user with this id.
    NoSuchUser,
    /// The disk has no room for it.
    Full,
    /// The database failed (read-only, locked, damaged, ...); the cause is in the log.
    Unavailable,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmailTaken => "the e-mail address is taken",
            Self::UsernameTaken => "the username is taken",
            Self::TooManyRenames { .. } => "the username was changed too often",
            Self::NoSuchUser => "there is no such user",
            Self::Full => "the disk is full",
            Self::Unavailable => "the database is unavailable",
        })
    }
}

impl std::error::Error for StoreError {}

/// The open database and its thread. Dropping it does the jobs already queued, writes the WAL
/// back into the file and ends the thread.
pub struct Store {
    id: Box<str>,
    queue: Queue<StoreJob>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the database at `path`, making it (readable by its owner alone) if it is not there and
    /// bringing its schema up to date. Blocks: for the start of the server.
    ///
    /// # Errors
    /// [`OpenError`]; the file is as it was.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let db = schema::open(path, options.busy_timeout)?;
        let id = schema::id_of(&db)?;
        let queue = Queue::new(options.queue_jobs_max);
        let worker = queue.worker();
        let (path, patience) = (path.to_owned(), options.busy_timeout);
        let mut files = Files::of(&path);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                worker::run(&db, &path, &mut files, patience, &worker);
                // In this order: see `Files`.
                drop(db);
                drop(files);
            })
            .map_err(OpenError::Io)?;
        Ok(Self {
            id,
            queue,
            thread: Some(thread),
        })
    }

    /// Id of the database: random, made once, and the same in a copy.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns `true` if [`open`](Self::open) would find a database it can use, or room for a new one. Makes and
    /// changes nothing, also while a server uses it.
    ///
    /// # Errors
    /// As `open`.
    pub fn inspect(path: &Path, options: StoreOptions) -> Result<(), OpenError> {
        schema::inspect(path, options.busy_timeout)
    }

    /// The jobs about users.
    #[must_use]
    pub fn users(&self) -> UserTable {
        UserTable::new(self.queue.clone())
    }

    /// The jobs about logins, which mark what they store with `pseudonyms`.
    #[must_use]
    pub fn logins(&self, pseudonyms: Pseudonyms) -> Logins {
        Logins::new(self.queue.clone(), pseudonyms)
    }

    /// Load of its thread, now and so far.
    pub(super) fn load(&self) -> Load {
        self.queue.load()
    }

    /// Refuses new jobs, waits for those queued, writes the WAL back and ends the thread.
    pub fn close(self) {}
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue.close();
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        if ended.is_err() {
            log::error!("the store's thread ended by a panic");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
