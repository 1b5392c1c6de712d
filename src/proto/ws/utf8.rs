//! UTF-8 that arrives in pieces (RFC 6455 §8.1): validated once, refused at the first bad byte.

use std::str;

use super::WsError;

/// Bytes of the longest character that is not yet whole.
const TAIL_BYTES_MAX: usize = 3;

/// Turns pieces of bytes into pieces of text. Between two pieces it keeps nothing but the first
/// bytes of a character that was cut.
///
/// ```
/// use edgeloop::proto::ws::utf8::{DecodedText, Decoder};
///
/// let mut decoder = Decoder::new();
/// assert_eq!(decoder.decode(b"caf\xC3"), Ok(DecodedText { joined: None, text: "caf" }));
/// assert_eq!(decoder.decode(b"\xA9 noir"), Ok(DecodedText { joined: Some('é'), text: " noir" }));
/// assert_eq!(decoder.finish(), Ok(()));
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    tail: [u8; TAIL_BYTES_MAX],
    tail_bytes: u8,
}

/// Text that a piece added: first `joined`, then `text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedText<'a> {
    /// The character that began in an earlier piece and is whole now.
    pub joined: Option<char>,
    /// The whole characters of this piece.
    pub text: &'a str,
}

/// The bytes are not UTF-8, whatever may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUtf8;

impl Decoder {
    /// A decoder at the start of a text.
    pub const fn new() -> Self {
        Self {
            tail: [0; TAIL_BYTES_MAX],
            tail_bytes: 0,
        }
    }

    /// The bytes held back: the start of a character whose rest has not arrived.
    pub fn pending_bytes(&self) -> usize {
        self.tail_bytes.into()
    }

    /// Takes the next piece. After an error the decoder is of no further use.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<DecodedText<'a>, InvalidUtf8> {
        let (joined, bytes) = if self.tail_bytes == 0 {
            (None, bytes)
        } else {
            self.join(bytes)?
        };
        let whole_bytes = bytes.len().saturating_sub(cut_character_bytes(bytes));
        let (whole, cut) = bytes.split_at_checked(whole_bytes).ok_or(InvalidUtf8)?;
        let text = str::from_utf8(whole).map_err(|_| InvalidUtf8)?;
        if !cut.is_empty() {
            self.keep(cut)?;
        }
        Ok(DecodedText { joined, text })
    }

    /// The end of the text: a character may not be cut here.
    pub fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.tail_bytes == 0 {
            Ok(())
        } else {
            Err(InvalidUtf8)
        }
    }

    /// Completes the cut character with the first of `bytes`; returns the rest.
    fn join<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<char>, &'a [u8]), InvalidUtf8> {
        let held = self.tail.iter().take(self.tail_bytes.into());
        let mut character = [0; 4];
        let mut length = 0;
        let width = held
            .clone()
            .next()
            .map_or(0, |&first| character_bytes(first));
        for (place, &byte) in character.iter_mut().zip(held.chain(bytes)).take(width) {
            *place = byte;
            length += 1;
        }
        let taken = length - usize::from(self.tail_bytes);
        let rest = bytes.get(taken..).ok_or(InvalidUtf8)?;
        let character = character.get(..length).ok_or(InvalidUtf8)?;
        if length < width {
            self.keep(character)?;
            return Ok((None, rest));
        }
        self.tail_bytes = 0;
        let joined = str::from_utf8(character).map_err(|_| InvalidUtf8)?;
        Ok((joined.chars().next(), rest))
    }

    /// Holds back `cut`, unless no character can begin with it.
    fn keep(&mut self, cut: &[u8]) -> Result<(), InvalidUtf8> {
        let may_become_whole = str::from_utf8(cut).is_err_and(|e| e.error_len().is_none());
        let place = self.tail.get_mut(..cut.len()).filter(|_| may_become_whole);
        place.ok_or(InvalidUtf8)?.copy_from_slice(cut);
        self.tail_bytes = u8::try_from(cut.len()).map_err(|_| InvalidUtf8)?;
        Ok(())
    }
}

/// Number of bytes at the end of `bytes` that begin a character that needs more of them. Finding the
/// cut first lets `str::from_utf8` run over all the rest at its full speed, and once.
fn cut_character_bytes(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(TAIL_BYTES_MAX);
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    match last.zip(1..).find(|&(&byte, _)| !is_continuation(byte)) {
        Some((&first, present)) if character_bytes(first) > present => present,
        _ => 0,
    }
}

/// The length of a character by its first byte, 1 for a byte that cannot be one.
fn character_bytes(first: u8) -> usize {
    match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}

impl From<InvalidUtf8> for WsError {
    fn from(_: InvalidUtf8) -> Self {
        Self::TextNotUtf8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_pieces<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<String, InvalidUtf8> {
        let mut decoder = Decoder::new();
        let mut text = String::new();
        for piece in pieces {
            let decoded = decoder.decode(piece)?;
            text.extend(decoded.joined);
            text.push_str(decoded.text);
        }
        decoder.finish()?;
        Ok(text)
    }

    /// The first byte that no valid text can have there, as std sees it.
    fn first_bad_byte(bytes: &[u8]) -> Option<usize> {
        (0..bytes.len()).find(|&at| {
            str::from_utf8(&bytes[..=at]).is_err_and(|error| error.error_len().is_some())
        })
    }

    #[test]
    fn every_text_survives_every_pair_of_cuts() {
        let text = "a\u{7F}\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}κόσμε";
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    decode_pieces(pieces).as_deref(),
                    Ok(text),
                    "{first} {second}"
                );
            }
        }
    }

    #[test]
    fn a_character_cut_at_the_end_is_refused() {
        for cut in ["\u{80}", "\u{800}", "\u{10000}"] {
            let bytes = &cut.as_bytes()[..cut.len() - 1];
            assert_eq!(decode_pieces([bytes]), Err(InvalidUtf8));
        }
    }

    /// All four-byte strings over the bytes where RFC 3629 §4 changes its mind.
    #[test]
    fn the_first_bad_byte_is_refused_when_it_arrives() {
        let edges = [
            0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1,
            0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ];
        let count = edges.len();
        for number in 0..count.pow(4) {
            let bytes = [1, count, count.pow(2), count.pow(3)].map(|n| edges[number / n % count]);
            let mut decoder = Decoder::new();
            let rejected = bytes
                .iter()
                .position(|byte| decoder.decode(&[*byte]).is_err());
            assert_eq!(rejected, first_bad_byte(&bytes), "{bytes:02X?}");
            let halves = [&bytes[..2], &bytes[2..]];
            let whole = str::from_utf8(&bytes)
                .map(str::to_owned)
                .map_err(|_| InvalidUtf8);
            assert_eq!(decode_pieces([bytes.as_slice()]), whole, "{bytes:02X?}");
            assert_eq!(decode_pieces(halves), whole, "{bytes:02X?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_give_the_verdict_of_the_whole(
            text in "\\PC{0,40}",
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut bytes = text.into_bytes();
            if let (Some((at, byte)), false) = (damage, bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.extend([0, bytes.len()]);
            ends.sort_unstable();

            let pieces = ends.windows(2).map(|ends| &bytes[ends[0]..ends[1]]);
            let whole = str::from_utf8(&bytes).map(str::to_owned).map_err(|_| InvalidUtf8);
            prop_assert_eq!(decode_pieces(pieces), whole);

            let mut decoder = Decoder::new();
            let rejected = bytes.iter().position(|byte| decoder.decode(&[*byte]).is_err());
            prop_assert_eq!(rejected, first_bad_byte(&bytes));
        }
    }
}
