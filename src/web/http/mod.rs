//! The HTTP side of a connection: requests in, answers out in their order.

mod receiving;
mod responses;
mod streams;
mod times;

use std::net::SocketAddr;
use std::time::Instant;

use self::receiving::Receiving;
use self::times::HttpTimer;
use super::exchange::{Exchange, Exchanges, RequestSummary, ResponseProgress, Upgrade};
use super::sender::ExchangeId;
use super::tools::Tools;
use super::upgrade::UpgradeCheck;
use super::{Reply, Request, Service, WebConfig};
use crate::invariant::part;
use crate::proto::http1::{Awaits, Framing, Head, HttpLimits, HttpMachine, HttpStep, RequestMeta};
use crate::reactor::{Cx, Endpoint, after};

/// HTTP state of one connection.
#[derive(Debug)]
pub(super) struct Http<S> {
    pub(super) endpoint: Endpoint,
    /// There are too many connections: what comes is answered with 503.
    pub(super) is_overloaded: bool,
    machine: HttpMachine,
    exchanges: Exchanges<S>,
    /// A request whose body is still arriving.
    receiving: Option<Box<Receiving>>,
    /// When the connection opened, or the request being read began to arrive.
    began: Instant,
    /// Purpose of the deadline.
    due: HttpTimer,
    /// It passed while the peer had not taken everything: that is awaited first.
    is_behind: bool,
    has_served: bool,
    /// The peer will send nothing more.
    saw_end: bool,
    /// The last answer is on its way.
    ends: bool,
    /// `100 Continue` waits for the answers before it.
    owes_continue: bool,
    /// Reading stopped because too many requests await their answers.
    is_full: bool,
    /// Reading stopped because the answer to an upgrade decides what the rest is.
    is_held: bool,
    /// A head is out whose body is in no exchange yet.
    is_half_out: bool,
}

/// The switch to a WebSocket, when its turn has come.
pub(super) type Switch<S> = (Box<Upgrade<S>>, RequestSummary);

/// Whose turn it is with a request that has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExchangeState {
    /// It awaits its answer.
    Answer,
    /// Its answer is a stream.
    Stream,
    /// Its body is handed on while it arrives.
    Upload,
    /// It is over.
    Nobody,
}

impl<S> Http<S> {
    pub(super) fn new(endpoint: Endpoint, now: Instant) -> Self {
        Self {
            endpoint,
            is_overloaded: false,
            machine: HttpMachine::new(),
            exchanges: Exchanges::new(),
            receiving: None,
            began: now,
            due: HttpTimer::Idle,
            is_behind: false,
            has_served: false,
            saw_end: false,
            ends: false,
            owes_continue: false,
            is_full: false,
            is_held: false,
            is_half_out: false,
        }
    }

