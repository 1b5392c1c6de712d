//! TLS records in and out, sans-IO.
