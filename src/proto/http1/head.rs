use std::mem::MaybeUninit;

use super::error::RequestError;
use super::fields::{Fields, list};
use super::framing::{Framing, FramingFields};
use super::limits::FIELDS_MAX;
use super::scan::{Scan, scan};
use super::target::{RequestTarget, is_authority};
use crate::invariant::part;

/// The head of a request: the request line and the fields, borrowed from the bytes received.
#[derive(Clone, Copy, Debug)]
pub struct Head<'b> {
    /// The method.
    pub method: Method<'b>,
    /// The request target, as it was sent.
    pub target: &'b str,
    /// The protocol version.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'b>,
    /// Framing of the body.
    pub framing: Framing,
    /// Host and port asked for: the authority of an absolute target if there is one, else the Host
    /// field (RFC 9112 §3.2.2). Always present in HTTP/1.1.
    pub host: Option<&'b str>,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1). Write
    /// [`encode::CONTINUE`](super::encode::CONTINUE) when the body is wanted, none of it has arrived
    /// and no earlier answer is outstanding.
    pub wants_continue: bool,
    /// The client asks to go on with WebSocket (RFC 9110 §7.8, RFC 6455 §4.1). The rest of the
    /// handshake is not checked here.
    pub upgrade_websocket: bool,
    meta: RequestMeta,
    path: &'b str,
    query: Option<&'b str>,
    bytes: &'b [u8],
}

impl<'b> Head<'b> {
    /// The path of the target, still percent-encoded: starts with `/`, or is `*` (RFC 9112 §3.2.4).
    #[must_use]
    pub const fn path(&self) -> &'b str {
        self.path
    }

    /// Query behind the `?` of the target, still percent-encoded.
    #[must_use]
    pub const fn query(&self) -> Option<&'b str> {
        self.query
    }

    /// Facts about this request that its response depends on.
    #[must_use]
    pub const fn meta(&self) -> RequestMeta {
        self.meta
    }

    /// The bytes of the head, from the method to the empty line and with it. Copied elsewhere,
    /// [`Head::reparse`] makes the same head of them.
    #[must_use]
    pub const fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Parses the copy of a head that was parsed before. `None` if the bytes are not one whole,
    /// valid head. No limit applies but [`FIELDS_MAX`].
    #[must_use]
    pub fn reparse(bytes: &'b [u8]) -> Option<Self> {
        match scan(bytes, 0) {
            // An empty line before it would be skipped, and is none of a head.
            Scan::Whole(end) if end == bytes.len() && !bytes.starts_with(b"\r\n") => {
                Self::parse(bytes, FIELDS_MAX).ok()
            }
            _ => None,
        }
    }

    /// Checks a request line, which need not wait for the rest of its head. `line` ends with its CRLF.
    #[cold]
    pub(super) fn check_line(line: &[u8]) -> Result<(), RequestError> {
        // A whole head with nothing else to find fault with: a parser of its own here would keep that of
        // heads, which is all that counts, from being one piece.
        let head = [line, b"Host: a\r\n\r\n"].concat();
        Head::parse(&head, 1).map(|_| ())
    }

    /// Parses a head that [`scan`] found whole: `bytes` is the head and nothing else.
    pub(super) fn parse(bytes: &'b [u8], fields_max: usize) -> Result<Self, RequestError> {
        let mut table = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let table = table.get_mut(..fields_max).unwrap_or(&mut []);
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, table) {
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            Ok(_) => return Err(RequestError::RequestLine),
            Err(error) => return Err(cause(error, bytes)),
        }
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(RequestError::RequestLine);
        };
        let version = if minor == 0 {
            Version::Http10
        } else {
            Version::Http11
        };
        let head_fields = HeadFields::gather(request.headers)?;
        let lines_start = method.len() + target.len() + " HTTP/1.1\r\n".len() + 1;
        let lines = bytes
            .get(lines_start..bytes.len().saturating_sub(2))
            .unwrap_or_default();
        let method = Method::from(method);
        let parts = RequestTarget::parse(method, target)?;
        let host = head_fields.host(version)?;
        let framing = head_fields.framing.framing(version)?;
        Ok(Self {
            method,
            target,
            version,
            fields: Fields::new(lines),
            framing,
            host: parts.authority.or(host),
            wants_continue: head_fields.wants_continue(version, framing),
            upgrade_websocket: head_fields.upgrade
                && head_fields.websocket
                && version == Version::Http11,
            meta: RequestMeta {
                version,
                head: method == Method::Head,
                keep_alive: head_fields.keeps_alive(version),
            },
            path: parts.path,
            query: parts.query,
            bytes,
        })
    }
}

/// The method of a request (RFC 9110 §9, RFC 5789). Methods are case-sensitive: `get` is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method<'b> {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// CONNECT
    Connect,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// PATCH
    Patch,
    /// Any other token.
    Other(&'b str),
}

impl<'b> From<&'b str> for Method<'b> {
    fn from(name: &'b str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            other => Self::Other(other),
        }
    }
}

impl<'b> Method<'b> {
    /// The name, as sent.
    #[must_use]
    pub const fn as_str(self) -> &'b str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other(name) => name,
        }
    }
}

