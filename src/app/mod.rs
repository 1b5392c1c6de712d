//! The edgeloop server: configuration, users, chat.

pub mod config;
