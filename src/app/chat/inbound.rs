use std::borrow::Cow;

use serde::Serialize;

use super::error::ChatError;
use super::raw_message::{Id, MENTIONS_MAX, RawMessage, RawValue};
use crate::app::validation;

/// Characters of an `id`, a `messageId`, a room or a user's name.
const NAME_CHARS_MAX: usize = 64;
/// Bytes of a reaction's emoji, which may be several code points joined into one picture.
const EMOJI_BYTES_MAX: usize = 32;
/// Default location of a reaction.
const DEFAULT_LOCATION: &str = "group:General";

/// Message of a client that keeps every rule of the protocol.
#[derive(Debug, PartialEq)]
pub(super) enum Inbound<'a> {
    Join,
    Leave,
    Typing {
        stopped: bool,
    },
    Message {
        id: Option<Id<'a>>,
        text: Cow<'a, str>,
        mentions: Vec<Cow<'a, str>>,
    },
    PrivateMessage {
        to: Cow<'a, str>,
        text: Cow<'a, str>,
    },
    PrivateTyping {
        to: Cow<'a, str>,
        stopped: bool,
    },
    Reaction(Reaction<'a>),
}

#[derive(Debug, PartialEq)]
pub(super) struct Reaction<'a> {
    pub(super) message_id: Id<'a>,
    pub(super) emoji: Cow<'a, str>,
    pub(super) action: Action,
    pub(super) location: Location<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Add,
    Remove,
}

/// Location of a reaction, in the words of the client.
#[derive(Debug, PartialEq)]
pub(super) struct Location<'a>(Cow<'a, str>);

impl Location<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The other one of a private conversation; nobody for a group.
    pub(super) fn peer(&self) -> Option<&str> {
        self.0.strip_prefix("private:")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageKind {
    Join,
    Leave,
    Typing,
    StopTyping,
    Message,
    PrivateMessage,
    PrivateTyping,
    PrivateStopTyping,
    Reaction,
}

/// A message whose `type` is known and whose other members are not looked at yet.
#[derive(Debug)]
pub(super) struct TypedMessage<'a> {
    kind: MessageKind,
    members: RawMessage<'a>,
}

/// The `id` of a message, if it has one that can be sent back.
pub(super) fn id_of<'a>(members: &RawMessage<'a>) -> Option<Id<'a>> {
    id("id", members.id.as_ref()).ok().flatten()
}

impl<'a> TypedMessage<'a> {
    /// Tells by its `type` what the message is.
    pub(super) fn new(members: RawMessage<'a>) -> Result<Self, ChatError> {
        let Some(RawValue::Text(kind)) = &members.kind else {
            return Err(ChatError::NoType);
        };
        let kind = match kind.as_ref() {
            "join" => MessageKind::Join,
            "leave" => MessageKind::Leave,
            "typing" => MessageKind::Typing,
            "stop_typing" => MessageKind::StopTyping,
            "message" => MessageKind::Message,
            "private_message" => MessageKind::PrivateMessage,
            "private_typing" => MessageKind::PrivateTyping,
            "private_stop_typing" => MessageKind::PrivateStopTyping,
            "reaction" => MessageKind::Reaction,
            _ => return Err(ChatError::UnknownType),
        };
        Ok(Self { kind, members })
    }

    pub(super) fn is_join(&self) -> bool {
        self.kind == MessageKind::Join
    }

