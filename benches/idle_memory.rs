//! Memory of an idle connection: `cargo bench --bench idle_memory -- [CONNECTIONS]`
//!
//! Its WebSockets compress, and half of what they carry comes compressed. With `--keep-windows` they
//! keep their windows between messages, which no budget is for.
//!
//! A server with TLS and WebSockets runs in this process, its clients in a child process, so that
//! theirs does not count. After each step the live bytes of the heap are divided by the number of
//! connections: what Rust code has allocated, tables that grow included. What aws-lc allocates in
//! C is not among them, and so the growth of the resident set is shown beside it: that has everything,
//! the holes in the heap too.
//!
//! Ends with failure when an idle connection holds more than its budget.

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints what it measured, and its processes talk by standard output"
)]

mod client;

use std::alloc::System;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use cap::Cap;
use edgeloop::app::cert::{self, CertRequest};
use edgeloop::app::tls_files::TlsFiles;
use edgeloop::proto::ws::deflate::{Compression, Deflaters};
use edgeloop::proto::ws::frame::{self, Opcode};
use edgeloop::proto::ws::{Event, Role, WsMachine};
use edgeloop::web::{self, Cx, Message, Reply, Request, Response, Security, Service, WsCx};

use self::client::{Client, Failure, OFFER, negotiated, resident_bytes, settled, trust};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const CONNECTIONS: usize = 1_000;
/// Under the usual limit on descriptors, which holds for both processes.
const CONNECTIONS_MAX: usize = 5_000;
/// Bytes that each connection carries, each way, in [`CARRIED_MESSAGES`] messages.
const MESSAGE_BYTES: usize = 64 << 10;
const CARRIED_MESSAGES: usize = 16;

/// Steps for all connections, one after the other; then they idle.
#[derive(Clone, Copy)]
enum Step {
    Connect,
    Upgrade,
    Carry,
    Close,
}

impl Step {
    const ALL: [Self; 4] = [Self::Connect, Self::Upgrade, Self::Carry, Self::Close];

    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Upgrade => "upgrade",
            Self::Carry => "carry",
            Self::Close => "close",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Connect => "after the TLS handshake",
            Self::Upgrade => "upgraded to WebSocket",
            Self::Carry => "after 1 MiB each way",
            Self::Close => "all closed",
        }
    }

    /// Live bytes for each connection.
    const fn budget_bytes(self) -> Option<usize> {
        match self {
            Self::Upgrade => Some(4 << 10),
            Self::Carry => Some(5 << 10),
            Self::Connect | Self::Close => None,
        }
    }
}

fn main() -> Result<ExitCode, Failure> {
    // Cargo adds `--bench`.
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--clients", address, cert, count, rest @ ..] => {
            let how = compression(rest == ["--keep-windows"]);
            run_clients(address.parse()?, Path::new(cert), count.parse()?, &how)?;
            Ok(ExitCode::SUCCESS)
        }
        [] => measure(CONNECTIONS, false),
        ["--keep-windows"] => measure(CONNECTIONS, true),
        [count, rest @ ..] if matches!(rest, [] | ["--keep-windows"]) => {
            let count = count.parse::<usize>()?.clamp(1, CONNECTIONS_MAX);
            measure(count, !rest.is_empty())
        }
        _ => Err("usage: idle_memory [CONNECTIONS] [--keep-windows]".into()),
    }
}

/// No pings: the clients look for their echo alone.
fn config(keeps_windows: bool) -> web::WebConfig {
    web::WebConfig {
        ping_interval: Duration::from_secs(24 * 3600),
        compression: Some(compression(keeps_windows)),
        ..web::WebConfig::DEFAULT
    }
}

fn compression(keeps_windows: bool) -> Compression {
    Compression {
        keeps_windows,
        ..Compression::DEFAULT
    }
}

struct Echo(web::WebConfig);

impl Service for Echo {
    type Socket = ();
    type Mail = ();

    fn config(&self) -> &web::WebConfig {
        &self.0
    }

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        if request.wants_websocket() {
            Reply::Upgrade(())
        } else {
            Reply::Send(Response::empty(426))
        }
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, _: &mut (), message: Message<'_>) {
        ws.reply(message);
    }
}

