//! Health, readiness and metrics: what they say is what was done.

mod held_input;
mod slow_readers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::command::by_shell;
use crate::support::deadline::{PATIENCE, poll_for};
use crate::support::http::tcp;
use crate::support::users::{PASSWORD, login, registration};
use crate::support::{Connection, Folder, Server, Socket};
use serde_json::json;

/// Sample by name and labels.
type Samples = HashMap<String, f64>;

/// The server's listener for metrics.
struct Metrics(SocketAddr);

impl Metrics {
    fn of(server: &Server) -> Self {
        let line = server.wait_for_log("metrics are at http://");
        let address = line.split("http://").nth(1).unwrap();
        Self(address.split('/').next().unwrap().parse().unwrap())
    }

    /// Status and body.
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        self.try_ask(method, path).expect("an answer")
    }

    fn try_ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut socket = TcpStream::connect(self.0).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).ok()?;
        let mut response = String::new();
        socket.read_to_string(&mut response).ok()?;
        let (head, body) = response.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some((status, body.to_owned()))
    }

    /// Every sample by its name and labels. Each is of a family that was announced, with a type.
    fn read(&self) -> Samples {
        let (status, text) = self.ask("GET", "/metrics");
        assert_eq!(status, 200);
        read(&text)
    }
}

fn read(text: &str) -> Samples {
    let (mut kinds, mut samples) = (BTreeMap::new(), HashMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{line}"
            );
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let parts = ["_bucket", "_sum", "_count"];
            let family = parts.iter().find_map(|part| bare.strip_suffix(part));
            let family = family
                .filter(|family| kinds.contains_key(*family))
                .unwrap_or(bare);
            let kind = kinds.get(family).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
            assert!(
                samples
                    .insert(name.to_owned(), value.parse().unwrap())
                    .is_none()
            );
        }
    }
    samples
}

/// By how much each sample has grown, and which have, or have gone.
struct Grown(Samples);

impl Grown {
    fn between(before: &Samples, after: &Samples) -> Self {
        let names = before.keys().chain(after.keys());
        let value = |samples: &Samples, name: &str| samples.get(name).copied().unwrap_or(0.0);
        let grown = |name: &String| (name.clone(), value(after, name) - value(before, name));
        Self(names.map(grown).filter(|(_, by)| *by != 0.0).collect())
    }

