//! The cost of joining and leaving for a room: lists of users at once for those who come, and in bounds for the
//! others.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::support::ws::online;
use crate::support::{Server, Socket};
use serde_json::{Value, json};

/// Lists that others may get in a second.
const LISTS_PER_SECOND: u64 = 4;

#[expect(
    clippy::disallowed_methods,
    reason = "the tests watch real processes; the ban is for the code under test"
)]
fn now() -> Instant {
    Instant::now()
}

/// A client's view of the users online.
#[derive(Debug, Default)]
struct View {
    users: BTreeSet<String>,
    lists: u64,
    joins: usize,
    leaves: usize,
    /// The last thing heard was a list.
    is_listed: bool,
    errors: usize,
}

impl View {
    /// Takes in the next message of a socket that has joined.
    fn hear(&mut self, message: &Value) {
        self.is_listed = message["type"] == "users";
        let name = message["username"].as_str().unwrap_or_default().to_owned();
        match message["type"].as_str().unwrap() {
            "users" => {
                let list = online(message).into_iter().collect();
                if self.lists > 0 {
                    assert_eq!(self.users, list, "announcements add up to the list");
                }
                self.users = list;
                self.lists += 1;
            }
            "join" => {
                assert!(self.lists > 0, "a join before the list");
                // Who joined later in the turn of our own `join` was in the list already.
                self.users.insert(name);
                self.joins += 1;
            }
            "leave" => {
                assert!(self.users.remove(&name));
                self.leaves += 1;
            }
            "error" => self.errors += 1,
            other => panic!("{other}"),
        }
    }

    fn hear_until(&mut self, socket: &mut Socket, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let message = socket.next();
            self.hear(&serde_json::from_str(message.to_text().unwrap()).unwrap());
        }
    }
}

/// A list went out when somebody joined, and one more than the interval allows may be under way.
fn lists_max(since: Instant) -> u64 {
    2 + LISTS_PER_SECOND * (1 + now().duration_since(since).as_secs())
}

#[test]
fn hundreds_who_join_at_once_have_their_lists_and_stay() {
    const USERS: usize = 400;
    let server = Server::start();
    let users = server.enroll(USERS);
    let mut sockets: Vec<Socket> = users
        .iter()
        .enumerate()
        .map(|(number, (name, token))| {
            let source = [127, 0, 1, u8::try_from(1 + number / 50).unwrap()];
            Socket::open_from(&server, source.into(), name, token)
        })
        .collect();
    let start = now();
    for socket in &mut sockets {
        socket.send(&json!({"type": "join"}));
    }
    let mut views: Vec<View> = sockets.iter().map(|_| View::default()).collect();
    for ((socket, view), (name, _)) in sockets.iter_mut().zip(&mut views).zip(&users) {
        view.hear_until(socket, |view| view.lists == 1);
        assert!(view.users.contains(name), "who joins is in the list");
        // Whatever is heard on the way, the last list is that of all.
        view.hear_until(socket, |view| view.is_listed && view.users.len() == USERS);
        assert!(view.lists <= lists_max(start), "{} lists", view.lists);
        assert_eq!(view.leaves, 0);
    }
    // Nothing else is on its way but announcements: of any two, the one who came first has the other's.
    for (socket, view) in sockets.iter_mut().zip(&mut views) {
        socket.send(&json!({"type": "no such type"}));
        view.hear_until(socket, |view| view.errors == 1);
        assert_eq!((view.users.len(), view.leaves), (USERS, 0));
    }
    let joins: usize = views.iter().map(|view| view.joins).sum();
    assert_eq!(joins, USERS * (USERS - 1) / 2);
}

#[test]
fn a_user_who_flaps_costs_the_others_announcements_and_few_lists() {
    const TIMES: usize = 60;
    let server = Server::start();
    let users = server.enroll(4);
    let (flapper, others) = users.split_last().unwrap();
    let mut others: Vec<Socket> = others
        .iter()
        .map(|(name, token)| Socket::open(&server, name, token))
        .collect();
    let mut views: Vec<View> = others.iter().map(|_| View::default()).collect();
    for ((socket, view), count) in others.iter_mut().zip(&mut views).zip(1..) {
        socket.send(&json!({"type": "join"}));
        view.hear_until(socket, |view| view.users.len() == count);
    }
    for (socket, view) in others.iter_mut().zip(&mut views) {
        view.hear_until(socket, |view| view.is_listed && view.users.len() == 3);
    }
    let start = now();
    let before: Vec<u64> = views.iter().map(|view| view.lists).collect();
    let mut flapping = Socket::open(&server, &flapper.0, &flapper.1);
    for _ in 0..TIMES {
        flapping.send(&json!({"type": "join"}));
        flapping.expect_online(&["person-0", "person-1", "person-2", "person-3"]);
        flapping.send(&json!({"type": "leave"}));
    }
    for ((socket, view), before) in others.iter_mut().zip(&mut views).zip(before) {
        view.joins = 0;
        view.hear_until(socket, |view| view.leaves == TIMES && view.is_listed);
        assert_eq!((view.joins, view.users.len()), (TIMES, 3));
        assert!(view.lists - before <= lists_max(start), "{}", view.lists);
        socket.expect_quiet();
    }
    flapping.expect_quiet();
}

#[test]
fn the_last_list_comes_without_anything_else_happening() {
    let server = Server::start();
    let users = server.enroll(3);
    let [mut one, mut two, mut three] =
        [0, 1, 2].map(|n: usize| Socket::open(&server, &users[n].0, &users[n].1));
    one.send(&json!({"type": "join"}));
    one.expect_online(&["person-0"]);
    // The first change is told at once, the next two within the same interval.
    two.send(&json!({"type": "join"}));
    two.expect("users");
    three.send(&json!({"type": "join"}));
    three.expect_online(&["person-0", "person-1", "person-2"]);
    three.send(&json!({"type": "leave"}));
    let mut view = View {
        users: BTreeSet::from(["person-0".to_owned()]),
        lists: 1,
        ..View::default()
    };
    view.hear_until(&mut one, |view| view.leaves == 1 && view.is_listed);
    assert_eq!(view.joins, 2);
    let left = BTreeSet::from(["person-0", "person-1"].map(str::to_owned));
    assert_eq!(view.users, left);
    one.expect_quiet();
}
