//! TLS: versions, resumption, and peers that speak something else.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use crate::support::http::{client_config, tcp, tls_as};
use crate::support::{Connection, Folder, Server};
use edgeloop::app::cert::{self, CertRequest};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore};

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

/// A certificate for these names in the server's folder.
fn certificate(server: &Folder, name: &str, hosts: &[&str]) -> (String, CertificateDer<'static>) {
    let made = cert::make(&CertRequest {
        out_dir: server.file(name),
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        days: 1,
        force: false,
    })
    .unwrap();
    let pair = format!("{}:{}", made.cert.display(), made.key.display());
    (pair, CertificateDer::from_pem_file(&made.cert).unwrap())
}

#[test]
fn each_name_has_its_certificate() {
    let folder = Folder::new();
    let (one, first) = certificate(&folder, "one", &["one.example", "*.apps.example"]);
    let (two, second) = certificate(&folder, "two", &["two.example"]);
    folder.configure(&format!("ssl_other_certificates={one}, {two}"));
    let server = folder.start();
    let own = folder.certificate();
    let shown = |name: &str| {
        let mut roots = RootCertStore::empty();
        for cert in [&own, &first, &second] {
            roots.add(cert.clone()).unwrap();
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = tls_as(&server, Arc::new(config), name)?;
        Ok::<_, std::io::Error>(stream.conn.peer_certificates().unwrap()[0].clone())
    };
    assert_eq!(shown("localhost").unwrap(), own);
    assert_eq!(shown("one.example").unwrap(), first);
    assert_eq!(shown("a.apps.example").unwrap(), first);
    assert_eq!(shown("two.example").unwrap(), second);
    // By address there is no name, and nobody has this one: the first it is, for what it is worth.
    assert_eq!(shown("127.0.0.1").unwrap(), own);
    assert!(shown("three.example").is_err());
    assert!(shown("a.b.apps.example").is_err());
}

/// An authority, and a certificate for a client that it has signed.
struct Authority {
    cert: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        Self { cert, issuer }
    }

    /// TLS as a client whose certificate this has signed.
    fn client(&self, server: &Server) -> Arc<ClientConfig> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["ann".to_owned()]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(server.folder().certificate()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![cert.der().clone()], key);
        Arc::new(config.unwrap())
    }
}

/// Returns `true` if an answer comes. With TLS 1.3 the client learns only then that its certificate will not do.
fn is_served(server: &Server, config: &Arc<ClientConfig>) -> bool {
    let Ok(mut connection) = Connection::open_with(server, Arc::clone(config)) else {
        return false;
    };
    let request = format!(
        "GET /login HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.host()
    );
    connection.try_send(request).is_ok() && connection.rest().0.starts_with(b"HTTP/1.1 200 ")
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = Folder::new();
    std::fs::write(folder.file("ca.pem"), authority.cert.pem()).unwrap();
    let verifying = format!(
        "ssl_verify_client=1\nssl_client_ca_path={}",
        folder.file("ca.pem").display()
    );
    folder.configure(&verifying);
    let server = folder.start();
    let (ann, eve) = (authority.client(&server), other.client(&server));
    let nobody = client_config(folder.certificate());
    assert!(is_served(&server, &ann));
    assert!(is_served(&server, &ann), "and with a ticket");
    assert!(!is_served(&server, &eve));
    assert!(!is_served(&server, &nobody));

    // Without, all are served. Then a ticket from that time is worth nothing.
    folder.configure("");
    server.hangup();
    server.wait_for_log("changed: ssl_verify_client, ssl_client_ca_path");
    crate::support::wait_for("everybody to be served", || {
        is_served(&server, &nobody).then_some(())
    });
    folder.configure(&verifying);
    server.hangup();
    crate::support::wait_for("nobody to be served without a certificate", || {
        (!is_served(&server, &client_config(folder.certificate()))).then_some(())
    });
    assert!(!is_served(&server, &nobody), "a ticket is no certificate");
    assert!(is_served(&server, &ann));
}

#[test]
fn the_protocol_is_negotiated() {
    let server = Server::start();
    let open = |offered: &[&str]| {
        let mut config = config_of(&server, &rustls::version::TLS13);
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Connection::open_with(&server, Arc::new(config))
    };
    let cases = [
        (&["h2", "http/1.1"][..], Some("http/1.1")),
        (&["http/1.0", "http/1.1"], Some("http/1.1")),
        (&["http/1.0"], Some("http/1.0")),
        (&[], None),
    ];
    for (offered, chosen) in cases {
        let mut connection = open(offered).unwrap();
        assert_eq!(
            connection.session().alpn_protocol(),
            chosen.map(str::as_bytes)
        );
        connection.get("/").expect(200);
    }
    let rejected = open(&["h2"])
        .expect_err("h2 alone is not spoken")
        .to_string();
    assert!(rejected.contains("NoApplicationProtocol"), "{rejected}");
}

