//! The attacks themselves. Each says when the server was rid of it, if that was before its own end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use edgeloop::proto::ws::frame::{self, Opcode};
use flate2::{Compress, Compression, FlushCompress};

use crate::Target;
use crate::client::{Client, Failure};

type Outcome = Result<Option<Instant>, Failure>;
type Act = fn(&Target) -> Outcome;

pub(crate) const ACTS: [(&str, Act); 19] = [
    ("half handshakes, 500", half_handshakes),
    ("unfinished ClientHellos, 9,000", unfinished_hellos),
    ("idle connects, 9,000 from 200 addresses", idle_connects),
    ("handshake flood", handshake_flood),
    ("slow heads, 500", slow_heads),
    ("slow bodies, 500", slow_bodies),
    ("slow readers, 200", slow_readers),
    ("request flood, pipelined", request_flood),
    ("login flood, wrong passwords", login_flood),
    (
        "login flood, right and wrong, of one address",
        login_fairness,
    ),
    ("JSON bodies, 95 at once", |target| json_bodies(target, 95)),
    ("JSON bodies, 240 at once", |target| {
        json_bodies(target, 240)
    }),
    ("ping flood", ping_flood),
    ("tiny fragments", tiny_fragments),
    ("huge declared lengths", huge_lengths),
    ("deflate bombs", deflate_bombs),
    ("inflating messages, 98 sockets", inflating_messages),
    ("never-reading subscribers, 50", deaf_subscribers),
    ("garbage", garbage),
];

const KEY: [u8; 4] = [1, 2, 3, 4];

/// Fetches a page over a connection that is kept.
pub(crate) fn get(client: &mut Client, path: &str) -> Result<(), Failure> {
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    client.flush()?;
    let response = read_response(client)?;
    if response.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(format!("not 200: {}", response.escape_ascii()).into())
}

/// A whole answer that has a Content-Length.
fn read_response(client: &mut Client) -> Result<Vec<u8>, Failure> {
    let (mut response, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match client.read(&mut piece)? {
            0 => return Err("the server closed".into()),
            count => response.extend(piece.iter().take(count)),
        }
        let text = String::from_utf8_lossy(&response);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() >= length.ok_or("no length")?.parse()? {
            return Ok(response);
        }
    }
}

/// Registers somebody and gives their token.
pub(crate) fn log_in(target: &Target) -> Result<String, Failure> {
    let mut client = target.connect(0)?;
    let user =
        r#"{"name":"A","username":"ann","email":"a@example.org","password":"Correct-Horse-9"}"#;
    for path in ["/register", "/login"] {
        post(&mut client, path, user)?;
        let response = read_response(&mut client)?;
        let text = String::from_utf8_lossy(&response);
        if let Some((_, rest)) = text.split_once("\"token\":\"") {
            return Ok(rest.split('"').next().unwrap_or_default().to_owned());
        }
    }
    Err("no token".into())
}

fn post(client: &mut Client, path: &str, body: &str) -> Result<(), Failure> {
    write!(
        client,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(client.flush()?)
}

/// Waits until the server has ended all of them.
fn await_ends(sockets: &mut [TcpStream]) -> Outcome {
    let mut rest = [0; 65536];
    for socket in sockets {
        loop {
            match socket.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    return Err("the server keeps an attacker".into());
                }
                Err(_) => break,
            }
        }
    }
    Ok(Some(Instant::now()))
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

fn half_handshakes(target: &Target) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..500 {
        let mut socket = target.tcp(number / 80)?;
        socket.write_all(&[22, 3, 1, 2])?;
        sockets.push(socket);
    }
    await_ends(&mut sockets)
}

