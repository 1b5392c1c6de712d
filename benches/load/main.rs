//! Loads a server that runs already, and tells what it gave and what it cost.
//!
//! ```text
//! cargo bench --bench load -- https://localhost:8443/ --trust certs/cert.pem --pid PID
//! cargo bench --bench load -- wss://localhost:9001/ --trust certs/cert.pem --depth 16
//! ```
//!
//! One thread, so that it can be pinned to one core while the server has another. An `http` URL is
//! fetched over connections that are kept alive, a `ws` URL is sent binary messages to echo. Each
//! connection keeps `--depth` operations under way: what is answered is at once asked again.
//! Answers may be of any size: their content is counted, not held.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it measured"
)]

#[path = "../client/mod.rs"]
mod client;
mod connection;
mod job;
mod report;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use mio::{Events, Interest, Poll, Token};

use self::client::{Client, Failure, trust};
use self::connection::{Connection, Tally};
use self::job::Job;
use self::report::{Cpu, Measured, Report, Round};

/// The most that is read from a connection at once.
const READ_BYTES: usize = 256 << 10;

/// Loads an HTTP or WebSocket server and measures rate, latency and the server's CPU time.
#[derive(Debug, Parser)]
struct Args {
    /// http, https, ws or wss, with a port.
    url: String,
    /// PEM file with the certificate to trust.
    #[arg(long)]
    trust: Option<PathBuf>,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Operations under way on each connection.
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// Bytes of each WebSocket message.
    #[arg(long, default_value_t = 64)]
    bytes: usize,
    /// Seconds of each round.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds, of which the medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Sent as Accept-Encoding.
    #[arg(long, value_name = "CODINGS")]
    accept_encoding: Option<String>,
    /// The server process, to measure its CPU time; once for each, if it has several.
    #[arg(long)]
    pid: Vec<u32>,
    /// Report as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Report as one row of a Markdown table with this title.
    #[arg(long, value_name = "TITLE", conflicts_with = "json")]
    row: Option<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let url = Url::parse(&args.url)?;
    let mut load = Load::start(&args, &url)?;
    // What is slow only once, allocators and caches of both sides, is not measured.
    load.run(Duration::from_secs(1))?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for _ in 0..args.rounds.max(1) {
        let cpu = Cpu::of_processes(&args.pid)?;
        let measured = load.run(Duration::from_secs(args.seconds))?;
        rounds.push(Round::new(measured, cpu.since()?));
    }
    let report = Report::new(&args.url, args.connections, args.depth, &rounds);
    match args.row {
        Some(title) => println!("{}", report.row(&title)),
        None if args.json => println!("{}", report.json()),
        None => print!("{report}"),
    }
    Ok(())
}

/// What is to be loaded.
struct Url {
    host: String,
    address: SocketAddr,
    path: String,
    is_tls: bool,
    is_websocket: bool,
}

impl Url {
    fn parse(url: &str) -> Result<Self, Failure> {
        let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
        let (is_tls, is_websocket) = match scheme {
            "http" => (false, false),
            "https" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            _ => return Err(format!("{scheme}: not http, https, ws or wss").into()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, _) = authority.rsplit_once(':').ok_or("the URL has no port")?;
        let mut addresses = authority.to_socket_addrs()?;
        Ok(Self {
            host: host.to_owned(),
            address: addresses
                .find(SocketAddr::is_ipv4)
                .ok_or("no IPv4 address")?,
            path: format!("/{path}"),
            is_tls,
            is_websocket,
        })
    }
}

/// All connections and the loop that drives them.
struct Load {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// Connections that may have more to read: epoll does not tell again.
    unfinished: Vec<usize>,
    room: Box<[u8]>,
}

impl Load {
    /// Connects everything and has the first operations under way.
    fn start(args: &Args, url: &Url) -> Result<Self, Failure> {
        let tls = match (&args.trust, url.is_tls) {
            (_, false) => None,
            (Some(cert), true) => Some(trust(cert)?),
            (None, true) => return Err("TLS needs --trust".into()),
        };
        let job = if url.is_websocket {
            Job::echo(args.bytes)
        } else {
            Job::get(&url.host, &url.path, args.accept_encoding.as_deref())
        };
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(args.connections);
        for index in 0..args.connections {
            let mut client = Client::connect(url.address, &url.host, tls.as_ref())?;
            if url.is_websocket {
                client.upgrade(&url.host, &url.path, "")?;
            }
            let mut connection = Connection::new(client, job.clone())?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(connection.socket(), Token(index), interest)?;
            connection.ask(args.depth)?;
            connections.push(connection);
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(args.connections),
            connections,
            unfinished: Vec::new(),
            room: vec![0; READ_BYTES].into(),
        })
    }

    /// Keeps all busy for so long.
    fn run(&mut self, duration: Duration) -> Result<Measured, Failure> {
        let mut tally = Tally::default();
        let begun = self.progress();
        let start = Instant::now();
        while start.elapsed() < duration {
            let patience = match self.unfinished.is_empty() {
                true => Duration::from_secs(5),
                false => Duration::ZERO,
            };
            self.poll.poll(&mut self.events, Some(patience))?;
            if self.events.is_empty() && self.unfinished.is_empty() {
                return Err("the server has not answered for five seconds".into());
            }
            let mut turns = std::mem::take(&mut self.unfinished);
            turns.extend(self.events.iter().map(|event| event.token().0));
            turns.sort_unstable();
            turns.dedup();
            for index in turns {
                if let Some(connection) = self.connections.get_mut(index)
                    && !connection.turn(&mut self.room, &mut tally)?
                {
                    self.unfinished.push(index);
                }
            }
        }
        Ok(Measured {
            elapsed: start.elapsed(),
            operations: tally.latencies.len() as f64 + self.progress() - begun,
            tally,
        })
    }

    /// How many answers the parts of those under way come to.
    fn progress(&self) -> f64 {
        self.connections.iter().map(Connection::progress).sum()
    }
}
