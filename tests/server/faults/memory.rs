//! Less address space than the server would like.

use std::io::{self, Read as _, Write as _};

use crate::support::command::by_shell;
use crate::support::command::run;
use crate::support::http::{Tls, client_config, tls};
use crate::support::ws::RawSocket;
use crate::support::{Connection, Folder, Server, wait_for};

const MANY: &str = "max_connections_per_ip=0\nhandshakes_per_second_per_ip=0";

#[test]
fn a_limit_that_leaves_no_room_is_told_of_at_the_start() {
    for (flag, what) in LIMITS {
        let needed = needed_mib(flag, what);
        assert!((150..3000).contains(&needed), "{what}: {needed}");
    }
}

const LIMITS: [(char, &str); 2] = [('v', "address space"), ('d', "data")];

/// Least limit, as the rejection of too little gives it: that depends on the machine.
fn needed_mib(flag: char, what: &str) -> u64 {
    let folder = Folder::new();
    folder.configure("");
    let mut command = by_shell(&format!("ulimit -{flag} 102400 && exec \"$0\" \"$@\""));
    command.arg("--config").arg(folder.file("server.conf"));
    let done = run(command.current_dir(folder.path()));
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    let told = format!("this process may have 100 MiB of {what} (ulimit -{flag}), and needs ");
    let (_, needed) = done.stderr.split_once(&told).expect(&done.stderr);
    needed.split(' ').next().unwrap().parse().unwrap()
}

/// A server with less than what is asked of it below takes.
fn start((flag, what): (char, &str)) -> Server {
    let limit_kib = (needed_mib(flag, what) + 64) * 1024;
    let folder = Folder::new();
    folder.configure(&format!("{MANY}\npublic_dir=public"));
    std::fs::create_dir(folder.file("public")).unwrap();
    std::fs::write(folder.file("public/index.html"), "here").unwrap();
    std::fs::write(folder.file("public/big"), vec![b'x'; 8 << 20]).unwrap();
    let script = format!("ulimit -{flag} {limit_kib} && exec \"$0\" \"$@\"");
    folder.start_as(by_shell(&script))
}

/// Everything else goes on, hashing too, which wants 19 MiB.
fn expect_service(server: &Server, name: &str) {
    server.connect().get("/").expect(200);
    let token = server.register_and_login(name);
    RawSocket::open(server, &token).expect_alive();
}

/// A connection on which this was sent, and what came back.
struct Upload {
    stream: Tls,
    response: Vec<u8>,
    has_ended: bool,
}

impl Upload {
    fn new(server: &Server, bytes: &[u8]) -> Self {
        let mut stream = tls(server, client_config(server.folder().certificate())).unwrap();
        // What the server does not take any more is no error here: it has said why.
        stream.write_all(bytes).ok();
        stream.flush().ok();
        stream.sock.set_nonblocking(true).unwrap();
        Self {
            stream,
            response: Vec::new(),
            has_ended: false,
        }
    }

    /// Returns `true` if it was ended, without waiting for that.
    fn is_rejected(&mut self) -> bool {
        let mut room = [0; 1000];
        while !self.has_ended {
            match self.stream.read(&mut room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(count @ 1..) => self.response.extend_from_slice(&room[..count]),
                _ => self.has_ended = true,
            }
        }
        self.has_ended
    }
}

#[test]
fn uploads_that_do_not_end_are_held_up_to_a_ceiling() {
    LIMITS.into_iter().for_each(upload);
}

fn upload(limit: (char, &str)) {
    let server = start(limit);
    // JSON is short: of what asks for a page a whole body is read, and then ignored.
    let head = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n";
    let body = vec![b'x'; (1 << 20) - 1];
    let most = [head.as_bytes(), &body].concat();
    let mut sent: Vec<_> = (0..200).map(|_| Upload::new(&server, &most)).collect();
    // All of them would be 200 MiB.
    let rejected = wait_for("most of them to be refused", || {
        let rejected: Vec<_> = sent.iter_mut().map(Upload::is_rejected).collect();
        (rejected.iter().filter(|rejected| **rejected).count() >= 150).then_some(rejected)
    });
    let held = rejected.iter().filter(|rejected| !**rejected).count();
    assert!(held >= 8, "{held} held");
    // Who still sends when the connection is closed may not get to hear why.
    let told = sent
        .iter()
        .filter(|one| one.response.starts_with(b"HTTP/1.1 503 "));
    assert!(told.count() > 0);
    expect_service(&server, "ann");
    drop(sent);
    expect_service(&server, "bob");
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    LIMITS.into_iter().for_each(read_nothing);
}

fn read_nothing(limit: (char, &str)) {
    let server = start(limit);
    let request = format!("GET /big HTTP/1.1\r\nHost: {}\r\n\r\n", server.host());
    let held: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = server.connect();
            connection.send(request.repeat(5));
            connection
        })
        .collect();
    expect_service(&server, "ann");
    drop(held);
    expect_service(&server, "bob");
}
