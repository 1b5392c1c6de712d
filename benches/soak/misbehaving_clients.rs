//! Clients that do not behave: they leave at every stage, send garbage, or do not read.
//!
//! The server's duty even to them is checked: the right rejection, and an end to the connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::StreamOwned;
use serde_json::json;

use crate::accounts::User;
use crate::http::Connection;
use crate::misbehaving_websockets;
use crate::net::{Cut, Target, Tls, passing_address, read_to_end, send_anyway};
use crate::tally::{Failure, Op, Pace, Random, Tally, now};

/// Connections of one worker in a second.
const TURNS_PER_SECOND: u32 = 15;
/// Connections of one worker that are left lying at the same time.
const HELD_MAX: usize = 40;
/// Time that they idle; some longer than the server waits for a handshake.
const HELD_MS: (u64, u64) = (500, 20_000);

/// A misbehaving client, and its means.
pub(crate) struct Rude<'a> {
    pub(crate) target: &'a Target,
    pub(crate) users: &'a [User],
    pub(crate) random: Random,
    held: Vec<Held>,
}

/// A connection nobody reads from or writes to, until it is cut.
struct Held {
    stream: TcpStream,
    until: Instant,
}

type Act = for<'a, 'b> fn(&'b mut Rude<'a>) -> Result<(), Failure>;

/// All that is done, each as often as the others.
const ACTS: [(&str, Act); 17] = [
    ("leave after TCP", leave_after_tcp),
    ("leave in the handshake", leave_in_handshake),
    ("leave after the handshake", leave_after_handshake),
    ("garbage before TLS", garbage_before_tls),
    ("garbage inside TLS", garbage_inside_tls),
    ("garbage HTTP", garbage_http),
    ("known bad HTTP", bad_http),
    ("leave in a head", leave_in_head),
    ("leave in a body", leave_in_body),
    ("leave before the answer", leave_before_answer),
    ("stop reading a download", stop_reading),
    ("half-close", half_close),
    ("head in small pieces", trickle),
    ("leave in a frame", misbehaving_websockets::leave_in_frame),
    ("garbage frames", misbehaving_websockets::garbage_frames),
    ("refused upgrades", misbehaving_websockets::rejected),
    (
        "deaf or flooding member",
        misbehaving_websockets::bad_member,
    ),
];

/// Misbehaves until the end of the run.
pub(crate) fn run(target: &Target, tally: &Tally, users: &[User], seed: u64) {
    let mut rude = Rude {
        target,
        users,
        random: Random::new(seed),
        held: Vec::new(),
    };
    let mut pace = Pace::per_second(TURNS_PER_SECOND);
    while !tally.is_stopping() {
        pace.wait();
        rude.release();
        let Some((name, act)) = rude.random.pick(&ACTS) else {
            continue;
        };
        match act(&mut rude) {
            Ok(()) => tally.add(Op::Rude, 1),
            Err(error) => tally.error("rude", &format!("{name}: {error}")),
        }
    }
}

impl Rude<'_> {
    pub(crate) fn connect(&mut self) -> Result<Connection, Failure> {
        let from = passing_address(&mut self.random);
        Connection::open(self.target, from, &mut self.random)
    }

    fn tls(&mut self) -> Result<Tls, Failure> {
        let from = passing_address(&mut self.random);
        self.target.tls(from, &mut self.random)
    }

    fn tcp(&mut self) -> Result<TcpStream, Failure> {
        let from = passing_address(&mut self.random);
        let tcp = self.target.tcp(from);
        tcp.map_err(|error| format!("connect from {from}: {error}").into())
    }

    /// Cuts a connection now or lets it lie for a while.
    pub(crate) fn abandon(&mut self, stream: Tls) {
        if self.random.below(4) == 0 {
            self.hold(stream.sock);
        } else {
            Cut::any(&mut self.random).tls(stream);
        }
    }

    /// Neither reads nor writes any more, for a while.
    pub(crate) fn hold(&mut self, stream: TcpStream) {
        if self.held.len() >= HELD_MAX {
            Cut::Reset.tcp(stream);
            return;
        }
        let until = now() + self.random.millis(HELD_MS.0, HELD_MS.1);
        self.held.push(Held { stream, until });
    }

    fn release(&mut self) {
        let at = now();
        for held in self.held.extract_if(.., |held| held.until <= at) {
            Cut::any(&mut self.random).tcp(held.stream);
        }
    }

    /// Some of the first bytes, at least one of them missing.
    pub(crate) fn part<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let count = self.random.below(bytes.len());
        bytes.get(..count).unwrap_or_default()
    }
}

