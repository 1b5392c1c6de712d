//! The opening handshake (RFC 6455 §4): is it one, and what is the answer to it?
//!
//! A request is seen as its method, its version and its header fields as (name, value) pairs, so
//! any HTTP parser will do. Host and Origin are not looked at here.
//!
//! ```
//! use edgeloop::proto::ws::handshake::{self, UpgradeError};
//!
//! let fields = [
//!     ("Host", "server.example.com"),
//!     ("Upgrade", "websocket"),
//!     ("Connection", "keep-alive, Upgrade"),
//!     ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
//!     ("Sec-WebSocket-Protocol", "chat, superchat"),
//!     ("Sec-WebSocket-Version", "13"),
//! ];
//! let opening = handshake::read_request("GET", true, fields)?;
//! let chat = handshake::subprotocols(fields).find(|offered| offered.as_str() == "chat");
//! let mut response = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
//! opening.encode_fields(&mut response, chat);
//! assert!(response.ends_with(
//!     b"Upgrade: websocket\r\nConnection: Upgrade\r\n\
//!       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
//!       Sec-WebSocket-Protocol: chat\r\n"
//! ));
//! # Ok::<(), UpgradeError>(())
//! ```

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest, Sha1};

use super::deflate::{Compression, NegotiatedDeflate, Offer, Offers};

/// Text of a `Sec-WebSocket-Accept`, as [`accept_key`] returns it.
pub type AcceptKey = [u8; 28];

/// The one version there is (RFC 6455 §4.1).
const VERSION: &str = "13";
/// Text appended to a key before it is hashed (§1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A nonce of 16 bytes in base64.
const KEY_BYTES: usize = 24;
const NONCE_BYTES: usize = 16;
/// Clients that draw the 22 characters of a key at random leave bits over. They are harmless:
/// nothing but the hash of the text is of use.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Why a request opens no WebSocket, and with it the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The method is not GET (§4.2.1, 1).
    MethodNotGet,
    /// The version is not HTTP/1.1 (§4.2.1, 1).
    HttpVersion,
    /// No `Upgrade` to `websocket` (§4.2.1, 3).
    UpgradeMissing,
    /// No `upgrade` in `Connection` (§4.2.1, 4).
    ConnectionUpgradeMissing,
    /// Not one `Sec-WebSocket-Key` (§4.2.1, 5; §11.3.1).
    KeyNotOne,
    /// A `Sec-WebSocket-Key` that is not 16 bytes in base64 (§4.2.1, 5).
    KeyInvalid,
    /// Not one `Sec-WebSocket-Version` of 13 (§4.2.1, 6; §4.4).
    VersionUnsupported,
    /// A `Sec-WebSocket-Protocol` with something that is not a token (§4.1, 10).
    SubprotocolInvalid,
    /// A `Sec-WebSocket-Extensions` that is not a list of extensions (§9.1).
    ExtensionsInvalid,
    /// A body, which would stand where frames are expected. Only who parses the request sees that:
    /// [`read_request`] does not.
    BodyPresent,
}

impl UpgradeError {
    /// The HTTP status: 400, 405 or 426.
    pub const fn status(self) -> u16 {
        match self {
            Self::MethodNotGet => 405,
            Self::UpgradeMissing | Self::VersionUnsupported => 426,
            Self::HttpVersion
            | Self::ConnectionUpgradeMissing
            | Self::KeyNotOne
            | Self::KeyInvalid
            | Self::SubprotocolInvalid
            | Self::ExtensionsInvalid
            | Self::BodyPresent => 400,
        }
    }

    /// The field lines the answer must have: `Allow` with 405 (RFC 9110 §15.5.6), `Upgrade` and
    /// the version with 426 (RFC 9110 §15.5.22, RFC 6455 §4.4).
    pub const fn fields(self) -> &'static str {
        match self.status() {
            405 => "Allow: GET\r\n",
            426 => "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MethodNotGet => "a WebSocket is opened with GET",
            Self::HttpVersion => "a WebSocket is opened with HTTP/1.1",
            Self::UpgradeMissing => "the request does not ask for an upgrade to websocket",
            Self::ConnectionUpgradeMissing => "the Connection field does not name the upgrade",
            Self::KeyNotOne => "the request must have one Sec-WebSocket-Key",
            Self::KeyInvalid => "the Sec-WebSocket-Key is not 16 bytes in base64",
            Self::VersionUnsupported => "the Sec-WebSocket-Version is not 13",
            Self::SubprotocolInvalid => "a subprotocol is not a token",
            Self::BodyPresent => "a request for a WebSocket has no body",
            Self::ExtensionsInvalid => "the Sec-WebSocket-Extensions is not a list of extensions",
        })
    }
}

