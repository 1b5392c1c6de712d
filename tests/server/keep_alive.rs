//! Many requests over one connection: persistence, pipelining, framing of requests.

use crate::support::Server;
use crate::support::http::End;
use crate::support::users::{PASSWORD, registration};
use serde_json::json;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn credentials(username: &str) -> String {
    json!({"username": username, "password": PASSWORD}).to_string()
}

#[test]
fn one_connection_serves_many_requests() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut connection = server.connect();
    for round in 0..200 {
        let response = match round % 4 {
            0 => connection.get("/").expect(200),
            1 => connection.get_as(&token, "/me").expect(200),
            2 => connection.get("/missing").expect(404),
            _ => connection
                .request("POST", "/login", &[JSON], b"{}")
                .expect(400),
        };
        assert!(!response.closes());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let host = server.host();
    let paths = ["/", "/missing", "/me", "/login", "/register"];
    let statuses = [200, 404, 401, 200, 200];
    let batch: String = (0..100)
        .map(|number| {
            format!(
                "GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n",
                paths[number % paths.len()]
            )
        })
        .collect();
    let mut connection = server.connect();
    connection.send(batch);
    for number in 0..100 {
        assert_eq!(
            connection.respond().status,
            statuses[number % statuses.len()],
            "answer {number}"
        );
    }
}

#[test]
fn a_slow_answer_keeps_its_place() {
    let server = Server::start();
    server.register("ann");
    let mut connection = server.connect();
    for _ in 0..3 {
        connection.send_request("POST", "/login", &[JSON], credentials("ann").as_bytes());
        connection.send_request("GET", "/missing", &[], b"");
    }
    for _ in 0..3 {
        assert!(connection.respond().expect(200).json()["data"]["token"].is_string());
        connection.respond().expect(404);
    }
}

#[test]
fn a_slow_answer_holds_up_nobody_else() {
    let server = Server::start();
    server.register("ann");
    let mut slow = server.connect();
    for _ in 0..5 {
        slow.send_request("POST", "/login", &[JSON], credentials("ann").as_bytes());
    }
    server.connect().get("/").expect(200);
    for _ in 0..5 {
        slow.respond().expect(200);
    }
}

#[test]
fn close_is_honoured_in_any_list_and_case() {
    let server = Server::start();
    for value in ["close", "Close", "x-other, CLOSE", "keep-alive, close"] {
        let mut connection = server.connect();
        connection.send_request("GET", "/", &[("Connection", value)], b"");
        connection.send_request("GET", "/never-read", &[], b"");
        let response = connection.respond().expect(200);
        assert!(response.closes(), "{value}");
        connection.expect_close();
    }
}

#[test]
fn http_1_0_ends_unless_asked_not_to() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    connection.respond().expect(200);
    connection.expect_close();

    let mut connection = server.connect();
    for _ in 0..2 {
        connection.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = connection.respond().expect(200);
        assert_eq!(
            response
                .field("Connection")
                .map(str::to_ascii_lowercase)
                .as_deref(),
            Some("keep-alive")
        );
    }
}

#[test]
fn head_answers_do_not_upset_what_follows() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send_request("HEAD", "/", &[], b"");
    connection.send_request("GET", "/missing", &[], b"");
    connection.send_request("HEAD", "/me", &[], b"");
    connection.send_request("GET", "/", &[], b"");
    let told = connection.answer_to("HEAD").expect(200);
    connection.respond().expect(404);
    let rejected = connection.answer_to("HEAD");
    assert!(matches!(rejected.status, 401 | 405), "{}", rejected.status);
    let got = connection.respond().expect(200);
    assert_eq!(told.field("Content-Length"), got.field("Content-Length"));
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Server::start();
    let body = registration("ann").to_string();
    let mut connection = server.connect();
    let head = format!(
        "POST /register HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        server.host(),
        body.len()
    );
    connection.send(&head);
    connection.respond().expect(100);
    connection.send(&body);
    connection.respond().expect(201);

    // One that does not wait may be told so or not, but is answered once.
    connection.send(format!("{head}{body}"));
    let response = connection.respond();
    let response = if response.status == 100 {
        connection.respond()
    } else {
        response
    };
    response.error(409);
    connection.get("/").expect(200);
}

