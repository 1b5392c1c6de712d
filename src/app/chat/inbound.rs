use std::borrow::Cow;

use serde::Serialize;

use super::fault::Fault;
use super::members::{Id, MENTIONS_MAX, Member, Members};
use crate::app::rules;

/// Characters of an `id`, a `messageId`, a room or a user's name.
const NAME_CHARS_MAX: usize = 64;
/// Bytes of a reaction's emoji, which may be several code points joined into one picture.
const EMOJI_BYTES_MAX: usize = 32;
/// Where a reaction belongs if it does not say so.
const DEFAULT_LOCATION: &str = "group:General";

/// What a client wants, with every rule of the protocol kept.
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

/// Where a reaction belongs, in the words of the client.
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
enum Kind {
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
pub(super) struct Draft<'a> {
    kind: Kind,
    members: Members<'a>,
}

/// The `id` of a message, if it has one that can be sent back.
pub(super) fn id_of<'a>(members: &Members<'a>) -> Option<Id<'a>> {
    id("id", members.id.as_ref()).ok().flatten()
}

impl<'a> Draft<'a> {
    /// Tells by its `type` what the message is.
    pub(super) fn new(members: Members<'a>) -> Result<Self, Fault> {
        let Some(Member::Text(kind)) = &members.kind else {
            return Err(Fault::NoType);
        };
        let kind = match kind.as_ref() {
            "join" => Kind::Join,
            "leave" => Kind::Leave,
            "typing" => Kind::Typing,
            "stop_typing" => Kind::StopTyping,
            "message" => Kind::Message,
            "private_message" => Kind::PrivateMessage,
            "private_typing" => Kind::PrivateTyping,
            "private_stop_typing" => Kind::PrivateStopTyping,
            "reaction" => Kind::Reaction,
            _ => return Err(Fault::UnknownType),
        };
        Ok(Self { kind, members })
    }

    pub(super) fn is_join(&self) -> bool {
        self.kind == Kind::Join
    }

