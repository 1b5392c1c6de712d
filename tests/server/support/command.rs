//! Child processes that cannot outlive their test, and the `edgeloop` command itself.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::deadline::{PATIENCE, poll, poll_for, wait_for};

/// A secret of the wanted length; the tests that are about secrets give their own.
pub(crate) const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The variables that rule over the configuration file.
const VARIABLES: [&str; 8] = [
    "SECRET_KEY",
    "SERVER_PORT",
    "SERVER_MAX_CONNECTIONS",
    "SERVER_LOG_LEVEL",
    "DB_PATH",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "JOURNAL_STREAM",
];

/// `edgeloop` with [`SECRET_KEY`] and nothing else of ours in its environment.
pub(crate) fn edgeloop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgeloop"));
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.env("SECRET_KEY", SECRET_KEY).stdin(Stdio::null());
    command
}

/// `edgeloop`, started by a shell that does this first. `$0` and `$@` are the command.
pub(crate) fn by_shell(script: &str) -> Command {
    let edgeloop = edgeloop();
    let mut command = Command::new("sh");
    for (name, value) in edgeloop.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(["-c", script])
        .arg(edgeloop.get_program())
        .args(edgeloop.get_args())
        .stdin(Stdio::null());
    command
}

/// A program of this machine that a test wants, without a proxy in its environment.
///
/// If there is none this says so and gives `None`, but on CI (`CI` is set) it fails.
pub(crate) fn program(name: &str) -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join(name).is_file()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "no {name} on this machine, and CI wants one"
        );
        // Not by `println!`, which a passing test keeps to itself.
        let told =
            format!("SKIPPED: no {name} on this machine, the server was not tried with it\n");
        std::io::stderr()
            .write_all(told.as_bytes())
            .expect("stderr takes a line");
        return None;
    }
    let mut command = Command::new(name);
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    Some(command)
}

/// A program that `make clients` installed, or `None` with a word about it.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/clients")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no {name} in target/clients, and CI wants it: make clients"
    );
    // Not by `println!`, which a passing test keeps to itself.
    let told = format!("SKIPPED: no {name} in target/clients (make clients)\n");
    std::io::stderr()
        .write_all(told.as_bytes())
        .expect("stderr takes a line");
    None
}

/// Output and status of a command that ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The exit code; a signal has none.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs a command that is expected to end by itself; one that does not is killed and fails the test.
pub(crate) fn run(command: &mut Command) -> Finished {
    run_for(command, PATIENCE)
}

/// As [`run`], for one that may take this long.
pub(crate) fn run_for(command: &mut Command, patience: Duration) -> Finished {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Guarded::spawn(command);
    let stdout = collect(child.0.stdout.take().unwrap());
    let stderr = collect(child.0.stderr.take().unwrap());
    let status = poll_for(patience, || child.ended())
        .unwrap_or_else(|| panic!("waited {patience:?} in vain for {command:?} to end"));
    Finished {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Sends a signal, named as for kill(1), to one process.
///
/// The shell's own `kill` is used: a small machine may have no other.
pub(crate) fn signal(pid: u32, name: &str) {
    let done = run(Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{name} {pid}")));
    assert!(done.status.success(), "kill -{name} {pid}: {}", done.stderr);
}

/// A child that is killed and reaped when the test lets go of it.
#[derive(Debug)]
pub(crate) struct Guarded(pub Child);

impl Guarded {
    /// Starts `command`.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("{command:?} does not start: {error}"),
        }
    }

    /// Returns `true` if it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0
            .try_wait()
            .expect("a child of ours can be waited for")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, what: &str) -> ExitStatus {
        wait_for(what, || self.ended())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already, which is what is wanted.
        drop(self.0.kill());
        poll(|| (!matches!(self.0.try_wait(), Ok(None))).then_some(()));
    }
}
