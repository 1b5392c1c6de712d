use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;

use super::failure_backoff::FailureBackoff;
use super::in_flight::InFlight;
use super::network::Level;
use super::table::{Evictable, Table};
use super::{Bucket, ClientNetwork, Limit, Refused, Window};

/// Addresses without an open connection whose rates are remembered, and so many /56 and /48 of IPv6.
pub const ADDRESSES_MAX: usize = 65_536;
/// Accounts whose failed logins are remembered here, as they could not be stored.
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
    /// `logins_per_minute_per_ip`: whatever comes of them.
    pub logins_per_minute: u32,
    /// `registrations_per_minute_per_ip`: those that cost a hash.
    pub registrations_per_minute: u32,
    /// `conflicts_per_minute_per_ip`: names and e-mail addresses asked for that others have.
    pub conflicts_per_minute: u32,
}

/// Outcome of an attempt to log in that [`Addresses::admit_login`] has admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Wrong name or password: it counts against the address; the store counts it for the account.
    Failed,
    /// Wrong, and the store could not count it: it counts against the account here.
    FailedUncounted,
    /// The password was right, or the account has to wait: it counts as a login alone.
    NotFailed,
    /// The password was never looked at (overload, a broken store): it does not count.
    NotTried,
}

/// Open connections and spent allowances of every address.
///
/// A [`ClientNetwork`] counts as one address. The /56 of an IPv6 one may take four times of every limit,
/// and its /48 sixteen times.
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
    /// By level.
    peers: [Table<ClientNetwork, AddressState>; Level::ALL.len()],
    /// Connections that no limit on addresses is for, by where they come from.
    exempt: HashMap<IpAddr, u32>,
    accounts: Table<u64, Account>,
    in_flight: InFlight,
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
            peers: [(); Level::ALL.len()].map(|()| Table::new(peers_max)),
            exempt: HashMap::new(),
            accounts: Table::new(accounts_max),
            in_flight: InFlight::default(),
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
        self.charge(ip, now_ms, |peer, times| {
            peer.check_connections(connections_max, times)?;
            let rate = handshakes_per_second.saturating_mul(times);
            let taken = peer.handshakes.take(rate, now_ms);
            taken.map_err(|retry_after_s| Refused {
                limit: Limit::Handshakes,
                retry_after_s,
            })?;
            peer.connections = peer.connections.saturating_add(1);
            Ok(())
        })
    }

    /// Takes from `ip` at every level, or where one of them has no more, at none.
    fn charge(
        &mut self,
        ip: IpAddr,
        now_ms: u64,
        take: impl Fn(&mut AddressState, u32) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let network = ClientNetwork::of(ip);
        let mut before = [None; Level::ALL.len()];
        let mut outcome = Ok(());
        for ((table, level), before) in self.peers.iter_mut().zip(Level::ALL).zip(&mut before) {
            let Some(key) = network.at(level).filter(|_| outcome.is_ok()) else {
                break;
            };
            let peer = table.entry(key, now_ms);
            *before = Some((key, *peer));
            outcome = take(peer, level.times);
        }
        if outcome.is_err() {
            for (table, before) in self.peers.iter_mut().zip(before) {
                if let Some((key, peer)) = before {
                    *table.entry(key, now_ms) = peer;
                }
            }
        }
        outcome
    }

    /// Somebody at `ip`, behind a proxy, is about to have a WebSocket open, or a request under way: that counts
    /// as a connection. After `Ok` the caller owes one [`Addresses::release_place`].
    ///
    /// # Errors
    /// [`Limit::Connections`]; nothing was counted.
    pub fn admit_place(&mut self, ip: IpAddr, now_ms: u64) -> Result<(), Refused> {
        let connections_max = self.rates.connections_max;
        self.charge(ip, now_ms, |peer, times| {
            peer.check_connections(connections_max, times)?;
            peer.connections = peer.connections.saturating_add(1);
            Ok(())
        })
    }

    /// A connection of `ip` was accepted that no limit on addresses is for, as that of a proxy. The caller
    /// owes one [`Addresses::release_connection`], too.
    pub fn count_connection(&mut self, ip: IpAddr) {
        *self.exempt.entry(ip).or_default() += 1;
    }

    /// A connection of `ip` that was admitted is closed.
    pub fn release_connection(&mut self, ip: IpAddr) {
        if let Some(exempt) = self.exempt.get_mut(&ip) {
            *exempt -= 1;
            if *exempt == 0 {
                self.exempt.remove(&ip);
            }
            return;
        }
        self.release_place(ip);
    }

    /// Gives back a permit that [`Addresses::admit_place`] has counted.
    pub fn release_place(&mut self, ip: IpAddr) {
        self.give_back(ip, |peer| {
            debug_assert!(peer.connections > 0, "released more often than admitted");
            peer.connections = peer.connections.saturating_sub(1);
        });
    }

    /// Changes what is remembered of `ip`, at every level, in a way that may let go of it.
    fn give_back(&mut self, ip: IpAddr, change: impl Fn(&mut AddressState)) {
        let network = ClientNetwork::of(ip);
        for (table, level) in self.peers.iter_mut().zip(Level::ALL) {
            if let Some(key) = network.at(level) {
                table.release(key, &change);
            }
        }
    }

    /// Connections `ip` has open, with all of its network.
    pub fn connections(&self, ip: IpAddr) -> u32 {
        let [peers, ..] = &self.peers;
        let counted = peers.find(ClientNetwork::of(ip));
        counted.map_or(0, |peer| peer.connections)
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
        self.charge(ip, now_ms, |peer, times| {
            let taken = peer.requests.take(rate.saturating_mul(times), now_ms);
            taken.map_err(|retry_after_s| Refused {
                limit: Limit::Requests,
                retry_after_s,
            })
        })
    }

    /// Somebody at `ip` wants to log in as `account`, whether or not that exists. To be asked
    /// before the password is hashed. Answers how many other attempts for this account are under
    /// way. After `Ok` the caller owes one [`Addresses::settle_login`].
    ///
    /// Attempts under way count as if they failed, so guesses sent together do not slip through, at one
    /// account or at many. What a success takes is given back in a moment: where nothing but attempts under
    /// way is in the way, the wait is a second.
    ///
    /// # Errors
    /// [`Limit::Logins`] or [`Limit::Attempts`]; nothing was counted.
    pub fn admit_login(&mut self, ip: IpAddr, account: &str, now_ms: u64) -> Result<u32, Refused> {
        let max = self.rates.failed_logins_per_minute;
        let rejected = |retry_after_s| Refused {
            limit: Limit::Logins,
            retry_after_s,
        };
        let (network, account) = (ClientNetwork::of(ip), self.account_hasher.hash_one(account));
        let in_flight = self.in_flight.of_network(network);
        for ((table, level), in_flight) in self.peers.iter().zip(Level::ALL).zip(in_flight) {
            if let Some(peer) = network.at(level).map(|key| table.find(key)) {
                let backoff = peer.map_or_else(FailureBackoff::default, |peer| peer.failed_logins);
                let max = max.saturating_mul(level.times);
                backoff.check(1, max, now_ms).map_err(rejected)?;
                let together = backoff.check(in_flight.saturating_add(1), max, now_ms);
                together.map_err(|_| rejected(1))?;
            }
        }
        if let Some(entry) = self.accounts.find(account) {
            entry
                .failed_logins
                .check(1, max, now_ms)
                .map_err(rejected)?;
        }
        let max = self.rates.logins_per_minute;
        if max != 0 {
            self.charge(ip, now_ms, |peer, times| {
                let taken = peer.logins.take(1, max.saturating_mul(times), now_ms);
                taken.map_err(|retry_after_s| Refused {
                    limit: Limit::Attempts,
                    retry_after_s,
                })
            })?;
        }
        let others = self.in_flight.of_account(account);
        self.in_flight.begin(account, network);
        Ok(others)
    }

    /// The end of an attempt that was admitted.
    pub fn settle_login(&mut self, ip: IpAddr, account: &str, outcome: LoginOutcome, now_ms: u64) {
        let (network, account) = (ClientNetwork::of(ip), self.account_hasher.hash_one(account));
        self.in_flight.end(account, network);
        if outcome == LoginOutcome::NotTried {
            self.give_back(ip, |peer| peer.logins.give_back(now_ms));
        }
        let max = self.rates.failed_logins_per_minute;
        if max == 0 || matches!(outcome, LoginOutcome::NotFailed | LoginOutcome::NotTried) {
            return;
        }
        for (table, level) in self.peers.iter_mut().zip(Level::ALL) {
            if let Some(key) = network.at(level) {
                let peer = table.entry(key, now_ms);
                peer.failed_logins
                    .add(max.saturating_mul(level.times), now_ms);
            }
        }
        if outcome == LoginOutcome::FailedUncounted {
            let entry = self.accounts.entry(account, now_ms);
            entry.failed_logins.add(1, now_ms);
        }
    }

    /// Somebody at `ip` wants to register. It counts until [`Addresses::forgo_registration`].
    ///
    /// # Errors
    /// [`Limit::Registrations`]; nothing was counted.
    pub fn admit_registration(&mut self, ip: IpAddr, now_ms: u64) -> Result<(), Refused> {
        let max = self.rates.registrations_per_minute;
        if max == 0 {
            return Ok(());
        }
        self.charge(ip, now_ms, |peer, times| {
            let max = max.saturating_mul(times);
            let taken = peer.registrations.take(1, max, now_ms);
            taken.map_err(|retry_after_s| Refused {
                limit: Limit::Registrations,
                retry_after_s,
            })
        })
    }

    /// A registration that was admitted has cost no hash, and does not count.
    pub fn forgo_registration(&mut self, ip: IpAddr, now_ms: u64) {
        self.give_back(ip, |peer| peer.registrations.give_back(now_ms));
    }

    /// Somebody at `ip` wants a name or an e-mail address, which others may have. It counts until
    /// [`Addresses::forgo_conflict`]: those under way count, so that many sent together do not slip
    /// through.
    ///
    /// # Errors
    /// [`Limit::Conflicts`]; nothing was counted.
    pub fn admit_conflict(&mut self, ip: IpAddr, now_ms: u64) -> Result<(), Refused> {
        let max = self.rates.conflicts_per_minute;
        if max == 0 {
            return Ok(());
        }
        self.charge(ip, now_ms, |peer, times| {
            let max = max.saturating_mul(times);
            let taken = peer.conflicts.take(1, max, now_ms);
            taken.map_err(|retry_after_s| Refused {
                limit: Limit::Conflicts,
                retry_after_s,
            })
        })
    }

    /// Gives back an attempt that came out as no conflict.
    pub fn forgo_conflict(&mut self, ip: IpAddr, now_ms: u64) {
        self.give_back(ip, |peer| peer.conflicts.give_back(now_ms));
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct AddressState {
    connections: u32,
    handshakes: Bucket,
    requests: Bucket,
    failed_logins: FailureBackoff,
    logins: Window,
    registrations: Window,
    conflicts: Window,
}

impl AddressState {
    fn check_connections(&self, connections_max: u32, times: u32) -> Result<(), Refused> {
        if connections_max != 0 && self.connections >= connections_max.saturating_mul(times) {
            return Err(Refused {
                limit: Limit::Connections,
                retry_after_s: 1,
            });
        }
        Ok(())
    }
}

impl Evictable for AddressState {
    fn is_held(&self) -> bool {
        self.connections > 0
    }

    fn is_idle(&self, now_ms: u64) -> bool {
        self.connections == 0
            && self.handshakes.is_full(now_ms)
            && self.requests.is_full(now_ms)
            && self.failed_logins.is_idle(now_ms)
            && self.logins.is_empty(now_ms)
            && self.registrations.is_empty(now_ms)
            && self.conflicts.is_empty(now_ms)
    }
}

#[derive(Debug, Default)]
struct Account {
    failed_logins: Window,
}

impl Evictable for Account {
    fn is_held(&self) -> bool {
        false
    }

    fn is_idle(&self, now_ms: u64) -> bool {
        self.failed_logins.is_empty(now_ms)
    }
}

#[cfg(test)]
mod tests;