/// Response of the server to these bytes on its TLS port, up to the end of the connection.
fn answer_without_tls(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = tcp(server).unwrap();
    stream.write_all(bytes).unwrap();
    let mut response = Vec::new();
    stream
        .read_to_end(&mut response)
        .expect("an end, within the read timeout and without a reset");
    response
}

#[test]
fn what_is_no_tls_is_turned_away() {
    let server = Server::start();
    let openings: [&[u8]; 5] = [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"get / http/1.1\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        &[0x16, 3, 1, 0xFF, 0xFF, 0],
        &[0x80; 600],
    ];
    for bytes in openings {
        let response = answer_without_tls(&server, bytes);
        // A fatal alert (RFC 8446 §6), and nothing else.
        assert!(
            matches!(response[..], [21, 3, _, 0, 2, 2, _]),
            "{}",
            response.escape_ascii()
        );
    }
    server.connect().get("/").expect(200);
}

#[test]
fn plain_http_on_the_tls_port_is_told_where_to_go() {
    let server = Server::start();
    let host = server.host();
    let large = format!(
        "POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(1_000_000)
    );
    let cases = [
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Some("/")),
        (
            format!("GET /chat?a=b HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            Some("/chat"),
        ),
        // Sent before it is known that it will not be read: no reset eats the answer.
        (large, Some("/login")),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), None),
        ("GET / HTTP/1.1\r\nHost: a\"b\\c\r\n\r\n".to_owned(), None),
    ];
    for (request, path) in cases {
        let response = String::from_utf8(answer_without_tls(&server, request.as_bytes())).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(
            head.contains("\r\nContent-Type: application/json\r\n"),
            "{head}"
        );
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let text = body["error"].as_str().unwrap();
        assert!(text.contains("this port speaks TLS"), "{text}");
        match path {
            Some(path) => assert!(text.ends_with(&format!("https://{host}{path}")), "{text}"),
            None => assert!(!text.contains("://"), "{text}"),
        }
    }
    server.connect().get("/").expect(200);
}

#[test]
fn small_and_large_records_are_the_same_to_it() {
    let server = Server::start();
    let mut config = (*client_config(server.folder().certificate())).clone();
    config.max_fragment_size = Some(64);
    let mut connection = Connection::open_with(&server, Arc::new(config)).unwrap();
    let body = serde_json::json!({"username": "x".repeat(15_000), "password": "x"});
    connection.post_json("/login", &body).error(401);
}

/// First record of a server in response to a ClientHello that asks for this name.
fn first_record(server: &Server, name: &str) -> Vec<u8> {
    // A client of ours asks for host names only: one of the same length is changed on its way.
    let asked = "n".repeat(name.len());
    let config = client_config(server.folder().certificate());
    let mut session = ClientConnection::new(config, asked.clone().try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let place = hello
        .windows(asked.len())
        .position(|part| part == asked.as_bytes())
        .unwrap();
    hello[place..place + name.len()].copy_from_slice(name.as_bytes());
    let mut socket = tcp(server).unwrap();
    socket.write_all(&hello).unwrap();
    let mut record = vec![0; 5];
    socket.read_exact(&mut record).unwrap();
    record.resize(
        5 + usize::from(u16::from_be_bytes([record[3], record[4]])),
        0,
    );
    socket.read_exact(&mut record[5..]).unwrap();
    record
}

/// RFC 6066 §3: only host names may be asked for. rustls takes an address for no name, and refuses what
/// is neither; that is decided before the server sees it.
#[test]
fn a_broken_name_is_ignored_where_rustls_lets_us() {
    const HANDSHAKE: u8 = 22;
    const ALERT: u8 = 21;
    const ILLEGAL_PARAMETER: u8 = 47;
    let server = Server::start();
    for name in [
        "localhost",
        "LOCALHOST",
        "localhost.example",
        "127.0.0.1",
        "::1",
        "2001:db8::7",
    ] {
        assert_eq!(first_record(&server, name)[0], HANDSHAKE, "{name}");
    }
    for name in [
        "localhost:8443",
        "[::1]",
        "[2001:db8::7]:8443",
        "localhost/",
        "local host",
    ] {
        let record = first_record(&server, name);
        assert_eq!((record[0], record[6]), (ALERT, ILLEGAL_PARAMETER), "{name}");
    }
    server.connect().get("/").expect(200);
}
