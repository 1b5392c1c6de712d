//! Takes the framing off a request body.

use super::error::RequestError;
use super::fields::{is_token_byte, is_value_byte};
use super::limits::HttpLimits;
use crate::invariant::part;

/// Decoder of the rest of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum BodyDecoder {
    /// So many bytes; never zero.
    Length(u64),
    Chunked(Chunked),
}

/// Result of one look at the input.
pub(super) struct DecodedBody<'b> {
    /// Bytes of the input that are done with.
    pub(super) used: usize,
    /// Body bytes among them. Empty when the input ran out, or the body is complete.
    pub(super) data: &'b [u8],
    /// The body is complete.
    pub(super) is_complete: bool,
}

impl BodyDecoder {
    pub(super) fn decode<'b>(
        &mut self,
        input: &'b [u8],
        limits: &HttpLimits,
    ) -> Result<DecodedBody<'b>, RequestError> {
        match self {
            Self::Length(left) => {
                let data = take(input, left);
                Ok(DecodedBody {
                    used: data.len(),
                    data,
                    is_complete: *left == 0,
                })
            }
            Self::Chunked(chunked) => chunked.decode(input, limits),
        }
    }
}

/// The chunked coding (RFC 9112 §7.1). Size lines and trailers are taken byte by byte as they come, so
/// that nothing of them is kept or read twice; chunk data is handed on in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: ChunkState,
    size_digits: u8,
    /// Bytes counted against the limit on extensions, then against the one on trailers.
    overhead: u32,
    /// Size of the chunk; then what is left of it.
    left: u64,
    /// Bytes in all chunks so far, this one included.
    total: u64,
}

/// The place in the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    Size,
    Semicolon,
    Extension,
    /// After the `=` of an extension.
    ExtensionValue,
    Quoted,
    /// After a backslash in a quoted string.
    QuotedPair,
    /// After a quoted string.
    ExtensionEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Nothing,
}

impl Chunked {
    pub(super) const fn new() -> Self {
        Self {
            state: ChunkState::Size,
            size_digits: 0,
            overhead: 0,
            left: 0,
            total: 0,
        }
    }

