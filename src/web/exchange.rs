//! Requests that await their answers, in the order they came.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::response::{Part, Response, ResponseGuard};
use super::service::{Reply, Service};
use super::stream::Streaming;
use super::tools::Tools;
use super::upgrade::UpgradeCheck;
use crate::proto::http1::{Head, RequestMeta};
#[cfg(feature = "ws")]
use crate::proto::ws::deflate::NegotiatedDeflate;
use crate::proto::ws::{Role, WsMachine};

/// A request between its end and the end of its answer.
#[derive(Debug)]
pub(super) struct Exchange<S> {
    pub(super) number: u32,
    pub(super) meta: RequestMeta,
    pub(super) line: RequestSummary,
    pub(super) state: ResponseProgress<S>,
    /// When the service is to hear of it again.
    pub(super) due: Option<Instant>,
}

/// Summary of a request for the access log.
#[derive(Debug)]
pub(super) struct RequestSummary {
    pub(super) method: Box<str>,
    pub(super) path: Box<str>,
    pub(super) peer: SocketAddr,
    pub(super) since: Instant,
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestSummaryRef<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) peer: SocketAddr,
    pub(super) since: Instant,
}

impl RequestSummary {
    pub(super) fn borrowed<'a>(
        head: &Head<'a>,
        peer: SocketAddr,
        since: Instant,
    ) -> RequestSummaryRef<'a> {
        RequestSummaryRef {
            method: head.method.as_str(),
            path: head.path(),
            peer,
            since,
        }
    }

    /// Of a request that could not be read.
    pub(super) fn unknown(peer: SocketAddr, since: Instant) -> Self {
        Self {
            method: Box::default(),
            path: Box::default(),
            peer,
            since,
        }
    }

    pub(super) fn record(&self) -> RequestSummaryRef<'_> {
        RequestSummaryRef {
            method: &self.method,
            path: &self.path,
            peer: self.peer,
            since: self.since,
        }
    }
}

impl RequestSummaryRef<'_> {
    pub(super) fn to_line(self) -> RequestSummary {
        RequestSummary {
            method: self.method.into(),
            path: self.path.into(),
            peer: self.peer,
            since: self.since,
        }
    }
}

#[derive(Debug)]
pub(super) enum ResponseProgress<S> {
    /// It may become a WebSocket, so the service is asked when all before it are answered: what it
    /// decides then is what is opened. This is the head.
    AwaitTurn(Box<[u8]>),
    /// The service will answer by mail.
    AwaitService(UpgradeCheck),
    /// Answered; its turn has not come yet.
    Ready(Response),
    /// Answered with a change of protocol; its turn has not come yet.
    #[cfg_attr(
        not(feature = "ws"),
        expect(dead_code, reason = "made by an opening handshake")
    )]
    Upgrade(Box<Upgrade<S>>),
    /// Its head is out, its body follows in parts.
    Sending(Sending),
    /// Its body is being written by the service; its turn may not have come yet.
    Streaming(Box<Streaming>),
}

/// Remaining body parts.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) parts: VecDeque<Part>,
    /// The next piece of a file was asked for.
    pub(super) is_reading: bool,
    /// Enough is queued: what goes on is `drained`, which was asked for.
    pub(super) is_ahead: bool,
    /// Dropped when all parts are queued.
    _kept: ResponseGuard,
}

impl Sending {
    pub(super) const fn new(parts: VecDeque<Part>, kept: ResponseGuard) -> Self {
        Self {
            parts,
            _kept: kept,
            is_reading: false,
            is_ahead: false,
        }
    }
}

/// An opening handshake that was accepted.
#[derive(Debug)]
pub(super) struct Upgrade<S> {
    pub(super) socket: S,
    /// The field lines of the 101 answer.
    pub(super) fields: Vec<u8>,
    /// Negotiated compression of messages.
    #[cfg(feature = "ws")]
    pub(super) negotiated: Option<NegotiatedDeflate>,
}

impl<S> Upgrade<S> {
    /// Machine for the rest of the connection.
    pub(super) fn machine(&self) -> WsMachine {
        #[cfg(feature = "ws")]
        if let Some(negotiated) = self.negotiated {
            return WsMachine::with_compression(Role::Server, negotiated);
        }
        WsMachine::new(Role::Server)
    }
}

impl<S> ResponseProgress<S> {
    /// State of an exchange after the service's reply, which may accept a WebSocket.
    #[cfg_attr(
        not(feature = "ws"),
        expect(
            unused_variables,
            clippy::needless_pass_by_ref_mut,
            reason = "for refusals"
        )
    )]
    pub(super) fn settle<V: Service<Socket = S>>(
        tools: &mut Tools<'_, V>,
        opening: UpgradeCheck,
        reply: Reply<S>,
        now: Instant,
    ) -> Self {
        match reply {
            Reply::Send(response) => Self::responded(response, now),
            Reply::Later | Reply::LaterWithin(_) => Self::AwaitService(opening),
            #[cfg(feature = "ws")]
            Reply::Upgrade(socket) => Self::upgrade(tools, opening, socket, None),
            #[cfg(feature = "ws")]
            Reply::UpgradeTo(socket, protocol) => {
                Self::upgrade(tools, opening, socket, Some(&protocol))
            }
            #[cfg(not(feature = "ws"))]
            Reply::Never(never, _) => match never {},
        }
    }

    /// Answered; its turn may not have come yet.
    pub(super) fn responded(response: Response, now: Instant) -> Self {
        if response.is_stream() {
            Self::Streaming(Box::new(Streaming::new(response, now)))
        } else {
            Self::Ready(response)
        }
    }

    #[cfg(feature = "ws")]
    fn upgrade<V: Service<Socket = S>>(
        tools: &mut Tools<'_, V>,
        opening: UpgradeCheck,
        socket: S,
        protocol: Option<&str>,
    ) -> Self {
        let compression = tools.service.config().compression;
        match opening.fields(protocol, compression.as_ref()) {
            Ok((fields, negotiated)) => Self::Upgrade(Box::new(Upgrade {
                socket,
                fields,
                negotiated,
            })),
            Err(error_response) => {
                let status = error_response.status();
                let response = tools
                    .service
                    .error_response(status, &error_response.to_string());
                // What is allowed for an upgrade is less than for the path.
                Self::Ready(
                    response
                        .without("Allow")
                        .lines(error_response.fields().as_bytes()),
                )
            }
        }
    }
}

