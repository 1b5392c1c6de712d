//! HTTP/1.1.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use edgeloop::proto::http1::date;

use crate::components::http::{self, BODY_BYTES, BROWSER_GET, SMALL_GET};

#[divan::bench(args = [100, 700])]
fn head_parse(bencher: Bencher<'_, '_>, head_bytes: usize) {
    let heads = [SMALL_GET, BROWSER_GET];
    let mut heads = heads.into_iter();
    let input = heads.find(|head| head.len() == head_bytes).unwrap();
    http::head_parse(bencher.counter(BytesCount::new(head_bytes)), input);
}

/// Cost of decoding chunks of this size: data is handed on unread.
#[divan::bench(args = [64, 4096])]
fn chunked_decode(bencher: Bencher<'_, '_>, chunk_bytes: usize) {
    let chunks = ItemsCount::new(BODY_BYTES.div_ceil(chunk_bytes));
    http::chunked_decode(bencher.counter(chunks), chunk_bytes);
}

#[divan::bench]
fn head_encode(bencher: Bencher<'_, '_>) {
    http::head_encode(bencher);
}

#[divan::bench]
fn date_format(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| date::format(black_box(784_111_777)));
}
