//! The engine's way through TLS: records in, records out.

use std::ops::Range;

use super::attempt::{Attempt, after_read, after_write, read, write};
use super::buffers::{Buffers, take_tail};
use super::{Engine, Readiness};
use crate::invariant::{part, part_mut};
use crate::proto::tls::{PENDING_BYTES_MAX, RECORD_OVERHEAD_BYTES_MAX, RECORD_PLAINTEXT_BYTES_MAX};
use crate::reactor::channel::{Channel, Ending, NEVER, Phase, keep, ms};
use crate::reactor::core::Core;
use crate::reactor::link::Wire;
use crate::reactor::{Cleartext, CloseReason, ConnId, Handler};

impl<H: Handler> Engine<H> {
    pub(super) fn receive_tls(
        &mut self,
        id: ConnId,
        wire: &mut impl Wire,
        closing: bool,
    ) -> Readiness {
        let Self { core, buffers, .. } = self;
        let Some(channel) = core.channel(id) else {
            return Readiness::Cleared;
        };
        let waiting = channel.held_mut().map_or(0, |held| {
            let len = held.cipher.len();
            part_mut(&mut buffers.cipher, ..len).copy_from_slice(&held.cipher);
            held.cipher.clear();
            len
        });
        let room = part_mut(&mut buffers.cipher, waiting..);
        let room_len = room.len();
        match read(wire, room) {
            Attempt::Bytes(count) => {
                core.stats.bytes_in += count as u64;
                if let Some(len) = self.pass_preface(id, waiting + count)
                    && !(self.is_cleartext(id) && self.take_cleartext(id, len))
                {
                    self.decrypt(id, len);
                }
                after_read(count, room_len, closing)
            }
            Attempt::Nothing => {
                self.keep_cipher(id, 0..waiting);
                Readiness::Cleared
            }
            // Without close_notify the peer's last record may be missing; what came before it
            // is whole, so it is answered as after a proper end.
            Attempt::Eof => {
                self.keep_cipher(id, 0..waiting);
                self.eof(id);
                Readiness::Cleared
            }
            Attempt::Failed => {
                core.kill(id, CloseReason::Reset);
                Readiness::Cleared
            }
        }
    }

    /// Whether what is in the record buffer is where TLS was to begin, and begins with a letter.
    fn is_cleartext(&mut self, id: ConnId) -> bool {
        let is_letter = self
            .buffers
            .cipher
            .first()
            .is_some_and(u8::is_ascii_alphabetic);
        is_letter
            && self
                .core
                .channel(id)
                .is_some_and(|channel| channel.tls.as_ref().is_some_and(|tls| !tls.has_begun()))
    }

    /// Shows the first `len` bytes of the record buffer to the handler as they are. Returns
    /// whether it has taken them on itself.
    fn take_cleartext(&mut self, id: ConnId, len: usize) -> bool {
        let meant_for_tls = self.core.queued_bytes(id);
        let outcome = self.guard_conn(id, |handler, cx, conn, buffers| {
            let input = part(&buffers.cipher, ..len);
            handler.cleartext(cx, conn, input)
        });
        let Some(outcome) = outcome else {
            return true; // it panicked
        };
        match outcome {
            Cleartext::Refused => false,
            Cleartext::Incomplete => {
                self.keep_cipher(id, 0..len);
                true
            }
            Cleartext::Answered => {
                self.go_without_tls(id, meant_for_tls);
                true
            }
        }
    }

    /// Sends what was queued behind the first `meant_for_tls` bytes, unencrypted, and ends.
    fn go_without_tls(&mut self, id: ConnId, meant_for_tls: usize) {
        let Some(channel) = self.core.channel(id) else {
            return;
        };
        if channel.phase != Phase::Handshake {
            return;
        }
        channel.tls = None;
        let before = channel.private_output_bytes();
        if let Some(held) = channel.held_mut() {
            held.output.advance(meant_for_tls);
        }
        let after = channel.private_output_bytes();
        self.core.account(before, after);
        self.core.hold_cipher(id, 0);
        self.core.opened(id);
        self.core.finish(id, None);
    }

    /// Decrypts the first `len` bytes of the record buffer and delivers what they held.
    fn decrypt(&mut self, id: ConnId, len: usize) {
        let Self { core, buffers, .. } = self;
        let Core { channels, pool, .. } = core;
        let Some(channel) = channels.get_mut(id.index()) else {
            return;
        };
        let tail = take_tail(channel, &mut buffers.plain, len);
        let before = channel.private_output_bytes();
        let mut spill = std::mem::take(&mut channel.hold(pool).spill);
        let spilled = spill.len();
        let cipher = part_mut(&mut buffers.cipher, ..len);
        let plain = part_mut(&mut buffers.plain, tail..);
        let outcome = channel.tls.as_mut().map(|tls| {
            let was_established = tls.is_established();
            let received = tls.receive(cipher, plain, &mut spill);
            (received, !was_established && tls.is_established())
        });
        let has_answer = spill.len() > spilled;
        channel.hold(pool).spill = spill;
        let after = channel.private_output_bytes();
        core.account(before, after);
        if has_answer {
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
        let Core { channels, pool, .. } = &mut self.core;
        if let Some(channel) = channels.get_mut(id.index()) {
            channel.release(pool);
        }
    }

    fn is_open(&mut self, id: ConnId) -> bool {
        self.core
            .channel(id)
            .is_some_and(|channel| channel.phase == Phase::Open)
    }

    fn established(&mut self, id: ConnId) {
        if let Some(channel) = self.core.channel(id)
            && channel.phase == Phase::Handshake
        {
            self.core.opened(id);
        }
    }

    /// Sends the alert that was written, and nothing else.
    fn fail(&mut self, id: ConnId) {
        let lingers_ms = self.core.now_ms() + ms(self.core.config.linger_timeout);
        if let Some(channel) = self.core.channel(id) {
            let before = channel.private_output_bytes();
            if let Some(held) = channel.held_mut() {
                held.output.clear();
            }
            channel.phase = Phase::Flush;
            channel.ending = Ending::Alert;
            channel.handler_due_ms = NEVER;
            channel.engine_due_ms = lingers_ms;
            let after = channel.private_output_bytes();
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
            .channel(id)
            .is_some_and(|channel| channel.intake.cipher > 0);
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
        let Core { channels, pool, .. } = &mut self.core;
        if let Some(channel) = channels.get_mut(id.index())
            && !range.is_empty()
        {
            let rest = self.buffers.cipher.get(range).unwrap_or_default();
            keep(&mut channel.hold(pool).cipher, rest);
        }
    }

    pub(super) fn write_tls(&mut self, id: ConnId, wire: &mut impl Wire) -> Readiness {
        // What is encrypted and not taken exists for this connection alone, and cannot be dropped.
        let len_max = match self.is_probing || self.core.is_half_full() {
            true => RECORD_PLAINTEXT_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX,
            false => usize::MAX,
        };
        let Core { channels, pool, .. } = &mut self.core;
        let Some(channel) = channels.get_mut(id.index()) else {
            return Readiness::Cleared;
        };
        channel.hold(pool);
        let Some(len) = encrypt(channel, &mut self.buffers, len_max) else {
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
                channel.hold(pool).put_back(rest);
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
fn encrypt(channel: &mut Channel, buffers: &mut Buffers, len_max: usize) -> Option<usize> {
    let ends = channel.phase == Phase::Flush && channel.ending != Ending::Alert;
    let (tls, held) = channel.tls_and_held();
    let (tls, held) = (tls?, held?);
    let Buffers { out, record, .. } = buffers;
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
