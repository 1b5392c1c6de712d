//! Requests in flight: order, depth, backpressure, answers without bodies, answers before bodies, dates.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::http::{client_config, tcp};
use crate::support::{Folder, Server};
use rustls::ClientConnection;
use serde_json::json;

/// A server of one file, `/file`.
fn server_of(content: &[u8]) -> Server {
    let folder = Folder::new();
    let public = folder.file("public");
    std::fs::create_dir(&public).unwrap();
    std::fs::write(public.join("file"), content).unwrap();
    folder.configure(&format!("public_dir={}", public.display()));
    folder.start()
}

/// Number of requests are sent before the first answer is read.
const REQUESTS: usize = 10_000;
/// Length of each response: far more in all than the server may hold for one client.
const PART_BYTES: usize = 8192;
/// Memory that it may add: its own queue; that of the kernel is not counted.
const GROWTH_KIB_MAX: u64 = 16 << 10;

/// The file: its number in each eight bytes.
fn numbered(len: usize) -> Vec<u8> {
    (0..len as u64 / 8).flat_map(u64::to_be_bytes).collect()
}

/// The start of the part that a request asks for: each another one.
fn start_of(number: usize) -> usize {
    8 * number
}

#[test]
fn ten_thousand_requests_wait_for_a_client_that_does_not_read() {
    let content = numbered(8 * REQUESTS + PART_BYTES);
    let server = server_of(&content);
    let mut stream = tcp(&server).unwrap();
    // It will be held up on purpose.
    stream
        .set_write_timeout(Some(Duration::from_secs(300)))
        .unwrap();
    let config = client_config(server.folder().certificate());
    let mut tls = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    tls.set_buffer_limit(None);
    for number in 0..REQUESTS {
        let start = start_of(number);
        write!(
            tls.writer(),
            "GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes={start}-{}\r\n\r\n",
            start + PART_BYTES - 1
        )
        .unwrap();
    }
    let mut sealed = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut sealed).unwrap();
    }

    let mut other = server.connect();
    other.get("/file").expect(200);
    let before = server.resident_kib_peak();
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let mut sender = stream.try_clone().unwrap();
        let (sealed, sent) = (&sealed, &sent);
        scope.spawn(move || {
            for piece in sealed.chunks(1 << 14) {
                sender.write_all(piece).unwrap();
                sent.fetch_add(piece.len(), Ordering::Relaxed);
            }
        });
        // Others are served, until nothing moves any more.
        let mut seen = usize::MAX;
        while seen != sent.load(Ordering::Relaxed) {
            seen = sent.load(Ordering::Relaxed);
            for _ in 0..50 {
                other.get("/missing").expect(404);
            }
        }
        let growth = server.resident_kib_peak() - before;
        assert!(
            growth < GROWTH_KIB_MAX,
            "{growth} KiB more than {before} KiB"
        );

        let mut received = Vec::new();
        for number in 0..REQUESTS {
            let part = next_part(&mut tls, &mut stream, &mut received);
            let start = start_of(number);
            assert!(
                part == content[start..start + PART_BYTES],
                "answer {number}"
            );
        }
        assert!(received.is_empty());
    });
    let growth = server.resident_kib_peak() - before;
    assert!(
        growth < GROWTH_KIB_MAX,
        "{growth} KiB more than {before} KiB"
    );
}

/// The body of the next answer, which has to be a 206.
fn next_part(
    tls: &mut ClientConnection,
    stream: &mut std::net::TcpStream,
    received: &mut Vec<u8>,
) -> Vec<u8> {
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n")
            && received.len() >= end + 4 + PART_BYTES
        {
            assert!(received.starts_with(b"HTTP/1.1 206 "));
            let part = received[end + 4..end + 4 + PART_BYTES].to_vec();
            received.drain(..end + 4 + PART_BYTES);
            return part;
        }
        assert_ne!(tls.read_tls(stream).unwrap(), 0, "the server closed");
        let state = tls.process_new_packets().unwrap();
        let start = received.len();
        received.resize(start + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(&mut received[start..]).unwrap();
    }
}

#[test]
fn answers_without_bodies_have_none() {
    let server = server_of(b"some content");
    let mut connection = server.connect();
    let etag = connection.get("/file").field("ETag").unwrap().to_owned();
    let unchanged = [("If-None-Match", etag.as_str())];
    let wanted = [
        ("HEAD", "/file", &[][..], 200),
        ("GET", "/file", &unchanged, 304),
        ("HEAD", "/file", &unchanged, 304),
        ("OPTIONS", "/file", &[], 204),
        ("OPTIONS", "*", &[], 204),
        ("HEAD", "/missing", &[], 404),
    ];
    for (method, target, fields, _) in wanted {
        connection.send_request(method, target, fields, b"");
        connection.send_request("GET", "/file", &[], b"");
    }
    // A body where none may be would be taken for the next answer.
    for (method, target, fields, status) in wanted {
        let response = connection.answer_to(method);
        assert_eq!(response.status, status, "{method} {target} {fields:?}");
        if status == 304 {
            assert_eq!(response.field("ETag"), Some(etag.as_str()));
        }
        assert_eq!(connection.respond().expect(200).body, b"some content");
    }
    let told = connection.request("HEAD", "/file", &[], b"");
    assert_eq!(told.field("Content-Length"), Some("12"));
}

