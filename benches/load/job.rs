//! What is asked, and what an answer looks like.

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

/// What the head of an answer tells.
pub(crate) struct Answer {
    pub(crate) head_bytes: usize,
    pub(crate) content_bytes: u64,
}

impl Job {
    /// Fetches a path.
    pub(crate) fn get(host: &str, path: &str, accept_encoding: Option<&str>) -> Self {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(codings) = accept_encoding {
            request += &format!("Accept-Encoding: {codings}\r\n");
        }
        request += "\r\n";
        Self {
            request: request.into_bytes().into(),
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

    /// Reads the head of an answer at the front of `input`; `None` if it is not whole.
    pub(crate) fn answer(&self, input: &[u8]) -> Result<Option<Answer>, Failure> {
        match self.kind {
            Kind::Get => http_answer(input),
            Kind::Echo { bytes } => echo(input, bytes),
        }
    }
}

fn http_answer(input: &[u8]) -> Result<Option<Answer>, Failure> {
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
    Ok(Some(Answer {
        head_bytes,
        content_bytes: str::from_utf8(length.value)?.parse()?,
    }))
}

/// Pings are of no use here: a server sends them to those who are silent.
fn echo(input: &[u8], bytes: usize) -> Result<Option<Answer>, Failure> {
    match Header::decode(input)? {
        None => Ok(None),
        Some((header, head_bytes))
            if header.opcode == Opcode::Binary && header.payload_bytes == bytes as u64 =>
        {
            Ok(Some(Answer {
                head_bytes,
                content_bytes: header.payload_bytes,
            }))
        }
        Some((header, _)) => Err(format!("not the echo: {header:?}").into()),
    }
}
