//! The configuration: `server.conf`, then the environment.
//!
//! Two stages, so that every message can name its line: `raw` makes `key=value` lines of the
//! file, `value` makes typed values of those. `table` is the one table of keys.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::web::ForwardedBy;

pub use changes::ConfigChanges;
pub use cors::CorsOrigins;
pub use document::server_conf;
pub use finding::{ConfigErrors, Finding, SettingSource};
pub use level::{LogFormat, LogLevel};
pub use load::{Loaded, environment};
pub use network::{Network, NetworkError};
pub use origin::{Origin, OriginError};
pub use secret::Secret;
pub use server_name::{ServerName, ServerNameError};

mod changes;
mod cors;
mod document;
mod finding;
mod keys;
mod later;
mod level;
mod load;
mod network;
mod origin;
mod raw;
mod secret;
mod server_name;
mod table;
mod value;

/// Scripts, styles and connections of our own origin only, no frames, no plug-ins.
const STRICT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; manifest-src 'self'";

/// Every setting of the server. Field names are the keys of `server.conf`.
///
/// [`Config::load`] gives a checked one. [`Config::default`] has every default and an **empty**
/// [`secret_key`](Self::secret_key), with which nothing may be signed. Relative paths are relative
/// to the working directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// TCP port for HTTPS and secure WebSockets; 0 takes any free port.
    pub port: u16,
    /// Addresses to listen on, at least one.
    pub bind_address: Vec<IpAddr>,
    /// TCP port of a plain listener that only redirects to HTTPS; 0 for none.
    pub http_port: u16,
    /// The port that redirects name, where clients reach another one than [`port`](Self::port); 0 for that one.
    pub public_port: u16,
    /// Names the server answers to; all when empty.
    pub server_names: Vec<ServerName>,
    /// Connections the kernel holds before they are accepted, for each listener.
    pub backlog: u32,
    /// Reactors that share the port.
    pub worker_processes: u32,
    /// Folder of the web pages.
    pub public_dir: PathBuf,
    /// SQLite database file, made when missing.
    pub db_path: PathBuf,
    /// Seconds that open requests get to finish after SIGTERM; 0 stops at once.
    pub shutdown_grace: Duration,

    /// PEM file with the certificate chain, the server's own certificate first.
    pub ssl_cert_path: PathBuf,
    /// PEM file with the private key.
    pub ssl_key_path: PathBuf,
    /// Certificates for other names, each with its key.
    pub ssl_other_certificates: Vec<(PathBuf, PathBuf)>,
    /// `true` if clients must show a certificate.
    pub ssl_verify_client: bool,
    /// PEM file with the authorities that may have signed the certificates of clients.
    pub ssl_client_ca_path: Option<PathBuf>,
    /// Seconds a TLS handshake may take.
    pub ssl_handshake_timeout: Duration,

    /// Connections open at the same time.
    pub max_connections: usize,
    /// Connections open at the same time from one address; 0 for no limit.
    pub max_connections_per_ip: u32,
    /// TLS handshakes per second from one address, with bursts of twice that; 0 for no limit.
    pub handshakes_per_second_per_ip: u32,
    /// Requests per second from one address, with bursts of twice that; 0 for no limit.
    pub requests_per_second_per_ip: u32,
    /// Bytes that wait for all clients together to take them; see [`ReactorConfig`](crate::web::ReactorConfig).
    pub max_output_memory: usize,
    /// Bytes of unfinished requests and messages of all clients together.
    pub max_input_memory: usize,
    /// Networks whose PROXY header and `forwarded_field` are believed.
    pub trusted_proxies: Vec<Network>,
    /// The field in which they name the client.
    pub forwarded_field: ForwardedBy,
    /// Networks that are served; all when empty.
    pub allowed_networks: Vec<Network>,
    /// Networks that are not served, whatever `allowed_networks` says.
    pub denied_networks: Vec<Network>,

    /// Seconds a fresh connection has to begin its first request, and a client to take some of its
    /// answer.
    pub connection_timeout: Duration,
    /// Bytes per second a client has to take of an answer, on the average of `connection_timeout`.
    pub answer_bytes_per_second_min: u32,
    /// Seconds from the first byte of a request to its last, and as many again to its answer.
    pub request_timeout: Duration,
    /// Bytes per second a client has to send of a body, on the average of ten seconds.
    pub body_bytes_per_second_min: u32,
    /// Seconds a connection may wait for its next request.
    pub keepalive_timeout: Duration,
    /// Bytes of a request body.
    pub max_request_size: usize,
    /// Bytes of a request line and its header fields together.
    pub max_header_size: usize,
    /// Header fields of a request.
    pub max_header_count: usize,
    /// Bytes of a request target; at most [`max_header_size`](Self::max_header_size).
    pub max_uri_length: usize,
    /// Pages of which other origins may read answers: `*`, a list of them, or `off` (the default).
    pub cors_allow_origin: CorsOrigins,
    /// Value of `Content-Security-Policy` with pages; `None` (`off`) sends none.
    pub content_security_policy: Option<String>,
    /// `true` if answers have a field Server, which tells the program's name and no version.
    pub server_header: bool,
    /// Value of `Strict-Transport-Security` with every answer over TLS; `None` (`off`) sends none.
    pub strict_transport_security: Option<String>,
    /// `true` if files that gain by it are compressed.
    pub compress_files: bool,
    /// Files and folders of `public_dir` that are looked at.
    pub max_files: usize,
    /// Files too large for memory that are held open; further ones are opened when they are sent.
    pub max_open_files: usize,
    /// Bytes of files held in memory.
    pub max_file_memory: usize,

    /// Bytes of one WebSocket frame.
    pub ws_max_frame_size: usize,
    /// Bytes of a whole WebSocket message, after decompression.
    pub ws_max_message_size: usize,
    /// Frames one WebSocket message may come in.
    pub ws_max_fragments: u32,
    /// Seconds a WebSocket message may take from its first byte to its last.
    pub ws_message_timeout: Duration,
    /// Pings and pongs a WebSocket may send in a second, and at once 1,000 or twice that, whichever is more; 0
    /// for no limit.
    pub ws_control_frames_per_second: u16,
    /// Seconds of silence on a WebSocket before a ping.
    pub ws_ping_interval: Duration,
    /// `true` if permessage-deflate is accepted.
    pub ws_compression: bool,
    /// Bytes from which on a WebSocket message is compressed.
    pub ws_compression_threshold: usize,
    /// Origins that may open a WebSocket, besides the server's own.
    pub allowed_origins: Vec<Origin>,
    /// Chat messages per minute of one user; 0 for no limit.
    pub messages_per_minute: u32,

    /// Seconds a login token is good for.
    pub jwt_expiry_seconds: u64,
    /// `true` if login tokens are good that do not name the database.
    pub accept_legacy_tokens: bool,
    /// Failed logins per minute of an address, and of an account in a row, after which each has to wait
    /// for a minute, and longer as it goes on; 0 for no limit.
    pub login_attempts_per_minute: u32,
    /// Logins per minute from one address, right or wrong; 0 for no limit.
    pub logins_per_minute_per_ip: u32,
    /// Registrations per minute from one address; 0 for no limit.
    pub registrations_per_minute_per_ip: u32,
    /// Registrations and changes of a profile per minute from one address that ask for a name or an e-mail
    /// address of another account; 0 for no limit.
    pub conflicts_per_minute_per_ip: u32,
    /// Changes of the username in any 24 hours, of one user; 0 for no limit.
    pub renames_per_day: u32,

    /// The least serious lines that are logged.
    pub log_level: LogLevel,
    /// The form of a log line.
    pub log_format: LogFormat,
    /// `true` if log lines go to standard error.
    pub log_to_console: bool,
    /// `true` if log lines are appended to [`log_file_path`](Self::log_file_path).
    pub log_to_file: bool,
    /// The log file.
    pub log_file_path: PathBuf,
    /// Bytes from which on the log file is rotated; 0 for never.
    pub log_max_size: u64,
    /// Rotated log files that are kept.
    pub log_keep: u32,
    /// Address of the metrics; `None` (`off`) for none.
    pub metrics_address: Option<SocketAddr>,

    /// `SECRET_KEY`: signs the login tokens. Only ever in the environment.
    pub secret_key: Secret,
}

