//! The server, as a process of its own, driven over real sockets by clients that are not ours.
//!
//! One program for all of it: it is linked once.

#![cfg(feature = "app")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod browser_chat;
mod browser_harness;
mod browser_line;
mod browser_storage;
mod browser_words;
mod chat;
mod clients;
mod config;
mod cors;
mod crash;
mod errors;
mod events;
mod faults;
mod handover;
mod handshake;
mod http1_over_tls;
mod identity;
mod keep_alive;
mod legacy_db;
mod limits;
mod listeners;
mod log_file;
mod logins;
mod maintenance;
mod me;
mod metrics;
mod names;
mod pages;
mod pipelining;
mod presence;
mod proxies;
mod public_files;
mod register_login;
mod regressions;
mod reload;
mod shutdown;
mod storage;
mod support;
mod tls;
mod too_long;
#[path = "../vectors/mod.rs"]
mod vectors;
mod ws_clients;
mod ws_protocol;
