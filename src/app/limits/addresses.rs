use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;

use super::table::{Entry, Table};
use super::{Bucket, Limit, Refused, Window};

/// Addresses without an open connection whose rates are remembered.
pub const ADDRESSES_MAX: usize = 65_536;
/// Accounts whose failed logins are remembered.
pub const ACCOUNTS_MAX: usize = 65_536;

/// The limits in force. Every one of them may be 0, which turns it off; the default is all off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// `max_connections_per_ip`: open at the same time.
    pub connections_max: u32,
    /// `handshakes_per_second_per_ip`, with a burst of twice that.
    pub handshakes_per_second: u32,
    /// `requests_per_second_per_ip`, with a burst of twice that.
    pub requests_per_second: u32,
    /// `login_attempts_per_minute`: failed ones, of one address and of one account.
    pub failed_logins_per_minute: u32,
}

/// How an attempt to log in, admitted by [`Addresses::admit_login`], ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Wrong name or password: it counts.
    Failed,
    /// The password was right, or it was never looked at (overload, a broken store): it does not
    /// count.
    NotFailed,
}

/// What every address has open and has spent.
///
/// An IPv6 address stands for its /64 network, which is what one subscriber has; an IPv4 address
/// mapped into IPv6 is that IPv4 address.
///
/// Memory is bounded under a flood of addresses: those with a connection are kept as long as it is
/// open (`max_connections` bounds them), of the others at most [`ADDRESSES_MAX`]. Over that, the
/// one seen longest ago is forgotten, so its rates start afresh; nobody is refused because the
/// table is full. The same goes for accounts. Each call does constant work, amortised.
///
/// ```
/// use edgeloop::app::limits::{Addresses, Limit, Rates};
/// use std::net::IpAddr;
///
/// let mut addresses = Addresses::new(Rates { connections_max: 1, ..Rates::default() });
/// let ip: IpAddr = "2001:db8::1".parse()?;
/// let neighbour: IpAddr = "2001:db8::2".parse()?;
/// assert!(addresses.admit_connection(ip, 0).is_ok());
/// assert_eq!(addresses.admit_connection(neighbour, 0).unwrap_err().limit, Limit::Connections);
/// addresses.release_connection(ip);
/// assert!(addresses.admit_connection(neighbour, 0).is_ok());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Addresses {
    rates: Rates,
    peers: Table<Network, Peer>,
    accounts: Table<u64, Account>,
    /// Keyed at random, so that nobody can choose names that meet in one entry.
    account_hasher: RandomState,
}

impl Addresses {
    /// Nothing is open yet.
    pub fn new(rates: Rates) -> Self {
        Self::with_capacity(rates, ADDRESSES_MAX, ACCOUNTS_MAX)
    }

    fn with_capacity(rates: Rates, peers_max: usize, accounts_max: usize) -> Self {
        Self {
            rates,
            peers: Table::new(peers_max),
            accounts: Table::new(accounts_max),
            account_hasher: RandomState::new(),
        }
    }

