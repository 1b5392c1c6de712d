//! One connection without its socket: phase, TLS, deadlines, and what it holds back.

use std::time::Duration;

use super::output_queue::OutputQueue;
use super::{CloseReason, ReactorConfig};
use crate::invariant::part;
#[cfg(feature = "tls")]
use crate::proto::tls::Tls;

/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;

/// No time will be as late. Above it is what is left of a stretch of time that stands still.
const RESTING: u64 = NEVER / 2 + 1;

/// The longest stretch of time for a deadline: added to any time that is reached it is below `RESTING`.
const STRETCH_MS_MAX: u64 = NEVER / 4;

/// Whole milliseconds, for deadlines.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).map_or(STRETCH_MS_MAX, |ms| ms.min(STRETCH_MS_MAX))
}

/// Phase of a connection's life, named for what is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The kernel's answer to an outbound connect.
    Connect,
    /// The TLS handshake's end.
    Handshake,
    /// Nothing in particular: bytes go both ways.
    Open,
    /// The last queued bytes' way into the kernel.
    Flush,
    /// The peer's own end; what still arrives is dropped.
    Linger,
    /// The end of this turn, when the connection is taken out of the tables.
    Reap,
}

#[derive(Debug)]
pub(super) struct ConnState {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    /// In the ready queue.
    pub(super) ready: bool,
    /// In the list of connections to flush.
    pub(super) dirty: bool,
    /// The handler is to see what comes first, ahead of TLS.
    pub(super) expects_proxy_header: bool,
    /// The handler wants no input.
    pub(super) paused: bool,
    /// The handler left input that it wants to see again without new bytes.
    pub(super) resumed: bool,
    /// The peer's end was seen.
    pub(super) eof: bool,
    /// It was seen, but the handler is not done with what came before it.
    pub(super) eof_waits: bool,
    /// The handler takes no more output for it.
    pub(super) sealed: bool,
    /// The last write left something behind.
    pub(super) is_blocked: bool,
    /// Output went over the mark and has not come down yet.
    pub(super) above_high_water: bool,
    /// The handler wants to hear when all output is gone.
    pub(super) notifies_when_flushed: bool,
    pub(super) overflow: Overflow,
    /// Its reads stopped because all connections together hold too much output.
    pub(super) held_back: bool,
    pub(super) ending: Ending,
    pub(super) handler_due_ms: u64,
    pub(super) engine_due_ms: u64,
    /// When the peer is to have taken what it has to, while output waits; from `RESTING` on, how long it will
    /// have for that once output waits again.
    send_due_ms: u64,
    /// Bytes that are still to be taken.
    send_left: u32,
    /// Input that waits for its rest.
    pub(super) intake: HeldInput,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
    held: Option<Box<ConnBuffers>>,
}

/// Bytes held of a connection's input.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeldInput {
    /// By the handler.
    pub(super) taken: usize,
    /// Here, because the handler has left it.
    pub(super) tail: u32,
    /// Here, because TLS awaits the rest: of a record, or of the handshake's next message.
    pub(super) cipher: u32,
}

impl HeldInput {
    pub(super) fn bytes(self) -> usize {
        let here = self.tail.saturating_add(self.cipher);
        self.taken.saturating_add(here as usize)
    }
}

/// Kind of end of a connection that is flushed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Properly.
    Orderly,
    /// With the alert of a TLS connection that failed.
    #[cfg(feature = "tls")]
    Alert,
    /// With the last words of a handler that has panicked.
    Panicked,
}

/// State of output over the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    None,
    /// There was more at one time: what the socket takes now decides.
    Suspected,
    /// The handler is to hear of it; until then it can write nothing more.
    Due,
    /// It has heard of it. What it writes by then are its last words.
    Told,
}

/// Pace at which a peer takes its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Enough,
    TooSlow,
}

/// Buffers a connection owns while there is something in them.
#[derive(Debug, Default)]
pub(super) struct ConnBuffers {
    /// Plaintext the handler has not consumed.
    pub(super) plain: Vec<u8>,
    /// Bytes that TLS has not used: the start of a record, or of a handshake message.
    pub(super) cipher: Vec<u8>,
    /// Plaintext frames to send.
    pub(super) output: OutputQueue,
    /// Bytes ready for the socket, ahead of `output`: TLS' own messages, and what was
    /// encrypted but not taken by the kernel.
    pub(super) spill: Vec<u8>,
    /// Bytes of `spill` that are sent.
    pub(super) spilled: usize,
    /// When bytes began to wait of which some wait still.
    waiting_since_ms: u64,
    /// Number of those still to go until all of them have gone; 0 while none wait.
    waiting_left: usize,
    /// Number of the socket took since the time for going over the mark began.
    taken: usize,
    /// Bytes of the PROXY header that are still to be dropped.
    pub(super) proxy_header_left: usize,
}

