//! The server under load: a process of its own, in a folder of its own.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::tally::{Failure, PATIENCE, Random, now};

/// Bytes of a file that is too large to be held in memory.
const LARGE_FILE_BYTES: usize = 3 << 20;
/// Bytes of a file that is not small, and held in memory.
const MEDIUM_FILE_BYTES: usize = 200 << 10;
/// Interval at which a condition is polled that nothing announces.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Ticks a second in /proc/*/stat, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Key that the server signs its tokens with.
pub(crate) const SECRET_KEY: &str = "soak-0123456789abcdef-0123456789";

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

/// Resource usage of the server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    /// Of that, memory that is not a file's: heap and stacks.
    pub(crate) anonymous_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) cpu_seconds: f64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RSS {} KiB  heap {} KiB  fds {}  CPU {:.1} s",
            self.resident_kib, self.anonymous_kib, self.descriptors, self.cpu_seconds
        )
    }
}

/// Review of the server's log: lines that are no response to a client's fault.
#[derive(Debug, Default)]
pub(crate) struct LogReview {
    pub(crate) lines: u64,
    /// Lines about limits that clients of ours reach on purpose.
    pub(crate) clients_fault: u64,
    pub(crate) suspicious: Vec<String>,
}

impl Server {
    /// Starts it with the default limits and waits until it listens.
    pub(crate) fn start(binary: &Path) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let public = folder.path().join("public");
        copy_folder(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/public")),
            &public,
        )?;
        let mut random = Random::new(1);
        fs::write(public.join("large.bin"), random.bytes(LARGE_FILE_BYTES))?;
        fs::write(public.join("medium.bin"), random.bytes(MEDIUM_FILE_BYTES))?;
        let made = command(binary, folder.path())
            .args(["cert", "--force", "--out-dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .status()?;
        if !made.success() {
            return Err(format!("{} cert: {made}", binary.display()).into());
        }
        // Tokens outlive every run. Standard error is for panics, so the log goes to its file only.
        fs::write(
            folder.path().join("server.conf"),
            "port=0\nbind_address=127.0.0.1\nssl_cert_path=cert.pem\nssl_key_path=key.pem\n\
             db_path=users.db\npublic_dir=public\nlog_to_console=0\nlog_file_path=server.log\n\
             jwt_expiry_seconds=604800\nmetrics_address=off\n",
        )?;
        let process = command(binary, folder.path())
            .args(["--config", "server.conf", "--port-file", "port"])
            .stderr(File::create(folder.path().join("stderr.txt"))?)
            .spawn()?;
        let mut server = Self {
            process,
            folder,
            port: 0,
        };
        server.port = server.await_port()?;
        Ok(server)
    }

    fn await_port(&mut self) -> Result<u16, Failure> {
        let deadline = now() + PATIENCE;
        loop {
            if let Ok(text) = fs::read_to_string(self.file("port")) {
                return Ok(text.trim().parse()?);
            }
            if let Some(status) = self.process.try_wait()? {
                let said = fs::read_to_string(self.file("stderr.txt"))?;
                return Err(format!("the server ended with {status}: {said}").into());
            }
            if now() > deadline {
                return Err("the server does not listen".into());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Keeps the folder after the run, and says where it is.
    pub(crate) fn keep_folder(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let proc = PathBuf::from(format!("/proc/{}", self.process.id()));
        let status = fs::read_to_string(proc.join("status"))?;
        let kib = |name: &str| -> Result<u64, Failure> {
            let value = status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
            let value = value.ok_or_else(|| format!("{name} is missing: the server has ended"))?;
            Ok(value.parse()?)
        };
        // The command's name, in brackets, may have spaces in it; utime and stime are fields 14 and 15.
        let stat = fs::read_to_string(proc.join("stat"))?;
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: f64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Ok(Usage {
            resident_kib: kib("VmRSS:")?,
            anonymous_kib: kib("RssAnon:")?,
            descriptors: fs::read_dir(proc.join("fd"))?.count(),
            cpu_seconds: ticks / TICKS_PER_SECOND,
        })
    }

    /// Waits until no more than so many descriptors are open, and gives how many there are then.
    pub(crate) fn await_descriptors(&self, at_most: usize) -> Result<usize, Failure> {
        let deadline = now() + PATIENCE;
        loop {
            let open = self.usage()?.descriptors;
            if open <= at_most || now() > deadline {
                return Ok(open);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Asks it to end, in order, and gives how it ended.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus, Failure> {
        // The shell's own `kill`: a small machine may have no other.
        let kill = format!("kill -TERM {}", self.process.id());
        let sent = Command::new("sh").args(["-c", &kill]).status()?;
        if !sent.success() {
            return Err(format!("{kill}: {sent}").into());
        }
        let deadline = now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if now() > deadline {
                return Err(format!("still there {PATIENCE:?} after SIGTERM").into());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Looks through log and standard error.
    pub(crate) fn review_log(&self) -> Result<LogReview, Failure> {
        let mut review = LogReview::default();
        for line in BufReader::new(File::open(self.file("server.log"))?).lines() {
            let line = line?;
            review.lines += 1;
            let level = line.split_whitespace().nth(1).unwrap_or_default();
            if line.contains("panicked") || level == "ERROR" {
                review.suspicious.push(line);
            } else if level == "WARN" {
                if line.contains("login_attempts_per_minute") {
                    review.clients_fault += 1;
                } else {
                    review.suspicious.push(line);
                }
            }
        }
        let said = fs::read_to_string(self.file("stderr.txt"))?;
        review.suspicious.extend(said.lines().map(str::to_owned));
        Ok(review)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that has ended, which is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The server's command, with nothing of our environment that rules over its configuration.
fn command(binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    for name in [
        "SERVER_PORT",
        "SERVER_MAX_CONNECTIONS",
        "SERVER_LOG_LEVEL",
        "DB_PATH",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command
        .env("SECRET_KEY", SECRET_KEY)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &copy)?;
        } else {
            fs::copy(entry.path(), copy)?;
        }
    }
    Ok(())
}
