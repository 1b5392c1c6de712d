use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::app::config::keys::{self, Reload};
use crate::app::config::{LogFormat, LogLevel};
use crate::web::ForwardedBy;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const FILE: &str = "server.conf";

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    fs::write(&path, text).unwrap();
    Config::load(Some(&path), |name| {
        let set = env.iter().find(|(known, _)| *known == name);
        set.map(|(_, value)| (*value).to_owned())
            .or_else(|| (name == "SECRET_KEY").then(|| SECRET.to_owned()))
    })
}

fn load(text: &str) -> Config {
    load_with(text, &[]).unwrap().config
}

/// The messages, with the file's folder left out.
fn lines(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let line = finding.to_string();
            match line.find(FILE) {
                Some(at) => line[at..].to_owned(),
                None => line,
            }
        })
        .collect()
}

fn errors(text: &str) -> Vec<String> {
    lines(load_with(text, &[]).unwrap_err().findings())
}

fn env_errors(env: &[(&str, &str)]) -> Vec<String> {
    lines(load_with("", env).unwrap_err().findings())
}

fn defaults() -> Config {
    Config {
        secret_key: Secret::from(SECRET.to_owned()),
        ..Config::default()
    }
}

#[test]
fn an_empty_file_is_all_defaults() {
    let loaded = load_with("", &[]).unwrap();
    assert_eq!(loaded.config, defaults());
    assert!(loaded.warnings.is_empty());
    assert!(loaded.file.unwrap().ends_with(FILE));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line for each key")]
fn every_key_is_read_into_its_own_field() {
    let text = "port=1\nbind_address=127.0.0.1,::1\nhttp_port=2\npublic_port=25\n\
        server_names=a.example, *.b.example\nbacklog=3\npublic_dir=p\n\
        db_path=d\nshutdown_grace=4\nssl_cert_path=c\nssl_key_path=k\nssl_handshake_timeout=5\n\
        max_connections=6\nmax_connections_per_ip=7\nhandshakes_per_second_per_ip=8\n\
        requests_per_second_per_ip=9\nconnection_timeout=10\nanswer_bytes_per_second_min=101\n\
        request_timeout=11\nbody_bytes_per_second_min=111\n\
        max_output_memory=2000000\nmax_input_memory=3000000\n\
        keepalive_timeout=12\nmax_request_size=13\nmax_header_size=1400\nmax_header_count=15\n\
        max_uri_length=160\ncors_allow_origin=https://a.example,https://b.example\n\
        content_security_policy=default-src 'self'\nserver_header=1\n\
        strict_transport_security=max-age=16\ncompress_files=0\nmax_files=161\nmax_open_files=162\n\
        max_file_memory=163\nws_max_frame_size=170\n\
        ws_max_message_size=180\nws_ping_interval=19\nws_compression=0\n\
        ws_max_fragments=181\nws_message_timeout=184\nws_control_frames_per_second=182\n\
        ws_compression_threshold=183\n\
        allowed_origins=https://b.example\nmessages_per_minute=20\njwt_expiry_seconds=21\naccept_legacy_tokens=0\n\
        login_attempts_per_minute=22\nlogins_per_minute_per_ip=28\nregistrations_per_minute_per_ip=23\nconflicts_per_minute_per_ip=25\nrenames_per_day=24\nlog_level=2\nlog_format=json\nlog_to_console=0\n\
        log_to_file=0\nlog_file_path=l\nlog_max_size=26\nlog_keep=27\nmetrics_address=off\n\
        ssl_verify_client=1\nssl_client_ca_path=ca\nssl_other_certificates=a:b, c:d\n\
        worker_processes=1\ntrusted_proxies=10.0.0.0/8,::1\n\
        forwarded_field=forwarded\nallowed_networks=10.1.0.0/16\ndenied_networks=10.1.2.0/24\n";
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let expected = Config {
        port: 1,
        bind_address: vec![address("127.0.0.1"), address("::1")],
        http_port: 2,
        public_port: 25,
        server_names: ["a.example", "*.b.example"]
            .map(|name| name.parse().unwrap())
            .into(),
        backlog: 3,
        worker_processes: 1,
        public_dir: "p".into(),
        db_path: "d".into(),
        shutdown_grace: Duration::from_secs(4),
        ssl_cert_path: "c".into(),
        ssl_key_path: "k".into(),
        ssl_other_certificates: vec![("a".into(), "b".into()), ("c".into(), "d".into())],
        ssl_verify_client: true,
        ssl_client_ca_path: Some("ca".into()),
        ssl_handshake_timeout: Duration::from_secs(5),
        max_connections: 6,
        max_connections_per_ip: 7,
        handshakes_per_second_per_ip: 8,
        requests_per_second_per_ip: 9,
        max_output_memory: 2_000_000,
        max_input_memory: 3_000_000,
        trusted_proxies: networks(&["10.0.0.0/8", "::1"]),
        forwarded_field: ForwardedBy::Forwarded,
        allowed_networks: networks(&["10.1.0.0/16"]),
        denied_networks: networks(&["10.1.2.0/24"]),
        connection_timeout: Duration::from_secs(10),
        answer_bytes_per_second_min: 101,
        request_timeout: Duration::from_secs(11),
        body_bytes_per_second_min: 111,
        keepalive_timeout: Duration::from_secs(12),
        max_request_size: 13,
        max_header_size: 1400,
        max_header_count: 15,
        max_uri_length: 160,
        cors_allow_origin: crate::app::config::CorsOrigins::Listed(vec![
            "https://a.example".parse().unwrap(),
            "https://b.example".parse().unwrap(),
        ]),
        content_security_policy: Some("default-src 'self'".to_owned()),
        server_header: true,
        strict_transport_security: Some("max-age=16".to_owned()),
        compress_files: false,
        max_files: 161,
        max_open_files: 162,
        max_file_memory: 163,
        ws_max_frame_size: 170,
        ws_max_message_size: 180,
        ws_max_fragments: 181,
        ws_message_timeout: Duration::from_secs(184),
        ws_control_frames_per_second: 182,
        ws_ping_interval: Duration::from_secs(19),
        ws_compression: false,
        ws_compression_threshold: 183,
        allowed_origins: vec!["https://b.example".parse().unwrap()],
        messages_per_minute: 20,
        jwt_expiry_seconds: 21,
        accept_legacy_tokens: false,
        login_attempts_per_minute: 22,
        logins_per_minute_per_ip: 28,
        registrations_per_minute_per_ip: 23,
        conflicts_per_minute_per_ip: 25,
        renames_per_day: 24,
        log_level: LogLevel::Warn,
        log_format: LogFormat::Json,
        log_to_console: false,
        log_to_file: false,
        log_file_path: "l".into(),
        log_max_size: 26,
        log_keep: 27,
        metrics_address: None,
        secret_key: Secret::from(SECRET.to_owned()),
    };
    assert_eq!(load(text), expected);
    for key in keys::all() {
        assert!(text.contains(&format!("{}=", key.name)), "{}", key.name);
    }
}

#[test]
fn all_errors_of_a_file_are_told_in_its_order() {
    let text = "port=web\nnonsense\n# fine\nmax_conections=5\nport=2\ncolour=red\n\
        max_connections = ten";
    assert_eq!(
        errors(text),
        [
            r#"server.conf:1: port: "web" is not a whole number from 0 to 65535"#,
            r#"server.conf:2: "nonsense" has no "="; write key=value"#,
            "server.conf:4: max_conections: is not a known key; did you mean max_connections?",
            "server.conf:5: port: is set a second time; the first is on line 1",
            "server.conf:6: colour: is not a known key",
            r#"server.conf:7: max_connections: "ten" is not a whole number from 1 to 1000000"#,
        ]
    );
}

#[test]
fn errors_display_one_per_line() {
    let error = load_with("port=a\nbacklog=b", &[]).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 2);
}

