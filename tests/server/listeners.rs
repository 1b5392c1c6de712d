//! Listeners of the server: several addresses, and the port that only redirects.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use crate::support::deadline::PATIENCE;
use crate::support::http::client_config;
use crate::support::{Folder, Server};
use rustls::{ClientConnection, StreamOwned};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn several_addresses_share_a_port() {
    let mut addresses = vec!["127.0.0.1", "127.0.0.2"];
    if TcpListener::bind("[::1]:0").is_ok() {
        addresses.push("::1");
    } else {
        eprintln!("SKIPPED: this machine has no IPv6");
    }
    let server = Server::with_config(&format!("bind_address={}", addresses.join(", ")));
    let config = client_config(server.folder().certificate());
    for address in addresses {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), server.port());
        server.wait_for_log(&format!("https://{address}"));
        let session = ClientConnection::new(config.clone(), "localhost".try_into().unwrap());
        let mut stream = StreamOwned::new(session.unwrap(), connect(address));
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(
            response.starts_with("HTTP/1.1 200 "),
            "{address}: {response}"
        );
    }
}

/// A server with a plain port, and that port.
fn redirecting() -> (Server, u16) {
    // 0 means none there, so a port is needed that is free; somebody else may be quicker.
    for _ in 0..20 {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = Folder::new();
        folder.configure(&format!("http_port={port}"));
        if let Ok(server) = std::panic::catch_unwind(|| folder.start()) {
            return (server, port);
        }
    }
    panic!("no port was free for long enough");
}

/// All that a plain connection is told.
fn told(port: u16, request: &[u8]) -> String {
    let mut stream = connect(SocketAddr::from(([127, 0, 0, 1], port)));
    stream.write_all(request).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn the_plain_port_sends_everyone_to_the_secure_one() {
    let (server, port) = redirecting();
    let secure = server.port();
    let cases = [
        (
            "GET / HTTP/1.1\r\nHost: localhost",
            format!("https://localhost:{secure}/"),
        ),
        (
            "GET /chat?a=b%20c HTTP/1.1\r\nHost: example.org:80",
            format!("https://example.org:{secure}/chat?a=b%20c"),
        ),
        (
            "HEAD /x HTTP/1.1\r\nHost: a:",
            format!("https://a:{secure}/x"),
        ),
        (
            "GET /x HTTP/1.1\r\nHost: [::1]",
            format!("https://[::1]:{secure}/x"),
        ),
        (
            "GET /x HTTP/1.1\r\nHost: [::1]:80",
            format!("https://[::1]:{secure}/x"),
        ),
        (
            "GET http://b/x HTTP/1.1\r\nHost: a",
            format!("https://b:{secure}/x"),
        ),
        (
            "GET //evil/x HTTP/1.1\r\nHost: a",
            format!("https://a:{secure}//evil/x"),
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a",
            format!("https://a:{secure}/"),
        ),
        (
            "BREW /pot HTTP/1.1\r\nHost: a",
            format!("https://a:{secure}/pot"),
        ),
    ];
    for (request, location) in cases {
        let response = told(
            port,
            format!("{request}\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        assert!(
            response.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"),
            "{response}"
        );
        let line = format!("\r\nLocation: {location}\r\n");
        assert!(response.contains(&line), "{request}: {response}");
    }
    server.connect().get("/").expect(200);
}

#[test]
fn redirects_name_the_port_that_clients_reach_and_no_name_of_others() {
    let (server, port) = redirecting();
    let names = "server_names=a.example,*.b.example";
    let location = |host: &str| {
        let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let response = told(port, request.as_bytes());
        let line = response
            .lines()
            .find_map(|line| line.strip_prefix("Location: "));
        line.map_or_else(|| response.clone(), str::to_owned)
    };
    for (public_port, shown) in [(443, ""), (8080, ":8080")] {
        let config = format!("http_port={port}\n{names}\npublic_port={public_port}");
        server.folder().configure(&config);
        server.hangup();
        let want = format!("https://a.example{shown}/x");
        crate::support::wait_for("the other port", || {
            (location("a.example:80") == want).then_some(())
        });
        assert_eq!(
            location("x.b.example"),
            format!("https://x.b.example{shown}/x")
        );
        for other in ["evil.example", "b.example", "192.0.2.7"] {
            let response = location(other);
            assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
        }
    }
}

#[test]
fn metrics_are_not_for_names_that_others_own() {
    let server = Server::with_config("metrics_address=127.0.0.1:0");
    let line = server.wait_for_log("metrics are at ");
    let (_, behind) = line.split_once("127.0.0.1:").unwrap();
    let port: u16 = behind.split('/').next().unwrap().parse().unwrap();
    for path in ["/metrics", "/healthz", "/readyz", "/other"] {
        for (host, is_local) in [
            ("localhost:9464", true),
            ("127.0.0.1", true),
            ("[::1]:9464", true),
            ("rebound.example", false),
            ("192.0.2.7", false),
        ] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let response = told(port, request.as_bytes());
            let is_rejected = response.starts_with("HTTP/1.1 421 ");
            assert_eq!(is_rejected, !is_local, "{path} {host}: {response}");
        }
    }
    let response = told(port, b"GET /healthz HTTP/1.0\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

#[test]
fn the_page_to_open_is_said() {
    let server = Server::start();
    server.wait_for_log(&format!("open https://localhost:{}/", server.port()));
    let everywhere = Server::with_config("bind_address=0.0.0.0");
    everywhere.wait_for_log(&format!("open https://localhost:{}/", everywhere.port()));
    let one = Server::with_config("bind_address=127.0.0.2\npublic_port=9");
    one.wait_for_log("open https://127.0.0.2:9/");
}

#[test]
fn the_plain_port_refuses_what_it_cannot_send_anywhere() {
    let (server, port) = redirecting();
    let refusals = [
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ("\x16\x03\x01\x02\0\x01", 400),
    ];
    for (request, status) in refusals {
        let response = told(port, request.as_bytes());
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{response}"
        );
        assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    }
    // It does nothing else: a form is not taken, whatever its size.
    let body = "x".repeat(200_000);
    let post = format!(
        "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let response = told(port, post.as_bytes());
    assert!(response.starts_with("HTTP/1.1 308 "), "{response}");
    server.connect().get("/").expect(200);
}
