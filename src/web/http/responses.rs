//! Answers on their way out, in the order of their requests.

use std::collections::VecDeque;

use super::{Http, Switch};
use crate::proto::http1::encode::{self, BodyForm};
use crate::proto::http1::{Awaits, BodyLength, ConnectionAction, RequestMeta};
use crate::reactor::{Cx, Shared};
use crate::web::exchange::{
    Exchange, RequestSummary, RequestSummaryRef, ResponseProgress, Sending,
};
use crate::web::reader::{AHEAD_BYTES_MAX, Piece};
use crate::web::response::{Part, Response};
use crate::web::sender::ExchangeId;
use crate::web::tools::Tools;
use crate::web::{ResponseSent, Service};

impl<S> Http<S> {
    /// Sends the answers whose turn has come, and sets the time for what comes next.
    ///
    /// To be called after everything that may have made an answer ready.
    pub(in crate::web) fn pump<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) -> Option<Switch<S>> {
        while let Some(exchange) = self.next_ready(tools, cx) {
            let Exchange {
                number,
                meta,
                line,
                state,
                due,
            } = exchange;
            match state {
                ResponseProgress::AwaitTurn(head) => {
                    let exchange = Exchange {
                        number,
                        meta,
                        line,
                        state: ResponseProgress::AwaitTurn(Box::default()),
                        due,
                    };
                    self.take_turn(tools, cx, exchange, &head);
                }
                ResponseProgress::Upgrade(upgrade) => {
                    let after =
                        self.machine
                            .respond(meta, BodyLength::None, ConnectionAction::Upgrade);
                    if after == ConnectionAction::Upgrade {
                        return Some((upgrade, line));
                    }
                    // Answers before it have ended the connection.
                    self.ends = true;
                }
                ResponseProgress::Ready(mut response) => {
                    let kept = response.kept.take();
                    let parts = self.send(tools, cx, meta, response, &line.record());
                    if !parts.is_empty() {
                        self.exchanges.push_front(Exchange {
                            number,
                            meta,
                            line,
                            state: ResponseProgress::Sending(Sending::new(parts, kept)),
                            due: None,
                        });
                        self.is_half_out = false;
                        self.send_parts(tools, cx);
                    }
                }
                ResponseProgress::Streaming(streaming) => {
                    let exchange = Exchange {
                        number,
                        meta,
                        line,
                        state: ResponseProgress::Streaming(streaming),
                        due,
                    };
                    self.begin_stream(tools, cx, exchange);
                }
                ResponseProgress::AwaitService(_) | ResponseProgress::Sending(_) => {}
            }
        }
        if self.exchanges.is_empty() {
            self.write_continue(cx);
        }
        if self.is_full && self.exchanges.len() < tools.service.config().pipeline_max {
            self.is_full = false;
            cx.resume();
        }
        if self.is_held && self.machine.awaits() != Awaits::Answer {
            self.is_held = false;
            cx.resume();
        }
        self.arm(tools.service.config(), cx);
        None
    }

    fn next_ready<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) -> Option<Exchange<S>> {
        if self.ends && !self.exchanges.is_under_way() {
            self.abort_all(tools, cx);
        }
        self.exchanges.pop_ready()
    }

    /// Gives up on all requests, and tells the service of those it works on.
    pub(super) fn abort_all<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        for exchange in self.exchanges.take_all() {
            if exchange.is_with_service() {
                self.abort(tools, cx, &exchange);
            }
        }
    }

    pub(super) fn write_continue(&mut self, cx: &mut Cx<'_>) {
        if self.owes_continue && self.exchanges.is_empty() {
            self.owes_continue = false;
            cx.write(encode::CONTINUE);
        }
    }

    /// Writes an answer, all but a body in parts; returns those that are to follow.
    pub(super) fn send<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        meta: RequestMeta,
        mut response: Response,
        record: &RequestSummaryRef<'_>,
    ) -> VecDeque<Part> {
        let (status, body_bytes) = (response.status, response.body.len());
        let length = response.body.length();
        let parts = response.body.take_parts();
        let form = self.write_head(tools, cx, meta, response, length);
        let has_body = form != BodyForm::Absent;
        let body_bytes = if has_body { body_bytes } else { 0 };
        self.is_half_out = has_body && !parts.is_empty();
        self.serve(tools, cx, record, status, body_bytes);
        if has_body { parts } else { VecDeque::new() }
    }

    /// Writes the head of an answer, and its body if that is whole.
    pub(super) fn write_head<V: Service<Socket = S>>(
        &mut self,
        tools: &Tools<'_, V>,
        cx: &mut Cx<'_>,
        meta: RequestMeta,
        response: Response,
        length: BodyLength,
    ) -> BodyForm {
        let is_last = cx.is_shutting_down() && self.machine.pending_responses() <= 1;
        let wish = if response.close || is_last {
            ConnectionAction::Close
        } else {
            ConnectionAction::KeepAlive
        };
        let after = self.machine.respond(meta, length, wish);
        self.ends |= after == ConnectionAction::Close;
        let more = tools.service.field_lines(self.endpoint);
        let more = more.map(AsRef::as_ref).unwrap_or_default();
        response.write(cx, length, meta, after, tools.common, more)
    }

    /// A callback has panicked: the oldest request gets a 500 where nothing of its answer is out, and the
    /// connection ends. Where something is, it ends at once, in the middle.
    #[cold]
    pub(in crate::web) fn panicked<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        if self.is_half_out || self.exchanges.is_under_way() {
            return cx.close();
        }
        if self.machine.pending_responses() > 0 {
            self.machine.stop();
            let (meta, line) = match self.exchanges.pop() {
                Some(exchange) => (exchange.meta, exchange.line),
                None => (
                    RequestMeta::REFUSED,
                    RequestSummary::unknown(self.endpoint.peer(), cx.now()),
                ),
            };
            let response = tools.service.error_response(500, "internal server error");
            self.send(tools, cx, meta, response.close(), &line.record());
        }
        cx.finish();
    }

    /// Tells the service of an answer that was given.
    pub(super) fn serve<V: Service<Socket = S>>(
        &self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        record: &RequestSummaryRef<'_>,
        status: u16,
        body_bytes: u64,
    ) {
        let served = ResponseSent {
            peer: record.peer,
            method: record.method,
            path: record.path,
            status,
            body_bytes,
            since: record.since,
        };
        tools.service.response_sent(cx, &served);
    }

    /// The output came down, or is gone where that was asked for.
    pub(in crate::web) fn writable<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        let is_ahead = match self.exchanges.front() {
            Some(Exchange {
                state: ResponseProgress::Sending(sending),
                ..
            }) => std::mem::take(&mut sending.is_ahead),
            _ => false,
        };
        // Reads had stopped only if the output was over its mark.
        if !is_ahead {
            self.reads_on(cx.now());
        }
        self.send_parts(tools, cx);
        self.refill_stream(tools, cx);
    }

    /// Sends parts until the peer has enough to take, or up to a piece of a file that has to be waited for. The
    /// caller pumps: the answer may be complete.
    pub(in crate::web) fn send_parts<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        let Some(Exchange {
            number,
            state: ResponseProgress::Sending(sending),
            ..
        }) = self.exchanges.front()
        else {
            return;
        };
        let to = ExchangeId {
            conn: cx.id(),
            number: *number,
        };
        while let Some(part) = sending.parts.front_mut() {
            match part {
                part if part.is_empty() => {}
                _ if cx.is_above_high_water() || sending.is_reading => return, // `writable` goes on
                _ if !cx.is_open(to.conn) => return, // it was too much: the reactor ends it
                Part::Shared(shared) => {
                    cx.send(to.conn, shared);
                }
                Part::File(_) if cx.queued_bytes() >= AHEAD_BYTES_MAX => {
                    sending.is_ahead = true;
                    return cx.notify_when_flushed();
                }
                Part::File(part) => match tools.read(cx, part, to) {
                    Piece::Here(piece) if part.take(&piece) => {
                        cx.send(to.conn, &piece);
                        continue;
                    }
                    Piece::Later => {
                        sending.is_reading = true;
                        return;
                    }
                    Piece::Here(_) | Piece::Never => return cx.close(),
                },
            }
            sending.parts.pop_front();
        }
        self.exchanges.pop();
    }

    /// A piece of the file being sent arrived. `false`: the rest of it cannot be had.
    pub(in crate::web) fn file_piece(
        &mut self,
        cx: &mut Cx<'_>,
        number: u32,
        piece: &Shared,
    ) -> bool {
        let Some(Exchange {
            number: sending_number,
            state: ResponseProgress::Sending(sending),
            ..
        }) = self.exchanges.front()
        else {
            return true;
        };
        if *sending_number != number {
            return true;
        }
        sending.is_reading = false;
        let Some(Part::File(part)) = sending.parts.front_mut() else {
            return false;
        };
        if !part.take(piece) {
            return false;
        }
        cx.send(cx.id(), piece);
        true
    }
}