impl std::error::Error for UpgradeError {}

/// A request that opens a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradeRequest {
    accept: AcceptKey,
    offer: Option<Offer>,
}

impl UpgradeRequest {
    /// The value of `Sec-WebSocket-Accept`.
    pub const fn accept(&self) -> &AcceptKey {
        &self.accept
    }

    /// Accepts the first offer of permessage-deflate that can be accepted; `None` when there
    /// is none such (RFC 7692 §5.1).
    pub fn negotiate(&self, how: &Compression) -> Option<NegotiatedDeflate> {
        self.offer.map(|offer| offer.negotiate(how))
    }

    /// Appends the field line that says what was agreed on, if this client may be told.
    pub fn encode_extensions(&self, out: &mut Vec<u8>, negotiated: NegotiatedDeflate) {
        if let Some(offer) = self.offer {
            negotiated.encode_field(offer, out);
        }
    }

    /// Appends the field lines of the 101 answer: `Upgrade`, `Connection`,
    /// `Sec-WebSocket-Accept`, and `Sec-WebSocket-Protocol` when a subprotocol is chosen, which
    /// must be one of those offered (§4.2.2, 5).
    pub fn encode_fields(&self, out: &mut Vec<u8>, chosen: Option<Subprotocol<'_>>) {
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
        out.extend_from_slice(b"Sec-WebSocket-Accept: ");
        out.extend_from_slice(&self.accept);
        out.extend_from_slice(b"\r\n");
        if let Some(Subprotocol(name)) = chosen {
            out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The name of a subprotocol: a token, so it can stand in a field line as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subprotocol<'a>(&'a str);

impl<'a> Subprotocol<'a> {
    /// `None` when `name` is not a token (RFC 9110 §5.6.2).
    pub fn new(name: &'a str) -> Option<Self> {
        is_token(name).then_some(Self(name))
    }

    /// The name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// Returns `true` if a request opens a WebSocket (§4.2.1). `fields` are its header fields; names compare
/// without case, and white space around values does not count.
///
/// # Errors
///
/// The first thing that is missing or wrong.
pub fn read_request<'a>(
    method: &str,
    is_http_1_1: bool,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<UpgradeRequest, UpgradeError> {
    if method != "GET" {
        return Err(UpgradeError::MethodNotGet);
    }
    if !is_http_1_1 {
        return Err(UpgradeError::HttpVersion);
    }
    let seen = SeenFields::collect(fields);
    if !seen.upgrade {
        return Err(UpgradeError::UpgradeMissing);
    }
    if !seen.connection_upgrade {
        return Err(UpgradeError::ConnectionUpgradeMissing);
    }
    if seen.version.one() != Some(VERSION) {
        return Err(UpgradeError::VersionUnsupported);
    }
    let key = seen.key.one().ok_or(UpgradeError::KeyNotOne)?;
    if !is_key(key) {
        return Err(UpgradeError::KeyInvalid);
    }
    if !seen.subprotocols_are_tokens {
        return Err(UpgradeError::SubprotocolInvalid);
    }
    let offer = seen
        .extensions
        .first()
        .map_err(|_| UpgradeError::ExtensionsInvalid)?;
    Ok(UpgradeRequest {
        accept: accept_key(key),
        offer,
    })
}

/// The subprotocols the client offers, in its order of preference, from all the
/// `Sec-WebSocket-Protocol` lines there are (§11.3.4).
pub fn subprotocols<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = Subprotocol<'a>> {
    let lines = fields
        .into_iter()
        .filter(|(name, _)| is_subprotocol_field(name));
    lines
        .flat_map(|(_, value)| elements(value))
        .filter_map(Subprotocol::new)
}

/// The `Sec-WebSocket-Accept` that proves a server has read `key` (§4.2.2, 5.4).
///
/// ```
/// use edgeloop::proto::ws::handshake::accept_key;
///
/// assert_eq!(&accept_key("dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> AcceptKey {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [b'='; 28];
    // 20 bytes are 28 characters.
    let written = STANDARD.encode_slice(hash, &mut accept);
    debug_assert_eq!(written, Ok(28));
    accept
}

/// Why a client does not take an answer for the opening of a WebSocket (§4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpgradeResponseError {
    /// Not status 101.
    NotSwitching,
    /// No `Upgrade` to `websocket`.
    UpgradeMissing,
    /// No `upgrade` in `Connection`.
    ConnectionUpgradeMissing,
    /// Not the one `Sec-WebSocket-Accept` that belongs to the key.
    AcceptWrong,
    /// An extension that was not offered: none is.
    ExtensionNotOffered,
    /// Several subprotocols, or one that was not offered.
    SubprotocolNotOffered,
}

