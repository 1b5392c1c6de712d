//! The command line, and what is said about a configuration that is wrong.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;

use crate::support::Folder;
use crate::support::command::{Finished, edgeloop, run};
use crate::support::http::{client_config, tls_as};

/// The code of a command line or a configuration that is wrong.
const USAGE: Option<i32> = Some(2);

/// `edgeloop --check` on a `server.conf` with exactly this text, in a folder with certificates.
fn check(folder: &Folder, text: &str) -> Finished {
    std::fs::write(folder.file("server.conf"), text).unwrap();
    run(check_command(folder, &mut edgeloop()))
}

fn check_command<'c>(folder: &Folder, command: &'c mut Command) -> &'c mut Command {
    command
        .current_dir(folder.path())
        .args(["--check", "--config", "server.conf"])
}

/// Configuration that every check passes with; its last line is the fourth.
const GOOD: &str =
    "# a comment\nssl_cert_path = cert.pem\n\tssl_key_path=key.pem  \npublic_dir=.\n";

fn assert_refused(done: &Finished, words: &[&str]) {
    assert_eq!(done.code(), USAGE, "{done:?}");
    for word in words {
        assert!(
            done.stderr.contains(word),
            "{word:?} is not in: {}",
            done.stderr
        );
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

#[test]
fn a_good_configuration_is_said_to_be_valid() {
    let folder = Folder::new();
    let done = check(&folder, GOOD);
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert!(done.stdout.contains("configuration is valid"), "{done:?}");
    assert!(
        !folder.file("users.db").exists(),
        "a check makes no database"
    );
}

#[test]
fn bad_lines_are_named() {
    let folder = Folder::new();
    let cases: [(&str, &[&str]); 9] = [
        ("max_connections=ten", &["max_connections", "ten"]),
        ("max_connections=-1", &["max_connections", "-1"]),
        ("max_connections=", &["max_connections"]),
        ("port=65536", &["port", "65536"]),
        ("log_to_console=maybe", &["log_to_console", "maybe"]),
        (
            "bind_address=nowhere.example",
            &["bind_address", "nowhere.example"],
        ),
        ("max_conections=5", &["max_conections", "max_connections"]),
        ("just words", &["just words"]),
        ("=5", &[]),
    ];
    for (line, words) in cases {
        let done = check(&folder, &format!("{GOOD}{line}\n"));
        assert_refused(&done, words);
        assert!(
            done.stderr.contains("server.conf:5"),
            "{line}: {}",
            done.stderr
        );
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let folder = Folder::new();
    let done = check(&folder, &format!("{GOOD}port=x\nbacklog=y\nnonsense=z\n"));
    assert_refused(
        &done,
        &[
            "server.conf:5",
            "port",
            "server.conf:6",
            "backlog",
            "server.conf:7",
            "nonsense",
        ],
    );
}

#[test]
fn a_key_given_twice_is_refused() {
    let folder = Folder::new();
    assert_refused(
        &check(&folder, &format!("{GOOD}port=1\nport=1\n")),
        &["server.conf:6", "port"],
    );
}

#[test]
fn values_in_quotes_are_refused_wherever_they_come_from() {
    let folder = Folder::new();
    for value in [
        "\"users.db\"",
        "'users.db'",
        "\"",
        "“users.db”",
        "„users.db“",
        "«users.db»",
        "`users.db`",
    ] {
        let done = check(&folder, &format!("{GOOD}db_path={value}\n"));
        assert_refused(
            &done,
            &["server.conf:5: db_path: ", "write it without quotes"],
        );
        assert!(!folder.file("\"users.db\"").exists());
    }
    std::fs::write(folder.file("server.conf"), GOOD).unwrap();
    let done = run(check_command(
        &folder,
        edgeloop().env("DB_PATH", "\"users.db\""),
    ));
    assert_refused(&done, &["DB_PATH: ", "write it without quotes"]);
    // Quotes inside a value are a part of it.
    let policy = "content_security_policy=default-src 'self'\n";
    assert_eq!(check(&folder, &format!("{GOOD}{policy}")).code(), Some(0));
    let secret = format!("\"{}\"", "0123456789abcdef".repeat(2));
    let done = run(check_command(&folder, edgeloop().env("SECRET_KEY", secret)));
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert!(done.stderr.contains("warning: SECRET_KEY: "), "{done:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = Folder::new();
    let done =
        run(edgeloop()
            .current_dir(folder.path())
            .args(["--check", "--config", "missing.conf"]));
    assert_refused(&done, &["missing.conf"]);
}

#[test]
fn the_secret_is_required_and_never_shown() {
    let folder = Folder::new();
    std::fs::write(folder.file("server.conf"), GOOD).unwrap();
    let done = run(check_command(&folder, edgeloop().env_remove("SECRET_KEY")));
    assert_refused(&done, &["SECRET_KEY", "openssl rand"]);

    let done = run(check_command(
        &folder,
        edgeloop().env("SECRET_KEY", "only-15-bytes-x"),
    ));
    assert_refused(&done, &["SECRET_KEY"]);
    assert!(!format!("{done:?}").contains("only-15-bytes"), "{done:?}");

    let done = run(check_command(
        &folder,
        edgeloop().env("SECRET_KEY", "sixteen-bytes-xx"),
    ));
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert!(
        done.stderr.contains("SECRET_KEY"),
        "a short one is warned of: {done:?}"
    );
    assert!(!format!("{done:?}").contains("sixteen-bytes"), "{done:?}");
}

#[test]
fn the_server_does_not_start_on_a_bad_configuration() {
    let folder = Folder::new();
    folder.configure("max_connections=ten");
    let mut command = edgeloop();
    command
        .arg("--config")
        .arg(folder.file("server.conf"))
        .arg("--port-file")
        .arg(folder.file("port"));
    let done = run(command.current_dir(folder.path()));
    assert_refused(&done, &["server.conf:", "max_connections", "ten"]);
    assert!(!folder.file("port").exists());
}

#[test]
fn the_environment_beats_the_file() {
    let folder = Folder::new();
    folder.configure("port=1\nmax_request_size=1000");
    let mut command = edgeloop();
    command
        .env("SERVER_PORT", "0")
        .env("DB_PATH", folder.file("other.db"));
    let server = folder.start_as(command);
    assert_ne!(server.port(), 1);
    server.register("ann");
    assert!(folder.file("other.db").exists() && !folder.file("users.db").exists());
    drop(server);

    let done = run(check_command(
        &folder,
        edgeloop().env("SERVER_PORT", "many"),
    ));
    assert_refused(&done, &["SERVER_PORT", "many"]);
}

#[test]
fn certificates_that_do_not_serve_are_named() {
    let folder = Folder::new();
    assert_refused(
        &check(&folder, &GOOD.replace("cert.pem", "no-cert.pem")),
        &["no-cert.pem"],
    );
    assert_refused(
        &check(&folder, &GOOD.replace("key.pem", "no-key.pem")),
        &["no-key.pem"],
    );
    std::fs::write(folder.file("empty.pem"), "").unwrap();
    assert_refused(
        &check(&folder, &GOOD.replace("cert.pem", "empty.pem")),
        &["empty.pem"],
    );
    let other = Folder::new();
    std::fs::copy(other.file("key.pem"), folder.file("other.pem")).unwrap();
    assert_refused(
        &check(&folder, &GOOD.replace("key.pem", "other.pem")),
        &["other.pem"],
    );
}

#[test]
fn a_chain_is_looked_at_section_by_section() {
    let folder = Folder::new();
    let cert = std::fs::read_to_string(folder.file("cert.pem")).unwrap();
    let with_chain = |text: String| {
        std::fs::write(folder.file("chain.pem"), text).unwrap();
        check(&folder, &GOOD.replace("cert.pem", "chain.pem"))
    };
    let line = cert.lines().count();
    let done = with_chain(format!("{}{cert}", cert.trim_end()));
    assert_refused(&done, &[&format!("chain.pem:{line}: ")]);
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let done = with_chain(format!("{cert}{bad}"));
    assert_refused(&done, &[&format!("chain.pem:{}: ", line + 1)]);
    // What clients may not like is no reason not to start.
    let other = std::fs::read_to_string(Folder::new().file("cert.pem")).unwrap();
    let done = with_chain(format!("{cert}{other}"));
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let warning = "certificate 2 is not the issuer of certificate 1";
    assert!(done.stderr.contains(warning), "{}", done.stderr);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = Folder::new();
    folder.configure("");
    let server = folder.start();
    let second = Folder::new();
    second.configure(&format!("port={}", server.port()));
    let done = run(edgeloop()
        .current_dir(second.path())
        .arg("--config")
        .arg(second.file("server.conf")));
    assert!(!done.status.success(), "{done:?}");
    assert!(done.stderr.contains(&server.port().to_string()), "{done:?}");
    assert!(done.stderr.contains("SERVER_PORT"), "{done:?}");
    assert!(!done.stderr.contains("panicked"), "{done:?}");
    server.connect().get("/").expect(200);
}

#[test]
fn a_check_finds_what_a_start_would() {
    let folder = Folder::new();
    std::fs::write(folder.file("none.db"), "no database at all ".repeat(100)).unwrap();
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(folder.file("locked.pem"), locked).unwrap();
    let clash = format!("{GOOD}port=9000\nmetrics_address=127.0.0.1:9000\n");
    let cases = [
        (format!("{GOOD}db_path=none.db\n"), "db_path: none.db: "),
        (format!("{GOOD}db_path=no/users.db\n"), "db_path: no: "),
        (
            format!("{GOOD}log_file_path=no/a.log\n"),
            "log_file_path: no: ",
        ),
        // TEST-NET-1 (RFC 5737) is no machine's.
        (format!("{GOOD}bind_address=192.0.2.1\n"), "bind_address"),
        (GOOD.replace("key.pem", "locked.pem"), "is encrypted"),
        (
            GOOD.replace("public_dir=.", "public_dir=no"),
            "public_dir: no: ",
        ),
        (clash, "server.conf:6: metrics_address: "),
    ];
    for (text, word) in cases {
        let done = check(&folder, &text);
        assert_refused(&done, &[word]);
        assert!(!done.stdout.contains("valid"), "{done:?}");
        // A start is stopped by the same words.
        let start = run(edgeloop()
            .current_dir(folder.path())
            .args(["--config", "server.conf"]));
        assert!(!start.status.success(), "{word}: {start:?}");
        assert!(start.stderr.contains(word), "{word}: {start:?}");
    }
    let mut command = edgeloop();
    std::fs::write(folder.file("server.conf"), GOOD).unwrap();
    let command = check_command(&folder, &mut command).args(["--port-file", "no/port"]);
    assert_refused(&run(command), &["--port-file: no: "]);
}

#[test]
fn a_check_beside_the_server_it_is_for_warns_of_its_port_alone() {
    let folder = Folder::new();
    folder.configure("");
    let server = folder.start();
    server.register("ann");
    folder.configure(&format!("port={}", server.port()));
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    let done = run(check_command(&folder, &mut edgeloop()));
    assert_eq!(done.code(), Some(0), "{done:?}");
    let warning = format!("warning: cannot listen on 127.0.0.1:{}: ", server.port());
    assert!(done.stderr.contains(&warning), "{done:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before);
    server.login("ann");
}

#[test]
fn help_and_version_are_given() {
    let help = run(edgeloop().env_remove("SECRET_KEY").arg("--help"));
    assert_eq!(help.code(), Some(0));
    for word in ["--config", "--check", "--port-file", "cert"] {
        assert!(
            help.stdout.contains(word),
            "{word} is not in: {}",
            help.stdout
        );
    }
    let version = run(edgeloop().env_remove("SECRET_KEY").arg("--version"));
    assert_eq!(version.code(), Some(0));
    assert_eq!(
        version.stdout.trim(),
        concat!("edgeloop ", env!("CARGO_PKG_VERSION"))
    );

    let wrong = run(edgeloop().arg("--colour"));
    assert_eq!(wrong.code(), USAGE);
    assert!(wrong.stderr.contains("--colour"), "{wrong:?}");
}

#[test]
fn certificates_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/certs");
    let make = |more: &[&str]| {
        run(edgeloop()
            .env_remove("SECRET_KEY")
            .args(["cert", "--out-dir"])
            .arg(&out)
            .args(more))
    };
    let done = make(&[]);
    assert_eq!(done.code(), Some(0), "{done:?}");
    let mode = |name: &str| {
        std::fs::metadata(out.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("key.pem"), 0o600);
    assert_eq!(mode("cert.pem"), 0o644);
    let first = std::fs::read(out.join("cert.pem")).unwrap();

    let done = make(&[]);
    assert!(!done.status.success(), "overwritten: {done:?}");
    assert!(done.stderr.contains("--force"), "{done:?}");
    assert_eq!(std::fs::read(out.join("cert.pem")).unwrap(), first);

    assert_eq!(make(&["--force"]).code(), Some(0));
    assert_ne!(std::fs::read(out.join("cert.pem")).unwrap(), first);
}

#[test]
fn a_certificate_for_other_names_can_be_made() {
    let folder = Folder::new();
    let done = run(edgeloop()
        .args(["cert", "--force", "--host", "chat.example", "--out-dir"])
        .arg(folder.path()));
    assert_eq!(done.code(), Some(0), "{done:?}");
    folder.configure("");
    let server = folder.start();
    let trusting = client_config(folder.certificate());
    assert!(tls_as(&server, Arc::clone(&trusting), "chat.example").is_ok());
    assert!(
        tls_as(&server, trusting, "other.example").is_err(),
        "it is not for every name"
    );
}

#[test]
fn the_log_goes_where_it_is_told() {
    let folder = Folder::new();
    folder.configure("log_to_file=1\nlog_file_path=the.log\nlog_to_console=0\nlog_level=0");
    let server = folder.start();
    server.connect().get("/a-path-to-find").expect(404);
    crate::support::wait_for("the request in the log file", || {
        let log = std::fs::read_to_string(folder.file("the.log")).ok()?;
        log.contains("/a-path-to-find").then_some(())
    });
    assert!(
        !server
            .log_lines()
            .iter()
            .any(|line| line.contains("/a-path-to-find"))
    );
}
