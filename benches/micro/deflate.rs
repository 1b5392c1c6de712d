//! Compressed messages.

use divan::Bencher;
use divan::counter::BytesCount;

use crate::components::deflate;

const SIZES: [usize; 3] = [100, 1 << 10, 16 << 10];

#[divan::bench(args = SIZES)]
fn compress(bencher: Bencher<'_, '_>, bytes: usize) {
    deflate::compress(bencher.counter(BytesCount::new(bytes)), bytes);
}

#[divan::bench(args = SIZES)]
fn decompress(bencher: Bencher<'_, '_>, bytes: usize) {
    deflate::decompress(bencher.counter(BytesCount::new(bytes)), bytes);
}
