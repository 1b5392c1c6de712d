//! Waiting times of logins.

use super::*;

/// From a network by number, with three failures free, so many seconds later.
fn limited(username: &str, network: u32, later_s: i64) -> LoginAttempt {
    let attempt = attempt(username);
    LoginAttempt {
        network: ClientNetwork::V4(network),
        failures_max: 3,
        now: attempt.now + later_s,
        ..attempt
    }
}

fn try_in(accounts: &Accounts, attempt: LoginAttempt, password: &str) -> Result<User, LoginError> {
    let password = password.to_owned().into();
    ask(|reply| accounts.login(attempt, password, reply))
}

fn wait(retry_after_s: u32) -> Result<User, LoginError> {
    Err(LoginError::TooMany { retry_after_s })
}

#[test]
fn an_account_waits_longer_and_longer_known_or_not_and_across_restarts() {
    let folder = TempDir::new().unwrap();
    let mut accounts = open(&folder);
    register(&accounts, new("ada")).unwrap();
    let mut later_s = 0;
    for (failures, retry_after_s) in [(3, 60), (1, 120), (1, 240), (1, 480), (1, 900), (1, 900)] {
        for name in ["ada", "nobody"] {
            for network in 0..failures {
                let outcome = try_in(&accounts, limited(name, network, later_s), "Wrong-1?");
                assert_eq!(outcome, Err(LoginError::Wrong));
            }
        }
        accounts.close();
        accounts = open(&folder);
        for name in ["ada", "nobody"] {
            let right = |more_s| try_in(&accounts, limited(name, 9, later_s + more_s), PASSWORD);
            assert_eq!(right(0), wait(retry_after_s), "{name}");
            assert_eq!(right(i64::from(retry_after_s) - 1), wait(1), "{name}");
        }
        later_s += i64::from(retry_after_s);
    }
    // A success clears it.
    assert!(try_in(&accounts, limited("ada", 9, later_s), PASSWORD).is_ok());
    for _ in 0..3 {
        let outcome = try_in(&accounts, limited("ada", 1, later_s), "Wrong-1?");
        assert_eq!(outcome, Err(LoginError::Wrong));
    }
    assert_eq!(
        try_in(&accounts, limited("ada", 1, later_s), PASSWORD),
        wait(60)
    );
}

#[test]
fn who_waits_costs_no_hash() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let hashed = |accounts: &Accounts| accounts.pool.load().waits.count();
    let full = LoginAttempt {
        in_flight: 3,
        ..limited("nobody", 1, 0)
    };
    assert_eq!(try_in(&accounts, full, PASSWORD), wait(60));
    assert_eq!(hashed(&accounts), 0);
    let last = LoginAttempt {
        in_flight: 2,
        ..limited("nobody", 1, 0)
    };
    assert_eq!(try_in(&accounts, last, PASSWORD), Err(LoginError::Wrong));
    assert_eq!(hashed(&accounts), 1);
}

#[test]
fn a_user_is_not_locked_out_of_a_network_that_is_known() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    for name in ["ada", "bob"] {
        register(&accounts, new(name)).unwrap();
    }
    assert!(try_in(&accounts, limited("ada", 7, 0), PASSWORD).is_ok());
    for network in 1..4 {
        for name in ["ada", "bob"] {
            let outcome = try_in(&accounts, limited(name, network, 0), "Wrong-1?");
            assert_eq!(outcome, Err(LoginError::Wrong));
        }
    }
    assert_eq!(try_in(&accounts, limited("ada", 8, 0), PASSWORD), wait(60));
    assert_eq!(try_in(&accounts, limited("bob", 7, 0), PASSWORD), wait(60));
    assert!(try_in(&accounts, limited("ada", 7, 0), PASSWORD).is_ok());
}

#[test]
fn a_success_is_written_when_it_is_news() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    register(&accounts, new("ada")).unwrap();
    let writes = |attempt| {
        let before = accounts.store.load().waits.count();
        assert!(try_in(&accounts, attempt, PASSWORD).is_ok());
        accounts.store.load().waits.count() - before - 1
    };
    assert_eq!(writes(limited("ada", 1, 0)), 1);
    assert_eq!(writes(limited("ada", 1, 3600)), 0);
    assert_eq!(writes(limited("ada", 2, 3600)), 1);
    assert_eq!(writes(limited("ada", 1, 24 * 3600)), 1);
    let wrong = try_in(&accounts, limited("ada", 1, 24 * 3600), "Wrong-1?");
    assert_eq!(wrong, Err(LoginError::Wrong));
    assert_eq!(writes(limited("ada", 1, 24 * 3600)), 1);
    assert_eq!(writes(attempt("ada")), 0);
}

#[test]
fn a_failure_that_cannot_be_stored_is_told_apart_here_and_not_to_the_client() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    register(&accounts, new("ada")).unwrap();
    let db = Connection::open(folder.path().join("users.db")).unwrap();
    db.execute_batch(
        "DROP TABLE known_networks; CREATE TABLE known_networks (user_id, network, seen_at)",
    )
    .unwrap();
    db.execute_batch(
        "CREATE TRIGGER broken BEFORE INSERT ON login_failures
         BEGIN SELECT RAISE(ABORT, 'on purpose'); END",
    )
    .unwrap();
    let wrong = try_in(&accounts, limited("ada", 1, 0), "Wrong-1?");
    assert_eq!(wrong, Err(LoginError::WrongUncounted));
    assert_eq!(
        LoginError::WrongUncounted.to_string(),
        LoginError::Wrong.to_string()
    );
    // Who knows the password gets in, though it cannot be noted from where.
    assert!(try_in(&accounts, limited("ada", 1, 0), PASSWORD).is_ok());
}

#[test]
fn a_registration_says_whether_it_cost_a_hash() {
    let folder = TempDir::new().unwrap();
    let accounts = open(&folder);
    let cost = |new| {
        let registration = ask(|reply| accounts.register(new, HERE, reply));
        (registration.outcome.is_ok(), registration.has_hashed)
    };
    assert_eq!(cost(new("ada")), (true, true));
    assert_eq!(cost(new("ada")), (false, false));
    assert_eq!(cost(new("a")), (false, false));
}
