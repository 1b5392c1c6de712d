//! What is asked, and how long an answer is.

use std::sync::Arc;

use edgeloop::proto::ws::frame::{self, Header, Opcode};

use crate::client::Failure;

/// One operation, the same every time.
#[derive(Clone)]
pub(crate) struct Job {
    request: Arc<[u8]>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Get,
    Echo { bytes: usize },
}

impl Job {
    /// Fetches a path.
    pub(crate) fn get(host: &str, path: &str) -> Self {
        Self {
            request: format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
                .into_bytes()
                .into(),
            kind: Kind::Get,
        }
    }

    /// Sends a binary message of so many bytes and awaits it back.
    pub(crate) fn echo(bytes: usize) -> Self {
        let mut request = Vec::new();
        let payload = vec![b'x'; bytes];
        frame::encode_masked(&mut request, Opcode::Binary, &payload, [1, 2, 3, 4]);
        Self {
            request: request.into(),
            kind: Kind::Echo { bytes },
        }
    }

    /// The bytes that ask for it.
    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }

    /// How many bytes of `input` are one whole answer; `None` if it is not whole.
    pub(crate) fn answer_bytes(&self, input: &[u8]) -> Result<Option<usize>, Failure> {
        let answer_bytes = match self.kind {
            Kind::Get => http_answer_bytes(input)?,
            Kind::Echo { bytes } => echo_bytes(input, bytes)?,
        };
        Ok(answer_bytes.filter(|&bytes| bytes <= input.len()))
    }
}

/// Head and body, as soon as the head is whole.
fn http_answer_bytes(input: &[u8]) -> Result<Option<usize>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_bytes) = response.parse(input)? else {
        return Ok(None);
    };
    if response.code != Some(200) {
        return Err(format!("status {:?} instead of 200", response.code).into());
    }
    let length = response
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without Content-Length")?;
    let body_bytes: usize = str::from_utf8(length.value)?.parse()?;
    Ok(Some(head_bytes + body_bytes))
}

/// Pings are of no use here: a server sends them to those who are silent.
fn echo_bytes(input: &[u8], bytes: usize) -> Result<Option<usize>, Failure> {
    match Header::decode(input)? {
        None => Ok(None),
        Some((header, header_bytes))
            if header.opcode == Opcode::Binary && header.payload_bytes == bytes as u64 =>
        {
            Ok(Some(header_bytes + bytes))
        }
        Some((header, _)) => Err(format!("not the echo: {header:?}").into()),
    }
}
