//! Limits on what a peer sends.

/// Limits on a peer's messages. Control frames have their own, fixed limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WsLimits {
    /// The largest payload of one frame of a message.
    pub frame_bytes_max: u64,
    /// The largest message, all its fragments together, as it comes and decompressed. Over it
    /// decompression stops.
    pub message_bytes_max: usize,
    /// The largest message that is of use, as it comes and decompressed. One over it is an event without
    /// content, [`WsStep::TooLong`](super::WsStep::TooLong), and the connection goes on: nothing of it is kept, and as soon as it is
    /// over it is not read, so UTF-8 and compression of the rest are not checked. It is only decompressed
    /// further if its window is kept for the next message.
    pub message_bytes_wanted_max: usize,
    /// The most frames one message may come in.
    pub fragments_max: u32,
    /// Bytes of a compressed message that wait as they came before a decompressor is taken for
    /// the rest of the time that it arrives. Text that is not UTF-8 is found that much later.
    pub compressed_bytes_held_max: usize,
}

impl WsLimits {
    /// 1 MiB each, all of it wanted, 4096 frames, and nothing waits.
    pub const DEFAULT: Self = Self {
        frame_bytes_max: 1 << 20,
        message_bytes_max: 1 << 20,
        message_bytes_wanted_max: usize::MAX,
        fragments_max: 4096,
        compressed_bytes_held_max: 0,
    };

    /// The most bytes that are kept of one message.
    #[inline]
    pub(super) const fn bytes_kept_max(&self) -> usize {
        if self.message_bytes_wanted_max < self.message_bytes_max {
            self.message_bytes_wanted_max
        } else {
            self.message_bytes_max
        }
    }
}

impl Default for WsLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
