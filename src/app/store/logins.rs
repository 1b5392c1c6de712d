//! Jobs about logins: who somebody claims to be, and what came of it.
//!
//! Failures of an account are kept for a day after the last one, known name or not, and where a
//! user has logged in from for 30 days: from there nobody waits for what others have failed, so that
//! no stranger locks a user out.

use super::pruning::Pruning;
use super::users::{User, replace_credential, user};
use super::worker::{JobOutcome, StoreFault, StoreJob, read, write};
use crate::app::completion::{Completion, Overloaded};
use crate::app::limits::{ClientNetwork, FAILURES_KEPT_S, Failures};
use crate::app::passwords::Credential;
use crate::app::pseudonyms::Pseudonyms;
use crate::app::queue::Queue;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::fmt;
use std::sync::Arc;

/// For so long a network is known after the last login from there.
const NETWORK_KEPT_S: i64 = 30 * 24 * 60 * 60;
/// A login is noted again when so much time has passed: most cost no write.
const NETWORK_FRESH_S: u64 = 24 * 60 * 60;
/// Networks of one user; the one seen longest ago is forgotten for a new one.
const NETWORKS_OF_USER_MAX: u32 = 8;

/// Somebody wants to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginAttempt {
    /// The name, whether or not there is such a user.
    pub username: String,
    /// Network it comes from.
    pub network: ClientNetwork,
    /// Failures of the account that cost no wait; 0 for no limit.
    pub failures_max: u32,
    /// Other attempts for the account that have not come out yet.
    pub in_flight: u32,
    /// When, in Unix seconds.
    pub now: i64,
}

/// Facts about an account that a login needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user of that name, if there is one.
    pub user: Option<User>,
    /// Credential to check the password against; `Absent` if there is no user.
    pub credential: Credential,
    /// `true` if any user still has a hash of the C design.
    pub legacy_left: bool,
    /// Seconds that the account has to wait, if it has to. The same for names that do not exist.
    pub retry_after_s: Option<u32>,
    /// `true` if a success is to be noted with [`Logins::succeed`].
    pub should_record: bool,
}

/// A right password.
#[derive(Debug)]
pub struct Success {
    /// For what.
    pub attempt: LoginAttempt,
    /// Whose it is.
    pub user_id: i64,
    /// Credential that the password was checked against, and the PHC string to take its place.
    pub replacement: Option<(Credential, String)>,
}

/// A handle to the store for jobs about logins, as [`UserTable`](super::UserTable) is for others.
#[derive(Clone)]
pub struct Logins {
    queue: Queue<StoreJob>,
    pseudonyms: Arc<Pseudonyms>,
    pruning: Arc<Pruning>,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

impl Logins {
    pub(super) fn new(queue: Queue<StoreJob>, pseudonyms: Pseudonyms) -> Self {
        Self {
            queue,
            pseudonyms: Arc::new(pseudonyms),
            pruning: Arc::default(),
        }
    }

    /// Looks a user up by name, and how long the account has to wait. An unknown name is an answer, not
    /// an error.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn begin(
        &self,
        attempt: LoginAttempt,
        reply: Completion<JobOutcome<Login>>,
    ) -> Result<(), Overloaded> {
        let pseudonyms = Arc::clone(&self.pseudonyms);
        read(
            &self.queue,
            move |db| begin(db, &attempt, &pseudonyms),
            reply,
        )
    }

    /// Counts a wrong password or name.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn fail(
        &self,
        attempt: LoginAttempt,
        reply: Completion<JobOutcome<()>>,
    ) -> Result<(), Overloaded> {
        let (pseudonyms, pruning) = (Arc::clone(&self.pseudonyms), Arc::clone(&self.pruning));
        let work = move |db: &Connection| fail(db, &attempt, &pseudonyms, &pruning);
        write(&self.queue, work, reply)
    }

    /// Forgets what the account has failed, and notes where the user is. The credential is replaced if
    /// it is still the one that was checked.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full or the store closed.
    pub fn succeed(
        &self,
        success: Success,
        reply: Completion<JobOutcome<()>>,
    ) -> Result<(), Overloaded> {
        let (pseudonyms, pruning) = (Arc::clone(&self.pseudonyms), Arc::clone(&self.pruning));
        let work = move |db: &Connection| succeed(db, &success, &pseudonyms, &pruning);
        write(&self.queue, work, reply)
    }
}

fn begin(
    db: &Connection,
    attempt: &LoginAttempt,
    pseudonyms: &Pseudonyms,
) -> Result<Login, StoreFault> {
    let found = db
        .prepare_cached(
            "SELECT id, name, username, email, password_hash, legacy_hash, legacy_salt
             FROM users WHERE username = ?1",
        )?
        .query_row([&attempt.username], |row| {
            Ok((user(row)?, credential(row)?))
        })
        .optional()?;
    let legacy_left = db
        .prepare_cached("SELECT 1 FROM users WHERE legacy_hash IS NOT NULL")?
        .exists([])?;
    let (user, credential) = found.map_or((None, Credential::Absent), |(user, credential)| {
        (Some(user), credential)
    });
    let mut login = Login {
        user,
        credential,
        legacy_left,
        retry_after_s: None,
        should_record: false,
    };
    if attempt.failures_max > 0 {
        throttle(db, attempt, pseudonyms, &mut login)?;
    }
    Ok(login)
}

