//! The reactor on real sockets.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use edgeloop::reactor::{
    CloseReason, ConnId, Cx, Endpoint, Handler, Mailbox, Reactor, ReactorConfig, Returned, Security,
};

const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
/// Longer than anything takes: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Echoes, and does what its mail says.
#[derive(Default)]
struct Echo {
    closed: Option<mpsc::Sender<CloseReason>>,
    letters: Vec<u32>,
    /// Number of letters had come at each piece of input.
    letters_at_input: Vec<usize>,
    turns: u64,
}

enum Mail {
    Number(u32),
    /// The same, and it takes some time.
    Work(u32),
    Greet,
    Drain,
    DrainForEver,
    Stop,
}

impl Handler for Echo {
    type Conn = ();
    type Mail = Mail;

    fn open(&mut self, _: &mut Cx<'_>, _: Endpoint) -> Option<()> {
        Some(())
    }

    fn data(&mut self, cx: &mut Cx<'_>, (): &mut (), input: &mut [u8]) -> usize {
        self.letters_at_input.push(self.letters.len());
        cx.write(input);
        input.len()
    }

    fn mail(&mut self, cx: &mut Cx<'_>, conn: Option<&mut ()>, mail: Mail) {
        match mail {
            Mail::Number(number) => self.letters.push(number),
            Mail::Work(number) => {
                let until = cx.clock() + Duration::from_micros(20);
                while cx.clock() < until {}
                self.letters.push(number);
                self.turns = cx.stats().turns.count();
            }
            Mail::Greet => {
                assert!(conn.is_some());
                cx.write(b"hello");
            }
            Mail::Drain => cx.shutdown(PATIENCE),
            Mail::DrainForEver => cx.shutdown(Duration::MAX),
            Mail::Stop => cx.stop(),
        }
    }

    fn closed(&mut self, _: &mut Cx<'_>, (): (), reason: CloseReason) {
        if let Some(closed) = &self.closed {
            closed.send(reason).unwrap();
        }
    }
}

/// A reactor on a thread of its own.
struct Server {
    address: SocketAddr,
    mailbox: Mailbox<Mail>,
    closed: mpsc::Receiver<CloseReason>,
    thread: thread::JoinHandle<Reactor<Echo>>,
}

fn serve() -> Server {
    serve_on(ANYWHERE.into())
}

fn serve_on(address: SocketAddr) -> Server {
    serve_with(ReactorConfig::default(), address)
}

fn serve_with(config: ReactorConfig, address: SocketAddr) -> Server {
    let (sender, closed) = mpsc::channel();
    let echo = Echo {
        closed: Some(sender),
        ..Echo::default()
    };
    let mut reactor = Reactor::new(config, echo).unwrap();
    let (_, address) = reactor.listen(address, Security::Plain).unwrap();
    let mailbox = reactor.mailbox();
    let thread = thread::spawn(move || {
        reactor.run().unwrap();
        reactor
    });
    Server {
        address,
        mailbox,
        closed,
        thread,
    }
}

impl Server {
    fn post(&self, mail: Mail) {
        assert!(self.mailbox.send(None, mail).is_ok(), "the reactor ended");
    }
}

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes from one thread and compares what comes back on another.
fn check_echo(stream: &TcpStream, bytes: &[u8]) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = stream;
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let mut echoed = Vec::new();
        let mut stream = stream;
        stream.read_to_end(&mut echoed).unwrap();
        assert!(echoed == bytes, "the echo differs");
    });
}

#[test]
fn many_clients_get_their_bytes_back() {
    let server = serve();
    thread::scope(|scope| {
        for client in 0..8_usize {
            let address = server.address;
            scope.spawn(move || {
                for round in 0..20 {
                    let len = (client * 31 + round * 7_919) * 13;
                    let bytes: Vec<u8> = (0..len).map(|n| (n % 251).to_le_bytes()[0]).collect();
                    check_echo(&dial(address), &bytes);
                }
            });
        }
    });
    let reasons: Vec<CloseReason> = (0..160)
        .map(|_| server.closed.recv_timeout(PATIENCE).unwrap())
        .collect();
    assert_eq!(reasons, [CloseReason::Finished; 160]);
    server.post(Mail::Stop);
    assert_eq!(server.thread.join().unwrap().connections(), 0);
}

