//! The log file: moved by logrotate, full, full of long paths, or not wanted beside a journal.

use std::fs;
use std::path::PathBuf;

use crate::support::command::by_shell;
use crate::support::{Folder, Server, wait_for};

const TO_FILE: &str = "log_to_file=1\nlog_file_path=server.log\nlog_to_console=1";

/// Content of a file in the server's folder; empty if there is none. A line may be under way.
fn held(server: &Server, name: &str) -> String {
    let bytes = fs::read(server.folder().file(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a path in a line of the access log.
fn wait_for_path(server: &Server, name: &str, path: &str) {
    let needle = format!("path={path} ");
    wait_for(&format!("{needle:?} in {name}"), || {
        held(server, name).contains(&needle).then_some(())
    });
}

#[test]
fn a_file_that_was_moved_is_made_anew_at_a_hangup() {
    let server = Server::with_config(TO_FILE);
    let file = server.folder().file("server.log");
    server.connect().get("/login").expect(200);
    wait_for_path(&server, "server.log", "/login");
    // As logrotate(8) does it with `create` or `nocreate`, and `postrotate kill -HUP`. A configuration that
    // is refused does not keep it from that.
    let conf = server.folder().file("server.conf");
    let good = fs::read_to_string(&conf).unwrap();
    for (older, text) in [("first", good.as_str()), ("second", "nonsense")] {
        fs::write(&conf, text).unwrap();
        fs::rename(&file, server.folder().file(older)).unwrap();
        server.hangup();
        wait_for("the file", || file.exists().then_some(()));
        server.connect().get("/profile").expect(200);
        wait_for_path(&server, "server.log", "/profile");
    }
    assert!(held(&server, "first").contains("path=/login"));
    let all: String = ["first", "second", "server.log"]
        .map(|name| held(&server, name))
        .concat();
    assert_eq!(all.matches("path=/login").count(), 1, "{all}");
    assert_eq!(all.matches("path=/profile").count(), 2, "{all}");
}

#[test]
fn a_full_file_is_rotated_and_every_line_is_in_one() {
    const REQUESTS: usize = 200;
    let server = Server::with_config(&format!("{TO_FILE}\nlog_max_size=65536\nlog_keep=3"));
    let mut connection = server.connect();
    for number in 0..REQUESTS {
        let path = format!("/{number}-{}", "x".repeat(400));
        connection.get(&path).expect(404);
    }
    connection.get("/login").expect(200);
    let names = ["server.log", "server.log.1", "server.log.2", "server.log.3"];
    wait_for_path(&server, names[0], "/login");
    let files = names.map(|name| held(&server, name));
    assert!(files.iter().all(|text| text.len() <= 65_536));
    assert!(!files[1].is_empty());
    assert!(
        files
            .iter()
            .all(|text| text.is_empty() || text.ends_with('\n'))
    );
    let all = files.concat();
    for number in 0..REQUESTS {
        let needle = format!("path=/{number}-");
        assert_eq!(all.matches(&needle).count(), 1, "{needle}");
    }

    // The limit is gone with a reload.
    server
        .folder()
        .configure(&format!("{TO_FILE}\nlog_max_size=0"));
    server.hangup();
    server.wait_for_log("in force");
    let before = held(&server, names[1]);
    for _ in 0..REQUESTS {
        connection.get(&format!("/{}", "y".repeat(400))).expect(404);
    }
    connection.get("/profile").expect(200);
    wait_for_path(&server, names[0], "/profile");
    assert_eq!(held(&server, names[1]), before);
    assert!(held(&server, names[0]).len() > 65_536);
}

#[test]
fn a_long_path_is_cut() {
    for (format, end) in [("text", "… status=404 "), ("json", "…\",\"status\":404,")] {
        let server = Server::with_config(&format!("{TO_FILE}\nlog_format={format}"));
        let mut connection = server.connect();
        connection
            .get(&format!("/{}", "%22".repeat(2700)))
            .expect(404);
        connection.get("/login").expect(200);
        let text = wait_for("both lines", || {
            let text = held(&server, "server.log");
            text.contains("/login").then_some(text)
        });
        let line = text.lines().find(|line| line.contains("/%22%22")).unwrap();
        assert!(line.contains(end), "{line}");
        assert!(line.len() < 700, "{line}");
        assert!(line.contains(&"%22".repeat(170)), "{line}");
    }
}

/// A server about whose log file nothing is said, and where one would be.
fn start_unasked(script: &str) -> (Server, PathBuf) {
    let folder = Folder::new();
    folder.configure("");
    let conf = folder.file("server.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.replace("log_to_file=0\n", "")).unwrap();
    let server = folder.start_as(by_shell(script));
    (server, folder.file("server.log"))
}

#[test]
fn beside_a_journal_there_is_no_file_unless_it_is_asked_for() {
    let (server, file) = start_unasked(r#"exec "$0" "$@""#);
    assert!(file.exists());
    drop(server);
    // What systemd says of a service: the device and inode of its standard error.
    let journal = r#"JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr) exec "$0" "$@""#;
    let (server, file) = start_unasked(journal);
    server.connect().get("/login").expect(200);
    server.wait_for_log("path=/login");
    assert!(!file.exists());
    server.hangup();
    server.wait_for_log("in force");
    assert!(!file.exists());
    assert!(
        !server
            .log_lines()
            .iter()
            .any(|line| line.contains("restart"))
    );
    // The variable of a service is inherited by what it starts elsewhere.
    let (_server, file) = start_unasked(r#"JOURNAL_STREAM=8:1 exec "$0" "$@""#);
    assert!(file.exists());
}
