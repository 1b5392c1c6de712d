//! The WebSocket side of a connection.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::{Message, WsCx, send};
use super::tools::{MessageBuffers, Tools};
use super::{Service, WebConfig, WebSocketClosed};
use crate::invariant::part_mut;
use crate::proto::ws::{CloseCode, Event, Sender, WsMachine, WsStep};
use crate::reactor::{ConnId, Cx, Endpoint, after};

/// Bytes of messages handled in one turn, before it is another connection's: a small frame can
/// be a large message.
const TURN_BYTES: u64 = 256 << 10;

/// Bytes of a compressed message that wait as they came while messages hold more than half of their limit.
const PACKED_BYTES_HELD: usize = 4 << 10;

/// Time for each connection to go away in, at a shutdown: those who come back at once are to
/// come one after the other. Half of the grace is the most for all.
const LEAVE_TIME: Duration = Duration::from_millis(1);

/// No time: it is later than all.
const NEVER: u64 = u64::MAX;

/// WebSocket state of one connection.
#[derive(Debug)]
pub(super) struct WebSocket<S> {
    /// Peer of the connection.
    pub(super) endpoint: Endpoint,
    /// Client that asked for the WebSocket, if that is not the connection's peer.
    asker: Option<Box<SocketAddr>>,
    pub(super) state: S,
    machine: WsMachine,
    /// Those of others who asked for the same are the same bytes.
    path: Arc<str>,
    since: Instant,
    /// Pings since the peer was last heard of.
    pings: u8,
    /// When the last ping went out, in microseconds since the handshake, and what it says.
    pinged_us: u64,
    /// Round trip of the last ping.
    round_trip_us: Option<NonZeroU32>,
    /// When the control frames that came would be due if they came evenly, likewise.
    controls_due_us: u64,
    /// When the message under way is to be here, likewise, or `NEVER`.
    message_due_us: u64,
    /// When it is told to go away, likewise.
    leaves_us: u64,
    /// The first Close that went either way.
    close: Option<CloseCode>,
    messages: u64,
    bytes_in: u64,
}

/// Result of a step, with the number of bytes used.
enum Stepped {
    On(usize),
    More(usize),
    /// The last frame was read, and a Close was sent.
    Ended,
}

impl<S> WebSocket<S> {
    pub(super) fn new(
        endpoint: Endpoint,
        peer: SocketAddr,
        state: S,
        machine: WsMachine,
        path: Arc<str>,
        now: Instant,
    ) -> Self {
        Self {
            endpoint,
            asker: (peer != endpoint.peer()).then(|| Box::new(peer)),
            state,
            machine,
            path,
            since: now,
            pings: 0,
            pinged_us: 0,
            round_trip_us: None,
            controls_due_us: 0,
            message_due_us: NEVER,
            leaves_us: NEVER,
            close: None,
            messages: 0,
            bytes_in: 0,
        }
    }

    /// Calls back with this WebSocket's view and state.
    pub(super) fn with<R>(
        &mut self,
        config: &WebConfig,
        buffers: &mut MessageBuffers,
        cx: &mut Cx<'_>,
        callback: impl FnOnce(&mut WsCx<'_, '_>, &mut S) -> R,
    ) -> R {
        let (_, sender) = self.machine.split();
        callback(
            &mut WsCx {
                cx,
                sender,
                close: &mut self.close,
                close_timeout: config.close_timeout,
                deflaters: &mut buffers.deflaters,
                compression: config.compression,
                round_trip: round_trip(self.round_trip_us),
            },
            &mut self.state,
        )
    }

    /// Bytes held of a message that is still arriving.
    pub(super) fn held_bytes(&mut self) -> usize {
        self.machine.split().0.held_bytes()
    }

