use crate::app::{chat, config::Config};
use crate::web::{self, ReactorConfig};

/// Puts the reactor's part of the configuration in force, but for the ceilings, which go by the memory of the
/// process at the start.
pub(in crate::app) fn apply_to_reactor(config: &Config, reactor: &mut ReactorConfig) {
    let default = ReactorConfig::default();
    // A head may be left until the rest of it comes.
    reactor.tail_bytes_max = default
        .tail_bytes_max
        .max(config.max_header_size + 16 * 1024);
    reactor.handshake_timeout = config.ssl_handshake_timeout;
    reactor.send_timeout = config.connection_timeout;
    reactor.send_bytes_per_second_min = config.answer_bytes_per_second_min;
}

/// The web layer's part of the configuration.
pub(super) fn web_config(config: &Config) -> web::WebConfig {
    web::WebConfig {
        http: web::HttpLimits {
            target_bytes_max: config.max_uri_length,
            head_bytes_max: config.max_header_size,
            fields_max: config.max_header_count,
            body_bytes_max: config.max_request_size as u64,
            ..web::HttpLimits::DEFAULT
        },
        ws: web::WsLimits {
            frame_bytes_max: config.ws_max_frame_size as u64,
            message_bytes_max: config.ws_max_message_size,
            message_bytes_wanted_max: chat::MESSAGE_BYTES_MAX,
            fragments_max: config.ws_max_fragments,
            ..web::WsLimits::DEFAULT
        },
        message_timeout: config.ws_message_timeout,
        connection_timeout: config.connection_timeout,
        request_timeout: config.request_timeout,
        body_bytes_per_second_min: config.body_bytes_per_second_min,
        keepalive_timeout: config.keepalive_timeout,
        compression: config.ws_compression.then_some(web::Compression {
            threshold_bytes: config.ws_compression_threshold,
            ..web::Compression::DEFAULT
        }),
        control_frames_per_second: config.ws_control_frames_per_second,
        ping_interval: config.ws_ping_interval,
        server: config.server_header.then_some("edgeloop"),
        ..web::WebConfig::DEFAULT
    }
}
