//! The state of one connection: HTTP, or after an upgrade a WebSocket.

use super::http::Http;
use super::service::AcceptDecision;
use super::socket::WebSocket;
use crate::reactor::Endpoint;

/// The state of one connection of a [`Web`](super::Web).
#[derive(Debug)]
pub struct WebConn<S> {
    pub(super) side: Side<S>,
    /// `None`: it has not been asked yet, for it is not known yet where the connection comes from.
    pub(super) admission: Option<AcceptDecision>,
}

/// Boxed, so that a table of connections has small entries, and that the state of HTTP is given
/// back when a WebSocket begins.
#[derive(Debug)]
pub(super) enum Side<S> {
    Http(Box<Http<S>>),
    Socket(Box<WebSocket<S>>),
}

impl<S> WebConn<S> {
    pub(super) fn endpoint(&self) -> Endpoint {
        match &self.side {
            Side::Http(http) => http.endpoint,
            Side::Socket(socket) => socket.endpoint,
        }
    }
}
