//! An edge-triggered epoll reactor, and the HTTP and WebSocket server machines that run on it.

pub mod proto;
pub mod reactor;
pub mod web;

#[cfg(feature = "app")]
pub mod app;
