//! Rejections, their statuses, and the connections that live on after them.

use crate::support::users::registration;
use crate::support::{Connection, Response, Server};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Sends bytes on a connection of their own and gives the answer.
fn answer_to(server: &Server, bytes: impl AsRef<[u8]>) -> (Response, Connection) {
    let mut connection = server.connect();
    connection.send(bytes);
    let response = connection.respond();
    (response, connection)
}

/// The answer has this status, is the last one, and the connection ends in order.
fn assert_refused(server: &Server, bytes: impl AsRef<[u8]>, status: u16) {
    let shown =
        String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(200)]).into_owned();
    let (response, mut connection) = answer_to(server, bytes);
    assert_eq!(response.status, status, "{shown:?}");
    assert!(
        response.closes(),
        "{shown:?} is answered without Connection: close"
    );
    connection.expect_close();
}

#[test]
fn unknown_paths_are_404() {
    let server = Server::start();
    let mut connection = server.connect();
    for path in ["/missing", "/me/", "/login/x", "/index", "/favicon.missing"] {
        connection.get(path).error(404);
    }
    connection.post_json("/missing", &json!({})).error(404);
    connection.get("/").expect(200);
}

#[test]
fn known_paths_with_another_method_are_405() {
    let server = Server::start();
    let mut connection = server.connect();
    let cases: [(&str, &str, &[&str]); 9] = [
        ("PUT", "/login", &["GET", "HEAD", "POST", "OPTIONS"]),
        ("PATCH", "/register", &["GET", "HEAD", "POST", "OPTIONS"]),
        ("POST", "/me", &["GET", "PUT", "OPTIONS"]),
        ("POST", "/", &["GET", "HEAD", "OPTIONS"]),
        ("PUT", "/chat", &["GET", "HEAD", "OPTIONS"]),
        ("DELETE", "/profile", &["GET", "HEAD", "OPTIONS"]),
        ("TRACE", "/", &["GET", "HEAD", "OPTIONS"]),
        ("POST", "/css/base.css", &["GET", "HEAD", "OPTIONS"]),
        ("DELETE", "/ws", &["GET", "OPTIONS"]),
    ];
    for (method, path, wanted) in cases {
        let response = connection.request(method, path, &[], b"");
        response.error(405);
        let allowed: Vec<_> = response
            .field("Allow")
            .expect("Allow")
            .split(',')
            .map(str::trim)
            .collect();
        for method in wanted {
            assert!(
                allowed.contains(method),
                "{path}: {method} is not in {allowed:?}"
            );
        }
        assert!(!allowed.contains(&method), "{path}: {allowed:?}");
    }
    connection.get("/").expect(200);
}

#[test]
fn methods_nobody_knows_are_501() {
    let server = Server::start();
    let mut connection = server.connect();
    for (method, path) in [
        ("BREW", "/profile"),
        ("get", "/"),
        ("PROPFIND", "/me"),
        ("BREW", "/nothing/here"),
    ] {
        connection.request(method, path, &[], b"").error(501);
        // A body is not waited for, and does not end the connection.
        connection.request(method, path, &[], b"body").error(501);
    }
    connection.get("/").expect(200);
}

#[test]
fn other_media_types_are_415() {
    let server = Server::start();
    let mut connection = server.connect();
    let body = registration("ann").to_string();
    for wrong in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "multipart/form-data",
    ] {
        for path in ["/register", "/login"] {
            connection
                .request("POST", path, &[("Content-Type", wrong)], body.as_bytes())
                .error(415);
        }
    }
    for right in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"utf-8\"",
    ] {
        let response = connection.request("POST", "/register", &[("Content-Type", right)], b"{}");
        assert_eq!(response.status, 400, "{right}");
    }
}

#[test]
fn what_is_no_json_object_is_400() {
    let server = Server::start();
    let mut connection = server.connect();
    let deep = format!("{}{}", "[".repeat(8_000), "]".repeat(8_000));
    let bodies: [&[u8]; 12] = [
        b"",
        b" ",
        b"{",
        b"{]",
        b"null",
        b"[]",
        b"\"name\"",
        b"7",
        b"{\"name\":\"x\"} trailing",
        b"{\"username\":\"a\xFF\",\"password\":\"x\"}",
        b"{\"username\":\"\\ud800\",\"password\":\"x\"}",
        deep.as_bytes(),
    ];
    for body in bodies {
        for path in ["/register", "/login"] {
            let response = connection.request("POST", path, &[JSON], body);
            assert_eq!(
                response.status,
                400,
                "{}",
                String::from_utf8_lossy(&body[..body.len().min(40)])
            );
            response.error(400);
        }
    }
    connection.get("/").expect(200);
}

#[test]
fn a_member_given_twice_is_read_in_one_way() {
    let server = Server::start();
    let mut connection = server.connect();
    let body = br#"{"username":"ann","username":"bob","password":"x"}"#;
    let response = connection.request("POST", "/login", &[JSON], body);
    assert!(matches!(response.status, 400 | 401), "{}", response.status);
}

