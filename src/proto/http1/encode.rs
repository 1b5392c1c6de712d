//! Writes answers: head, fields, chunks.
//!
//! The fields that frame the message or end the connection are written here and nowhere else.

use std::fmt;

use super::date;
use super::fields::{is_token, is_value};
use super::head::{RequestMeta, Version};
use crate::invariant::part;

/// The interim answer that a client with `Expect: 100-continue` waits for (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The end of a chunked body, without trailers (RFC 9112 §7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Action on the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionAction {
    /// It carries on with the next request.
    KeepAlive,
    /// It ends. No further answer goes out, and no further byte is read as a request.
    Close,
    /// The answer is 101, and another protocol takes over.
    Upgrade,
}

/// Length of the body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none. Where the status allows one, `Content-Length: 0` says so.
    None,
    /// So many bytes.
    Known(u64),
    /// Not known before its end.
    Chunked,
}

impl BodyLength {
    /// Returns `true` if only the end of the connection can end this body: HTTP/1.0 knows no chunks.
    #[must_use]
    pub const fn ends_with_connection(self, meta: RequestMeta) -> bool {
        matches!((self, meta.version), (Self::Chunked, Version::Http10)) && !meta.head
    }
}

/// Form in which the body follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum BodyForm {
    /// Not at all: the answer to HEAD, 1xx, 204, 304, or no body.
    Absent,
    /// As they are.
    Plain,
    /// In chunks, with [`LAST_CHUNK`] after them.
    Chunks,
    /// As they are, and the end of the connection ends them.
    UntilClose,
}

/// The field lines of every answer: Date (RFC 9110 §6.6.1) and, where it is wanted, Server (§10.2.4).
/// Made once a second.
#[derive(Clone, Debug)]
pub struct Common(Vec<u8>);

impl Common {
    /// The lines for a time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// `server` is no field value.
    pub fn new(unix_secs: u64, server: Option<&str>) -> Result<Self, FieldError> {
        let mut common = Self::at(unix_secs);
        if let Some(server) = server {
            field(&mut common.0, "Server", server)?;
        }
        Ok(common)
    }

    /// The lines for a time in seconds since 1970, without Server.
    #[must_use]
    pub fn at(unix_secs: u64) -> Self {
        Self([b"Date: ".as_slice(), &date::format(unix_secs), b"\r\n"].concat())
    }

    /// The lines, each with its line end.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.0
    }
}

/// Appends the head of an answer, and returns how its body has to follow.
///
/// `fields` are field lines as [`field`] writes them, one after another; `after` is what
/// [`HttpMachine::respond`](super::HttpMachine::respond) returned for this answer. Written here besides `common`:
/// Connection, and Content-Length (RFC 9110 §8.6) or Transfer-Encoding (RFC 9112 §6.1), which a 1xx,
/// 204 or 304 answer never has.
pub fn head(
    out: &mut Vec<u8>,
    status: u16,
    fields: &[&[u8]],
    body: BodyLength,
    meta: RequestMeta,
    after: ConnectionAction,
    common: &Common,
) -> BodyForm {
    out.reserve(160 + fields.iter().map(|lines| lines.len()).sum::<usize>());
    status_line(out, status);
    out.extend_from_slice(common.lines());
    let form = framing(out, status, body, meta);
    match (after, meta.version) {
        (ConnectionAction::Upgrade, _) => {}
        (ConnectionAction::Close, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (ConnectionAction::KeepAlive, _) if form == BodyForm::UntilClose => {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        (ConnectionAction::KeepAlive, Version::Http10) => {
            out.extend_from_slice(b"Connection: keep-alive\r\n")
        }
        (ConnectionAction::KeepAlive, Version::Http11) => {}
    }
    for lines in fields {
        out.extend_from_slice(lines);
    }
    out.extend_from_slice(b"\r\n");
    form
}

/// Why a field cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// The name is not a token (RFC 9110 §5.1).
    Name,
    /// The value has a CR, LF, NUL or another control character (RFC 9110 §5.5).
    Value,
    /// Content-Length and Transfer-Encoding are [`head`]'s to write.
    Framing,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the field name is not a token",
            Self::Value => "the field value has a control character",
            Self::Framing => "the framing fields are written by the encoder",
        })
    }
}

