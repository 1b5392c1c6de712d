//! Limits and times of HTTP and WebSocket connections.

use std::time::Duration;

use crate::proto::ws::deflate::Compression;
use crate::proto::{http1, ws};

/// Limits and times of HTTP and WebSocket connections.
///
/// [`Web`](super::Web) asks its service for them whenever it needs one, so a service may change
/// its own while connections run.
#[derive(Clone, Copy, Debug)]
pub struct WebConfig {
    /// Sizes of requests.
    pub http: http1::HttpLimits,
    /// Sizes of WebSocket frames and messages.
    pub ws: ws::WsLimits,
    /// Time for a new connection to begin its first request. The part that a peer has to take of an
    /// answer is the reactor's business: [`send_timeout`](super::ReactorConfig::send_timeout).
    pub connection_timeout: Duration,
    /// Limit on the time of a request from its first byte to its last, and again from there to its
    /// answer. A body that is handed on as it comes may take longer, at the rate below.
    pub request_timeout: Duration,
    /// The least that has to come of a body, in bytes per second, on the average of ten seconds, or of
    /// a shorter `request_timeout`; with 0, a byte in that time. After less, the answer is 408.
    pub body_bytes_per_second_min: u32,
    /// Limit on the idle time of a connection between requests.
    pub keepalive_timeout: Duration,
    /// Compression of WebSocket messages (RFC 7692) when the client offers it; `None`
    /// declines all offers.
    pub compression: Option<Compression>,
    /// Number of pings and pongs a WebSocket may send in a second, and at once 1,000 or twice that, whichever
    /// is more; 0 for no limit. Over it, it is closed with 1008.
    pub control_frames_per_second: u16,
    /// Limit on the time of a WebSocket message from its first byte to its last. After it, the
    /// WebSocket is closed with 1008.
    pub message_timeout: Duration,
    /// Silence of a WebSocket after which it is pinged.
    pub ping_interval: Duration,
    /// Time limit for the response to a ping.
    pub pong_timeout: Duration,
    /// Limit on pings in a row without a response.
    pub pings_missed_max: u8,
    /// Time for a peer to respond to our Close (RFC 6455 §7.1.1).
    pub close_timeout: Duration,
    /// Limit on requests of a connection without a response, at which its reads stop.
    pub pipeline_max: usize,
    /// Number of requests or messages of one connection are handled in one turn of the loop.
    pub messages_per_turn: usize,
    /// Value of the field Server (RFC 9110 §10.2.4); `None` sends none.
    pub server: Option<&'static str>,
}

impl WebConfig {
    /// The defaults: those of `server.conf` where it has a key.
    pub const DEFAULT: Self = Self {
        http: http1::HttpLimits::DEFAULT,
        ws: ws::WsLimits::DEFAULT,
        connection_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(30),
        body_bytes_per_second_min: 240,
        keepalive_timeout: Duration::from_secs(60),
        compression: Some(Compression::DEFAULT),
        control_frames_per_second: 100,
        message_timeout: Duration::from_secs(60),
        ping_interval: Duration::from_secs(30),
        pong_timeout: Duration::from_secs(10),
        pings_missed_max: 3,
        close_timeout: Duration::from_secs(5),
        pipeline_max: 64,
        messages_per_turn: 64,
        server: None,
    };
}

impl Default for WebConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}
