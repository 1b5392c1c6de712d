//! Limits on addresses, accounts and log lines: pure counting, no socket and no clock.
//!
//! [`Addresses`] counts the connections of every address, and what those behind proxies have instead
//! ([`Permit`]), and holds its rates: handshakes, requests,
//! registrations, conflicts, logins and those of them that fail. What accounts have failed ([`Failures`]) is in the
//! store; how long either has to wait follows the same schedule ([`delay_s`]). [`LogThrottle`] keeps the lines about all this from flooding the log. Time is
//! an argument everywhere: milliseconds of any clock that never goes back.
//!
//! Every limit has a key in `server.conf` ([`Limit::key`]); 0 turns it off. All of them can be
//! changed while connections are open ([`Addresses::set_rates`]).

mod addresses;
mod backoff;
mod bucket;
mod failure_backoff;
mod in_flight;
mod network;
mod permit;
mod table;
mod throttle;
mod window;

use std::fmt;

pub use addresses::{ACCOUNTS_MAX, ADDRESSES_MAX, Addresses, LoginOutcome, Rates};
pub use backoff::{FAILURES_KEPT_S, Failures, delay_s};
pub use bucket::Bucket;
pub use network::ClientNetwork;
pub use permit::{Permit, Permits};
pub use throttle::{LogThrottle, Throttle};
pub use window::{WINDOW_MS, Window};

/// A limit of this module, named for its key in `server.conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// `max_connections_per_ip`: connections open at the same time.
    Connections,
    /// `handshakes_per_second_per_ip`: new connections.
    Handshakes,
    /// `requests_per_second_per_ip`: HTTP requests.
    Requests,
    /// `login_attempts_per_minute`: failed logins, of an address and of an account.
    Logins,
    /// `logins_per_minute_per_ip`: logins of an address, whatever comes of them.
    Attempts,
    /// `registrations_per_minute_per_ip`: registrations that cost the hashing of a password.
    Registrations,
    /// `conflicts_per_minute_per_ip`: names and addresses asked for that others have.
    Conflicts,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Connections,
        Self::Handshakes,
        Self::Requests,
        Self::Logins,
        Self::Attempts,
        Self::Registrations,
        Self::Conflicts,
    ];

    /// The key in `server.conf` that sets this limit.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Connections => "max_connections_per_ip",
            Self::Handshakes => "handshakes_per_second_per_ip",
            Self::Requests => "requests_per_second_per_ip",
            Self::Logins => "login_attempts_per_minute",
            Self::Attempts => "logins_per_minute_per_ip",
            Self::Registrations => "registrations_per_minute_per_ip",
            Self::Conflicts => "conflicts_per_minute_per_ip",
        }
    }
}

/// Something was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The limit that was reached.
    pub limit: Limit,
    /// Whole seconds, at least 1, after which trying again makes sense: the value for
    /// `Retry-After`. For [`Limit::Connections`] nobody knows when one closes, so it is 1.
    pub retry_after_s: u32,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is reached, try again in {} s",
            self.limit.key(),
            self.retry_after_s
        )
    }
}

impl std::error::Error for Refused {}

/// Whole seconds, rounded up, at least 1.
pub(super) fn seconds_up(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}
