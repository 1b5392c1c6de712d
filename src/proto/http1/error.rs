use std::fmt;

/// Why a request was refused. The connection ends after the answer with [`RequestError::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// A CR that no LF follows (RFC 9112 §2.2).
    BareCr,
    /// An LF without a CR before it (RFC 9112 §2.2).
    BareLf,
    /// NUL, DEL or another control byte where text is wanted (RFC 9110 §5.5).
    ControlByte,
    /// More empty lines before the request line than are put up with (RFC 9112 §2.2).
    EmptyLines,
    /// A request line that is not method, space, target, space, version (RFC 9112 §3).
    RequestLine,
    /// A method that is empty or not a token (RFC 9110 §9.1).
    Method,
    /// A method longer than any known one: 501 (RFC 9112 §3).
    MethodTooLong,
    /// `CONNECT` to a host and port: this is an origin server and no tunnel: 405 (RFC 9110 §9.3.6).
    Connect,
    /// A request target of none of the four forms, or of the wrong one (RFC 9112 §3.2).
    Target,
    /// White space inside the request target (RFC 9112 §3.2).
    TargetSpace,
    /// A request target over the limit: 414.
    TargetTooLong,
    /// A protocol version other than HTTP/1.0 and HTTP/1.1: 505 (RFC 9110 §15.6.6).
    Version,
    /// A head over the limit: 431.
    HeadTooLong,
    /// More field lines than the limit: 431.
    TooManyFields,
    /// A field line without a colon, or with a name that is not a token (RFC 9112 §5).
    FieldName,
    /// A field line that starts with the colon (RFC 9112 §5).
    FieldNameEmpty,
    /// White space between a field name and its colon (RFC 9112 §5.1).
    SpaceBeforeColon,
    /// A line that starts with white space: obsolete folding (RFC 9112 §5.2).
    ObsFold,
    /// HTTP/1.1 without a Host field (RFC 9112 §3.2).
    HostMissing,
    /// More than one Host field (RFC 9112 §3.2).
    HostRepeated,
    /// A Host field that names no host and port (RFC 9110 §7.2).
    Host,
    /// A Content-Length that is not a plain decimal number, or does not fit (RFC 9112 §6.3).
    ContentLength,
    /// More than one Content-Length, even if equal (RFC 9112 §6.3).
    ContentLengthRepeated,
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.3).
    BothFramings,
    /// Transfer-Encoding in an HTTP/1.0 request (RFC 9112 §6.1).
    CodingInHttp10,
    /// A Transfer-Encoding that is no list of codings, or gives `chunked` parameters (RFC 9112 §7).
    Coding,
    /// `chunked` twice, or not the last coding (RFC 9112 §6.3).
    ChunkedNotLast,
    /// A transfer coding that is not understood: 501 (RFC 9112 §6.1).
    CodingUnknown,
    /// An expectation other than `100-continue`: 417 (RFC 9110 §10.1.1).
    Expectation,
    /// A body over the limit, announced or grown so: 413.
    BodyTooLong,
    /// A chunk size that is not 1 to 16 hexadecimal digits (RFC 9112 §7.1).
    ChunkSize,
    /// A chunk extension with a quotation mark that opens or closes no value (RFC 9112 §7.1.1).
    ChunkExtension,
    /// Chunk extensions over the limit: 413 (RFC 9112 §7.1.1).
    ChunkExtensionsTooLong,
    /// Chunk data that no CRLF follows (RFC 9112 §7.1).
    ChunkEnd,
    /// A trailer line that is no field line (RFC 9112 §7.1.2).
    Trailer,
    /// A trailer section over the limit: 431 (RFC 9112 §7.1.2).
    TrailersTooLong,
}

impl RequestError {
    /// The status code of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BodyTooLong | Self::ChunkExtensionsTooLong => 413,
            Self::Connect => 405,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLong | Self::TooManyFields | Self::TrailersTooLong => 431,
            Self::MethodTooLong | Self::CodingUnknown => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::BareCr => "a CR is not followed by an LF",
            Self::BareLf => "an LF has no CR before it",
            Self::ControlByte => "a control byte is not allowed here",
            Self::EmptyLines => "too many empty lines come before the request line",
            Self::RequestLine => "the request line is malformed",
            Self::Method => "the method is not a token",
            Self::MethodTooLong => "the method is longer than any known one",
            Self::Connect => "this server is no tunnel",
            Self::Target => "the request target is malformed",
            Self::TargetSpace => "there is white space in the request target",
            Self::TargetTooLong => "the request target is too long",
            Self::Version => "the protocol version is not supported",
            Self::HeadTooLong => "the request head is too long",
            Self::TooManyFields => "the request has too many fields",
            Self::FieldName => "a field name is malformed",
            Self::FieldNameEmpty => "a field name is empty",
            Self::SpaceBeforeColon => "there is white space between a field name and its colon",
            Self::ObsFold => "a field line is folded",
            Self::HostMissing => "the Host field is missing",
            Self::HostRepeated => "there is more than one Host field",
            Self::Host => "the Host field is malformed",
            Self::ContentLength => "the Content-Length is not a decimal number",
            Self::ContentLengthRepeated => "there is more than one Content-Length",
            Self::BothFramings => "there are both Content-Length and Transfer-Encoding",
            Self::CodingInHttp10 => "HTTP/1.0 has no Transfer-Encoding",
            Self::Coding => "the Transfer-Encoding is malformed",
            Self::ChunkedNotLast => "chunked is not the last transfer coding, once",
            Self::CodingUnknown => "the transfer coding is not implemented",
            Self::Expectation => "the expectation cannot be met",
            Self::BodyTooLong => "the body is too long",
            Self::ChunkSize => "a chunk size is malformed",
            Self::ChunkExtension => "a chunk extension has a stray quotation mark",
            Self::ChunkExtensionsTooLong => "the chunk extensions are too long",
            Self::ChunkEnd => "a chunk does not end with CRLF",
            Self::Trailer => "a trailer line is malformed",
            Self::TrailersTooLong => "the trailers are too long",
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for RequestError {}