/// Limit on the spare room of buffers while input waits in them.
const SLACK_BYTES_MAX: usize = 1024;
/// The sizes they grow by.
const KEPT_BYTES_STEP: usize = 256;

/// Puts bytes that are to wait into an empty buffer, which has little room for more then.
pub(super) fn keep(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let room = buffer.capacity();
    if room < bytes.len() || room > bytes.len() + SLACK_BYTES_MAX {
        *buffer = Vec::with_capacity(bytes.len().next_multiple_of(KEPT_BYTES_STEP));
    }
    buffer.extend_from_slice(bytes);
}

/// The capacity a pooled buffer may keep.
const POOLED_BYTES_MAX: usize = 16 * 1024;
/// Number of sets of buffers are kept for the next connection that needs one.
const POOL_MAX: usize = 256;

/// Buffers not in use.
#[derive(Debug, Default)]
pub(super) struct BufferPool(
    #[expect(clippy::vec_box, reason = "moved in and out whole")] Vec<Box<ConnBuffers>>,
);

impl ConnBuffers {
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty()
            && self.cipher.is_empty()
            && self.output.is_empty()
            && self.unsent().is_empty()
            && self.proxy_header_left == 0
    }

    /// Bytes that go to the socket before any others.
    pub(super) fn unsent(&self) -> &[u8] {
        part(&self.spill, self.spilled..)
    }

    #[cfg(feature = "tls")]
    pub(super) fn advance_spill(&mut self, count: usize) {
        self.spilled += count;
        if self.spilled >= self.spill.len() {
            self.spill.clear();
            self.spilled = 0;
        }
    }

    /// Takes back the last bytes of what the socket was offered and did not take.
    #[cfg(feature = "tls")]
    pub(super) fn put_back(&mut self, rest: &[u8]) {
        if rest.is_empty() {
        } else if self.unsent().is_empty() {
            keep(&mut self.spill, rest);
        } else {
            // More was waiting than one write holds, so the offer was all from here.
            self.spilled = self.spilled.saturating_sub(rest.len());
        }
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.output.len() + self.unsent().len()
    }

    /// Spare room of its input buffers, in bytes.
    #[cfg(test)]
    pub(super) fn uncounted_bytes(&self) -> usize {
        let buffers = [&self.plain, &self.cipher];
        let rooms = buffers.map(|buffer| buffer.capacity() - buffer.len());
        rooms.into_iter().sum()
    }

    /// Lets go of room that is not used while something waits, and that nobody counts.
    fn trim(&mut self) {
        let has_output = self.queued_bytes() > 0;
        for buffer in [&mut self.plain, &mut self.cipher] {
            if buffer.is_empty() && buffer.capacity() > SLACK_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        if !has_output {
            self.spill = Vec::new();
            self.output.trim();
        }
    }

    /// Bytes of its output that exist for this connection alone.
    fn private_output_bytes(&self) -> usize {
        self.output.private_bytes() + self.unsent().len()
    }

    /// Notes that the socket took `taken` bytes and left `left`.
    fn note_sent(&mut self, taken: usize, left: usize, now_ms: u64) {
        self.taken = self.taken.saturating_add(taken);
        self.waiting_left = self.waiting_left.saturating_sub(taken).min(left);
        if self.waiting_left == 0 {
            self.waiting_left = left;
            self.waiting_since_ms = now_ms;
        }
    }
}

impl ConnState {
    pub(super) fn new(generation: u32, phase: Phase) -> Self {
        Self {
            generation,
            phase,
            ready: false,
            dirty: false,
            expects_proxy_header: false,
            paused: false,
            resumed: false,
            eof: false,
            eof_waits: false,
            sealed: false,
            is_blocked: false,
            above_high_water: false,
            notifies_when_flushed: false,
            overflow: Overflow::None,
            held_back: false,
            ending: Ending::Orderly,
            handler_due_ms: NEVER,
            engine_due_ms: NEVER,
            send_due_ms: NEVER,
            send_left: 0,
            intake: HeldInput::default(),
            #[cfg(feature = "tls")]
            tls: None,
            held: None,
        }
    }

