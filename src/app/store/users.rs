//! Jobs about users.

use super::StoreError;
use super::schema::has_c_design_table;
use super::worker::{JobOutcome, StoreFault, StoreJob, read, write};
use crate::app::chat::ALIASES_MAX;
use crate::app::completion::{Completion, Overloaded};
use crate::app::passwords::Credential;
use crate::app::queue::Queue;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::fmt;

/// A user as others may know one: no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Never given to another user, also after this one is gone.
    pub id: i64,
    /// The name shown.
    pub name: String,
    /// Unique, as registered.
    pub username: String,
    /// As registered; unique without regard to the case of ASCII letters.
    pub email: String,
}

/// A user to be.
#[derive(Clone)]
pub struct NewUser {
    /// The name shown.
    pub name: String,
    /// Compared exactly.
    pub username: String,
    /// Compared without regard to the case of ASCII letters.
    pub email: String,
    /// A PHC string.
    pub password_hash: String,
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// New values for a user; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChanges {
    /// The name shown.
    pub name: Option<String>,
    /// Compared exactly.
    pub username: Option<String>,
    /// Compared without regard to the case of ASCII letters.
    pub email: Option<String>,
}

/// A user, and the names the user is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// The user.
    pub user: User,
    /// Names the user has given up, the latest last; of many, the latest.
    pub aliases: Vec<Box<str>>,
}

/// Limit on changes of users' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renames {
    /// So often in any 24 hours; 0 for no limit.
    pub per_day: u32,
    /// Now, in Unix seconds.
    pub now: i64,
}

/// The time in which changes of the username are counted, in seconds.
const DAY_S: i64 = 24 * 60 * 60;

/// A handle to the store for jobs about users. No method blocks; `Err(Overloaded)` means the job
/// was refused and its reply dropped uncalled. A job that was taken is answered, on the store's
/// thread, whatever happens.
#[derive(Clone)]
pub struct UserTable {
    queue: Queue<StoreJob>,
}

impl fmt::Debug for UserTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

impl UserTable {
    pub(super) fn new(queue: Queue<StoreJob>) -> Self {
        Self { queue }
    }

    /// Adds a user and answers the new id, or `EmailTaken` before `UsernameTaken`.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn insert(
        &self,
        new: NewUser,
        reply: Completion<JobOutcome<i64>>,
    ) -> Result<(), Overloaded> {
        write(&self.queue, move |db| insert(db, &new), reply)
    }

    /// Answers `EmailTaken` or `UsernameTaken` if [`UserTable::insert`] would now.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn check_free(
        &self,
        email: String,
        username: String,
        reply: Completion<JobOutcome<()>>,
    ) -> Result<(), Overloaded> {
        let work = move |db: &Connection| check_free(db, Some(&email), Some(&username), None);
        read(&self.queue, work, reply)
    }

    /// Answers the user with this id, or `NoSuchUser`.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn find(&self, id: i64, reply: Completion<JobOutcome<User>>) -> Result<(), Overloaded> {
        read(&self.queue, move |db| find(db, id), reply)
    }

    /// Answers the user with this id and the names given up, or `NoSuchUser`.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn identify(
        &self,
        id: i64,
        reply: Completion<JobOutcome<Identified>>,
    ) -> Result<(), Overloaded> {
        read(&self.queue, move |db| identify(db, id), reply)
    }

    /// Changes a user, all or nothing, and answers the username from then on; or `NoSuchUser`, or
    /// `TooManyRenames` before `EmailTaken` before `UsernameTaken`. A user's own value is never a
    /// conflict, and a name the user has given up neither.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn update(
        &self,
        id: i64,
        changes: UserChanges,
        renames: Renames,
        reply: Completion<JobOutcome<String>>,
    ) -> Result<(), Overloaded> {
        let work = move |db: &Connection| update(db, id, &changes, renames);
        write(&self.queue, work, reply)
    }

    /// Puts a new PHC string in place of `old`; answers false, and changes nothing, if the user's
    /// credential is no longer `old`.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn replace_credential(
        &self,
        id: i64,
        old: Credential,
        new_hash: String,
        reply: Completion<JobOutcome<bool>>,
    ) -> Result<(), Overloaded> {
        let work = move |db: &Connection| replace_credential(db, id, &old, &new_hash);
        write(&self.queue, work, reply)
    }

    /// Answers how many users still have a hash of the C design.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn count_legacy(&self, reply: Completion<JobOutcome<u32>>) -> Result<(), Overloaded> {
        read(&self.queue, count_legacy, reply)
    }
}

fn insert(db: &Connection, new: &NewUser) -> Result<i64, StoreFault> {
    let inserted = db
        .prepare_cached(
            "INSERT INTO users (name, username, email, password_hash) VALUES (?1, ?2, ?3, ?4)",
        )?
        .insert(params![
            new.name,
            new.username,
            new.email,
            new.password_hash
        ]);
    inserted.or_else(|error| conflict(db, error, Some(&new.email), Some(&new.username), None))
}

fn update(
    db: &Connection,
    id: i64,
    changes: &UserChanges,
    renames: Renames,
) -> Result<String, StoreFault> {
    let UserChanges {
        name,
        username,
        email,
    } = changes;
    if let Some(username) = username {
        // Undone with the job, should it fail.
        count_rename(db, id, username, renames)?;
    }
    let updated = db
        .prepare_cached(
            "UPDATE users SET name = coalesce(?2, name), username = coalesce(?3, username),
             email = coalesce(?4, email) WHERE id = ?1 RETURNING username",
        )?
        .query_row(params![id, name, username, email], |row| row.get(0))
        .optional();
    match updated {
        Ok(None) => Err(StoreError::NoSuchUser.into()),
        Ok(Some(username)) => Ok(username),
        Err(error) => conflict(db, error, email.as_deref(), username.as_deref(), Some(id)),
    }
}

