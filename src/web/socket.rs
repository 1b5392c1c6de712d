//! The WebSocket side of a connection.

use std::time::Instant;

use super::message::{Message, WsCx, send};
use super::tools::Tools;
use super::{Config, Ended, Service};
use crate::proto::ws::{CloseCode, Event, Machine, Role, Step};
use crate::reactor::{Cx, Origin};

/// WebSocket state of one connection.
#[derive(Debug)]
pub(super) struct Socket<S> {
    pub(super) origin: Origin,
    pub(super) state: S,
    machine: Machine,
    path: Box<str>,
    since: Instant,
    /// Pings since the peer was last heard of.
    pings: u8,
    /// The first Close that went either way.
    close: Option<CloseCode>,
    messages: u64,
    bytes_in: u64,
}

/// What a step came to, and how many bytes it is done with.
enum Stepped {
    On(usize),
    More(usize),
    /// The last frame was read, and a Close was sent.
    Ended,
}

impl<S> Socket<S> {
    pub(super) fn new(origin: Origin, state: S, path: Box<str>, now: Instant) -> Self {
        Self {
            origin,
            state,
            machine: Machine::new(Role::Server),
            path,
            since: now,
            pings: 0,
            close: None,
            messages: 0,
            bytes_in: 0,
        }
    }

    /// Calls back with this WebSocket's view and state.
    pub(super) fn with<R>(
        &mut self,
        config: &Config,
        cx: &mut Cx<'_>,
        callback: impl FnOnce(&mut WsCx<'_, '_>, &mut S) -> R,
    ) -> R {
        let (_, sender) = self.machine.split();
        let close_timeout = config.close_timeout;
        callback(
            &mut WsCx {
                cx,
                sender,
                close: &mut self.close,
                close_timeout,
            },
            &mut self.state,
        )
    }

    /// Reads frames until there is no whole one, or it is another connection's turn.
    pub(super) fn data<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        input: &mut [u8],
    ) -> usize {
        let config = *tools.service.config();
        self.pings = 0;
        if !self.machine.is_closing() {
            cx.set_timeout(config.ping_interval);
        }
        let (receiver, _) = self.machine.split();
        if let Some(spare) = tools
            .buffers
            .take()
            .and_then(|buffer| receiver.lend(buffer))
        {
            tools.buffers.put(spare);
        }
        let used = self.read(tools, cx, input, &config);
        let (receiver, _) = self.machine.split();
        if let Some(buffer) = receiver.recycle() {
            tools.buffers.put(buffer);
        }
        used
    }

    fn read<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        input: &mut [u8],
        config: &Config,
    ) -> usize {
        let mut used = 0;
        for _ in 0..config.messages_per_turn {
            if cx.is_over_mark() && !self.machine.is_close_sent() {
                return used; // `drained` resumes
            }
            let rest = input.get_mut(used..).unwrap_or_default();
            match self.step(tools, cx, rest, config) {
                Stepped::On(count) => used += count,
                Stepped::More(count) => return used + count,
                Stepped::Ended => {
                    cx.finish();
                    return input.len();
                }
            }
        }
        cx.resume();
        used
    }

    /// Takes one frame or message.
    fn step<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        input: &mut [u8],
        config: &Config,
    ) -> Stepped {
        let Self {
            state,
            machine,
            close,
            messages,
            bytes_in,
            ..
        } = self;
        let (receiver, sender) = machine.split();
        let (used, event) = match receiver.step(input, &config.ws) {
            Ok(Step::Event { used, event }) => (used, event),
            Ok(Step::More { used }) => return Stepped::More(used),
            Err(error) => {
                log::debug!("{}: WebSocket: {error}", cx.id());
                let code = error.close_code();
                close.get_or_insert(code);
                send(cx, sender, Event::Close(Some((code, ""))));
                return Stepped::Ended;
            }
        };
        let message = match event {
            Event::Text(text) => Message::Text(text),
            Event::Binary(data) => Message::Binary(data),
            Event::Ping(data) => {
                send(cx, sender, Event::Pong(data));
                return Stepped::On(used);
            }
            Event::Pong(_) => return Stepped::On(used),
            Event::Close(reason) => {
                let code = reason.map(|(code, _)| code);
                close.get_or_insert(code.unwrap_or(CloseCode::NO_STATUS));
                send(cx, sender, Event::Close(code.map(|code| (code, ""))));
                return Stepped::Ended;
            }
        };
        *messages += 1;
        *bytes_in += message.len() as u64;
        if !sender.is_sealed() {
            let mut ws = WsCx {
                cx,
                sender,
                close,
                close_timeout: config.close_timeout,
            };
            tools.service.message(&mut ws, state, message);
        }
        Stepped::On(used)
    }

    /// The deadline passed: the peer is silent, or has not answered our Close.
    pub(super) fn expired(&mut self, config: &Config, cx: &mut Cx<'_>) {
        if self.machine.is_closing() {
            cx.finish_within(config.close_timeout);
        } else if self.pings >= config.pings_missed_max {
            self.close.get_or_insert(CloseCode::ABNORMAL);
            cx.finish_within(config.close_timeout);
        } else {
            self.pings += 1;
            let (_, sender) = self.machine.split();
            send(cx, sender, Event::Ping(b""));
            cx.set_timeout(config.pong_timeout);
        }
    }

    /// Says Close and waits for no answer: the peer does not read, or we are going.
    pub(super) fn end(&mut self, config: &Config, cx: &mut Cx<'_>, code: CloseCode, reason: &str) {
        let (_, sender) = self.machine.split();
        if !sender.is_sealed() {
            self.close.get_or_insert(code);
            send(cx, sender, Event::Close(Some((code, reason))));
        }
        cx.finish_within(config.close_timeout);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.machine.is_closing()
    }

    /// The service's state, and how it ended.
    pub(super) fn ended<'a>(self, now: Instant, path: &'a mut Box<str>) -> (S, Ended<'a>) {
        let clean = self.machine.is_closed();
        *path = self.path;
        let ended = Ended {
            peer: self.origin.peer(),
            path,
            code: self.close.unwrap_or(CloseCode::ABNORMAL),
            clean,
            messages: self.messages,
            bytes_in: self.bytes_in,
            duration: now.saturating_duration_since(self.since),
        };
        (self.state, ended)
    }
}
