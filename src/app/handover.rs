//! Listening sockets from who started this process, and to the one that takes its place.
//!
//! A socket that is handed on is never closed in between: whoever connects meanwhile waits in its queue.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

/// Descriptor on which the successor reports that it listens: a number of ours, written to through proc(5).
const READY_FD: &str = "EDGELOOP_READY_FD";
/// The configuration file that the successor has to find, and not empty, as the server before it did: else it
/// would serve with defaults what was configured otherwise.
const CONFIG: &str = "EDGELOOP_CONFIG_REQUIRED";
/// Purposes of the sockets. The configuration may have changed meanwhile, and must not make another
/// listener of one.
const PURPOSES: &str = "EDGELOOP_LISTENERS";
/// Time limit for that.
pub(super) const READY_TIME: Duration = Duration::from_secs(60);
/// Descriptors handed on begin here, or behind: the numbers below are most likely in use.
const FIRST_FD: RawFd = 64;
/// Descriptor of the successor's report: its standard input, which it has no other use for, so that nothing stays open
/// behind it but what the next one replaces.
const STDIN: RawFd = 0;

/// Purpose of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// All there is, over TLS.
    Https,
    /// Redirects to that.
    Http,
    /// Metrics and health.
    Metrics,
}

impl Purpose {
    const ALL: [(Self, &str); 3] = [
        (Self::Https, "https"),
        (Self::Http, "http"),
        (Self::Metrics, "metrics"),
    ];

    fn of(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(purpose, own)| (own == name).then_some(purpose))
    }

    fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(purpose, name)| (purpose == self).then_some(name))
            .unwrap_or_default()
    }
}

/// A listening socket that is handed on.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// Its purpose; a service manager does not give one.
    pub purpose: Option<Purpose>,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The listening sockets this process was started with, by systemd (sd_listen_fds(3)) or by the server it
/// takes the place of. To be called once, before there are threads: it clears the environment.
///
/// # Errors
/// What was passed is no listening TCP socket.
pub fn inherited() -> io::Result<Vec<Listener>> {
    let purposes = env::var(PURPOSES).unwrap_or_default();
    let mut purposes = purposes.split(',').map(Purpose::of);
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .filter_map(|index| {
            let purpose = purposes.next().flatten();
            let socket = passed.take_tcp_listener(index).transpose()?;
            Some(socket.map(|socket| Listener { socket, purpose }))
        })
        .collect()
}

/// The configuration file that the server before this one has read, if this one takes the place of one.
#[must_use]
pub fn required_config() -> Option<PathBuf> {
    env::var_os(CONFIG).map(PathBuf::from)
}

/// Tells the server whose place this one takes that it listens, if there is one.
pub fn notify_ready() {
    let Ok(fd) = env::var(READY_FD) else {
        return;
    };
    let pipe = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"));
    if let Err(error) = pipe.and_then(|mut pipe| pipe.write_all(b"\n")) {
        log::warn!("the server before this one cannot be told that this one listens: {error}");
    }
}

/// Resources to start a successor, set aside while there are descriptors.
#[derive(Debug)]
pub struct Handover {
    passed: Passed,
    purposes: String,
    /// For the next one.
    pipe: Option<(PipeReader, PipeWriter)>,
}

impl Handover {
    /// For these sockets, which may be closed: it has copies.
    ///
    /// # Errors
    /// There are not enough descriptors.
    pub fn new(listeners: &[Listener]) -> io::Result<Self> {
        let purposes = listeners.iter().map(|listener| listener.purpose);
        let purposes: Vec<_> = purposes
            .map(|purpose| purpose.map_or("", Purpose::name))
            .collect();
        Ok(Self {
            purposes: purposes.join(","),
            // With a very low limit there are none behind those that are in use.
            passed: Passed::new(listeners, FIRST_FD)
                .or_else(|_| Passed::new(listeners, STDIN + 3))?,
            pipe: Some(io::pipe()?),
        })
    }

