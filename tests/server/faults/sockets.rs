//! Errors of the kernel on sockets, and peers that are gone when something is written to them.

use std::process::{Command, Stdio};

use super::process::{descriptors, skip};
use crate::support::command::{Guarded, program};
use crate::support::{Connection, Server, wait_for};

/// Lets the next so many of a system call fail in a running server, until it is dropped.
fn inject(
    mut strace: Command,
    server: &Server,
    call: &str,
    error: &str,
    count: u32,
) -> Option<Guarded> {
    strace
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-p",
            &server.pid().to_string(),
        ])
        .args(["-e", &format!("trace={call}")])
        .args([
            "-e",
            &format!("inject={call}:error={error}:when=1..{count}"),
        ])
        .stderr(Stdio::null());
    let mut strace = Guarded::spawn(&mut strace);
    let status = format!("/proc/{}/task/{}/status", server.pid(), server.pid());
    wait_for("strace to be there", || {
        if strace.ended().is_some() {
            return Some(false);
        }
        let status = std::fs::read_to_string(&status).unwrap();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        (tracer.unwrap().trim() != "0").then_some(true)
    })
    .then_some(strace)
}

/// A new connection that is served, with the ones before.
fn expect_served(server: &Server, held: &mut Vec<Connection>) {
    held.push(server.connect());
    for connection in held {
        connection.get("/").expect(200);
    }
}

#[test]
fn what_the_kernel_cannot_give_to_one_socket_costs_no_other() {
    let server = Server::start();
    let mut held = Vec::new();
    expect_served(&server, &mut held);
    // It tries twice each time, the second time with its spare descriptor: so this is two pauses, and the
    // client waits in the backlog for that long.
    for error in ["ENOMEM", "ENOBUFS", "ENFILE", "EMFILE"] {
        let Some(strace) = program("strace") else {
            return;
        };
        let Some(_strace) = inject(strace, &server, "accept4", error, 4) else {
            return skip(
                "strace may not trace, the server was not tried with failing system calls",
            );
        };
        expect_served(&server, &mut held);
    }
    let exhausted = server.log_lines();
    assert!(
        exhausted
            .iter()
            .any(|line| line.contains("accept: Cannot allocate memory"))
    );

    // These fail for one connection, which ends: the others do not hear of it. The thread that waits for
    // signals begins again when its own socket fails.
    server.expect_panic("signal");
    for (call, error) in [
        ("epoll_ctl", "ENOMEM"),
        ("recvfrom", "ENOMEM"),
        ("sendto", "ENOBUFS"),
    ] {
        let strace = program("strace").unwrap();
        let _strace = inject(strace, &server, call, error, 1).unwrap();
        assert!(Connection::open(&server).is_err(), "{call} did not fail");
        expect_served(&server, &mut held);
    }
    assert!(server.stop().success(), "it hears no signals any more");
}

#[test]
fn peers_that_vanish_amid_an_answer_cost_their_connection_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("big"), vec![b'x'; 8 << 20]).unwrap();
    let server = Server::with_config(&format!("public_dir={}", folder.path().display()));
    // SIGPIPE, which would end it, is signal 13.
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    assert_eq!(ignored >> 12 & 1, 1);

    let mut other = server.connect();
    other.get("/big").expect(200);
    let before = descriptors(&server).len();
    for _ in 0..10 {
        let mut connection = server.connect();
        connection.send_request("GET", "/big", &[], b"");
        connection.peek(1000);
        // Closed with bytes that were not read, it is reset.
        drop(connection);
    }
    other.get("/big").expect(200);
    wait_for("their descriptors to be closed", || {
        (descriptors(&server).len() == before).then_some(())
    });
}