    /// The limits in force from now on. What is open stays open, what was spent stays spent.
    pub fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
    }

    /// A connection of `ip` was accepted and its handshake is about to begin. After `Ok` the caller
    /// owes one [`Addresses::release_connection`].
    ///
    /// # Errors
    /// [`Limit::Connections`] or [`Limit::Handshakes`]; nothing was counted.
    pub fn admit_connection(&mut self, ip: IpAddr, now_ms: u64) -> Result<(), Refused> {
        let Rates {
            connections_max,
            handshakes_per_second,
            ..
        } = self.rates;
        let peer = self.peers.entry(Network::of(ip), now_ms);
        if connections_max != 0 && peer.connections >= connections_max {
            return Err(Refused {
                limit: Limit::Connections,
                retry_after_s: 1,
            });
        }
        let taken = peer.handshakes.take(handshakes_per_second, now_ms);
        taken.map_err(|retry_after_s| Refused {
            limit: Limit::Handshakes,
            retry_after_s,
        })?;
        peer.connections = peer.connections.saturating_add(1);
        Ok(())
    }

    /// A connection of `ip` was accepted that no limit on addresses is for, as that of a proxy. The caller
    /// owes one [`Addresses::release_connection`], too.
    pub fn count_connection(&mut self, ip: IpAddr, now_ms: u64) {
        let peer = self.peers.entry(Network::of(ip), now_ms);
        peer.connections = peer.connections.saturating_add(1);
    }

    /// A connection of `ip` that was admitted is closed.
    pub fn release_connection(&mut self, ip: IpAddr) {
        self.peers.release(Network::of(ip), |peer| {
            debug_assert!(peer.connections > 0, "released more often than admitted");
            peer.connections = peer.connections.saturating_sub(1);
        });
    }

    /// Connections `ip` has open, with all of its network.
    pub fn connections(&self, ip: IpAddr) -> u32 {
        self.peers
            .find(Network::of(ip))
            .map_or(0, |peer| peer.connections)
    }

    /// A request came from `ip`.
    ///
    /// # Errors
    /// [`Limit::Requests`]; nothing was counted.
    pub fn admit_request(&mut self, ip: IpAddr, now_ms: u64) -> Result<(), Refused> {
        let rate = self.rates.requests_per_second;
        if rate == 0 {
            return Ok(());
        }
        let taken = self
            .peers
            .entry(Network::of(ip), now_ms)
            .requests
            .take(rate, now_ms);
        taken.map_err(|retry_after_s| Refused {
            limit: Limit::Requests,
            retry_after_s,
        })
    }

    /// Somebody at `ip` wants to log in as `account`, whether or not that exists. To be asked
    /// before the password is hashed. After `Ok` the caller owes one [`Addresses::settle_login`].
    ///
    /// The attempt counts against the account until it is settled, so guesses sent all at once do
    /// not slip through. The address is charged when the attempt has failed: many people may log in
    /// behind one address in the same moment.
    ///
    /// # Errors
    /// [`Limit::Logins`]; nothing was counted.
    pub fn admit_login(&mut self, ip: IpAddr, account: &str, now_ms: u64) -> Result<(), Refused> {
        let max = self.rates.failed_logins_per_minute;
        if max == 0 {
            return Ok(());
        }
        let refused = |retry_after_s| Refused {
            limit: Limit::Logins,
            retry_after_s,
        };
        if let Some(peer) = self.peers.find(Network::of(ip)) {
            peer.failed_logins.check(1, max, now_ms).map_err(refused)?;
        }
        let key = self.account_hasher.hash_one(account);
        self.accounts
            .entry(key, now_ms)
            .failed_logins
            .take(1, max, now_ms)
            .map_err(refused)
    }

    /// The end of an attempt that was admitted.
    pub fn settle_login(&mut self, ip: IpAddr, account: &str, outcome: LoginOutcome, now_ms: u64) {
        if self.rates.failed_logins_per_minute == 0 {
            return;
        }
        match outcome {
            LoginOutcome::Failed => {
                self.peers
                    .entry(Network::of(ip), now_ms)
                    .failed_logins
                    .add(1, now_ms);
            }
            LoginOutcome::NotFailed => {
                let key = self.account_hasher.hash_one(account);
                self.accounts
                    .release(key, |account| account.failed_logins.give_back(now_ms));
            }
        }
    }
}

/// What counts as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(u32),
    V6(u64),
}

impl Network {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

#[derive(Debug, Default)]
struct Peer {
    connections: u32,
    handshakes: Bucket,
    requests: Bucket,
    failed_logins: Window,
}

impl Entry for Peer {
    fn is_held(&self) -> bool {
        self.connections > 0
    }

    fn is_idle(&self, now_ms: u64) -> bool {
        self.connections == 0
            && self.handshakes.is_full(now_ms)
            && self.requests.is_full(now_ms)
            && self.failed_logins.is_empty(now_ms)
    }
}

#[derive(Debug, Default)]
struct Account {
    failed_logins: Window,
}

impl Entry for Account {
    fn is_held(&self) -> bool {
        false
    }

