//! The socket of one connection, and what epoll has said about it.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;

/// A non-blocking byte stream whose write side can be shut down on its own.
pub(super) trait Transport: Read + Write {
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Result of connecting to the peer.
    fn connected(&mut self) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn connected(&mut self) -> io::Result<()> {
        self.take_error()?.map_or(Ok(()), Err)
    }
}

/// Readiness is remembered here and cleared only by what the socket itself says: the socket is
/// registered once, edge-triggered, and epoll does not repeat itself.
#[derive(Debug)]
pub(super) struct Socket<W> {
    pub(super) wire: W,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has shut down its side, or both are: a short read does not mean empty.
    pub(super) closing: bool,
    /// Both sides are gone.
    pub(super) broken: bool,
}

impl<W> Socket<W> {
    pub(super) fn new(wire: W) -> Self {
        Self {
            wire,
            readable: false,
            writable: false,
            closing: false,
            broken: false,
        }
    }

    pub(super) fn note(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed();
        self.writable |= event.is_writable();
        self.closing |= event.is_read_closed();
        self.broken |= event.is_error() || event.is_write_closed();
    }
}
