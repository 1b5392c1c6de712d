//! Interface to an embedder: a [`Handler`], and the [`Cx`] its callbacks act through.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::conn_table::ConnTable;
use super::{ConnId, ListenerId, Phases, ReactorConfig, Security, Shared, Stats};

/// Byte-level callbacks of all connections of one reactor, TLS already removed.
///
/// There is one handler value for each reactor. Callbacks run to completion on the reactor's
/// thread and never nest, so a handler needs no locks; it must not block either, as nothing else
/// happens meanwhile. Slow work belongs on another thread, which answers through a
/// [`Mailbox`](super::Mailbox).
///
/// A callback gets the state of its own connection and may queue bytes on any connection by id.
/// To make another connection act, it posts mail to it.
///
/// A callback that panics ends its connection, with [`CloseReason::Panicked`], and nothing else: the panic
/// is logged and counted ([`Stats::panics`]), and [`panicked`](Self::panicked) may say a last
/// word. The reactor goes on, and so does the handler: what its own state is like after a panic is up
/// to it. Where panics abort the process there is nothing to catch.
///
/// ```
/// use edgeloop::reactor::{Cx, Handler, Endpoint};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Conn = ();
///     type Mail = ();
///
///     fn open(&mut self, _: &mut Cx<'_>, _: Endpoint) -> Option<()> {
///         Some(())
///     }
///
///     fn data(&mut self, cx: &mut Cx<'_>, _: &mut (), input: &mut [u8]) -> usize {
///         cx.write(input);
///         input.len()
///     }
/// }
/// ```
pub trait Handler {
    /// The state of one connection.
    type Conn;
    /// Mail of other threads for this handler.
    type Mail: Send;

    /// A connection was accepted, or an outbound one begun. `None` refuses it.
    ///
    /// On a TLS listener this comes before the handshake: refusing here costs no cryptography.
    /// Bytes written now go out once the handshake is complete.
    fn open(&mut self, cx: &mut Cx<'_>, from: Endpoint) -> Option<Self::Conn>;

    /// Bytes arrived. Returns how many of them, from the front, are done with.
    ///
    /// The rest is presented again, in front of what arrives next; it must stay below
    /// [`ReactorConfig::tail_bytes_max`](super::ReactorConfig::tail_bytes_max). `input` may be changed in place.
    /// A handler that stops early although it could go on, to let other connections have their
    /// turn, calls [`Cx::resume`].
    fn data(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn, input: &mut [u8]) -> usize;

    /// The first bytes of a connection for which [`Cx::expect_proxy_header`] was called, as they are, ahead
    /// of TLS: all that has come so far, to be done with within 16 KiB and the [handshake's
    /// time](super::ReactorConfig::handshake_timeout) of the first of it. By default nothing is ahead.
    fn proxy_header(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut Self::Conn,
        input: &[u8],
    ) -> ProxyHeaderOutcome {
        let _ = (cx, conn, input);
        ProxyHeaderOutcome::Passed(0)
    }

    /// A fresh connection of a TLS listener began with a letter, which no TLS record does: most
    /// likely a request of a client that took the port for a plain one.
    ///
    /// `input` is everything that has come so far. What this callback writes to the connection
    /// with [`Cx::write`] and [`Cx::write_with`] goes out without encryption if it returns
    /// [`PlaintextOnTls::Answered`], and only then. By default TLS answers with an alert.
    #[cfg(feature = "tls")]
    fn plaintext_on_tls(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut Self::Conn,
        input: &[u8],
    ) -> PlaintextOnTls {
        let _ = (cx, conn, input);
        PlaintextOnTls::Refused
    }

    /// The peer will send nothing more; what is queued or still being worked on can be sent.
    ///
    /// By default the connection finishes. A handler that owes an answer finishes after it.
    fn eof(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        let _ = conn;
        cx.finish();
    }

    /// The output had been over its high-water mark and is now below the low one, or is gone where
    /// [`Cx::notify_when_flushed`] asked for that.
    fn writable(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        let _ = (cx, conn);
    }

    /// The deadline set by [`Cx::set_deadline`] passed. By default the connection closes.
    fn expired(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        let _ = conn;
        cx.close();
    }

    /// The deadline set by [`Cx::set_service_deadline`] passed. It belongs to the handler, so `cx.id()`
    /// is [`ConnId::NONE`].
    fn service_expired(&mut self, cx: &mut Cx<'_>) {
        let _ = cx;
    }

    /// The peer does not read, or hardly. By default the connection closes.
    ///
    /// With [`Stall::Full`] what is written here are the last words: unless the connection finishes or
    /// closes here, it is closed.
    fn stalled(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn, stall: Stall) {
        let _ = (conn, stall);
        cx.close();
    }

    /// The reactor is shutting down ([`Cx::shutdown`]). By default the connection finishes.
    fn shutting_down(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        let _ = conn;
        cx.finish();
    }

    /// Mail arrived, for the connection `cx.id()` or, when that is [`ConnId::NONE`], for none.
    ///
    /// `conn` is `None` for mail to no connection and to one that has closed in the meantime.
    fn mail(&mut self, cx: &mut Cx<'_>, conn: Option<&mut Self::Conn>, mail: Self::Mail) {
        let _ = (cx, conn, mail);
    }

    /// A callback for the connection panicked, and ends it: what is written here are its last words. Unless
    /// the connection finishes here, it is closed at once, by default without any. `conn` is as the
    /// panic has left it.
    fn panicked(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        let _ = (cx, conn);
    }

    /// The connection is gone. Called once for each connection that `open` took.
    fn closed(&mut self, cx: &mut Cx<'_>, conn: Self::Conn, reason: CloseReason) {
        let _ = (cx, conn, reason);
    }
}

/// Decision of a handler about the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeaderOutcome {
    /// More is needed to tell.
    Incomplete,
    /// So many of them are done with: the rest, and all that follows, is what it would be without. These
    /// may be up to 65,535 more than have come; they are dropped when they come.
    Passed(usize),
    /// The connection is to be closed.
    Refused,
}

