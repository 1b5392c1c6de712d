//! HTTP and WebSocket services over the reactor.
