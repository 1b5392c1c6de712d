//! The state of one connection: HTTP, or after an upgrade a WebSocket.

use super::http::Http;
use super::service::Admission;
use super::socket::Socket;
use crate::reactor::Origin;

/// The state of one connection of a [`Web`](super::Web).
#[derive(Debug)]
pub struct Conn<S> {
    pub(super) side: Side<S>,
    /// `None`: it has not been asked yet, for it is not known yet where the connection comes from.
    pub(super) admission: Option<Admission>,
}

/// Boxed, so that a table of connections has small entries, and that the state of HTTP is given
/// back when a WebSocket begins.
#[derive(Debug)]
pub(super) enum Side<S> {
    Http(Box<Http<S>>),
    Socket(Box<Socket<S>>),
}

impl<S> Conn<S> {
    pub(super) fn origin(&self) -> Origin {
        match &self.side {
            Side::Http(http) => http.origin,
            Side::Socket(socket) => socket.origin,
        }
    }
}
