use std::borrow::Cow;
use std::hash::Hash;

use serde::{Serialize, Serializer};

use super::error::ChatError;
use super::inbound::Action;
use super::raw_message::Id;
use super::room::Room;

/// Messages of the server, but for the list of users; times are Unix seconds.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Outbound<'a> {
    System {
        message: &'a str,
    },
    Join {
        username: &'a str,
        timestamp: u64,
    },
    Leave {
        username: &'a str,
        timestamp: u64,
    },
    Message {
        id: Id<'a>,
        username: &'a str,
        message: &'a str,
        timestamp: u64,
        mentions: &'a [Cow<'a, str>],
    },
    MentionNotification {
        from: &'a str,
        message: &'a str,
        timestamp: u64,
    },
    Typing {
        username: &'a str,
    },
    StopTyping {
        username: &'a str,
    },
    PrivateMessage {
        from: &'a str,
        message: &'a str,
        timestamp: u64,
    },
    PrivateTyping {
        from: &'a str,
    },
    PrivateStopTyping {
        from: &'a str,
    },
    Reaction {
        username: &'a str,
        #[serde(rename = "messageId")]
        message_id: &'a Id<'a>,
        emoji: &'a str,
        action: Action,
        timestamp: u64,
        location: &'a str,
    },
    Error {
        code: &'static str,
        #[serde(serialize_with = "as_sentence")]
        message: ChatError,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a Id<'a>>,
        #[serde(rename = "retryAfter", skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        remaining: Option<u32>,
    },
}

impl<'a> Outbound<'a> {
    pub(super) fn error(fault: ChatError, id: Option<&'a Id<'a>>) -> Self {
        let retry_after_s = fault.retry_after_s();
        Self::Error {
            code: fault.code(),
            message: fault,
            id,
            retry_after_s,
            // Refused is only who has nothing left.
            remaining: retry_after_s.map(|_| 0),
        }
    }
}

fn as_sentence<S: Serializer>(fault: &ChatError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(fault)
}

/// The `users` message: everybody online, in no particular order.
#[derive(Debug)]
pub(super) struct UsersJson<'a, K>(pub(super) &'a Room<K>);

impl<K: Copy + Eq + Hash> Serialize for UsersJson<'_, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct MessageJson<L: Serialize> {
            r#type: &'static str,
            users: L,
        }
        MessageJson {
            r#type: "users",
            users: Online(self.0),
        }
        .serialize(serializer)
    }
}

struct Online<'a, K>(&'a Room<K>);

impl<K: Copy + Eq + Hash> Serialize for Online<'_, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct UserJson<'a> {
            username: &'a str,
            #[serde(rename = "isOnline")]
            is_online: bool,
        }
        serializer.collect_seq(self.0.online().map(|username| UserJson {
            username,
            is_online: true,
        }))
    }
}

/// JSON as text, which it always is.
pub(super) fn text(json: &[u8]) -> &str {
    std::str::from_utf8(json).unwrap_or_else(|_| {
        invariant!("JSON is UTF-8");
        ""
    })
}

/// Writes `message` as JSON into `buffer`, whose old content goes.
pub(super) fn json<'b>(message: &impl Serialize, buffer: &'b mut Vec<u8>) -> &'b str {
    buffer.clear();
    let written = serde_json::to_writer(&mut *buffer, message);
    invariant!(written.is_ok(), "text and numbers always go into a Vec");
    text(buffer)
}