/// 9,000 ClientHellos that are as long as they may be, and come but for the last bytes, in two pieces. Says what the
/// server holds for each that it has let in.
fn unfinished_hellos(target: &Target) -> Outcome {
    let before = target.resident_kib()?;
    let mut hello = vec![b'x'; 16_000];
    hello
        .iter_mut()
        .zip([22, 3, 1, 0x40, 0, 1, 0, 0x48, 0])
        .for_each(|(byte, begin)| *byte = begin);
    let (first, rest) = hello.split_at(4_000);
    let sockets: Result<Vec<_>, _> = (0..9_000).map(|number| target.tcp(number / 18)).collect();
    let mut sockets = sockets?;
    let mut most = 0;
    for piece in [first, rest] {
        for (number, socket) in sockets.iter_mut().enumerate() {
            // Those that were turned away are part of it.
            socket.write_all(piece).ok();
            if number % 100 == 0 {
                most = most.max(target.resident_kib()?);
            }
        }
        most = most.max(target.resident_kib()?);
    }
    let are_open = sockets.iter().filter(|socket| is_silent(socket));
    let open = are_open.count();
    println!(
        "{open} unfinished ClientHellos of 15.6 KiB take {:.1} KiB each",
        most.saturating_sub(before) as f64 / open.max(1) as f64
    );
    await_ends(&mut sockets)
}

/// Returns `true` if the server has neither said anything nor closed.
fn is_silent(socket: &TcpStream) -> bool {
    let seen = socket
        .set_nonblocking(true)
        .and_then(|()| socket.peek(&mut [0]));
    socket.set_nonblocking(false).is_ok() && seen.is_err_and(|error| is_timeout(&error))
}

fn idle_connects(target: &Target) -> Outcome {
    let sockets: Result<Vec<_>, _> = (0..9_000).map(|number| target.tcp(number / 45)).collect();
    await_ends(&mut sockets?)
}

fn handshake_flood(target: &Target) -> Outcome {
    let mut number = 0;
    while target.goes_on() {
        // Those that are turned away are part of it.
        drop(target.connect(number % 50));
        number += 1;
    }
    Ok(None)
}

/// Many connections that each send what begins a request and then a byte a second.
fn trickle(target: &Target, begin: &str) -> Outcome {
    let mut clients = Vec::new();
    for number in 0..500 {
        let mut client = target.connect(number / 80)?;
        client.write_all(begin.as_bytes())?;
        client.flush()?;
        clients.push(client);
    }
    let patience = Instant::now() + crate::GONE_TIME;
    while Instant::now() < patience {
        thread::sleep(Duration::from_secs(1));
        clients.retain_mut(|client| {
            let has_written = client.write_all(b"x").and_then(|()| client.flush()).is_ok();
            has_written && !has_ended(client)
        });
        if clients.is_empty() {
            return Ok(Some(Instant::now()));
        }
    }
    Err("the server keeps an attacker".into())
}

/// Reads what there is.
fn has_ended(client: &mut Client) -> bool {
    if client.socket.set_nonblocking(true).is_err() {
        return true;
    }
    let mut room = [0; 4096];
    let ended = loop {
        match client.read(&mut room) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break !is_timeout(&error),
        }
    };
    ended || client.socket.set_nonblocking(false).is_err()
}

