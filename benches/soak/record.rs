//! Messages and receivers of the chat, and the check that each arrived.
//!
//! The server handles one message after the other, so there is one order of all that goes to all.
//! One user, the witness, is online before and after everybody else and writes it down. What any
//! other user hears between their own `join` and `leave` has to be exactly what stands between
//! these two in the record, byte for byte: nothing lost, nothing twice, nothing out of order. Only
//! what users do not hear of themselves (`typing`) is left out. Who is in their first list may have joined
//! right behind them: then that is heard, too.
//!
//! Lists of users come to each at a time of its own. Each has to be what the list before it and the
//! joins and leaves since add up to.
//!
//! Private messages are numbered for each pair, and compared at the end of the run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::tally::{Failure, PATIENCE, lock, now};

/// Events that are kept: those of a quarter of an hour at least.
const EVENTS_MAX: usize = 200_000;

/// State that all users share.
#[derive(Debug, Default)]
pub(crate) struct Record {
    log: Mutex<Log>,
    grown: Condvar,
    pairs: Mutex<HashMap<(String, String), Pair>>,
}

#[derive(Debug, Default)]
struct Log {
    events: VecDeque<Event>,
    /// Number of were forgotten.
    before: usize,
    online: HashSet<String>,
}

#[derive(Debug)]
struct Event {
    kind: Kind,
    who: String,
    text: String,
}

/// Meaning of an event to its own user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Join,
    Leave,
    /// Heard by others only.
    Notice,
    /// Heard by all.
    All,
}

/// The numbers of private messages from one user to another.
#[derive(Debug, Default)]
struct Pair {
    accepted: Vec<u64>,
    received: Vec<u64>,
}

/// Progress of a user's comparison, and the messages not yet compared.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    record: &'a Record,
    name: &'a str,
    at: usize,
    heard: VecDeque<String>,
    /// Users online, as far as the user has heard.
    online: HashSet<String>,
    /// Users in the first list who have not been announced since.
    listed: HashSet<String>,
}

/// The member of a message with this name, if it is text.
pub(crate) fn text<'a>(message: &'a Value, name: &str) -> &'a str {
    message
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl Record {
    /// Number of events there were so far.
    pub(crate) fn len(&self) -> usize {
        let log = lock(&self.log);
        log.before + log.events.len()
    }

    /// The witness heard this.
    pub(crate) fn append(&self, heard: String) -> Result<(), Failure> {
        let message: Value = serde_json::from_str(&heard)?;
        let kind = match text(&message, "type") {
            "join" => Kind::Join,
            "leave" => Kind::Leave,
            "typing" | "stop_typing" => Kind::Notice,
            "message" | "reaction" => Kind::All,
            "users" => return check_users(&lock(&self.log).online, &message),
            _ => return Err(format!("the witness heard {heard}").into()),
        };
        let mut log = lock(&self.log);
        let who = text(&message, "username").to_owned();
        match kind {
            Kind::Join if !log.online.insert(who.clone()) => {
                return Err(format!("{who} joins who was online").into());
            }
            Kind::Leave if !log.online.remove(&who) => {
                return Err(format!("{who} leaves who was not online").into());
            }
            _ => {}
        }
        log.events.push_back(Event {
            kind,
            who,
            text: heard,
        });
        if log.events.len() > EVENTS_MAX {
            log.events.pop_front();
            log.before += 1;
        }
        drop(log);
        self.grown.notify_all();
        Ok(())
    }

    /// The witness itself is online, though nobody tells it.
    pub(crate) fn witness_joined(&self, name: &str) {
        lock(&self.log).online.insert(name.to_owned());
    }

    /// Messages for a user who has joined and got `users`, `since` being a length of the record from
    /// before.
    pub(crate) fn reader<'a>(
        &'a self,
        name: &'a str,
        since: usize,
        users: &str,
    ) -> Result<Reader<'a>, Failure> {
        let online = listed(&serde_json::from_str(users)?)?;
        if !online.contains(name) {
            return Err(format!("{name} is not in {users}").into());
        }
        let at = self.find(Kind::Join, name, since)? + 1;
        Ok(Reader {
            record: self,
            name,
            at,
            heard: VecDeque::new(),
            listed: online.clone(),
            online,
        })
    }

    /// Waits for the `leave` of a user.
    pub(crate) fn await_leave(&self, name: &str, since: usize) -> Result<usize, Failure> {
        self.find(Kind::Leave, name, since)
    }

    fn find(&self, kind: Kind, name: &str, since: usize) -> Result<usize, Failure> {
        let deadline = now() + PATIENCE;
        let mut log = lock(&self.log);
        let mut at = since;
        loop {
            while let Some(event) = log.event(at) {
                if event.kind == kind && event.who == name {
                    return Ok(at);
                }
                at += 1;
            }
            log = self.wait(log, deadline).ok_or_else(|| {
                format!("{kind:?} of {name} was not told to the witness for {PATIENCE:?}")
            })?;
        }
    }

    fn wait<'a>(
        &self,
        log: std::sync::MutexGuard<'a, Log>,
        deadline: Instant,
    ) -> Option<std::sync::MutexGuard<'a, Log>> {
        let left = deadline.checked_duration_since(now())?;
        let waited = self.grown.wait_timeout(log, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// The server did not refuse this private message.
    pub(crate) fn accepted(&self, from: &str, to: &str, number: u64) {
        self.pair(from, to, |pair| pair.accepted.push(number));
    }

    /// This private message came.
    pub(crate) fn received(&self, from: &str, to: &str, number: u64) {
        self.pair(from, to, |pair| pair.received.push(number));
    }

    fn pair(&self, from: &str, to: &str, change: impl FnOnce(&mut Pair)) {
        let mut pairs = lock(&self.pairs);
        change(pairs.entry((from.to_owned(), to.to_owned())).or_default());
    }

    /// Compares the private messages, at the end; gives how many there were.
    pub(crate) fn check_private(&self) -> Result<usize, Failure> {
        let mut count = 0;
        for ((from, to), pair) in &*lock(&self.pairs) {
            let Pair { accepted, received } = pair;
            if accepted != received {
                return Err(format!(
                    "private messages from {from} to {to}: wanted {accepted:?}, got {received:?}"
                )
                .into());
            }
            count += received.len();
        }
        Ok(count)
    }
}

