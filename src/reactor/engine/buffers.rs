//! The buffers all connections of a reactor share.

use crate::invariant::part_mut;
#[cfg(feature = "tls")]
use crate::proto::tls::{RECORD_OVERHEAD_BYTES_MAX, RECORD_PLAINTEXT_BYTES_MAX};
use crate::reactor::ReactorConfig;
use crate::reactor::conn_state::ConnState;

/// The buffers all connections share: each is used within one call and empty between calls.
pub(super) struct ScratchBuffers {
    /// Input for the handler: what it left over last time, then what came now.
    pub(super) plain: Vec<u8>,
    /// TLS records as they were read.
    #[cfg(feature = "tls")]
    pub(super) cipher: Box<[u8]>,
    /// Bytes of one write.
    #[cfg(feature = "tls")]
    pub(super) out: Box<[u8]>,
    /// Small frames on their way into one TLS record.
    #[cfg(feature = "tls")]
    pub(super) record: Vec<u8>,
}

impl ScratchBuffers {
    pub(super) fn new(config: &ReactorConfig) -> Self {
        #[cfg(feature = "tls")]
        let zeroed = |len: usize| vec![0; len].into_boxed_slice();
        // Room for a handshake message in pieces (RFC 8446 §4), or for most of a record.
        let read_bytes = config.read_bytes.max(32 * 1024);
        Self {
            plain: vec![0; config.tail_bytes_max + read_bytes],
            #[cfg(feature = "tls")]
            cipher: zeroed(read_bytes),
            #[cfg(feature = "tls")]
            out: zeroed(sealed_bytes(config.write_bytes)),
            #[cfg(feature = "tls")]
            record: Vec::with_capacity(RECORD_PLAINTEXT_BYTES_MAX),
        }
    }
}

/// Room for so much plaintext in full records, and no less than two of them: what lies in pieces of
/// that size is then written in as few calls as it can be.
#[cfg(feature = "tls")]
fn sealed_bytes(plain_bytes: usize) -> usize {
    let records = plain_bytes.div_ceil(RECORD_PLAINTEXT_BYTES_MAX).max(2);
    records * (RECORD_PLAINTEXT_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX)
}

/// Moves what the handler left to the front of the input buffer, behind which `more` bytes have room; returns
/// how much that is.
pub(super) fn take_tail(state: &mut ConnState, plain: &mut Vec<u8>, more: usize) -> usize {
    let len = state.held().map_or(0, |held| held.plain.len());
    // The handler may have raised `tail_bytes_max` or `read_bytes` since the buffer was made.
    if plain.len() < len + more {
        plain.resize(len + more, 0);
    }
    let Some(held) = state.held_mut() else {
        return 0;
    };
    part_mut(plain, ..len).copy_from_slice(&held.plain);
    held.plain.clear();
    len
}