#[test]
fn only_lists_may_be_empty() {
    for key in keys::all() {
        let text = format!("{}=", key.name);
        let may_be_empty = [
            "server_names",
            "ssl_other_certificates",
            "trusted_proxies",
            "allowed_networks",
            "denied_networks",
            "allowed_origins",
        ]
        .contains(&key.name);
        assert_eq!(load_with(&text, &[]).is_ok(), may_be_empty, "{}", key.name);
    }
}

#[test]
fn a_named_file_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join(FILE);
    let error = Config::load(Some(&missing), |_| Some(SECRET.to_owned())).unwrap_err();
    assert_eq!(
        lines(error.findings())[0],
        "server.conf: cannot be read: No such file or directory (os error 2)"
    );
    let error = Config::load(Some(folder.path()), |_| Some(SECRET.to_owned())).unwrap_err();
    assert!(error.findings()[0].text.starts_with("cannot be read: "));
}

#[test]
fn environment_beats_file() {
    let env = [
        ("SERVER_PORT", "0"),
        ("SERVER_MAX_CONNECTIONS", "7"),
        ("SERVER_LOG_LEVEL", "4"),
        ("DB_PATH", "/var/lib/users.db"),
    ];
    let text = "port=1\nmax_connections=2\nlog_level=3\ndb_path=x";
    let config = load_with(text, &env).unwrap().config;
    let expected = Config {
        port: 0,
        max_connections: 7,
        log_level: LogLevel::Fatal,
        db_path: "/var/lib/users.db".into(),
        ..defaults()
    };
    assert_eq!(config, expected);
}

