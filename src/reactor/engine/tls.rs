//! TLS between the wire and the handler: records are decrypted in place as they arrive, and
//! output is encrypted when the wire can take it.

use super::{Buffers, Engine, Read1, Readiness, after_read, after_write, read, take_tail, write};
use crate::proto::tls::{RECORD_OVERHEAD_BYTES_MAX, RECORD_PLAINTEXT_BYTES_MAX};
use crate::reactor::channel::{Channel, NEVER, Phase};
use crate::reactor::core::Core;
use crate::reactor::link::Wire;
use crate::reactor::{CloseReason, ConnId, Handler};

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
            if let Some(room) = buffers.cipher.get_mut(..len) {
                room.copy_from_slice(&held.cipher);
            }
            held.cipher.clear();
            len
        });
        let room = buffers.cipher.get_mut(waiting..).unwrap_or_default();
        let room_len = room.len();
        match read(wire, room) {
            Read1::Bytes(count) => {
                self.decrypt(id, waiting + count);
                after_read(count, room_len, closing)
            }
            Read1::Nothing => {
                self.keep_cipher(id, 0..waiting);
                Readiness::Cleared
            }
            // Without close_notify the peer's last record may be missing; what came before it
            // is whole, so it is answered as after a proper end.
            Read1::Eof => {
                self.keep_cipher(id, 0..waiting);
                self.eof(id);
                Readiness::Cleared
            }
            Read1::Failed => {
                core.kill(id, CloseReason::Reset);
                Readiness::Cleared
            }
        }
    }

    /// Decrypts the first `len` bytes of the record buffer and delivers what they held.
    fn decrypt(&mut self, id: ConnId, len: usize) {
        let Self { core, buffers, .. } = self;
        let Core { channels, pool, .. } = core;
        let Some(channel) = channels.get_mut(id.index()) else {
            return;
        };
        let tail = take_tail(channel, &mut buffers.plain);
        let before = channel.queued_bytes();
        let mut spill = std::mem::take(&mut channel.hold(pool).spill);
        let spilled = spill.len();
        let cipher = buffers.cipher.get_mut(..len).unwrap_or_default();
        let plain = buffers.plain.get_mut(tail..).unwrap_or_default();
        let outcome = channel.tls.as_mut().map(|tls| {
            let was_established = tls.is_established();
            let received = tls.receive(cipher, plain, &mut spill);
            (received, !was_established && tls.is_established())
        });
        let has_answer = spill.len() > spilled;
        channel.hold(pool).spill = spill;
        let after = channel.queued_bytes();
        core.account(before, after);
        if has_answer {
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
        let lingers_ms =
            self.core.now_ms() + crate::reactor::core::ms(self.core.config.linger_timeout);
        if let Some(channel) = self.core.channel(id) {
            let before = channel.queued_bytes();
            if let Some(held) = channel.held_mut() {
                held.output.clear();
            }
            channel.phase = Phase::Flush;
            channel.orderly = false;
            channel.handler_due_ms = NEVER;
            channel.engine_due_ms = lingers_ms;
            let after = channel.queued_bytes();
            self.core.account(before, after);
            self.core.arm(id);
            self.core.make_dirty(id);
        }
    }

    fn keep_cipher(&mut self, id: ConnId, range: std::ops::Range<usize>) {
        if range.is_empty() {
            return;
        }
        if range.len() >= self.buffers.cipher.len() {
            // A handshake message that fills the buffer is no handshake of ours.
            self.core.kill(id, CloseReason::Tls);
            return;
        }
        let Core { channels, pool, .. } = &mut self.core;
        if let Some(channel) = channels.get_mut(id.index()) {
            let rest = self.buffers.cipher.get(range).unwrap_or_default();
            channel.hold(pool).cipher.extend_from_slice(rest);
        }
    }

    pub(super) fn write_tls(&mut self, id: ConnId, wire: &mut impl Wire) -> Readiness {
        let Core { channels, pool, .. } = &mut self.core;
        let Some(channel) = channels.get_mut(id.index()) else {
            return Readiness::Cleared;
        };
        channel.hold(pool);
        let Some(len) = encrypt(channel, &mut self.buffers) else {
            self.core.kill(id, CloseReason::Tls);
            return Readiness::Cleared;
        };
        let sealed = self.buffers.out.get(..len).unwrap_or_default();
        if sealed.is_empty() {
            return Readiness::Kept;
        }
        match write(|| wire.write(sealed)) {
            Some(count) => {
                let rest = sealed.get(count..).unwrap_or_default();
                channel.hold(pool).put_back(rest);
                after_write(count, len)
            }
            None => {
                self.core.kill(id, CloseReason::Reset);
                Readiness::Cleared
            }
        }
    }
}

/// Fills the write buffer: first what was encrypted before, then as many records as have room.
///
/// Returns how many bytes it filled, or `None` when TLS cannot go on.
fn encrypt(channel: &mut Channel, buffers: &mut Buffers) -> Option<usize> {
    let ends = channel.phase == Phase::Flush && channel.orderly;
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
        if room.len() < RECORD_PLAINTEXT_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX {
            return Some(len);
        }
        let front = held.output.front();
        let is_whole = front.len() == held.output.len();
        let plain = if is_whole || front.len() >= RECORD_PLAINTEXT_BYTES_MAX {
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
