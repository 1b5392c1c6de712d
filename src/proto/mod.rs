//! Sans-IO protocol machines: no socket, clock, thread or log in this layer.

pub mod http1;
pub mod proxy;
#[cfg(feature = "tls")]
pub mod tls;
pub mod ws;