impl std::error::Error for FieldError {}

/// Appends one field line. Nothing is written on an error, so no name or value, wherever it comes
/// from, can end the line or the head early.
///
/// # Errors
///
/// See [`FieldError`].
pub fn field(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), FieldError> {
    if !is_token(name.as_bytes()) {
        return Err(FieldError::Name);
    }
    if !is_value(value.as_bytes()) {
        return Err(FieldError::Value);
    }
    if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
    {
        return Err(FieldError::Framing);
    }
    out.reserve(name.len() + value.len() + 4);
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// Appends one chunk (RFC 9112 §7.1). No data, no chunk: an empty one would end the body.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    chunk_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before the data of a chunk, whose length is not zero. CRLF comes behind the data.
pub fn chunk_size(out: &mut Vec<u8>, len: usize) {
    number(out, len as u64, 16);
    out.extend_from_slice(b"\r\n");
}

fn framing(out: &mut Vec<u8>, status: u16, body: BodyLength, meta: RequestMeta) -> BodyForm {
    if matches!(status, 100..=199 | 204 | 304) {
        return BodyForm::Absent;
    }
    let form = match body {
        BodyLength::None if meta.head => return BodyForm::Absent,
        BodyLength::None => {
            out.extend_from_slice(b"Content-Length: 0\r\n");
            BodyForm::Absent
        }
        BodyLength::Known(length) => {
            out.extend_from_slice(b"Content-Length: ");
            number(out, length, 10);
            out.extend_from_slice(b"\r\n");
            BodyForm::Plain
        }
        BodyLength::Chunked if meta.version == Version::Http10 => BodyForm::UntilClose,
        BodyLength::Chunked => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            BodyForm::Chunks
        }
    };
    if meta.head { BodyForm::Absent } else { form }
}

