//! The edgeloop server: configuration, users, chat.

pub mod cert;
pub mod config;
pub mod tls_files;
