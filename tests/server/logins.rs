//! The cost of failed logins and registrations: who has to wait, for how long, and who has not.

use std::ops::RangeInclusive;

use crate::support::http::tcp_from;
use crate::support::users::{PASSWORD, registration};
use crate::support::{Connection, Folder, Response, Server};
use rusqlite::Connection as Database;
use serde_json::{Value, json};

const WRONG: &str = "Wrong-Horse-9";

/// A connection from 127.0.0.`source`: another address for each, as far as the server knows.
fn from(server: &Server, source: u8) -> Connection {
    let socket = tcp_from(server, [127, 0, 0, source].into()).unwrap();
    Connection::over(server, socket).unwrap()
}

fn log_in(server: &Server, source: u8, username: &str, password: &str) -> Response {
    let body = json!({"username": username, "password": password});
    from(server, source).post_json("/login", &body)
}

fn expect_wait(response: &Response, seconds: RangeInclusive<u64>) {
    response.error(429);
    let retry_after_s = response.field("Retry-After").unwrap().parse().unwrap();
    assert!(
        seconds.contains(&retry_after_s),
        "{retry_after_s} s are to be waited"
    );
}

fn kill(server: Server) {
    server.signal("KILL");
    assert!(!server.wait().success());
}

fn database(folder: &Folder) -> Database {
    Database::open(folder.file("users.db")).unwrap()
}

/// Lets so much time pass for what is in the database.
fn age(folder: &Folder, seconds: i64) {
    let changed = database(folder)
        .execute(
            "UPDATE login_failures SET last_failed_at = last_failed_at - ?1",
            [seconds],
        )
        .unwrap();
    assert!(changed > 0);
}

