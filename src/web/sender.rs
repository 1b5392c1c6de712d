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
pub struct ServiceSender<M> {
    mailbox: Mailbox<ServiceMail<M>>,
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

/// Mail on its way to a service: made by [`ServiceSender`].
#[derive(Debug)]
pub struct ServiceMail<M>(pub(super) MailContents<M>);

/// A piece of a file, or why there is none.
pub(super) type FileChunk = io::Result<Shared>;

#[derive(Debug)]
pub(super) enum MailContents<M> {
    /// For the service, or a WebSocket when it is addressed to a connection.
    Mail(M),
    /// For the request with this number.
    Answer(u32, M),
    /// A piece of a file, for the answer with this number, and how long it was to be.
    File(u32, usize, FileChunk),
}

impl<M> ServiceSender<M> {
    pub(super) fn new(mailbox: Mailbox<ServiceMail<M>>) -> Self {
        Self { mailbox }
    }

    /// Posts mail to the service itself.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_service(&self, mail: M) -> Result<(), ReactorEnded> {
        self.send(None, MailContents::Mail(mail))
    }

    /// Posts mail to the service itself, ahead of all mail that waits: see
    /// [`Mailbox::send_urgent`].
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_service_urgently(&self, mail: M) -> Result<(), ReactorEnded> {
        self.mailbox
            .send_urgent(None, ServiceMail(MailContents::Mail(mail)))
            .map_err(|_| ReactorEnded)
    }

    /// Posts mail to a WebSocket.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_socket(&self, to: ConnId, mail: M) -> Result<(), ReactorEnded> {
        self.send(Some(to), MailContents::Mail(mail))
    }

    /// Posts mail to a request that awaits its answer.
    ///
    /// # Errors
    /// The reactor has ended.
    pub fn to_exchange(&self, to: ExchangeId, mail: M) -> Result<(), ReactorEnded> {
        self.send(Some(to.conn), MailContents::Answer(to.number, mail))
    }

    pub(super) fn chunk(&self, to: ExchangeId, meta: usize, chunk: FileChunk) {
        // Without a reactor there is nobody to send the file to.
        drop(self.mailbox.send(
            Some(to.conn),
            ServiceMail(MailContents::File(to.number, meta, chunk)),
        ));
    }

    fn send(&self, to: Option<ConnId>, contents: MailContents<M>) -> Result<(), ReactorEnded> {
        self.mailbox
            .send(to, ServiceMail(contents))
            .map_err(|_| ReactorEnded)
    }
}

impl<M> Clone for ServiceSender<M> {
    fn clone(&self) -> Self {
        Self {
            mailbox: self.mailbox.clone(),
        }
    }
}

impl<M> fmt::Debug for ServiceSender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}
