//! The cost of the server's components alone: `cargo bench --bench micro`
//!
//! With a part's name behind `--`, such as `wheel` or `tls::record_in`, only that. The operations are those
//! of `benches/parts`, unless nothing else measures them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that fails has nothing to measure"
)]

use edgeloop::invariant;
mod chat;
#[path = "../client/mod.rs"]
mod client;
#[path = "../components/mod.rs"]
mod components;
mod deflate;
mod frames;
mod http;
mod queue;
mod router;
mod tls;
mod tokens;
mod web;
mod wheel;

use divan::Bencher;

use self::components::Repeat;

impl Repeat for Bencher<'_, '_> {
    fn repeat<T>(self, operation: impl FnMut() -> T) {
        self.bench_local(operation);
    }

    fn repeat_on<I, T>(self, input: impl FnMut() -> I, operation: impl FnMut(&mut I) -> T) {
        self.with_inputs(input).bench_local_refs(operation);
    }
}

fn main() {
    divan::main();
}
