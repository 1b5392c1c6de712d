//! Web origins (RFC 6454): scheme, host and port.

use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// An origin in its one normal form: lower case, no default port. So two origins are the same
/// exactly when their texts are.
///
/// ```
/// use edgeloop::app::config::Origin;
///
/// let origin: Origin = "HTTPS://Example.org:443".parse()?;
/// assert_eq!(origin.as_str(), "https://example.org");
/// # Ok::<(), edgeloop::app::config::OriginError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The normal form, as a browser sends it in `Origin`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if the value of an `Origin` field names this origin.
    #[must_use]
    pub fn is(&self, field: &str) -> bool {
        // Browsers send the normal form: parsing is for the others.
        self.0 == field || field.parse().is_ok_and(|other: Self| other == *self)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no origin. Displays as what was expected instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginError;

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin such as https://example.org or http://localhost:3000 (no path)")
    }
}

impl Error for OriginError {}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(OriginError)?;
        if !is_scheme(scheme) {
            return Err(OriginError);
        }
        let (host, port) = split_port(authority)?;
        let host = normal_host(host).ok_or(OriginError)?;
        Ok(Self(match port {
            Some(port) if default_port(scheme) != Some(port) => {
                format!("{scheme}://{host}:{port}")
            }
            _ => format!("{scheme}://{host}"),
        }))
    }
}

/// RFC 3986 section 3.1, in lower case.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), OriginError> {
    // The colons of an IPv6 address are inside brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => return Ok((authority, None)),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(OriginError);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(OriginError),
        Ok(port) => Ok((host, Some(port))),
    }
}

fn normal_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let named = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    named.then(|| host.to_owned())
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_one_form() {
        for (text, normal) in [
            ("https://example.org", "https://example.org"),
            ("HTTPS://EXAMPLE.org:443", "https://example.org"),
            ("http://example.org:80", "http://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("https://example.org:08443", "https://example.org:8443"),
            ("https://[2001:DB8:0::1]:443", "https://[2001:db8::1]"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("tauri://localhost", "tauri://localhost"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), normal);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in [
            "",
            "null",
            "*",
            "example.org",
            "//example.org",
            "https://",
            "https://example.org/",
            "https://example.org/path",
            "https://user@example.org",
            "https://example.org:",
            "https://example.org:0",
            "https://example.org:65536",
            "https://example.org:+1",
            "https://*.example.org",
            "https://exämple.org",
            "https://[::1",
            "https://::1",
            "1http://example.org",
            "https://a b",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(OriginError), "{bad}");
        }
    }

    #[test]
    fn a_field_in_any_form_is_compared() {
        let origin: Origin = "https://example.org".parse().unwrap();
        assert!(origin.is("https://example.org"));
        assert!(origin.is("https://EXAMPLE.org:443"));
        assert!(!origin.is("http://example.org"));
        assert!(!origin.is("https://example.org.evil.example"));
        assert!(!origin.is("null"));
    }
}
