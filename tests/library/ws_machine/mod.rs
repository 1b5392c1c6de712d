//! The WebSocket machine through its public API: what the bytes say must not depend on how they
//! were cut on their way.

mod against_tungstenite;
mod buffers;
#[cfg(feature = "ws")]
mod compression;
mod drive;
mod properties;
mod streams;
#[cfg(feature = "ws")]
mod too_long;
