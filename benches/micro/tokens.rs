//! Session tokens.

use divan::Bencher;

use crate::parts::tokens;

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    tokens::verify(bencher);
}
