//! Everything at once for a long time, against a real server process:
//! `make soak`, or `cargo bench --bench soak -- [SECONDS] [--crowd COUNT] [--server PATH] [--seed NUMBER]`
//!
//! Starts `target/release/edgeloop` (or `PATH`) in a temporary folder with its default limits, and
//! for 600 seconds (or `SECONDS`) lets many clients loose on it, each kind in threads of its own:
//!
//! - readers of pages and files: keep-alive, pipelined, conditional, partial, downloads;
//! - users that register, log in rightly and wrongly, and guess passwords until they are stopped;
//! - 50 users of the chat, who come, talk in all ways, and go; the record of a witness says what
//!   each of them has to hear, byte for byte and in order;
//! - rude clients, which leave at every stage, send garbage at every stage, or do not read;
//! - a crowd of 5,000 connections (or `COUNT`; 0 for none) that come, do little, and go.
//!
//! Before that a room of 2,000 loses all connections at once, and everybody comes back at once: each has to
//! have the list of users within 5 seconds of the last handshake, and nobody may be closed.
//!
//! All come from their own addresses in 127.0.0.0/8, so none meets a limit that is not meant to.
//! Each answer is checked. Anything unexpected is printed with what was wanted and what came, is an
//! error, and fails the run. Every 10 seconds a line says how it goes: operations so far, errors,
//! and the server's memory, descriptors, CPU time and 99th percentile of the time of a GET. (Load and
//! server share the machine: as a latency that is noise, as a sign of life it is not.) At the end, each
//! sixth of the run is shown beside the others, and memory has to be level. All
//! connections are closed; then the descriptors have to be what they were at the start, the log has
//! to be free of warnings and errors that are not the clients' fault, and SIGTERM has to end the
//! server with exit code 0.
//!
//! `soak reunion [COUNT]` only does that, with 2,000 (or `COUNT`) users.
//!
//! `soak idle [COUNT]` only measures the server's memory with 5,000 (or `COUNT`) idle connections.
//! It takes as many descriptors.

#![allow(
    clippy::print_stdout,
    reason = "it prints what it found; that is its purpose"
)]

mod accounts;
mod chat;
mod crowd;
mod http;
mod idle;
mod level;
mod misbehaving_clients;
mod misbehaving_websockets;
mod net;
mod pages;
mod record;
mod reunion;
mod server;
mod socket;
mod tally;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use accounts::User;
use chat::Chat;
use crowd::Crowd;
use level::Level;
use net::{Target, own_address};
use pages::Page;
use record::Record;
use server::{Server, Usage};
use tally::{Failure, Op, PATIENCE, Random, Tally, lock, now};

const SECONDS: u64 = 600;
const IDLE_CONNECTIONS: usize = 5_000;
const READERS: usize = 4;
const REGISTRARS: usize = 2;
const CHAT_USERS: usize = 50;
const RUDE_WORKERS: usize = 3;
const RUDE_USERS: usize = 12;
const CROWD: usize = 5_000;
const CROWD_WORKERS: usize = 4;
/// Users of the room that loses its connections.
const REUNION: usize = 2_000;
/// Descriptors of all other clients, and of the process itself.
const DESCRIPTORS_BESIDE: u64 = 500;
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

struct Args {
    idle: Option<usize>,
    reunion: Option<usize>,
    duration: Duration,
    crowd: usize,
    server: PathBuf,
    seed: u64,
}

impl Args {
    fn read() -> Result<Self, Failure> {
        let mut args = Self {
            idle: None,
            reunion: None,
            duration: Duration::from_secs(SECONDS),
            crowd: CROWD,
            server: Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/edgeloop"),
            seed: 1,
        };
        let mut words = std::env::args().skip(1).peekable();
        while let Some(word) = words.next() {
            match word.as_str() {
                // Cargo adds it.
                "--bench" => {}
                "--server" => args.server = words.next().ok_or("--server PATH")?.into(),
                "--crowd" => args.crowd = words.next().ok_or("--crowd COUNT")?.parse()?,
                "--seed" => args.seed = words.next().ok_or("--seed NUMBER")?.parse()?,
                "idle" => {
                    let count = words.next_if(|word| word.parse::<usize>().is_ok());
                    args.idle = Some(count.map_or(Ok(IDLE_CONNECTIONS), |word| word.parse())?);
                }
                "reunion" => {
                    let count = words.next_if(|word| word.parse::<usize>().is_ok());
                    args.reunion = Some(count.map_or(Ok(REUNION), |word| word.parse())?);
                }
                seconds => {
                    let seconds = seconds.parse();
                    args.duration = Duration::from_secs(seconds.map_err(|_| {
                        "usage: soak [SECONDS | idle [COUNT] | reunion [COUNT]] [--crowd COUNT] [--server PATH] \
                             [--seed NUMBER]"
                    })?);
                }
            }
        }
        args.server = std::path::absolute(&args.server)?;
        Ok(args)
    }
}

