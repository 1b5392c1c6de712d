//! The engine's way through TLS: records in, records out.

use std::ops::Range;

use super::buffers::{ScratchBuffers, take_tail};
use super::read_outcome::{ReadOutcome, after_read, after_write, read, write};
use super::{Engine, Readiness};
use crate::invariant::{part, part_mut};
use crate::proto::tls::{PENDING_BYTES_MAX, RECORD_OVERHEAD_BYTES_MAX, RECORD_PLAINTEXT_BYTES_MAX};
use crate::reactor::conn_state::{ConnState, Ending, NEVER, Phase, keep, ms};
use crate::reactor::conn_table::ConnTable;
use crate::reactor::socket::Transport;
use crate::reactor::{CloseReason, ConnId, Handler, PlaintextOnTls};

impl<H: Handler> Engine<H> {
    pub(super) fn receive_tls(
        &mut self,
        id: ConnId,
        wire: &mut impl Transport,
        closing: bool,
    ) -> Readiness {
        let Self { core, buffers, .. } = self;
        let Some(state) = core.state(id) else {
            return Readiness::Cleared;
        };
        let waiting = state.held_mut().map_or(0, |held| {
            let len = held.cipher.len();
            part_mut(&mut buffers.cipher, ..len).copy_from_slice(&held.cipher);
            held.cipher.clear();
            len
        });
        let room = part_mut(&mut buffers.cipher, waiting..);
        let room_len = room.len();
        match read(wire, room) {
            ReadOutcome::Bytes(count) => {
                core.stats.bytes_in += count as u64;
                if let Some(len) = self.skip_proxy_header(id, waiting + count)
                    && !(self.is_plaintext(id) && self.take_plaintext(id, len))
                {
                    self.decrypt(id, len);
                }
                after_read(count, room_len, closing)
            }
            ReadOutcome::Nothing => {
                self.keep_cipher(id, 0..waiting);
                Readiness::Cleared
            }
            // Without close_notify the peer's last record may be missing; what came before it
            // is whole, so it is answered as after a proper end.
            ReadOutcome::Eof => {
                self.keep_cipher(id, 0..waiting);
                self.eof(id);
                Readiness::Cleared
            }
            ReadOutcome::Failed => {
                core.kill(id, CloseReason::Reset);
                Readiness::Cleared
            }
        }
    }

    /// Returns `true` if what is in the record buffer is where TLS was to begin, and begins with a letter.
    fn is_plaintext(&mut self, id: ConnId) -> bool {
        let is_letter = self
            .buffers
            .cipher
            .first()
            .is_some_and(u8::is_ascii_alphabetic);
        is_letter
            && self
                .core
                .state(id)
                .is_some_and(|state| state.tls.as_ref().is_some_and(|tls| !tls.has_begun()))
    }

    /// Shows the first `len` bytes of the record buffer to the handler as they are. Returns
    /// whether it has taken them on itself.
    fn take_plaintext(&mut self, id: ConnId, len: usize) -> bool {
        let meant_for_tls = self.core.queued_bytes(id);
        let outcome = self.guard_conn(id, |handler, cx, conn, buffers| {
            let input = part(&buffers.cipher, ..len);
            handler.plaintext_on_tls(cx, conn, input)
        });
        let Some(outcome) = outcome else {
            return true; // it panicked
        };
        match outcome {
            PlaintextOnTls::Refused => false,
            PlaintextOnTls::Incomplete => {
                self.keep_cipher(id, 0..len);
                true
            }
            PlaintextOnTls::Answered => {
                self.go_without_tls(id, meant_for_tls);
                true
            }
        }
    }

    /// Sends what was queued behind the first `meant_for_tls` bytes, unencrypted, and ends.
    fn go_without_tls(&mut self, id: ConnId, meant_for_tls: usize) {
        let Some(state) = self.core.state(id) else {
            return;
        };
        if state.phase != Phase::Handshake {
            return;
        }
        state.tls = None;
        let before = state.private_output_bytes();
        if let Some(held) = state.held_mut() {
            held.output.advance(meant_for_tls);
        }
        let after = state.private_output_bytes();
        self.core.account(before, after);
        self.core.hold_cipher(id, 0);
        self.core.opened(id);
        self.core.finish(id, None);
    }

    /// Decrypts the first `len` bytes of the record buffer and delivers what they held.
    fn decrypt(&mut self, id: ConnId, len: usize) {
        let Self { core, buffers, .. } = self;
        let ConnTable { states, pool, .. } = core;
        let Some(state) = states.get_mut(id.index()) else {
            return;
        };
        let tail = take_tail(state, &mut buffers.plain, len);
        let before = state.private_output_bytes();
        let mut spill = std::mem::take(&mut state.hold(pool).spill);
        let spilled = spill.len();
        let cipher = part_mut(&mut buffers.cipher, ..len);
        let plain = part_mut(&mut buffers.plain, tail..);
        let outcome = state.tls.as_mut().map(|tls| {
            let was_established = tls.is_established();
            let received = tls.receive(cipher, plain, &mut spill);
            (received, !was_established && tls.is_established())
        });
        let has_response = spill.len() > spilled;
        state.hold(pool).spill = spill;
        let after = state.private_output_bytes();
        core.account(before, after);
        if has_response {
            // Most often that is a handshake, which takes as long as many requests.
            core.budget.count_heavy();
            // The limits apply to what TLS answers by itself, too.
            let _sent = core.queued(id, 0);
        }
        match outcome {
            Some((Ok(received), established)) => {
                if established {
                    self.established(id);
                }
                self.keep_cipher(id, received.used..len);
                if received.plain > 0 && self.is_open(id) {
                    self.deliver(id, tail + received.plain);
                } else {
                    self.keep_tail(id, 0..tail);
                }
                if received.eof {
                    self.eof(id);
                }
            }
            Some((Err(error), _)) => {
                log::debug!("{id}: TLS: {error}");
                self.fail(id);
            }
            None => {}
        }
        let ConnTable { states, pool, .. } = &mut self.core;
        if let Some(state) = states.get_mut(id.index()) {
            state.release(pool);
        }
    }

