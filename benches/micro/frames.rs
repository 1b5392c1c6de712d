//! WebSocket frames.

use divan::Bencher;
use divan::counter::BytesCount;

use crate::components::frames::{self, ASCII, GREEK};

const SIZES: [usize; 2] = [64, 16 << 10];

#[divan::bench(args = SIZES)]
fn decode(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    frames::decode(
        bencher.counter(BytesCount::new(payload_bytes)),
        payload_bytes,
    );
}

#[divan::bench(args = SIZES)]
fn encode(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    frames::encode(
        bencher.counter(BytesCount::new(payload_bytes)),
        payload_bytes,
    );
}

#[divan::bench(args = SIZES)]
fn mask_apply(bencher: Bencher<'_, '_>, bytes: usize) {
    frames::mask_apply(bencher.counter(BytesCount::new(bytes)), bytes);
}

#[divan::bench(args = ["ascii", "greek"])]
fn utf8_decode(bencher: Bencher<'_, '_>, language: &str) {
    let word = if language == "ascii" { ASCII } else { GREEK };
    let text = frames::text_of(word);
    frames::utf8_decode(bencher.counter(BytesCount::new(text.len())), &text);
}
