use super::*;
use crate::app::store::schema;
use std::time::Duration;
use tempfile::TempDir;

const NOON: i64 = 1_800_000_000;
const DAY_S: i64 = 24 * 60 * 60;

struct LoginsFixture {
    db: Connection,
    pseudonyms: Pseudonyms,
    pruning: Pruning,
    _folder: TempDir,
}

impl LoginsFixture {
    fn new() -> Self {
        Self::with(Pruning::default())
    }

    fn with(pruning: Pruning) -> Self {
        let folder = TempDir::new().unwrap();
        let db = schema::open(&folder.path().join("users.db"), Duration::ZERO).unwrap();
        db.execute_batch(
            "INSERT INTO users (id, name, username, email, password_hash)
             VALUES (1, 'Ann', 'ann', 'ann@x.example', '$'), (2, 'Bob', 'bob', 'bob@x.example', '$')",
        )
        .unwrap();
        Self {
            db,
            pseudonyms: Pseudonyms::new(b"a secret of the tests"),
            pruning,
            _folder: folder,
        }
    }

    fn begin(&self, attempt: &LoginAttempt) -> Login {
        let Ok(login) = begin(&self.db, attempt, &self.pseudonyms) else {
            panic!("the database failed")
        };
        login
    }

    fn fail(&self, attempt: &LoginAttempt) {
        assert!(fail(&self.db, attempt, &self.pseudonyms, &self.pruning).is_ok());
    }

    fn succeed(&self, user_id: i64, attempt: &LoginAttempt) {
        let success = Success {
            attempt: attempt.clone(),
            user_id,
            replacement: None,
        };
        assert!(succeed(&self.db, &success, &self.pseudonyms, &self.pruning).is_ok());
    }

    fn count(&self, table: &str) -> u32 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.db.query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

fn attempt(username: &str, network: u32, now: i64) -> LoginAttempt {
    LoginAttempt {
        username: username.to_owned(),
        network: ClientNetwork::V4(network),
        failures_max: 2,
        in_flight: 0,
        now,
    }
}

#[test]
fn what_is_tried_does_not_stand_in_the_file() {
    let fixture = LoginsFixture::new();
    let mistyped = attempt("My-Password-1!", 0x7f00_0001, NOON);
    fixture.fail(&mistyped);
    fixture.succeed(1, &mistyped);
    fixture.fail(&mistyped);
    let (account, failures, at): (Vec<u8>, i64, i64) = fixture
        .db
        .query_row("SELECT * FROM login_failures", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!((account.len(), failures, at), (32, 1, NOON));
    let path = fixture.db.path().unwrap();
    for file in [path.to_owned(), format!("{path}-wal")] {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"My-Password"));
    }
}

#[test]
fn a_clock_that_was_set_locks_nobody_out() {
    let fixture = LoginsFixture::new();
    let year_s = 365 * DAY_S;
    for _ in 0..5 {
        fixture.fail(&attempt("ann", 1, NOON + year_s));
    }
    // Set back: the first failure gets a right time, and nothing is left of those of the future.
    assert_eq!(fixture.begin(&attempt("ann", 1, NOON)).retry_after_s, None);
    fixture.fail(&attempt("ann", 1, NOON));
    assert_eq!(fixture.begin(&attempt("ann", 1, NOON)).retry_after_s, None);
    fixture.fail(&attempt("ann", 1, NOON));
    assert_eq!(
        fixture.begin(&attempt("ann", 1, NOON)).retry_after_s,
        Some(60)
    );
    // By a little: the count goes on.
    fixture.fail(&attempt("ann", 1, NOON - 10));
    assert_eq!(
        fixture.begin(&attempt("ann", 1, NOON - 10)).retry_after_s,
        Some(120)
    );
    // Set forward.
    let later = attempt("ann", 1, NOON + year_s);
    assert_eq!(fixture.begin(&later).retry_after_s, None);
}

#[test]
fn rows_that_nobody_wrote_are_borne() {
    let fixture = LoginsFixture::new();
    for (failures, at) in [
        (i64::MAX, i64::MAX),
        (-5, i64::MIN),
        (0, 0),
        (i64::MAX, NOON),
    ] {
        fixture
            .db
            .execute(
                "INSERT OR REPLACE INTO login_failures VALUES (?1, ?2, ?3)",
                params![fixture.pseudonyms.account("ann").as_ref(), failures, at],
            )
            .unwrap();
        let retry_after_s = fixture.begin(&attempt("ann", 1, NOON)).retry_after_s;
        assert!(retry_after_s.is_none_or(|retry_after_s| retry_after_s <= 900));
        fixture.fail(&attempt("ann", 1, NOON));
    }
}

