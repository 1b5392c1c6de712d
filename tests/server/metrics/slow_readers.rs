//! Clients that do not read while others do: who is closed when all output together is over its limit.

use std::thread;

use super::Metrics;
use crate::support::deadline::{PATIENCE, poll_for};
use crate::support::{Server, Socket};
use serde_json::{Value, json};
use tungstenite::Message;

const MESSAGES: usize = 900;
const FAST: usize = 6;

fn parse(message: &Message) -> Value {
    let text = message.to_text().unwrap();
    serde_json::from_str(text).unwrap_or_default()
}

fn kind_of(message: &Message) -> String {
    parse(message)["type"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Reads all messages of the storm, in order; `None` when the server closes instead.
fn read_storm(socket: &mut Socket) -> Option<()> {
    let mut next = 0;
    while next < MESSAGES {
        match socket.next() {
            Message::Close(_) => return None,
            message if kind_of(&message) == "message" => {
                assert_eq!(parse(&message)["id"], next.to_string());
                next += 1;
            }
            _ => {}
        }
    }
    Some(())
}

#[test]
fn readers_survive_a_storm_under_a_small_ceiling_and_those_who_do_not_read_are_told() {
    let server = Server::with_config(
        "max_output_memory=1048576\nmessages_per_minute=0\nmetrics_address=127.0.0.1:0",
    );
    let metrics = Metrics::of(&server);
    let join = |name: &str| {
        let token = server.register_and_login(name);
        Socket::join(&server, name, &token)
    };
    let slow = join("slow");
    let mut sender = join("sender");
    let readers: Vec<_> = (0..FAST)
        .map(|number| join(&format!("fast{number}")))
        .collect();
    thread::scope(|scope| {
        let reading: Vec<_> = readers
            .into_iter()
            .map(|mut reader| scope.spawn(move || read_storm(&mut reader)))
            .collect();
        let text = "x".repeat(3_000);
        for id in 0..MESSAGES {
            sender.send(&json!({"type": "message", "id": id.to_string(), "message": text}));
            if id % 50 == 49 {
                // The sender reads, too: it is one of those that the storm is for.
                let mut heard = 0;
                while heard < 50 {
                    heard += usize::from(kind_of(&sender.next()) == "message");
                }
            }
        }
        for reader in reading {
            assert_eq!(reader.join().unwrap(), Some(()), "a reader was closed");
        }
    });
    // 2.7 MB waited for it, or would have. It was told, and had its time to hear it.
    let ended = "edgeloop_websockets_ended_total{code=\"1013\"}";
    let ended = poll_for(4 * PATIENCE, || metrics.read().get(ended).copied());
    assert_eq!(ended, Some(1.0));
    assert_eq!(metrics.read()["edgeloop_queued_output_bytes"], 0.0);
    drop(slow);
}

#[test]
fn output_takes_the_memory_that_is_counted() {
    /// Many of them, so that the places in their queues are most of it.
    const RECEIVERS: usize = 230;
    const CEILING_KIB: u64 = 16 << 10;
    /// Memory of buffers, TLS and the log on the way.
    const SLACK_KIB: u64 = 10 << 10;
    let server = Server::with_config(&format!(
        "max_output_memory={}\nmax_connections_per_ip=300\nhandshakes_per_second_per_ip=0\nmessages_per_minute=0\nmetrics_address=127.0.0.1:0",
        CEILING_KIB << 10
    ));
    let metrics = Metrics::of(&server);
    let token = server.register_and_login("silent");
    let silent: Vec<_> = (0..RECEIVERS)
        .map(|_| Socket::join(&server, "silent", &token))
        .collect();
    let mut sender = Socket::join(&server, "sender", &server.register_and_login("sender"));
    let before_kib = server.resident_kib();
    let text = "x".repeat(500);
    let mut queued_max = 0.0_f64;
    for round in 0..60 {
        for id in 0..100 {
            let id = format!("{round}-{id}");
            sender.send(&json!({"type": "message", "id": id, "message": text}));
        }
        let mut heard = 0;
        while heard < 100 {
            heard += usize::from(kind_of(&sender.next()) == "message");
        }
        queued_max = queued_max.max(metrics.read()["edgeloop_queued_output_bytes"]);
    }
    assert!(queued_max > 12e6, "{queued_max} bytes fill nothing");
    let grown_kib = server.resident_kib_peak() - before_kib;
    let max_kib = CEILING_KIB * 3 / 2 + SLACK_KIB;
    assert!(grown_kib <= max_kib, "{grown_kib} KiB, not {max_kib}");
    drop(silent);
}
