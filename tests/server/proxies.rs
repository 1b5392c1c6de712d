//! Behind proxies: PROXY headers and fields that name the client, and networks that are served or not.

use std::fs;
use std::io::{self, Write as _};

use crate::support::http::{tcp, tcp_from};
use crate::support::users::PASSWORD;
use crate::support::ws::KEY;
use crate::support::{Connection, Folder, Server, wait_for};
use serde_json::json;

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

/// Version 2, with something added that is to be skipped.
fn binary(client: [u8; 4], port: u16) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    header.extend(client);
    header.extend([198, 51, 100, 1]);
    header.extend(port.to_be_bytes());
    header.extend(443_u16.to_be_bytes());
    header.extend([4, 0, 0]);
    header
}

/// Version 2 with whatever is in it.
fn of_family(family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21", &[family][..], &length, body].concat()
}

fn binary_v6(client: &str, port: u16) -> Vec<u8> {
    let client: std::net::Ipv6Addr = client.parse().unwrap();
    let server = std::net::Ipv6Addr::LOCALHOST.octets();
    let ports = [port.to_be_bytes(), [1, 187]].concat();
    of_family(0x21, &[&client.octets()[..], &server, &ports].concat())
}

/// A connection as a proxy makes it: with a header ahead of TLS.
fn through_proxy(server: &Server, header: &[u8]) -> io::Result<Connection> {
    let mut socket = tcp(server)?;
    socket.write_all(header)?;
    Connection::over(server, socket)
}

fn forwarded(server: &Server, name: &str, value: &str, path: &str) -> u16 {
    let mut connection = server.connect();
    connection
        .request("GET", path, &[(name, value)], b"")
        .status
}

#[test]
fn a_header_ahead_of_tls_names_the_client() {
    let server = Server::with_config("trusted_proxies=127.0.0.1");
    for (header, client) in [
        (LINE, "192.0.2.7:56324"),
        (&binary([192, 0, 2, 8], 1234), "192.0.2.8:1234"),
        (b"PROXY TCP6 2001:db8::7 ::1 5 443\r\n", "[2001:db8::7]:5"),
        // From a socket of the other family, and IPv4 mapped into IPv6.
        (
            b"PROXY TCP6 2001:db8::9 127.0.0.1 5 443\r\n",
            "[2001:db8::9]:5",
        ),
        (b"PROXY TCP6 ::ffff:192.0.2.5 ::1 5 443\r\n", "192.0.2.5:5"),
        (&binary_v6("::ffff:192.0.2.6", 7), "192.0.2.6:7"),
        (&of_family(0x31, &[b'/'; 216]), "127.0.0.1:"),
        (&of_family(0x12, &[1; 12]), "127.0.0.1:"),
        (&of_family(0x44, &[]), "127.0.0.1:"),
        // The proxy for itself, and without a word: the address is its own.
        (b"PROXY UNKNOWN\r\n", "127.0.0.1:"),
        (b"", "127.0.0.1:"),
    ] {
        let path = format!("/by-{client}{}", header.len());
        let mut connection = through_proxy(&server, header).unwrap();
        connection.get(&path).expect(404);
        let line = server.wait_for_log(&path);
        assert!(line.contains(&format!("peer={client}")), "{line}");
    }
}

#[test]
fn what_a_proxy_adds_is_skipped_in_whatever_pieces_it_comes() {
    let server = Server::with_config("trusted_proxies=127.0.0.1");
    let mut body = vec![192, 0, 2, 9, 198, 51, 100, 1, 0, 9, 1, 187];
    body.resize(65_535, 0xee);
    let header = of_family(0x11, &body);
    for piece_bytes in [header.len(), 30_000, 4_000] {
        let mut socket = tcp(&server).unwrap();
        for piece in header.chunks(piece_bytes) {
            socket.write_all(piece).unwrap();
        }
        let path = format!("/in-pieces-of-{piece_bytes}");
        let mut connection = Connection::over(&server, socket).unwrap();
        connection.get(&path).expect(404);
        let line = server.wait_for_log(&path);
        assert!(line.contains("peer=192.0.2.9:9"), "{line}");
    }
}

