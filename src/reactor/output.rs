//! What waits to be sent: a queue of plaintext frames, some of them shared between connections.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

/// Bytes made once and queued on any number of connections without a copy.
///
/// ```
/// use edgeloop::reactor::Shared;
///
/// let page = Shared::from(b"hello, world".as_slice());
/// assert_eq!(page.slice(7..12).as_ref(), b"world");
/// ```
#[derive(Clone, Debug)]
pub struct Shared {
    bytes: Arc<[u8]>,
    range: Range<usize>,
}

/// Copied, they are written as fast as memory takes them, without optimisation, too.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

impl Shared {
    /// A part of the same bytes. A range that reaches outside of them is cut to what is there.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let start = self
            .range
            .start
            .saturating_add(range.start)
            .min(self.range.end);
        let end = self
            .range
            .start
            .saturating_add(range.end)
            .clamp(start, self.range.end);
        Self {
            bytes: Arc::clone(&self.bytes),
            range: start..end,
        }
    }

    /// Lets `fill` write `len` bytes, which are zero at first, where they stay: no copy is made.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn fill<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut bytes: Arc<[u8]> = match ZEROS.get(..len) {
            Some(zeros) => Arc::from(zeros),
            None => Arc::from(vec![0; len]),
        };
        fill(Arc::get_mut(&mut bytes).unwrap_or_default())?;
        Ok(Self {
            bytes,
            range: 0..len,
        })
    }

    /// The bytes, to be written anew, if nobody else holds them.
    pub(crate) fn get_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.bytes)?.get_mut(self.range.clone())
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<&[u8]> for Shared {
    fn from(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            range: 0..bytes.len(),
        }
    }
}

impl From<Vec<u8>> for Shared {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            range: 0..bytes.len(),
            bytes: bytes.into(),
        }
    }
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Shared),
    /// One that may give way to a later one with the same label.
    Labelled(Shared, u32),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(shared) | Self::Labelled(shared, _) => shared.as_ref(),
        }
    }
}

/// A copied write joins the chunk before it up to this size, so that small answers share one.
const OWN_CHUNK_BYTES_MAX: usize = 16 * 1024;
/// The capacity a spare chunk may keep while nothing is queued.
const SPARE_BYTES_MAX: usize = 16 * 1024;
/// How many chunks one `writev` is offered.
pub(crate) const SLICES_MAX: usize = 32;

