//! The access log: a line for each request that was answered, and for each WebSocket that ended.

use std::time::Duration;

use log::Level;

use crate::app::logging::AddressText;
use crate::web::{Ended, Served};

/// Writes the access log.
#[derive(Debug, Default)]
pub(super) struct AccessLog {
    peer: AddressText,
}

impl AccessLog {
    /// A request was answered.
    pub(super) fn request(&mut self, served: &Served<'_>, duration: Duration) {
        // What asks every few seconds is not news.
        let level = match served.path {
            "/healthz" | "/readyz" | "/metrics" => Level::Debug,
            _ => Level::Info,
        };
        if level > log::max_level() {
            return;
        }
        log::log!(
            target: "access", level,
            peer = self.peer.of(served.peer), method = served.method, path = served.path,
            status = served.status, bytes = served.body_bytes, ms = millis(duration);
            ""
        );
    }

    /// A WebSocket ended.
    pub(super) fn socket(&mut self, ended: &Ended<'_>, user: &str) {
        log::info!(
            target: "access",
            peer = self.peer.of(ended.peer), method = "WEBSOCKET", path = ended.path,
            status = ended.code.value(), bytes = ended.bytes_in, ms = millis(ended.duration),
            messages = ended.messages, user;
            ""
        );
    }
}

/// Milliseconds, exact to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
