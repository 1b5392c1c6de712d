//! The floor under a broadcast: each message is encrypted for everybody else and written, and that is all.
//!
//! No request is looked at but for its end, no time is kept, nothing is bounded, and no message is held
//! for somebody who does not take it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use edgeloop::proto::tls::{RECORD_OVERHEAD_BYTES_MAX, RECORD_PLAINTEXT_BYTES_MAX, Tls};
use edgeloop::proto::ws::frame::{self, Header};
use edgeloop::proto::ws::mask;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use slab::Slab;

use crate::Failure;

const LISTENER: Token = Token(usize::MAX);
/// The answer to the upgrade of our clients, whose key is always the same.
pub(crate) const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// The largest message, with its head: one record.
const MESSAGE_BYTES_MAX: usize = RECORD_PLAINTEXT_BYTES_MAX;

struct Connection {
    socket: TcpStream,
    tls: Tls,
    /// The start of a record.
    cipher: Vec<u8>,
    /// The start of a request, or of a frame.
    input: Vec<u8>,
    is_open: bool,
}

struct Floor {
    connections: Slab<Connection>,
    cipher: Vec<u8>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    frame: Vec<u8>,
}

/// Serves until the process ends; `tell` is told where.
pub(crate) fn serve(
    config: Arc<ServerConfig>,
    tell: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut floor = Floor {
        connections: Slab::new(),
        cipher: vec![0; 64 << 10],
        plain: vec![0; 64 << 10],
        sealed: vec![0; MESSAGE_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX],
        frame: Vec::new(),
    };
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    tell(listener.local_addr()?)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            let Token(index) = event.token();
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    let entry = floor.connections.vacant_entry();
                    poll.registry().register(
                        &mut socket,
                        Token(entry.key()),
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    entry.insert(Connection {
                        socket,
                        tls: Tls::new(Arc::clone(&config))?,
                        cipher: Vec::new(),
                        input: Vec::new(),
                        is_open: false,
                    });
                }
            } else if event.is_readable() && floor.receive(index).is_err() {
                floor.connections.try_remove(index);
            }
        }
    }
}

impl Floor {
    /// Reads until a read is short, and sends on what came.
    fn receive(&mut self, index: usize) -> Result<(), Failure> {
        loop {
            let Some(connection) = self.connections.get_mut(index) else {
                return Ok(());
            };
            let waiting = connection.cipher.len();
            let (front, room) = self.cipher.split_at_mut(waiting);
            front.copy_from_slice(&connection.cipher);
            connection.cipher.clear();
            let count = match connection.socket.read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let front = self.cipher.get(..waiting).unwrap_or_default();
                    connection.cipher.extend_from_slice(front);
                    return Ok(());
                }
                Ok(0) => return Err("the end".into()),
                read => read?,
            };
            let is_short = count < room.len();
            let cipher = self.cipher.get_mut(..waiting + count).unwrap_or_default();
            let mut response = Vec::new();
            let received = connection
                .tls
                .receive(cipher, &mut self.plain, &mut response)?;
            let rest = cipher.get(received.used..).unwrap_or_default();
            connection.cipher.extend_from_slice(rest);
            connection.socket.write_all(&response)?;
            let plain = self.plain.get(..received.plain).unwrap_or_default();
            connection.input.extend_from_slice(plain);
            self.handle(index)?;
            if received.eof {
                return Err("the end".into());
            }
            if is_short {
                return Ok(());
            }
        }
    }

    fn handle(&mut self, index: usize) -> Result<(), Failure> {
        loop {
            let Some(connection) = self.connections.get_mut(index) else {
                return Ok(());
            };
            if !connection.is_open {
                if connection.input.ends_with(b"\r\n\r\n") {
                    connection.input.clear();
                    connection.is_open = true;
                    connection.send(SWITCHING, &mut self.sealed)?;
                }
                return Ok(());
            }
            let Some((header, head_bytes)) = Header::decode(&connection.input)? else {
                return Ok(());
            };
            let end = head_bytes + usize::try_from(header.payload_bytes)?;
            let Some(payload) = connection.input.get_mut(head_bytes..end) else {
                return Ok(());
            };
            mask::apply(payload, header.mask_key.ok_or("not masked")?);
            self.frame.clear();
            frame::encode(&mut self.frame, header.opcode, payload);
            connection.input.drain(..end);
            for (other, connection) in &mut self.connections {
                if other != index && connection.is_open {
                    connection.send(&self.frame, &mut self.sealed)?;
                }
            }
        }
    }
}

impl Connection {
    fn send(&mut self, plain: &[u8], room: &mut [u8]) -> Result<(), Failure> {
        let count = self.tls.encrypt(&mut self.cipher, plain, room)?;
        let sealed = room.get(..count).unwrap_or_default();
        match self.socket.write(sealed) {
            Ok(taken) if taken == count => Ok(()),
            Ok(_) => Err("a socket is full: the floor is for peers that read".into()),
            Err(error) => Err(io::Error::into(error)),
        }
    }
}
