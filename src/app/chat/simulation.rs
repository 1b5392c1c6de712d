//! Many users with many connections do random things at random times, and what each connection gets is
//! compared with a plain model of who is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use serde_json::Value;

use super::tests::rounds;
use super::*;

const USERS: u32 = 12;

#[derive(Clone, Copy, Debug)]
enum SimAction {
    Connect(u32),
    Close(usize),
    Join(usize),
    Leave(usize),
    Message(usize, u32),
    Private(usize, u32),
    React(usize, u32),
    Typing(usize),
    Garbage(usize),
    /// The turn ends: what is due is done.
    Turn,
    Rename(u32),
    Wait(u16),
}

fn act() -> impl Strategy<Value = SimAction> {
    let any_k = || any::<prop::sample::Index>().prop_map(|index| index.index(1000));
    prop_oneof![
        3 => (0..USERS).prop_map(SimAction::Connect),
        1 => any_k().prop_map(SimAction::Close),
        3 => any_k().prop_map(SimAction::Join),
        1 => any_k().prop_map(SimAction::Leave),
        2 => (any_k(), 0..USERS).prop_map(|(k, user)| SimAction::Message(k, user)),
        2 => (any_k(), 0..USERS).prop_map(|(k, user)| SimAction::Private(k, user)),
        1 => (any_k(), 0..USERS).prop_map(|(k, user)| SimAction::React(k, user)),
        1 => any_k().prop_map(SimAction::Typing),
        1 => any_k().prop_map(SimAction::Garbage),
        3 => Just(SimAction::Turn),
        2 => (0_u16..400).prop_map(SimAction::Wait),
        1 => (0..USERS).prop_map(SimAction::Rename),
        1 => (0_u16..20_000).prop_map(SimAction::Wait),
    ]
}

/// One connection as its client sees it, beside what is true.
#[derive(Debug, Default)]
struct Client {
    user: String,
    joined: bool,
    /// Joins that are to be answered with a list.
    asked: usize,
    /// It has had its first list.
    entered: bool,
    /// The last list of users it got.
    users: BTreeSet<String>,
    /// When it got lists it had not asked for.
    updates_ms: Vec<u64>,
    /// Users who have come online since its `join` and are not announced to it yet.
    awaited: VecDeque<String>,
    /// That which the announcements alone add up to since its join.
    announced: BTreeSet<String>,
    /// Types got in the step that runs, with their JSON.
    inbox: Vec<(String, Value)>,
}

impl Client {
    /// Users online by the announcements it has, or is to get at the end of this turn.
    fn told(&self) -> BTreeSet<String> {
        self.announced
            .iter()
            .chain(&self.awaited)
            .cloned()
            .collect()
    }
}

#[derive(Debug, Default)]
struct World {
    clients: BTreeMap<u32, Client>,
    next_k: u32,
    now_ms: u64,
    joined: JoinLog,
    /// The names of the users who have had more than one, the one in use last.
    names: BTreeMap<u32, Vec<Box<str>>>,
}

/// Joined connections in the order of joining, with a mark for those that had their first list.
#[derive(Debug, Default)]
pub(super) struct JoinLog(Vec<(u32, UserId, bool)>);

impl JoinLog {
    pub(super) fn join(&mut self, k: u32, user: UserId) {
        assert!(self.0.iter().all(|(other, ..)| *other != k), "joined twice");
        self.0.push((k, user, false));
    }

    pub(super) fn enter(&mut self, k: u32) {
        let member = self.0.iter_mut().find(|(other, ..)| *other == k);
        member.expect("joined before").2 = true;
    }

    pub(super) fn leave(&mut self, k: u32, user: UserId) {
        let place = self.0.iter().position(|member| *member == (k, user, true));
        self.0.remove(place.expect("joined before"));
    }

    pub(super) fn receivers(&self, audience: Audience<'_>) -> Vec<u32> {
        let members = self.0.iter().filter(|(_, user, entered)| match audience {
            Audience::Everybody => *entered,
            Audience::Others(other) => *entered && *user != other,
            Audience::Only(users) => {
                let times = users.iter().filter(|other| *other == user).count();
                assert!(times <= 1, "users are distinct");
                times == 1
            }
        });
        members.map(|(k, ..)| *k).collect()
    }
}

