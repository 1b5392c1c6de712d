//! Opening the file, and its schema with numbered migrations (`PRAGMA user_version`).
//!
//! A database of the C design has `user_version` 0 and a table `User`. Its users are copied into
//! `users`, ids kept, with their PBKDF2 hash and salt, and `User` itself stays in the file as it
//! was: the C server can go back to it. When a user's hash has become argon2id, hash and salt
//! of that row of `User` are blanked (see `users::replace_credential`), since a weak hash beside
//! a strong one would undo the gain. To keep a way back for these users too, copy the file before
//! the first start. The table may be dropped at any time; rows added to it later are not seen.
//!
//! E-mail addresses are unique without regard to the case of ASCII letters. A C-design database
//! may hold addresses that differ in case alone: these stay, and work, so the rule stands in
//! triggers, which judge what is written from now on, and not in a unique index.

use super::errors::Cause;
use super::files::followed;
use super::stops;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::fmt;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Statements kept prepared; more than there are.
const STATEMENTS_CACHED: usize = 64;

type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Additions after version 2, by the first table each brings. The version before can go on with a file
/// that has them, and does, while one server takes over from another: it does not look at the tables, and
/// triggers keep them. So they leave `user_version` as it is.
const ADDITIONS: [(&str, Migration); 3] = [
    ("usernames", usernames),
    ("database_id", database_id),
    (stops::TABLE, stops::table),
];

/// The migration at index n leads from `user_version` n to n + 1.
const MIGRATIONS: [Migration; 2] = [users, logins];

/// Why the database was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Written by a newer server, or by another program.
    UnknownVersion {
        /// The file's `user_version`.
        found: i64,
        /// The newest version this server knows.
        known: usize,
    },
    /// The file system does not allow SQLite's write-ahead log.
    NoWal,
    /// The file, or what SQLite keeps beside it, may be read and not written.
    ReadOnly,
    /// It is no SQLite database, or not a whole one.
    Damaged(rusqlite::Error),
    /// A server was not stopped in order, and this is what SQLite says of the database now.
    Unsound(Vec<String>),
    /// The file could not be made, or the thread not started.
    Io(std::io::Error),
    /// SQLite says why.
    Sqlite(rusqlite::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion { found, known } => write!(
                f,
                "the database has schema version {found}, this server knows those up to {known}"
            ),
            Self::NoWal => f.write_str("the database cannot use a write-ahead log where it is"),
            Self::ReadOnly => f.write_str(
                "the database may not be written by this user, or is on a read-only file system",
            ),
            Self::Damaged(error) => write!(
                f,
                "{error}: this is no database, or it is damaged; a copy made by edgeloop backup can \
                 take its place"
            ),
            Self::Unsound(complaints) => write!(
                f,
                "the last stop was not in order, and the database is damaged ({}): see all of it with \
                 edgeloop check-db, and put a copy made by edgeloop backup in its place, as \
                 docs/operations.md says",
                complaints.join("; ")
            ),
            Self::Io(error) => write!(f, "the database could not be opened: {error}"),
            Self::Sqlite(error) => write!(f, "the database could not be opened: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Sqlite(error) | Self::Damaged(error) => Some(error),
            Self::UnknownVersion { .. } | Self::NoWal | Self::ReadOnly | Self::Unsound(_) => None,
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match Cause::of(&error) {
            Cause::ReadOnly => Self::ReadOnly,
            Cause::Damaged => Self::Damaged(error),
            _ => Self::Sqlite(error),
        }
    }
}

/// Opens the file, sets the connection up and migrates the schema.
pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(busy_timeout)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    reject_unknown(&db)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::NoWal);
    }
    reject_read_only(&db)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // Old password hashes are overwritten, not just unlinked.
    db.pragma_update(None, "secure_delete", true)?;
    stops::reject_unsound(&db)?;
    // A WAL found here is taken for one that is being written back, until it is: see `Files`.
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    migrate(&mut db)?;
    add(&mut db)?;
    stops::begin(&db)?;
    Ok(db)
}

