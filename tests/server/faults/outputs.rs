//! Standard input, output and error that are closed or that nobody reads, and a log that finds no room.

use std::fs::{self, File};
use std::path::Path;

use rustix::process::Resource;

use super::process::{descriptors, limit, metric};
use crate::support::command::by_shell;
use crate::support::{Folder, Server, wait_for};

/// A server that logs to its folder and to standard error.
fn start(script: &str) -> Server {
    let folder = Folder::new();
    folder.configure(
        "log_to_file=1\nlog_file_path=server.log\nlog_to_console=1\nmetrics_address=127.0.0.1:0",
    );
    folder.start_as(by_shell(script))
}

fn logged(server: &Server) -> String {
    // A line may be under way, and a line is of UTF-8.
    String::from_utf8_lossy(&fs::read(server.folder().file("server.log")).unwrap()).into_owned()
}

fn wait_for_line(server: &Server, needle: &str) -> String {
    wait_for(needle, || {
        let text = logged(server);
        text.contains(needle).then_some(text)
    })
}

#[test]
fn nobody_reads_standard_output_and_error() {
    // The reader opens the pipe and goes.
    let server = start(r#"mkfifo pipe; : <pipe & exec "$0" "$@" >pipe 2>&1"#);
    let mut connection = server.connect();
    for _ in 0..5 {
        connection.get("/login").expect(200);
    }
    server.connect().get("/profile").expect(200);
    let text = wait_for_line(&server, "path=/profile");
    assert_eq!(text.matches("path=/login").count(), 5, "{text}");
    wait_for("the lines that nobody reads to be counted", || {
        // The reader may have been there for the first ones.
        connection.get("/login").expect(200);
        (metric(&text, "edgeloop_log_lines_lost_total") >= 6.0).then_some(())
    });
}

#[test]
fn no_socket_takes_the_place_of_a_closed_standard_stream() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let server = start(&format!(r#"exec "$0" "$@" {closed}"#));
        let mut held: Vec<_> = (0..5).map(|_| server.connect()).collect();
        let open = descriptors(&server);
        let standard: Vec<_> = open.iter().take_while(|(number, _)| *number < 3).collect();
        assert_eq!(standard.len(), 3, "{closed}: {open:?}");
        for (number, what) in standard {
            // Where the log of this test goes, if it goes there.
            let is_pipe = *number == 2 && what.to_string_lossy().starts_with("pipe:");
            let is_pipe = is_pipe && !closed.contains('2');
            assert!(
                is_pipe || what == Path::new("/dev/null"),
                "{closed}: {open:?}"
            );
        }
        // A line of the log in a stream of TLS would end it.
        for connection in &mut held {
            connection.get("/login").expect(200);
        }
        wait_for("every line in the file", || {
            (logged(&server).matches("path=/login").count() == 5).then_some(())
        });
        drop(held);
        assert_eq!(server.stop().code(), Some(0), "{closed}");
    }
}

#[test]
fn a_log_that_may_not_grow_loses_lines_and_says_how_many() {
    let server = start(r#"exec "$0" "$@""#);
    let text = wait_for_line(&server, "/metrics\n");
    let file = server.folder().file("server.log");
    let before = limit(
        &server,
        Resource::Fsize,
        Some(fs::metadata(&file).unwrap().len()),
    );
    let mut connection = server.connect();
    for _ in 0..20 {
        connection.get("/login").expect(200);
    }
    wait_for("the lost lines to be counted", || {
        (metric(&text, "edgeloop_log_lines_lost_total") >= 20.0).then_some(())
    });
    assert!(!logged(&server).contains("path=/login"));

    limit(&server, Resource::Fsize, before);
    connection.get("/profile").expect(200);
    let text = wait_for_line(&server, "path=/profile");
    let note = text
        .lines()
        .find(|line| line.contains("log lines were lost here: File too large"));
    let note = note.expect(&text);
    let (_, lost) = note.split_once("WARN").unwrap();
    let lost: usize = lost.split_whitespace().next().unwrap().parse().unwrap();
    // All that the other output has are in the file, or among those.
    wait_for("the lines to be as many as on standard error", || {
        let whole = logged(&server);
        let kept = whole.lines().filter(|line| line.starts_with("20")).count() - 1;
        (kept + lost == server.log_lines().len()).then_some(())
    });
}

#[test]
fn a_log_that_was_cut_off_is_written_from_its_start() {
    let server = start(r#"exec "$0" "$@""#);
    wait_for_line(&server, "/metrics\n");
    let file = server.folder().file("server.log");
    // As logrotate(8) does it with `copytruncate`.
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(0)
        .unwrap();
    server.connect().get("/login").expect(200);
    let text = wait_for_line(&server, "path=/login");
    assert!(text.starts_with("20"), "{:?}", text.get(..40));

    // Where it was moved it goes on, and so does the server.
    let moved = server.folder().file("moved.log");
    fs::rename(&file, &moved).unwrap();
    server.connect().get("/profile").expect(200);
    wait_for("a line in the file that was moved", || {
        fs::read_to_string(&moved)
            .ok()?
            .contains("path=/profile")
            .then_some(())
    });
    fs::remove_file(&moved).unwrap();
    server.connect().get("/profile").expect(200);
}
