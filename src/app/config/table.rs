//! The one table of keys: name, when a new value counts, default, how it is read, what it is for.
//!
//! `server.conf` and `docs/configuration.md` are written from it: `make config-docs`.

use super::keys::{Item, Key, Reload};
use super::value;
use crate::web::FIELDS_MAX;

macro_rules! key {
    ($field:ident, $reload:ident, $default:literal, |$text:ident| $value:expr, $doc:literal) => {
        Item::Key(Key {
            name: stringify!($field),
            reload: Reload::$reload,
            default: $default,
            doc: $doc,
            set: |config, $text| {
                config.$field = $value?;
                Ok(())
            },
            differs: |one, other| one.$field != other.$field,
            keep: |new, old| new.$field = old.$field.clone(),
        })
    };
}

const GIB: usize = 1 << 30;

/// Every key, in the order of `server.conf`.
#[rustfmt::skip]
pub(super) static TABLE: &[Item] = &[

    Item::Section("Server"),
    key!(port, Restart, "8443", |t| value::whole(t, 0, u16::MAX),
        "TCP port for HTTPS and secure WebSockets, 0 to 65535; 0 takes any free port."),
    key!(bind_address, Restart, "0.0.0.0", |t| value::addresses(t),
        "Addresses to listen on, IPv4 or IPv6, with commas between them."),
    key!(http_port, Restart, "0", |t| value::whole(t, 0, u16::MAX),
        "TCP port of a plain listener that only redirects to https; 0 for none."),
    key!(public_port, Live, "0", |t| value::whole(t, 0, u16::MAX),
        "Port that redirects name, where clients reach the server by another one than port (a \
         container, a forwarded port), 0 to 65535; 0 for port."),
    key!(server_names, Live, "", |t| value::server_names(t),
        "Host names and addresses the server answers to, with commas between them: \
         chat.example.org,*.example.org (one label in place of the *). Under any other, \
         requests get 421 and are not redirected (404). localhost and loopback addresses \
         always count, and /healthz and /readyz are for all. None means any name."),
    key!(backlog, Restart, "128", |t| value::whole(t, 1, 65_535),
        "Connections the kernel holds before they are accepted."),
    key!(worker_processes, Restart, "1", |t| value::whole(t, 1, 1024),
        "Reactors (threads) that share the port; this release runs one."),
    key!(public_dir, Restart, "public", |t| value::path(t),
        "Folder of the web pages. Not served are links that lead out of it, names that begin \
         with a dot (but /.well-known/) and backups (name~, #name#, .bak, .orig, .rej, .swo, \
         .swp, .swx); the log says so."),
    key!(db_path, Restart, "users.db", |t| value::path(t),
        "SQLite database file, made when missing."),
    key!(shutdown_grace, Live, "10", |t| value::seconds(t, 0, 3600),
        "Seconds that open requests get to finish after SIGTERM; 0 stops at once."),

    Item::Section("TLS"),
    key!(ssl_cert_path, Live, "certs/cert.pem", |t| value::path(t),
        "PEM file with the certificate chain, the server's own certificate first."),
    key!(ssl_key_path, Live, "certs/key.pem", |t| value::path(t),
        "PEM file with the private key."),
    key!(ssl_other_certificates, Live, "", |t| value::path_pairs(t),
        "Certificates for other names, each as cert.pem:key.pem, with commas between them: a \
         client gets the one that is for the name it asks for, or else the one above."),
    key!(ssl_verify_client, Live, "0", |t| value::switch(t),
        "1 lets in only clients with a certificate that an authority in ssl_client_ca_path \
         has signed."),
    key!(ssl_client_ca_path, Live, "off", |t| value::path_or_off(t),
        "PEM file with those authorities, or off."),
    key!(ssl_handshake_timeout, Live, "10", |t| value::seconds(t, 1, 3600),
        "Seconds a TLS handshake may take."),

    Item::Section("Connections and rates"),
    key!(max_connections, Live, "10000", |t| value::whole(t, 1, 1_000_000),
        "Connections open at the same time, 1 to 1000000. The limit on open descriptors is \
         raised for them as far as that goes."),
    Item::Note(
        "Limits of one address are for the /64 of an IPv6 one; its /56 may take four times as \
        much in all, its /48 sixteen times.",
    ),
    key!(max_connections_per_ip, Live, "100", |t| value::whole(t, 0, 1_000_000),
        "Connections open at the same time from one address; 0 for no limit."),
    key!(handshakes_per_second_per_ip, Live, "100", |t| value::whole(t, 0, 1_000_000),
        "TLS handshakes per second from one address, bursts of twice that; 0 for no limit."),
    key!(requests_per_second_per_ip, Live, "0", |t| value::whole(t, 0, 1_000_000),
        "Requests per second from one address, bursts of twice that; 0 for no limit."),
    key!(max_output_memory, Restart, "536870912", |t| value::bytes(t, 1 << 20, 1 << 40),
        "Limit on output queued for all clients together, in bytes, 1 MiB at least. A message \
         for many clients counts once. Over it nothing is read from a client that has output \
         waiting, and those clients are closed whose output has waited longest. A limit of \
         the process (ulimit -v, -d) may lower it."),
    key!(max_input_memory, Restart, "268435456", |t| value::bytes(t, 1 << 20, 1 << 40),
        "Bytes of handshakes, requests and messages that all clients together have not \
         finished, and of requests that await their turn, 1 MiB at least. Over it, who sends \
         more of one gets 503, or is closed, with 1013 where that is a message. The same \
         limits may lower it."),
    key!(trusted_proxies, Live, "", |t| value::networks(t),
        "Networks (10.0.0.0/8,fd00::/8) of proxies that are believed when they say who their \
         client is: in a PROXY header (version 1 or 2) ahead of TLS, or in forwarded_field. \
         Limits and logs go by the client then. Here and below, IPv4 written as IPv6 \
         (::ffff:10.0.0.0/104) is the same as IPv4 (10.0.0.0/8)."),
    key!(forwarded_field, Live, "X-Forwarded-For", |t| value::forwarded_field(t),
        "The field in which those proxies name their client: X-Forwarded-For or Forwarded."),
    key!(allowed_networks, Live, "", |t| value::networks(t),
        "Networks that are served; none means all."),
    key!(denied_networks, Live, "", |t| value::networks(t),
        "Networks that are not served, also when they are within those above."),

    Item::Section("HTTP"),
    key!(connection_timeout, Live, "60", |t| value::seconds(t, 1, 86_400),
        "Seconds a new connection has to begin its first request, and a client to take some \
         of its answer."),
    key!(answer_bytes_per_second_min, Live, "240", |t| value::whole(t, 0, 1_000_000),
        "Bytes per second a client has to take of an answer, on the average of \
         connection_timeout; 0 is content with any."),
    key!(request_timeout, Live, "30", |t| value::seconds(t, 1, 86_400),
        "Seconds from the first byte of a request to its last, and as many again to its \
         answer."),
    key!(body_bytes_per_second_min, Live, "240", |t| value::whole(t, 0, 1_000_000),
        "Bytes per second a client has to send of a request's body, on the average of ten \
         seconds (or of a shorter request_timeout); 0 is content with a byte in that time."),
    key!(keepalive_timeout, Live, "60", |t| value::seconds(t, 1, 86_400),
        "Seconds a connection may wait for its next request."),
    key!(max_request_size, Live, "1048576", |t| value::bytes(t, 1, GIB),
        "Bytes of a request body; JSON takes 16 KiB (16384) at most, whatever this says."),
    key!(max_header_size, Live, "65536", |t| value::bytes(t, 256, 1 << 20),
        "Bytes of a request line and its header fields together; at least max_uri_length."),
    key!(max_header_count, Live, "100", |t| value::whole(t, 1, FIELDS_MAX),
        "Number of header fields of a request, 1 to 1000."),
    key!(max_uri_length, Live, "8192", |t| value::bytes(t, 64, 1 << 20),
        "Bytes of a request target (path and query)."),
    key!(cors_allow_origin, Live, "off", |t| value::cors_origins(t),
        "Pages of which other origins may read answers of the API and all files but pages, \
         and log in, register and change profiles: *, origins such as \
         https://example.org,http://localhost:3000, or off. Of a list, \
         Access-Control-Allow-Origin names the one that asks."),
    key!(content_security_policy, Live, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'", |t| value::header_value(t),
        "Content-Security-Policy sent with pages (HTML, XML and SVG), on one line, or off."),
    key!(server_header, Live, "0", |t| value::switch(t),
        "1 sends the field \"Server: edgeloop\" with every answer, 0 sends none."),
    key!(strict_transport_security, Live, "off", |t| value::strict_transport_security(t),
        "Strict-Transport-Security sent with every answer over TLS, such as max-age=31536000, \
         or off. Browsers will then refuse plain HTTP for this host for that many seconds: \
         not before https is there to stay."),
    key!(compress_files, Live, "1", |t| value::switch(t),
        "1 compresses text files (gzip and Brotli) once, in the background, 0 does not. Files \
         that lie beside others as name.br and name.gz are used in any case."),
    key!(max_files, Live, "100000", |t| value::whole(t, 1, 10_000_000),
        "Files and folders of public_dir that are looked at; the rest is not served, and the \
         log says so."),
    key!(max_open_files, Live, "512", |t| value::whole(t, 0, 1_000_000),
        "Files over 256 KiB, or with no room in max_file_memory, that are held open. Further \
         ones are opened when they are sent."),
    key!(max_file_memory, Restart, "67108864", |t| value::bytes(t, 0, GIB),
        "Bytes of files that are held in memory, those that are compressed included."),

    Item::Section("WebSocket and chat"),
    key!(ws_max_frame_size, Live, "1048576", |t| value::bytes(t, 125, GIB),
        "Bytes of one WebSocket frame, at least 125."),
    key!(ws_max_message_size, Live, "1048576", |t| value::bytes(t, 125, GIB),
        "Bytes of a whole WebSocket message as sent, at least 125, and after decompression \
         where this is 64 KiB or less. Over it, the WebSocket is closed with 1009. A chat \
         message over 64 KiB, as sent or decompressed, is refused and thrown away as it \
         comes."),
    key!(ws_max_fragments, Live, "4096", |t| value::whole(t, 1, u32::MAX),
        "Frames one WebSocket message may come in."),
    key!(ws_message_timeout, Live, "60", |t| value::seconds(t, 1, 3600),
        "Seconds a WebSocket message may take from its first byte to its last; over it, the \
         WebSocket is closed with 1008."),
    key!(ws_control_frames_per_second, Live, "100", |t| value::whole(t, 0, 10_000),
        "Pings and pongs a WebSocket may send in a second, and at once 1,000 or twice that \
         many, whichever is more; over it, it is closed with 1008. 0 for no limit."),
    key!(ws_ping_interval, Live, "30", |t| value::seconds(t, 1, 3600),
        "Seconds of silence on a WebSocket before the server pings."),
    key!(ws_compression, Live, "1", |t| value::switch(t),
        "1 compresses WebSocket messages with clients that can (permessage-deflate, without \
         keeping windows between messages)."),
    key!(ws_compression_threshold, Live, "256", |t| value::bytes(t, 0, GIB),
        "Bytes from which on a WebSocket message is compressed."),
    key!(allowed_origins, Live, "", |t| value::origins(t),
        "Origins besides our own that may open a WebSocket: \
         https://example.org,http://localhost:3000"),
    key!(messages_per_minute, Live, "100", |t| value::whole(t, 0, 1_000_000),
        "Chat messages per minute of one user; 0 for no limit."),

    Item::Section("Logins"),
    key!(jwt_expiry_seconds, Live, "3600", |t| value::whole(t, 1, 31_536_000),
        "Seconds a login token is good for."),
    key!(accept_legacy_tokens, Live, "1", |t| value::switch(t),
        "1 takes login tokens that do not name the database, as those of the earlier C \
         server, of servers before this key, and of scripts; 0 refuses them."),
    key!(login_attempts_per_minute, Live, "10", |t| value::whole(t, 0, 1_000_000),
        "Failed logins per minute of an address, IPv6 by /64: over it, it waits for the rest \
         of the minute, and if it comes to that again within an hour, for 2, 4, 8 and at most \
         15 minutes. And failed logins of an account, known or not, without a success in \
         between: after so many, the next attempt has to wait for a minute, the one after \
         that for 2, 4, 8 and at most 15 minutes, also across restarts. Who comes from a \
         network the user has logged in from in the last 30 days does not wait for the \
         account. Logins under way count as failed, so no more than this many of one address \
         are under way at once. 0 for no limit."),
    key!(logins_per_minute_per_ip, Live, "300", |t| value::whole(t, 0, 1_000_000),
        "Logins per minute from one address, IPv6 by /64, right or wrong. Where more people \
         than this log in from behind one address within a minute, raise it. 0 for no limit; \
         login_attempts_per_minute=0 turns this one off, too."),
    key!(registrations_per_minute_per_ip, Live, "10", |t| value::whole(t, 0, 1_000_000),
        "Registrations per minute from one address, IPv6 by /64: those that cost the hashing \
         of a password. 0 for no limit."),
    key!(conflicts_per_minute_per_ip, Live, "20", |t| value::whole(t, 0, 1_000_000),
        "Registrations and changes of a profile per minute from one address, IPv6 by /64, \
         that ask for a name or an e-mail address of another account: each tells that there \
         is one. 0 for no limit."),
    key!(renames_per_day, Live, "3", |t| value::whole(t, 0, 1_000_000),
        "Changes of the username that a user may make in any 24 hours. The names given up \
         stay the user's: nobody else gets one. 0 for no limit."),

    Item::Section("Logging and metrics"),
    key!(log_level, Live, "1", |t| value::log_level(t),
        "Least serious lines that are logged: 0 debug, 1 info, 2 warn, 3 error, 4 fatal."),
    key!(log_format, Restart, "text", |t| value::log_format(t),
        "Form of a log line: text or json."),
    key!(log_to_console, Restart, "1", |t| value::switch(t),
        "1 logs to standard error, 0 does not."),
    key!(log_to_file, Restart, "1", |t| value::switch(t),
        "1 appends to log_file_path, 0 does not. Under systemd (standard error goes to the \
         journal) and as process 1 of a container the default is 0, as long as log_to_console \
         is 1."),
    key!(log_file_path, Restart, "server.log", |t| value::path(t),
        "The log file."),
    key!(log_max_size, Live, "104857600", |t| value::whole(t, 0, 1 << 40),
        "Bytes from which on the log file is rotated to log_file_path.1, .2 and so on; 0 for \
         never."),
    key!(log_keep, Live, "10", |t| value::whole(t, 1, 1000),
        "Rotated log files that are kept, 1 to 1000."),
    key!(metrics_address, Restart, "127.0.0.1:9464", |t| value::socket_address(t),
        "Address and port where /metrics, /healthz and /readyz are answered without TLS, or \
         off. Requests have to name this address (any, with 0.0.0.0 or ::), localhost, a \
         loopback address or one of server_names."),
];
