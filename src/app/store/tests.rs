use super::worker::{StoreFault, read, write};
use super::*;
use crate::app::completion::{Completion, Overloaded};
use crate::app::limits::ClientNetwork;
use crate::app::passwords::Credential;
use rusqlite::Connection;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use tempfile::TempDir;

struct Fixture {
    folder: TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        Self::with(StoreOptions::default())
    }

    fn with(options: StoreOptions) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("users.db"), options).unwrap();
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("users.db")
    }

    fn raw(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn reopen(self) -> Self {
        let Self { folder, store } = self;
        store.close();
        let store = Store::open(&folder.path().join("users.db"), StoreOptions::default()).unwrap();
        Self { folder, store }
    }

    fn insert(&self, name: &str) -> Result<i64, StoreError> {
        ask(|reply| self.store.users().insert(user(name), reply)).unwrap()
    }

    fn login(&self, username: &str) -> Login {
        let attempt = LoginAttempt {
            username: username.to_owned(),
            network: ClientNetwork::V4(1),
            failures_max: 0,
            in_flight: 0,
            now: 1_800_000_000,
        };
        let logins = self.store.logins(Pseudonyms::new(b"a secret of the tests"));
        ask(|reply| logins.begin(attempt, reply)).unwrap().unwrap()
    }

    fn update(&self, id: i64, changes: UserChanges) -> Result<(), StoreError> {
        self.update_at(id, changes, 0, 0).map(drop)
    }

    /// Answers the username from then on.
    fn update_at(
        &self,
        id: i64,
        changes: UserChanges,
        per_day: u32,
        now: i64,
    ) -> Result<String, StoreError> {
        let renames = Renames { per_day, now };
        ask(|reply| self.store.users().update(id, changes, renames, reply)).unwrap()
    }

    /// Runs SQL on the store's own connection.
    fn run(&self, sql: &'static str) {
        let work = move |db: &Connection| Ok(db.execute_batch(sql)?);
        ask(|reply| read(&self.store.queue, work, reply))
            .unwrap()
            .unwrap();
    }

    /// Holds the store's thread inside a job until the returned sender is dropped.
    fn hold(&self) -> Sender<()> {
        let (release, released) = channel::<()>();
        let (entered, inside) = channel();
        let work = move |_: &Connection| {
            entered.send(()).unwrap();
            released.recv().unwrap_err();
            Ok(())
        };
        read(&self.store.queue, work, Box::new(|_| ())).unwrap();
        inside.recv().unwrap();
        release
    }
}

/// Submits a job and waits for its answer.
fn ask<T: Send + 'static>(
    submit: impl FnOnce(Completion<T>) -> Result<(), Overloaded>,
) -> Result<T, Overloaded> {
    let (tell, told) = sync_channel(1);
    submit(Box::new(move |response| tell.send(response).unwrap()))?;
    Ok(told.recv().unwrap())
}

/// Submits a job, to be waited for later.
fn later<T: Send + 'static>(
    submit: impl FnOnce(Completion<T>) -> Result<(), Overloaded>,
) -> Receiver<T> {
    let (tell, told) = sync_channel(1);
    submit(Box::new(move |response| tell.send(response).unwrap())).unwrap();
    told
}

fn user(name: &str) -> NewUser {
    NewUser {
        name: name.to_uppercase(),
        username: name.to_owned(),
        email: format!("{name}@x.example"),
        password_hash: format!("$hash of {name}"),
    }
}

/// The commits that stand in the WAL: its frames whose header says so, of the current generation
/// (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
fn commits_in_wal(path: &Path) -> usize {
    let wal = std::fs::read(path.with_extension("db-wal")).unwrap();
    let (header, frames) = wal.split_at(32);
    let page_bytes = u32::from_be_bytes(header[8..12].try_into().unwrap()) as usize;
    frames
        .chunks_exact(24 + page_bytes)
        .filter(|frame| frame[8..16] == header[16..24] && frame[4..8] != [0; 4])
        .count()
}