    fn is_open(&mut self, id: ConnId) -> bool {
        self.core
            .state(id)
            .is_some_and(|state| state.phase == Phase::Open)
    }

    fn established(&mut self, id: ConnId) {
        if let Some(state) = self.core.state(id)
            && state.phase == Phase::Handshake
        {
            self.core.opened(id);
        }
    }

    /// Sends the alert that was written, and nothing else.
    fn fail(&mut self, id: ConnId) {
        let lingers_ms = self.core.now_ms() + ms(self.core.config.linger_timeout);
        if let Some(state) = self.core.state(id) {
            let before = state.private_output_bytes();
            if let Some(held) = state.held_mut() {
                held.output.clear();
            }
            state.phase = Phase::Flush;
            state.ending = Ending::Alert;
            state.handler_due_ms = NEVER;
            state.engine_due_ms = lingers_ms;
            let after = state.private_output_bytes();
            self.core.account(before, after);
            self.core.hold_cipher(id, 0);
            self.core.arm(id);
            self.core.make_dirty(id);
        }
    }

    /// Keeps that part of the record buffer until more comes: TLS has not used it.
    pub(super) fn keep_cipher(&mut self, id: ConnId, range: Range<usize>) {
        let had_some = self
            .core
            .state(id)
            .is_some_and(|state| state.intake.cipher > 0);
        if had_some || !range.is_empty() {
            self.hold_cipher(id, range);
        }
    }

    fn hold_cipher(&mut self, id: ConnId, range: Range<usize>) {
        if range.len() > PENDING_BYTES_MAX {
            self.core.kill(id, CloseReason::Tls);
            return;
        }
        if !self.core.hold_cipher(id, range.len()) {
            self.core.hold_cipher(id, 0);
            self.core.kill(id, CloseReason::InputOverflow);
            return;
        }
        let ConnTable { states, pool, .. } = &mut self.core;
        if let Some(state) = states.get_mut(id.index())
            && !range.is_empty()
        {
            let rest = self.buffers.cipher.get(range).unwrap_or_default();
            keep(&mut state.hold(pool).cipher, rest);
        }
    }

    pub(super) fn write_tls(&mut self, id: ConnId, wire: &mut impl Transport) -> Readiness {
        // What is encrypted and not taken exists for this connection alone, and cannot be dropped.
        let len_max = match self.is_probing || self.core.is_half_full() {
            true => RECORD_PLAINTEXT_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX,
            false => usize::MAX,
        };
        let ConnTable { states, pool, .. } = &mut self.core;
        let Some(state) = states.get_mut(id.index()) else {
            return Readiness::Cleared;
        };
        state.hold(pool);
        let Some(len) = encrypt(state, &mut self.buffers, len_max) else {
            self.core.kill(id, CloseReason::Tls);
            return Readiness::Cleared;
        };
        let sealed = part(&self.buffers.out, ..len);
        if sealed.is_empty() {
            return Readiness::Kept;
        }
        match write(|| wire.write(sealed)) {
            Some(count) => {
                let rest = part(sealed, count..);
                state.hold(pool).put_back(rest);
                self.core.stats.bytes_out += count as u64;
                after_write(count, len)
            }
            None => {
                self.core.kill(id, CloseReason::Reset);
                Readiness::Cleared
            }
        }
    }
}

/// Fills the write buffer: first what was encrypted before, then as many records as have room, up to
/// `len_max` bytes in all.
///
/// Returns how many bytes it filled, or `None` when TLS cannot go on.
fn encrypt(state: &mut ConnState, buffers: &mut ScratchBuffers, len_max: usize) -> Option<usize> {
    let ends = state.phase == Phase::Flush && state.ending != Ending::Alert;
    let (tls, held) = state.tls_and_held();
    let (tls, held) = (tls?, held?);
    let ScratchBuffers { out, record, .. } = buffers;
    let spill = held.unsent();
    let mut len = spill.len().min(out.len());
    out.get_mut(..len)?.copy_from_slice(spill.get(..len)?);
    held.advance_spill(len);
    if !tls.is_established() || !held.unsent().is_empty() {
        return Some(len);
    }
    while !held.output.is_empty() {
        let room = out.get_mut(len..)?;
        let room_len = room.len().min(len_max.saturating_sub(len));
        if room_len < RECORD_PLAINTEXT_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX {
            return Some(len);
        }
        let front = held.output.front();
        let is_whole = front.len() == held.output.len();
        // A small piece before a large one, as a head is before a file, is a record of its own.
        let is_before_large = held.output.second_len() >= RECORD_PLAINTEXT_BYTES_MAX;
        let plain = if is_whole || is_before_large || front.len() >= RECORD_PLAINTEXT_BYTES_MAX {
            front.get(..RECORD_PLAINTEXT_BYTES_MAX).unwrap_or(front)
        } else {
            record.clear();
            held.output.gather(record, RECORD_PLAINTEXT_BYTES_MAX);
            record.as_slice()
        };
        let sealed = tls.encrypt(&mut held.cipher, plain, room).ok()?;
        let taken = plain.len();
        held.output.advance(taken);
        len += sealed;
    }
    if ends {
        record.clear();
        tls.close(&mut held.cipher, record);
        let end = len + record.len();
        out.get_mut(len..end)?.copy_from_slice(record);
        len = end;
    }
    Some(len)
}
