//! Output that waits to be sent: a queue of plaintext frames, some of them shared between connections.

use std::io::IoSlice;
use std::sync::Arc;

use super::blocks::Blocks;
use super::shared::{Ledger, Shared};
use crate::invariant::part;

#[derive(Debug)]
enum OutputChunk {
    Own(Vec<u8>),
    Shared(QueuePosition),
}

/// A place in a queue of bytes that other queues may hold, too.
#[derive(Debug)]
struct QueuePosition {
    shared: Shared,
    /// One that may give way to a later one with the same label.
    label: Option<u32>,
    /// The ledger of this reactor has them; else they are charged to this queue alone.
    is_in_ledger: bool,
}

impl QueuePosition {
    /// See [`Chunk::sizes`].
    fn private_bytes(&self) -> usize {
        if self.is_in_ledger {
            PLACE_BYTES
        } else {
            PLACE_BYTES + self.shared.len()
        }
    }
}

impl Drop for QueuePosition {
    fn drop(&mut self) {
        if self.is_in_ledger {
            self.shared.leave();
        }
    }
}

/// Memory of a queue position itself. With small frames it is most of the total.
pub(super) const PLACE_BYTES: usize = size_of::<OutputChunk>();

impl OutputChunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(place) => place.shared.as_ref(),
        }
    }

    /// Its length, and the memory it takes that is shared with no other queue.
    fn sizes(&self) -> (usize, usize) {
        match self {
            Self::Own(bytes) => (bytes.len(), bytes.len()),
            Self::Shared(place) => (place.shared.len(), place.private_bytes()),
        }
    }

    fn has_label(&self, label: u32) -> bool {
        matches!(self, Self::Shared(place) if place.label == Some(label))
    }
}

/// A copied write joins the chunk before it up to this size, so that small answers share one.
const OWN_CHUNK_BYTES_MAX: usize = 16 * 1024;
/// The capacity a spare chunk may keep while nothing is queued.
const SPARE_BYTES_MAX: usize = 16 * 1024;
/// Number of chunks one `writev` is offered.
pub(crate) const SLICES_MAX: usize = 32;

/// Frames in the order they go out.
#[derive(Debug, Default)]
pub(crate) struct OutputQueue {
    chunks: Blocks<OutputChunk>,
    /// Bytes of the first chunk that are sent.
    sent: usize,
    bytes: usize,
    /// The sum of what chunks take that no other queue has a part in.
    private_bytes: usize,
    spare: Vec<u8>,
}

/// Takes back what was appended when `write` panics.
struct Undo<'a> {
    chunk: &'a mut Vec<u8>,
    len: usize,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        self.chunk.truncate(self.len);
    }
}

impl OutputQueue {
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes of memory that it shares with no other queue; the sent part of the first
    /// chunk counts no more.
    pub(crate) fn private_bytes(&self) -> usize {
        match self.chunks.front() {
            Some(OutputChunk::Shared(place)) if place.is_in_ledger => self.private_bytes,
            _ => self.private_bytes.saturating_sub(self.sent),
        }
    }