impl Log {
    fn event(&self, at: usize) -> Option<&Event> {
        self.events.get(at.checked_sub(self.before)?)
    }
}

/// The names in a `users` message, none of them twice.
fn listed(message: &Value) -> Result<HashSet<String>, Failure> {
    let users = message.get("users").and_then(Value::as_array);
    let users = users.ok_or_else(|| format!("wanted users, got {message}"))?;
    let names: HashSet<String> = users
        .iter()
        .map(|user| text(user, "username").into())
        .collect();
    if names.len() != users.len() {
        return Err(format!("somebody is twice in {message}").into());
    }
    Ok(names)
}

fn check_users(online: &HashSet<String>, message: &Value) -> Result<(), Failure> {
    if listed(message)? == *online {
        return Ok(());
    }
    Err(format!("users: wanted {online:?}, got {message}").into())
}

impl Reader<'_> {
    /// The user heard this, which went to all or to others.
    pub(crate) fn hear(&mut self, message: &Value, heard: String) -> Result<(), Failure> {
        let who = text(message, "username");
        let fits = match text(message, "type") {
            "users" => return check_users(&self.online, message),
            "join" => self.online.insert(who.to_owned()) || self.listed.remove(who),
            "leave" => self.online.remove(who),
            _ => true,
        };
        self.heard.push_back(heard);
        match fits {
            true => Ok(()),
            false => Err(format!("{}: wanted no {message}", self.name).into()),
        }
    }

    /// Compares as much as the witness has heard, too; gives how much that was.
    pub(crate) fn compare(&mut self) -> Result<u64, Failure> {
        let log = lock(&self.record.log);
        self.compare_with(&log)
    }

    fn compare_with(&mut self, log: &Log) -> Result<u64, Failure> {
        let mut compared = 0;
        while let Some(heard) = self.heard.front() {
            if self.at < log.before {
                return Err("the record was forgotten too early".into());
            }
            let Some(event) = log.event(self.at) else {
                break;
            };
            self.at += 1;
            if event.kind == Kind::Notice && event.who == self.name {
                continue;
            }
            if event.text != *heard {
                let wanted = &event.text;
                return Err(format!("{}: wanted {wanted}, got {heard}", self.name).into());
            }
            self.heard.pop_front();
            compared += 1;
        }
        Ok(compared)
    }

    /// The user is gone: what was heard has to be all there was until then, or, if the end was
    /// abrupt, the beginning of it.
    pub(crate) fn finish(mut self, is_abrupt: bool) -> Result<u64, Failure> {
        let end = self.record.await_leave(self.name, self.at)?;
        let log = lock(&self.record.log);
        let compared = self.compare_with(&log)?;
        if let Some(more) = self.heard.front() {
            return Err(format!("{}: wanted nothing after the end, got {more}", self.name).into());
        }
        let missed = (self.at..end)
            .filter_map(|at| log.event(at))
            .find(|event| !(event.kind == Kind::Notice && event.who == self.name));
        match missed {
            Some(event) if !is_abrupt => {
                Err(format!("{}: wanted {}, got nothing", self.name, event.text).into())
            }
            _ => Ok(compared),
        }
    }
}