impl Outbox<u32> for World {
    fn to(&mut self, k: u32, json: &str) {
        let json: Value = serde_json::from_str(json).expect("what is sent is JSON");
        let kind = json["type"].as_str().expect("and has a type").to_owned();
        let client = self
            .clients
            .get_mut(&k)
            .expect("sent to a connection that is open");
        let is_for_all = !matches!(kind.as_str(), "system" | "error");
        assert!(client.entered || !is_for_all, "{kind} before the list");
        match kind.as_str() {
            "join" => {
                // Who joined later in the turn of its own `join` was in its list already.
                let username = json["username"].as_str().unwrap();
                assert_eq!(client.awaited.pop_front().as_deref(), Some(username));
                client.announced.insert(username.into());
            }
            "leave" => assert!(client.announced.remove(json["username"].as_str().unwrap())),
            _ => {}
        }
        client.inbox.push((kind, json));
    }

    fn joined(&mut self, k: u32, user: UserId) {
        self.joined.join(k, user);
    }

    fn entered(&mut self, k: u32) {
        self.joined.enter(k);
    }

    fn users(&mut self, to: &[u32], list: UserList<'_>) {
        let online = self.online();
        let json: Value = serde_json::from_str(list.json).expect("a list is JSON");
        assert_eq!(json["type"], "users");
        let names = json["users"].as_array().expect("a list").iter();
        let names: Vec<String> = names
            .map(|user| user["username"].as_str().unwrap().into())
            .collect();
        let users: BTreeSet<String> = names.iter().cloned().collect();
        assert_eq!((users.len(), &users), (names.len(), &online));
        let now_ms = self.now_ms;
        for k in to {
            let client = self.clients.get_mut(k).expect("open");
            assert!(client.joined);
            if client.entered {
                assert_eq!(client.told(), users, "announcements add up to the list");
            }
            match client.asked.checked_sub(1) {
                Some(left) => client.asked = left,
                None => client.updates_ms.push(now_ms),
            }
            client.entered = true;
            client.announced.clone_from(&users);
            client.users.clone_from(&users);
        }
    }

    fn left(&mut self, k: u32, user: UserId) {
        self.joined.leave(k, user);
    }

    fn publish(&mut self, audience: Audience<'_>, json: &str) {
        let ks = self.joined.receivers(audience);
        ks.into_iter().for_each(|k| self.to(k, json));
    }
}

impl World {
    /// The names a user has had, the one in use last.
    fn names(&self, user: u32) -> Vec<Box<str>> {
        let first = || vec![format!("user{user}").into()];
        self.names.get(&user).cloned().unwrap_or_else(first)
    }

    fn name(&self, user: u32) -> String {
        self.names(user).pop().expect("each has a name").into()
    }

    fn online(&self) -> BTreeSet<String> {
        self.clients
            .values()
            .filter(|c| c.joined)
            .map(|c| c.user.clone())
            .collect()
    }

    /// The connections of `users` that have joined.
    fn joined_of(&self, users: &[&str]) -> BTreeSet<u32> {
        let joined = self.clients.iter().filter(|(_, client)| client.joined);
        joined
            .filter(|(_, client)| users.contains(&client.user.as_str()))
            .map(|(k, _)| *k)
            .collect()
    }

    fn all_joined(&self) -> BTreeSet<u32> {
        self.clients
            .iter()
            .filter(|(_, client)| client.joined)
            .map(|(k, _)| *k)
            .collect()
    }

    /// Receivers of `kind` in this step, each at most once.
    fn receivers(&self, kind: &str) -> BTreeSet<u32> {
        let count = |client: &Client| client.inbox.iter().filter(|(got, _)| got == kind).count();
        assert!(
            self.clients.values().all(|client| count(client) <= 1),
            "{kind} came twice"
        );
        self.clients
            .iter()
            .filter(|(_, client)| count(client) == 1)
            .map(|(k, _)| *k)
            .collect()
    }

    fn pick(&self, index: usize) -> Option<(u32, String, bool)> {
        let index = index.checked_rem(self.clients.len())?;
        let (k, client) = self.clients.iter().nth(index)?;
        Some((*k, client.user.clone(), client.joined))
    }
}

