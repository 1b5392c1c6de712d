//! WebSocket server protocol (RFC 6455), sans-IO.
