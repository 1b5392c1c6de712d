//! Faults that were found from outside, each with the way it was found.

use std::io::{Read as _, Write as _};

use crate::support::http::tcp;
use crate::support::{Server, Socket};
use serde_json::json;

/// rustls panicked when it was asked for its alert; nine bytes from anybody ended the server.
#[test]
fn odd_handshake_messages_end_their_connection_and_nothing_else() {
    let server = Server::start();
    for packet in [
        &b"\x16\x03\x01\x00\x04\x01\x01\x00\x00"[..],
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x00\x01",
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x00\x01\x00\x00\x00",
        b"\x16\x03\x01\x00\x03\x01\x01\x00\x16\x03\x01\x00\x01\x00",
    ] {
        let mut stream = tcp(&server).unwrap();
        stream.write_all(packet).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // An alert or nothing, then the end, which may be a reset.
        stream.read_to_end(&mut Vec::new()).ok();
        server.connect().get("/").expect(200);
    }
    assert!(
        !server
            .log_lines()
            .iter()
            .any(|line| line.contains("panicked"))
    );
}

/// A socket went on under a name that somebody else could register meanwhile.
#[test]
fn nobody_chats_on_under_a_name_given_up() {
    let server = Server::start();
    let ann = server.register_and_login("ann");
    let mut old = Socket::join(&server, "ann", &ann);
    server
        .connect()
        .put_json_as(&ann, "/me", &json!({"name": "Ann", "username": "ann"}))
        .expect(200);
    old.expect_quiet();
    server
        .connect()
        .put_json_as(&ann, "/me", &json!({"username": "anna"}))
        .expect(200);
    old.expect_close(1008);
    Socket::join(&server, "anna", &ann);
}

/// The asterisk is no path, so it was refused as a bad one.
#[test]
fn the_server_as_a_whole_has_options() {
    let server = Server::start();
    let response = server
        .connect()
        .request("OPTIONS", "*", &[], b"")
        .expect(204);
    assert!(
        response
            .field("Allow")
            .is_some_and(|allow| allow.contains("GET"))
    );
}
