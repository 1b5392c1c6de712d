//! Errors of the database file, and their log lines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::ErrorCode;

use super::StoreError;
use crate::app::limits::Throttle;
use crate::web::now;

/// Why the database did not do what it was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Full,
    Locked,
    ReadOnly,
    Damaged,
    Moved,
    /// The WAL, or its index.
    WalGone,
    /// By something else than SQLite.
    Overwritten,
    Unusable,
    /// No fault of the file: a statement is wrong, or memory is short.
    Other,
}

impl Cause {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Self::Unusable,
            _ => Self::Other,
        }
    }

    /// Error that it is reported as.
    pub(super) fn respond(self) -> StoreError {
        match self {
            Self::Full => StoreError::Full,
            _ => StoreError::Unavailable,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full",
            Self::Locked => "another process has locked it",
            Self::ReadOnly => "it may not be written",
            Self::Damaged => {
                "it is damaged (edgeloop check-db says how; a copy made by edgeloop backup is a \
                 way out)"
            }
            Self::Moved => {
                "it was moved, removed or replaced, which a running server does not follow: put it \
                 back, or restart"
            }
            Self::WalGone => {
                "its -wal or -shm was moved, removed or replaced, which a running server does not \
                 follow: put it back, or restart"
            }
            Self::Overwritten => {
                "something else than SQLite has written to it: stop the server, put the database in \
                 order as docs/operations.md says, and start it"
            }
            Self::Unusable => "it cannot be read or written",
            Self::Other => "a job failed",
        })
    }
}

/// The file, and what was said about it.
pub(super) struct StoreTrouble {
    file: PathBuf,
    start: Instant,
    /// A line a second about each cause.
    said: BTreeMap<Cause, Throttle>,
    /// Writes that failed since the last one that did not.
    writes_failed: usize,
}

impl StoreTrouble {
    /// No trouble yet with the database just opened at `file`.
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            start: now(),
            said: BTreeMap::new(),
            writes_failed: 0,
        }
    }

    /// Something failed: the log hears of it, unless it has just heard the same.
    pub(super) fn tell(&mut self, cause: Cause, error: &dyn fmt::Display) {
        let elapsed = now().saturating_duration_since(self.start);
        let now_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let Some(more) = self.said.entry(cause).or_default().hit(now_ms) else {
            return;
        };
        let file = self.file.display();
        match more {
            0 => log::error!("{file}: {cause}: {error}"),
            _ => log::error!("{file}: {cause}: {error} ({more} more since the last such line)"),
        }
    }

    /// So many writes were not stored, for a reason that was told.
    pub(super) fn writes_failed(&mut self, count: usize) {
        self.writes_failed += count;
    }

    /// Writes were stored. If they were not before, the log hears that this is over.
    pub(super) fn writes_stored(&mut self) {
        if self.writes_failed > 0 {
            let (file, failed) = (self.file.display(), self.writes_failed);
            log::info!("{file}: takes writes again; {failed} were refused");
            self.writes_failed = 0;
        }
    }
}
