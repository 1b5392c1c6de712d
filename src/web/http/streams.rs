//! Answers that the service writes while they go out.

use super::Http;
use crate::proto::http1::BodyLength;
use crate::proto::http1::encode::BodyForm;
use crate::reactor::Cx;
use crate::web::Service;
use crate::web::exchange::{Exchange, ResponseProgress};
use crate::web::sender::ExchangeId;
use crate::web::stream::StreamCx;
use crate::web::tools::Tools;

impl<S> Http<S> {
    /// The turn of a streamed answer has come: sends its head and what was written before, and asks
    /// the service for more.
    pub(super) fn begin_stream<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        mut exchange: Exchange<S>,
    ) {
        let ResponseProgress::Streaming(streaming) = &mut exchange.state else {
            return;
        };
        let Some(head) = streaming.take_head() else {
            return;
        };
        let form = self.write_head(tools, cx, exchange.meta, head, BodyLength::Chunked);
        let is_finished = streaming.is_complete();
        self.is_half_out = form != BodyForm::Absent && !is_finished;
        streaming.begin(cx, form);
        if form == BodyForm::Absent || is_finished {
            self.end_stream(tools, cx, &exchange);
            if !is_finished {
                notify_aborted(tools, cx, exchange.number);
            }
            return;
        }
        let number = exchange.number;
        self.exchanges.push_front(exchange);
        self.is_half_out = false;
        if !cx.is_above_high_water() {
            self.with_stream(tools, cx, number, V::writable);
        }
    }

    /// Calls back with the view of a streamed answer. The caller pumps: it may be complete.
    pub(in crate::web) fn with_stream<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        number: u32,
        callback: impl FnOnce(&mut V, &mut StreamCx<'_, '_>),
    ) {
        let Some(exchange) = self.exchanges.numbered(number) else {
            return;
        };
        let ResponseProgress::Streaming(streaming) = &mut exchange.state else {
            return;
        };
        let exchange_id = ExchangeId {
            conn: cx.id(),
            number,
        };
        let mut stream = StreamCx {
            cx,
            exchange: exchange_id,
            streaming,
            due: &mut exchange.due,
        };
        callback(tools.service, &mut stream);
        // One that is complete has its head out, so it is the oldest.
        if streaming.is_complete()
            && let Some(exchange) = self.exchanges.pop()
        {
            self.end_stream(tools, cx, &exchange);
        }
    }

    /// Returns `true` if a streamed answer is on its way.
    pub(in crate::web) fn is_streaming(&mut self) -> bool {
        self.exchanges.streaming().is_some()
    }

    /// Lets the service write more, where it writes.
    pub(super) fn refill_stream<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        if let Some((number, _)) = self.exchanges.streaming() {
            self.with_stream(tools, cx, number, V::writable);
        }
    }

    /// Tells the service of every streamed answer that it is to end.
    pub(super) fn shut_down_streams<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        for number in self.exchanges.streams() {
            self.with_stream(tools, cx, number, V::shutting_down);
        }
    }

    fn end_stream<V: Service<Socket = S>>(
        &self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        exchange: &Exchange<S>,
    ) {
        if let ResponseProgress::Streaming(streaming) = &exchange.state {
            let (status, bytes) = (streaming.status(), streaming.bytes());
            self.serve(tools, cx, &exchange.line.record(), status, bytes);
        }
    }

    /// Tells the service, and the log, that nobody waits for the rest of an answer.
    pub(super) fn abort<V: Service<Socket = S>>(
        &self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        exchange: &Exchange<S>,
    ) {
        if matches!(&exchange.state, ResponseProgress::Streaming(streaming) if streaming.has_begun())
        {
            self.end_stream(tools, cx, exchange);
        }
        notify_aborted(tools, cx, exchange.number);
    }
}

fn notify_aborted<V: Service>(tools: &mut Tools<'_, V>, cx: &mut Cx<'_>, number: u32) {
    let exchange = ExchangeId {
        conn: cx.id(),
        number,
    };
    tools.service.request_aborted(cx, exchange);
}