    /// Starts the same command again, with the sockets. It has to read the file `config`, if one is given.
    ///
    /// # Errors
    /// It cannot be started, or the sockets not be handed on.
    pub fn start(&mut self, config: Option<&Path>) -> io::Result<(Child, Ready)> {
        let (ready, tell) = match self.pipe.take() {
            Some(pipe) => pipe,
            None => io::pipe()?,
        };
        let mut args = env::args_os();
        let program = args
            .next()
            .ok_or_else(|| io::Error::other("the command's own name is not known"))?;
        let mut command = Command::new(program);
        command
            .args(args)
            .env_remove("LISTEN_PID")
            .env_remove("WATCHDOG_PID")
            .env("LISTEN_FDS", self.passed.copies.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", self.passed.first.to_string())
            .env(PURPOSES, &self.purposes)
            .env(READY_FD, STDIN.to_string())
            .stdin(tell);
        match config {
            Some(config) => command.env(CONFIG, config),
            None => command.env_remove(CONFIG),
        };
        self.passed.set_flags(FdFlags::empty())?;
        let child = command.spawn();
        self.passed.set_flags(FdFlags::CLOEXEC)?;
        Ok((child?, Ready(ready)))
    }
}

/// Pipe on which a successor reports that it listens.
#[derive(Debug)]
pub struct Ready(PipeReader);

/// Report of a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuccessorReport {
    /// It listens.
    Ready,
    /// It has ended.
    Ended,
    /// Nothing, for `READY_TIME`.
    TooLate,
}

impl Ready {
    /// Waits for it.
    #[must_use]
    pub fn wait(self) -> SuccessorReport {
        let Self(mut ready) = self;
        let (tell, told) = mpsc::channel();
        let waiting = thread::Builder::new().spawn(move || {
            let mut byte = [0];
            tell.send(ready.read(&mut byte).is_ok_and(|count| count == 1))
        });
        // Without a thread nobody tells anything.
        if let Err(error) = waiting {
            log::error!("nobody can wait for the other server: {error}");
            return SuccessorReport::TooLate;
        }
        match told.recv_timeout(READY_TIME) {
            Ok(true) => SuccessorReport::Ready,
            Ok(false) | Err(RecvTimeoutError::Disconnected) => SuccessorReport::Ended,
            Err(RecvTimeoutError::Timeout) => SuccessorReport::TooLate,
        }
    }
}

/// Copies of descriptors that a child may inherit, with numbers that follow each other, until dropped.
#[derive(Debug)]
struct Passed {
    first: RawFd,
    copies: Vec<OwnedFd>,
}

impl Passed {
    /// With numbers from `first` on.
    fn new(listeners: &[impl AsFd], mut first: RawFd) -> io::Result<Self> {
        loop {
            let mut copies = Vec::new();
            let mut free = first;
            for (listener, number) in listeners.iter().zip(first..) {
                let copy = fcntl_dupfd_cloexec(listener, number)
                    .map_err(|_| io::Error::other("no free descriptors in a row"))?;
                free = copy.as_raw_fd();
                if free != number {
                    break;
                }
                copies.push(copy);
            }
            if copies.len() == listeners.len() {
                return Ok(Self { first, copies });
            }
            // The first free one behind those that are in use.
            first = free;
        }
    }

    fn set_flags(&self, flags: FdFlags) -> io::Result<()> {
        for copy in &self.copies {
            fcntl_setfd(copy, flags)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_found_behind_any_in_use() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let two = [listener.try_clone().unwrap(), listener];
        // Every other one: no two that are free follow each other.
        let end = FIRST_FD + 90;
        let in_use: Vec<_> = (FIRST_FD + 1..end)
            .step_by(2)
            .map(|number| fcntl_dupfd_cloexec(&two[0], number).unwrap())
            .collect();
        let passed = Passed::new(&two, FIRST_FD).unwrap();
        // Other tests may open and close some meanwhile, so which ones is not told.
        let numbers: Vec<_> = passed.copies.iter().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(numbers, [passed.first, passed.first + 1]);
        drop(in_use);
    }
}
