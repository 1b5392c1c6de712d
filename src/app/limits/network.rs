use std::net::IpAddr;

/// Network of a client that limits count as one: an IPv4 address, or the /64 network of an IPv6 one, which is what
/// one subscriber has. An IPv4 address mapped into IPv6 is that IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    /// The address.
    V4(u32),
    /// The upper half of the address.
    V6(u64),
}

/// Prefix of an IPv6 address that counts as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// The bits of the network.
    prefix: u32,
    /// Multiple of the limits of one address that it may take.
    pub(super) times: u32,
}

impl Level {
    /// One subscriber has a /64, or a /56 or /48 with many of them: who goes through all of his comes to
    /// an end as well, and so many neighbours of mobile networks, which share a /48, do not.
    pub(super) const ALL: [Self; 3] = [
        Self {
            prefix: 64,
            times: 1,
        },
        Self {
            prefix: 56,
            times: 4,
        },
        Self {
            prefix: 48,
            times: 16,
        },
    ];
}

impl ClientNetwork {
    /// The prefix that counts as a whole at this level. An IPv4 address counts by itself alone.
    pub(super) fn at(self, level: Level) -> Option<Self> {
        match self {
            Self::V6(bits) => {
                let host_bits = 64_u32.saturating_sub(level.prefix);
                Some(Self::V6(bits >> host_bits << host_bits))
            }
            Self::V4(_) => (level.prefix == 64).then_some(self),
        }
    }

    /// The networks that this one counts in, itself first, with how many times the limits of one address each
    /// may take.
    pub(in crate::app) fn levels(self) -> [(Option<Self>, u32); Level::ALL.len()] {
        Level::ALL.map(|level| (self.at(level), level.times))
    }

    /// That of `ip`.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}
