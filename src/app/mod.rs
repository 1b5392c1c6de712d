//! The edgeloop server: configuration, users, chat.
