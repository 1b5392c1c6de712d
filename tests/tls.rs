//! TLS: versions, resumption, and peers that speak something else.

#![cfg(feature = "app")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore};
use support::http::{client_config, tcp};
use support::{Connection, Server};

fn config_of(server: &Server, version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(server.folder().certificate()).unwrap();
    ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[test]
fn both_versions_are_served() {
    let server = Server::start();
    let versions = [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ];
    for (offered, spoken) in versions {
        let config = Arc::new(config_of(&server, offered));
        let mut connection = Connection::open_with(&server, config).unwrap();
        connection.get("/").expect(200);
        assert_eq!(connection.session().protocol_version(), Some(spoken));
        connection.half_close();
        connection.expect_close();
    }
}

#[test]
fn sessions_are_resumed() {
    let server = Server::start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = Arc::new(config_of(&server, version));
        for wanted in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut connection = Connection::open_with(&server, Arc::clone(&config)).unwrap();
            connection.get("/").expect(200);
            assert_eq!(
                connection.session().handshake_kind(),
                Some(wanted),
                "{version:?}"
            );
        }
    }
}

#[test]
fn http_1_1_is_negotiated() {
    let server = Server::start();
    let mut config = config_of(&server, &rustls::version::TLS13);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut connection = Connection::open_with(&server, Arc::new(config.clone())).unwrap();
    assert_eq!(
        connection.session().alpn_protocol(),
        Some(b"http/1.1".as_slice())
    );
    connection.get("/").expect(200);

    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(
        Connection::open_with(&server, Arc::new(config)).is_err(),
        "h2 alone is not spoken"
    );
}

#[test]
fn what_is_no_tls_is_turned_away() {
    let server = Server::start();
    let openings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        &[0x16, 3, 1, 0xFF, 0xFF, 0],
        &[0x80; 600],
    ];
    for bytes in openings {
        let mut stream = tcp(&server).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // Ended with an alert or reset; what counts is that it ends, within the read timeout.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
        assert!(!answer.starts_with(b"HTTP"), "an answer without TLS");
    }
    server.connect().get("/").expect(200);
}

#[test]
fn small_and_large_records_are_the_same_to_it() {
    let server = Server::start();
    let mut config = (*client_config(server.folder().certificate())).clone();
    config.max_fragment_size = Some(64);
    let mut connection = Connection::open_with(&server, Arc::new(config)).unwrap();
    let body = serde_json::json!({"username": "x".repeat(20_000), "password": "x"});
    connection.post_json("/login", &body).error(401);
}