/// Does one act and checks who got what.
fn run(chat: &mut Chat<u32>, world: &mut World, act: SimAction) {
    let index = match act {
        SimAction::Turn => return wait(chat, world, 0),
        SimAction::Wait(ms) => return wait(chat, world, ms.into()),
        SimAction::Connect(user) => return connect(chat, world, user),
        SimAction::Rename(user) => return rename(chat, world, user),
        SimAction::Close(index) | SimAction::Join(index) | SimAction::Leave(index) => index,
        SimAction::Typing(index) | SimAction::Garbage(index) => index,
        SimAction::Message(index, _)
        | SimAction::Private(index, _)
        | SimAction::React(index, _) => index,
    };
    let Some((k, user, joined)) = world.pick(index) else {
        return;
    };
    let now_ms = world.now_ms;
    match act {
        SimAction::Close(_) => {
            let before = world.online();
            // Those who joined in this turn have their list before anything else.
            chat.answer_joins(world);
            world.clients.remove(&k);
            chat.disconnected(k, now_ms, 7, world);
            check_gone(world, &before, &user);
        }
        SimAction::Leave(_) => {
            let before = world.online();
            chat.answer_joins(world);
            let updates_ms = std::mem::take(&mut world.clients.get_mut(&k).unwrap().updates_ms);
            world.clients.insert(
                k,
                Client {
                    user: user.clone(),
                    updates_ms,
                    ..Client::default()
                },
            );
            chat.received(k, r#"{"type":"leave"}"#, now_ms, 7, world);
            assert_eq!(world.receivers("error").contains(&k), !joined);
            check_gone(world, &before, &user);
        }
        SimAction::Typing(_) => {
            chat.received(k, r#"{"type":"typing"}"#, now_ms, 7, world);
            let others = &world.all_joined() - &world.joined_of(&[&user]);
            assert_eq!(
                world.receivers("typing"),
                if joined { others } else { BTreeSet::new() }
            );
        }
        SimAction::Garbage(_) => {
            chat.received(k, r#"{"type":7}"#, now_ms, 7, world);
            assert_eq!(world.receivers("error"), BTreeSet::from([k]));
        }
        SimAction::Message(_, to) | SimAction::Private(_, to) | SimAction::React(_, to) => {
            // The name each has had first.
            let names = (format!("user{to}"), world.name(to));
            say(chat, world, act, (k, &user, joined), (&names.0, &names.1));
        }
        SimAction::Join(_)
        | SimAction::Connect(_)
        | SimAction::Rename(_)
        | SimAction::Turn
        | SimAction::Wait(_) => join(chat, world, k, &user),
    }
}

fn connect(chat: &mut Chat<u32>, world: &mut World, number: u32) {
    let mut aliases = world.names(number);
    let user = aliases.pop().expect("each has a name").to_string();
    let k = world.next_k;
    world.next_k += 1;
    world.clients.insert(
        k,
        Client {
            user: user.clone(),
            ..Client::default()
        },
    );
    let identity = Identity {
        user_id: number.into(),
        username: &user,
        aliases: &aliases,
    };
    let renamed = chat.connected(k, identity, world.now_ms, 7, world);
    assert!(!renamed, "all changes were told");
    assert_eq!(world.receivers("system"), BTreeSet::from([k]));
}

fn rename(chat: &mut Chat<u32>, world: &mut World, number: u32) {
    let mut names = world.names(number);
    let old = world.name(number);
    // A new one, or the one given up first.
    let new = match names.len() {
        3.. => names[0].to_string(),
        count => format!("user{number}x{count}"),
    };
    names.retain(|name| **name != *new);
    names.push(new.as_str().into());
    world.names.insert(number, names);
    let before = world.online();
    let of_user = world
        .clients
        .iter()
        .filter(|(_, client)| client.user == old);
    let ks: Vec<u32> = of_user.map(|(k, _)| *k).collect();
    chat.renamed(number.into(), &new, &ks, 7, world);
    for k in &ks {
        let user = new.clone();
        world.clients.insert(
            *k,
            Client {
                user,
                ..Client::default()
            },
        );
    }
    check_gone(world, &before, &old);
}

fn join(chat: &mut Chat<u32>, world: &mut World, k: u32, user: &str) {
    let first = !world.online().contains(user);
    if let Some(client) = world.clients.get_mut(&k) {
        client.joined = true;
        client.asked += 1;
    }
    for other in world.clients.values_mut() {
        if first && other.joined && other.user != user {
            other.awaited.push_back(user.into());
        }
    }
    chat.received(k, r#"{"type":"join"}"#, world.now_ms, 7, world);
    assert_eq!(chat.next_deadline(), Some(0), "the list is due at once");
}

/// Time passes, and what is due is done when it is, the end of this turn first.
fn wait(chat: &mut Chat<u32>, world: &mut World, ms: u64) {
    let until_ms = world.now_ms + ms;
    while let Some(due_ms) = chat.next_deadline()
        && due_ms <= until_ms
    {
        world.now_ms = world.now_ms.max(due_ms);
        chat.expired(world.now_ms, world);
        let mut clients = world.clients.values();
        assert!(clients.all(|client| client.asked == 0 && client.awaited.is_empty()));
    }
    world.now_ms = until_ms;
}

/// After a connection of `user` went.
fn check_gone(world: &World, before: &BTreeSet<String>, user: &str) {
    let gone = before.contains(user) && !world.online().contains(user);
    let told = if gone {
        world.all_joined()
    } else {
        BTreeSet::new()
    };
    assert_eq!(world.receivers("leave"), told);
}

/// Sends a message, from a connection to all or to one user, of whom the sender knows the first
/// name.
fn say(
    chat: &mut Chat<u32>,
    world: &mut World,
    act: SimAction,
    from: (u32, &str, bool),
    to: (&str, &str),
) {
    let ((k, from, joined), (alias, to)) = (from, to);
    let (text, kind, receivers) = match act {
        SimAction::Message(..) => (
            format!(r#"{{"type":"message","message":"x","mentions":["{alias}","{to}"]}}"#),
            "message",
            world.all_joined(),
        ),
        SimAction::Private(..) => (
            format!(r#"{{"type":"private_message","to":"{alias}","message":"x"}}"#),
            "private_message",
            world.joined_of(&[to]),
        ),
        _ => (
            format!(
                r#"{{"type":"reaction","messageId":1,"emoji":"x","action":"add","location":"private:{alias}"}}"#
            ),
            "reaction",
            world.joined_of(&[from, to]),
        ),
    };
    chat.received(k, &text, world.now_ms, 7, world);
    let error = world.clients[&k]
        .inbox
        .iter()
        .find(|(kind, _)| kind == "error");
    let error = error.map(|(_, json)| json["code"].as_str().unwrap().to_owned());
    let sent = match error.as_deref() {
        None => {
            assert!(joined && (kind == "message" || world.online().contains(to)));
            true
        }
        Some("not_joined") => {
            assert!(!joined);
            false
        }
        Some("no_such_user") => {
            assert!(!world.online().contains(to));
            false
        }
        Some(code) => {
            assert_eq!(code, "rate_limited");
            false
        }
    };
    assert_eq!(
        world.receivers(kind),
        if sent { receivers } else { BTreeSet::new() }
    );
    let notified = match sent && kind == "message" && from != to {
        true => world.joined_of(&[to]),
        false => BTreeSet::new(),
    };
    assert_eq!(world.receivers("mention_notification"), notified);
}

/// Checks the invariants after each step.
fn check(chat: &Chat<u32>, world: &mut World) {
    let online = world.online();
    assert_eq!(chat.online_users(), online.len());
    assert_eq!(chat.joined_connections(), world.all_joined().len());
    assert_eq!(
        chat.room
            .online()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>(),
        online
    );
    for client in world.clients.values_mut() {
        if client.entered {
            assert_eq!(client.told(), online, "announcements balance");
            let late = chat.next_deadline().is_some();
            assert!(late || client.users == online, "the last list always comes");
            for second in client.updates_ms.windows(5) {
                assert!(second[4] - second[0] >= 1000, "five lists in a second");
            }
        } else {
            assert!(
                client
                    .inbox
                    .iter()
                    .all(|(kind, _)| kind == "system" || kind == "error")
            );
        }
        client.inbox.clear();
    }
    chat.room.assert_sound();
    chat.presence.assert_sound(world.all_joined().len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48 * rounds()) })]

    #[test]
    fn everybody_gets_what_is_his(acts in prop::collection::vec(act(), 1..250), limit in 3_u32..8) {
        let (mut chat, mut world) = (Chat::new(limit), World::default());
        for act in acts {
            run(&mut chat, &mut world, act);
            check(&chat, &mut world);
        }
        wait(&mut chat, &mut world, 250);
        prop_assert_eq!(chat.next_deadline(), None, "nothing is due any more");
        check(&chat, &mut world);
        for k in world.all_joined().into_iter().chain(world.clients.keys().copied().collect::<Vec<_>>()) {
            world.clients.remove(&k);
            chat.disconnected(k, world.now_ms, 7, &mut world);
        }
        chat.room.forget_departed(world.now_ms + 61_000);
        chat.room.forget_departed(world.now_ms + 122_000);
        prop_assert_eq!(chat.room.users_kept(), 0, "nothing is left of anybody");
    }
}
