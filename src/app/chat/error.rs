use std::fmt;

use crate::app::validation::RuleError;

/// Why a message of a client was not accepted. It is told so and the connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChatError {
    /// The text is not JSON; where it stops being so.
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column in bytes.
        column: usize,
    },
    /// The message is longer than any that means something.
    TooLong,
    /// JSON, but not an object.
    NotAnObject,
    /// A member that means something is given twice: readers could differ on which one counts.
    Repeated,
    /// No `type`, or one that is not a string.
    NoType,
    /// A `type` that means nothing here.
    UnknownType,
    /// Something else than `join` before `join`.
    NotJoined,
    /// A member is missing or its value breaks a rule.
    Invalid {
        /// The name of the member.
        member: &'static str,
        /// The rule, to follow the name: `must be a string`.
        rule: &'static str,
    },
    /// The text breaks the rules for messages.
    Text(RuleError),
    /// The one it is for is not online.
    NoSuchUser,
    /// The user has sent too much in the last minute.
    RateLimited {
        /// Whole seconds until there is room, at least 1.
        retry_after_s: u32,
    },
}

impl ChatError {
    /// Error for a binary message: no JSON from its beginning.
    pub const NOT_TEXT: Self = Self::NotJson { line: 1, column: 0 };

    /// The `code` of the `error` message.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotJson { .. } | Self::NotAnObject => "bad_json",
            Self::TooLong
            | Self::Repeated
            | Self::NoType
            | Self::Invalid { .. }
            | Self::Text(_) => "invalid",
            Self::UnknownType => "unknown_type",
            Self::NotJoined => "not_joined",
            Self::NoSuchUser => "no_such_user",
            Self::RateLimited { .. } => "rate_limited",
        }
    }

    pub(super) const fn retry_after_s(self) -> Option<u32> {
        match self {
            Self::RateLimited { retry_after_s } => Some(retry_after_s),
            Self::NotJson { .. }
            | Self::TooLong
            | Self::NotAnObject
            | Self::Repeated
            | Self::NoType
            | Self::UnknownType
            | Self::NotJoined
            | Self::Invalid { .. }
            | Self::Text(_)
            | Self::NoSuchUser => None,
        }
    }
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => {
                write!(
                    f,
                    "the message is not valid JSON (line {line}, column {column})"
                )
            }
            Self::TooLong => f.write_str("a message must not have more than 64 KiB"),
            Self::NotAnObject => f.write_str("the message must be a JSON object"),
            Self::Repeated => f.write_str("a member must not be given twice"),
            Self::NoType => f.write_str("`type` must be given and be a string"),
            Self::UnknownType => f.write_str("a message of this `type` is not known"),
            Self::NotJoined => f.write_str("send {\"type\":\"join\"} first"),
            Self::Invalid { member, rule } => write!(f, "`{member}` {rule}"),
            Self::Text(rule) => rule.fmt(f),
            Self::NoSuchUser => f.write_str("no user of that name is online"),
            Self::RateLimited { retry_after_s } => {
                write!(f, "too many messages, try again in {retry_after_s} s")
            }
        }
    }
}

impl std::error::Error for ChatError {}