#[test]
fn an_inserted_user_is_found() {
    let fixture = Fixture::new();
    let id = fixture.insert("ada").unwrap();
    let ada = User {
        id,
        name: "ADA".to_owned(),
        username: "ada".to_owned(),
        email: "ada@x.example".to_owned(),
    };
    let users = fixture.store.users();
    let found = ask(|reply| users.find(id, reply)).unwrap();
    assert_eq!(found, Ok(ada.clone()));
    let credential = Credential::Argon2("$hash of ada".to_owned());
    let login = fixture.login("ada");
    assert_eq!((login.user, login.credential), (Some(ada), credential));
    let missing = ask(|reply| users.find(id + 1, reply)).unwrap();
    assert_eq!(missing, Err(StoreError::NoSuchUser));
}

#[test]
fn an_unknown_name_is_absent() {
    let login = Fixture::new().login("nobody");
    assert_eq!((login.user, login.credential), (None, Credential::Absent));
}

#[test]
fn conflicts_are_told_apart_email_first() {
    let fixture = Fixture::new();
    fixture.insert("ada").unwrap();
    let insert = |username: &str, email: &str| {
        let new = NewUser {
            username: username.to_owned(),
            email: email.to_owned(),
            ..user("x")
        };
        ask(|reply| fixture.store.users().insert(new, reply)).unwrap()
    };
    let check = |username: &str, email: &str| {
        let (username, email) = (username.to_owned(), email.to_owned());
        ask(|reply| fixture.store.users().check_free(email, username, reply)).unwrap()
    };
    for (username, email, error) in [
        ("ada", "ada@x.example", StoreError::EmailTaken),
        ("bob", "ada@x.example", StoreError::EmailTaken),
        ("bob", "ADA@X.example", StoreError::EmailTaken),
        ("ada", "bob@x.example", StoreError::UsernameTaken),
    ] {
        assert_eq!(check(username, email), Err(error), "{username} {email}");
        assert_eq!(insert(username, email), Err(error), "{username} {email}");
    }
    // Usernames compare as registered.
    assert_eq!(check("Ada", "bob@x.example"), Ok(()));
    assert!(insert("Ada", "bob@x.example").is_ok());
}

#[test]
fn an_update_changes_what_it_has_and_no_more() {
    let fixture = Fixture::new();
    let id = fixture.insert("ada").unwrap();
    let name = Some("Countess".to_owned());
    let changes = UserChanges {
        name,
        ..UserChanges::default()
    };
    assert_eq!(fixture.update(id, changes), Ok(()));
    let email = Some("Ada@X.example".to_owned());
    let changes = UserChanges {
        email,
        ..UserChanges::default()
    };
    assert_eq!(fixture.update(id, changes), Ok(()));
    let ada = fixture.login("ada").user.unwrap();
    assert_eq!((&*ada.name, &*ada.email), ("Countess", "Ada@X.example"));
    let changes = UserChanges::default();
    assert_eq!(fixture.update(id + 1, changes), Err(StoreError::NoSuchUser));
}

#[test]
fn an_update_that_conflicts_changes_nothing() {
    let fixture = Fixture::new();
    let id = fixture.insert("ada").unwrap();
    fixture.insert("bob").unwrap();
    let changes = |username: &str, email: &str| UserChanges {
        name: Some("new".to_owned()),
        username: Some(username.to_owned()),
        email: Some(email.to_owned()),
    };
    for (username, email, error) in [
        ("bob", "BOB@x.example", StoreError::EmailTaken),
        ("bob", "new@x.example", StoreError::UsernameTaken),
        ("bob", "ada@x.example", StoreError::UsernameTaken),
    ] {
        assert_eq!(fixture.update(id, changes(username, email)), Err(error));
    }
    assert_eq!(fixture.login("ada").user.unwrap().name, "ADA");
    assert_eq!(fixture.update(id, changes("ada", "ada@x.example")), Ok(()));
}

#[test]
fn an_id_is_never_given_twice() {
    let fixture = Fixture::new();
    let first = fixture.insert("ada").unwrap();
    fixture.run("DELETE FROM users");
    assert!(fixture.insert("eva").unwrap() > first);
}

