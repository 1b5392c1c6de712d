//! The event loop: the only layer with sockets and clocks.
//!
//! One thread owns one [`Reactor`]: an epoll instance, the tables of its connections, a timer
//! wheel and a mailbox. Nothing is shared between reactors. A [`Handler`] is called with the
//! bytes of its connections and acts through [`Cx`].
//!
//! ```text
//!             events        read, decrypt          Handler
//! sockets ──► Link ───────► Engine ──────────────► data, expired, mail, ..
//!                                                     │ Cx: write, send, finish, set_deadline
//! sockets ◄── Link ◄─────── Engine ◄── output queues ◄┘
//!             one write     encrypt late, once per turn
//! ```
//!
//! Each socket is registered once, for reading and writing, edge-triggered. A turn of the loop
//! waits for events, then takes in mail, accepts, reads (once for each connection that has
//! something to read), runs timers, and last writes (once for each connection that has something
//! to write). Each of these has its share of [`ReactorConfig::turn_time_max`]. What did not fit, or had no time,
//! goes to a queue that comes first in the next turn, and the next wait does not wait.

mod blocks;
mod budget;
mod config;
mod conn_state;
mod conn_table;
mod engine;
mod handler;
mod held_input;
mod id;
mod listener;
mod mailbox;
mod output_queue;
mod shared;
#[cfg(test)]
pub(crate) mod sim;
mod socket;
mod stats;
mod timer_wheel;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Waker};

pub use self::config::ReactorConfig;
#[cfg(feature = "tls")]
pub use self::handler::PlaintextOnTls;
pub(crate) use self::handler::canonical;
pub use self::handler::{
    CloseReason, Cx, Endpoint, Handler, ProxyHeaderOutcome, SendStatus, Stall,
};
pub use self::id::ConnId;
pub use self::listener::ListenerId;
pub use self::mailbox::{Mailbox, Returned};
pub use self::shared::Shared;
pub use self::stats::{Histogram, Phases, Stats};
pub use self::timer_wheel::Wheel;

use self::budget::Stage;
use self::engine::{Engine, Links};
use self::id::EventSource;
use self::listener::{AcceptOutcome, Listener, Reserve, Throttle};
use self::mailbox::MailReceiver;
use self::socket::Socket;

/// Security of a listener's connections, below the handler's bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Security {
    /// TCP.
    Plain,
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Arc<rustls::ServerConfig>),
}

/// Number of events one wait can bring. Few enough that what a connection was read with is still in the
/// processor's cache when its output is written, at the end of the turn.
const EVENTS_MAX: usize = 128;

/// An event loop and the connections it serves.
///
/// ```no_run
/// use edgeloop::reactor::{ReactorConfig, Cx, Handler, Endpoint, Reactor, Security};
///
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Conn = ();
/// #     type Mail = ();
/// #     fn open(&mut self, _: &mut Cx<'_>, _: Endpoint) -> Option<()> { Some(()) }
/// #     fn data(&mut self, cx: &mut Cx<'_>, _: &mut (), input: &mut [u8]) -> usize {
/// #         cx.write(input);
/// #         input.len()
/// #     }
/// # }
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new(ReactorConfig::default(), Echo)?;
/// let (_, address) = reactor.listen("127.0.0.1:7000".parse().unwrap(), Security::Plain)?;
/// println!("echoing on {address}");
/// reactor.run()
/// # }
/// ```
pub struct Reactor<H: Handler> {
    poll: Poll,
    events: Events,
    engine: Engine<H>,
    links: Links<TcpStream>,
    listeners: Vec<Option<Listener>>,
    /// The listener that is first to accept.
    next_listener: usize,
    reserve: Reserve,
    exhausted: Throttle,
    mailbox: MailReceiver<H::Mail>,
}

impl<H: Handler> Reactor<H> {
    /// A reactor without listeners.
    ///
    /// # Errors
    /// The kernel gives no epoll instance or eventfd.
    pub fn new(config: ReactorConfig, handler: H) -> io::Result<Self> {
        Self::with_mailbox(config, |_| handler)
    }

