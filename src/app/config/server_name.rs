//! Names the server answers to.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name, an IP address, or all names with one label before a name, as certificates have them
/// (RFC 9525 section 6.3).
///
/// ```
/// use edgeloop::app::config::ServerName;
///
/// let name: ServerName = "*.example.org".parse()?;
/// assert!(name.is("chat.Example.org"));
/// assert!(!name.is("example.org") && !name.is("a.b.example.org"));
/// # Ok::<(), edgeloop::app::config::ServerNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// An address; IPv4 mapped into IPv6 is IPv4.
    Address(IpAddr),
    /// A name, in lower case.
    Name(String),
    /// Part behind `*.`, in lower case.
    Wildcard(String),
}

impl ServerName {
    /// Returns `true` if a host, without port, brackets and the dot of the root, is meant. Names have no case.
    #[must_use]
    pub fn is(&self, host: &str) -> bool {
        match self {
            Self::Address(own) => host
                .parse::<IpAddr>()
                .is_ok_and(|other| other.to_canonical() == *own),
            Self::Name(own) => own.eq_ignore_ascii_case(host),
            Self::Wildcard(own) => host.split_once('.').is_some_and(|(label, behind)| {
                !label.is_empty() && own.eq_ignore_ascii_case(behind)
            }),
        }
    }
}

/// The text is no such name. Displays as what was expected instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerNameError;

impl fmt::Display for ServerNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a host name or address without scheme and port, such as chat.example.org, *.example.org \
             or 192.0.2.7",
        )
    }
}

impl Error for ServerNameError {}

impl FromStr for ServerName {
    type Err = ServerNameError;

    fn from_str(text: &str) -> Result<Self, ServerNameError> {
        let inner = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Ok(address) = inner.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let (name, is_wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        // Like an address, but none that there is.
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let last = name.rsplit('.').next().unwrap_or_default();
        if name.len() > 253 || !name.split('.').all(is_label) || is_number(last) {
            return Err(ServerNameError);
        }
        Ok(if is_wildcard {
            Self::Wildcard(name)
        } else {
            Self::Name(name)
        })
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_meant() {
        for (text, host, want) in [
            ("chat.example.org", "CHAT.example.org", true),
            ("Chat.example.org.", "chat.example.org", true),
            ("chat.example.org", "example.org", false),
            ("chat.example.org", "xchat.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "evil-example.org", false),
            ("*.example.org", "a.example.org.evil", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.70", false),
            ("[2001:db8::1]", "2001:DB8:0::1", true),
            ("2001:db8::1", "2001:db8::1", true),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "::ffff:c000:207", true),
            ("intranet", "intranet", true),
        ] {
            assert_eq!(
                text.parse::<ServerName>().unwrap().is(host),
                want,
                "{text} {host}"
            );
        }
        for bad in [
            "",
            "*",
            "*.",
            "a.*.org",
            "https://a.org",
            "a.org:443",
            "a..org",
            "a b",
            "192.0.2.300",
            "é.org",
            "a/b",
        ] {
            assert_eq!(bad.parse::<ServerName>(), Err(ServerNameError), "{bad}");
        }
    }
}
