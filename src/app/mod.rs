//! The edgeloop server: configuration, users, chat.
//!
//! [`server`] wires it together, [`site`] is the service that answers. Everything that blocks,
//! the database and password hashing, has threads of its own and answers by mail.

pub mod accounts;
pub mod answers;
pub mod assets;
pub mod bearer;
pub mod cert;
pub mod chain;
pub mod chat;
pub mod check;
pub mod cli;
pub mod config;
mod descriptors;
pub mod forms;
pub mod gate;
pub mod handover;
mod hosts;
pub mod limits;
pub mod logging;
pub mod marks;
mod memory;
mod metrics;
pub mod passwords;
mod pem_file;
mod queue;
pub mod reload;
pub mod reply;
pub mod routes;
pub mod rules;
pub mod server;
pub mod signals;
pub mod site;
mod sockets;
pub mod store;
mod supervisor;
pub mod talk;
pub mod tls_files;
mod tls_names;
pub mod tokens;