    /// A reactor whose handler is made knowing the mailbox that reaches it, to be given to the
    /// threads that will answer it.
    ///
    /// # Errors
    /// The kernel gives no epoll instance or eventfd.
    pub fn with_mailbox(
        config: ReactorConfig,
        handler: impl FnOnce(Mailbox<H::Mail>) -> H,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), EventSource::Mailbox.token())?;
        let mailbox = Mailbox::new(Some(waker));
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            engine: Engine::new(config, handler(mailbox.clone()), now(), now),
            links: Vec::new(),
            listeners: Vec::new(),
            next_listener: 0,
            reserve: Reserve::new(),
            exhausted: Throttle::default(),
            mailbox: MailReceiver(mailbox),
        })
    }

    /// Listens on an address; port 0 takes any free one. Returns the address listened on.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        security: Security,
    ) -> io::Result<(ListenerId, SocketAddr)> {
        let socket = std::net::TcpListener::bind(address)?;
        self.listen_on(socket, security)
    }

    /// Listens on a socket that is bound and listening already.
    ///
    /// Accepted connections inherit what is set on it. Worth setting is `TCP_NOTSENT_LOWAT`: it bounds
    /// what the kernel holds for a peer that takes nothing, beside [`ReactorConfig::output_high_water_bytes`] here.
    ///
    /// # Errors
    /// The socket cannot be set up or be registered.
    pub fn listen_on(
        &mut self,
        socket: std::net::TcpListener,
        security: Security,
    ) -> io::Result<(ListenerId, SocketAddr)> {
        socket.set_nonblocking(true)?;
        set_nodelay(&socket)?;
        let address = socket.local_addr()?;
        let id = ListenerId::new(self.listeners.len())
            .ok_or_else(|| io::Error::other("too many listeners"))?;
        let mut socket = TcpListener::from_std(socket);
        let token = EventSource::Listener(id.index()).token();
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        self.listeners.push(Some(Listener::new(socket)));
        self.engine.core.securities.push(security);
        Ok((id, address))
    }

    /// Begins a plain TCP connection to a peer.
    ///
    /// The handler's `open` is called at once, with [`Endpoint::Connected`]; what it writes goes
    /// out when the connection stands. Returns `None` if the handler refused.
    ///
    /// # Errors
    /// There is no socket for it.
    pub fn connect(&mut self, peer: SocketAddr) -> io::Result<Option<ConnId>> {
        let socket = TcpStream::connect(peer)?;
        socket.set_nodelay(true)?;
        Ok(self.adopt(socket, Endpoint::Connected { peer }, &Security::Plain))
    }

    /// The way in for other threads.
    pub fn mailbox(&self) -> Mailbox<H::Mail> {
        self.mailbox.0.clone()
    }

    /// The handler.
    pub fn handler(&mut self) -> &mut H {
        &mut self.engine.handler
    }

    /// Gives the handler back, when the reactor has ended. Connections still open are dropped.
    pub fn into_handler(self) -> H {
        self.engine.handler
    }

    /// Number of open connections.
    pub fn connections(&self) -> usize {
        self.engine.core.connections()
    }

    /// When the next turn has something to do even if nothing happens: the next timer.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.engine
            .sleep_max()
            .map(|sleep| after(self.engine.core.now(), sleep))
    }

    /// Turns until the handler calls [`Cx::stop`], or a [`Cx::shutdown`] is complete.
    ///
    /// # Errors
    /// The kernel refuses to wait for events; nothing a peer does leads to that.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.is_done() {
            self.turn(None)?;
        }
        self.end();
        Ok(())
    }

    /// One turn: waits for events, at most for `timeout`, and handles them, as many as
    /// [`ReactorConfig::turn_time_max`] has time for.
    ///
    /// # Errors
    /// The kernel refuses to wait for events.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.wait(timeout)?;
        self.engine.core.begin_turn(now(), unix_secs());
        self.note_events();
        self.engine.take_mail(&self.mailbox.0, &mut self.links);
        self.accept_all();
        self.engine.turn(&mut self.links);
        self.engine.core.end_turn();
        Ok(())
    }

    fn is_done(&self) -> bool {
        let core = &self.engine.core;
        core.stopped
            || core
                .shutting_down
                .is_some_and(|drain| core.connections() == 0 || drain.until <= core.now())
    }

    /// Ends what is still open.
    fn end(&mut self) {
        self.engine.end_all(&mut self.links, CloseReason::Shutdown);
        self.mailbox.0.close();
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let sleep_max = self.sleep_max();
        let mut timeout = match (timeout, sleep_max) {
            (Some(asked), Some(max)) => Some(asked.min(max)),
            (asked, max) => asked.or(max),
        };
        if timeout != Some(Duration::ZERO) && !self.mailbox.0.sleep() {
            timeout = Some(Duration::ZERO);
        }
        let timeout = timeout.map(|timeout| timeout.min(WAIT_MAX));
        let waited = self.poll.poll(&mut self.events, timeout);
        self.mailbox.0.wake_up();
        match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            waited => waited,
        }
    }

    fn sleep_max(&self) -> Option<Duration> {
        let now = self.engine.core.now();
        let listeners = self
            .listeners
            .iter()
            .flatten()
            .filter(|listener| listener.readable);
        let accept = listeners
            .map(|listener| {
                listener
                    .paused_until
                    .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
            })
            .min();
        match (self.engine.sleep_max(), accept) {
            (Some(engine), Some(accept)) => Some(engine.min(accept)),
            (engine, accept) => engine.or(accept),
        }
    }

    fn note_events(&mut self) {
        for event in &self.events {
            match EventSource::from_token(event.token()) {
                EventSource::Mailbox => {}
                EventSource::Listener(n) => {
                    if let Some(Some(listener)) = self.listeners.get_mut(n) {
                        listener.readable = true;
                    }
                }
                EventSource::Connection(id) => {
                    if let Some(Some(link)) = self.links.get_mut(id.index())
                        && self.engine.core.state(id).is_some()
                    {
                        link.note(event);
                        self.engine.core.make_ready(id);
                    }
                }
            }
        }
    }

    /// Accepts from all listeners in turn, as much as there is time for.
    fn accept_all(&mut self) {
        self.engine.core.begin_stage(Stage::Accept);
        let is_shutting_down = self.engine.core.is_shutting_down();
        for _ in 0..self.listeners.len() {
            if self.next_listener >= self.listeners.len() {
                self.next_listener = 0;
            }
            let index = self.next_listener;
            self.next_listener += 1;
            let has_time = self.accept_some(index);
            if is_shutting_down
                && let Some(slot) = self.listeners.get_mut(index)
                && slot.as_ref().is_some_and(|listener| !listener.readable)
            {
                // The backlog is empty: closing the socket now turns nobody away.
                *slot = None;
            }
            if !has_time {
                return;
            }
        }
    }

    /// Returns whether there is time for another listener.
    fn accept_some(&mut self, index: usize) -> bool {
        let now = self.engine.core.now();
        for _ in 0..self.engine.core.config.accepts_per_turn {
            let Some(Some(listener)) = self.listeners.get_mut(index) else {
                return true;
            };
            if !listener.readable || listener.paused_until.is_some_and(|until| now < until) {
                return true;
            }
            listener.paused_until = None;
            match listener.accept() {
                AcceptOutcome::Peer(socket, peer) => {
                    // When this one could have a descriptor, there may be one to hold back again.
                    self.reserve.renew();
                    self.accept_connection(socket, peer, index);
                }
                AcceptOutcome::Skipped => {}
                AcceptOutcome::Empty => return true,
                AcceptOutcome::Exhausted(error) => {
                    self.engine.core.stats.exhausted += 1;
                    if let Some(more) = self.exhausted.admit(now) {
                        log::warn!("accept: {error}; turning connections away ({more} more lines)");
                    }
                    if !self.reserve.turn_away(listener) {
                        let pause = self.engine.core.config.accept_pause;
                        listener.paused_until = Some(after(now, pause));
                        return true;
                    }
                }
            }
            if !self.engine.core.has_time() {
                return false;
            }
        }
        true
    }

    fn accept_connection(&mut self, socket: TcpStream, peer: SocketAddr, index: usize) {
        let security = self.engine.core.securities.get(index).cloned();
        if let (Some(listener), Some(security)) = (ListenerId::new(index), security) {
            self.adopt(socket, Endpoint::accepted(peer, listener), &security);
        }
    }

    /// Registers a socket, once and for both directions, and opens a connection on it.
    fn adopt(
        &mut self,
        socket: TcpStream,
        endpoint: Endpoint,
        security: &Security,
    ) -> Option<ConnId> {
        let id = self.engine.open(endpoint, security)?;
        let mut link = Socket::new(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self
            .poll
            .registry()
            .register(&mut link.wire, id.token(), interest)
        {
            log::warn!("{id}: cannot register the socket: {error}");
            self.engine.core.kill(id, CloseReason::Reset);
        }
        if self.links.len() <= id.index() {
            self.links.resize_with(id.index() + 1, || None);
        }
        if let Some(slot) = self.links.get_mut(id.index()) {
            *slot = Some(link);
        } else {
            invariant!("the table of sockets has room for {id}");
        }
        Some(id)
    }
}

/// Small writes are not to wait for the peer's acknowledgements: a turn's output is one write
/// already. Accepted sockets inherit it from the listener, which saves a call for each.
fn set_nodelay(listener: &std::net::TcpListener) -> io::Result<()> {
    // The option is the same for every TCP socket; std offers it on streams only.
    let handle = OwnedFd::from(listener.try_clone()?);
    std::net::TcpStream::from(handle).set_nodelay(true)
}

/// The time, for threads beside the loop. Callbacks have [`Cx::now`].
#[expect(
    clippy::disallowed_methods,
    reason = "the reactor is where the clock is read"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// More than anybody waits: what a time is taken for that the clock has no room for.
const ENDLESS: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The longest single wait for events. The kernel counts it in an `int` of milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// So long after `at`. Any time may be asked for, [`Duration::MAX`] as well.
#[inline]
pub(crate) fn after(at: Instant, time: Duration) -> Instant {
    at.checked_add(time).unwrap_or_else(|| long_after(at))
}

#[cold]
fn long_after(at: Instant) -> Instant {
    at.checked_add(ENDLESS).unwrap_or(at)
}

fn unix_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl<H: Handler> fmt::Debug for Reactor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
