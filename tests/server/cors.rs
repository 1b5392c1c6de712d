//! `OPTIONS` and what scripts of other origins may do.

use crate::support::{Connection, Folder, Response, Server};
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
        let response = connection.request("OPTIONS", path, &PREFLIGHT, b"");
        assert!(
            matches!(response.status, 200 | 204),
            "{path}: {}",
            response.status
        );
        assert_eq!(
            response.field("Access-Control-Allow-Origin"),
            Some("*"),
            "{path}"
        );
        let methods = response
            .field("Access-Control-Allow-Methods")
            .expect("methods");
        assert!(
            ["GET", "POST", "PUT"]
                .iter()
                .all(|method| lists(methods, method)),
            "{path}: {methods}"
        );
        let headers = response
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
    let response = connection
        .request("POST", "/login", &fields, body.as_bytes())
        .expect(401);
    assert_eq!(response.field("Access-Control-Allow-Origin"), Some("*"));

    let server = Server::with_config("cors_allow_origin=https://pages.example");
    let fields = [fields[0], ("Origin", "https://pages.example")];
    let response = server
        .connect()
        .request("POST", "/login", &fields, body.as_bytes())
        .expect(401);
    assert_eq!(
        response.field("Access-Control-Allow-Origin"),
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
                &[json, site, ("Origin", "https://localhost")],
            ] {
                let response = connection.request(method, path, fields, body.as_bytes());
                assert_eq!(response.status, 403, "{method} {path} {fields:?}");
                assert_eq!(response.field("Access-Control-Allow-Origin"), None);
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

const ONE: &str = "https://one.example";
const TWO: &str = "http://two.example:8080";

fn ask(connection: &mut Connection, method: &str, path: &str, origin: Option<&str>) -> Response {
    let mut fields = vec![("Content-Type", "application/json")];
    fields.extend(origin.map(|origin| ("Origin", origin)));
    if method == "OPTIONS" {
        fields.extend(&PREFLIGHT[1..]);
    }
    let body = match method {
        "POST" | "PUT" => json!({"username": "ann", "password": "x"}).to_string(),
        _ => String::new(),
    };
    connection.request(method, path, &fields, body.as_bytes())
}

/// Origin that may read a response; that it depends on the asker is said in any case.
fn reader(response: &Response) -> Option<&str> {
    let vary = response.field("Vary").unwrap_or_default();
    assert!(lists(vary, "Origin"), "{response:?}");
    response.field("Access-Control-Allow-Origin")
}

/// Answers of the API and of files, at once and by other threads, and of what is refused before its body.
const ASKED: [(&str, &str, u16); 9] = [
    ("POST", "/login", 401),
    ("GET", "/me", 401),
    ("PUT", "/me", 401),
    ("POST", "/nowhere", 404),
    ("DELETE", "/login", 405),
    ("GET", "/favicon.svg", 200),
    ("HEAD", "/favicon.svg", 200),
    ("OPTIONS", "/login", 204),
    ("OPTIONS", "/favicon.svg", 204),
];

#[test]
fn an_answer_names_the_listed_origin_that_asked() {
    let server = Server::with_config(&format!("cors_allow_origin={ONE},{TWO}"));
    let mut connection = server.connect();
    for (method, path, status) in ASKED {
        for (origin, allowed) in [
            (Some(ONE), Some(ONE)),
            (Some(TWO), Some(TWO)),
            (Some("HTTPS://one.example:443"), Some(ONE)),
            (Some("https://two.example"), None),
            (Some("null"), None),
            (None, None),
        ] {
            let what = format!("{method} {path} {origin:?}");
            let response = ask(&mut connection, method, path, origin);
            let is_cross_site = origin.is_some() && allowed.is_none();
            let expected = match status {
                401 if is_cross_site && method != "GET" => 403,
                status => status,
            };
            assert_eq!(response.status, expected, "{what}");
            assert_eq!(reader(&response), allowed, "{what}");
            let methods = response.field("Access-Control-Allow-Methods");
            assert_eq!(methods.is_some(), method == "OPTIONS" && allowed.is_some());
            assert_eq!(
                response.field("Allow").is_some(),
                matches!(status, 204 | 405)
            );
        }
    }
    // A cached file is confirmed to each as it is given.
    let etag = ask(&mut connection, "GET", "/favicon.svg", None);
    let etag = etag.field("ETag").unwrap();
    let fields = [("If-None-Match", etag), ("Origin", TWO)];
    let known = connection.request("GET", "/favicon.svg", &fields, b"");
    assert_eq!((known.status, reader(&known)), (304, Some(TWO)));
    // Pages are for nobody else's scripts, and differ by nobody.
    let page = ask(&mut connection, "GET", "/login", Some(ONE)).expect(200);
    assert_eq!(page.field("Access-Control-Allow-Origin"), None);
    assert!(!lists(page.field("Vary").unwrap_or_default(), "Origin"));
}

#[test]
fn what_waits_for_its_turn_or_for_the_database_names_its_own_origin() {
    let server = Server::with_config(&format!("cors_allow_origin={ONE},{TWO}"));
    let token = server.register_and_login("ann");
    let mut connection = server.connect();
    let origins = [
        Some(ONE),
        None,
        Some(TWO),
        Some("https://three.example"),
        Some(ONE),
    ];
    for origin in origins {
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        connection.send(format!(
            "GET /me HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n{origin}\r\n",
            server.host()
        ));
    }
    for origin in origins {
        let response = connection.respond().expect(200);
        let allowed = origin.filter(|origin| [ONE, TWO].contains(origin));
        assert_eq!(reader(&response), allowed);
    }
}

#[test]
fn the_list_of_origins_is_read_again() {
    let folder = Folder::new();
    folder.configure(&format!("cors_allow_origin={ONE}"));
    let server = folder.start();
    let mut connection = server.connect();
    for (value, of_one, of_two) in [
        (format!("{TWO} , {ONE}"), Some(ONE), Some(TWO)),
        (TWO.to_owned(), None, Some(TWO)),
        ("*".to_owned(), Some("*"), Some("*")),
        ("off".to_owned(), None, None),
    ] {
        folder.configure(&format!("cors_allow_origin={value}"));
        server.hangup();
        for path in ["/me", "/favicon.svg"] {
            crate::support::wait_for("the new list to be in force", || {
                let mut reader_of = |origin| {
                    let response = ask(&mut connection, "GET", path, Some(origin));
                    let allowed = response.field("Access-Control-Allow-Origin");
                    allowed.map(str::to_owned)
                };
                let now = [reader_of(ONE), reader_of(TWO)];
                (now == [of_one, of_two].map(|origin| origin.map(str::to_owned))).then_some(())
            });
        }
    }
    // One that is none is told with its place, and changes nothing.
    folder.configure(&format!("cors_allow_origin={ONE},two.example"));
    server.hangup();
    let line = server.wait_for_log("two.example");
    assert!(line.contains("cors_allow_origin"), "{line}");
    let response = ask(&mut connection, "GET", "/me", Some(ONE));
    assert_eq!(response.field("Access-Control-Allow-Origin"), None);
}
