//! The count of input that waits, wherever it waits, and its ceiling.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::support::http::tcp_from;

const HELD: &str = "edgeloop_held_input_bytes";

/// The first bytes of a ClientHello that says it has `length` bytes, in records of 16 KiB.
fn unfinished_hello(length: u32, bytes: usize) -> Vec<u8> {
    let mut hello = vec![b'x'; bytes];
    let [_, a, b, c] = length.to_be_bytes();
    hello[..9].copy_from_slice(&[22, 3, 1, 0x40, 0, 1, a, b, c]);
    hello
}

/// Returns `true` if a peer that sends no more finds the connection closed.
fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let outcome = socket.read(&mut [0; 16]);
    !matches!(outcome, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn unfinished_client_hellos_stay_within_the_ceiling_for_input() {
    const CEILING: usize = 1 << 20;
    const BYTES: usize = 16_000;
    const ATTACKERS: usize = 150;
    let server = Server::with_config(&format!(
        "metrics_address=127.0.0.1:0\nhandshakes_per_second_per_ip=0\nssl_handshake_timeout=4\n\
         max_input_memory={CEILING}"
    ));
    let metrics = Metrics::of(&server);
    let mut attackers: Vec<TcpStream> = (0..ATTACKERS)
        .map(|number| {
            let source = Ipv4Addr::new(127, 0, 0, if number < ATTACKERS / 2 { 2 } else { 3 });
            let mut socket = tcp_from(&server, IpAddr::V4(source)).unwrap();
            let hello = unfinished_hello(18 << 10, BYTES);
            socket.write_all(&hello).unwrap();
            socket
        })
        .collect();
    let (mut gone, mut most) = (0, 0.0);
    crate::support::wait_for("those over the ceiling to be closed", || {
        most = metrics.read()[HELD].max(most);
        gone = attackers
            .iter_mut()
            .filter_map(|one| is_closed(one).then_some(()))
            .count();
        (gone >= ATTACKERS - CEILING / BYTES).then_some(())
    });
    assert!(most <= CEILING as f64, "{most} bytes are held");
    assert!(most > CEILING as f64 / 2.0, "{most} bytes are held");
    // Others come through, with what little they have to say.
    let mut served = server.connect();
    served.get("/").expect(200);
    // In their time the others go, too.
    crate::support::wait_for("all to be closed", || {
        attackers.iter_mut().all(is_closed).then_some(())
    });
    crate::support::wait_for("nothing to be held", || {
        (metrics.read()[HELD] == 0.0).then_some(())
    });
    served.get("/").expect(200);
}

#[test]
fn a_client_hello_that_will_be_too_long_gets_an_alert() {
    let server = Server::with_config("metrics_address=127.0.0.1:0");
    let metrics = Metrics::of(&server);
    for (length, bytes) in [((18 << 10) + 1, 9), (0xFFF0, 16_389), (0x00FF_FFFF, 62_000)] {
        let mut socket = tcp(&server).unwrap();
        socket.write_all(&unfinished_hello(length, bytes)).unwrap();
        let mut response = Vec::new();
        socket.read_to_end(&mut response).unwrap();
        // decode_error, fatal (RFC 8446 §6.2).
        assert!(
            matches!(response[..], [21, 3, _, 0, 2, 2, 50]),
            "{}",
            response.escape_ascii()
        );
    }
    assert_eq!(metrics.read()[HELD], 0.0);
    server.connect().get("/").expect(200);
}

#[test]
fn requests_behind_an_answer_that_is_not_taken_are_counted() {
    const REQUESTS: usize = 40;
    let folder = Folder::new();
    std::fs::create_dir(folder.file("site")).unwrap();
    std::fs::write(folder.file("site/large.bin"), vec![b'x'; 24 << 20]).unwrap();
    let site = folder.file("site");
    folder.configure(&format!(
        "metrics_address=127.0.0.1:0\nrequests_per_second_per_ip=0\npublic_dir={}",
        site.display()
    ));
    let server = folder.start();
    let metrics = Metrics::of(&server);
    let mut connection = server.connect();
    let host = server.host();
    let path = "p".repeat(7_000);
    let first = format!("GET /large.bin HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let one = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    connection.send(first + &one.repeat(REQUESTS));
    let least = (REQUESTS * path.len()) as f64;
    crate::support::wait_for("the rest of the pipeline to be counted", || {
        (metrics.read()[HELD] > least).then_some(())
    });
    drop(connection);
    crate::support::wait_for("nothing to be held", || {
        (metrics.read()[HELD] == 0.0).then_some(())
    });
}