#[test]
fn a_group_of_writes_is_one_commit_and_a_failing_one_undoes_only_itself() {
    let fixture = Fixture::new();
    fixture.insert("taken").unwrap();
    let before = commits_in_wal(&fixture.path());
    let release = fixture.hold();
    let users = fixture.store.users();
    let responses: Vec<_> = (0..100)
        .map(|n| match n {
            50 => "taken".to_owned(),
            n => format!("user{n}"),
        })
        .map(|name| later(|reply| users.insert(user(&name), reply)))
        .collect();
    drop(release);
    let responses: Vec<_> = responses.iter().map(|told| told.recv().unwrap()).collect();
    for (n, response) in responses.iter().enumerate() {
        match n {
            50 => assert_eq!(*response, Err(StoreError::EmailTaken)),
            _ => assert!(response.is_ok(), "{n}: {response:?}"),
        }
    }
    assert_eq!(commits_in_wal(&fixture.path()), before + 1);
    let fixture = fixture.reopen();
    for n in (0..100).filter(|n| *n != 50) {
        let login = fixture.login(&format!("user{n}"));
        assert_eq!(Ok(login.user.unwrap().id), responses[n]);
    }
}

#[test]
fn more_writes_than_a_group_holds_are_all_done() {
    let fixture = Fixture::new();
    let release = fixture.hold();
    let users = fixture.store.users();
    let responses: Vec<_> = (0..1000)
        .map(|n| later(|reply| users.insert(user(&format!("user{n}")), reply)))
        .collect();
    drop(release);
    for told in responses {
        assert!(told.recv().unwrap().is_ok());
    }
}

#[test]
fn what_a_failed_job_wrote_is_undone() {
    let fixture = Fixture::new();
    let release = fixture.hold();
    let users = fixture.store.users();
    let before = later(|reply| users.insert(user("before"), reply));
    let half = |db: &Connection| -> Result<(), StoreFault> {
        db.execute("UPDATE users SET name = 'spoilt'", [])?;
        Err(StoreError::NoSuchUser.into())
    };
    let rejected = later(|reply| write(&fixture.store.queue, half, reply));
    let bad_sql = |db: &Connection| Ok(db.execute_batch("UPDATE users SET name = 'x'; nonsense")?);
    let failed = later(|reply| write(&fixture.store.queue, bad_sql, reply));
    let panicking = |db: &Connection| -> Result<(), StoreFault> {
        db.execute("UPDATE users SET name = 'spoilt'", [])?;
        panic!("on purpose")
    };
    let panicked = later(|reply| write(&fixture.store.queue, panicking, reply));
    let after = later(|reply| users.insert(user("after"), reply));
    drop(release);
    assert!(before.recv().unwrap().is_ok());
    assert_eq!(rejected.recv().unwrap(), Err(StoreError::NoSuchUser));
    assert_eq!(failed.recv().unwrap(), Err(StoreError::Unavailable));
    assert_eq!(panicked.recv().unwrap(), Err(StoreError::Unavailable));
    assert!(after.recv().unwrap().is_ok());
    assert_eq!(fixture.login("before").user.unwrap().name, "BEFORE");
}

#[test]
fn a_lost_transaction_is_told_to_all_its_writes_and_the_thread_goes_on() {
    let fixture = Fixture::new();
    let release = fixture.hold();
    let users = fixture.store.users();
    let first = later(|reply| users.insert(user("first"), reply));
    let lose = |db: &Connection| Ok(db.execute_batch("ROLLBACK")?);
    let lost = later(|reply| write(&fixture.store.queue, lose, reply));
    let last = later(|reply| users.insert(user("last"), reply));
    drop(release);
    assert_eq!(first.recv().unwrap(), Err(StoreError::Unavailable));
    assert_eq!(lost.recv().unwrap(), Err(StoreError::Unavailable));
    assert_eq!(last.recv().unwrap(), Err(StoreError::Unavailable));
    assert_eq!(fixture.login("first").user, None);
    assert_eq!(fixture.login("last").user, None);
    assert!(fixture.insert("first").is_ok());
}