/// Asks the same of known and unknown names, so that it takes the same time.
fn throttle(
    db: &Connection,
    attempt: &LoginAttempt,
    pseudonyms: &Pseudonyms,
    login: &mut Login,
) -> Result<(), StoreFault> {
    let failures = db
        .prepare_cached("SELECT failures, last_failed_at FROM login_failures WHERE account = ?1")?
        .query_row([pseudonyms.account(&attempt.username).as_ref()], failures)
        .optional()?;
    let user_id = login.user.as_ref().map_or(0, |user| user.id);
    let network = pseudonyms.network(user_id, attempt.network);
    let seen_at: Option<i64> = db
        .prepare_cached("SELECT seen_at FROM known_networks WHERE user_id = ?1 AND network = ?2")?
        .query_row(params![user_id, network.as_ref()], |row| row.get(0))
        .optional()?;
    let age_s = seen_at.map(|seen_at| attempt.now.abs_diff(seen_at));
    let is_known = age_s.is_some_and(|age_s| age_s < NETWORK_KEPT_S.unsigned_abs());
    let retry_after_s = failures.unwrap_or_default().retry_after_s(
        attempt.failures_max,
        attempt.in_flight,
        attempt.now,
    );
    login.retry_after_s = retry_after_s.filter(|_| !is_known);
    login.should_record = failures.is_some() || age_s.is_none_or(|age_s| age_s >= NETWORK_FRESH_S);
    Ok(())
}

fn fail(
    db: &Connection,
    attempt: &LoginAttempt,
    pseudonyms: &Pseudonyms,
    pruning: &Pruning,
) -> Result<(), StoreFault> {
    // Those of long ago, or of a time to come, count no more.
    let failures: i64 = db
        .prepare_cached(
            "INSERT INTO login_failures (account, failures, last_failed_at) VALUES (?1, 1, ?2)
             ON CONFLICT (account) DO UPDATE SET
                 failures = iif(last_failed_at BETWEEN ?2 - ?3 AND ?2 + ?3, min(failures + 1, 1000000), 1),
                 last_failed_at = ?2
             RETURNING failures",
        )?
        .query_row(
            params![
                pseudonyms.account(&attempt.username).as_ref(),
                attempt.now,
                FAILURES_KEPT_S - 1
            ],
            |row| row.get(0),
        )?;
    if failures == 1 {
        pruning.failure_added(db, attempt.now - FAILURES_KEPT_S)?;
    }
    Ok(())
}

fn succeed(
    db: &Connection,
    success: &Success,
    pseudonyms: &Pseudonyms,
    pruning: &Pruning,
) -> Result<(), StoreFault> {
    let Success {
        attempt,
        user_id,
        replacement,
    } = success;
    if let Some((old, new_hash)) = replacement {
        replace_credential(db, *user_id, old, new_hash)?;
    }
    if attempt.failures_max == 0 {
        return Ok(());
    }
    db.prepare_cached("DELETE FROM login_failures WHERE account = ?1")?
        .execute([pseudonyms.account(&attempt.username).as_ref()])?;
    let network = pseudonyms.network(*user_id, attempt.network);
    db.prepare_cached(
        "INSERT INTO known_networks (user_id, network, seen_at)
         SELECT id, ?2, ?3 FROM users WHERE id = ?1
         ON CONFLICT (user_id, network) DO UPDATE SET seen_at = ?3",
    )?
    .execute(params![user_id, network.as_ref(), attempt.now])?;
    // What was seen in a time to come goes first: the clock was wrong then.
    db.prepare_cached(
        "DELETE FROM known_networks WHERE user_id = ?1 AND network IN (
             SELECT network FROM known_networks WHERE user_id = ?1
             ORDER BY network <> ?2, seen_at > ?3, seen_at DESC LIMIT -1 OFFSET ?4)",
    )?
    .execute(params![
        user_id,
        network.as_ref(),
        attempt.now,
        NETWORKS_OF_USER_MAX
    ])?;
    pruning.network_seen(db, attempt.now - NETWORK_KEPT_S)?;
    Ok(())
}

fn failures(row: &Row<'_>) -> rusqlite::Result<Failures> {
    let count: i64 = row.get("failures")?;
    Ok(Failures {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        last_at: row.get("last_failed_at")?,
    })
}

fn credential(row: &Row<'_>) -> rusqlite::Result<Credential> {
    let legacy = (row.get("legacy_hash")?, row.get("legacy_salt")?);
    Ok(match (row.get("password_hash")?, legacy) {
        (Some(phc), _) => Credential::Argon2(phc),
        (None, (Some(hash), Some(salt))) => Credential::Pbkdf2 { hash, salt },
        (None, _) => Credential::Absent,
    })
}

#[cfg(test)]
mod tests;
