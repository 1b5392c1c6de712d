use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::error::ChatError;

/// Names in one `mentions` list.
pub(super) const MENTIONS_MAX: usize = 50;

/// The members of a message that mean something, as they were sent. Others are skipped, however
/// deep.
#[derive(Debug, Default)]
pub(super) struct RawMessage<'a> {
    pub(super) kind: Option<RawValue<'a>>,
    pub(super) id: Option<RawValue<'a>>,
    pub(super) message: Option<RawValue<'a>>,
    pub(super) mentions: Option<RawValue<'a>>,
    pub(super) to: Option<RawValue<'a>>,
    pub(super) message_id: Option<RawValue<'a>>,
    pub(super) emoji: Option<RawValue<'a>>,
    pub(super) action: Option<RawValue<'a>>,
    pub(super) location: Option<RawValue<'a>>,
}

/// The value of a member, told apart no further than a rule needs it.
#[derive(Debug)]
pub(super) enum RawValue<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(Number),
    /// A list; `None` stands for what is not a string in it. One more than [`MENTIONS_MAX`] at
    /// most.
    List(Vec<Option<Cow<'a, str>>>),
    Other,
}

impl<'a> RawMessage<'a> {
    /// Reads one JSON object. What is not escaped in it is borrowed.
    pub(super) fn read(text: &'a str) -> Result<Self, ChatError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Self::deserialize(&mut json).and_then(|members| json.end().map(|()| members));
        read.map_err(|error| match error.classify() {
            // The visitor finds fault with two things: what is no map, and a member given twice.
            serde_json::error::Category::Data if is_object(text) => ChatError::Repeated,
            serde_json::error::Category::Data => ChatError::NotAnObject,
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => ChatError::NotJson {
                line: error.line(),
                column: error.column(),
            },
        })
    }

    fn slot(&mut self, name: Name) -> Option<&mut Option<RawValue<'a>>> {
        Some(match name {
            Name::Type => &mut self.kind,
            Name::Id => &mut self.id,
            Name::Message => &mut self.message,
            Name::Mentions => &mut self.mentions,
            Name::To => &mut self.to,
            Name::MessageId => &mut self.message_id,
            Name::Emoji => &mut self.emoji,
            Name::Action => &mut self.action,
            Name::Location => &mut self.location,
            Name::Other => return None,
        })
    }
}

fn is_object(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with('{')
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Name {
    Type,
    Id,
    Message,
    Mentions,
    To,
    MessageId,
    Emoji,
    Action,
    Location,
    #[serde(other)]
    Other,
}

impl<'a> Deserialize<'a> for RawMessage<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadMembers)
    }
}

struct ReadMembers;

impl<'a> Visitor<'a> for ReadMembers {
    type Value = RawMessage<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = RawMessage::default();
        while let Some(name) = map.next_key()? {
            let Some(slot) = members.slot(name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if slot.is_some() {
                return Err(serde::de::Error::custom("repeated"));
            }
            *slot = Some(map.next_value_seed(ReadMember { lists: true })?);
        }
        Ok(members)
    }
}

#[derive(Clone, Copy)]
struct ReadMember {
    lists: bool,
}

impl<'a> DeserializeSeed<'a> for ReadMember {
    type Value = RawValue<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ReadMember {
    type Value = RawValue<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(RawValue::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(RawValue::Other)
    }

    fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
        Ok(RawValue::Number(n.into()))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
        Ok(RawValue::Number(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(n).map_or(RawValue::Other, RawValue::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(RawValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(RawValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while self.lists && items.len() <= MENTIONS_MAX {
            let Some(item) = seq.next_element_seed(Self { lists: false })? else {
                return Ok(RawValue::List(items));
            };
            items.push(match item {
                RawValue::Text(text) => Some(text),
                RawValue::Null | RawValue::Number(_) | RawValue::List(_) | RawValue::Other => None,
            });
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(if self.lists {
            RawValue::List(items)
        } else {
            RawValue::Other
        })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(RawValue::Other)
    }
}

/// The name a client gave to a message: a string or a number, sent back as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Id<'a> {
    Text(Cow<'a, str>),
    Number(Number),
}
