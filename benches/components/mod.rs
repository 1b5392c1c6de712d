//! The usual operations of the server's components, one each, set up in memory.
//!
//! `benches/micro` measures how long they take, `benches/instructions` how many instructions.

pub(crate) mod callback;
pub(crate) mod chat;
pub(crate) mod deflate;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod queue;
pub(crate) mod router;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod web;
pub(crate) mod wheel;

/// Does an operation as often as it takes to measure it.
pub(crate) trait Repeat {
    /// Does it on whatever it holds.
    fn repeat<T>(self, operation: impl FnMut() -> T);

    /// Does it on an input of its own each time, in the order in which they are made. Making them is not
    /// measured.
    fn repeat_on<I, T>(self, input: impl FnMut() -> I, operation: impl FnMut(&mut I) -> T);
}
