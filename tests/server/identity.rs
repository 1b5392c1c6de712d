//! Identity: decided when it is used, kept when the name changes, and of this database alone.

use std::fs::File;

use crate::support::command::SECRET_KEY;
use crate::support::http::tcp_from;
use crate::support::users::{PASSWORD, registration};
use crate::support::ws::{RawSocket, TEXT, UPGRADE, assert_upgraded, handshake};
use crate::support::{Connection, Folder, Response, Server, Socket, wait_for};
use edgeloop::app::tokens::Tokens;
use serde_json::{Value, json};

/// More than the sockets of both ends hold.
const BIG: u64 = 48 << 20;

/// A server with a file that is not sent before it is read.
fn with_big_file(changes: &str) -> Server {
    let folder = Folder::new();
    let public = folder.file("public");
    std::fs::create_dir(&public).unwrap();
    let file = File::create(public.join("big.bin")).unwrap();
    file.set_len(BIG).unwrap();
    folder.configure(&format!("public_dir={}\n{changes}", public.display()));
    folder.start()
}

/// A handshake that waits behind a file of which nothing is read yet.
fn parked_handshake(server: &Server, token: &str) -> Connection {
    let mut connection = server.connect();
    let bearer = format!("Bearer {token}");
    connection.send_request("GET", "/big.bin", &[], b"");
    let fields: Vec<_> = UPGRADE
        .iter()
        .copied()
        .chain([("Authorization", &*bearer)])
        .collect();
    connection.send_request("GET", "/ws", &fields, b"");
    // The head of the first answer: both requests have been read.
    connection.peek(100);
    connection
}

fn skip_file(connection: &mut Connection) {
    let response = connection.respond();
    assert_eq!(response.body.len() as u64, BIG);
}

fn rename(server: &Server, token: &str, name: &str) -> Response {
    server
        .connect()
        .put_json_as(token, "/me", &json!({"username": name}))
}

fn expect_wait(response: &Response, most_s: u64) {
    response.error(429);
    let retry_after_s: u64 = response.field("Retry-After").unwrap().parse().unwrap();
    assert!((1..=most_s).contains(&retry_after_s), "{retry_after_s} s");
}

