//! The library through its public API, with whatever features it is built.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod http1_differential;
mod http1_properties;
mod http1_vectors;
mod layers;
mod links;
mod reactor;
#[cfg(feature = "files")]
mod static_files;
#[path = "../vectors/mod.rs"]
mod vectors;
mod words;
mod ws_machine;
