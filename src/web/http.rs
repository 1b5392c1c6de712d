//! The HTTP side of a connection: requests in, answers out in their order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::exchange::{Exchange, Exchanges, Line, Sending, State, Upgrade};
use super::opening::Opening;
use super::post::ExchangeId;
use super::response::{Body, Part, Response};
use super::tools::Tools;
use super::{Config, Reply, Request, Served, Service};
use crate::proto::http1::{
    After, Asked, Awaits, BodyLength, Framing, Head, Limits, Machine, Step, encode,
};
use crate::reactor::{Cx, Origin, Shared};

/// HTTP state of one connection.
#[derive(Debug)]
pub(super) struct Http<S> {
    pub(super) origin: Origin,
    machine: Machine,
    exchanges: Exchanges<S>,
    /// A request whose body is still arriving.
    collecting: Option<Box<Collect>>,
    /// When the connection opened, or the request being read began to arrive.
    began: Instant,
    /// What was unsent when a deadline passed, and when that was.
    stuck: Option<(Unsent, Instant)>,
    has_served: bool,
    /// The next answer is the last, whatever the client would like.
    is_last: bool,
    /// The last answer is on its way.
    ends: bool,
    /// `100 Continue` waits for the answers before it.
    owes_continue: bool,
    /// Reading stopped because too many requests await their answers.
    is_full: bool,
}

/// Bytes the peer has not taken, and how far into its file the answer being sent is: while both
/// stay the same, the peer takes nothing.
type Unsent = (usize, u64);

/// A request that does not lie in one piece in the input.
#[derive(Debug)]
struct Collect {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// How long a connection that has not sent anything yet has at shutdown.
const FRESH_GRACE: Duration = Duration::from_secs(1);

/// The switch to a WebSocket, when its turn has come.
pub(super) type Switch<S> = (Box<Upgrade<S>>, Line);

impl<S> Http<S> {
    pub(super) fn new(origin: Origin, now: Instant) -> Self {
        Self {
            origin,
            machine: Machine::new(),
            exchanges: Exchanges::new(),
            collecting: None,
            began: now,
            stuck: None,
            has_served: false,
            is_last: false,
            ends: false,
            owes_continue: false,
            is_full: false,
        }
    }

    /// Reads requests until there is no whole one, or it is another connection's turn.
    pub(super) fn data<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        input: &[u8],
    ) -> usize {
        let Config {
            http: limits,
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
            if cx.is_over_mark() {
                return used; // `drained` resumes
            }
            let rest = input.get(used..).unwrap_or_default();
            if !rest.is_empty() && self.machine.awaits() == Awaits::Request {
                self.began = cx.now();
            }
            match self.machine.step(rest, &limits) {
                Ok(Step::More { used: count }) => return used + count,
                Ok(Step::Head { used: count, head }) => {
                    used += count;
                    let behind = input.get(used..).unwrap_or_default();
                    used += self.begin(tools, cx, &head, behind, &limits);
                    handled += usize::from(self.collecting.is_none());
                }
                Ok(Step::Body { used: count, data }) => {
                    used += count;
                    if let Some(collect) = &mut self.collecting {
                        collect.body.extend_from_slice(data);
                    }
                }
                Ok(Step::End { used: count }) => {
                    used += count;
                    self.complete(tools, cx);
                    handled += 1;
                }
                Err(error) => {
                    self.answer_last(tools, cx, error.status(), &error.to_string());
                    return input.len();
                }
            }
        }
        cx.resume();
        used
    }

