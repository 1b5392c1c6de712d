//! The vectors of `tests/vectors/http1` over TLS, against the server as it is shipped: what is read
//! is answered, what is refused is told so in full, and whatever happens the server serves on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::http::{End, client_config};
use crate::support::{Connection, Response, Server};
use crate::vectors::{Vector, vectors};
use edgeloop::proto::http1::HttpLimits;
use rustls::ClientConfig;

/// Number of vectors are under way at once: most of the time is spent waiting for the other side.
const AT_ONCE: usize = 4;

/// Outcome that a vector expects of a connection.
#[derive(Debug, Default)]
struct Outcome {
    requests: Vec<Asked>,
    /// The status of the refusal that is the last answer.
    refusal: Option<u16>,
    /// Input missing at the end.
    awaits: Option<String>,
}

#[derive(Debug)]
struct Asked {
    method: String,
    /// Status of the server's response, which was not made for these vectors.
    status: u16,
    closes: bool,
    may_get_continue: bool,
    is_complete: bool,
}

impl Outcome {
    fn of(vector: &Vector) -> Self {
        let mut outcome = Self::default();
        for line in &vector.expected {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["head", method, target, ..] => outcome.requests.push(Asked {
                    method: method.to_owned(),
                    status: match status_of(method, path_of(target, &words)) {
                        200 if words.contains(&"upgrade") => 401,
                        status => status,
                    },
                    closes: words.contains(&"close"),
                    may_get_continue: words.contains(&"continue"),
                    is_complete: false,
                }),
                ["end"] => outcome.requests.last_mut().unwrap().is_complete = true,
                ["error", status, _] => outcome.refusal = Some(status.parse().unwrap()),
                ["awaits", what] => outcome.awaits = Some(what.to_owned()),
                // A body without its media type.
                ["body", ..] => {
                    if let Some(asked) = outcome
                        .requests
                        .last_mut()
                        .filter(|asked| asked.status == 400 && asked.method == "POST")
                    {
                        asked.status = 415;
                    }
                }
                _ => assert!(matches!(words[0], "body" | "field"), "{line}"),
            }
        }
        outcome
    }
}

fn path_of<'a>(target: &'a str, words: &[&'a str]) -> &'a str {
    let path = words.iter().find_map(|word| word.strip_prefix("path="));
    path.unwrap_or(target)
}

fn status_of(method: &str, path: &str) -> u16 {
    const KNOWN: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE",
    ];
    match (method, path) {
        _ if !KNOWN.contains(&method) => 501,
        ("OPTIONS", _) => 204,
        (_, path) if path.contains("%00") || path.contains('\\') => 400,
        ("GET" | "HEAD", "/") => 200,
        ("POST", "/login") => 400,
        (_, "/") => 405,
        _ => 404,
    }
}

struct Bench {
    server: Server,
    client: Arc<ClientConfig>,
}

impl Bench {
    fn new() -> Self {
        let server = Server::with_config(
            "max_connections_per_ip=0\nhandshakes_per_second_per_ip=0\nlog_level=2",
        );
        let client = client_config(server.folder().certificate());
        Self { server, client }
    }

    fn connect(&self) -> Connection {
        Connection::open_with(&self.server, Arc::clone(&self.client)).unwrap()
    }

    fn assert_serves(&self) {
        let mut connection = self.connect();
        connection.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        connection.respond().expect(200);
        connection.expect_close();
    }

    /// Sends a vector in pieces of this size, each a record of its own, and checks what comes back.
    fn run(&self, vector: &Vector, piece_bytes: usize) {
        let outcome = Outcome::of(vector);
        let mut connection = self.connect();
        for piece in vector.sent.chunks(piece_bytes) {
            // A server that refuses at once does not take the rest.
            if connection.try_send(piece).is_err() {
                break;
            }
        }
        let complete = outcome.requests.iter().filter(|asked| asked.is_complete);
        for asked in complete {
            let response = final_answer(&mut connection, asked);
            assert_eq!(response.status, asked.status, "{response:?}");
            assert_eq!(response.closes(), asked.closes, "{response:?}");
        }
        if let Some(status) = outcome.refusal {
            let (response, status) = match outcome.requests.last() {
                // Where no body is wanted, its length does not matter.
                Some(asked) if !asked.is_complete && status == 413 => {
                    (final_answer(&mut connection, asked), asked.status)
                }
                Some(asked) if !asked.is_complete => (final_answer(&mut connection, asked), status),
                _ => (connection.respond(), status),
            };
            response.error(status);
            assert!(response.closes(), "{response:?}");
            connection.expect_close();
            self.assert_serves();
            return;
        }
        match outcome.awaits.as_deref() {
            Some("nothing") => connection.expect_close(),
            Some("answer") => {
                // It was none of the handshakes that are accepted, and the next request is read.
                connection.half_close();
                let (rest, end) = connection.rest();
                let is_answer = rest.is_empty() || rest.starts_with(b"HTTP/1.1 ");
                assert!(is_answer, "{}", rest.escape_ascii());
                assert_eq!(end, End::Clean);
            }
            Some(_) => {
                connection.half_close();
                let (rest, end) = connection.rest();
                let is_continue = rest == b"HTTP/1.1 100 Continue\r\n\r\n"
                    && outcome
                        .requests
                        .last()
                        .is_some_and(|asked| asked.may_get_continue);
                assert!(rest.is_empty() || is_continue, "{}", rest.escape_ascii());
                assert_eq!(end, End::Clean);
            }
            None => {
                connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                connection.respond().expect(200);
            }
        }
    }
}

/// The answer to a request, with no more than one `100 Continue` before it if it may have that.
fn final_answer(connection: &mut Connection, asked: &Asked) -> Response {
    let response = connection.answer_to(&asked.method);
    if response.status == 100 && asked.may_get_continue {
        return connection.answer_to(&asked.method);
    }
    response
}

/// Those that can be run with the limits of a default configuration.
fn servable() -> Vec<Vector> {
    let mut all = vectors();
    all.retain(|vector| vector.limits == HttpLimits::default());
    all
}

fn run_all(piece_bytes: usize) {
    let bench = Bench::new();
    let all = servable();
    assert!(all.len() >= 400, "only {} vectors", all.len());
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(vector) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = std::panic::AssertUnwindSafe(|| bench.run(vector, piece_bytes));
                    if std::panic::catch_unwind(run).is_err() {
                        eprintln!("FAILED over TLS: {}", vector.title);
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "of {} vectors", all.len());
    bench.assert_serves();
}

#[test]
fn every_vector_is_answered_over_tls() {
    run_all(usize::MAX);
}

#[test]
fn every_vector_is_answered_over_tls_byte_by_byte() {
    run_all(1);
}
