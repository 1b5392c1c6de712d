//! `server_names`: what is asked of the main port under other names, and how a WebSocket is.

use crate::support::ws::KEY;
use crate::support::{Connection, Response, Server, Socket, wait_for};

const NAMES: &str = "server_names=chat.example, *.rooms.example, 192.0.2.7, 2001:db8::1";

/// The answer to a request for this host, which has these lines behind that.
fn asked(connection: &mut Connection, start: &str, host: &str, lines: &str) -> Response {
    connection.send(format!("{start} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"));
    connection.respond()
}

#[test]
fn others_than_the_listed_names_are_misdirected() {
    let server = Server::with_config(NAMES);
    let mut connection = server.connect();
    for host in [
        "chat.example",
        "Chat.Example.",
        "chat.example:443",
        "a.rooms.example",
        "192.0.2.7",
        "[2001:db8:0::1]:8443",
        "localhost:1",
        "127.0.0.2",
        "[::1]",
    ] {
        asked(&mut connection, "GET /login", host, "").expect(200);
    }
    let body = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    for host in [
        "evil.example",
        "rooms.example",
        "a.b.rooms.example",
        "192.0.2.8",
        "localhost.evil.example",
        "chat.example.evil",
    ] {
        for start in ["GET /login", "GET /me", "GET /none", "OPTIONS /login"] {
            asked(&mut connection, start, host, "").error(421);
        }
        // Probes know the address of a server and nothing else.
        for start in ["GET /healthz", "GET /readyz"] {
            asked(&mut connection, start, host, "").expect(200);
        }
        connection.send(format!(
            "POST /login HTTP/1.1\r\nHost: {host}\r\n{body}\r\n{{}}"
        ));
        connection.respond().error(421);
        // Nor is a body waited for.
        let body =
            "Content-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n";
        asked(&mut server.connect(), "POST /login", host, body).error(421);
    }
    // The target beats the field (RFC 9112 section 3.2.2).
    asked(
        &mut connection,
        "GET https://evil.example/login",
        "chat.example",
        "",
    )
    .error(421);
    asked(
        &mut connection,
        "GET https://chat.example/login",
        "evil.example",
        "",
    )
    .expect(200);
    // Without any name it is none of them.
    connection.send("GET /login HTTP/1.0\r\n\r\n");
    connection.respond().error(421);
}

#[test]
fn a_websocket_is_opened_for_listed_names_alone() {
    let server = Server::with_config(NAMES);
    let token = server.register_and_login("ann");
    let upgrade = |host: &str| {
        let lines = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: Bearer.{token}\r\n\
             Origin: https://{host}\r\n"
        );
        ["GET /ws", "GET /"].map(|start| asked(&mut server.connect(), start, host, &lines))
    };
    // Its own origin: a page of that name that was led here asks like this.
    for response in upgrade("evil.example") {
        response.error(421);
    }
    for response in upgrade("chat.example") {
        assert_eq!(response.status, 101);
    }
    Socket::join(&server, "ann", &token);
}

#[test]
fn names_change_with_a_reload() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut status = |host| asked(&mut connection, "GET /login", host, "").status;
    assert_eq!(status("evil.example"), 200);
    server.folder().configure(NAMES);
    server.hangup();
    wait_for("the names", || {
        (status("evil.example") == 421).then_some(())
    });
    assert_eq!(status("localhost"), 200);
}
