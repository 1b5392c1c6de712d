//! More logins than can be hashed.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::ws::RawSocket;
use crate::support::{Connection, Server, wait_for};

const LOGINS: usize = 200;

/// Sends a login without waiting for its answer. Its user is not there.
fn ask(connection: &mut Connection, number: usize) {
    let body = json!({"username": format!("nobody{number}"), "password": "Wrong-pass-1"});
    let fields = [("Content-Type", "application/json")];
    connection.send_request("POST", "/login", &fields, body.to_string().as_bytes());
}

/// Number of answers there were of each status. Every connection has one, and lives on.
fn responses(connections: &mut [Connection]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for connection in connections {
        let response = connection.respond();
        if response.status != 401 {
            let wait: u32 = response.field("Retry-After").unwrap().parse().unwrap();
            assert!(wait > 0);
        }
        response.error(response.status);
        *counts.entry(response.status).or_default() += 1;
        connection.get("/login").expect(200);
    }
    counts
}

fn connect_all(server: &Server) -> Vec<Connection> {
    (0..LOGINS).map(|_| server.connect()).collect()
}

const MANY: &str = "max_connections_per_ip=0\nhandshakes_per_second_per_ip=0";

#[test]
fn a_flood_of_logins_is_for_its_own_account() {
    let server = Server::with_config(&format!("{MANY}\nlogin_attempts_per_minute=0"));
    let token = server.register_and_login("ann");
    let mut socket = RawSocket::open(&server, &token);
    let mut page = server.connect();
    let mut flood = connect_all(&server);

    // While it is stopped all of it gathers, so that the order does not hang on how fast this test is.
    server.signal("STOP");
    for (number, connection) in flood.iter_mut().enumerate() {
        ask(connection, number);
    }
    page.send_request("GET", "/profile", &[], b"");
    socket.send(true, 9, b"ping");
    server.signal("CONT");
    page.respond().expect(200);
    let pong = socket.frame();
    assert_eq!(
        (pong.opcode, pong.payload.as_slice()),
        (10, b"ping".as_slice())
    );

    let counts = responses(&mut flood);
    let served = counts.get(&401).copied().unwrap_or(0);
    let rejected = counts.get(&503).copied().unwrap_or(0);
    assert_eq!(served + rejected, LOGINS, "{counts:?}");
    // As many wait as there is room for, and some are taken meanwhile.
    assert!(served >= 64 && rejected >= 50, "{counts:?}");

    // Everything is logged when it is answered: refusals at once, and the page before those who waited.
    let lines = wait_for("all to be logged", || {
        let lines = server.log_lines();
        let logins = lines
            .iter()
            .filter(|line| line.contains("method=POST path=/login"));
        (logins.count() > LOGINS).then_some(lines)
    });
    let at = |what: &str| {
        let of = |(at, line): (usize, &String)| line.contains(what).then_some(at);
        lines.iter().enumerate().filter_map(of).collect::<Vec<_>>()
    };
    let page = at("path=/profile")[0];
    let waited = at("path=/login status=401");
    let behind = waited.iter().filter(|login| **login > page).count();
    assert!(
        behind >= 50,
        "{behind} of {} logins were answered after the page",
        waited.len()
    );
    let last_refused = *at("path=/login status=503").last().unwrap();
    assert!(
        waited.last().unwrap() > &last_refused,
        "a refusal had to wait"
    );
    server.login("ann");
}

#[test]
fn guesses_at_one_account_are_not_hashed_over_the_limit() {
    let server = Server::with_config(MANY);
    let mut flood = connect_all(&server);
    for connection in &mut flood {
        ask(connection, 0);
    }
    let counts = responses(&mut flood);
    assert_eq!(counts, BTreeMap::from([(401, 10), (429, LOGINS - 10)]));
}