fn leave_after_tcp(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let stream = rude.tcp()?;
    if rude.random.below(4) == 0 {
        rude.hold(stream);
    } else {
        Cut::any(&mut rude.random).tcp(stream);
    }
    Ok(())
}

fn leave_in_handshake(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut stream = rude.tcp()?;
    let mut session = rude.target.session(&mut rude.random)?;
    let mut hello = Vec::new();
    session.write_tls(&mut hello)?;
    match rude.random.below(3) {
        0 => stream.write_all(rude.part(&hello))?,
        1 => {
            // A whole record with a part of the message in it, and then perhaps garbage.
            let part = rude.part(hello.get(5..).unwrap_or_default()).to_vec();
            let length = u16::try_from(part.len())?.to_be_bytes();
            let garbage = rude.random.below(2) * 20;
            let garbage = rude.random.bytes(garbage);
            let record = [&[22, 3, 1][..], &length, &part, &garbage].concat();
            stream.write_all(&record)?;
        }
        _ => {
            // The server's part is read, and what is due next is not sent.
            stream.write_all(&hello)?;
            session.read_tls(&mut stream)?;
            session.process_new_packets()?;
        }
    }
    let stream = StreamOwned::new(session, stream);
    rude.abandon(stream);
    Ok(())
}

fn leave_after_handshake(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let stream = rude.tls()?;
    rude.abandon(stream);
    Ok(())
}

fn garbage_before_tls(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut stream = rude.tcp()?;
    let count = 100 + rude.random.below(3_000);
    let mut garbage = match rude.random.below(3) {
        0 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        1 => rude.random.bytes(count),
        // A record of a handshake that holds none.
        _ => [
            &[22, 3, 1, 1, 0][..],
            rude.random.bytes(count.max(300)).as_slice(),
        ]
        .concat(),
    };
    // No random bytes are the beginning of a record that has yet to come.
    if let Some(first) = garbage
        .first_mut()
        .filter(|first| (20..=24).contains(*first))
        && *first != 22
    {
        *first = 0;
    }
    send_anyway(&mut stream, &garbage);
    read_to_end(&mut stream).map(drop)
}

fn garbage_inside_tls(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut stream = rude.tls()?;
    // A record of application data that no key of ours has made.
    let mut record = vec![23, 3, 3, 1, 0];
    record.extend(rude.random.bytes(256));
    send_anyway(&mut stream.sock, &record);
    read_to_end(&mut stream).map(drop)
}

/// The answer to what is not HTTP: a refusal, if any, and the end.
fn expect_refusal(connection: Connection, sent: &[u8]) -> Result<(), Failure> {
    let (mut stream, _) = connection.into_parts();
    send_anyway(&mut stream, sent);
    let response = read_to_end(&mut stream)?;
    let response = String::from_utf8_lossy(&response);
    let status = response.strip_prefix("HTTP/1.1 ");
    let status = status.and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    match status {
        Some(400..=499 | 501 | 505) => Ok(()),
        None if response.is_empty() => Ok(()),
        _ => {
            let sent: Vec<u8> = sent.iter().copied().take(200).collect();
            let sent = String::from_utf8_lossy(&sent).into_owned();
            Err(format!("wanted a refusal of {sent:?}, got {response:?}").into())
        }
    }
}

fn garbage_http(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let connection = rude.connect()?;
    let count = 1 + rude.random.below(8_000);
    // Never the beginning of an empty line, which may come before a request.
    let garbage = [b"\0", rude.random.bytes(count).as_slice(), b"\r\n\r\n"].concat();
    expect_refusal(connection, &garbage)
}

