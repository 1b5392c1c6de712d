//! Compression of messages: permessage-deflate (RFC 7692).
//!
//! The agreement of both ends is an [`NegotiatedDeflate`], made of an offer of the client by
//! `agree` on the opening handshake. By default neither side keeps its window
//! between messages, so a [`Deflaters`] compresses for any number of connections, an
//! [`Inflater`] is lent to whichever has a compressed message under way, and one that is idle has
//! neither.
//!
//! With [`Compression::keeps_windows`] each connection has its own from its first compressed
//! message on: about 370 KiB to compress and 55 KiB to decompress at 15 bits, 245 KiB and 55 KiB at
//! 9 bits.

#[cfg(not(feature = "ws"))]
mod none;
#[cfg(feature = "ws")]
mod offer;
#[cfg(feature = "ws")]
mod zlib;

#[cfg(not(feature = "ws"))]
pub use none::{Deflaters, Direction, Inflater, NegotiatedDeflate, WindowBits};
#[cfg(feature = "ws")]
pub use offer::{Direction, NegotiatedDeflate, WindowBits};
#[cfg(feature = "ws")]
pub(super) use offer::{Offer, Offers};
#[cfg(feature = "ws")]
pub use zlib::{Deflaters, Inflater};

#[cfg(not(feature = "ws"))]
pub(super) use none::Deflater;
#[cfg(feature = "ws")]
pub(super) use zlib::Deflater;

/// Approximate memory of an [`Inflater`].
pub(super) const INFLATER_BYTES: usize = 55 << 10;

/// Compression settings of a server, and the offers it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// Messages of fewer bytes are sent as they are.
    pub threshold_bytes: usize,
    /// From 1, which is fast, to 9, which is small.
    pub level: u8,
    /// The largest window either side uses, as a power of two: 8 to 15. Less saves memory where
    /// windows are kept, and compresses worse.
    pub window_bits_max: u8,
    /// `true` if windows are kept from one message to the next, where the client does not mind
    /// (RFC 7692 §7.1.1). What is alike in different messages is then found, and every connection
    /// holds the memory for it. What is sent to many is not compressed then.
    pub keeps_windows: bool,
}

impl Compression {
    /// Messages of 256 bytes and more, fast, without keeping windows.
    pub const DEFAULT: Self = Self {
        threshold_bytes: 256,
        level: 3,
        window_bits_max: 15,
        keeps_windows: false,
    };
}

impl Default for Compression {
    fn default() -> Self {
        Self::DEFAULT
    }
}
