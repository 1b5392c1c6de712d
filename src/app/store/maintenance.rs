//! Maintenance of a database, with the server running or not: checking it, and copying it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::schema::{self, OpenError};

/// Number of complaints of SQLite are passed on.
const COMPLAINTS_MAX: usize = 100;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a database was not checked, or not copied.
#[derive(Debug)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// The database cannot be opened.
    Open(PathBuf, OpenError),
    /// SQLite says why it cannot be read.
    Read(PathBuf, rusqlite::Error),
    /// Its content is damaged: SQLite's own words, one each.
    Unsound(PathBuf, Vec<String>),
    /// The copy cannot be written. Nothing is left of it.
    Write(PathBuf, io::Error),
    /// There is such a file already.
    Exists(PathBuf),
}

impl fmt::Display for MaintenanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(file, error) => write!(f, "{}: {error}", file.display()),
            Self::Read(file, error) => write!(f, "{}: cannot be read: {error}", file.display()),
            Self::Unsound(file, complaints) => {
                write!(f, "{}: is damaged", file.display())?;
                complaints
                    .iter()
                    .try_for_each(|complaint| write!(f, "\n  {complaint}"))
            }
            Self::Write(file, error) => write!(f, "{}: cannot be written: {error}", file.display()),
            Self::Exists(file) => write!(
                f,
                "{}: exists already, and a backup replaces nothing",
                file.display()
            ),
        }
    }
}

impl std::error::Error for MaintenanceError {}

/// Reads all of a database and says how many users it has. Safe while a server uses it.
///
/// # Errors
/// It cannot be read, or is damaged: [`MaintenanceError::Unsound`] says how.
pub fn check(path: &Path) -> Result<i64, MaintenanceError> {
    let db = open(path)?;
    let read = |error| MaintenanceError::Read(path.to_owned(), error);
    let mut complaints = Vec::new();
    {
        let sql = format!("PRAGMA integrity_check({COMPLAINTS_MAX})");
        let mut statement = db.prepare(&sql).map_err(read)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0));
        for row in rows.map_err(read)? {
            complaints.extend(Some(row.map_err(read)?).filter(|row| row != "ok"));
        }
        let mut statement = db.prepare("PRAGMA foreign_key_check").map_err(read)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0));
        for row in rows.map_err(read)?.take(COMPLAINTS_MAX) {
            let table = row.map_err(read)?;
            complaints.push(format!("a row of {table} refers to one that is not there"));
        }
    }
    if !complaints.is_empty() {
        return Err(MaintenanceError::Unsound(path.to_owned(), complaints));
    }
    let users = db.query_row("SELECT count(*) FROM users", [], |row| row.get(0));
    users.map_err(read)
}

/// Copies a database as it is at one moment, also while a server writes to it, and checks the copy. The
/// copy is synced, and only its owner can read it. Returns how many users it has.
///
/// # Errors
/// See [`MaintenanceError`]; there is no file at `to` that was not there before.
pub fn backup(from: &Path, to: &Path) -> Result<i64, MaintenanceError> {
    if to.exists() {
        return Err(MaintenanceError::Exists(to.to_owned()));
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let made = copy(from, &part, to);
    // Under its own name by now, or not wanted.
    fs::remove_file(&part).ok();
    made
}

fn copy(from: &Path, part: &Path, to: &Path) -> Result<i64, MaintenanceError> {
    let write = |error| MaintenanceError::Write(to.to_owned(), error);
    let db = open(from)?;
    // What an interrupted backup has left.
    fs::remove_file(part).ok();
    schema::create_private(part).map_err(|error| MaintenanceError::Open(part.to_owned(), error))?;
    let name = part.to_str().ok_or_else(|| {
        write(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the name is not UTF-8",
        ))
    })?;
    db.execute("VACUUM INTO ?1", [name]).map_err(|error| {
        let text = format!("{}: {error}", from.display());
        write(io::Error::other(text))
    })?;
    let users = check(part)?;
    File::open(part)
        .and_then(|file| file.sync_all())
        .map_err(write)?;
    // Unlike a rename this replaces nothing.
    fs::hard_link(part, to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => MaintenanceError::Exists(to.to_owned()),
        _ => write(error),
    })?;
    let folder = to.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or_else(|| Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(write)?;
    Ok(users)
}

/// Opens a database of ours, of any version that is known, and changes nothing.
fn open(path: &Path) -> Result<Connection, MaintenanceError> {
    let open = |error: rusqlite::Error| MaintenanceError::Open(path.to_owned(), error.into());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(open)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    schema::reject_unknown(&db).map_err(|error| MaintenanceError::Open(path.to_owned(), error))?;
    Ok(db)
}