#[test]
fn a_full_disk_is_answered_and_recovered_from() {
    let fixture = Fixture::new();
    fixture.run("PRAGMA max_page_count = 20");
    let long = |n: usize| NewUser {
        name: "x".repeat(2000),
        ..user(&format!("user{n}"))
    };
    let users = fixture.store.users();
    let insert = |n| ask(|reply| users.insert(long(n), reply)).unwrap();
    let stored = (0..1000).take_while(|n| insert(*n).is_ok()).count();
    assert!((1..1000).contains(&stored), "{stored}");
    assert_eq!(insert(1000), Err(StoreError::Full));
    assert!(fixture.login("user0").user.is_some(), "reads go on");
    fixture.run("PRAGMA max_page_count = 1000000");
    assert!(insert(1001).is_ok());
    let fixture = fixture.reopen();
    for n in (0..stored).chain([1001]) {
        assert!(fixture.login(&format!("user{n}")).user.is_some(), "{n}");
    }
    assert_eq!(fixture.login(&format!("user{stored}")).user, None);
}

#[test]
fn writes_that_share_a_full_disk_are_all_told_so() {
    let fixture = Fixture::new();
    fixture.insert("ada").unwrap();
    fixture.run("PRAGMA max_page_count = 20");
    let release = fixture.hold();
    let users = fixture.store.users();
    let long = |n: usize| NewUser {
        name: "x".repeat(2000),
        ..user(&format!("user{n}"))
    };
    let responses: Vec<_> = (0..100)
        .map(|n| later(|reply| users.insert(long(n), reply)))
        .collect();
    drop(release);
    let responses: Vec<_> = responses.iter().map(|told| told.recv().unwrap()).collect();
    for (n, response) in responses.iter().enumerate() {
        let is_there = fixture.login(&format!("user{n}")).user.is_some();
        assert_eq!(is_there, response.is_ok(), "{n}: {response:?}");
        assert!(
            matches!(response, Ok(_) | Err(StoreError::Full)),
            "{response:?}"
        );
    }
    assert!(responses.contains(&Err(StoreError::Full)));
}

#[test]
fn a_file_that_was_moved_is_not_used_until_it_is_back() {
    let fixture = Fixture::new();
    fixture.insert("ada").unwrap();
    let (path, away) = (fixture.path(), fixture.folder.path().join("away.db"));
    std::fs::rename(&path, &away).unwrap();
    assert_eq!(fixture.insert("bob"), Err(StoreError::Unavailable));
    std::fs::write(&path, "another").unwrap();
    assert_eq!(fixture.insert("bob"), Err(StoreError::Unavailable));
    let found = ask(|reply| fixture.store.users().find(1, reply)).unwrap();
    assert_eq!(found.err(), Some(StoreError::Unavailable));
    std::fs::rename(&away, &path).unwrap();
    assert!(fixture.insert("bob").is_ok());
}

#[test]
fn a_read_only_database_is_answered_and_recovered_from() {
    let fixture = Fixture::new();
    fixture.run("PRAGMA query_only = ON");
    assert_eq!(fixture.insert("ada"), Err(StoreError::Unavailable));
    fixture.run("PRAGMA query_only = OFF");
    assert!(fixture.insert("ada").is_ok());
}

#[test]
fn a_lock_held_elsewhere_stops_writes_alone_and_until_it_goes() {
    let fixture = Fixture::with(StoreOptions {
        busy_timeout: Duration::from_millis(1),
        ..StoreOptions::default()
    });
    fixture.insert("ada").unwrap();
    let other = fixture.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(fixture.insert("bob"), Err(StoreError::Unavailable));
    assert!(fixture.login("ada").user.is_some());
    other.execute_batch("ROLLBACK").unwrap();
    assert!(fixture.insert("bob").is_ok());
}