/// Decision of a handler about plaintext where TLS was to begin.
#[cfg(feature = "tls")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaintextOnTls {
    /// Nothing: TLS answers with an alert, and the connection ends.
    Refused,
    /// They are only the beginning: they are shown again with what comes next. A connection has as
    /// long for this as for a handshake, and is closed when it comes to over 18 KiB.
    Incomplete,
    /// They are answered: what was written goes out as it is, and the connection finishes.
    Answered,
}

/// Origin of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A peer connected to one of our listeners.
    Accepted {
        /// The peer's address.
        peer: SocketAddr,
        /// Which of the reactor's listeners it came through.
        listener: ListenerId,
    },
    /// We connect to a peer; written bytes go out when the connection stands.
    Connected {
        /// The address connected to.
        peer: SocketAddr,
    },
}

impl Endpoint {
    /// A connection to a listener. A peer with an IPv4 address has it as such, also where the listener
    /// is of both families and the kernel maps it into IPv6.
    pub(crate) fn accepted(peer: SocketAddr, listener: ListenerId) -> Self {
        let peer = canonical(peer);
        Self::Accepted { peer, listener }
    }

    /// The peer's address.
    pub fn peer(&self) -> SocketAddr {
        match *self {
            Self::Accepted { peer, .. } | Self::Connected { peer } => peer,
        }
    }
}

/// The IPv4 address that an IPv6 one maps, or the address itself. Every address of a peer goes through
/// here where it comes in, so that limits, networks and logs know it by one name.
pub(crate) fn canonical(peer: SocketAddr) -> SocketAddr {
    let mapped = match peer {
        SocketAddr::V4(_) => None,
        SocketAddr::V6(peer) => peer.ip().to_ipv4_mapped(),
    };
    mapped.map_or(peer, |ip| SocketAddr::new(ip.into(), peer.port()))
}