fn bad_http(rude: &mut Rude<'_>) -> Result<(), Failure> {
    const HOST: &str = "Host: localhost\r\n";
    let (long_field, long_target) = ("x".repeat(80 << 10), "a".repeat(9 << 10));
    let bad = [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET  / HTTP/1.1\r\n{HOST}\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}{HOST}\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}a : b\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}a: b\r\n c\r\n\r\n"),
        format!("GET / HTTP/1.1\n{HOST}\r\n"),
        format!("GET / HTTP/9.9\r\n{HOST}\r\n"),
        format!("GET /{long_target} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{HOST}a: {long_field}\r\n\r\n"),
        format!(
            "GET / HTTP/1.1\r\n{HOST}{}Connection: close\r\n\r\n",
            "a: b\r\n".repeat(200)
        ),
        format!("POST /login HTTP/1.1\r\n{HOST}Content-Length: 2x\r\n\r\n{{}}"),
        format!("POST /login HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
        format!(
            "POST /login HTTP/1.1\r\n{HOST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{{}}"
        ),
        format!("POST /login HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n"),
        format!("POST /login HTTP/1.1\r\n{HOST}Content-Length: 99999999\r\n\r\n"),
    ];
    let connection = rude.connect()?;
    let Some(bad) = rude.random.pick(&bad) else {
        return Ok(());
    };
    expect_refusal(connection, bad.as_bytes())
}

fn leave_in_head(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut connection = rude.connect()?;
    let request = connection.request_bytes("GET /chat", "Accept: text/html\r\n", "");
    let part = rude.part(request.as_bytes());
    connection.send(part)?;
    rude.abandon(connection.into_parts().0);
    Ok(())
}

fn leave_in_body(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut connection = rude.connect()?;
    let body = "x".repeat(1 + rude.random.below(100_000));
    let fields = "Content-Type: application/json\r\n";
    let request = connection.request_bytes("POST /register", fields, &body);
    let head = request.len() - body.len();
    let sent = head + rude.random.below(body.len());
    connection.send(request.as_bytes().get(..sent).unwrap_or_default())?;
    rude.abandon(connection.into_parts().0);
    Ok(())
}

/// Asks for what takes a while, and is gone when it is there.
fn leave_before_answer(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut connection = rude.connect()?;
    if rude.random.below(4) == 0 {
        let name = format!("gone-{:x}", rude.random.next());
        let fields = "Content-Type: application/json\r\n";
        let body = json!({"username": name, "password": "Wrong-Horse-99"}).to_string();
        let request = connection.request_bytes("POST /login", fields, &body);
        connection.send(request.as_bytes())?;
    } else {
        let request = connection.request_bytes("GET /chat", "", "");
        connection.send(request.repeat(30).as_bytes())?;
    }
    rude.abandon(connection.into_parts().0);
    Ok(())
}

fn stop_reading(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut connection = rude.connect()?;
    let request = connection.request_bytes("GET /large.bin", "", "");
    connection.send(request.as_bytes())?;
    let (mut stream, _) = connection.into_parts();
    // The first half.
    let (mut left, mut buffer) = (1_500_000_usize, [0; 16 << 10]);
    while left > 0 {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err("a download was cut short".into());
        }
        left = left.saturating_sub(count);
    }
    rude.abandon(stream);
    Ok(())
}

/// Says that no more requests come, and waits for the answers, which are due all the same.
fn half_close(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut connection = rude.connect()?;
    let request = connection.request_bytes("GET /chat", "", "");
    connection.send(request.repeat(3).as_bytes())?;
    let (mut stream, _) = connection.into_parts();
    if rude.random.below(2) == 0 {
        stream.conn.send_close_notify();
        stream.conn.write_tls(&mut stream.sock)?;
    }
    stream.sock.shutdown(std::net::Shutdown::Write)?;
    let responses = read_to_end(&mut stream)?;
    let count = String::from_utf8_lossy(&responses)
        .matches("HTTP/1.1 200 OK\r\n")
        .count();
    if count != 3 {
        return Err(format!("wanted 3 answers after a half-close, got {count}").into());
    }
    Ok(())
}

/// A slow client is no bad client.
fn trickle(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut connection = rude.connect()?;
    let request = connection.request_bytes("GET /", "", "");
    let piece = 1 + rude.random.below(20);
    for bytes in request.as_bytes().chunks(piece) {
        connection.send(bytes)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    connection
        .respond(false)?
        .expect("a head in pieces", 200)
        .map(drop)
}