#[test]
fn an_answer_reaches_who_still_sends_a_body() {
    let server = Server::with_config("max_request_size=1000000");
    let host = server.host();
    let body = vec![b'x'; 8 << 20];
    let chunked: Vec<u8> = body
        .chunks(50_000)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .collect();
    let length = format!("Content-Length: {}", body.len());
    let cases = [
        ("/login", length.as_str(), &body, 413),
        ("/login", "Transfer-Encoding: chunked", &chunked, 413),
        ("/missing", &length, &body, 404),
        ("/missing", "Transfer-Encoding: chunked", &chunked, 404),
        ("/", &length, &body, 405),
        ("/login", "Content-Length: x", &body, 400),
    ];
    for (path, framing, body, status) in cases {
        let mut connection = server.connect();
        connection.send(format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n"
        ));
        // All of it, before a byte of the answer is read: nothing may reset the connection.
        connection.send(body);
        let response = connection.respond();
        assert_eq!(response.status, status, "{path} {framing}");
        assert!(response.closes(), "{path} {framing}");
        connection.expect_close();
    }
}

#[test]
fn a_short_body_nobody_wants_leaves_the_connection_open() {
    let server = Server::start();
    let mut connection = server.connect();
    for (path, status) in [("/missing", 404), ("/", 405)] {
        for size in [1, 1000, 60_000] {
            let response = connection.request("POST", path, &[], &vec![b'x'; size]);
            assert_eq!(
                (response.status, response.closes()),
                (status, false),
                "{size}"
            );
        }
    }
    connection.get("/").expect(200);
}

fn unix_secs(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn dates_are_right_and_go_on() {
    const SECOND: Duration = Duration::from_secs(1);
    let server = Server::start();
    let mut connection = server.connect();
    let mut dates: Vec<u64> = Vec::new();
    crate::support::wait_for("three dates", || {
        let before = SystemTime::now();
        let response = connection.get("/missing").expect(404);
        let date = httpdate::parse_http_date(response.field("Date").unwrap()).unwrap();
        // The turn of the loop that has answered may have begun just before we asked.
        let range = unix_secs(before - SECOND)..=unix_secs(SystemTime::now());
        assert!(
            range.contains(&unix_secs(date)),
            "{date:?} is not in {range:?}"
        );
        dates.push(unix_secs(date));
        (date - 3 * SECOND >= SystemTime::UNIX_EPOCH + Duration::from_secs(dates[0])).then_some(())
    });
    // That none is left out can be said on virtual time only: a busy machine may sleep through one.
    assert!(dates.is_sorted(), "{dates:?}");
    dates.dedup();
    assert!(dates.len() > 1, "{dates:?}");
}

/// A handshake for the chat, with these lines more.
fn upgrade(server: &Server, more: &str) -> String {
    let host = server.host();
    format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}\r\n"
    )
}

#[test]
fn what_is_behind_a_refused_handshake_is_answered() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let get = format!("GET /login HTTP/1.1\r\nHost: {}\r\n\r\n", server.host());
    for (status, version, key) in [(400, 13, "x"), (426, 8, "dGhlIHNhbXBsZSBub25jZQ==")] {
        let rejected = upgrade(
            &server,
            &format!(
                "Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n\
                 Authorization: Bearer {token}\r\n"
            ),
        );
        for half_closes in [false, true] {
            let mut connection = server.connect();
            connection.send([rejected.as_str(), &get].concat());
            if half_closes {
                connection.half_close();
            }
            connection.respond().expect(status);
            connection.respond().expect(200);
        }
    }
}

#[test]
fn what_is_behind_a_handshake_waits_for_it() {
    // A login takes its time; the answer to it must not be lost, whatever comes behind.
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut connection = server.connect();
    let body = json!({"username": "ann", "password": "Wrong-Horse-9"}).to_string();
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        server.host(),
        body.len()
    );
    let accepted = upgrade(
        &server,
        &format!(
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {token}\r\n"
        ),
    );
    let frame = crate::support::ws::masked(true, crate::support::ws::TEXT, &vec![b'x'; 500_000]);
    connection.send([login.as_bytes(), accepted.as_bytes(), &frame].concat());
    connection.respond().expect(401);
    assert_eq!(connection.respond().status, 101);
}
