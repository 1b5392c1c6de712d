//! The connection tables of a reactor, and everything a callback can do to them.
//!
//! Nothing here knows the handler's types, so that [`Cx`](super::Cx) is one plain type.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::budget::{Budget, Due, Stage};
use super::channel::{Channel, Held, NEVER, Overflow, Phase, Pool, ms};
use super::id::GENERATION_END;
use super::shared::Ledger;
use super::{
    CloseReason, Config, ConnId, ListenerId, Phases, Security, Sent, Shared, Stats, Wheel, after,
};

/// The mark while all connections together hold too much output: what a service makes for one that does
/// not take it stops early then.
pub(super) const CROWDED_MARK_BYTES: usize = 16 * 1024;

pub(super) struct Core {
    pub(super) config: Config,
    pub(super) channels: Slab<Channel>,
    pub(super) wheel: Wheel,
    pub(super) stats: Stats,
    pub(super) pool: Pool,
    /// Connections to look at in the next turn.
    pub(super) ready: VecDeque<ConnId>,
    /// Connections with something to flush at the end of this turn.
    pub(super) dirty: Vec<ConnId>,
    /// Connections to take out of the tables at the end of this turn, or of a later one.
    pub(super) dead: VecDeque<(ConnId, CloseReason)>,
    /// What each listener's new connections start with.
    pub(super) securities: Vec<Security>,
    pub(super) drain: Option<Drain>,
    pub(super) stopped: bool,
    /// When the handler is called back for itself, not for a connection.
    pub(super) service_deadline: Option<Instant>,
    /// Connections whose reads stopped while all together held too much output.
    held_back: Vec<ConnId>,
    /// Reads the clock.
    clock: fn() -> Instant,
    /// What is left of the turn's time.
    pub(super) budget: Budget,
    next_generation: u32,
    /// What output takes that exists for one connection alone.
    private_output_bytes: usize,
    /// What output takes that any number of connections wait for.
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
pub(super) struct Drain {
    pub(super) until: Instant,
    /// The next table index whose connection is to be told.
    pub(super) cursor: usize,
}

impl Core {
    pub(super) fn new(config: Config, now: Instant, clock: fn() -> Instant) -> Self {
        Self {
            config,
            channels: Slab::new(),
            wheel: Wheel::new(0),
            stats: Stats::default(),
            pool: Pool::default(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            dead: VecDeque::new(),
            securities: Vec::new(),
            drain: None,
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
            Due::Later => true,
            Due::Over => false,
            Due::Now => {
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

    /// How long the loop may sleep: until the next timer, and not at all while work is left.
    pub(super) fn sleep_max(&self) -> Option<Duration> {
        let busy = !self.ready.is_empty() || !self.dirty.is_empty() || !self.dead.is_empty();
        let telling = self
            .drain
            .is_some_and(|drain| drain.cursor < self.channels.capacity());
        let suspecting = !self.suspects.is_empty();
        if busy || suspecting || self.stopped || (telling && !self.channels.is_empty()) {
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
        let drain = self.drain.map(|drain| until(drain.until));
        [service, timer, drain].into_iter().flatten().min()
    }

    pub(super) fn insert(&mut self, phase: Phase) -> ConnId {
        let generation = self.next_generation;
        self.next_generation = (generation + 1) % GENERATION_END;
        let index = self.channels.insert(Channel::new(generation, phase));
        ConnId::new(u32::try_from(index).unwrap_or(u32::MAX), generation)
    }

    /// Takes a connection out of the tables.
    pub(super) fn remove(&mut self, id: ConnId) {
        if self.channel(id).is_none() {
            return;
        }
        self.wheel.cancel(id.key());
        if let Some(mut channel) = self.channels.try_remove(id.index()) {
            self.let_go_of_input(channel.intake.bytes());
            self.account(channel.private_output_bytes(), 0);
            if let Some(held) = channel.held_mut() {
                *held = Held::default();
            }
            channel.release(&mut self.pool);
        }
    }

    pub(super) fn channel(&mut self, id: ConnId) -> Option<&mut Channel> {
        channel_of(&mut self.channels, id)
    }

    /// The id of the connection at a table index, if there is one.
    pub(super) fn id_at(&self, index: usize) -> Option<ConnId> {
        let channel = self.channels.get(index)?;
        Some(ConnId::new(u32::try_from(index).ok()?, channel.generation))
    }

    pub(super) fn connections(&self) -> usize {
        self.channels.len()
    }

    /// Queues a look at the connection in the next turn.
    pub(super) fn make_ready(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id)
            && !channel.ready
        {
            channel.ready = true;
            self.ready.push_back(id);
        }
    }

    pub(super) fn make_dirty(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id)
            && !channel.dirty
        {
            channel.dirty = true;
            self.dirty.push(id);
        }
    }

    pub(super) fn append(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) -> Sent {
        let Some(channel) = output_channel(&mut self.channels, id) else {
            return Sent::Gone;
        };
        let added = channel.hold(&mut self.pool).output.append(write);
        self.queued(id, added)
    }

    pub(super) fn push(&mut self, id: ConnId, shared: &Shared) -> Sent {
        self.push_place(id, shared, None)
    }

    fn push_place(&mut self, id: ConnId, shared: &Shared, label: Option<u32>) -> Sent {
        let Self {
            channels,
            pool,
            ledger,
            ..
        } = self;
        let Some(channel) = output_channel(channels, id) else {
            return Sent::Gone;
        };
        let added = channel.hold(pool).output.push(shared, label, ledger);
        self.queued(id, added)
    }

    pub(super) fn push_urgent(&mut self, id: ConnId, bytes: &[u8]) -> Sent {
        if self.lookup(id).is_some_and(|channel| !channel.is_blocked) {
            return self.append(id, |out| out.extend_from_slice(bytes));
        }
        let Some(channel) = output_channel(&mut self.channels, id) else {
            return Sent::Gone;
        };
        let added = channel.hold(&mut self.pool).output.push_urgent(bytes);
        self.queued(id, added)
    }

    pub(super) fn push_lossy(&mut self, id: ConnId, shared: &Shared, label: u32) -> (Sent, usize) {
        let mark = self.config.output_mark_bytes;
        let Some(channel) = output_channel(&mut self.channels, id) else {
            return (Sent::Gone, 0);
        };
        let held = channel.hold(&mut self.pool);
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
            (Sent::OverMark, skipped)
        }
    }

    pub(super) fn is_open(&self, id: ConnId) -> bool {
        self.lookup(id).is_some_and(Channel::takes_output)
    }

    /// Accounts for `added` bytes of output for this connection alone, and applies the limits.
    ///
    /// Who is over a limit is not closed here, where nothing can be written: the engine lets the sockets
    /// take what they can first. Only what no callback should make at once is refused.
    pub(super) fn queued(&mut self, id: ConnId, added: usize) -> Sent {
        self.private_output_bytes += added;
        let total = self.queued_bytes_total();
        let max_total = self.config.output_bytes_max_total;
        let Some(channel) = channel_of(&mut self.channels, id) else {
            return Sent::Gone;
        };
        if !channel.dirty {
            channel.dirty = true;
            self.dirty.push(id);
        }
        let mark = self.config.output_mark_bytes;
        let mark_now = if total > max_total {
            mark.min(CROWDED_MARK_BYTES)
        } else {
            mark
        };
        let queued = channel.queued_bytes();
        if queued > mark_now {
            return self.over_mark(id, queued, total);
        }
        match channel.is_blocked || channel.phase != Phase::Open {
            true => Sent::Queued,
            false => Sent::AtOnce,
        }
    }

    /// More is queued than the mark, or there is too much in all and more than the mark of that time.
    #[cold]
    fn over_mark(&mut self, id: ConnId, queued: usize, total: usize) -> Sent {
        let max_total = self.config.output_bytes_max_total;
        let (mark, max) = (self.config.output_mark_bytes, self.config.output_bytes_max);
        let stalled_ms = self.now_ms + ms(self.config.stall_grace);
        let Some(channel) = self.channel(id) else {
            return Sent::Gone;
        };
        let mut is_suspected = false;
        let is_far_over = total / 2 > max_total && queued > mark;
        if (queued > max || is_far_over) && channel.overflow != Overflow::Told {
            if queued / 2 > max || is_far_over {
                self.overflow(id);
                return Sent::Gone;
            }
            if channel.overflow == Overflow::None {
                channel.overflow = Overflow::Suspected;
                is_suspected = true;
            }
        }
        channel.over_mark = true;
        // Not for the lower mark of a crowd: that is not this peer's doing.
        let is_open = channel.phase == Phase::Open;
        if queued > mark && is_open && channel.engine_due_ms == NEVER {
            channel.engine_due_ms = stalled_ms;
            channel.take_taken();
            self.arm(id);
        }
        if is_suspected {
            self.suspects.push(id);
        }
        Sent::OverMark
    }

    /// Drops what is queued and not begun; the handler is to say a last word.
    pub(super) fn overflow(&mut self, id: ConnId) {
        let now_ms = self.now_ms;
        let Some(channel) = self.channel(id) else {
            return;
        };
        if channel.phase != Phase::Open {
            return self.kill(id, CloseReason::OutputOverflow);
        }
        channel.overflow = Overflow::Due;
        channel.engine_due_ms = now_ms;
        let before = channel.private_output_bytes();
        if let Some(held) = channel.held_mut() {
            held.output.drop_unbegun();
        }
        let after = channel.private_output_bytes();
        self.account(before, after);
        self.arm(id);
    }

    /// Accounts for output that left, or never was: TLS adds bytes of its own.
    pub(super) fn account(&mut self, before: usize, after: usize) {
        self.private_output_bytes = (self.private_output_bytes + after).saturating_sub(before);
    }

    /// Whether all connections together hold more output than they may.
    pub(super) fn is_crowded(&self) -> bool {
        self.queued_bytes_total() > self.config.output_bytes_max_total
    }

    /// Whether sockets should take some of the output before more is made.
    pub(super) fn needs_relief(&self) -> bool {
        self.queued_bytes_total() > self.relief_bytes || !self.suspects.is_empty()
    }

    /// The sockets have taken what they can. Next time is when there is noticeably more, or next turn.
    pub(super) fn relieved(&mut self) {
        let max = self.config.output_bytes_max_total;
        let again = self.queued_bytes_total().saturating_add(max / 64);
        self.relief_bytes = max.max(again);
    }

    /// Whether there is so much output that it should not be encrypted far ahead: only until then is it shared.
    #[cfg(feature = "tls")]
    pub(super) fn is_half_full(&self) -> bool {
        self.queued_bytes_total() > self.config.output_bytes_max_total / 2
    }

    pub(super) fn phases(&self) -> Phases {
        let mut phases = Phases::default();
        for (_, channel) in &self.channels {
            match channel.phase {
                Phase::Connect | Phase::Handshake => phases.handshaking += 1,
                Phase::Open => phases.open += 1,
                Phase::Flush | Phase::Linger | Phase::Reap => phases.finishing += 1,
            }
        }
        phases
    }

    /// What all output takes: what is shared counts once.
    pub(super) fn queued_bytes_total(&self) -> usize {
        self.private_output_bytes + self.ledger.bytes()
    }

    /// Counts anew what is counted as it comes and goes: a callback that panicked may have added some
    /// output or input without its being noted.
    #[cold]
    pub(super) fn recount(&mut self) {
        let channels = || self.channels.iter().map(|(_, channel)| channel);
        self.private_output_bytes = channels().map(Channel::private_output_bytes).sum();
        self.held_input_bytes = channels().map(|channel| channel.intake.bytes()).sum();
    }

    /// What all output takes, counted anew.
    #[cfg(test)]
    pub(super) fn count_output(&self) -> usize {
        let channels = || self.channels.iter().map(|(_, channel)| channel);
        let private: usize = channels().map(Channel::private_output_bytes).sum();
        let held = channels().filter_map(Channel::held);
        let frames: std::collections::BTreeMap<usize, usize> =
            held.flat_map(|held| held.output.in_ledger()).collect();
        private + frames.values().sum::<usize>()
    }

    /// Remembers a connection that would be read from if there were less output in all.
    pub(super) fn hold_back(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id)
            && !std::mem::replace(&mut channel.held_back, true)
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
            if let Some(channel) = self.channel(id) {
                channel.held_back = false;
                self.make_ready(id);
            }
        }
    }

