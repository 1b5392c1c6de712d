//! Makes a [`Handler`] of a [`Service`].

use std::io;
use std::sync::Arc;

use super::conn::{Side, WebConn};
use super::exchange::RequestSummary;
use super::http::{ExchangeState, Http, Switch};
#[cfg(feature = "tls")]
use super::plaintext_on_tls;
use super::reader::Reader;
use super::sender::{ExchangeId, MailContents, ServiceMail, ServiceSender};
use super::service::Responder;
use super::socket::{WebSocket, silence};
use super::tools::{MessageBuffers, Tools};
use super::{AcceptDecision, Service, To};
use crate::proto::http1::encode::Common;
use crate::proto::proxy;
use crate::proto::ws::CloseCode;
#[cfg(feature = "tls")]
use crate::reactor::PlaintextOnTls;
use crate::reactor::{
    CloseReason, Cx, Endpoint, Handler, ProxyHeaderOutcome, Reactor, ReactorConfig, Shared, Stall,
};

/// Serves HTTP/1.1 and WebSockets with a [`Service`]. Made by [`reactor`].
#[derive(Debug)]
pub struct Web<S: Service> {
    service: S,
    post: ServiceSender<S::Mail>,
    pub(super) reader: Reader,
    buffers: MessageBuffers,
    /// Field lines of every response, for one second.
    common: Common,
    common_secs: u64,
}

/// A reactor that serves HTTP and WebSockets.
///
/// `service` is made knowing the [`ServiceSender`] that reaches it, to be given to the threads that will
/// answer it.
///
/// # Errors
/// The kernel gives no epoll instance or eventfd.
pub fn reactor<S: Service>(
    config: ReactorConfig,
    service: impl FnOnce(ServiceSender<S::Mail>) -> S,
) -> io::Result<Reactor<Web<S>>> {
    Reactor::with_mailbox(config, |mailbox| {
        let post = ServiceSender::new(mailbox);
        Web::new(service(post.clone()), post)
    })
}

impl<S: Service> Web<S> {
    pub(super) fn new(service: S, post: ServiceSender<S::Mail>) -> Self {
        Self {
            service,
            post,
            reader: Reader::default(),
            buffers: MessageBuffers::default(),
            common: Common::at(0),
            common_secs: 0,
        }
    }

    /// The service.
    pub fn service(&mut self) -> &mut S {
        &mut self.service
    }

    /// Gives the service back, when the reactor has ended.
    pub fn into_service(self) -> S {
        self.service
    }

    fn tools(&mut self, cx: &Cx<'_>) -> Tools<'_, S> {
        if self.common_secs != cx.unix_secs() {
            self.common_secs = cx.unix_secs();
            self.common = self.common_lines();
            self.reader.rest();
        }
        let Self {
            service,
            post,
            reader,
            buffers,
            common,
            ..
        } = self;
        Tools {
            service,
            buffers,
            common,
            post,
            reader,
        }
    }

    #[cold]
    fn common_lines(&self) -> Common {
        let server = self.service.config().server;
        Common::new(self.common_secs, server).unwrap_or_else(|error| {
            log::error!("field Server {server:?} is not sent: {error}");
            Common::at(self.common_secs)
        })
    }

    /// Tells how much is held of requests that are not answered or of a message that is still arriving, and
    /// ends that if it is too much with what all the others hold.
    /// Returns how much that was, in bytes.
    fn weigh(&mut self, cx: &mut Cx<'_>, conn: &mut WebConn<S::Socket>) -> usize {
        let bytes = match &mut conn.side {
            Side::Http(http) => http.held_bytes(),
            Side::Socket(socket) => socket.held_bytes(),
        };
        let fits = cx.hold_input(bytes);
        match &mut conn.side {
            _ if fits => {}
            Side::Http(http) => {
                http.shed(&mut self.tools(cx), cx);
                cx.hold_input(http.held_bytes());
            }
            Side::Socket(socket) => {
                let config = self.service.config();
                let reason = "too many messages are on their way";
                socket.end(config, cx, CloseCode::TRY_AGAIN_LATER, reason);
            }
        }
        bytes
    }

    /// Sends what is ready, and goes on as a WebSocket where that was the answer.
    fn pump(&mut self, cx: &mut Cx<'_>, conn: &mut WebConn<S::Socket>) {
        let held_bytes = self.weigh(cx, conn);
        let Side::Http(http) = &mut conn.side else {
            return;
        };
        let switch = http.pump(&mut self.tools(cx), cx);
        if held_bytes > 0 {
            // Those that were answered are held no more.
            cx.hold_input(http.held_bytes());
        }
        if let Some(switch) = switch {
            self.switch(cx, conn, switch);
        }
    }

    fn switch(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut WebConn<S::Socket>,
        switch: Switch<S::Socket>,
    ) {
        let (upgrade, line) = switch;
        let RequestSummary { path, peer, .. } = line;
        let Tools {
            common, service, ..
        } = self.tools(cx);
        let lines = service.field_lines(conn.endpoint());
        cx.write_with(|out| {
            out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
            out.extend_from_slice(common.lines());
            out.extend_from_slice(lines.map(AsRef::as_ref).unwrap_or_default());
            out.extend_from_slice(&upgrade.fields);
            out.extend_from_slice(b"\r\n");
        });
        let machine = upgrade.machine();
        let path = self.buffers.path(&path);
        let (endpoint, now) = (conn.endpoint(), cx.now());
        let socket = Box::new(WebSocket::new(
            endpoint,
            peer,
            upgrade.socket,
            machine,
            path,
            now,
        ));
        let config = *self.service.config();
        cx.set_timeout(silence(cx.id(), config.ping_interval));
        // It is a WebSocket from here on, so that the service hears of its end whatever comes of this.
        conn.side = Side::Socket(socket);
        let Side::Socket(socket) = &mut conn.side else {
            return;
        };
        socket.with(&config, &mut self.buffers, cx, |ws, state| {
            self.service.opened(ws, state)
        });
        if cx.is_shutting_down() {
            socket.end(&config, cx, CloseCode::GOING_AWAY, "");
        }
        // Frames may have come with the handshake.
        cx.resume();
    }
}

impl<S: Service> Handler for Web<S> {
    type Conn = WebConn<S::Socket>;
    type Mail = ServiceMail<S::Mail>;

