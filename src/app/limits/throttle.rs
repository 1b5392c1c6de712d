use super::Limit;

/// Lets one line a second through and counts the others.
///
/// ```
/// use edgeloop::app::limits::Throttle;
///
/// let mut throttle = Throttle::default();
/// assert_eq!(throttle.hit(5000), Some(0));
/// assert_eq!(throttle.hit(5001), None);
/// assert_eq!(throttle.hit(5999), None);
/// assert_eq!(throttle.hit(6000), Some(2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    next_ms: u64,
    suppressed: u64,
}

impl Throttle {
    /// Shortest time between two lines.
    pub const INTERVAL_MS: u64 = 1000;

    /// Something worth a line happened. `Some` if it may be written now, with the number of lines
    /// that were suppressed since the last one; `None` if this one is suppressed too.
    pub fn hit(&mut self, now_ms: u64) -> Option<u64> {
        if now_ms < self.next_ms {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.next_ms = now_ms.saturating_add(Self::INTERVAL_MS);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// One [`Throttle`] for each [`Limit`], so that a flood over one does not hide another.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogThrottle {
    connections: Throttle,
    handshakes: Throttle,
    requests: Throttle,
    logins: Throttle,
    attempts: Throttle,
    registrations: Throttle,
    conflicts: Throttle,
}

impl LogThrottle {
    /// `limit` refused something: see [`Throttle::hit`].
    pub fn hit(&mut self, limit: Limit, now_ms: u64) -> Option<u64> {
        match limit {
            Limit::Connections => &mut self.connections,
            Limit::Handshakes => &mut self.handshakes,
            Limit::Requests => &mut self.requests,
            Limit::Logins => &mut self.logins,
            Limit::Attempts => &mut self.attempts,
            Limit::Registrations => &mut self.registrations,
            Limit::Conflicts => &mut self.conflicts,
        }
        .hit(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_throttle_of_its_own() {
        let mut throttle = LogThrottle::default();
        assert_eq!(throttle.hit(Limit::Requests, 0), Some(0));
        assert_eq!(throttle.hit(Limit::Requests, 1), None);
        assert_eq!(throttle.hit(Limit::Logins, 1), Some(0));
        assert_eq!(throttle.hit(Limit::Requests, 1000), Some(1));
    }

    #[test]
    fn lines_and_suppressed_add_up_to_the_hits() {
        let mut throttle = Throttle::default();
        let (mut lines, mut suppressed) = (0, 0);
        for now_ms in (0..100_000).step_by(7) {
            if let Some(before) = throttle.hit(now_ms) {
                lines += 1;
                suppressed += before;
            }
        }
        assert_eq!(
            throttle
                .hit(1_000_000)
                .map(|rest| rest + suppressed + lines),
            Some(14_286)
        );
        assert!(lines <= 101);
    }
}
