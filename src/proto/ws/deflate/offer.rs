//! Offers of clients and their acceptance (RFC 7692 §7.1), in `Sec-WebSocket-Extensions`
//! (RFC 6455 §9.1).

use std::borrow::Cow;
use std::fmt;

use super::super::handshake::{is_token_byte, is_white_space};
use super::Compression;

const NAME: &str = "permessage-deflate";
const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// The size of a window, as a power of two: 8 to 15 (§7.1.2).
///
/// Frames compressed with the same may be sent to all who agreed on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowBits(u8);

impl WindowBits {
    pub(super) const MAX: Self = Self(15);
    const MIN: Self = Self(8);
    /// The smallest the library takes. With it, what it compresses never points back farther than
    /// 250 bytes, so that a window of 8 bits will do to read it.
    const LIBRARY_MIN: u8 = 9;
    /// Number of sizes that differ to the library.
    pub(super) const COUNT: usize = 7;

    /// The power of two.
    pub const fn value(self) -> u8 {
        self.0
    }

    pub(super) const fn for_library(self) -> u8 {
        if self.0 < Self::LIBRARY_MIN {
            Self::LIBRARY_MIN
        } else {
            self.0
        }
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.for_library() - Self::LIBRARY_MIN)
    }

    /// The nearest there is.
    fn clamped(bits: u8) -> Self {
        Self(bits.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// §7.1.2.1: a decimal number from 8 to 15, without leading zeroes.
    fn parse(text: &str) -> Option<Self> {
        let is_number = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        let bits = text.parse().ok().filter(|_| is_number)?;
        (Self::MIN.0..=Self::MAX.0)
            .contains(&bits)
            .then_some(Self(bits))
    }
}

/// Compression parameters of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    window_bits: WindowBits,
    keeps_window: bool,
}

impl Direction {
    /// The size of its window at most.
    pub const fn window_bits(self) -> WindowBits {
        self.window_bits
    }

    /// Returns `true` if its window is kept from one message to the next.
    pub const fn keeps_window(self) -> bool {
        self.keeps_window
    }
}

/// Parameters that both ends have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedDeflate {
    server: Direction,
    client: Direction,
}

impl NegotiatedDeflate {
    /// Compression parameters of the server.
    pub const fn server(self) -> Direction {
        self.server
    }

    /// Compression parameters of the client.
    pub const fn client(self) -> Direction {
        self.client
    }