    /// Checks the members this type of message has.
    pub(super) fn check(self) -> Result<Inbound<'a>, ChatError> {
        let members = self.members;
        Ok(match self.kind {
            MessageKind::Join => Inbound::Join,
            MessageKind::Leave => Inbound::Leave,
            MessageKind::Typing => Inbound::Typing { stopped: false },
            MessageKind::StopTyping => Inbound::Typing { stopped: true },
            MessageKind::Message => Inbound::Message {
                id: id("id", members.id.as_ref())?,
                text: chat_text(members.message)?,
                mentions: mentions(members.mentions)?,
            },
            MessageKind::PrivateMessage => Inbound::PrivateMessage {
                to: user(members.to)?,
                text: chat_text(members.message)?,
            },
            MessageKind::PrivateTyping => Inbound::PrivateTyping {
                to: user(members.to)?,
                stopped: false,
            },
            MessageKind::PrivateStopTyping => Inbound::PrivateTyping {
                to: user(members.to)?,
                stopped: true,
            },
            MessageKind::Reaction => Inbound::Reaction(Reaction {
                message_id: id("messageId", members.message_id.as_ref())?.ok_or(
                    ChatError::Invalid {
                        member: "messageId",
                        rule: "is missing",
                    },
                )?,
                emoji: emoji(members.emoji)?,
                action: action(members.action)?,
                location: location(members.location)?,
            }),
        })
    }
}

