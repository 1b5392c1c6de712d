//! The edgeloop server: configuration, users, chat.
//!
//! [`server`] wires it together, [`site`] is the service that answers. Everything that blocks,
//! the database and password hashing, has threads of its own and answers by mail.

pub mod accounts;
pub mod admission;
pub mod assets;
pub mod bearer;
pub mod cert;
pub mod chain;
pub mod chat;
pub mod cli;
pub mod completion;
pub mod config;
mod fd_limit;
pub mod handover;
mod hosts;
pub mod json_body;
pub mod json_responses;
pub mod limits;
pub mod logging;
mod memory_limit;
mod metrics;
pub mod passwords;
mod pem_file;
pub mod preflight;
pub mod pseudonyms;
pub mod publisher;
mod queue;
pub mod reload;
pub mod routes;
pub mod server;
pub mod signals;
pub mod site;
mod sockets;
pub mod store;
mod systemd;
pub mod tls_files;
mod tls_names;
pub mod tokens;
pub mod validation;
