//! A reactor without sockets and clock: bytes in, callbacks, bytes out.
//!
//! Everything that can be said about a connection without asking the kernel happens here, over
//! any [`Wire`] and at any time it is told. [`Reactor`](super::Reactor) adds sockets; tests add
//! wires of memory and a clock of their own.

mod buffers;
mod panics;
mod proxy_header;
mod read_outcome;
mod relief;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod turn;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use self::buffers::{ScratchBuffers, take_tail};
use self::read_outcome::{ReadOutcome, after_read, after_write, read, write};
pub(super) use self::turn::Links;
use super::budget::Stage;
use super::conn_state::{ConnState, NEVER, Overflow, Pace, Phase, keep, ms};
use super::conn_table::ConnTable;
use super::mailbox::{AddressedMail, Mailbox};
use super::output_queue::SLICES_MAX;
use super::socket::Transport;
use super::{CloseReason, ConnId, Cx, Endpoint, Handler, ReactorConfig, Security, Stall};
use crate::invariant::{part, part_mut, violations_here};
#[cfg(feature = "tls")]
use crate::proto::tls::Tls;

/// Readiness of a transport: it may have more to give, or take, without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Kept,
    Cleared,
}

/// Number of connections hear of a shutdown in one turn.
const TOLD_PER_TURN: usize = 256;

pub(super) struct Engine<H: Handler> {
    pub(super) core: ConnTable,
    pub(super) handler: H,
    /// The handler's state of each connection, by table index.
    conns: Vec<Option<H::Conn>>,
    buffers: ScratchBuffers,
    /// The list of connections being flushed; between turns, those there was no time for.
    flushing: Vec<ConnId>,
    /// Mail that was collected and is not delivered: what goes ahead of other mail, and that.
    urgent: VecDeque<AddressedMail<H::Mail>>,
    letters: VecDeque<AddressedMail<H::Mail>>,
    /// Writes are to find out whether a socket takes more.
    is_probing: bool,
}

impl<H: Handler> Engine<H> {
    pub(super) fn new(
        config: ReactorConfig,
        handler: H,
        now: Instant,
        clock: fn() -> Instant,
    ) -> Self {
        let buffers = ScratchBuffers::new(&config);
        Self {
            core: ConnTable::new(config, now, clock),
            handler,
            conns: Vec::new(),
            buffers,
            flushing: Vec::new(),
            urgent: VecDeque::new(),
            letters: VecDeque::new(),
            is_probing: false,
        }
    }

    /// Takes a new connection into the tables, if the handler wants it.
    pub(super) fn open(&mut self, endpoint: Endpoint, security: &Security) -> Option<ConnId> {
        let phase = match (endpoint, security) {
            (Endpoint::Connected { .. }, _) => Phase::Connect,
            (_, Security::Plain) => Phase::Open,
            #[cfg(feature = "tls")]
            (_, Security::Tls(_)) => Phase::Handshake,
        };
        let id = self.core.insert(phase);
        let opened = self.guard(id, |handler, cx, _, _| handler.open(cx, endpoint));
        let Some(conn) = opened.flatten() else {
            self.core.remove(id);
            self.core.stats.rejected += 1;
            return None;
        };
        self.core.stats.accepted += 1;
        #[cfg(feature = "tls")]
        if let Security::Tls(config) = security {
            match Tls::new(std::sync::Arc::clone(config)) {
                Ok(tls) => {
                    if let Some(state) = self.core.state(id) {
                        state.tls = Some(tls);
                    }
                }
                Err(error) => {
                    log::error!("TLS configuration refused: {error}");
                    self.core.kill(id, CloseReason::Tls);
                }
            }
        }
        if phase != Phase::Open {
            let due_ms = self.core.now_ms() + ms(self.core.config.handshake_timeout);
            if let Some(state) = self.core.state(id) {
                state.engine_due_ms = due_ms;
            }
            self.core.arm(id);
        }
        if self.conns.len() <= id.index() {
            self.conns.resize_with(id.index() + 1, || None);
        }
        if let Some(slot) = self.conns.get_mut(id.index()) {
            *slot = Some(conn);
        } else {
            invariant!("the table of states has room for {id}");
        }
        if self
            .core
            .shutting_down
            .is_some_and(|drain| id.index() < drain.cursor)
        {
            self.notify_shutdown(id);
        }
        Some(id)
    }

