/// For so long failed logins of an account count after the last of them, in seconds.
pub const FAILURES_KEPT_S: i64 = 24 * 60 * 60;

/// Seconds to wait when a limit was reached: a minute, and twice as long each
/// time it was reached `again`, a quarter of an hour at most.
///
/// ```
/// use edgeloop::app::limits::delay_s;
///
/// assert_eq!([0, 1, 2, 3, 4, 5].map(delay_s), [60, 120, 240, 480, 900, 900]);
/// ```
pub const fn delay_s(again: u32) -> u32 {
    const DELAY_S_MAX: u32 = 900;
    if again >= 4 { DELAY_S_MAX } else { 60 << again }
}

/// Failures of an account without a success in between. Time is that of the wall clock, in Unix
/// seconds, as it has to outlive a process: the clock may be set, in either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Number of times.
    pub count: u32,
    /// When it was the last time.
    pub last_at: i64,
}

impl Failures {
    /// Seconds that the account has to wait, if it has to. `max` failures are free, 0 is no
    /// limit. Attempts `in_flight` count as if they failed in this moment.
    ///
    /// A clock that was set back leaves a last failure that is yet to come. Nobody knows how long ago
    /// that was: one attempt is free then, and its failure gets a right time.
    ///
    /// ```
    /// use edgeloop::app::limits::Failures;
    ///
    /// let failures = Failures { count: 11, last_at: 1_000_000 };
    /// assert_eq!(failures.retry_after_s(10, 0, 1_000_030), Some(90));
    /// assert_eq!(failures.retry_after_s(10, 0, 1_000_120), None);
    /// assert_eq!(failures.retry_after_s(10, 1, 1_000_120), Some(240));
    /// ```
    #[must_use]
    pub fn retry_after_s(self, max: u32, in_flight: u32, now: i64) -> Option<u32> {
        if max == 0 {
            return None;
        }
        let count = if self.is_over(now) { 0 } else { self.count };
        let again = count.saturating_add(in_flight).checked_sub(max)?;
        let elapsed_s = match in_flight {
            0 => u32::try_from(now.saturating_sub(self.last_at)).ok()?,
            _ => 0,
        };
        delay_s(again)
            .checked_sub(elapsed_s)
            .filter(|retry_after_s| *retry_after_s > 0)
    }

    fn is_over(self, now: i64) -> bool {
        now.abs_diff(self.last_at) >= FAILURES_KEPT_S.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: i64 = 1_800_000_000;

    fn failed(count: u32) -> Failures {
        Failures {
            count,
            last_at: NOON,
        }
    }

    #[test]
    fn after_so_many_failures_each_costs_a_longer_wait() {
        for count in 0..10 {
            assert_eq!(failed(count).retry_after_s(10, 0, NOON), None, "{count}");
        }
        let waits: Vec<_> = (10..17)
            .map(|count| failed(count).retry_after_s(10, 0, NOON))
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 900, 900, 900].map(Some));
        assert_eq!(failed(u32::MAX).retry_after_s(1, u32::MAX, NOON), Some(900));
    }

    #[test]
    fn a_wait_is_over_to_the_second() {
        assert_eq!(failed(12).retry_after_s(10, 0, NOON + 239), Some(1));
        assert_eq!(failed(12).retry_after_s(10, 0, NOON + 240), None);
    }

    #[test]
    fn those_under_way_leave_room_for_no_more() {
        assert_eq!(failed(0).retry_after_s(10, 9, NOON), None);
        assert_eq!(failed(0).retry_after_s(10, 10, NOON), Some(60));
        assert_eq!(failed(7).retry_after_s(10, 3, NOON), Some(60));
        assert_eq!(failed(10).retry_after_s(10, 1, NOON + 60), Some(120));
    }

    #[test]
    fn a_day_later_it_is_forgotten() {
        assert_eq!(failed(99).retry_after_s(1, 0, NOON + FAILURES_KEPT_S), None);
        assert_eq!(
            failed(99).retry_after_s(1, 1, NOON + FAILURES_KEPT_S),
            Some(60)
        );
        assert_eq!(
            failed(99).retry_after_s(1, 1, NOON + FAILURES_KEPT_S - 1),
            Some(900)
        );
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(failed(u32::MAX).retry_after_s(0, u32::MAX, NOON), None);
    }

    proptest! {
        #[test]
        fn no_clock_locks_an_account_out_for_longer_than_a_quarter_of_an_hour(
            count: u32, last_at: i64, max in 1_u32..100, in_flight in 0_u32..3, now: i64,
        ) {
            let failures = Failures { count, last_at };
            if let Some(retry_after_s) = failures.retry_after_s(max, in_flight, now) {
                prop_assert!((1..=900).contains(&retry_after_s));
                if in_flight == 0 {
                    let then = now.saturating_add(retry_after_s.into());
                    prop_assert_eq!(failures.retry_after_s(max, 0, then), None);
                }
            }
            if last_at > now {
                prop_assert_eq!(failures.retry_after_s(max, 0, now), None);
            }
        }

        #[test]
        fn who_tries_as_often_as_he_may_is_let_in_by_the_schedule(
            max in 1_u32..12,
            pauses_s in prop::collection::vec(0_i64..2000, 1..100),
        ) {
            let (mut now, mut failures, mut allowed_at) = (NOON, Failures::default(), i64::MIN);
            for pause_s in pauses_s {
                now += pause_s;
                let retry_after_s = failures.retry_after_s(max, 0, now);
                prop_assert_eq!(retry_after_s.is_none(), now >= allowed_at);
                if let Some(retry_after_s) = retry_after_s {
                    prop_assert_eq!(now + i64::from(retry_after_s), allowed_at);
                    continue;
                }
                failures = Failures { count: failures.count + 1, last_at: now };
                if failures.count >= max {
                    allowed_at = now + i64::from(delay_s(failures.count - max));
                }
            }
        }
    }
}
