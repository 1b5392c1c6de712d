//! Requests that await their answers, in the order they came.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::Reply;
use super::conn::Upgrade;
use super::opening::Opening;
use super::response::{FileBody, Response};
use crate::proto::http1::Asked;
use crate::reactor::ConnId;

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

/// Where the answer to a request is put when it comes later.
#[derive(Debug)]
pub struct Answer<S> {
    pub(super) exchange: ExchangeId,
    pub(super) reply: Option<Reply<S>>,
}

impl<S> Answer<S> {
    /// The request's name.
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// Answers the request, in any way but [`Reply::Later`], which leaves it as it is. The answer
    /// goes out when all requests before it are answered.
    pub fn reply(&mut self, reply: impl Into<Reply<S>>) {
        self.reply = Some(reply.into());
    }
}

/// A request between its end and the end of its answer.
#[derive(Debug)]
pub(super) struct Exchange<S> {
    pub(super) number: u32,
    pub(super) asked: Asked,
    pub(super) line: Line,
    pub(super) state: State<S>,
}

/// What the access log will want to know about a request.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) method: Box<str>,
    pub(super) path: Box<str>,
    pub(super) since: Instant,
}

#[derive(Debug)]
pub(super) enum State<S> {
    /// The service will answer by mail.
    AwaitService(Opening),
    /// Answered; its turn has not come yet.
    Ready(Response),
    /// Answered with a change of protocol; its turn has not come yet.
    #[cfg_attr(
        not(feature = "ws"),
        expect(dead_code, reason = "made by an opening handshake")
    )]
    Upgrade(Box<Upgrade<S>>),
    /// Its head is out, its body is being read from a file.
    Sending(FileBody),
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

    pub(super) fn clear(&mut self) {
        self.queue = VecDeque::new();
    }

    /// Takes the oldest, if its answer can be sent now.
    pub(super) fn pop_ready(&mut self) -> Option<Exchange<S>> {
        match self.queue.front()?.state {
            State::Ready(_) | State::Upgrade(_) => self.pop(),
            State::AwaitService(_) | State::Sending(_) => None,
        }
    }

    /// Whether the body of a file is on its way.
    pub(super) fn is_sending(&self) -> bool {
        matches!(
            self.queue.front(),
            Some(Exchange {
                state: State::Sending(_),
                ..
            })
        )
    }

    /// How far into its file the body on its way is.
    pub(super) fn sending_offset(&self) -> u64 {
        match self.queue.front() {
            Some(Exchange {
                state: State::Sending(part),
                ..
            }) => part.offset,
            _ => 0,
        }
    }

    /// The request with that number, if it awaits its answer.
    pub(super) fn awaiting(&mut self, number: u32) -> Option<&mut Exchange<S>> {
        let first = self.queue.front()?.number;
        let index = usize::try_from(number.wrapping_sub(first)).ok()?;
        self.queue
            .get_mut(index)
            .filter(|exchange| matches!(exchange.state, State::AwaitService(_)))
    }

    /// The oldest request the service has not answered.
    pub(super) fn oldest_awaiting(&mut self) -> Option<&mut Exchange<S>> {
        self.queue
            .iter_mut()
            .find(|exchange| matches!(exchange.state, State::AwaitService(_)))
    }
}
