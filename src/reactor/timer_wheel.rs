//! A hierarchical timer wheel: O(1) to arm and to cancel, whatever the number of timers.
//!
//! Six levels of 64 slots. A slot of level 0 is one millisecond wide, a slot of each further
//! level 64 times as wide as the one below. A timer lies in the level of the highest digit (base
//! 64) in which its time differs from the wheel's, and moves down as that digit comes up. Which
//! slots are in use is one 64-bit word per level, so the next due slot is found without a search.
//!
//! However many timers a slot has, they move down a few in each turn, so that no turn is long. One that
//! is due before its turn to move has come is late by as much.
//!
//! The wheel is pure: time comes in as an argument, in milliseconds since an origin of the
//! caller's choice.

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 6;
/// The furthest ahead a timer can lie, about two years: short of the slot the clock itself is in.
const SPAN_MS: u64 = (SLOTS as u64 - 1) << (SLOT_BITS as usize * (LEVELS - 1));
const NIL: u32 = u32::MAX;
/// The list of timers that are due and not yet handed out.
const DUE: usize = LEVELS * SLOTS;
const LISTS: usize = DUE + 1;
/// Number of timers move to a finer level before [`Wheel::poll`] leaves the rest to the next turn: some
/// 30 µs when none of them is in the processor's cache.
const MOVES_MAX: usize = if cfg!(test) { 3 } else { 256 };

/// Timers by small integer key, at most one for each key.
#[derive(Debug)]
pub struct Wheel {
    now_ms: u64,
    /// A bit for each slot in use, by level.
    occupied: [u64; LEVELS],
    /// First key of each slot's list, then of the due list.
    heads: Box<[u32]>,
    entries: Vec<TimerEntry>,
    armed: usize,
    /// The slot that has come up, whose timers are on their way down.
    moving: Option<usize>,
    /// Number of them that may still move in this turn.
    moves_left: usize,
}

#[derive(Clone, Copy, Debug)]
struct TimerEntry {
    due_ms: u64,
    next: u32,
    prev: u32,
    /// Index into `heads`, or `NIL` when the timer is not armed.
    list: u32,
}

const IDLE: TimerEntry = TimerEntry {
    due_ms: 0,
    next: NIL,
    prev: NIL,
    list: NIL,
};

