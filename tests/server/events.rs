//! The example `events`, as a program: server-sent events, a long poll, an upload of a size nobody
//! would hold in memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::command::Guarded;

/// The example, for as long as it is held, and its address.
fn start() -> (Guarded, String) {
    // Cargo builds the examples along with the tests, beside the command.
    let program = Path::new(env!("CARGO_BIN_EXE_edgeloop")).with_file_name("examples/events");
    assert!(program.exists(), "to be built with: cargo build --examples");
    let mut command = Command::new(program);
    command.arg("127.0.0.1:0").stderr(Stdio::piped());
    let mut child = Guarded::spawn(&mut command);
    let mut line = String::new();
    let stderr = child.0.stderr.take().unwrap();
    BufReader::new(stderr).read_line(&mut line).unwrap();
    let address = line.trim().rsplit('/').nth(1).expect("an address");
    let address = address.to_owned();
    (child, address)
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) {
        let len = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{body}"
        ));
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    /// Status and fields.
    fn head(&mut self) -> Vec<String> {
        let lines = std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty()));
        lines.collect()
    }

    /// The data of the next chunk.
    fn chunk(&mut self) -> String {
        let len = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut data = vec![0; len];
        self.0.read_exact(&mut data).unwrap();
        assert_eq!(self.line(), "");
        String::from_utf8(data).unwrap()
    }
}

#[test]
fn what_is_said_reaches_streams_and_polls() {
    let (_child, address) = start();
    let mut streams: Vec<Client> = (0..3).map(|_| Client::new(&address)).collect();
    for stream in &mut streams {
        stream.ask("GET", "/events", "");
        let head = stream.head();
        assert_eq!(head[0], "HTTP/1.1 200 OK");
        assert!(head.contains(&"Transfer-Encoding: chunked".to_owned()));
        assert!(head.contains(&"Content-Type: text/event-stream".to_owned()));
    }
    let mut poll = Client::new(&address);
    let mut speaker = Client::new(&address);
    for n in 0..20 {
        // In one connection a request before it tells that the poll was read.
        poll.ask("GET", "/nothing", "");
        poll.ask("GET", "/next", "");
        assert_eq!(poll.head()[0], "HTTP/1.1 404 Not Found");
        speaker.ask("POST", "/say", &format!("{n}"));
        assert_eq!(speaker.head()[0], "HTTP/1.1 204 No Content");
        let event = format!("data: {n}\n\n");
        for stream in &mut streams {
            assert_eq!(stream.chunk(), event);
        }
        assert_eq!(poll.head()[0], "HTTP/1.1 200 OK");
        let mut said = vec![0; event.len()];
        poll.0.read_exact(&mut said).unwrap();
        assert_eq!(said, event.as_bytes());
    }
    speaker.ask("POST", "/say", "two\nlines");
    assert_eq!(speaker.head()[0], "HTTP/1.1 400 Bad Request");
}

#[test]
fn an_upload_is_counted_and_not_kept() {
    const MIB: usize = 1 << 20;
    let (child, address) = start();
    let mut client = Client::new(&address);
    let piece = "x".repeat(MIB);
    client.send("PUT /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n");
    client.send("Expect: 100-continue\r\n\r\n");
    assert_eq!(client.head(), ["HTTP/1.1 100 Continue"]);
    for _ in 0..256 {
        client.send(&format!("{MIB:x}\r\n"));
        client.send(&piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.head()[0], "HTTP/1.1 200 OK");
    assert_eq!(client.line(), "268435456 bytes\n");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.0.id())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib: usize = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 64 * 1024, "{peak}");
}
