//! Admission of peers by limits, and its log lines.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::config::{Config, Network};
use super::limits::{
    Addresses, Limit, LogThrottle, LoginOutcome, Permit, Permits, Rates, Refused, Throttle,
};
use crate::web::AcceptDecision;

/// Number of connections over the limit that get a 503 at the same time; more are closed at once.
const OVERLOADED_MAX: usize = 64;

const MAX_CONNECTIONS: &str = "max_connections";
const ALLOWED: &str = "allowed_networks";
const DENIED: &str = "denied_networks";

/// The limits on peers. Time is an argument, in milliseconds since the start.
#[derive(Debug)]
pub struct Admission {
    addresses: Addresses,
    /// Of clients behind proxies.
    places: Permits,
    connections: usize,
    connections_max: usize,
    /// Of those who are too many.
    overloaded: usize,
    proxies: Vec<Network>,
    allowed: Vec<Network>,
    denied: Vec<Network>,
    /// Number of rejections by each limit, by its key.
    rejected: BTreeMap<&'static str, u64>,
    log: LogThrottle,
    log_full: Throttle,
    log_denied: Throttle,
}

impl Admission {
    /// Nobody is inside yet.
    pub fn new(config: &Config) -> Self {
        let keys = Limit::ALL.map(Limit::key).into_iter();
        let keys = keys.chain([MAX_CONNECTIONS, ALLOWED, DENIED]);
        Self {
            addresses: Addresses::new(rates(config)),
            places: Permits::default(),
            connections: 0,
            connections_max: config.max_connections,
            overloaded: 0,
            proxies: config.trusted_proxies.clone(),
            allowed: config.allowed_networks.clone(),
            denied: config.denied_networks.clone(),
            rejected: keys.map(|key| (key, 0)).collect(),
            log: LogThrottle::default(),
            log_full: Throttle::default(),
            log_denied: Throttle::default(),
        }
    }

    /// Applies other limits from now on.
    pub fn configure(&mut self, config: &Config) {
        self.addresses.set_rates(rates(config));
        self.connections_max = config.max_connections;
        self.proxies.clone_from(&config.trusted_proxies);
        self.allowed.clone_from(&config.allowed_networks);
        self.denied.clone_from(&config.denied_networks);
    }

