//! The time of a turn: how long each stage of it may go on before the others have theirs.
//!
//! A callback cannot be interrupted, but the clock is looked at between callbacks, and what a stage
//! does not get done it goes on with in the next turn. Reading the clock at each callback would cost
//! more than some callbacks: pieces of work are counted instead, and the clock is read after so many,
//! at most [`PIECES_MAX`], fewer where they have been found to take long.

use std::time::{Duration, Instant};

use super::after;

/// The most pieces of work between two readings of the clock.
const PIECES_MAX: u32 = 16;
/// Bytes of input or output that are a piece of work by themselves.
const PIECE_SHIFT: u32 = 12;
/// Parts of a turn's time: one is what the pieces between two readings should take.
const PARTS: u32 = 16;

/// Stages of a turn, in order, each with a share of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Delivers mail.
    Mail,
    /// Accepts connections.
    Accept,
    /// Reads, and calls back with what came.
    Read,
    /// Calls back whose deadline has passed.
    Expire,
    /// Calls back about a shutdown.
    ShutDown,
    /// Takes closed connections out of the tables.
    Close,
    /// Writes.
    Write,
}

impl Stage {
    /// By which part of the turn it is to end: what those before it leave it may use, too.
    const fn ends(self) -> u32 {
        match self {
            Self::Mail => 4,
            Self::Accept => 6,
            Self::Read => 10,
            Self::Expire => 11,
            Self::ShutDown => 12,
            Self::Close => 13,
            Self::Write => 16,
        }
    }

    /// The parts it has whatever those before it took.
    const fn share(self) -> u32 {
        match self {
            Self::Mail | Self::Read => 4,
            Self::Write => 3,
            Self::Accept => 2,
            Self::Expire | Self::ShutDown | Self::Close => 1,
        }
    }
}

/// Time left to the current stage of a turn.
#[derive(Debug)]
pub(super) struct Budget {
    stage: Stage,
    /// When the turn began.
    began: Instant,
    /// The last reading of the clock.
    read: Instant,
    /// When the stage has had its time: known from its first reading on.
    ends: Option<Instant>,
    is_over: bool,
    /// `true` if the clock was read in this turn, and found that pieces took long.
    has_read: bool,
    is_slow: bool,
    /// Pieces of work since the last reading.
    pieces: u32,
    /// Limit on their number before the next one.
    pieces_max: u32,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Mail,
            began: now,
            read: now,
            ends: None,
            is_over: false,
            has_read: false,
            is_slow: false,
            pieces: 0,
            pieces_max: 1,
        }
    }

    /// A turn begins.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.began = now;
        self.read = now;
        self.has_read = false;
        self.is_slow = false;
        self.pieces = 0;
    }

    /// Its next stage begins.
    pub(super) fn begin(&mut self, stage: Stage) {
        self.stage = stage;
        self.ends = None;
        self.is_over = false;
    }

    /// Counts so many bytes as work.
    pub(super) fn count_bytes(&mut self, bytes: usize) {
        if bytes < 1 << PIECE_SHIFT {
            return;
        }
        let pieces = u32::try_from(bytes >> PIECE_SHIFT).unwrap_or(u32::MAX);
        self.pieces = self.pieces.saturating_add(pieces);
    }

    /// Counts as much work as there may be between two readings of the clock.
    #[cfg(any(feature = "tls", test))]
    pub(super) fn count_heavy(&mut self) {
        self.pieces = self.pieces.saturating_add(PIECES_MAX);
    }

    /// Counts a piece of work. Returns whether the clock has to be read to know if there is time for
    /// another.
    pub(super) fn count(&mut self) -> ClockCheck {
        self.pieces = self.pieces.saturating_add(1);
        if self.is_over {
            ClockCheck::Over
        } else if self.pieces < self.pieces_max {
            ClockCheck::Later
        } else {
            ClockCheck::Now
        }
    }

    /// Notes a reading of the clock. Returns whether the stage may go on.
    pub(super) fn read(&mut self, now: Instant, turn_time_max: Duration) -> bool {
        let part = turn_time_max / PARTS;
        let (stage, began, before) = (self.stage, self.began, self.read);
        let ends = *self.ends.get_or_insert_with(|| {
            // Where the stages before took too long, this one has its share all the same.
            after(began, part * stage.ends()).max(after(before, part * stage.share()))
        });
        self.adapt(now, part);
        self.has_read = true;
        self.is_over = now >= ends;
        !self.is_over
    }

    /// The turn ends. Where all its pieces were short, the next readings come later; little by little, as
    /// the next pieces may be long again.
    pub(super) fn end_turn(&mut self, now: Instant, turn_time_max: Duration) {
        self.adapt(now, turn_time_max / PARTS);
        if self.has_read && !self.is_slow {
            self.pieces_max = (self.pieces_max + 1).min(PIECES_MAX);
        }
    }

    /// Pieces that took long make the next reading come sooner, at once.
    fn adapt(&mut self, now: Instant, part: Duration) {
        let took = now.saturating_duration_since(self.read);
        self.read = now;
        let pieces = std::mem::take(&mut self.pieces);
        if took <= part || pieces == 0 {
            return;
        }
        self.is_slow = true;
        let fit = part.as_nanos().saturating_mul(u128::from(pieces)) / took.as_nanos();
        let fit = u32::try_from(fit).unwrap_or(PIECES_MAX);
        self.pieces_max = fit.clamp(1, self.pieces_max);
    }
}

