//! Attacks on the server, and what somebody else notices of them: `make attacks`
//!
//! The server runs on core 0 with its default limits, but for shorter times. A probe on core 1 fetches a page
//! fifty times a second and measures; attackers run beside it, on the same core at a lower priority, each from
//! addresses of their own. One row for each attack: the probe's latency while it lasts, and how long the server lets it last.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it measured"
)]

mod attack_kinds;
#[path = "../client/mod.rs"]
mod client;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustls::ClientConfig;
use socket2::{Domain, SockRef, Socket, Type};

use self::attack_kinds::ACTS;
use self::client::{Client, Failure, trust};

/// Shorter than the defaults, so that the table is had in minutes.
const CONFIG: &str = "port=0\nbind_address=127.0.0.1\nssl_cert_path=cert.pem\nssl_key_path=key.pem\n\
    public_dir=public\nlog_to_console=0\nlog_level=2\nmetrics_address=off\nssl_handshake_timeout=4\n\
    connection_timeout=6\nrequest_timeout=5\nkeepalive_timeout=5\nws_ping_interval=3\n";
/// Duration of the probe and of most attacks.
const ATTACK_TIME: Duration = Duration::from_secs(8);
/// An attacker that is still there is given up on.
const GONE_TIME: Duration = Duration::from_secs(40);
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// Attacks a server and measures what others notice.
#[derive(Debug, Parser)]
struct Args {
    /// The server's command.
    #[arg(long, default_value = "target/release/edgeloop")]
    server: PathBuf,
    /// Only attacks whose names have this in them.
    #[arg(default_value = "")]
    only: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Address of the server, for attackers.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) token: String,
    pub(crate) until: Instant,
    pub(crate) pid: u32,
}

impl Target {
    /// A TCP connection from the `number`th address.
    pub(crate) fn tcp(&self, number: usize) -> Result<TcpStream, Failure> {
        let [high, low] = u16::try_from(number + 256)?.to_be_bytes();
        let source = SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&source.into())?;
        socket.connect_timeout(&self.address.into(), Duration::from_secs(5))?;
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(GONE_TIME))?;
        socket.set_write_timeout(Some(Duration::from_secs(5)))?;
        Ok(socket)
    }

    /// The same with TLS.
    pub(crate) fn connect(&self, number: usize) -> Result<Client, Failure> {
        Client::over(self.tcp(number)?, "localhost", Some(&self.config))
    }

    /// A WebSocket of the chat.
    pub(crate) fn socket(&self, number: usize) -> Result<Client, Failure> {
        let mut client = self.connect(number)?;
        let fields = format!(
            "Authorization: Bearer {}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
            self.token
        );
        client.upgrade("localhost", "/ws", &fields)?;
        Ok(client)
    }

    /// Memory of the server, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("no VmRSS")?.parse()?)
    }

    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    let (server, mut target) = start(&args.server.canonicalize()?, folder.path())?;
    pin(1);
    target.token = attack_kinds::log_in(&target)?;
    let quiet = probe(&target, &AtomicBool::new(false), ATTACK_TIME)?;
    println!("| attack | probe p50 ms | p99 ms | answers | attackers gone after s |");
    println!("|---|---|---|---|---|");
    println!("| none | {quiet} | - |");
    for (name, act) in ACTS.iter().filter(|(name, _)| name.contains(&args.only)) {
        target.until = Instant::now() + ATTACK_TIME;
        let (aimed, begun) = (target.clone(), Instant::now());
        let attacking = thread::spawn(move || {
            yield_to_probe();
            act(&aimed)
        });
        let seen = probe(&target, &AtomicBool::new(false), ATTACK_TIME)?;
        let gone = match attacking.join().map_err(|_| "an attacker panicked")?? {
            Some(gone) => format!("{:.1}", (gone - begun).as_secs_f64()),
            None => "(the attack ended)".to_owned(),
        };
        println!("| {name} | {seen} | {gone} |");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.0.id()))?;
    let resident = status.lines().find(|line| line.starts_with("VmHWM:"));
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.0.id()))?.count();
    println!();
    println!(
        "Most memory ever: {}; descriptors at the end: {descriptors}",
        resident.unwrap_or("?")
    );
    Ok(())
}

/// Lets the probe have the core whenever it wants it: on Linux, priorities are those of threads.
fn yield_to_probe() {
    if setpriority_process(None, 19).is_err() {
        println!("NOTE: attackers take the core from the probe");
    }
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if sched_setaffinity(None, &set).is_err() {
        println!("NOTE: not pinned to core {core}");
    }
}

fn start(binary: &Path, folder: &Path) -> Result<(Server, Target), Failure> {
    let public = folder.join("public");
    fs::create_dir(&public)?;
    fs::write(public.join("login.html"), vec![b'x'; 1000])?;
    fs::write(public.join("large.bin"), vec![b'x'; 8 << 20])?;
    fs::write(folder.join("server.conf"), CONFIG)?;
    let made = Command::new(binary)
        .args(["cert", "--out-dir", "."])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()?;
    if !made.success() {
        return Err("no certificate".into());
    }
    pin(0);
    let child = Command::new(binary)
        .args(["--port-file", "port"])
        .env("SECRET_KEY", "0123456789abcdef0123456789abcdef")
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .spawn()?;
    let server = Server(child);
    let deadline = Instant::now() + Duration::from_secs(10);
    let port = loop {
        match fs::read_to_string(folder.join("port")) {
            Ok(text) => break text.trim().parse()?,
            Err(_) if Instant::now() < deadline => thread::sleep(PROBE_INTERVAL),
            Err(error) => return Err(error.into()),
        }
    };
    let target = Target {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        config: trust(&folder.join("cert.pem"))?,
        token: String::new(),
        until: deadline,
        pid: server.0.id(),
    };
    Ok((server, target))
}

/// Results of the probe, as three cells of the table.
fn probe(target: &Target, stop: &AtomicBool, time: Duration) -> Result<String, Failure> {
    let mut client = Client::connect(target.address, "localhost", Some(&target.config))?;
    SockRef::from(&client.socket).set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut latencies = Histogram::<u64>::new(3)?;
    let begun = Instant::now();
    let mut due = begun;
    while begun.elapsed() < time && !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        attack_kinds::get(&mut client, "/login")?;
        latencies.record(u64::try_from(due.elapsed().as_micros())?)?;
        due += PROBE_INTERVAL;
    }
    let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    Ok(format!(
        "{:.2} | {:.2} | {}",
        ms(0.5),
        ms(0.99),
        latencies.len()
    ))
}