    fn decode<'b>(
        &mut self,
        input: &'b [u8],
        limits: &HttpLimits,
    ) -> Result<DecodedBody<'b>, RequestError> {
        let mut used = 0;
        while let Some((byte, _)) = input.get(used..).and_then(<[u8]>::split_first) {
            if self.state == ChunkState::Data {
                let data = take(part(input, used..), &mut self.left);
                if self.left == 0 {
                    self.state = ChunkState::DataCr;
                }
                return Ok(DecodedBody {
                    used: used + data.len(),
                    data,
                    is_complete: false,
                });
            }
            self.state = self.framing(*byte, limits)?;
            used += 1;
            if self.state == ChunkState::Nothing {
                return Ok(DecodedBody {
                    used,
                    data: &[],
                    is_complete: true,
                });
            }
        }
        Ok(DecodedBody {
            used,
            data: &[],
            is_complete: false,
        })
    }

    /// Takes one byte that is not chunk data, and says what is awaited after it.
    fn framing(&mut self, byte: u8, limits: &HttpLimits) -> Result<ChunkState, RequestError> {
        match (self.state, byte) {
            (ChunkState::Size, b'\r' | b' ' | b'\t' | b';') if self.size_digits == 0 => {
                Err(RequestError::ChunkSize)
            }
            (
                ChunkState::Size
                | ChunkState::Extension
                | ChunkState::ExtensionValue
                | ChunkState::ExtensionEnd,
                b'\r',
            ) => Ok(ChunkState::SizeLf),
            (ChunkState::Size | ChunkState::Semicolon, b' ' | b'\t') => {
                self.extension(ChunkState::Semicolon, limits)
            }
            (ChunkState::Size | ChunkState::Semicolon, b';') => {
                self.extension(ChunkState::Extension, limits)
            }
            (ChunkState::Size, _) => self.size_digit(byte, limits),
            (ChunkState::Semicolon, _) => Err(RequestError::ChunkSize),
            (
                ChunkState::Extension
                | ChunkState::ExtensionValue
                | ChunkState::Quoted
                | ChunkState::QuotedPair
                | ChunkState::ExtensionEnd,
                _,
            ) => self.extension(in_extension(self.state, byte)?, limits),
            (ChunkState::SizeLf, b'\n') => Ok(self.chunk_start()),
            (ChunkState::DataCr, b'\r') => Ok(ChunkState::DataLf),
            (ChunkState::DataLf, b'\n') => {
                (self.size_digits, self.left) = (0, 0);
                Ok(ChunkState::Size)
            }
            (ChunkState::DataCr | ChunkState::DataLf, _) => Err(RequestError::ChunkEnd),
            (ChunkState::TrailerStart, b'\r') => Ok(ChunkState::LastLf),
            (ChunkState::TrailerName, b':') => self.trailer(ChunkState::TrailerValue, limits),
            (ChunkState::TrailerStart | ChunkState::TrailerName, _) if is_token_byte(byte) => {
                self.trailer(ChunkState::TrailerName, limits)
            }
            (ChunkState::TrailerStart | ChunkState::TrailerName, _) => Err(RequestError::Trailer),
            (ChunkState::TrailerValue, b'\r') => Ok(ChunkState::TrailerLf),
            (ChunkState::TrailerValue, _) if is_value_byte(byte) => {
                self.trailer(ChunkState::TrailerValue, limits)
            }
            (ChunkState::TrailerLf, b'\n') => Ok(ChunkState::TrailerStart),
            (ChunkState::LastLf, b'\n') => Ok(ChunkState::Nothing),
            (ChunkState::SizeLf | ChunkState::TrailerLf | ChunkState::LastLf, _) => {
                Err(RequestError::BareCr)
            }
            (ChunkState::TrailerValue, b'\n') => Err(RequestError::BareLf),
            (ChunkState::TrailerValue, _) => Err(RequestError::ControlByte),
            (ChunkState::Data | ChunkState::Nothing, _) => Ok(self.state),
        }
    }

    /// RFC 9112 §7.1: sizes are hexadecimal, and must not overflow the reader. The limit on the body
    /// is checked digit by digit, before a byte of the chunk is read.
    fn size_digit(&mut self, byte: u8, limits: &HttpLimits) -> Result<ChunkState, RequestError> {
        let digit = char::from(byte)
            .to_digit(16)
            .ok_or(RequestError::ChunkSize)?;
        if self.size_digits == 16 {
            return Err(RequestError::ChunkSize);
        }
        self.size_digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        if self.left > limits.body_bytes_max.saturating_sub(self.total) {
            return Err(RequestError::BodyTooLong);
        }
        Ok(ChunkState::Size)
    }

    const fn chunk_start(&mut self) -> ChunkState {
        if self.left == 0 {
            self.overhead = 0;
            return ChunkState::TrailerStart;
        }
        self.total = self.total.saturating_add(self.left);
        ChunkState::Data
    }

    fn extension(
        &mut self,
        next: ChunkState,
        limits: &HttpLimits,
    ) -> Result<ChunkState, RequestError> {
        self.count(
            limits.chunk_extension_bytes_max,
            RequestError::ChunkExtensionsTooLong,
        )?;
        Ok(next)
    }

    fn trailer(
        &mut self,
        next: ChunkState,
        limits: &HttpLimits,
    ) -> Result<ChunkState, RequestError> {
        self.count(limits.trailer_bytes_max, RequestError::TrailersTooLong)?;
        Ok(next)
    }

    fn count(&mut self, bytes_max: usize, error: RequestError) -> Result<(), RequestError> {
        self.overhead = self.overhead.saturating_add(1);
        match usize::try_from(self.overhead) {
            Ok(bytes) if bytes <= bytes_max => Ok(()),
            _ => Err(error),
        }
    }
}

/// State after this byte of an extension (RFC 9112 §7.1.1). Names and values are not used, but
/// where a quoted string ends two readers must not see differently.
fn in_extension(state: ChunkState, byte: u8) -> Result<ChunkState, RequestError> {
    match (state, byte) {
        (ChunkState::Quoted | ChunkState::QuotedPair, b'\r') => Err(RequestError::ChunkExtension),
        (_, b'\n') => Err(RequestError::BareLf),
        _ if !is_value_byte(byte) => Err(RequestError::ControlByte),
        (ChunkState::QuotedPair, _) => Ok(ChunkState::Quoted),
        (ChunkState::Quoted, b'\\') => Ok(ChunkState::QuotedPair),
        (ChunkState::Quoted, b'"') => Ok(ChunkState::ExtensionEnd),
        (ChunkState::Quoted, _) => Ok(ChunkState::Quoted),
        (_, b';') => Ok(ChunkState::Extension),
        (ChunkState::ExtensionEnd | ChunkState::ExtensionValue, b' ' | b'\t') => Ok(state),
        (ChunkState::ExtensionValue, b'"') => Ok(ChunkState::Quoted),
        (ChunkState::ExtensionEnd, _) | (_, b'"') => Err(RequestError::ChunkExtension),
        (ChunkState::Extension, b'=') => Ok(ChunkState::ExtensionValue),
        _ => Ok(ChunkState::Extension),
    }
}

/// The first bytes of the input, at most `left`, which goes down by as many.
fn take<'b>(input: &'b [u8], left: &mut u64) -> &'b [u8] {
    let length = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(input.len());
    *left = left.saturating_sub(length as u64);
    part(input, ..length)
}
