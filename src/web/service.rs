//! Trait of an embedder's service for HTTP and WebSockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::message::{Message, WsCx};
use super::request_body::{BodyMode, RequestBody};
use super::sender::ExchangeId;
use super::stream::StreamCx;
use super::{Cx, Endpoint, Request, Response, Shared, WebConfig};
use crate::proto::ws::CloseCode;

/// Answers requests and handles the messages of WebSockets.
///
/// One value serves all connections of a reactor, on its thread: callbacks need no locks and must
/// not block. What takes long is handed to another thread with a [`ServiceSender`](super::ServiceSender), and
/// answered later.
pub trait Service {
    /// The state of one WebSocket.
    type Socket;
    /// Mail of other threads for this service.
    type Mail: Send + 'static;

    /// The limits and times to apply. Asked for at each use.
    fn config(&self) -> &WebConfig {
        &WebConfig::DEFAULT
    }

    /// Field lines to add to every answer to a peer from there, refusals included, as
    /// Strict-Transport-Security is to those of secure listeners. They are made before, by
    /// [`Response::field_lines`].
    fn field_lines(&self, from: Endpoint) -> Option<&Shared> {
        let _ = from;
        None
    }

    /// Returns `true` if the peer is a proxy whose PROXY header (versions 1 and 2) is believed: from there on the
    /// connection comes from the client it names. Where there is none, it comes from the proxy.
    fn is_proxy(&self, peer: SocketAddr) -> bool {
        let _ = peer;
        false
    }

    /// A connection was accepted, before any TLS. Of one that comes through a proxy, it is known
    /// from where.
    fn accept(&mut self, cx: &mut Cx<'_>, from: Endpoint) -> AcceptDecision {
        let _ = (cx, from);
        AcceptDecision::Served
    }

    /// A connection that was accepted is gone.
    fn connection_closed(&mut self, cx: &mut Cx<'_>, from: Endpoint, admission: AcceptDecision) {
        let _ = (cx, from, admission);
    }

    /// Peer of a request: by default that of its connection. A service behind a proxy
    /// that names the client in a field, and can be believed, says so here.
    fn endpoint(&self, request: &Request<'_>) -> Endpoint {
        request.endpoint()
    }

    /// The head of a request with a body is here: says what is to become of the body, which the
    /// request given does not have.
    fn body_mode(&mut self, cx: &mut Cx<'_>, request: &Request<'_>) -> BodyMode {
        let _ = (cx, request);
        BodyMode::Collect
    }

    /// A piece of a body arrived that [`body_mode`](Self::body_mode) said to [`Stream`](BodyMode::Stream).
    /// After the last one, [`request`](Self::request) is called, with no body.
    fn body(&mut self, upload: &mut RequestBody<'_, '_>, data: &[u8]) {
        let _ = (upload, data);
    }

    /// A request is complete. One that may become a WebSocket comes here when all requests before it on the
    /// connection have been answered: what is looked at then still holds when the WebSocket opens.
    fn request(&mut self, cx: &mut Cx<'_>, request: &Request<'_>) -> Reply<Self::Socket>;

    /// The answer to a request that was refused before it came to [`request`](Self::request):
    /// broken, over a limit, too slow, or no handshake where one was needed.
    fn error_response(&mut self, status: u16, reason: &str) -> Response {
        let error_response = Response::text(status, format!("{reason}\n"));
        match status {
            405 => error_response.field("Allow", ""), // a tunnel was asked for (RFC 9110 §15.5.6)
            _ => error_response,
        }
    }

    /// A request has waited for its answer as long as it may: says what to answer. By default that is
    /// 503, and the connection ends.
    fn response_timeout(&mut self, cx: &mut Cx<'_>, exchange: ExchangeId) -> Response {
        let _ = (cx, exchange);
        self.error_response(503, "the answer took too long").close()
    }

    /// A streamed answer can take bytes: its head is out, or what was over the mark has left.
    fn writable(&mut self, stream: &mut StreamCx<'_, '_>) {
        let _ = stream;
    }

    /// The time set by [`StreamCx::set_timeout`] is over.
    fn expired(&mut self, stream: &mut StreamCx<'_, '_>) {
        let _ = stream;
    }

    /// The reactor is shutting down with a streamed answer under way. By default the answer ends.
    fn shutting_down(&mut self, stream: &mut StreamCx<'_, '_>) {
        stream.finish();
    }

    /// Nobody waits any more for the end of this answer, which was to come [later](Reply::Later) or is
    /// a stream; or nothing more comes of this body, which was handed on as it came.
    fn request_aborted(&mut self, cx: &mut Cx<'_>, exchange: ExchangeId) {
        let _ = (cx, exchange);
    }

    /// An answer was queued: what an access log wants to know.
    fn response_sent(&mut self, cx: &mut Cx<'_>, served: &ResponseSent<'_>) {
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
    /// use edgeloop::web::{WebConfig, Cx, Message, Reply, Request, Response, Service, WsCx, WsLimits};
    ///
    /// struct Short(WebConfig);
    ///
    /// impl Short {
    ///     fn new() -> Self {
    ///         let mut config = WebConfig::DEFAULT;
    ///         config.ws.message_bytes_wanted_max = 1000;
    ///         Self(config)
    ///     }
    /// }
    ///
    /// impl Service for Short {
    ///     type Socket = ();
    ///     type Mail = ();
    ///
    ///     fn config(&self) -> &WebConfig {
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
    fn closed(&mut self, cx: &mut Cx<'_>, socket: Self::Socket, ended: &WebSocketClosed<'_>) {
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

/// Decision about a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptDecision {
    /// It is served.
    Served,
    /// There are too many: whatever it asks for is answered with 503, and it ends. TLS has its cost.
    Overloaded,
    /// It is closed at once, [`Service::connection_closed`] is not called.
    Refused,
}

/// Decision about a request.
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
    /// [`WebConfig::request_timeout`].
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
    Exchange(&'a mut Cx<'c>, &'a mut Responder<S>),
    /// A streamed answer under way.
    Stream(&'a mut StreamCx<'b, 'c>),
    /// A request whose body is handed on while it arrives.
    Upload(&'a mut RequestBody<'b, 'c>),
    /// A WebSocket.
    Socket(&'a mut WsCx<'b, 'c>, &'a mut S),
}

/// Handle to send a response that comes later.
#[derive(Debug)]
pub struct Responder<S> {
    pub(super) exchange: ExchangeId,
    pub(super) reply: Option<Reply<S>>,
}

impl<S> Responder<S> {
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
pub struct ResponseSent<'a> {
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

impl ResponseSent<'_> {
    /// From the turn in which the request was complete to now, when its answer is queued. Looks at the clock.
    pub fn duration(&self, cx: &Cx<'_>) -> Duration {
        cx.clock().saturating_duration_since(self.since)
    }
}

/// End of a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct WebSocketClosed<'a> {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The path of its handshake.
    pub path: &'a str,
    /// The close code: the peer's if it closed first, else ours. `NO_STATUS` when a Close had none,
    /// `ABNORMAL` when there was no Close at all (RFC 6455 §7.1.5).
    pub code: CloseCode,
    /// `true` if a Close went both ways (RFC 6455 §7.1.4).
    pub clean: bool,
    /// Messages received.
    pub messages: u64,
    /// Bytes of messages received.
    pub bytes_in: u64,
    /// Since the handshake.
    pub duration: Duration,
}
