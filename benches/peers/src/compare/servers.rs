//! Starts servers on core 0, and ends them.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Failure;
use crate::place::Place;
use crate::programs::Programs;

/// A program and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// The floor with these arguments; `64m.bin` is the path of that file.
    Floor(&'static [&'static str]),
    /// The smallest service on the library.
    Hello,
    /// `examples/ws_echo`.
    WsEcho,
    /// A room on the library.
    Room,
    /// The server, with these lines in its configuration.
    Edgeloop(&'static [(&'static str, &'static str)]),
    Hyper,
    Nginx,
    Bun,
}

impl Server {
    /// The program it takes.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Floor(_) => "floor",
            Self::Hello => "hello",
            Self::WsEcho => "ws_echo",
            Self::Room => "hello",
            Self::Edgeloop(_) => "edgeloop",
            Self::Hyper => "hyper",
            Self::Nginx => "nginx",
            Self::Bun => "bun",
        }
    }
}

/// Time for a server until it accepts.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that accepts connections; ended when dropped.
pub(crate) struct Running {
    pub(crate) port: u16,
    /// The process that does the work.
    pub(crate) pid: u32,
    child: Child,
    folder: Option<TempDir>,
}

impl Running {
    /// Ends it, and leaves its folder for the next.
    pub(crate) fn stop(mut self) -> Option<TempDir> {
        end(&mut self.child);
        self.folder.take()
    }
}

/// A server that was just started.
pub(crate) struct Started {
    child: Child,
    folder: TempDir,
    /// Port it will listen on, unless it reports one itself.
    port: Option<u16>,
    is_nginx: bool,
}

impl Started {
    pub(crate) fn new(server: Server, programs: &Programs, place: &Place) -> Result<Self, Failure> {
        let folder = place.folder(server.program())?;
        Self::again(server, programs, place, folder)
    }

    /// In the folder of one that has ended.
    pub(crate) fn again(
        server: Server,
        programs: &Programs,
        place: &Place,
        folder: TempDir,
    ) -> Result<Self, Failure> {
        let program = programs.path(server.program())?;
        let port = free_port()?;
        let mut command = pinned(0, program);
        command.current_dir(folder.path());
        let says_its_port = arguments(server, &mut command, port, place, folder.path())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("stdout"))?)
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()?;
        Ok(Self {
            child,
            folder,
            port: (!says_its_port).then_some(port),
            is_nginx: server == Server::Nginx,
        })
    }

    pub(crate) const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Waits until it accepts.
    pub(crate) fn ready(mut self) -> Result<Running, Failure> {
        let begun = Instant::now();
        loop {
            if let Some(port) = self.accepting() {
                let pid = match self.is_nginx {
                    true => worker(self.child.id())?,
                    false => self.child.id(),
                };
                return Ok(Running {
                    port,
                    pid,
                    child: self.child,
                    folder: Some(self.folder),
                });
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                end(&mut self.child);
                let said = fs::read_to_string(self.folder.path().join("stderr"));
                let said = said.unwrap_or_default();
                let line = said.lines().last().unwrap_or("nothing");
                return Err(format!("it did not start, and said: {line}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port, if somebody accepts there.
    fn accepting(&self) -> Option<u16> {
        let port = match self.port {
            Some(port) => port,
            None => {
                let printed = fs::read_to_string(self.folder.path().join("stdout")).ok()?;
                printed.strip_suffix('\n')?.parse().ok()?
            }
        };
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        Some(port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A program on one core, which ends with this process even if that is killed.
pub(crate) fn pinned(core: u32, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c"]);
    command.arg(core.to_string()).arg(program);
    command
}

/// Adds the arguments; `true` if it will print the port that it takes.
fn arguments(
    server: Server,
    command: &mut Command,
    port: u16,
    place: &Place,
    folder: &Path,
) -> Result<bool, Failure> {
    let pem = [place.cert(), place.key()];
    match server {
        Server::Floor(args) => {
            command.args(pem);
            for arg in args {
                match *arg {
                    "64m.bin" => command.arg(place.public().join(arg)),
                    arg => command.arg(arg),
                };
            }
            return Ok(true);
        }
        Server::Hello => {
            command.args(pem);
            return Ok(true);
        }
        Server::Room => {
            command.args(pem).arg("--room");
            return Ok(true);
        }
        Server::WsEcho => {
            command.arg("--no-compression");
            command.arg(format!("127.0.0.1:{port}")).args(pem);
        }
        Server::Edgeloop(lines) => {
            fs::write(folder.join("server.conf"), configuration(port, lines)?)?;
            // Any will do: nobody logs in.
            command.env("SECRET_KEY", "0123456789abcdef".repeat(4));
        }
        Server::Hyper => {
            command.arg(port.to_string()).args(pem).arg(place.public());
        }
        Server::Nginx => {
            let text = include_str!("../../nginx.conf").replace("PORT", &port.to_string());
            let path = folder.join("nginx.conf");
            fs::write(&path, text)?;
            command.arg("-p").arg(folder).arg("-c").arg(path);
            command.args(["-e", "stderr"]);
        }
        Server::Bun => {
            let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bun.js");
            command.arg(script).arg(port.to_string()).args(pem);
            command.arg(place.public());
        }
    }
    Ok(false)
}

/// Configuration of `make run-bench`, on another port and with the files of [`Place`].
fn configuration(port: u16, lines: &[(&str, &str)]) -> Result<String, Failure> {
    let port = port.to_string();
    let metrics = format!("127.0.0.1:{}", free_port()?);
    let mut values = vec![
        ("port", port.as_str()),
        ("bind_address", "127.0.0.1"),
        ("public_dir", "../public"),
        ("ssl_cert_path", "../cert.pem"),
        ("ssl_key_path", "../key.pem"),
        ("db_path", "users.db"),
        ("log_to_console", "0"),
        ("metrics_address", "off"),
    ];
    for (key, value) in lines {
        values.retain(|(other, _)| other != key);
        let value = if *value == "on" { &metrics } else { *value };
        values.push((key, value));
    }
    let shipped = include_str!("../../../server.conf");
    let mut text = String::new();
    for line in shipped.lines() {
        let key = line.split('=').next().unwrap_or_default();
        if !values.iter().any(|(other, _)| *other == key) {
            text.push_str(line);
            text.push('\n');
        }
    }
    for (key, value) in values {
        text.push_str(&format!("{key}={value}\n"));
    }
    Ok(text)
}

/// One that nobody listens on now.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// nginx's only child. It is there when nginx listens, or a moment later.
fn worker(master: u32) -> Result<u32, Failure> {
    let begun = Instant::now();
    loop {
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        if let Some(child) = children.split_whitespace().next() {
            return Ok(child.parse()?);
        }
        if begun.elapsed() > PATIENCE {
            return Err("nginx has no worker".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Asks the process to end, since nginx has to end its worker, and kills it if it does not.
pub(crate) fn end(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Ok(None), Some(pid)) = (child.try_wait(), pid) {
        kill_process(pid, Signal::TERM).ok();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        child.kill().ok();
    }
    child.wait().ok();
}
