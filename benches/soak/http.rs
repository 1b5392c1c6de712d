//! A client that checks every answer.

use std::fmt;
use std::io::{Read, Write};
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::net::{Target, Tls, is_timeout};
use crate::tally::{Failure, PATIENCE, Random};

/// One keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Tls,
    host: String,
    received: Vec<u8>,
    /// Bytes of `received` that have been read.
    taken: usize,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(
        target: &Target,
        from: Ipv4Addr,
        random: &mut Random,
    ) -> Result<Self, Failure> {
        Ok(Self {
            stream: target.tls(from, random)?,
            host: target.host().to_owned(),
            received: Vec::new(),
            taken: 0,
        })
    }

    /// The stream, with what was received and not looked at.
    pub(crate) fn into_parts(self) -> (Tls, Vec<u8>) {
        let rest = self.received.into_iter().skip(self.taken).collect();
        (self.stream, rest)
    }

    /// A request as bytes.
    pub(crate) fn request_bytes(&self, line: &str, fields: &str, body: &str) -> String {
        let host = &self.host;
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}{length}\r\n{body}")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush());
        sent.map_err(|error| format!("the server takes no bytes: {error}").into())
    }

    /// Sends a request and reads its answer. `line` is method and target, `fields` are whole lines.
    pub(crate) fn ask(
        &mut self,
        line: &str,
        fields: &str,
        body: &str,
    ) -> Result<Response, Failure> {
        let bytes = self.request_bytes(line, fields, body);
        self.send(bytes.as_bytes())?;
        let response = self.respond(line.starts_with("HEAD "));
        response.map_err(|error| format!("{line}: {error}").into())
    }

    pub(crate) fn post(&mut self, target: &str, body: &Value) -> Result<Response, Failure> {
        let line = format!("POST {target}");
        self.ask(
            &line,
            "Content-Type: application/json\r\n",
            &body.to_string(),
        )
    }

    /// The next answer; one to `HEAD` has no body.
    pub(crate) fn respond(&mut self, is_to_head: bool) -> Result<Response, Failure> {
        let mut seen = self.taken;
        let end = loop {
            let from = seen.saturating_sub(3).max(self.taken);
            let fresh = self.received.get(from..).unwrap_or_default();
            if let Some(at) = fresh.windows(4).position(|four| four == b"\r\n\r\n") {
                break from + at + 4;
            }
            seen = self.received.len();
            self.receive()?;
        };
        let head = self.received.get(self.taken..end).unwrap_or_default();
        let mut response = Response::parse(head)?;
        self.taken = end;
        let length = response.length(is_to_head)?;
        while self.received.len() < end + length {
            self.receive()?;
        }
        let body = self.received.get(end..end + length).unwrap_or_default();
        response.body = body.to_vec();
        self.taken = end + length;
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
        Ok(response)
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 16 << 10];
        let got = match self.stream.read(&mut buffer) {
            Ok(0) => "the server closed".to_owned(),
            Ok(count) => {
                self.received.extend(buffer.iter().take(count));
                return Ok(());
            }
            Err(error) if is_timeout(&error) => format!("nothing for {PATIENCE:?}"),
            Err(error) => error.to_string(),
        };
        let kept = self.received.iter().skip(self.taken).copied().take(200);
        let kept = String::from_utf8_lossy(&kept.collect::<Vec<u8>>()).into_owned();
        Err(format!("wanted an answer, got: {got}, after {kept:?}").into())
    }
}

impl Response {
    fn parse(head: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(head)?;
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|line| line.split(' ').next()?.parse().ok())
            .ok_or_else(|| format!("wanted a status line, got {text:?}"))?;
        let fields = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .ok_or_else(|| format!("wanted a field line, got {line:?}"))?;
                Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Self {
            status,
            fields,
            body: Vec::new(),
        })
    }

    fn length(&self, is_to_head: bool) -> Result<usize, Failure> {
        if is_to_head || matches!(self.status, 101 | 204 | 304) {
            return Ok(0);
        }
        let length = self.field("content-length");
        let length = length.ok_or_else(|| format!("wanted Content-Length in {self}"))?;
        Ok(length.parse()?)
    }

    /// The value of a field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns `true` if the server ends the connection after this.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }

    /// Checks the status.
    pub(crate) fn expect(self, what: &str, status: u16) -> Result<Self, Failure> {
        if self.status == status {
            return Ok(self);
        }
        Err(format!("{what}: wanted {status}, got {self}").into())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| format!("wanted JSON, got {self}: {error}").into())
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: Vec<u8> = self.body.iter().copied().take(200).collect();
        let body = String::from_utf8_lossy(&body);
        write!(f, "{} {:?} {body:?}", self.status, self.fields)
    }
}