/// A login that is understood and refused, this many bytes long.
fn login_of(size: usize) -> String {
    let mut body = json!({"username": "ann", "password": "x", "pad": ""});
    let pad = size - body.to_string().len();
    body["pad"] = Value::from("x".repeat(pad));
    body.to_string()
}

#[test]
fn bodies_have_a_limit() {
    check_limit(&Server::with_config("max_request_size=2000"), 2000);
}

#[test]
fn json_bodies_take_sixteen_kib_however_large_others_may_be() {
    let server = Server::with_config("max_request_size=10000000");
    check_limit(&server, 16 << 10);
    // By the other two requests that have one, too.
    let long = format!("Content-Length: {}\r\n\r\n", (16 << 10) + 1);
    for line in ["POST /register", "PUT /me"] {
        let head = format!("{line} HTTP/1.1\r\nHost: {}\r\n{long}", server.host());
        assert_refused(&server, head, 413);
    }
}

/// Bodies of so many bytes are read, longer ones are not.
fn check_limit(server: &Server, max: usize) {
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n",
        server.host()
    );
    let chunked = |body: &str, chunk_bytes: usize| {
        let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        for chunk in body.as_bytes().chunks(chunk_bytes) {
            let chunk = std::str::from_utf8(chunk).unwrap();
            bytes.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        }
        bytes + "0\r\nX-Trailer: z\r\n\r\n"
    };
    let mut connection = server.connect();
    for size in [max - 1, max] {
        let body = login_of(size);
        connection.send(format!("{head}Content-Length: {size}\r\n\r\n{body}"));
        connection.respond().error(401);
        for chunk_bytes in [size, 900, 1] {
            connection.send(chunked(&body, chunk_bytes));
            connection.respond().error(401);
        }
    }
    // Told by its length: refused before it is sent, or while it is.
    let over = login_of(max + 1);
    let told = format!("{head}Content-Length: {}\r\n\r\n", max + 1);
    assert_refused(server, &told, 413);
    assert_refused(server, format!("{told}{over}"), 413);
    assert_refused(
        server,
        format!("{head}Content-Length: 99999999999\r\n\r\n"),
        413,
    );
    // Not told: refused when it grows over, and by the size of the chunk alone.
    for chunk_bytes in [max + 1, max, 900, 1] {
        assert_refused(server, chunked(&over, chunk_bytes), 413);
    }
    assert_refused(
        server,
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}", max + 1),
        413,
    );
    connection.get("/").expect(200);
}

#[test]
fn targets_have_a_limit() {
    const MAX: usize = 1000;
    let server = Server::with_config("max_uri_length=1000");
    let host = server.host();
    let target = |size: usize| {
        format!(
            "GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n",
            "x".repeat(size - 1)
        )
    };
    let mut connection = server.connect();
    for size in [MAX - 1, MAX] {
        connection.send(target(size));
        connection.respond().error(404);
    }
    assert_refused(&server, target(MAX + 1), 414);
    // The query counts, and nothing waits for the end.
    let query = format!("GET /?{}", "x".repeat(MAX - 1));
    assert_refused(&server, query, 414);
    connection.get("/").expect(200);
}

#[test]
fn heads_have_a_limit() {
    const MAX: usize = 3000;
    let server = Server::with_config("max_uri_length=1000\nmax_header_size=3000");
    let host = server.host();
    let head = |size: usize| {
        let start = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Pad: ");
        let pad = "x".repeat(size - start.len() - 4);
        format!("{start}{pad}\r\n\r\n")
    };
    let mut connection = server.connect();
    for size in [MAX - 1, MAX] {
        connection.send(head(size));
        connection.respond().expect(200);
    }
    assert_refused(&server, head(MAX + 1), 431);
    let endless = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nX-Endless: {}",
        "x".repeat(10_000)
    );
    assert_refused(&server, endless, 431);
    connection.get("/").expect(200);
}

#[test]
fn fields_have_a_limit() {
    for max in [1, 20, 1000] {
        let server = Server::with_config(&format!("max_header_count={max}"));
        let host = server.host();
        let fields = |count: usize| {
            let more: String = (1..count)
                .map(|number| format!("X-{number}: y\r\n"))
                .collect();
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
        };
        let mut connection = server.connect();
        for count in [max.max(2) - 1, max] {
            connection.send(fields(count));
            connection.respond().expect(200);
        }
        assert_refused(&server, fields(max + 1), 431);
        connection.get("/").expect(200);
    }
}