    fn by(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// The samples of a family, and by how much they have grown, those that have not left out.
    fn expect(&self, family: &str, wanted: &[(&str, f64)]) {
        let prefix = format!("{family}{{");
        let found: BTreeMap<_, _> = self
            .0
            .iter()
            .filter_map(|(name, by)| {
                let labels = name.strip_prefix(&prefix)?;
                Some((labels.split('"').nth(1)?, *by))
            })
            .collect();
        assert_eq!(found, wanted.iter().copied().collect(), "{family}");
    }
}

fn server() -> Server {
    Server::with_config(
        "metrics_address=127.0.0.1:0\nmax_connections=8\nlogin_attempts_per_minute=1\n\
         messages_per_minute=1\nregistrations_per_minute_per_ip=1",
    )
}

/// Five pages, a missing one, a user, one too many, a login, two wrong ones, a WebSocket, a join and two messages.
fn use_it(server: &Server) -> (Connection, Socket) {
    let mut connection = server.connect();
    for _ in 0..5 {
        connection.get("/login").expect(200);
    }
    connection.get("/missing").expect(404);
    connection
        .post_json("/register", &registration("ann"))
        .expect(201);
    connection
        .post_json("/register", &registration("bob"))
        .expect(429);
    let token = login(&mut connection, "ann", PASSWORD);
    let wrong = json!({"username": "nobody", "password": "Wrong-pass-1"});
    connection.post_json("/login", &wrong).expect(401);
    connection.post_json("/login", &wrong).expect(429);
    let mut ann = Socket::join(server, "ann", &token);
    ann.send(&json!({"type": "message", "message": "hello"}));
    ann.expect("message");
    ann.send(&json!({"type": "message", "message": "again"}));
    ann.expect_error("rate_limited");
    (connection, ann)
}

#[test]
fn what_was_done_is_counted() {
    let server = server();
    let metrics = Metrics::of(&server);
    let before = metrics.read();
    let (_connection, ann) = use_it(&server);
    // With these two it is full. One that is refused has ended when its client knows.
    let held: Vec<_> = (0..6).map(|_| server.connect()).collect();
    let mut excess = server.connect();
    excess.get("/").expect(503);
    excess.expect_close();
    let metered = |samples: &Samples| {
        (samples["edgeloop_connections{state=\"finishing\"}"] == 0.0).then(|| samples.clone())
    };
    let now = crate::support::wait_for("all that ends to have ended", || metered(&metrics.read()));
    let grown = Grown::between(&before, &now);
    grown.expect(
        "edgeloop_requests_total",
        &[
            // Pages, the login, and the metrics before.
            ("200", 7.0 + asked_again(&grown)),
            ("201", 1.0),
            ("401", 1.0),
            ("404", 1.0),
            ("429", 2.0),
            ("503", 1.0),
        ],
    );
    grown.expect(
        "edgeloop_turned_away_total",
        &[
            ("login_attempts_per_minute", 1.0),
            ("max_connections", 1.0),
            ("messages_per_minute", 1.0),
            ("registrations_per_minute_per_ip", 1.0),
        ],
    );
    for (name, by) in [
        ("edgeloop_websockets", 1.0),
        ("edgeloop_websockets_opened_total", 1.0),
        ("edgeloop_connections{state=\"open\"}", 8.0),
        ("edgeloop_connections{state=\"handshaking\"}", 0.0),
        // A join and two messages.
        ("edgeloop_messages_received_total", 3.0),
        // Welcome, users, the message, and the error.
        ("edgeloop_deliveries_total", 4.0),
        // One for the user, one for the login, one for the wrong one.
        ("edgeloop_queue_jobs_total{queue=\"hashing\"}", 3.0),
        // Free? Make it. Find it twice, and once for the WebSocket. Note from where, and what failed.
        ("edgeloop_queue_jobs_total{queue=\"store\"}", 7.0),
        ("edgeloop_queue_waiting{queue=\"store\"}", 0.0),
        ("edgeloop_log_lines_lost_total", 0.0),
    ] {
        assert_eq!(grown.by(name), by, "{name}");
    }
    for name in [
        "edgeloop_queue_busy_seconds_total{queue=\"hashing\"}",
        "edgeloop_received_bytes_total",
        "edgeloop_sent_bytes_total",
        "edgeloop_answer_body_bytes_total",
        "edgeloop_turn_seconds_count",
        "edgeloop_timers",
    ] {
        assert!(grown.by(name) > 0.0, "{name}");
    }
    check(&now);
    assert!(now["process_resident_memory_bytes"] > 1e6);
    assert!(now["process_start_time_seconds"] > 1.7e9);
    // Made for a year, just now.
    let expires = now["edgeloop_certificate_expires_seconds{name=\"localhost\"}"] / 86_400.0;
    assert!((364.0..=365.0).contains(&expires), "{expires} days");
    drop(held);
    ann.close();
    crate::support::wait_for("the end of the socket to be counted", || {
        (metrics.read()["edgeloop_websockets"] == 0.0).then_some(())
    });
    let ended = "edgeloop_websockets_ended_total{code=\"1005\"}";
    assert_eq!(metrics.read()[ended], 1.0);
}

/// Number of times the metrics were read more than once between two readings.
fn asked_again(grown: &Grown) -> f64 {
    grown.by("edgeloop_connections_accepted_total") - 10.0
}

/// Checks every reading.
fn check(samples: &Samples) {
    let sum = |family: &str| -> f64 {
        let prefix = format!("{family}{{");
        let of_family = samples.iter().filter(|(name, _)| name.starts_with(&prefix));
        of_family.map(|(_, value)| value).sum()
    };
    assert_eq!(
        samples["edgeloop_connections_accepted_total"],
        sum("edgeloop_connections_closed_total") + sum("edgeloop_connections")
    );
    assert_eq!(
        samples["edgeloop_request_seconds_count"],
        sum("edgeloop_requests_total")
    );
    assert_eq!(
        samples["edgeloop_websockets_opened_total"],
        sum("edgeloop_websockets_ended_total") + samples["edgeloop_websockets"]
    );
    for queue in ["store", "hashing"] {
        let counted = |name: &str| samples[&format!("edgeloop_{name}{{queue=\"{queue}\"}}")];
        assert_eq!(
            counted("queue_jobs_total"),
            counted("queue_wait_seconds_count")
        );
    }
}

#[test]
fn bodies_that_are_complete_at_once_do_not_stop_the_loop() {
    let server = Server::with_config("metrics_address=127.0.0.1:0\nhandshakes_per_second_per_ip=0");
    let metrics = Metrics::of(&server);
    // As many members as fit; without the last byte.
    let members = vec![r#""x":{"y":[0]}"#; (16 << 10) / 14 - 1].join(",");
    let body = format!("{{{members}}}");
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        server.host(),
        body.len()
    );
    let mut sent: Vec<_> = (0..95).map(|_| server.connect()).collect();
    for connection in &mut sent {
        connection.send(format!("{head}{}", &body[..body.len() - 1]));
    }
    crate::support::wait_for("all of them to be held", || {
        let held = metrics.read()["edgeloop_held_input_bytes"];
        (held >= (95 * (body.len() - 1)) as f64).then_some(())
    });
    let before = metrics.read();
    for connection in &mut sent {
        connection.send(&body[body.len() - 1..]);
    }
    assert_eq!(metrics.ask("GET", "/healthz").0, 200);
    for connection in &mut sent {
        connection.respond().error(400);
    }
    let now = metrics.read();
    let longest =
        |within: &str| now[&format!("edgeloop_turn_longest_seconds{{within=\"{within}\"}}")];
    let (of_all, of_late) = (longest("process"), longest("minutes"));
    assert!(of_all > 0.0 && of_late > 0.0 && of_late <= of_all);
    // Milliseconds, and the processor is shared: a MiB each took seconds in all.
    assert!(of_all < 1.0, "{of_all} s");
    let grown = Grown::between(&before, &now);
    assert!(grown.by("edgeloop_turn_seconds_count") > 1.0);
}

#[test]
fn who_is_too_slow_is_counted() {
    let server = Server::with_config("metrics_address=127.0.0.1:0\nmessages_per_minute=0");
    let metrics = Metrics::of(&server);
    let (ann, bob) = (
        server.register_and_login("ann"),
        server.register_and_login("bob"),
    );
    let mut ann = Socket::join(&server, "ann", &ann);
    let mut bob = Socket::join(&server, "bob", &bob);
    ann.expect_presence("join", "bob", &["ann", "bob"]);
    // From here on ann reads nothing. Private, so that bob need not read either.
    let text = "x".repeat(4000);
    let before = metrics.read();
    let mut sent = 0.0;
    crate::support::wait_for("what ann does not read to wait", || {
        for _ in 0..100 {
            bob.send(&json!({"type": "private_message", "to": "ann", "message": text}));
            sent += 1.0;
        }
        (metrics.read()["edgeloop_queued_output_bytes"] > 300_000.0).then_some(())
    });
    crate::support::wait_for("all of it to be counted", || {
        let grown = Grown::between(&before, &metrics.read());
        (grown.by("edgeloop_deliveries_total") == sent
            && grown.by("edgeloop_messages_received_total") == sent)
            .then_some(())
    });
    // Ten seconds of grace, and five for what is left.
    let ended = "edgeloop_websockets_ended_total{code=\"1013\"}";
    let ended = poll_for(4 * PATIENCE, || metrics.read().get(ended).copied());
    assert_eq!(ended, Some(1.0));
    let now = metrics.read();
    assert_eq!(now["edgeloop_websockets"], 1.0);
    assert_eq!(now["edgeloop_queued_output_bytes"], 0.0);
    assert_eq!(
        now["edgeloop_connections_closed_total{reason=\"too_slow\"}"],
        1.0
    );
    check(&now);
}

#[test]
fn lines_that_the_log_loses_are_counted() {
    let server =
        Server::with_config("metrics_address=127.0.0.1:0\nlog_to_file=1\nlog_file_path=/dev/full");
    let metrics = Metrics::of(&server);
    server.connect().get("/login").expect(200);
    server.wait_for_log("path=/login");
    crate::support::wait_for("every line to be lost to the one that is full", || {
        let lost = metrics.read()["edgeloop_log_lines_lost_total"];
        (lost == server.log_lines().len() as f64).then_some(())
    });
}

#[test]
fn accepts_that_fail_are_counted() {
    let folder = Folder::new();
    folder.configure("metrics_address=127.0.0.1:0");
    let server = folder.start_as(by_shell("ulimit -n 40 && exec \"$0\" \"$@\""));
    let metrics = Metrics::of(&server);
    let before = metrics.read();
    assert_eq!(before["process_max_fds"], 40.0);
    assert_eq!(before["edgeloop_accepts_exhausted_total"], 0.0);
    let mut held: Vec<_> = (0..40).map(|_| tcp(&server).unwrap()).collect();
    // There is none for the last one, which is told so by its end.
    let end = held.last_mut().unwrap().read(&mut [0]);
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    drop(held);
    let now = crate::support::wait_for("a descriptor for the metrics", || {
        metrics.try_ask("GET", "/metrics")
    });
    let now = read(&now.1);
    assert!(now["edgeloop_accepts_exhausted_total"] >= 1.0);
}

#[test]
fn every_metric_is_documented_and_there_are_no_others() {
    let server = server();
    let (_, text) = Metrics::of(&server).ask("GET", "/metrics");
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut families: BTreeSet<_> = families
        .map(|rest| rest.split(' ').next().unwrap())
        .collect();
    // An older kernel does not say.
    families.insert("process_open_fds");
    let docs = include_str!("../../../docs/operations.md");
    let names = docs.split('`').filter(|name| {
        let is_name = |prefix| name.starts_with(prefix) && !name.contains(['.', ' ', '/']);
        is_name("edgeloop_") || is_name("process_")
    });
    let documented: BTreeSet<_> = names.map(|name| name.split('{').next().unwrap()).collect();
    assert_eq!(documented, families);
}

#[test]
fn the_library_of_prometheus_reads_the_same() {
    let Some(python) = crate::support::command::installed("python/bin/python") else {
        return;
    };
    let server = server();
    let metrics = Metrics::of(&server);
    let token = server.register_and_login("ann");
    Socket::join(&server, "ann", &token).close();
    server.connect().get("/missing").expect(404);
    let (_, text) = metrics.ask("GET", "/metrics");
    let file = server.folder().file("metrics");
    std::fs::write(&file, &text).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/metrics/read.py");
    let done = crate::support::command::run(Command::new(python).arg(script).arg(file));
    assert!(done.status.success(), "{}\n{text}", done.stderr);
    let theirs: HashMap<String, String> = serde_json::from_str(&done.stdout).unwrap();
    let number = |text: String| text.parse().unwrap();
    let theirs: Samples = theirs
        .into_iter()
        .map(|(name, text)| (name, number(text)))
        .collect();
    let ours = read(&text);
    let names = |samples: &Samples| samples.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&theirs), names(&ours));
    let grown = Grown::between(&ours, &theirs).0;
    assert!(grown.is_empty(), "{grown:?}");
}