fn accounts_failed(folder: &Folder) -> u32 {
    database(folder)
        .query_row("SELECT count(*) FROM login_failures", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn accounts_wait_across_restarts_known_or_not() {
    let folder = Folder::new();
    folder.configure("login_attempts_per_minute=2");
    let server = folder.start();
    server.register("ann");
    // Each from addresses that have not failed otherwise.
    for (name, sources) in [("ann", [2, 3]), ("nobody", [4, 5])] {
        for source in sources {
            log_in(&server, source, name, WRONG).error(401);
        }
    }
    let words = ["ann", "nobody"].map(|name| {
        let response = log_in(&server, 6, name, PASSWORD);
        expect_wait(&response, 1..=60);
        let fields: Vec<_> = response
            .fields
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        (response.text().to_owned(), fields)
    });
    assert_eq!(words[0], words[1]);
    server.wait_for_log("login_attempts_per_minute");
    kill(server);

    let server = folder.start();
    for name in ["ann", "nobody"] {
        expect_wait(&log_in(&server, 6, name, PASSWORD), 1..=60);
    }
    kill(server);
    age(&folder, 60);

    // One attempt is free, and the next wait is longer.
    let server = folder.start();
    for (name, source) in [("ann", 2), ("nobody", 4)] {
        log_in(&server, source, name, WRONG).error(401);
        expect_wait(&log_in(&server, 6, name, PASSWORD), 61..=120);
    }
    kill(server);
    age(&folder, 120);

    let server = folder.start();
    log_in(&server, 6, "ann", PASSWORD).expect(200);
    assert_eq!(accounts_failed(&folder), 1, "that of nobody");
    log_in(&server, 7, "ann", WRONG).error(401);
    log_in(&server, 7, "ann", PASSWORD).expect(200);
}

#[test]
fn a_success_in_between_clears_it() {
    let server = Server::with_config("login_attempts_per_minute=2");
    server.register("ann");
    for source in 2..6 {
        log_in(&server, source, "ann", WRONG).error(401);
        log_in(&server, source + 10, "ann", PASSWORD).expect(200);
    }
    assert_eq!(accounts_failed(server.folder()), 0);
}

#[test]
fn nobody_locks_a_user_out_of_where_he_is_known() {
    let server = Server::with_config("login_attempts_per_minute=2");
    server.register("ann");
    log_in(&server, 2, "ann", PASSWORD).expect(200);
    for source in [3, 4] {
        log_in(&server, source, "ann", WRONG).error(401);
    }
    expect_wait(&log_in(&server, 5, "ann", PASSWORD), 1..=60);
    log_in(&server, 2, "ann", PASSWORD).expect(200);
    // It is known for one user, and the address has its limit still.
    for source in [3, 4] {
        log_in(&server, source + 10, "bob", WRONG).error(401);
    }
    expect_wait(&log_in(&server, 2, "bob", WRONG), 1..=60);
    for _ in 0..2 {
        log_in(&server, 2, "ann", WRONG).error(401);
    }
    expect_wait(&log_in(&server, 2, "ann", PASSWORD), 1..=60);
}

#[test]
fn a_user_is_known_by_the_client_of_a_proxy() {
    let server = Server::with_config(
        "trusted_proxies=127.0.0.1\nlogin_attempts_per_minute=2\nregistrations_per_minute_per_ip=1",
    );
    let post = |target: &str, client: &str, body: Value| {
        let fields = [
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", client),
        ];
        let body = body.to_string();
        let mut connection = server.connect();
        connection.request("POST", target, &fields, body.as_bytes())
    };
    let login = |client, password| {
        post(
            "/login",
            client,
            json!({"username": "ann", "password": password}),
        )
    };
    post("/register", "192.0.2.1", registration("ann")).expect(201);
    let response = post("/register", "192.0.2.1", registration("bob"));
    expect_wait(&response, 1..=60);
    post("/register", "192.0.2.2", registration("bob")).expect(201);
    // All of a /64 is one address.
    post("/register", "2001:db8::1", registration("cyd")).expect(201);
    let response = post("/register", "2001:db8::2", registration("dan"));
    expect_wait(&response, 1..=60);

    login("192.0.2.1", PASSWORD).expect(200);
    login("2001:db8::1", PASSWORD).expect(200);
    for client in ["192.0.2.2", "192.0.2.3"] {
        login(client, WRONG).error(401);
    }
    for client in ["192.0.2.4", "2001:db8:0:1::1"] {
        expect_wait(&login(client, PASSWORD), 1..=60);
    }
    login("2001:db8::2", PASSWORD).expect(200);
    for client in ["192.0.2.5", "192.0.2.6"] {
        login(client, WRONG).error(401);
    }
    login("192.0.2.1", PASSWORD).expect(200);
}

#[test]
fn a_clock_that_was_set_back_locks_nobody_out() {
    let folder = Folder::new();
    folder.configure("login_attempts_per_minute=2");
    let server = folder.start();
    server.register("ann");
    for source in [2, 3] {
        log_in(&server, source, "ann", WRONG).error(401);
    }
    kill(server);
    // A clock that stands in the past makes what was stored one of the future.
    for seconds in [3600, 100_000_000] {
        age(&folder, -seconds);
        let server = folder.start();
        log_in(&server, 2, "ann", WRONG).error(401);
        kill(server);
    }
    let server = folder.start();
    log_in(&server, 3, "ann", PASSWORD).expect(200);
}

#[test]
fn guesses_sent_all_at_once_do_not_slip_through() {
    let server = Server::with_config("login_attempts_per_minute=3");
    server.register("ann");
    let guesses: Vec<_> = (2..22).map(|source| from(&server, source)).collect();
    let body = json!({"username": "ann", "password": WRONG});
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let guess = |mut connection: Connection| connection.post_json("/login", &body).status;
        let threads: Vec<_> = guesses
            .into_iter()
            .map(|connection| scope.spawn(move || guess(connection)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let tried = statuses.iter().filter(|status| **status == 401).count();
    assert!((1..=3).contains(&tried), "{statuses:?}");
    let rejected = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(tried + rejected, statuses.len(), "{statuses:?}");
}

/// Sends all of these logins at once, each over a connection of its own from 127.0.0.`source`.
fn log_in_at_once(server: &Server, source: u8, logins: &[(String, &str)]) -> Vec<Response> {
    let connections: Vec<_> = logins.iter().map(|_| from(server, source)).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .zip(logins)
            .map(|(mut connection, (username, password))| {
                let body = json!({"username": username, "password": password});
                scope.spawn(move || connection.post_json("/login", &body))
            })
            .collect();
        let responses = threads.into_iter().map(|thread| thread.join().unwrap());
        responses.collect()
    })
}

fn count(responses: &[Response], status: u16) -> usize {
    let statuses = responses.iter().map(|response| response.status);
    statuses.filter(|other| *other == status).count()
}

#[test]
fn guesses_at_many_accounts_sent_all_at_once_do_not_slip_through() {
    let server = Server::with_config("login_attempts_per_minute=3");
    let guesses: Vec<_> = (0..20).map(|n| (format!("user{n}"), WRONG)).collect();
    let responses = log_in_at_once(&server, 2, &guesses);
    assert_eq!(count(&responses, 401), 3);
    assert_eq!(count(&responses, 429), 17);
    expect_wait(&log_in(&server, 2, "user30", WRONG), 1..=60);
    log_in(&server, 3, "user30", WRONG).error(401);
}

#[test]
fn logins_that_are_right_are_limited_too_and_by_address() {
    let server = Server::with_config("logins_per_minute_per_ip=4");
    server.register("ann");
    for _ in 0..4 {
        log_in(&server, 2, "ann", PASSWORD).expect(200);
    }
    expect_wait(&log_in(&server, 2, "ann", PASSWORD), 1..=60);
    let line = server.wait_for_log("logins_per_minute_per_ip");
    assert!(line.contains("127.0.0.2"), "{line}");
    log_in(&server, 3, "ann", PASSWORD).expect(200);

    server.folder().configure("logins_per_minute_per_ip=0");
    server.hangup();
    server.wait_for_log("changed: logins_per_minute_per_ip");
    crate::support::wait_for("logins to be free", || {
        (log_in(&server, 2, "ann", PASSWORD).status == 200).then_some(())
    });
}

#[test]
fn what_is_longer_than_any_password_or_name_is_wrong_at_once() {
    let server = Server::with_config("login_attempts_per_minute=3");
    server.register("ann");
    let long = "Aa1!".repeat(2000);
    for (number, (username, password)) in [("ann", &*long), (&long, PASSWORD), (&long, &long)]
        .into_iter()
        .enumerate()
    {
        let response = log_in(&server, 2, username, password);
        assert_eq!(
            response.json()["error"],
            "Invalid username or password",
            "{number}"
        );
        response.error(401);
    }
    // They count as any other.
    expect_wait(&log_in(&server, 2, "ann", PASSWORD), 1..=60);
    log_in(&server, 3, "ann", PASSWORD).expect(200);
}

#[test]
fn an_office_behind_one_address_logs_in() {
    let server = Server::start();
    let people: Vec<_> = (0..8).map(|n| (format!("user{n}"), PASSWORD)).collect();
    for (name, _) in &people {
        server.register(name);
    }
    // Eight at a time, thrice as many as may fail in all.
    for _ in 0..4 {
        assert_eq!(count(&log_in_at_once(&server, 2, &people), 200), 8);
    }
}

#[test]
fn a_flood_of_one_address_leaves_the_hashers_to_others() {
    let server = Server::with_config("login_attempts_per_minute=0");
    for name in ["ann", "bob"] {
        server.register(name);
    }
    let flood: Vec<_> = (0..90).map(|_| ("ann".to_owned(), PASSWORD)).collect();
    let (flooded, others) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| log_in_at_once(&server, 2, &flood));
        let mut others = Vec::new();
        while !flood.is_finished() || others.is_empty() {
            others.push(log_in(&server, 3, "bob", PASSWORD).status);
        }
        (flood.join().unwrap(), others)
    });
    assert!(others.iter().all(|status| *status == 200), "{others:?}");
    let (done, rejected) = (count(&flooded, 200), count(&flooded, 503));
    assert_eq!(done + rejected, flooded.len());
    assert!(rejected > 0, "the flood was no more than the queue takes");
}

