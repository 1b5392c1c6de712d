use super::*;
use crate::app::limits::ClientNetwork;
use crate::app::passwords::Cost;
use crate::app::store::{LoginAttempt, StoreOptions};
use aws_lc_rs::pbkdf2;
use rusqlite::Connection;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::mpsc::{channel, sync_channel};
use tempfile::TempDir;

mod logins;

const COST: Cost = Cost {
    memory_kib: 64,
    passes: 1,
    lanes: 1,
};
const PASSWORD: &str = "Abcdef1!";

const HERE: ClientNetwork = ClientNetwork::V4(1);

fn open(folder: &TempDir) -> Accounts {
    open_with(folder, 1024, 1024)
}

fn open_with(folder: &TempDir, queue_jobs_max: usize, hashes_max: usize) -> Accounts {
    let options = StoreOptions {
        queue_jobs_max,
        ..StoreOptions::default()
    };
    let store = Store::open(&folder.path().join("users.db"), options).unwrap();
    let pool = HasherPool::start(COST, 2, hashes_max).unwrap();
    Accounts::new(store, pool, Pseudonyms::new(b"a secret of the tests"))
}

fn ask<T: Send + 'static>(submit: impl FnOnce(Completion<T>) -> Result<(), Overloaded>) -> T {
    let (tell, told) = sync_channel(1);
    submit(Box::new(move |response| tell.send(response).unwrap())).unwrap();
    let response = told.recv().unwrap();
    assert!(told.recv().is_err(), "answered twice");
    response
}

fn new(username: &str) -> New {
    New {
        name: "Ada".to_owned(),
        username: username.to_owned(),
        email: format!("{username}@x.example"),
        password: PASSWORD.to_owned().into(),
    }
}

fn register(accounts: &Accounts, new: New) -> Result<i64, AccountError> {
    ask(|reply| accounts.register(new, HERE, reply)).outcome
}

fn login(accounts: &Accounts, username: &str, password: &str) -> Result<User, LoginError> {
    let password = password.to_owned().into();
    ask(|reply| accounts.login(attempt(username), password, reply))
}

/// Without a limit.
fn attempt(username: &str) -> LoginAttempt {
    LoginAttempt {
        username: username.to_owned(),
        network: ClientNetwork::V4(1),
        failures_max: 0,
        in_flight: 0,
        now: 1_800_000_000,
    }
}

fn update(accounts: &Accounts, id: i64, profile: Profile) -> Result<(), AccountError> {
    let renames = Renames { per_day: 0, now: 0 };
    ask(|reply| accounts.update(id, profile, renames, reply)).map(drop)
}

#[test]
fn a_registered_user_logs_in_and_is_found() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let id = register(&accounts, new("ada")).unwrap();
    let user = login(&accounts, "ada", PASSWORD).unwrap();
    assert_eq!((user.id, &*user.username), (id, "ada"));
    assert_eq!(ask(|reply| accounts.me(id, reply)), Ok(user));
    let gone = ask(|reply| accounts.me(id + 1, reply));
    assert_eq!(gone, Err(AccountError::NoSuchUser));
}

#[test]
fn accounts_outlive_a_restart() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let id = register(&accounts, new("ada")).unwrap();
    accounts.close();
    assert_eq!(login(&open(&folder), "ada", PASSWORD).unwrap().id, id);
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_the_same() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    register(&accounts, new("ada")).unwrap();
    assert_eq!(login(&accounts, "ada", "Abcdef1?"), Err(LoginError::Wrong));
    assert_eq!(login(&accounts, "bob", PASSWORD), Err(LoginError::Wrong));
    assert_eq!(login(&accounts, "ADA", PASSWORD), Err(LoginError::Wrong));
    assert_eq!(login(&accounts, "", ""), Err(LoginError::Wrong));
    assert_eq!(login(&accounts, "ada\0", PASSWORD), Err(LoginError::Wrong));
}

