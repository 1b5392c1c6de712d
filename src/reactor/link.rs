//! The socket of one connection, and what epoll has said about it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;

use super::engine::Wire;

/// Readiness is remembered here and cleared only by what the socket itself says: the socket is
/// registered once, edge-triggered, and epoll does not repeat itself.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: TcpStream,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has shut down its side, or both are: a short read does not mean empty.
    pub(super) closing: bool,
    /// Both sides are gone.
    pub(super) broken: bool,
}

impl Link {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
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

impl Wire for Link {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }
}

impl Read for Link {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.socket.read(room)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
