//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Loads a server that runs already, and tells what it gave and what it cost.
///
/// `load URL` is `load requests URL` or `load echo URL`, by the scheme.
#[derive(Debug, Parser)]
#[command(name = "load", args_override_self = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Given by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetches a path over connections that are kept alive (http, https).
    Requests(Requests),
    /// The same for large files: 8 connections, to be read in seconds per gigabyte.
    #[command(mut_arg("connections", |arg| arg.default_value("8")))]
    Download(Requests),
    /// Sends binary messages and awaits each back (ws, wss).
    Echo(Echo),
    /// Posts logins: JSON with `username` and `password` (http, https; the path is /login unless
    /// the URL has one).
    #[command(mut_arg("connections", |arg| arg.default_value("8")))]
    Logins(Logins),
    /// Makes TLS handshakes, each on a new connection (https, wss).
    ///
    /// One counts when both sides are through: the client has closed its side after it, by
    /// close_notify and for TCP, and the server has closed its own in answer. Its latency is the
    /// time from connecting to there.
    #[command(mut_arg("connections", |arg| arg.default_value("16")))]
    Handshakes(Handshakes),
    /// Publishes to a room: one connection sends, all the others must get it (ws, wss).
    ///
    /// An operation is a delivery. Each is checked, what it brings and the order. Its latency is the
    /// time from when the message was due to be sent to when it was read.
    #[command(
        mut_arg("connections", |arg| arg.default_value("500")),
        mut_arg("seconds", |arg| arg.default_value("10")),
        mut_arg("rounds", |arg| arg.default_value("1"))
    )]
    Broadcast(Broadcast),
    /// Opens connections and leaves them alone: memory for each, and processor time for all.
    ///
    /// The first, as many as are opened at once, are there before `rss_before` is taken: what the server
    /// sets up for them is no part of each. One that has had many has room for these, so start it
    /// afresh. A WebSocket is upgraded, and answers pings. What the kernel holds is counted for both
    /// ends, and for all else that the machine does meanwhile.
    #[command(
        mut_arg("connections", |arg| arg.default_value("1000")),
        mut_arg("seconds", |arg| arg.default_value("10")),
        mut_arg("rounds", |arg| arg.default_value("1"))
    )]
    Idle(Idle),
    /// Reads a large file slowly over many connections (http, https): memory and processor time.
    #[command(
        mut_arg("connections", |arg| arg.default_value("200")),
        mut_arg("seconds", |arg| arg.default_value("10")),
        mut_arg("rounds", |arg| arg.default_value("1"))
    )]
    Slow(Slow),
}

/// Parameters that all have.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// http, https, ws or wss, with a port.
    pub(crate) url: String,
    /// PEM file with the certificate to trust.
    #[arg(long)]
    pub(crate) trust: Option<PathBuf>,
    /// TLS 1.2 instead of 1.3.
    #[arg(long)]
    pub(crate) tls12: bool,
    /// Connections at the same time.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Seconds of each round.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// Rounds, of which the medians are reported.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Connect from so many addresses, 127.0.0.1 and those that follow; 0: from any.
    #[arg(long, default_value_t = 0)]
    pub(crate) sources: u32,
    /// The server process, to measure its CPU time and memory; once for each, if it has several.
    #[arg(long)]
    pub(crate) pid: Vec<u32>,
    /// Report as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Report as one row of a Markdown table with this title.
    #[arg(long, value_name = "TITLE", conflicts_with = "json")]
    pub(crate) row: Option<String>,
    /// Tell each second how it goes, also where standard error is no terminal.
    #[arg(long)]
    pub(crate) progress: bool,
}

