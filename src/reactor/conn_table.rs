//! The connection tables of a reactor, and everything a callback can do to them.
//!
//! Nothing here knows the handler's types, so that [`Cx`](super::Cx) is one plain type.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::budget::{Budget, ClockCheck, Stage};
use super::conn_state::{BufferPool, ConnBuffers, ConnState, NEVER, Overflow, Phase, ms};
use super::id::GENERATION_END;
use super::shared::Ledger;
use super::{
    CloseReason, ConnId, ListenerId, Phases, ReactorConfig, Security, SendStatus, Shared, Stats,
    Wheel, after,
};

/// The mark while all connections together hold too much output: what a service makes for one that does
/// not take it stops early then.
pub(super) const CROWDED_MARK_BYTES: usize = 16 * 1024;

pub(super) struct ConnTable {
    pub(super) config: ReactorConfig,
    pub(super) states: Slab<ConnState>,
    pub(super) wheel: Wheel,
    pub(super) stats: Stats,
    pub(super) pool: BufferPool,
    /// Connections to look at in the next turn.
    pub(super) ready: VecDeque<ConnId>,
    /// Connections with something to flush at the end of this turn.
    pub(super) dirty: Vec<ConnId>,
    /// Connections to take out of the tables at the end of this turn, or of a later one.
    pub(super) dead: VecDeque<(ConnId, CloseReason)>,
    /// Security of each listener's new connections.
    pub(super) securities: Vec<Security>,
    pub(super) shutting_down: Option<ShuttingDown>,
    pub(super) stopped: bool,
    /// When the handler is called back for itself, not for a connection.
    pub(super) service_deadline: Option<Instant>,
    /// Connections whose reads stopped while all together held too much output.
    held_back: Vec<ConnId>,
    /// Reads the clock.
    clock: fn() -> Instant,
    /// Time budget of the turn.
    pub(super) budget: Budget,
    next_generation: u32,
    /// Memory of output that exists for one connection alone.
    private_output_bytes: usize,
    /// Memory of output that any number of connections wait for.
    ledger: Arc<Ledger>,
    /// Connections over their own limit, and until then the most for all: the sockets are to take what
    /// they can before anybody is closed.
    pub(super) suspects: Vec<ConnId>,
    relief_bytes: usize,
    /// Input that waits for its rest, likewise.
    pub(super) held_input_bytes: usize,
    start: Instant,
    now: Instant,
    now_ms: u64,
    unix_secs: u64,
}

/// A shutdown in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShuttingDown {
    pub(super) until: Instant,
    /// The next table index whose connection is to be told.
    pub(super) cursor: usize,
}