#[test]
fn limits_go_by_the_client_of_a_proxy() {
    let server = Server::with_config(
        "trusted_proxies=127.0.0.1\nmax_connections_per_ip=2\ndenied_networks=203.0.113.0/24",
    );
    let mut held: Vec<_> = (0..2)
        .map(|_| through_proxy(&server, LINE).unwrap())
        .collect();
    assert!(through_proxy(&server, LINE).is_err(), "a third one");
    let mut other = through_proxy(&server, &binary([192, 0, 2, 8], 1)).unwrap();
    other.get("/").expect(200);
    assert!(through_proxy(&server, &binary([203, 0, 113, 8], 1)).is_err());
    let line = server.wait_for_log("denied_networks");
    assert!(line.contains("203.0.113.8"), "{line}");
    // The proxy itself is no client.
    let mut own: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for connection in held.iter_mut().chain(&mut own) {
        connection.get("/").expect(200);
    }
    drop(held);
    wait_for("a connection to be let in", || {
        through_proxy(&server, LINE).ok()
    });
}

#[test]
fn a_header_that_is_wrong_or_not_believed_ends_the_connection() {
    let server = Server::with_config("trusted_proxies=127.0.0.1");
    for header in [
        &b"PROXY TCP4 192.0.2.7\r\n"[..],
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 99999\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\xc0\0\x02\x07",
    ] {
        assert!(through_proxy(&server, header).is_err());
    }
    let line = server.wait_for_log("taken for a proxy");
    assert!(line.contains("127.0.0.1"), "{line}");
    through_proxy(&server, LINE).unwrap().get("/").expect(200);

    let direct = Server::start();
    assert!(through_proxy(&direct, LINE).is_err());
    direct.connect().get("/").expect(200);
}

#[test]
fn a_field_names_the_client_of_a_request() {
    for (field, config) in [
        ("X-Forwarded-For", ""),
        ("Forwarded", "\nforwarded_field=forwarded"),
    ] {
        let server = Server::with_config(&format!(
            "trusted_proxies=127.0.0.1,10.0.0.0/8{config}\nallowed_networks=192.0.2.0/24,127.0.0.1,10.0.0.0/8"
        ));
        let value = |hops: &[&str]| match field {
            "Forwarded" => hops
                .iter()
                .map(|hop| format!("for=\"{hop}\";proto=https"))
                .collect::<Vec<_>>()
                .join(", "),
            _ => hops.join(", "),
        };
        for (number, (hops, client)) in [
            (&["192.0.2.9"][..], "192.0.2.9:0"),
            (&["192.0.2.9:77"], "192.0.2.9:77"),
            // What the client wrote itself, and another proxy of ours.
            (&["192.0.2.1", "192.0.2.9", "10.1.1.1"], "192.0.2.9:0"),
            (&["192.0.2.1", "nonsense", "10.1.1.1"], "10.1.1.1:0"),
            (&["unknown"], "127.0.0.1:"),
        ]
        .into_iter()
        .enumerate()
        {
            let path = format!("/number-{number}");
            assert_eq!(forwarded(&server, field, &value(hops), &path), 404);
            let line = server.wait_for_log(&path);
            assert!(line.contains(&format!("peer={client}")), "{line}");
        }
        assert_eq!(
            forwarded(&server, field, &value(&["203.0.113.1"]), "/"),
            403
        );
        // The field that is not the one.
        let other = if config.is_empty() {
            "Forwarded"
        } else {
            "X-Forwarded-For"
        };
        assert_eq!(forwarded(&server, other, "203.0.113.1", "/"), 200);
    }
}

