//! A queue in blocks of one size: what it gives back fits whoever grows next.
//!
//! A buffer that doubles leaves a hole behind each time, and no queue that is longer can use it. Where many
//! queues grow together, that is a multiple of what they hold.

use std::collections::VecDeque;
use std::iter::once;

/// Number of items a block has.
const ITEMS: usize = 64;

/// A double-ended queue whose memory follows its length by at most a block or two. A short one is a
/// [`VecDeque`], and costs little more.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    /// The first block. Empty while there is one block only, the last.
    first: VecDeque<T>,
    /// Those between the first and the last, none of them empty.
    middle: VecDeque<VecDeque<T>>,
    /// The last block. Empty only when all is.
    last: VecDeque<T>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self {
            first: VecDeque::new(),
            middle: VecDeque::new(),
            last: VecDeque::new(),
        }
    }
}

impl<T> Blocks<T> {
    pub(super) fn front(&self) -> Option<&T> {
        self.first.front().or_else(|| self.last.front())
    }

    /// The one behind the first.
    #[cfg(feature = "tls")]
    pub(super) fn second(&self) -> Option<&T> {
        self.iter().nth(1)
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.last.back()
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut T> {
        self.last.back_mut()
    }

    #[inline]
    pub(super) fn push_back(&mut self, item: T) {
        if self.last.len() >= ITEMS {
            self.begin_block();
        }
        self.last.push_back(item);
    }

    #[cold]
    fn begin_block(&mut self) {
        let full = std::mem::replace(&mut self.last, VecDeque::with_capacity(ITEMS));
        if self.first.is_empty() {
            self.first = full;
        } else {
            self.middle.push_back(full);
        }
    }

    pub(super) fn pop_back(&mut self) -> Option<T> {
        let item = self.last.pop_back();
        self.fill_last();
        item
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let block = if self.first.is_empty() {
            &mut self.last
        } else {
            &mut self.first
        };
        let item = block.pop_front();
        if !self.middle.is_empty() {
            self.fill_first();
        }
        item
    }

    /// The first block is not empty before others in the middle.
    #[cold]
    fn fill_first(&mut self) {
        if self.first.is_empty() {
            self.first = self.middle.pop_front().unwrap_or_default();
        }
    }

    /// The last block is not empty behind others.
    fn fill_last(&mut self) {
        if self.last.is_empty() {
            let before = self.middle.pop_back();
            self.last = before.unwrap_or_else(|| std::mem::take(&mut self.first));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let first = self.first.iter().chain(self.middle.iter().flatten());
        first.chain(&self.last)
    }

    fn blocks_mut(&mut self) -> impl Iterator<Item = &mut VecDeque<T>> {
        let first = once(&mut self.first).chain(&mut self.middle);
        first.chain(once(&mut self.last))
    }

    /// No block stays empty where it may not be.
    fn drop_empty(&mut self) {
        self.middle.retain(|block| !block.is_empty());
        self.fill_first();
        self.fill_last();
    }

    /// Position of the first wanted item, from the one at `index` on.
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
        for block in self.blocks_mut() {
            if index < block.len() {
                block.insert(index, item);
                return;
            }
            index -= block.len();
        }
        self.push_back(item);
    }

    pub(super) fn remove(&mut self, mut index: usize) -> Option<T> {
        let mut removed = None;
        for block in self.blocks_mut() {
            if index < block.len() {
                removed = block.remove(index);
                break;
            }
            index -= block.len();
        }
        self.drop_empty();
        removed
    }

    /// Drops all but the first `len`, and hands each over before.
    pub(super) fn truncate(&mut self, len: usize, each: impl FnMut(&T)) {
        self.iter().skip(len).for_each(each);
        let mut left = len;
        for block in self.blocks_mut() {
            block.truncate(left);
            left -= block.len();
        }
        self.drop_empty();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum BlockOp {
        Push(usize),
        PopFront(usize),
        PopBack,
        Insert(usize),
        Remove(usize),
        Truncate(usize),
    }

    fn act() -> impl Strategy<Value = BlockOp> {
        prop_oneof![
            3 => (0..100_usize).prop_map(BlockOp::Push),
            2 => (0..100_usize).prop_map(BlockOp::PopFront),
            1 => Just(BlockOp::PopBack),
            2 => (0..300_usize).prop_map(BlockOp::Insert),
            2 => (0..300_usize).prop_map(BlockOp::Remove),
            1 => (0..300_usize).prop_map(BlockOp::Truncate),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_queue(acts in proptest::collection::vec(act(), 1..60)) {
            let (mut blocks, mut queue) = (Blocks::default(), VecDeque::new());
            for (number, act) in acts.into_iter().enumerate() {
                match act {
                    BlockOp::Push(count) => for n in 0..count {
                        blocks.push_back((number, n));
                        queue.push_back((number, n));
                    },
                    BlockOp::PopFront(count) => for _ in 0..count {
                        prop_assert_eq!(blocks.pop_front(), queue.pop_front());
                    },
                    BlockOp::PopBack => prop_assert_eq!(blocks.pop_back(), queue.pop_back()),
                    BlockOp::Insert(index) => {
                        blocks.insert(index, (number, 0));
                        queue.insert(index.min(queue.len()), (number, 0));
                    }
                    BlockOp::Remove(index) => prop_assert_eq!(blocks.remove(index), queue.remove(index)),
                    BlockOp::Truncate(len) => {
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
                prop_assert!(blocks.middle.iter().all(|block| !block.is_empty()));
                prop_assert!(blocks.middle.is_empty() || !blocks.first.is_empty());
                prop_assert!(blocks.first.is_empty() || !blocks.last.is_empty());
            }
        }
    }

    #[test]
    fn its_memory_follows_its_length() {
        let mut blocks = Blocks::default();
        let room = |blocks: &Blocks<usize>| {
            let middle: usize = blocks.middle.iter().map(VecDeque::capacity).sum();
            blocks.first.capacity() + middle + blocks.last.capacity()
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