impl ConnTable {
    pub(super) fn new(config: ReactorConfig, now: Instant, clock: fn() -> Instant) -> Self {
        Self {
            config,
            states: Slab::new(),
            wheel: Wheel::new(0),
            stats: Stats::default(),
            pool: BufferPool::default(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            dead: VecDeque::new(),
            securities: Vec::new(),
            shutting_down: None,
            stopped: false,
            service_deadline: None,
            held_back: Vec::new(),
            clock,
            budget: Budget::new(now),
            next_generation: 0,
            private_output_bytes: 0,
            ledger: Ledger::new(),
            suspects: Vec::new(),
            relief_bytes: 0,
            held_input_bytes: 0,
            start: now,
            now,
            now_ms: 0,
            unix_secs: 0,
        }
    }

    /// A turn begins.
    pub(super) fn begin_turn(&mut self, now: Instant, unix_secs: u64) {
        self.now = self.now.max(now);
        self.now_ms = self.floor_ms(self.now);
        self.unix_secs = unix_secs;
        self.budget.begin_turn(self.now);
        self.relief_bytes = self.config.output_bytes_max_total;
    }

    /// A turn ends.
    pub(super) fn end_turn(&mut self) {
        let now = self.clock();
        self.budget.end_turn(now, self.config.turn_time_max);
        let took = now.saturating_duration_since(self.now);
        self.stats.turns.record(took);
        self.stats.longest_turn.record(took, self.now_ms);
    }

    /// The next stage of the turn begins.
    pub(super) fn begin_stage(&mut self, stage: Stage) {
        self.budget.begin(stage);
    }

    /// Counts a piece of work, and says whether the stage has time for another.
    pub(super) fn has_time(&mut self) -> bool {
        match self.budget.count() {
            ClockCheck::Later => true,
            ClockCheck::Over => false,
            ClockCheck::Now => {
                let now = self.clock();
                self.budget.read(now, self.config.turn_time_max)
            }
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// The time now, not at the beginning of the turn.
    pub(super) fn clock(&self) -> Instant {
        (self.clock)()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn unix_secs(&self) -> u64 {
        self.unix_secs
    }

    /// Time the loop may sleep: until the next timer, and none while work is left.
    pub(super) fn sleep_max(&self) -> Option<Duration> {
        let busy = !self.ready.is_empty() || !self.dirty.is_empty() || !self.dead.is_empty();
        let telling = self
            .shutting_down
            .is_some_and(|drain| drain.cursor < self.states.capacity());
        let suspecting = !self.suspects.is_empty();
        if busy || suspecting || self.stopped || (telling && !self.states.is_empty()) {
            return Some(Duration::ZERO);
        }
        let until = |at: Instant| at.saturating_duration_since(self.now);
        let service = self.service_deadline.map(until);
        let timer = self.wheel.next_ms().map(|at_ms| {
            until(
                self.start
                    .checked_add(Duration::from_millis(at_ms))
                    .unwrap_or(self.now),
            )
        });
        let drain = self.shutting_down.map(|drain| until(drain.until));
        [service, timer, drain].into_iter().flatten().min()
    }

    pub(super) fn insert(&mut self, phase: Phase) -> ConnId {
        let generation = self.next_generation;
        self.next_generation = (generation + 1) % GENERATION_END;
        let index = self.states.insert(ConnState::new(generation, phase));
        ConnId::new(u32::try_from(index).unwrap_or(u32::MAX), generation)
    }

    /// Takes a connection out of the tables.
    pub(super) fn remove(&mut self, id: ConnId) {
        if self.state(id).is_none() {
            return;
        }
        self.wheel.cancel(id.key());
        if let Some(mut state) = self.states.try_remove(id.index()) {
            self.let_go_of_input(state.intake.bytes());
            self.account(state.private_output_bytes(), 0);
            if let Some(held) = state.held_mut() {
                *held = ConnBuffers::default();
            }
            state.release(&mut self.pool);
        }
    }

    pub(super) fn state(&mut self, id: ConnId) -> Option<&mut ConnState> {
        channel_of(&mut self.states, id)
    }

    /// The id of the connection at a table index, if there is one.
    pub(super) fn id_at(&self, index: usize) -> Option<ConnId> {
        let state = self.states.get(index)?;
        Some(ConnId::new(u32::try_from(index).ok()?, state.generation))
    }

    pub(super) fn connections(&self) -> usize {
        self.states.len()
    }

    /// Queues a look at the connection in the next turn.
    pub(super) fn make_ready(&mut self, id: ConnId) {
        if let Some(state) = self.state(id)
            && !state.ready
        {
            state.ready = true;
            self.ready.push_back(id);
        }
    }

    pub(super) fn make_dirty(&mut self, id: ConnId) {
        if let Some(state) = self.state(id)
            && !state.dirty
        {
            state.dirty = true;
            self.dirty.push(id);
        }
    }

    pub(super) fn append(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) -> SendStatus {
        let Some(state) = output_channel(&mut self.states, id) else {
            return SendStatus::Dropped;
        };
        let added = state.hold(&mut self.pool).output.append(write);
        self.queued(id, added)
    }

    pub(super) fn push(&mut self, id: ConnId, shared: &Shared) -> SendStatus {
        self.push_place(id, shared, None)
    }

    fn push_place(&mut self, id: ConnId, shared: &Shared, label: Option<u32>) -> SendStatus {
        let Self {
            states,
            pool,
            ledger,
            ..
        } = self;
        let Some(state) = output_channel(states, id) else {
            return SendStatus::Dropped;
        };
        let added = state.hold(pool).output.push(shared, label, ledger);
        self.queued(id, added)
    }

    pub(super) fn push_urgent(&mut self, id: ConnId, bytes: &[u8]) -> SendStatus {
        if self.lookup(id).is_some_and(|state| !state.is_blocked) {
            return self.append(id, |out| out.extend_from_slice(bytes));
        }
        let Some(state) = output_channel(&mut self.states, id) else {
            return SendStatus::Dropped;
        };
        let added = state.hold(&mut self.pool).output.push_urgent(bytes);
        self.queued(id, added)
    }

    pub(super) fn push_lossy(
        &mut self,
        id: ConnId,
        shared: &Shared,
        label: u32,
    ) -> (SendStatus, usize) {
        let mark = self.config.output_high_water_bytes;
        let Some(state) = output_channel(&mut self.states, id) else {
            return (SendStatus::Dropped, 0);
        };
        let held = state.hold(&mut self.pool);
        let before = held.output.private_bytes();
        let mut skipped = 0;
        let mut has_room = true;
        while has_room && held.queued_bytes() > 0 && held.queued_bytes() + shared.len() > mark {
            has_room = held.output.drop_oldest(label).is_some();
            skipped += 1;
        }
        let after = held.output.private_bytes();
        self.account(before, after);
        if has_room {
            (self.push_place(id, shared, Some(label)), skipped)
        } else {
            (SendStatus::Backpressure, skipped)
        }
    }

    pub(super) fn is_open(&self, id: ConnId) -> bool {
        self.lookup(id).is_some_and(ConnState::takes_output)
    }

    /// Accounts for `added` bytes of output for this connection alone, and applies the limits.
    ///
    /// A connection over a limit is not closed here, where nothing can be written: the engine lets the sockets
    /// take what they can first. Only what no callback should make at once is refused.
    pub(super) fn queued(&mut self, id: ConnId, added: usize) -> SendStatus {
        self.private_output_bytes += added;
        let total = self.queued_bytes_total();
        let max_total = self.config.output_bytes_max_total;
        let Some(state) = channel_of(&mut self.states, id) else {
            return SendStatus::Dropped;
        };
        if !state.dirty {
            state.dirty = true;
            self.dirty.push(id);
        }
        let mark = self.config.output_high_water_bytes;
        let mark_now = if total > max_total {
            mark.min(CROWDED_MARK_BYTES)
        } else {
            mark
        };
        let queued = state.queued_bytes();
        if queued > mark_now {
            return self.above_high_water(id, queued, total);
        }
        match state.is_blocked || state.phase != Phase::Open {
            true => SendStatus::Buffered,
            false => SendStatus::Accepted,
        }
    }

    /// More is queued than the mark, or there is too much in all and more than the mark of that time.
    #[cold]
    fn above_high_water(&mut self, id: ConnId, queued: usize, total: usize) -> SendStatus {
        let max_total = self.config.output_bytes_max_total;
        let (mark, max) = (
            self.config.output_high_water_bytes,
            self.config.output_bytes_max,
        );
        let stalled_ms = self.now_ms + ms(self.config.stall_grace);
        let Some(state) = self.state(id) else {
            return SendStatus::Dropped;
        };
        let mut is_suspected = false;
        let is_far_over = total / 2 > max_total && queued > mark;
        if (queued > max || is_far_over) && state.overflow != Overflow::Told {
            if queued / 2 > max || is_far_over {
                self.overflow(id);
                return SendStatus::Dropped;
            }
            if state.overflow == Overflow::None {
                state.overflow = Overflow::Suspected;
                is_suspected = true;
            }
        }
        state.above_high_water = true;
        // Not for the lower mark of a crowd: that is not this peer's doing.
        let is_open = state.phase == Phase::Open;
        if queued > mark && is_open && state.engine_due_ms == NEVER {
            state.engine_due_ms = stalled_ms;
            state.take_taken();
            self.arm(id);
        }
        if is_suspected {
            self.suspects.push(id);
        }
        SendStatus::Backpressure
    }

    /// Drops what is queued and not begun; the handler is to say a last word.
    pub(super) fn overflow(&mut self, id: ConnId) {
        let now_ms = self.now_ms;
        let Some(state) = self.state(id) else {
            return;
        };
        if state.phase != Phase::Open {
            return self.kill(id, CloseReason::OutputOverflow);
        }
        state.overflow = Overflow::Due;
        state.engine_due_ms = now_ms;
        let before = state.private_output_bytes();
        if let Some(held) = state.held_mut() {
            held.output.drop_unbegun();
        }
        let after = state.private_output_bytes();
        self.account(before, after);
        self.arm(id);
    }

    /// Accounts for output that left, or never was: TLS adds bytes of its own.
    pub(super) fn account(&mut self, before: usize, after: usize) {
        self.private_output_bytes = (self.private_output_bytes + after).saturating_sub(before);
    }

    /// Returns `true` if all connections together hold more output than they may.
    pub(super) fn is_crowded(&self) -> bool {
        self.queued_bytes_total() > self.config.output_bytes_max_total
    }

    /// Returns `true` if sockets should take some of the output before more is made.
    pub(super) fn needs_relief(&self) -> bool {
        self.queued_bytes_total() > self.relief_bytes || !self.suspects.is_empty()
    }

    /// The sockets have taken what they can. Next time is when there is noticeably more, or next turn.
    pub(super) fn relieved(&mut self) {
        let max = self.config.output_bytes_max_total;
        let again = self.queued_bytes_total().saturating_add(max / 64);
        self.relief_bytes = max.max(again);
    }

    /// Returns `true` if there is so much output that it should not be encrypted far ahead: only until then is it shared.
    #[cfg(feature = "tls")]
    pub(super) fn is_half_full(&self) -> bool {
        self.queued_bytes_total() > self.config.output_bytes_max_total / 2
    }

    pub(super) fn phases(&self) -> Phases {
        let mut phases = Phases::default();
        for (_, state) in &self.states {
            match state.phase {
                Phase::Connect | Phase::Handshake => phases.handshaking += 1,
                Phase::Open => phases.open += 1,
                Phase::Flush | Phase::Linger | Phase::Reap => phases.finishing += 1,
            }
        }
        phases
    }

    /// Memory of all output; shared bytes count once.
    pub(super) fn queued_bytes_total(&self) -> usize {
        self.private_output_bytes + self.ledger.bytes()
    }

    /// Counts anew what is counted as it comes and goes: a callback that panicked may have added some
    /// output or input without its being noted.
    #[cold]
    pub(super) fn recount(&mut self) {
        let states = || self.states.iter().map(|(_, state)| state);
        self.private_output_bytes = states().map(ConnState::private_output_bytes).sum();
        self.held_input_bytes = states().map(|state| state.intake.bytes()).sum();
    }

    /// Memory of all output, counted anew.
    #[cfg(test)]
    pub(super) fn count_output(&self) -> usize {
        let states = || self.states.iter().map(|(_, state)| state);
        let private: usize = states().map(ConnState::private_output_bytes).sum();
        let held = states().filter_map(ConnState::held);
        let frames: std::collections::BTreeMap<usize, usize> =
            held.flat_map(|held| held.output.in_ledger()).collect();
        private + frames.values().sum::<usize>()
    }

    /// Remembers a connection that would be read from if there were less output in all.
    pub(super) fn hold_back(&mut self, id: ConnId) {
        if let Some(state) = self.state(id)
            && !std::mem::replace(&mut state.held_back, true)
        {
            self.held_back.push(id);
        }
    }

    /// Lets reads that were held back go on, if there is little enough output by now.
    pub(super) fn let_back(&mut self) {
        if self.held_back.is_empty() || self.is_crowded() {
            return;
        }
        for id in std::mem::take(&mut self.held_back) {
            if let Some(state) = self.state(id) {
                state.held_back = false;
                self.make_ready(id);
            }
        }
    }

    /// The connection stands, and TLS on it.
    pub(super) fn opened(&mut self, id: ConnId) {
        let stalled_ms = self.now_ms + ms(self.config.stall_grace);
        if let Some(state) = self.state(id) {
            state.phase = Phase::Open;
            // What was queued meanwhile may be over the mark already.
            state.engine_due_ms = if state.above_high_water {
                stalled_ms
            } else {
                NEVER
            };
            self.arm(id);
            self.make_dirty(id);
        }
    }

    pub(super) fn queued_bytes(&self, id: ConnId) -> usize {
        self.lookup(id).map_or(0, ConnState::queued_bytes)
    }

    pub(super) fn is_above_high_water(&self, id: ConnId) -> bool {
        self.lookup(id).is_some_and(|state| state.above_high_water)
    }

    pub(super) fn notify_when_flushed(&mut self, id: ConnId) {
        if let Some(state) = self.state(id) {
            state.notifies_when_flushed = state.queued_bytes() > 0;
        }
    }

    /// Ends a connection in order, `within` a time if one is given.
    pub(super) fn finish(&mut self, id: ConnId, within: Option<Duration>) {
        let ends_ms = within.map_or(NEVER, |within| self.now_ms + ms(within));
        let Some(state) = self.state(id) else {
            return;
        };
        match state.phase {
            Phase::Open => {
                state.phase = Phase::Flush;
                state.handler_due_ms = NEVER; // the handler's part is over
                state.engine_due_ms = ends_ms;
                self.arm(id);
                self.make_dirty(id);
                // What waits to be read is dropped from now on, and no event tells of it again.
                self.make_ready(id);
            }
            Phase::Connect | Phase::Handshake => self.kill(id, CloseReason::Closed),
            Phase::Flush | Phase::Linger | Phase::Reap => {}
        }
    }

    /// Ends a connection: nothing more is read, written or called for it but `closed`.
    pub(super) fn kill(&mut self, id: ConnId, reason: CloseReason) {
        if let Some(state) = self.state(id)
            && state.phase != Phase::Reap
        {
            state.phase = Phase::Reap;
            self.dead.push_back((id, reason));
        }
    }

    pub(super) fn set_deadline(&mut self, id: ConnId, at: Instant) {
        // Never within the same turn: a time that has passed is not to keep the loop here.
        let due_ms = self.floor_ms(at).max(self.now_ms) + 1;
        if let Some(state) = self.state(id)
            && state.is_live()
        {
            state.handler_due_ms = due_ms;
            self.arm(id);
        }
    }

    /// Takes the deadline of the handler itself if it has passed.
    pub(super) fn take_service_deadline(&mut self) -> bool {
        self.service_deadline
            .take_if(|at| *at <= self.now)
            .is_some()
    }

    pub(super) fn clear_deadline(&mut self, id: ConnId) {
        if let Some(state) = self.state(id) {
            state.handler_due_ms = NEVER;
        }
    }

    /// Makes sure the wheel wakes us no later than the connection's next deadline.
    ///
    /// A deadline that moved away leaves the wheel alone: the timer fires early, sees the
    /// deadline, and is armed again.
    pub(super) fn arm(&mut self, id: ConnId) {
        let Some(due_ms) = self.state(id).map(|state| state.due_ms()) else {
            return;
        };
        if due_ms != NEVER
            && self
                .wheel
                .due_ms(id.key())
                .is_none_or(|armed_ms| due_ms < armed_ms)
        {
            self.wheel.arm(id.key(), due_ms);
        }
    }

    pub(super) fn expect_proxy_header(&mut self, id: ConnId) {
        if let Some(state) = self.state(id) {
            state.expects_proxy_header = true;
        }
    }

    pub(super) fn pause(&mut self, id: ConnId) {
        if let Some(state) = self.state(id) {
            state.paused = true;
            state.resumed = false;
        }
    }

    pub(super) fn seal(&mut self, id: ConnId) {
        if let Some(state) = self.state(id) {
            state.sealed = true;
        }
    }

    pub(super) fn resume(&mut self, id: ConnId) {
        if let Some(state) = self.state(id) {
            state.paused = false;
            state.resumed = true;
            self.make_ready(id);
        }
    }

    pub(super) fn secure(&mut self, listener: ListenerId, security: Security) {
        if let Some(slot) = self.securities.get_mut(listener.index()) {
            *slot = security;
        }
    }

    pub(super) fn shutdown(&mut self, grace: Duration) {
        if self.shutting_down.is_none() {
            let until = after(self.now, grace);
            self.shutting_down = Some(ShuttingDown { until, cursor: 0 });
        }
    }

    pub(super) fn grace_left(&self) -> Duration {
        self.shutting_down.map_or(Duration::ZERO, |drain| {
            drain.until.saturating_duration_since(self.now)
        })
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutting_down.is_some()
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Everything was sent: what still comes is dropped, until the peer's end or for some time.
    pub(super) fn linger(&mut self, id: ConnId) {
        let lingers_ms = self.now_ms + ms(self.config.linger_timeout);
        let ends_ms = self.now_ms + ms(self.config.linger_timeout_max);
        if let Some(state) = self.state(id) {
            state.phase = Phase::Linger;
            state.engine_due_ms = lingers_ms.min(ends_ms);
            state.handler_due_ms = ends_ms; // the handler's part is over
            self.arm(id);
            self.make_ready(id);
        }
    }

    /// A peer that is not listened to any more still sends: it may come to its end.
    pub(super) fn linger_on(&mut self, id: ConnId) {
        let lingers_ms = self.now_ms + ms(self.config.linger_timeout);
        if let Some(state) = self.state(id)
            && state.phase == Phase::Linger
        {
            state.engine_due_ms = lingers_ms.min(state.handler_due_ms);
        }
    }

    fn lookup(&self, id: ConnId) -> Option<&ConnState> {
        self.states
            .get(id.index())
            .filter(|state| state.generation == id.generation())
    }

    fn floor_ms(&self, at: Instant) -> u64 {
        ms(at.saturating_duration_since(self.start))
    }
}

fn channel_of(states: &mut Slab<ConnState>, id: ConnId) -> Option<&mut ConnState> {
    states
        .get_mut(id.index())
        .filter(|state| state.generation == id.generation())
}

/// The connection, if output may be queued on it.
fn output_channel(states: &mut Slab<ConnState>, id: ConnId) -> Option<&mut ConnState> {
    channel_of(states, id).filter(|state| state.takes_output())
}
