//! The edgeloop server: configuration, users, chat.

pub mod accounts;
pub mod cert;
pub mod chat;
pub mod check;
pub mod cli;
pub mod config;
pub mod limits;
pub mod logging;
pub mod passwords;
mod queue;
pub mod reply;
pub mod rules;
pub mod server;
pub mod store;
pub mod tls_files;
pub mod tokens;