/// Counts a change of the username, if it is one and there may be one more.
fn count_rename(
    db: &Connection,
    id: i64,
    username: &str,
    renames: Renames,
) -> Result<(), StoreFault> {
    let Renames { per_day, now } = renames;
    let is_change = db
        .prepare_cached("SELECT 1 FROM users WHERE id = ?1 AND username <> ?2")?
        .exists(params![id, username])?;
    if per_day == 0 || !is_change {
        return Ok(());
    }
    // Those of a time to come go with those of long ago: the clock was wrong then.
    db.prepare_cached(
        "DELETE FROM renames WHERE user_id = ?1 AND renamed_at NOT BETWEEN ?2 - ?3 + 1 AND ?2 + ?3",
    )?
    .execute(params![id, now, DAY_S])?;
    let last_that_counts: Option<i64> = db
        .prepare_cached(
            "SELECT renamed_at FROM renames WHERE user_id = ?1
             ORDER BY renamed_at DESC LIMIT 1 OFFSET ?2",
        )?
        .query_row(params![id, per_day - 1], |row| row.get(0))
        .optional()?;
    if let Some(renamed_at) = last_that_counts {
        let retry_after_s = (renamed_at + DAY_S - now).clamp(1, DAY_S);
        let retry_after_s = u32::try_from(retry_after_s).unwrap_or(u32::MAX);
        return Err(StoreError::TooManyRenames { retry_after_s }.into());
    }
    db.prepare_cached("INSERT INTO renames (user_id, renamed_at) VALUES (?1, ?2)")?
        .execute(params![id, now])?;
    Ok(())
}

/// The schema has refused a statement: says in the contract's order what is taken.
fn conflict<T>(
    db: &Connection,
    error: rusqlite::Error,
    email: Option<&str>,
    username: Option<&str>,
    id: Option<i64>,
) -> Result<T, StoreFault> {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
        check_free(db, email, username, id)?;
    }
    Err(error.into())
}

/// Returns `true` if a user other than `id` has the e-mail address, or has or has had the username. An address that `id`
/// has already is free for it, though one of the C design may share it but for case.
fn check_free(
    db: &Connection,
    email: Option<&str>,
    username: Option<&str>,
    id: Option<i64>,
) -> Result<(), StoreFault> {
    let email_taken = db
        .prepare_cached(
            "SELECT 1 FROM users WHERE email = ?1 COLLATE NOCASE AND id IS NOT ?2
             AND NOT EXISTS (SELECT 1 FROM users WHERE id = ?2 AND email = ?1)",
        )?
        .exists(params![email, id])?;
    if email_taken {
        return Err(StoreError::EmailTaken.into());
    }
    let username_taken = db
        .prepare_cached("SELECT 1 FROM usernames WHERE username = ?1 AND user_id IS NOT ?2")?
        .exists(params![username, id])?;
    if username_taken {
        return Err(StoreError::UsernameTaken.into());
    }
    Ok(())
}

fn find(db: &Connection, id: i64) -> Result<User, StoreFault> {
    db.prepare_cached("SELECT id, name, username, email FROM users WHERE id = ?1")?
        .query_row([id], user)
        .optional()?
        .ok_or_else(|| StoreError::NoSuchUser.into())
}

fn identify(db: &Connection, id: i64) -> Result<Identified, StoreFault> {
    let user = find(db, id)?;
    let mut aliases = db
        .prepare_cached(
            "SELECT username FROM usernames WHERE user_id = ?1 AND given_up_at IS NOT NULL
             ORDER BY given_up_at DESC LIMIT ?2",
        )?
        .query_map(
            params![id, i64::try_from(ALIASES_MAX).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<Box<str>>>>()?;
    aliases.reverse();
    Ok(Identified { user, aliases })
}

pub(super) fn replace_credential(
    db: &Connection,
    id: i64,
    old: &Credential,
    new_hash: &str,
) -> Result<bool, StoreFault> {
    let (phc, legacy) = match old {
        Credential::Absent => return Ok(false),
        Credential::Argon2(phc) => (Some(phc), None),
        Credential::Pbkdf2 { hash, .. } => (None, Some(hash)),
    };
    let replaced = db
        .prepare_cached(
            "UPDATE users SET password_hash = ?2, legacy_hash = NULL, legacy_salt = NULL
             WHERE id = ?1 AND password_hash IS ?3 AND legacy_hash IS ?4",
        )?
        .execute(params![id, new_hash, phc, legacy])?;
    if legacy.is_some() && has_c_design_table(db)? {
        // Only where it is the hash just replaced: the C server may have been back meanwhile.
        db.prepare_cached(
            "UPDATE User SET password = x'', salt = x'' WHERE id = ?1 AND password = ?2",
        )?
        .execute(params![id, legacy])?;
    }
    Ok(replaced > 0)
}

fn count_legacy(db: &Connection) -> Result<u32, StoreFault> {
    let count = db
        .prepare_cached("SELECT count(*) FROM users WHERE legacy_hash IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(count)
}

pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        username: row.get("username")?,
        email: row.get("email")?,
    })
}

#[cfg(test)]
mod tests;