    /// Returns `true` if the handler still has a say.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Connect | Phase::Handshake | Phase::Open)
    }

    /// Returns `true` if bytes may be queued.
    pub(super) fn takes_output(&self) -> bool {
        self.is_live() && !self.sealed && self.overflow != Overflow::Due
    }

    /// Returns `true` if the handler has left input it will come back to.
    pub(super) fn has_unfinished_input(&self) -> bool {
        let comes_back = self.resumed || self.paused || self.above_high_water;
        comes_back && self.held().is_some_and(|held| !held.plain.is_empty())
    }

    /// Why a connection that was finished ended.
    pub(super) fn end_reason(&self) -> CloseReason {
        match self.ending {
            Ending::Orderly => CloseReason::Finished,
            #[cfg(feature = "tls")]
            Ending::Alert => CloseReason::Tls,
            Ending::Panicked => CloseReason::Panicked,
        }
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.handler_due_ms
            .min(self.engine_due_ms)
            .min(if self.is_timed() {
                self.send_due_ms
            } else {
                NEVER
            })
    }

    /// Returns `true` if output waits that the peer is to take.
    fn is_timed(&self) -> bool {
        self.send_due_ms < RESTING
    }

    /// The peer has taken `taken` bytes, and `waiting` still wait. Returns whether a stretch of time
    /// in which it has to take some has just begun, or goes on.
    pub(super) fn sent(
        &mut self,
        taken: usize,
        waiting: usize,
        config: &ReactorConfig,
        now_ms: u64,
    ) -> bool {
        let is_over = waiting == 0 && !self.notifies_when_flushed;
        if is_over || !matches!(self.phase, Phase::Open | Phase::Flush) {
            self.send_due_ms = NEVER;
            return false;
        }
        let taken = u32::try_from(taken).unwrap_or(u32::MAX);
        self.send_left = self.send_left.saturating_sub(taken);
        match (self.is_timed(), waiting) {
            (true, 0) => {
                let rest_ms = self.send_due_ms.saturating_sub(now_ms);
                self.send_due_ms = RESTING.saturating_add(rest_ms);
                false
            }
            (true, _) | (false, 0) => false,
            (false, _) if self.send_due_ms == NEVER => {
                self.expect_sent(config, now_ms);
                true
            }
            (false, _) => {
                self.send_due_ms = now_ms.saturating_add(self.send_due_ms - RESTING);
                true
            }
        }
    }

    /// Returns `true` if the peer has had its time. Another stretch begins then.
    pub(super) fn is_send_due(&mut self, config: &ReactorConfig, now_ms: u64) -> Option<Pace> {
        if self.send_due_ms > now_ms {
            return None;
        }
        let is_slow = self.send_left > 0;
        self.expect_sent(config, now_ms);
        Some(if is_slow { Pace::TooSlow } else { Pace::Enough })
    }

    fn expect_sent(&mut self, config: &ReactorConfig, now_ms: u64) {
        let timeout_ms = ms(config.send_timeout);
        let bytes = u64::from(config.send_bytes_per_second_min).saturating_mul(timeout_ms) / 1000;
        self.send_left = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
        self.send_due_ms = now_ms + timeout_ms;
    }

    pub(super) fn held(&self) -> Option<&ConnBuffers> {
        self.held.as_deref()
    }

    pub(super) fn held_mut(&mut self) -> Option<&mut ConnBuffers> {
        self.held.as_deref_mut()
    }

    pub(super) fn hold(&mut self, pool: &mut BufferPool) -> &mut ConnBuffers {
        self.held
            .get_or_insert_with(|| pool.0.pop().unwrap_or_default())
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls_and_held(&mut self) -> (Option<&mut Tls>, Option<&mut ConnBuffers>) {
        (self.tls.as_mut(), self.held.as_deref_mut())
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.held().map_or(0, ConnBuffers::queued_bytes)
    }

    /// Bytes of its output that exist for this connection alone.
    pub(super) fn private_output_bytes(&self) -> usize {
        self.held().map_or(0, ConnBuffers::private_output_bytes)
    }

    /// Notes what a write left waiting, and for how long that has.
    pub(super) fn note_sent(&mut self, taken: usize, left: usize, now_ms: u64) {
        if let Some(held) = self.held_mut() {
            held.note_sent(taken, left, now_ms);
        }
    }

    /// Number of bytes the socket took since this was last asked.
    pub(super) fn take_taken(&mut self) -> usize {
        self.held_mut()
            .map_or(0, |held| std::mem::take(&mut held.taken))
    }

    /// Since when some of its output has waited; `None` while the socket takes all.
    pub(super) fn waiting_since_ms(&self) -> Option<u64> {
        let held = self.held().filter(|held| held.waiting_left > 0)?;
        Some(held.waiting_since_ms)
    }

    /// Gives empty buffers back.
    pub(super) fn release(&mut self, pool: &mut BufferPool) {
        match self.held_mut() {
            None => return,
            Some(held) if !held.is_empty() => return held.trim(),
            Some(_) => {}
        }
        if let Some(mut held) = self.held.take()
            && pool.0.len() < POOL_MAX
        {
            for buffer in [&mut held.plain, &mut held.cipher, &mut held.spill] {
                if buffer.capacity() > POOLED_BYTES_MAX {
                    *buffer = Vec::new();
                }
            }
            held.taken = 0;
            pool.0.push(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnState;

    #[test]
    fn it_is_small() {
        let bytes = size_of::<ConnState>();
        assert!(bytes <= 88, "{bytes} bytes");
    }
}
