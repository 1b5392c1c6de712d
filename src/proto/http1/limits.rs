/// The most field lines a head may ever have, whatever [`HttpLimits::fields_max`] says: the parser's
/// table of them lies on the stack.
pub const FIELDS_MAX: usize = 1000;

/// Limits on requests. The defaults are those of `server.conf`.
///
/// A value that is exactly at a limit is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of the request target; over it the answer is 414.
    pub target_bytes_max: usize,
    /// Bytes of the whole head, from the method to the empty line and with it; over it 431.
    pub head_bytes_max: usize,
    /// Field lines of a head, at most [`FIELDS_MAX`]; over it 431.
    pub fields_max: usize,
    /// Bytes of a body after decoding; over it 413.
    pub body_bytes_max: u64,
    /// Bytes of chunk extensions in all chunks of a body together (RFC 9112 §7.1.1), each with its
    /// semicolon and the blanks before it; over it 413.
    pub chunk_extension_bytes_max: usize,
    /// Bytes of the trailer section, line ends not counted; over it 431.
    pub trailer_bytes_max: usize,
}

impl HttpLimits {
    /// The defaults: those of `server.conf` where it has a key.
    pub const DEFAULT: Self = Self {
        target_bytes_max: 8192,
        head_bytes_max: 65536,
        fields_max: 100,
        body_bytes_max: 1 << 20,
        chunk_extension_bytes_max: 4096,
        trailer_bytes_max: 8192,
    };
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
