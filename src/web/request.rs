//! A request as a service sees it.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::ExchangeId;
use crate::proto::http1::{Fields, Head, Method, TargetError, Version, decode_path};
use crate::reactor::Endpoint;

/// A complete request. Everything in it is borrowed from the bytes received.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) head: Head<'a>,
    pub(super) body: &'a [u8],
    pub(super) endpoint: Endpoint,
    /// Of the connection, whoever the client is.
    pub(super) connection: Endpoint,
    pub(super) exchange: ExchangeId,
}

impl<'a> Request<'a> {
    /// The method.
    pub fn method(&self) -> Method<'a> {
        self.head.method
    }

    /// The path of the target, still percent-encoded.
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// The path decoded once, with its dot segments removed (RFC 3986 §5.2.4).
    ///
    /// # Errors
    /// It does not decode to plain UTF-8 text.
    pub fn decoded_path(&self) -> Result<Cow<'a, str>, TargetError> {
        decode_path(self.head.path())
    }

    /// The query of the target, still percent-encoded.
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// The version of the client.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The header fields.
    pub fn fields(&self) -> Fields<'a> {
        self.head.fields
    }

    /// The first value of a header field, if it is there and is text. Names have no case.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.head.fields.text(name)
    }

    /// Host and port the client asked for (RFC 9110 §7.2).
    pub fn host(&self) -> Option<&'a str> {
        self.head.host
    }

    /// Returns `true` if the client asks to go on with WebSocket.
    pub fn wants_websocket(&self) -> bool {
        self.head.upgrade_websocket
    }

    /// The body, decoded.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The peer's address.
    pub fn peer(&self) -> SocketAddr {
        self.endpoint.peer()
    }

    /// Returns `true` if it came through a proxy that says it is for somebody else:
    /// [`Service::endpoint`](super::Service::endpoint) has found another address than the connection's.
    pub fn is_forwarded(&self) -> bool {
        self.connection.peer() != self.endpoint.peer()
    }

    /// Peer of the connection.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Id to which a later response is sent.
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }
}
