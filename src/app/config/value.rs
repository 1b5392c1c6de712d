//! Second stage: what a value may be. Every function takes the trimmed text of a value.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::cors::CorsOrigins;
use super::level::{LogFormat, LogLevel};
use super::network::Network;
use super::origin::Origin;
use super::server_name::ServerName;
use crate::web::ForwardedBy;

/// Characters of a bad value that are repeated in the message about it.
const SHOWN_CHARS_MAX: usize = 80;

/// A sentence such as `"ten" is not a whole number from 1 to 100`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad(pub(super) String);

impl Bad {
    pub(super) fn new(value: &str, expected: impl Display) -> Self {
        let mut shown: String = value.chars().take(SHOWN_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self(format!("{shown:?} is not {expected}"))
    }
}

pub(super) fn whole<T>(text: &str, min: T, max: T) -> Result<T, Bad>
where
    T: FromStr + PartialOrd + Display,
{
    // `FromStr` would take a leading plus sign too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && min <= number && number <= max => Ok(number),
        _ => Err(Bad::new(
            text,
            format_args!("a whole number from {min} to {max}"),
        )),
    }
}

pub(super) fn seconds(text: &str, min: u64, max: u64) -> Result<Duration, Bad> {
    whole(text, min, max).map(Duration::from_secs).map_err(|_| {
        Bad::new(
            text,
            format_args!("a whole number of seconds from {min} to {max}"),
        )
    })
}

pub(super) fn bytes(text: &str, min: usize, max: usize) -> Result<usize, Bad> {
    whole(text, min, max).map_err(|_| {
        Bad::new(
            text,
            format_args!("a whole number of bytes from {min} to {max}"),
        )
    })
}

pub(super) fn switch(text: &str) -> Result<bool, Bad> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Bad::new(text, "0 (off) or 1 (on)")),
    }
}

pub(super) fn path(text: &str) -> Result<PathBuf, Bad> {
    if text.is_empty() {
        return Err(Bad::new(text, "a path"));
    }
    Ok(PathBuf::from(text))
}

pub(super) fn path_or_off(text: &str) -> Result<Option<PathBuf>, Bad> {
    match text {
        "off" => Ok(None),
        "" => Err(Bad::new(text, "a path or off")),
        path => Ok(Some(PathBuf::from(path))),
    }
}

/// Two files each, with a colon between them.
pub(super) fn path_pairs(text: &str) -> Result<Vec<(PathBuf, PathBuf)>, Bad> {
    list(text, |item| match item.split_once(':') {
        Some((one, two)) if !one.is_empty() && !two.is_empty() && !two.contains(':') => {
            Ok((one.into(), two.into()))
        }
        _ => Err(Bad::new(
            item,
            "a certificate's file and its key's with a colon between them, such as b.pem:b.key",
        )),
    })
}

pub(super) fn addresses(text: &str) -> Result<Vec<IpAddr>, Bad> {
    const EXPECTED: &str = "an IPv4 or IPv6 address, or several with commas between them, \
                            such as 0.0.0.0 or 127.0.0.1,::1";
    // IPv4 mapped into IPv6 is no address to listen on for IPv6 alone, which is what sockets here do.
    let addresses = list(text, |item| {
        let address: IpAddr = item.parse().map_err(|_| Bad::new(item, EXPECTED))?;
        Ok(address.to_canonical())
    })?;
    if addresses.is_empty() {
        return Err(Bad::new(text, EXPECTED));
    }
    let distinct: HashSet<_> = addresses.iter().collect();
    if distinct.len() < addresses.len() {
        return Err(Bad::new(text, "a list of different addresses"));
    }
    Ok(addresses)
}

pub(super) fn networks(text: &str) -> Result<Vec<Network>, Bad> {
    list(text, |item| {
        item.parse().map_err(|error| Bad::new(item, error))
    })
}

pub(super) fn origins(text: &str) -> Result<Vec<Origin>, Bad> {
    list(text, |item| {
        item.parse().map_err(|error| Bad::new(item, error))
    })
}

pub(super) fn server_names(text: &str) -> Result<Vec<ServerName>, Bad> {
    list(text, |item| {
        item.parse().map_err(|error| Bad::new(item, error))
    })
}

/// `*`, `off`, or origins.
pub(super) fn cors_origins(text: &str) -> Result<CorsOrigins, Bad> {
    const EXPECTED: &str =
        "*, off, or origins such as https://example.org with commas between them";
    match text {
        "*" => Ok(CorsOrigins::Anybody),
        "off" => Ok(CorsOrigins::Nobody),
        "" => Err(Bad::new(text, EXPECTED)),
        _ => list(text, |item| {
            item.parse().map_err(|_| Bad::new(item, EXPECTED))
        })
        .map(CorsOrigins::Listed),
    }
}

