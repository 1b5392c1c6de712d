//! Who is turned away because a limit is reached, and what the log says about it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::config::{Config, Network};
use super::limits::{
    Addresses, Limit, LogThrottle, LoginOutcome, Place, Places, Rates, Refused, Throttle,
};
use crate::web::Admission;

/// How many of those who are too many are told so at the same time; more are closed without a word.
const OVERLOADED_MAX: usize = 64;

const MAX_CONNECTIONS: &str = "max_connections";
const ALLOWED: &str = "allowed_networks";
const DENIED: &str = "denied_networks";

/// The limits on peers. Time is an argument, in milliseconds since the start.
#[derive(Debug)]
pub struct Gate {
    addresses: Addresses,
    /// Of clients behind proxies.
    places: Places,
    connections: usize,
    connections_max: usize,
    /// Of those who are too many.
    overloaded: usize,
    proxies: Vec<Network>,
    allowed: Vec<Network>,
    denied: Vec<Network>,
    /// How often each limit was reached, by its key.
    turned_away: BTreeMap<&'static str, u64>,
    log: LogThrottle,
    log_full: Throttle,
    log_denied: Throttle,
}

impl Gate {
    /// Nobody is inside yet.
    pub fn new(config: &Config) -> Self {
        let keys = Limit::ALL.map(Limit::key).into_iter();
        let keys = keys.chain([MAX_CONNECTIONS, ALLOWED, DENIED]);
        Self {
            addresses: Addresses::new(rates(config)),
            places: Places::default(),
            connections: 0,
            connections_max: config.max_connections,
            overloaded: 0,
            proxies: config.trusted_proxies.clone(),
            allowed: config.allowed_networks.clone(),
            denied: config.denied_networks.clone(),
            turned_away: keys.map(|key| (key, 0)).collect(),
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

    /// How often each limit was reached, by its key in `server.conf`.
    pub fn turned_away(&self) -> &BTreeMap<&'static str, u64> {
        &self.turned_away
    }

    fn count(&mut self, key: &'static str) {
        *self.turned_away.entry(key).or_default() += 1;
    }

    /// Whether it is a proxy that is believed about its clients.
    pub fn is_proxy(&self, ip: IpAddr) -> bool {
        contain(&self.proxies, ip)
    }

    /// Whether the networks that are served have this address. The log hears of one that they have not.
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
    pub fn enter(&mut self, peer: SocketAddr, now_ms: u64) -> Admission {
        let is_proxy = self.is_proxy(peer.ip());
        if !is_proxy && !self.is_welcome(peer, now_ms) {
            return Admission::Refused;
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
                return Admission::Refused;
            }
            self.overloaded += 1;
            return Admission::Overloaded;
        }
        self.free_places();
        if is_proxy {
            // Its clients are many, and none of them is known yet.
            self.addresses.count_connection(peer.ip());
        } else if let Err(refused) = self.addresses.admit_connection(peer.ip(), now_ms) {
            self.warn(peer, refused, now_ms);
            return Admission::Refused;
        }
        self.connections += 1;
        Admission::Served
    }

    /// Counts a connection out that came in.
    pub fn leave(&mut self, peer: SocketAddr, admission: Admission) {
        if admission == Admission::Overloaded {
            self.overloaded = self.overloaded.saturating_sub(1);
            return;
        }
        self.connections = self.connections.saturating_sub(1);
        self.addresses.release_connection(peer.ip());
    }

    /// Whether a request may be served.
    ///
    /// # Errors
    /// When to try again.
    pub fn request(&mut self, peer: SocketAddr, now_ms: u64) -> Result<(), Refused> {
        let admitted = self.addresses.admit_request(peer.ip(), now_ms);
        admitted.inspect_err(|refused| self.warn(peer, *refused, now_ms))
    }

    /// A place for what a client behind a proxy is about to have under way. `None`: it is a proxy itself, and
    /// its clients are not known.
    ///
    /// # Errors
    /// When to try again.
    pub fn place(&mut self, client: SocketAddr, now_ms: u64) -> Result<Option<Place>, Refused> {
        self.free_places();
        if self.is_proxy(client.ip()) {
            return Ok(None);
        }
        let admitted = self.addresses.admit_place(client.ip(), now_ms);
        admitted.inspect_err(|refused| self.warn(client, *refused, now_ms))?;
        Ok(Some(self.places.give(client.ip())))
    }

    fn free_places(&mut self) {
        for ip in self.places.take_freed() {
            self.addresses.release_place(ip);
        }
    }

    /// Whether a login may be tried, and how many others are being tried for the account. Each one that
    /// may is to be settled.
    ///
    /// # Errors
    /// When to try again.
    pub fn login(&mut self, peer: SocketAddr, account: &str, now_ms: u64) -> Result<u32, Refused> {
        let admitted = self.addresses.admit_login(peer.ip(), account, now_ms);
        admitted.inspect_err(|refused| self.warn(peer, *refused, now_ms))
    }

    /// How a login that was tried came out.
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
    pub fn login_refused(&mut self, peer: SocketAddr, retry_after_s: u32, now_ms: u64) {
        let limit = Limit::Logins;
        let refused = Refused {
            limit,
            retry_after_s,
        };
        self.warn(peer, refused, now_ms);
    }

    /// Whether somebody may register, with a name and an address that others may have.
    ///
    /// # Errors
    /// When to try again.
    pub fn register(&mut self, peer: SocketAddr, now_ms: u64) -> Result<(), Refused> {
        self.claim(peer, now_ms)?;
        let admitted = self.addresses.admit_registration(peer.ip(), now_ms);
        admitted.inspect_err(|refused| {
            self.forgo_claim(peer.ip(), now_ms);
            self.warn(peer, *refused, now_ms);
        })
    }

    /// Whether somebody may ask for a name or an address that others may have.
    ///
    /// # Errors
    /// When to try again.
    pub fn claim(&mut self, peer: SocketAddr, now_ms: u64) -> Result<(), Refused> {
        let admitted = self.addresses.admit_conflict(peer.ip(), now_ms);
        admitted.inspect_err(|refused| self.warn(peer, *refused, now_ms))
    }

    /// Nobody else has what was asked for.
    pub fn forgo_claim(&mut self, ip: IpAddr, now_ms: u64) {
        self.addresses.forgo_conflict(ip, now_ms);
    }

    /// A registration that was let in has cost no hash.
    pub fn forgo_registration(&mut self, ip: IpAddr, now_ms: u64) {
        self.addresses.forgo_registration(ip, now_ms);
    }

    fn warn(&mut self, peer: SocketAddr, refused: Refused, now_ms: u64) {
        let key = refused.limit.key();
        self.count(key);
        if let Some(more) = self.log.hit(refused.limit, now_ms) {
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

/// How many lines of the same kind were left out.
struct Suppressed(u64);

impl std::fmt::Display for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " ({n} more since the last such line)"),
        }
    }
}