    fn open(&mut self, cx: &mut Cx<'_>, from: Endpoint) -> Option<Self::Conn> {
        let mut conn = WebConn {
            side: Side::Http(Box::new(Http::new(from, cx.now()))),
            admission: None,
        };
        cx.set_timeout(self.service.config().connection_timeout);
        if self.service.is_proxy(from.peer()) {
            cx.expect_proxy_header();
            return Some(conn);
        }
        self.admit(cx, &mut conn, from).then_some(conn)
    }

    fn proxy_header(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut Self::Conn,
        input: &[u8],
    ) -> ProxyHeaderOutcome {
        let (used, client) = match proxy::read(input) {
            Ok(proxy::ProxyHeader::Incomplete) => return ProxyHeaderOutcome::Incomplete,
            Ok(proxy::ProxyHeader::Absent) => (0, None),
            Ok(proxy::ProxyHeader::Header { used, client }) => (used, client),
            Err(error) => {
                log::warn!("{} is taken for a proxy: {error}", conn.endpoint().peer());
                return ProxyHeaderOutcome::Refused;
            }
        };
        let from = match (conn.endpoint(), client) {
            (Endpoint::Accepted { listener, .. }, Some(peer)) => Endpoint::accepted(peer, listener),
            (endpoint, _) => endpoint,
        };
        if self.admit(cx, conn, from) {
            ProxyHeaderOutcome::Passed(used)
        } else {
            ProxyHeaderOutcome::Refused
        }
    }

    fn data(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn, input: &mut [u8]) -> usize {
        match &mut conn.side {
            Side::Http(http) => {
                let used = http.data(&mut self.tools(cx), cx, input);
                self.pump(cx, conn);
                used
            }
            Side::Socket(socket) => {
                let used = socket.data(&mut self.tools(cx), cx, input);
                self.weigh(cx, conn);
                used
            }
        }
    }

    #[cfg(feature = "tls")]
    fn plaintext_on_tls(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut Self::Conn,
        input: &[u8],
    ) -> PlaintextOnTls {
        let endpoint = conn.endpoint();
        plaintext_on_tls::respond(&mut self.tools(cx), cx, endpoint, input)
    }

    fn eof(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        match &mut conn.side {
            Side::Http(http) => {
                http.eof(&mut self.tools(cx), cx);
                self.pump(cx, conn);
            }
            Side::Socket(_) => cx.finish(),
        }
    }

    fn writable(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        if let Side::Http(http) = &mut conn.side {
            http.writable(&mut self.tools(cx), cx);
            self.pump(cx, conn);
        }
        cx.resume();
    }

    fn expired(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        match &mut conn.side {
            Side::Http(http) => {
                http.expired(&mut self.tools(cx), cx);
                self.pump(cx, conn);
            }
            Side::Socket(socket) => {
                let config = *self.service.config();
                socket.expired(&config, &mut self.buffers, cx);
            }
        }
    }

    fn service_expired(&mut self, cx: &mut Cx<'_>) {
        self.service.service_expired(cx);
    }

    fn stalled(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn, stall: Stall) {
        match &mut conn.side {
            // A whole answer may be far over the mark.
            Side::Http(http) => {
                if stall == Stall::TooSlow
                    || (stall == Stall::AboveHighWater && http.is_streaming())
                {
                    cx.close();
                }
            }
            Side::Socket(socket) => {
                let config = self.service.config();
                socket.end(config, cx, CloseCode::TRY_AGAIN_LATER, "too slow");
            }
        }
    }

