//! Requests and messages from a socket's input to the output queue.

use divan::Bencher;

use crate::components::web;

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    web::get(bencher);
}

#[divan::bench]
fn echo(bencher: Bencher<'_, '_>) {
    web::echo(bencher, 64);
}