#[test]
fn a_full_queue_refuses_at_once_without_calling_the_reply() {
    let fixture = Fixture::with(StoreOptions {
        queue_jobs_max: 2,
        ..StoreOptions::default()
    });
    let release = fixture.hold();
    let users = fixture.store.users();
    let first = later(|reply| users.insert(user("first"), reply));
    let second = later(|reply| users.find(1, reply));
    let rejected = users.insert(user("third"), Box::new(|_| panic!("must not be called")));
    assert_eq!(rejected, Err(Overloaded));
    drop(release);
    assert!(first.recv().unwrap().is_ok());
    // A read of the same batch may run before the write.
    second.recv().unwrap().ok();
    assert_eq!(fixture.login("third").user, None);
}

#[test]
fn closing_does_what_is_queued_then_refuses() {
    let fixture = Fixture::new();
    let release = fixture.hold();
    let users = fixture.store.users();
    let responses: Vec<_> = (0..10)
        .map(|n| later(|reply| users.insert(user(&format!("user{n}")), reply)))
        .collect();
    drop(release);
    let path = fixture.path();
    let Fixture { folder, store } = fixture;
    store.close();
    for told in responses {
        assert!(told.try_recv().unwrap().is_ok());
    }
    let rejected = users.insert(user("late"), Box::new(|_| panic!("must not be called")));
    assert_eq!(rejected, Err(Overloaded));
    assert!(
        !path.with_extension("db-wal").exists(),
        "the WAL is written back"
    );
    drop(folder);
}

#[test]
fn a_panicking_reply_does_not_end_the_thread() {
    let fixture = Fixture::new();
    let users = fixture.store.users();
    users.find(1, Box::new(|_| panic!("on purpose"))).unwrap();
    users
        .insert(user("ada"), Box::new(|_| panic!("on purpose")))
        .unwrap();
    assert!(fixture.insert("bob").is_ok());
    assert!(fixture.login("ada").user.is_some());
}

#[test]
fn a_credential_is_replaced_only_if_it_is_the_one_checked() {
    let fixture = Fixture::new();
    let id = fixture.insert("ada").unwrap();
    let replace = |old: &Credential, new: &str| {
        let (old, new, users) = (old.clone(), new.to_owned(), fixture.store.users());
        ask(|reply| users.replace_credential(id, old, new, reply)).unwrap()
    };
    let old = fixture.login("ada").credential;
    assert_eq!(replace(&old, "$new"), Ok(true));
    assert_eq!(replace(&old, "$newer"), Ok(false));
    assert_eq!(replace(&Credential::Absent, "$newer"), Ok(false));
    let now = Credential::Argon2("$new".to_owned());
    assert_eq!(fixture.login("ada").credential, now);
}

fn c_design() -> Fixture {
    let folder = TempDir::new().unwrap();
    Connection::open(folder.path().join("users.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE User (id INTEGER PRIMARY KEY, name TEXT, username TEXT UNIQUE,
                email TEXT UNIQUE, password BLOB, salt BLOB);
             INSERT INTO User VALUES (5, 'Ada', 'ada', 'a@x.example', x'11', x'12'),
                (7, 'Bob', 'bob', 'A@x.example', x'21', x'22');",
        )
        .unwrap();
    let store = Store::open(&folder.path().join("users.db"), StoreOptions::default()).unwrap();
    Fixture { folder, store }
}

#[test]
fn legacy_users_are_counted_until_they_are_moved() {
    let fixture = c_design();
    let users = fixture.store.users();
    let count = || ask(|reply| users.count_legacy(reply)).unwrap().unwrap();
    assert_eq!((count(), fixture.login("nobody").legacy_left), (2, true));
    for (name, id) in [("ada", 5), ("bob", 7)] {
        let old = fixture.login(name).credential;
        let moved = ask(|reply| users.replace_credential(id, old, "$new".to_owned(), reply));
        assert_eq!(moved, Ok(Ok(true)));
    }
    assert_eq!((count(), fixture.login("nobody").legacy_left), (0, false));
}