/// When operations begin.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Pace {
    /// Begin so many operations per second, each when it is due, and count latencies from then.
    ///
    /// Without it each connection begins its next operation when one is done, and a server that
    /// falls behind is asked less.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Requests {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) pace: Pace,
    /// Operations under way on each connection at most.
    #[arg(long, default_value_t = 1)]
    pub(crate) depth: usize,
    /// Sent as Accept-Encoding.
    #[arg(long, value_name = "CODINGS")]
    pub(crate) accept_encoding: Option<String>,
    /// Means nothing here: how much comes is the server's to say.
    #[arg(long, hide = true)]
    pub(crate) bytes: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Echo {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) pace: Pace,
    /// Operations under way on each connection at most.
    #[arg(long, default_value_t = 1)]
    pub(crate) depth: usize,
    /// Bytes of each message.
    #[arg(long, default_value_t = 64)]
    pub(crate) bytes: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Logins {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) pace: Pace,
    /// User who logs in.
    #[arg(long, default_value = "ada")]
    pub(crate) username: String,
    #[arg(long, default_value = "Correct-Horse-9")]
    pub(crate) password: String,
    /// Register the user before, unless there is one of that name.
    #[arg(long)]
    pub(crate) register: bool,
    /// With a password that is wrong, which has to be answered with 401.
    #[arg(long)]
    pub(crate) wrong: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Handshakes {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) pace: Pace,
    /// Resume sessions by tickets, one full handshake for each of the connections before. One that
    /// is not resumed is an error.
    #[arg(long)]
    pub(crate) resumed: bool,
    /// Fetch the path once over each connection.
    #[arg(long)]
    pub(crate) request: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Broadcast {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Messages in a second.
    #[arg(long, default_value_t = 100)]
    pub(crate) rate: u32,
    /// Bytes of a message; 8 at least, or 48 of text.
    #[arg(long, default_value_t = 100)]
    pub(crate) bytes: usize,
    /// Send text, as a chat does.
    #[arg(long)]
    pub(crate) text: bool,
    /// Offer compression, and insist on it.
    #[arg(long)]
    pub(crate) compress: bool,
    /// Number of connections that never read.
    #[arg(long, default_value_t = 0)]
    pub(crate) silent: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Fetch the path once over each connection (http, https).
    #[arg(long)]
    pub(crate) request: bool,
    /// Have each connection carry so many bytes each way first, in echoes of 16 KiB (ws, wss).
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) traffic: usize,
    /// Number of connections are opened at the same time.
    #[arg(long, default_value_t = 32)]
    pub(crate) at_once: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Slow {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Bytes that each connection takes in a second, TLS included.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) bytes: usize,
    /// Bytes of the receive buffer of each socket.
    #[arg(long, default_value_t = 16 << 10)]
    pub(crate) receive_buffer: usize,
}

impl Args {
    /// `load URL ..` has its command put in.
    pub(crate) fn read(mut args: Vec<OsString>) -> Self {
        let url = args.iter().skip(1).position(|arg| is_url(arg));
        let has_command = args
            .iter()
            .skip(1)
            .take(url.unwrap_or_default())
            .any(is_command);
        if let (Some(position), false) = (url, has_command) {
            let url = args.get(position + 1).and_then(|arg| arg.to_str());
            let command = match url.is_some_and(|url| url.starts_with("ws")) {
                true => "echo",
                false => "requests",
            };
            args.insert(1, command.into());
        }
        Self::parse_from(args)
    }
}

fn is_url(arg: &OsString) -> bool {
    arg.to_str().is_some_and(|arg| arg.contains("://"))
}

fn is_command(arg: &OsString) -> bool {
    arg.to_str().is_some_and(Command::has_subcommand)
}

impl Command {
    /// As the report calls it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Requests(_) => "requests",
            Self::Download(_) => "download",
            Self::Echo(_) => "echo",
            Self::Logins(_) => "logins",
            Self::Handshakes(_) => "handshakes",
            Self::Broadcast(_) => "broadcast",
            Self::Idle(_) => "idle",
            Self::Slow(_) => "slow",
        }
    }

    pub(crate) const fn common(&self) -> &Common {
        match self {
            Self::Requests(args) | Self::Download(args) => &args.common,
            Self::Echo(args) => &args.common,
            Self::Logins(args) => &args.common,
            Self::Handshakes(args) => &args.common,
            Self::Broadcast(args) => &args.common,
            Self::Idle(args) => &args.common,
            Self::Slow(args) => &args.common,
        }
    }

    /// Number of operations may be under way on a connection.
    pub(crate) const fn depth(&self) -> usize {
        match self {
            Self::Requests(args) | Self::Download(args) => args.depth,
            Self::Echo(args) => args.depth,
            _ => 1,
        }
    }

    /// Bytes of a message, or what a reader takes in a second.
    pub(crate) const fn bytes(&self) -> Option<usize> {
        match self {
            Self::Echo(args) => Some(args.bytes),
            Self::Broadcast(args) => Some(args.bytes),
            Self::Idle(args) => Some(args.traffic),
            Self::Slow(args) => Some(args.bytes),
            _ => None,
        }
    }

    /// Operations per second that are to begin, where that does not depend on those before.
    pub(crate) fn rate(&self) -> Option<f64> {
        match self {
            Self::Requests(args) | Self::Download(args) => args.pace.rate,
            Self::Echo(args) => args.pace.rate,
            Self::Logins(args) => args.pace.rate,
            Self::Handshakes(args) => args.pace.rate,
            Self::Broadcast(args) => Some(f64::from(args.rate)),
            Self::Idle(_) | Self::Slow(_) => None,
        }
    }
}