#[test]
fn errors_of_the_environment_name_the_variable() {
    let env = [
        ("SERVER_PORT", "high"),
        ("SERVER_MAX_CONNECTIONS", "0"),
        ("SERVER_LOG_LEVEL", ""),
        ("DB_PATH", "a\u{fffd}"),
    ];
    assert_eq!(
        env_errors(&env),
        [
            r#"SERVER_PORT: "high" is not a whole number from 0 to 65535"#,
            r#"SERVER_MAX_CONNECTIONS: "0" is not a whole number from 1 to 1000000"#,
            r#"SERVER_LOG_LEVEL: "" is not 0 (debug), 1 (info), 2 (warn), 3 (error) or 4 (fatal)"#,
            "DB_PATH: has a byte in it that is no UTF-8 text, or a control character",
        ]
    );
}

#[test]
fn a_secret_is_required_and_must_be_long_enough() {
    assert_eq!(
        env_errors(&[("SECRET_KEY", "")]),
        ["SECRET_KEY: is not set; make one with: openssl rand -hex 32"]
    );
    assert_eq!(
        env_errors(&[("SECRET_KEY", "fifteen bytes!!")]),
        [
            "SECRET_KEY: has 15 bytes and needs at least 16, better 32; \
             make one with: openssl rand -hex 32"
        ]
    );
    assert_eq!(
        env_errors(&[("SECRET_KEY", "a long one but \u{fffd} garbled")]),
        ["SECRET_KEY: is not UTF-8 text; make one with: openssl rand -hex 32"]
    );
    let loaded = load_with("", &[("SECRET_KEY", "sixteen bytes!!!")]).unwrap();
    assert_eq!(
        lines(&loaded.warnings),
        ["SECRET_KEY: has 16 bytes, 32 are wanted; make one with: openssl rand -hex 32"]
    );
    assert_eq!(loaded.config.secret_key.bytes(), b"sixteen bytes!!!");
    assert!(
        load_with("", &[("SECRET_KEY", SECRET)])
            .unwrap()
            .warnings
            .is_empty()
    );
    let missing = Config::load(None, |_| None).unwrap_err();
    assert!(missing.to_string().contains("SECRET_KEY: is not set"));
}

#[test]
fn the_secret_is_in_no_message() {
    let loaded = load_with("", &[("SECRET_KEY", "hunter2hunter2hunter2")]).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(format!("{:?}", loaded.config).contains("secret_key: [secret]"));
    let error = load_with("", &[("SECRET_KEY", "hunter2")]).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    assert_eq!(
        errors("port=1\nmax_header_size=4096"),
        [
            "server.conf:2: max_header_size: max_header_size (4096) is less than \
             max_uri_length (8192), which is a part of it"
        ]
    );
    assert!(errors("max_uri_length=70000")[0].starts_with("server.conf:1: max_uri_length: "));
    assert_eq!(load("max_header_size=8192").max_header_size, 8192);
    assert_eq!(
        errors("port=8080\nhttp_port=8080"),
        ["server.conf:2: http_port: port and http_port are both 8080"]
    );
    assert_eq!(load("port=0\nhttp_port=0").port, 0);
}

