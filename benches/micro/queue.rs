//! The output queue of a connection.

use divan::Bencher;

use crate::components::queue;

#[divan::bench(args = [64, 4096])]
fn append_and_drain(bencher: Bencher<'_, '_>, bytes: usize) {
    queue::append_and_drain(bencher, bytes);
}

#[divan::bench]
fn push_and_drain(bencher: Bencher<'_, '_>) {
    queue::push_and_drain(bencher, 128);
}

/// 32 frames.
#[divan::bench]
fn write_vectored(bencher: Bencher<'_, '_>) {
    queue::write_vectored(bencher, 128);
}

/// 128 frames, 16 KiB.
#[divan::bench]
fn gather(bencher: Bencher<'_, '_>) {
    queue::gather(bencher, 128);
}
