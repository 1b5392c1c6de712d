//! The end of the server.

use crate::support::users::PASSWORD;
use crate::support::ws::RawSocket;
use crate::support::{Connection, Server, Socket};
use serde_json::json;

#[test]
fn a_quiet_server_ends_in_order() {
    for signal in ["TERM", "INT"] {
        let server = Server::start();
        server.connect().get("/").expect(200);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn requests_in_flight_are_answered() {
    let server = Server::start();
    server.register("ann");
    let body = json!({"username": "ann", "password": PASSWORD}).to_string();
    let fields = [("Content-Type", "application/json")];
    let mut connections: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut connections {
        // Both arrive together, so the first answer says that the second request is there too.
        let mut bytes = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.host());
        bytes.push_str(&format!(
            "POST /login HTTP/1.1\r\nHost: {}\r\n",
            server.host()
        ));
        bytes.push_str(&format!(
            "{}: {}\r\nContent-Length: {}\r\n\r\n{body}",
            fields[0].0,
            fields[0].1,
            body.len()
        ));
        connection.send(bytes);
    }
    for connection in &mut connections {
        connection.respond().expect(200);
    }
    server.signal("TERM");
    for connection in &mut connections {
        assert!(connection.respond().expect(200).json()["data"]["token"].is_string());
        connection.expect_close();
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn idle_connections_have_a_moment_to_ask_in() {
    let server = Server::with_config("shutdown_grace=600");
    let mut used = server.connect();
    used.get("/").expect(200);
    let mut asking = server.connect();
    asking.get("/").expect(200);
    let mut fresh = server.connect();
    // Its handshake is done on our side; an answer would say the same of the server's.
    server.connect().get("/").expect(200);
    server.signal("TERM");
    // One of the answers is the last, and says so.
    while asking.get("/").expect(200).field("Connection") != Some("close") {}
    asking.expect_close();
    used.expect_close();
    let (rest, _) = fresh.rest();
    assert!(rest.is_empty());
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sockets_are_told_that_the_server_goes_away() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut joined = Socket::join(&server, "ann", &token);
    let mut outside = Socket::open(&server, "ann", &token);
    server.signal("TERM");
    joined.expect_close(1001);
    outside.expect_close(1001);
    // A next read sends the reply to the close, which is all the server waits for.
    drop((joined, outside));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn nobody_new_is_let_in() {
    let server = Server::with_config("shutdown_grace=600");
    let token = server.register_and_login("ann");
    let mut holding = RawSocket::open(&server, &token);
    server.signal("TERM");
    assert_eq!(holding.frame().close_code(), 1001);
    // Asked only after the shutdown is known to have begun.
    assert!(
        Connection::open(&server).is_err(),
        "a connection after SIGTERM"
    );
    holding.send(true, crate::support::ws::CLOSE, &1001_u16.to_be_bytes());
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn who_does_not_finish_is_waited_for_so_long() {
    let server = Server::with_config("shutdown_grace=1\nrequest_timeout=3600");
    let mut slow = server.connect();
    slow.get("/").expect(200);
    slow.send("POST /login HTTP/1.1\r\n");
    let token = server.register_and_login("ann");
    let mut deaf = RawSocket::open(&server, &token);
    server.signal("TERM");
    assert_eq!(deaf.frame().close_code(), 1001);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_waiting() {
    let server = Server::with_config("shutdown_grace=3600");
    let token = server.register_and_login("ann");
    let mut deaf = RawSocket::open(&server, &token);
    server.signal("TERM");
    assert_eq!(deaf.frame().close_code(), 1001);
    server.signal("TERM");
    server.wait();
}