/// Frames in the order they go out.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk is gone already.
    sent: usize,
    bytes: usize,
    spare: Vec<u8>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Lets `write` append to the last copied chunk; returns how much it added.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let joins =
            matches!(self.chunks.back(), Some(Chunk::Own(b)) if b.len() < OWN_CHUNK_BYTES_MAX);
        if !joins {
            self.chunks
                .push_back(Chunk::Own(std::mem::take(&mut self.spare)));
        }
        let Some(Chunk::Own(chunk)) = self.chunks.back_mut() else {
            return 0;
        };
        let before = chunk.len();
        write(chunk);
        let added = chunk.len().saturating_sub(before);
        if chunk.is_empty()
            && let Some(Chunk::Own(unused)) = self.chunks.pop_back()
        {
            self.spare = unused;
        }
        self.bytes += added;
        added
    }

    pub(crate) fn push(&mut self, shared: &Shared) {
        if !shared.is_empty() {
            self.bytes += shared.len();
            self.chunks.push_back(Chunk::Shared(shared.clone()));
        }
    }

    /// Queues bytes that [`drop_oldest`](Self::drop_oldest) may take out again.
    pub(crate) fn push_labelled(&mut self, shared: &Shared, label: u32) {
        if !shared.is_empty() {
            self.bytes += shared.len();
            self.chunks
                .push_back(Chunk::Labelled(shared.clone(), label));
        }
    }

    /// Takes out the oldest chunk with that label of which nothing is sent; returns its length.
    pub(crate) fn drop_oldest(&mut self, label: u32) -> Option<usize> {
        let first = usize::from(self.sent > 0);
        let mut chunks = self.chunks.iter().skip(first);
        let place =
            chunks.position(|chunk| matches!(chunk, Chunk::Labelled(_, l) if *l == label))?;
        let len = self.chunks.remove(first + place)?.bytes().len();
        self.bytes -= len;
        Some(len)
    }

    /// Takes out all chunks of which nothing is sent; returns how many bytes they were.
    pub(crate) fn drop_unbegun(&mut self) -> usize {
        let begun = usize::from(self.sent > 0);
        let dropped = self.chunks.drain(begun.min(self.chunks.len())..);
        let bytes = dropped.map(|chunk| chunk.bytes().len()).sum();
        self.bytes -= bytes;
        bytes
    }

    /// Queues bytes ahead of all shared ones of which nothing is sent, but behind other urgent ones.
    pub(crate) fn push_urgent(&mut self, bytes: &[u8]) {
        let first = usize::from(self.sent > 0);
        let mut chunks = self.chunks.iter().skip(first);
        match chunks.position(|chunk| !matches!(chunk, Chunk::Own(_))) {
            None => {
                self.append(|out| out.extend_from_slice(bytes));
            }
            Some(_) if bytes.is_empty() => {}
            Some(place) => {
                self.bytes += bytes.len();
                let chunk = Chunk::Own(bytes.to_vec());
                self.chunks.insert(first + place, chunk);
            }
        }
    }

    /// The bytes to send next, as far as they lie in one piece.
    #[cfg(feature = "tls")]
    pub(crate) fn front(&self) -> &[u8] {
        self.chunks
            .front()
            .and_then(|chunk| chunk.bytes().get(self.sent..))
            .unwrap_or_default()
    }

    /// How long the second piece is; 0 when there is none.
    #[cfg(feature = "tls")]
    pub(crate) fn second_len(&self) -> usize {
        self.chunks.get(1).map_or(0, |chunk| chunk.bytes().len())
    }

    /// Copies the first bytes, up to `room`, into `record`.
    #[cfg(feature = "tls")]
    pub(crate) fn gather(&self, record: &mut Vec<u8>, room: usize) {
        let mut skip = self.sent;
        for chunk in &self.chunks {
            let left = room.saturating_sub(record.len());
            if left == 0 {
                return;
            }
            let bytes = chunk.bytes().get(skip..).unwrap_or_default();
            record.extend_from_slice(bytes.get(..left).unwrap_or(bytes));
            skip = 0;
        }
    }

    /// The first pieces, for one vectored write.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut skip = self.sent;
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk.bytes().get(skip..).unwrap_or_default());
            skip = 0;
            used += 1;
        }
        used
    }

    /// Drops the first `count` bytes: they were sent.
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.bytes, "more sent than was queued");
        self.bytes = self.bytes.saturating_sub(count);
        self.sent += count;
        while let Some(chunk) = self.chunks.front() {
            let len = chunk.bytes().len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            if let Some(Chunk::Own(mut bytes)) = self.chunks.pop_front()
                && bytes.capacity() <= SPARE_BYTES_MAX
            {
                bytes.clear();
                self.spare = bytes;
            }
        }
        self.sent = 0;
    }

    #[cfg(feature = "tls")]
    pub(crate) fn clear(&mut self) {
        self.advance(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slice_never_reaches_outside() {
        let shared = Shared::from(b"0123456789".as_slice());
        let part = shared.slice(2..6);
        assert_eq!(part.as_ref(), b"2345");
        assert_eq!(part.slice(1..99).as_ref(), b"345");
        assert_eq!(part.slice(9..12).as_ref(), b"");
        assert_eq!(part.len(), 4);
    }

    #[test]
    fn an_empty_write_leaves_nothing() {
        let mut queue = Queue::default();
        queue.append(|_| {});
        queue.push(&Shared::from(b"".as_slice()));
        assert!(queue.is_empty());
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        assert_eq!(queue.slices(&mut slices), 0);
    }

    /// What is left to send.
    fn rest(queue: &Queue) -> Vec<u8> {
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
        let mut queue = Queue::default();
        queue.push_urgent(b"u");
        queue.append(|out| out.extend_from_slice(b"head"));
        queue.push(&Shared::from(b"first".as_slice()));
        queue.push(&Shared::from(b"second".as_slice()));
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
        let mut queue = Queue::default();
        for (text, label) in [("a1", 1), ("b1", 2), ("a2", 1), ("a3", 1)] {
            queue.push_labelled(&Shared::from(text.as_bytes()), label);
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
        let mut queue = Queue::default();
        assert_eq!(queue.drop_unbegun(), 0);
        queue.push(&Shared::from(b"first".as_slice()));
        queue.append(|out| out.extend_from_slice(b"own"));
        queue.push_labelled(&Shared::from(b"last".as_slice()), 1);
        queue.advance(2);
        assert_eq!(queue.drop_unbegun(), 7);
        assert_eq!(rest(&queue), b"rst");
        queue.append(|out| out.extend_from_slice(b"bye"));
        assert_eq!(rest(&queue), b"rstbye");
        queue.advance(3);
        assert_eq!(queue.drop_unbegun(), 3);
        assert_eq!(rest(&queue), b"");
    }

    proptest! {
        /// Whatever is queued comes out once and in order, however it is taken.
        #[test]
        fn keeps_order(
            writes in proptest::collection::vec((any::<bool>(), 0..9_000usize), 0..20),
            takes in proptest::collection::vec(1..20_000usize, 1..40),
        ) {
            let mut queue = Queue::default();
            let mut expected = Vec::new();
            for (n, &(shared, len)) in writes.iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|i| (i ^ n).to_le_bytes()[0]).collect();
                expected.extend_from_slice(&bytes);
                if shared {
                    queue.push(&Shared::from(bytes));
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
