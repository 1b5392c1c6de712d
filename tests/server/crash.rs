//! The server is killed at random moments: what it has acknowledged is there afterwards.
//!
//! `make crash-test` does it fifty times, to ten thousand acknowledged writes and more.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::command::{edgeloop, run};
use crate::support::{Connection, Folder, Server};
use serde_json::json;

/// Number of write at the same time, each their own profile.
const WRITERS: usize = 4;
/// Acknowledged writes of a round, of all writers, before the end comes.
const WRITES: usize = 200;

/// Renames its user over and over; the number of the last name that was acknowledged.
fn write(server: &Server, token: &str, mut number: usize, total: &AtomicUsize) -> usize {
    let Ok(mut connection) = Connection::open(server) else {
        return number;
    };
    loop {
        let body = json!({"name": format!("Name {}", number + 1)}).to_string();
        let request = format!(
            "PUT /me HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            server.host(),
            body.len()
        );
        if connection.try_send(request).is_err() {
            return number;
        }
        // The end may come within an answer.
        while !is_whole(connection.peek(0)) {
            if connection.read_more() == 0 {
                return number;
            }
        }
        let response = connection.peek(0);
        assert!(
            response.starts_with(b"HTTP/1.1 200 "),
            "{}",
            response.escape_ascii()
        );
        connection.drop_received();
        number += 1;
        total.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns `true` if an answer is here with all of its body.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut fields = head.lines();
    let length = fields.find_map(|line| line.strip_prefix("Content-Length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

#[test]
fn what_was_acknowledged_outlives_any_moment() {
    let rounds: usize = std::env::var("CRASH_ROUNDS").map_or(2, |text| text.parse().unwrap());
    let folder = Folder::new();
    folder.configure("max_connections_per_ip=0\nhandshakes_per_second_per_ip=0");
    let mut server = folder.start();
    let names: Vec<_> = (0..WRITERS)
        .map(|number| format!("writer{number}"))
        .collect();
    let tokens: Vec<_> = names
        .iter()
        .map(|name| server.register_and_login(name))
        .collect();
    let mut numbers = vec![0; WRITERS];
    let total = AtomicUsize::new(0);
    for round in 1..=rounds {
        let enough = total.load(Ordering::Relaxed) + WRITES;
        // Up to a millisecond after the last one that is waited for: somewhere within the next.
        let spins = RandomState::new().hash_one(round) % 200_000;
        numbers = std::thread::scope(|scope| {
            let writing: Vec<_> = tokens
                .iter()
                .zip(&numbers)
                .map(|(token, number)| scope.spawn(|| write(&server, token, *number, &total)))
                .collect();
            crate::support::wait_for("the writes of a round", || {
                (total.load(Ordering::Relaxed) >= enough).then_some(())
            });
            for _ in 0..spins {
                std::hint::spin_loop();
            }
            server.signal("KILL");
            let writing = writing.into_iter().map(|thread| thread.join().unwrap());
            writing.collect()
        });
        server.wait();
        let mut check = edgeloop();
        check
            .arg("check-db")
            .arg("--config")
            .arg(folder.file("server.conf"));
        let checked = run(&mut check);
        assert_eq!(checked.code(), Some(0), "round {round}: {}", checked.stderr);
        server = folder.start();
        for (token, number) in tokens.iter().zip(&mut numbers) {
            let me = server.connect().get_as(token, "/me").expect(200).json();
            let found: usize = me["name"]
                .as_str()
                .and_then(|name| name.strip_prefix("Name "))
                .map_or(0, |number| number.parse().unwrap());
            // One more may have been written, and its answer lost.
            assert!(
                (*number..=*number + 1).contains(&found),
                "round {round}: {number} was acknowledged, {found} is there"
            );
            *number = found;
        }
    }
    let told = format!(
        "{rounds} kills, {} acknowledged writes\n",
        total.into_inner()
    );
    std::io::stdout().write_all(told.as_bytes()).unwrap();
}
