//! Networks in CIDR notation (RFC 4632, RFC 4291 section 2.3).

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An IPv4 or IPv6 network. A bare address is a network of one. IPv4 mapped into IPv6
/// (`::ffff:10.0.0.0/104`) is IPv4 (`10.0.0.0/8`).
///
/// ```
/// use edgeloop::app::config::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(!network.contains("11.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns `true` if the address is in this network. An IPv4-mapped IPv6 address
    /// (`::ffff:10.0.0.1`) counts as the IPv4 address it carries.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()) & mask_v4(self.prefix) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()) & mask_v6(self.prefix) == 0
            }
            _ => false,
        }
    }

    /// A network of mapped addresses is the IPv4 network that it maps, for so are the addresses.
    fn canonical(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let own = address.to_canonical();
        let prefix = match (address, own) {
            (IpAddr::V6(_), IpAddr::V4(_)) => prefix.checked_sub(96).ok_or(NetworkError::Mapped)?,
            _ => prefix,
        };
        Ok(Self {
            address: own,
            prefix,
        })
    }

    fn has_host_bits(&self) -> bool {
        match self.address {
            IpAddr::V4(own) => own.to_bits() & !mask_v4(self.prefix) != 0,
            IpAddr::V6(own) => own.to_bits() & !mask_v6(self.prefix) != 0,
        }
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(32_u32.saturating_sub(prefix.into()))
        .unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX
        .checked_shl(128_u32.saturating_sub(prefix.into()))
        .unwrap_or(0)
}

/// Why a text is no network. Displays as what was expected instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// Not `address/prefix`.
    Form,
    /// Bits are set behind the prefix, as in `10.0.0.1/8`.
    HostBits,
    /// An IPv4 address mapped into IPv6, with a prefix that is not within its IPv4 part.
    Mapped,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a network such as 10.0.0.0/8 or 2001:db8::/32",
            Self::HostBits => "a network: the address has bits set behind the prefix",
            Self::Mapped => {
                "a network: of an IPv4 address mapped into IPv6 the prefix is 96 to 128, as in ::ffff:10.0.0.0/104"
            }
        })
    }
}

impl Error for NetworkError {}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => Some(digits)
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|&prefix| prefix <= bits)
                .ok_or(NetworkError::Form)?,
        };
        let network = Self::canonical(address, prefix)?;
        if network.has_host_bits() {
            return Err(NetworkError::HostBits);
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network
            .parse::<Network>()
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn membership_at_every_edge() {
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(contains("192.0.2.128/25", "192.0.2.128"));
        assert!(contains("192.0.2.128/25", "192.0.2.255"));
        assert!(!contains("192.0.2.128/25", "192.0.2.127"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
        assert!(!contains("192.0.2.1/32", "192.0.2.2"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("2001:db8::/33", "2001:db8:7fff::"));
        assert!(!contains("2001:db8::/33", "2001:db8:8000::"));
        assert!(contains("::1", "::1"));
    }

    #[test]
    fn families_do_not_mix_but_mapped_addresses_are_ipv4() {
        assert!(!contains("::/0", "192.0.2.1"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.7"));
    }

    #[test]
    fn a_mapped_network_is_the_ipv4_network_it_maps() {
        for (mapped, own) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::ffff:c000:201/128", "192.0.2.1/32"),
        ] {
            let network: Network = mapped.parse().unwrap();
            assert_eq!(network, own.parse().unwrap(), "{mapped}");
            assert_eq!(network.to_string(), own);
        }
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(contains("::ffff:10.0.0.0/104", "::ffff:10.1.2.3"));
        for text in ["::ffff:10.0.0.0/95", "::ffff:0:0/0", "::ffff:10.0.0.0/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Mapped), "{text}");
        }
        assert_eq!(
            "::ffff:10.0.0.1/104".parse::<Network>(),
            Err(NetworkError::HostBits)
        );
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "10/8",
            "a/8",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(NetworkError::Form), "{bad}");
        }
        assert_eq!("10.0.0.1/8".parse::<Network>(), Err(NetworkError::HostBits));
        assert_eq!(
            "2001:db8::1/32".parse::<Network>(),
            Err(NetworkError::HostBits)
        );
    }

    #[test]
    fn display_round_trips() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
