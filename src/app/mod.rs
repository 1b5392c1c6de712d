//! The edgeloop server: configuration, users, chat.

pub mod cert;
pub mod check;
pub mod cli;
pub mod config;
pub mod logging;
pub mod server;
pub mod tls_files;
