//! The edgeloop server: configuration, users, chat.

pub mod chat;
pub mod limits;