#[test]
fn the_listener_for_metrics_has_nothing_else() {
    let server = server();
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.ask("GET", "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(metrics.ask("GET", "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(metrics.ask("HEAD", "/metrics"), (200, String::new()));
    for path in ["/", "/login", "/me", "/ws"] {
        assert_eq!(metrics.ask("GET", path).0, 404, "{path}");
    }
    assert_eq!(metrics.ask("POST", "/metrics").0, 405);
    // And it is nowhere else.
    server.connect().get("/metrics").expect(404);
    // It is there when the server is full.
    let held: Vec<_> = (0..8).map(|_| server.connect()).collect();
    assert_eq!(metrics.ask("GET", "/healthz").0, 200);
    drop(held);
}

#[test]
fn health_and_readiness_on_the_port_of_all() {
    let server = Server::start();
    let mut connection = server.connect();
    let response = connection.get("/healthz").expect(200);
    assert_eq!(response.text(), "ok\n");
    assert_eq!(response.field("Cache-Control"), Some("no-store"));
    assert_eq!(connection.get("/readyz").expect(200).text(), "ready\n");
    connection.request("POST", "/readyz", &[], b"").expect(405);
    // Who stops is alive, and not ready. A WebSocket holds it open that long.
    let token = server.register_and_login("ann");
    let _ann = Socket::join(&server, "ann", &token);
    connection.send(format!(
        "GET /readyz HTTP/1.1\r\nHost: {}\r\n",
        server.host()
    ));
    server.signal("TERM");
    server.wait_for_log("stopping");
    connection.send("\r\n");
    let response = connection.respond();
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.text(), "shutting down\n");
}