#[test]
fn metrics_have_a_port_of_their_own() {
    let clash = |text: &str| errors(&format!("bind_address=127.0.0.1,::1\n{text}"));
    assert_eq!(
        clash("port=9464"),
        ["server.conf:2: port: metrics_address is 127.0.0.1:9464, and port is 9464 there too"]
    );
    assert_eq!(
        clash("http_port=80\nmetrics_address=0.0.0.0:80"),
        [
            "server.conf:3: metrics_address: metrics_address is 0.0.0.0:80, and http_port is 80 \
             there too"
        ]
    );
    for apart in [
        "port=9464\nmetrics_address=127.0.0.2:9464",
        "port=9464\nmetrics_address=off",
        "port=0\nmetrics_address=127.0.0.1:0",
    ] {
        load(&format!("bind_address=127.0.0.1,::1\n{apart}"));
    }
    assert_eq!(errors("port=9464").len(), 1, "0.0.0.0 has that address too");
}

#[test]
fn no_timeout_may_be_zero() {
    for key in [
        "ssl_handshake_timeout",
        "connection_timeout",
        "request_timeout",
        "keepalive_timeout",
        "ws_ping_interval",
    ] {
        let error = &errors(&format!("{key}=0"))[0];
        assert!(
            error.contains("is not a whole number of seconds from 1 to"),
            "{error}"
        );
    }
}

#[test]
fn what_comes_later_is_never_ignored() {
    let error = &errors("worker_processes=2")[0];
    let sentence =
        "server.conf:1: worker_processes: this release runs one reactor and does not have more yet";
    assert!(error.starts_with(sentence), "{error}");
    let quiet = "ssl_verify_client=0\nworker_processes=1\ntrusted_proxies=\n\
        metrics_address=off\nws_compression=1";
    assert!(load_with(quiet, &[]).unwrap().warnings.is_empty());
}

#[test]
fn clients_are_verified_against_somebody() {
    let error = &errors("ssl_verify_client=1")[0];
    assert!(error.contains("needs ssl_client_ca_path"), "{error}");
    assert!(load_with("ssl_verify_client=1\nssl_client_ca_path=ca.pem", &[]).is_ok());
}

#[test]
fn changes_are_divided_by_what_they_take() {
    let old = load("");
    assert!(old.changes(&old).is_empty());
    let new = load(
        "port=1\nmax_connections=2\nlog_level=3\nlog_format=json\nallowed_origins=https://a.b\n\
         ssl_cert_path=other.pem\nhttp_port=80\nrequest_timeout=1",
    );
    let changes = old.changes(&new);
    let live = [
        "ssl_cert_path",
        "max_connections",
        "request_timeout",
        "allowed_origins",
        "log_level",
    ];
    assert_eq!(changes.live, live);
    assert_eq!(changes.restart, ["port", "http_port", "log_format"]);
    let other = load_with("", &[("SECRET_KEY", "another secret of some length...")]).unwrap();
    assert_eq!(old.changes(&other.config).restart, ["SECRET_KEY"]);
}

#[test]
fn what_needs_a_restart_is_known() {
    let restart: Vec<_> = keys::all()
        .filter(|key| key.reload == Reload::Restart)
        .map(|key| key.name)
        .collect();
    let expected = [
        "port",
        "bind_address",
        "http_port",
        "backlog",
        "worker_processes",
        "public_dir",
        "db_path",
        "max_output_memory",
        "max_input_memory",
        "max_file_memory",
        "log_format",
        "log_to_console",
        "log_to_file",
        "log_file_path",
        "metrics_address",
    ];
    assert_eq!(restart, expected);
}

/// The settings that the shipped file shows, commented out, as `key=value` lines.
fn shipped_settings() -> Vec<&'static str> {
    include_str!("../../../../server.conf")
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

