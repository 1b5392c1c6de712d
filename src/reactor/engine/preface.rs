//! What comes ahead of everything else: a word of a proxy about its client.

use super::Engine;
use crate::reactor::{CloseReason, ConnId, Cx, Handler, Preface};

/// The most that is kept until it can be told what it is.
const PREFACE_BYTES_MAX: usize = 16 * 1024;

impl<H: Handler> Engine<H> {
    /// Shows the first `len` bytes that were read to the handler, if they are the first of the
    /// connection and it wants to see them. Returns how many there are to go on with, at the front of
    /// the buffer; `None`: none yet, or never.
    pub(super) fn pass_preface(&mut self, id: ConnId, len: usize) -> Option<usize> {
        let channel = self.core.channel(id)?;
        if !channel.awaits_preface {
            return Some(len);
        }
        #[cfg(feature = "tls")]
        let is_secure = channel.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let is_secure = false;
        let Self {
            core,
            handler,
            conns,
            buffers,
            ..
        } = self;
        let conn = conns.get_mut(id.index()).and_then(Option::as_mut)?;
        let buffer = match is_secure {
            #[cfg(feature = "tls")]
            true => &mut buffers.cipher,
            _ => &mut buffers.plain,
        };
        let input = buffer.get(..len).unwrap_or_default();
        match handler.preface(&mut Cx { core, id }, conn, input) {
            Preface::Passed(used) => {
                let used = used.min(len);
                buffer.copy_within(used..len, 0);
                core.channel(id)?.awaits_preface = false;
                Some(len - used).filter(|rest| *rest > 0)
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
                match is_secure {
                    #[cfg(feature = "tls")]
                    true => self.keep_cipher(id, 0..len),
                    _ => self.keep_tail(id, 0..len),
                }
                None
            }
        }
    }
}
