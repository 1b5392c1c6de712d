//! The one table of keys: how each is read, and whether it can change in a running server.

use super::Config;
use super::value::{self, Bad};
use crate::web::FIELDS_MAX;

/// What it takes for a new value of a key to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// SIGHUP.
    Live,
    /// A new process.
    Restart,
}

/// A key of `server.conf`. Its name is that of the field of [`Config`].
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) reload: Reload,
    /// Reads the text of a value into the configuration.
    pub(super) set: fn(&mut Config, &str) -> Result<(), Bad>,
    /// Whether two configurations have different values.
    pub(super) differs: fn(&Config, &Config) -> bool,
}

/// Environment variables that beat a key of the file.
pub(super) const VARIABLES: [(&str, &str); 4] = [
    ("SERVER_PORT", "port"),
    ("SERVER_MAX_CONNECTIONS", "max_connections"),
    ("SERVER_LOG_LEVEL", "log_level"),
    ("DB_PATH", "db_path"),
];

macro_rules! key {
    ($field:ident, $reload:ident, |$text:ident| $value:expr) => {
        Key {
            name: stringify!($field),
            reload: Reload::$reload,
            set: |config, $text| {
                config.$field = $value?;
                Ok(())
            },
            differs: |one, other| one.$field != other.$field,
        }
    };
}

const GIB: usize = 1 << 30;

/// Every key, in the order of `server.conf`.
pub(super) const KEYS: &[Key] = &[
    key!(port, Restart, |t| value::whole(t, 0, u16::MAX)),
    key!(bind_address, Restart, |t| value::addresses(t)),
    key!(http_port, Restart, |t| value::whole(t, 0, u16::MAX)),
    key!(public_port, Live, |t| value::whole(t, 0, u16::MAX)),
    key!(server_names, Live, |t| value::server_names(t)),
    key!(backlog, Restart, |t| value::whole(t, 1, 65_535)),
    key!(worker_processes, Restart, |t| value::whole(t, 1, 1024)),
    key!(public_dir, Restart, |t| value::path(t)),
    key!(db_path, Restart, |t| value::path(t)),
    key!(shutdown_grace, Live, |t| value::seconds(t, 0, 3600)),
    key!(ssl_cert_path, Live, |t| value::path(t)),
    key!(ssl_key_path, Live, |t| value::path(t)),
    key!(ssl_other_certificates, Live, |t| value::path_pairs(t)),
    key!(ssl_verify_client, Live, |t| value::switch(t)),
    key!(ssl_client_ca_path, Live, |t| value::path_or_off(t)),
    key!(ssl_handshake_timeout, Live, |t| value::seconds(t, 1, 3600)),
    key!(max_connections, Live, |t| value::whole(t, 1, 1_000_000)),
    key!(max_connections_per_ip, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(handshakes_per_second_per_ip, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(requests_per_second_per_ip, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(max_output_memory, Restart, |t| value::bytes(
        t,
        1 << 20,
        1 << 40
    )),
    key!(max_input_memory, Restart, |t| value::bytes(
        t,
        1 << 20,
        1 << 40
    )),
    key!(trusted_proxies, Live, |t| value::networks(t)),
    key!(forwarded_field, Live, |t| value::forwarded_field(t)),
    key!(allowed_networks, Live, |t| value::networks(t)),
    key!(denied_networks, Live, |t| value::networks(t)),
    key!(connection_timeout, Live, |t| value::seconds(t, 1, 86_400)),
    key!(answer_bytes_per_second_min, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(request_timeout, Live, |t| value::seconds(t, 1, 86_400)),
    key!(body_bytes_per_second_min, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(keepalive_timeout, Live, |t| value::seconds(t, 1, 86_400)),
    key!(max_request_size, Live, |t| value::bytes(t, 1, GIB)),
    key!(max_header_size, Live, |t| value::bytes(t, 256, 1 << 20)),
    key!(max_header_count, Live, |t| value::whole(t, 1, FIELDS_MAX)),
    key!(max_uri_length, Live, |t| value::bytes(t, 64, 1 << 20)),
    key!(cors_allow_origin, Live, |t| value::cors_origins(t)),
    key!(content_security_policy, Live, |t| value::header_value(t)),
    key!(server_header, Live, |t| value::switch(t)),
    key!(strict_transport_security, Live, |t| {
        value::strict_transport_security(t)
    }),
    key!(compress_files, Live, |t| value::switch(t)),
    key!(max_files, Live, |t| value::whole(t, 1, 10_000_000)),
    key!(max_open_files, Live, |t| value::whole(t, 0, 1_000_000)),
    key!(max_file_memory, Restart, |t| value::bytes(t, 0, GIB)),
    key!(ws_max_frame_size, Live, |t| value::bytes(t, 125, GIB)),
    key!(ws_max_message_size, Live, |t| value::bytes(t, 125, GIB)),
    key!(ws_max_fragments, Live, |t| value::whole(t, 1, u32::MAX)),
    key!(ws_message_timeout, Live, |t| value::seconds(t, 1, 3600)),
    key!(ws_control_frames_per_second, Live, |t| value::whole(
        t, 0, 10_000
    )),
    key!(ws_ping_interval, Live, |t| value::seconds(t, 1, 3600)),
    key!(ws_compression, Live, |t| value::switch(t)),
    key!(ws_compression_threshold, Live, |t| value::bytes(t, 0, GIB)),
    key!(allowed_origins, Live, |t| value::origins(t)),
    key!(messages_per_minute, Live, |t| value::whole(t, 0, 1_000_000)),
    key!(jwt_expiry_seconds, Live, |t| value::whole(t, 1, 31_536_000)),
    key!(accept_legacy_tokens, Live, |t| value::switch(t)),
    key!(login_attempts_per_minute, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(logins_per_minute_per_ip, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(registrations_per_minute_per_ip, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(conflicts_per_minute_per_ip, Live, |t| value::whole(
        t, 0, 1_000_000
    )),
    key!(renames_per_day, Live, |t| value::whole(t, 0, 1_000_000)),
    key!(log_level, Live, |t| value::log_level(t)),
    key!(log_format, Restart, |t| value::log_format(t)),
    key!(log_to_console, Restart, |t| value::switch(t)),
    key!(log_to_file, Restart, |t| value::switch(t)),
    key!(log_file_path, Restart, |t| value::path(t)),
    key!(log_max_size, Live, |t| value::whole(t, 0, 1 << 40)),
    key!(log_keep, Live, |t| value::whole(t, 1, 1000)),
    key!(metrics_address, Restart, |t| value::socket_address(t)),
];

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known key that is most like `name`, if any is near enough to be meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let (distance, key) = KEYS
        .iter()
        .map(|key| (edits(&name, key.name), key.name))
        .min()?;
    (distance <= key.len() / 3).then_some(key)
}

/// The Levenshtein distance in bytes.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, a) in one.bytes().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, b) in cells.zip(other.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("prot", "port", 2),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(edits(one, other), distance, "{one} {other}");
        }
    }

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        assert_eq!(nearest("max_conections"), Some("max_connections"));
        assert_eq!(nearest("Log-Level"), Some("log_level"));
        assert_eq!(nearest("por"), Some("port"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn names_are_unique_and_variables_name_keys() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[index + 1..].iter().all(|other| other.name != key.name));
        }
        for (_, key) in VARIABLES {
            assert!(find(key).is_some(), "{key}");
        }
    }
}
