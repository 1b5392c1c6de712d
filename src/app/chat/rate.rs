use super::MESSAGE_BYTES_MAX;
use crate::app::limits::{WINDOW_MS, Window, seconds_up};

/// A join is answered with the whole list of users: it weighs as much as so many typing notices.
pub(super) const JOIN_COST: u32 = 10;

/// Notices a minute for each message a minute: no typing user comes near it, a flood does.
const NOTICES_PER_MESSAGE: u32 = 10;
/// However few messages are allowed, pages may be opened and typing shown.
const NOTICES_MIN: u32 = 600;

/// Cost of a rejected message and its response, beside its length.
pub(super) const REFUSAL_COST: u32 = 1;
/// The longest message.
const LONGEST_KIB: u32 = 64;
const _: () = assert!(LONGEST_KIB as usize * 1024 == MESSAGE_BYTES_MAX);
/// However few messages are allowed, so many of the longest are looked at in a minute.
const LONGEST_MIN: u32 = 60;

/// Limit on a user's actions, over all connections of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) messages_per_minute: u32,
}

impl Allowance {
    fn notices_per_minute(self) -> u32 {
        match self.messages_per_minute {
            0 => 0,
            messages => messages
                .saturating_mul(NOTICES_PER_MESSAGE)
                .max(NOTICES_MIN),
        }
    }

    /// KiB to look at in a minute, whatever is in them: as many as all messages that are allowed if each is as
    /// long as may be, and two windows of notices of less than one. Who sends no more than is accepted never
    /// comes near it.
    fn work_per_minute(self) -> u32 {
        match self.messages_per_minute {
            0 => 0,
            messages => messages
                .max(LONGEST_MIN)
                .saturating_mul(LONGEST_KIB)
                .saturating_add(self.notices_per_minute().saturating_mul(2)),
        }
    }
}

/// Decision about a message, by what its user has sent already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// To read it.
    Due,
    /// To refuse it unread; in so many seconds there is room.
    Refused { retry_after_s: u32 },
    /// To close the connection: it goes on.
    Flood,
}

/// Part of the [`Allowance`] that a user has used. Without messages in the last minute it owns no
/// heap.
#[derive(Debug, Default)]
pub(super) struct RateState {
    messages: Log,
    notices: Window,
    /// In KiB of whatever came, accepted or not.
    work: Window,
}

impl RateState {
    /// Counts a message of `bytes`, before it is looked at. Over the allowance it is refused, over twice the
    /// allowance there is not even an answer.
    pub(super) fn work(&mut self, bytes: u64, allowed: Allowance, now_ms: u64) -> Work {
        let max = allowed.work_per_minute();
        if max == 0 {
            return Work::Due;
        }
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        let cost = kib.saturating_add(1);
        match self.work.take(cost, max, now_ms) {
            Ok(()) => Work::Due,
            Err(retry_after_s) => {
                let is_flood = self
                    .work
                    .check(cost, max.saturating_mul(2), now_ms)
                    .is_err();
                self.work.add(cost, now_ms);
                if is_flood {
                    Work::Flood
                } else {
                    Work::Refused { retry_after_s }
                }
            }
        }
    }

    /// Counts that a message was refused.
    pub(super) fn error_response(&mut self, allowed: Allowance, now_ms: u64) {
        if allowed.work_per_minute() > 0 {
            self.work.add(REFUSAL_COST, now_ms);
        }
    }

    /// Counts a message, or tells in how many seconds there is room for one.
    pub(super) fn message(&mut self, allowed: Allowance, now_ms: u64) -> Result<(), u32> {
        self.messages.take(allowed.messages_per_minute, now_ms)
    }

    /// Counts a notice of weight `cost`, or tells in how many seconds there is room for it.
    pub(super) fn notice(&mut self, cost: u32, allowed: Allowance, now_ms: u64) -> Result<(), u32> {
        self.notices
            .take(cost, allowed.notices_per_minute(), now_ms)
    }

    /// Returns `true` if nothing is left that counts, so that it may be forgotten.
    pub(super) fn is_empty(&mut self, now_ms: u64) -> bool {
        self.messages.expire(now_ms);
        self.messages.runs.is_empty() && self.notices.is_empty(now_ms) && self.work.is_empty(now_ms)
    }
}

/// A sliding window: never more than the limit in any 60 seconds.
///
/// Events are kept as runs, one for each second with events in it, so there are at most 61 whatever
/// the limit. All events of a run expire with its last: up to a second later, never earlier.
#[derive(Debug, Default)]
struct Log {
    runs: Vec<Run>,
    total: u32,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    last_ms: u64,
    count: u32,
}

impl Log {
    fn take(&mut self, max: u32, now_ms: u64) -> Result<(), u32> {
        if max == 0 {
            return Ok(());
        }
        self.expire(now_ms);
        if self.total >= max {
            return Err(self.seconds_until_room(now_ms));
        }
        self.total = self.total.saturating_add(1);
        match self.runs.last_mut() {
            Some(run) if run.last_ms / 1000 == now_ms / 1000 => {
                *run = Run {
                    last_ms: now_ms,
                    count: run.count.saturating_add(1),
                };
            }
            _ => self.runs.push(Run {
                last_ms: now_ms,
                count: 1,
            }),
        }
        Ok(())
    }

    fn expire(&mut self, now_ms: u64) {
        let is_over = |run: &Run| run.last_ms.saturating_add(WINDOW_MS) <= now_ms;
        let over = self.runs.iter().take_while(|run| is_over(run)).count();
        if over == self.runs.len() {
            *self = Self::default();
            return;
        }
        let expired: u32 = self.runs.drain(..over).map(|run| run.count).sum();
        self.total = self.total.saturating_sub(expired);
    }

