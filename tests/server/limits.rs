//! Limits per address, and the time a silent peer is given.

use std::io::Read as _;

use crate::support::http::tcp;
use crate::support::users::{PASSWORD, registration};
use crate::support::{Connection, Folder, Server};
use serde_json::json;

/// `Retry-After`, which is a number of whole seconds and never zero.
fn retry_after(response: &crate::support::Response) -> u64 {
    let seconds = response
        .field("Retry-After")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!(seconds > 0);
    seconds
}

/// Waits until the server lets a new connection in and answers on it.
fn wait_for_admission(server: &Server) {
    crate::support::wait_for("a connection to be let in", || {
        let mut connection = Connection::open(server).ok()?;
        connection
            .try_send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.host()))
            .ok()?;
        Some(connection.respond().expect(200))
    });
}

#[test]
fn an_address_has_so_many_connections_at_once() {
    let server = Server::with_config("max_connections_per_ip=3");
    let mut held: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut held {
        connection.get("/").expect(200);
    }
    assert!(
        Connection::open(&server).is_err(),
        "a fourth connection was served"
    );
    let line = server.wait_for_log("max_connections_per_ip");
    assert!(line.contains("127.0.0.1"), "{line}");
    for connection in &mut held {
        connection.get("/").expect(200);
    }
    drop(held.pop());
    wait_for_admission(&server);
}

#[test]
fn the_server_has_so_many_connections_at_once() {
    let server = Server::with_config("max_connections=3");
    let mut held: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut held {
        connection.get("/").expect(200);
    }
    // So many more are told so.
    let mut told: Vec<_> = (0..64).map(|_| server.connect()).collect();
    assert!(Connection::open(&server).is_err(), "and one more was");
    for connection in &mut told {
        let response = connection.get("/").expect(503);
        retry_after(&response);
        connection.expect_close();
    }
    for connection in &mut held {
        connection.get("/").expect(200);
    }
    let line = server.wait_for_log("max_connections");
    assert!(line.contains("3 connections"), "{line}");
    drop(held.pop());
    wait_for_admission(&server);
}

#[test]
fn an_address_has_so_many_handshakes_a_second() {
    let server = Server::with_config("handshakes_per_second_per_ip=1");
    let opened = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| Connection::open(&server).is_ok()))
            .collect();
        tries
            .into_iter()
            .map(|one| usize::from(one.join().unwrap()))
            .sum::<usize>()
    });
    assert!(
        (1..40).contains(&opened),
        "{opened} of 40 handshakes went through"
    );
    server.wait_for_log("handshakes_per_second_per_ip");
    wait_for_admission(&server);
}

#[test]
fn an_address_has_so_many_requests_a_second() {
    let server = Server::with_config("requests_per_second_per_ip=2");
    let mut connection = server.connect();
    let one = format!("GET /login HTTP/1.1\r\nHost: {}\r\n\r\n", server.host());
    connection.send(one.repeat(60));
    let responses: Vec<_> = (0..60).map(|_| connection.respond()).collect();
    let (served, rejected): (Vec<_>, Vec<_>) = responses
        .iter()
        .partition(|response| response.status == 200);
    assert!(
        served.len() >= 4,
        "a burst of twice the rate is served, not {}",
        served.len()
    );
    assert!(!rejected.is_empty());
    for response in rejected {
        response.error(429);
        retry_after(response);
    }
    server.wait_for_log("requests_per_second_per_ip");
    crate::support::wait_for("a request to be served again", || {
        (connection.get("/login").status == 200).then_some(())
    });
}

#[test]
fn failed_logins_are_counted() {
    let server = Server::with_config("login_attempts_per_minute=2");
    let mut connection = server.connect();
    connection
        .post_json("/register", &registration("ann"))
        .expect(201);
    let wrong = json!({"username": "ann", "password": "Wrong-Horse-9"});
    let right = json!({"username": "ann", "password": PASSWORD});
    connection.post_json("/login", &wrong).error(401);
    connection.post_json("/login", &right).expect(200);
    connection.post_json("/login", &wrong).error(401);
    for body in [&wrong, &right] {
        let response = connection.post_json("/login", body);
        response.error(429);
        assert!(retry_after(&response) <= 60);
    }
    server.wait_for_log("login_attempts_per_minute");
    connection
        .post_json("/register", &registration("bob"))
        .expect(201);
}