#[test]
fn nobody_else_is_believed() {
    let server = Server::with_config("trusted_proxies=10.0.0.0/8");
    assert_eq!(
        forwarded(&server, "X-Forwarded-For", "192.0.2.9", "/not-believed"),
        404
    );
    let line = server.wait_for_log("/not-believed");
    assert!(line.contains("peer=127.0.0.1:"), "{line}");
    // Whom a PROXY header names is a client, not a proxy.
    let server = Server::with_config("trusted_proxies=127.0.0.1");
    let mut connection = through_proxy(&server, LINE).unwrap();
    let fields = [("X-Forwarded-For", "203.0.113.1")];
    connection.request("GET", "/both", &fields, b"").expect(404);
    let line = server.wait_for_log("/both");
    assert!(line.contains("peer=192.0.2.7:56324"), "{line}");
}

#[test]
fn rates_go_by_the_client_a_field_names() {
    let server = Server::with_config("trusted_proxies=127.0.0.1\nlogin_attempts_per_minute=2");
    server.register("ann_lee");
    let login = |client: &str, name: &str, password: &str| {
        let mut connection = server.connect();
        let fields = [
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", client),
        ];
        let body = json!({"username": name, "password": password}).to_string();
        let response = connection.request("POST", "/login", &fields, body.as_bytes());
        response.status
    };
    for name in ["nobody1", "nobody2"] {
        assert_eq!(login("192.0.2.1", name, "Wrong-pass-1"), 401);
    }
    assert_eq!(login("192.0.2.1", "ann_lee", PASSWORD), 429);
    assert_eq!(login("192.0.2.2", "ann_lee", PASSWORD), 200);
}

/// Asks for a WebSocket through a proxy, for that client; the connection, and the status.
fn socket_of(server: &Server, token: &str, client: &str) -> (Connection, u16) {
    let mut connection = server.connect();
    connection.send(format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
         Authorization: Bearer {token}\r\n{client}\r\n"
    ));
    let response = connection.respond();
    if response.status == 429 {
        response.error(429);
        assert_eq!(response.field("Retry-After"), Some("1"));
    }
    (connection, response.status)
}

#[test]
fn websockets_behind_a_proxy_count_for_the_client_it_names() {
    let server = Server::with_config("trusted_proxies=127.0.0.1\nmax_connections_per_ip=3");
    let token = server.register_and_login("ann_lee");
    let ask = |client: &str| socket_of(&server, &token, client);
    let one = "X-Forwarded-For: 192.0.2.1\r\n";
    let mut held: Vec<_> = (0..3).map(|_| ask(one)).collect();
    assert!(held.iter().all(|(_, status)| *status == 101));
    assert_eq!(ask(one).1, 429);
    let line = server.wait_for_log("max_connections_per_ip in server.conf is reached");
    assert!(line.contains("192.0.2.1"), "{line}");
    // Its requests that have to wait are turned away too, others are not.
    let me = |client: &str| {
        let bearer = format!("Bearer {token}");
        let fields = [("Authorization", &*bearer), ("X-Forwarded-For", client)];
        let mut connection = server.connect();
        connection.request("GET", "/me", &fields, b"").status
    };
    assert_eq!((me("192.0.2.1"), me("192.0.2.2")), (429, 200));
    assert_eq!(forwarded(&server, "X-Forwarded-For", "192.0.2.1", "/"), 200);
    assert_eq!(ask("X-Forwarded-For: 192.0.2.2\r\n").1, 101);
    // An IPv6 network is a client, and the one around it may have four times as much.
    let in_network = |number: u32| format!("X-Forwarded-For: 2001:db8::{number:x}:1:2:3:4\r\n");
    let statuses: Vec<_> = (0..4).map(|_| ask(&in_network(0))).collect();
    assert_eq!(statuses.iter().filter(|(_, s)| *s == 101).count(), 3);
    // What the proxy does not name is its own.
    assert_eq!(ask("").1, 101);

    drop(held.pop());
    let freed = wait_for("a place to be free", || {
        let asked = ask(one);
        (asked.1 == 101).then_some(asked)
    });
    assert_eq!(ask(one).1, 429);
    drop((held, freed));
    wait_for("all places to be free", || {
        let asked: Vec<_> = (0..3).map(|_| ask(one)).collect();
        asked.iter().all(|(_, status)| *status == 101).then_some(())
    });
}

