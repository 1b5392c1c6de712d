//! A queue in blocks of one size: what it gives back fits whoever grows next.
//!
//! A buffer that doubles leaves a hole behind each time, and no queue that is longer can use it. Where many
//! queues grow together, that is a multiple of what they hold.

use std::collections::VecDeque;

/// How many items a block has.
const ITEMS: usize = 64;

/// A double-ended queue whose memory follows its length by at most a block or two. Short ones, of a block, are
/// a [`VecDeque`].
#[derive(Debug)]
pub(super) struct Blocks<T> {
    /// The first block. Empty only when all is.
    first: VecDeque<T>,
    /// The others, none of them empty.
    rest: VecDeque<VecDeque<T>>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self {
            first: VecDeque::new(),
            rest: VecDeque::new(),
        }
    }
}

impl<T> Blocks<T> {
    pub(super) fn front(&self) -> Option<&T> {
        self.first.front()
    }

    /// The one behind the first.
    #[cfg(feature = "tls")]
    pub(super) fn second(&self) -> Option<&T> {
        let next = || self.rest.front().and_then(VecDeque::front);
        self.first.get(1).or_else(next)
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.rest.back().unwrap_or(&self.first).back()
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut T> {
        self.rest.back_mut().unwrap_or(&mut self.first).back_mut()
    }

    pub(super) fn push_back(&mut self, item: T) {
        let last = self.rest.back_mut().unwrap_or(&mut self.first);
        if last.len() < ITEMS {
            last.push_back(item);
        } else {
            let mut block = VecDeque::with_capacity(ITEMS);
            block.push_back(item);
            self.rest.push_back(block);
        }
    }

    pub(super) fn pop_back(&mut self) -> Option<T> {
        let Some(last) = self.rest.back_mut() else {
            return self.first.pop_back();
        };
        let item = last.pop_back();
        if last.is_empty() {
            self.rest.pop_back();
        }
        item
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let item = self.first.pop_front();
        self.fill_first();
        item
    }

    /// The first block is never empty before others.
    fn fill_first(&mut self) {
        if self.first.is_empty()
            && let Some(next) = self.rest.pop_front()
        {
            self.first = next;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.rest.iter().flatten())
    }

    /// Where the first item is, from the one at `index` on, that is wanted.
    pub(super) fn position(
        &self,
        index: usize,
        is_wanted: impl FnMut(&T) -> bool,
    ) -> Option<usize> {
        let place = self.iter().skip(index).position(is_wanted)?;
        Some(index + place)
    }

    /// Puts an item before the one at `index`, or behind all.
    pub(super) fn insert(&mut self, mut index: usize, item: T) {
        for block in std::iter::once(&mut self.first).chain(&mut self.rest) {
            if index < block.len() {
                block.insert(index, item);
                return;
            }
            index -= block.len();
        }
        self.push_back(item);
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<T> {
        if index < self.first.len() {
            let item = self.first.remove(index);
            self.fill_first();
            return item;
        }
        let mut index = index - self.first.len();
        for number in 0..self.rest.len() {
            let block = self.rest.get_mut(number)?;
            if index < block.len() {
                let item = block.remove(index);
                if block.is_empty() {
                    self.rest.remove(number);
                }
                return item;
            }
            index -= block.len();
        }
        None
    }

    /// Drops all but the first `len`, and hands each over before.
    pub(super) fn truncate(&mut self, len: usize, mut each: impl FnMut(&T)) {
        self.iter().skip(len).for_each(&mut each);
        let mut left = len;
        for block in std::iter::once(&mut self.first).chain(&mut self.rest) {
            block.truncate(left);
            left = left.saturating_sub(block.len());
        }
        self.rest.retain(|block| !block.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        Push(usize),
        PopFront(usize),
        PopBack,
        Insert(usize),
        Remove(usize),
        Truncate(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0..100_usize).prop_map(Act::Push),
            2 => (0..100_usize).prop_map(Act::PopFront),
            1 => Just(Act::PopBack),
            2 => (0..300_usize).prop_map(Act::Insert),
            2 => (0..300_usize).prop_map(Act::Remove),
            1 => (0..300_usize).prop_map(Act::Truncate),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_queue(acts in proptest::collection::vec(act(), 1..60)) {
            let (mut blocks, mut queue) = (Blocks::default(), VecDeque::new());
            for (number, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Push(count) => for n in 0..count {
                        blocks.push_back((number, n));
                        queue.push_back((number, n));
                    },
                    Act::PopFront(count) => for _ in 0..count {
                        prop_assert_eq!(blocks.pop_front(), queue.pop_front());
                    },
                    Act::PopBack => prop_assert_eq!(blocks.pop_back(), queue.pop_back()),
                    Act::Insert(index) => {
                        blocks.insert(index, (number, 0));
                        queue.insert(index.min(queue.len()), (number, 0));
                    }
                    Act::Remove(index) => prop_assert_eq!(blocks.remove(index), queue.remove(index)),
                    Act::Truncate(len) => {
                        let mut dropped = Vec::new();
                        blocks.truncate(len, |item| dropped.push(*item));
                        prop_assert_eq!(dropped, queue.iter().skip(len).copied().collect::<Vec<_>>());
                        queue.truncate(len);
                    }
                }
                prop_assert!(blocks.iter().eq(&queue));
                prop_assert_eq!(blocks.front(), queue.front());
                prop_assert_eq!(blocks.back(), queue.back());
                #[cfg(feature = "tls")]
                prop_assert_eq!(blocks.second(), queue.get(1));
                prop_assert_eq!(blocks.back_mut(), queue.back_mut());
                prop_assert!(blocks.rest.iter().all(|block| !block.is_empty()));
            }
        }
    }

    #[test]
    fn its_memory_follows_its_length() {
        let mut blocks = Blocks::default();
        let room = |blocks: &Blocks<usize>| {
            let rest: usize = blocks.rest.iter().map(VecDeque::capacity).sum();
            blocks.first.capacity() + rest
        };
        for n in 1..=100 * ITEMS {
            blocks.push_back(n);
            assert!(room(&blocks) < n + ITEMS, "{n}");
        }
        for left in (0..100 * ITEMS).rev() {
            blocks.pop_front();
            assert!(room(&blocks) <= left + 2 * ITEMS, "{left}");
        }
    }
}
