//! The DEFLATE of flate2 and zlib-rs, message by message (RFC 7692 §7.2).

use std::fmt;

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};

use super::super::WsError;
use super::{Compression, Direction, WindowBits};
use crate::invariant::part;

/// End of a flush: an empty block that is not on the wire (§7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// An empty block, and one that ends the stream: what an inflater between two blocks takes
/// without a word.
const EMPTY_BLOCK: [u8; 5] = [0x00, 0x00, 0x00, 0xFF, 0xFF];
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xFF, 0xFF];
/// Bytes that are decompressed at a time.
const CHUNK_BYTES: usize = 8 << 10;
/// From this size on a message is compressed when a part from its middle has shown that it is worth
/// it: what is compressed already, as pictures are, would take long for nothing.
const PROBED_BYTES_MIN: usize = 32 << 10;
const PROBE_BYTES: usize = 4 << 10;
/// Limit on the output buffer's room between messages.
const SPARE_BYTES_MAX: usize = 64 << 10;
/// Times a stream may end within a message: a flush may be written so (§7.2.3.4), but each
/// costs a reset.
const STREAM_ENDS_MAX: u16 = 256;

/// Decompresses one message after the other. About 55 KiB.
pub struct Inflater {
    stream: Decompress,
    keeps_window: bool,
    /// The stream has ended, and nothing came after.
    has_ended: bool,
    /// It is not as new.
    is_used: bool,
    stream_ends: u16,
    chunk: [u8; CHUNK_BYTES],
}

impl Inflater {
    /// One that keeps no window takes what was compressed with any.
    pub(in super::super) fn boxed(direction: Direction) -> Box<Self> {
        let bits = if direction.keeps_window() {
            direction.window_bits()
        } else {
            WindowBits::MAX
        };
        Box::new(Self {
            stream: Decompress::new_with_window_bits(false, bits.for_library()),
            keeps_window: direction.keeps_window(),
            has_ended: false,
            is_used: false,
            stream_ends: 0,
            chunk: [0; CHUNK_BYTES],
        })
    }