#[test]
fn logins_that_succeed_are_not_counted() {
    let server = Server::with_config("login_attempts_per_minute=2");
    server.register("ann");
    for _ in 0..5 {
        server.login("ann");
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let server = Server::with_config("keepalive_timeout=1\nconnection_timeout=1");
    let mut unused = server.connect();
    let mut used = server.connect();
    used.get("/").expect(200);
    unused.expect_close();
    used.expect_close();
}

#[test]
fn an_idle_websocket_is_not() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    server
        .folder()
        .configure("keepalive_timeout=1\nconnection_timeout=1\nrequest_timeout=1");
    server.hangup();
    server.wait_for_log("configuration and certificates are in force");
    let mut socket = crate::support::Socket::join(&server, "ann", &token);
    // By the time the idle connection is closed, so would the socket be that was idle for longer.
    let mut idle = server.connect();
    idle.expect_close();
    socket.expect_quiet();
}

#[test]
fn a_handshake_that_does_not_end_is_cut_off() {
    let server = Server::with_config("ssl_handshake_timeout=1");
    let silent = tcp(&server).unwrap();
    let mut partial = tcp(&server).unwrap();
    // The head of a record with a ClientHello that never comes.
    std::io::Write::write_all(&mut partial, &[0x16, 3, 1, 2, 0, 1, 0, 1]).unwrap();
    for mut stream in [silent, partial] {
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// Bytes that the kernel holds to be sent from one port of 127.0.0.1 to another (proc_net_tcp).
fn unsent_bytes(from: u16, to: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = format!(" 0100007F:{from:04X} 0100007F:{to:04X} ");
    let line = table.lines().find(|line| line.contains(&ends)).unwrap();
    let queues = line.split_whitespace().nth(4).unwrap();
    usize::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap()
}

#[test]
fn a_client_that_does_not_read_costs_little_and_hurts_nobody() {
    let folder = Folder::new();
    let content = vec![b'x'; 5 << 20];
    std::fs::create_dir(folder.file("public")).unwrap();
    std::fs::write(folder.file("public/large"), &content).unwrap();
    folder.configure(&format!("public_dir={}", folder.file("public").display()));
    let server = folder.start();
    let mut deaf = server.connect();
    // A gigabyte of answers.
    deaf.send(format!("GET /large HTTP/1.1\r\nHost: {}\r\n\r\n", server.host()).repeat(200));
    let mut other = server.connect();
    for _ in 0..3 {
        assert!(other.get("/large").expect(200).body == content);
    }
    for _ in 0..100 {
        other.get("/missing").expect(404);
    }
    let resident_kib = server.resident_kib();
    assert!(resident_kib < 200 << 10, "{resident_kib} KiB are held");
    let kernel_bytes = unsent_bytes(server.port(), deaf.local_port());
    assert!(
        (1..512 << 10).contains(&kernel_bytes),
        "the kernel holds {kernel_bytes} bytes"
    );
    assert!(deaf.respond().expect(200).body == content);
}

#[test]
fn a_client_that_reads_too_slowly_is_cut_off() {
    let folder = Folder::new();
    let content = vec![b'x'; 16 << 20];
    std::fs::create_dir(folder.file("public")).unwrap();
    std::fs::write(folder.file("public/large"), &content).unwrap();
    folder.configure(&format!(
        "public_dir={}\nconnection_timeout=1\nanswer_bytes_per_second_min=1000000",
        folder.file("public").display()
    ));
    let server = folder.start();
    let mut slow = server.connect();
    slow.send(format!(
        "GET /large HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.host()
    ));
    // A few hundred kilobytes in a second, until nothing more comes.
    let mut got = 0;
    let ended = crate::support::deadline::poll(|| {
        let count = slow.read_some(4096);
        got += count;
        (count == 0).then_some(())
    });
    assert!(ended.is_some());
    assert!(got < content.len(), "{got} bytes came");
    let mut quick = server.connect();
    assert!(quick.get("/large").expect(200).body == content);
}
