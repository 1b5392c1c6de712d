//! One connection under load.

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustls::ClientConnection;

use crate::client::{Client, Failure};
use crate::job::{Answer, Job};

/// How many reads a connection gets before it is another's turn.
const READS_PER_TURN: usize = 4;

/// A connection, and when each operation under way on it was begun.
pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    answers: Answers,
    output: Vec<u8>,
}

/// What came, for all connections together.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) latencies: Vec<Duration>,
    /// Of content: heads and TLS are not counted.
    pub(crate) content_bytes: u64,
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
            answers: Answers::new(job),
            output: Vec::new(),
        })
    }

    pub(crate) const fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// How much of the answer being read is here, from 0 to 1.
    pub(crate) fn progress(&self) -> f64 {
        self.answers.progress()
    }

    /// Begins so many operations, all in one write.
    pub(crate) fn ask(&mut self, count: usize) -> Result<(), Failure> {
        let now = Instant::now();
        for _ in 0..count {
            self.answers.begun.push_back(now);
            self.output.extend_from_slice(self.answers.job.request());
        }
        self.send()
    }

    /// Takes the answers there are, and asks again for each. `false`: there may be more.
    pub(crate) fn turn(&mut self, room: &mut [u8], tally: &mut Tally) -> Result<bool, Failure> {
        let before = tally.latencies.len();
        let mut is_drained = false;
        for _ in 0..READS_PER_TURN {
            let Some(count) = blocked(self.socket.read(room))? else {
                is_drained = true;
                break;
            };
            if count == 0 {
                return Err("the server closed the connection".into());
            }
            let is_short = count < room.len();
            self.receive(room.get(..count).unwrap_or_default(), tally)?;
            if is_short {
                is_drained = true;
                break;
            }
        }
        self.ask(tally.latencies.len() - before)?;
        Ok(is_drained)
    }

    fn receive(&mut self, mut bytes: &[u8], tally: &mut Tally) -> Result<(), Failure> {
        let now = Instant::now();
        let Some(tls) = &mut self.tls else {
            return self.answers.take(bytes, now, tally);
        };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            tls.process_new_packets()?;
            let mut reader = tls.reader();
            while let Some(plain) = some(reader.fill_buf())? {
                let count = plain.len();
                self.answers.take(plain, now, tally)?;
                reader.consume(count);
            }
        }
        Ok(())
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

/// Reads answers as they come, without holding what is in them.
struct Answers {
    job: Job,
    begun: VecDeque<Instant>,
    /// The start of a head.
    head: Vec<u8>,
    /// The content of the answer being read, and how much of it is still to come.
    content_bytes: u64,
    left_bytes: u64,
}

impl Answers {
    fn new(job: Job) -> Self {
        Self {
            job,
            begun: VecDeque::new(),
            head: Vec::new(),
            content_bytes: 0,
            left_bytes: 0,
        }
    }

    fn progress(&self) -> f64 {
        if self.left_bytes == 0 {
            return 0.0;
        }
        1.0 - self.left_bytes as f64 / self.content_bytes as f64
    }

    /// Reads what came, as of `now`.
    fn take(&mut self, input: &[u8], now: Instant, tally: &mut Tally) -> Result<(), Failure> {
        if self.head.is_empty() {
            let used = self.read(input, now, tally)?;
            self.head
                .extend_from_slice(input.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut joined = std::mem::take(&mut self.head);
        joined.extend_from_slice(input);
        let used = self.read(&joined, now, tally)?;
        joined.drain(..used);
        self.head = joined;
        Ok(())
    }

    /// Returns how much of `input` is done with: the rest is the start of a head.
    fn read(&mut self, input: &[u8], now: Instant, tally: &mut Tally) -> Result<usize, Failure> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let here = rest
                .len()
                .min(usize::try_from(self.left_bytes).unwrap_or(usize::MAX));
            used += here;
            tally.content_bytes += here as u64;
            if self.left_bytes > 0 {
                self.left_bytes -= here as u64;
                if self.left_bytes > 0 {
                    return Ok(used);
                }
                self.end(now, tally)?;
            }
            let rest = input.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(used);
            }
            let Some(answer) = self.job.answer(rest)? else {
                return Ok(used);
            };
            let Answer {
                head_bytes,
                content_bytes,
            } = answer;
            used += head_bytes;
            self.content_bytes = content_bytes;
            self.left_bytes = content_bytes;
            if content_bytes == 0 {
                self.end(now, tally)?;
            }
        }
    }

    fn end(&mut self, now: Instant, tally: &mut Tally) -> Result<(), Failure> {
        let begun = self.begun.pop_front().ok_or("an answer nobody asked for")?;
        tally.latencies.push(now.saturating_duration_since(begun));
        Ok(())
    }
}

/// `None` when the TLS connection has no more plaintext now.
fn some(plain: io::Result<&[u8]>) -> Result<Option<&[u8]>, Failure> {
    match plain {
        Ok([]) => Err("the server closed the connection".into()),
        Ok(plain) => Ok(Some(plain)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `None` instead of an error when the socket can do no more now.
fn blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
