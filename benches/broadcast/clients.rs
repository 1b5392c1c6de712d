//! The process with the clients, from both sides.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use edgeloop::proto::ws::deflate::{Agreed, Compression};
use edgeloop::proto::ws::frame::{self, Opcode};
use edgeloop::proto::ws::handshake;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::Args;
use crate::client::{Client, Failure, trust};
use crate::receiver::{Receiver, Record};

/// The most that is read from a connection at once.
const READ_BYTES: usize = 64 << 10;
/// How long nothing may come before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(15);
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// What came of it.
pub(crate) struct Outcome {
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
        let mut answer = String::new();
        self.from.read_line(&mut answer)?;
        serde_json::from_str(&answer)
            .map_err(|_| format!("the clients failed to {what}: {answer:?}").into())
    }

    /// Publishes everything.
    pub(crate) fn publish(&mut self) -> Result<Outcome, Failure> {
        let answer = self.ask("publish")?;
        let number = |name| {
            let number = answer.get(name).and_then(Value::as_u64);
            number.ok_or("an answer without a number")
        };
        Ok(Outcome {
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
    let mut room = None;
    for line in io::stdin().lines() {
        let answer = match line?.as_str() {
            "connect" => {
                room = Some(Room::connect(args, address, cert)?);
                json!({})
            }
            "publish" => room.as_mut().ok_or("nobody is connected")?.publish(args)?,
            other => return Err(format!("no such thing to do: {other}").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

/// Everybody.
struct Room {
    poll: Poll,
    receivers: Vec<Receiver>,
    _silent: Vec<Client>,
    publisher: Option<Client>,
}

impl Room {
    fn connect(args: &Args, address: SocketAddr, cert: &Path) -> Result<Self, Failure> {
        let config = trust(cert)?;
        let offer = if args.compress { OFFER } else { "" };
        let join = || {
            let mut client = Client::connect(address, "localhost", Some(&config))?;
            client.upgrade("localhost", "/", offer)?;
            Ok::<_, Failure>(client)
        };
        let poll = Poll::new()?;
        let (mut receivers, mut silent) = (Vec::new(), Vec::new());
        for number in 0..args.connections {
            let client = join()?;
            if number < args.silent {
                silent.push(client);
                continue;
            }
            let mut receiver = Receiver::new(client)?;
            poll.registry().register(
                &mut receiver.socket,
                Token(receivers.len()),
                Interest::READABLE,
            )?;
            receivers.push(receiver);
        }
        Ok(Self {
            poll,
            receivers,
            _silent: silent,
            publisher: Some(join()?),
        })
    }

    fn publish(&mut self, args: &Args) -> Result<Value, Failure> {
        let interval = Duration::from_secs(1) / args.rate;
        let total = args.rate * args.seconds;
        let begun = Instant::now() + Duration::from_millis(100);
        let agreed = args.compress.then(agreed).transpose()?;
        let mut record = Record::new(begun, interval, agreed)?;
        let publisher = self.publisher.take().ok_or("nobody publishes")?;
        let bytes = args.bytes;
        let publishing = thread::spawn(move || publish(publisher, begun, interval, total, bytes));
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ_BYTES];
        let (total, mut last) = (usize::try_from(total)?, Instant::now());
        let mut left = self.receivers.len();
        while left > 0 {
            match self.poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if events.is_empty() {
                break;
            }
            for event in &events {
                let Token(index) = event.token();
                let receiver = self.receivers.get_mut(index).ok_or("no such receiver")?;
                let before = receiver.count;
                receiver.receive(&mut buffer, &mut record)?;
                if before < total && receiver.count == total {
                    left -= 1;
                }
            }
            last = Instant::now();
        }
        let publisher = publishing.join().map_err(|_| "the publisher panicked")??;
        self.publisher = Some(publisher);
        let delivered: usize = self.receivers.iter().map(|receiver| receiver.count).sum();
        let quantile = |quantile: f64| record.latencies.value_at_quantile(quantile);
        Ok(json!({
            "expected": total * self.receivers.len(),
            "delivered": delivered,
            "reads": record.reads,
            "p50_us": quantile(0.5),
            "p99_us": quantile(0.99),
            "p999_us": quantile(0.999),
            "max_us": record.latencies.max(),
            "elapsed_us": u64::try_from(last.saturating_duration_since(begun).as_micros())?,
        }))
    }
}

/// Sends each message when it is due, or at once when that has passed.
fn publish(
    mut publisher: Client,
    begun: Instant,
    interval: Duration,
    total: u32,
    bytes: usize,
) -> Result<Client, Failure> {
    for number in 0..total {
        let due = begun + interval * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut message = Vec::new();
        frame::encode_masked(
            &mut message,
            Opcode::Text,
            text(number, bytes).as_bytes(),
            [9, 8, 7, 6],
        );
        publisher.write_all(&message)?;
        publisher.flush()?;
    }
    Ok(publisher)
}

/// A message with its number in it, as a chat might send it.
fn text(number: u32, bytes: usize) -> String {
    const WORDS: &str =
        "the quick brown fox jumps over the lazy dog and says hello to all in here ";
    let open = format!("{{\"number\":{number},\"from\":\"ada\",\"text\":\"");
    let left = bytes.saturating_sub(open.len() + 2);
    let words: String = WORDS.chars().cycle().take(left).collect();
    format!("{open}{words}\"}}")
}

fn agreed() -> Result<Agreed, Failure> {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    handshake::read_request("GET", true, fields)?
        .agree(&Compression::DEFAULT)
        .ok_or_else(|| "no offer".into())
}