/// When the clock is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockCheck {
    /// After more work.
    Later,
    /// Now.
    Now,
    /// It was: the stage has had its time.
    Over,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_millis(5);

    /// Works through a stage in pieces of this length until its time is over, or there were so many.
    /// Returns how many there were and how often the clock was read.
    fn work(budget: &mut Budget, now: &mut Instant, piece: Duration, most: u32) -> (u32, u32) {
        let mut readings = 0;
        for count in 1..=most {
            *now += piece;
            let goes_on = match budget.count() {
                ClockCheck::Later => true,
                ClockCheck::Over => false,
                ClockCheck::Now => {
                    readings += 1;
                    budget.read(*now, TURN)
                }
            };
            if !goes_on {
                return (count, readings);
            }
        }
        (most, readings)
    }

    fn turn(budget: &mut Budget, now: &mut Instant, piece: Duration, most: u32) -> (u32, u32) {
        budget.begin_turn(*now);
        budget.begin(Stage::Read);
        let worked = work(budget, now, piece, most);
        budget.end_turn(*now, TURN);
        worked
    }

    fn start() -> (Budget, Instant) {
        let now = crate::reactor::now();
        (Budget::new(now), now)
    }

    #[test]
    fn short_pieces_cost_a_reading_in_sixteen() {
        let (mut budget, mut now) = start();
        let piece = Duration::from_micros(1);
        for _ in 0..100 {
            turn(&mut budget, &mut now, piece, 100);
        }
        assert_eq!(turn(&mut budget, &mut now, piece, 15), (15, 0));
        assert_eq!(turn(&mut budget, &mut now, piece, 160), (160, 10));
    }

    #[test]
    fn a_stage_ends_by_its_part_of_the_turn() {
        let (mut budget, mut now) = start();
        let piece = Duration::from_micros(20);
        for _ in 0..20 {
            turn(&mut budget, &mut now, piece, u32::MAX);
        }
        let began = now;
        turn(&mut budget, &mut now, piece, u32::MAX);
        let took = now - began;
        let end = TURN / PARTS * Stage::Read.ends();
        assert!(took >= end && took < end + piece * PIECES_MAX, "{took:?}");
    }

    #[test]
    fn long_pieces_are_told_apart_at_once() {
        let (mut budget, mut now) = start();
        for _ in 0..100 {
            turn(&mut budget, &mut now, Duration::from_micros(1), 100);
        }
        let piece = Duration::from_millis(67);
        // Nobody could know.
        assert_eq!(turn(&mut budget, &mut now, piece, 100).0, PIECES_MAX);
        assert_eq!(turn(&mut budget, &mut now, piece, 100).0, 1);
        // One short one does not change much.
        turn(&mut budget, &mut now, Duration::from_micros(1), 1);
        assert_eq!(turn(&mut budget, &mut now, piece, 100).0, 2);
    }

    #[test]
    fn a_few_long_pieces_in_a_turn_of_their_own_are_noticed_at_its_end() {
        let (mut budget, mut now) = start();
        for _ in 0..100 {
            turn(&mut budget, &mut now, Duration::from_micros(1), 100);
        }
        let piece = Duration::from_millis(67);
        assert_eq!(turn(&mut budget, &mut now, piece, 2), (2, 0));
        assert_eq!(turn(&mut budget, &mut now, piece, 100).0, 1);
    }

    #[test]
    fn every_stage_has_its_share_after_one_that_took_too_long() {
        let (mut budget, mut now) = start();
        budget.begin_turn(now);
        budget.begin(Stage::Mail);
        assert_eq!(work(&mut budget, &mut now, TURN * 10, 100).0, 1);
        budget.begin(Stage::Read);
        let piece = Duration::from_micros(50);
        let began = now;
        work(&mut budget, &mut now, piece, u32::MAX);
        let (took, share) = (now - began, TURN / PARTS * Stage::Read.share());
        assert!(
            took >= share && took <= share + piece * 2 * PIECES_MAX,
            "{took:?}"
        );
    }

    #[test]
    fn bytes_are_work() {
        let (mut budget, mut now) = start();
        for _ in 0..100 {
            turn(&mut budget, &mut now, Duration::from_micros(1), 100);
        }
        budget.begin_turn(now);
        budget.begin(Stage::Read);
        budget.count_bytes(4095);
        assert_eq!(budget.count(), ClockCheck::Later);
        budget.count_bytes(1 << 20);
        assert_eq!(budget.count(), ClockCheck::Now);
        budget.read(now, TURN);
        budget.count_heavy();
        assert_eq!(budget.count(), ClockCheck::Now);
    }

    #[test]
    fn without_any_time_there_is_still_one_piece() {
        let (mut budget, now) = start();
        budget.begin_turn(now);
        budget.begin(Stage::Read);
        assert_eq!(budget.count(), ClockCheck::Now);
        assert!(!budget.read(now, Duration::ZERO));
        assert_eq!(budget.count(), ClockCheck::Over);
    }
}