/// `off`, or text that is safe as the value of a header field.
pub(super) fn header_value(text: &str) -> Result<Option<String>, Bad> {
    match text {
        "off" => Ok(None),
        _ if !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~')) => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(Bad::new(text, "off or a policy in printable ASCII")),
    }
}

/// `off`, or the directives of RFC 6797 §6.1: `max-age` once, `includeSubDomains` and, for the lists
/// that come with browsers, `preload`.
pub(super) fn strict_transport_security(text: &str) -> Result<Option<String>, Bad> {
    if text == "off" {
        return Ok(None);
    }
    let (mut max_ages, mut others) = (0, Vec::new());
    let is_good = text.split(';').map(str::trim).all(|directive| {
        let lower = directive.to_ascii_lowercase();
        match lower.strip_prefix("max-age=") {
            Some(secs) => {
                max_ages += 1;
                whole(secs, 0, u32::MAX).is_ok()
            }
            None => {
                let is_known = ["includesubdomains", "preload"].contains(&lower.as_str());
                let is_new = !others.contains(&lower);
                others.push(lower);
                is_known && is_new
            }
        }
    });
    if is_good && max_ages == 1 {
        return Ok(Some(text.to_owned()));
    }
    Err(Bad::new(
        text,
        "off or a policy such as max-age=31536000; includeSubDomains",
    ))
}

pub(super) fn socket_address(text: &str) -> Result<Option<SocketAddr>, Bad> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(canonical).map(Some).map_err(|_| {
            Bad::new(
                text,
                "off or an address with a port, such as 127.0.0.1:9464 or [::1]:9464",
            )
        }),
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

pub(super) fn log_level(text: &str) -> Result<LogLevel, Bad> {
    match text {
        "0" => Ok(LogLevel::Debug),
        "1" => Ok(LogLevel::Info),
        "2" => Ok(LogLevel::Warn),
        "3" => Ok(LogLevel::Error),
        "4" => Ok(LogLevel::Fatal),
        _ => Err(Bad::new(
            text,
            "0 (debug), 1 (info), 2 (warn), 3 (error) or 4 (fatal)",
        )),
    }
}

/// The name of a field, in any case as fields have.
pub(super) fn forwarded_field(text: &str) -> Result<ForwardedBy, Bad> {
    match text.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Ok(ForwardedBy::XForwardedFor),
        "forwarded" => Ok(ForwardedBy::Forwarded),
        _ => Err(Bad::new(text, "X-Forwarded-For or Forwarded")),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Bad> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Bad::new(text, "text or json")),
    }
}

