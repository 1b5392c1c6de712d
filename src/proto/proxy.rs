//! The PROXY protocol, versions 1 and 2: what a proxy says about its client ahead of the client's bytes.
//!
//! The specification is HAProxy's `proxy-protocol.txt`. Only a peer that is known to be a proxy may be
//! believed: anybody can send such a header.
//!
//! ```
//! use edgeloop::proto::proxy::{ProxyHeader, read};
//!
//! let input = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
//! let Ok(ProxyHeader::Header { client, used }) = read(input) else { panic!() };
//! assert_eq!(client, "192.0.2.7:56324".parse().ok());
//! assert_eq!(input.get(used..used + 5), Some(&b"GET /"[..]));
//! ```

use std::error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The longest header of version 1, its end included.
const TEXT_BYTES_MAX: usize = 107;
const TEXT_START: &[u8] = b"PROXY ";
const BINARY_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, length.
const BINARY_HEAD_BYTES: usize = BINARY_START.len() + 4;

/// First bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It may become a header: more bytes will tell.
    Incomplete,
    /// No such header.
    Absent,
    /// A header.
    Header {
        /// Its length in bytes; what follows is the client's. What a proxy adds behind the addresses of
        /// version 2 need not have come yet: up to 64 KiB that are to be skipped.
        used: usize,
        /// The client. `None` when the proxy speaks for itself, as its health checks do, or does not
        /// know.
        client: Option<SocketAddr>,
    },
}

/// Why a header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// A line of version 1 that is none, or is too long.
    Line,
    /// An unknown version or command.
    Version,
    /// It is shorter than its addresses.
    Length,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "not a line of the PROXY protocol",
            Self::Version => "a version or command of the PROXY protocol that is not known",
            Self::Length => "a PROXY header of a wrong length",
        })
    }
}

impl error::Error for ProxyError {}

/// Reads what `input`, all that has come so far, begins with.
///
/// # Errors
/// It begins like a header and is none.
pub fn read(input: &[u8]) -> Result<ProxyHeader, ProxyError> {
    match input.first() {
        None => Ok(ProxyHeader::Incomplete),
        Some(b'P') => starts(input, TEXT_START, read_text),
        Some(b'\r') => starts(input, BINARY_START, read_binary),
        Some(_) => Ok(ProxyHeader::Absent),
    }
}

fn starts(
    input: &[u8],
    start: &[u8],
    read: fn(&[u8]) -> Result<ProxyHeader, ProxyError>,
) -> Result<ProxyHeader, ProxyError> {
    if input.starts_with(start) {
        read(input)
    } else if start.starts_with(input) {
        Ok(ProxyHeader::Incomplete)
    } else {
        Ok(ProxyHeader::Absent)
    }
}

fn read_text(input: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let head = input.get(..TEXT_BYTES_MAX).unwrap_or(input);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        let is_full = head.len() == TEXT_BYTES_MAX;
        return match is_full {
            true => Err(ProxyError::Line),
            false => Ok(ProxyHeader::Incomplete),
        };
    };
    let line = head.get(TEXT_START.len()..end).unwrap_or_default();
    let line = str::from_utf8(line).map_err(|_| ProxyError::Line)?;
    let client = client_of(line).ok_or(ProxyError::Line)?;
    Ok(ProxyHeader::Header {
        used: end + 2,
        client,
    })
}

/// `TCP4 SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT`, or `UNKNOWN` and whatever follows. The outer
/// `None`: neither.
///
/// nginx names the family of the client, but writes the destination of its own socket, which may be of
/// the other family.
fn client_of(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (source, destination) = (words.next()?, words.next()?);
    let (port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    let _ = destination_port;
    if words.next().is_some() {
        return None;
    }
    let _: IpAddr = destination.parse().ok()?;
    let address: IpAddr = match family {
        "TCP4" => source.parse::<Ipv4Addr>().ok()?.into(),
        "TCP6" => source.parse().ok()?,
        _ => return None,
    };
    Some(Some(SocketAddr::new(address, port)))
}

/// Digits without a sign or a leading zero.
fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain)
}

