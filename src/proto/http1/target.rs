use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use super::class::{Class, class};
use super::error::RequestError;
use super::head::Method;
use crate::invariant::part;

/// The parts of a request target (RFC 9112 §3.2).
pub(super) struct RequestTarget<'b> {
    /// Host and port, in the absolute form.
    pub(super) authority: Option<&'b str>,
    pub(super) path: &'b str,
    pub(super) query: Option<&'b str>,
}

impl<'b> RequestTarget<'b> {
    /// Takes the origin form, the absolute form of `http` and `https`, and `*` for OPTIONS.
    pub(super) fn parse(method: Method<'_>, target: &'b str) -> Result<Self, RequestError> {
        if method == Method::Connect {
            let has_port = target
                .rsplit_once(':')
                .is_some_and(|(_, port)| is_port(port));
            let is_tunnel = has_port && is_authority(target) && !target.ends_with(':');
            return Err(if is_tunnel {
                RequestError::Connect
            } else {
                RequestError::Target
            });
        }
        if !TARGET.holds(target.as_bytes()) {
            return Err(RequestError::Target);
        }
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Ok(Self {
                authority: None,
                path,
                query,
            });
        }
        match (method, target) {
            (Method::Options, "*") => Ok(Self {
                authority: None,
                path: "*",
                query: None,
            }),
            _ => Self::parse_absolute(method, target).ok_or(RequestError::Target),
        }
    }

    /// RFC 9112 §3.2.2. An empty path stands for the root, and for `*` with OPTIONS (§3.2.4).
    fn parse_absolute(method: Method<'_>, target: &'b str) -> Option<Self> {
        let (scheme, rest) = target.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, rest) =
            rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        if !is_authority(authority) {
            return None;
        }
        let (path, query) = split_query(rest);
        let path = match (path, method, query) {
            ("", Method::Options, None) => "*",
            ("", _, _) => "/",
            _ => path,
        };
        Some(Self {
            authority: Some(authority),
            path,
            query,
        })
    }
}

/// Returns `true` if this is `uri-host [ ":" port ]` with a host that is not empty (RFC 9110 §4.2.1, §7.2).
pub(super) fn is_authority(authority: &str) -> bool {
    let (host_is_valid, port) = match authority.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            // Nearly all names are of letters, digits, dots and the like, so that end is found first.
            let plain = NAME.prefix(authority.as_bytes());
            let (name, port) = split_at_colon(authority, plain);
            (is_registered_name(name, plain), port)
        }
    };
    host_is_valid && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Splits at the first colon, which begins the second part; the first `plain` bytes are none.
fn split_at_colon(authority: &str, plain: usize) -> (&str, &str) {
    let behind = part(authority.as_bytes(), plain..);
    let colon = behind.iter().position(|byte| *byte == b':');
    let end = colon.map_or(authority.len(), |place| plain + place);
    authority.split_at_checked(end).unwrap_or((authority, ""))
}

/// RFC 3986 §3.2.2, and not empty. The first `plain` bytes are known to be in [`NAME`].
fn is_registered_name(name: &str, plain: usize) -> bool {
    let mut rest = part(name.as_bytes(), plain..);
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if hex_pair(*high, *low).is_some() => after,
            _ if is_name_byte(*byte) => after,
            _ => return false,
        };
    }
    !name.is_empty()
}

static NAME: Class = class!(is_name_byte);

/// Returns `true` if it may stand as itself in a registered name: unreserved, or a sub-delimiter.
const fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// RFC 3986 §3.2.3: digits, possibly none; and a number that TCP knows.
fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

static TARGET: Class = class!(is_target_byte);

/// Visible ASCII without what RFC 3986 leaves no place for and clients always encode. Some bytes it
/// has no place for either are let through: browsers send `|`, `^`, `{`, `}`, `` ` `` and `\` raw.
const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    let end = target.bytes().position(|byte| byte == b'?');
    match end.and_then(|end| target.split_at_checked(end)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (target, None),
    }
}

/// Why a path cannot be decoded. The answer is 400, or 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// The path does not start with a slash.
    NotAbsolute,
    /// A percent sign without two hexadecimal digits after it (RFC 3986 §2.1).
    Escape,
    /// The decoded bytes are not UTF-8.
    Utf8,
    /// NUL, another control character, or a backslash, raw or encoded.
    Character,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the path does not start with a slash",
            Self::Escape => "the path has a broken percent escape",
            Self::Utf8 => "the path is not UTF-8",
            Self::Character => "the path has a character that is not allowed",
        })
    }
}

impl std::error::Error for TargetError {}

