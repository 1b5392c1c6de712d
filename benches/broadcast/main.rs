//! One room, everybody in it, and what a message to all of them costs.
//!
//! ```text
//! cargo bench --bench broadcast -- --connections 5000 --rate 100 --seconds 60
//! cargo bench --bench broadcast -- --connections 500 --floor
//! ```
//!
//! The server runs on a thread of this process, on core 0, its clients in a child process on core 1. One more
//! client publishes at a steady rate. Everybody else must get every message, the same bytes in the same
//! order; a delivery lasts from when its message was due to be sent to when it was read, so that what
//! is late makes all that waits behind it late, too.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it measured"
)]

#[path = "../client/mod.rs"]
mod client;
mod clients;
#[path = "../floor/room.rs"]
mod floor;
mod memory;
mod room;

use std::alloc::System;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use cap::Cap;
use clap::Parser;
use edgeloop::app::cert::{self, CertRequest};
use edgeloop::app::tls_files::TlsFiles;
use rustix::thread::{CpuSet, sched_setaffinity};

use self::client::Failure;
use self::clients::{Clients, Deliveries};
use self::memory::Memory;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Publishes to a room and measures the deliveries.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Connections in the room.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    /// Number of them that never read.
    #[arg(long, default_value_t = 0)]
    silent: usize,
    /// Messages in a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Bytes of a message, 40 at least.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// All agree on compression, from the first byte on.
    #[arg(long)]
    compress: bool,
    /// Not our server but a bare loop that encrypts and writes.
    #[arg(long)]
    floor: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Arguments of the child process: the server, and the certificate to trust.
    #[arg(long, hide = true, requires = "trust")]
    clients_of: Option<SocketAddr>,
    #[arg(long, hide = true)]
    trust: Option<PathBuf>,
}

/// A server under measurement.
struct Server {
    address: SocketAddr,
    /// The folder in proc(5) of its thread.
    thread: PathBuf,
    room: room::Counts,
}

impl Server {
    /// The processor time its thread has used, in nanoseconds.
    fn cpu_ns(&self) -> Result<u64, Failure> {
        let text = fs::read_to_string(self.thread.join("schedstat"))?;
        let first = text.split_whitespace().next();
        Ok(first.ok_or("no schedstat")?.parse()?)
    }
}

fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    if let (Some(address), Some(trust)) = (args.clients_of, &args.trust) {
        pin(1);
        clients::run(&args, address, trust)?;
        return Ok(ExitCode::SUCCESS);
    }
    pin(0);
    measure(&args)
}

/// Keeps this thread, and those it starts, on one core where there are two.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if sched_setaffinity(None, &set).is_err() {
        println!("NOTE: not pinned to core {core}");
    }
}

fn start(args: &Args, files: &cert::CertFiles) -> Result<Server, Failure> {
    let (told, ready) = mpsc::channel();
    let room = room::Counts::default();
    let counts = room.clone();
    let (is_floor, compress) = (args.floor, args.compress);
    let (cert, key) = (files.cert.clone(), files.key.clone());
    thread::Builder::new()
        .name("reactor".to_owned())
        .spawn(move || {
            let thread = fs::read_link("/proc/thread-self");
            let tell = |address| {
                told.send(thread.map(|thread| (address, thread)))
                    .map_err(Failure::from)
            };
            let tls = TlsFiles::new()?.load(&cert, &key)?;
            if is_floor {
                floor::serve(tls, tell)
            } else {
                room::serve(tls, compress, counts, tell)
            }
        })?;
    let (address, thread) = ready.recv()??;
    Ok(Server {
        address,
        thread: PathBuf::from("/proc").join(thread),
        room,
    })
}

fn measure(args: &Args) -> Result<ExitCode, Failure> {
    let folder = tempfile::tempdir()?;
    let files = cert::make(&CertRequest {
        out_dir: folder.path().to_owned(),
        hosts: Vec::new(),
        days: 1,
        force: false,
    })?;
    let server = start(args, &files)?;
    let before = Memory::now(&HEAP)?;
    let mut clients = Clients::start(args, server.address, &files.cert)?;
    clients.ask("connect")?;
    let idle = Memory::settled(&HEAP)?;
    let cpu_ns = server.cpu_ns()?;
    let (done, is_done) = mpsc::channel();
    let (clients, outcome, most) = thread::scope(|scope| {
        let running = scope.spawn(move || {
            let outcome = clients.publish();
            done.send(()).ok();
            (clients, outcome)
        });
        let mut most = Memory::now(&HEAP)?;
        while is_done.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            most.raise(&Memory::now(&HEAP)?);
        }
        let (clients, outcome) = running.join().map_err(|_| "the watcher panicked")?;
        Ok::<_, Failure>((clients, outcome?, most))
    })?;
    let cpu_ns = server.cpu_ns()? - cpu_ns;
    let after = Memory::settled(&HEAP)?;
    let ended = server.room.to_string();
    clients.end()?;
    let closed = Memory::settled(&HEAP)?;

    print(args, &outcome, cpu_ns);
    println!("closed meanwhile, by close code: {ended}");
    println!(
        "{:<26}{:>12}{:>12}{:>14}",
        "MiB", "live heap", "resident", "TCP buffers"
    );
    for (name, memory) in [
        ("before", before),
        ("all in the room, idle", idle),
        ("most while publishing", most),
        ("after it", after),
        ("all closed", closed),
    ] {
        println!("{name:<26}{memory}");
    }
    Ok(if outcome.delivered == outcome.expected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(args: &Args, outcome: &Deliveries, cpu_ns: u64) {
    let what = if args.floor { "the floor" } else { "edgeloop" };
    println!(
        "{what}: {} connections, {} of them silent; {} messages/s of {} bytes for {} s{}",
        args.connections,
        args.silent,
        args.rate,
        args.bytes,
        args.seconds,
        if args.compress { ", compressed" } else { "" }
    );
    println!(
        "delivered {} of {}; reads {}",
        outcome.delivered, outcome.expected, outcome.reads
    );
    println!(
        "delivery ms: p50 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
        outcome.p50_us as f64 / 1e3,
        outcome.p99_us as f64 / 1e3,
        outcome.p999_us as f64 / 1e3,
        outcome.max_us as f64 / 1e3
    );
    println!(
        "server: {:.3} us of CPU for each delivery, {:.0} % of a core over {:.1} s",
        cpu_ns as f64 / 1e3 / outcome.delivered.max(1) as f64,
        cpu_ns as f64 / 1e7 / outcome.elapsed.as_secs_f64(),
        outcome.elapsed.as_secs_f64()
    );
}
