//! How long anyone is waited for.

use std::time::{Duration, Instant};

use super::Http;
use crate::proto::http1::Awaits;
use crate::reactor::{Cx, after};
use crate::web::exchange::State;
use crate::web::post::ExchangeId;
use crate::web::tools::Tools;
use crate::web::{Config, Service};

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
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

/// How long a connection without a request has at shutdown. Who asks one thing after the other, or has just
/// come, has most likely sent a request that is on its way: it is answered, and told that it is the last.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// How long one has to ask, to be told that there are too many.
const OVERLOAD_TIME: Duration = Duration::from_secs(5);

impl<S> Http<S> {
    /// The reactor is shutting down: what was asked is answered, nothing more is read.
    pub(in crate::web) fn drain<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        self.is_behind = false;
        self.drain_streams(tools, cx);
    }

    /// The deadline passed: whoever is waited for has had its time.
    pub(in crate::web) fn expired<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        match self.due {
            Due::Service(number) => self.overdue(tools, cx, number),
            Due::Silence => cx.close(),
            Due::Unsent => {}
            // What is unsent goes out before the end, and nothing is awaited behind it.
            Due::Idle if cx.is_draining() => self.ends = true,
            Due::Request | Due::Idle if cx.queued_bytes() > 0 => self.is_behind = true,
            Due::Request => {
                if !self.keeps_sending(tools.service.config(), cx.now()) {
                    self.refuse(tools, cx, 408, "the request took too long");
                }
            }
            Due::Idle => self.ends = true,
        }
    }

    /// The service has not answered in time, or wanted to hear of its stream again.
    fn overdue<V: Service<Socket = S>>(
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
        if matches!(exchange.state, State::AwaitService(_)) {
            let answer = tools.service.overdue(cx, exchange_id);
            exchange.state = State::answered(answer, cx.now());
        } else {
            self.with_stream(tools, cx, number, V::expired);
        }
    }

    /// Finishes the connection after its last answer, or sets the next deadline.
    pub(super) fn arm(&mut self, config: &Config, cx: &mut Cx<'_>) {
        self.ends |= self.machine.awaits() == Awaits::Nothing && self.exchanges.is_empty();
        if self.ends && !self.exchanges.is_under_way() {
            cx.finish();
            return;
        }
        let service = self.exchanges.next_due();
        let service = service.map(|(at, number)| (at, Due::Service(number)));
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

    /// What the peer is waited for, and until when.
    fn peer_due(&mut self, config: &Config, cx: &Cx<'_>) -> Option<(Instant, Due)> {
        // Looked at now and then: nobody tells when the last of it has left.
        let unsent = Some((after(cx.now(), config.connection_timeout), Due::Unsent));
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
            return saw_end.then_some((gone_at, Due::Silence));
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
                Some((due, Due::Request))
            }
            _ if !self.exchanges.is_empty() => None,
            Awaits::Request if cx.is_draining() => Some((after(cx.now(), DRAIN_GRACE), Due::Idle)),
            Awaits::Request if self.has_served => {
                Some((after(cx.now(), config.keepalive_timeout), Due::Idle))
            }
            Awaits::Request if self.is_overloaded => {
                Some((after(self.began, OVERLOAD_TIME), Due::Idle))
            }
            Awaits::Request => Some((after(self.began, config.connection_timeout), Due::Idle)),
            Awaits::Answer | Awaits::Nothing => {
                Some((after(cx.now(), config.connection_timeout), Due::Idle))
            }
        }
    }
}
