//! Sockets passed on: from a service manager, which is also told how it goes, and to a server that takes
//! the place of this one under load.

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::command::{by_shell, edgeloop, signal};
use crate::support::deadline::PATIENCE;
use crate::support::http::tcp_from;
use crate::support::{Connection, Folder, Server, Socket};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::{FdFlags, fcntl_setfd};
use socket2::{Domain, Socket as Socket2, Type};

/// The server as systemd starts it: with sockets from descriptor 3 on, and its own pid named.
fn activated(listener: &TcpListener) -> Command {
    let mut command = by_shell("LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 0</dev/null");
    command
        .stdin(OwnedFd::from(listener.try_clone().unwrap()))
        .env("LISTEN_FDS", "1");
    command
}

/// The manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn hear(&self) -> String {
        let mut room = [0; 512];
        let count = self.0.recv(&mut room).expect("a word of the server");
        String::from_utf8(room[..count].to_vec()).unwrap()
    }

    /// The next word that is no sign of life.
    fn hear_news(&self) -> String {
        loop {
            let word = self.hear();
            if word != "WATCHDOG=1\n" {
                return word;
            }
        }
    }
}

#[test]
fn a_service_manager_passes_sockets_and_hears_how_it_goes() {
    let folder = Folder::new();
    // What is passed counts, not this.
    folder.configure("port=1");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let manager = Manager(UnixDatagram::bind(folder.file("notify")).unwrap());
    manager.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = activated(&listener);
    command
        .env("NOTIFY_SOCKET", folder.file("notify"))
        .env("WATCHDOG_USEC", "200000");
    let server = folder.start_as(command);
    assert_eq!(server.port(), listener.local_addr().unwrap().port());
    assert_eq!(manager.hear_news(), "READY=1\n");
    server.connect().get("/").expect(200);
    for _ in 0..3 {
        while manager.hear() != "WATCHDOG=1\n" {}
    }
    server.hangup();
    let reloading = manager.hear_news();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(manager.hear_news(), "READY=1\n");
    server.signal("TERM");
    assert_eq!(manager.hear_news(), "STOPPING=1\n");
    assert_eq!(server.wait().code(), Some(0));
}

/// The kernel maps the addresses of IPv4 peers into IPv6 on a socket of both families.
#[test]
fn peers_of_a_socket_of_both_families_have_ipv4_addresses() {
    let Ok(listener) = listener_of_both_families() else {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    };
    let folder = Folder::new();
    folder.configure(
        "allowed_networks=127.0.0.1,::ffff:127.0.0.4/126\ntrusted_proxies=::ffff:127.0.0.5\nmax_connections_per_ip=1",
    );
    let server = folder.start_as(activated(&listener));
    let open = |source: &str| {
        let socket = tcp_from(&server, source.parse().unwrap())?;
        Connection::over(&server, socket)
    };
    for source in ["127.0.0.1", "127.0.0.6"] {
        let path = format!("/from-{source}");
        let mut connection = open(source).unwrap();
        connection.get(&path).expect(404);
        let line = server.wait_for_log(&path);
        assert!(line.contains(&format!("peer={source}:")), "{line}");
        assert!(open(source).is_err(), "a second one");
    }
    let line = server.wait_for_log("max_connections_per_ip");
    assert!(line.contains("turned 127.0.0.1:"), "{line}");
    assert!(open("127.0.0.8").is_err());
    let line = server.wait_for_log("allowed_networks");
    assert!(line.contains("turned 127.0.0.8:"), "{line}");
    let mut proxy = open("127.0.0.5").unwrap();
    let fields = [("X-Forwarded-For", "::ffff:127.0.0.7")];
    proxy.request("GET", "/named", &fields, b"").expect(404);
    let line = server.wait_for_log("/named");
    assert!(line.contains("peer=127.0.0.7:0"), "{line}");
}

fn listener_of_both_families() -> std::io::Result<TcpListener> {
    let socket = Socket2::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    let address: SocketAddr = "[::]:0".parse().unwrap();
    socket.bind(&address.into())?;
    socket.listen(16)?;
    Ok(socket.into())
}

#[test]
fn what_is_passed_must_be_a_listening_socket() {
    let folder = Folder::new();
    folder.configure("");
    let file = File::open("/dev/null").unwrap();
    fcntl_setfd(&file, FdFlags::empty()).unwrap();
    let mut command = edgeloop();
    command
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDS_FIRST_FD", file.as_raw_fd().to_string())
        .arg("--config")
        .arg(folder.file("server.conf"));
    let done = crate::support::command::run(&mut command);
    assert_eq!(done.code(), Some(2), "{}", done.stderr);
    assert!(done.stderr.starts_with("LISTEN_FDS: "), "{}", done.stderr);
}

/// Ends the server that has taken over.
struct Heir(u32);

