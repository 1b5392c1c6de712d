//! The floor under our figures: what TLS and the kernel cost with no server between them.
//!
//! ```text
//! cargo bench --bench floor -- cert.pem key.pem --bytes 13
//! cargo bench --bench floor -- cert.pem key.pem --file big.bin
//! ```
//!
//! An edge-triggered loop that answers whatever one read brings with the same bytes: no request is
//! looked at, no time is kept, nothing is bounded. With `--file` the bytes are read again for each answer,
//! as the kernel has them. Only `benches/load` at depth 1 gets on with it.

#![allow(
    clippy::print_stdout,
    reason = "the port is printed for whoever starts it"
)]

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use edgeloop::proto::tls::{RECORD_OVERHEAD_BYTES_MAX, RECORD_PLAINTEXT_BYTES_MAX, Tls};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use slab::Slab;

type Failure = Box<dyn Error + Send + Sync>;

/// Answers every read over TLS with the same bytes.
#[derive(Debug, Parser)]
struct Args {
    /// PEM file with the certificate.
    cert: PathBuf,
    /// PEM file with its key.
    key: PathBuf,
    /// Bytes of content of each answer.
    #[arg(long, default_value_t = 13)]
    bytes: usize,
    /// A file that is the content instead.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The most plaintext in one write.
    #[arg(long, default_value_t = 128 << 10)]
    write_bytes: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const LISTENER: Token = Token(usize::MAX);

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let chain = CertificateDer::pem_file_iter(&args.cert)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&args.key)?;
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key)?);
    let mut floor = Floor::new(&args)?;
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let patience = (!floor.unfinished.is_empty()).then_some(std::time::Duration::ZERO);
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
    /// How much of the answer is not encrypted yet.
    left_bytes: usize,
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
            left_bytes: 0,
        })
    }
}

/// The answer, the connections, and the buffers they share.
struct Floor {
    connections: Slab<Connection>,
    unfinished: VecDeque<usize>,
    /// The answer, or the part of it that comes before the file.
    answer: Vec<u8>,
    file: Option<File>,
    answer_bytes: usize,
    write_bytes: usize,
    cipher: Vec<u8>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Floor {
    fn new(args: &Args) -> Result<Self, Failure> {
        let file = args.file.as_ref().map(File::open).transpose()?;
        let content_bytes = match &file {
            Some(file) => usize::try_from(file.metadata()?.len())?,
            None => args.bytes,
        };
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {content_bytes}\r\n\r\n").into_bytes();
        let answer_bytes = answer.len() + content_bytes;
        if file.is_none() {
            answer.resize(answer_bytes, b'x');
        }
        let records = args.write_bytes.div_ceil(RECORD_PLAINTEXT_BYTES_MAX);
        Ok(Self {
            connections: Slab::new(),
            unfinished: VecDeque::new(),
            answer,
            file,
            answer_bytes,
            write_bytes: args.write_bytes,
            cipher: vec![0; 64 << 10],
            plain: vec![0; args.write_bytes.max(64 << 10) + 64],
            sealed: vec![0; args.write_bytes + records * RECORD_OVERHEAD_BYTES_MAX],
        })
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
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
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
                connection.left_bytes = self.answer_bytes;
            }
            if is_short {
                return Ok(connection.left_bytes > 0 || !connection.unsent.is_empty());
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
            let done = self.answer_bytes - connection.left_bytes;
            let room = self.write_bytes.min(connection.left_bytes);
            let plain = match (self.answer.get(done..), &self.file) {
                (Some(rest), _) if !rest.is_empty() => {
                    rest.get(..room.min(rest.len())).unwrap_or_default()
                }
                (_, Some(file)) => {
                    let offset = done - self.answer.len();
                    // Some processors copy several times slower to just behind a page's start.
                    let skip = self.plain.as_ptr().align_offset(64);
                    let piece = self.plain.get_mut(skip..skip + room).unwrap_or_default();
                    file.read_exact_at(piece, offset as u64)?;
                    piece
                }
                _ => return Ok(false),
            };
            connection.left_bytes -= plain.len();
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

/// How many bytes the socket takes now.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
