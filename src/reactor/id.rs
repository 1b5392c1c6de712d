//! Connection identifiers, and their packing into a [`mio::Token`].

use std::fmt;

use mio::Token;

/// Names one connection of one reactor, for as long as the reactor lives.
///
/// An id is an index into the reactor's tables and a generation. The index is used again after
/// the connection closed, the generation is not: a late answer addressed to a closed connection
/// is dropped instead of reaching whoever came after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    index: u32,
    generation: u32,
}

impl ConnId {
    /// No connection: the id callbacks see when they run on behalf of none.
    pub const NONE: Self = Self {
        index: u32::MAX,
        generation: u32::MAX,
    };

    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    pub(crate) const fn index(self) -> usize {
        self.index as usize
    }

    pub(crate) const fn key(self) -> u32 {
        self.index
    }

    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    pub(crate) fn token(self) -> Token {
        Token(((self.generation as usize) << 32) | self.index as usize)
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is meant")]
    pub(crate) const fn from_token(Token(raw): Token) -> Self {
        Self {
            index: raw as u32,
            generation: (raw >> 32) as u32,
        }
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Source of an epoll event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventSource {
    Mailbox,
    Listener(usize),
    Connection(ConnId),
}

/// Tokens from here up are not connections: generations stay below `GENERATION_END`.
const RESERVED: usize = usize::MAX - 0xffff;
const MAILBOX: usize = usize::MAX;

/// One above the greatest generation given out, so that no connection's token is reserved.
pub(crate) const GENERATION_END: u32 = u32::MAX;

impl EventSource {
    pub(crate) fn token(self) -> Token {
        match self {
            Self::Mailbox => Token(MAILBOX),
            Self::Listener(n) => Token(MAILBOX - 1 - n),
            Self::Connection(id) => id.token(),
        }
    }

    pub(crate) fn from_token(token: Token) -> Self {
        match token.0 {
            MAILBOX => Self::Mailbox,
            raw if raw >= RESERVED => Self::Listener(MAILBOX - 1 - raw),
            _ => Self::Connection(ConnId::from_token(token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        for source in [
            EventSource::Mailbox,
            EventSource::Listener(0),
            EventSource::Listener(7),
            EventSource::Connection(ConnId::new(0, 0)),
            EventSource::Connection(ConnId::new(u32::MAX, GENERATION_END - 1)),
            EventSource::Connection(ConnId::new(19_999, 123_456_789)),
        ] {
            assert_eq!(EventSource::from_token(source.token()), source);
        }
    }
}