/// RFC 9112 §7.1.1 and §7.1.2 want these, too; they have no key of their own.
#[test]
fn what_surrounds_chunks_has_a_limit() {
    let server = Server::start();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        server.host()
    );
    let extended = |size: usize| format!("{head}2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(size - 1));
    let trailed =
        |size: usize| format!("{head}2\r\n{{}}\r\n0\r\nX:{}\r\n\r\n", "y".repeat(size - 2));
    let mut connection = server.connect();
    for (size, trailer_size) in [(4095, 8191), (4096, 8192)] {
        connection.send(extended(size));
        connection.respond().error(400);
        connection.send(trailed(trailer_size));
        connection.respond().error(400);
    }
    connection.get("/").expect(200);
    assert_refused(&server, extended(4097), 413);
    assert_refused(&server, trailed(8193), 431);
}

#[test]
fn ambiguous_requests_are_refused() {
    let server = Server::start();
    let host = format!("Host: {}\r\n", server.host());
    let cases = [
        (
            format!(
                "POST /login HTTP/1.1\r\n{host}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
            400,
        ),
        (
            format!("POST /login HTTP/1.1\r\n{host}Content-Length: 2\r\nContent-Length: 3\r\n\r\n"),
            400,
        ),
        (
            format!("POST /login HTTP/1.1\r\n{host}Content-Length: +2\r\n\r\n"),
            400,
        ),
        (
            format!("POST /login HTTP/1.1\r\n{host}Content-Length: 0x2\r\n\r\n"),
            400,
        ),
        (
            format!("POST /login HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n"),
            501,
        ),
        (
            format!("POST /login HTTP/1.1\r\n{host}Transfer-Encoding: chunked, chunked\r\n\r\n"),
            400,
        ),
        (
            format!("POST /login HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
            400,
        ),
        (format!("GET / HTTP/1.1\r\n{host}X-Name : x\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\n{host}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}X: a\0b\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET /a b HTTP/1.1\r\n{host}\r\n"), 400),
        (format!("GET / HTTP/2.0\r\n{host}\r\n"), 505),
        (
            format!("GET / HTTP/1.1\r\n{host}Expect: the unexpected\r\n\r\n"),
            417,
        ),
        ("\x16\x03\x01\x02\x00".to_owned(), 400),
    ];
    for (bytes, status) in cases {
        assert_refused(&server, bytes, status);
    }
    server.connect().get("/").expect(200);
}

#[test]
fn a_refused_request_leaves_what_follows_unread() {
    let server = Server::start();
    let host = server.host();
    let smuggled = format!(
        "POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"
    );
    assert_refused(&server, smuggled, 400);
}

#[test]
fn a_request_that_does_not_end_in_time_is_408() {
    let server = Server::with_config("request_timeout=1");
    let host = server.host();
    let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n");
    let body = format!(
        "POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{{"
    );
    let chunked = format!(
        "POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{"
    );
    for part in [head, body, chunked] {
        let mut connection = server.connect();
        let sent = std::time::SystemTime::now();
        connection.send(&part);
        let response = connection.respond();
        let waited = sent.elapsed().unwrap();
        response.error(408);
        assert!(response.closes());
        connection.expect_close();
        // To the millisecond it is tested on virtual time; here it is not too early.
        assert!(waited.as_millis() >= 900, "{waited:?}: {part:?}");
    }
}

#[test]
fn a_trickle_of_bytes_does_not_stretch_the_time() {
    let server = Server::with_config("request_timeout=1");
    let mut connection = server.connect();
    connection.send(format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ",
        server.host()
    ));
    // One byte after the other, until the server has had enough.
    crate::support::wait_for("an answer", || {
        connection.send("x");
        connection.has_received().then_some(())
    });
    connection.respond().error(408);
    connection.expect_close();
}

/// Nothing follows, and nothing has to.
#[test]
fn a_broken_request_line_is_refused_when_it_is_there() {
    let server = Server::start();
    for (line, status) in [
        ("GARBAGE", 400),
        ("GET /", 400),
        ("GET x HTTP/1.1", 400),
        ("GET / HTTP/2.0", 505),
        ("CONNECT a:1 HTTP/1.1", 405),
    ] {
        for cut in [line.len() / 2, line.len()] {
            let mut connection = server.connect();
            let (first, rest) = line.split_at(cut);
            connection.send(first);
            connection.send(format!("{rest}\r\n"));
            let response = connection.respond();
            assert_eq!(response.status, status, "{line}");
            assert!(response.closes());
            connection.expect_close();
        }
    }
}

#[test]
fn every_json_answer_is_a_line() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut responses = vec![
        server.connect().get_as(&token, "/me").expect(200),
        server.connect().get("/me").expect(401),
        server.connect().get("/nothing-here").expect(404),
        server
            .connect()
            .request("DELETE", "/login", &[], b"")
            .expect(405),
        server
            .connect()
            .request("POST", "/login", &[("Content-Type", "text/plain")], b"x")
            .expect(415),
    ];
    for body in ["{", "{}"] {
        let mut connection = server.connect();
        responses.push(
            connection
                .request("POST", "/register", &[JSON], body.as_bytes())
                .expect(400),
        );
    }
    for response in responses {
        let text = response.text();
        assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
        let length = response.field("Content-Length").unwrap();
        assert_eq!(length, text.len().to_string());
    }
}
