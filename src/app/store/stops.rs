//! Which processes use the database: one that is noted and lives no more was not stopped in order, and
//! what it has left is checked before it is used.

use std::fs;

use rusqlite::{Connection, Transaction};

use super::schema::{OpenError, has_table};

/// Number of complaints of SQLite are passed on.
const COMPLAINTS_MAX: usize = 5;

pub(super) const TABLE: &str = "servers";

/// The table of those that run, each noted by its start and gone with its stop.
pub(super) fn table(db: &Transaction<'_>) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE servers (process TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID",
    )
}

/// Refuses a damaged database if a server did not stop in order. Else nobody waits for the check.
pub(super) fn reject_unsound(db: &Connection) -> Result<(), OpenError> {
    if !has_table(db, TABLE)? {
        return Ok(());
    }
    let mut statement = db.prepare("SELECT process FROM servers")?;
    let noted = statement.query_map([], |row| row.get::<_, String>(0))?;
    let noted = noted.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut gone = noted
        .into_iter()
        .filter(|process| !is_alive(process))
        .peekable();
    if gone.peek().is_none() {
        return Ok(());
    }
    log::warn!("the last stop was not in order: the database is checked");
    let mut statement = db.prepare(&format!("PRAGMA quick_check({COMPLAINTS_MAX})"))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut complaints = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    complaints.retain(|row| row != "ok");
    if !complaints.is_empty() {
        return Err(OpenError::Unsound(complaints));
    }
    for process in gone {
        db.execute("DELETE FROM servers WHERE process = ?1", [process])?;
    }
    Ok(())
}

/// This process uses the database.
pub(super) fn begin(db: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO servers VALUES (?1)";
    db.execute(sql, [this_process()]).map(drop)
}

/// And does no more.
pub(super) fn end(db: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM servers WHERE process = ?1";
    db.execute(sql, [this_process()]).map(drop)
}

fn this_process() -> String {
    let pid = std::process::id();
    format!("{} {pid} {}", boot(), started_at(pid).unwrap_or_default())
}

/// Returns `true` if this is a process of this machine that still runs. What cannot be told counts as gone,
/// which costs a check.
fn is_alive(process: &str) -> bool {
    let mut parts = process.split(' ');
    let (Some(at_boot), Some(pid), Some(since)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let started = pid.parse().ok().and_then(started_at);
    at_boot == boot() && started.is_some_and(|started| started == since)
}

/// Other with each start of the machine.
fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// When the process began, in the kernel's ticks: another one with the same number has begun later.
fn started_at(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the time is the 22nd field, 20th after it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18).map(str::to_owned))?
}