impl Drop for Heir {
    fn drop(&mut self) {
        signal(self.0, "KILL");
    }
}

#[test]
fn a_server_takes_the_place_of_another_and_nobody_is_refused() {
    let server = Server::with_config("max_connections_per_ip=0\nhandshakes_per_second_per_ip=0");
    let token = server.register_and_login("ann");
    let mut ann = Socket::join(&server, "ann", &token);
    let (served, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ask = || {
        while !is_over.load(Ordering::Relaxed) {
            let mut connection = Connection::open(&server).expect("a connection");
            connection.get("/login").expect(200);
            served.fetch_add(1, Ordering::Relaxed);
        }
    };
    // Who stays is told which answer is the last, and finds no connection ended without that.
    let ask_on_one = || {
        let mut connection = Connection::open(&server).expect("a connection");
        while !is_over.load(Ordering::Relaxed) {
            let response = connection.get("/login").expect(200);
            served.fetch_add(1, Ordering::Relaxed);
            if response.field("Connection") == Some("close") {
                connection = Connection::open(&server).expect("a connection");
            }
        }
    };
    let wait_for_more = || {
        let before = served.load(Ordering::Relaxed);
        crate::support::wait_for("more answers", || {
            (served.load(Ordering::Relaxed) >= before + 50).then_some(())
        });
    };
    let heir = std::thread::scope(|scope| {
        let mut asking: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        asking.extend((0..3).map(|_| scope.spawn(ask_on_one)));
        wait_for_more();
        server.signal("USR2");
        let line = server.wait_for_log("has taken over");
        let pid = line.split("process ").nth(1).unwrap().split(' ').next();
        let heir = Heir(pid.unwrap().parse().unwrap());
        wait_for_more();
        ann.expect_close(1001);
        wait_for_more();
        is_over.store(true, Ordering::Relaxed);
        for thread in asking {
            thread.join().unwrap();
        }
        heir
    });
    // The users are the same, and so is who serves them, but for the process.
    let mut ann = Socket::join(&server, "ann", &server.login("ann"));
    crate::support::wait_for("the first server to end", || {
        server.has_ended().then_some(())
    });
    ann.expect_quiet();
    drop(heir);
}

/// A server that also redirects and has metrics, and the ports for these. Another program may take a port
/// before the server does.
fn with_three_listeners() -> (Server, [u16; 2]) {
    for _ in 0..10 {
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = [0, 1].map(|index| free[index].local_addr().unwrap().port());
        drop(free);
        let folder = Folder::new();
        let [http, metrics] = ports;
        folder.configure(&format!(
            "http_port={http}\nmetrics_address=127.0.0.1:{metrics}"
        ));
        let start = || {
            let server = folder.start();
            server.wait_for_log("metrics are at ");
            server
        };
        if let Ok(server) = std::panic::catch_unwind(start) {
            return (server, ports);
        }
    }
    panic!("no ports were free for long enough");
}

#[test]
fn a_listener_that_is_no_longer_configured_ends_and_becomes_no_other() {
    let (server, ports) = with_three_listeners();
    server.folder().configure("");
    server.signal("USR2");
    let line = server.wait_for_log("has taken over");
    let pid = line.split("process ").nth(1).unwrap().split(' ').next();
    let heir = Heir(pid.unwrap().parse().unwrap());
    crate::support::wait_for("the first server to end", || {
        server.has_ended().then_some(())
    });
    server.connect().get("/login").expect(200);
    for port in ports {
        let bound = SocketAddr::from(([127, 0, 0, 1], port));
        server.wait_for_log(&format!("listening no more on {bound}"));
        let rejected = TcpStream::connect(bound).unwrap_err();
        assert_eq!(rejected.kind(), std::io::ErrorKind::ConnectionRefused);
    }
    drop(heir);
}

#[test]
fn servers_follow_one_another_without_end() {
    let server = Server::start();
    let mut heir = Heir(server.pid());
    let mut open = Vec::new();
    for count in 1..=20 {
        signal(heir.0, "USR2");
        let pid = crate::support::wait_for("the next server", || {
            let lines = server.log_lines();
            let mut lines = lines.iter().filter(|line| line.contains("has taken over"));
            let line = lines.nth(count - 1)?;
            line.split("process ")
                .nth(1)?
                .split(' ')
                .next()?
                .parse()
                .ok()
        });
        // The one before it ends by itself.
        std::mem::forget(std::mem::replace(&mut heir, Heir(pid)));
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        open.push(fds.count());
    }
    server.connect().get("/").expect(200);
    let (first, last) = (open[0], open[open.len() - 1]);
    assert!(last <= first + 2, "{open:?}");
}

#[test]
fn a_server_that_nobody_can_follow_goes_on() {
    let folder = Folder::new();
    folder.configure("");
    let server = folder.start();
    folder.configure("port=nonsense");
    server.signal("USR2");
    let line = server.wait_for_log("goes on");
    assert!(line.contains("exit status: 2"), "{line}");
    server.connect().get("/").expect(200);
    // And it can still be told to stop.
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn process_1_of_a_container_is_not_followed() {
    let contained = ["--user", "--map-root-user", "--pid", "--fork"];
    let mut command = Command::new("unshare");
    let can = command.args(contained).arg("true").stderr(Stdio::null());
    if !can.status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no namespace of processes can be made here");
        return;
    }
    let folder = Folder::new();
    folder.configure("log_to_file=0");
    let mut script = "exec unshare --kill-child ".to_owned();
    script.push_str(&contained.join(" "));
    script.push_str(" \"$0\" \"$@\"");
    let server = folder.start_as(by_shell(&script));
    let outside = server.pid();
    let children = std::fs::read_to_string(format!("/proc/{outside}/task/{outside}/children"));
    let pid = children.unwrap().trim().parse().unwrap();
    signal(pid, "USR2");
    let line = server.wait_for_log("SIGUSR2");
    assert!(
        line.contains("ERROR") && line.contains("process 1"),
        "{line}"
    );
    server.connect().get("/").expect(200);
    signal(pid, "TERM");
    assert_eq!(server.wait().code(), Some(0));
}

/// Puts a pipe in the place of the configuration file: whoever reads it waits.
fn pipe_for_config(folder: &Folder) -> PathBuf {
    let (path, new) = (folder.file("server.conf"), folder.file("pipe"));
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, &new, FileType::Fifo, mode, 0).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path
}

