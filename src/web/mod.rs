//! HTTP and WebSocket services over the reactor.
//!
//! A [`Service`] answers requests and handles WebSocket messages; [`Web`] makes a
//! [`Handler`](crate::reactor::Handler) of it. One value serves all connections of a reactor.
//!
//! ```no_run
//! use edgeloop::web::{self, Cx, Message, Reply, Request, Response, Service, WsCx};
//!
//! struct Site;
//!
//! impl Service for Site {
//!     type Socket = u64;
//!     type Mail = ();
//!
//!     fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<u64> {
//!         match request.path() {
//!             # #[cfg(feature = "ws")]
//!             "/ws" => Reply::Upgrade(0),
//!             "/" => Reply::Send(Response::text(200, "hello\n")),
//!             _ => Reply::Send(Response::empty(404)),
//!         }
//!     }
//!
//!     fn message(&mut self, ws: &mut WsCx<'_, '_>, seen: &mut u64, message: Message<'_>) {
//!         *seen += 1;
//!         ws.reply(message);
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = web::reactor(web::ReactorConfig::default(), |_| Site)?;
//! reactor.listen("127.0.0.1:8080".parse().unwrap(), web::Security::Plain)?;
//! reactor.run()
//! # }
//! ```
//!
//! Requests of a connection may be pipelined; their answers go out in order, also when some come
//! [`Later`](Reply::Later) from a worker thread, by mail through a [`ServiceSender`].

mod adapter;
mod config;
mod conn;
mod exchange;
#[cfg(feature = "files")]
pub mod files;
mod forwarded;
mod http;
mod message;
mod open_files;
#[cfg(feature = "tls")]
mod plaintext_on_tls;
#[cfg(feature = "files")]
pub(crate) mod priority;
mod reader;
mod request;
mod request_body;
mod response;
#[cfg(feature = "router")]
mod router;
mod sender;
mod service;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod topics;
mod traffic;
mod upgrade;

pub use self::adapter::{Web, reactor};
pub use self::config::WebConfig;
pub use self::conn::WebConn;
pub use self::forwarded::ForwardedBy;
pub use self::message::{Framed, Message, WsCx, frame};
pub use self::request::Request;
pub use self::request_body::{BodyMode, RequestBody};
pub use self::response::{Body, FileBody, FileSource, OpenFile, Part, Response};
#[cfg(feature = "router")]
pub use self::router::{Parameters, RouteError, RouteMatch, Router};
pub use self::sender::{ExchangeId, ReactorEnded, ServiceMail, ServiceSender};
pub use self::service::{
    AcceptDecision, Reply, Responder, ResponseSent, Service, To, WebSocketClosed,
};
pub use self::stream::StreamCx;
pub use self::topics::{EncodedMessage, Exclude, Published, Topics};
pub use self::traffic::Traffic;

pub use crate::proto::http1::{
    FIELDS_MAX, Fields, HttpLimits, Method, TargetError, Version, date, decode_path,
};
pub use crate::proto::ws::deflate::{Compression, Deflaters, WindowBits};
#[cfg(feature = "ws")]
pub use crate::proto::ws::handshake::subprotocols;
pub use crate::proto::ws::{CloseCode, WsLimits};
pub use crate::reactor::{
    CloseReason, ConnId, Cx, Endpoint, Histogram, ListenerId, Phases, Reactor, ReactorConfig,
    Security, SendStatus, Shared, Stats, now,
};
