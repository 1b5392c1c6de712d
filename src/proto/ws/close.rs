//! Close codes (RFC 6455 §7.4) and the payload of a Close frame (§5.5.1).

use std::{fmt, str};

use super::WsError;
use super::frame::CONTROL_BYTES_MAX;

/// A status code of a close, as in a Close frame or as reported for a connection that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that is not accepted here.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005, never on the wire: the Close had no code.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006, never on the wire: the connection ended without a Close.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data not consistent with its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the message violates a policy.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client misses an extension in the server's answer.
    pub const EXTENSION_REQUIRED: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012 (IANA registry): the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013 (IANA registry): the server is overloaded, try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014 (IANA registry): a gateway had no valid answer from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015, never on the wire: the TLS handshake failed.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// Any code; whether it may be sent is [`is_valid_on_wire`](Self::is_valid_on_wire)'s answer.
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// Returns `true` if a Close frame may hold this code: one that is registered for the wire, or one for
    /// libraries (3000 to 3999) or applications (4000 to 4999).
    pub const fn is_valid_on_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the payload of a Close frame: nothing, or a code and a reason.
pub(super) fn decode(payload: &[u8]) -> Result<Option<(CloseCode, &str)>, WsError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(WsError::CloseCodeCut)
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_valid_on_wire() {
        return Err(WsError::CloseCodeInvalid);
    }
    let reason = str::from_utf8(reason).map_err(|_| WsError::CloseReasonNotUtf8)?;
    Ok(Some((code, reason)))
}

/// The start of `reason` that fits a Close frame, never cutting a character.
pub(super) fn fitting(reason: &str) -> &str {
    (0..=CONTROL_BYTES_MAX - 2)
        .rev()
        .find_map(|end| reason.get(..end))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_7_4_codes_on_the_wire() {
        let valid: Vec<u16> = (0..=u16::MAX)
            .filter(|&value| CloseCode::new(value).is_valid_on_wire())
            .collect();
        let expected: Vec<u16> = (1000..=1003)
            .chain(1007..=1014)
            .chain(3000..=4999)
            .collect();
        assert_eq!(valid, expected);
    }

    #[test]
    fn section_5_5_1_payload() {
        assert_eq!(decode(b""), Ok(None));
        assert_eq!(decode(b"\x03"), Err(WsError::CloseCodeCut));
        assert_eq!(decode(b"\x03\xE8"), Ok(Some((CloseCode::NORMAL, ""))));
        assert_eq!(
            decode(b"\x0F\xA1bye"),
            Ok(Some((CloseCode::new(4001), "bye")))
        );
        assert_eq!(decode(b"\x03\xED"), Err(WsError::CloseCodeInvalid));
        assert_eq!(decode(b"\x03\xE8\xFF"), Err(WsError::CloseReasonNotUtf8));
        assert_eq!(decode(b"\x03\xE8\xC3"), Err(WsError::CloseReasonNotUtf8));
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let exact = "x".repeat(123);
        assert_eq!(fitting(&exact), exact);
        assert_eq!(fitting(&"x".repeat(124)), exact);
        assert_eq!(fitting(&"é".repeat(62)), "é".repeat(61));
        assert_eq!(fitting("short"), "short");
    }
}
