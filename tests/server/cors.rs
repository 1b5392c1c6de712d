//! `OPTIONS` and what scripts of other origins may do.

use crate::support::Server;
use serde_json::json;

const PREFLIGHT: [(&str, &str); 3] = [
    ("Origin", "https://elsewhere.example"),
    ("Access-Control-Request-Method", "PUT"),
    (
        "Access-Control-Request-Headers",
        "authorization, content-type",
    ),
];

fn lists(value: &str, name: &str) -> bool {
    value
        .split(',')
        .any(|item| item.trim().eq_ignore_ascii_case(name))
}

#[test]
fn preflights_are_answered() {
    let server = Server::with_config("cors_allow_origin=*");
    let mut connection = server.connect();
    for path in ["/me", "/login", "/register"] {
        let answer = connection.request("OPTIONS", path, &PREFLIGHT, b"");
        assert!(
            matches!(answer.status, 200 | 204),
            "{path}: {}",
            answer.status
        );
        assert_eq!(
            answer.field("Access-Control-Allow-Origin"),
            Some("*"),
            "{path}"
        );
        let methods = answer
            .field("Access-Control-Allow-Methods")
            .expect("methods");
        assert!(
            ["GET", "POST", "PUT"]
                .iter()
                .all(|method| lists(methods, method)),
            "{path}: {methods}"
        );
        let headers = answer
            .field("Access-Control-Allow-Headers")
            .expect("headers");
        assert!(
            ["authorization", "content-type"]
                .iter()
                .all(|name| lists(headers, name)),
            "{headers}"
        );
    }
}

#[test]
fn answers_may_be_read_by_the_configured_origin() {
    let server = Server::with_config("cors_allow_origin=*");
    let mut connection = server.connect();
    let body = json!({"username": "ann", "password": "x"}).to_string();
    let fields = [("Content-Type", "application/json"), PREFLIGHT[0]];
    let answer = connection
        .request("POST", "/login", &fields, body.as_bytes())
        .expect(401);
    assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));

    let server = Server::with_config("cors_allow_origin=https://pages.example");
    let fields = [fields[0], ("Origin", "https://pages.example")];
    let answer = server
        .connect()
        .request("POST", "/login", &fields, body.as_bytes())
        .expect(401);
    assert_eq!(
        answer.field("Access-Control-Allow-Origin"),
        Some("https://pages.example")
    );
}

#[test]
fn pages_of_other_sites_use_up_no_attempts_of_their_visitors() {
    let server = Server::with_config("login_attempts_per_minute=3");
    server.register_and_login("ann");
    let mut connection = server.connect();
    let body = json!({"username": "ann", "password": "wrong"}).to_string();
    let (json, site) = (
        ("Content-Type", "application/json"),
        ("Sec-Fetch-Site", "cross-site"),
    );
    for _ in 0..5 {
        for (method, path) in [("POST", "/login"), ("POST", "/register"), ("PUT", "/me")] {
            for fields in [
                &[json, PREFLIGHT[0]][..],
                &[json, ("Origin", "null")],
                &[json, site],
            ] {
                let answer = connection.request(method, path, fields, body.as_bytes());
                assert_eq!(answer.status, 403, "{method} {path} {fields:?}");
                assert_eq!(answer.field("Access-Control-Allow-Origin"), None);
            }
        }
        connection
            .request("POST", "/login", &[], body.as_bytes())
            .expect(415);
    }
    connection
        .request("POST", "/login", &[json], body.as_bytes())
        .expect(401);
}
