//! The message that is still arriving: its bytes so far, in one buffer.

use std::fmt;

use super::utf8::{Decoder, InvalidUtf8};
use super::{Event, WsError, WsLimits, frame::Opcode};

/// Holds a buffer only while a message needs it, or while one is lent. Text is kept as a
/// `String`, so that it is validated once, as it comes, and needs no second look at its end.
pub(super) enum MessageBuffer {
    /// No message is under way; the buffer is empty.
    None(Vec<u8>),
    Text {
        text: String,
        decoder: Decoder,
    },
    Binary(Vec<u8>),
    /// The start of a compressed message, as it came: while it is small it needs no [`Inflater`] to
    /// itself.
    ///
    /// [`Inflater`]: super::deflate::Inflater
    Held {
        compressed: Vec<u8>,
        opcode: Opcode,
    },
    /// A message over [`Limits::message_bytes_wanted_max`]: what comes of it is kept no more.
    Dropped {
        /// Bytes of it that were decompressed.
        inflated_bytes: usize,
    },
}

impl MessageBuffer {
    pub(super) const fn new() -> Self {
        Self::None(Vec::new())
    }

    pub(super) const fn is_under_way(&self) -> bool {
        !matches!(self, Self::None(_))
    }

    pub(super) const fn is_dropped(&self) -> bool {
        matches!(self, Self::Dropped { .. })
    }

    /// Bytes of it that have arrived.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::None(_) => 0,
            Self::Text { text, decoder } => text.len() + decoder.pending_bytes(),
            Self::Binary(data) => data.len(),
            Self::Held { compressed, .. } => compressed.len(),
            Self::Dropped { inflated_bytes } => *inflated_bytes,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.capacity(),
            Self::None(data)
            | Self::Binary(data)
            | Self::Held {
                compressed: data, ..
            } => data.capacity(),
            Self::Dropped { .. } => 0,
        }
    }

    /// Begins a message with the first frame of it; a continuation goes on with the one there is.
    pub(super) fn begin(&mut self, opcode: Opcode) {
        *self = match opcode {
            Opcode::Text => {
                // The buffer is empty, and nothing is UTF-8.
                let text = String::from_utf8(self.take()).unwrap_or_else(|error| {
                    invariant!("a buffer between two messages is empty: {error}");
                    String::new()
                });
                Self::Text {
                    text,
                    decoder: Decoder::new(),
                }
            }
            Opcode::Binary => Self::Binary(self.take()),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => return,
        }
    }

    /// Begins a compressed message, whose first bytes wait for more.
    pub(super) fn hold(&mut self, opcode: Opcode) {
        *self = Self::Held {
            compressed: self.take(),
            opcode,
        };
    }

    /// Keeps what arrived of a message that waits; `false` when it is too much to wait with, or
    /// the message does not wait.
    pub(super) fn keep(&mut self, piece: &[u8], bytes_max: usize) -> bool {
        let Self::Held { compressed, .. } = self else {
            return false;
        };
        if compressed.len() + piece.len() > bytes_max {
            return false;
        }
        compressed.extend_from_slice(piece);
        true
    }

    /// Ends the wait: gives out what was kept, and begins the message.
    pub(super) fn release(&mut self) -> Option<Vec<u8>> {
        let Self::Held { compressed, opcode } = self else {
            return None;
        };
        let (compressed, opcode) = (std::mem::take(compressed), *opcode);
        *self = Self::new();
        self.begin(opcode);
        Some(compressed)
    }

    /// Appends what was decompressed, up to the largest message. One over what is wanted is dropped, which
    /// is an error, too, unless `goes_on`: then the rest is decompressed, to be counted.
    pub(super) fn push_inflated(
        &mut self,
        piece: &[u8],
        limits: &WsLimits,
        goes_on: bool,
    ) -> Result<(), WsError> {
        if let Self::Dropped { inflated_bytes } = self {
            if goes_on {
                *inflated_bytes = inflated_bytes.saturating_add(piece.len());
                if *inflated_bytes <= limits.message_bytes_max {
                    return Ok(());
                }
            }
            return Err(WsError::MessageTooBig);
        }
        let bytes_max = limits.bytes_kept_max();
        let room = bytes_max.saturating_sub(self.bytes());
        match piece.split_at_checked(room) {
            Some((fits, over)) if !over.is_empty() => {
                self.push(fits, bytes_max)?;
                if bytes_max == limits.message_bytes_max {
                    return Err(WsError::MessageTooBig);
                }
                self.drop_rest();
                self.push_inflated(over, limits, goes_on)
            }
            _ => Ok(self.push(piece, bytes_max)?),
        }
    }

    /// Forgets what there is of the message, its buffer too, and keeps nothing of what comes.
    #[cold]
    pub(super) fn drop_rest(&mut self) {
        if !self.is_dropped() {
            let inflated_bytes = match self {
                Self::Held { .. } => 0,
                _ => self.bytes(),
            };
            *self = Self::Dropped { inflated_bytes };
        }
    }

    /// Appends what arrived. The buffer grows with what is there, not with what was promised,
    /// and not over `bytes_max`.
    pub(super) fn push(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), InvalidUtf8> {
        match self {
            Self::None(_) | Self::Held { .. } | Self::Dropped { .. } => {}
            Self::Text { text, decoder } => {
                let more = piece.len() + decoder.pending_bytes();
                text.reserve_exact(growth(text.len(), text.capacity(), more, bytes_max));
                let decoded = decoder.decode(piece)?;
                text.extend(decoded.joined);
                text.push_str(decoded.text);
            }
            Self::Binary(data) => {
                let extra = growth(data.len(), data.capacity(), piece.len(), bytes_max);
                data.reserve_exact(extra);
                data.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    /// The last frame is in: text may not end within a character.
    pub(super) fn finish(&self) -> Result<(), InvalidUtf8> {
        match self {
            Self::Text { decoder, .. } => decoder.finish(),
            Self::None(_) | Self::Binary(_) | Self::Held { .. } | Self::Dropped { .. } => Ok(()),
        }
    }

    /// The finished message.
    pub(super) fn event(&self) -> Event<'_> {
        match self {
            Self::Text { text, .. } => Event::Text(text),
            Self::None(data)
            | Self::Binary(data)
            | Self::Held {
                compressed: data, ..
            } => Event::Binary(data),
            Self::Dropped { .. } => Event::Binary(&[]),
        }
    }

    /// Forgets the message and keeps its buffer, empty.
    pub(super) fn clear(&mut self) {
        *self = Self::None(self.take());
    }

    /// Forgets the message; its buffer, emptied, goes to the caller.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut buffer = match std::mem::replace(self, Self::new()) {
            Self::Text { text, .. } => text.into_bytes(),
            Self::None(data)
            | Self::Binary(data)
            | Self::Held {
                compressed: data, ..
            } => data,
            Self::Dropped { .. } => Vec::new(),
        };
        buffer.clear();
        buffer
    }
}