    /// Decompresses the next bytes of a message into `sink`, as much as they are; stops when it
    /// has enough.
    pub(in super::super) fn inflate(
        &mut self,
        mut input: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), WsError>,
    ) -> Result<(), WsError> {
        self.is_used = true;
        loop {
            if self.has_ended && !input.is_empty() {
                self.stream_ends += 1;
                if self.stream_ends > STREAM_ENDS_MAX {
                    return Err(WsError::DeflateInvalid);
                }
                self.stream.reset(false);
                self.has_ended = false;
            }
            let before = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(input, &mut self.chunk, FlushDecompress::None);
            let taken = count(before.0, self.stream.total_in());
            let made = count(before.1, self.stream.total_out());
            // What came before an error counts, too: where it was cut makes no difference.
            if made > 0 {
                sink(part(&self.chunk, ..made))?;
            }
            input = part(input, taken..);
            match status {
                Err(_) => return Err(WsError::DeflateInvalid),
                Ok(Status::StreamEnd) => self.has_ended = true,
                Ok(Status::Ok | Status::BufError) => {
                    if made < CHUNK_BYTES && (input.is_empty() || taken == 0) {
                        return Ok(());
                    }
                }
            }
            if self.has_ended && input.is_empty() {
                return Ok(());
            }
        }
    }

    /// The message has ended, and so must its last block have (§7.2.2). `is_empty` when it had no
    /// byte at all: some take nothing for the compressed form of nothing.
    pub(in super::super) fn finish(
        &mut self,
        is_empty: bool,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), WsError>,
    ) -> Result<(), WsError> {
        if !is_empty && !self.has_ended {
            self.inflate(&TAIL, sink)?;
            let probe = if self.keeps_window {
                &EMPTY_BLOCK
            } else {
                &LAST_BLOCK
            };
            let mut nothing = |_: &[u8]| Err(WsError::DeflateInvalid);
            self.inflate(probe, &mut nothing)?;
            if self.has_ended == self.keeps_window {
                return Err(WsError::DeflateInvalid);
            }
        }
        self.stream_ends = 0;
        if self.has_ended || !self.keeps_window {
            self.reset();
        }
        Ok(())
    }

    /// As if new.
    pub(in super::super) fn reset(&mut self) {
        if self.is_used {
            self.stream.reset(false);
            self.has_ended = false;
            self.is_used = false;
            self.stream_ends = 0;
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

/// Compresses one message after the other.
pub(in super::super) struct Deflater {
    stream: Compress,
    level: u8,
}

impl Deflater {
    fn boxed(bits: WindowBits, level: u8) -> Box<Self> {
        let grade = Level::new(level.clamp(1, 9).into());
        Box::new(Self {
            stream: Compress::new_with_window_bits(grade, false, bits.for_library()),
            level,
        })
    }

    /// Appends the compressed form of `data` to `out` (§7.2.1); `false` when that failed, and
    /// what is there is of no use.
    fn deflate(&mut self, data: &[u8], out: &mut Vec<u8>) -> bool {
        out.reserve(data.len() / 2 + 64);
        let start = self.stream.total_in();
        loop {
            let done = count(start, self.stream.total_in());
            let rest = part(data, done..);
            let status = self.stream.compress_vec(rest, out, FlushCompress::Sync);
            if status.is_err() {
                return false;
            }
            // With room left over, all is out.
            if out.len() < out.capacity() && count(start, self.stream.total_in()) == data.len() {
                break;
            }
            out.reserve(data.len() / 2 + 64);
        }
        let whole = out.len().saturating_sub(TAIL.len());
        let is_flushed = out.get(whole..) == Some(&TAIL);
        out.truncate(whole);
        is_flushed
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

/// Compresses for any number of connections that keep no windows, and lends its buffer to those
/// that do. It holds about 370 KiB for each size of window that was asked for, and 245 KiB
/// for the smallest.
#[derive(Debug, Default)]
pub struct Deflaters {
    each: [Option<Box<Deflater>>; WindowBits::COUNT],
    out: Vec<u8>,
}

impl Deflaters {
    /// The compressed payload of a message for all who agreed on that window, with
    /// [`RESERVED_1`](super::super::frame::RESERVED_1) in its first frame; `None` when it is under the threshold, or
    /// would not be smaller so.
    pub fn compress_without_takeover(
        &mut self,
        how: &Compression,
        bits: WindowBits,
        data: &[u8],
    ) -> Option<&[u8]> {
        if !self.is_worth(how, bits, data) {
            return None;
        }
        self.deflate(how, bits, data)?;
        (self.out.len() < data.len()).then_some(&self.out)
    }

    /// Returns `true` if a message is to be compressed, as far as its size and a part of it tell.
    fn is_worth(&mut self, how: &Compression, bits: WindowBits, data: &[u8]) -> bool {
        if data.len() < PROBED_BYTES_MIN {
            return data.len() >= how.threshold_bytes.max(1);
        }
        let middle = data.len() / 2;
        let part = data.get(middle..).and_then(|rest| rest.get(..PROBE_BYTES));
        let compressed_bytes = part.and_then(|part| self.deflate(how, bits, part));
        compressed_bytes.is_some_and(|bytes| bytes < PROBE_BYTES / 8 * 7)
    }

    /// Compresses into the buffer; gives how long it came to be.
    fn deflate(&mut self, how: &Compression, bits: WindowBits, data: &[u8]) -> Option<usize> {
        let place = self.each.get_mut(bits.index())?;
        let deflater = match place {
            Some(deflater) if deflater.level == how.level => deflater,
            _ => place.insert(Deflater::boxed(bits, how.level)),
        };
        clear(&mut self.out);
        let is_good = deflater.deflate(data, &mut self.out);
        deflater.stream.reset();
        is_good.then_some(self.out.len())
    }

    /// The compressed payload of a message by a compressor that keeps its window, made when there is
    /// none: what it comes to must be sent, smaller or not.
    pub(in super::super) fn compress_with_takeover(
        &mut self,
        how: &Compression,
        bits: WindowBits,
        deflater: &mut Option<Box<Deflater>>,
        data: &[u8],
    ) -> Option<&[u8]> {
        if !self.is_worth(how, bits, data) {
            return None;
        }
        let deflater = deflater.get_or_insert_with(|| Deflater::boxed(bits, how.level));
        clear(&mut self.out);
        if deflater.deflate(data, &mut self.out) {
            return Some(&self.out);
        }
        deflater.stream.reset();
        None
    }
}

fn clear(out: &mut Vec<u8>) {
    out.clear();
    out.shrink_to(SPARE_BYTES_MAX);
}

fn count(before: u64, after: u64) -> usize {
    // Both count what one call did, which has slices for it.
    usize::try_from(after - before).unwrap_or(usize::MAX)
}
