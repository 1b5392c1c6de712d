//! The addresses of peers, which are in every line of the access log.

use std::io::Write as _;
use std::net::SocketAddr;

use super::line::push_number;

/// An address as `Display` shows it, made where the last one was.
#[derive(Debug, Default)]
pub(in crate::app) struct AddressText(Vec<u8>);

impl AddressText {
    /// The address as text. For IPv4 without the machinery of formatting, which is a third of the cost
    /// of a line.
    pub(in crate::app) fn of(&mut self, address: SocketAddr) -> &str {
        self.0.clear();
        match address {
            SocketAddr::V4(address) => {
                for (octet, end) in address.ip().octets().into_iter().zip(*b"...:") {
                    push_number(&mut self.0, octet.into());
                    self.0.push(end);
                }
                push_number(&mut self.0, address.port().into());
            }
            SocketAddr::V6(address) => write!(self.0, "{address}").unwrap_or_default(),
        }
        str::from_utf8(&self.0).unwrap_or_else(|_| {
            invariant!("an address is ASCII");
            ""
        })
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