    /// The connection stands, and TLS on it.
    pub(super) fn opened(&mut self, id: ConnId) {
        let stalled_ms = self.now_ms + ms(self.config.stall_grace);
        if let Some(channel) = self.channel(id) {
            channel.phase = Phase::Open;
            // What was queued meanwhile may be over the mark already.
            channel.engine_due_ms = if channel.over_mark { stalled_ms } else { NEVER };
            self.arm(id);
            self.make_dirty(id);
        }
    }

    pub(super) fn queued_bytes(&self, id: ConnId) -> usize {
        self.lookup(id).map_or(0, Channel::queued_bytes)
    }

    pub(super) fn is_over_mark(&self, id: ConnId) -> bool {
        self.lookup(id).is_some_and(|channel| channel.over_mark)
    }

    pub(super) fn await_drained(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id) {
            channel.awaits_drained = channel.queued_bytes() > 0;
        }
    }

    /// Ends a connection in order, `within` a time if one is given.
    pub(super) fn finish(&mut self, id: ConnId, within: Option<Duration>) {
        let ends_ms = within.map_or(NEVER, |within| self.now_ms + ms(within));
        let Some(channel) = self.channel(id) else {
            return;
        };
        match channel.phase {
            Phase::Open => {
                channel.phase = Phase::Flush;
                channel.handler_due_ms = NEVER; // the handler's part is over
                channel.engine_due_ms = ends_ms;
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
        if let Some(channel) = self.channel(id)
            && channel.phase != Phase::Reap
        {
            channel.phase = Phase::Reap;
            self.dead.push_back((id, reason));
        }
    }

    pub(super) fn set_deadline(&mut self, id: ConnId, at: Instant) {
        // Never within the same turn: a time that has passed is not to keep the loop here.
        let due_ms = self.floor_ms(at).max(self.now_ms) + 1;
        if let Some(channel) = self.channel(id)
            && channel.is_live()
        {
            channel.handler_due_ms = due_ms;
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
        if let Some(channel) = self.channel(id) {
            channel.handler_due_ms = NEVER;
        }
    }

    /// Makes sure the wheel wakes us no later than the connection's next deadline.
    ///
    /// A deadline that moved away leaves the wheel alone: the timer fires early, sees the
    /// deadline, and is armed again.
    pub(super) fn arm(&mut self, id: ConnId) {
        let Some(due_ms) = self.channel(id).map(|channel| channel.due_ms()) else {
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

    pub(super) fn await_preface(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id) {
            channel.awaits_preface = true;
        }
    }

    pub(super) fn pause(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id) {
            channel.paused = true;
            channel.resumed = false;
        }
    }

    pub(super) fn seal(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id) {
            channel.sealed = true;
        }
    }

    pub(super) fn resume(&mut self, id: ConnId) {
        if let Some(channel) = self.channel(id) {
            channel.paused = false;
            channel.resumed = true;
            self.make_ready(id);
        }
    }

    pub(super) fn secure(&mut self, listener: ListenerId, security: Security) {
        if let Some(slot) = self.securities.get_mut(listener.index()) {
            *slot = security;
        }
    }

    pub(super) fn drain(&mut self, grace: Duration) {
        if self.drain.is_none() {
            let until = after(self.now, grace);
            self.drain = Some(Drain { until, cursor: 0 });
        }
    }

    pub(super) fn grace_left(&self) -> Duration {
        self.drain.map_or(Duration::ZERO, |drain| {
            drain.until.saturating_duration_since(self.now)
        })
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Everything was sent: what still comes is dropped, until the peer's end or for some time.
    pub(super) fn linger(&mut self, id: ConnId) {
        let lingers_ms = self.now_ms + ms(self.config.linger_timeout);
        let ends_ms = self.now_ms + ms(self.config.linger_timeout_max);
        if let Some(channel) = self.channel(id) {
            channel.phase = Phase::Linger;
            channel.engine_due_ms = lingers_ms.min(ends_ms);
            channel.handler_due_ms = ends_ms; // the handler's part is over
            self.arm(id);
            self.make_ready(id);
        }
    }

    /// A peer that is not listened to any more still sends: it may come to its end.
    pub(super) fn linger_on(&mut self, id: ConnId) {
        let lingers_ms = self.now_ms + ms(self.config.linger_timeout);
        if let Some(channel) = self.channel(id)
            && channel.phase == Phase::Linger
        {
            channel.engine_due_ms = lingers_ms.min(channel.handler_due_ms);
        }
    }

    fn lookup(&self, id: ConnId) -> Option<&Channel> {
        self.channels
            .get(id.index())
            .filter(|channel| channel.generation == id.generation())
    }

    fn floor_ms(&self, at: Instant) -> u64 {
        ms(at.saturating_duration_since(self.start))
    }
}

fn channel_of(channels: &mut Slab<Channel>, id: ConnId) -> Option<&mut Channel> {
    channels
        .get_mut(id.index())
        .filter(|channel| channel.generation == id.generation())
}

/// The connection, if output may be queued on it.
fn output_channel(channels: &mut Slab<Channel>, id: ConnId) -> Option<&mut Channel> {
    channel_of(channels, id).filter(|channel| channel.takes_output())
}