/// Items with commas between them; no text is no items.
fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, Bad>) -> Result<Vec<T>, Bad> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|part| item(part.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, Bad>) -> String {
        result.unwrap_err().0
    }

    #[test]
    fn whole_numbers_are_digits_within_the_range() {
        assert_eq!(whole("0", 0_u16, 65535), Ok(0));
        assert_eq!(whole("65535", 0_u16, 65535), Ok(65535));
        for bad in [
            "",
            "65536",
            "-1",
            "+1",
            "1.5",
            "0x10",
            "ten",
            "1 2",
            "99999999999999999999",
        ] {
            assert_eq!(
                message(whole(bad, 0_u16, 65535)),
                format!("{bad:?} is not a whole number from 0 to 65535")
            );
        }
        assert!(whole("0", 1_u32, 9).is_err());
    }

    #[test]
    fn units_are_named() {
        assert_eq!(seconds("60", 1, 100), Ok(Duration::from_secs(60)));
        assert_eq!(
            message(seconds("60s", 1, 100)),
            r#""60s" is not a whole number of seconds from 1 to 100"#
        );
        assert_eq!(bytes("4096", 1, 9999), Ok(4096));
        assert_eq!(
            message(bytes("64k", 1, 9999)),
            r#""64k" is not a whole number of bytes from 1 to 9999"#
        );
    }

    #[test]
    fn switches_are_zero_or_one() {
        assert_eq!(switch("1"), Ok(true));
        assert_eq!(switch("0"), Ok(false));
        assert_eq!(message(switch("yes")), r#""yes" is not 0 (off) or 1 (on)"#);
    }

    #[test]
    fn lists_take_commas_and_name_the_bad_item() {
        assert_eq!(
            addresses("127.0.0.1, ::1"),
            Ok(vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()])
        );
        assert!(message(addresses("127.0.0.1,here")).starts_with(r#""here" is not an IPv4"#));
        assert!(message(addresses("127.0.0.1,")).starts_with(r#""" is not an IPv4"#));
        assert_eq!(
            message(addresses("::1,0:0::1")),
            r#""::1,0:0::1" is not a list of different addresses"#
        );
        assert!(message(addresses("")).starts_with(r#""" is not an IPv4"#));
        assert_eq!(networks(""), Ok(vec![]));
        assert_eq!(origins(""), Ok(vec![]));
        assert_eq!(
            origins("https://a.example, http://b.example")
                .unwrap()
                .len(),
            2
        );
        assert!(message(origins("https://a.example,b")).starts_with(r#""b" is not an origin"#));
    }

    #[test]
    fn off_is_none() {
        assert_eq!(cors_origins("off"), Ok(CorsOrigins::Nobody));
        assert_eq!(header_value("off"), Ok(None));
        assert_eq!(socket_address("off"), Ok(None));
    }

    #[test]
    fn cors_origins_are_a_star_or_a_list() {
        assert_eq!(cors_origins("*"), Ok(CorsOrigins::Anybody));
        for (text, origins) in [
            ("HTTPS://Example.org:443", &["https://example.org"][..]),
            (
                "https://a.example, http://b.example:80",
                &["https://a.example", "http://b.example"],
            ),
        ] {
            let origins = origins.iter().map(|origin| origin.parse().unwrap());
            let expected = CorsOrigins::Listed(origins.collect());
            assert_eq!(cors_origins(text), Ok(expected));
        }
        for bad in [
            "",
            "null",
            "https://a.example,*",
            "https://a.example,off",
            "https://a.example,,https://b.example",
            "https://a\r\nX: y",
        ] {
            assert!(
                message(cors_origins(bad)).contains("*, off, or origins such as"),
                "{bad}"
            );
        }
    }

    #[test]
    fn header_values_cannot_hold_another_header() {
        assert_eq!(
            header_value("default-src 'self'"),
            Ok(Some("default-src 'self'".to_owned()))
        );
        for bad in ["", "a\r\nb", "a\tb", "é"] {
            assert!(message(header_value(bad)).ends_with("a policy in printable ASCII"));
        }
    }

    #[test]
    fn a_transport_policy_has_one_age_and_known_words() {
        assert_eq!(strict_transport_security("off"), Ok(None));
        for good in [
            "max-age=0",
            "max-age=31536000",
            "max-age=31536000; includeSubDomains",
            "MAX-AGE=1;includesubdomains ;preload",
            "includeSubDomains; max-age=1",
        ] {
            assert_eq!(strict_transport_security(good), Ok(Some(good.to_owned())));
        }
        for bad in [
            "",
            "on",
            "31536000",
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1y",
            "max-age=\"1\"",
            "max-age=4294967296",
            "max-age=1; max-age=1",
            "max-age=1;",
            "max-age=1, preload",
            "includeSubDomains",
            "max-age=1; preload; preload",
            "max-age=1; includeSubdomain",
            "max-age=1\r\nX: y",
        ] {
            let message = message(strict_transport_security(bad));
            assert!(
                message.ends_with("max-age=31536000; includeSubDomains"),
                "{bad}"
            );
        }
    }

    #[test]
    fn socket_addresses_have_a_port() {
        assert_eq!(
            socket_address("[::1]:9464"),
            Ok(Some("[::1]:9464".parse().unwrap()))
        );
        assert!(message(socket_address("127.0.0.1")).contains("an address with a port"));
    }

    #[test]
    fn words_and_levels() {
        assert_eq!(log_level("4"), Ok(LogLevel::Fatal));
        assert_eq!(
            message(log_level("5")),
            r#""5" is not 0 (debug), 1 (info), 2 (warn), 3 (error) or 4 (fatal)"#
        );
        assert_eq!(log_format("json"), Ok(LogFormat::Json));
        assert_eq!(message(log_format("xml")), r#""xml" is not text or json"#);
        assert_eq!(message(path("")), r#""" is not a path"#);
    }

    #[test]
    fn a_long_bad_value_is_cut_short() {
        let text = "é".repeat(200);
        let shown = message(switch(&text));
        assert_eq!(
            shown,
            format!("\"{}…\" is not 0 (off) or 1 (on)", "é".repeat(80))
        );
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(addresses("::ffff:127.0.0.1, ::1").unwrap()[0], own);
        assert!(addresses("::ffff:127.0.0.1,127.0.0.1").is_err(), "twice");
        let listens = socket_address("[::ffff:127.0.0.1]:9464").unwrap();
        assert_eq!(listens, Some(SocketAddr::new(own, 9464)));
    }
}
