//! Mail to a service, addressed to a request or a WebSocket.

use std::fmt;
use std::io;

use crate::reactor::{ConnId, Mailbox, Shared};

/// Names a request that awaits its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId {
    pub(super) conn: ConnId,
    pub(super) number: u32,
}

impl ExchangeId {
    /// The connection the request came by.
    pub fn conn(self) -> ConnId {
        self.conn
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.conn, self.number)
    }
}

/// Posts mail to a service, from any thread. Cheap to clone.
pub struct Post<M> {
    mailbox: Mailbox<Envelope<M>>,
}

/// The reactor has ended; the mail was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReactorEnded;

impl fmt::Display for ReactorEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reactor has ended")
    }
}

impl std::error::Error for ReactorEnded {}

/// Mail on its way to a service: made by [`Post`].
#[derive(Debug)]
pub struct Envelope<M>(pub(super) Contents<M>);

/// A piece of a file, or why there is none.
pub(super) type Chunk = io::Result<Shared>;

#[derive(Debug)]
pub(super) enum Contents<M> {
    /// For the service, or a WebSocket when it is addressed to a connection.
    Mail(M),
    /// For the request with this number.
    Answer(u32, M),
    /// A piece of a file, for the answer with this number, and how long it was to be.
    File(u32, usize, Chunk),
}

impl<M> Post<M> {
    pub(super) fn new(mailbox: Mailbox<Envelope<M>>) -> Self {
        Self { mailbox }
    }

    /// Posts mail to the service itself.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_service(&self, mail: M) -> Result<(), ReactorEnded> {
        self.post(None, Contents::Mail(mail))
    }

    /// Posts mail to the service itself, ahead of all mail that waits: see
    /// [`Mailbox::post_urgent`].
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_service_urgently(&self, mail: M) -> Result<(), ReactorEnded> {
        self.mailbox
            .post_urgent(None, Envelope(Contents::Mail(mail)))
            .map_err(|_| ReactorEnded)
    }

    /// Posts mail to a WebSocket.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_socket(&self, to: ConnId, mail: M) -> Result<(), ReactorEnded> {
        self.post(Some(to), Contents::Mail(mail))
    }

    /// Posts mail to a request that awaits its answer.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_exchange(&self, to: ExchangeId, mail: M) -> Result<(), ReactorEnded> {
        self.post(Some(to.conn), Contents::Answer(to.number, mail))
    }

    pub(super) fn chunk(&self, to: ExchangeId, asked: usize, chunk: Chunk) {
        // Without a reactor there is nobody to send the file to.
        drop(self.mailbox.post(
            Some(to.conn),
            Envelope(Contents::File(to.number, asked, chunk)),
        ));
    }

    fn post(&self, to: Option<ConnId>, contents: Contents<M>) -> Result<(), ReactorEnded> {
        self.mailbox
            .post(to, Envelope(contents))
            .map_err(|_| ReactorEnded)
    }
}

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        Self {
            mailbox: self.mailbox.clone(),
        }
    }
}

impl<M> fmt::Debug for Post<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}
