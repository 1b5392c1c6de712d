//! Input that waits for the rest of it, of all connections together: what TLS and handlers leave, and what
//! handlers say they hold themselves.

use super::ConnId;
use super::conn_state::HeldInput;
use super::conn_table::ConnTable;

/// So much each may hold however much the others do: a small request that comes in pieces goes on.
const FREE_BYTES: usize = 4 * 1024;

impl ConnTable {
    /// Notes how much the handler has left. Returns whether there is room for it.
    pub(super) fn hold_tail(&mut self, id: ConnId, bytes: usize) -> bool {
        self.hold(id, |intake| intake.tail = count(bytes))
    }

    /// Notes how much TLS has left, before its handshake is done and after. Returns whether there is room
    /// for it.
    #[cfg(feature = "tls")]
    pub(super) fn hold_cipher(&mut self, id: ConnId, bytes: usize) -> bool {
        self.hold(id, |intake| intake.cipher = count(bytes))
    }

    /// Notes how much the handler holds. Returns whether there is room for it.
    pub(super) fn hold_input(&mut self, id: ConnId, bytes: usize) -> bool {
        self.hold(id, |intake| intake.taken = bytes)
    }

    fn hold(&mut self, id: ConnId, change: impl FnOnce(&mut HeldInput)) -> bool {
        let Some(state) = self.state(id) else {
            return false;
        };
        let before = state.intake.bytes();
        change(&mut state.intake);
        let after = state.intake.bytes();
        self.let_go_of_input(before);
        self.held_input_bytes = self.held_input_bytes.saturating_add(after);
        // Who holds no more than before has not made it too much.
        after <= before.max(FREE_BYTES)
            || self.held_input_bytes <= self.config.input_bytes_max_total
    }

    /// A connection that held so much is gone.
    pub(super) fn let_go_of_input(&mut self, bytes: usize) {
        self.held_input_bytes = self.held_input_bytes.saturating_sub(bytes);
    }
}

/// Converts a length, which is never more than a buffer of the engine.
fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
