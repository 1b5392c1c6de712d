//! Messages of the chat.

use divan::Bencher;
use divan::counter::ItemsCount;

use crate::components::chat;

#[divan::bench]
fn received(bencher: Bencher<'_, '_>) {
    chat::received(bencher);
}

/// Of one to all: queued, not yet encrypted and written.
#[divan::bench(args = [100, 1000], sample_size = 1)]
fn to_all(bencher: Bencher<'_, '_>, users: usize) {
    chat::to_all(bencher.counter(ItemsCount::new(users)), users);
}
