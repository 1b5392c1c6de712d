//! One connection under load.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustls::ClientConnection;

use crate::client::{Client, Failure};
use crate::job::Job;

/// A connection, and when each operation under way on it was begun.
pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    job: Job,
    begun: VecDeque<Instant>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(client: Client, job: Job) -> Result<Self, Failure> {
        let Client { socket, mut tls } = client;
        socket.set_nonblocking(true)?;
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(None);
        }
        Ok(Self {
            socket: TcpStream::from_std(socket),
            tls,
            job,
            begun: VecDeque::new(),
            input: Vec::new(),
            output: Vec::new(),
        })
    }

    pub(crate) const fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Begins so many operations, all in one write.
    pub(crate) fn ask(&mut self, count: usize) -> Result<(), Failure> {
        let now = Instant::now();
        for _ in 0..count {
            self.begun.push_back(now);
            self.output.extend_from_slice(self.job.request());
        }
        self.send()
    }

    /// Takes the answers there are, and asks again for each.
    pub(crate) fn turn(&mut self, latencies: &mut Vec<Duration>) -> Result<(), Failure> {
        self.receive()?;
        let now = Instant::now();
        let (mut done, mut count) = (0, 0);
        while let Some(rest) = self.input.get(done..).filter(|rest| !rest.is_empty()) {
            let Some(bytes) = self.job.answer_bytes(rest)? else {
                break;
            };
            let begun = self.begun.pop_front().ok_or("an answer nobody asked for")?;
            latencies.push(now.duration_since(begun));
            done += bytes;
            count += 1;
        }
        self.input.drain(..done);
        self.ask(count)
    }

    /// Reads all there is.
    fn receive(&mut self) -> Result<(), Failure> {
        let Some(tls) = &mut self.tls else {
            return read_all(&mut self.socket, &mut self.input);
        };
        loop {
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            tls.process_new_packets()?;
            read_all(&mut tls.reader(), &mut self.input)?;
        }
    }

    /// Writes what the socket takes; an event says when it takes more.
    fn send(&mut self) -> Result<(), Failure> {
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
                tls.writer().write_all(&self.output)?;
                self.output.clear();
                while tls.wants_write() && blocked(tls.write_tls(&mut self.socket))?.is_some() {}
            }
        }
        Ok(())
    }
}

fn read_all(from: &mut impl Read, input: &mut Vec<u8>) -> Result<(), Failure> {
    let mut piece = [0; 16 << 10];
    loop {
        match blocked(from.read(&mut piece))? {
            None => return Ok(()),
            Some(0) => return Err("the server closed the connection".into()),
            Some(count) => input.extend(piece.iter().take(count)),
        }
    }
}

/// `None` instead of an error when the socket can do no more now.
fn blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
