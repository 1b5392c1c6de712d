//! The table of the protocol, row by row, and its rules, with the exact JSON.

use super::simulation::JoinLog;
use super::*;

/// Factor for the number of cases of a test: `TEST_ROUNDS` of the environment, or 1.
pub(super) fn rounds() -> u32 {
    std::env::var("TEST_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

const NOW: u64 = 1_700_000_000;

/// Everything sent since the last look, in order, and who has joined.
#[derive(Debug, Default)]
struct Sent(Vec<(u32, String)>, JoinLog);

impl Outbox<u32> for Sent {
    fn to(&mut self, k: u32, json: &str) {
        self.0.push((k, json.to_owned()));
    }

    fn joined(&mut self, k: u32, user: UserId) {
        self.1.join(k, user);
    }

    fn entered(&mut self, k: u32) {
        self.1.enter(k);
    }

    fn users(&mut self, to: &[u32], list: UserList<'_>) {
        to.iter().for_each(|k| self.to(*k, list.json));
    }

    fn left(&mut self, k: u32, user: UserId) {
        self.1.leave(k, user);
    }

    fn publish(&mut self, audience: Audience<'_>, json: &str) {
        let receivers = self.1.receivers(audience);
        self.0
            .extend(receivers.into_iter().map(|k| (k, json.to_owned())));
    }
}

/// The number a user has who registered under this name.
fn number_of(name: &str) -> i64 {
    let digits = name.bytes().take(7);
    digits.fold(0, |number, byte| number << 8 | i64::from(byte))
}

struct Test {
    chat: Chat<u32>,
    sent: Sent,
    now_ms: u64,
}

impl Test {
    fn new(messages_per_minute: u32) -> Self {
        Self {
            chat: Chat::new(messages_per_minute),
            sent: Sent::default(),
            now_ms: 0,
        }
    }

    /// Ann on 1 and 11, Bob on 2, Cid on 3, all joined, and Dan on 4, who has not.
    fn with_people(messages_per_minute: u32) -> Self {
        let mut test = Self::new(messages_per_minute);
        for (k, name) in [(1, "ann"), (11, "ann"), (2, "bob"), (3, "cid"), (4, "dan")] {
            test.connect(k, name);
            if name != "dan" {
                test.say(k, r#"{"type":"join"}"#);
            }
        }
        test.clear();
        assert_eq!(test.now_ms, 0, "who joins in one turn shares a list");
        test
    }

    fn connect(&mut self, k: u32, name: &str) {
        let identity = Identity::new(number_of(name), name);
        self.chat
            .connected(k, identity, self.now_ms, NOW, &mut self.sent);
    }

    fn rename(&mut self, first: &str, name: &str, ks: &[u32]) {
        self.chat
            .renamed(number_of(first), name, ks, NOW, &mut self.sent);
    }

    /// Sends what is handled in a turn of its own.
    fn send(&mut self, k: u32, text: &str) {
        self.say(k, text);
        self.end_turn();
    }

    /// Sends what is handled in this turn.
    fn say(&mut self, k: u32, text: &str) {
        self.chat
            .received(k, text, self.now_ms, NOW, &mut self.sent);
    }

    fn close(&mut self, k: u32) {
        self.chat.disconnected(k, self.now_ms, NOW, &mut self.sent);
        self.end_turn();
    }

    /// Does what is due by now.
    fn end_turn(&mut self) {
        let due = self.chat.next_deadline();
        if due.is_some_and(|due_ms| due_ms <= self.now_ms) {
            self.chat.expired(self.now_ms, &mut self.sent);
        }
    }

    /// Lets time pass until nothing is due any more; gives how much that was.
    fn settle(&mut self) -> u64 {
        let start_ms = self.now_ms;
        while let Some(due_ms) = self.chat.next_deadline() {
            self.now_ms = self.now_ms.max(due_ms);
            self.end_turn();
        }
        self.now_ms - start_ms
    }

    /// Forgets what was sent, and what is on its way.
    fn clear(&mut self) {
        self.settle();
        self.sent.0.clear();
    }

    /// Expects these messages since the last call, late lists too: exactly these, those to one connection in
    /// order.
    #[track_caller]
    fn expect(&mut self, expected: &[(&[u32], &str)]) {
        self.settle();
        self.expect_now(expected);
    }

    /// The same without what is still to come.
    #[track_caller]
    fn expect_now(&mut self, expected: &[(&[u32], &str)]) {
        let mut sent = std::mem::take(&mut self.sent.0);
        let mut expected: Vec<(u32, String)> = expected
            .iter()
            .flat_map(|(ks, json)| ks.iter().map(|k| (*k, (*json).to_owned())))
            .collect();
        sent.sort_by_key(|(k, _)| *k);
        expected.sort_by_key(|(k, _)| *k);
        assert_eq!(sent, expected);
    }

    #[track_caller]
    fn expect_fault(&mut self, k: u32, json: &str) {
        self.expect(&[(&[k], json)]);
    }
}

const NO_SUCH_USER: &str =
    r#"{"type":"error","code":"no_such_user","message":"no user of that name is online"}"#;

#[test]
fn a_connection_is_welcomed_by_number() {
    let mut test = Test::new(100);
    test.connect(7, "ann");
    test.expect(&[(
        &[7],
        r#"{"type":"system","message":"Welcome! You are client #1"}"#,
    )]);
    test.connect(8, "ann");
    test.close(7);
    test.connect(7, "bob");
    test.expect(&[
        (
            &[8],
            r#"{"type":"system","message":"Welcome! You are client #2"}"#,
        ),
        (
            &[7],
            r#"{"type":"system","message":"Welcome! You are client #3"}"#,
        ),
    ]);
}

#[test]
fn join_is_announced_to_others_and_the_users_to_all() {
    let mut test = Test::new(100);
    test.connect(1, "ann");
    test.connect(2, "bob");
    test.clear();
    test.send(1, r#"{"type":"join"}"#);
    test.expect(&[(
        &[1],
        r#"{"type":"users","users":[{"username":"ann","isOnline":true}]}"#,
    )]);
    test.send(2, r#"{"type":"join"}"#);
    let users = r#"{"type":"users","users":[{"username":"ann","isOnline":true},{"username":"bob","isOnline":true}]}"#;
    test.expect(&[
        (
            &[1],
            r#"{"type":"join","username":"bob","timestamp":1700000000}"#,
        ),
        (&[1, 2], users),
    ]);
    assert_eq!(
        (test.chat.online_users(), test.chat.joined_connections()),
        (2, 2)
    );
}

fn users(names: &[&str]) -> String {
    let users = names
        .iter()
        .map(|name| format!(r#"{{"username":"{name}","isOnline":true}}"#));
    let users = users.collect::<Vec<_>>().join(",");
    format!(r#"{{"type":"users","users":[{users}]}}"#)
}

#[test]
fn a_joiner_has_the_list_at_once_and_the_others_in_time() {
    let mut test = Test::with_people(100);
    test.send(4, r#"{"type":"join"}"#);
    let join = |name: &str| format!(r#"{{"type":"join","username":"{name}","timestamp":{NOW}}}"#);
    let list = users(&["ann", "bob", "cid", "dan"]);
    let old = [1, 11, 2, 3];
    // Nobody got a list for a while, so all get this one.
    test.expect_now(&[(&old, &join("dan")), (&[4], &list), (&old, &list)]);
    test.connect(5, "eve");
    test.sent.0.clear();
    test.send(5, r#"{"type":"join"}"#);
    let others = [1, 11, 2, 3, 4];
    let list = users(&["ann", "bob", "cid", "dan", "eve"]);
    test.expect_now(&[(&others, &join("eve")), (&[5], &list)]);
    test.send(4, r#"{"type":"leave"}"#);
    let leave = format!(r#"{{"type":"leave","username":"dan","timestamp":{NOW}}}"#);
    let stayed = [1, 11, 2, 3, 5];
    test.expect_now(&[(&stayed, &leave)]);
    // The list of five that waited for them has been replaced.
    assert_eq!(test.chat.next_deadline(), Some(250));
    test.now_ms = 249;
    test.end_turn();
    test.expect_now(&[]);
    test.now_ms = 250;
    test.end_turn();
    test.expect_now(&[(&stayed, &users(&["ann", "bob", "cid", "eve"]))]);
    assert_eq!(test.chat.next_deadline(), None);
}

#[test]
fn those_who_join_in_one_turn_share_a_list_and_have_it_first() {
    let mut test = Test::with_people(100);
    test.connect(5, "eve");
    test.sent.0.clear();
    test.say(4, r#"{"type":"join"}"#);
    test.say(5, r#"{"type":"join"}"#);
    let join = |name: &str| format!(r#"{{"type":"join","username":"{name}","timestamp":{NOW}}}"#);
    let old = [1, 11, 2, 3];
    test.expect_now(&[]);
    // What is sent in the same turn comes behind the list, and whoever came first gets the next `join`.
    test.say(4, r#"{"type":"typing"}"#);
    let list = users(&["ann", "bob", "cid", "dan", "eve"]);
    let typing = r#"{"type":"typing","username":"dan"}"#;
    test.expect_now(&[
        (&[4, 5], &list),
        (&old, &join("dan")),
        (&old, &join("eve")),
        (&[4], &join("eve")),
        (&old, typing),
        (&[5], typing),
    ]);
    // So does what is refused, and each `join` has its own answer.
    test.say(4, r#"{"type":"join"}"#);
    test.say(4, r#"{"type":"join"}"#);
    test.say(4, "{");
    let error = r#"{"type":"error","code":"bad_json","message":"the message is not valid JSON (line 1, column 1)"}"#;
    test.expect_now(&[(&[4], &list), (&[4], &list), (&[4], error)]);
    test.end_turn();
    test.expect(&[(&old, &list)]);
}

#[test]
fn who_joins_and_goes_in_one_turn_leaves_nothing_behind() {
    for by_close in [false, true] {
        let mut test = Test::with_people(100);
        test.say(4, r#"{"type":"join"}"#);
        match by_close {
            true => test.chat.disconnected(4, 0, NOW, &mut test.sent),
            false => test.say(4, r#"{"type":"leave"}"#),
        }
        test.clear();
        test.send(1, r#"{"type":"typing"}"#);
        test.expect(&[(&[2, 3], r#"{"type":"typing","username":"ann"}"#)]);
        test.chat.presence.assert_sound(4);
        test.chat.room.assert_sound();
    }
}

#[test]
fn a_second_join_and_a_second_tab_tell_nobody_else() {
    let mut test = Test::new(100);
    test.connect(1, "ann");
    test.connect(2, "bob");
    test.send(1, r#"{"type":"join"}"#);
    test.send(2, r#"{"type":"join"}"#);
    test.connect(11, "ann");
    test.clear();
    let users = r#"{"type":"users","users":[{"username":"ann","isOnline":true},{"username":"bob","isOnline":true}]}"#;
    for k in [1, 11, 11] {
        test.send(k, r#"{"type":"join"}"#);
        test.expect(&[(&[k], users)]);
    }
    assert_eq!(
        (test.chat.online_users(), test.chat.joined_connections()),
        (2, 3)
    );
}

#[test]
fn leave_and_close_are_announced_with_the_last_connection() {
    let bob_and_cid = r#"{"type":"users","users":[{"username":"bob","isOnline":true},{"username":"cid","isOnline":true}]}"#;
    let left = r#"{"type":"leave","username":"ann","timestamp":1700000000}"#;
    for by_close in [false, true] {
        let mut test = Test::with_people(100);
        let mut leave = |k| match by_close {
            true => test.close(k),
            false => test.send(k, r#"{"type":"leave"}"#),
        };
        leave(1);
        leave(11);
        test.expect(&[(&[2, 3], left), (&[2, 3], bob_and_cid)]);
        test.close(1);
        test.close(11);
        test.close(11);
        test.close(99);
        test.expect(&[]);
        test.chat.room.assert_sound();
    }
}

#[test]
fn who_left_may_join_again() {
    let mut test = Test::with_people(100);
    test.send(3, r#"{"type":"leave"}"#);
    test.send(3, r#"{"type":"leave"}"#);
    test.clear();
    test.send(3, r#"{"type":"join"}"#);
    let users = r#"{"type":"users","users":[{"username":"ann","isOnline":true},{"username":"bob","isOnline":true},{"username":"cid","isOnline":true}]}"#;
    test.expect(&[
        (
            &[1, 11, 2],
            r#"{"type":"join","username":"cid","timestamp":1700000000}"#,
        ),
        (&[1, 11, 2, 3], users),
    ]);
}

#[test]
fn before_join_a_connection_gets_nothing_and_may_send_nothing() {
    let mut test = Test::with_people(100);
    test.send(2, r#"{"type":"message","message":"x","mentions":["dan"]}"#);
    assert!(
        test.sent
            .0
            .iter()
            .all(|(k, json)| *k != 4 && !json.contains("mention_notification"))
    );
    test.clear();
    for kind in [
        "leave",
        "typing",
        "message",
        "private_message",
        "private_stop_typing",
        "reaction",
    ] {
        test.send(4, &format!(r#"{{"type":"{kind}","id":"m7"}}"#));
        test.expect_fault(
            4,
            r#"{"type":"error","code":"not_joined","message":"send {\"type\":\"join\"} first","id":"m7"}"#,
        );
    }
    test.send(2, r#"{"type":"private_message","to":"dan","message":"x"}"#);
    test.expect_fault(2, NO_SUCH_USER);
    test.send(4, r#"{"type":"nonsense"}"#);
    test.expect_fault(
        4,
        r#"{"type":"error","code":"unknown_type","message":"a message of this `type` is not known"}"#,
    );
}

#[test]
fn a_message_goes_to_all_the_sender_too() {
    let mut test = Test::with_people(100);
    test.send(
        1,
        r#"{"type":"message","id":"m1","message":"hé \"you\"\n","username":"eve","timestamp":5}"#,
    );
    let json = r#"{"type":"message","id":"m1","username":"ann","message":"hé \"you\"\n","timestamp":1700000000,"mentions":[]}"#;
    test.expect(&[(&[1, 11, 2, 3], json)]);
    test.send(2, r#"{"type":"message","id":17,"message":"<b>"}"#);
    let json = r#"{"type":"message","id":17,"username":"bob","message":"<b>","timestamp":1700000000,"mentions":[]}"#;
    test.expect(&[(&[1, 11, 2, 3], json)]);
}

#[test]
fn a_message_without_an_id_gets_one_of_its_own() {
    let mut test = Test::with_people(0);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..1000 {
        test.send(3, r#"{"type":"message","id":null,"message":"x"}"#);
        let (_, json) = test.sent.0.first().expect("sent to all");
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(ids.insert(json["id"].as_str().expect("a string").to_owned()));
        assert_eq!(test.sent.0.len(), 4);
        test.clear();
    }
}

#[test]
fn who_is_mentioned_is_notified_once_and_the_sender_never() {
    let mut test = Test::with_people(100);
    test.send(2, r#"{"type":"message","id":"m","message":"hi","mentions":["cid","ann","bob","nobody","dan","ann","Cid"]}"#);
    let json = r#"{"type":"message","id":"m","username":"bob","message":"hi","timestamp":1700000000,"mentions":["cid","ann","bob","nobody","dan","ann","Cid"]}"#;
    let notification =
        r#"{"type":"mention_notification","from":"bob","message":"hi","timestamp":1700000000}"#;
    test.expect(&[(&[1, 11, 2, 3], json), (&[1, 11, 3], notification)]);
}

#[test]
fn typing_goes_to_other_users() {
    let mut test = Test::with_people(100);
    test.send(1, r#"{"type":"typing"}"#);
    test.expect(&[(&[2, 3], r#"{"type":"typing","username":"ann"}"#)]);
    test.send(2, r#"{"type":"stop_typing"}"#);
    test.expect(&[(&[1, 11, 3], r#"{"type":"stop_typing","username":"bob"}"#)]);
}

#[test]
fn private_types_go_to_the_recipient_alone() {
    let mut test = Test::with_people(100);
    test.send(
        2,
        r#"{"type":"private_message","to":"ann","message":"psst"}"#,
    );
    let json = r#"{"type":"private_message","from":"bob","message":"psst","timestamp":1700000000}"#;
    test.expect(&[(&[1, 11], json)]);
    test.send(
        1,
        r#"{"type":"private_message","to":"bob","message":"psst"}"#,
    );
    let json = r#"{"type":"private_message","from":"ann","message":"psst","timestamp":1700000000}"#;
    test.expect(&[(&[2], json)]);
    test.send(3, r#"{"type":"private_typing","to":"ann"}"#);
    test.expect(&[(&[1, 11], r#"{"type":"private_typing","from":"cid"}"#)]);
    test.send(11, r#"{"type":"private_stop_typing","to":"cid"}"#);
    test.expect(&[(&[3], r#"{"type":"private_stop_typing","from":"ann"}"#)]);
    test.send(
        3,
        r#"{"type":"private_message","to":"cid","message":"note to self"}"#,
    );
    let json = r#"{"type":"private_message","from":"cid","message":"note to self","timestamp":1700000000}"#;
    test.expect(&[(&[3], json)]);
}

#[test]
fn names_compare_as_registered_and_an_offline_user_is_no_such_user() {
    let mut test = Test::with_people(100);
    for to in ["Ann", "nobody", "dan", "ann "] {
        for kind in ["private_message", "private_typing", "private_stop_typing"] {
            test.send(
                2,
                &format!(r#"{{"type":"{kind}","to":"{to}","message":"x"}}"#),
            );
            test.expect_fault(2, NO_SUCH_USER);
        }
    }
    test.send(3, r#"{"type":"leave"}"#);
    test.clear();
    test.send(
        2,
        r#"{"type":"private_message","to":"cid","message":"x","id":5}"#,
    );
    test.expect_fault(2, &NO_SUCH_USER.replace('}', r#","id":5}"#));
}

#[test]
fn a_reaction_in_a_group_goes_to_all() {
    let mut test = Test::with_people(100);
    test.send(
        1,
        r#"{"type":"reaction","messageId":"m1","emoji":"👍","action":"add"}"#,
    );
    let json = r#"{"type":"reaction","username":"ann","messageId":"m1","emoji":"👍","action":"add","timestamp":1700000000,"location":"group:General"}"#;
    test.expect(&[(&[1, 11, 2, 3], json)]);
    test.send(2, r#"{"type":"reaction","messageId":9,"emoji":"x","action":"remove","location":"group:Cats"}"#);
    let json = r#"{"type":"reaction","username":"bob","messageId":9,"emoji":"x","action":"remove","timestamp":1700000000,"location":"group:Cats"}"#;
    test.expect(&[(&[1, 11, 2, 3], json)]);
}

#[test]
fn a_private_reaction_goes_to_the_two_users_alone() {
    let mut test = Test::with_people(100);
    let sent = |to: &str| {
        format!(
            r#"{{"type":"reaction","messageId":"m","emoji":"x","action":"add","location":"private:{to}"}}"#
        )
    };
    let json = |from: &str, to: &str| {
        format!(
            r#"{{"type":"reaction","username":"{from}","messageId":"m","emoji":"x","action":"add","timestamp":1700000000,"location":"private:{to}"}}"#
        )
    };
    test.send(2, &sent("ann"));
    test.expect(&[(&[1, 11, 2], &json("bob", "ann"))]);
    test.send(11, &sent("ann"));
    test.expect(&[(&[1, 11], &json("ann", "ann"))]);
    test.send(3, &sent("dan"));
    test.expect_fault(3, NO_SUCH_USER);
}

#[test]
fn what_is_refused_is_told_to_its_sender_alone_with_its_id() {
    let mut test = Test::with_people(100);
    for (text, json) in [
        (
            "{",
            r#"{"type":"error","code":"bad_json","message":"the message is not valid JSON (line 1, column 1)"}"#,
        ),
        (
            "[]",
            r#"{"type":"error","code":"bad_json","message":"the message must be a JSON object"}"#,
        ),
        (
            r#"{"id":"i"}"#,
            r#"{"type":"error","code":"invalid","message":"`type` must be given and be a string","id":"i"}"#,
        ),
        (
            r#"{"type":"subscribed","id":1.5}"#,
            r#"{"type":"error","code":"unknown_type","message":"a message of this `type` is not known","id":1.5}"#,
        ),
        (
            r#"{"type":"message","message":" ","id":"i"}"#,
            r#"{"type":"error","code":"invalid","message":"Message must not be blank","id":"i"}"#,
        ),
        (
            r#"{"type":"message","message":"x","id":""}"#,
            r#"{"type":"error","code":"invalid","message":"`id` must be a string of 1 to 64 characters or a number"}"#,
        ),
        (
            r#"{"type":"private_message","message":"x","to":["ann"],"id":"i"}"#,
            r#"{"type":"error","code":"invalid","message":"`to` must be a string","id":"i"}"#,
        ),
    ] {
        test.send(2, text);
        test.expect_fault(2, json);
    }
}

fn rate_limited(retry_after_s: u32) -> String {
    format!(
        r#"{{"type":"error","code":"rate_limited","message":"too many messages, try again in {retry_after_s} s","id":"i","retryAfter":{retry_after_s},"remaining":0}}"#
    )
}

#[test]
fn a_user_may_send_100_messages_a_minute_over_all_connections() {
    let mut test = Test::with_people(100);
    let messages = [
        r#"{"type":"message","message":"x","id":"i"}"#,
        r#"{"type":"private_message","to":"bob","message":"x","id":"i"}"#,
        r#"{"type":"reaction","messageId":"m","emoji":"x","action":"add","id":"i"}"#,
    ];
    for (count, message) in messages.iter().cycle().take(100).enumerate() {
        test.send(if count % 2 == 0 { 1 } else { 11 }, message);
    }
    assert!(test.sent.0.iter().all(|(_, json)| !json.contains("error")));
    test.clear();
    test.now_ms = 20_000;
    for k in [1, 11] {
        for message in messages {
            test.send(k, message);
            test.expect_fault(k, &rate_limited(40));
        }
    }
    test.send(2, messages[0]);
    assert_eq!(test.sent.0.len(), 4, "others may go on");
    test.clear();
    test.send(1, r#"{"type":"typing"}"#);
    assert_eq!(test.sent.0.len(), 2, "typing has a limit of its own");
    test.now_ms = 60_000;
    test.clear();
    test.send(11, messages[0]);
    assert_eq!(test.sent.0.len(), 4);
}

#[test]
fn the_limit_survives_a_reconnect_and_a_change_takes_effect_at_once() {
    let mut test = Test::with_people(2);
    let message = r#"{"type":"message","message":"x","id":"i"}"#;
    test.send(3, message);
    test.send(3, message);
    test.close(3);
    test.now_ms = 1000;
    test.connect(33, "cid");
    test.send(33, r#"{"type":"join"}"#);
    test.clear();
    test.send(33, message);
    test.expect_fault(33, &rate_limited(59));
    test.chat.set_messages_per_minute(3);
    test.send(33, message);
    assert_eq!(test.sent.0.len(), 4);
    test.clear();
    test.send(33, message);
    test.expect_fault(33, &rate_limited(59));
    test.chat.set_messages_per_minute(0);
    for _ in 0..1000 {
        test.send(33, message);
    }
    assert_eq!(test.sent.0.len(), 4000);
}

#[test]
fn refused_messages_cost_nothing() {
    let mut test = Test::with_people(1);
    for _ in 0..10 {
        test.send(2, r#"{"type":"message","message":"","id":"i"}"#);
    }
    test.clear();
    test.send(2, r#"{"type":"message","message":"x","id":"i"}"#);
    assert_eq!(test.sent.0.len(), 4);
}

#[test]
fn typing_and_joins_cannot_flood() {
    let mut test = Test::with_people(100);
    let typing = r#"{"type":"typing","id":"i"}"#;
    for _ in 0..990 {
        test.send(2, typing);
    }
    assert_eq!(test.sent.0.len(), 990 * 3, "a join was counted as ten");
    test.clear();
    for notice in [
        typing,
        r#"{"type":"private_typing","to":"ann","id":"i"}"#,
        r#"{"type":"join","id":"i"}"#,
    ] {
        test.send(2, notice);
        test.expect_fault(2, &rate_limited(60));
    }
    test.send(2, r#"{"type":"message","message":"x"}"#);
    assert_eq!(test.sent.0.len(), 4, "messages have a limit of their own");
}

#[test]
fn a_connection_that_is_not_known_is_ignored() {
    let mut test = Test::with_people(100);
    test.send(99, r#"{"type":"join"}"#);
    test.send(99, "{");
    test.close(99);
    test.expect(&[]);
}

#[test]
fn a_change_of_the_name_is_a_leave_under_the_old_one() {
    let mut test = Test::with_people(100);
    test.rename("ann", "anna", &[1, 11]);
    test.expect(&[
        (
            &[2, 3],
            r#"{"type":"leave","username":"ann","timestamp":1700000000}"#,
        ),
        (
            &[2, 3],
            r#"{"type":"users","users":[{"username":"bob","isOnline":true},{"username":"cid","isOnline":true}]}"#,
        ),
    ]);
    // Nothing is said under the old name any more, whatever the connection sends before it is closed.
    test.send(1, r#"{"type":"message","message":"x","id":"i"}"#);
    test.expect_fault(
        1,
        r#"{"type":"error","code":"not_joined","message":"send {\"type\":\"join\"} first","id":"i"}"#,
    );
    test.rename("ann", "anna", &[1, 11]);
    test.expect(&[]);
    test.send(11, r#"{"type":"join"}"#);
    test.clear();
    test.send(2, r#"{"type":"private_typing","to":"ann"}"#);
    test.expect(&[(&[11], r#"{"type":"private_typing","from":"bob"}"#)]);
    test.send(11, r#"{"type":"typing"}"#);
    test.expect(&[(&[2, 3], r#"{"type":"typing","username":"anna"}"#)]);
}

#[test]
fn a_connection_that_brings_another_name_makes_those_under_the_old_one_leave() {
    let mut test = Test::with_people(100);
    let identity = Identity::new(number_of("ann"), "anna");
    let renamed = test.chat.connected(12, identity, 0, NOW, &mut test.sent);
    assert!(renamed);
    assert_eq!(test.sent.0.len(), 3, "a leave for two, a welcome");
    test.clear();
    test.send(1, r#"{"type":"join"}"#);
    test.clear();
    test.send(1, r#"{"type":"typing"}"#);
    test.expect(&[(&[2, 3], r#"{"type":"typing","username":"anna"}"#)]);
    assert!(!test.chat.connected(13, identity, 0, NOW, &mut test.sent));
}

#[test]
fn the_limit_follows_the_user_not_the_name() {
    let mut test = Test::with_people(2);
    let message = r#"{"type":"message","message":"x","id":"i"}"#;
    test.send(2, message);
    test.send(2, message);
    for name in ["bob1", "bob2", "bob"] {
        test.rename("bob", name, &[2]);
        test.close(2);
        let identity = Identity::new(number_of("bob"), name);
        test.chat.connected(2, identity, 0, NOW, &mut test.sent);
        test.send(2, r#"{"type":"join"}"#);
        test.clear();
        test.send(2, message);
        test.expect_fault(2, &rate_limited(60));
    }
}

#[test]
fn who_goes_on_sending_too_much_is_answered_so_often_and_may_not_stay() {
    const LONG: u64 = MESSAGE_BYTES_MAX as u64 + 1;
    let mut test = Test::with_people(100);
    let reject = |test: &mut Test, k| {
        let (fault, now_ms) = (ChatError::TooLong, test.now_ms);
        test.chat
            .rejected(k, fault, LONG, now_ms, NOW, &mut test.sent)
    };
    let (mut stayed, mut invalid) = (0, 0);
    while reject(&mut test, 1) {
        stayed += 1;
        let (k, json) = test.sent.0.pop().expect("an answer");
        assert_eq!((k, test.sent.0.len()), (1, 0));
        if json.contains("\"invalid\"") {
            assert_eq!(stayed, invalid + 1, "first all of these");
            invalid += 1;
        } else {
            assert!(json.contains("\"rate_limited\"") && json.contains("\"retryAfter\":60"));
        }
    }
    assert!(
        (50..140).contains(&invalid) && stayed < 270,
        "{invalid} {stayed}"
    );
    // Neither may the same user's other connection, whatever it says, until a minute is over.
    let typing = r#"{"type":"typing"}"#;
    assert!(
        !test
            .chat
            .received(11, typing, test.now_ms, NOW, &mut test.sent)
    );
    assert!(
        test.chat
            .received(2, typing, test.now_ms, NOW, &mut test.sent)
    );
    test.chat.disconnected(11, test.now_ms, NOW, &mut test.sent);
    test.now_ms += 59_999;
    test.connect(12, "ann");
    assert!(
        !test
            .chat
            .received(12, typing, test.now_ms, NOW, &mut test.sent)
    );
    test.now_ms += 1;
    assert!(
        test.chat
            .received(12, typing, test.now_ms, NOW, &mut test.sent)
    );
    assert!(reject(&mut test, 1));
    assert_eq!(test.chat.rate_limited(), stayed - invalid + 3);
}

#[test]
fn who_sends_all_that_is_allowed_as_long_as_it_may_be_notices_nothing() {
    let mut test = Test::with_people(100);
    // 12 bytes for each character.
    let text = r"\uD83D\uDE00".repeat(4096);
    for number in 0..100 {
        let message = format!(r#"{{"type":"message","id":{number},"message":"{text}"}}"#);
        test.say(1, &message);
        assert!(
            test.sent
                .0
                .iter()
                .all(|(_, json)| !json.contains("\"error\""))
        );
        for _ in 0..9 {
            test.say(11, r#"{"type":"typing"}"#);
        }
        test.sent.0.clear();
    }
    // The 101st is read, too.
    test.say(1, r#"{"type":"message","id":"m","message":"x"}"#);
    let (_, json) = test.sent.0.pop().unwrap();
    assert!(
        json.contains("\"rate_limited\"") && json.contains("\"id\":\"m\""),
        "{json}"
    );
}
