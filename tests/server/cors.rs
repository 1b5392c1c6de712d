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
    let server = Server::start();
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
    let server = Server::start();
    let mut connection = server.connect();
    let body = json!({"username": "ann", "password": "x"}).to_string();
    let fields = [("Content-Type", "application/json"), PREFLIGHT[0]];
    let answer = connection
        .request("POST", "/login", &fields, body.as_bytes())
        .expect(401);
    assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));

    let server = Server::with_config("cors_allow_origin=https://pages.example");
    let answer = server
        .connect()
        .request("POST", "/login", &fields, body.as_bytes())
        .expect(401);
    assert_eq!(
        answer.field("Access-Control-Allow-Origin"),
        Some("https://pages.example")
    );
}