#[test]
fn networks_are_known_for_a_month() {
    let fixture = LoginsFixture::new();
    fixture.succeed(1, &attempt("ann", 7, NOON));
    let retry_after_s = |name: &str, network, now| {
        let attempt = attempt(name, network, now);
        (0..3).for_each(|_| fixture.fail(&attempt));
        fixture.begin(&attempt).retry_after_s
    };
    assert_eq!(retry_after_s("ann", 7, NOON), None);
    assert_eq!(retry_after_s("ann", 7, NOON + 30 * DAY_S - 1), None);
    assert_eq!(retry_after_s("ann", 7, NOON + 30 * DAY_S), Some(900));
    assert_eq!(retry_after_s("ann", 8, NOON + 60 * DAY_S), Some(120));
    assert_eq!(retry_after_s("bob", 7, NOON), Some(120));
    assert_eq!(retry_after_s("nobody", 7, NOON), Some(120));
}

#[test]
fn a_user_has_a_few_networks_and_the_one_seen_longest_ago_goes() {
    let fixture = LoginsFixture::new();
    fixture.succeed(2, &attempt("bob", 1, NOON));
    for number in 0..20 {
        fixture.succeed(1, &attempt("ann", number, NOON + i64::from(number)));
        // One that is used stays.
        fixture.succeed(1, &attempt("ann", 0, NOON + i64::from(number)));
    }
    assert_eq!(fixture.count("known_networks"), NETWORKS_OF_USER_MAX + 1);
    let known: Vec<_> = (0..20)
        .filter(|number| {
            !fixture
                .begin(&attempt("ann", *number, NOON + 20))
                .should_record
        })
        .collect();
    assert_eq!(known, [0, 13, 14, 15, 16, 17, 18, 19]);
    // The clock is set back: those of the future go first.
    for number in 30..40 {
        fixture.succeed(1, &attempt("ann", number, NOON - 100 * DAY_S));
        let known = fixture.begin(&attempt("ann", number, NOON - 100 * DAY_S));
        assert!(!known.should_record, "{number}");
    }
    assert_eq!(fixture.count("known_networks"), NETWORKS_OF_USER_MAX + 1);
}

#[test]
fn nobody_is_known_who_is_gone() {
    let fixture = LoginsFixture::new();
    fixture.succeed(1, &attempt("ann", 1, NOON));
    fixture.succeed(77, &attempt("gone", 1, NOON));
    assert_eq!(fixture.count("known_networks"), 1);
    fixture
        .db
        .execute("DELETE FROM users WHERE id = 1", [])
        .unwrap();
    assert_eq!(fixture.count("known_networks"), 0);
}

#[test]
fn a_flood_of_names_is_bounded_and_hides_no_account() {
    let fixture = LoginsFixture::with(Pruning::with_bounds(100, 50, 10));
    for _ in 0..5 {
        fixture.fail(&attempt("ann", 1, NOON));
    }
    for number in 0..1000 {
        fixture.fail(&attempt(&format!("name{number}"), 1, NOON + 1));
        assert!(fixture.count("login_failures") <= 100);
    }
    assert_eq!(
        fixture.begin(&attempt("ann", 1, NOON)).retry_after_s,
        Some(480)
    );
    // A day later they go, though there is room.
    for number in 0..10 {
        fixture.fail(&attempt(&format!("other{number}"), 1, NOON + 2 * DAY_S));
    }
    assert!(fixture.count("login_failures") <= 11);
}

#[test]
fn networks_of_all_users_are_bounded() {
    let fixture = LoginsFixture::with(Pruning::with_bounds(100, 50, 10));
    for id in 10..500 {
        let sql = "INSERT INTO users (id, name, username, email) VALUES (?1, ?1, ?1, ?1)";
        fixture.db.execute(sql, [id]).unwrap();
        fixture.succeed(id, &attempt("someone", 1, NOON + id));
        assert!(fixture.count("known_networks") <= 50);
    }
    fixture.succeed(1, &attempt("ann", 1, NOON + 100 * DAY_S));
    for number in 0..10 {
        fixture.succeed(1, &attempt("ann", number, NOON + 100 * DAY_S));
    }
    assert!(fixture.count("known_networks") <= 10);
}

#[test]
fn without_a_limit_nothing_is_written() {
    let fixture = LoginsFixture::new();
    let attempt = LoginAttempt {
        failures_max: 0,
        ..attempt("ann", 1, NOON)
    };
    let login = fixture.begin(&attempt);
    assert_eq!((login.retry_after_s, login.should_record), (None, false));
    fixture.succeed(1, &attempt);
    assert_eq!(fixture.count("known_networks"), 0);
}

#[test]
fn what_is_a_day_old_goes_however_often_it_failed() {
    let fixture = LoginsFixture::with(Pruning::with_bounds(1000, 50, 10));
    for number in 0..60 {
        let old = attempt(&format!("old{number}"), 1, NOON);
        (0..=number % 7).for_each(|_| fixture.fail(&old));
        let new = attempt(&format!("new{number}"), 1, NOON + 1);
        (0..=number % 7).for_each(|_| fixture.fail(&new));
    }
    for number in 0..10 {
        fixture.fail(&attempt(&format!("next{number}"), 1, NOON + DAY_S + 1));
    }
    assert_eq!(fixture.count("login_failures"), 70);
}