/// A protocol version this server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Facts about a request that its response depends on. Kept while the response is pending, for
/// [`HttpMachine::respond`](super::HttpMachine::respond) and [`encode::head`](super::encode::head).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMeta {
    /// The client's version: HTTP/1.0 knows no chunked coding.
    pub version: Version,
    /// The method was HEAD: the answer has no body (RFC 9110 §9.3.2).
    pub head: bool,
    /// The client means to send more requests (RFC 9112 §9.3).
    pub keep_alive: bool,
}

impl RequestMeta {
    /// For the answer to a request whose head was refused, so that nothing is known about it.
    pub const REFUSED: Self = Self {
        version: Version::Http11,
        head: false,
        keep_alive: false,
    };
}

/// Fields that the protocol itself acts on.
#[derive(Default)]
struct HeadFields<'b> {
    host: Option<&'b [u8]>,
    framing: FramingFields,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    websocket: bool,
    expects_continue: bool,
}

impl<'b> HeadFields<'b> {
    fn gather(fields: &[httparse::Header<'b>]) -> Result<Self, RequestError> {
        let mut head_fields = Self::default();
        for field in fields {
            head_fields.take(field)?;
        }
        Ok(head_fields)
    }

    /// Most names are told apart by their length alone.
    fn take(&mut self, field: &httparse::Header<'b>) -> Result<(), RequestError> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("host") => return self.host_line(field.value),
            6 if is("expect") => self.expect(field.value)?,
            7 if is("upgrade") => {
                self.websocket |=
                    list(field.value).any(|item| item.eq_ignore_ascii_case(b"websocket"));
            }
            10 if is("connection") => self.connection(field.value),
            14 if is("content-length") => self.framing.length(field.value)?,
            17 if is("transfer-encoding") => self.framing.codings(field.value)?,
            _ => {}
        }
        Ok(())
    }

    fn host_line(&mut self, value: &'b [u8]) -> Result<(), RequestError> {
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(RequestError::HostRepeated),
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), RequestError> {
        for expectation in list(value) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestError::Expectation);
            }
        }
        self.expects_continue = true;
        Ok(())
    }

    /// RFC 9112 §3.2: exactly one, valid, and in HTTP/1.1 not missing.
    fn host(&self, version: Version) -> Result<Option<&'b str>, RequestError> {
        match self.host {
            Some(value) => match str::from_utf8(value) {
                Ok(host) if is_authority(host) => Ok(Some(host)),
                _ => Err(RequestError::Host),
            },
            None if version == Version::Http11 => Err(RequestError::HostMissing),
            None => Ok(None),
        }
    }

    /// RFC 9110 §10.1.1: an expectation from HTTP/1.0 is ignored, one without a body is moot.
    fn wants_continue(&self, version: Version, framing: Framing) -> bool {
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        self.expects_continue && version == Version::Http11 && has_body
    }

    /// RFC 9112 §9.3.
    const fn keeps_alive(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }
}

/// Finds the exact fault of a head that the parser rejected.
#[cold]
fn cause(error: httparse::Error, bytes: &[u8]) -> RequestError {
    let mut lines = bytes.split(|byte| *byte == b'\r');
    let request_line = lines.next().unwrap_or_default();
    match error {
        httparse::Error::TooManyHeaders => RequestError::TooManyFields,
        httparse::Error::HeaderName => {
            let lines = lines.map(|line| line.strip_prefix(b"\n").unwrap_or(line));
            lines
                .filter(|line| !line.is_empty())
                .find_map(field_line_cause)
                .unwrap_or(RequestError::FieldName)
        }
        httparse::Error::HeaderValue => RequestError::ControlByte,
        _ => request_line_cause(request_line),
    }
}

/// Finds the fault of this field line, if it has one.
fn field_line_cause(line: &[u8]) -> Option<RequestError> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Some(RequestError::ObsFold);
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Some(RequestError::FieldName);
    };
    match part(line, ..colon) {
        [] => Some(RequestError::FieldNameEmpty),
        [.., b' ' | b'\t'] => Some(RequestError::SpaceBeforeColon),
        name if super::fields::is_token(name) => None,
        _ => Some(RequestError::FieldName),
    }
}

/// Finds the fault of this request line, which is known to be invalid.
fn request_line_cause(line: &[u8]) -> RequestError {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut words = line.splitn(2, |byte| *byte == b' ');
    if !words.next().is_some_and(super::fields::is_token) {
        return RequestError::Method;
    }
    let rest = words.next().unwrap_or_default();
    let mut from_end = rest.rsplitn(2, |byte| *byte == b' ');
    let version = from_end.next().unwrap_or_default();
    let target = from_end.next().unwrap_or_default();
    let number = version.strip_prefix(b"HTTP/").unwrap_or_default();
    let digits = |bytes: &[u8]| {
        bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
    };
    match (target, number) {
        ([], _) | (_, []) => RequestError::RequestLine,
        _ if target.iter().any(blank) => RequestError::TargetSpace,
        (_, [b'0'..=b'9', more @ ..]) if digits(more) => match number {
            b"1.0" | b"1.1" => RequestError::Target,
            _ => RequestError::Version,
        },
        _ => RequestError::RequestLine,
    }
}
