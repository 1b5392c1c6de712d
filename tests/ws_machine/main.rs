//! The WebSocket machine through its public API: what the bytes say must not depend on how they
//! were cut on their way.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod against_tungstenite;
mod buffers;
#[cfg(feature = "ws")]
mod compression;
mod drive;
mod properties;
mod streams;
mod vectors;
