//! Descriptors run out while connections are open, or there are too few from the start.

use std::path::Path;
use std::time::Duration;

use rustix::process::Resource;

use super::process::{cpu_time, descriptors, limit, limits};
use crate::support::command::by_shell;
use crate::support::http::tcp;
use crate::support::users::{PASSWORD, login};
use crate::support::ws::RawSocket;
use crate::support::{Connection, Folder, Server, wait_for};

/// Those who were there before descriptors ran out: a connection for requests and a WebSocket.
struct Served {
    http: Connection,
    socket: RawSocket,
}

impl Served {
    fn new(server: &Server) -> Self {
        let token = server.register_and_login("ann");
        Self {
            http: server.connect(),
            socket: RawSocket::open(server, &token),
        }
    }

    fn check_quickly(&mut self) {
        self.http.get("/").expect(200);
        self.socket.expect_alive();
    }

    /// Files, the database and the hashers are there for them, too.
    fn check(&mut self) {
        self.check_quickly();
        login(&mut self.http, "ann", PASSWORD);
    }
}

/// Lets it open so many more descriptors; gives the limit it had.
fn leave(server: &Server, more: usize) -> Option<u64> {
    let open = descriptors(server);
    let is_open = |number: &u64| open.iter().any(|(open, _)| open == number);
    let mut free = (0..).filter(|number| !is_open(number));
    limit(server, Resource::Nofile, free.nth(more))
}

#[test]
fn those_who_are_served_do_not_notice_that_descriptors_run_out() {
    let server = Server::start();
    let mut served = Served::new(&server);
    let before = leave(&server, 3);
    let mut held = rejected(&server);
    server.wait_for_log("accept: Too many open files");
    // Whoever looks at the folder of files takes some for a moment, so a few more may find one.
    let tries = (0..20).map(|_| {
        served.check_quickly();
        Connection::open(&server).map(|connection| held.push(connection))
    });
    let rejected = tries.filter(Result::is_err).count();
    assert!(rejected > 10, "{rejected} of 20");
    served.check();

    // One goes, and another can come.
    drop(held.pop());
    held.push(wait_for("the place of one that is gone", || {
        Connection::open(&server).ok()
    }));

    limit(&server, Resource::Nofile, before);
    for _ in 0..5 {
        held.push(server.connect());
    }
    for connection in &mut held {
        connection.get("/").expect(200);
    }
    served.check();
}

#[test]
fn waiting_for_descriptors_costs_nothing_and_ends_when_they_come() {
    let server = Server::start();
    let mut served = Served::new(&server);
    // With not even the spare one to be had, who comes can only wait.
    let before = limit(&server, Resource::Nofile, Some(3));
    let waiting: Vec<_> = (0..10).map(|_| tcp(&server).unwrap()).collect();

    // The log speaks of it once in a second, and says how often it would have.
    let told = || {
        let lines = server.log_lines();
        let told = lines
            .into_iter()
            .filter(|line| line.contains("turning connections away"));
        told.collect::<Vec<_>>()
    };
    let spoken = told().len();
    let line = wait_for("the next line about it", || {
        let told = told();
        (told.len() > spoken + 1).then(|| told.last().cloned())
    });
    let cpu_before = cpu_time(&server);
    let spoken = told().len();
    wait_for("two more", || (told().len() > spoken + 1).then_some(()));
    let used = cpu_time(&server) - cpu_before;
    assert!(used < Duration::from_millis(500), "{used:?} in two seconds");
    let line = line.unwrap();
    let (_, more) = line.rsplit_once('(').unwrap();
    let more: u32 = more.split(' ').next().unwrap().parse().unwrap();
    assert!((1..=12).contains(&more), "tried {more} times in a second");
    served.check();

    limit(&server, Resource::Nofile, before);
    for socket in waiting {
        let mut connection = Connection::over(&server, socket).unwrap();
        connection.get("/").expect(200);
    }
    served.check();
    // It has a spare one again, and whoever there is no other for is told at once.
    let open = descriptors(&server);
    let mut spare = open
        .iter()
        .filter(|(number, what)| (3..80).contains(number) && what == Path::new("/dev/null"));
    let (spare, _) = spare.next_back().expect("a spare descriptor");
    limit(&server, Resource::Nofile, Some(spare + 1));
    rejected(&server);
}

/// Connects until somebody is turned away; gives those who were not.
fn rejected(server: &Server) -> Vec<Connection> {
    let mut held = Vec::new();
    let excess = wait_for("a connection to be turned away", || {
        match Connection::open(server) {
            Ok(connection) => held.push(connection),
            Err(error) => return Some(error),
        }
        assert!(held.len() < 90, "descriptors did not run out");
        None
    });
    assert_ne!(excess.kind(), std::io::ErrorKind::WouldBlock, "not told");
    held
}

/// Starts a server with these limits on descriptors.
fn start_with(soft: u64, hard: u64, max_connections: u64) -> Server {
    let folder = Folder::new();
    folder.configure(&format!("max_connections={max_connections}"));
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    folder.start_as(by_shell(&script))
}

#[test]
fn the_soft_limit_is_raised_for_max_connections() {
    let server = start_with(64, 1000, 500);
    assert_eq!(limits(&server, "Max open files"), (Some(1000), Some(1000)));
    server.wait_for_log("raised the limit of open descriptors from 64 to 1000");
    let held: Vec<_> = (0..80).map(|_| server.connect()).collect();
    assert_eq!(held.len(), 80);
    assert!(!warned(&server));

    // More of them are wanted than there can be.
    server.folder().configure("max_connections=2000");
    server.hangup();
    let line = server.wait_for_log("not for max_connections=2000");
    assert!(line.contains("1000 descriptors (the hard limit)"), "{line}");
}

#[test]
fn limits_that_are_enough_are_left_alone() {
    let server = start_with(500, 1000, 100);
    server.connect().get("/").expect(200);
    assert_eq!(limits(&server, "Max open files"), (Some(500), Some(1000)));
    assert!(!warned(&server));
}

#[test]
fn too_few_descriptors_are_warned_of_with_how_many_connections_fit() {
    let server = start_with(100, 300, 10_000);
    let line = server.wait_for_log("not for max_connections=10000");
    assert!(line.contains(" WARN "), "{line}");
    assert!(line.contains("300 descriptors (the hard limit)"), "{line}");
    let (_, fit) = line.split_once("enough for ").unwrap();
    let fit: usize = fit.split(' ').next().unwrap().parse().unwrap();
    assert!((100..250).contains(&fit), "{line}");
    // As many do.
    server.folder().configure(
        "max_connections=10000\nmax_connections_per_ip=0\nhandshakes_per_second_per_ip=0",
    );
    server.hangup();
    server.wait_for_log("changed: ");
    let mut held: Vec<_> = (0..fit).map(|_| server.connect()).collect();
    held.last_mut().unwrap().get("/").expect(200);
}

fn warned(server: &Server) -> bool {
    let lines = server.log_lines();
    lines
        .iter()
        .any(|line| line.contains("not for max_connections"))
}