#[test]
fn what_breaks_a_rule_is_not_registered() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let bad = |spoil: fn(&mut New)| {
        let mut new = new("ada");
        spoil(&mut new);
        register(&accounts, new).unwrap_err()
    };
    let rule = AccountError::Rule;
    assert_eq!(bad(|new| new.name.clear()), rule(RuleError::NameLength));
    assert_eq!(
        bad(|new| new.username.push('!')),
        rule(RuleError::UsernameCharacter)
    );
    assert_eq!(bad(|new| new.email.push('@')), rule(RuleError::EmailForm));
    let weak = bad(|new| new.password = "abcdef1!".to_owned().into());
    assert_eq!(weak, rule(RuleError::PasswordUpper));
    assert_eq!(
        weak.to_string(),
        "Password must contain an upper-case letter"
    );
}

#[test]
fn conflicts_have_the_words_of_the_contract() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    register(&accounts, new("ada")).unwrap();
    let both = register(&accounts, new("ada")).unwrap_err();
    assert_eq!(both.to_string(), "Email already exists");
    let email = "other@x.example".to_owned();
    let username = New {
        email,
        ..new("ada")
    };
    let username = register(&accounts, username).unwrap_err();
    assert_eq!(username.to_string(), "Username already exists");
    assert_eq!(
        LoginError::Wrong.to_string(),
        "Invalid username or password"
    );
}

#[test]
fn of_many_who_register_one_name_at_once_one_wins() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let (tell, told) = channel();
    for n in 0..50 {
        let tell = tell.clone();
        let email = format!("user{n}@x.example");
        let new = New {
            email,
            ..new("ada")
        };
        let reply = Box::new(move |response| tell.send(response).unwrap());
        accounts.register(new, HERE, reply).unwrap();
    }
    drop(tell);
    let told = told.iter().map(|response: Registration| response.outcome);
    let (won, lost): (Vec<_>, Vec<_>) = told.partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 49));
    assert!(
        lost.iter()
            .all(|response| *response == Err(AccountError::UsernameTaken))
    );
}

#[test]
fn a_profile_changes_in_what_was_sent() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let id = register(&accounts, new("ada")).unwrap();
    let nothing = update(&accounts, id, Profile::default());
    assert_eq!(nothing, Err(AccountError::NothingToUpdate));
    let profile = Profile {
        name: Some("Countess".to_owned()),
        username: Some("ada".to_owned()),
        email: None,
    };
    assert_eq!(update(&accounts, id, profile), Ok(()));
    let profile = Profile {
        username: Some("lovelace".to_owned()),
        ..Profile::default()
    };
    assert_eq!(update(&accounts, id, profile.clone()), Ok(()));
    assert_eq!(
        update(&accounts, id + 1, profile),
        Err(AccountError::NoSuchUser)
    );
    let user = login(&accounts, "lovelace", PASSWORD).unwrap();
    let shown = (&*user.name, &*user.email);
    assert_eq!(shown, ("Countess", "ada@x.example"));
}

#[test]
fn a_profile_conflicts_and_breaks_rules() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let id = register(&accounts, new("ada")).unwrap();
    register(&accounts, new("bob")).unwrap();
    let profile = |username: &str, email: &str| Profile {
        name: None,
        username: Some(username.to_owned()),
        email: Some(email.to_owned()),
    };
    for (username, email, error) in [
        ("bob", "bob@x.example", AccountError::EmailTaken),
        ("bob", "ada@x.example", AccountError::UsernameTaken),
        ("ada", "ada", AccountError::Rule(RuleError::EmailLength)),
        (
            "a da",
            "ada@x.example",
            AccountError::Rule(RuleError::UsernameCharacter),
        ),
    ] {
        let outcome = update(&accounts, id, profile(username, email));
        assert_eq!(outcome, Err(error), "{username} {email}");
    }
}