/// Always HTTP/1.1, to clients of either version (RFC 9110 §6.2).
fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(status.clamp(100, 999)), 10);
    out.extend_from_slice(b" ");
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The digits of a number; `radix` is 10 or 16.
fn number(out: &mut Vec<u8>, number: u64, radix: u8) {
    let mut digits = [0u8; 20];
    let mut left = number;
    let mut start = digits.len();
    for place in digits.iter_mut().rev() {
        let digit = u8::try_from(left % u64::from(radix)).unwrap_or_default();
        *place = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
        left /= u64::from(radix);
        start -= 1;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(part(&digits, start..));
}

/// The reason phrase of a status (RFC 9110 §15); empty for an unknown one, as RFC 9112 §4 allows.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: RequestMeta = RequestMeta {
        version: Version::Http11,
        head: false,
        keep_alive: true,
    };
    const HEAD: RequestMeta = RequestMeta { head: true, ..GET };
    const OLD: RequestMeta = RequestMeta {
        version: Version::Http10,
        ..GET
    };

    fn written(
        status: u16,
        body: BodyLength,
        meta: RequestMeta,
        after: ConnectionAction,
    ) -> (String, BodyForm) {
        let mut out = Vec::new();
        let form = head(
            &mut out,
            status,
            &[b"A: b\r\n"],
            body,
            meta,
            after,
            &Common::at(0),
        );
        let date = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(date) && text.ends_with("A: b\r\n\r\n"),
            "{text}"
        );
        (text.replace(date, "").replace("A: b\r\n\r\n", ""), form)
    }

    /// Checks what follows `HTTP/1.1 <status> ` for an answer that keeps the connection if it can.
    fn check(meta: RequestMeta, status: u16, body: BodyLength, want: &str, want_form: BodyForm) {
        let after = if body.ends_with_connection(meta) {
            ConnectionAction::Close
        } else {
            ConnectionAction::KeepAlive
        };
        let (text, form) = written(status, body, meta, after);
        assert_eq!(text, format!("HTTP/1.1 {status} {want}"));
        assert_eq!(form, want_form, "{text}");
    }

    #[test]
    fn heads_are_framed_by_status_method_and_version() {
        use BodyForm::{Absent, Chunks, Plain, UntilClose};
        use BodyLength::{Chunked, Known, None};
        let length = |length: u64| format!("OK\r\nContent-Length: {length}\r\n");
        let chunked = "OK\r\nTransfer-Encoding: chunked\r\n";
        check(GET, 200, Known(13), &length(13), Plain);
        check(GET, 200, Known(u64::MAX), &length(u64::MAX), Plain);
        check(HEAD, 200, Known(13), &length(13), Absent);
        check(GET, 200, None, &length(0), Absent);
        check(HEAD, 200, None, "OK\r\n", Absent);
        check(GET, 200, Chunked, chunked, Chunks);
        check(HEAD, 200, Chunked, chunked, Absent);
        check(GET, 103, Known(1), "Early Hints\r\n", Absent);
        check(GET, 204, Known(0), "No Content\r\n", Absent);
        check(GET, 304, Known(9), "Not Modified\r\n", Absent);
        check(GET, 299, None, "\r\nContent-Length: 0\r\n", Absent);
        let kept = format!("{}Connection: keep-alive\r\n", length(0));
        check(OLD, 200, Known(0), &kept, Plain);
        check(OLD, 200, Chunked, "OK\r\nConnection: close\r\n", UntilClose);
    }

    #[test]
    fn the_end_of_the_connection_is_announced() {
        let closed = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n";
        for meta in [GET, OLD] {
            let (text, _) = written(200, BodyLength::None, meta, ConnectionAction::Close);
            assert_eq!(text, closed);
        }
        // Even if the caller forgot that HTTP/1.0 leaves no other way.
        let (text, form) = written(200, BodyLength::Chunked, OLD, ConnectionAction::KeepAlive);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nConnection: close\r\n");
        assert_eq!(form, BodyForm::UntilClose);
        let (text, _) = written(101, BodyLength::None, GET, ConnectionAction::Upgrade);
        assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\n");
    }

    #[test]
    fn fields_cannot_be_injected() {
        let mut out = Vec::new();
        assert_eq!(field(&mut out, "X-A", "b\tc é"), Ok(()));
        assert_eq!(out, "X-A: b\tc é\r\n".as_bytes());
        for (name, value, error) in [
            ("", "b", FieldError::Name),
            ("A B", "b", FieldError::Name),
            ("A:", "b", FieldError::Name),
            ("A\r\nB", "b", FieldError::Name),
            ("é", "b", FieldError::Name),
            ("A", "b\r\nSet-Cookie: c", FieldError::Value),
            ("A", "b\n", FieldError::Value),
            ("A", "b\r", FieldError::Value),
            ("A", "\0", FieldError::Value),
            ("A", "\x7f", FieldError::Value),
            ("content-LENGTH", "5", FieldError::Framing),
            ("Transfer-Encoding", "chunked", FieldError::Framing),
        ] {
            let before = out.clone();
            assert_eq!(
                field(&mut out, name, value),
                Err(error),
                "{name:?}: {value:?}"
            );
            assert_eq!(out, before);
        }
    }

    #[test]
    fn chunks_carry_their_size_and_an_empty_one_is_never_written() {
        for (length, size) in [
            (1, "1"),
            (15, "f"),
            (16, "10"),
            (4096, "1000"),
            (48_879, "beef"),
        ] {
            let data = vec![b'x'; length];
            let mut out = Vec::new();
            chunk(&mut out, &data);
            assert_eq!(out, [size.as_bytes(), b"\r\n", &data, b"\r\n"].concat());
        }
        let mut out = Vec::new();
        chunk(&mut out, b"");
        assert_eq!(out, b"");
    }

    #[test]
    fn a_status_has_three_digits() {
        for (status, want) in [(0, "100"), (99, "100"), (1000, "999"), (u16::MAX, "999")] {
            let mut out = Vec::new();
            status_line(&mut out, status);
            assert_eq!(out, format!("HTTP/1.1 {want} \r\n").as_bytes());
        }
    }
}
