use super::error::RequestError;
use super::fields::{is_token, list};
use super::head::Version;
use crate::invariant::part;

/// Framing of a request body (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes, from Content-Length; may be zero.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Framing fields, line by line. Whatever leaves two readings is rejected: this is where
/// request smuggling starts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramingFields {
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    unknown: bool,
}

impl FramingFields {
    /// Takes the value of a Content-Length line.
    pub(super) fn length(&mut self, value: &[u8]) -> Result<(), RequestError> {
        let length = decimal(value).ok_or(RequestError::ContentLength)?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(RequestError::ContentLengthRepeated),
        }
    }

    /// Takes the value of a Transfer-Encoding line.
    pub(super) fn codings(&mut self, value: &[u8]) -> Result<(), RequestError> {
        self.coded = true;
        for coding in list(value) {
            let (name, parameters) = match coding.iter().position(|byte| *byte == b';') {
                Some(end) => (part(coding, ..end), true),
                None => (coding, false),
            };
            let name = name.trim_ascii_end();
            if !is_token(name) {
                return Err(RequestError::Coding);
            }
            if self.chunked {
                return Err(RequestError::ChunkedNotLast);
            }
            if !name.eq_ignore_ascii_case(b"chunked") {
                self.unknown = true;
            } else if parameters {
                return Err(RequestError::Coding);
            } else {
                self.chunked = true;
            }
        }
        Ok(())
    }

    /// The framing all lines agree on.
    pub(super) const fn framing(self, version: Version) -> Result<Framing, RequestError> {
        match (self.coded, self.length) {
            (true, _) if matches!(version, Version::Http10) => Err(RequestError::CodingInHttp10),
            (true, Some(_)) => Err(RequestError::BothFramings),
            (true, None) if self.unknown => Err(RequestError::CodingUnknown),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::None),
        }
    }
}

/// `1*DIGIT` and nothing else: `str::parse` would let a plus sign through.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_plain_decimal() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"007"), Some(7));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            "18446744073709551616",
            "+1",
            "-1",
            "1 ",
            "0x1",
            "1,1",
            "1e3",
            "\u{0661}",
        ] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