fn main() -> Result<ExitCode, Failure> {
    let args = Args::read()?;
    if let Some(count) = args.idle {
        idle::measure(&args.server, count)?;
        return Ok(ExitCode::SUCCESS);
    }
    raise_descriptor_limit(args.crowd.max(args.reunion.unwrap_or(REUNION)))?;
    let mut server = Server::start(&args.server)?;
    let tally = Tally::default();
    let soaked = soak(&args, &mut server, &tally);
    if let Err(error) = &soaked {
        println!("the run was cut short: {error}");
        tally.error("soak", error);
    }
    if tally.errors() == 0 {
        println!("ok");
        return Ok(ExitCode::SUCCESS);
    }
    let folder = server.keep_folder().display();
    println!("FAILED: {} errors; see {folder}", tally.errors());
    Ok(ExitCode::FAILURE)
}

/// The clients are all in this process, and the server inherits the limit.
fn raise_descriptor_limit(crowd: usize) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    match limit.maximum {
        Some(most) if most < crowd as u64 + DESCRIPTORS_BESIDE => Err(format!(
            "{most} descriptors are too few for a crowd of {crowd}: --crowd COUNT"
        )
        .into()),
        _ => Ok(()),
    }
}

fn soak(args: &Args, server: &mut Server, tally: &Tally) -> Result<(), Failure> {
    let target = Target::new(server.port(), &server.file("cert.pem"))?;
    reunion::run(&target, server, tally, args.reunion.unwrap_or(REUNION))?;
    if args.reunion.is_some() {
        return Ok(());
    }
    let pages = pages::catalogue(&server.file("public"))?;
    let users = enroll(&target, CHAT_USERS + RUDE_USERS + 1)?;
    let start = server.usage()?;
    println!(
        "{} users, {} pages, seed {}; at the start {start}",
        users.len(),
        pages.len(),
        args.seed
    );
    let load = Load {
        target: &target,
        tally,
        pages: &pages,
        record: &Record::default(),
        users: &users,
        seed: args.seed,
        crowd: args.crowd,
    };
    let level = load.run(args.duration, server)?;
    level.check(tally);
    finish(server, tally, start, args)
}

/// Makes the users that come and go later.
fn enroll(target: &Target, count: usize) -> Result<Vec<User>, Failure> {
    let (next, users) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<(), Failure> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            let mut random = Random::new(u64::try_from(number)?);
            let from = own_address(10, number);
            let user = accounts::enroll(target, from, &format!("user-{number}"), &mut random)?;
            lock(&users).push((number, user));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    let mut users = std::mem::take(&mut *lock(&users));
    users.sort_unstable_by_key(|(number, _)| *number);
    Ok(users.into_iter().map(|(_, user)| user).collect())
}

/// All clients, and what they share.
struct Load<'a> {
    target: &'a Target,
    tally: &'a Tally,
    pages: &'a [Page],
    record: &'a Record,
    users: &'a [User],
    seed: u64,
    crowd: usize,
}

