//! The access log: a line for each request that was answered, and for each WebSocket that ended.

use std::time::Duration;

use log::Level;

use crate::app::logging::AddressText;
use crate::web::{ResponseSent, WebSocketClosed};

/// Writes the access log.
#[derive(Debug, Default)]
pub(super) struct AccessLog {
    peer: AddressText,
    method: String,
    path: String,
}

/// Bytes of a method and a path that are logged: a request line may be as long as its limit.
const METHOD_BYTES_MAX: usize = 32;
const PATH_BYTES_MAX: usize = 512;

impl AccessLog {
    /// A request was answered.
    pub(super) fn request(&mut self, served: &ResponseSent<'_>, duration: Duration) {
        // What asks every few seconds is not news.
        let level = match served.path {
            "/healthz" | "/readyz" | "/metrics" => Level::Debug,
            _ => Level::Info,
        };
        if level > log::max_level() {
            return;
        }
        let method = cut(&mut self.method, served.method, METHOD_BYTES_MAX);
        let path = cut(&mut self.path, served.path, PATH_BYTES_MAX);
        log::log!(
            target: "access", level,
            peer = self.peer.of(served.peer), method, path,
            status = served.status, bytes = served.body_bytes, ms = millis(duration);
            ""
        );
    }

    /// A WebSocket ended.
    pub(super) fn socket(&mut self, ended: &WebSocketClosed<'_>, user: &str) {
        let path = cut(&mut self.path, ended.path, PATH_BYTES_MAX);
        log::info!(
            target: "access",
            peer = self.peer.of(ended.peer), method = "WEBSOCKET", path,
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

/// A text of at most so many bytes, and an ellipsis if there was more of it.
fn cut<'a>(room: &'a mut String, text: &'a str, bytes_max: usize) -> &'a str {
    if text.len() <= bytes_max {
        return text;
    }
    let ends = (0..=bytes_max).rev();
    let start = ends.into_iter().find_map(|end| text.get(..end));
    room.clear();
    room.push_str(start.unwrap_or_default());
    room.push('…');
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let room = &mut String::new();
        for (text, want) in [
            ("", ""),
            ("/abc", "/abc"),
            ("/abcd", "/abc…"),
            ("/aéé", "/aé…"),
            ("/abéé", "/ab…"),
            ("€€", "€…"),
        ] {
            assert_eq!(cut(room, text, 4), want);
        }
    }
}