/// The longest wait goes into the system call, too.
#[test]
fn no_time_is_too_long() {
    let config = ReactorConfig {
        stall_grace: Duration::MAX,
        handshake_timeout: Duration::MAX,
        send_timeout: Duration::MAX,
        linger_timeout: Duration::MAX,
        linger_timeout_max: Duration::MAX,
        accept_pause: Duration::MAX,
        ..ReactorConfig::default()
    };
    let server = serve_with(config, ANYWHERE.into());
    let mut stream = dial(server.address);
    stream.write_all(b"hello").unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"hello");
    server.post(Mail::DrainForEver);
    stream.read_exact(&mut [0]).unwrap_err();
    drop(stream);
    assert_eq!(
        server.closed.recv_timeout(PATIENCE),
        Ok(CloseReason::Finished)
    );
    assert_eq!(server.thread.join().unwrap().connections(), 0);

    let mut reactor = Reactor::new(ReactorConfig::default(), Echo::default()).unwrap();
    let mailbox = reactor.mailbox();
    let poster = thread::spawn(move || mailbox.send(None, Mail::Number(7)).is_ok());
    while reactor.handler().letters.is_empty() {
        reactor.turn(Some(Duration::MAX)).unwrap();
    }
    assert!(poster.join().unwrap());
}

#[test]
fn more_than_all_buffers_hold_comes_back() {
    let server = serve();
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    check_echo(&dial(server.address), &bytes);
    server.post(Mail::Stop);
    server.thread.join().unwrap();
}

#[test]
fn mail_from_many_threads_wakes_the_reactor() {
    let server = serve();
    thread::scope(|scope| {
        for first in 0..4 {
            let mailbox = server.mailbox.clone();
            scope.spawn(move || {
                for number in 0..1_000 {
                    let mail = Mail::Number(first * 1_000 + number);
                    assert!(mailbox.send(None, mail).is_ok());
                    thread::yield_now();
                }
            });
        }
    });
    server.post(Mail::Stop);
    let mut reactor = server.thread.join().unwrap();
    let mut letters = std::mem::take(&mut reactor.handler().letters);
    for first in 0..4 {
        let mine = |n: &&u32| **n / 1_000 == first;
        assert!(letters.iter().filter(mine).is_sorted(), "out of order");
    }
    letters.sort_unstable();
    assert_eq!(letters, Vec::from_iter(0..4_000));
    let late = server.mailbox.send(None, Mail::Stop);
    assert!(matches!(late, Err(Returned(Mail::Stop))));
}

#[test]
fn much_mail_does_not_keep_sockets_waiting() {
    const LETTERS: u32 = 50_000;
    let server = serve();
    let mut stream = dial(server.address);
    for number in 0..LETTERS {
        server.post(Mail::Work(number));
    }
    // A second of work: who asks meanwhile is answered many times.
    for _ in 0..20 {
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
    }
    server.post(Mail::Stop);
    let mut reactor = server.thread.join().unwrap();
    let echo = std::mem::take(reactor.handler());
    assert_eq!(echo.letters, Vec::from_iter(0..LETTERS));
    let between = |at: &&usize| (1..LETTERS as usize).contains(*at);
    let responded = echo.letters_at_input.iter().filter(between).count();
    assert!(responded >= 10, "{responded} of 20 before the last letter");
    assert!(echo.turns > 100, "{} turns", echo.turns);
}

#[test]
fn outbound_connections() {
    let listener = TcpListener::bind(ANYWHERE).unwrap();
    let (sender, closed) = mpsc::channel();
    let echo = Echo {
        closed: Some(sender),
        ..Echo::default()
    };
    let mut reactor = Reactor::new(ReactorConfig::default(), echo).unwrap();
    let id: ConnId = reactor
        .connect(listener.local_addr().unwrap())
        .unwrap()
        .unwrap();
    let mailbox = reactor.mailbox();
    assert!(mailbox.send(Some(id), Mail::Greet).is_ok());
    let thread = thread::spawn(move || reactor.run().unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"hello");
    check_echo(&stream, b"and back");
    drop(stream);
    assert_eq!(closed.recv_timeout(PATIENCE), Ok(CloseReason::Finished));
    assert!(mailbox.send(None, Mail::Stop).is_ok());
    thread.join().unwrap();
}

