//! The message that is still arriving: its bytes so far, in one buffer.

use std::fmt;

use super::utf8::{Decoder, InvalidUtf8};
use super::{Event, frame::Opcode};

/// Holds a buffer only while a message needs it, or while one is lent. Text is kept as a
/// `String`, so that it is validated once, as it comes, and needs no second look at its end.
pub(super) enum Message {
    /// No message is under way; the buffer is empty.
    None(Vec<u8>),
    Text {
        text: String,
        decoder: Decoder,
    },
    Binary(Vec<u8>),
}

impl Message {
    pub(super) const fn new() -> Self {
        Self::None(Vec::new())
    }

    pub(super) const fn is_under_way(&self) -> bool {
        !matches!(self, Self::None(_))
    }

    /// Bytes of it that have arrived.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::None(_) => 0,
            Self::Text { text, decoder } => text.len() + decoder.pending_bytes(),
            Self::Binary(data) => data.len(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.capacity(),
            Self::None(data) | Self::Binary(data) => data.capacity(),
        }
    }

    /// Begins a message with the first frame of it; a continuation goes on with the one there is.
    pub(super) fn begin(&mut self, opcode: Opcode) {
        *self = match opcode {
            Opcode::Text => {
                // The buffer is empty, and nothing is UTF-8.
                let text = String::from_utf8(self.take()).unwrap_or_default();
                Self::Text {
                    text,
                    decoder: Decoder::new(),
                }
            }
            Opcode::Binary => Self::Binary(self.take()),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => return,
        }
    }

    /// Appends what arrived. The buffer grows with what is there, not with what was promised,
    /// and not over `bytes_max`.
    pub(super) fn push(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), InvalidUtf8> {
        match self {
            Self::None(_) => {}
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
            Self::None(_) | Self::Binary(_) => Ok(()),
        }
    }

    /// The finished message.
    pub(super) fn event(&self) -> Event<'_> {
        match self {
            Self::Text { text, .. } => Event::Text(text),
            Self::None(data) | Self::Binary(data) => Event::Binary(data),
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
            Self::None(data) | Self::Binary(data) => data,
        };
        buffer.clear();
        buffer
    }
}

/// What to reserve beyond `length` so that `more` bytes fit: nothing, or as much as doubles the
/// buffer, but no more than the largest message needs.
fn growth(length: usize, capacity: usize, more: usize, bytes_max: usize) -> usize {
    let wanted = length.saturating_add(more);
    if wanted <= capacity {
        return 0;
    }
    wanted.max(capacity.saturating_mul(2).min(bytes_max)) - length
}

impl fmt::Debug for Message {
    /// Says how much there is, not what: logs are no place for what people write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::None(_) => "None",
            Self::Text { .. } => "Text",
            Self::Binary(_) => "Binary",
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
        let mut message = Message::new();
        message.begin(Opcode::Text);
        assert_eq!(message.push(b"secret", 100), Ok(()));
        assert_eq!(format!("{message:?}"), "Text { bytes: 6, capacity: 6 }");
    }
}
