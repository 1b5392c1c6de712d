//! The addresses of peers, which are in every line of the access log.

use std::io::Write as _;
use std::net::SocketAddr;

/// The longest IPv4 address with a port.
const V4_BYTES_MAX: usize = "255.255.255.255:65535".len();

/// An address as `Display` shows it, made where the last one was.
#[derive(Debug, Default)]
pub(in crate::app) struct AddressText {
    v4: [u8; V4_BYTES_MAX],
    v6: Vec<u8>,
}

impl AddressText {
    /// The address as text. For IPv4 without the machinery of formatting, which would be a third of the cost
    /// of a line.
    pub(in crate::app) fn of(&mut self, address: SocketAddr) -> &str {
        let text = match address {
            SocketAddr::V4(address) => {
                let [a, b, c, d] = address.ip().octets().map(u16::from);
                let mut room = self.v4.iter_mut().rev();
                put_number(&mut room, address.port());
                for (octet, before) in [(d, b':'), (c, b'.'), (b, b'.'), (a, b'.')] {
                    put(&mut room, before);
                    put_number(&mut room, octet);
                }
                let start = room.len();
                self.v4.get(start..).unwrap_or_default()
            }
            SocketAddr::V6(address) => {
                self.v6.clear();
                write!(self.v6, "{address}").unwrap_or_default();
                &self.v6
            }
        };
        str::from_utf8(text).unwrap_or_default()
    }
}

fn put<'a>(room: &mut impl Iterator<Item = &'a mut u8>, byte: u8) {
    if let Some(place) = room.next() {
        *place = byte;
    }
}

/// Puts the digits of a number, the last one first.
fn put_number<'a>(room: &mut impl Iterator<Item = &'a mut u8>, number: u16) {
    let mut left = number;
    loop {
        put(room, b'0' + (left % 10) as u8);
        left /= 10;
        if left == 0 {
            return;
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