fn slow_heads(target: &Target) -> Outcome {
    trickle(target, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
}

fn slow_bodies(target: &Target) -> Outcome {
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 1000\r\n\r\n{";
    trickle(target, head)
}

/// They take a byte a second of eight mebibytes each, many times.
fn slow_readers(target: &Target) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..200 {
        let mut client = target.connect(number / 80)?;
        let request = "GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(5);
        client.write_all(request.as_bytes())?;
        client.flush()?;
        sockets.push(client.socket);
    }
    let patience = Instant::now() + crate::GONE_TIME;
    while Instant::now() < patience {
        thread::sleep(Duration::from_secs(1));
        // What is in the kernel's buffers can still be read: gone is who has been reset or ended.
        sockets.retain(|socket| !is_gone(socket));
        if sockets.is_empty() {
            return Ok(Some(Instant::now()));
        }
        for mut socket in &sockets {
            let _taken = socket.read(&mut [0]);
        }
    }
    Err("the server keeps an attacker".into())
}

/// Returns `true` if the server has closed its end, as the kernel knows.
fn is_gone(socket: &TcpStream) -> bool {
    let Ok(local) = socket.local_addr() else {
        return true;
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = format!(":{:04X} ", local.port());
    let lines = table.lines().filter(|line| {
        line.split_whitespace()
            .nth(2)
            .is_some_and(|remote| format!("{remote} ").ends_with(&port))
    });
    // The server's side of it: established is 01.
    !lines
        .into_iter()
        .any(|line| line.split_whitespace().nth(3) == Some("01"))
}

fn request_flood(target: &Target) -> Outcome {
    let mut client = target.connect(1)?;
    let requests = "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    let mut room = vec![0; 256 << 10];
    client.write_all(requests.as_bytes())?;
    client.flush()?;
    let mut left = 0_usize;
    while target.goes_on() {
        left += client.read(&mut room)?;
        // Of answers of about 1,700 bytes.
        if left > 64 * 1_700 {
            left = 0;
            client.write_all(requests.as_bytes())?;
            client.flush()?;
        }
    }
    Ok(None)
}

fn login_flood(target: &Target) -> Outcome {
    let mut number = 0;
    while target.goes_on() {
        let mut client = target.connect(number % 50)?;
        let body = format!(r#"{{"username":"user{number}","password":"Wrong-pass-1"}}"#);
        post(&mut client, "/login", &body)?;
        if number % 4 == 0 {
            read_response(&mut client)?;
        }
        number += 1;
    }
    Ok(None)
}

/// One address has as many logins under way as it can, right ones and guesses; somebody at another one logs in
/// three times a second, and what comes of that is printed.
fn login_fairness(target: &Target) -> Outcome {
    const RIGHT: &str = r#"{"username":"ann","password":"Correct-Horse-9"}"#;
    let flooders: Vec<_> = (0..60)
        .map(|number| {
            let target = target.clone();
            thread::spawn(move || {
                let body = match number % 2 {
                    0 => RIGHT.to_owned(),
                    _ => format!(r#"{{"username":"user{number}","password":"Wrong-pass-1"}}"#),
                };
                while target.goes_on() {
                    // Those that are turned away are part of it.
                    let Ok(mut client) = target.connect(80) else {
                        continue;
                    };
                    while target.goes_on()
                        && post(&mut client, "/login", &body)
                            .and_then(|()| read_response(&mut client))
                            .is_ok()
                    {}
                }
            })
        })
        .collect();
    let mut client = target.connect(81)?;
    let (mut tries, mut done, mut longest) = (0, 0, Duration::ZERO);
    while target.goes_on() {
        let begun = Instant::now();
        post(&mut client, "/login", RIGHT)?;
        done += u32::from(read_response(&mut client)?.starts_with(b"HTTP/1.1 200 "));
        tries += 1;
        longest = longest.max(begun.elapsed());
        thread::sleep(Duration::from_millis(300));
    }
    println!(
        "of {tries} logins of somebody else {done} were answered, the slowest after {longest:.0?}"
    );
    for flooder in flooders {
        flooder.join().map_err(|_| "an attacker panicked")?;
    }
    Ok(None)
}

/// Bodies of as many members as one may have, all of which are complete at the same moment, again and again.
fn json_bodies(target: &Target, count: usize) -> Outcome {
    let members = vec![r#""x":{"y":[0]}"#; (16 << 10) / 14 - 1].join(",");
    let body = format!("{{{members}}}");
    let (most, last) = body.split_at(body.len() - 1);
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{most}",
        body.len()
    );
    let clients: Result<Vec<_>, _> = (0..count)
        .map(|number| target.connect(number / 80))
        .collect();
    let mut clients = clients?;
    while target.goes_on() {
        for bytes in [&*request, last] {
            for client in &mut clients {
                client.write_all(bytes.as_bytes())?;
                client.flush()?;
            }
        }
        for client in &mut clients {
            read_response(client)?;
        }
    }
    Ok(None)
}

/// Sends the same over WebSockets until the server ends each, again and again.
fn flood(target: &Target, bytes: &[u8]) -> Outcome {
    let (mut number, mut longest) = (0, Duration::ZERO);
    let begun = Instant::now();
    while target.goes_on() {
        let mut client = target.socket(number % 50)?;
        let since = Instant::now();
        while client
            .write_all(bytes)
            .and_then(|()| client.flush())
            .is_ok()
            && !has_ended(&mut client)
        {
            if since.elapsed() > crate::GONE_TIME {
                return Err("the server keeps an attacker".into());
            }
        }
        longest = longest.max(since.elapsed());
        number += 1;
    }
    Ok(Some(begun + longest))
}

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_masked(&mut bytes, opcode, payload, KEY);
    bytes
}

fn ping_flood(target: &Target) -> Outcome {
    flood(target, &masked(Opcode::Ping, b"").repeat(100))
}

fn tiny_fragments(target: &Target) -> Outcome {
    let mut part = masked(Opcode::Continuation, b"x");
    // Not the last one.
    if let Some(first) = part.first_mut() {
        *first &= 0x7F;
    }
    let mut begin = masked(Opcode::Text, b"x");
    if let Some(first) = begin.first_mut() {
        *first &= 0x7F;
    }
    flood(target, &[begin, part.repeat(5_000)].concat())
}

fn huge_lengths(target: &Target) -> Outcome {
    let length = (1_u64 << 62).to_be_bytes();
    flood(target, &[&[0x82, 0xFF][..], &length, &KEY, b"x"].concat())
}

/// A compressed message.
fn compressed(data: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut compressed = vec![0; 1 << 20];
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress(data, &mut compressed, FlushCompress::Sync)?;
    compressed.truncate(usize::try_from(compress.total_out())? - 4);
    let mut message = masked(Opcode::Text, &compressed);
    if let Some(first) = message.first_mut() {
        *first |= 0x40;
    }
    Ok(message)
}

fn deflate_bombs(target: &Target) -> Outcome {
    flood(target, &compressed(&vec![0; 256 << 20])?)
}

/// Messages of a KiB each that become as large as a message may be, twenty a second on each of as many sockets
/// as one address may have; who is sent away comes back.
fn inflating_messages(target: &Target) -> Outcome {
    let text = "\\n".repeat((1 << 19) - 32);
    let message = compressed(format!(r#"{{"type":"message","message":"{text}"}}"#).as_bytes())?;
    let mut clients = Vec::new();
    while target.goes_on() {
        // Who has flooded before is closed at the first message, and may not even get in.
        while clients.len() < 98 && target.goes_on() {
            let Ok(client) = target.socket(70) else {
                break;
            };
            clients.push(client);
        }
        clients.retain_mut(|client| {
            let sent = client.write_all(&message).and_then(|()| client.flush());
            sent.is_ok() && !has_ended(client)
        });
        thread::sleep(Duration::from_millis(50));
    }
    Ok(None)
}

/// They join, and somebody else talks.
fn deaf_subscribers(target: &Target) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..50 {
        let mut client = target.socket(number)?;
        client.write_all(&masked(Opcode::Text, br#"{"type":"join"}"#))?;
        client.flush()?;
        sockets.push(client.socket);
    }
    let mut talker = target.socket(60)?;
    talker.write_all(&masked(Opcode::Text, br#"{"type":"join"}"#))?;
    let text = format!(r#"{{"type":"message","message":"{}"}}"#, "x".repeat(4_000));
    for _ in 0..90 {
        talker.write_all(&masked(Opcode::Text, text.as_bytes()))?;
        talker.flush()?;
        has_ended(&mut talker);
    }
    let patience = Instant::now() + crate::GONE_TIME;
    while Instant::now() < patience {
        thread::sleep(Duration::from_millis(500));
        sockets.retain(|socket| !is_gone(socket));
        if sockets.is_empty() {
            return Ok(Some(Instant::now()));
        }
    }
    Err("the server keeps an attacker".into())
}

fn garbage(target: &Target) -> Outcome {
    let mut number = 0_usize;
    while target.goes_on() {
        let mut socket = target.tcp(number % 50)?;
        let bytes: Vec<u8> = (0..2_000)
            .map(|at: usize| (at * 31 + number * 7).to_le_bytes()[0])
            .collect();
        // Whether it takes them all is its own affair.
        socket.write_all(&bytes).ok();
        await_ends(&mut [socket])?;
        number += 1;
    }
    Ok(None)
}
