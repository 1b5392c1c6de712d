//! The addresses of peers, which are in every line of the access log.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// An address as `Display` shows it, made where the last one was.
#[derive(Debug, Default)]
pub(in crate::app) struct AddressText(String);

impl AddressText {
    /// The address as text. For IPv4 without the machinery of formatting, which is a third of the cost
    /// of a line.
    pub(in crate::app) fn of(&mut self, address: SocketAddr) -> &str {
        self.0.clear();
        match address {
            SocketAddr::V4(address) => {
                for (octet, end) in address.ip().octets().into_iter().zip("...:".chars()) {
                    self.push(octet.into());
                    self.0.push(end);
                }
                self.push(address.port());
            }
            SocketAddr::V6(address) => write!(self.0, "{address}").unwrap_or_default(),
        }
        &self.0
    }

    fn push(&mut self, number: u16) {
        let mut place = 10_000;
        while place > number && place > 1 {
            place /= 10;
        }
        let mut left = number;
        while place > 0 {
            let digit = u8::try_from(left / place).unwrap_or_default();
            self.0.push(char::from(b'0' + digit));
            left %= place;
            place /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_display_shows(ip in any::<IpAddr>(), port in any::<u16>()) {
            let mut text = AddressText::default();
            for port in [port, port % 100, 0] {
                let address = SocketAddr::new(ip, port);
                prop_assert_eq!(text.of(address), address.to_string());
            }
        }
    }
}