/// Decodes the path of a target for use as a name: percent escapes are decoded, once; `.` and `..`
/// segments are resolved after that, never above the root; runs of slashes become one.
///
/// The result starts with `/`, and has no empty segment but possibly the last, no `.` or `..` segment,
/// no control character and no backslash. `%2F` counts as a slash. Borrows when there is nothing to do.
///
/// # Errors
///
/// See [`TargetError`].
///
/// ```
/// use edgeloop::proto::http1::decode_path;
///
/// assert_eq!(decode_path("/caf%C3%A9/../a%20b").as_deref(), Ok("/a b"));
/// assert_eq!(decode_path("/%2e%2e/%2e%2e/etc/passwd").as_deref(), Ok("/etc/passwd"));
/// assert_eq!(decode_path("/%252e").as_deref(), Ok("/%2e"));
/// assert!(decode_path("/%00").is_err());
/// ```
pub fn decode_path(raw: &str) -> Result<Cow<'_, str>, TargetError> {
    if !raw.starts_with('/') {
        return Err(TargetError::NotAbsolute);
    }
    let decoded = if raw.contains('%') {
        Cow::Owned(unescape(raw)?)
    } else {
        Cow::Borrowed(raw)
    };
    if decoded
        .chars()
        .any(|char| char.is_control() || char == '\\')
    {
        return Err(TargetError::Character);
    }
    let is_plain = !decoded.contains("//") && !decoded.contains("/.");
    Ok(if is_plain {
        decoded
    } else {
        Cow::Owned(resolve(&decoded))
    })
}

fn unescape(raw: &str) -> Result<String, TargetError> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hex_pair(*high, *low).ok_or(TargetError::Escape)?);
                rest = after;
            }
            (b'%', _) => return Err(TargetError::Escape),
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| TargetError::Utf8)
}

/// Removes dot segments as RFC 3986 §5.2.4 does, and empty segments.
fn resolve(path: &str) -> String {
    let mut resolved = String::with_capacity(path.len());
    let mut ends_in_folder = true;
    for segment in path.split('/') {
        ends_in_folder = matches!(segment, "" | "." | "..");
        if segment == ".." {
            resolved.truncate(resolved.rfind('/').unwrap_or(0));
        } else if !ends_in_folder {
            resolved.push('/');
            resolved.push_str(segment);
        }
    }
    if ends_in_folder {
        resolved.push('/');
    }
    resolved
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_decoded_once_and_resolved_after_that() {
        for (raw, want) in [
            ("/", "/"),
            ("/a/b.html", "/a/b.html"),
            ("/a/", "/a/"),
            ("/caf%C3%A9", "/café"),
            ("/caf%c3%a9%20", "/café "),
            ("/%2541", "/%41"),
            ("/a%2Fb", "/a/b"),
            ("/a%3Fb%23", "/a?b#"),
            ("/a+b", "/a+b"),
            ("/.", "/"),
            ("/..", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/../c", "/a/c"),
            ("/a/./b", "/a/b"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/%2e%2E/%2e./etc/passwd", "/etc/passwd"),
            ("/a%2f..%2f..%2fetc", "/etc"),
            ("//etc//passwd//", "/etc/passwd/"),
            ("/a//../b", "/b"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a..", "/a.."),
        ] {
            assert_eq!(decode_path(raw).as_deref(), Ok(want), "{raw}");
        }
    }

    #[test]
    fn a_plain_path_is_borrowed() {
        assert!(matches!(
            decode_path("/static/app-1.2.js"),
            Ok(Cow::Borrowed("/static/app-1.2.js"))
        ));
        assert!(matches!(decode_path("/a%20b"), Ok(Cow::Owned(_))));
    }

    #[test]
    fn paths_with_no_safe_meaning_are_refused() {
        for (raw, error) in [
            ("", TargetError::NotAbsolute),
            ("*", TargetError::NotAbsolute),
            ("a/b", TargetError::NotAbsolute),
            ("%2Fa", TargetError::NotAbsolute),
            ("/%", TargetError::Escape),
            ("/%4", TargetError::Escape),
            ("/%4g", TargetError::Escape),
            ("/%+4", TargetError::Escape),
            ("/%%41", TargetError::Escape),
            ("/%00", TargetError::Character),
            ("/a%0d%0aB", TargetError::Character),
            ("/%7F", TargetError::Character),
            ("/%C2%85", TargetError::Character),
            ("/a\\b", TargetError::Character),
            ("/..%5c..%5cwindows", TargetError::Character),
            ("/%FF", TargetError::Utf8),
            ("/%C3", TargetError::Utf8),
            ("/%C0%AE%C0%AE/", TargetError::Utf8),
            ("/%E0%80%AF", TargetError::Utf8),
            ("/%ED%A0%80", TargetError::Utf8),
        ] {
            assert_eq!(decode_path(raw), Err(error), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(raw in "(/|\\.|%2[eEfF]|%5c|%00|%25|[a-c]|é|%C3%A9){0,24}") {
            if let Ok(path) = decode_path(&format!("/{raw}")) {
                prop_assert!(path.starts_with('/'));
                let inner = path.strip_suffix('/').unwrap_or(&path);
                prop_assert!(inner.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")));
                prop_assert!(!path.contains(['\\', '\0']));
            }
        }

        #[test]
        fn an_escaped_path_comes_back(segments in prop::collection::vec("[^/\\\\.\\p{Cc}][^/\\\\\\p{Cc}]{0,5}", 1..5)) {
            let path = format!("/{}", segments.join("/"));
            let raw: String = path.bytes().map(|byte| match byte {
                b'/' => "/".to_owned(),
                other => format!("%{other:02X}"),
            }).collect();
            prop_assert_eq!(decode_path(&raw), Ok(Cow::Owned(path)));
        }
    }
}