/// A database as the C server leaves it: one user whose password is right, and one whose name
/// and address break today's rules.
fn make_c_design(path: &Path) {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "CREATE TABLE User (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
         username TEXT UNIQUE NOT NULL, email TEXT UNIQUE NOT NULL,
         password BLOB NOT NULL, salt BLOB NOT NULL)",
    )
    .unwrap();
    for (id, username, email) in [(4, "ada", "ada@x.example"), (8, "1 b", "b@localhost")] {
        let salt = [id; 16];
        let mut hash = [0; 32];
        let rounds = NonZeroU32::new(10_000).unwrap();
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, rounds, &salt, PASSWORD.as_bytes(), &mut hash);
        db.execute(
            "INSERT INTO User VALUES (?1, 'A User', ?2, ?3, ?4, ?5)",
            (id, username, email, hash, salt),
        )
        .unwrap();
    }
}

fn stored_kind(folder: &TempDir, id: i64) -> (bool, bool) {
    Connection::open(folder.path().join("users.db"))
        .unwrap()
        .query_row(
            "SELECT password_hash LIKE '$argon2id$%', legacy_hash IS NOT NULL FROM users
             WHERE id = ?1",
            [id],
            |row| Ok((row.get::<_, Option<bool>>(0)?.unwrap_or(false), row.get(1)?)),
        )
        .unwrap()
}

#[test]
fn a_user_of_the_c_design_is_moved_at_login() {
    let folder = TempDir::new().unwrap();
    make_c_design(&folder.path().join("users.db"));
    let accounts = open(&folder);
    assert_eq!(login(&accounts, "ada", "Abcdef1?"), Err(LoginError::Wrong));
    assert_eq!(stored_kind(&folder, 4), (false, true));
    assert_eq!(login(&accounts, "ada", PASSWORD).unwrap().id, 4);
    assert_eq!(stored_kind(&folder, 4), (true, false));
    assert_eq!(stored_kind(&folder, 8), (false, true));
    assert_eq!(login(&accounts, "ada", PASSWORD).unwrap().id, 4);
    assert_eq!(login(&accounts, "ada", "Abcdef1?"), Err(LoginError::Wrong));
    accounts.close();
    assert_eq!(login(&open(&folder), "ada", PASSWORD).unwrap().id, 4);
}

#[test]
fn many_first_logins_of_one_user_at_once_all_succeed() {
    let folder = TempDir::new().unwrap();
    make_c_design(&folder.path().join("users.db"));
    let accounts = open(&folder);
    let (tell, told) = channel();
    for _ in 0..8 {
        let tell = tell.clone();
        let reply = Box::new(move |response: Result<User, _>| tell.send(response).unwrap());
        accounts
            .login(attempt("ada"), PASSWORD.to_owned().into(), reply)
            .unwrap();
    }
    drop(tell);
    let ids: Vec<i64> = told.iter().map(|response| response.unwrap().id).collect();
    assert_eq!(ids, [4; 8]);
    assert_eq!(login(&accounts, "ada", PASSWORD).unwrap().id, 4);
}

#[test]
fn values_from_before_the_rules_may_be_sent_back_but_not_chosen() {
    let folder = TempDir::new().unwrap();
    make_c_design(&folder.path().join("users.db"));
    let accounts = open(&folder);
    let id = login(&accounts, "1 b", PASSWORD).unwrap().id;
    let profile = |username: &str| Profile {
        name: Some("New Name".to_owned()),
        username: Some(username.to_owned()),
        email: Some("b@localhost".to_owned()),
    };
    assert_eq!(update(&accounts, id, profile("1 b")), Ok(()));
    assert_eq!(
        ask(|reply| accounts.me(id, reply)).unwrap().name,
        "New Name"
    );
    let chosen = update(&accounts, id, profile("2 b"));
    assert_eq!(
        chosen,
        Err(AccountError::Rule(RuleError::UsernameCharacter))
    );
}