    /// Checks the members this type of message has.
    pub(super) fn check(self) -> Result<Inbound<'a>, Fault> {
        let members = self.members;
        Ok(match self.kind {
            Kind::Join => Inbound::Join,
            Kind::Leave => Inbound::Leave,
            Kind::Typing => Inbound::Typing { stopped: false },
            Kind::StopTyping => Inbound::Typing { stopped: true },
            Kind::Message => Inbound::Message {
                id: id("id", members.id.as_ref())?,
                text: chat_text(members.message)?,
                mentions: mentions(members.mentions)?,
            },
            Kind::PrivateMessage => Inbound::PrivateMessage {
                to: user(members.to)?,
                text: chat_text(members.message)?,
            },
            Kind::PrivateTyping => Inbound::PrivateTyping {
                to: user(members.to)?,
                stopped: false,
            },
            Kind::PrivateStopTyping => Inbound::PrivateTyping {
                to: user(members.to)?,
                stopped: true,
            },
            Kind::Reaction => Inbound::Reaction(Reaction {
                message_id: id("messageId", members.message_id.as_ref())?.ok_or(
                    Fault::Invalid {
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

fn chat_text(member: Option<Member<'_>>) -> Result<Cow<'_, str>, Fault> {
    let text = text("message", member)?;
    rules::chat_message(&text).map_err(Fault::Text)?;
    Ok(text)
}

/// Any name a user may be registered under; whether one is online is for the room to say.
fn user(member: Option<Member<'_>>) -> Result<Cow<'_, str>, Fault> {
    let name = text("to", member)?;
    if !is_name(&name) {
        return Err(Fault::Invalid {
            member: "to",
            rule: "must be the name of a user",
        });
    }
    Ok(name)
}

fn mentions(member: Option<Member<'_>>) -> Result<Vec<Cow<'_, str>>, Fault> {
    let invalid = |rule| Fault::Invalid {
        member: "mentions",
        rule,
    };
    match member {
        None | Some(Member::Null) => Ok(Vec::new()),
        Some(Member::List(names)) if names.len() > MENTIONS_MAX => {
            Err(invalid("must not have more than 50 names"))
        }
        Some(Member::List(names)) => names
            .into_iter()
            .map(|name| name.filter(|name| is_name(name)))
            .collect::<Option<_>>()
            .ok_or_else(|| invalid("must be a list of names of users")),
        Some(Member::Text(_) | Member::Number(_) | Member::Other) => {
            Err(invalid("must be a list of names of users"))
        }
    }
}

fn emoji(member: Option<Member<'_>>) -> Result<Cow<'_, str>, Fault> {
    let emoji = text("emoji", member)?;
    if emoji.is_empty() || emoji.len() > EMOJI_BYTES_MAX || emoji.contains(char::is_control) {
        let rule = "must have 1 to 32 bytes and no control characters";
        return Err(Fault::Invalid {
            member: "emoji",
            rule,
        });
    }
    Ok(emoji)
}

fn action(member: Option<Member<'_>>) -> Result<Action, Fault> {
    match text("action", member)?.as_ref() {
        "add" => Ok(Action::Add),
        "remove" => Ok(Action::Remove),
        _ => Err(Fault::Invalid {
            member: "action",
            rule: "must be \"add\" or \"remove\"",
        }),
    }
}

fn location(member: Option<Member<'_>>) -> Result<Location<'_>, Fault> {
    if let None | Some(Member::Null) = member {
        return Ok(Location(Cow::Borrowed(DEFAULT_LOCATION)));
    }
    let location = text("location", member)?;
    let name = location
        .strip_prefix("group:")
        .or_else(|| location.strip_prefix("private:"));
    if !name.is_some_and(is_name) {
        let rule = "must be \"group:<name>\" or \"private:<user>\"";
        return Err(Fault::Invalid {
            member: "location",
            rule,
        });
    }
    Ok(Location(location))
}

/// An `id` may be left out, which is the same as null.
fn id<'a>(name: &'static str, member: Option<&Member<'a>>) -> Result<Option<Id<'a>>, Fault> {
    match member {
        None | Some(Member::Null) => Ok(None),
        Some(Member::Number(number)) => Ok(Some(Id::Number(number.clone()))),
        Some(Member::Text(text)) if has_name_length(text) => Ok(Some(Id::Text(text.clone()))),
        Some(Member::Text(_) | Member::List(_) | Member::Other) => Err(Fault::Invalid {
            member: name,
            rule: "must be a string of 1 to 64 characters or a number",
        }),
    }
}

fn text<'a>(name: &'static str, member: Option<Member<'a>>) -> Result<Cow<'a, str>, Fault> {
    match member {
        Some(Member::Text(text)) => Ok(text),
        None | Some(Member::Null) => Err(Fault::Invalid {
            member: name,
            rule: "is missing",
        }),
        Some(Member::Number(_) | Member::List(_) | Member::Other) => Err(Fault::Invalid {
            member: name,
            rule: "must be a string",
        }),
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
    use crate::app::rules::RuleError;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Inbound<'_>, Fault> {
        Draft::new(Members::read(text)?)?.check()
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
            Err(Fault::Invalid { member, rule }) => (member, rule),
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
        assert_eq!(read(r#"{"type":"Join"}"#), Err(Fault::UnknownType));
        assert_eq!(read(r#"{"type":""}"#), Err(Fault::UnknownType));
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
                matches!(read(text), Err(Fault::NotJson { .. })),
                "{text}: {:?}",
                read(text)
            );
        }
        assert_eq!(
            read("{\"type\":\n?"),
            Err(Fault::NotJson { line: 2, column: 1 })
        );
        assert!(matches!(
            read(r#"{"type":"\ud800"}"#),
            Err(Fault::NotJson { .. })
        ));
        for text in ["[]", "1", "null", "true", r#""join""#, r#" ["join"]"#, "[1"] {
            assert_eq!(read(text), Err(Fault::NotAnObject), "{text}");
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
            assert_eq!(read(text), Err(Fault::NoType), "{text}");
        }
    }

    #[test]
    fn a_member_given_twice_is_refused_and_an_unknown_one_ignored() {
        assert_eq!(
            read(r#"{"type":"join","type":"leave"}"#),
            Err(Fault::Repeated)
        );
        assert_eq!(
            read(r#"{"type":"join","id":null,"id":1}"#),
            Err(Fault::Repeated)
        );
        let text = r#" {"x":1,"x":{"y":[{}]},"username":"eve","timestamp":7,"type":"message","message":"a"} "#;
        assert_eq!(read(text), Ok(message("a")));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = "[".repeat(200_000);
        assert!(matches!(
            read(&deep),
            Err(Fault::NotJson { .. }) | Err(Fault::NotAnObject)
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
                            | Err(Fault::NotJson { .. } | Fault::Repeated | Fault::Invalid { .. })
                    ),
                    "{member}: {verdict:?}"
                );
            }
        }
    }

    #[test]
    fn the_text_of_a_message() {
        let too_long = format!(r#"{{"type":"message","message":"{}"}}"#, "é".repeat(4097));
        assert_eq!(read(&too_long), Err(Fault::Text(RuleError::MessageLength)));
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
                Err(Fault::Invalid { member: "id", rule }),
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
