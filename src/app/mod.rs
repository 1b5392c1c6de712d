//! The edgeloop server: configuration, users, chat.

pub mod accounts;
pub mod chat;
pub mod limits;
pub mod passwords;
mod queue;
pub mod reply;
pub mod rules;
pub mod store;
pub mod tokens;
