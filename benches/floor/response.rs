//! The loop that answers without looking.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edgeloop::proto::tls::{RECORD_OVERHEAD_BYTES_MAX, RECORD_PLAINTEXT_BYTES_MAX, Tls};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use slab::Slab;

use crate::Failure;
use crate::room::SWITCHING;
use crate::stream::{Asked, Stream};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 << 10;

/// Serves until the process ends; `tell` is told where.
pub(crate) fn serve(
    config: Arc<ServerConfig>,
    stream: Stream,
    write_bytes: usize,
    tell: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut floor = Floor::new(stream, write_bytes);
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    tell(listener.local_addr()?)?;
    loop {
        let patience = (!floor.unfinished.is_empty()).then_some(Duration::ZERO);
        match poll.poll(&mut events, patience) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    let entry = floor.connections.vacant_entry();
                    let token = Token(entry.key());
                    let connection =
                        entry.insert(Connection::new(socket, Tls::new(Arc::clone(&config))?)?);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry()
                        .register(&mut connection.socket, token, interest)?;
                }
                continue;
            }
            let index = event.token().0;
            if event.is_writable() {
                floor.unfinished.push_back(index);
            }
            if event.is_readable() {
                floor.serve(index);
            }
        }
        for _ in 0..floor.unfinished.len() {
            if let Some(index) = floor.unfinished.pop_front() {
                floor.go_on(index);
            }
        }
    }
}

struct Connection {
    socket: TcpStream,
    tls: Tls,
    /// The start of a record.
    cipher: Vec<u8>,
    /// Encrypted, but not taken by the socket, and how much of it was taken since.
    unsent: Vec<u8>,
    sent: usize,
    is_upgraded: bool,
    /// Bytes that came and do not make a whole question yet.
    asked_bytes: usize,
    /// Bytes of the responses that are not encrypted yet, and their position in one.
    left_bytes: usize,
    place: usize,
}

impl Connection {
    fn new(socket: TcpStream, tls: Tls) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            tls,
            cipher: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            is_upgraded: false,
            asked_bytes: 0,
            left_bytes: 0,
            place: 0,
        })
    }
}

/// The connections, and the buffers they share.
struct Floor {
    stream: Stream,
    connections: Slab<Connection>,
    unfinished: VecDeque<usize>,
    write_bytes: usize,
    cipher: Vec<u8>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Floor {
    fn new(stream: Stream, write_bytes: usize) -> Self {
        let records = write_bytes.div_ceil(RECORD_PLAINTEXT_BYTES_MAX);
        Self {
            stream,
            connections: Slab::new(),
            unfinished: VecDeque::new(),
            write_bytes,
            cipher: vec![0; READ_BYTES],
            plain: vec![0; write_bytes.max(READ_BYTES) + 64],
            sealed: vec![0; write_bytes + records * RECORD_OVERHEAD_BYTES_MAX],
        }
    }

    fn serve(&mut self, index: usize) {
        match self.receive(index) {
            Ok(true) => self.go_on(index),
            Ok(false) => {}
            Err(_) => drop(self.connections.try_remove(index)),
        }
    }

    fn go_on(&mut self, index: usize) {
        match self.send(index) {
            Ok(true) => self.unfinished.push_back(index),
            Ok(false) => {}
            Err(_) => drop(self.connections.try_remove(index)),
        }
    }

    /// Reads until a read is short. `true`: there is something to send.
    fn receive(&mut self, index: usize) -> Result<bool, Failure> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(false);
        };
        loop {
            let waiting = connection.cipher.len();
            let (front, room) = self.cipher.split_at_mut(waiting);
            front.copy_from_slice(&connection.cipher);
            connection.cipher.clear();
            let count = match connection.socket.read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let front = self.cipher.get(..waiting).unwrap_or_default();
                    connection.cipher.extend_from_slice(front);
                    return Ok(connection.has_to_send());
                }
                Ok(0) => return Err("the end".into()),
                read => read?,
            };
            let is_short = count < room.len();
            let cipher = self.cipher.get_mut(..waiting + count).unwrap_or_default();
            let unsent = &mut connection.unsent;
            let received = connection.tls.receive(cipher, &mut self.plain, unsent)?;
            let rest = cipher.get(received.used..).unwrap_or_default();
            connection.cipher.extend_from_slice(rest);
            if received.plain > 0 {
                connection.ask(&self.stream, received.plain, &mut self.sealed)?;
            }
            if received.eof {
                return connection.end();
            }
            if is_short {
                return Ok(connection.has_to_send());
            }
        }
    }

    /// Encrypts as much as one write is to have, and writes it. `true`: the socket takes more.
    fn send(&mut self, index: usize) -> Result<bool, Failure> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(false);
        };
        if connection.unsent.is_empty() {
            if connection.left_bytes == 0 {
                return Ok(false);
            }
            let count = self.write_bytes.min(connection.left_bytes);
            let plain = self
                .stream
                .piece(connection.place, count, &mut self.plain)?;
            connection.left_bytes -= plain.len();
            connection.place = (connection.place + plain.len()) % self.stream.unit_bytes;
            let cipher = &mut connection.cipher;
            let sealed = connection.tls.encrypt(cipher, plain, &mut self.sealed)?;
            let sealed = self.sealed.get(..sealed).unwrap_or_default();
            let count = write(&mut connection.socket, sealed)?;
            let rest = sealed.get(count..).unwrap_or_default();
            connection.unsent.extend_from_slice(rest);
        } else {
            let unsent = connection.unsent.get(connection.sent..).unwrap_or_default();
            connection.sent += write(&mut connection.socket, unsent)?;
            if connection.sent == connection.unsent.len() {
                connection.unsent.clear();
                connection.sent = 0;
            }
        }
        Ok(connection.unsent.is_empty() && connection.left_bytes > 0)
    }
}

impl Connection {
    const fn has_to_send(&self) -> bool {
        self.left_bytes > 0 || !self.unsent.is_empty()
    }

    /// Answers a close_notify with its own, after all that is encrypted already.
    fn end(&mut self) -> Result<bool, Failure> {
        self.tls.close(&mut self.cipher, &mut self.unsent);
        let unsent = self.unsent.get(self.sent..).unwrap_or_default();
        write(&mut self.socket, unsent)?;
        Err("the end".into())
    }

    /// So many bytes came: whatever they are, there is an answer to them.
    fn ask(&mut self, stream: &Stream, count: usize, room: &mut [u8]) -> Result<(), Failure> {
        match stream.asked {
            Asked::ByRead => self.left_bytes = stream.unit_bytes,
            Asked::ByBytes(_) if !self.is_upgraded => {
                self.is_upgraded = true;
                let sealed = self.tls.encrypt(&mut self.cipher, SWITCHING, room)?;
                self.unsent
                    .extend_from_slice(room.get(..sealed).unwrap_or_default());
            }
            Asked::ByBytes(question_bytes) => {
                self.asked_bytes += count;
                self.left_bytes += self.asked_bytes / question_bytes * stream.unit_bytes;
                self.asked_bytes %= question_bytes;
            }
        }
        Ok(())
    }
}

/// Number of bytes the socket takes now.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
