use super::{WINDOW_MS, Window, delay_s, seconds_up};

/// Backoff after failures of an address: so many a minute, and the longer a wait the more often it was too
/// much.
///
/// Unlike that of an account, a single failure after the wait costs nothing: behind one address there
/// may be hundreds of people, who mistype as people do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FailureBackoff {
    window: Window,
    /// Number of times the limit was reached without an hour of quiet.
    reached: u32,
    blocked_until_ms: u64,
    failed_ms: u64,
}

impl FailureBackoff {
    /// Without a failure for so long, it is forgotten how often the limit was reached.
    pub(super) const QUIET_MS: u64 = 60 * WINDOW_MS;

    /// Returns `true` if `cost` more failures would be within the limit; a `max` of 0 is no limit.
    ///
    /// # Errors
    /// The whole seconds to wait.
    pub(super) fn check(&self, cost: u32, max: u32, now_ms: u64) -> Result<(), u32> {
        if max == 0 {
            return Ok(());
        }
        if now_ms < self.blocked_until_ms {
            return Err(seconds_up(self.blocked_until_ms - now_ms));
        }
        self.window.check(cost, max, now_ms)
    }

    /// A failure, within the limit or not.
    pub(super) fn add(&mut self, max: u32, now_ms: u64) {
        if self.is_quiet(now_ms) {
            self.reached = 0;
        }
        self.failed_ms = now_ms;
        self.window.add(1, now_ms);
        // What was under way when the wait began does not make it longer.
        if now_ms >= self.blocked_until_ms && self.window.check(1, max, now_ms).is_err() {
            let delay_ms = u64::from(delay_s(self.reached)) * 1000;
            self.blocked_until_ms = self.window.opened_ms().saturating_add(delay_ms);
            self.reached = self.reached.saturating_add(1);
        }
    }

    /// Returns `true` if nothing counts any more: a new one would do as well.
    pub(super) fn is_idle(&self, now_ms: u64) -> bool {
        self.window.is_empty(now_ms) && (self.reached == 0 || self.is_quiet(now_ms))
    }

    fn is_quiet(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.failed_ms) >= Self::QUIET_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fails as often as is allowed from `now_ms` on, and says how often, and what is to be waited then.
    fn fail(backoff: &mut FailureBackoff, max: u32, now_ms: u64) -> (u32, u32) {
        let mut count = 0;
        loop {
            if let Err(retry_after_s) = backoff.check(1, max, now_ms) {
                return (count, retry_after_s);
            }
            backoff.add(max, now_ms);
            count += 1;
        }
    }

    #[test]
    fn each_time_the_limit_is_reached_the_wait_doubles() {
        let mut backoff = FailureBackoff::default();
        let mut now_ms = 5000;
        for retry_after_s in [60, 120, 240, 480, 900, 900, 900] {
            assert_eq!(fail(&mut backoff, 3, now_ms), (3, retry_after_s));
            now_ms += u64::from(retry_after_s) * 1000;
            assert_eq!(backoff.check(1, 3, now_ms - 1), Err(1));
        }
        assert!(!backoff.is_idle(now_ms));
    }

    #[test]
    fn an_hour_of_quiet_is_enough_and_less_is_not() {
        let mut backoff = FailureBackoff::default();
        fail(&mut backoff, 2, 0);
        let now_ms = FailureBackoff::QUIET_MS - 1;
        assert!(!backoff.is_idle(now_ms));
        assert_eq!(fail(&mut backoff, 2, now_ms), (2, 120));
        let now_ms = now_ms + FailureBackoff::QUIET_MS;
        assert!(backoff.is_idle(now_ms));
        assert_eq!(fail(&mut backoff, 2, now_ms), (2, 60));
    }

    #[test]
    fn what_was_under_way_does_not_make_the_wait_longer() {
        let mut backoff = FailureBackoff::default();
        for _ in 0..50 {
            backoff.add(2, 0);
        }
        assert_eq!(backoff.check(1, 2, 0), Err(60));
        assert_eq!(fail(&mut backoff, 2, 60_000), (2, 120));
    }

    #[test]
    fn a_few_failures_now_and_then_are_never_too_many() {
        let mut backoff = FailureBackoff::default();
        for minute in 0..1000 {
            backoff.add(3, minute * WINDOW_MS);
            backoff.add(3, minute * WINDOW_MS);
            assert_eq!(backoff.check(1, 3, minute * WINDOW_MS), Ok(()));
        }
    }

    #[test]
    fn zero_is_no_limit() {
        let mut backoff = FailureBackoff::default();
        for _ in 0..100 {
            backoff.add(0, 0);
        }
        assert_eq!(backoff.check(1, 0, 0), Ok(()));
    }

    proptest! {
        #[test]
        fn nobody_fails_more_often_than_the_schedule_allows_or_waits_for_ever(
            max in 1_u32..12,
            pauses_ms in prop::collection::vec(0_u64..200_000, 1..300),
        ) {
            let mut backoff = FailureBackoff::default();
            let (mut now_ms, mut failed_ms) = (0, Vec::new());
            for pause_ms in pauses_ms {
                now_ms += pause_ms;
                match backoff.check(1, max, now_ms) {
                    Ok(()) => {
                        backoff.add(max, now_ms);
                        failed_ms.push(now_ms);
                    }
                    Err(retry_after_s) => {
                        prop_assert!((1..=900).contains(&retry_after_s));
                        prop_assert_eq!(backoff.check(1, max, now_ms + u64::from(retry_after_s) * 1000), Ok(()));
                    }
                }
            }
            // Around the border of two windows twice the limit may pass.
            for (index, at_ms) in failed_ms.iter().enumerate() {
                let next = failed_ms[index..].iter().take_while(|next| **next < at_ms + WINDOW_MS);
                prop_assert!(next.count() <= 2 * max as usize);
            }
        }
    }
}
