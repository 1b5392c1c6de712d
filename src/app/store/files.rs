//! `true` if the files under the open connection are still those it has opened, and the main file holds
//! what SQLite has written.
//!
//! In WAL mode SQLite writes to the main file only while it writes the WAL back, and notes that in the
//! WAL-index before the first page and after the last. A main file that has changed without such a note
//! was written by something else.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::errors::Cause;

/// As much of the WAL-index as is looked at.
const INDEX_BYTES: usize = 136;

/// The three files of a database in use.
///
/// It keeps the WAL-index open, and must be dropped after the connection: closing any descriptor of
/// a file takes all of this process's locks on it away.
#[derive(Debug)]
pub(super) struct Files {
    main: Named,
    wal: Named,
    index: Named,
    index_read: Option<File>,
    seen: Option<Seen>,
    is_overwritten: bool,
}

/// A name, and the device and number of the file that it led to.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    opened: Option<(u64, u64)>,
}

/// The main file as it was, and what the WAL-index said just before.
#[derive(Debug)]
struct Seen {
    changed_at: (i64, i64),
    size: u64,
    progress: Progress,
}

/// Progress of writing back the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// Others with each new start of the WAL.
    salts: [u8; 8],
    /// Frames written back.
    done: [u8; 4],
    /// Frames that somebody has begun to write back.
    begun: [u8; 4],
}

impl Files {
    /// Those of the database that was just opened at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let followed = followed(path);
        let index = Named::beside(&followed, "-shm");
        let index_read = match File::open(&index.path) {
            Ok(file) => Some(file),
            Err(error) => {
                let name = index.path.display();
                log::warn!(
                    "{name}: cannot be read, so nobody sees who writes to the database: {error}"
                );
                None
            }
        };
        let mut files = Self {
            main: Named::beside(path, ""),
            wal: Named::beside(&followed, "-wal"),
            index,
            index_read,
            seen: None,
            is_overwritten: false,
        };
        files.has_foreign_change();
        files
    }

    /// Looks for faults of them. A file that was put back is the one that was opened; what was written
    /// over is not made good by anything but a start.
    pub(super) fn look(&mut self) -> Option<Cause> {
        if self.is_overwritten {
            return Some(Cause::Overwritten);
        }
        if self.main.is_gone() {
            return Some(Cause::Moved);
        }
        if self.wal.is_gone() || self.index.is_gone() {
            return Some(Cause::WalGone);
        }
        self.is_overwritten = self.has_foreign_change();
        self.is_overwritten.then_some(Cause::Overwritten)
    }

    /// Returns `true` if nobody else can have begun another WAL.
    pub(super) fn is_wal_ours_alone(&self) -> bool {
        self.main.is_opened() && (self.wal.is_opened() || self.wal.is_missing())
    }

    /// Returns `true` if the name of the WAL leads to ours.
    pub(super) fn has_wal(&self) -> bool {
        self.wal.is_opened()
    }

    fn has_foreign_change(&mut self) -> bool {
        // The index is read on both sides: somebody may write back just now.
        let Some(before) = self.progress() else {
            return false;
        };
        let Ok(main) = fs::metadata(&self.main.path) else {
            return false;
        };
        let Some(after) = self.progress() else {
            return false;
        };
        let now = Seen {
            changed_at: (main.mtime(), main.mtime_nsec()),
            size: main.size(),
            progress: before,
        };
        let is_foreign = self.seen.as_ref().is_some_and(|seen| {
            let is_changed = (seen.changed_at, seen.size) != (now.changed_at, now.size);
            let is_by_sqlite = seen.progress != after
                || [seen.progress, before, after]
                    .iter()
                    .any(Progress::is_under_way);
            is_changed && !is_by_sqlite
        });
        self.seen = Some(now);
        is_foreign
    }

    fn progress(&self) -> Option<Progress> {
        let mut bytes = [0; INDEX_BYTES];
        let index = self.index_read.as_ref()?;
        index.read_exact_at(&mut bytes, 0).ok()?;
        Progress::read(&bytes)
    }
}

impl Named {
    fn beside(path: &Path, suffix: &str) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        let opened = identity(&path).ok();
        Self { path, opened }
    }

    /// Returns `true` if the file is gone. One that cannot be looked at counts as there: SQLite reports its error.
    fn is_gone(&self) -> bool {
        match identity(&self.path) {
            Ok(found) => self.opened.is_some_and(|opened| opened != found),
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }

    fn is_opened(&self) -> bool {
        identity(&self.path).ok() == self.opened
    }

    fn is_missing(&self) -> bool {
        identity(&self.path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }
}

impl Progress {
    /// From the places that SQLite's file format gives them.
    fn read(index: &[u8; INDEX_BYTES]) -> Option<Self> {
        Some(Self {
            salts: index.get(32..40)?.try_into().ok()?,
            done: index.get(96..100)?.try_into().ok()?,
            begun: index.get(128..132)?.try_into().ok()?,
        })
    }

    fn is_under_way(&self) -> bool {
        self.done != self.begun
    }
}

/// The file that a link leads to: SQLite keeps its others beside that one. A path that is none is left as it
/// is, for it stays good when a folder above it is renamed.
pub(super) fn followed(path: &Path) -> PathBuf {
    let is_link = path
        .symlink_metadata()
        .is_ok_and(|found| found.is_symlink());
    let followed = is_link.then(|| fs::canonicalize(path).ok()).flatten();
    followed.unwrap_or_else(|| path.to_path_buf())
}

fn identity(file: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(file)?;
    Ok((metadata.dev(), metadata.ino()))
}
