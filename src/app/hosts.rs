//! Which hosts a request may ask for.
//!
//! A page elsewhere can make a browser ask us under a name of its own (DNS rebinding), but not under an
//! address or a name that it does not own.

use std::net::{IpAddr, SocketAddr};

use super::config::ServerName;

/// The host of a Host field without its port: an IPv6 address still in brackets.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A host as it is compared: without port, brackets, and the dot of the root.
fn bare(host: &str) -> &str {
    let name = without_port(host);
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    inner.unwrap_or_else(|| name.strip_suffix('.').unwrap_or(name))
}

/// Returns `true` if only this machine has such a host.
fn is_local(bare: &str) -> bool {
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse()
            .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

/// Returns `true` if the server answers to this host: to any without `names`, else to those and to this machine's own.
pub(super) fn is_served(names: &[ServerName], host: Option<&str>) -> bool {
    if names.is_empty() {
        return true;
    }
    let Some(host) = host.map(bare) else {
        return false;
    };
    is_local(host) || names.iter().any(|name| name.is(host))
}

/// Returns `true` if the listener for metrics at `bound` answers to this host: to those of this machine, to its own
/// address, to names without a dot, and to names that are listed. Names without a dot, as containers have them, are
/// given out by the network they are asked in: nobody elsewhere owns one. A client that names none is no browser.
pub(super) fn is_for_metrics(
    names: &[ServerName],
    bound: Option<SocketAddr>,
    host: Option<&str>,
) -> bool {
    let Some(host) = host.map(bare) else {
        return true;
    };
    let is_own = bound.is_some_and(|bound| {
        host.parse()
            .is_ok_and(|ip: IpAddr| bound.ip().is_unspecified() || ip == bound.ip())
    });
    let is_address = host.parse::<IpAddr>().is_ok();
    let is_single = !is_address && !host.is_empty() && !host.contains('.');
    is_own || is_single || is_local(host) || names.iter().any(|name| name.is(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_brackets_and_the_root_do_not_count() {
        for (host, want) in [
            ("a.example:8443", "a.example"),
            ("a.example:", "a.example"),
            ("a.example.:1", "a.example"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(bare(host), want, "{host}");
        }
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }

    #[test]
    fn a_list_is_all_there_is_but_this_machine() {
        let names = ["a.example".parse().unwrap(), "192.0.2.7".parse().unwrap()];
        for (host, want) in [
            (Some("A.example:8443"), true),
            (Some("a.example."), true),
            (Some("192.0.2.7:8443"), true),
            (Some("localhost:8443"), true),
            (Some("127.9.9.9"), true),
            (Some("[::1]:8443"), true),
            (Some("[::ffff:127.0.0.1]"), true),
            (Some("b.example"), false),
            (Some("192.0.2.8"), false),
            (Some("localhost.evil.example"), false),
            (None, false),
        ] {
            assert_eq!(is_served(&names, host), want, "{host:?}");
            assert!(is_served(&[], host));
        }
    }

    #[test]
    fn metrics_are_for_addresses_and_listed_names() {
        let (one, any) = ("192.0.2.7:9464", "0.0.0.0:9464");
        let names = ["scraped.example".parse().unwrap()];
        for (bound, host, want) in [
            (one, Some("192.0.2.7:9464"), true),
            (one, Some("192.0.2.8:9464"), false),
            (one, Some("127.0.0.1:9464"), true),
            (one, Some("localhost"), true),
            (one, Some("edgeloop:9464"), true),
            (one, Some("[2001:db8::1]:9464"), false),
            (one, Some(""), false),
            (one, Some("scraped.example:9464"), true),
            (one, Some("rebound.example:9464"), false),
            (one, None, true),
            (any, Some("192.0.2.8:9464"), true),
            (any, Some("rebound.example:9464"), false),
        ] {
            let bound = Some(bound.parse().unwrap());
            assert_eq!(
                is_for_metrics(&names, bound, host),
                want,
                "{bound:?} {host:?}"
            );
        }
    }
}