#[test]
fn a_store_that_is_stuck_is_asked_once_whoever_wants_to_know() {
    let server =
        Server::with_config("metrics_address=127.0.0.1:0\nregistrations_per_minute_per_ip=0");
    let metrics = Metrics::of(&server);
    let jobs = || metrics.read()["edgeloop_queue_jobs_total{queue=\"store\"}"];
    let register = |name: &str| {
        let mut connection = server.connect();
        let body = registration(name).to_string();
        let fields = [("Content-Type", "application/json")];
        connection.send_request("POST", "/register", &fields, body.as_bytes());
        connection
    };
    let other = rusqlite::Connection::open(server.folder().file("users.db")).unwrap();
    // Somebody else writes and does not end: who registers waits for that, and the store with them,
    // for two seconds the first time.
    let asked = crate::support::wait_for("the store to be missed", || {
        let before = jobs();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut registering = register("ann");
        let mut asking = server.connect();
        #[expect(clippy::disallowed_methods, reason = "a real process is watched")]
        let since = Instant::now();
        let mut silent = 0;
        while since.elapsed() < Duration::from_secs(2) {
            let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", server.host());
            asking.send(request.repeat(50));
            for _ in 0..50 {
                let response = asking.respond();
                if response.status == 503 {
                    assert_eq!(response.text(), "the store does not answer\n");
                    silent += 1;
                }
            }
        }
        assert_eq!(metrics.ask("GET", "/healthz").0, 200);
        assert_eq!(registering.respond().status, 503);
        let asked = jobs() - before;
        other.execute_batch("ROLLBACK").unwrap();
        crate::support::wait_for("the store to be there again", || {
            (metrics.ask("GET", "/readyz").0 == 200).then_some(())
        });
        // Until it has waited in vain it waits as long again.
        register("bob").respond();
        (silent > 0).then_some(asked)
    });
    // Two for who registers, and one in a second at most.
    assert!((3.0..=12.0).contains(&asked), "{asked} jobs");
}

#[test]
fn a_port_that_is_taken_costs_the_metrics_alone() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let server = Server::with_config(&format!("metrics_address={address}"));
    let line = server.wait_for_log("no metrics");
    assert!(line.contains(&address.to_string()), "{line}");
    server.connect().get("/healthz").expect(200);
}
