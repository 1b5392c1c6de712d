//! What the end-to-end tests share: a server process of their own, and clients for it.
//!
//! Nothing here sleeps to let something happen. Every wait is for a condition, ends as soon as it
//! holds, and fails after [`deadline::PATIENCE`] with what was seen instead.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file compiles its own copy and uses its own part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub mod browser;
pub mod command;
pub mod deadline;
pub mod http;
pub mod server;
pub mod users;
pub mod ws;

pub use deadline::{Deadline, wait_for};
pub use http::{Connection, Response};
pub use server::{Folder, Server};
pub use ws::Socket;
