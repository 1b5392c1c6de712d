//! Whom a request comes from, when proxies say so in its fields.

use std::net::{IpAddr, SocketAddr};

use super::Request;
use crate::reactor::canonical;

/// The field in which proxies name the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`: addresses, each proxy adding the one it was asked by.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), its parameter `for`.
    Forwarded,
}

impl Request<'_> {
    /// Whom the request comes from: the peer, unless that is a proxy that is believed. Then it is the
    /// last address in the field that is not a proxy's, too; what is in front of it anybody can have
    /// written. What is no address ends the search: the one before it is as good as known.
    ///
    /// The port is 0 where no proxy says it.
    pub fn client(&self, by: ForwardedBy, is_proxy: impl Fn(IpAddr) -> bool) -> SocketAddr {
        let mut client = self.peer();
        if !is_proxy(client.ip()) {
            return client;
        }
        let name = match by {
            ForwardedBy::XForwardedFor => "x-forwarded-for",
            ForwardedBy::Forwarded => "forwarded",
        };
        let lines: Vec<&[u8]> = self.fields().get_all(name).collect();
        for line in lines.iter().rev() {
            for hop in split(line, b',').into_iter().rev() {
                let address = match by {
                    ForwardedBy::XForwardedFor => address(hop),
                    ForwardedBy::Forwarded => parameter_for(hop).and_then(node),
                };
                match address {
                    Some(address) => client = address,
                    None => return client,
                }
                if !is_proxy(client.ip()) {
                    return client;
                }
            }
        }
        client
    }
}

/// The parts between separators that are not in a quoted string, without the white space around them.
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            byte if byte == separator && !is_quoted => {
                parts.push(text.get(start..at).unwrap_or_default().trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default().trim_ascii());
    parts
}

/// The value of `for` in one element of the list (RFC 7239 §4).
fn parameter_for(element: &[u8]) -> Option<&[u8]> {
    split(element, b';').into_iter().find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        name.eq_ignore_ascii_case(b"for")
            .then(|| value.get(1..).unwrap_or_default())
    })
}

/// A node that is an address (RFC 7239 §6): not `unknown`, not a hidden one. An address has nothing that
/// would be escaped.
fn node(value: &[u8]) -> Option<SocketAddr> {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    };
    address(value)
}

/// An address, with a port or without.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse().map(|ip: IpAddr| SocketAddr::new(ip, 0));
    address.or_else(|_| text.parse()).ok().map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_each_form() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7:0")),
            ("192.0.2.7:80", Some("192.0.2.7:80")),
            ("2001:db8::7", Some("[2001:db8::7]:0")),
            ("[2001:db8::7]", Some("[2001:db8::7]:0")),
            ("[2001:db8::7]:80", Some("[2001:db8::7]:80")),
            ("::ffff:192.0.2.7", Some("192.0.2.7:0")),
            ("[::ffff:192.0.2.7]:80", Some("192.0.2.7:80")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("192.0.2.7:x", None),
            ("192.0.2.256", None),
            ("[192.0.2.7", None),
            ("example.org", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(address(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn elements_of_forwarded() {
        for (text, expected) in [
            ("for=192.0.2.7", Some("192.0.2.7:0")),
            ("For=\"192.0.2.7:80\"", Some("192.0.2.7:80")),
            (
                "proto=https;for=\"[2001:db8::7]:80\";by=1.2.3.4",
                Some("[2001:db8::7]:80"),
            ),
            ("by=1.2.3.4 ; FOR=192.0.2.7", Some("192.0.2.7:0")),
            ("host=\"a;for=1.1.1.1\";for=192.0.2.7", Some("192.0.2.7:0")),
            (
                "host=\"a\\\";for=1.1.1.1\";for=192.0.2.7",
                Some("192.0.2.7:0"),
            ),
            ("for=unknown", None),
            ("for=\"_gazonk\"", None),
            ("proto=https", None),
            ("for", None),
            ("", None),
        ] {
            let found = parameter_for(text.as_bytes()).and_then(node);
            assert_eq!(found, expected.map(|text| text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn separators_in_quotes_do_not_separate() {
        let parts = split(b" a , \"b,\\\",c\" ,, d", b',');
        let expected: [&[u8]; 4] = [b"a", b"\"b,\\\",c\"", b"", b"d"];
        assert_eq!(parts, expected);
    }
}
