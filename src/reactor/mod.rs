//! The event loop: the only layer with sockets and clocks.
