use super::seconds_up;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// A token bucket: `rate` a second on average, twice that in a burst. 8 bytes; a new one is full.
///
/// It stores no tokens but the moment by which all that was taken is paid back (the generic cell
/// rate algorithm), so it needs no refilling and the rate may differ from call to call.
///
/// ```
/// use edgeloop::app::limits::Bucket;
///
/// let mut bucket = Bucket::default();
/// assert_eq!(bucket.take(1, 0), Ok(()));
/// assert_eq!(bucket.take(1, 0), Ok(()));
/// assert_eq!(bucket.take(1, 0), Err(1));
/// assert_eq!(bucket.take(1, 1000), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    paid_back_at_ns: u64,
}

impl Bucket {
    /// Takes one token at a rate of `per_second`; 0 is no limit.
    ///
    /// # Errors
    /// The bucket is empty: the whole seconds until it has a token again. Nothing was taken.
    pub fn take(&mut self, per_second: u32, now_ms: u64) -> Result<(), u32> {
        if per_second == 0 {
            return Ok(());
        }
        let rate = u64::from(per_second);
        let token_ns = NS_PER_S.div_ceil(rate);
        let burst_ns = token_ns * 2 * rate;
        let now_ns = now_ms.saturating_mul(NS_PER_MS);
        let paid_back_at_ns = self.paid_back_at_ns.max(now_ns).saturating_add(token_ns);
        let debt_ns = paid_back_at_ns - now_ns;
        if debt_ns > burst_ns {
            return Err(seconds_up((debt_ns - burst_ns).div_ceil(NS_PER_MS)));
        }
        self.paid_back_at_ns = paid_back_at_ns;
        Ok(())
    }

    /// Returns `true` if it is full again: a new one would do as well.
    pub fn is_full(&self, now_ms: u64) -> bool {
        self.paid_back_at_ns <= now_ms.saturating_mul(NS_PER_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zero_is_no_limit() {
        let mut bucket = Bucket::default();
        for _ in 0..10_000 {
            assert_eq!(bucket.take(0, 0), Ok(()));
        }
        assert!(bucket.is_full(0));
    }

    #[test]
    fn the_burst_is_twice_the_rate_and_comes_back() {
        let mut bucket = Bucket::default();
        let admitted = (0..100).filter(|_| bucket.take(10, 5000).is_ok()).count();
        assert_eq!(admitted, 20);
        assert_eq!(bucket.take(10, 5099), Err(1));
        assert_eq!(bucket.take(10, 5100), Ok(()));
        assert!(!bucket.is_full(5100));
        assert!(bucket.is_full(7100));
    }

    #[test]
    fn the_ends_of_the_number_range_are_safe() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(u32::MAX, u64::MAX), Ok(()));
        assert_eq!(bucket.take(1, u64::MAX), Ok(()));
        let mut slow = Bucket {
            paid_back_at_ns: u64::MAX,
        };
        assert_eq!(slow.take(1, 0), Err(u32::MAX));
    }

    proptest! {
        #[test]
        fn never_more_than_rate_times_time_plus_burst(
            rate in 1_u32..500,
            steps in prop::collection::vec(0_u64..40, 1..500),
        ) {
            let mut bucket = Bucket::default();
            let (mut now_ms, mut taken) = (0, Vec::new());
            for step in steps {
                now_ms += step;
                match bucket.take(rate, now_ms) {
                    Ok(()) => taken.push(now_ms),
                    Err(retry_after_s) => {
                        let mut later = bucket;
                        prop_assert_eq!(later.take(rate, now_ms + u64::from(retry_after_s) * 1000), Ok(()));
                    }
                }
            }
            for (first, start) in taken.iter().enumerate() {
                for (last, end) in taken.iter().enumerate().skip(first).step_by(7) {
                    let allowed = u64::from(rate) * (end - start) / 1000 + 2 * u64::from(rate);
                    prop_assert!((last - first + 1) as u64 <= allowed);
                }
            }
        }
    }
}
