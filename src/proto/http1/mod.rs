//! HTTP/1.1 server messages (RFC 9110, RFC 9112), sans-IO.
