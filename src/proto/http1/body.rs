//! Takes the framing off a request body.

use super::error::Error;
use super::fields::{is_token_byte, is_value_byte};
use super::limits::Limits;
use crate::invariant::part;

/// What is left to read of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// So many bytes; never zero.
    Length(u64),
    Chunked(Chunked),
}

/// What one look at the input gave.
pub(super) struct Decoded<'b> {
    /// Bytes of the input that are done with.
    pub(super) used: usize,
    /// Body bytes among them. Empty when the input ran out, or the body is complete.
    pub(super) data: &'b [u8],
    /// The body is complete.
    pub(super) is_complete: bool,
}

impl Body {
    pub(super) fn decode<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
    ) -> Result<Decoded<'b>, Error> {
        match self {
            Self::Length(left) => {
                let data = take(input, left);
                Ok(Decoded {
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
    state: State,
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
enum State {
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
            state: State::Size,
            size_digits: 0,
            overhead: 0,
            left: 0,
            total: 0,
        }
    }

    fn decode<'b>(&mut self, input: &'b [u8], limits: &Limits) -> Result<Decoded<'b>, Error> {
        let mut used = 0;
        while let Some((byte, _)) = input.get(used..).and_then(<[u8]>::split_first) {
            if self.state == State::Data {
                let data = take(part(input, used..), &mut self.left);
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Decoded {
                    used: used + data.len(),
                    data,
                    is_complete: false,
                });
            }
            self.state = self.framing(*byte, limits)?;
            used += 1;
            if self.state == State::Nothing {
                return Ok(Decoded {
                    used,
                    data: &[],
                    is_complete: true,
                });
            }
        }
        Ok(Decoded {
            used,
            data: &[],
            is_complete: false,
        })
    }

    /// Takes one byte that is not chunk data, and says what is awaited after it.
    fn framing(&mut self, byte: u8, limits: &Limits) -> Result<State, Error> {
        match (self.state, byte) {
            (State::Size, b'\r' | b' ' | b'\t' | b';') if self.size_digits == 0 => {
                Err(Error::ChunkSize)
            }
            (
                State::Size | State::Extension | State::ExtensionValue | State::ExtensionEnd,
                b'\r',
            ) => Ok(State::SizeLf),
            (State::Size | State::Semicolon, b' ' | b'\t') => {
                self.extension(State::Semicolon, limits)
            }
            (State::Size | State::Semicolon, b';') => self.extension(State::Extension, limits),
            (State::Size, _) => self.size_digit(byte, limits),
            (State::Semicolon, _) => Err(Error::ChunkSize),
            (
                State::Extension
                | State::ExtensionValue
                | State::Quoted
                | State::QuotedPair
                | State::ExtensionEnd,
                _,
            ) => self.extension(in_extension(self.state, byte)?, limits),
            (State::SizeLf, b'\n') => Ok(self.chunk_start()),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                (self.size_digits, self.left) = (0, 0);
                Ok(State::Size)
            }
            (State::DataCr | State::DataLf, _) => Err(Error::ChunkEnd),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerName, b':') => self.trailer(State::TrailerValue, limits),
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                self.trailer(State::TrailerName, limits)
            }
            (State::TrailerStart | State::TrailerName, _) => Err(Error::Trailer),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_value_byte(byte) => {
                self.trailer(State::TrailerValue, limits)
            }
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Nothing),
            (State::SizeLf | State::TrailerLf | State::LastLf, _) => Err(Error::BareCr),
            (State::TrailerValue, b'\n') => Err(Error::BareLf),
            (State::TrailerValue, _) => Err(Error::ControlByte),
            (State::Data | State::Nothing, _) => Ok(self.state),
        }
    }

    /// RFC 9112 §7.1: sizes are hexadecimal, and must not overflow the reader. The limit on the body
    /// is checked digit by digit, before a byte of the chunk is read.
    fn size_digit(&mut self, byte: u8, limits: &Limits) -> Result<State, Error> {
        let digit = char::from(byte).to_digit(16).ok_or(Error::ChunkSize)?;
        if self.size_digits == 16 {
            return Err(Error::ChunkSize);
        }
        self.size_digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        if self.left > limits.body_bytes_max.saturating_sub(self.total) {
            return Err(Error::BodyTooLong);
        }
        Ok(State::Size)
    }

    const fn chunk_start(&mut self) -> State {
        if self.left == 0 {
            self.overhead = 0;
            return State::TrailerStart;
        }
        self.total = self.total.saturating_add(self.left);
        State::Data
    }

    fn extension(&mut self, next: State, limits: &Limits) -> Result<State, Error> {
        self.count(
            limits.chunk_extension_bytes_max,
            Error::ChunkExtensionsTooLong,
        )?;
        Ok(next)
    }

    fn trailer(&mut self, next: State, limits: &Limits) -> Result<State, Error> {
        self.count(limits.trailer_bytes_max, Error::TrailersTooLong)?;
        Ok(next)
    }

    fn count(&mut self, bytes_max: usize, error: Error) -> Result<(), Error> {
        self.overhead = self.overhead.saturating_add(1);
        match usize::try_from(self.overhead) {
            Ok(bytes) if bytes <= bytes_max => Ok(()),
            _ => Err(error),
        }
    }
}

/// What is awaited after this byte of an extension (RFC 9112 §7.1.1). Names and values are for nobody, but
/// where a quoted string ends two readers must not see differently.
fn in_extension(state: State, byte: u8) -> Result<State, Error> {
    match (state, byte) {
        (State::Quoted | State::QuotedPair, b'\r') => Err(Error::ChunkExtension),
        (_, b'\n') => Err(Error::BareLf),
        _ if !is_value_byte(byte) => Err(Error::ControlByte),
        (State::QuotedPair, _) => Ok(State::Quoted),
        (State::Quoted, b'\\') => Ok(State::QuotedPair),
        (State::Quoted, b'"') => Ok(State::ExtensionEnd),
        (State::Quoted, _) => Ok(State::Quoted),
        (_, b';') => Ok(State::Extension),
        (State::ExtensionEnd | State::ExtensionValue, b' ' | b'\t') => Ok(state),
        (State::ExtensionValue, b'"') => Ok(State::Quoted),
        (State::ExtensionEnd, _) | (_, b'"') => Err(Error::ChunkExtension),
        (State::Extension, b'=') => Ok(State::ExtensionValue),
        _ => Ok(State::Extension),
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
