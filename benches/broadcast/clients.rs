//! The process with the clients, from both sides.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Args;
use crate::client::{Failure, Outcome, Room, Target, Terms, Url, trust};

/// Its outcome.
pub(crate) struct Deliveries {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) reads: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    pub(crate) elapsed: Duration,
}

/// The child process: it is told what to do and answers when it is done.
pub(crate) struct Clients {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Clients {
    pub(crate) fn start(args: &Args, address: SocketAddr, cert: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(env::current_exe()?);
        for (name, value) in [
            ("--connections", args.connections.to_string()),
            ("--silent", args.silent.to_string()),
            ("--rate", args.rate.to_string()),
            ("--bytes", args.bytes.to_string()),
            ("--seconds", args.seconds.to_string()),
            ("--clients-of", address.to_string()),
        ] {
            command.args([name, &value]);
        }
        command.arg("--trust").arg(cert);
        if args.compress {
            command.arg("--compress");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take().ok_or("no way to the clients")?;
        let from = child.stdout.take().ok_or("no way from the clients")?;
        Ok(Self {
            child,
            to,
            from: BufReader::new(from),
        })
    }

    /// Has something done.
    pub(crate) fn ask(&mut self, what: &str) -> Result<Value, Failure> {
        writeln!(self.to, "{what}")?;
        let mut response = String::new();
        self.from.read_line(&mut response)?;
        serde_json::from_str(&response)
            .map_err(|_| format!("the clients failed to {what}: {response:?}").into())
    }

    /// Publishes everything.
    pub(crate) fn publish(&mut self) -> Result<Deliveries, Failure> {
        let response = self.ask("publish")?;
        let number = |name| {
            let number = response.get(name).and_then(Value::as_u64);
            number.ok_or("an answer without a number")
        };
        Ok(Deliveries {
            expected: number("expected")?,
            delivered: number("delivered")?,
            reads: number("reads")?,
            p50_us: number("p50_us")?,
            p99_us: number("p99_us")?,
            p999_us: number("p999_us")?,
            max_us: number("max_us")?,
            elapsed: Duration::from_micros(number("elapsed_us")?),
        })
    }

    /// At the end of its input the child ends, and so do its connections.
    pub(crate) fn end(self) -> Result<(), Failure> {
        let Self { mut child, to, .. } = self;
        drop(to);
        child.wait()?;
        Ok(())
    }
}

/// The child process itself.
pub(crate) fn run(args: &Args, address: SocketAddr, cert: &Path) -> Result<(), Failure> {
    let target = Target {
        url: Url::parse(&format!("wss://localhost:{}/", address.port()))?,
        tls: Some(trust(cert)?),
        sources: 0,
        receive_buffer_bytes: None,
    };
    let terms = Terms {
        connections: args.connections,
        silent: args.silent,
        rate: args.rate,
        bytes: args.bytes,
        is_text: true,
        compress: args.compress,
    };
    let mut room = None;
    for line in io::stdin().lines() {
        let response = match line?.as_str() {
            "connect" => {
                room = Some(Room::connect(&target, &terms, |_| {})?);
                json!({})
            }
            "publish" => {
                let room = room.as_mut().ok_or("nobody is connected")?;
                let duration = Duration::from_secs(args.seconds.into());
                in_json(&room.publish(duration, |_| {})?)?
            }
            other => return Err(format!("no such thing to do: {other}").into()),
        };
        println!("{response}");
    }
    Ok(())
}

fn in_json(outcome: &Outcome) -> Result<Value, Failure> {
    let latencies = &outcome.latencies;
    let quantile_us = |quantile: f64| latencies.value_at_quantile(quantile) / 1000;
    Ok(json!({
        "expected": outcome.expected,
        "delivered": outcome.delivered,
        "reads": outcome.reads,
        "p50_us": quantile_us(0.5),
        "p99_us": quantile_us(0.99),
        "p999_us": quantile_us(0.999),
        "max_us": latencies.max() / 1000,
        "elapsed_us": u64::try_from(outcome.elapsed.as_micros())?,
    }))
}