    /// Reads requests until there is no whole one, or it is another connection's turn.
    pub(super) fn data<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        input: &[u8],
    ) -> usize {
        let WebConfig {
            http,
            pipeline_max,
            messages_per_turn,
            ..
        } = *tools.service.config();
        let (mut used, mut handled) = (0, 0);
        // Whole requests are counted: where pieces stop, a step without input may be due.
        while handled < messages_per_turn {
            if self.exchanges.len() >= pipeline_max {
                self.is_full = true;
                cx.pause();
                return used;
            }
            if self.is_upload_paused() {
                cx.pause();
                return used;
            }
            if cx.is_above_high_water() {
                return used; // `drained` resumes
            }
            let rest = part(input, used..);
            if self.machine.awaits() == Awaits::Request {
                if rest.is_empty() {
                    return used;
                }
                if handled > 0 && !cx.has_time() {
                    break;
                }
                self.began = cx.now();
            }
            match self.machine.step(rest, &self.limits(&http)) {
                Ok(HttpStep::More { used: count }) => {
                    used += count;
                    if self.machine.awaits() == Awaits::Answer && used < input.len() {
                        self.is_held = true;
                        cx.pause();
                    }
                    return used;
                }
                Ok(HttpStep::Head { used: count, head }) => {
                    used += count;
                    let behind = part(input, used..);
                    used += self.begin(tools, cx, &head, behind, &http);
                    handled += usize::from(self.receiving.is_none());
                }
                Ok(HttpStep::Body { used: count, data }) => {
                    used += count;
                    self.take_body(tools, cx, data);
                }
                Ok(HttpStep::End { used: count }) => {
                    used += count;
                    self.complete(tools, cx);
                    handled += 1;
                }
                Err(error) => {
                    self.reject(tools, cx, error.status(), &error.to_string());
                    return input.len();
                }
            }
        }
        cx.resume();
        used
    }

    /// Those of the configuration, but for the length of a body, which the service decides on when it
    /// has seen the head.
    fn limits(&self, limits: &HttpLimits) -> HttpLimits {
        let receiving = self.receiving.as_ref();
        HttpLimits {
            body_bytes_max: receiving.map_or(u64::MAX, |receiving| receiving.bytes_max),
            ..*limits
        }
    }

    /// Hands a request on if all of it is here in one piece, else begins to receive its body.
    /// Returns how many bytes behind the head are done with.
    fn begin<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        head: &Head<'_>,
        behind: &[u8],
        limits: &HttpLimits,
    ) -> usize {
        let number = self.exchanges.number();
        if self.is_overloaded {
            let error_response = tools
                .service
                .error_response(503, "too many connections are open");
            self.respond_last(
                cx,
                Some((head, self.endpoint.peer())),
                number,
                error_response,
            );
            return 0;
        }
        let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
        let allowed;
        let limits = if has_body {
            match self.take_in(tools, cx, head, number, behind.is_empty(), limits) {
                Some(body_bytes_max) => {
                    allowed = HttpLimits {
                        body_bytes_max,
                        ..*limits
                    };
                    &allowed
                }
                None => return 0,
            }
        } else {
            limits
        };
        let (mut used, mut body): (usize, &[u8]) = (0, &[]);
        // An empty body has no piece: its step would tell the end already.
        if matches!(head.framing, Framing::Length(1..))
            && let Ok(HttpStep::Body { used: count, data }) = self.machine.step(behind, limits)
        {
            (used, body) = (count, data);
        }
        if self.machine.awaits() == Awaits::Answer {
            let rest = part(behind, used..);
            if let Ok(HttpStep::End { used: count }) = self.machine.step(rest, limits) {
                used += count;
            }
            self.request(tools, cx, head, body, number);
            return used;
        }
        self.receive(&self.view(tools, cx, head, body, number), limits, cx.now());
        self.owes_continue = head.wants_continue && behind.is_empty();
        self.write_continue(cx);
        used
    }

    #[inline]
    fn request<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        head: &Head<'_>,
        body: &[u8],
        number: u32,
    ) {
        self.has_served = true;
        let request = self.view(tools, cx, head, body, number);
        if head.upgrade_websocket && request.body.is_empty() && !self.exchanges.is_empty() {
            return self.await_turn(cx, &request);
        }
        let reply = tools.service.request(cx, &request);
        self.reply(tools, cx, &request, reply);
    }

    /// Keeps a request for an upgrade until all before it are answered.
    #[cold]
    fn await_turn(&mut self, cx: &Cx<'_>, request: &Request<'_>) {
        let head = &request.head;
        self.exchanges.push(Exchange {
            number: request.exchange.number,
            meta: head.meta(),
            line: RequestSummary::borrowed(head, request.peer(), cx.now()).to_line(),
            state: ResponseProgress::AwaitTurn(head.bytes().into()),
            due: None,
        });
    }

    /// All requests before this one are answered: hands it on, and puts it back with what came of that.
    #[cold]
    fn take_turn<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        mut exchange: Exchange<S>,
        head: &[u8],
    ) {
        exchange.state = if let Some(head) = Head::reparse(head) {
            let request = self.view(tools, cx, &head, &[], exchange.number);
            let reply = tools.service.request(cx, &request);
            exchange.due = due_of(&reply, tools.service.config(), cx.now());
            ResponseProgress::settle(tools, UpgradeCheck::check(&head), reply, cx.now())
        } else {
            debug_assert!(false, "a head that was read before");
            let error_response = tools.service.error_response(500, "the request was lost");
            ResponseProgress::responded(error_response.close(), cx.now())
        };
        self.exchanges.push_front(exchange);
    }

    /// A request as the service sees it.
    fn view<'a, V: Service<Socket = S>>(
        &self,
        tools: &Tools<'_, V>,
        cx: &Cx<'_>,
        head: &Head<'a>,
        body: &'a [u8],
        number: u32,
    ) -> Request<'a> {
        let conn = cx.id();
        let mut request = Request {
            head: *head,
            body,
            endpoint: self.endpoint,
            connection: self.endpoint,
            exchange: ExchangeId { conn, number },
        };
        request.endpoint = tools.service.endpoint(&request);
        request
    }

    /// Sends an answer if it is its turn, else queues it.
    fn reply<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        request: &Request<'_>,
        reply: Reply<S>,
    ) {
        let head = &request.head;
        let line = RequestSummary::borrowed(head, request.peer(), cx.now());
        let reply = match reply {
            Reply::Send(response) if self.exchanges.is_empty() && response.is_whole() => {
                self.send(tools, cx, head.meta(), response, &line);
                return;
            }
            reply => reply,
        };
        let due = due_of(&reply, tools.service.config(), cx.now());
        let state = ResponseProgress::settle(tools, UpgradeCheck::check(head), reply, cx.now());
        let (line, meta) = (line.to_line(), head.meta());
        self.exchanges.push(Exchange {
            number: request.exchange.number,
            meta,
            line,
            state,
            due,
        });
    }

    /// Queues a refusal of what is being read as the last answer of the connection.
    pub(super) fn reject<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        status: u16,
        reason: &str,
    ) {
        let response = match (self.take_dropped(), status) {
            // Nothing is wrong with the request but that it does not come to its end here.
            (Some(response), 408 | 413) => response,
            _ => tools.service.error_response(status, reason),
        };
        match self.receiving.take() {
            Some(receiving) => {
                self.abort_upload(tools, cx, &receiving);
                let head = Head::reparse(&receiving.head);
                let head = head.as_ref().map(|head| (head, receiving.peer));
                self.respond_last(cx, head, receiving.number, response);
            }
            None => {
                // Too much is held, and nothing is read behind one that awaits its turn.
                if let Some(exchange) = self.exchanges.awaiting_turn() {
                    exchange.state = ResponseProgress::responded(response.close(), cx.now());
                    return self.machine.stop();
                }
                let number = self.exchanges.number();
                self.respond_last(cx, None, number, response);
            }
        }
    }

    /// Queues the last answer of the connection; nothing more is read.
    fn respond_last(
        &mut self,
        cx: &Cx<'_>,
        head: Option<(&Head<'_>, SocketAddr)>,
        number: u32,
        response: super::Response,
    ) {
        self.machine.stop();
        self.owes_continue = false;
        let line = match head {
            Some((head, peer)) => RequestSummary::borrowed(head, peer, cx.now()).to_line(),
            None => RequestSummary::unknown(self.endpoint.peer(), cx.now()),
        };
        let meta = head.map_or(RequestMeta::REFUSED, |(head, _)| head.meta());
        self.exchanges.push(Exchange {
            number,
            meta,
            line,
            state: ResponseProgress::responded(response.close(), cx.now()),
            due: None,
        });
    }

    /// Too much is held: refuses the request that is not complete, or that awaits its turn. Where there is none,
    /// those that are complete are the last.
    #[cold]
    pub(super) fn shed<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        if self.receiving.is_some() || self.exchanges.awaiting_turn().is_some() {
            self.reject(tools, cx, 503, "too many requests are on their way");
        } else {
            self.machine.stop();
        }
    }

    /// Bytes held of a request whose body is still arriving, and of those that have no response yet.
    pub(super) fn held_bytes(&self) -> usize {
        let receiving = self.receiving.as_ref();
        let receiving = receiving.map_or(0, |receiving| receiving.held_bytes());
        receiving + self.exchanges.held_bytes()
    }

    /// Whose turn it is with the request that has this number.
    pub(super) fn turn(&mut self, number: u32) -> ExchangeState {
        if self.is_upload(number) {
            return ExchangeState::Upload;
        }
        let exchange = self.exchanges.numbered(number);
        match exchange.map(|exchange| &exchange.state) {
            Some(ResponseProgress::AwaitService(_)) => ExchangeState::Answer,
            Some(ResponseProgress::Streaming(_)) => ExchangeState::Stream,
            _ => ExchangeState::Nobody,
        }
    }

    /// The service has answered a request.
    pub(super) fn respond<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &Cx<'_>,
        number: u32,
        reply: Reply<S>,
    ) {
        if let Some(exchange) = self.exchanges.numbered(number)
            && let ResponseProgress::AwaitService(opening) = &exchange.state
        {
            if !matches!(reply, Reply::Later) {
                exchange.due = due_of(&reply, tools.service.config(), cx.now());
            }
            exchange.state = ResponseProgress::settle(tools, *opening, reply, cx.now());
        }
    }

    /// The peer will send nothing more: what it has asked is still answered.
    pub(super) fn eof<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        self.saw_end = true;
        self.machine.stop();
        if let Some(receiving) = self.receiving.take() {
            self.abort_upload(tools, cx, &receiving);
        }
    }

    /// The connection is gone: tells the service which of its work nobody waits for.
    pub(super) fn closed<V: Service<Socket = S>>(
        mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        if let Some(receiving) = self.receiving.take() {
            self.abort_upload(tools, cx, &receiving);
        }
        self.abort_all(tools, cx);
    }
}

/// When the service has to have answered.
fn due_of<S>(reply: &Reply<S>, config: &WebConfig, now: Instant) -> Option<Instant> {
    match reply {
        Reply::Later => Some(after(now, config.request_timeout)),
        Reply::LaterWithin(time) => Some(after(now, *time)),
        _ => None,
    }
}
