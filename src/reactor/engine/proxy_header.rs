//! PROXY headers, which come ahead of everything else.

use super::Engine;
use crate::invariant::part;
use crate::reactor::conn_state::{ConnState, NEVER, Phase, ms};
use crate::reactor::conn_table::ConnTable;
use crate::reactor::{CloseReason, ConnId, Handler, ProxyHeaderOutcome};

/// The most that is kept until it can be told what it is.
const PREFACE_BYTES_MAX: usize = 16 * 1024;
/// The most that is dropped as it comes, behind what has told what it is.
const DROPPED_BYTES_MAX: usize = 65_535;

impl<H: Handler> Engine<H> {
    /// Shows the first `len` bytes that were read to the handler, if they are the first of the
    /// connection and it wants to see them. Returns how many there are to go on with, at the front of
    /// the buffer; `None`: none yet, or never.
    pub(super) fn skip_proxy_header(&mut self, id: ConnId, len: usize) -> Option<usize> {
        let state = self.core.state(id)?;
        if !state.expects_proxy_header {
            return Some(len);
        }
        if state.held().is_some_and(|held| held.proxy_header_left > 0) {
            return self.drop_proxy_header(id, 0, len);
        }
        let is_secure = is_secure(state);
        let outcome = self.guard_conn(id, |handler, cx, conn, buffers| {
            let buffer = match is_secure {
                #[cfg(feature = "tls")]
                true => &*buffers.cipher,
                _ => buffers.plain.as_slice(),
            };
            let input = part(buffer, ..len);
            handler.proxy_header(cx, conn, input)
        })?;
        let core = &mut self.core;
        match outcome {
            ProxyHeaderOutcome::Passed(used) if used <= len => {
                self.drop_proxy_header(id, used, len)
            }
            ProxyHeaderOutcome::Passed(used) if used - len <= DROPPED_BYTES_MAX => {
                let ConnTable { states, pool, .. } = core;
                states.get_mut(id.index())?.hold(pool).proxy_header_left = used - len;
                self.drop_proxy_header(id, len, len)
            }
            ProxyHeaderOutcome::Passed(_) => {
                core.kill(id, CloseReason::InputOverflow);
                None
            }
            ProxyHeaderOutcome::Refused => {
                core.kill(id, CloseReason::Closed);
                None
            }
            ProxyHeaderOutcome::Incomplete if len > PREFACE_BYTES_MAX => {
                core.kill(id, CloseReason::InputOverflow);
                None
            }
            ProxyHeaderOutcome::Incomplete => {
                core.time_proxy_header(id);
                match is_secure {
                    #[cfg(feature = "tls")]
                    true => self.keep_cipher(id, 0..len),
                    _ => self.keep_tail(id, 0..len),
                }
                None
            }
        }
    }

    /// Drops the first `used` of `len` bytes that were read, and what is still to be dropped of the others.
    /// Returns how many are left, as [`Engine::skip_proxy_header`] does.
    fn drop_proxy_header(&mut self, id: ConnId, used: usize, len: usize) -> Option<usize> {
        let Self { core, buffers, .. } = self;
        let state = core.state(id)?;
        let held = state.held_mut();
        let (dropped, left) = held.map_or((0, 0), |held| {
            let dropped = (len - used).min(held.proxy_header_left);
            held.proxy_header_left -= dropped;
            (dropped, held.proxy_header_left)
        });
        if left > 0 {
            core.time_proxy_header(id);
            self.keep_tail(id, 0..0);
            return None;
        }
        state.expects_proxy_header = false;
        if state.phase == Phase::Open && !state.above_high_water {
            state.engine_due_ms = NEVER;
        }
        let buffer = match is_secure(state) {
            #[cfg(feature = "tls")]
            true => &mut *buffers.cipher,
            _ => buffers.plain.as_mut_slice(),
        };
        let used = used + dropped;
        buffer.copy_within(used..len, 0);
        if used == len {
            self.keep_tail(id, 0..0);
            return None;
        }
        Some(len - used)
    }
}

impl ConnTable {
    /// The rest of a preface is to come in the time of a handshake, where that does not run already.
    fn time_proxy_header(&mut self, id: ConnId) {
        let due_ms = self.now_ms() + ms(self.config.handshake_timeout);
        if let Some(state) = self.state(id)
            && state.phase == Phase::Open
            && state.engine_due_ms == NEVER
        {
            state.engine_due_ms = due_ms;
            self.arm(id);
        }
    }
}

#[cfg(feature = "tls")]
fn is_secure(state: &ConnState) -> bool {
    state.tls.is_some()
}

#[cfg(not(feature = "tls"))]
fn is_secure(_: &ConnState) -> bool {
    false
}