/// The exchanges of one connection, oldest first.
#[derive(Debug)]
pub(super) struct Exchanges<S> {
    queue: VecDeque<Exchange<S>>,
    next: u32,
}

impl<S> Exchanges<S> {
    pub(super) const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number of the next request.
    pub(super) fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }

    pub(super) fn push(&mut self, exchange: Exchange<S>) {
        self.queue.push_back(exchange);
    }

    pub(super) fn front(&mut self) -> Option<&mut Exchange<S>> {
        self.queue.front_mut()
    }

    pub(super) fn pop(&mut self) -> Option<Exchange<S>> {
        let exchange = self.queue.pop_front();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        exchange
    }

    pub(super) fn push_front(&mut self, exchange: Exchange<S>) {
        self.queue.push_front(exchange);
    }

    /// The request that awaits its turn: nothing is read behind one.
    pub(super) fn awaiting_turn(&mut self) -> Option<&mut Exchange<S>> {
        let last = self.queue.back_mut()?;
        matches!(last.state, ResponseProgress::AwaitTurn(_)).then_some(last)
    }

    /// Memory they take: they wait for as long as others before them are pending, or the peer does not take
    /// the answers.
    pub(super) fn held_bytes(&self) -> usize {
        if self.queue.is_empty() {
            return 0;
        }
        self.queue.iter().map(Exchange::held_bytes).sum()
    }

    /// Gives up on all of them.
    pub(super) fn take_all(&mut self) -> VecDeque<Exchange<S>> {
        std::mem::take(&mut self.queue)
    }

    /// Takes the oldest, if its answer, or the head of it, can be sent now.
    pub(super) fn pop_ready(&mut self) -> Option<Exchange<S>> {
        match &self.queue.front()?.state {
            ResponseProgress::AwaitTurn(_)
            | ResponseProgress::Ready(_)
            | ResponseProgress::Upgrade(_) => self.pop(),
            ResponseProgress::Streaming(streaming) if !streaming.has_begun() => self.pop(),
            ResponseProgress::AwaitService(_)
            | ResponseProgress::Sending(_)
            | ResponseProgress::Streaming(_) => None,
        }
    }

    /// Returns `true` if a body is on its way, in parts or as the service writes it.
    pub(super) fn is_under_way(&self) -> bool {
        self.queue
            .front()
            .is_some_and(|oldest| match &oldest.state {
                ResponseProgress::Sending(_) => true,
                ResponseProgress::Streaming(streaming) => streaming.has_begun(),
                ResponseProgress::AwaitTurn(_)
                | ResponseProgress::AwaitService(_)
                | ResponseProgress::Ready(_)
                | ResponseProgress::Upgrade(_) => false,
            })
    }

    /// The streamed answer that is on its way.
    pub(super) fn streaming(&mut self) -> Option<(u32, &mut Streaming)> {
        match self.queue.front_mut()? {
            Exchange {
                number,
                state: ResponseProgress::Streaming(streaming),
                ..
            } if streaming.has_begun() => Some((*number, streaming)),
            _ => None,
        }
    }

    /// The request with that number.
    pub(super) fn numbered(&mut self, number: u32) -> Option<&mut Exchange<S>> {
        let first = self.queue.front()?.number;
        let index = usize::try_from(number.wrapping_sub(first)).ok()?;
        self.queue.get_mut(index)
    }

    /// When the service is to hear of one of them next, and of which.
    pub(super) fn next_due(&self) -> Option<(Instant, u32)> {
        let dues = self.queue.iter();
        dues.filter_map(|exchange| Some((exchange.due?, exchange.number)))
            .min()
    }

    /// The numbers of those that are streams.
    pub(super) fn streams(&self) -> Vec<u32> {
        let streams = self.queue.iter().filter_map(|exchange| {
            matches!(exchange.state, ResponseProgress::Streaming(_)).then_some(exchange.number)
        });
        streams.collect()
    }
}

impl<S> Exchange<S> {
    fn held_bytes(&self) -> usize {
        let state = match &self.state {
            ResponseProgress::AwaitTurn(head) => head.len(),
            ResponseProgress::Ready(response) => response.own_bytes(),
            ResponseProgress::Upgrade(upgrade) => {
                size_of::<Upgrade<S>>() + upgrade.fields.capacity()
            }
            ResponseProgress::Streaming(streaming) => {
                size_of::<Streaming>() + streaming.waiting_bytes()
            }
            ResponseProgress::Sending(sending) => sending.parts.capacity() * size_of::<Part>(),
            ResponseProgress::AwaitService(_) => 0,
        };
        size_of::<Self>() + self.line.method.len() + self.line.path.len() + state
    }

    /// Returns `true` if the service would go on with it by itself.
    pub(super) const fn is_with_service(&self) -> bool {
        matches!(
            self.state,
            ResponseProgress::AwaitService(_) | ResponseProgress::Streaming(_)
        )
    }
}