/// Bytes to reserve beyond `length` so that `more` bytes fit: none, or as many as double the
/// buffer, but no more than the largest message needs.
fn growth(length: usize, capacity: usize, more: usize, bytes_max: usize) -> usize {
    let wanted = length.saturating_add(more);
    if wanted <= capacity {
        return 0;
    }
    wanted.max(capacity.saturating_mul(2).min(bytes_max)) - length
}

impl fmt::Debug for MessageBuffer {
    /// Says how much there is, not what: logs are no place for what people write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::None(_) => "None",
            Self::Text { .. } => "Text",
            Self::Binary(_) => "Binary",
            Self::Held { .. } => "Held",
            Self::Dropped { .. } => "Dropped",
        };
        f.debug_struct(kind)
            .field("bytes", &self.bytes())
            .field("capacity", &self.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_doubles_up_to_the_largest_message() {
        assert_eq!(growth(0, 0, 10, 100), 10);
        assert_eq!(growth(10, 10, 1, 100), 10);
        assert_eq!(growth(10, 20, 10, 100), 0);
        assert_eq!(growth(60, 60, 1, 100), 40);
        assert_eq!(growth(0, 0, 10, usize::MAX), 10);
    }

    #[test]
    fn debug_output_keeps_the_message_to_itself() {
        let mut message = MessageBuffer::new();
        message.begin(Opcode::Text);
        assert_eq!(message.push(b"secret", 100), Ok(()));
        assert_eq!(format!("{message:?}"), "Text { bytes: 6, capacity: 6 }");
    }
}
