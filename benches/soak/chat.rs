//! Well-behaved users of the chat.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::accounts::User;
use crate::net::{Cut, Target, own_address};
use crate::record::{Reader, Record, text};
use crate::socket::Socket;
use crate::tally::{Failure, Op, PATIENCE, Random, Tally, now};

/// Between two things a user does. No 60 seconds have 100 messages in them, the default's limit.
const ACTION_MS: (u64, u64) = (700, 1_500);
/// Time that a user stays.
const SESSION_MS: (u64, u64) = (5_000, 40_000);
/// Time that a user stays away.
const PAUSE_MS: (u64, u64) = (0, 3_000);

/// State that all users share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chat<'a> {
    pub(crate) target: &'a Target,
    pub(crate) tally: &'a Tally,
    pub(crate) record: &'a Record,
    pub(crate) users: &'a [User],
}

/// Writes down what goes to all until `is_over`, which has to be after everybody has left.
pub(crate) fn witness(chat: &Chat<'_>, user: &User, is_ready: &AtomicBool, is_over: &AtomicBool) {
    let watch = || {
        let mut random = Random::new(0);
        let mut socket = Socket::open(chat.target, own_address(2, 2), user, &mut random)?;
        chat.record.witness_joined(&user.name);
        socket.join()?;
        is_ready.store(true, Ordering::Release);
        loop {
            match socket.hear(now() + Duration::from_millis(500))? {
                Some(heard) => chat.record.append(heard)?,
                None if is_over.load(Ordering::Acquire) => return socket.close(),
                None => {}
            }
        }
    };
    if let Err(error) = watch() {
        chat.tally.error("witness", &error);
    }
    is_ready.store(true, Ordering::Release);
}

/// Chats until the end of the run. Users with an even number always leave in order, and only they
/// are sent private messages.
pub(crate) fn run(chat: &Chat<'_>, number: usize, seed: u64) {
    let Some(user) = chat.users.get(number) else {
        return;
    };
    let mut random = Random::new(seed);
    while !chat.tally.is_stopping() {
        let is_abrupt = number % 2 == 1 && random.below(2) == 0;
        let mut life = Random::new(random.next());
        match session(chat, user, number, &mut life, is_abrupt) {
            Ok(()) => chat.tally.add(Op::Session, 1),
            Err(error) => chat.tally.error("chat", &format!("{}: {error}", user.name)),
        }
        thread::sleep(random.millis(PAUSE_MS.0, PAUSE_MS.1));
    }
}

/// From the connection to its end.
fn session(
    chat: &Chat<'_>,
    user: &User,
    number: usize,
    random: &mut Random,
    is_abrupt: bool,
) -> Result<(), Failure> {
    let since = chat.record.len();
    let mut socket = Socket::open(chat.target, own_address(10, number), user, random)?;
    socket.send(&json!({"type": "typing", "id": "early"}))?;
    let rejected = socket.hear_now()?;
    if !rejected.contains("\"not_joined\"") {
        return Err(format!("wanted not_joined, got {rejected}").into());
    }
    let users = socket.join()?;
    let reader = chat.record.reader(&user.name, since, &users)?;
    let mut member = Member {
        chat,
        user,
        socket,
        reader,
        random,
        sent: VecDeque::new(),
        private: Vec::new(),
        mention: None,
        probed: false,
        number: u64::try_from(since)? * 1_000,
    };
    let end = now() + member.random.millis(SESSION_MS.0, SESSION_MS.1);
    while now() < end && !chat.tally.is_stopping() {
        member.listen()?;
        member.act()?;
    }
    member.end(is_abrupt)
}

struct Member<'a> {
    chat: &'a Chat<'a>,
    user: &'a User,
    socket: Socket,
    reader: Reader<'a>,
    random: &'a mut Random,
    /// Messages on their way to all: id and text.
    sent: VecDeque<(String, String)>,
    /// Private messages not refused so far: to whom, and their number.
    private: Vec<(&'a str, u64)>,
    /// The notification that has to come next.
    mention: Option<Value>,
    /// The last thing sent was answered.
    probed: bool,
    /// Of the last message; no two of a user are the same, and later ones are larger.
    number: u64,
}