impl Default for Config {
    #[expect(clippy::too_many_lines, reason = "one for each key")]
    fn default() -> Self {
        Self {
            port: 8443,
            bind_address: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            http_port: 0,
            public_port: 0,
            server_names: Vec::new(),
            backlog: 128,
            worker_processes: 1,
            public_dir: "public".into(),
            db_path: "users.db".into(),
            shutdown_grace: Duration::from_secs(10),

            ssl_cert_path: "certs/cert.pem".into(),
            ssl_key_path: "certs/key.pem".into(),
            ssl_other_certificates: Vec::new(),
            ssl_verify_client: false,
            ssl_client_ca_path: None,
            ssl_handshake_timeout: Duration::from_secs(10),

            max_connections: 10_000,
            max_connections_per_ip: 100,
            handshakes_per_second_per_ip: 100,
            requests_per_second_per_ip: 0,
            max_output_memory: 512 << 20,
            max_input_memory: 256 << 20,
            trusted_proxies: Vec::new(),
            forwarded_field: ForwardedBy::XForwardedFor,
            allowed_networks: Vec::new(),
            denied_networks: Vec::new(),

            connection_timeout: Duration::from_secs(60),
            answer_bytes_per_second_min: 240,
            request_timeout: Duration::from_secs(30),
            body_bytes_per_second_min: 240,
            keepalive_timeout: Duration::from_secs(60),
            max_request_size: 1_048_576,
            max_header_size: 65_536,
            max_header_count: 100,
            max_uri_length: 8192,
            cors_allow_origin: CorsOrigins::Nobody,
            content_security_policy: Some(STRICT_POLICY.to_owned()),
            server_header: false,
            strict_transport_security: None,
            compress_files: true,
            max_files: 100_000,
            max_open_files: 512,
            max_file_memory: 64 << 20,

            ws_max_frame_size: 1_048_576,
            ws_max_message_size: 1_048_576,
            ws_max_fragments: 4096,
            ws_message_timeout: Duration::from_secs(60),
            ws_control_frames_per_second: 100,
            ws_ping_interval: Duration::from_secs(30),
            ws_compression: true,
            ws_compression_threshold: 256,
            allowed_origins: Vec::new(),
            messages_per_minute: 100,

            jwt_expiry_seconds: 3600,
            accept_legacy_tokens: true,
            login_attempts_per_minute: 10,
            logins_per_minute_per_ip: 300,
            registrations_per_minute_per_ip: 10,
            conflicts_per_minute_per_ip: 20,
            renames_per_day: 3,

            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            log_to_console: true,
            log_to_file: true,
            log_file_path: "server.log".into(),
            log_max_size: 100 << 20,
            log_keep: 10,
            metrics_address: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464)),

            secret_key: Secret::default(),
        }
    }
}
