//! One connection that never blocks, plain or over TLS.

use std::io::{self, BufRead, ErrorKind, Read, Write};

use mio::net::TcpStream;
use rustls::{ClientConnection, HandshakeKind};

use super::Failure;

/// The client's end of a connection.
///
/// Whoever drives it registers `socket` for both directions, edge-triggered, and on every event
/// calls [`flush`](Self::flush) and [`receive`](Self::receive).
pub(crate) struct Wire {
    pub(crate) socket: TcpStream,
    tls: Option<ClientConnection>,
    is_connected: bool,
    /// Not given to the socket, or to TLS, yet.
    output: Vec<u8>,
}

/// Outcome of a read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Progress {
    /// There may be more.
    More,
    /// There was no more but the end, if it has come: of that no further event tells.
    Short,
    /// The next event says when there is more.
    Drained,
    /// The server sends nothing more.
    Closed,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, mut tls: Option<ClientConnection>) -> Self {
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(None);
        }
        Self {
            socket,
            tls,
            is_connected: false,
            output: Vec::new(),
        }
    }

    /// Connected, and the handshake made.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_connected && !self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.tls.as_ref().and_then(|tls| tls.handshake_kind())
    }

    /// Says by TLS that nothing more is sent.
    pub(crate) fn send_close_notify(&mut self) -> Result<(), Failure> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush()
    }

    /// Sends this after all that went before.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.queue(bytes);
        self.flush()
    }

    /// The same with the next flush.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Writes what the socket takes; an event says when it takes more.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if !self.has_connected()? {
            return Ok(());
        }
        match &mut self.tls {
            None => {
                while !self.output.is_empty() {
                    match blocked(self.socket.write(&self.output))? {
                        None => break,
                        Some(count) => drop(self.output.drain(..count)),
                    }
                }
            }
            Some(tls) => {
                if !tls.is_handshaking() && !self.output.is_empty() {
                    tls.writer().write_all(&self.output)?;
                    self.output.clear();
                }
                while tls.wants_write() && blocked(tls.write_tls(&mut self.socket))?.is_some() {}
            }
        }
        Ok(())
    }

    /// Reads once, as much as there is room for, and gives what it means to `sink`, in pieces.
    pub(crate) fn receive(
        &mut self,
        room: &mut [u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<Progress, Failure> {
        if !self.has_connected()? {
            return Ok(Progress::Drained);
        }
        let count = match blocked(self.socket.read(room)) {
            Ok(None) => return Ok(Progress::Drained),
            Ok(Some(0)) => return Ok(Progress::Closed),
            Ok(Some(count)) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Ok(Progress::Closed);
            }
            Err(error) => return Err(error.into()),
        };
        let end = match count < room.len() {
            true => Progress::Short,
            false => Progress::More,
        };
        let mut bytes = room.get(..count).unwrap_or_default();
        let Some(tls) = &mut self.tls else {
            sink(bytes)?;
            return Ok(end);
        };
        while !bytes.is_empty() {
            if tls.read_tls(&mut bytes)? == 0 {
                break;
            }
            tls.process_new_packets()?;
            let mut reader = tls.reader();
            loop {
                let plain = match reader.fill_buf() {
                    Ok([]) => return Ok(Progress::Closed),
                    Ok(plain) => plain,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                let count = plain.len();
                sink(plain)?;
                reader.consume(count);
            }
        }
        if tls.wants_write() || (!self.output.is_empty() && !tls.is_handshaking()) {
            self.flush()?;
        }
        Ok(end)
    }

    fn has_connected(&mut self) -> Result<bool, Failure> {
        if !self.is_connected {
            if let Some(error) = self.socket.take_error()? {
                return Err(error.into());
            }
            self.is_connected = match self.socket.peer_addr() {
                Ok(_) => true,
                Err(error) if error.kind() == ErrorKind::NotConnected => false,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(self.is_connected)
    }
}

/// `None` instead of an error when the socket can do no more now.
fn blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        result => result.map(Some),
    }
}
