//! What an embedder writes to serve HTTP and WebSockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::message::{Message, WsCx};
use super::post::ExchangeId;
use super::stream::StreamCx;
use super::upload::{Intake, UploadCx};
use super::{Config, Cx, Origin, Request, Response, Shared};
use crate::proto::ws::CloseCode;

/// Answers requests and handles the messages of WebSockets.
///
/// One value serves all connections of a reactor, on its thread: callbacks need no locks and must
/// not block. What takes long is handed to another thread with a [`Post`](super::Post), and
/// answered later.
pub trait Service {
    /// The state of one WebSocket.
    type Socket;
    /// What other threads may post to this service.
    type Mail: Send + 'static;

    /// The limits and times to apply. Asked for at each use.
    fn config(&self) -> &Config {
        &Config::DEFAULT
    }

    /// Field lines to add to every answer to a peer from there, refusals included, as
    /// Strict-Transport-Security is to those of secure listeners. They are made before, by
    /// [`Response::field_lines`].
    fn field_lines(&self, from: Origin) -> Option<&Shared> {
        let _ = from;
        None
    }

    /// Whether the peer is a proxy whose PROXY header (versions 1 and 2) is believed: from there on the
    /// connection comes from the client it names. Where there is none, it comes from the proxy.
    fn is_proxy(&self, peer: SocketAddr) -> bool {
        let _ = peer;
        false
    }

    /// A connection was accepted, before any TLS. Of one that comes through a proxy, it is known
    /// from where.
    fn accept(&mut self, cx: &mut Cx<'_>, from: Origin) -> Admission {
        let _ = (cx, from);
        Admission::Served
    }

    /// A connection that was accepted is gone.
    fn released(&mut self, cx: &mut Cx<'_>, from: Origin, admission: Admission) {
        let _ = (cx, from, admission);
    }

    /// Where a request comes from: by default from where its connection does. A service behind a proxy
    /// that names the client in a field, and can be believed, says so here.
    fn origin(&self, request: &Request<'_>) -> Origin {
        request.origin()
    }

    /// The head of a request with a body is here: says what is to become of the body, which the
    /// request given does not have.
    fn intake(&mut self, cx: &mut Cx<'_>, request: &Request<'_>) -> Intake {
        let _ = (cx, request);
        Intake::Collect
    }

    /// A piece of a body arrived that [`intake`](Self::intake) said to [`Stream`](Intake::Stream).
    /// After the last one, [`request`](Self::request) is called, with no body.
    fn body(&mut self, upload: &mut UploadCx<'_, '_>, data: &[u8]) {
        let _ = (upload, data);
    }

    /// A request is complete. One that may become a WebSocket comes here when all requests before it on the
    /// connection have been answered: what is looked at then still holds when the WebSocket opens.
    fn request(&mut self, cx: &mut Cx<'_>, request: &Request<'_>) -> Reply<Self::Socket>;

    /// The answer to a request that was refused before it came to [`request`](Self::request):
    /// broken, over a limit, too slow, or no handshake where one was needed.
    fn refusal(&mut self, status: u16, reason: &str) -> Response {
        let refusal = Response::text(status, format!("{reason}\n"));
        match status {
            405 => refusal.field("Allow", ""), // a tunnel was asked for (RFC 9110 §15.5.6)
            _ => refusal,
        }
    }

    /// A request has waited for its answer as long as it may: says what to answer. By default that is
    /// 503, and the connection ends.
    fn overdue(&mut self, cx: &mut Cx<'_>, exchange: ExchangeId) -> Response {
        let _ = (cx, exchange);
        self.refusal(503, "the answer took too long").close()
    }

    /// A streamed answer can take bytes: its head is out, or what was over the mark has left.
    fn drained(&mut self, stream: &mut StreamCx<'_, '_>) {
        let _ = stream;
    }

    /// The time set by [`StreamCx::set_timeout`] is over.
    fn expired(&mut self, stream: &mut StreamCx<'_, '_>) {
        let _ = stream;
    }

    /// The reactor is shutting down with a streamed answer under way. By default the answer ends.
    fn draining(&mut self, stream: &mut StreamCx<'_, '_>) {
        stream.finish();
    }

    /// Nobody waits any more for the end of this answer, which was to come [later](Reply::Later) or is
    /// a stream; or nothing more comes of this body, which was handed on as it came.
    fn abandoned(&mut self, cx: &mut Cx<'_>, exchange: ExchangeId) {
        let _ = (cx, exchange);
    }

    /// An answer was queued: what an access log wants to know.
    fn served(&mut self, cx: &mut Cx<'_>, served: &Served<'_>) {
        let _ = (cx, served);
    }

    /// A WebSocket is open.
    fn opened(&mut self, ws: &mut WsCx<'_, '_>, socket: &mut Self::Socket) {
        let _ = (ws, socket);
    }

    /// A message arrived.
    fn message(&mut self, ws: &mut WsCx<'_, '_>, socket: &mut Self::Socket, message: Message<'_>) {
        let _ = (ws, socket, message);
    }

