//! Time limits on peers.

use std::time::{Duration, Instant};

use super::Http;
use crate::proto::http1::Awaits;
use crate::reactor::{Cx, after};
use crate::web::exchange::ResponseProgress;
use crate::web::sender::ExchangeId;
use crate::web::tools::Tools;
use crate::web::{Service, WebConfig};

/// Purpose of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpTimer {
    /// The peer is to take what is unsent, which the reactor sees to.
    Unsent,
    /// The peer is to send the rest of its request.
    Request,
    /// The peer is to begin a request.
    Idle,
    /// The service is to answer the request with this number, or to write on.
    Service(u32),
    /// The service is to write on, for a peer that may have gone.
    Silence,
}

/// Time a connection without a request has at shutdown. A client that asks one thing after the other, or has just
/// come, has most likely sent a request that is on its way: it is answered, and told that it is the last.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Time for a request on a connection that is over the limit, which gets a 503.
const OVERLOAD_TIME: Duration = Duration::from_secs(5);

impl<S> Http<S> {
    /// The reactor is shutting down: what was asked is answered, nothing more is read.
    pub(in crate::web) fn drain<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        self.is_behind = false;
        self.shut_down_streams(tools, cx);
    }

    /// The deadline passed: whoever is waited for has had its time.
    pub(in crate::web) fn expired<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        match self.due {
            HttpTimer::Service(number) => self.response_timeout(tools, cx, number),
            HttpTimer::Silence => cx.close(),
            HttpTimer::Unsent => {}
            // What is unsent goes out before the end, and nothing is awaited behind it.
            HttpTimer::Idle if cx.is_shutting_down() => self.ends = true,
            HttpTimer::Request | HttpTimer::Idle if cx.queued_bytes() > 0 => self.is_behind = true,
            HttpTimer::Request => {
                if !self.keeps_sending(tools.service.config(), cx.now()) {
                    self.reject(tools, cx, 408, "the request took too long");
                }
            }
            HttpTimer::Idle => self.ends = true,
        }
    }

    /// The service has not answered in time, or wanted to hear of its stream again.
    fn response_timeout<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        number: u32,
    ) {
        let exchange_id = ExchangeId {
            conn: cx.id(),
            number,
        };
        let Some(exchange) = self.exchanges.numbered(number) else {
            return;
        };
        exchange.due = None;
        if matches!(exchange.state, ResponseProgress::AwaitService(_)) {
            let response = tools.service.response_timeout(cx, exchange_id);
            exchange.state = ResponseProgress::responded(response, cx.now());
        } else {
            self.with_stream(tools, cx, number, V::expired);
        }
    }

    /// Finishes the connection after its last answer, or sets the next deadline.
    pub(super) fn arm(&mut self, config: &WebConfig, cx: &mut Cx<'_>) {
        self.ends |= self.machine.awaits() == Awaits::Nothing && self.exchanges.is_empty();
        if self.ends && !self.exchanges.is_under_way() {
            cx.finish();
            return;
        }
        let service = self.exchanges.next_due();
        let service = service.map(|(at, number)| (at, HttpTimer::Service(number)));
        let next = match (self.peer_due(config, cx), service) {
            (Some(peer), Some(service)) if service.0 < peer.0 => Some(service),
            (peer, service) => peer.or(service),
        };
        match next {
            Some((at, due)) => {
                self.due = due;
                cx.set_deadline(at);
            }
            None => cx.clear_deadline(),
        }
    }

    /// Purpose and time of the deadline for the peer.
    fn peer_due(&mut self, config: &WebConfig, cx: &Cx<'_>) -> Option<(Instant, HttpTimer)> {
        // Looked at now and then: nobody tells when the last of it has left.
        let unsent = Some((
            after(cx.now(), config.connection_timeout),
            HttpTimer::Unsent,
        ));
        let saw_end = self.saw_end;
        self.is_behind &= cx.queued_bytes() > 0;
        if self.is_behind {
            return unsent;
        }
        if let Some((_, streaming)) = self.exchanges.streaming() {
            if cx.queued_bytes() > 0 {
                return unsent;
            }
            // One who has closed altogether looks the same as one who reads on: what is written
            // tells, so some time is given for that.
            let gone_at = after(streaming.wrote_at(), config.connection_timeout);
            return saw_end.then_some((gone_at, HttpTimer::Silence));
        }
        if self.exchanges.is_under_way() {
            return unsent;
        }
        match self.machine.awaits() {
            _ if self.is_upload_paused() => None,
            Awaits::Head | Awaits::Body => {
                let receiving = self.receiving.as_ref();
                let due = receiving.map_or_else(
                    || after(self.began, config.request_timeout),
                    |receiving| receiving.due(config, self.began),
                );
                Some((due, HttpTimer::Request))
            }
            _ if !self.exchanges.is_empty() => None,
            Awaits::Request if cx.is_shutting_down() => {
                Some((after(cx.now(), DRAIN_GRACE), HttpTimer::Idle))
            }
            Awaits::Request if self.has_served => {
                Some((after(cx.now(), config.keepalive_timeout), HttpTimer::Idle))
            }
            Awaits::Request if self.is_overloaded => {
                Some((after(self.began, OVERLOAD_TIME), HttpTimer::Idle))
            }
            Awaits::Request => Some((
                after(self.began, config.connection_timeout),
                HttpTimer::Idle,
            )),
            Awaits::Answer | Awaits::Nothing => {
                Some((after(cx.now(), config.connection_timeout), HttpTimer::Idle))
            }
        }
    }
}
