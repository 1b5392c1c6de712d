use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Facts that a [`Table`] has to know of an entry before it may forget it.
pub(super) trait Evictable: Default {
    /// Must not be forgotten whatever happens, because something open is counted in it.
    fn is_held(&self) -> bool;
    /// Says nothing any more: a new entry would do as well.
    fn is_idle(&self, now_ms: u64) -> bool;
}

/// A map that stays small by itself: idle entries go, and of those that are neither idle nor held
/// at most `remembered_max` are kept, the oldest being forgotten first.
///
/// Every entry that is not held stands once in a queue. Each new key looks at two places of the
/// queue, so the work is constant and the table shrinks faster than it grows.
#[derive(Debug)]
pub(super) struct Table<K, E> {
    slots: HashMap<K, Slot<E>>,
    queue: VecDeque<K>,
    remembered_max: usize,
}

#[derive(Debug)]
struct Slot<E> {
    entry: E,
    queued: bool,
}

impl<K: Copy + Eq + Hash, E: Evictable> Table<K, E> {
    const LOOKS: usize = 2;

    pub(super) fn new(remembered_max: usize) -> Self {
        Self {
            slots: HashMap::new(),
            queue: VecDeque::new(),
            remembered_max,
        }
    }

    pub(super) fn find(&self, key: K) -> Option<&E> {
        self.slots.get(&key).map(|slot| &slot.entry)
    }

    /// The entry of `key`, which is made if need be.
    pub(super) fn entry(&mut self, key: K, now_ms: u64) -> &mut E {
        if !self.slots.contains_key(&key) {
            self.make_room(now_ms);
            self.queue.push_back(key);
        }
        let slot = self.slots.entry(key).or_insert_with(|| Slot {
            entry: E::default(),
            queued: true,
        });
        &mut slot.entry
    }

    /// Changes the entry of `key`, if there is one, in a way that may let go of it.
    pub(super) fn release(&mut self, key: K, change: impl FnOnce(&mut E)) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        change(&mut slot.entry);
        if !slot.queued && !slot.entry.is_held() {
            slot.queued = true;
            self.queue.push_back(key);
            self.forget_over(self.remembered_max);
        }
    }

    fn make_room(&mut self, now_ms: u64) {
        for _ in 0..Self::LOOKS {
            self.look_at_the_oldest(|entry| entry.is_idle(now_ms));
        }
        self.forget_over(self.remembered_max.saturating_sub(1));
    }

    /// A held entry leaves the queue when it is met, so each turn of this loop was paid for by the
    /// push that put it there.
    fn forget_over(&mut self, queued_max: usize) {
        while self.queue.len() > queued_max {
            self.look_at_the_oldest(|_| true);
        }
    }

    fn look_at_the_oldest(&mut self, may_go: impl FnOnce(&E) -> bool) {
        let Some(key) = self.queue.pop_front() else {
            return;
        };
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        if slot.entry.is_held() {
            slot.queued = false;
        } else if may_go(&slot.entry) {
            self.slots.remove(&key);
        } else {
            self.queue.push_back(key);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> impl Iterator<Item = &E> {
        self.slots.values().map(|slot| &slot.entry)
    }

    /// Held entries are free of the queue or stand in it once, all others stand in it exactly once.
    #[cfg(test)]
    pub(super) fn assert_sound(&self) {
        let mut queue: Vec<bool> = Vec::new();
        for key in &self.queue {
            queue.push(self.slots[key].queued);
        }
        assert!(queue.iter().all(|queued| *queued));
        assert_eq!(
            queue.len(),
            self.slots.values().filter(|slot| slot.queued).count()
        );
        assert!(
            self.slots
                .values()
                .all(|slot| slot.queued || slot.entry.is_held())
        );
        assert!(queue.len() <= self.remembered_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Note {
        held: bool,
        busy_until_ms: u64,
    }

    impl Evictable for Note {
        fn is_held(&self) -> bool {
            self.held
        }
        fn is_idle(&self, now_ms: u64) -> bool {
            self.busy_until_ms <= now_ms
        }
    }

    #[test]
    fn idle_entries_go_as_others_come() {
        let mut table: Table<u32, Note> = Table::new(1000);
        for key in 0..100 {
            table.entry(key, 0).busy_until_ms = 50;
        }
        assert_eq!(table.len(), 100);
        for key in 1000..1200 {
            table.entry(key, 60);
            table.assert_sound();
        }
        assert!(table.len() < 5, "{} are left", table.len());
    }

    #[test]
    fn at_the_cap_the_oldest_busy_entry_is_forgotten_and_a_held_one_is_not() {
        let mut table: Table<u32, Note> = Table::new(10);
        table.entry(7777, 0).held = true;
        for key in 0..1000 {
            table.entry(key, 0).busy_until_ms = u64::MAX;
            table.assert_sound();
            assert!(table.len() <= 11, "ten and the held one");
        }
        assert!(table.find(7777).is_some());
        assert!(table.find(999).is_some());
        assert!(table.find(0).is_none());

        table.release(7777, |note| note.held = false);
        for key in 2000..2020 {
            table.entry(key, 0).busy_until_ms = u64::MAX;
            table.assert_sound();
        }
        assert!(table.find(7777).is_none());
    }
}
