//! Listening sockets, and an accept that survives what the kernel runs out of.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};

/// Names a listening socket of one reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u16);

impl ListenerId {
    pub(super) fn new(index: usize) -> Option<Self> {
        u16::try_from(index).ok().map(Self)
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Connections may wait.
    pub(super) readable: bool,
    /// Accepting pauses until then.
    pub(super) paused_until: Option<Instant>,
}

/// Outcome of one attempt to accept.
#[derive(Debug)]
pub(super) enum AcceptOutcome {
    Peer(TcpStream, SocketAddr),
    /// This one is gone, others may wait.
    Skipped,
    Empty,
    /// The process or the system is out of descriptors or memory.
    Exhausted(io::Error),
}

impl Listener {
    pub(super) fn new(socket: TcpListener) -> Self {
        Self {
            socket,
            readable: true,
            paused_until: None,
        }
    }

    pub(super) fn accept(&mut self) -> AcceptOutcome {
        match self.socket.accept() {
            Ok((socket, peer)) => AcceptOutcome::Peer(socket, peer),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    AcceptOutcome::Empty
                }
                // accept(2): errors of the connection itself are reported here, too.
                io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::TimedOut
                | io::ErrorKind::PermissionDenied => AcceptOutcome::Skipped,
                _ => AcceptOutcome::Exhausted(error),
            },
        }
    }
}

/// A descriptor held back, to be given up when there is no other.
///
/// A connection the kernel has completed stays in the backlog while we have no descriptor for
/// it, its peer waiting in vain. With the spare one it is accepted and closed, which the peer
/// sees at once.
#[derive(Debug)]
pub(super) struct Reserve(Option<File>);

impl Reserve {
    pub(super) fn new() -> Self {
        let mut reserve = Self(None);
        reserve.renew();
        reserve
    }

    /// Takes a descriptor, if it has none: another thread may have been quicker the last time.
    pub(super) fn renew(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }

    /// Accepts one connection only to close it. Returns whether there was one.
    pub(super) fn turn_away(&mut self, listener: &mut Listener) -> bool {
        self.0 = None;
        let rejected = matches!(listener.accept(), AcceptOutcome::Peer(..));
        self.renew();
        rejected
    }
}

/// Lets one line in a second through, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Returns `true` if to speak now; then with how many were suppressed since the last time.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < Duration::from_secs(1))
        {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}