impl fmt::Display for UpgradeResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSwitching => "the server does not switch protocols",
            Self::UpgradeMissing => "the server does not upgrade to websocket",
            Self::ConnectionUpgradeMissing => "the Connection field does not name the upgrade",
            Self::AcceptWrong => "the Sec-WebSocket-Accept does not belong to the key",
            Self::ExtensionNotOffered => "the server uses an extension that was not offered",
            Self::SubprotocolNotOffered => "the server chose a subprotocol that was not offered",
        })
    }
}

impl std::error::Error for UpgradeResponseError {}

/// Returns `true` if the answer to a client's request opens the WebSocket (§4.1). `key` and `offered` are
/// what the request had; returns the subprotocol the server chose.
///
/// # Errors
///
/// The first thing that is missing or wrong; the connection is of no use then.
pub fn read_response<'a>(
    status: u16,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    key: &str,
    offered: &[&str],
) -> Result<Option<&'a str>, UpgradeResponseError> {
    if status != 101 {
        return Err(UpgradeResponseError::NotSwitching);
    }
    let seen = SeenFields::collect(fields);
    if !seen.upgrade {
        return Err(UpgradeResponseError::UpgradeMissing);
    }
    if !seen.connection_upgrade {
        return Err(UpgradeResponseError::ConnectionUpgradeMissing);
    }
    if seen.accept.one().map(str::as_bytes) != Some(&accept_key(key)) {
        return Err(UpgradeResponseError::AcceptWrong);
    }
    if seen.has_extensions {
        return Err(UpgradeResponseError::ExtensionNotOffered);
    }
    match seen.subprotocol {
        Seen::Never => Ok(None),
        Seen::Once(name) if offered.contains(&name) => Ok(Some(name)),
        Seen::Once(_) | Seen::Again => Err(UpgradeResponseError::SubprotocolNotOffered),
    }
}

/// Findings of one pass over the fields of a request or a response.
#[derive(Default)]
struct SeenFields<'a> {
    upgrade: bool,
    connection_upgrade: bool,
    version: Seen<'a>,
    key: Seen<'a>,
    accept: Seen<'a>,
    subprotocol: Seen<'a>,
    subprotocols_are_tokens: bool,
    has_extensions: bool,
    extensions: Offers,
}

impl<'a> SeenFields<'a> {
    fn collect(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut seen = Self {
            subprotocols_are_tokens: true,
            ..Self::default()
        };
        for (name, value) in fields {
            let value = value.trim_matches(is_white_space);
            if name.eq_ignore_ascii_case("upgrade") {
                seen.upgrade |= has_element(value, "websocket");
            } else if name.eq_ignore_ascii_case("connection") {
                seen.connection_upgrade |= has_element(value, "upgrade");
            } else if name.eq_ignore_ascii_case("sec-websocket-version") {
                seen.version = seen.version.and(value);
            } else if name.eq_ignore_ascii_case("sec-websocket-key") {
                seen.key = seen.key.and(value);
            } else if name.eq_ignore_ascii_case("sec-websocket-accept") {
                seen.accept = seen.accept.and(value);
            } else if name.eq_ignore_ascii_case("sec-websocket-extensions") {
                seen.has_extensions |= elements(value).next().is_some();
                seen.extensions.read_line(value);
            } else if is_subprotocol_field(name) {
                seen.subprotocol = seen.subprotocol.and(value);
                seen.subprotocols_are_tokens &= elements(value).all(is_token);
            }
        }
        seen
    }
}

/// A field that may come once.
#[derive(Default, Clone, Copy)]
enum Seen<'a> {
    #[default]
    Never,
    Once(&'a str),
    Again,
}

impl<'a> Seen<'a> {
    const fn and(self, value: &'a str) -> Self {
        match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Again => Self::Again,
        }
    }

    const fn one(self) -> Option<&'a str> {
        match self {
            Self::Once(value) => Some(value),
            Self::Never | Self::Again => None,
        }
    }
}

