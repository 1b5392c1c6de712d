//! Work of a turn of the loop after the events are noted, over any transport.

use super::{Engine, Readiness};
use crate::invariant::violations_here;
use crate::reactor::budget::Stage;
use crate::reactor::socket::{Socket, Transport};
use crate::reactor::{CloseReason, ConnId, Handler};

/// The wires, by table index.
pub(in crate::reactor) type Links<W> = Vec<Option<Socket<W>>>;

impl<H: Handler> Engine<H> {
    /// Reads, runs timers, writes, and takes the dead out of the tables, each for its share of the
    /// turn's time. What is left over is first in the next turn.
    pub(in crate::reactor) fn turn<W: Transport>(&mut self, links: &mut Links<W>) {
        self.serve_ready(links);
        self.expire(links);
        self.expire_service();
        self.notify_shutting_down();
        self.relieve(links);
        self.remove_closed(links);
        self.flush_dirty(links);
        self.remove_closed(links);
        self.core.let_back();
    }

    /// Gives each connection of the ready queue its turn, as many as there is time for: one read at
    /// most.
    fn serve_ready<W: Transport>(&mut self, links: &mut Links<W>) {
        self.core.begin_stage(Stage::Read);
        for _ in 0..self.core.ready.len() {
            let Some(id) = self.core.ready.pop_front() else {
                return;
            };
            let Some(state) = self.core.state(id) else {
                continue;
            };
            state.ready = false;
            let before = violations_here();
            if let Some(Some(link)) = links.get_mut(id.index()) {
                self.serve(id, link);
            } else {
                invariant!("{id} is in the tables, so it has a socket");
            }
            self.end_broken(id, before);
            self.relieve(links);
            if !self.core.has_time() {
                return;
            }
        }
    }

    fn serve<W: Transport>(&mut self, id: ConnId, link: &mut Socket<W>) {
        if link.writable {
            self.writable(id, || link.wire.connected());
        }
        self.redeliver(id);
        if link.readable {
            if self.receive(id, &mut link.wire, link.closing) == Readiness::Cleared {
                link.readable = false;
            } else if self.wants_input(id) {
                self.core.make_ready(id);
            } else if self.core.is_crowded() {
                self.core.hold_back(id);
            }
        }
        if link.broken && !(link.readable && self.wants_input(id)) {
            self.core.kill(id, CloseReason::Reset);
        }
    }

    /// Writes once for each connection that has something to write, as many as there is time for.
    fn flush_dirty<W: Transport>(&mut self, links: &mut Links<W>) {
        self.core.begin_stage(Stage::Write);
        let mut flushing = std::mem::take(&mut self.flushing);
        if flushing.is_empty() {
            std::mem::swap(&mut flushing, &mut self.core.dirty);
        } else {
            flushing.append(&mut self.core.dirty);
        }
        let mut done = 0;
        for &id in &flushing {
            done += 1;
            let Some(state) = self.core.state(id) else {
                continue;
            };
            // Where the wire takes nothing now, the event that says it does makes it dirty again.
            state.dirty = false;
            let before = violations_here();
            if let Some(Some(link)) = links.get_mut(id.index()) {
                if link.writable && self.flush(id, &mut link.wire) == Readiness::Cleared {
                    link.writable = false;
                }
            } else {
                invariant!("{id} is in the tables, so it has a socket");
            }
            self.end_broken(id, before);
            self.relieve(links);
            if !self.core.has_time() {
                break;
            }
        }
        flushing.drain(..done);
        self.flushing = flushing;
    }

    /// Takes the dead out of the tables, as many as there is time for; dropping a wire closes it.
    pub(in crate::reactor) fn remove_closed<W: Transport>(&mut self, links: &mut Links<W>) {
        self.core.begin_stage(Stage::Close);
        while let Some((id, reason)) = self.core.dead.pop_front() {
            if self.core.state(id).is_none() {
                continue; // closed and refused by `open`
            }
            if let Some(link) = links.get_mut(id.index()) {
                *link = None;
            } else {
                invariant!("{id} is in the tables, so it has a socket");
            }
            self.reap(id, reason);
            self.relieve(links);
            if !self.core.has_time() {
                return;
            }
        }
    }
}
