//! SIGHUP: configuration and certificates are read again.

use crate::support::http::client_config;
use crate::support::{Connection, Folder, Server, Socket};

/// The status of a `POST /login` with a body of 500 bytes that is no JSON.
fn status_of_500_bytes(server: &Server) -> u16 {
    let fields = [("Content-Type", "application/json")];
    server
        .connect()
        .request("POST", "/login", &fields, &[b'x'; 500])
        .status
}

#[test]
fn a_limit_changes_and_everyone_stays() {
    let server = Server::with_config("max_request_size=1000");
    let token = server.register_and_login("ann");
    let mut socket = Socket::join(&server, "ann", &token);
    let mut connection = server.connect();
    connection.get("/").expect(200);
    assert_eq!(status_of_500_bytes(&server), 400);

    server.folder().configure("max_request_size=499");
    server.hangup();
    crate::support::wait_for("the smaller limit", || {
        (status_of_500_bytes(&server) == 413).then_some(())
    });
    connection.get("/").expect(200);
    socket.expect_quiet();

    server.folder().configure("max_request_size=500");
    server.hangup();
    crate::support::wait_for("the larger limit", || {
        (status_of_500_bytes(&server) == 400).then_some(())
    });
    connection.get("/").expect(200);
    socket.expect_quiet();
    assert_eq!(server.stop().code(), Some(0));
}

/// The buffer for a head that is not complete was made for the limit of the start: larger ones were 431 still.
#[test]
fn a_larger_head_is_taken_after_a_reload() {
    let server = Server::start();
    let long = "x".repeat(100_000);
    let status = |server: &Server| {
        let fields = [("X-Long", &*long)];
        server.connect().request("GET", "/", &fields, b"").status
    };
    assert_eq!(status(&server), 431);
    server.folder().configure("max_header_size=262144");
    server.hangup();
    crate::support::wait_for("the larger limit", || {
        (status(&server) == 200).then_some(())
    });
}

#[test]
fn a_certificate_changes_and_everyone_stays() {
    let server = Server::start();
    let old = client_config(server.folder().certificate());
    let token = server.register_and_login("ann");
    let mut socket = Socket::join(&server, "ann", &token);
    let mut connection = server.connect();
    connection.get("/").expect(200);

    server.folder().renew_certificate();
    assert!(
        Connection::open(&server).is_err(),
        "the new certificate is served before it was read"
    );
    server.hangup();
    crate::support::wait_for("the new certificate", || Connection::open(&server).ok())
        .get("/")
        .expect(200);
    connection.get("/").expect(200);
    socket.expect_quiet();
    assert!(
        Connection::open_with(&server, old).is_err(),
        "the old certificate is still served"
    );
}

#[test]
fn a_broken_file_changes_nothing() {
    let server = Server::with_config("max_request_size=499");
    let conf = server.folder().file("server.conf");
    let good = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(
        &conf,
        format!("{}keepalive_timeout=soon\n", good.replace("499", "1000")),
    )
    .unwrap();
    server.hangup();
    let line = server.wait_for_log("keepalive_timeout");
    assert!(
        line.contains("server.conf:") && line.contains("soon"),
        "{line}"
    );
    assert_eq!(status_of_500_bytes(&server), 413);

    std::fs::remove_file(&conf).unwrap();
    server.hangup();
    server.connect().get("/").expect(200);

    std::fs::write(&conf, good.replace("499", "1000")).unwrap();
    server.hangup();
    crate::support::wait_for("the mended file", || {
        (status_of_500_bytes(&server) == 400).then_some(())
    });
}

/// Returns `true` if `denied_networks` is in force for this machine.
fn is_denied(server: &Server) -> bool {
    Connection::open(server).is_err()
}

#[test]
fn a_file_that_goes_or_is_emptied_takes_nothing_back() {
    let folder = Folder::new();
    folder.configure("denied_networks=127.0.0.0/8\nmetrics_address=off");
    let conf = folder.file("server.conf");
    let good = std::fs::read_to_string(&conf).unwrap();
    // With the file named on the command line, and found in the working directory.
    for is_named in [true, false] {
        let server = if is_named {
            folder.start()
        } else {
            folder.start_without_config()
        };
        assert!(is_denied(&server));
        std::fs::remove_file(&conf).unwrap();
        server.hangup();
        let line = server.wait_for_log("reload refused: ");
        assert!(line.contains("ERROR"), "{line}");
        assert!(line.contains("server.conf: cannot be read"), "{line}");
        assert!(is_denied(&server));
        server.signal("USR2");
        server.wait_for_log("nobody has taken over");
        assert!(is_denied(&server));
        // Emptied, and written by halves: the first comments, or a byte order mark.
        for (count, text) in (1..).zip([" \n\n", "# the first line\n#port=8443\n", "\u{feff}"]) {
            std::fs::write(&conf, text).unwrap();
            server.hangup();
            crate::support::wait_for("the refusal", || {
                let lines = server.log_lines();
                let rejected = lines
                    .iter()
                    .filter(|line| line.contains("server.conf: is empty or"));
                (rejected.count() == count).then_some(())
            });
            assert!(is_denied(&server));
        }
        // As it was, it is read again.
        std::fs::write(&conf, &good).unwrap();
        server.hangup();
        server.wait_for_log("are in force");
        assert!(is_denied(&server));
        assert_eq!(server.stop().code(), Some(0));
    }
}

