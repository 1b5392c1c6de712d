//! Why a connection is failed, and why something is not sent.

use std::fmt;

use super::CloseCode;

/// Protocol violation of the peer. The connection is to be failed (RFC 6455 §7.1.7): a Close with
/// [`close_code`](Self::close_code) is sent and nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WsError {
    /// A reserved bit is set that no negotiated extension gives a meaning here (§5.2).
    ReservedBits,
    /// Opcode 3 to 7 or 11 to 15 (§5.2).
    ReservedOpcode,
    /// A frame from a client is not masked (§5.1).
    MaskMissing,
    /// A frame from a server is masked (§5.1).
    MaskUnexpected,
    /// A length is written in more bytes than it needs (§5.2).
    LengthNotMinimal,
    /// A 64-bit length has its most significant bit set (§5.2).
    LengthTopBit,
    /// A control frame with more than 125 bytes of payload (§5.5).
    ControlTooLong,
    /// A control frame without FIN (§5.5).
    ControlFragmented,
    /// A continuation frame while no message is under way (§5.4).
    ContinuationUnexpected,
    /// A new message inside a fragmented one (§5.4).
    ContinuationMissing,
    /// A Close with a payload of a single byte (§5.5.1).
    CloseCodeCut,
    /// A Close with a code that may not be on the wire (§7.4).
    CloseCodeInvalid,
    /// A Close whose reason is not UTF-8 (§5.5.1).
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (§8.1).
    TextNotUtf8,
    /// A compressed message that is not DEFLATE, or ends before its last block does (RFC 7692 §7.2.2).
    DeflateInvalid,
    /// A message in more frames than [`WsLimits::fragments_max`](super::WsLimits::fragments_max).
    FragmentsTooMany,
    /// A frame over [`WsLimits::frame_bytes_max`](super::WsLimits::frame_bytes_max).
    FrameTooBig,
    /// A message over [`WsLimits::message_bytes_max`](super::WsLimits::message_bytes_max).
    MessageTooBig,
}

impl WsError {
    /// The code for the Close that fails the connection: 1002, 1007, 1008 or 1009 (§7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::ReservedOpcode
            | Self::MaskMissing
            | Self::MaskUnexpected
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::ContinuationUnexpected
            | Self::ContinuationMissing
            | Self::CloseCodeCut
            | Self::CloseCodeInvalid => CloseCode::PROTOCOL_ERROR,
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 | Self::DeflateInvalid => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::FragmentsTooMany => CloseCode::POLICY_VIOLATION,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::TOO_BIG,
        }
    }
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "a reserved bit is set that was not agreed on",
            Self::ReservedOpcode => "the opcode is reserved",
            Self::MaskMissing => "a frame from the client is not masked",
            Self::MaskUnexpected => "a frame from the server is masked",
            Self::LengthNotMinimal => "a payload length is not in its shortest form",
            Self::LengthTopBit => "a payload length has its most significant bit set",
            Self::ControlTooLong => "a control frame has more than 125 bytes of payload",
            Self::ControlFragmented => "a control frame is fragmented",
            Self::ContinuationUnexpected => "a continuation frame has no message to continue",
            Self::ContinuationMissing => "a message begins before the last one ended",
            Self::CloseCodeCut => "a close frame holds half a code",
            Self::CloseCodeInvalid => "a close frame holds a code that may not be sent",
            Self::CloseReasonNotUtf8 => "the reason in a close frame is not UTF-8",
            Self::TextNotUtf8 => "a text message is not UTF-8",
            Self::DeflateInvalid => "a compressed message cannot be decompressed",
            Self::FragmentsTooMany => "a message is in more fragments than the limit",
            Self::FrameTooBig => "a frame is larger than the limit",
            Self::MessageTooBig => "a message is larger than the limit",
        })
    }
}

impl std::error::Error for WsError {}

/// Why [`Sender::send`](super::Sender::send) wrote nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// A Close was sent: no frame may follow it (§5.5.1).
    Sealed,
    /// A ping or pong with more than 125 bytes (§5.5).
    ControlTooLong,
    /// The close code is for local use only and may not be sent (§7.4).
    CloseCodeInvalid,
    /// A server was given a masking key, or a client none (§5.1).
    WrongRole,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed => "a close frame was sent, nothing may follow it",
            Self::ControlTooLong => "a ping or pong holds at most 125 bytes",
            Self::CloseCodeInvalid => "the close code may not be sent",
            Self::WrongRole => "clients mask what they send and servers do not",
        })
    }
}

impl std::error::Error for SendError {}