/// The writing end of a pipe, as soon as somebody reads it.
fn writer(pipe: &Path) -> File {
    crate::support::wait_for("a reader", || {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        open(pipe, flags, Mode::empty()).ok().map(File::from)
    })
}

#[test]
fn a_stop_is_heard_while_the_next_server_hangs() {
    let server = Server::start();
    let pipe = pipe_for_config(server.folder());
    server.signal("USR2");
    let held = writer(&pipe);
    let children: Vec<u32> = std::fs::read_dir(format!("/proc/{}/task", server.pid()))
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|text| {
            let pids = text.split_whitespace().map(|pid| pid.parse().unwrap());
            pids.collect::<Vec<_>>()
        })
        .collect();
    let [child] = children[..] else {
        panic!("{children:?}");
    };
    server.connect().get("/").expect(200);
    server.signal("TERM");
    server.wait_for_log("stopping");
    assert_eq!(server.wait().code(), Some(0));
    crate::support::wait_for("the next server to be ended", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    });
    drop(held);
}

#[test]
fn a_reload_asked_for_during_the_start_is_done_after_it() {
    let folder = Folder::new();
    folder.configure("");
    let good = std::fs::read(folder.file("server.conf")).unwrap();
    let pipe = pipe_for_config(&folder);
    std::thread::scope(|scope| {
        let starting =
            scope.spawn(|| folder.start_as(by_shell("echo $$ > pid; exec \"$0\" \"$@\"")));
        let mut config = writer(&pipe);
        let pid = std::fs::read_to_string(folder.file("pid")).unwrap();
        signal(pid.trim().parse().unwrap(), "HUP");
        // What is read by the start, and what there is for the reload.
        folder.configure("messages_per_minute=7");
        config.write_all(&good).unwrap();
        drop(config);
        let server = starting.join().unwrap();
        server.wait_for_log("changed: messages_per_minute");
    });
}

#[test]
fn no_signal_waits_for_a_reload_that_hangs() {
    let server = Server::start();
    let text = std::fs::read(server.folder().file("server.conf")).unwrap();
    let pipe = pipe_for_config(server.folder());
    server.hangup();
    let mut first = writer(&pipe);
    // What is asked for meanwhile is done after it.
    for _ in 0..3 {
        server.hangup();
    }
    first.write_all(&text).unwrap();
    drop(first);
    server.wait_for_log("are in force");
    let held = writer(&pipe);
    server.connect().get("/").expect(200);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    drop(held);
}

#[test]
fn a_server_without_free_descriptors_is_followed() {
    let folder = Folder::new();
    folder.configure("max_connections_per_ip=0\nhandshakes_per_second_per_ip=0");
    let server = folder.start_as(by_shell("ulimit -n 200; exec \"$0\" \"$@\""));
    let connect = |_| TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let connections: Vec<_> = (0..250).map(connect).collect();
    server.wait_for_log("descriptors");
    crate::support::wait_for("all descriptors to be in use", || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
        (fds.count() >= 199).then_some(())
    });
    server.signal("USR2");
    let line = server.wait_for_log("has taken over");
    let pid = line.split("process ").nth(1).unwrap().split(' ').next();
    let heir = Heir(pid.unwrap().parse().unwrap());
    drop(connections);
    server.connect().get("/").expect(200);
    drop(heir);
}
