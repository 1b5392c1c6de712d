//! Answers whose bodies are written bit by bit, by the service, as they come to be.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::response::{Response, ResponseGuard};
use super::sender::ExchangeId;
use crate::proto::http1::encode::{self, BodyForm};
use crate::reactor::{Cx, SendStatus, Shared};

/// An answer whose length is not known, to its service: made by
/// [`Response::stream`](super::Response::stream).
///
/// To HTTP/1.1 the body goes in chunks (RFC 9112 §7.1), each write one of them; to HTTP/1.0 as it is,
/// and the end of the connection ends it.
pub struct StreamCx<'a, 'b> {
    pub(super) cx: &'a mut Cx<'b>,
    pub(super) exchange: ExchangeId,
    pub(super) streaming: &'a mut Streaming,
    /// When the service is to be called back.
    pub(super) due: &'a mut Option<Instant>,
}

/// A streamed answer under way.
#[derive(Debug)]
pub(super) struct Streaming {
    /// Until its turn has come, and the head goes out.
    head: Option<Response>,
    status: u16,
    form: BodyForm,
    /// Output written before that.
    waiting: VecDeque<Shared>,
    waiting_bytes: usize,
    /// Bytes written so far, without the framing.
    bytes: u64,
    is_finished: bool,
    wrote_at: Instant,
    /// Dropped with the stream.
    _kept: ResponseGuard,
}

/// Limit on bytes written before the response's turn without going above high water.
const WAITING_BYTES_MARK: usize = 64 * 1024;

impl Streaming {
    pub(super) fn new(mut head: Response, now: Instant) -> Self {
        Self {
            _kept: head.kept.take(),
            status: head.status(),
            head: Some(head),
            form: BodyForm::Absent,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            bytes: 0,
            is_finished: false,
            wrote_at: now,
        }
    }

    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes written before its turn.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Returns `true` if its head is out.
    pub(super) const fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// Returns `true` if all of it was written.
    pub(super) const fn is_complete(&self) -> bool {
        self.is_finished && self.has_begun()
    }

    pub(super) const fn wrote_at(&self) -> Instant {
        self.wrote_at
    }

    /// The head, to be sent now that its turn has come.
    pub(super) const fn take_head(&mut self) -> Option<Response> {
        self.head.take()
    }

    /// The head is out, and the body has this form: sends what was written before.
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>, form: BodyForm) {
        self.form = form;
        self.waiting_bytes = 0;
        for shared in std::mem::take(&mut self.waiting) {
            self.send(cx, &shared);
        }
        if self.is_finished {
            self.end(cx);
        }
    }

    fn write(&self, cx: &mut Cx<'_>, data: &[u8]) -> SendStatus {
        match self.form {
            BodyForm::Absent => SendStatus::Dropped,
            BodyForm::Chunks => cx.write_with(|out| encode::chunk(out, data)),
            BodyForm::Plain | BodyForm::UntilClose => cx.write(data),
        }
    }

    fn send(&self, cx: &mut Cx<'_>, shared: &Shared) -> SendStatus {
        match self.form {
            BodyForm::Absent => SendStatus::Dropped,
            BodyForm::Plain | BodyForm::UntilClose => cx.send(cx.id(), shared),
            BodyForm::Chunks if shared.is_empty() => cx.write(b""),
            BodyForm::Chunks => {
                cx.write_with(|out| encode::chunk_size(out, shared.len()));
                cx.send(cx.id(), shared);
                cx.write(b"\r\n")
            }
        }
    }

    fn end(&self, cx: &mut Cx<'_>) {
        if self.form == BodyForm::Chunks {
            cx.write(encode::LAST_CHUNK);
        }
    }
}

impl<'b> StreamCx<'_, 'b> {
    /// The request this is the answer to.
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// The callback's view of the reactor. Bytes written there would break the framing.
    pub fn cx(&mut self) -> &mut Cx<'b> {
        self.cx
    }

    /// Sends a copy of some bytes. Before the answer's turn has come they wait for it.
    ///
    /// After [`SendStatus::Backpressure`] better wait for [`Service::writable`](super::Service::writable); a peer
    /// that takes nothing at all is closed in time. After [`finish`](Self::finish) it is
    /// [`SendStatus::Dropped`].
    pub fn write(&mut self, data: &[u8]) -> SendStatus {
        if self.streaming.is_finished {
            return SendStatus::Dropped;
        }
        if !self.streaming.has_begun() {
            return self.wait(data.into());
        }
        self.note(data.len());
        self.streaming.write(self.cx, data)
    }

    /// The same by reference.
    pub fn send(&mut self, shared: &Shared) -> SendStatus {
        if self.streaming.is_finished {
            return SendStatus::Dropped;
        }
        if !self.streaming.has_begun() {
            return self.wait(shared.clone());
        }
        self.note(shared.len());
        self.streaming.send(self.cx, shared)
    }

    /// Ends the answer. The connection lives on if the client wants it to.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.streaming.is_finished, true) && self.streaming.has_begun() {
            self.streaming.end(self.cx);
        }
    }

    /// Ends the connection at once, so that the client knows that the answer is not whole.
    pub fn abort(&mut self) {
        self.cx.close();
    }

    /// Asks for [`Service::expired`](super::Service::expired) after that time, in place of an
    /// earlier request.
    pub fn set_timeout(&mut self, after: Duration) {
        *self.due = Some(crate::reactor::after(self.cx.now(), after));
    }

    /// Takes back the request for [`Service::expired`](super::Service::expired).
    pub fn clear_timeout(&mut self) {
        *self.due = None;
    }

    fn note(&mut self, len: usize) {
        self.streaming.bytes += len as u64;
        self.streaming.wrote_at = self.cx.now();
    }

    fn wait(&mut self, shared: Shared) -> SendStatus {
        self.note(shared.len());
        self.streaming.waiting_bytes += shared.len();
        self.streaming.waiting.push_back(shared);
        if self.streaming.waiting_bytes > WAITING_BYTES_MARK {
            SendStatus::Backpressure
        } else {
            SendStatus::Buffered
        }
    }
}

impl fmt::Debug for StreamCx<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCx")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