impl Member<'_> {
    /// Hears what comes until it is time to do something.
    fn listen(&mut self) -> Result<(), Failure> {
        let until = now() + self.random.millis(ACTION_MS.0, ACTION_MS.1);
        // Under a steady stream of messages there is always one more.
        while now() < until {
            let Some(heard) = self.socket.hear(until)? else {
                break;
            };
            self.hear(heard)?;
        }
        let compared = self.reader.compare()?;
        self.chat.tally.add(Op::Received, compared);
        Ok(())
    }

    fn hear(&mut self, heard: String) -> Result<(), Failure> {
        let message: Value = serde_json::from_str(&heard)?;
        let kind = text(&message, "type");
        if let Some(wanted) = self.mention.take() {
            let is_it = kind == "mention_notification"
                && ["from", "message"]
                    .iter()
                    .all(|name| message.get(name) == wanted.get(name));
            return if is_it {
                Ok(())
            } else {
                Err(format!("wanted the notification of {wanted}, got {heard}").into())
            };
        }
        match kind {
            "message" => self.hear_message(&message)?,
            "join" | "leave" | "users" | "typing" | "stop_typing" | "reaction" => {}
            "private_message" => return self.hear_private(&message),
            "private_typing" | "private_stop_typing" => return Ok(()),
            "error" => return self.hear_error(&message),
            _ => return Err(format!("nobody said {heard}").into()),
        }
        self.reader.hear(&message, heard)
    }

    /// One's own comes back as it was sent, and a mention is told of next.
    fn hear_message(&mut self, message: &Value) -> Result<(), Failure> {
        let (from, said) = (text(message, "username"), text(message, "message"));
        if from == self.user.name {
            let (id, wanted) = self.sent.pop_front().ok_or("an own message came twice")?;
            if text(message, "id") != id || said != wanted {
                return Err(format!("wanted own {id}: {wanted}, got {message}").into());
            }
            return Ok(());
        }
        let mentions = message.get("mentions").and_then(Value::as_array);
        if mentions.is_some_and(|names| names.iter().any(|name| *name == self.user.name)) {
            self.mention = Some(json!({"from": from, "message": said}));
        }
        Ok(())
    }

    fn hear_private(&self, message: &Value) -> Result<(), Failure> {
        let (from, said) = (text(message, "from"), text(message, "message"));
        let number = said.split(' ').nth(1).and_then(|word| word.parse().ok());
        let number = number.ok_or_else(|| format!("wanted a number in {message}"))?;
        self.chat.record.received(from, &self.user.name, number);
        Ok(())
    }

    fn hear_error(&mut self, message: &Value) -> Result<(), Failure> {
        let (code, id) = (text(message, "code"), text(message, "id"));
        match (code, id.split_once(' ')) {
            ("unknown_type", None) if id == "probe" => self.probed = true,
            // Who writes or types to somebody who has left.
            ("no_such_user", Some(("private", number))) => {
                let number: u64 = number.parse()?;
                self.private.retain(|(_, sent)| *sent != number);
            }
            ("no_such_user", Some(("typing", _))) => {}
            _ => return Err(format!("refused: {message}").into()),
        }
        Ok(())
    }

    /// Does one of the things users do.
    fn act(&mut self) -> Result<(), Failure> {
        self.number += 1;
        let number = self.number;
        let others = self.chat.users;
        let index = self.random.below(others.len() / 2) * 2;
        let peer = others.get(index).map_or("", |user| user.name.as_str());
        let message = match self.random.below(20) {
            0..10 => return self.say(peer),
            10..14 if peer != self.user.name => {
                self.private.push((peer, number));
                json!({"type": "private_message", "id": format!("private {number}"), "to": peer,
                    "message": format!("psst {number} between us")})
            }
            14 => json!({"type": "private_typing", "id": format!("typing {number}"), "to": peer}),
            15 => {
                json!({"type": "private_stop_typing", "id": format!("typing {number}"), "to": peer})
            }
            16 => json!({"type": "typing"}),
            17 => json!({"type": "stop_typing"}),
            _ => {
                json!({"type": "reaction", "messageId": format!("m{number}"), "emoji": "\u{1F44D}",
                "action": "add", "location": "group:General"})
            }
        };
        self.send(&message)
    }

    /// Says something to all, sometimes to somebody.
    fn say(&mut self, peer: &str) -> Result<(), Failure> {
        let id = format!("{}:{}", self.user.name, self.number);
        // Mostly short, now and then a few KiB.
        let words = match self.random.below(50) {
            0 => 400,
            few => few % 12,
        };
        let said = format!(
            "{id} says \u{201C}hé\u{201D}{}",
            " word \u{1F44B}".repeat(words)
        );
        let mut message = json!({"type": "message", "id": id, "message": said});
        if self.random.below(5) == 0
            && let Some(members) = message.as_object_mut()
        {
            members.insert("mentions".to_owned(), json!([peer]));
        }
        self.send(&json!({"type": "typing"}))?;
        self.sent.push_back((id, said));
        self.send(&message)?;
        self.send(&json!({"type": "stop_typing"}))
    }

    fn send(&mut self, message: &Value) -> Result<(), Failure> {
        self.socket.send(message)?;
        self.chat.tally.add(Op::Sent, 1);
        Ok(())
    }

    /// Leaves in order, or not, once all that was sent has been answered.
    fn end(mut self, is_abrupt: bool) -> Result<(), Failure> {
        if !is_abrupt {
            self.send(&json!({"type": "leave"}))?;
        }
        // Nobody knows this type, and is told so after everything that came before.
        self.send(&json!({"type": "no-such-type", "id": "probe"}))?;
        let deadline = now() + PATIENCE;
        while !self.probed {
            let heard = self.socket.hear(deadline)?;
            let heard = heard.ok_or("wanted an answer to the last message, got nothing")?;
            self.hear(heard)?;
        }
        if let Some((id, _)) = self.sent.front() {
            return Err(format!("own message {id} did not come back").into());
        }
        if let Some(wanted) = &self.mention {
            return Err(format!("wanted the notification of {wanted}, got nothing").into());
        }
        for (to, number) in &self.private {
            self.chat.record.accepted(&self.user.name, to, *number);
        }
        if is_abrupt {
            self.socket.cut(Cut::any(self.random));
        } else {
            self.socket.close()?;
        }
        let compared = self.reader.finish(is_abrupt)?;
        self.chat.tally.add(Op::Received, compared);
        Ok(())
    }
}
