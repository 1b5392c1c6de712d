//! A clock on the wall that jumps. Timeouts have a clock of their own; what goes by the wall is what says
//! when something was or ends: `Date`, the log, and `exp` of tokens.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::support::command::{edgeloop, program, run};
use crate::support::ws::RawSocket;
use crate::support::{Connection, Folder, Response, Server};

/// A server with a clock that is off by what a file says.
struct Faked {
    server: Server,
    folder: Folder,
}

impl Faked {
    /// `None` where there is no faketime(1), which has been told then.
    fn start(config: &str) -> Option<Self> {
        // It says where its library is by what it puts into the environment.
        let show = ["-m", "-f", "+0", "sh", "-c", "echo $LD_PRELOAD"];
        let shown = run(program("faketime")?.args(show));
        assert!(shown.status.success(), "{}", shown.stderr);
        let folder = Folder::new();
        folder.configure(config);
        let offset = folder.file("offset");
        std::fs::write(&offset, "+0").unwrap();
        let server = folder.start_as(with_clock(shown.stdout.trim(), &offset));
        Some(Self { server, folder })
    }

    fn jump(&self, offset: &str) {
        std::fs::write(self.folder.file("new"), offset).unwrap();
        std::fs::rename(self.folder.file("new"), self.folder.file("offset")).unwrap();
    }
}

fn with_clock(library: &str, offset: &Path) -> Command {
    let mut command = edgeloop();
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", offset)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    command
}

/// Seconds by which a response is ahead of our clock.
fn ahead(response: &Response) -> f64 {
    let date = httpdate::parse_http_date(response.field("Date").unwrap()).unwrap();
    match date.duration_since(SystemTime::now()) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    }
}

fn status(connection: &mut Connection, token: &str) -> u16 {
    connection.get_as(token, "/me").status
}

#[test]
fn a_jump_of_the_clock_ends_tokens_and_nothing_else() {
    let Some(faked) = Faked::start("request_timeout=3") else {
        return;
    };
    let server = &faked.server;
    let first = server.register_and_login("ann");
    let (mut connection, mut idle) = (server.connect(), server.connect());
    idle.get("/login").expect(200);
    let mut socket = RawSocket::open(server, &first);
    assert_eq!(status(&mut connection, &first), 200);

    // Two hours ahead: a token lasts one. Of connections that wait none has waited that long.
    faked.jump("+7200");
    assert_eq!(status(&mut connection, &first), 401);
    assert!(ahead(&connection.get("/login").expect(200)) > 7000.0);
    idle.get("/login").expect(200);
    socket.expect_alive();
    let second = server.login("ann");
    assert_eq!(status(&mut connection, &second), 200);

    // Two hours behind: what had ended has not yet, and who is slow is not given two hours more.
    let mut slow = [server.connect(), server.connect()];
    slow[0].send("GET / HTT");
    faked.jump("-7200");
    assert!(ahead(&connection.get("/login").expect(200)) < -7000.0);
    slow[1].send("GET / HTT");
    for token in [&first, &second] {
        assert_eq!(status(&mut connection, token), 200);
    }
    socket.expect_alive();
    for slow in &mut slow {
        slow.respond().error(408);
        slow.expect_close();
    }

    // And it is right again.
    faked.jump("+0");
    let off = ahead(&connection.get("/login").expect(200)).abs();
    assert!(off < 60.0, "{off}");
    assert_eq!(status(&mut connection, &first), 200);
    server.login("ann");
}