    /// A message arrived that is longer than the service wants any, of `bytes` or more, and was thrown away:
    /// one over [`WsLimits::message_bytes_wanted_max`](super::WsLimits::message_bytes_wanted_max). By
    /// default the WebSocket is closed with 1009. A service that wants to go on says so to the peer, and
    /// sees to it that this does not happen without end: reading and decompressing up to there has its cost.
    ///
    /// ```
    /// use edgeloop::web::{Config, Cx, Message, Reply, Request, Response, Service, WsCx, WsLimits};
    ///
    /// struct Short(Config);
    ///
    /// impl Short {
    ///     fn new() -> Self {
    ///         let mut config = Config::DEFAULT;
    ///         config.ws.message_bytes_wanted_max = 1000;
    ///         Self(config)
    ///     }
    /// }
    ///
    /// impl Service for Short {
    ///     type Socket = ();
    ///     type Mail = ();
    ///
    ///     fn config(&self) -> &Config {
    ///         &self.0
    ///     }
    ///
    ///     fn request(&mut self, _: &mut Cx<'_>, _: &Request<'_>) -> Reply<()> {
    ///         Reply::Send(Response::empty(404))
    ///     }
    ///
    ///     fn message_too_long(&mut self, ws: &mut WsCx<'_, '_>, _: &mut (), bytes: u64) {
    ///         ws.reply(Message::Text(&format!("{bytes} bytes are too many")));
    ///     }
    /// }
    /// # let _ = Short::new();
    /// ```
    fn message_too_long(&mut self, ws: &mut WsCx<'_, '_>, socket: &mut Self::Socket, bytes: u64) {
        let _ = (socket, bytes);
        ws.close(CloseCode::TOO_BIG, "the message is too long");
    }

    /// A WebSocket has ended, however it did.
    fn closed(&mut self, cx: &mut Cx<'_>, socket: Self::Socket, ended: &Ended<'_>) {
        let _ = (cx, socket, ended);
    }

    /// The deadline set by [`Cx::set_service_deadline`](super::Cx::set_service_deadline) passed.
    fn service_expired(&mut self, cx: &mut Cx<'_>) {
        let _ = cx;
    }

    /// Mail arrived.
    fn mail(&mut self, to: To<'_, '_, '_, Self::Socket>, mail: Self::Mail) {
        let _ = (to, mail);
    }
}

/// What is to become of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is served.
    Served,
    /// There are too many: whatever it asks for is answered with 503, and it ends. TLS has its cost.
    Overloaded,
    /// It is closed at once, [`Service::released`] is not called.
    Refused,
}

/// What to do about a request.
#[derive(Debug)]
pub enum Reply<S> {
    /// Answer it.
    Send(Response),
    /// Go on as a WebSocket with this state, if the request is a proper opening handshake.
    #[cfg(feature = "ws")]
    Upgrade(S),
    /// The same, and tell the client which of its subprotocols was chosen.
    #[cfg(feature = "ws")]
    UpgradeTo(S, String),
    /// The answer comes later, by mail to [`Request::exchange`], within
    /// [`Config::request_timeout`].
    Later,
    /// The same, within this time.
    LaterWithin(Duration),
    #[doc(hidden)]
    #[cfg(not(feature = "ws"))]
    Never(std::convert::Infallible, std::marker::PhantomData<S>),
}

impl<S> From<Response> for Reply<S> {
    fn from(response: Response) -> Self {
        Self::Send(response)
    }
}

/// Whom mail is for.
#[derive(Debug)]
pub enum To<'a, 'b, 'c, S> {
    /// The service itself, or someone who has gone in the meantime.
    Nobody(&'a mut Cx<'c>),
    /// A request that awaits its answer.
    Exchange(&'a mut Cx<'c>, &'a mut Answer<S>),
    /// A streamed answer under way.
    Stream(&'a mut StreamCx<'b, 'c>),
    /// A request whose body is handed on while it arrives.
    Upload(&'a mut UploadCx<'b, 'c>),
    /// A WebSocket.
    Socket(&'a mut WsCx<'b, 'c>, &'a mut S),
}

/// Where the answer to a request is put when it comes later.
#[derive(Debug)]
pub struct Answer<S> {
    pub(super) exchange: ExchangeId,
    pub(super) reply: Option<Reply<S>>,
}

impl<S> Answer<S> {
    /// The request's name.
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// Answers the request, in any way but [`Reply::Later`], which leaves it as it is. The answer
    /// goes out when all requests before it are answered.
    pub fn reply(&mut self, reply: impl Into<Reply<S>>) {
        self.reply = Some(reply.into());
    }
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The method, empty when the request could not be read.
    pub method: &'a str,
    /// The path, still percent-encoded and without the query, which may hold secrets.
    pub path: &'a str,
    /// The status.
    pub status: u16,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// When the turn began in which the request was complete.
    pub since: Instant,
}

impl Served<'_> {
    /// From the turn in which the request was complete to now, when its answer is queued. Looks at the clock.
    pub fn duration(&self, cx: &Cx<'_>) -> Duration {
        cx.clock().saturating_duration_since(self.since)
    }
}

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The path of its handshake.
    pub path: &'a str,
    /// The close code: the peer's if it closed first, else ours. `NO_STATUS` when a Close had none,
    /// `ABNORMAL` when there was no Close at all (RFC 6455 §7.1.5).
    pub code: CloseCode,
    /// Whether a Close went both ways (RFC 6455 §7.1.4).
    pub clean: bool,
    /// Messages received.
    pub messages: u64,
    /// Bytes of messages received.
    pub bytes_in: u64,
    /// Since the handshake.
    pub duration: Duration,
}
