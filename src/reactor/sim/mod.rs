//! An engine on wires of memory, under a clock of its own: what the tests drive.
//!
//! Readiness is as scarce as epoll allows: an event comes only when something changes, and names
//! only what changed. Whoever forgets an event waits for ever, and a test notices.

mod client;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) use self::client::SimClient;
use super::conn_state::ConnBuffers;
use super::engine::{Engine, Links};
use super::mailbox::Mailbox;
use super::socket::{Socket, Transport};
use super::{ConnId, Endpoint, Handler, ListenerId, ReactorConfig, Security};

/// Repeatable chance (splitmix64).
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// Factor for the number of seeds and cases of a test: `TEST_ROUNDS` of the environment, or 1.
pub(crate) fn rounds() -> u32 {
    std::env::var("TEST_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

/// Runs a test for `count` seeds, or [`rounds`] times as many; the failing one is printed.
pub(crate) fn for_seeds(count: u64, test: impl Fn(&mut Rng)) {
    for seed in 0..count * u64::from(rounds()) {
        let run = std::panic::AssertUnwindSafe(|| test(&mut Rng::new(seed)));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("failing seed: {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    shut: bool,
}

/// Both directions of a connection, and the events the kernel would have for the server.
#[derive(Debug)]
struct Pair {
    inbound: Pipe,
    outbound: Pipe,
    /// Bytes that the kernel holds for the client.
    capacity: usize,
    /// A write was short: the client's next read is an event.
    blocked: bool,
    reset: bool,
    rejected: bool,
    /// The server has closed its socket.
    dropped: bool,
    /// Reads and writes are cut at random, and the rest announced as if it had come just then.
    chops: Option<Rng>,
    events: Events,
    writes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Events {
    readable: bool,
    writable: bool,
    closing: bool,
    broken: bool,
}

/// The server's end.
#[derive(Debug)]
pub(crate) struct SimSocket(Rc<RefCell<Pair>>);

/// The client's end.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) id: ConnId,
    pair: Rc<RefCell<Pair>>,
}

impl Read for SimSocket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let pair = &mut *self.0.borrow_mut();
        if pair.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        assert!(!room.is_empty(), "a read that can only look like EOF");
        let mut len = room.len().min(pair.inbound.bytes.len());
        if len == 0 {
            return match pair.inbound.shut {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        if let Some(rng) = &mut pair.chops
            && rng.one_in(3)
        {
            let part = 1 + rng.below(len);
            pair.events.readable |= part < len;
            len = part;
        }
        for (to, from) in room.iter_mut().zip(pair.inbound.bytes.drain(..len)) {
            *to = from;
        }
        Ok(len)
    }
}

impl Write for SimSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pair = &mut *self.0.borrow_mut();
        assert!(!pair.outbound.shut, "a write after the shutdown");
        if pair.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        pair.writes += 1;
        let free = pair.capacity.saturating_sub(pair.outbound.bytes.len());
        let mut len = bytes.len().min(free);
        if let Some(rng) = &mut pair.chops
            && len > 0
            && rng.one_in(3)
        {
            len = 1 + rng.below(len);
        }
        if len < bytes.len() {
            pair.blocked = true;
            pair.events.writable |= len < free;
        }
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pair.outbound.bytes.extend(&bytes[..len]);
        Ok(len)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        self.write(&joined)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for SimSocket {
    fn shutdown_write(&mut self) -> io::Result<()> {
        let pair = &mut *self.0.borrow_mut();
        assert!(!pair.outbound.shut, "shut down twice");
        pair.outbound.shut = true;
        pair.events.broken |= pair.inbound.shut;
        Ok(())
    }

    fn connected(&mut self) -> io::Result<()> {
        match self.0.borrow().rejected {
            true => Err(io::ErrorKind::ConnectionRefused.into()),
            false => Ok(()),
        }
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().dropped = true;
    }
}

impl Peer {
    /// Holds at most this much for the client.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.pair.borrow_mut().capacity = capacity;
    }

    pub(crate) fn chop(&self, rng: Rng) {
        self.pair.borrow_mut().chops = Some(rng);
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        let pair = &mut *self.pair.borrow_mut();
        if !bytes.is_empty() {
            pair.inbound.bytes.extend(bytes);
            pair.events.readable = true;
        }
    }

    /// Says that the client sends nothing more.
    pub(crate) fn shut(&self) {
        let pair = &mut *self.pair.borrow_mut();
        if !pair.inbound.shut {
            pair.inbound.shut = true;
            pair.events.readable = true;
            pair.events.closing = true;
            pair.events.broken |= pair.outbound.shut;
        }
    }

    pub(crate) fn reset(&self) {
        let pair = &mut *self.pair.borrow_mut();
        pair.reset = true;
        pair.events = Events {
            readable: true,
            writable: true,
            closing: true,
            broken: true,
        };
    }

    /// The kernel's answer to an outbound connect.
    pub(crate) fn complete_connect(&self, rejected: bool) {
        let pair = &mut *self.pair.borrow_mut();
        pair.rejected = rejected;
        pair.events.writable = true;
    }

    /// Takes up to `len` of what the server sent.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        let pair = &mut *self.pair.borrow_mut();
        let len = len.min(pair.outbound.bytes.len());
        if len > 0 && std::mem::take(&mut pair.blocked) {
            pair.events.writable = true;
        }
        pair.outbound.bytes.drain(..len).collect()
    }

    pub(crate) fn take_all(&self) -> Vec<u8> {
        self.take(usize::MAX)
    }

    /// Returns `true` if the server ended its side and all it sent was taken.
    pub(crate) fn at_end(&self) -> bool {
        let pair = self.pair.borrow();
        pair.outbound.bytes.is_empty() && (pair.outbound.shut || pair.dropped)
    }

    /// Returns `true` if the end was a half-close, not just a closed socket.
    pub(crate) fn is_shut(&self) -> bool {
        self.pair.borrow().outbound.shut
    }

    /// Returns `true` if the server closed its socket.
    pub(crate) fn is_dropped(&self) -> bool {
        self.pair.borrow().dropped
    }

    /// Number of bytes that the server has not read.
    pub(crate) fn unread(&self) -> usize {
        self.pair.borrow().inbound.bytes.len()
    }

    /// Number of writes of the server.
    pub(crate) fn writes(&self) -> usize {
        self.pair.borrow().writes
    }
}

thread_local! {
    /// The time within a turn, of the simulation that this thread turns.
    static CLOCK: Cell<Option<Instant>> = const { Cell::new(None) };
    static READINGS: Cell<usize> = const { Cell::new(0) };
}

/// The clock of a simulation.
fn clock() -> Instant {
    READINGS.set(READINGS.get() + 1);
    CLOCK.get().expect("a simulation set it")
}

/// Lets time pass within a callback.
pub(crate) fn pass(time: Duration) {
    CLOCK.set(CLOCK.get().map(|now| now + time));
}

/// Number of readings of the clock on this thread.
pub(crate) fn clock_readings() -> usize {
    READINGS.get()
}

/// First time of the wall clock: Sun, 06 Nov 1994 08:49:37 GMT.
const START_UNIX_SECS: u64 = 784_111_777;
/// Turns without rest after which a loop counts as a busy one.
const BUSY_TURNS: usize = 100_000;
/// Timers that one stretch of time has at most: a loop that wakes up more often polls.
const WAKE_UPS_MAX: usize = 1_000;

pub(crate) struct Sim<H: Handler> {
    pub(super) engine: Engine<H>,
    links: Links<SimSocket>,
    peers: Vec<Peer>,
    mailbox: Mailbox<H::Mail>,
    start: Instant,
    now: Instant,
    /// Number of panics of callbacks the test wants: no other is caught unseen.
    pub(crate) panics: u64,
}

impl<H: Handler> Sim<H> {
    #[expect(clippy::disallowed_methods, reason = "a clock has to start somewhere")]
    pub(crate) fn new(config: ReactorConfig, handler: impl FnOnce(Mailbox<H::Mail>) -> H) -> Self {
        let now = Instant::now();
        CLOCK.set(Some(now));
        let mailbox = Mailbox::new(None);
        Self {
            engine: Engine::new(config, handler(mailbox.clone()), now, clock),
            links: Vec::new(),
            peers: Vec::new(),
            mailbox,
            start: now,
            now,
            panics: 0,
        }
    }

    pub(crate) fn handler(&mut self) -> &mut H {
        &mut self.engine.handler
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn connections(&self) -> usize {
        self.engine.core.connections()
    }

    pub(crate) fn held_input_bytes(&self) -> usize {
        self.engine.core.held_input_bytes
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.engine.core.queued_bytes_total()
    }

    pub(crate) fn is_drained(&self) -> bool {
        let core = &self.engine.core;
        core.shutting_down
            .is_some_and(|drain| core.connections() == 0 || drain.until <= core.now())
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<H::Mail> {
        &self.mailbox
    }

    /// A client connects.
    pub(crate) fn accept(&mut self, security: &Security) -> Option<Peer> {
        let listener = ListenerId::new(0).unwrap();
        let peer = address();
        let peer = self.adopt(Endpoint::Accepted { peer, listener }, security)?;
        // The kernel says that a socket is writable in the turn after it was accepted.
        self.engine.turn(&mut self.links);
        self.engine.core.end_turn();
        peer.pair.borrow_mut().events.writable = true;
        Some(peer)
    }

    /// The server begins to connect.
    pub(crate) fn connect(&mut self) -> Option<Peer> {
        let peer = address();
        self.adopt(Endpoint::Connected { peer }, &Security::Plain)
    }

    fn adopt(&mut self, endpoint: Endpoint, security: &Security) -> Option<Peer> {
        CLOCK.set(Some(self.now));
        let id = self.engine.open(endpoint, security)?;
        let pair = Rc::new(RefCell::new(Pair {
            inbound: Pipe::default(),
            outbound: Pipe::default(),
            capacity: 1 << 20,
            blocked: false,
            reset: false,
            rejected: false,
            dropped: false,
            chops: None,
            events: Events::default(),
            writes: 0,
        }));
        if self.links.len() <= id.index() {
            self.links.resize_with(id.index() + 1, || None);
        }
        self.links[id.index()] = Some(Socket::new(SimSocket(Rc::clone(&pair))));
        let peer = Peer { id, pair };
        self.peers.push(peer.clone());
        Some(peer)
    }

    fn has_events(&self) -> bool {
        self.peers.iter().any(|peer| {
            let pair = peer.pair.borrow();
            !pair.dropped && pair.events != Events::default()
        })
    }

    /// One turn of the loop; time stands still, unless a callback lets it [`pass`].
    pub(crate) fn turn(&mut self) {
        let unix_secs = START_UNIX_SECS + (self.now - self.start).as_secs();
        CLOCK.set(Some(self.now));
        self.engine.core.begin_turn(self.now, unix_secs);
        self.peers.retain(|peer| !peer.is_dropped());
        for peer in &self.peers {
            let events = std::mem::take(&mut peer.pair.borrow_mut().events);
            if let Some(Some(link)) = self.links.get_mut(peer.id.index())
                && events != Events::default()
            {
                link.readable |= events.readable;
                link.writable |= events.writable;
                link.closing |= events.closing;
                link.broken |= events.broken;
                self.engine.core.make_ready(peer.id);
            }
        }
        self.engine.take_mail(&self.mailbox, &mut self.links);
        self.engine.turn(&mut self.links);
        self.engine.core.end_turn();
        self.now = CLOCK.get().unwrap_or(self.now);
        let panics = self.engine.core.stats.panics;
        assert!(panics <= self.panics, "a callback panicked");
    }

    /// Turns until there is nothing left to do but wait.
    pub(crate) fn settle(&mut self) {
        for _ in 0..BUSY_TURNS {
            let has_mail = !self.mailbox.sleep();
            self.mailbox.wake_up();
            let idle = self.engine.sleep_max() != Some(Duration::ZERO);
            if self.is_drained() || (idle && !has_mail && !self.has_events()) {
                return;
            }
            self.turn();
        }
        panic!("the loop never rests");
    }

    /// Lets time pass, waking up only when the loop asks for it.
    pub(crate) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        self.settle();
        let mut wake_ups = 0;
        while let Some(sleep) = self.engine.sleep_max()
            && !self.is_drained()
            && self.now + sleep <= until
        {
            self.now += sleep;
            self.turn();
            self.settle();
            wake_ups += 1;
            assert!(wake_ups < WAKE_UPS_MAX, "the loop polls");
        }
        self.now = self.now.max(until);
        self.turn();
        self.settle();
    }

    /// Turns until mail that another thread posts has made `done` true.
    pub(crate) fn wait_for_mail(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let give_up = super::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(super::now() < give_up, "no mail came");
            std::thread::yield_now();
            self.settle();
        }
    }

    /// Checks what must hold after every turn.
    pub(crate) fn audit_output(&self) {
        let core = &self.engine.core;
        let queued = core.count_output();
        assert_eq!(core.queued_bytes_total(), queued, "output is miscounted");
    }

    /// Checks what must hold whenever the loop rests.
    pub(crate) fn audit(&self) {
        self.audit_output();
        let core = &self.engine.core;
        assert_eq!(core.stats.panics, self.panics, "panics of callbacks");
        let held: usize = core.states.iter().map(|(_, c)| c.intake.bytes()).sum();
        assert_eq!(core.held_input_bytes, held, "input is miscounted");
        for (_, state) in &core.states {
            let held = state.held();
            assert!(
                held.is_none_or(|held| !held.is_empty()),
                "a buffer for nothing"
            );
            let in_buffers = held.map_or([0, 0], |held| [held.plain.len(), held.cipher.len()]);
            let counted = [state.intake.tail, state.intake.cipher];
            assert_eq!(
                counted.map(|bytes| bytes as usize),
                in_buffers,
                "miscounted"
            );
            let uncounted = held.map_or(0, ConnBuffers::uncounted_bytes);
            assert!(uncounted <= 2048, "{uncounted} bytes that nobody counts");
        }
        assert_eq!(self.links.iter().flatten().count(), core.connections());
        if core.connections() == 0 {
            assert_eq!(core.queued_bytes_total(), 0);
            assert!(core.wheel.is_empty(), "a timer of nobody");
            assert!(core.shutting_down.is_some() || core.sleep_max().is_none());
        }
    }
}

fn address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 40_000))
}

/// Moves bytes and turns the loop until neither has anything left to do.
pub(crate) fn run<H: Handler>(sim: &mut Sim<H>, clients: &mut [&mut SimClient]) {
    // A client that has nothing more to send ends its side, which moves no bytes.
    let mut quiet = 0;
    while quiet < 2 {
        sim.settle();
        let moved = clients
            .iter_mut()
            .filter_map(|client| client.pump().then_some(()));
        quiet = if moved.count() == 0 { quiet + 1 } else { 0 };
    }
}