    /// Hands a request on if all of it is here in one piece, else begins to collect it.
    /// Returns how many bytes behind the head are done with.
    fn begin<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        head: &Head<'_>,
        behind: &[u8],
        limits: &Limits,
    ) -> usize {
        let (mut used, mut body): (usize, &[u8]) = (0, &[]);
        // An empty body has no piece: its step would tell the end already.
        if matches!(head.framing, Framing::Length(1..))
            && let Ok(Step::Body { used: count, data }) = self.machine.step(behind, limits)
        {
            (used, body) = (count, data);
        }
        if self.machine.awaits() == Awaits::Answer {
            let rest = behind.get(used..).unwrap_or_default();
            if let Ok(Step::End { used: count }) = self.machine.step(rest, limits) {
                used += count;
            }
            self.request(tools, cx, head, body);
            return used;
        }
        self.collecting = Some(Box::new(Collect {
            head: head.bytes().to_vec(),
            body: body.to_vec(),
        }));
        self.owes_continue = head.wants_continue && behind.is_empty();
        self.write_continue(cx);
        used
    }

    /// The body of a collected request is complete.
    fn complete<V: Service<Socket = S>>(&mut self, tools: &mut Tools<'_, V>, cx: &mut Cx<'_>) {
        self.owes_continue = false;
        if let Some(collect) = self.collecting.take()
            && let Some(head) = Head::reparse(&collect.head)
        {
            self.request(tools, cx, &head, &collect.body);
        }
    }

    fn request<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        head: &Head<'_>,
        body: &[u8],
    ) {
        self.has_served = true;
        let exchange = ExchangeId {
            conn: cx.id(),
            number: self.exchanges.number(),
        };
        let request = Request {
            head: *head,
            body,
            origin: self.origin,
            exchange,
        };
        let reply = tools.service.request(cx, &request);
        let (method, path, since) = (head.method.as_str(), head.path(), cx.now());
        let state = match reply {
            Reply::Send(response) if self.exchanges.is_empty() && response.is_whole() => {
                let record = Record {
                    method,
                    path,
                    since,
                };
                self.send(tools, cx, head.asked(), response, &record);
                return;
            }
            reply => State::settle(tools, Opening::check(head), reply),
        };
        let line = Line {
            method: method.into(),
            path: path.into(),
            since,
        };
        let (number, asked) = (exchange.number, head.asked());
        self.exchanges.push(Exchange {
            number,
            asked,
            line,
            state,
        });
    }

    /// Queues a refusal as the last answer of the connection.
    fn answer_last<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &Cx<'_>,
        status: u16,
        reason: &str,
    ) {
        let head = self.collecting.take();
        let head = head
            .as_ref()
            .and_then(|collect| Head::reparse(&collect.head));
        self.machine.stop();
        let (method, path) = head.map_or(("", ""), |head| (head.method.as_str(), head.path()));
        let line = Line {
            method: method.into(),
            path: path.into(),
            since: cx.now(),
        };
        let asked = head.map_or(Asked::REFUSED, |head| head.asked());
        let response = tools.service.refusal(status, reason).close();
        let number = self.exchanges.number();
        self.exchanges.push(Exchange {
            number,
            asked,
            line,
            state: State::Ready(response),
        });
    }

    /// Sends the answers whose turn has come, and sets the time for what comes next.
    ///
    /// To be called after everything that may have made an answer ready.
    pub(super) fn pump<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) -> Option<Switch<S>> {
        while let Some(exchange) = self.next_ready() {
            let Exchange {
                number,
                asked,
                line,
                state,
            } = exchange;
            match state {
                State::Upgrade(upgrade) => {
                    let after = self.machine.answer(asked, BodyLength::None, After::Upgrade);
                    if after == After::Upgrade {
                        return Some((upgrade, line));
                    }
                    // Answers before it have ended the connection.
                    self.ends = true;
                }
                State::Ready(response) => {
                    let parts = self.send(tools, cx, asked, response, &line.record());
                    if !parts.is_empty() {
                        let state = State::Sending(Sending::new(parts));
                        self.exchanges.push_front(Exchange {
                            number,
                            asked,
                            line,
                            state,
                        });
                        self.send_parts(tools, cx);
                    }
                }
                State::AwaitService(_) | State::Sending(_) => {}
            }
        }
        if self.exchanges.is_empty() {
            self.write_continue(cx);
        }
        if self.is_full && self.exchanges.len() < tools.service.config().pipeline_max {
            self.is_full = false;
            cx.resume();
        }
        self.arm(tools.service.config(), cx);
        None
    }

    fn next_ready(&mut self) -> Option<Exchange<S>> {
        if self.ends && !self.exchanges.is_sending() {
            self.exchanges.clear();
        }
        self.exchanges.pop_ready()
    }

    fn write_continue(&mut self, cx: &mut Cx<'_>) {
        if self.owes_continue && self.exchanges.is_empty() {
            self.owes_continue = false;
            cx.write(encode::CONTINUE);
        }
    }

    /// Writes an answer, all but a body in parts; returns those that are to follow.
    fn send<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        asked: Asked,
        mut response: Response,
        record: &Record<'_>,
    ) -> VecDeque<Part> {
        let body_bytes = response.body.len();
        let length = match response.body {
            Body::Empty => BodyLength::None,
            _ => BodyLength::Known(body_bytes),
        };
        let is_last = (self.is_last || cx.is_draining()) && self.machine.owed() <= 1;
        let wish = if response.close || is_last {
            After::Close
        } else {
            After::KeepAlive
        };
        let after = self.machine.answer(asked, length, wish);
        self.ends |= after == After::Close;
        let status = response.status;
        let parts = response.body.take_parts();
        let has_body = response.write(cx, length, asked, after, tools.date);
        let served = Served {
            peer: self.origin.peer(),
            method: record.method,
            path: record.path,
            status,
            body_bytes: if has_body { body_bytes } else { 0 },
            duration: cx.clock().saturating_duration_since(record.since),
        };
        tools.service.served(cx, &served);
        if has_body { parts } else { VecDeque::new() }
    }

    /// Sends parts up to the next piece of a file, and asks for that, unless the peer has enough to
    /// take. The caller pumps: the answer may be complete.
    pub(super) fn send_parts<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        let Some(Exchange {
            number,
            state: State::Sending(sending),
            ..
        }) = self.exchanges.front()
        else {
            return;
        };
        let to = ExchangeId {
            conn: cx.id(),
            number: *number,
        };
        while let Some(part) = sending.parts.front() {
            match part {
                part if part.is_empty() => {}
                _ if cx.is_over_mark() || sending.is_reading => return, // `drained` goes on
                Part::Shared(shared) => {
                    cx.send(to.conn, shared);
                }
                Part::File(part) => {
                    sending.is_reading = tools.read(&part.file, part.offset, part.len, to);
                    if !sending.is_reading {
                        cx.close();
                    }
                    return;
                }
            }
            sending.parts.pop_front();
        }
        self.exchanges.pop();
    }

    /// A piece of the file being sent arrived. `false`: the rest of it cannot be had.
    pub(super) fn file_piece(&mut self, cx: &mut Cx<'_>, number: u32, piece: &Shared) -> bool {
        let Some(Exchange {
            number: sending_number,
            state: State::Sending(sending),
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
        let len = piece.len() as u64;
        if len == 0 || len > part.len {
            return false;
        }
        part.offset += len;
        part.len -= len;
        sending.file_bytes += len;
        cx.send(cx.id(), piece);
        true
    }

    /// The request with that number awaits its answer.
    pub(super) fn awaits_answer(&mut self, number: u32) -> bool {
        self.exchanges.awaiting(number).is_some()
    }

    /// The service has answered a request.
    pub(super) fn answer<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        number: u32,
        reply: Reply<S>,
    ) {
        if let Some(exchange) = self.exchanges.awaiting(number)
            && let State::AwaitService(opening) = &exchange.state
        {
            exchange.state = State::settle(tools, *opening, reply);
        }
    }

    /// The peer will send nothing more: what it has asked is still answered.
    pub(super) fn eof(&mut self) {
        self.machine.stop();
        self.collecting = None;
    }

    /// The reactor is shutting down: what was asked is answered, nothing more is read.
    pub(super) fn drain(&mut self, cx: &mut Cx<'_>) {
        self.is_last = true;
        let is_idle = self.exchanges.is_empty() && self.machine.awaits() == Awaits::Request;
        // A fresh connection has most likely sent its first request already.
        self.ends |= is_idle && self.has_served;
        if is_idle && !self.has_served {
            cx.set_timeout(FRESH_GRACE);
        }
    }

    /// The deadline passed: whoever is waited for has had its time.
    pub(super) fn expired<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        let unsent = self.unsent(cx);
        if unsent.0 > 0 {
            match self.stuck {
                Some((seen, since)) if seen == unsent => {
                    if since + tools.service.config().connection_timeout <= cx.now() {
                        cx.close();
                    }
                }
                _ => self.stuck = Some((unsent, cx.now())),
            }
            return;
        }
        if let Some(exchange) = self.exchanges.oldest_awaiting() {
            let refusal = tools.service.refusal(503, "the answer took too long");
            exchange.state = State::Ready(refusal.close());
            return;
        }
        match self.machine.awaits() {
            Awaits::Head | Awaits::Body => {
                self.answer_last(tools, cx, 408, "the request took too long");
            }
            Awaits::Request | Awaits::Answer | Awaits::Nothing => self.ends = true,
        }
    }

    fn unsent(&self, cx: &Cx<'_>) -> Unsent {
        (cx.queued_bytes(), self.exchanges.file_bytes_sent())
    }

    /// Finishes the connection after its last answer, or sets the next deadline.
    fn arm(&mut self, config: &Config, cx: &mut Cx<'_>) {
        self.ends |= self.exchanges.is_empty() && self.machine.awaits() == Awaits::Nothing;
        if self.ends && !self.exchanges.is_sending() {
            cx.finish();
            return;
        }
        if cx.is_draining() && !self.has_served && self.exchanges.is_empty() {
            return;
        }
        let stuck = self.stuck.filter(|(seen, _)| *seen == self.unsent(cx));
        let (from, timeout) = if let Some((_, since)) = stuck {
            (since, config.connection_timeout)
        } else if self.exchanges.is_sending() {
            (cx.now(), config.connection_timeout)
        } else if let Some(waiting) = self.exchanges.oldest_awaiting() {
            (waiting.line.since, config.request_timeout)
        } else {
            match self.machine.awaits() {
                Awaits::Head | Awaits::Body => (self.began, config.request_timeout),
                Awaits::Request if self.has_served => (cx.now(), config.keepalive_timeout),
                Awaits::Request => (self.began, config.connection_timeout),
                Awaits::Answer | Awaits::Nothing => (cx.now(), config.connection_timeout),
            }
        };
        cx.set_deadline(from + timeout);
    }
}

/// What the access log will want to know, borrowed.
struct Record<'a> {
    method: &'a str,
    path: &'a str,
    since: Instant,
}

impl Line {
    fn record(&self) -> Record<'_> {
        Record {
            method: &self.method,
            path: &self.path,
            since: self.since,
        }
    }
}