    /// Appends the field line of the 101 answer.
    pub(in super::super) fn encode_field(self, offer: Offer, out: &mut Vec<u8>) {
        let Self { server, client } = self;
        out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        out.extend_from_slice(NAME.as_bytes());
        for (keeps_window, name) in [
            (server.keeps_window, SERVER_NO_TAKEOVER),
            (client.keeps_window, CLIENT_NO_TAKEOVER),
        ] {
            if !keeps_window {
                out.extend_from_slice(b"; ");
                out.extend_from_slice(name.as_bytes());
            }
        }
        let is_said = |bits: WindowBits| bits < WindowBits::MAX;
        for (bits, name, is_said) in [
            // An offer of a size is accepted by naming one (§7.1.2.1).
            (
                server.window_bits,
                SERVER_BITS,
                offer.server_bits.is_some() || is_said(server.window_bits),
            ),
            // One may be named only to a client that said it knows of it (§7.1.2.2).
            (
                client.window_bits,
                CLIENT_BITS,
                offer.client_bits.is_some() && is_said(client.window_bits),
            ),
        ] {
            if is_said {
                out.extend_from_slice(format!("; {name}={}", bits.value()).as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The first offer of a client that a server can accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Offer {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<WindowBits>,
    /// `true` if the client can be told a size, and the largest it would use anyway.
    client_bits: Option<WindowBits>,
}

impl Offer {
    /// Negotiates: windows as small as both sides want them, and kept only where neither
    /// side minds.
    pub(in super::super) fn negotiate(self, how: &Compression) -> NegotiatedDeflate {
        let ours = WindowBits::clamped(how.window_bits_max);
        NegotiatedDeflate {
            server: Direction {
                window_bits: self.server_bits.map_or(ours, |theirs| theirs.min(ours)),
                keeps_window: how.keeps_windows && !self.server_no_takeover,
            },
            client: Direction {
                window_bits: self
                    .client_bits
                    .map_or(WindowBits::MAX, |theirs| theirs.min(ours)),
                keeps_window: how.keeps_windows && !self.client_no_takeover,
            },
        }
    }

    /// Takes a parameter; `None` when it makes the offer one to decline (§7.1).
    fn with(mut self, seen: &mut Vec<Box<str>>, name: &str, value: Option<&str>) -> Option<Self> {
        if seen.iter().any(|seen| **seen == *name) {
            return None;
        }
        seen.push(name.into());
        match (name, value) {
            (SERVER_NO_TAKEOVER, None) => self.server_no_takeover = true,
            (CLIENT_NO_TAKEOVER, None) => self.client_no_takeover = true,
            (SERVER_BITS, Some(bits)) => self.server_bits = Some(WindowBits::parse(bits)?),
            (CLIENT_BITS, Some(bits)) => self.client_bits = Some(WindowBits::parse(bits)?),
            (CLIENT_BITS, None) => self.client_bits = Some(WindowBits::MAX),
            _ => return None,
        }
        Some(self)
    }
}

/// A list of extensions that is none (RFC 6455 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct OfferError;

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Sec-WebSocket-Extensions is not a list of extensions")
    }
}

impl std::error::Error for OfferError {}

/// Offers of all `Sec-WebSocket-Extensions` lines.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Offers {
    first: Option<Offer>,
    is_malformed: bool,
}

impl Offers {
    pub(in super::super) fn read_line(&mut self, value: &str) {
        let mut scanner = Scanner(value);
        while scanner.skip(|byte| byte == b',') {
            match scanner.extension() {
                Ok(offer) => self.first = self.first.or(offer),
                Err(OfferError) => {
                    self.is_malformed = true;
                    return;
                }
            }
        }
    }

    /// The first that can be accepted.
    pub(in super::super) const fn first(self) -> Result<Option<Offer>, OfferError> {
        if self.is_malformed {
            Err(OfferError)
        } else {
            Ok(self.first)
        }
    }
}

/// Scanner over the rest of a line.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    /// Skips white space and `more`; whether anything is left.
    fn skip(&mut self, more: impl Fn(u8) -> bool) -> bool {
        let is_skipped = |c: char| is_white_space(c) || u8::try_from(c).is_ok_and(&more);
        self.0 = self.0.trim_start_matches(is_skipped);
        !self.0.is_empty()
    }

    /// Takes `wanted`, if it is next, and the white space around it.
    fn takes(&mut self, wanted: char) -> bool {
        self.skip(|_| false);
        let Some(rest) = self.0.strip_prefix(wanted) else {
            return false;
        };
        self.0 = rest;
        self.skip(|_| false);
        true
    }

    fn token(&mut self) -> Result<&'a str, OfferError> {
        let end = self.0.bytes().position(|byte| !is_token_byte(byte));
        let (token, rest) = self
            .0
            .split_at_checked(end.unwrap_or(self.0.len()))
            .ok_or(OfferError)?;
        self.0 = rest;
        if token.is_empty() {
            return Err(OfferError);
        }
        Ok(token)
    }

