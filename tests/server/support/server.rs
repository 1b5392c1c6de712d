//! One `edgeloop` process in a folder of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::command::{Guarded, edgeloop, run, signal};
use super::deadline::{Deadline, wait_for};
use super::http::Connection;

/// The folder a server lives in: certificates, configuration, database.
///
/// It is removed with its last owner, so a test that restarts a server keeps a clone.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Arc<tempfile::TempDir>);

impl Folder {
    /// A new folder with a certificate and a key made by `edgeloop cert`.
    pub(crate) fn new() -> Self {
        let folder = Self(Arc::new(tempfile::tempdir().expect("a temporary folder")));
        folder.renew_certificate();
        folder
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Replaces certificate and key.
    pub(crate) fn renew_certificate(&self) {
        let done = run(edgeloop()
            .args(["cert", "--force", "--out-dir"])
            .arg(self.path())
            .current_dir(self.path()));
        assert!(
            done.status.success(),
            "edgeloop cert: {}{}",
            done.stdout,
            done.stderr
        );
    }

    /// The certificate as it is on disk now.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.file("cert.pem")).expect("cert.pem holds a certificate")
    }

    /// Writes `server.conf`: what every test wants, with the lines of `changes` added or instead.
    pub(crate) fn configure(&self, changes: &str) {
        let mut lines = BTreeMap::from([
            ("port".to_owned(), "0".to_owned()),
            ("bind_address".to_owned(), "127.0.0.1".to_owned()),
            ("ssl_cert_path".to_owned(), self.shown("cert.pem")),
            ("ssl_key_path".to_owned(), self.shown("key.pem")),
            ("db_path".to_owned(), self.shown("users.db")),
            (
                "public_dir".to_owned(),
                concat!(env!("CARGO_MANIFEST_DIR"), "/public").to_owned(),
            ),
            ("log_to_console".to_owned(), "1".to_owned()),
            ("log_to_file".to_owned(), "0".to_owned()),
            ("metrics_address".to_owned(), "off".to_owned()),
            // All users of a test come from one address.
            ("logins_per_minute_per_ip".to_owned(), "0".to_owned()),
            ("registrations_per_minute_per_ip".to_owned(), "0".to_owned()),
            ("conflicts_per_minute_per_ip".to_owned(), "0".to_owned()),
        ]);
        for line in changes
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (key, value) = line.split_once('=').expect("key=value");
            lines.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        let mut text = String::new();
        for (key, value) in lines {
            writeln!(text, "{key}={value}").unwrap();
        }
        // Renamed into place: a server may be reading it.
        std::fs::write(self.file("server.conf.new"), text).unwrap();
        std::fs::rename(self.file("server.conf.new"), self.file("server.conf")).unwrap();
    }

    fn shown(&self, name: &str) -> String {
        self.file(name)
            .into_os_string()
            .into_string()
            .expect("temporary paths are UTF-8")
    }

    /// Starts a server on what is in the folder and waits until it listens.
    pub(crate) fn start(&self) -> Server {
        self.start_as(edgeloop())
    }

    /// As [`Folder::start`], with the configuration found in the working directory.
    pub(crate) fn start_without_config(&self) -> Server {
        self.launch(edgeloop())
    }

    /// As [`Folder::start`], with the command's environment changed before.
    pub(crate) fn start_as(&self, mut command: Command) -> Server {
        command.arg("--config").arg(self.file("server.conf"));
        self.launch(command)
    }

    fn launch(&self, mut command: Command) -> Server {
        let port_file = self.file("port");
        drop(std::fs::remove_file(&port_file));
        command.arg("--port-file").arg(&port_file);
        command.current_dir(self.path()).stdout(Stdio::null());
        let mut process = Guarded::spawn(command.stderr(Stdio::piped()));
        let (log, reader) = Log::follow(process.0.stderr.take().unwrap());
        let mut reader = Some(reader);
        let port = wait_for("the server to write its port", || {
            if let Some(status) = process.ended() {
                // All it said is wanted, and it says no more.
                drop(reader.take().map(JoinHandle::join));
                panic!(
                    "the server ended with {status} before it listened:\n{}",
                    log.text()
                );
            }
            let text = std::fs::read_to_string(&port_file).ok()?;
            Some(
                text.trim_end_matches('\n')
                    .parse()
                    .expect("the port file holds a decimal line"),
            )
        });
        Server {
            process,
            port,
            log,
            folder: self.clone(),
            expected_panic: OnceLock::new(),
        }
    }
}