    /// When the oldest run expires, there is room, unless the limit was lowered meanwhile.
    fn seconds_until_room(&self, now_ms: u64) -> u32 {
        let oldest_ms = self.runs.first().map_or(0, |run| run.last_ms);
        seconds_up(oldest_ms.saturating_add(WINDOW_MS).saturating_sub(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_limit_holds_for_60_seconds_sharp() {
        let mut log = Log::default();
        for _ in 0..100 {
            assert_eq!(log.take(100, 5300), Ok(()));
        }
        assert_eq!(log.take(100, 5300), Err(60));
        assert_eq!(log.take(100, 65_299), Err(1));
        assert_eq!(log.take(100, 65_300), Ok(()));
        assert_eq!(log.total, 1);
    }

    #[test]
    fn old_messages_make_room_one_by_one() {
        let mut log = Log::default();
        assert_eq!(log.take(2, 0), Ok(()));
        assert_eq!(log.take(2, 30_000), Ok(()));
        assert_eq!(log.take(2, 40_000), Err(20));
        assert_eq!(log.take(2, 60_000), Ok(()));
        assert_eq!(log.take(2, 60_000), Err(30));
    }

    #[test]
    fn a_log_is_small_whatever_the_limit_and_gone_after_a_quiet_minute() {
        let mut spent = RateState::default();
        let allowed = Allowance {
            messages_per_minute: u32::MAX,
        };
        for now_ms in (0..200_000).step_by(10) {
            assert_eq!(spent.message(allowed, now_ms), Ok(()));
            assert!(spent.messages.runs.len() <= 61);
        }
        assert!(!spent.is_empty(259_000));
        assert!(spent.is_empty(260_000));
        assert_eq!(spent.messages.runs.capacity(), 0);
    }

    #[test]
    fn zero_is_no_limit() {
        let mut spent = RateState::default();
        let off = Allowance {
            messages_per_minute: 0,
        };
        for _ in 0..10_000 {
            assert_eq!(spent.message(off, 0), Ok(()));
            assert_eq!(spent.notice(JOIN_COST, off, 0), Ok(()));
            assert_eq!(spent.work(u64::MAX, off, 0), Work::Due);
            spent.error_response(off, 0);
        }
        assert!(spent.is_empty(0));
    }

    const ALLOWED: Allowance = Allowance {
        messages_per_minute: 100,
    };

    #[test]
    fn all_that_may_be_accepted_is_looked_at() {
        for messages_per_minute in [1, 10, 60, 100, 5000] {
            let allowed = Allowance {
                messages_per_minute,
            };
            let mut spent = RateState::default();
            for _ in 0..messages_per_minute {
                let longest = MESSAGE_BYTES_MAX as u64 - 1;
                assert_eq!(spent.work(longest, allowed, 0), Work::Due);
            }
            for _ in 0..2 * allowed.notices_per_minute() {
                assert_eq!(spent.work(100, allowed, 59_000), Work::Due);
            }
        }
    }

    #[test]
    fn a_flood_is_refused_then_closed_and_over_in_a_minute() {
        let mut spent = RateState::default();
        let mut verdicts = [0, 0];
        let end = loop {
            match spent.work(MESSAGE_BYTES_MAX as u64, ALLOWED, 1000) {
                Work::Due => verdicts[0] += 1,
                Work::Refused { retry_after_s } => {
                    assert_eq!(retry_after_s, 60);
                    verdicts[1] += 1;
                }
                Work::Flood => break verdicts,
            }
            spent.error_response(ALLOWED, 1000);
        };
        assert!(end[0] <= 130 && end[1] <= 130, "{end:?}");
        assert_eq!(spent.work(0, ALLOWED, 60_999), Work::Flood);
        assert!(!spent.is_empty(60_999));
        assert_eq!(spent.work(0, ALLOWED, 61_000), Work::Due);
    }

    #[test]
    fn small_messages_that_are_refused_are_bounded_too() {
        let mut spent = RateState::default();
        let mut responses = 0;
        while spent.work(0, ALLOWED, 0) != Work::Flood {
            spent.error_response(ALLOWED, 0);
            responses += 1;
        }
        assert!((5_000..10_000).contains(&responses), "{responses}");
    }

    #[test]
    fn one_message_of_any_length_is_counted_whole() {
        let mut spent = RateState::default();
        assert_eq!(
            spent.work(u64::MAX, ALLOWED, 0),
            Work::Flood,
            "more than all others together"
        );
        assert_eq!(spent.work(0, ALLOWED, 59_999), Work::Flood);
    }

    #[test]
    fn notices_are_looser_than_messages() {
        for (messages, notices) in [(1, 600), (60, 600), (100, 1000), (u32::MAX, u32::MAX)] {
            assert_eq!(
                Allowance {
                    messages_per_minute: messages
                }
                .notices_per_minute(),
                notices
            );
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_any_minute_and_the_wait_is_right(
            max in 1_u32..20,
            steps in prop::collection::vec(0_u64..9000, 1..300),
        ) {
            let mut log = Log::default();
            let (mut now_ms, mut taken) = (0, Vec::new());
            for step in steps {
                now_ms += step;
                match log.take(max, now_ms) {
                    Ok(()) => taken.push(now_ms),
                    Err(retry_after_s) => {
                        prop_assert!((1..=60).contains(&retry_after_s));
                        // What is told in whole seconds is never too short.
                        now_ms += u64::from(retry_after_s) * 1000;
                        prop_assert_eq!(log.take(max, now_ms), Ok(()));
                        taken.push(now_ms);
                    }
                }
            }
            for group in taken.windows(max as usize + 1) {
                prop_assert!(group[group.len() - 1] - group[0] >= WINDOW_MS);
            }
        }
    }
}