fn is_key(key: &str) -> bool {
    // The decoder wants room for whole groups of three bytes.
    let mut nonce = [0; NONCE_BYTES + 2];
    key.len() == KEY_BYTES && KEY_BASE64.decode_slice(key, &mut nonce) == Ok(NONCE_BYTES)
}

fn is_subprotocol_field(name: &str) -> bool {
    name.eq_ignore_ascii_case("sec-websocket-protocol")
}

/// The elements of a list; empty ones do not count (RFC 9110 §5.6.1.2).
fn elements(value: &str) -> impl Iterator<Item = &str> {
    let elements = value
        .split(',')
        .map(|element| element.trim_matches(is_white_space));
    elements.filter(|element| !element.is_empty())
}

fn has_element(value: &str, wanted: &str) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(wanted))
}

pub(super) const fn is_white_space(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Field = (&'static str, &'static str);

    /// The request of RFC 6455 §1.3, with the lines named in `changes` left out and then added.
    fn request(changes: &[Field]) -> Vec<Field> {
        let sample = [
            ("Host", "server.example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Origin", "http://example.com"),
            ("Sec-WebSocket-Protocol", "chat, superchat"),
            ("Sec-WebSocket-Version", "13"),
        ];
        let kept = |field: &Field| changes.iter().all(|change| change.0 != field.0);
        let mut fields: Vec<_> = sample.into_iter().filter(kept).collect();
        fields.extend(changes.iter().filter(|change| change.1 != "-"));
        fields
    }

    fn verdict(changes: &[Field]) -> Result<(), UpgradeError> {
        read_request("GET", true, request(changes)).map(drop)
    }

    #[test]
    fn section_1_3_example() {
        let opening = read_request("GET", true, request(&[])).unwrap();
        assert_eq!(opening.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn section_4_2_1_what_is_taken() {
        let taken: [&[Field]; 8] = [
            &[("upgrade", "WebSocket"), ("Upgrade", "-")],
            &[("Upgrade", "h2c, websocket")],
            &[("Upgrade", "h2c"), ("Upgrade", "websocket")],
            &[("Connection", "keep-alive, , UPGRADE\t")],
            &[("Connection", "keep-alive"), ("Connection", "upgrade")],
            &[("Sec-WebSocket-Version", " 13 ")],
            &[("Sec-WebSocket-Protocol", "-")],
            // The last character has bits left over.
            &[("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAB==")],
        ];
        for changes in taken {
            assert_eq!(verdict(changes), Ok(()), "{changes:?}");
        }
    }

    #[test]
    fn section_4_2_1_what_is_refused() {
        use UpgradeError::*;
        let rejected = [
            ("Upgrade", "-", UpgradeMissing),
            ("Upgrade", "websockets", UpgradeMissing),
            ("Upgrade", "web socket", UpgradeMissing),
            ("Connection", "-", ConnectionUpgradeMissing),
            ("Connection", "keep-alive", ConnectionUpgradeMissing),
            ("Connection", "upgraded", ConnectionUpgradeMissing),
            ("Sec-WebSocket-Version", "-", VersionUnsupported),
            ("Sec-WebSocket-Version", "8", VersionUnsupported),
            ("Sec-WebSocket-Version", "013", VersionUnsupported),
            ("Sec-WebSocket-Version", "13, 8", VersionUnsupported),
            ("Sec-WebSocket-Key", "-", KeyNotOne),
            ("Sec-WebSocket-Key", "", KeyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ", KeyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSE=", KeyInvalid),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j====", KeyInvalid),
            ("Sec-WebSocket-Key", "dGhl-HNhbXBsZSBub25jZQ==", KeyInvalid),
            ("Sec-WebSocket-Protocol", "chat room", SubprotocolInvalid),
            ("Sec-WebSocket-Protocol", "chat, \"b\"", SubprotocolInvalid),
        ];
        for (name, value, refusal) in rejected {
            assert_eq!(verdict(&[(name, value)]), Err(refusal), "{name}: {value}");
        }
        let versions = ("Sec-WebSocket-Version", "13");
        assert_eq!(verdict(&[versions, versions]), Err(VersionUnsupported));
        let keys = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(verdict(&[keys, keys]), Err(KeyNotOne));
    }

    #[test]
    fn section_4_4_a_refusal_names_the_version() {
        for refusal in [
            UpgradeError::VersionUnsupported,
            UpgradeError::UpgradeMissing,
        ] {
            assert_eq!(refusal.status(), 426);
            assert!(refusal.fields().contains("Sec-WebSocket-Version: 13\r\n"));
            assert!(refusal.fields().contains("Upgrade: websocket\r\n"));
        }
        for refusal in [
            UpgradeError::ConnectionUpgradeMissing,
            UpgradeError::KeyNotOne,
            UpgradeError::KeyInvalid,
            UpgradeError::SubprotocolInvalid,
        ] {
            assert_eq!((refusal.status(), refusal.fields()), (400, ""));
        }
    }

    #[test]
    fn section_4_2_1_method_and_version() {
        let post = read_request("POST", true, request(&[]));
        assert_eq!(post, Err(UpgradeError::MethodNotGet));
        assert_eq!(
            (
                UpgradeError::MethodNotGet.status(),
                UpgradeError::MethodNotGet.fields()
            ),
            (405, "Allow: GET\r\n")
        );
        assert_eq!(
            read_request("get", true, request(&[])),
            Err(UpgradeError::MethodNotGet)
        );
        let old = read_request("GET", false, request(&[]));
        assert_eq!(
            old.map_err(|refusal| (refusal, refusal.status())),
            Err((UpgradeError::HttpVersion, 400))
        );
    }

    #[test]
    fn section_11_3_4_subprotocols_over_several_lines() {
        let fields = [
            ("Sec-WebSocket-Protocol", "chat , Bearer.abc-_.d"),
            ("X-Sec-WebSocket-Protocol", "no"),
            ("sec-websocket-protocol", ",, last,"),
        ];
        let offered: Vec<_> = subprotocols(fields).map(Subprotocol::as_str).collect();
        assert_eq!(offered, ["chat", "Bearer.abc-_.d", "last"]);
        assert_eq!(
            subprotocols(request(&[("Sec-WebSocket-Protocol", "-")])).count(),
            0
        );
    }

    #[test]
    fn a_subprotocol_cannot_break_out_of_its_line() {
        for name in ["", "a\r\nSet-Cookie: b", "a b", "a,b", "é", "a\0"] {
            assert_eq!(Subprotocol::new(name), None, "{name:?}");
        }
    }

    #[test]
    fn section_4_1_a_client_checks_the_answer() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let opening = read_request("GET", true, request(&[])).unwrap();
        let mut lines = Vec::new();
        opening.encode_fields(&mut lines, Subprotocol::new("chat"));
        let lines = String::from_utf8(lines).unwrap();
        let fields: Vec<_> = lines
            .lines()
            .map(|line| line.split_once(':').unwrap())
            .collect();
        let offered = ["superchat", "chat"];
        let read = |fields: &[(&'static str, &'static str)], more: &[Field]| {
            let all = fields.iter().chain(more).copied();
            read_response(101, all, key, &offered).map(|chosen| chosen.map(str::to_owned))
        };

        assert_eq!(
            read_response(101, fields.iter().copied(), key, &offered),
            Ok(Some("chat"))
        );
        assert_eq!(
            read_response(200, [], key, &offered),
            Err(UpgradeResponseError::NotSwitching)
        );
        let other_key = read_response(101, fields.iter().copied(), "other", &offered);
        assert_eq!(other_key, Err(UpgradeResponseError::AcceptWrong));

        let accept = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let plain = [("Upgrade", "websocket"), ("Connection", "Upgrade"), accept];
        assert_eq!(read(&plain, &[]), Ok(None));
        assert_eq!(
            read(&plain[1..], &[]),
            Err(UpgradeResponseError::UpgradeMissing)
        );
        assert_eq!(
            read(&plain[..1], &[]),
            Err(UpgradeResponseError::ConnectionUpgradeMissing)
        );
        assert_eq!(
            read(&plain[..2], &[]),
            Err(UpgradeResponseError::AcceptWrong)
        );
        assert_eq!(
            read(&plain, &[accept]),
            Err(UpgradeResponseError::AcceptWrong)
        );
        let extension = [("Sec-WebSocket-Extensions", "permessage-deflate")];
        assert_eq!(
            read(&plain, &extension),
            Err(UpgradeResponseError::ExtensionNotOffered)
        );
        for chosen in ["other", "superchat, chat"] {
            let chosen = [("Sec-WebSocket-Protocol", chosen)];
            assert_eq!(
                read(&plain, &chosen),
                Err(UpgradeResponseError::SubprotocolNotOffered)
            );
        }
    }
}