#[test]
fn requests_under_way_behind_a_proxy_count_for_the_client_it_names() {
    let server = Server::with_config(
        "trusted_proxies=127.0.0.1\nmax_connections_per_ip=2\nlogin_attempts_per_minute=0",
    );
    server.register("ann_lee");
    let body = json!({"username": "ann_lee", "password": PASSWORD}).to_string();
    let request = |client: &str| {
        format!(
            "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             X-Forwarded-For: {client}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // All on one connection of the proxy, in one piece: none is answered before the last is read.
    let clients = ["192.0.2.1"; 5].into_iter().chain(["192.0.2.2"]);
    let mut connection = server.connect();
    connection.send(clients.map(request).collect::<String>());
    let statuses: Vec<_> = (0..6).map(|_| connection.respond().status).collect();
    assert_eq!(statuses, [200, 200, 429, 429, 429, 200]);
    connection.send(request("192.0.2.1"));
    connection.respond().expect(200);
}

#[test]
fn downloads_behind_a_proxy_count_for_the_client_it_names() {
    let folder = Folder::new();
    let public = folder.file("public");
    fs::create_dir(&public).unwrap();
    fs::write(public.join("small.txt"), "small").unwrap();
    let large = fs::File::create(public.join("large.bin")).unwrap();
    large.set_len(64 * 1024 * 1024).unwrap();
    folder.configure(&format!(
        "trusted_proxies=127.0.0.1\nmax_connections_per_ip=2\npublic_dir={}",
        public.display()
    ));
    let server = folder.start();
    let ask = |method: &str, path: &str, client: &str| {
        let mut connection = server.connect();
        connection.send_request(method, path, &[("X-Forwarded-For", client)], b"");
        let status = String::from_utf8(connection.peek(12)[..12].to_vec()).unwrap();
        (connection, status)
    };
    let download = |client: &str| ask("GET", "/large.bin", client);
    let (ok, too_many) = ("HTTP/1.1 200", "HTTP/1.1 429");
    // Nobody takes more than the beginning: each is under way until its connection ends.
    let held = [download("192.0.2.1"), download("192.0.2.1")];
    assert!(held.iter().all(|(_, status)| status == ok));
    assert_eq!(download("192.0.2.1").1, too_many);
    assert_eq!(ask("GET", "/small.txt", "192.0.2.1").1, ok);
    assert_eq!(download("192.0.2.2").1, ok);
    // Without a field they are the proxy's, which has no such limit.
    assert_eq!(download("").1, ok);
    drop(held);
    wait_for("a place to be free", || {
        let asked = download("192.0.2.1");
        (asked.1 == ok).then_some(asked)
    });
    // What was taken whole, and what has no body, is not under way.
    let mut connection = server.connect();
    let fields = [("X-Forwarded-For", "192.0.2.3")];
    for _ in 0..4 {
        connection
            .request("GET", "/large.bin", &fields, b"")
            .expect(200);
        connection
            .request("HEAD", "/large.bin", &fields, b"")
            .expect(200);
    }
}

#[test]
fn networks_are_served_or_not() {
    let server = Server::with_config("allowed_networks=127.0.0.0/29\ndenied_networks=127.0.0.2");
    let open = |source: &str| {
        let socket = tcp_from(&server, source.parse().unwrap())?;
        Connection::over(&server, socket)
    };
    for (source, is_served) in [
        ("127.0.0.1", true),
        ("127.0.0.7", true),
        ("127.0.0.2", false),
        ("127.0.0.8", false),
    ] {
        assert_eq!(open(source).is_ok(), is_served, "{source}");
    }
    server.folder().configure("allowed_networks=127.0.0.8");
    server.hangup();
    server.wait_for_log("changed: allowed_networks");
    wait_for("the other networks to be served", || open("127.0.0.8").ok());
    assert!(open("127.0.0.1").is_err());
}
