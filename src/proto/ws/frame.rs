//! Frame headers (RFC 6455 §5.2) and whole frames ready to be sent.

use super::{WsError, mask, mask::MaskKey};

/// Bytes of the longest header: a 64-bit length and a masking key.
pub const HEADER_BYTES_MAX: usize = 14;

/// Bytes a control frame may carry (§5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

const FIN: u8 = 0b1000_0000;
const RESERVED: u8 = 0b0111_0000;
/// RSV1: the first frame of a compressed message (RFC 7692 §6).
pub const RESERVED_1: u8 = 0b0100_0000;
const OPCODE: u8 = 0b0000_1111;
const MASK: u8 = 0b1000_0000;
const LENGTH: u8 = 0b0111_1111;
/// In the place of a length: two bytes of length follow.
const LENGTH_16: u8 = 126;
/// In the place of a length: eight bytes of length follow.
const LENGTH_64: u8 = 127;

/// Kind of a frame (§5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The last frame of its sender.
    Close = 0x8,
    /// A question whether the peer is there.
    Ping = 0x9,
    /// The answer to it.
    Pong = 0xA,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Returns `true` if it is a control frame: Close, Ping or Pong (§5.5).
    pub const fn is_control(self) -> bool {
        self as u8 & 0b1000 != 0
    }
}

/// First byte of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) fin: bool,
    pub(super) reserved: u8,
    pub(super) opcode: Opcode,
}

impl Start {
    #[inline]
    pub(super) fn decode(first: u8) -> Result<Self, WsError> {
        let fin = first & FIN != 0;
        let opcode = Opcode::from_bits(first & OPCODE).ok_or(WsError::ReservedOpcode)?;
        if opcode.is_control() && !fin {
            return Err(WsError::ControlFragmented);
        }
        Ok(Self {
            fin,
            reserved: first & RESERVED,
            opcode,
        })
    }
}

/// Returns `true` if the second byte of a frame says that a key follows.
pub(super) const fn is_masked(second: u8) -> bool {
    second & MASK != 0
}

/// Header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The last frame of its message.
    pub fin: bool,
    /// RSV1, RSV2 and RSV3 where they are in the first byte: 0x40, 0x20, 0x10.
    pub reserved: u8,
    /// Kind of the frame.
    pub opcode: Opcode,
    /// The key the payload is masked with.
    pub mask_key: Option<MaskKey>,
    /// The length of the payload.
    pub payload_bytes: u64,
}

impl Header {
    /// Reads the header at the start of `input`, and tells how long it is; `None` when it is not
    /// whole, though what is there is checked.
    ///
    /// # Errors
    ///
    /// Errors whatever the state of the connection: a reserved opcode, a control frame
    /// that is long or a fragment, a length with its top bit set or not in its shortest form.
    #[inline]
    pub fn decode(input: &[u8]) -> Result<Option<(Self, usize)>, WsError> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(None);
        };
        let Start {
            fin,
            reserved,
            opcode,
        } = Start::decode(first)?;
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if opcode.is_control() && usize::from(second & LENGTH) > CONTROL_BYTES_MAX {
            return Err(WsError::ControlTooLong);
        }
        let Some((payload_bytes, rest)) = decode_length(second & LENGTH, rest)? else {
            return Ok(None);
        };
        let (mask_key, rest) = if second & MASK == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(*key), rest)
        };
        let header = Self {
            fin,
            reserved,
            opcode,
            mask_key,
            payload_bytes,
        };
        Ok(Some((header, input.len() - rest.len())))
    }

    /// Appends the header to `out`, its length in the shortest form. What the fields say is the
    /// caller's affair: this also makes the frames that a peer must refuse.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let first = if self.fin { FIN } else { 0 } | self.reserved & RESERVED | self.opcode as u8;
        let mask = if self.mask_key.is_some() { MASK } else { 0 };
        match (
            u8::try_from(self.payload_bytes),
            u16::try_from(self.payload_bytes),
        ) {
            (Ok(length), _) if length < LENGTH_16 => out.extend_from_slice(&[first, mask | length]),
            (_, Ok(length)) => {
                let [high, low] = length.to_be_bytes();
                out.extend_from_slice(&[first, mask | LENGTH_16, high, low]);
            }
            (_, Err(_)) => {
                out.extend_from_slice(&[first, mask | LENGTH_64]);
                out.extend_from_slice(&self.payload_bytes.to_be_bytes());
            }
        }
        out.extend(self.mask_key.iter().flatten());
    }
}

/// The length of the payload, and what follows it; `None` when it is not whole.
#[inline]
fn decode_length(length: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, WsError> {
    match length {
        LENGTH_16 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let length = u16::from_be_bytes(*bytes);
            if length < u16::from(LENGTH_16) {
                return Err(WsError::LengthNotMinimal);
            }
            Ok(Some((length.into(), rest)))
        }
        LENGTH_64 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let length = u64::from_be_bytes(*bytes);
            if length >> 63 != 0 {
                return Err(WsError::LengthTopBit);
            }
            if length <= u16::MAX.into() {
                return Err(WsError::LengthNotMinimal);
            }
            Ok(Some((length, rest)))
        }
        _ => Ok(Some((length.into(), rest))),
    }
}

