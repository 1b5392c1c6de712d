//! Session tokens.

use divan::Bencher;

use crate::components::tokens;

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    tokens::verify(bencher);
}