fn measure(count: usize, keeps_windows: bool) -> Result<ExitCode, Failure> {
    let folder = tempfile::tempdir()?;
    let files = cert::make(&CertRequest {
        out_dir: folder.path().to_owned(),
        hosts: Vec::new(),
        days: 1,
        force: false,
    })?;
    let tls = TlsFiles::new()?.load(&files.cert, &files.key)?;
    let mut reactor = web::reactor(web::ReactorConfig::default(), |_| {
        Echo(config(keeps_windows))
    })?;
    let (_, address) = reactor.listen("127.0.0.1:0".parse()?, Security::Tls(tls))?;
    thread::Builder::new()
        .name("reactor".to_owned())
        .spawn(move || reactor.run())?;

    // One comes and goes first: what is set up once, buffers and tables, is not their cost.
    let mut first = Clients::start(address, &files.cert, 1, keeps_windows)?;
    Step::ALL.into_iter().try_for_each(|step| first.run(step))?;
    first.end()?;
    let mut clients = Clients::start(address, &files.cert, count, keeps_windows)?;
    let start = Memory::settled()?;
    println!("{count} connections; bytes for each, over what there was before them:");
    println!(
        "{:<26}{:>10}{:>10}{:>10}",
        "", "live heap", "budget", "resident"
    );
    let mut is_over = false;
    for step in Step::ALL {
        clients.run(step)?;
        let now = Memory::settled()?;
        let heap_bytes = now.heap_bytes.saturating_sub(start.heap_bytes) / count;
        let resident_bytes = now.resident_bytes.saturating_sub(start.resident_bytes) / count;
        let budget_bytes = step.budget_bytes().filter(|_| !keeps_windows);
        let budget = budget_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        println!(
            "{:<26}{heap_bytes:>10}{budget:>10}{resident_bytes:>10}",
            step.title()
        );
        is_over |= budget_bytes.is_some_and(|bytes| heap_bytes > bytes);
    }
    clients.end()?;
    Ok(if is_over {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

#[derive(Clone, Copy, PartialEq)]
struct Memory {
    heap_bytes: usize,
    resident_bytes: usize,
}

impl Memory {
    /// Input held once the server has handled everything: as soon as nothing changes any more.
    fn settled() -> Result<Self, Failure> {
        Ok(Self {
            heap_bytes: settled(|| Ok(HEAP.allocated()))?,
            resident_bytes: usize::try_from(resident_bytes()?)?,
        })
    }
}

/// The process with the clients: it is told a step and answers when it is done.
struct Clients {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Clients {
    fn start(
        address: SocketAddr,
        cert: &Path,
        count: usize,
        keeps_windows: bool,
    ) -> Result<Self, Failure> {
        let mut child = Command::new(env::current_exe()?)
            .args(["--clients", &address.to_string()])
            .arg(cert)
            .arg(count.to_string())
            .args(keeps_windows.then_some("--keep-windows"))
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

    fn run(&mut self, step: Step) -> Result<(), Failure> {
        writeln!(self.to, "{}", step.name())?;
        let mut response = String::new();
        self.from.read_line(&mut response)?;
        if response.trim() != step.name() {
            return Err(format!("the clients failed to {}", step.name()).into());
        }
        Ok(())
    }

    /// At the end of its input the child ends.
    fn end(self) -> Result<(), Failure> {
        let Self { mut child, to, .. } = self;
        drop(to);
        child.wait()?;
        Ok(())
    }
}

/// The child process.
fn run_clients(
    address: SocketAddr,
    cert: &Path,
    count: usize,
    how: &Compression,
) -> Result<(), Failure> {
    let config = trust(cert)?;
    let mut clients = Vec::with_capacity(count);
    for line in io::stdin().lines() {
        let line = line?;
        match Step::ALL.into_iter().find(|step| step.name() == line) {
            Some(Step::Connect) => {
                for _ in 0..count {
                    clients.push(Client::connect(address, "localhost", Some(&config))?);
                }
            }
            Some(Step::Upgrade) => {
                for client in &mut clients {
                    client.upgrade("localhost", "/", OFFER)?;
                }
            }
            Some(Step::Carry) => {
                let mut clients = clients.iter_mut();
                clients.try_for_each(|client| carry(client, how))?;
            }
            Some(Step::Close) => clients.drain(..).try_for_each(close)?,
            None => return Err("no such step".into()),
        }
        println!("{line}");
    }
    Ok(())
}

/// Every other message is sent compressed.
fn carry(client: &mut Client, how: &Compression) -> Result<(), Failure> {
    let payload = vec![b'x'; MESSAGE_BYTES];
    let (mut plain, mut compressed) = (Vec::new(), Vec::new());
    frame::encode_masked(&mut plain, Opcode::Binary, &payload, [1, 2, 3, 4]);
    let (mut deflaters, negotiated) = (Deflaters::default(), negotiated(how)?);
    let event = Event::Binary(&payload);
    let (mut own, mut peer) = (
        WsMachine::with_compression(Role::Client, negotiated),
        WsMachine::with_compression(Role::Server, negotiated),
    );
    for number in 0..CARRIED_MESSAGES {
        let is_plain = number % 2 == 0;
        compressed.clear();
        if !is_plain {
            let (_, sender) = own.split();
            sender.send_masked_compressed(
                &mut compressed,
                event,
                [1, 2, 3, 4],
                &mut deflaters,
                how,
            )?;
        }
        let mut echo = Vec::new();
        let (_, sender) = peer.split();
        sender.send_compressed(&mut echo, event, &mut deflaters, how)?;
        client.write_all(if is_plain { &plain } else { &compressed })?;
        client.flush()?;
        let mut response = vec![0; echo.len()];
        client.read_exact(&mut response)?;
        if response != echo {
            return Err("the echo is not what was sent".into());
        }
    }
    Ok(())
}

fn close(mut client: Client) -> Result<(), Failure> {
    if let Some(tls) = &mut client.tls {
        tls.send_close_notify();
    }
    client.flush()?;
    Ok(())
}