#[test]
fn names_and_the_public_port_change() {
    let server = Server::start();
    let status = |host: &str, path: &str| {
        let mut connection = server.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        connection.send(request.as_bytes());
        connection.respond().status
    };
    assert_eq!(status("other.example", "/"), 200);
    let names = "server_names=chat.example,*.wild.example\npublic_port=443";
    server.folder().configure(names);
    server.hangup();
    server.wait_for_log("are in force");
    for (host, path, want) in [
        ("chat.example", "/", 200),
        ("CHAT.example.:8443", "/", 200),
        ("a.wild.example", "/", 200),
        ("localhost:1", "/", 200),
        ("127.0.0.1", "/", 200),
        ("a.b.wild.example", "/", 421),
        ("other.example", "/", 421),
        ("192.0.2.7", "/me", 421),
        ("other.example", "/healthz", 200),
        ("192.0.2.7:8443", "/readyz", 200),
    ] {
        assert_eq!(status(host, path), want, "{host}{path}");
    }
    // A WebSocket is asked for like everything else.
    let handshake = |host: &str| {
        let mut connection = server.connect();
        connection.send(format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ));
        connection.respond().status
    };
    assert_eq!(handshake("other.example"), 421);
    assert_eq!(handshake("chat.example"), 401);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_broken_certificate_changes_nothing() {
    let server = Server::start();
    let old = client_config(server.folder().certificate());
    std::fs::write(server.folder().file("cert.pem"), "no certificate").unwrap();
    server.hangup();
    server.wait_for_log("cert.pem");
    Connection::open_with(&server, old)
        .unwrap()
        .get("/")
        .expect(200);
}

#[test]
fn what_needs_a_restart_is_said() {
    let server = Server::with_config("backlog=100");
    server.folder().configure("backlog=101");
    server.hangup();
    let line = server.wait_for_log("backlog");
    assert!(line.contains("restart"), "{line}");
    server.connect().get("/").expect(200);
}

#[test]
fn the_log_file_is_opened_again_and_its_size_changes() {
    let folder = Folder::new();
    folder.configure("log_to_file=1\nlog_file_path=the.log\nlog_max_size=0");
    let server = folder.start();
    let text = |name: &str| std::fs::read_to_string(folder.file(name)).unwrap_or_default();
    let ask = |path: &str| {
        server.connect().get(path).expect(404);
    };
    ask("/before");
    crate::support::wait_for("the first line", || {
        text("the.log").contains("path=/before").then_some(())
    });
    // As logrotate does it; a configuration that is refused does not keep it from that.
    std::fs::rename(folder.file("the.log"), folder.file("moved")).unwrap();
    folder.configure("log_to_file=1\nlog_file_path=the.log\nlog_max_size=no");
    server.hangup();
    server.wait_for_log("reload refused: ");
    ask("/after");
    crate::support::wait_for("the new file", || {
        text("the.log").contains("path=/after").then_some(())
    });
    assert!(!text("moved").contains("path=/after"));
    assert!(text("moved").contains("path=/before"));

    folder.configure("log_to_file=1\nlog_file_path=the.log\nlog_max_size=2000\nlog_keep=2");
    server.hangup();
    server.wait_for_log("changed: ");
    let long = format!("/{}", "x".repeat(3000));
    crate::support::wait_for("two rotations", || {
        ask(&long);
        folder.file("the.log.2").exists().then_some(())
    });
    assert!(!folder.file("the.log.3").exists());
    let cut = format!("path={}… ", &long[..512]);
    assert!(text("the.log.1").contains(&cut), "{}", text("the.log.1"));
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn many_reloads_are_survived() {
    let server = Server::start();
    let mut connection = server.connect();
    for _ in 0..20 {
        server.hangup();
        connection.get("/").expect(200);
    }
    server.connect().get("/").expect(200);
}