/// Kind of slowness of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stall {
    /// The output has been over its high-water mark for [`Config::stall_grace`](super::ReactorConfig), and no more than
    /// the mark of it was taken.
    AboveHighWater,
    /// In a whole [`Config::send_timeout`](super::ReactorConfig) the peer took less than it has to of what
    /// waits for it.
    TooSlow,
    /// The output is over the limit for a connection, or has waited longest where that of all together is over
    /// its limit. What went out in no part was dropped.
    Full,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// We finished: everything queued was handed to the kernel, and the write side shut down.
    Finished,
    /// The handler closed it, dropping what was queued.
    Closed,
    /// The peer reset the connection, or the network failed.
    Reset,
    /// An outbound connection could not be made.
    ConnectFailed,
    /// The TLS handshake failed, or a record did not decrypt.
    Tls,
    /// The handshake was not complete in time.
    HandshakeTimeout,
    /// The handler left more input unconsumed than the tail may hold.
    InputOverflow,
    /// The peer took too little of the last bytes, or not all of them within
    /// [`Cx::finish_within`]'s time.
    TooSlow,
    /// More output was queued than the limit for a connection, or for all together, allows, and
    /// the handler had no last words for it ([`Stall::Full`]).
    OutputOverflow,
    /// A callback for it panicked, or an [invariant](mod@crate::invariant) was broken.
    Panicked,
    /// The reactor ended.
    Shutdown,
}

impl CloseReason {
    /// All of them, in the order of [`Stats::closed`](super::Stats::closed).
    pub const ALL: [Self; 11] = [
        Self::Finished,
        Self::Closed,
        Self::Reset,
        Self::ConnectFailed,
        Self::Tls,
        Self::HandshakeTimeout,
        Self::InputOverflow,
        Self::TooSlow,
        Self::OutputOverflow,
        Self::Panicked,
        Self::Shutdown,
    ];
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Closed => "closed",
            Self::Reset => "reset by the peer",
            Self::ConnectFailed => "could not connect",
            Self::Tls => "TLS failed",
            Self::HandshakeTimeout => "TLS handshake too slow",
            Self::InputOverflow => "unconsumed input over the limit",
            Self::TooSlow => "read too slowly",
            Self::OutputOverflow => "queued output over the limit",
            Self::Panicked => "callback panicked",
            Self::Shutdown => "shut down",
        })
    }
}

/// Status of bytes that were to be sent.
///
/// Often there is nothing to do about it: a connection that has gone is told to the handler by
/// `closed`, one that is too slow by `stalled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// They go out at the end of this turn: nothing is in their way.
    Accepted,
    /// Queued behind what the peer has not taken yet.
    Buffered,
    /// Queued, but the output is over its high-water mark: better wait for `writable`.
    Backpressure,
    /// Dropped: the connection has closed or is finishing, or has too much output already.
    Dropped,
}

/// A callback's view of its reactor and of the connection it was called for.
pub struct Cx<'a> {
    pub(super) core: &'a mut ConnTable,
    pub(super) id: ConnId,
}