/// Checks everything that [`open`] checks before it changes anything, without making or changing a file.
///
/// # Errors
/// As [`open`].
pub(super) fn inspect(path: &Path, busy_timeout: Duration) -> Result<(), OpenError> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            return Err(OpenError::ReadOnly);
        }
        Err(error) => return Err(OpenError::Io(error)),
    }
    let mut flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let path = &followed(path);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let db = match path.to_str() {
        // Without a log nobody is using it: read as a file that does not change, it stays alone.
        Some(name) if !Path::new(&log).exists() => {
            flags |= OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable_uri(name), flags)?
        }
        _ => Connection::open_with_flags(path, flags)?,
    };
    db.busy_timeout(busy_timeout)?;
    reject_unknown(&db)?;
    db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(())
}

/// The name of a file as SQLite's URIs have it, for reading without locks and without a file beside it.
fn immutable_uri(name: &str) -> String {
    let mut uri = "file:".to_owned();
    for c in name.chars() {
        match c {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            c => uri.push(c),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Makes an empty file only its owner can read; SQLite gives its WAL the same mode.
pub(super) fn create_private(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => follow_private(path),
        Err(error) => Err(OpenError::Io(error)),
    }
}

/// A link is there, too, and may lead to a file that is yet to be made.
fn follow_private(path: &Path) -> Result<(), OpenError> {
    if !path
        .symlink_metadata()
        .is_ok_and(|found| found.is_symlink())
    {
        return Ok(());
    }
    let made = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        // Whether it may be written is looked at later.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(()),
        Err(error) => Err(OpenError::Io(error)),
    }
}

/// SQLite opens what it may not write for reading alone, and would say so with the first write.
fn reject_read_only(db: &Connection) -> Result<(), OpenError> {
    if db.is_readonly("main")? {
        return Err(OpenError::ReadOnly);
    }
    match db.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
        Ok(()) => Ok(()),
        // Who writes just now will be done in a while.
        Err(error) if Cause::of(&error) == Cause::Locked => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn migrate(db: &mut Connection) -> Result<(), OpenError> {
    while usize::from(reject_unknown(db)?) < MIGRATIONS.len() {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read again under the lock: another process may have migrated in between.
        let version = reject_unknown(&transaction)?;
        if let Some(migration) = MIGRATIONS.get(usize::from(version)) {
            migration(&transaction)?;
            transaction.pragma_update(None, "user_version", version + 1)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Makes the additions that are not there.
fn add(db: &mut Connection) -> Result<(), OpenError> {
    for (table, addition) in ADDITIONS {
        if has_table(db, table)? {
            continue;
        }
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Looked for again under the lock: another process may have been first.
        if !has_table(&transaction, table)? {
            addition(&transaction)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// The database's id.
pub(super) fn id_of(db: &Connection) -> rusqlite::Result<Box<str>> {
    db.query_row("SELECT id FROM database_id", [], |row| row.get(0))
}

/// The schema's version, if it is one we know.
pub(super) fn reject_unknown(db: &Connection) -> Result<u8, OpenError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len();
    u8::try_from(found)
        .ok()
        .filter(|version| usize::from(*version) <= known)
        .ok_or(OpenError::UnknownVersion { found, known })
}

/// Version 1. `AUTOINCREMENT` because an id is what a token names: one that was deleted must
/// never come back as someone else.
fn users(db: &Transaction<'_>) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE users (
            id            INTEGER PRIMARY KEY AUTOINCREMENT,
            name          TEXT    NOT NULL,
            username      TEXT    NOT NULL UNIQUE,
            email         TEXT    NOT NULL UNIQUE,
            password_hash TEXT,
            legacy_hash   BLOB,
            legacy_salt   BLOB,
            created_at    INTEGER NOT NULL DEFAULT (unixepoch()),
            CHECK (password_hash IS NULL OR legacy_hash IS NULL),
            CHECK ((legacy_hash IS NULL) = (legacy_salt IS NULL))
        ) STRICT;
        CREATE INDEX users_by_email ON users (email COLLATE NOCASE);
        CREATE INDEX users_with_legacy_hash ON users (id) WHERE legacy_hash IS NOT NULL;",
    )?;
    if has_c_design_table(db)? {
        copy_c_design_users(db)?;
    }
    db.execute_batch(
        "CREATE TRIGGER users_email_inserted BEFORE INSERT ON users
        WHEN EXISTS (SELECT 1 FROM users WHERE email = NEW.email COLLATE NOCASE)
        BEGIN SELECT RAISE(ABORT, 'the e-mail address is taken'); END;
        CREATE TRIGGER users_email_updated BEFORE UPDATE OF email ON users
        WHEN NEW.email IS NOT OLD.email AND EXISTS (
            SELECT 1 FROM users WHERE email = NEW.email COLLATE NOCASE AND id <> NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the e-mail address is taken'); END;",
    )
}

/// Version 2. What accounts have failed, under marks of their names (see `marks`), and from where
/// users have logged in. The indices are in the order in which rows are forgotten.
fn logins(db: &Transaction<'_>) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE login_failures (
            account        BLOB    PRIMARY KEY,
            failures       INTEGER NOT NULL,
            last_failed_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX login_failures_by_weight ON login_failures (failures, last_failed_at);
        CREATE TABLE known_networks (
            user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            network BLOB    NOT NULL,
            seen_at INTEGER NOT NULL,
            PRIMARY KEY (user_id, network)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX known_networks_by_age ON known_networks (seen_at);",
    )
}

/// Every name that was ever a user's, and when each user has changed it of late. A name belongs to the
/// user who had it last for good, also when the user is gone, so `user_id` refers to no row. The triggers
/// hold that for whoever writes, a server of the version before too.
fn usernames(db: &Transaction<'_>) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE usernames (
            username    TEXT    PRIMARY KEY,
            user_id     INTEGER NOT NULL,
            given_up_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX usernames_by_user ON usernames (user_id, given_up_at);
        INSERT INTO usernames (username, user_id) SELECT username, id FROM users;
        CREATE TRIGGER users_username_inserted BEFORE INSERT ON users
        WHEN EXISTS (SELECT 1 FROM usernames WHERE username = NEW.username)
        BEGIN SELECT RAISE(ABORT, 'the username is taken'); END;
        CREATE TRIGGER users_username_noted AFTER INSERT ON users
        BEGIN INSERT INTO usernames (username, user_id) VALUES (NEW.username, NEW.id); END;
        CREATE TRIGGER users_username_updated BEFORE UPDATE OF username ON users
        WHEN EXISTS (
            SELECT 1 FROM usernames WHERE username = NEW.username AND user_id <> NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the username is taken'); END;
        CREATE TRIGGER users_username_given_up AFTER UPDATE OF username ON users
        WHEN NEW.username <> OLD.username
        BEGIN
            UPDATE usernames SET given_up_at = unixepoch() WHERE username = OLD.username;
            INSERT INTO usernames (username, user_id) VALUES (NEW.username, NEW.id)
            ON CONFLICT (username) DO UPDATE SET given_up_at = NULL;
        END;
        CREATE TABLE renames (
            user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            renamed_at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX renames_by_user ON renames (user_id, renamed_at);",
    )
}

/// Id of the database in tokens: random, made once, and copied with the file.
fn database_id(db: &Transaction<'_>) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE database_id (id TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
        INSERT INTO database_id VALUES (lower(hex(randomblob(16))));",
    )
}

/// Returns `true` if the file has the table `User` of the C design.
pub(super) fn has_c_design_table(db: &Connection) -> rusqlite::Result<bool> {
    has_table(db, "User")
}

pub(super) fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
        .exists([name])
}

fn copy_c_design_users(db: &Transaction<'_>) -> rusqlite::Result<()> {
    let copied = db.execute(
        "INSERT OR IGNORE INTO users (id, name, username, email, legacy_hash, legacy_salt)
         SELECT id, CAST(coalesce(name, '') AS TEXT), CAST(username AS TEXT), CAST(email AS TEXT),
                iif(salt IS NULL, NULL, CAST(password AS BLOB)),
                iif(password IS NULL, NULL, CAST(salt AS BLOB))
         FROM User",
        [],
    )?;
    let found: i64 = db.query_row("SELECT count(*) FROM User", [], |row| row.get(0))?;
    log::info!("{copied} users of the C design were carried over");
    let left = found.saturating_sub_unsigned(copied as u64);
    if left > 0 {
        log::warn!(
            "{left} rows of the table User, without a username or e-mail address, stay there alone"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn an_inspection_finds_what_opening_does_and_leaves_nothing_behind() {
        const PATIENCE: Duration = Duration::from_secs(1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a?b#c%41.db");
        let names = || {
            let names = std::fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        inspect(&path, PATIENCE).unwrap();
        assert_eq!(names().len(), 0);

        let db = open(&path, PATIENCE).unwrap();
        let in_use = names();
        inspect(&path, PATIENCE).unwrap();
        assert_eq!(names(), in_use);
        // Still in the log alone, which an inspection has to read.
        db.pragma_update(None, "user_version", 99).unwrap();
        let newer = |error| matches!(error, OpenError::UnknownVersion { found: 99, .. });
        assert!(newer(inspect(&path, PATIENCE).unwrap_err()));
        drop(db);
        assert_eq!(names().len(), 1);
        assert!(newer(inspect(&path, PATIENCE).unwrap_err()));
        assert!(newer(open(&path, PATIENCE).unwrap_err()));
        assert_eq!(names().len(), 1);

        std::fs::write(
            &path,
            "no database, but as long as the head of one has to be: ".repeat(40),
        )
        .unwrap();
        for found in [inspect(&path, PATIENCE), open(&path, PATIENCE).map(drop)] {
            assert!(matches!(found, Err(OpenError::Damaged(_))), "{found:?}");
        }
        assert_eq!(names().len(), 1);
    }

    fn open_in(folder: &TempDir) -> Result<Connection, OpenError> {
        open(&folder.path().join("users.db"), Duration::from_secs(5))
    }

    fn raw_in(folder: &TempDir) -> Connection {
        Connection::open(folder.path().join("users.db")).unwrap()
    }

    const C_DESIGN: &str = "CREATE TABLE User (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, username TEXT NOT NULL UNIQUE,
        email TEXT NOT NULL UNIQUE, password BLOB NOT NULL, salt BLOB NOT NULL);";

    #[test]
    fn a_new_file_has_the_newest_schema_and_its_settings() {
        let folder = TempDir::new().unwrap();
        let db = open_in(&folder).unwrap();
        let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        assert_eq!(pragma("user_version"), Ok(2));
        assert_eq!(pragma("synchronous"), Ok(2));
        assert_eq!(pragma("foreign_keys"), Ok(1));
        let mode = db.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        assert_eq!(mode.unwrap(), "wal");
    }

    #[test]
    fn a_new_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = TempDir::new().unwrap();
        let _db = open_in(&folder).unwrap();
        for file in ["users.db", "users.db-wal"] {
            let metadata = std::fs::metadata(folder.path().join(file)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let folder = TempDir::new().unwrap();
        raw_in(&folder)
            .pragma_update(None, "user_version", 3)
            .unwrap();
        let before = std::fs::read(folder.path().join("users.db")).unwrap();
        let error = open_in(&folder).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the database has schema version 3, this server knows those up to 2"
        );
        assert_eq!(
            std::fs::read(folder.path().join("users.db")).unwrap(),
            before
        );
    }

    #[test]
    fn a_database_of_version_1_keeps_its_users() {
        let folder = TempDir::new().unwrap();
        let mut raw = raw_in(&folder);
        let first = raw.transaction().unwrap();
        users(&first).unwrap();
        first
            .execute_batch(
                "INSERT INTO users (id, name, username, email) VALUES (7, 'A', 'ada', 'a@x.example');
                 PRAGMA user_version = 1;",
            )
            .unwrap();
        first.commit().unwrap();
        drop(raw);
        let db = open_in(&folder).unwrap();
        db.execute("INSERT INTO known_networks VALUES (7, x'01', 1)", [])
            .unwrap();
        let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        assert_eq!(version, Ok(2));
    }

    #[test]
    fn additions_come_to_a_file_that_has_users() {
        let folder = TempDir::new().unwrap();
        let mut raw = raw_in(&folder);
        for (migration, version) in MIGRATIONS.iter().zip(1..) {
            let step = raw.transaction().unwrap();
            migration(&step).unwrap();
            step.pragma_update(None, "user_version", version).unwrap();
            step.commit().unwrap();
        }
        raw.execute_batch(
            "INSERT INTO users (id, name, username, email) VALUES (7, 'A', 'ada', 'a@x.example')",
        )
        .unwrap();
        drop(raw);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let db = open_in(&folder).unwrap();
            let names = db.query_row("SELECT username, user_id FROM usernames", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            });
            assert_eq!(names, Ok(("ada".to_owned(), 7)));
            ids.push(id_of(&db).unwrap());
            let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
            assert_eq!(version, Ok(2), "the version before opens it");
        }
        assert_eq!((ids[0].len(), &ids[0]), (32, &ids[1]));
        let other = id_of(&open_in(&TempDir::new().unwrap()).unwrap()).unwrap();
        assert_ne!(ids[0], other);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("users.db"), "no database ".repeat(100)).unwrap();
        let error = open_in(&folder).unwrap_err();
        assert!(error.to_string().contains("not a database"), "{error}");
        assert!(open(folder.path(), Duration::ZERO).is_err());
        assert!(open(&folder.path().join("none/users.db"), Duration::ZERO).is_err());
    }

    #[test]
    fn a_failing_migration_leaves_the_file_as_it_was() {
        let folder = TempDir::new().unwrap();
        let raw = raw_in(&folder);
        raw.execute_batch("CREATE TABLE User (id INTEGER PRIMARY KEY, name TEXT);")
            .unwrap();
        assert!(open_in(&folder).is_err());
        let tables: Vec<String> = raw
            .prepare("SELECT name FROM sqlite_schema")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(tables, ["User"]);
    }

    #[test]
    fn users_of_the_c_design_are_copied_and_their_table_kept() {
        let folder = TempDir::new().unwrap();
        let raw = raw_in(&folder);
        raw.execute_batch(C_DESIGN).unwrap();
        raw.execute_batch(
            "INSERT INTO User VALUES (3, 'Ada', 'ada', 'ada@x.example', x'01', x'02');
             INSERT INTO User VALUES (9, 'Bob', 'bob', 'ADA@x.example', x'03', x'04');",
        )
        .unwrap();
        drop(raw);
        for _ in 0..2 {
            let db = open_in(&folder).unwrap();
            for table in [
                "SELECT id, name, username, email, legacy_hash, legacy_salt FROM users",
                "SELECT id, name, username, email, password, salt FROM User",
            ] {
                let rows: Vec<(i64, String, Vec<u8>)> = db
                    .prepare(table)
                    .unwrap()
                    .query_map([], |row| Ok((row.get(0)?, row.get(3)?, row.get(5)?)))
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap();
                let first = (3, "ada@x.example".to_owned(), vec![2]);
                let second = (9, "ADA@x.example".to_owned(), vec![4]);
                assert_eq!(rows, [first, second]);
            }
        }
    }

    #[test]
    fn odd_rows_of_the_c_design_do_not_stop_the_start() {
        let folder = TempDir::new().unwrap();
        raw_in(&folder)
            .execute_batch(
                "CREATE TABLE User (id, name, username UNIQUE, email UNIQUE, password, salt);
                 INSERT INTO User VALUES (1, NULL, 'ada', 'a@x.example', 'text', NULL);
                 INSERT INTO User VALUES (2, 'Bob', NULL, 'b@x.example', x'01', x'02');
                 INSERT INTO User VALUES (3, 'Cy', x'616461', 'c@x.example', x'01', x'02');",
            )
            .unwrap();
        let db = open_in(&folder).unwrap();
        let rows: Vec<(i64, String, Option<Vec<u8>>)> = db
            .prepare("SELECT id, username, legacy_hash FROM users")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(rows, [(1, "ada".to_owned(), None)]);
    }
}
