//! More output than there may be: first the sockets take what they can, then those connections are
//! closed whose output has waited longest.

use super::turn::Links;
use super::{Engine, Readiness};
use crate::reactor::conn_state::{Overflow, Phase};
use crate::reactor::conn_table::CROWDED_MARK_BYTES;
use crate::reactor::socket::Transport;
use crate::reactor::{CloseReason, ConnId, Handler};

/// Output that waits for less time is no sign of a slow peer: it may only be that peer's turn to run.
const SLOW_MS: u64 = 1000;

/// A connection that may have to go.
struct Waiting {
    /// So little that closing it frees next to nothing: after all others.
    is_small: bool,
    since_ms: u64,
    id: ConnId,
}

impl<H: Handler> Engine<H> {
    /// Makes room where output is over a limit. To be called after each callback that can queue some, so
    /// that the limits are exceeded by what one callback makes, not by what a turn does.
    pub(in crate::reactor) fn relieve<W: Transport>(&mut self, links: &mut Links<W>) {
        if self.core.needs_relief() {
            self.flush_suspects(links);
            self.flush_some(links);
            self.close_slowest(links);
            self.close_closing();
            self.core.relieved();
        }
    }

    /// Writes until the socket takes no more, whatever is known of it: an event may be on its way.
    fn flush_fully<W: Transport>(&mut self, id: ConnId, links: &mut Links<W>) {
        let Some(Some(link)) = links.get_mut(id.index()) else {
            return;
        };
        loop {
            let before = match self.core.state(id) {
                Some(state) if !matches!(state.phase, Phase::Connect | Phase::Reap) => {
                    state.queued_bytes()
                }
                _ => return,
            };
            if before == 0 {
                return;
            }
            self.is_probing = true;
            link.writable = self.flush(id, &mut link.wire) == Readiness::Kept;
            self.is_probing = false;
            if !link.writable || self.core.queued_bytes(id) >= before {
                return;
            }
        }
    }

    /// Those over their own limit are closed if they are still, with their sockets full.
    fn flush_suspects<W: Transport>(&mut self, links: &mut Links<W>) {
        for id in std::mem::take(&mut self.core.suspects) {
            self.flush_fully(id, links);
            let max = self.core.config.output_bytes_max;
            if let Some(state) = self.core.state(id)
                && state.overflow == Overflow::Suspected
            {
                state.overflow = Overflow::None;
                if state.queued_bytes() > max {
                    self.core.overflow(id);
                }
            }
        }
    }

    /// Writes to one connection after the other until there is room again.
    fn flush_some<W: Transport>(&mut self, links: &mut Links<W>) {
        let max = self.core.config.output_bytes_max_total;
        if !self.core.is_crowded() {
            return;
        }
        let mut dirty = std::mem::take(&mut self.core.dirty);
        let mut done = 0;
        for id in &dirty {
            // With some to spare, so that the next callback does not lead here again.
            if self.core.queued_bytes_total() <= max - max / 4 {
                break;
            }
            done += 1;
            let Some(state) = self.core.state(*id) else {
                continue;
            };
            state.dirty = false;
            if matches!(links.get(id.index()), Some(Some(link)) if link.writable) {
                self.flush_fully(*id, links);
            }
        }
        dirty.drain(..done);
        dirty.append(&mut self.core.dirty);
        self.core.dirty = dirty;
    }

    /// Closes those whose output has waited longest, as many as it takes. Who keeps up is not among them
    /// unless there is a quarter too much.
    fn close_slowest<W: Transport>(&mut self, links: &mut Links<W>) {
        if !self.core.is_crowded() {
            return;
        }
        let now_ms = self.core.now_ms();
        let max = self.core.config.output_bytes_max_total;
        let far_over = max.saturating_add(max / 4);
        let (waiting, mut leaving) = self.survey();
        for Waiting { since_ms, id, .. } in waiting {
            let over = |total: usize, leaving: usize| total.saturating_sub(leaving);
            let held = over(self.core.queued_bytes_total(), leaving);
            if held <= max {
                return;
            }
            let is_slow = now_ms.saturating_sub(since_ms) >= SLOW_MS;
            if !is_slow && held <= far_over {
                continue;
            }
            self.flush_fully(id, links);
            let held = over(self.core.queued_bytes_total(), leaving);
            let Some(state) = self.core.state(id) else {
                continue;
            };
            let is_stuck = state.waiting_since_ms().unwrap_or(now_ms) <= since_ms;
            if state.queued_bytes() > 0 && held > max && (is_stuck || held > far_over) {
                self.core.overflow(id);
                let state = self.core.state(id);
                leaving += state.map_or(0, |state| state.private_output_bytes());
            }
        }
    }

    /// All that have output, those that have waited longest first, and how much is with those that are
    /// about to go.
    fn survey(&self) -> (Vec<Waiting>, usize) {
        let now_ms = self.core.now_ms();
        let mut leaving = 0;
        let mut waiting = Vec::new();
        for (index, state) in &self.core.states {
            let queued = state.queued_bytes();
            let is_leaving = matches!(state.overflow, Overflow::Due | Overflow::Told);
            if is_leaving || state.phase == Phase::Reap {
                leaving += state.private_output_bytes();
            } else if queued > 0
                && let Some(id) = self.core.id_at(index)
            {
                waiting.push(Waiting {
                    is_small: queued <= CROWDED_MARK_BYTES,
                    since_ms: state.waiting_since_ms().unwrap_or(now_ms),
                    id,
                });
            }
        }
        waiting.sort_by_key(|one| (one.is_small, one.since_ms));
        (waiting, leaving)
    }

    /// Closes connections that were told to go where output is half as much again as the limit.
    fn close_closing(&mut self) {
        let max = self.core.config.output_bytes_max_total;
        let mut total = self.core.queued_bytes_total();
        if total / 3 <= max / 2 {
            return;
        }
        let mut told = Vec::new();
        for (index, state) in &self.core.states {
            if state.overflow == Overflow::Told && state.phase != Phase::Reap {
                let since_ms = state.waiting_since_ms();
                told.push((since_ms, state.private_output_bytes(), index));
            }
        }
        told.sort_unstable_by_key(|(since_ms, ..)| *since_ms);
        for (_, private, index) in told {
            if total / 3 <= max / 2 {
                return;
            }
            if let Some(id) = self.core.id_at(index) {
                self.core.kill(id, CloseReason::OutputOverflow);
                total = total.saturating_sub(private);
            }
        }
    }
}