#[test]
fn nobody_listens() {
    // The port is kept, so that nobody comes to listen on it at another address.
    let keeper = TcpListener::bind(ANYWHERE).unwrap();
    let port = keeper.local_addr().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 2], port));
    let (sender, closed) = mpsc::channel();
    let echo = Echo {
        closed: Some(sender),
        ..Echo::default()
    };
    let mut reactor = Reactor::new(ReactorConfig::default(), echo).unwrap();
    reactor.connect(address).unwrap().unwrap();
    while reactor.connections() > 0 {
        reactor.turn(Some(PATIENCE)).unwrap();
    }
    assert_eq!(closed.try_recv(), Ok(CloseReason::ConnectFailed));
}

#[test]
fn a_peer_that_resets_is_gone_at_once() {
    let server = serve();
    let mut stream = dial(server.address);
    stream.write_all(b"x").unwrap();
    // Closing with the echo unread makes the kernel send a reset.
    stream.peek(&mut [0]).unwrap();
    drop(stream);
    let reason = server.closed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(reason, CloseReason::Reset);
    server.post(Mail::Stop);
    server.thread.join().unwrap();
}

#[test]
fn draining_finishes_what_is_open_and_takes_no_more() {
    // An address of its own: no other test takes the port once it is free.
    let server = serve_on(([127, 0, 0, 3], 0).into());
    let mut streams: Vec<TcpStream> = (0..10).map(|_| dial(server.address)).collect();
    for stream in &mut streams {
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
    }
    server.post(Mail::Drain);
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }
    assert!(!server.thread.is_finished());
    drop(streams);
    let reactor = server.thread.join().unwrap();
    assert_eq!(reactor.connections(), 0);
    let rejected = TcpStream::connect(server.address);
    assert_eq!(rejected.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn stopping_ends_what_is_open() {
    let server = serve();
    let mut stream = dial(server.address);
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    server.post(Mail::Stop);
    server.thread.join().unwrap();
    assert_eq!(server.closed.recv(), Ok(CloseReason::Shutdown));
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn an_idle_reactor_has_nothing_to_wake_up_for() {
    let mut reactor = Reactor::new(ReactorConfig::default(), Echo::default()).unwrap();
    let (_, address) = reactor.listen(ANYWHERE.into(), Security::Plain).unwrap();
    let mut stream = dial(address);
    stream.write_all(b"ping").unwrap();
    let mut room = [0; 5];
    stream.set_nonblocking(true).unwrap();
    loop {
        reactor.turn(Some(PATIENCE)).unwrap();
        match stream.read(&mut room) {
            Ok(len) => break assert_eq!(&room[..len], b"ping"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    // What the last events left to be noticed, if anything.
    for _ in 0..3 {
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(reactor.connections(), 1);
    assert_eq!(reactor.next_deadline(), None);
}

/// Set in the process that is to run out of descriptors.
const CHILD: &str = "EDGELOOP_TEST_CHILD";

/// Ends a process that was started, whatever becomes of the test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn running_out_of_descriptors_turns_the_excess_away() {
    if std::env::var_os(CHILD).is_some() {
        let mut reactor = Reactor::new(ReactorConfig::default(), Echo::default()).unwrap();
        let (_, address) = reactor.listen(ANYWHERE.into(), Security::Plain).unwrap();
        println!("listening on {address}");
        reactor.run().unwrap();
        return;
    }
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .arg("reactor::running_out_of_descriptors_turns_the_excess_away")
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Reaped(child);
    let address = BufReader::new(child.0.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("listening on ")?.1.parse().unwrap()))
        .unwrap();
    let clients: Vec<TcpStream> = (0..80).map(|_| dial(address)).collect();
    let is_served = |mut stream: &TcpStream| -> io::Result<bool> {
        stream.write_all(b"x")?;
        Ok(stream.read(&mut [0; 1])? == 1)
    };
    // Nobody waits in vain: each is either served or turned away.
    let served: Vec<bool> = clients
        .iter()
        .map(|stream| match is_served(stream) {
            Ok(served) => served,
            Err(error) => {
                let kind = error.kind();
                let away = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
                assert!(away.contains(&kind), "{error}");
                false
            }
        })
        .collect();
    let count = served.iter().filter(|served| **served).count();
    assert!((20..40).contains(&count), "{count} were served");
    // Those that were served still are, and there is room again once they leave.
    for (stream, served) in clients.iter().zip(served) {
        assert!(!served || is_served(stream).unwrap());
    }
    drop(clients);
    while !is_served(&dial(address)).unwrap_or(false) {
        thread::yield_now();
    }
}