/// A running server. Dropped, it is killed; [`Server::stop`] ends it in order.
#[derive(Debug)]
pub(crate) struct Server {
    process: Guarded,
    port: u16,
    log: Log,
    folder: Folder,
    /// A text in the lines of panics that a test provokes.
    expected_panic: OnceLock<&'static str>,
}

impl Server {
    /// Panics of the server with this text in a line are no fault of it: the test provokes them.
    pub(crate) fn expect_panic(&self, text: &'static str) {
        self.expected_panic.set(text).unwrap();
    }

    /// A server with the defaults of the configuration.
    pub(crate) fn start() -> Self {
        Self::with_config("")
    }

    /// A server with these lines of `key=value`, the defaults for the rest.
    pub(crate) fn with_config(changes: &str) -> Self {
        let folder = Folder::new();
        folder.configure(changes);
        folder.start()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// The port it listens on, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Value of `Host` in requests.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The origin of its pages.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.host())
    }

    /// Folder of its files.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A new connection, its TLS handshake done.
    pub(crate) fn connect(&self) -> Connection {
        match Connection::open(self) {
            Ok(connection) => connection,
            Err(error) => panic!("no connection: {error}\n{}", self.log.text()),
        }
    }

    /// Everything it logged so far.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The first logged line with `needle` in it, waited for.
    pub(crate) fn wait_for_log(&self, needle: &str) -> String {
        self.log.wait_for(needle)
    }

    /// SIGHUP: read configuration and certificates again.
    pub(crate) fn hangup(&self) {
        self.signal("HUP");
    }

    /// Sends it a signal, named as for kill(1).
    pub(crate) fn signal(&self, name: &str) {
        signal(self.process.0.id(), name);
    }

    /// The memory it holds, as the kernel counts it.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory it has ever held.
    pub(crate) fn resident_kib_peak(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.0.id());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect(name);
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number of kB")
    }

    /// Returns `true` if it runs no more, reaped or not.
    pub(crate) fn has_ended(&self) -> bool {
        let path = format!("/proc/{}/stat", self.process.0.id());
        std::fs::read_to_string(path).is_ok_and(|stat| stat.contains(") Z "))
    }

    /// Ends it with SIGTERM and says how it ended.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the end of a server that was told to stop.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.process.wait("the server to end")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- log of the server on port {} ---\n{}",
                self.port,
                self.log.text()
            );
            return;
        }
        // The server catches panics, which is not to hide any.
        let mut faults = self.log.lines();
        faults.retain(|line| {
            let is_fault = line.contains("panicked") || line.contains("broken invariant");
            let expected = self.expected_panic.get();
            is_fault && !expected.is_some_and(|text| line.contains(text))
        });
        assert!(faults.is_empty(), "the server panicked: {faults:?}");
    }
}

/// The lines of a pipe, gathered by a thread so that the writer never waits for us.
#[derive(Clone, Debug)]
struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    fn follow(pipe: impl std::io::Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let log = Self(Arc::default());
        let inside = log.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let (lines, grown) = &*inside.0;
                lines
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).into_owned());
                grown.notify_all();
            }
        });
        (log, reader)
    }

    fn lines(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    fn text(&self) -> String {
        self.lines().join("\n")
    }

    fn wait_for(&self, needle: &str) -> String {
        let deadline = Deadline::new();
        let (lines, grown) = &*self.0;
        let mut lines = lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(needle)) {
                return line.clone();
            }
            let Some(left) = deadline.left() else {
                // The log itself is shown when the server is dropped, which wants the lock.
                drop(lines);
                panic!("no line with {needle:?} in the log");
            };
            lines = grown.wait_timeout(lines, left).unwrap().0;
        }
    }
}
