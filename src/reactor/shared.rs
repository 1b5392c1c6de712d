//! Bytes that exist once and are queued on many connections, and their sum.

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

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
    frame: Arc<Frame>,
    range: Range<usize>,
}

/// The bytes, and who of the queues has them.
#[derive(Debug, Default)]
struct Frame {
    bytes: Box<[u8]>,
    /// Of the reactor that queued them first; only that one counts them as shared.
    ledger: OnceLock<Arc<Ledger>>,
    /// Number of places its queues have for them. Only that reactor's thread looks at it.
    places: AtomicUsize,
}

/// Memory of a frame beside its bytes, with its two reference counts.
pub(super) const HEADER_BYTES: usize = size_of::<Frame>() + 2 * size_of::<usize>();

impl Frame {
    /// With short ones the bytes are less than half of it.
    fn memory_bytes(&self) -> usize {
        self.bytes.len() + HEADER_BYTES
    }
}

/// Bytes that any number of a reactor's queues hold and that exist once: the sum over them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Written by the reactor's thread alone.
    bytes: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }
}

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
            frame: Arc::clone(&self.frame),
            range: start..end,
        }
    }

    /// Lets `fill` write `len` bytes, which are zero at first, where they stay: no copy is made.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn fill<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut bytes = vec![0; len].into_boxed_slice();
        fill(&mut bytes)?;
        Ok(Self::of(bytes))
    }

    fn of(bytes: Box<[u8]>) -> Self {
        let range = 0..bytes.len();
        let frame = Arc::new(Frame {
            bytes,
            ..Frame::default()
        });
        Self { frame, range }
    }

    /// A queue has one more place for these bytes. Returns whether `ledger` has them: not if another
    /// reactor had them first.
    pub(super) fn enter(&self, ledger: &Arc<Ledger>) -> bool {
        let frame = &*self.frame;
        let first = frame.ledger.get_or_init(|| Arc::clone(ledger));
        if !Arc::ptr_eq(first, ledger) {
            return false;
        }
        let places = frame.places.load(Relaxed);
        frame.places.store(places + 1, Relaxed);
        if places == 0 {
            let bytes = ledger.bytes() + frame.memory_bytes();
            ledger.bytes.store(bytes, Relaxed);
        }
        true
    }

    /// One of the places for which [`enter`](Self::enter) returned `true` is gone.
    pub(super) fn leave(&self) {
        let frame = &*self.frame;
        let places = frame.places.load(Relaxed).saturating_sub(1);
        frame.places.store(places, Relaxed);
        if places == 0
            && let Some(ledger) = frame.ledger.get()
        {
            debug_assert!(ledger.bytes() >= frame.memory_bytes(), "bytes left twice");
            let bytes = ledger.bytes().saturating_sub(frame.memory_bytes());
            ledger.bytes.store(bytes, Relaxed);
        }
    }

    /// Address and memory of the whole of which this is a part.
    #[cfg(test)]
    pub(super) fn frame(&self) -> (usize, usize) {
        (self.frame.bytes.as_ptr().addr(), self.frame.memory_bytes())
    }

    /// The bytes, to be written anew, if nobody else holds them.
    pub(crate) fn get_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.frame)?
            .bytes
            .get_mut(self.range.clone())
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Returns `true` if there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.frame.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<&[u8]> for Shared {
    fn from(bytes: &[u8]) -> Self {
        Self::of(bytes.into())
    }
}

impl From<Vec<u8>> for Shared {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of(bytes.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
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
    fn bytes_count_once_for_the_reactor_that_had_them_first() {
        let (first, second) = (Ledger::new(), Ledger::new());
        let shared = Shared::from(vec![0; 100]);
        let part = shared.slice(10..20);
        assert!(shared.enter(&first) && part.enter(&first));
        assert!(!shared.enter(&second));
        let bytes = 100 + HEADER_BYTES;
        assert_eq!((first.bytes(), second.bytes()), (bytes, 0));
        shared.leave();
        assert_eq!(first.bytes(), bytes);
        part.leave();
        assert_eq!(first.bytes(), 0);
        assert!(part.enter(&first));
        assert_eq!(first.bytes(), bytes);
        part.leave();
    }
}