#[test]
fn a_client_that_asks_first_is_told_when_it_is_too_much() {
    let server = Server::with_config("max_request_size=2000");
    let mut connection = server.connect();
    let fields = "Content-Type: application/json\r\nContent-Length: 2001\r\nExpect: 100-continue";
    connection.send(format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\n{fields}\r\n\r\n",
        server.host()
    ));
    connection.respond().error(413);
    connection.expect_close();
}

#[test]
fn bodies_may_come_in_chunks() {
    let server = Server::start();
    let body = registration("ann").to_string();
    let mut connection = server.connect();
    let mut bytes = format!(
        "POST /register HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.host()
    );
    for piece in body.as_bytes().chunks(7) {
        let piece = std::str::from_utf8(piece).unwrap();
        bytes.push_str(&format!("{:x};ignored=yes\r\n{piece}\r\n", piece.len()));
    }
    bytes.push_str("0\r\nTrailer: ignored\r\n\r\n");
    connection.send(bytes);
    connection.respond().expect(201);
    connection.get("/").expect(200);
}

#[test]
fn a_body_nobody_wanted_is_read_over() {
    let server = Server::start();
    let mut connection = server.connect();
    for (target, status) in [("/", 200), ("/missing", 404)] {
        connection
            .request("GET", target, &[], b"hello")
            .expect(status);
    }
    connection.get("/").expect(200);
}

#[test]
fn an_absolute_target_is_understood() {
    let server = Server::start();
    let mut connection = server.connect();
    connection
        .get(&format!("{}/login", server.origin()))
        .expect(200);
    connection
        .get(&format!("{}/missing", server.origin()))
        .expect(404);
    connection.request("OPTIONS", "*", &[], b"");
    connection.get("/").expect(200);
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send("\r\n");
    connection.get("/").expect(200);
}

#[test]
fn a_half_closed_connection_still_gets_its_answers() {
    let server = Server::start();
    server.register("ann");
    let mut connection = server.connect();
    connection.send_request("POST", "/login", &[JSON], credentials("ann").as_bytes());
    connection.send_request("GET", "/", &[], b"");
    connection.half_close();
    connection.respond().expect(200);
    connection.respond().expect(200);
    connection.expect_close();
}

#[test]
fn a_half_closed_connection_without_a_request_just_ends() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.half_close();
    connection.expect_close();

    let mut connection = server.connect();
    connection.send("GET / HT");
    connection.half_close();
    let (bytes, _) = connection.rest();
    assert!(
        bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 400 "),
        "{}",
        bytes.escape_ascii()
    );
}

#[test]
fn where_the_bytes_are_cut_does_not_matter() {
    let server = Server::start();
    let host = server.host();
    let login = credentials("nobody");
    let requests = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n\
         POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}\
         POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{login}\r\n0\r\n\r\n\
         GET /missing HTTP/1.1\r\nHost: {host}\r\n\r\n",
        login.len()
    );
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for seed in 0..6 {
        let mut connection = server.connect();
        let mut rest = requests.as_bytes();
        while !rest.is_empty() {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let size = if seed == 0 {
                1
            } else {
                1 + (random >> 33) as usize % 60
            };
            let (piece, after) = rest.split_at(size.min(rest.len()));
            connection.send(piece);
            rest = after;
        }
        let statuses: Vec<_> = (0..4).map(|_| connection.respond().status).collect();
        assert_eq!(statuses, [200, 400, 401, 404], "cut with seed {seed}");
    }
}

#[test]
fn a_client_that_vanishes_hurts_nobody() {
    let server = Server::start();
    server.register("ann");
    for _ in 0..5 {
        let mut connection = server.connect();
        connection.send_request("POST", "/login", &[JSON], credentials("ann").as_bytes());
        drop(connection);
    }
    let mut connection = server.connect();
    connection.get("/").expect(200);
    connection.half_close();
    assert_eq!(connection.rest(), (Vec::new(), End::Clean));
}