impl Cx<'_> {
    /// The connection this callback is for, or [`ConnId::NONE`].
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// The time at which this turn of the loop began.
    pub fn now(&self) -> Instant {
        self.core.now()
    }

    /// The time now, which the turn may have spent a part of already.
    pub fn clock(&self) -> Instant {
        self.core.clock()
    }

    /// Returns `true` if this turn of the loop has time for more. Counts a piece of work: to be asked by a callback
    /// with much to do, between one piece and the next. One that is out of time leaves the rest, and calls
    /// [`resume`](Self::resume) to be called again when others have had their turn.
    pub fn has_time(&mut self) -> bool {
        self.core.has_time()
    }

    /// Counts bytes that a callback works on beyond those it was called with, so that the clock is read
    /// early enough ([`ReactorConfig::turn_time_max`](super::ReactorConfig::turn_time_max)).
    pub fn count_work(&mut self, bytes: usize) {
        self.core.budget.count_bytes(bytes);
    }

    /// The wall clock when this turn began, in seconds since the Unix epoch.
    pub fn unix_secs(&self) -> u64 {
        self.core.unix_secs()
    }

    /// Queues a copy of `bytes` on this connection.
    pub fn write(&mut self, bytes: &[u8]) -> SendStatus {
        self.write_with(|out| out.extend_from_slice(bytes))
    }

    /// Lets `write` append to this connection's output, without a copy in between.
    ///
    /// `write` must only append: what is in the buffer already was queued before.
    pub fn write_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> SendStatus {
        self.core.append(self.id, write)
    }

    /// Queues a copy of bytes on this connection; where the peer is behind with taking what is queued,
    /// ahead of all that went by reference and is not begun to be sent. Whole frames must have gone
    /// so, each with one call, for nothing to be torn.
    pub fn write_urgent(&mut self, bytes: &[u8]) -> SendStatus {
        self.core.push_urgent(self.id, bytes)
    }

    /// Queues bytes on any connection, by reference.
    pub fn send(&mut self, to: ConnId, shared: &Shared) -> SendStatus {
        self.core.push(to, shared)
    }

    /// Queues bytes on any connection, by reference, that may give way: where output would go over
    /// its high-water mark, the oldest bytes sent with the same label are taken out instead, one call's
    /// at a time, or where there are none, these are not queued.
    ///
    /// Returns [`SendStatus::Backpressure`] for the latter, and how many calls' bytes will never be sent.
    pub fn send_lossy(&mut self, to: ConnId, shared: &Shared, label: u32) -> (SendStatus, usize) {
        self.core.push_lossy(to, shared, label)
    }

    /// Returns `true` if that connection is there still.
    pub fn is_open(&self, id: ConnId) -> bool {
        self.core.is_open(id)
    }

    /// Queues a copy of bytes on any connection.
    pub fn send_copy(&mut self, to: ConnId, bytes: &[u8]) -> SendStatus {
        self.core.append(to, |out| out.extend_from_slice(bytes))
    }

    /// Number of bytes of this connection's output the kernel has not taken yet.
    pub fn queued_bytes(&self) -> usize {
        self.core.queued_bytes(self.id)
    }

    /// Returns `true` if this connection's output is over its high-water mark.
    pub fn is_above_high_water(&self) -> bool {
        self.core.is_above_high_water(self.id)
    }

    /// Asks for `writable` once, when all output that is queued now has gone, below the mark too. Nothing
    /// comes of it when nothing is queued. For one who has more to send: how fast the peer takes it goes
    /// on being measured ([`ReactorConfig::send_bytes_per_second_min`](super::ReactorConfig::send_bytes_per_second_min)).
    pub fn notify_when_flushed(&mut self) {
        self.core.notify_when_flushed(self.id);
    }

    /// Refuses all further output for this connection, whoever it comes from; what is queued
    /// still goes out, and input still comes in.
    pub fn seal(&mut self) {
        self.core.seal(self.id);
    }

    /// Sends what is queued, then ends the connection in an orderly way.
    ///
    /// The output is sealed and no further input is delivered. After the last byte comes
    /// close_notify (TLS), then a half-close, then a short wait for the peer's own end, so that
    /// a reset cannot overtake the last answer.
    pub fn finish(&mut self) {
        self.core.finish(self.id, None);
    }

    /// The same, but what has not left within that time is dropped.
    pub fn finish_within(&mut self, time: Duration) {
        self.core.finish(self.id, Some(time));
    }

    /// Ends the connection at once and drops what is queued.
    pub fn close(&mut self) {
        self.core.kill(self.id, CloseReason::Closed);
    }

    /// Says how many bytes of this connection's input the handler holds because the rest of them is to
    /// come. They count against [`ReactorConfig::input_bytes_max_total`]; `false` when they are too much, and the
    /// handler should let go of them.
    pub fn hold_input(&mut self, bytes: usize) -> bool {
        self.core.hold_input(self.id, bytes)
    }

    /// Bytes of input of all connections that wait for the rest of a request or message.
    pub fn held_input_bytes(&self) -> usize {
        self.core.held_input_bytes
    }

    /// Bytes that may still be held before the limit is reached.
    pub fn input_room_bytes(&self) -> usize {
        let max = self.core.config.input_bytes_max_total;
        max.saturating_sub(self.core.held_input_bytes)
    }

    /// Bytes of output that may be added before all connections together reach
    /// [`ReactorConfig::output_bytes_max_total`].
    pub fn output_room_bytes(&self) -> usize {
        let max = self.core.config.output_bytes_max_total;
        max.saturating_sub(self.core.queued_bytes_total())
    }

    /// Returns `true` if output is over a limit, and sockets should take some before more is made. A handler that
    /// can stop early and go on when it is called again does so.
    pub fn needs_flush(&self) -> bool {
        self.core.needs_relief()
    }

    /// Asks for `expired` at that time, in place of an earlier request. Moving a deadline
    /// further away costs next to nothing.
    pub fn set_deadline(&mut self, at: Instant) {
        self.core.set_deadline(self.id, at);
    }

    /// Asks for `expired` after that time.
    pub fn set_timeout(&mut self, after: Duration) {
        self.set_deadline(super::after(self.now(), after));
    }

    /// Takes back the request for `expired`.
    pub fn clear_deadline(&mut self) {
        self.core.clear_deadline(self.id);
    }

    /// Asks for [`Handler::service_expired`] at that time, in place of an earlier request, or takes that
    /// back. It is the one timer that no connection owns.
    ///
    /// A time that has passed is due at once: in this turn, after its input has been handled and before
    /// its output is written, or in the next turn when it is set later than that. So a handler can put
    /// off to the end of the input what is to be done once for all of it.
    pub fn set_service_deadline(&mut self, at: Option<Instant>) {
        self.core.service_deadline = at;
    }

    /// Shows the first bytes of this connection to [`Handler::proxy_header`], ahead of TLS. To be called in
    /// [`Handler::open`].
    pub fn expect_proxy_header(&mut self) {
        self.core.expect_proxy_header(self.id);
    }

    /// Delivers no more input to this connection until [`resume`](Self::resume); once the
    /// kernel's buffer is full, TCP holds the peer back.
    pub fn pause(&mut self) {
        self.core.pause(self.id);
    }

    /// Delivers input again, beginning next turn with what `data` left unconsumed.
    pub fn resume(&mut self) {
        self.core.resume(self.id);
    }

    /// Replaces the certificates and settings new connections of a listener use. Running
    /// connections keep theirs.
    pub fn secure(&mut self, listener: ListenerId, security: Security) {
        self.core.secure(listener, security);
    }

    /// The reactor's configuration, to change times and limits while it runs. The sizes of the
    /// shared buffers are taken once, at the start.
    pub fn config_mut(&mut self) -> &mut ReactorConfig {
        &mut self.core.config
    }

    /// Begins to shut down: accepts nothing more, calls `shutting_down` for every connection, and
    /// lets [`run`](super::Reactor::run) return when all are gone or `grace` is over.
    pub fn shutdown(&mut self, grace: Duration) {
        self.core.shutdown(grace);
    }

    /// Returns `true` if the reactor is shutting down.
    pub fn is_shutting_down(&self) -> bool {
        self.core.is_shutting_down()
    }

    /// Time left of the grace of a shutdown; zero when there is none.
    pub fn grace_left(&self) -> Duration {
        self.core.grace_left()
    }

    /// Counters of the reactor.
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Duration of the longest turn so far, without the current one.
    pub fn longest_turn(&self) -> Duration {
        self.core.stats.longest_turn.of_all()
    }

    /// Duration of the longest turn of the last one to two minutes.
    pub fn longest_turn_of_late(&self) -> Duration {
        let now_ms = self.core.now_ms();
        self.core.stats.longest_turn.of_late(now_ms)
    }

    /// Number of connections of each kind. Counted when asked for.
    pub fn phases(&self) -> Phases {
        self.core.phases()
    }

    /// Number of timers run: one for each connection that waits for something.
    pub fn timers(&self) -> usize {
        self.core.wheel.len()
    }

    /// Bytes that the output of all connections together takes: what is queued by reference on any number of them
    /// counts once, and a little for each of them.
    pub fn queued_bytes_total(&self) -> usize {
        self.core.queued_bytes_total()
    }

    /// Number of open connections.
    pub fn connections(&self) -> usize {
        self.core.connections()
    }

    /// Lets [`run`](super::Reactor::run) return at the end of this turn, whatever is open.
    pub fn stop(&mut self) {
        self.core.stop();
    }
}

impl fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