impl Load<'_> {
    /// Runs it for so long; gives what the server used all the while.
    fn run(&self, duration: Duration, server: &Server) -> Result<Level, Failure> {
        let &Self {
            target,
            tally,
            pages,
            record,
            ..
        } = self;
        let (witness, others) = self.users.split_last().ok_or("no users")?;
        let (users, rude) = others.split_at_checked(CHAT_USERS).ok_or("too few users")?;
        let chat = Chat {
            target,
            tally,
            record,
            users,
        };
        let crowd = Crowd {
            target,
            tally,
            pages,
            users: rude,
        };
        let (is_ready, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut seeds = Random::new(self.seed);
        let level = thread::scope(|scope| {
            scope.spawn(|| chat::witness(&chat, witness, &is_ready, &is_over));
            while !is_ready.load(Ordering::Acquire) {
                thread::yield_now();
            }
            let mut clients = vec![scope.spawn(|| pages::probe(target, tally, pages))];
            for number in 0..READERS {
                let seed = seeds.next();
                clients.push(scope.spawn(move || pages::run(target, tally, pages, number, seed)));
            }
            for number in 0..REGISTRARS {
                let seed = seeds.next();
                clients.push(scope.spawn(move || accounts::run(target, tally, number, seed)));
            }
            for number in 0..CHAT_USERS {
                let seed = seeds.next();
                clients.push(scope.spawn(move || chat::run(&chat, number, seed)));
            }
            for _ in 0..RUDE_WORKERS {
                let seed = seeds.next();
                clients
                    .push(scope.spawn(move || misbehaving_clients::run(target, tally, rude, seed)));
            }
            for worker in 0..CROWD_WORKERS {
                let seed = seeds.next();
                let places = self.crowd * worker / CROWD_WORKERS;
                let end = self.crowd * (worker + 1) / CROWD_WORKERS;
                clients.push(scope.spawn(move || crowd::run(&crowd, places..end, seed)));
            }
            let level = watch(duration, server, tally);
            tally.stop();
            for client in clients {
                if client.join().is_err() {
                    tally.error("soak", &"a client panicked");
                }
            }
            is_over.store(true, Ordering::Release);
            level
        })?;
        let private = record.check_private()?;
        println!("{private} private messages, each received by its receiver alone");
        Ok(level)
    }
}

/// Prints a line now and then until the time is up or the server is gone.
fn watch(duration: Duration, server: &Server, tally: &Tally) -> Result<Level, Failure> {
    let start = now();
    let mut level = Level::default();
    while let Some(left) = (start + duration).checked_duration_since(now()) {
        thread::sleep(left.min(REPORT_INTERVAL));
        let usage = server.usage()?;
        let mut probes = tally.take_probes();
        probes.sort_unstable();
        let p99_us = probes.get(probes.len() * 99 / 100).copied();
        report(start, usage, p99_us, tally);
        level.add(now().duration_since(start), usage, p99_us);
    }
    Ok(level)
}

fn report(start: Instant, usage: Usage, p99_us: Option<u64>, tally: &Tally) {
    let seconds = now().duration_since(start).as_secs();
    let counts: Vec<String> = Op::ALL
        .iter()
        .map(|op| format!("{} {}", op.name(), tally.count(*op)))
        .collect();
    println!(
        "{seconds:>5} s  {}  errors {}  {usage}  p99 {} us",
        counts.join("  "),
        tally.errors(),
        p99_us.unwrap_or_default()
    );
}

/// After the load: is everything given back, is the log clean, does the server end in order?
fn finish(server: &mut Server, tally: &Tally, start: Usage, args: &Args) -> Result<(), Failure> {
    let descriptors = server.await_descriptors(start.descriptors)?;
    if descriptors > start.descriptors {
        let wanted = start.descriptors;
        let error = format!("wanted {wanted} descriptors after {PATIENCE:?}, got {descriptors}");
        tally.error("soak", &error);
    }
    let end = server.usage()?;
    println!("start  {start}");
    println!("end    {end}, all connections closed");
    for op in Op::ALL {
        let count = tally.count(op);
        println!(
            "{:<10}{count:>10}{:>8}/s",
            op.name(),
            count / args.duration.as_secs().max(1)
        );
        if count == 0 && (op != Op::Arrival || args.crowd > 0) {
            tally.error("soak", &format!("nothing was done of: {}", op.name()));
        }
    }
    let status = server.stop()?;
    if status.code() != Some(0) {
        tally.error("soak", &format!("wanted exit code 0, got {status}"));
    }
    let review = server.review_log()?;
    println!(
        "{} lines in the log; {} of them warn of clients that were stopped",
        review.lines, review.clients_fault
    );
    for line in review.suspicious {
        tally.error("log", &line);
    }
    Ok(())
}