    /// An outbound connection stands, or could not be made.
    fn connected(&mut self, id: ConnId, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            log::debug!("{id}: connect: {error}");
            self.core.kill(id, CloseReason::ConnectFailed);
        } else if let Some(state) = self.core.state(id)
            && state.phase == Phase::Connect
        {
            self.core.opened(id);
        }
    }

    /// The wire takes bytes: what waits for that goes out at the end of this turn.
    fn writable(&mut self, id: ConnId, outcome: impl FnOnce() -> io::Result<()>) {
        let Some(state) = self.core.state(id) else {
            return;
        };
        if state.phase == Phase::Connect {
            self.connected(id, outcome());
        } else if state.queued_bytes() > 0 || state.phase == Phase::Flush {
            self.core.make_dirty(id);
        }
    }

    /// Returns `true` if the connection would take input now.
    fn wants_input(&self, id: ConnId) -> bool {
        let crowded = self.core.is_crowded();
        let state = self.core.states.get(id.index());
        state
            .filter(|state| state.generation == id.generation())
            .is_some_and(|state| match state.phase {
                Phase::Open => {
                    let held_back = state.above_high_water || (crowded && state.queued_bytes() > 0);
                    let ended = state.eof || state.eof_waits;
                    !(state.paused || state.resumed || ended || held_back)
                }
                Phase::Handshake => true,
                // A peer that is still sending may take nothing before it is done.
                Phase::Flush | Phase::Linger => !state.eof,
                Phase::Connect | Phase::Reap => false,
            })
    }

    /// Reads once from the wire and delivers what came.
    ///
    /// `closing`: an event said that the peer closed, so a short read does not mean that there
    /// is nothing more.
    fn receive(&mut self, id: ConnId, wire: &mut impl Transport, closing: bool) -> Readiness {
        if !self.wants_input(id) {
            return Readiness::Kept;
        }
        let room_len = self.core.config.read_bytes.max(1);
        let Some(state) = self.core.state(id) else {
            return Readiness::Cleared;
        };
        if matches!(state.phase, Phase::Flush | Phase::Linger) {
            return self.discard(id, wire, closing);
        }
        #[cfg(feature = "tls")]
        if state.tls.is_some() {
            return self.receive_tls(id, wire, closing);
        }
        let tail = take_tail(state, &mut self.buffers.plain, room_len);
        let room = part_mut(&mut self.buffers.plain, tail..);
        let read = read(wire, part_mut(room, ..room_len));
        match read {
            ReadOutcome::Bytes(count) => {
                self.core.stats.bytes_in += count as u64;
                if let Some(len) = self.skip_proxy_header(id, tail + count) {
                    self.deliver(id, len);
                }
                after_read(count, room_len, closing)
            }
            ReadOutcome::Eof => {
                self.keep_tail(id, 0..tail);
                self.eof(id);
                Readiness::Cleared
            }
            ReadOutcome::Nothing => {
                self.keep_tail(id, 0..tail);
                Readiness::Cleared
            }
            ReadOutcome::Failed => {
                self.core.kill(id, CloseReason::Reset);
                Readiness::Cleared
            }
        }
    }

    /// Delivers input again that the handler left earlier.
    fn redeliver(&mut self, id: ConnId) {
        let Some(state) = self.core.state(id) else {
            return;
        };
        if !std::mem::take(&mut state.resumed) || state.phase != Phase::Open {
            return;
        }
        let tail = take_tail(state, &mut self.buffers.plain, 0);
        if tail > 0 {
            self.deliver(id, tail);
        }
        if let Some(state) = self.core.state(id)
            && std::mem::take(&mut state.eof_waits)
        {
            self.eof(id);
        }
    }

    /// Hands the first `len` bytes of the input buffer to the handler and keeps its leavings.
    fn deliver(&mut self, id: ConnId, len: usize) {
        self.core.budget.count_bytes(len);
        let used = self.guard_conn(id, |handler, cx, conn, buffers| {
            let input = part_mut(&mut buffers.plain, ..len);
            handler.data(cx, conn, input).min(len)
        });
        self.keep_tail(id, used.unwrap_or(len)..len);
    }

    fn keep_tail(&mut self, id: ConnId, range: std::ops::Range<usize>) {
        if range.len() > self.core.config.tail_bytes_max {
            self.core.kill(id, CloseReason::InputOverflow);
            return;
        }
        if !self.core.hold_tail(id, range.len()) {
            self.core.kill(id, CloseReason::InputOverflow);
        }
        let ConnTable { states, pool, .. } = &mut self.core;
        let Some(state) = states.get_mut(id.index()) else {
            return;
        };
        if range.is_empty() {
            state.release(pool);
        } else if !state.is_live() {
            state.release(pool);
            self.core.hold_tail(id, 0);
        } else {
            let tail = self.buffers.plain.get(range).unwrap_or_default();
            keep(&mut state.hold(pool).plain, tail);
        }
    }

    /// Calls the handler back about a connection, if it still has a state.
    fn call(&mut self, id: ConnId, callback: fn(&mut H, &mut Cx<'_>, &mut H::Conn)) {
        self.guard_conn(id, |handler, cx, conn, _| callback(handler, cx, conn));
    }

    fn eof(&mut self, id: ConnId) {
        let Some(state) = self.core.state(id) else {
            return;
        };
        if state.phase == Phase::Open && state.has_unfinished_input() {
            state.eof_waits = true;
            return;
        }
        if std::mem::replace(&mut state.eof, true) {
            return;
        }
        match state.phase {
            Phase::Open => self.call(id, H::eof),
            Phase::Linger => self.kill_ended(id),
            Phase::Handshake => self.core.kill(id, CloseReason::Tls),
            Phase::Connect | Phase::Flush | Phase::Reap => {}
        }
    }

    /// Drops what a peer still sends when we have finished, or are about to.
    fn discard(&mut self, id: ConnId, wire: &mut impl Transport, closing: bool) -> Readiness {
        let room_len = self.buffers.plain.len();
        match read(wire, &mut self.buffers.plain) {
            ReadOutcome::Bytes(count) => {
                self.core.linger_on(id);
                after_read(count, room_len, closing)
            }
            ReadOutcome::Nothing => Readiness::Cleared,
            ReadOutcome::Eof => {
                self.eof(id);
                Readiness::Cleared
            }
            ReadOutcome::Failed => {
                self.kill_ended(id);
                Readiness::Cleared
            }
        }
    }

    /// Ends a connection that has said its last word.
    fn kill_ended(&mut self, id: ConnId) {
        if let Some(reason) = self.core.state(id).map(|state| state.end_reason()) {
            self.core.kill(id, reason);
        }
    }

    /// Sends what is queued, in one write.
    fn flush(&mut self, id: ConnId, wire: &mut impl Transport) -> Readiness {
        let Some(state) = self.core.state(id) else {
            return Readiness::Cleared;
        };
        if matches!(state.phase, Phase::Connect | Phase::Reap) {
            return Readiness::Kept;
        }
        let before = state.queued_bytes();
        let private_before = state.private_output_bytes();
        let now_ms = self.core.now_ms();
        let readiness = self.write_once(id, wire);
        let ConnTable {
            states,
            pool,
            config,
            budget,
            ..
        } = &mut self.core;
        let Some(state) = states.get_mut(id.index()) else {
            return Readiness::Cleared;
        };
        let after = state.queued_bytes();
        budget.count_bytes(before.saturating_sub(after));
        let is_clear = (state.above_high_water && after <= config.output_high_water_bytes / 2)
            || (state.notifies_when_flushed && after == 0);
        state.is_blocked = after > 0;
        let private_after = state.private_output_bytes();
        state.note_sent(before.saturating_sub(after), after, now_ms);
        if after == 0 {
            state.release(pool);
        }
        let is_timed = state.sent(before.saturating_sub(after), after, config, now_ms);
        let held_back = state.held_back;
        self.core.account(private_before, private_after);
        if is_timed {
            self.core.arm(id);
        }
        if after == 0 && held_back {
            self.core.make_ready(id);
        }
        if is_clear {
            self.cleared(id);
        }
        self.after_flush(id, wire, readiness)
    }

    /// The output came down: reads go on, and the handler hears of it.
    fn cleared(&mut self, id: ConnId) {
        let Some(state) = self.core.state(id) else {
            return;
        };
        state.above_high_water = false;
        state.notifies_when_flushed = false;
        if state.phase != Phase::Open || state.overflow == Overflow::Due {
            return;
        }
        state.engine_due_ms = NEVER;
        // The end of the input waits behind what the handler left while the mark was exceeded.
        state.resumed |= state.eof_waits && !state.paused;
        self.core.make_ready(id);
        self.call(id, H::writable);
    }

    /// Continues after a write: with the next turn's write, or the next step of an orderly close.
    fn after_flush(
        &mut self,
        id: ConnId,
        wire: &mut impl Transport,
        readiness: Readiness,
    ) -> Readiness {
        let Some(state) = self.core.state(id) else {
            return Readiness::Cleared;
        };
        if state.queued_bytes() > 0 {
            let may_go_on = readiness == Readiness::Kept && state.phase != Phase::Reap;
            let awaits_keys = state.phase == Phase::Handshake;
            if may_go_on && !awaits_keys {
                self.core.make_dirty(id);
            }
            return readiness;
        }
        if state.phase == Phase::Flush {
            if wire.shutdown_write().is_err() || state.eof {
                self.kill_ended(id);
            } else {
                self.core.linger(id);
            }
        }
        readiness
    }

    fn write_once(&mut self, id: ConnId, wire: &mut impl Transport) -> Readiness {
        #[cfg(feature = "tls")]
        if self.core.state(id).is_some_and(|state| state.tls.is_some()) {
            return self.write_tls(id, wire);
        }
        let Some(held) = self.core.state(id).and_then(ConnState::held_mut) else {
            return Readiness::Kept;
        };
        if held.output.is_empty() {
            return Readiness::Kept;
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let used = held.output.slices(&mut slices);
        let pieces = part(&slices, ..used);
        let offered = pieces.iter().map(|piece| piece.len()).sum();
        let written = match pieces {
            [piece] => write(|| wire.write(piece)),
            pieces => write(|| wire.write_vectored(pieces)),
        };
        match written {
            Some(count) => {
                held.output.advance(count);
                self.core.stats.bytes_out += count as u64;
                after_write(count, offered)
            }
            None => {
                self.core.kill(id, CloseReason::Reset);
                Readiness::Cleared
            }
        }
    }

    /// Calls back connections whose deadline has passed, as many as there is time for.
    fn expire<W: Transport>(&mut self, links: &mut Links<W>) {
        self.core.begin_stage(Stage::Expire);
        let now_ms = self.core.now_ms();
        while let Some(key) = self.core.wheel.poll(now_ms) {
            if let Some(id) = self.core.id_at(key as usize) {
                let before = violations_here();
                self.expire_one(id, now_ms);
                self.end_broken(id, before);
                self.core.arm(id);
                self.relieve(links);
            }
            if !self.core.has_time() {
                return;
            }
        }
    }

    /// Calls the handler back whose own deadline has passed: once a turn, whatever it sets anew.
    fn expire_service(&mut self) {
        if self.core.take_service_deadline() {
            self.guard(ConnId::NONE, |handler, cx, _, _| {
                handler.service_expired(cx);
            });
        }
    }

    fn expire_one(&mut self, id: ConnId, now_ms: u64) {
        let ConnTable { states, config, .. } = &mut self.core;
        let Some(state) = states.get_mut(id.index()) else {
            return;
        };
        if state.engine_due_ms <= now_ms {
            state.engine_due_ms = NEVER;
            let phase = state.phase;
            match phase {
                Phase::Connect => self.core.kill(id, CloseReason::ConnectFailed),
                Phase::Handshake => self.core.kill(id, CloseReason::HandshakeTimeout),
                Phase::Flush => self.core.kill(id, CloseReason::TooSlow),
                Phase::Linger => self.kill_ended(id),
                Phase::Open if state.overflow == Overflow::Due => self.overflowed(id),
                Phase::Open if state.expects_proxy_header => {
                    self.core.kill(id, CloseReason::HandshakeTimeout);
                }
                // It is behind, but takes what is queued over and over: no stall.
                Phase::Open if state.take_taken() > config.output_high_water_bytes => {
                    state.engine_due_ms = now_ms + ms(config.stall_grace);
                }
                Phase::Open => self.stalled(id, Stall::AboveHighWater),
                Phase::Reap => {}
            }
        } else if let Some(pace) = state.is_send_due(config, now_ms) {
            match (pace, state.phase) {
                (Pace::Enough, _) => {}
                (Pace::TooSlow, Phase::Open) => self.stalled(id, Stall::TooSlow),
                (Pace::TooSlow, _) => self.core.kill(id, CloseReason::TooSlow),
            }
        } else if state.handler_due_ms <= now_ms {
            state.handler_due_ms = NEVER;
            self.call(id, H::expired);
        }
    }

    /// Lets the handler say its last words where no more output fits.
    fn overflowed(&mut self, id: ConnId) {
        if let Some(state) = self.core.state(id) {
            state.overflow = Overflow::Told;
        }
        self.stalled(id, Stall::Full);
        if self.core.state(id).is_some_and(|state| state.is_live()) {
            self.core.kill(id, CloseReason::OutputOverflow);
        }
    }

    fn stalled(&mut self, id: ConnId, stall: Stall) {
        self.guard_conn(id, |handler, cx, conn, _| handler.stalled(cx, conn, stall));
    }

    /// Delivers mail, as much as there is time for. The rest comes first in the next turn.
    pub(super) fn take_mail<W: Transport>(
        &mut self,
        mailbox: &Mailbox<H::Mail>,
        links: &mut Links<W>,
    ) {
        self.core.begin_stage(Stage::Mail);
        mailbox.collect(&mut self.urgent, &mut self.letters);
        while let Some((to, mail)) = self.next_letter() {
            let before = violations_here();
            self.mail(to, mail);
            self.end_broken(to.unwrap_or(ConnId::NONE), before);
            self.relieve(links);
            if !self.core.has_time() {
                return;
            }
        }
    }

    fn next_letter(&mut self) -> Option<AddressedMail<H::Mail>> {
        let urgent = self.urgent.pop_front();
        urgent.or_else(|| self.letters.pop_front())
    }

    fn mail(&mut self, to: Option<ConnId>, mail: H::Mail) {
        let id = to.unwrap_or(ConnId::NONE);
        let state = self.core.state(id);
        let is_open = state.is_some_and(|state| state.is_live());
        self.guard(id, |handler, cx, conn, _| {
            handler.mail(cx, conn.filter(|_| is_open), mail);
        });
    }

    /// Tells some more connections that the reactor is shutting down.
    fn notify_shutting_down(&mut self) {
        let Some(start) = self.core.shutting_down.as_ref().map(|drain| drain.cursor) else {
            return;
        };
        self.core.begin_stage(Stage::ShutDown);
        let end = (start + TOLD_PER_TURN).min(self.core.states.capacity());
        let mut index = start;
        while index < end {
            if let Some(id) = self.core.id_at(index) {
                self.notify_shutdown(id);
            }
            index += 1;
            if !self.core.has_time() {
                break;
            }
        }
        if let Some(drain) = &mut self.core.shutting_down {
            drain.cursor = index;
        }
    }

    fn notify_shutdown(&mut self, id: ConnId) {
        if self.core.state(id).is_some_and(|state| state.is_live()) {
            self.call(id, H::shutting_down);
        }
    }

    /// Takes a dead connection out of the tables.
    fn reap(&mut self, id: ConnId, reason: CloseReason) {
        let conn = self.conns.get_mut(id.index()).and_then(Option::take);
        invariant!(conn.is_some(), "{id} is in the tables, so it has a state");
        self.core.remove(id);
        let ended = CloseReason::ALL.iter().position(|other| *other == reason);
        if let Some(count) = ended.and_then(|index| self.core.stats.closed.get_mut(index)) {
            *count += 1;
        } else {
            invariant!("{reason:?} is among all reasons");
        }
        if let Some(conn) = conn {
            self.guard(id, |handler, cx, _, _| handler.closed(cx, conn, reason));
        }
    }

    /// Ends every connection at once, however long that takes.
    pub(super) fn end_all<W: Transport>(&mut self, links: &mut Links<W>, reason: CloseReason) {
        for index in 0..self.core.states.capacity() {
            if let Some(id) = self.core.id_at(index) {
                self.core.kill(id, reason);
            }
        }
        while !self.core.dead.is_empty() {
            self.remove_closed(links);
        }
    }

    /// Time the loop may sleep: none while anything is left over.
    pub(super) fn sleep_max(&self) -> Option<Duration> {
        let is_left = !(self.flushing.is_empty() && self.letters.is_empty());
        if is_left || !self.urgent.is_empty() {
            return Some(Duration::ZERO);
        }
        self.core.sleep_max()
    }
}