#[test]
fn a_database_that_cannot_be_written_stops_guesses_and_no_logins() {
    let server = Server::with_config("login_attempts_per_minute=2");
    for name in ["ann", "bob"] {
        server.register(name);
    }
    let other = database(server.folder());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for source in [2, 3] {
        log_in(&server, source, "ann", WRONG).error(401);
    }
    expect_wait(&log_in(&server, 4, "ann", PASSWORD), 1..=60);
    log_in(&server, 4, "bob", PASSWORD).expect(200);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(accounts_failed(server.folder()), 0);
}

#[test]
fn an_address_registers_so_many_users_a_minute() {
    let server = Server::with_config("registrations_per_minute_per_ip=2");
    let register = |source, username: &str| {
        let body = registration(username);
        from(&server, source).post_json("/register", &body)
    };
    // What costs no hash is free.
    for _ in 0..3 {
        register(2, "x").error(400);
    }
    register(2, "ann").expect(201);
    for _ in 0..3 {
        register(2, "ann").error(409);
    }
    register(2, "bob").expect(201);
    expect_wait(&register(2, "cyd"), 1..=60);
    let line = server.wait_for_log("registrations_per_minute_per_ip");
    assert!(line.contains("127.0.0.2"), "{line}");
    register(3, "cyd").expect(201);
    log_in(&server, 2, "ann", PASSWORD).expect(200);

    server
        .folder()
        .configure("registrations_per_minute_per_ip=0");
    server.hangup();
    crate::support::wait_for("registrations to be free", || {
        (register(2, "dan").status == 201).then_some(())
    });
}
