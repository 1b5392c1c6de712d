//! The one place where the handler is called, and where its panics end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Engine;
use super::buffers::ScratchBuffers;
use crate::invariant::violations_here;
use crate::reactor::conn_state::{Ending, Phase};
use crate::reactor::{CloseReason, ConnId, Cx, Handler};

impl<H: Handler> Engine<H> {
    /// Calls the handler about a connection that has a state. `None`: it has none, or the callback
    /// panicked.
    pub(super) fn guard_conn<T>(
        &mut self,
        id: ConnId,
        callback: impl FnOnce(&mut H, &mut Cx<'_>, &mut H::Conn, &mut ScratchBuffers) -> T,
    ) -> Option<T> {
        let call = |handler: &mut H,
                    cx: &mut Cx<'_>,
                    conn: Option<&mut H::Conn>,
                    buffers: &mut ScratchBuffers| {
            conn.map(|conn| callback(handler, cx, conn, buffers))
        };
        self.guard(id, call).flatten()
    }

    /// Calls the handler. `None`: the callback panicked, which has ended the connection.
    pub(super) fn guard<T>(
        &mut self,
        id: ConnId,
        callback: impl FnOnce(&mut H, &mut Cx<'_>, Option<&mut H::Conn>, &mut ScratchBuffers) -> T,
    ) -> Option<T> {
        let Self {
            core,
            handler,
            conns,
            buffers,
            ..
        } = self;
        let conn = conns.get_mut(id.index()).and_then(Option::as_mut);
        // The handler has to cope with what it has left halfway; the tables are put in order below.
        let call = AssertUnwindSafe(|| callback(handler, &mut Cx { core, id }, conn, buffers));
        match catch_unwind(call) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.panicked(id, &*panic);
                None
            }
        }
    }

    /// Ends a connection during whose work an invariant was broken: `before` is
    /// [`violations_here`](crate::invariant::violations_here) when it began.
    pub(super) fn end_broken(&mut self, id: ConnId, before: u64) {
        if violations_here() != before {
            self.core.kill(id, CloseReason::Panicked);
        }
    }

    /// Ends a connection whose callback has panicked, with a last word of the handler if it has one.
    #[cold]
    fn panicked(&mut self, id: ConnId, panic: &(dyn Any + Send)) {
        let first = self.count_panic(id, panic);
        if !first {
            return self.core.kill(id, CloseReason::Panicked);
        }
        let Self {
            core,
            handler,
            conns,
            ..
        } = self;
        if let Some(conn) = conns.get_mut(id.index()).and_then(Option::as_mut) {
            let last = AssertUnwindSafe(|| handler.panicked(&mut Cx { core, id }, conn));
            if let Err(panic) = catch_unwind(last) {
                self.count_panic(id, &*panic);
                return self.core.kill(id, CloseReason::Panicked);
            }
        }
        // Whatever is not on its way out by now has nothing to say.
        let state = self.core.state(id);
        if state.is_some_and(|state| !matches!(state.phase, Phase::Flush | Phase::Linger)) {
            self.core.kill(id, CloseReason::Panicked);
        }
    }

    /// Counts and logs a panic, and puts in order what it has left of the tables. Returns whether the
    /// connection can say something.
    fn count_panic(&mut self, id: ConnId, panic: &(dyn Any + Send)) -> bool {
        self.core.stats.panics += 1;
        let literal = panic.downcast_ref::<&str>().copied();
        let message = literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("(no message)");
        log::error!("{id}: a callback panicked, and ends its connection: {message}");
        let first = self.core.state(id).is_some_and(|state| {
            if let Some(held) = state.held_mut() {
                held.output.drop_empty();
            }
            let before = std::mem::replace(&mut state.ending, Ending::Panicked);
            before == Ending::Orderly && state.phase == Phase::Open
        });
        self.core.recount();
        first
    }
}
