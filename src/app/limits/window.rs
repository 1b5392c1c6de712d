use super::seconds_up;

/// The length of a [`Window`]: one minute.
pub const WINDOW_MS: u64 = 60_000;

/// So many a minute, counted in windows: the first thing counted opens one, it ends 60 s later, and
/// the next thing opens another. 16 bytes.
///
/// Stricter than a token bucket inside a window (nothing comes back before its end), cheaper than a
/// log of every event; around the border of two windows up to twice the limit may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    opened_ms: u64,
    count: u32,
}

impl Window {
    /// Counts `cost` if no more than `max` come to stand in this window; a `max` of 0 is no limit.
    ///
    /// # Errors
    /// There is no room: the whole seconds until the window ends. Nothing was counted.
    pub fn take(&mut self, cost: u32, max: u32, now_ms: u64) -> Result<(), u32> {
        if max == 0 {
            return Ok(());
        }
        self.check(cost, max, now_ms)?;
        self.add(cost, now_ms);
        Ok(())
    }

    /// As [`Window::take`], counting nothing.
    ///
    /// # Errors
    /// There is no room: the whole seconds until the window ends.
    pub fn check(&self, cost: u32, max: u32, now_ms: u64) -> Result<(), u32> {
        if max == 0 || self.count_at(now_ms).saturating_add(cost) <= max {
            return Ok(());
        }
        Err(seconds_up(
            self.opened_ms
                .saturating_add(WINDOW_MS)
                .saturating_sub(now_ms),
        ))
    }

    /// Counts `cost`, room or not.
    pub fn add(&mut self, cost: u32, now_ms: u64) {
        let count = self.count_at(now_ms);
        if count == 0 {
            self.opened_ms = now_ms;
        }
        self.count = count.saturating_add(cost);
    }

    /// Takes back one that was counted, if its window is still open.
    pub fn give_back(&mut self, now_ms: u64) {
        self.count = self.count_at(now_ms).saturating_sub(1);
    }

    /// Returns `true` if nothing counts any more: a new one would do as well.
    pub fn is_empty(&self, now_ms: u64) -> bool {
        self.count_at(now_ms) == 0
    }

    /// When the window opened that was counted in last.
    pub(super) fn opened_ms(&self) -> u64 {
        self.opened_ms
    }

    fn count_at(&self, now_ms: u64) -> u32 {
        if now_ms.saturating_sub(self.opened_ms) < WINDOW_MS {
            self.count
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_back_before_the_end() {
        let mut window = Window::default();
        assert_eq!(window.take(1, 2, 1000), Ok(()));
        assert_eq!(window.take(1, 2, 40_000), Ok(()));
        assert_eq!(window.take(1, 2, 40_500), Err(21));
        assert_eq!(window.take(1, 2, 60_999), Err(1));
        assert_eq!(window.take(1, 2, 61_000), Ok(()));
        assert_eq!(window.take(1, 2, 61_000), Ok(()));
        assert_eq!(window.take(1, 2, 61_000), Err(60));
    }

    #[test]
    fn a_cost_that_does_not_fit_counts_nothing() {
        let mut window = Window::default();
        assert_eq!(window.take(8, 10, 0), Ok(()));
        assert_eq!(window.take(3, 10, 0), Err(60));
        assert_eq!(window.take(2, 10, 0), Ok(()));
        assert_eq!(window.take(u32::MAX, 10, 0), Err(60));
    }

    #[test]
    fn giving_back_never_goes_below_zero() {
        let mut window = Window::default();
        window.give_back(5);
        assert!(window.is_empty(5));
        window.add(1, 10);
        window.add(u32::MAX, 10);
        window.give_back(WINDOW_MS + 10);
        assert!(window.is_empty(10), "the count is gone with its window");
    }

    #[test]
    fn zero_is_no_limit_and_is_not_counted() {
        let mut window = Window::default();
        assert_eq!(window.take(u32::MAX, 0, 0), Ok(()));
        assert_eq!(window.take(u32::MAX, 0, 0), Ok(()));
        assert!(window.is_empty(0));
    }
}
