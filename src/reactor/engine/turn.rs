//! What a turn of the loop does after the events are noted, over any kind of wire.

use super::{Engine, Readiness};
use crate::reactor::link::{Link, Wire};
use crate::reactor::{ConnId, Handler};

/// The wires, by table index.
pub(in crate::reactor) type Links<W> = Vec<Option<Link<W>>>;

impl<H: Handler> Engine<H> {
    /// Reads, runs timers, writes, and takes the dead out of the tables.
    pub(in crate::reactor) fn turn<W: Wire>(&mut self, links: &mut Links<W>) {
        self.serve_ready(links);
        self.expire(links);
        self.tell_draining();
        self.relieve(links);
        self.bury(links);
        self.flush_dirty(links);
        self.bury(links);
        self.core.let_back();
    }

    /// Gives each connection of the ready queue its turn: one read at most.
    fn serve_ready<W: Wire>(&mut self, links: &mut Links<W>) {
        for _ in 0..self.core.ready.len() {
            let Some(id) = self.core.ready.pop_front() else {
                return;
            };
            let Some(channel) = self.core.channel(id) else {
                continue;
            };
            channel.ready = false;
            if let Some(Some(link)) = links.get_mut(id.index()) {
                self.serve(id, link);
            }
            self.relieve(links);
        }
    }

    fn serve<W: Wire>(&mut self, id: ConnId, link: &mut Link<W>) {
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
            self.core.kill(id, crate::reactor::CloseReason::Reset);
        }
    }

    /// Writes once for each connection that has something to write.
    fn flush_dirty<W: Wire>(&mut self, links: &mut Links<W>) {
        let mut flushing = std::mem::take(&mut self.flushing);
        std::mem::swap(&mut flushing, &mut self.core.dirty);
        for id in flushing.drain(..) {
            let Some(channel) = self.core.channel(id) else {
                continue;
            };
            // Where the wire takes nothing now, the event that says it does makes it dirty again.
            channel.dirty = false;
            if let Some(Some(link)) = links.get_mut(id.index())
                && link.writable
                && self.flush(id, &mut link.wire) == Readiness::Cleared
            {
                link.writable = false;
            }
            self.relieve(links);
        }
        self.flushing = flushing;
    }

    /// Takes the dead out of the tables; dropping a wire closes it.
    pub(in crate::reactor) fn bury<W: Wire>(&mut self, links: &mut Links<W>) {
        while let Some((id, reason)) = self.core.dead.pop() {
            if self.core.channel(id).is_none() {
                continue; // closed and refused by `open`
            }
            if let Some(link) = links.get_mut(id.index()) {
                *link = None;
            }
            self.reap(id, reason);
            self.relieve(links);
        }
    }
}