#[test]
fn a_moved_user_leaves_no_weak_hash_behind_and_others_keep_theirs() {
    let fixture = c_design();
    let old = fixture.login("ada").credential;
    let salt = vec![0x12];
    let hash = vec![0x11];
    assert_eq!(old, Credential::Pbkdf2 { hash, salt });
    let users = fixture.store.users();
    let moved = ask(|reply| users.replace_credential(5, old, "$new".to_owned(), reply));
    assert_eq!(moved, Ok(Ok(true)));
    let rows: Vec<(i64, Vec<u8>)> = fixture
        .raw()
        .prepare("SELECT id, password FROM User ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows, [(5, vec![]), (7, vec![0x21])]);
}

#[test]
fn a_dropped_c_design_table_is_not_missed() {
    let fixture = c_design();
    fixture.raw().execute_batch("DROP TABLE User").unwrap();
    let old = fixture.login("ada").credential;
    let users = fixture.store.users();
    let moved = ask(|reply| users.replace_credential(5, old, "$new".to_owned(), reply));
    assert_eq!(moved, Ok(Ok(true)));
}

#[test]
fn addresses_that_differ_in_case_alone_stay_but_no_more_come() {
    let fixture = c_design();
    let name = |name: &str| UserChanges {
        name: Some(name.to_owned()),
        ..UserChanges::default()
    };
    let email = |email: &str| UserChanges {
        email: Some(email.to_owned()),
        ..UserChanges::default()
    };
    assert_eq!(fixture.update(7, name("Robert")), Ok(()));
    assert_eq!(fixture.update(7, email("A@x.example")), Ok(()));
    let own_email_taken_name = UserChanges {
        username: Some("ada".to_owned()),
        ..email("A@x.example")
    };
    let outcome = fixture.update(7, own_email_taken_name);
    assert_eq!(outcome, Err(StoreError::UsernameTaken));
    let taken = Err(StoreError::EmailTaken);
    assert_eq!(fixture.update(7, email("A@X.example")), taken);
    // Also after one of the two has moved away.
    assert_eq!(fixture.update(5, email("new@x.example")), Ok(()));
    assert_eq!(fixture.update(5, email("a@x.example")), taken);
    let new = NewUser {
        email: "a@X.EXAMPLE".to_owned(),
        ..user("cy")
    };
    let inserted = ask(|reply| fixture.store.users().insert(new, reply));
    assert_eq!(inserted, Ok(Err(StoreError::EmailTaken)));
}

const CHILD_DATABASE: &str = "EDGELOOP_TEST_CHILD_DATABASE";

/// Runs itself again as a child that inserts users and prints each answered name, kills it with
/// SIGKILL in the middle, and looks for every printed name.
#[test]
fn what_was_answered_survives_kill_9() {
    if let Some(path) = std::env::var_os(CHILD_DATABASE) {
        insert_without_end(&PathBuf::from(path));
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("users.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("app::store::tests::what_was_answered_survives_kill_9")
        .env(CHILD_DATABASE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    while printed.matches("stored ").count() < 500 {
        assert_ne!(output.read_line(&mut printed).unwrap(), 0, "{printed}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_string(&mut printed).unwrap();
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    let fixture = Fixture { folder, store };
    let whole_lines = printed
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let names: Vec<&str> = whole_lines
        .filter_map(|line| line.trim_end().strip_prefix("stored "))
        .collect();
    assert!(names.len() >= 500);
    for name in names {
        assert!(
            fixture.login(name).user.is_some(),
            "{name} was answered and is lost"
        );
    }
}

fn insert_without_end(path: &Path) -> ! {
    let store = Store::open(path, StoreOptions::default()).unwrap();
    let (tell, told) = channel();
    let mut in_flight = 0;
    for n in 0_u64.. {
        let (tell, name) = (tell.clone(), format!("user{n}"));
        let new = user(&name);
        let reply = Box::new(move |response: Result<i64, StoreError>| {
            let line = format!("\nstored {name}\n");
            let printed = std::io::stdout().write_all(line.as_bytes());
            tell.send(response.is_ok() && printed.is_ok()).unwrap();
        });
        store.users().insert(new, reply).unwrap();
        in_flight += 1;
        if in_flight == 32 {
            in_flight -= 1;
            if !told.recv().unwrap() {
                break;
            }
        }
    }
    std::process::exit(1);
}