    /// Reads frames until there is no whole one, or it is another connection's turn.
    pub(super) fn data<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        input: &mut [u8],
    ) -> usize {
        let mut config = *tools.service.config();
        if cx.input_room_bytes() < cx.held_input_bytes() {
            // Decompressors are the most that messages hold which are far from being here.
            config.ws.compressed_bytes_held_max = PACKED_BYTES_HELD;
        }
        self.pings = 0;
        let message_due_us = self.message_due_us;
        if !self.machine.is_closing() {
            self.wait(cx, silence(cx.id(), config.ping_interval));
        } else if self.machine.is_close_sent() {
            config.ws.message_bytes_wanted_max = 0; // nobody hears of them
        }
        tools.buffers.lend(self.machine.split().0);
        let used = self.read(tools, cx, input, &config);
        tools.buffers.take_back(self.machine.split().0);
        if self.machine.split().0.is_message_under_way() {
            let due_us = self.micros_to(after(cx.now(), config.message_timeout));
            self.message_due_us = self.message_due_us.min(due_us);
        }
        if self.message_due_us != message_due_us && !self.machine.is_closing() {
            self.wait(cx, silence(cx.id(), config.ping_interval));
        }
        used
    }

    fn read<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        input: &mut [u8],
        config: &WebConfig,
    ) -> usize {
        let mut used = 0;
        let bytes_before = self.bytes_in;
        let was_closed = self.machine.is_close_sent();
        for _ in 0..config.messages_per_turn {
            if cx.is_above_high_water() && !self.machine.is_close_sent() {
                return used; // `drained` resumes
            }
            let rest = part_mut(input, used..);
            match self.step(tools, cx, rest, config) {
                Stepped::On(count) => {
                    used += count;
                    let is_enough = |cx: &mut Cx<'_>| {
                        let bytes = self.bytes_in - bytes_before;
                        bytes >= TURN_BYTES || cx.needs_flush() || !cx.has_time()
                    };
                    // Behind our own Close nothing is looked at, which the next turn begins with.
                    let has_closed = || !was_closed && self.machine.is_close_sent();
                    if used < input.len() && (has_closed() || is_enough(cx)) {
                        break;
                    }
                }
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
        config: &WebConfig,
    ) -> Stepped {
        let Self {
            state,
            machine,
            close,
            messages,
            bytes_in,
            pinged_us,
            round_trip_us,
            controls_due_us,
            message_due_us,
            since,
            ..
        } = self;
        let (receiver, sender) = machine.split();
        let (used, event) = match receiver.step(input, &config.ws) {
            Ok(WsStep::Event { used, event }) => (used, event),
            Ok(WsStep::More { used }) => return Stepped::More(used),
            Ok(WsStep::TooLong { used, bytes }) => {
                return self.dropped(tools, cx, config, used, bytes);
            }
            Err(error) => {
                log::debug!("{}: WebSocket: {error}", cx.id());
                return fail(cx, sender, close, error.close_code(), "");
            }
        };
        if matches!(event, Event::Ping(_) | Event::Pong(_)) {
            let now_us = micros(cx.now().saturating_duration_since(*since));
            if !is_due(controls_due_us, now_us, config.control_frames_per_second) {
                let code = CloseCode::POLICY_VIOLATION;
                return fail(cx, sender, close, code, "too many pings or pongs");
            }
        }
        let message = match event {
            Event::Text(text) => Message::Text(text),
            Event::Binary(data) => Message::Binary(data),
            Event::Ping(data) => {
                send(cx, sender, Event::Pong(data));
                return Stepped::On(used);
            }
            Event::Pong(data) => {
                if *pinged_us > 0 && *data == pinged_us.to_be_bytes() {
                    *round_trip_us = responded_in(cx, *since, std::mem::take(pinged_us));
                }
                return Stepped::On(used);
            }
            Event::Close(reason) => {
                let code = reason.map(|(code, _)| code);
                close.get_or_insert(code.unwrap_or(CloseCode::NO_STATUS));
                send(cx, sender, Event::Close(code.map(|code| (code, ""))));
                return Stepped::Ended;
            }
        };
        *message_due_us = NEVER;
        *messages += 1;
        *bytes_in += message.len() as u64;
        cx.count_work(message.len());
        if !sender.is_sealed() {
            let mut ws = WsCx {
                cx,
                sender,
                close,
                close_timeout: config.close_timeout,
                deflaters: &mut tools.buffers.deflaters,
                compression: config.compression,
                round_trip: round_trip(*round_trip_us),
            };
            tools.service.message(&mut ws, state, message);
        }
        Stepped::On(used)
    }

    /// A message was longer than the service wants any, and was dropped.
    #[cold]
    fn dropped<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        config: &WebConfig,
        used: usize,
        bytes: u64,
    ) -> Stepped {
        self.message_due_us = NEVER;
        self.messages += 1;
        self.bytes_in += bytes;
        cx.count_work(usize::try_from(bytes).unwrap_or(usize::MAX));
        if self.machine.is_close_sent() {
            return Stepped::On(used);
        }
        let Tools {
            service, buffers, ..
        } = tools;
        self.with(config, buffers, cx, |ws, state| {
            service.message_too_long(ws, state, bytes);
        });
        Stepped::On(used)
    }

    /// Hears of the peer's silence after `timeout`, and of what is due before that.
    #[inline]
    fn wait(&self, cx: &mut Cx<'_>, timeout: Duration) {
        let silent = after(cx.now(), timeout);
        let due = match self.leaves_us.min(self.message_due_us) {
            NEVER => silent,
            due_us => silent.min(after(self.since, Duration::from_micros(due_us))),
        };
        cx.set_deadline(due);
    }

    /// From the handshake to then.
    fn micros_to(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.since))
    }

    /// The reactor shuts down: the peer is told, sooner or later.
    pub(super) fn leave(
        &mut self,
        config: &WebConfig,
        buffers: &mut MessageBuffers,
        cx: &mut Cx<'_>,
    ) {
        let connections = u32::try_from(cx.connections()).unwrap_or(u32::MAX);
        let most = cx.grace_left() / 2;
        let time = LEAVE_TIME.saturating_mul(connections).min(most);
        self.leaves_us = self.micros_to(after(cx.now(), part_of(cx.id(), time)));
        if self.is_leaving(cx) {
            self.go_away(config, buffers, cx);
        } else {
            self.wait(cx, silence(cx.id(), config.ping_interval));
        }
    }

    fn is_leaving(&self, cx: &Cx<'_>) -> bool {
        self.leaves_us <= self.micros_to(cx.now())
    }

    fn go_away(&mut self, config: &WebConfig, buffers: &mut MessageBuffers, cx: &mut Cx<'_>) {
        self.with(config, buffers, cx, |ws, _| {
            ws.close(CloseCode::GOING_AWAY, "shutting down");
        });
    }

    /// The deadline passed: the peer is silent, takes too long over a message, or has not answered our Close, or is to go away.
    pub(super) fn expired(
        &mut self,
        config: &WebConfig,
        buffers: &mut MessageBuffers,
        cx: &mut Cx<'_>,
    ) {
        if self.is_leaving(cx) && !self.machine.is_closing() {
            self.go_away(config, buffers, cx);
        } else if self.machine.is_closing() {
            cx.finish_within(config.close_timeout);
        } else if self.message_due_us <= self.micros_to(cx.now()) {
            let reason = "the message took too long";
            self.end(config, cx, CloseCode::POLICY_VIOLATION, reason);
        } else if self.pings >= config.pings_missed_max {
            self.close.get_or_insert(CloseCode::ABNORMAL);
            cx.finish_within(config.close_timeout);
        } else {
            self.pings += 1;
            self.pinged_us = self.micros_to(cx.clock()).max(1);
            let (_, sender) = self.machine.split();
            send(cx, sender, Event::Ping(&self.pinged_us.to_be_bytes()));
            self.wait(cx, config.pong_timeout);
        }
    }

    /// Says Close and waits for no answer: the peer does not read, or we are going.
    pub(super) fn end(
        &mut self,
        config: &WebConfig,
        cx: &mut Cx<'_>,
        code: CloseCode,
        reason: &str,
    ) {
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
    pub(super) fn ended<'a>(
        self,
        now: Instant,
        path: &'a mut Arc<str>,
    ) -> (S, WebSocketClosed<'a>) {
        let clean = self.machine.is_closed();
        *path = self.path;
        let ended = WebSocketClosed {
            peer: self
                .asker
                .map_or_else(|| self.endpoint.peer(), |asker| *asker),
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

/// Fails the connection (RFC 6455 §7.1.7).
fn fail(
    cx: &mut Cx<'_>,
    sender: &mut Sender,
    close: &mut Option<CloseCode>,
    code: CloseCode,
    reason: &str,
) -> Stepped {
    close.get_or_insert(code);
    send(cx, sender, Event::Close(Some((code, reason))));
    Stepped::Ended
}

/// Time this connection may be silent: up to a quarter less than `interval`, a different part
/// for each, so that those who came together are not all pinged together.
pub(super) fn silence(id: ConnId, interval: Duration) -> Duration {
    interval - part_of(id, interval / 4)
}

/// A part of a time, another for each connection.
fn part_of(id: ConnId, time: Duration) -> Duration {
    // Multiples of the golden ratio lie evenly between two whole numbers, however many there are.
    let part = id.key().wrapping_mul(0x9E37_79B9) >> 16;
    let parts = 1 << 16;
    time.checked_mul(part)
        .map_or_else(|| time / parts * part, |product| product / parts)
}

/// So many pings and pongs may come at once however few may come in a second: what a client or a test
/// sends in one go.
const CONTROL_FRAMES_BURST: u64 = 1000;

/// Returns `true` if one more may come: `per_second` of them, and at once twice that or [`CONTROL_FRAMES_BURST`].
/// `due_us` is when those that came would have, had they come evenly.
fn is_due(due_us: &mut u64, now_us: u64, per_second: u16) -> bool {
    if per_second == 0 {
        return true;
    }
    let each_us = 1_000_000 / u64::from(per_second);
    let burst = CONTROL_FRAMES_BURST.max(2 * u64::from(per_second));
    let next_us = (*due_us).max(now_us).saturating_add(each_us);
    if next_us > now_us.saturating_add(burst * each_us) {
        return false;
    }
    *due_us = next_us;
    true
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Time since a ping went out.
fn responded_in(cx: &Cx<'_>, since: Instant, pinged_us: u64) -> Option<NonZeroU32> {
    // Not the turn's beginning: other connections had theirs since.
    let now_us = micros(cx.clock().saturating_duration_since(since));
    let took_us = now_us.saturating_sub(pinged_us).max(1);
    u32::try_from(took_us).ok().and_then(NonZeroU32::new)
}

fn round_trip(us: Option<NonZeroU32>) -> Option<Duration> {
    us.map(|us| Duration::from_micros(us.get().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        let bytes = size_of::<WebSocket<()>>();
        assert!(bytes <= 224, "{bytes} bytes");
    }

    #[test]
    fn those_who_came_together_are_pinged_apart() {
        let interval = Duration::from_secs(30);
        let mut seconds: Vec<_> = (0..10_000)
            .map(|index| silence(ConnId::new(index, 0), interval).as_secs_f64())
            .collect();
        seconds.sort_by(f64::total_cmp);
        assert!(seconds[0] >= 22.5 && seconds[9_999] <= 30.0);
        // In no tenth of a second more than two times their even share.
        let crowded = (0..10_000 - 266).any(|at| seconds[at + 266] - seconds[at] < 0.1);
        assert!(!crowded);
    }

    #[test]
    fn control_frames_come_at_their_rate_and_so_many_at_once() {
        for (rate, burst) in [
            (1, 1000),
            (10, 1000),
            (100, 1000),
            (600, 1200),
            (1000, 2000),
        ] {
            let (mut due_us, now_us) = (0, 5_000_000);
            let each_us = 1_000_000 / u64::from(rate);
            let mut at_once = |now_us| {
                (0..10_000)
                    .take_while(|_| is_due(&mut due_us, now_us, rate))
                    .count()
            };
            assert_eq!(at_once(now_us), burst, "{rate} a second");
            assert_eq!(at_once(now_us + each_us - 1), 0);
            assert_eq!(at_once(now_us + each_us), 1);
            assert_eq!(at_once(now_us + 11 * each_us), 10);
            assert_eq!(at_once(now_us + 5_000_000_000), burst);
        }
        assert!((0..10_000).all(|_| is_due(&mut 0, 0, 0)));
    }

    #[test]
    fn a_part_of_a_time_is_a_part_of_any_time() {
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            for index in 0..1000 {
                assert!(part_of(ConnId::new(index, 0), time) <= time);
            }
        }
        assert!(silence(ConnId::new(1, 0), Duration::MAX) > Duration::MAX / 2);
    }
}
