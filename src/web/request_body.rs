//! Request bodies while they arrive: what becomes of them, and the service's view of one.

use std::fmt;

use super::response::Response;
use super::sender::ExchangeId;
use crate::reactor::Cx;

/// Treatment of a request's body: the service decides once the head is there.
#[derive(Debug)]
pub enum BodyMode {
    /// It is collected, up to [`HttpLimits::body_bytes_max`](super::HttpLimits::body_bytes_max).
    Collect,
    /// It is collected up to so many bytes; a longer one is answered with 413.
    CollectUpTo(u64),
    /// It is handed on as it comes, to [`Service::body`](super::Service::body), up to so many bytes; a
    /// longer one is answered with 413.
    Stream(u64),
    /// It is not wanted: this is the answer. A short body is dropped when it has come; before a long
    /// one, and one that waits for `100 Continue`, the answer goes out and ends the connection.
    Answer(Response),
}

/// A request body that is handed on while it arrives, to its service.
pub struct RequestBody<'a, 'b> {
    pub(super) cx: &'a mut Cx<'b>,
    pub(super) exchange: ExchangeId,
    pub(super) is_paused: &'a mut bool,
    pub(super) response: Option<Response>,
}

impl<'b> RequestBody<'_, 'b> {
    /// The request.
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// The callback's view of the reactor.
    pub fn cx(&mut self) -> &mut Cx<'b> {
        self.cx
    }

    /// Takes no more of the body until [`resume`](Self::resume), which mail to the request can lead
    /// to. TCP holds the client back, and no timeout runs against it.
    pub fn pause(&mut self) {
        *self.is_paused = true;
        self.cx.pause();
    }

    /// Takes the body in again.
    pub fn resume(&mut self) {
        *self.is_paused = false;
        self.cx.resume();
    }

    /// Answers the request without the rest of its body, and ends the connection after that.
    pub fn respond(&mut self, response: Response) {
        self.response = Some(response);
    }
}

impl fmt::Debug for RequestBody<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadCx")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
