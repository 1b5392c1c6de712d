//! Loads a server that runs already, and tells what it gave and what it cost.
//!
//! ```text
//! cargo bench --bench load -- https://localhost:8443/ --trust certs/cert.pem --pid PID
//! cargo bench --bench load -- echo wss://localhost:9001/ --trust certs/cert.pem --depth 16
//! cargo bench --bench load -- handshakes https://localhost:8443/ --trust certs/cert.pem --resumed
//! cargo bench --bench load -- help
//! ```
//!
//! One thread, so that it can be pinned to one core while the server has another. All answers are
//! checked; what is not as it has to be ends the run with an error.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it measured"
)]

mod args;
mod broadcast;
#[path = "../client/mod.rs"]
mod client;
mod connection;
mod handshakes;
mod idle;
mod job;
mod progress;
mod report;
mod schedule;
mod slow;
mod steady;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use self::args::{Args, Command, Common, Logins};
use self::broadcast::Broadcast;
use self::client::{Cpu, Failure, Memory, Opening, Room, Target, Terms, Url, Version, trust_as};
use self::connection::Connection;
use self::handshakes::Handshakes;
use self::idle::{Idle, Plan};
use self::job::Job;
use self::progress::Progress;
use self::report::{Measured, Report};
use self::slow::Slow;
use self::steady::Steady;

/// A load that is ready to go.
trait Load {
    fn run(&mut self, duration: Duration, progress: &mut Progress) -> Result<Measured, Failure>;
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let args = Args::read(env::args_os().collect());
    let command = &args.command;
    let common = command.common();
    if common.connections == 0 {
        return Err("no connections, no load".into());
    }
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, all)?;
    let target = target(command)?;
    let mut progress = Progress::new(common.progress);
    let first = match command {
        Command::Idle(args) => plan(args, &target).touch(common.connections)?,
        _ => Vec::new(),
    };
    let before = Memory::begin(&common.pid)?;
    let mut load = start(command, &target, first, before, &mut progress)?;
    let has_operations = !matches!(command, Command::Idle(_) | Command::Slow(_));
    // What is slow only once, allocators and caches of both sides, is not measured.
    if has_operations && !matches!(command, Command::Broadcast(_)) {
        load.run(Duration::from_secs(1), &mut progress)?;
    }
    let mut rounds = Vec::with_capacity(common.rounds);
    for _ in 0..common.rounds.max(1) {
        let cpu = Cpu::of_processes(&common.pid)?;
        let measured = load.run(Duration::from_secs(common.seconds), &mut progress)?;
        if has_operations && measured.operations == 0.0 {
            return Err("nothing was done in a whole round".into());
        }
        rounds.push(measured.figures(cpu.since()?));
    }
    let report = Report::new(command, &rounds, before, Memory::now(&common.pid)?);
    match &common.row {
        Some(title) => println!("{}", report.row(title)),
        None if common.json => println!("{}", report.json()),
        None => print!("{report}"),
    }
    Ok(())
}

fn target(command: &Command) -> Result<Target, Failure> {
    let common = command.common();
    let url = Url::parse(&common.url)?;
    let is_websocket = match command {
        Command::Echo(_) | Command::Broadcast(_) => Some(true),
        Command::Requests(_) | Command::Download(_) | Command::Logins(_) | Command::Slow(_) => {
            Some(false)
        }
        Command::Handshakes(_) | Command::Idle(_) => None,
    };
    if is_websocket.is_some_and(|wanted| wanted != url.is_websocket) {
        return Err(format!("{} is not for {}", common.url, command.kind()).into());
    }
    let version = match common.tls12 {
        true => Version::Tls12,
        false => Version::Tls13,
    };
    let tls = match (&common.trust, url.is_tls) {
        (_, false) => None,
        (Some(cert), true) => Some(Arc::new(trust_as(cert, version)?)),
        (None, true) => return Err("TLS needs --trust".into()),
    };
    Ok(Target {
        url,
        tls,
        sources: common.sources,
        receive_buffer_bytes: match command {
            Command::Slow(args) => Some(args.receive_buffer),
            _ => None,
        },
    })
}

/// Connects, and does what comes before the first round.
fn start(
    command: &Command,
    target: &Target,
    first: Vec<Connection>,
    before: Option<Memory>,
    progress: &mut Progress,
) -> Result<Box<dyn Load>, Failure> {
    let Common { connections, .. } = *command.common();
    let (host, path) = (&target.url.host, &target.url.path);
    let (depth, rate) = (command.depth(), command.rate());
    let mut steady = |job| Steady::start(target, &job, connections, depth, rate, progress);
    Ok(match command {
        Command::Requests(args) | Command::Download(args) => Box::new(steady(Job::get(
            host,
            path,
            args.accept_encoding.as_deref(),
        ))?),
        Command::Echo(args) => Box::new(steady(Job::echo(args.bytes))?),
        Command::Logins(args) => {
            if args.register {
                register(args, target)?;
            }
            Box::new(steady(login(args, target))?)
        }
        Command::Handshakes(args) => {
            let job = args.request.then(|| Job::get(host, path, None));
            Box::new(Handshakes::start(
                target,
                connections,
                rate,
                job,
                args.resumed,
            )?)
        }
        Command::Broadcast(args) => {
            let terms = Terms {
                connections,
                silent: args.silent,
                rate: args.rate,
                bytes: args.bytes,
                is_text: args.text,
                compress: args.compress,
            };
            let room = Room::connect(target, &terms, |open| {
                progress.tick(|| format!("{open} connections"));
            })?;
            Box::new(Broadcast {
                room,
                bytes: args.bytes,
            })
        }
        Command::Idle(args) => Box::new(Idle::start(
            &plan(args, target),
            connections,
            first,
            before,
            progress,
        )?),
        Command::Slow(args) => {
            let job = Job::get(host, path, None);
            Box::new(Slow::start(
                target,
                &job,
                connections,
                args.bytes,
                progress,
            )?)
        }
    })
}

fn plan(args: &args::Idle, target: &Target) -> Plan {
    let opening = match (target.url.is_websocket, args.request) {
        (true, _) => Opening::Upgrade(""),
        (false, true) => Opening::Request,
        (false, false) => Opening::Handshake,
    };
    Plan {
        target: target.clone(),
        opening,
        at_once: args.at_once,
        traffic: args.traffic,
        pids: args.common.pid.clone(),
    }
}

fn login(args: &Logins, target: &Target) -> Job {
    let path = match target.url.path.as_str() {
        "/" => "/login",
        path => path,
    };
    let (password, expected) = match args.wrong {
        true => (format!("{}-not", args.password), 401),
        false => (args.password.clone(), 200),
    };
    let body = json!({"username": args.username, "password": password});
    Job::post(&target.url.host, path, &body.to_string(), expected)
}

/// Makes the user, unless there is one of that name.
fn register(args: &Logins, target: &Target) -> Result<(), Failure> {
    let body = json!({
        "name": args.username,
        "username": args.username,
        "email": format!("{}@example.org", args.username),
        "password": args.password,
    });
    let job = Job::post(&target.url.host, "/register", &body.to_string(), 201);
    steady::ask_once(target, &job, &[409])
}