    /// Lets `write` append to the last copied chunk; returns how much it added.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let joins = matches!(self.chunks.back(), Some(OutputChunk::Own(b)) if b.len() < OWN_CHUNK_BYTES_MAX);
        if !joins {
            self.chunks
                .push_back(OutputChunk::Own(std::mem::take(&mut self.spare)));
        }
        let Some(OutputChunk::Own(chunk)) = self.chunks.back_mut() else {
            return 0;
        };
        let before = chunk.len();
        let undo = Undo {
            chunk: &mut *chunk,
            len: before,
        };
        write(undo.chunk);
        std::mem::forget(undo);
        let added = chunk.len().saturating_sub(before);
        if chunk.is_empty()
            && let Some(OutputChunk::Own(unused)) = self.chunks.pop_back()
        {
            self.spare = unused;
        }
        self.bytes += added;
        self.private_bytes += added;
        added
    }

    /// Drops the chunk that a panic in [`append`](Self::append) has left empty.
    #[cold]
    pub(crate) fn drop_empty(&mut self) {
        if matches!(self.chunks.back(), Some(OutputChunk::Own(chunk)) if chunk.is_empty()) {
            self.chunks.pop_back();
        }
    }

    /// Lets go of the room that it has for more, when it is empty.
    pub(crate) fn trim(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Queues bytes by reference; with a label, [`drop_oldest`](Self::drop_oldest) may take them out again.
    /// Returns how much more is [private](Self::private_bytes).
    pub(crate) fn push(
        &mut self,
        shared: &Shared,
        label: Option<u32>,
        ledger: &Arc<Ledger>,
    ) -> usize {
        if shared.is_empty() {
            return 0;
        }
        let place = QueuePosition {
            is_in_ledger: shared.enter(ledger),
            shared: shared.clone(),
            label,
        };
        let added = place.private_bytes();
        self.bytes += shared.len();
        self.private_bytes += added;
        self.chunks.push_back(OutputChunk::Shared(place));
        added
    }

    /// Takes out the oldest chunk with that label of which nothing is sent; returns its length.
    pub(crate) fn drop_oldest(&mut self, label: u32) -> Option<usize> {
        let first = usize::from(self.sent > 0);
        let is_labelled = |chunk: &OutputChunk| chunk.has_label(label);
        let place = self.chunks.position(first, is_labelled)?;
        let chunk = self.chunks.remove(place)?;
        let (len, private_bytes) = chunk.sizes();
        self.bytes -= len;
        self.private_bytes -= private_bytes;
        Some(len)
    }

    /// Takes out all chunks of which nothing is sent.
    pub(crate) fn drop_unbegun(&mut self) {
        let begun = usize::from(self.sent > 0);
        let (bytes, private_bytes) = (&mut self.bytes, &mut self.private_bytes);
        self.chunks.truncate(begun, |chunk| {
            let sizes = chunk.sizes();
            *bytes -= sizes.0;
            *private_bytes -= sizes.1;
        });
    }

    /// Queues bytes ahead of all shared ones of which nothing is sent, but behind other urgent ones.
    /// Returns how many there are.
    pub(crate) fn push_urgent(&mut self, bytes: &[u8]) -> usize {
        let first = usize::from(self.sent > 0);
        let is_shared = |chunk: &OutputChunk| !matches!(chunk, OutputChunk::Own(_));
        match self.chunks.position(first, is_shared) {
            None => {
                self.append(|out| out.extend_from_slice(bytes));
            }
            Some(_) if bytes.is_empty() => {}
            Some(place) => {
                self.bytes += bytes.len();
                self.private_bytes += bytes.len();
                let chunk = OutputChunk::Own(bytes.to_vec());
                self.chunks.insert(place, chunk);
            }
        }
        bytes.len()
    }

    /// The bytes to send next, as far as they lie in one piece.
    #[cfg(feature = "tls")]
    pub(crate) fn front(&self) -> &[u8] {
        self.chunks
            .front()
            .and_then(|chunk| chunk.bytes().get(self.sent..))
            .unwrap_or_default()
    }

    /// Length of the second piece; 0 when there is none.
    #[cfg(feature = "tls")]
    pub(crate) fn second_len(&self) -> usize {
        self.chunks.second().map_or(0, |chunk| chunk.sizes().0)
    }

    /// Copies the first bytes, up to `room`, into `record`.
    #[cfg(feature = "tls")]
    pub(crate) fn gather(&self, record: &mut Vec<u8>, room: usize) {
        let mut skip = self.sent;
        // Much quicker than a loop, as each block is one of its own then.
        self.chunks.iter().try_for_each(|chunk| {
            let left = room.saturating_sub(record.len());
            if left == 0 {
                return None;
            }
            let bytes = chunk.bytes().get(skip..).unwrap_or_default();
            record.extend_from_slice(bytes.get(..left).unwrap_or(bytes));
            skip = 0;
            Some(())
        });
    }

    /// The first pieces, for one vectored write.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut skip = self.sent;
        let mut used = 0;
        let mut slices = slices.iter_mut();
        self.chunks.iter().try_for_each(|chunk| {
            let slice = slices.next()?;
            *slice = IoSlice::new(part(chunk.bytes(), skip..));
            skip = 0;
            used += 1;
            Some(())
        });
        used
    }

    /// Drops the first `count` bytes: they were sent.
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.bytes, "more sent than was queued");
        self.bytes = self.bytes.saturating_sub(count);
        self.sent += count;
        while let Some(chunk) = self.chunks.front() {
            let (len, private_bytes) = chunk.sizes();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            self.private_bytes -= private_bytes;
            match self.chunks.pop_front() {
                Some(OutputChunk::Own(mut bytes)) if bytes.capacity() <= SPARE_BYTES_MAX => {
                    bytes.clear();
                    self.spare = bytes;
                }
                _ => {}
            }
        }
        self.sent = 0;
    }

    #[cfg(feature = "tls")]
    pub(crate) fn clear(&mut self) {
        self.advance(self.bytes);
    }

    /// The bytes that the ledger has for this queue: where they are, and how many.
    #[cfg(test)]
    pub(crate) fn in_ledger(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.chunks.iter().filter_map(|chunk| match chunk {
            OutputChunk::Shared(place) if place.is_in_ledger => Some(place.shared.frame()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_write_leaves_nothing() {
        let (mut queue, ledger) = (OutputQueue::default(), Ledger::new());
        queue.append(|_| {});
        queue.push(&Shared::from(b"".as_slice()), None, &ledger);
        assert!(queue.is_empty());
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        assert_eq!(queue.slices(&mut slices), 0);
    }

    /// Bytes left to send.
    fn rest(queue: &OutputQueue) -> Vec<u8> {
        let mut skip = queue.sent;
        let chunks = queue.chunks.iter();
        let rest: Vec<u8> = chunks
            .flat_map(|chunk| chunk.bytes()[std::mem::take(&mut skip)..].to_vec())
            .collect();
        assert_eq!(rest.len(), queue.len());
        rest
    }

    #[test]
    fn what_is_urgent_passes_what_is_shared_and_not_begun() {
        let (mut queue, ledger) = (OutputQueue::default(), Ledger::new());
        queue.push_urgent(b"u");
        queue.append(|out| out.extend_from_slice(b"head"));
        queue.push(&Shared::from(b"first".as_slice()), None, &ledger);
        queue.push(&Shared::from(b"second".as_slice()), None, &ledger);
        queue.append(|out| out.extend_from_slice(b"own"));
        queue.push_urgent(b"1");
        queue.push_urgent(b"");
        queue.push_urgent(b"2");
        assert_eq!(rest(&queue), b"uhead12firstsecondown");
        queue.advance(9); // into "first"
        queue.push_urgent(b"3");
        queue.push_urgent(b"4");
        assert_eq!(rest(&queue), b"rst34secondown");
    }

    #[test]
    fn the_oldest_of_a_label_gives_way() {
        let (mut queue, ledger) = (OutputQueue::default(), Ledger::new());
        for (text, label) in [("a1", 1), ("b1", 2), ("a2", 1), ("a3", 1)] {
            queue.push(&Shared::from(text.as_bytes()), Some(label), &ledger);
        }
        queue.advance(1); // of "a1" something is gone already
        assert_eq!(queue.drop_oldest(1), Some(2));
        assert_eq!(rest(&queue), b"1b1a3");
        assert_eq!(queue.drop_oldest(1), Some(2));
        assert_eq!(queue.drop_oldest(1), None);
        assert_eq!(queue.drop_oldest(2), Some(2));
        assert_eq!(rest(&queue), b"1");
    }

    #[test]
    fn what_is_begun_stays_when_the_rest_is_dropped() {
        let (mut queue, ledger) = (OutputQueue::default(), Ledger::new());
        queue.drop_unbegun();
        assert!(queue.is_empty());
        queue.push(&Shared::from(b"first".as_slice()), None, &ledger);
        queue.append(|out| out.extend_from_slice(b"own"));
        queue.push(&Shared::from(b"last".as_slice()), Some(1), &ledger);
        queue.advance(2);
        queue.drop_unbegun();
        assert_eq!(rest(&queue), b"rst");
        queue.append(|out| out.extend_from_slice(b"bye"));
        assert_eq!(rest(&queue), b"rstbye");
        queue.advance(3);
        queue.drop_unbegun();
        assert_eq!(rest(&queue), b"");
    }

    proptest! {
        /// Whatever is queued comes out once and in order, however it is taken.
        #[test]
        fn keeps_order(
            writes in proptest::collection::vec((any::<bool>(), 0..9_000usize), 0..20),
            takes in proptest::collection::vec(1..20_000usize, 1..40),
        ) {
            let (mut queue, ledger) = (OutputQueue::default(), Ledger::new());
            let mut expected = Vec::new();
            for (n, &(shared, len)) in writes.iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|i| (i ^ n).to_le_bytes()[0]).collect();
                expected.extend_from_slice(&bytes);
                if shared {
                    queue.push(&Shared::from(bytes), None, &ledger);
                } else {
                    queue.append(|out| out.extend_from_slice(&bytes));
                }
            }
            prop_assert_eq!(queue.len(), expected.len());
            let mut sent = Vec::new();
            for take in takes.iter().cycle() {
                if queue.is_empty() {
                    break;
                }
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let used = queue.slices(&mut slices);
                let joined: Vec<u8> = slices[..used].iter().flat_map(|s| s.to_vec()).collect();
                let take = (*take).min(joined.len());
                sent.extend_from_slice(&joined[..take]);
                queue.advance(take);
            }
            prop_assert_eq!(sent, expected);
            prop_assert_eq!(queue.len(), 0);
        }
    }
}
