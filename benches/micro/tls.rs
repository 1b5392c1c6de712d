//! Records of TLS.

use divan::Bencher;
use divan::counter::BytesCount;

use crate::components::tls;

const SIZES: [usize; 2] = [64, 16 << 10];

#[divan::bench(args = SIZES)]
fn record_in(bencher: Bencher<'_, '_>, bytes: usize) {
    tls::record_in(bencher.counter(BytesCount::new(bytes)), bytes);
}

#[divan::bench(args = SIZES)]
fn record_out(bencher: Bencher<'_, '_>, bytes: usize) {
    tls::record_out(bencher.counter(BytesCount::new(bytes)), bytes);
}