fn read_binary(input: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let Some((head, rest)) = input.split_at_checked(BINARY_HEAD_BYTES) else {
        return Ok(ProxyHeader::Incomplete);
    };
    let Some(&[command, family, high, low]) = head.last_chunk::<4>() else {
        return Ok(ProxyHeader::Incomplete);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let used = BINARY_HEAD_BYTES + length;
    let is_proxied = match command {
        0x20 => false,
        0x21 => true,
        _ => return Err(ProxyError::Version),
    };
    let client: Option<SocketAddr> = match family {
        _ if !is_proxied => None,
        0x11 => match source::<4>(rest, length, 12)? {
            None => return Ok(ProxyHeader::Incomplete),
            Some((source, port)) => Some((source, port).into()),
        },
        0x21 => match source::<16>(rest, length, 36)? {
            None => return Ok(ProxyHeader::Incomplete),
            Some((source, port)) => Some((source, port).into()),
        },
        // Not specified, UDP, a Unix socket, or unknown: the connection's own addresses count.
        _ => None,
    };
    Ok(ProxyHeader::Header { used, client })
}

/// The source in two addresses of `N` bytes and two ports, `bytes` in all, in a header that holds `length`
/// bytes. `None`: they have not all come.
fn source<const N: usize>(
    body: &[u8],
    length: usize,
    bytes: usize,
) -> Result<Option<([u8; N], u16)>, ProxyError> {
    if length < bytes {
        return Err(ProxyError::Length);
    }
    Ok(body.get(..bytes).and_then(|addresses| {
        let source = addresses.first_chunk::<N>()?;
        let port = addresses.get(2 * N..)?.first_chunk::<2>()?;
        Some((*source, u16::from_be_bytes(*port)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn header(used: usize, client: Option<&str>) -> Result<ProxyHeader, ProxyError> {
        let client = client.map(|client| client.parse().unwrap());
        Ok(ProxyHeader::Header { used, client })
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [BINARY_START, &[command, family], &length, body].concat()
    }

    #[test]
    fn lines_of_version_1() {
        for (line, client) in [
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
                Some("192.0.2.7:56324"),
            ),
            (
                "PROXY TCP6 2001:db8::7 ::1 1 65535\r\n",
                Some("[2001:db8::7]:1"),
            ),
            (
                "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
                Some("255.255.255.255:65535"),
            ),
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\n",
                Some("192.0.2.7:0"),
            ),
            // The proxy's own socket is of the other family than the client.
            (
                "PROXY TCP6 2001:db8::7 198.51.100.1 5 443\r\n",
                Some("[2001:db8::7]:5"),
            ),
            (
                "PROXY TCP6 192.0.2.7 198.51.100.1 5 443\r\n",
                Some("192.0.2.7:5"),
            ),
            ("PROXY TCP4 192.0.2.7 ::1 5 443\r\n", Some("192.0.2.7:5")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN what ever 1 2 3 4\r\n", None),
        ] {
            assert_eq!(read(line.as_bytes()), header(line.len(), client), "{line}");
            let more = [line.as_bytes(), &[b'x'; 200]].concat();
            assert_eq!(read(&more), header(line.len(), client), "{line}");
            for len in 0..line.len() {
                assert_eq!(
                    read(&line.as_bytes()[..len]),
                    Ok(ProxyHeader::Incomplete),
                    "{len} of {line}"
                );
            }
        }
    }

    #[test]
    fn lines_that_are_wrong() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for line in [
            "PROXY \r\n",
            "PROXY TCP5 192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY tcp4 192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n",
            "PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +5 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 05 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 5 -443\r\n",
            "PROXY TCP4 ::1 198.51.100.1 5 443\r\n",
            "PROXY TCP4 192.0.2.7 example.org 5 443\r\n",
            "PROXY TCP6 2001:db8::7 198.51.100 5 443\r\n",
            "PROXY TCP6 192.0.2.256 198.51.100.1 5 443\r\n",
            "PROXY TCP4 192.0.2.256 198.51.100.1 5 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 5 443\n\r\n",
            &long,
        ] {
            assert_eq!(read(line.as_bytes()), Err(ProxyError::Line), "{line}");
        }
    }

    #[test]
    fn headers_of_version_2() {
        let four = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 1, 187];
        let six: Vec<u8> = [
            &Ipv6Addr::from_bits(0x2001_0db8 << 96 | 7).octets()[..],
            &Ipv6Addr::LOCALHOST.octets(),
            &[0, 1, 0xff, 0xff],
        ]
        .concat();
        for (input, needed, client) in [
            (binary(0x21, 0x11, &four), 28, Some("192.0.2.7:56324")),
            (binary(0x21, 0x21, &six), 52, Some("[2001:db8::7]:1")),
            // With something added: a TLV each, or what may follow, as much as can be.
            (
                binary(0x21, 0x11, &[&four[..], &[4, 0, 1, 0]].concat()),
                28,
                Some("192.0.2.7:56324"),
            ),
            (
                binary(0x21, 0x21, &[&six[..], &[0; 65_499]].concat()),
                52,
                Some("[2001:db8::7]:1"),
            ),
            // Not specified, UDP, Unix sockets, and families not known to anybody.
            (binary(0x21, 0x00, &[]), 16, None),
            (binary(0x21, 0x00, &[1, 2, 3]), 16, None),
            (binary(0x21, 0x12, &four), 16, None),
            (binary(0x21, 0x22, &six), 16, None),
            (binary(0x21, 0x31, &[0; 216]), 16, None),
            (binary(0x21, 0x32, &[0; 3]), 16, None),
            (binary(0x21, 0xf7, &[0; 65_535]), 16, None),
            // The proxy for itself.
            (binary(0x20, 0x00, &[]), 16, None),
            (binary(0x20, 0x11, &four), 16, None),
            (binary(0x20, 0x77, &[]), 16, None),
        ] {
            let found = header(input.len(), client);
            let more = [&input[..], b"more"].concat();
            assert_eq!(read(&more), found);
            for len in 0..=input.len().min(100) {
                let incomplete = Ok(ProxyHeader::Incomplete);
                let expected = if len < needed { incomplete } else { found };
                assert_eq!(read(&input[..len]), expected, "{len} bytes");
            }
        }
        for (input, error) in [
            (binary(0x11, 0x11, &four), ProxyError::Version),
            (binary(0x22, 0x11, &four), ProxyError::Version),
            (binary(0x21, 0x11, &four[..11]), ProxyError::Length),
            (binary(0x21, 0x21, &four), ProxyError::Length),
        ] {
            assert_eq!(read(&input), Err(error));
        }
    }

    #[test]
    fn other_beginnings_are_no_headers() {
        for input in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01",
            b"PRI * HTTP/2.0",
            b"\r\nGET /",
            b"PROXYX",
            b"\0",
        ] {
            assert_eq!(read(input), Ok(ProxyHeader::Absent));
        }
    }

    proptest! {
        /// Whatever comes, more of it does not change what was found.
        #[test]
        fn what_was_found_stays(
            start in prop::sample::select(vec![&b""[..], TEXT_START, b"PROXY TCP4 ", BINARY_START]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let input = [start, &rest].concat();
            let mut found = Ok(ProxyHeader::Incomplete);
            for len in 0..=input.len() {
                let now = read(&input[..len]);
                if found != Ok(ProxyHeader::Incomplete) {
                    prop_assert_eq!(now, found);
                }
                if let Ok(ProxyHeader::Header { used, .. }) = now {
                    prop_assert!(used <= BINARY_HEAD_BYTES + usize::from(u16::MAX));
                }
                found = now;
            }
        }
    }
}