#[test]
fn the_shipped_file_as_it_is_is_all_defaults() {
    let loaded = load_with(include_str!("../../../../server.conf"), &[]).unwrap();
    assert_eq!(loaded.config, defaults());
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_shipped_file_shows_every_key_in_order_with_its_default() {
    let settings = shipped_settings();
    assert_eq!(load(&settings.join("\n")), defaults());
    let shown = settings.iter().map(|line| line.split('=').next().unwrap());
    assert!(shown.eq(keys::all().map(|key| key.name)));
}

#[test]
fn the_shipped_file_marks_what_needs_a_restart() {
    let text = include_str!("../../../../server.conf");
    for key in keys::all() {
        let (before, _) = text.split_once(&format!("\n#{}=", key.name)).unwrap();
        let comment = before.lines().last().unwrap();
        assert!(comment.starts_with("# "), "{}: {comment}", key.name);
        assert_eq!(
            comment.ends_with("[restart]"),
            key.reload == Reload::Restart,
            "{}",
            key.name
        );
    }
}

/// The defaults of the wire contract, written out a second time on purpose.
#[test]
fn defaults_are_those_of_the_protocol() {
    let text = "port=8443\nbind_address=0.0.0.0\nbacklog=128\nmax_connections=10000\n\
        max_connections_per_ip=100\nconnection_timeout=60\nssl_handshake_timeout=10\n\
        request_timeout=30\nkeepalive_timeout=60\nmax_request_size=1048576\n\
        max_header_size=65536\nmax_header_count=100\nssl_cert_path=certs/cert.pem\n\
        ssl_key_path=certs/key.pem\nssl_verify_client=0\nssl_client_ca_path=off\n\
        ssl_other_certificates=\ndb_path=users.db\n\
        log_file_path=server.log\nlog_level=1\nlog_to_console=1\nlog_to_file=1\n\
        jwt_expiry_seconds=3600\naccept_legacy_tokens=1\nws_max_frame_size=1048576\nws_ping_interval=30\n\
        worker_processes=1\nmax_uri_length=8192\nhttp_port=0\nws_max_message_size=1048576\n\
        ws_compression=1\nws_compression_threshold=256\nws_max_fragments=4096\nws_message_timeout=60\n\
        ws_control_frames_per_second=100\nmessages_per_minute=100\nrequests_per_second_per_ip=0\n\
        handshakes_per_second_per_ip=100\nlogin_attempts_per_minute=10\ntrusted_proxies=\n\
        allowed_origins=\ncors_allow_origin=off\nshutdown_grace=10\n\
        metrics_address=127.0.0.1:9464\npublic_dir=public\nlog_format=text\nserver_header=0\n\
        strict_transport_security=off\ncompress_files=1\nanswer_bytes_per_second_min=240\nforwarded_field=X-Forwarded-For\n\
        allowed_networks=\ndenied_networks=\nregistrations_per_minute_per_ip=10\n\
        renames_per_day=3\nlogins_per_minute_per_ip=300\nconflicts_per_minute_per_ip=20\n\
        body_bytes_per_second_min=240\nmax_output_memory=536870912\nmax_input_memory=268435456\n\
        max_files=100000\nmax_open_files=512\nmax_file_memory=67108864\n\
        public_port=0\nserver_names=\nlog_max_size=104857600\nlog_keep=10";
    assert_eq!(load(text), defaults());
    let settings = shipped_settings();
    for line in text.lines() {
        assert!(settings.contains(&line), "{line}");
    }
    // The policy is the one key whose value the contract leaves open.
    assert_eq!(settings.len(), text.lines().count() + 1);
}

#[test]
fn standard_error_that_somebody_keeps_takes_the_place_of_the_file() {
    let stderr = Some((9, 1234));
    for (journal, stderr, pid, want) in [
        (None, stderr, 7, false),
        (Some("9:1234"), stderr, 7, true),
        // Inherited from a shell that systemd has started.
        (Some("9:1235"), stderr, 7, false),
        (Some(""), stderr, 7, false),
        (Some("9:1234"), None, 7, false),
        (None, stderr, 1, true),
    ] {
        assert_eq!(is_kept(journal, stderr, pid), want, "{journal:?} {pid}");
    }
    let metadata = fs::metadata("/proc/self/fd/2").unwrap();
    let journal = format!("{}:{}", metadata.dev(), metadata.ino());
    let env = [("JOURNAL_STREAM", journal.as_str())];
    let to_file = |text: &str| load_with(text, &env).unwrap().config.log_to_file;
    assert!(!to_file(""));
    assert!(to_file("log_to_file=1"));
    assert!(to_file("log_to_console=0"), "else there is no log at all");
    assert!(load("").log_to_file);
}
