//! The output queue of a connection.

use std::hint::black_box;
use std::io::IoSlice;

use self::output_queue::{OutputQueue, SLICES_MAX};
use self::shared::{Ledger, Shared};
use super::Repeat;

// Nobody outside of the reactor has a queue, so the benchmark compiles its own.
#[path = "../../src/reactor/blocks.rs"]
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "a part of the library, and only some of it is used here"
)]
mod blocks;
#[path = "../../src/reactor/output_queue.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "a part of the library, and only some of it is used here"
)]
mod output_queue;
#[path = "../../src/reactor/shared.rs"]
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "a part of the library, and only some of it is used here"
)]
mod shared;

/// Size of a TLS record.
const RECORD_BYTES: usize = 16 << 10;

/// Bytes copied in, as answers are, and gone with one write.
pub(crate) fn append_and_drain(repeat: impl Repeat, bytes: usize) {
    let response = vec![b'x'; bytes];
    let mut queue = OutputQueue::default();
    repeat.repeat(|| {
        let added = queue.append(|out| out.extend_from_slice(black_box(&response)));
        queue.advance(added);
        queue.len()
    });
}

/// Bytes queued by reference, as broadcasts are, and gone with one write.
pub(crate) fn push_and_drain(repeat: impl Repeat, bytes: usize) {
    let frame = Shared::from(vec![b'x'; bytes]);
    let (mut queue, ledger) = (OutputQueue::default(), Ledger::new());
    repeat.repeat(|| {
        queue.push(black_box(&frame), None, &ledger);
        queue.advance(bytes);
        queue.len()
    });
}

/// Queue behind so many messages of a broadcast.
fn behind(frames: usize, bytes: usize) -> OutputQueue {
    let frame = Shared::from(vec![b'x'; bytes]);
    let (mut queue, ledger) = (OutputQueue::default(), Ledger::new());
    for _ in 0..frames {
        queue.push(&frame, None, &ledger);
    }
    queue
}

/// As many shared frames as one `writev` is offered, and gone with it.
pub(crate) fn write_vectored(repeat: impl Repeat, bytes: usize) {
    repeat.repeat_on(
        || behind(SLICES_MAX, bytes),
        |queue| {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used = queue.slices(&mut slices);
            black_box(slices);
            queue.advance(used * bytes);
            queue.len()
        },
    );
}

/// Shared frames gathered to one record of TLS, and gone with it.
pub(crate) fn gather(repeat: impl Repeat, bytes: usize) {
    let mut record = Vec::with_capacity(RECORD_BYTES);
    repeat.repeat_on(
        || behind(RECORD_BYTES / bytes, bytes),
        |queue| {
            record.clear();
            queue.gather(&mut record, RECORD_BYTES);
            queue.advance(black_box(record.len()));
            queue.len()
        },
    );
}
