//! The places of clients behind proxies, which have no connection of their own to count.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A place among those of a client's network, for as long as a WebSocket of it is open or a request under way.
/// It goes wherever the work goes, to another thread as well, and is free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    ip: IpAddr,
    freed: Arc<Mutex<Vec<IpAddr>>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let freed = self.freed.lock();
        freed.unwrap_or_else(PoisonError::into_inner).push(self.ip);
    }
}

/// Gives places away, and hears of those that are free again.
#[derive(Debug, Default)]
pub struct Permits {
    freed: Arc<Mutex<Vec<IpAddr>>>,
}

impl Permits {
    /// A place that was counted for `ip`.
    pub fn give(&self, ip: IpAddr) -> Permit {
        let freed = Arc::clone(&self.freed);
        Permit { ip, freed }
    }

    /// Whose places are free again since this was last asked, each once for each place.
    pub fn take_freed(&self) -> Vec<IpAddr> {
        let freed = self.freed.lock();
        std::mem::take(&mut *freed.unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_when_it_is_dropped_wherever_that_is() {
        let places = Permits::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let (here, there) = (places.give(ip), places.give(ip));
        assert!(places.take_freed().is_empty());
        std::thread::spawn(move || drop(there)).join().unwrap();
        assert_eq!(places.take_freed(), [ip]);
        drop(here);
        assert_eq!(places.take_freed(), [ip]);
        assert!(places.take_freed().is_empty());
    }
}