fn chat_text(member: Option<RawValue<'_>>) -> Result<Cow<'_, str>, ChatError> {
    let text = text("message", member)?;
    validation::chat_message(&text).map_err(ChatError::Text)?;
    Ok(text)
}

/// Any name a user may be registered under; whether one is online is for the room to say.
fn user(member: Option<RawValue<'_>>) -> Result<Cow<'_, str>, ChatError> {
    let name = text("to", member)?;
    if !is_name(&name) {
        return Err(ChatError::Invalid {
            member: "to",
            rule: "must be the name of a user",
        });
    }
    Ok(name)
}

fn mentions(member: Option<RawValue<'_>>) -> Result<Vec<Cow<'_, str>>, ChatError> {
    let invalid = |rule| ChatError::Invalid {
        member: "mentions",
        rule,
    };
    match member {
        None | Some(RawValue::Null) => Ok(Vec::new()),
        Some(RawValue::List(names)) if names.len() > MENTIONS_MAX => {
            Err(invalid("must not have more than 50 names"))
        }
        Some(RawValue::List(names)) => names
            .into_iter()
            .map(|name| name.filter(|name| is_name(name)))
            .collect::<Option<_>>()
            .ok_or_else(|| invalid("must be a list of names of users")),
        Some(RawValue::Text(_) | RawValue::Number(_) | RawValue::Other) => {
            Err(invalid("must be a list of names of users"))
        }
    }
}

fn emoji(member: Option<RawValue<'_>>) -> Result<Cow<'_, str>, ChatError> {
    let emoji = text("emoji", member)?;
    if emoji.is_empty() || emoji.len() > EMOJI_BYTES_MAX || emoji.contains(char::is_control) {
        let rule = "must have 1 to 32 bytes and no control characters";
        return Err(ChatError::Invalid {
            member: "emoji",
            rule,
        });
    }
    Ok(emoji)
}

fn action(member: Option<RawValue<'_>>) -> Result<Action, ChatError> {
    match text("action", member)?.as_ref() {
        "add" => Ok(Action::Add),
        "remove" => Ok(Action::Remove),
        _ => Err(ChatError::Invalid {
            member: "action",
            rule: "must be \"add\" or \"remove\"",
        }),
    }
}

fn location(member: Option<RawValue<'_>>) -> Result<Location<'_>, ChatError> {
    if let None | Some(RawValue::Null) = member {
        return Ok(Location(Cow::Borrowed(DEFAULT_LOCATION)));
    }
    let location = text("location", member)?;
    let name = location
        .strip_prefix("group:")
        .or_else(|| location.strip_prefix("private:"));
    if !name.is_some_and(is_name) {
        let rule = "must be \"group:<name>\" or \"private:<user>\"";
        return Err(ChatError::Invalid {
            member: "location",
            rule,
        });
    }
    Ok(Location(location))
}

/// An `id` may be left out, which is the same as null.
fn id<'a>(name: &'static str, member: Option<&RawValue<'a>>) -> Result<Option<Id<'a>>, ChatError> {
    match member {
        None | Some(RawValue::Null) => Ok(None),
        Some(RawValue::Number(number)) => Ok(Some(Id::Number(number.clone()))),
        Some(RawValue::Text(text)) if has_name_length(text) => Ok(Some(Id::Text(text.clone()))),
        Some(RawValue::Text(_) | RawValue::List(_) | RawValue::Other) => Err(ChatError::Invalid {
            member: name,
            rule: "must be a string of 1 to 64 characters or a number",
        }),
    }
}

fn text<'a>(name: &'static str, member: Option<RawValue<'a>>) -> Result<Cow<'a, str>, ChatError> {
    match member {
        Some(RawValue::Text(text)) => Ok(text),
        None | Some(RawValue::Null) => Err(ChatError::Invalid {
            member: name,
            rule: "is missing",
        }),
        Some(RawValue::Number(_) | RawValue::List(_) | RawValue::Other) => {
            Err(ChatError::Invalid {
                member: name,
                rule: "must be a string",
            })
        }
    }
}

fn is_name(name: &str) -> bool {
    has_name_length(name) && !name.contains(char::is_control)
}

fn has_name_length(text: &str) -> bool {
    // A character has 4 bytes at most: what is longer than that need not be counted.
    !text.is_empty() && text.len() <= 4 * NAME_CHARS_MAX && text.chars().count() <= NAME_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::validation::RuleError;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Inbound<'_>, ChatError> {
        TypedMessage::new(RawMessage::read(text)?)?.check()
    }

    fn message(text: &str) -> Inbound<'_> {
        Inbound::Message {
            id: None,
            text: text.into(),
            mentions: Vec::new(),
        }
    }

    fn invalid(text: &str) -> (&'static str, &'static str) {
        match read(text) {
            Err(ChatError::Invalid { member, rule }) => (member, rule),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn simple_types() {
        for (kind, inbound) in [
            ("join", Inbound::Join),
            ("leave", Inbound::Leave),
            ("typing", Inbound::Typing { stopped: false }),
            ("stop_typing", Inbound::Typing { stopped: true }),
        ] {
            assert_eq!(read(&format!(r#"{{"type":"{kind}"}}"#)), Ok(inbound));
        }
        assert_eq!(read(r#"{"type":"Join"}"#), Err(ChatError::UnknownType));
        assert_eq!(read(r#"{"type":""}"#), Err(ChatError::UnknownType));
    }

    #[test]
    fn not_json_and_not_an_object() {
        for text in [
            "",
            " ",
            "{",
            "nope",
            r#"{"type":"join"} x"#,
            r#"{"type":"join",}"#,
            "\u{feff}{}",
        ] {
            assert!(
                matches!(read(text), Err(ChatError::NotJson { .. })),
                "{text}: {:?}",
                read(text)
            );
        }
        assert_eq!(
            read("{\"type\":\n?"),
            Err(ChatError::NotJson { line: 2, column: 1 })
        );
        assert!(matches!(
            read(r#"{"type":"\ud800"}"#),
            Err(ChatError::NotJson { .. })
        ));
        for text in ["[]", "1", "null", "true", r#""join""#, r#" ["join"]"#, "[1"] {
            assert_eq!(read(text), Err(ChatError::NotAnObject), "{text}");
        }
    }

    #[test]
    fn a_type_must_be_there_and_be_a_string() {
        for text in [
            "{}",
            r#"{"type":1}"#,
            r#"{"type":null}"#,
            r#"{"type":["join"]}"#,
            r#"{"type":{}}"#,
        ] {
            assert_eq!(read(text), Err(ChatError::NoType), "{text}");
        }
    }

    #[test]
    fn a_member_given_twice_is_refused_and_an_unknown_one_ignored() {
        assert_eq!(
            read(r#"{"type":"join","type":"leave"}"#),
            Err(ChatError::Repeated)
        );
        assert_eq!(
            read(r#"{"type":"join","id":null,"id":1}"#),
            Err(ChatError::Repeated)
        );
        let text = r#" {"x":1,"x":{"y":[{}]},"username":"eve","timestamp":7,"type":"message","message":"a"} "#;
        assert_eq!(read(text), Ok(message("a")));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = "[".repeat(200_000);
        assert!(matches!(
            read(&deep),
            Err(ChatError::NotJson { .. }) | Err(ChatError::NotAnObject)
        ));
        for member in ["x", "mentions", "type", "id"] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let (open, close) = (open.repeat(100_000), close.repeat(100_000));
                let text = format!(r#"{{"type":"join","{member}":{open}0{close}}}"#);
                let verdict = read(&text);
                assert!(
                    matches!(
                        verdict,
                        Ok(Inbound::Join)
                            | Err(ChatError::NotJson { .. }
                                | ChatError::Repeated
                                | ChatError::Invalid { .. })
                    ),
                    "{member}: {verdict:?}"
                );
            }
        }
    }

    #[test]
    fn the_text_of_a_message() {
        let too_long = format!(r#"{{"type":"message","message":"{}"}}"#, "é".repeat(4097));
        assert_eq!(
            read(&too_long),
            Err(ChatError::Text(RuleError::MessageLength))
        );
        assert_eq!(
            read(r#"{"type":"message","message":"a\tb\n\u00e9\r"}"#),
            Ok(message("a\tb\né\r"))
        );
        assert_eq!(invalid(r#"{"type":"message"}"#), ("message", "is missing"));
        assert_eq!(
            invalid(r#"{"type":"message","message":5}"#),
            ("message", "must be a string")
        );
        assert_eq!(
            invalid(r#"{"type":"message","message":["a"]}"#),
            ("message", "must be a string")
        );
    }

    #[test]
    fn ids_are_strings_or_numbers() {
        let id = |json: &str| {
            let text = format!(r#"{{"type":"message","message":"a","id":{json}}}"#);
            match read(&text) {
                Ok(Inbound::Message { id, .. }) => Ok(serde_json::to_string(&id).unwrap()),
                Ok(other) => panic!("{other:?}"),
                Err(fault) => Err(fault),
            }
        };
        let longest = format!("\"{}\"", "ü".repeat(64));
        for json in [
            "7",
            "-7",
            "1.5",
            "18446744073709551615",
            "\"7\"",
            "\"a\\\"b\"",
            "null",
            &longest,
        ] {
            assert_eq!(id(json).as_deref(), Ok(json));
        }
        let too_long = format!("\"{}\"", "ü".repeat(65));
        let rule = "must be a string of 1 to 64 characters or a number";
        for json in ["\"\"", "true", "[]", "{}", &too_long] {
            assert_eq!(
                id(json),
                Err(ChatError::Invalid { member: "id", rule }),
                "{json}"
            );
        }
    }

    #[test]
    fn mentions_are_a_list_of_at_most_50_names() {
        let with = |json: &str| format!(r#"{{"type":"message","message":"a","mentions":{json}}}"#);
        let names = |count: usize| format!("[{}]", vec!["\"ann\""; count].join(","));
        match read(&with(&names(50))) {
            Ok(Inbound::Message { mentions, .. }) => assert_eq!(mentions, vec!["ann"; 50]),
            other => panic!("{other:?}"),
        }
        assert_eq!(read(&with("null")), Ok(message("a")));
        for count in [51, 5000] {
            let text = with(&names(count));
            assert_eq!(
                invalid(&text),
                ("mentions", "must not have more than 50 names")
            );
        }
        for json in [
            "\"ann\"",
            "1",
            "{}",
            "[1]",
            "[\"ann\",null]",
            "[[\"ann\"]]",
            "[\"\"]",
            "[\"a\\n\"]",
        ] {
            assert_eq!(
                invalid(&with(json)),
                ("mentions", "must be a list of names of users"),
                "{json}"
            );
        }
    }

    #[test]
    fn private_types_need_a_recipient() {
        let private = Inbound::PrivateMessage {
            to: "bob".into(),
            text: "hi".into(),
        };
        assert_eq!(
            read(r#"{"type":"private_message","to":"bob","message":"hi"}"#),
            Ok(private)
        );
        let typing = |stopped| {
            Ok(Inbound::PrivateTyping {
                to: "bob".into(),
                stopped,
            })
        };
        assert_eq!(
            read(r#"{"type":"private_typing","to":"bob"}"#),
            typing(false)
        );
        assert_eq!(
            read(r#"{"type":"private_stop_typing","to":"bob"}"#),
            typing(true)
        );
        for kind in ["private_message", "private_typing", "private_stop_typing"] {
            let with = |rest: &str| format!(r#"{{"type":"{kind}","message":"a"{rest}}}"#);
            assert_eq!(invalid(&with("")), ("to", "is missing"));
            assert_eq!(invalid(&with(r#","to":1"#)), ("to", "must be a string"));
            assert_eq!(
                invalid(&with(r#","to":"""#)),
                ("to", "must be the name of a user")
            );
        }
    }

    #[test]
    fn reactions() {
        let with = |rest: &str| format!(r#"{{"type":"reaction",{rest}}}"#);
        let good = r#""messageId":"m1","emoji":"👍","action":"add""#;
        let reaction = |action, location: &'static str| {
            Ok(Inbound::Reaction(Reaction {
                message_id: Id::Text("m1".into()),
                emoji: "👍".into(),
                action,
                location: Location(location.into()),
            }))
        };
        assert_eq!(read(&with(good)), reaction(Action::Add, "group:General"));
        for location in ["group:Cats and dogs", "private:bob"] {
            let text = with(&format!(r#"{good},"location":"{location}""#));
            assert_eq!(read(&text), reaction(Action::Add, location));
        }
        let removed = good.replace("add", "remove");
        assert_eq!(
            read(&with(&removed)),
            reaction(Action::Remove, "group:General")
        );

        for (member, from, to) in [
            ("messageId", "\"m1\"", "null"),
            ("messageId", "\"m1\"", "\"\""),
            ("emoji", "👍", ""),
            ("emoji", "👍", "012345678901234567890123456789012"),
            ("emoji", "👍", "a\\u0000"),
            ("emoji", "\"👍\"", "1"),
            ("action", "add", "toggle"),
            ("action", "\"add\"", "true"),
        ] {
            assert_eq!(invalid(&with(&good.replace(from, to))).0, member, "{to}");
        }
        for location in [
            "\"General\"",
            "\"group:\"",
            "\"private:\"",
            "\"group:a\\u0007\"",
            "3",
            "\"\"",
        ] {
            let text = with(&format!(r#"{good},"location":{location}"#));
            assert_eq!(invalid(&text).0, "location", "{location}");
        }
    }

    #[test]
    fn every_fault_has_a_clear_message() {
        for (text, code, words) in [
            (
                "{",
                "bad_json",
                "the message is not valid JSON (line 1, column 1)",
            ),
            ("7", "bad_json", "the message must be a JSON object"),
            ("{}", "invalid", "`type` must be given and be a string"),
            (
                r#"{"id":1,"id":2}"#,
                "invalid",
                "a member must not be given twice",
            ),
            (
                r#"{"type":"x"}"#,
                "unknown_type",
                "a message of this `type` is not known",
            ),
            (r#"{"type":"message"}"#, "invalid", "`message` is missing"),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!((fault.code(), fault.to_string().as_str()), (code, words));
        }
    }

    proptest! {
        #[test]
        fn any_text_gets_a_verdict(text in any::<String>()) {
            prop_assert!(read(&text).is_err());
        }

        #[test]
        fn what_serde_json_writes_is_read_back(text in "\\PC{1,80}", name in "[\"\\\\a-zé]{1,64}") {
            prop_assume!(!text.trim().is_empty());
            let json = serde_json::json!({"type": "private_message", "to": name, "message": text});
            let private = Inbound::PrivateMessage { to: name.into(), text: text.into() };
            let json = json.to_string();
            prop_assert_eq!(read(&json), Ok(private));
        }
    }
}