#[test]
fn a_websocket_that_waited_opens_under_the_name_of_the_moment_it_opens() {
    let server = with_big_file("");
    let token = server.register_and_login("ann");
    let mut connection = parked_handshake(&server, &token);
    rename(&server, &token, "anna").expect(200);
    skip_file(&mut connection);
    assert_upgraded(&connection.respond());
    let mut socket = RawSocket(connection);
    assert_eq!(socket.frame().json()["type"], "system");
    socket.send(true, TEXT, br#"{"type":"join"}"#);
    let users = socket.frame().json();
    assert_eq!(
        users["users"],
        json!([{"username": "anna", "isOnline": true}])
    );
}

#[test]
fn a_websocket_that_waited_does_not_open_with_a_token_that_has_ended() {
    let server = with_big_file("jwt_expiry_seconds=2");
    let token = server.register_and_login("ann");
    let mut connection = parked_handshake(&server, &token);
    let mut other = server.connect();
    wait_for("the token to end", || {
        (other.get_as(&token, "/me").status == 401).then_some(())
    });
    skip_file(&mut connection);
    connection.respond().error(401);
    // The connection lives on.
    connection.get("/nothing").expect(404);
}

#[test]
fn the_limit_of_messages_follows_the_user_through_names() {
    let server = Server::with_config("messages_per_minute=2\nrenames_per_day=0");
    let token = server.register_and_login("ann");
    let message = json!({"type": "message", "message": "x"});
    let mut socket = Socket::join(&server, "ann", &token);
    for _ in 0..2 {
        socket.send(&message);
        socket.expect("message");
    }
    for name in ["ann1", "ann2", "ann"] {
        rename(&server, &token, name).expect(200);
        socket.expect_close(1008);
        socket = Socket::join(&server, name, &token);
        socket.send(&message);
        socket.expect_error("rate_limited");
    }
}

#[test]
fn others_see_a_change_of_the_name_as_leave_and_join() {
    let server = Server::start();
    let (ann, bob) = (
        server.register_and_login("ann"),
        server.register_and_login("bob"),
    );
    let mut watcher = Socket::join(&server, "bob", &bob);
    let mut socket = Socket::join(&server, "ann", &ann);
    watcher.expect_presence("join", "ann", &["ann", "bob"]);
    rename(&server, &ann, "anna").expect(200);
    socket.expect_close(1008);
    watcher.expect_presence("leave", "ann", &["bob"]);
    let _socket = Socket::join(&server, "anna", &ann);
    watcher.expect_presence("join", "anna", &["anna", "bob"]);
    // Without another name nothing happens to anybody.
    for body in [
        json!({"username": "anna"}),
        json!({"email": "new@example.com"}),
    ] {
        server.connect().put_json_as(&ann, "/me", &body).expect(200);
    }
    watcher.expect_quiet();
}

#[test]
fn a_name_given_up_still_finds_its_user_and_is_nobody_elses() {
    let folder = Folder::new();
    folder.configure("");
    let server = folder.start();
    let (ann, bob) = (
        server.register_and_login("ann"),
        server.register_and_login("bob"),
    );
    rename(&server, &ann, "anna").expect(200);
    assert_eq!(server.stop().code(), Some(0));

    let server = folder.start();
    let mut taken = registration("ann");
    taken["email"] = json!("new@example.com");
    let response = server.connect().post_json("/register", &taken);
    assert_eq!(response.error(409), "Username already exists");
    assert_eq!(
        rename(&server, &bob, "ann").error(409),
        "Username already exists"
    );
    let by_alias = json!({"username": "ann", "password": PASSWORD});
    server.connect().post_json("/login", &by_alias).error(401);

    let mut from = Socket::join(&server, "bob", &bob);
    let mut to = Socket::join(&server, "anna", &ann);
    from.expect_presence("join", "anna", &["anna", "bob"]);
    from.send(&json!({"type": "private_message", "to": "ann", "message": "hello"}));
    assert_eq!(to.expect("private_message")["from"], "bob");
    from.send(&json!({"type": "message", "message": "hello", "mentions": ["ann", "anna"]}));
    to.expect("message");
    to.expect("mention_notification");
    let reaction = json!({"type": "reaction", "messageId": "1", "emoji": "+", "action": "add",
        "location": "private:ann"});
    from.send(&reaction);
    assert_eq!(to.expect("reaction")["location"], "private:ann");
    to.expect_quiet();

    rename(&server, &ann, "ann").expect(200);
    server.login("ann");
}

#[test]
fn a_user_takes_so_many_names_a_day() {
    let folder = Folder::new();
    folder.configure("renames_per_day=2");
    let server = folder.start();
    let token = server.register_and_login("ann");
    server.register("bob");
    rename(&server, &token, "ann1").expect(200);
    for _ in 0..3 {
        rename(&server, &token, "ann1").expect(200);
        rename(&server, &token, "bob").error(409);
    }
    rename(&server, &token, "ann2").expect(200);
    expect_wait(&rename(&server, &token, "ann3"), 86_400);
    assert_eq!(server.stop().code(), Some(0));

    let server = folder.start();
    expect_wait(&rename(&server, &token, "ann"), 86_400);
    let email = json!({"username": "ann2", "email": "new@example.com"});
    server
        .connect()
        .put_json_as(&token, "/me", &email)
        .expect(200);
    folder.configure("renames_per_day=0");
    server.hangup();
    wait_for("names to be free", || {
        (rename(&server, &token, "ann3").status == 200).then_some(())
    });
    rename(&server, &token, "ann4").expect(200);
}

#[test]
fn an_address_asks_for_so_many_names_that_are_taken() {
    let server = Server::with_config("conflicts_per_minute_per_ip=3");
    let token = server.register_and_login("ann");
    server.register("bob");
    let from = |source: u8| {
        let socket = tcp_from(&server, [127, 0, 0, source].into()).unwrap();
        Connection::over(&server, socket).unwrap()
    };
    let mut connection = from(2);
    // What is free, or the user's own, or no name at all, does not count.
    for name in ["cyd", "dan", "eve", "fay"] {
        connection
            .post_json("/register", &registration(name))
            .expect(201);
        let own = json!({"name": "A", "username": "ann", "email": "ann@example.com"});
        connection.put_json_as(&token, "/me", &own).expect(200);
        connection
            .post_json("/register", &registration("x"))
            .error(400);
    }
    for _ in 0..2 {
        connection
            .post_json("/register", &registration("ann"))
            .error(409);
    }
    let taken = json!({"email": "bob@example.com"});
    connection.put_json_as(&token, "/me", &taken).error(409);
    for name in ["ann", "gus"] {
        expect_wait(&connection.post_json("/register", &registration(name)), 60);
    }
    expect_wait(&connection.put_json_as(&token, "/me", &taken), 60);
    let line = server.wait_for_log("conflicts_per_minute_per_ip");
    assert!(line.contains("127.0.0.2"), "{line}");
    connection
        .put_json_as(&token, "/me", &json!({"name": "B"}))
        .expect(200);
    // Elsewhere it is free, as long as it is few.
    from(3)
        .post_json("/register", &registration("gus"))
        .expect(201);
    // Sent together, no more slip through.
    let mut many = from(4);
    let body = registration("ann").to_string();
    for _ in 0..8 {
        let fields = [("Content-Type", "application/json")];
        many.send_request("POST", "/register", &fields, body.as_bytes());
    }
    let statuses: Vec<u16> = (0..8).map(|_| many.respond().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 3);

    server.folder().configure("conflicts_per_minute_per_ip=0");
    server.hangup();
    wait_for("conflicts to be free", || {
        let response = connection.post_json("/register", &registration("ann"));
        (response.status == 409).then_some(())
    });
}

#[test]
fn a_token_of_another_database_is_nobodys() {
    let folder = Folder::new();
    folder.configure("");
    let server = folder.start();
    let token = server.register_and_login("mallory");
    assert_eq!(server.stop().code(), Some(0));
    // A fresh database, its first user somebody else.
    folder.configure("db_path=another.db");
    let server = folder.start();
    let own = server.register_and_login("admin");
    let mut connection = server.connect();
    connection.get_as(&token, "/me").error(401);
    let change = json!({"email": "mallory@example.com"});
    connection.put_json_as(&token, "/me", &change).error(401);
    let bearer = format!("Bearer {token}");
    let rejected = handshake(&mut connection, "/ws", &[("Authorization", &bearer)]);
    rejected.error(401);
    let me = connection.get_as(&own, "/me").expect(200).json();
    assert_eq!(me["email"], "admin@example.com");
    Socket::join(&server, "admin", &own).close();
    assert_eq!(server.stop().code(), Some(0));

    // The first one's tokens are good again with it, and with a copy of it.
    std::fs::copy(folder.file("users.db"), folder.file("copy.db")).unwrap();
    folder.configure("db_path=copy.db");
    folder.start().connect().get_as(&token, "/me").expect(200);
}

#[test]
fn a_token_of_before_is_good_unless_refused() {
    let server = Server::start();
    server.register("ann");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let old = Tokens::new(SECRET_KEY.as_bytes(), 3600);
    let old = old.issue(1, "ann", now).unwrap();
    let new = server.login("ann");
    let status = |token: &str| server.connect().get_as(token, "/me").status;
    assert_eq!([status(&old), status(&new)], [200, 200]);
    server.folder().configure("accept_legacy_tokens=0");
    server.hangup();
    wait_for("older tokens to be refused", || {
        (status(&old) == 401).then_some(())
    });
    assert_eq!(status(&new), 200);
    let bearer = format!("Bearer {old}");
    let fields: [(&str, &str); 1] = [("Authorization", &bearer)];
    let rejected: Value = handshake(&mut server.connect(), "/ws", &fields).json();
    assert_eq!(rejected["success"], false);
}