    /// A token, quoted or not.
    fn value(&mut self) -> Result<Cow<'a, str>, OfferError> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            return self.token().map(Cow::Borrowed);
        };
        let mut text = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next().ok_or(OfferError)? {
                '"' => break,
                '\\' => text.push(characters.next().ok_or(OfferError)?),
                other => text.push(other),
            }
        }
        self.0 = characters.as_str();
        if text.is_empty() || !text.bytes().all(is_token_byte) {
            return Err(OfferError);
        }
        Ok(Cow::Owned(text))
    }

    /// An extension with its parameters, up to the comma: the offer, if it is one of ours and can
    /// be accepted.
    fn extension(&mut self) -> Result<Option<Offer>, OfferError> {
        let mut offer = (self.token()? == NAME).then(Offer::default);
        let mut seen = Vec::new();
        while self.takes(';') {
            let name = self.token()?;
            let value = if self.takes('=') {
                Some(self.value()?)
            } else {
                None
            };
            offer = offer.and_then(|offer| offer.with(&mut seen, name, value.as_deref()));
        }
        if self.0.is_empty() || self.0.starts_with(',') {
            Ok(offer)
        } else {
            Err(OfferError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(lines: &[&str]) -> Result<Option<Offer>, OfferError> {
        let mut offers = Offers::default();
        for line in lines {
            offers.read_line(line);
        }
        offers.first()
    }

    fn extensions_of(how: &Compression, line: &str) -> Option<String> {
        let offer = first(&[line]).unwrap()?;
        let mut out = Vec::new();
        offer.negotiate(how).encode_field(offer, &mut out);
        let line = String::from_utf8(out).unwrap();
        let value = line.strip_prefix("Sec-WebSocket-Extensions: permessage-deflate");
        Some(value.unwrap().strip_suffix("\r\n").unwrap().to_owned())
    }

    const KEEPING: Compression = Compression {
        keeps_windows: true,
        ..Compression::DEFAULT
    };
    const SMALL: Compression = Compression {
        window_bits_max: 10,
        ..KEEPING
    };

    #[test]
    fn section_7_1_windows_are_not_kept_by_default() {
        let none = "; server_no_context_takeover; client_no_context_takeover";
        for (offer, more) in [
            ("permessage-deflate", ""),
            ("permessage-deflate; client_max_window_bits", ""),
            ("permessage-deflate; client_no_context_takeover", ""),
            ("permessage-deflate; server_no_context_takeover", ""),
            (
                "permessage-deflate; server_max_window_bits=10",
                "; server_max_window_bits=10",
            ),
            (
                "permessage-deflate;server_max_window_bits=15",
                "; server_max_window_bits=15",
            ),
            (
                "permessage-deflate; client_max_window_bits=9",
                "; client_max_window_bits=9",
            ),
            (
                "permessage-deflate;client_max_window_bits = 8 ;\tserver_max_window_bits=\"1\\2\"",
                "; server_max_window_bits=12; client_max_window_bits=8",
            ),
        ] {
            let wanted = format!("{none}{more}");
            assert_eq!(
                extensions_of(&Compression::DEFAULT, offer).as_deref(),
                Some(&*wanted),
                "{offer}"
            );
        }
    }

    #[test]
    fn section_7_1_1_windows_are_kept_where_neither_side_minds() {
        for (offer, wanted) in [
            ("permessage-deflate", ""),
            (
                "permessage-deflate; client_no_context_takeover",
                "; client_no_context_takeover",
            ),
            (
                "permessage-deflate; server_no_context_takeover; client_max_window_bits",
                "; server_no_context_takeover",
            ),
        ] {
            assert_eq!(
                extensions_of(&KEEPING, offer).as_deref(),
                Some(wanted),
                "{offer}"
            );
        }
    }

    #[test]
    fn section_7_1_2_the_smaller_window_counts() {
        for (offer, wanted) in [
            // A size may be told to the client unasked, but one for it only when it said it
            // can take that.
            ("permessage-deflate", "; server_max_window_bits=10"),
            (
                "permessage-deflate; client_max_window_bits",
                "; server_max_window_bits=10; client_max_window_bits=10",
            ),
            (
                "permessage-deflate; client_max_window_bits=12; server_max_window_bits=9",
                "; server_max_window_bits=9; client_max_window_bits=10",
            ),
        ] {
            assert_eq!(
                extensions_of(&SMALL, offer).as_deref(),
                Some(wanted),
                "{offer}"
            );
        }
    }

    #[test]
    fn section_7_1_an_odd_offer_is_declined_and_the_next_considered() {
        for odd in [
            "permessage-deflate; unknown",
            "permessage-deflate; unknown=1",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=+8",
            "permessage-deflate; server_max_window_bits=0",
            "permessage-deflate; server_max_window_bits=1000",
            "permessage-deflate; client_max_window_bits=abc",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "x-webkit-deflate-frame",
            "Permessage-Deflate",
            "other; permessage-deflate",
        ] {
            assert_eq!(first(&[odd]), Ok(None), "{odd}");
            let good = "permessage-deflate; client_no_context_takeover";
            let wanted = first(&[good]);
            assert!(wanted.unwrap().is_some());
            assert_eq!(first(&[odd, good]), wanted, "{odd}");
            assert_eq!(first(&[&format!("{odd} , {good}")]), wanted, "{odd}");
            assert_eq!(first(&[&format!("{good},, {odd}")]), wanted, "{odd}");
        }
        assert_eq!(first(&[]), Ok(None));
        assert_eq!(first(&["", " , "]), Ok(None));
    }

    #[test]
    fn section_9_1_a_list_that_is_none_is_refused() {
        for malformed in [
            "permessage-deflate;",
            "permessage-deflate; ; client_max_window_bits",
            "permessage-deflate; =1",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"\"",
            "permessage-deflate; client_max_window_bits=\"10",
            "permessage-deflate; client_max_window_bits=\"10\\",
            "permessage-deflate; client_max_window_bits=\"1 0\"",
            "permessage-deflate; client_max_window_bits=\"10\"x",
            "permessage deflate",
            "; permessage-deflate",
            "=",
            "permessage-deflaté",
        ] {
            assert_eq!(first(&[malformed]), Err(OfferError), "{malformed}");
            assert_eq!(first(&["permessage-deflate", malformed]), Err(OfferError));
        }
    }
}
