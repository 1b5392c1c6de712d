//! What comes ahead of everything else: a word of a proxy about its client.

use super::Engine;
use crate::invariant::part;
use crate::reactor::channel::{Channel, NEVER, Phase, ms};
use crate::reactor::core::Core;
use crate::reactor::{CloseReason, ConnId, Handler, Preface};

/// The most that is kept until it can be told what it is.
const PREFACE_BYTES_MAX: usize = 16 * 1024;
/// The most that is dropped as it comes, behind what has told what it is.
const DROPPED_BYTES_MAX: usize = 65_535;

impl<H: Handler> Engine<H> {
    /// Shows the first `len` bytes that were read to the handler, if they are the first of the
    /// connection and it wants to see them. Returns how many there are to go on with, at the front of
    /// the buffer; `None`: none yet, or never.
    pub(super) fn pass_preface(&mut self, id: ConnId, len: usize) -> Option<usize> {
        let channel = self.core.channel(id)?;
        if !channel.awaits_preface {
            return Some(len);
        }
        if channel.held().is_some_and(|held| held.preface_left > 0) {
            return self.drop_preface(id, 0, len);
        }
        let is_secure = is_secure(channel);
        let outcome = self.guard_conn(id, |handler, cx, conn, buffers| {
            let buffer = match is_secure {
                #[cfg(feature = "tls")]
                true => &*buffers.cipher,
                _ => buffers.plain.as_slice(),
            };
            let input = part(buffer, ..len);
            handler.preface(cx, conn, input)
        })?;
        let core = &mut self.core;
        match outcome {
            Preface::Passed(used) if used <= len => self.drop_preface(id, used, len),
            Preface::Passed(used) if used - len <= DROPPED_BYTES_MAX => {
                let Core { channels, pool, .. } = core;
                channels.get_mut(id.index())?.hold(pool).preface_left = used - len;
                self.drop_preface(id, len, len)
            }
            Preface::Passed(_) => {
                core.kill(id, CloseReason::InputOverflow);
                None
            }
            Preface::Refused => {
                core.kill(id, CloseReason::Closed);
                None
            }
            Preface::Incomplete if len > PREFACE_BYTES_MAX => {
                core.kill(id, CloseReason::InputOverflow);
                None
            }
            Preface::Incomplete => {
                core.time_preface(id);
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
    /// Returns how many are left, as [`Engine::pass_preface`] does.
    fn drop_preface(&mut self, id: ConnId, used: usize, len: usize) -> Option<usize> {
        let Self { core, buffers, .. } = self;
        let channel = core.channel(id)?;
        let held = channel.held_mut();
        let (dropped, left) = held.map_or((0, 0), |held| {
            let dropped = (len - used).min(held.preface_left);
            held.preface_left -= dropped;
            (dropped, held.preface_left)
        });
        if left > 0 {
            core.time_preface(id);
            self.keep_tail(id, 0..0);
            return None;
        }
        channel.awaits_preface = false;
        if channel.phase == Phase::Open && !channel.over_mark {
            channel.engine_due_ms = NEVER;
        }
        let buffer = match is_secure(channel) {
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

impl Core {
    /// The rest of a preface is to come in the time of a handshake, where that does not run already.
    fn time_preface(&mut self, id: ConnId) {
        let due_ms = self.now_ms() + ms(self.config.handshake_timeout);
        if let Some(channel) = self.channel(id)
            && channel.phase == Phase::Open
            && channel.engine_due_ms == NEVER
        {
            channel.engine_due_ms = due_ms;
            self.arm(id);
        }
    }
}

#[cfg(feature = "tls")]
fn is_secure(channel: &Channel) -> bool {
    channel.tls.is_some()
}

#[cfg(not(feature = "tls"))]
fn is_secure(_: &Channel) -> bool {
    false
}