    fn shutting_down(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        match &mut conn.side {
            Side::Http(http) => {
                http.drain(&mut self.tools(cx), cx);
                self.pump(cx, conn);
            }
            Side::Socket(socket) if socket.is_closing() => cx.finish(),
            Side::Socket(socket) => {
                let config = *self.service.config();
                socket.leave(&config, &mut self.buffers, cx);
            }
        }
    }

    fn mail(&mut self, cx: &mut Cx<'_>, conn: Option<&mut Self::Conn>, mail: Self::Mail) {
        match (mail.0, conn) {
            (
                MailContents::Mail(mail),
                Some(WebConn {
                    side: Side::Socket(socket),
                    ..
                }),
            ) => {
                let config = *self.service.config();
                socket.with(&config, &mut self.buffers, cx, |ws, state| {
                    // The service needs the reactor's view and the socket's at once.
                    self.service.mail(To::Socket(ws, state), mail);
                });
            }
            (
                MailContents::Answer(number, mail),
                Some(
                    conn @ WebConn {
                        side: Side::Http(_),
                        ..
                    },
                ),
            ) => {
                self.exchange_mail(cx, conn, number, mail);
            }
            (MailContents::Mail(mail) | MailContents::Answer(_, mail), _) => {
                self.service.mail(To::Nobody(cx), mail);
            }
            (MailContents::File(number, meta, piece), conn) => {
                self.reader.has_come(meta);
                if let Some(conn) = conn {
                    self.file_piece(cx, conn, number, piece);
                }
            }
        }
    }

    fn closed(&mut self, cx: &mut Cx<'_>, conn: Self::Conn, reason: CloseReason) {
        log::debug!("{}: {} {reason}", cx.id(), conn.endpoint().peer());
        if let Some(admission) = conn.admission {
            self.service
                .connection_closed(cx, conn.endpoint(), admission);
        }
        match conn.side {
            Side::Http(http) => http.closed(&mut self.tools(cx), cx),
            Side::Socket(socket) => {
                let mut path = Arc::default();
                let (state, ended) = socket.ended(cx.clock(), &mut path);
                self.service.closed(cx, state, &ended);
            }
        }
    }

    fn panicked(&mut self, cx: &mut Cx<'_>, conn: &mut Self::Conn) {
        match &mut conn.side {
            Side::Http(http) => http.panicked(&mut self.tools(cx), cx),
            Side::Socket(socket) => {
                let config = self.service.config();
                socket.end(config, cx, CloseCode::INTERNAL_ERROR, "internal error");
            }
        }
    }
}

impl<S: Service> Web<S> {
    /// Asks the service about a new connection, now that it is known from where it comes. Returns whether
    /// it may stay.
    fn admit(&mut self, cx: &mut Cx<'_>, conn: &mut WebConn<S::Socket>, from: Endpoint) -> bool {
        let admission = self.service.accept(cx, from);
        if admission == AcceptDecision::Refused {
            return false;
        }
        conn.admission = Some(admission);
        if let Side::Http(http) = &mut conn.side {
            http.endpoint = from;
            http.is_overloaded = admission == AcceptDecision::Overloaded;
        }
        true
    }

    fn exchange_mail(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut WebConn<S::Socket>,
        number: u32,
        mail: S::Mail,
    ) {
        let Side::Http(http) = &mut conn.side else {
            return;
        };
        match http.turn(number) {
            ExchangeState::Nobody => return self.service.mail(To::Nobody(cx), mail),
            ExchangeState::Upload => {
                http.with_upload(cx, |upload| self.service.mail(To::Upload(upload), mail));
                // If it is all here, its end is still to be told.
                http.data(&mut self.tools(cx), cx, &[]);
            }
            ExchangeState::Stream => {
                http.with_stream(&mut self.tools(cx), cx, number, |service, stream| {
                    service.mail(To::Stream(stream), mail);
                });
            }
            ExchangeState::Answer => {
                let conn = cx.id();
                let mut responder = Responder {
                    exchange: ExchangeId { conn, number },
                    reply: None,
                };
                self.service.mail(To::Exchange(cx, &mut responder), mail);
                let Some(reply) = responder.reply else {
                    return;
                };
                http.respond(&mut self.tools(cx), cx, number, reply);
            }
        }
        self.pump(cx, conn);
    }

    fn file_piece(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut WebConn<S::Socket>,
        number: u32,
        piece: io::Result<Shared>,
    ) {
        let Side::Http(http) = &mut conn.side else {
            return;
        };
        match piece {
            Ok(piece) if http.file_piece(cx, number, &piece) => {
                http.send_parts(&mut self.tools(cx), cx);
                self.pump(cx, conn);
            }
            // The length was promised and cannot be kept: only the end of the connection says so.
            Ok(_) => cx.close(),
            Err(error) => {
                log::warn!("{}: file cut short while it was sent: {error}", cx.id());
                cx.close();
            }
        }
    }
}