    fn is_idle(&self, now_ms: u64) -> bool {
        self.failed_logins.is_empty(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limit(result: Result<(), Refused>) -> Option<Limit> {
        result.err().map(|refused| refused.limit)
    }

    #[test]
    fn connections_are_counted_per_address_and_64_network() {
        let mut addresses = Addresses::new(Rates {
            connections_max: 2,
            ..Rates::default()
        });
        assert_eq!(limit(addresses.admit_connection(ip("10.0.0.1"), 0)), None);
        assert_eq!(
            limit(addresses.admit_connection(ip("::ffff:10.0.0.1"), 0)),
            None
        );
        assert_eq!(
            limit(addresses.admit_connection(ip("10.0.0.1"), 0)),
            Some(Limit::Connections)
        );
        assert_eq!(limit(addresses.admit_connection(ip("10.0.0.2"), 0)), None);

        assert_eq!(
            limit(addresses.admit_connection(ip("2001:db8::1"), 0)),
            None
        );
        assert_eq!(
            limit(addresses.admit_connection(ip("2001:db8::ffff:1"), 0)),
            None
        );
        assert_eq!(
            limit(addresses.admit_connection(ip("2001:db8::7"), 0)),
            Some(Limit::Connections)
        );
        assert_eq!(
            limit(addresses.admit_connection(ip("2001:db8:0:1::1"), 0)),
            None
        );

        addresses.release_connection(ip("2001:db8::1"));
        assert_eq!(
            limit(addresses.admit_connection(ip("2001:db8::7"), 0)),
            None
        );
        assert_eq!(addresses.connections(ip("2001:db8::")), 2);
    }

    #[test]
    fn a_refused_handshake_is_no_connection() {
        let rates = Rates {
            handshakes_per_second: 1,
            ..Rates::default()
        };
        let mut addresses = Addresses::new(rates);
        let peer = ip("192.0.2.1");
        assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
        assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
        let refused = addresses.admit_connection(peer, 0).unwrap_err();
        assert_eq!(
            refused,
            Refused {
                limit: Limit::Handshakes,
                retry_after_s: 1
            }
        );
        assert_eq!(refused.limit.key(), "handshakes_per_second_per_ip");
        assert_eq!(
            refused.to_string(),
            "handshakes_per_second_per_ip is reached, try again in 1 s"
        );
        assert_eq!(addresses.connections(peer), 2);
        assert_eq!(addresses.admit_connection(peer, 1000), Ok(()));
    }

    #[test]
    fn a_reconnect_does_not_refill_the_buckets() {
        let rates = Rates {
            handshakes_per_second: 1,
            requests_per_second: 1,
            ..Rates::default()
        };
        let mut addresses = Addresses::new(rates);
        let peer = ip("192.0.2.1");
        for _ in 0..2 {
            assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
            assert_eq!(addresses.admit_request(peer, 0), Ok(()));
            addresses.release_connection(peer);
        }
        assert_eq!(
            limit(addresses.admit_connection(peer, 0)),
            Some(Limit::Handshakes)
        );
        assert_eq!(
            limit(addresses.admit_request(peer, 0)),
            Some(Limit::Requests)
        );
    }

    #[test]
    fn rates_change_live_both_ways() {
        let mut addresses = Addresses::new(Rates::default());
        let peer = ip("192.0.2.1");
        for _ in 0..5 {
            assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
        }
        addresses.set_rates(Rates {
            connections_max: 3,
            ..Rates::default()
        });
        assert_eq!(
            limit(addresses.admit_connection(peer, 0)),
            Some(Limit::Connections)
        );
        for _ in 0..3 {
            addresses.release_connection(peer);
        }
        assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
        addresses.set_rates(Rates::default());
        assert_eq!(addresses.admit_connection(peer, 0), Ok(()));
        assert_eq!(addresses.connections(peer), 4);
    }

    fn logins(max: u32) -> Addresses {
        Addresses::new(Rates {
            failed_logins_per_minute: max,
            ..Rates::default()
        })
    }

    #[test]
    fn failed_logins_of_an_address_add_up_over_accounts() {
        let mut addresses = logins(3);
        for account in ["ann", "bob", "cid"] {
            assert_eq!(addresses.admit_login(ip("192.0.2.1"), account, 0), Ok(()));
            addresses.settle_login(ip("192.0.2.1"), account, LoginOutcome::Failed, 0);
        }
        let refused = addresses
            .admit_login(ip("192.0.2.1"), "dan", 20_000)
            .unwrap_err();
        assert_eq!(
            refused,
            Refused {
                limit: Limit::Logins,
                retry_after_s: 40
            }
        );
        assert_eq!(
            addresses.admit_login(ip("192.0.2.2"), "dan", 20_000),
            Ok(())
        );
        assert_eq!(
            addresses.admit_login(ip("192.0.2.1"), "dan", 60_000),
            Ok(())
        );
    }

    #[test]
    fn failed_logins_of_an_account_add_up_over_addresses() {
        let mut addresses = logins(3);
        for last in 1..=3 {
            let peer = IpAddr::from(Ipv4Addr::new(192, 0, 2, last));
            assert_eq!(addresses.admit_login(peer, "ann", 0), Ok(()));
            addresses.settle_login(peer, "ann", LoginOutcome::Failed, 0);
        }
        assert_eq!(
            limit(addresses.admit_login(ip("192.0.2.9"), "ann", 59_999)),
            Some(Limit::Logins)
        );
        assert_eq!(
            addresses.admit_login(ip("192.0.2.9"), "Ann", 59_999),
            Ok(())
        );
        assert_eq!(
            addresses.admit_login(ip("192.0.2.9"), "ann", 60_000),
            Ok(())
        );
    }

    #[test]
    fn logins_that_did_not_fail_do_not_count() {
        let mut addresses = logins(2);
        for _ in 0..100 {
            assert_eq!(addresses.admit_login(ip("192.0.2.1"), "ann", 0), Ok(()));
            addresses.settle_login(ip("192.0.2.1"), "ann", LoginOutcome::NotFailed, 0);
        }
    }

    #[test]
    fn guesses_sent_all_at_once_do_not_slip_through() {
        let mut addresses = logins(10);
        let admitted = (0..100)
            .filter(|_| addresses.admit_login(ip("192.0.2.1"), "ann", 0).is_ok())
            .count();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn a_flood_of_addresses_and_accounts_stays_within_the_caps() {
        let rates = Rates {
            connections_max: 100,
            handshakes_per_second: 1,
            requests_per_second: 1,
            failed_logins_per_minute: 1,
        };
        let mut addresses = Addresses::with_capacity(rates, 64, 32);
        let steady = ip("198.51.100.1");
        assert_eq!(addresses.admit_connection(steady, 0), Ok(()));
        for n in 0..10_000_u32 {
            let peer = IpAddr::from(Ipv6Addr::from_bits(u128::from(n) << 64));
            let name = n.to_string();
            assert_eq!(
                addresses.admit_connection(peer, 0),
                Ok(()),
                "nobody is refused for the cap"
            );
            assert_eq!(addresses.admit_login(peer, &name, 0), Ok(()));
            addresses.settle_login(peer, &name, LoginOutcome::Failed, 0);
            addresses.release_connection(peer);
            assert!(addresses.peers.len() <= 65);
            assert!(addresses.accounts.len() <= 32);
        }
        assert_eq!(addresses.connections(steady), 1);
        addresses.peers.assert_sound();
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Connect(u8),
        Release(u8),
        Request(u8),
        Fail(u8),
        Wait(u16),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0_u8..40).prop_map(Act::Connect),
            (0_u8..40).prop_map(Act::Release),
            (0_u8..40).prop_map(Act::Request),
            (0_u8..40).prop_map(Act::Fail),
            (0_u16..3000).prop_map(Act::Wait),
        ]
    }

    proptest! {
        #[test]
        fn counts_equal_what_is_open_and_the_table_is_bounded(
            acts in prop::collection::vec(act(), 1..200),
        ) {
            let rates = Rates {
                connections_max: 3,
                handshakes_per_second: 2,
                requests_per_second: 2,
                failed_logins_per_minute: 2,
            };
            let mut addresses = Addresses::with_capacity(rates, 8, 8);
            let mut open: HashMap<u8, u32> = HashMap::new();
            let mut now_ms = 0;
            let peer = |n: u8| IpAddr::from(Ipv4Addr::new(10, 0, 0, n));
            for act in acts {
                match act {
                    Act::Connect(n) => if addresses.admit_connection(peer(n), now_ms).is_ok() {
                        *open.entry(n).or_default() += 1;
                    },
                    Act::Release(n) => if let Some(count) = open.get_mut(&n).filter(|count| **count > 0) {
                        *count -= 1;
                        addresses.release_connection(peer(n));
                    },
                    Act::Request(n) => drop(addresses.admit_request(peer(n), now_ms)),
                    Act::Fail(n) => if addresses.admit_login(peer(n), &n.to_string(), now_ms).is_ok() {
                        addresses.settle_login(peer(n), &n.to_string(), LoginOutcome::Failed, now_ms);
                    },
                    Act::Wait(ms) => now_ms += u64::from(ms),
                }
                for (n, count) in &open {
                    prop_assert_eq!(addresses.connections(peer(*n)), *count);
                    prop_assert!(*count <= 3);
                }
                addresses.peers.assert_sound();
                addresses.accounts.assert_sound();
                let held = open.values().filter(|count| **count > 0).count();
                prop_assert!(addresses.peers.len() <= held + 8);
                let counted: u32 = addresses.peers.entries().map(|peer| peer.connections).sum();
                prop_assert_eq!(counted, open.values().sum::<u32>());
            }
        }
    }
}
