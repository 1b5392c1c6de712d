//! Keeps what is noted of logins from growing without bound, whoever floods it.

use rusqlite::{Connection, params};
use std::sync::atomic::{AtomicU32, Ordering};

/// Accounts of which it is known that they have failed: some 12 MB.
const FAILURES_MAX: u32 = 100_000;
/// Networks of all users. Each has a few at most, so this is for those who have made very many users:
/// they should not find it easy to make others forgotten.
const NETWORKS_MAX: u32 = 1_000_000;
/// Number of new rows after which old ones are looked for.
const EVERY: u32 = 256;
/// Rows that go at one time: more than came, and few enough to hold nobody up.
const ROWS_AT_ONCE: u32 = 4 * EVERY;

/// Goes from one number of failures to the next, of which there are few, and finds the old ones of each
/// by the index: looking through all the rows would take ten times as long.
const OLD_FAILURES: &str = "
    WITH RECURSIVE numbers (number) AS (
        SELECT min(failures) FROM login_failures
        UNION ALL
        SELECT (SELECT min(failures) FROM login_failures WHERE failures > number)
        FROM numbers WHERE number IS NOT NULL)
    DELETE FROM login_failures WHERE account IN (
        SELECT account FROM numbers CROSS JOIN login_failures
        ON failures = number AND last_failed_at < ?1 LIMIT ?2)";

/// Counts what comes in, and says when it is time to look for what can go. It starts with the first
/// row, so that what a process did not get to does not add up over many.
#[derive(Debug)]
pub(super) struct Pruning {
    failures: AtomicU32,
    networks: AtomicU32,
    failures_max: u32,
    networks_max: u32,
    every: u32,
}

impl Default for Pruning {
    fn default() -> Self {
        Self::with_bounds(FAILURES_MAX, NETWORKS_MAX, EVERY)
    }
}

impl Pruning {
    /// At most so many rows, with a look at them `every` so many new ones.
    pub(super) fn with_bounds(failures_max: u32, networks_max: u32, every: u32) -> Self {
        Self {
            failures: AtomicU32::new(0),
            networks: AtomicU32::new(0),
            failures_max,
            networks_max,
            every,
        }
    }

    /// A row was added to `login_failures`. Over the bound the accounts go that have failed least, of
    /// these the ones that failed longest ago: who makes up names does not make the server forget
    /// one that is being guessed at.
    pub(super) fn failure_added(&self, db: &Connection, old: i64) -> rusqlite::Result<()> {
        if !self.is_time(&self.failures) {
            return Ok(());
        }
        db.prepare_cached(OLD_FAILURES)?
            .execute(params![old, ROWS_AT_ONCE])?;
        let count = count(db, "SELECT count(*) FROM login_failures")?;
        let excess = self.excess(count, self.failures_max);
        db.prepare_cached(
            "DELETE FROM login_failures WHERE account IN (
                 SELECT account FROM login_failures ORDER BY failures, last_failed_at LIMIT ?1)",
        )?
        .execute([excess])?;
        Ok(())
    }

    /// A row was perhaps added to `known_networks`. Over the bound those go that were seen longest ago.
    pub(super) fn network_seen(&self, db: &Connection, old: i64) -> rusqlite::Result<()> {
        if !self.is_time(&self.networks) {
            return Ok(());
        }
        db.prepare_cached(
            "DELETE FROM known_networks WHERE (user_id, network) IN (
                 SELECT user_id, network FROM known_networks WHERE seen_at < ?1 LIMIT ?2)",
        )?
        .execute(params![old, ROWS_AT_ONCE])?;
        let count = count(db, "SELECT count(*) FROM known_networks")?;
        let excess = self.excess(count, self.networks_max);
        db.prepare_cached(
            "DELETE FROM known_networks WHERE (user_id, network) IN (
                 SELECT user_id, network FROM known_networks ORDER BY seen_at LIMIT ?1)",
        )?
        .execute([excess])?;
        Ok(())
    }

    fn is_time(&self, count: &AtomicU32) -> bool {
        count
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(self.every)
    }

    /// Room is made for what comes before the next look.
    fn excess(&self, count: u32, max: u32) -> u32 {
        count
            .saturating_sub(max.saturating_sub(self.every))
            .min(ROWS_AT_ONCE)
    }
}

fn count(db: &Connection, sql: &str) -> rusqlite::Result<u32> {
    db.prepare_cached(sql)?.query_row([], |row| row.get(0))
}