/// Appends a whole frame as a server sends it. Nothing in it depends on the receiver, so one
/// frame serves a broadcast.
///
/// The caller answers for the payload: UTF-8 in a text, at most [`CONTROL_BYTES_MAX`] bytes in a
/// control frame, a valid code in a close. [`Sender::send`](super::Sender::send) sees to all that.
///
/// ```
/// use edgeloop::proto::ws::frame::{self, Opcode};
///
/// let mut out = Vec::new();
/// frame::encode(&mut out, Opcode::Text, b"Hello");
/// assert_eq!(out, b"\x81\x05Hello");
/// ```
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    encode_pieces(out, opcode, None, [payload]);
}

/// The same, with these reserved bits: [`RESERVED_1`] says that the payload is compressed
/// (RFC 7692 §6).
pub fn encode_reserved(out: &mut Vec<u8>, opcode: Opcode, reserved: u8, payload: &[u8]) {
    encode_with(out, opcode, reserved, None, [payload]);
}

/// Appends a whole frame as a client sends it, with a fresh and unpredictable `key` (§5.3).
pub fn encode_masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: MaskKey) {
    encode_pieces(out, opcode, Some(key), [payload]);
}

/// Appends a whole frame with a payload in pieces.
pub(super) fn encode_pieces<const N: usize>(
    out: &mut Vec<u8>,
    opcode: Opcode,
    mask_key: Option<MaskKey>,
    pieces: [&[u8]; N],
) {
    encode_with(out, opcode, 0, mask_key, pieces);
}

pub(super) fn encode_with<const N: usize>(
    out: &mut Vec<u8>,
    opcode: Opcode,
    reserved: u8,
    mask_key: Option<MaskKey>,
    pieces: [&[u8]; N],
) {
    let payload_bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    debug_assert!(!opcode.is_control() || payload_bytes <= CONTROL_BYTES_MAX);
    out.reserve(HEADER_BYTES_MAX + payload_bytes);
    Header {
        fin: true,
        reserved,
        opcode,
        mask_key,
        payload_bytes: payload_bytes as u64,
    }
    .encode(out);
    let start = out.len();
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    if let (Some(key), Some(payload)) = (mask_key, out.get_mut(start..)) {
        mask::apply(payload, key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opcode() -> impl Strategy<Value = Opcode> {
        prop::sample::select(&[
            Opcode::Continuation,
            Opcode::Text,
            Opcode::Binary,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ])
    }

    #[test]
    fn section_5_2_reserved_opcodes() {
        for bits in 0..16_u8 {
            let reserved = matches!(bits, 3..=7 | 11..=15);
            let rejected = Header::decode(&[FIN | bits, 0]) == Err(WsError::ReservedOpcode);
            assert_eq!(rejected, reserved, "{bits}");
        }
    }

    #[test]
    fn section_5_2_lengths_are_minimal() {
        let rejected: [&[u8]; 4] = [
            &[0x82, 126, 0, 0],
            &[0x82, 126, 0, 125],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
        ];
        for bytes in rejected {
            assert_eq!(
                Header::decode(bytes),
                Err(WsError::LengthNotMinimal),
                "{bytes:?}"
            );
        }
        let top_bit = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Header::decode(&top_bit), Err(WsError::LengthTopBit));
    }

    #[test]
    fn section_5_5_control_frames_are_short_and_whole() {
        for opcode in [0x8, 0x9, 0xA] {
            assert_eq!(
                Header::decode(&[opcode, 0]),
                Err(WsError::ControlFragmented)
            );
            for length in [126, 127, MASK | 126, MASK | 127] {
                assert_eq!(
                    Header::decode(&[FIN | opcode, length]),
                    Err(WsError::ControlTooLong)
                );
            }
            assert!(Header::decode(&[FIN | opcode, 125]).is_ok_and(|header| header.is_some()));
        }
    }

    #[test]
    fn section_5_7_examples() {
        let mut out = Vec::new();
        encode_masked(&mut out, Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        let headers: [(usize, &[u8]); 5] = [
            (125, &[0x82, 0x7D]),
            (256, &[0x82, 0x7E, 0x01, 0x00]),
            (126, &[0x82, 0x7E, 0x00, 0x7E]),
            (65_535, &[0x82, 0x7E, 0xFF, 0xFF]),
            (65_536, &[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]),
        ];
        for (length, header) in headers {
            let mut out = Vec::new();
            encode(&mut out, Opcode::Binary, &vec![0; length]);
            assert_eq!(out.len(), header.len() + length);
            assert!(out.starts_with(header));
        }
    }

    proptest! {
        #[test]
        fn headers_survive(
            fin: bool,
            reserved in (0..8_u8).prop_map(|bits| bits << 4),
            opcode in opcode(),
            mask_key: Option<MaskKey>,
            payload_bytes in prop_oneof![0..130_u64, 65_500..65_600_u64, 0..1_u64 << 63],
        ) {
            let (fin, payload_bytes) =
                if opcode.is_control() { (true, payload_bytes % 126) } else { (fin, payload_bytes) };
            let header = Header { fin, reserved, opcode, mask_key, payload_bytes };
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            prop_assert!(bytes.len() <= HEADER_BYTES_MAX);
            for cut in 0..bytes.len() {
                prop_assert_eq!(Header::decode(&bytes[..cut]), Ok(None));
            }
            prop_assert_eq!(Header::decode(&bytes), Ok(Some((header, bytes.len()))));
        }
    }
}