    /// Number of rejections by each limit, by its key in `server.conf`.
    pub fn rejected(&self) -> &BTreeMap<&'static str, u64> {
        &self.rejected
    }

    fn count(&mut self, key: &'static str) {
        *self.rejected.entry(key).or_default() += 1;
    }

    /// Returns `true` if it is a proxy that is believed about its clients.
    pub fn is_proxy(&self, ip: IpAddr) -> bool {
        contain(&self.proxies, ip)
    }

    /// Returns `true` if the networks that are served have this address. The log hears of one that they have not.
    pub fn is_welcome(&mut self, peer: SocketAddr, now_ms: u64) -> bool {
        let ip = peer.ip();
        let (key, what) = if contain(&self.denied, ip) {
            (DENIED, "is among")
        } else if !self.allowed.is_empty() && !contain(&self.allowed, ip) {
            (ALLOWED, "is not among")
        } else {
            return true;
        };
        self.count(key);
        if let Some(more) = self.log_denied.hit(now_ms) {
            log::warn!("turned {peer} away: it {what} {key}{}", Suppressed(more));
        }
        false
    }

    /// Counts a connection in, if it may come in.
    pub fn admit(&mut self, peer: SocketAddr, now_ms: u64) -> AcceptDecision {
        let is_proxy = self.is_proxy(peer.ip());
        if !is_proxy && !self.is_welcome(peer, now_ms) {
            return AcceptDecision::Refused;
        }
        if self.connections >= self.connections_max {
            if let Some(more) = self.log_full.hit(now_ms) {
                log::warn!(
                    "turned {peer} away: {} connections are open, the most that \
                     max_connections allows{}",
                    self.connections,
                    Suppressed(more)
                );
            }
            self.count(MAX_CONNECTIONS);
            if self.overloaded >= OVERLOADED_MAX {
                return AcceptDecision::Refused;
            }
            self.overloaded += 1;
            return AcceptDecision::Overloaded;
        }
        self.free_places();
        if is_proxy {
            // Its clients are many, and none of them is known yet.
            self.addresses.count_connection(peer.ip());
        } else if let Err(rejected) = self.addresses.admit_connection(peer.ip(), now_ms) {
            self.warn(peer, rejected, now_ms);
            return AcceptDecision::Refused;
        }
        self.connections += 1;
        AcceptDecision::Served
    }

    /// Counts a connection out that came in.
    pub fn release(&mut self, peer: SocketAddr, admission: AcceptDecision) {
        if admission == AcceptDecision::Overloaded {
            self.overloaded = self.overloaded.saturating_sub(1);
            return;
        }
        self.connections = self.connections.saturating_sub(1);
        self.addresses.release_connection(peer.ip());
    }

    /// Returns `true` if a request may be served.
    ///
    /// # Errors
    /// When to try again.
    pub fn request(&mut self, peer: SocketAddr, now_ms: u64) -> Result<(), Refused> {
        let admitted = self.addresses.admit_request(peer.ip(), now_ms);
        admitted.inspect_err(|rejected| self.warn(peer, *rejected, now_ms))
    }

    /// A place for what a client behind a proxy is about to have under way. `None`: it is a proxy itself, and
    /// its clients are not known.
    ///
    /// # Errors
    /// When to try again.
    pub fn place(&mut self, client: SocketAddr, now_ms: u64) -> Result<Option<Permit>, Refused> {
        self.free_places();
        if self.is_proxy(client.ip()) {
            return Ok(None);
        }
        let admitted = self.addresses.admit_place(client.ip(), now_ms);
        admitted.inspect_err(|rejected| self.warn(client, *rejected, now_ms))?;
        Ok(Some(self.places.give(client.ip())))
    }

    fn free_places(&mut self) {
        for ip in self.places.take_freed() {
            self.addresses.release_place(ip);
        }
    }

    /// Admits a login, and returns the number of others under way for the account. Each one that
    /// may is to be settled.
    ///
    /// # Errors
    /// When to try again.
    pub fn login(&mut self, peer: SocketAddr, account: &str, now_ms: u64) -> Result<u32, Refused> {
        let admitted = self.addresses.admit_login(peer.ip(), account, now_ms);
        admitted.inspect_err(|rejected| self.warn(peer, *rejected, now_ms))
    }

    /// Settles a login that was tried.
    pub fn settle_login(
        &mut self,
        peer: SocketAddr,
        account: &str,
        outcome: LoginOutcome,
        now_ms: u64,
    ) {
        self.addresses
            .settle_login(peer.ip(), account, outcome, now_ms);
    }

    /// Counts what the store has turned away, as the account has to wait.
    pub fn login_rejected(&mut self, peer: SocketAddr, retry_after_s: u32, now_ms: u64) {
        let limit = Limit::Logins;
        let rejected = Refused {
            limit,
            retry_after_s,
        };
        self.warn(peer, rejected, now_ms);
    }

    /// Returns `true` if somebody may register, with a name and an address that others may have.
    ///
    /// # Errors
    /// When to try again.
    pub fn register(&mut self, peer: SocketAddr, now_ms: u64) -> Result<(), Refused> {
        self.claim(peer, now_ms)?;
        let admitted = self.addresses.admit_registration(peer.ip(), now_ms);
        admitted.inspect_err(|rejected| {
            self.forgo_claim(peer.ip(), now_ms);
            self.warn(peer, *rejected, now_ms);
        })
    }

    /// Returns `true` if somebody may ask for a name or an address that others may have.
    ///
    /// # Errors
    /// When to try again.
    pub fn claim(&mut self, peer: SocketAddr, now_ms: u64) -> Result<(), Refused> {
        let admitted = self.addresses.admit_conflict(peer.ip(), now_ms);
        admitted.inspect_err(|rejected| self.warn(peer, *rejected, now_ms))
    }

    /// Nobody else has what was asked for.
    pub fn forgo_claim(&mut self, ip: IpAddr, now_ms: u64) {
        self.addresses.forgo_conflict(ip, now_ms);
    }

    /// A registration that was let in has cost no hash.
    pub fn forgo_registration(&mut self, ip: IpAddr, now_ms: u64) {
        self.addresses.forgo_registration(ip, now_ms);
    }

    fn warn(&mut self, peer: SocketAddr, rejected: Refused, now_ms: u64) {
        let key = rejected.limit.key();
        self.count(key);
        if let Some(more) = self.log.hit(rejected.limit, now_ms) {
            log::warn!(
                "turned {peer} away: {key} in server.conf is reached{}",
                Suppressed(more)
            );
        }
    }
}

fn contain(networks: &[Network], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(ip))
}

fn rates(config: &Config) -> Rates {
    Rates {
        connections_max: config.max_connections_per_ip,
        handshakes_per_second: config.handshakes_per_second_per_ip,
        requests_per_second: config.requests_per_second_per_ip,
        failed_logins_per_minute: config.login_attempts_per_minute,
        logins_per_minute: match config.login_attempts_per_minute {
            0 => 0,
            _ => config.logins_per_minute_per_ip,
        },
        registrations_per_minute: config.registrations_per_minute_per_ip,
        conflicts_per_minute: config.conflicts_per_minute_per_ip,
    }
}

/// Number of lines of the same kind that were left out.
struct Suppressed(u64);

impl std::fmt::Display for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " ({n} more since the last such line)"),
        }
    }
}
