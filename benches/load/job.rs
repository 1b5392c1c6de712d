//! Requests, and the responses to them.

use std::sync::Arc;

use edgeloop::proto::ws::frame::{self, Header, Opcode};

use crate::client::{Failure, content_length};

/// Byte that messages are made of.
const PAYLOAD: u8 = b'x';

/// One operation, the same every time.
#[derive(Clone)]
pub(crate) struct Job {
    request: Arc<[u8]>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Nothing else will do.
    Get,
    /// Others may be refused.
    Post {
        expected: u16,
    },
    Echo {
        bytes: usize,
    },
}

/// Head of a response.
pub(crate) struct Answer {
    pub(crate) head_bytes: usize,
    pub(crate) content_bytes: u64,
    pub(crate) kind: AnswerKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum AnswerKind {
    Expected,
    /// An answer, but none that does it.
    Refused(u16),
    /// Not an answer but a question, which is in the content.
    Ping,
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

    /// Posts JSON, and hopes for this status.
    pub(crate) fn post(host: &str, path: &str, body: &str, expected: u16) -> Self {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            request: request.into_bytes().into(),
            kind: Kind::Post { expected },
        }
    }

    /// Sends a binary message of so many bytes and awaits it back.
    pub(crate) fn echo(bytes: usize) -> Self {
        let mut request = Vec::new();
        let payload = vec![PAYLOAD; bytes];
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
    pub(crate) fn respond(&self, input: &[u8]) -> Result<Option<Answer>, Failure> {
        match self.kind {
            Kind::Get => http_answer(input, None),
            Kind::Post { expected } => http_answer(input, Some(expected)),
            Kind::Echo { bytes } => echo(input, bytes),
        }
    }

    /// Looks at a piece of an expected answer's content.
    pub(crate) fn check(&self, piece: &[u8]) -> Result<(), Failure> {
        match self.kind {
            Kind::Echo { .. } if piece.iter().any(|byte| *byte != PAYLOAD) => {
                Err("the echo is not what was sent".into())
            }
            Kind::Echo { .. } | Kind::Get | Kind::Post { .. } => Ok(()),
        }
    }
}

/// `expected`: when others are refusals.
fn http_answer(input: &[u8], expected: Option<u16>) -> Result<Option<Answer>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_bytes) = response.parse(input)? else {
        return Ok(None);
    };
    let kind = match (response.code, expected) {
        (Some(200), None) => AnswerKind::Expected,
        (Some(status), Some(expected)) if status == expected => AnswerKind::Expected,
        (Some(status), Some(_)) => AnswerKind::Refused(status),
        (status, None) => return Err(format!("status {status:?} instead of 200").into()),
        (None, Some(_)) => return Err("an answer without a status".into()),
    };
    Ok(Some(Answer {
        head_bytes,
        content_bytes: content_length(&response)? as u64,
        kind,
    }))
}

fn echo(input: &[u8], bytes: usize) -> Result<Option<Answer>, Failure> {
    let Some((header, head_bytes)) = Header::decode(input)? else {
        return Ok(None);
    };
    let kind = match header.opcode {
        Opcode::Binary if header.payload_bytes == bytes as u64 => AnswerKind::Expected,
        Opcode::Ping => AnswerKind::Ping,
        _ => return Err(format!("not the echo: {header:?}").into()),
    };
    // Whole, as it is to be sent back.
    if kind == AnswerKind::Ping && input.len() < head_bytes + usize::try_from(header.payload_bytes)?
    {
        return Ok(None);
    }
    Ok(Some(Answer {
        head_bytes,
        content_bytes: header.payload_bytes,
        kind,
    }))
}