impl Wheel {
    /// An empty wheel whose clock stands at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            now_ms,
            occupied: [0; LEVELS],
            heads: vec![NIL; LISTS].into_boxed_slice(),
            entries: Vec::new(),
            armed: 0,
            moving: None,
            moves_left: MOVES_MAX,
        }
    }

    /// Number of armed timers.
    pub fn len(&self) -> usize {
        self.armed
    }

    /// Returns `true` if no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// When the timer of `key` is due, if it is armed.
    pub fn due_ms(&self, key: u32) -> Option<u64> {
        let entry = self.entries.get(key as usize)?;
        (entry.list != NIL).then_some(entry.due_ms)
    }

    /// Arms the timer of `key` for `due_ms`, in place of what was armed before.
    ///
    /// A time that has passed is due at the next [`poll`](Self::poll). A time further ahead than
    /// the wheel reaches (two years) comes due early, at the end of its reach.
    pub fn arm(&mut self, key: u32, due_ms: u64) {
        self.cancel(key);
        let index = key as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, IDLE);
        }
        if let Some(entry) = self.entries.get_mut(index) {
            entry.due_ms = due_ms.min(self.now_ms.saturating_add(SPAN_MS));
            self.armed += 1;
            self.place(key);
        } else {
            invariant!("the wheel has room for a timer");
        }
    }

    /// Disarms the timer of `key`, if it is armed.
    pub fn cancel(&mut self, key: u32) {
        let Some(entry) = self.entries.get_mut(key as usize) else {
            return;
        };
        if entry.list != NIL {
            let TimerEntry {
                next, prev, list, ..
            } = *entry;
            *entry = IDLE;
            self.armed -= 1;
            self.unlink(next, prev, list as usize);
        }
    }

    /// The earliest time at which [`poll`](Self::poll) has something to do.
    ///
    /// Never later than the earliest timer; for a timer far ahead it may be the earlier moment at
    /// which that timer moves to a finer level.
    pub fn next_ms(&self) -> Option<u64> {
        if self.head(DUE) != NIL || self.moving.is_some() {
            return Some(self.now_ms);
        }
        self.next_slot().map(|(_, _, start_ms)| start_ms)
    }

    /// Moves the clock towards `now_ms` and takes one timer that is due.
    ///
    /// Call until it returns `None`, which ends a turn: there may be more when [`next_ms`](Self::next_ms) has
    /// come already. Timers may be armed and cancelled in between.
    pub fn poll(&mut self, now_ms: u64) -> Option<u32> {
        loop {
            let key = self.head(DUE);
            if key != NIL {
                self.cancel(key);
                return Some(key);
            }
            if self.moves_left > 0 && self.move_one() {
                continue;
            }
            match self.next_slot() {
                // What else is due in this slot of a coarser level need not wait for those that move.
                Some((0, slot, start_ms)) if start_ms <= now_ms => {
                    self.now_ms = self.now_ms.max(start_ms);
                    self.come_due(slot);
                }
                Some((level, slot, start_ms)) if start_ms <= now_ms && self.moving.is_none() => {
                    self.now_ms = self.now_ms.max(start_ms);
                    self.vacate(level, slot);
                    self.moving = Some(level * SLOTS + slot);
                }
                _ => {
                    if self.moving.is_none() {
                        self.now_ms = self.now_ms.max(now_ms);
                    }
                    self.moves_left = MOVES_MAX;
                    return None;
                }
            }
        }
    }

    /// Puts one timer of the slot that has come up where it belongs now; `false` when none is left.
    fn move_one(&mut self) -> bool {
        let Some(list) = self.moving else {
            return false;
        };
        let key = self.head(list);
        let Some(next) = self.entries.get(key as usize).map(|entry| entry.next) else {
            self.moving = None;
            return false;
        };
        self.moves_left -= 1;
        // Nothing is put into the slot that the clock is in, so it only gets shorter.
        self.unlink(next, NIL, list);
        self.place(key);
        true
    }

    /// All timers of a slot of the finest level are due.
    fn come_due(&mut self, slot: usize) {
        let mut key = self.head(slot);
        self.set_head(slot, NIL);
        self.vacate(0, slot);
        while let Some(next) = self.entries.get(key as usize).map(|entry| entry.next) {
            self.place(key);
            key = next;
        }
    }

    /// The slot is no longer looked for.
    fn vacate(&mut self, level: usize, slot: usize) {
        if let Some(bits) = self.occupied.get_mut(level) {
            *bits &= !(1 << slot);
        }
    }

    /// The first slot in use at or after the current time: its level, index and start.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        // The finer level comes first: its timers share every coarser digit with the clock.
        self.occupied.iter().enumerate().find_map(|(level, &bits)| {
            let shift = SLOT_BITS * u32::try_from(level).ok()?;
            let current = (self.now_ms >> shift) & (SLOTS as u64 - 1);
            let ahead = bits.rotate_right(u32::try_from(current).ok()?);
            if ahead == 0 {
                return None;
            }
            let steps = u64::from(ahead.trailing_zeros());
            let start_ms = ((self.now_ms >> shift) + steps) << shift;
            let slot = usize::try_from((current + steps) & (SLOTS as u64 - 1)).ok()?;
            Some((level, slot, start_ms))
        })
    }

    /// Links an unlinked entry into the list its time calls for.
    fn place(&mut self, key: u32) {
        let Some(due_ms) = self.entries.get(key as usize).map(|entry| entry.due_ms) else {
            return invariant!("the timer is in the wheel");
        };
        let list = if due_ms <= self.now_ms {
            DUE
        } else {
            self.slot_for(due_ms)
        };
        let next = self.head(list);
        if let Some(entry) = self.entries.get_mut(key as usize) {
            *entry = TimerEntry {
                due_ms,
                next,
                prev: NIL,
                list: u32::try_from(list).unwrap_or(NIL),
            };
        }
        if let Some(entry) = self.entries.get_mut(next as usize) {
            entry.prev = key;
        }
        self.set_head(list, key);
    }

    /// The list of a time that lies ahead, marked as in use.
    fn slot_for(&mut self, due_ms: u64) -> usize {
        let differing = (self.now_ms ^ due_ms) | (SLOTS as u64 - 1);
        let level = (((63 - differing.leading_zeros()) / SLOT_BITS) as usize).min(LEVELS - 1);
        let digit = (due_ms >> (SLOT_BITS as usize * level)) & (SLOTS as u64 - 1);
        let slot = usize::try_from(digit).unwrap_or(0);
        if let Some(bits) = self.occupied.get_mut(level) {
            *bits |= 1 << slot;
        }
        level * SLOTS + slot
    }

    fn unlink(&mut self, next: u32, prev: u32, list: usize) {
        if let Some(entry) = self.entries.get_mut(next as usize) {
            entry.prev = prev;
        }
        if let Some(entry) = self.entries.get_mut(prev as usize) {
            entry.next = next;
            return;
        }
        self.set_head(list, next);
        if next == NIL
            && let Some(bits) = self.occupied.get_mut(list / SLOTS)
        {
            *bits &= !(1 << (list % SLOTS));
        }
    }

    fn head(&self, list: usize) -> u32 {
        self.heads.get(list).copied().unwrap_or(NIL)
    }

    fn set_head(&mut self, list: usize, key: u32) {
        if let Some(head) = self.heads.get_mut(list) {
            *head = key;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn due(wheel: &mut Wheel, now_ms: u64) -> Vec<u32> {
        let mut keys: Vec<u32> = std::iter::from_fn(|| wheel.poll(now_ms)).collect();
        while wheel.next_ms().is_some_and(|next_ms| next_ms <= now_ms) {
            keys.extend(std::iter::from_fn(|| wheel.poll(now_ms)));
        }
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_turn_moves_a_few_timers_and_the_next_one_more() {
        let mut wheel = Wheel::new(0);
        for key in 0..100 {
            wheel.arm(key, 64 + u64::from(key % 60));
        }
        let mut turns = 0;
        while wheel.next_ms() <= Some(64) {
            assert!(turns < 100, "no end");
            let before = wheel.head(SLOTS + 1);
            while wheel.poll(64).is_some() {}
            assert!(wheel.moving.is_none() || wheel.head(SLOTS + 1) != before);
            turns += 1;
        }
        assert_eq!(turns, 34, "three in each, and one to see the end");
        assert_eq!(wheel.len(), 98, "two were due");
    }

    #[test]
    fn what_is_due_does_not_wait_for_what_moves() {
        let mut wheel = Wheel::new(0);
        wheel.arm(0, 66);
        assert_eq!(wheel.poll(65), None);
        for key in 1..50 {
            wheel.arm(key, 128 + 60);
        }
        wheel.arm(50, 128);
        assert_eq!(due(&mut wheel, 66), [0]);
        // The last to be armed is the first to move.
        assert_eq!(wheel.poll(128), Some(50));
        wheel.arm(51, 129);
        assert_eq!(wheel.poll(128), None);
        assert!(wheel.moving.is_some());
        assert_eq!(wheel.poll(129), Some(51));
        assert!(wheel.moving.is_some());
        assert_eq!(due(&mut wheel, 187), [0u32; 0]);
        assert_eq!(due(&mut wheel, 188).len(), 49);
    }

    #[test]
    fn a_timer_fires_once_at_its_time() {
        let mut wheel = Wheel::new(0);
        wheel.arm(3, 100);
        assert_eq!(due(&mut wheel, 99), [0u32; 0]);
        assert_eq!(due(&mut wheel, 100), [3]);
        assert_eq!(due(&mut wheel, 10_000), [0u32; 0]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn arming_again_replaces() {
        let mut wheel = Wheel::new(7);
        wheel.arm(0, 50);
        wheel.arm(0, 5_000_000);
        assert_eq!(due(&mut wheel, 4_999_999), [0u32; 0]);
        assert_eq!(due(&mut wheel, 5_000_000), [0]);
    }

    #[test]
    fn the_past_is_due_at_once() {
        let mut wheel = Wheel::new(1_000);
        wheel.arm(1, 10);
        assert_eq!(wheel.next_ms(), Some(1_000));
        assert_eq!(due(&mut wheel, 1_000), [1]);
    }

    #[test]
    fn a_time_out_of_reach_comes_due_at_the_end_of_reach() {
        let mut wheel = Wheel::new(5);
        wheel.arm(1, u64::MAX);
        assert_eq!(due(&mut wheel, SPAN_MS), [0u32; 0]);
        assert_eq!(due(&mut wheel, SPAN_MS + 5), [1]);
    }

    #[test]
    fn an_empty_wheel_has_no_next_time() {
        let mut wheel = Wheel::new(0);
        assert_eq!(wheel.next_ms(), None);
        wheel.arm(9, 1 << 30);
        wheel.cancel(9);
        assert_eq!(wheel.next_ms(), None);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Arm(u32, u64),
        Cancel(u32),
        Advance(u64),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let ahead = prop_oneof![0..70u64, 0..5_000u64, 0..400_000u64, 0..(1u64 << 37)];
        let step = prop_oneof![0..3u64, 0..100u64, 0..10_000u64, 0..(1u64 << 33)];
        let op = prop_oneof![
            4 => (0..40u32, ahead).prop_map(|(key, ahead)| Op::Arm(key, ahead)),
            1 => (0..40u32).prop_map(Op::Cancel),
            3 => step.prop_map(Op::Advance),
        ];
        proptest::collection::vec(op, 1..200)
    }

    proptest! {
        /// Against a sorted map: the same keys due at every step, and never a late wake-up.
        #[test]
        fn agrees_with_a_sorted_list(start in 0..(1u64 << 40), ops in ops()) {
            let mut now_ms = start;
            let mut wheel = Wheel::new(start);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Arm(key, ahead) => {
                        wheel.arm(key, now_ms + ahead);
                        model.insert(key, (now_ms + ahead).min(now_ms + SPAN_MS));
                    }
                    Op::Cancel(key) => {
                        wheel.cancel(key);
                        model.remove(&key);
                    }
                    Op::Advance(step) => {
                        now_ms += step;
                        let expected: Vec<u32> =
                            model.iter().filter(|&(_, &at)| at <= now_ms).map(|(&k, _)| k).collect();
                        model.retain(|_, at| *at > now_ms);
                        prop_assert_eq!(due(&mut wheel, now_ms), expected);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                let earliest = model.values().min().copied();
                prop_assert_eq!(wheel.next_ms().is_some(), earliest.is_some());
                if let (Some(next), Some(earliest)) = (wheel.next_ms(), earliest) {
                    prop_assert!(next <= earliest.max(now_ms));
                }
            }
        }
    }
}