#[test]
fn a_flood_is_refused_or_answered_and_never_lost() {
    let folder = TempDir::new().unwrap();
    let accounts = open_with(&folder, 8, 2);
    register(&accounts, new("ada")).unwrap();
    let (tell, told) = channel();
    let mut taken = 0;
    for n in 0..2000 {
        let tell = tell.clone();
        let submitted = if n % 4 == 0 {
            let reply = Box::new(move |response: Registration| {
                let settled = matches!(response.outcome, Ok(_) | Err(AccountError::Overloaded));
                tell.send((n, settled)).unwrap();
            });
            accounts.register(new(&format!("user{n}")), HERE, reply)
        } else {
            let reply = Box::new(move |response: Result<User, LoginError>| {
                let settled = matches!(response, Ok(_) | Err(LoginError::Overloaded));
                tell.send((n, settled)).unwrap();
            });
            accounts.login(attempt("ada"), PASSWORD.to_owned().into(), reply)
        };
        taken += usize::from(submitted.is_ok());
    }
    drop(tell);
    let mut responses: Vec<(usize, bool)> = told.iter().collect();
    responses.sort_unstable();
    assert!(responses.iter().all(|(_, settled)| *settled));
    responses.dedup();
    assert_eq!(responses.len(), taken);
    assert!(login(&accounts, "ada", PASSWORD).is_ok());
}

#[test]
fn a_full_store_queue_refuses_at_once() {
    let folder = TempDir::new().unwrap();
    let accounts = open_with(&folder, 1, 8);
    let (release, released) = channel::<()>();
    let (entered, inside) = channel();
    let hold = Box::new(move |_| {
        entered.send(()).unwrap();
        released.recv().unwrap_err();
    });
    accounts.me(1, hold).unwrap();
    inside.recv().unwrap();
    let (tell, told) = channel();
    accounts
        .me(1, Box::new(move |found| tell.send(found).unwrap()))
        .unwrap();
    let registered =
        accounts.register(new("ada"), HERE, Box::new(|_| panic!("must not be called")));
    assert_eq!(registered, Err(Overloaded));
    let password = PASSWORD.to_owned().into();
    let reply = Box::new(|_| panic!("must not be called"));
    let logged_in = accounts.login(attempt("ada"), password, reply);
    assert_eq!(logged_in, Err(Overloaded));
    drop(release);
    assert_eq!(told.recv(), Ok(Err(AccountError::NoSuchUser)));
    assert!(register(&accounts, new("ada")).is_ok());
}

#[test]
fn a_full_hasher_queue_is_answered_overloaded() {
    let folder = TempDir::new().unwrap();
    let accounts = open_with(&folder, 1024, 1);
    let submit = |reply| {
        let password = PASSWORD.to_owned().into();
        accounts.login(attempt("nobody"), password, reply).unwrap();
    };
    let (entered, inside) = channel();
    // The reply to a failed login runs on the hasher's thread, and there are two.
    let releases = [(); 2].map(|()| {
        let (release, released) = channel::<()>();
        let entered = entered.clone();
        submit(Box::new(move |_| {
            entered.send(()).unwrap();
            released.recv().unwrap_err();
        }));
        inside.recv().unwrap();
        release
    });
    let (tell, waiting) = channel();
    submit(Box::new(move |response| tell.send(response).unwrap()));
    assert_eq!(
        login(&accounts, "nobody", PASSWORD),
        Err(LoginError::Overloaded)
    );
    assert_eq!(
        register(&accounts, new("ada")),
        Err(AccountError::Overloaded)
    );
    drop(releases);
    assert_eq!(waiting.recv(), Ok(Err(LoginError::Wrong)));
    assert!(register(&accounts, new("ada")).is_ok());
}

#[test]
fn closing_answers_everything_that_was_taken() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let (tell, told) = channel();
    for n in 0..50 {
        let tell = tell.clone();
        let reply =
            Box::new(move |response: Registration| tell.send((n, response.outcome)).unwrap());
        accounts
            .register(new(&format!("user{n}")), HERE, reply)
            .unwrap();
    }
    accounts.close();
    drop(tell);
    let responses: Vec<(usize, Result<i64, AccountError>)> = told.iter().collect();
    assert_eq!(responses.len(), 50);
    let accounts = open(&folder);
    for (n, response) in responses {
        let found = login(&accounts, &format!("user{n}"), PASSWORD);
        match response {
            Ok(id) => assert_eq!(found.map(|user| user.id), Ok(id)),
            Err(error) => {
                assert_eq!(error, AccountError::Overloaded);
                assert_eq!(found, Err(LoginError::Wrong));
            }
        }
    }
}
