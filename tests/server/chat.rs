//! The chat, by real clients: every row of the WebSocket table, and what is refused.

use crate::support::{Server, Socket};
use serde_json::{Value, json};
use tungstenite::Message;

/// A server, and three users in the chat who have heard of each other.
fn room() -> (Server, Socket, Socket, Socket) {
    let server = Server::start();
    let tokens = ["ann", "bob", "cyd"].map(|name| server.register_and_login(name));
    let mut ann = Socket::join(&server, "ann", &tokens[0]);
    let mut bob = Socket::join(&server, "bob", &tokens[1]);
    ann.expect_presence("join", "bob", &["ann", "bob"]);
    let cyd = Socket::join(&server, "cyd", &tokens[2]);
    ann.expect_presence("join", "cyd", &["ann", "bob", "cyd"]);
    bob.expect_presence("join", "cyd", &["ann", "bob", "cyd"]);
    (server, ann, bob, cyd)
}

fn all_quiet(sockets: &mut [&mut Socket]) {
    for socket in sockets {
        socket.expect_quiet();
    }
}

#[test]
fn joining_and_leaving_is_announced() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    cyd.send(&json!({"type": "leave"}));
    ann.expect_presence("leave", "cyd", &["ann", "bob"]);
    bob.expect_presence("leave", "cyd", &["ann", "bob"]);
    cyd.send(&json!({"type": "message", "message": "too late"}));
    cyd.expect_error("not_joined");
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);

    cyd.send(&json!({"type": "join"}));
    cyd.expect_online(&["ann", "bob", "cyd"]);
    ann.expect_presence("join", "cyd", &["ann", "bob", "cyd"]);
    bob.expect_presence("join", "cyd", &["ann", "bob", "cyd"]);
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);
}

#[test]
fn a_closed_connection_leaves() {
    let (_server, mut ann, bob, cyd) = room();
    bob.close();
    ann.expect_presence("leave", "bob", &["ann", "cyd"]);
    // Cut off, without a close frame.
    drop(cyd);
    ann.expect_presence("leave", "cyd", &["ann"]);
    ann.expect_quiet();
}

#[test]
fn clients_are_numbered() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    // `open` checks the welcome of each.
    let mut sockets: Vec<_> = (0..5)
        .map(|_| Socket::open(&server, "ann", &token))
        .collect();
    sockets.iter_mut().for_each(Socket::expect_quiet);
}

#[test]
fn a_message_reaches_everyone() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    let text = "hi \"all\" \\ </script> \u{1F44B}\n\ttabbed";
    ann.send(&json!({
        "type": "message", "id": "m-1", "message": text, "username": "mallory", "timestamp": 1, "extra": {},
    }));
    let wanted =
        json!({"type": "message", "id": "m-1", "username": "ann", "message": text, "mentions": []});
    for socket in [&mut ann, &mut bob, &mut cyd] {
        socket.expect_exactly(&wanted);
    }
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);
}

#[test]
fn a_message_without_an_id_gets_one() {
    let (_server, mut ann, mut bob, _cy) = room();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ann.send(&json!({"type": "message", "message": "hi"}));
        let at_sender = ann.expect("message");
        let at_other = bob.expect("message");
        assert_eq!(at_sender, at_other);
        assert!(
            at_sender["id"].is_string() || at_sender["id"].is_u64(),
            "{at_sender}"
        );
        assert!(!ids.contains(&at_sender["id"]), "{at_sender}");
        ids.push(at_sender["id"].clone());
    }
}

#[test]
fn messages_arrive_in_the_order_they_were_sent() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    for number in 0..40 {
        let sender = if number % 2 == 0 { &mut ann } else { &mut bob };
        sender.send(&json!({"type": "message", "id": format!("m{number}"), "message": "x"}));
    }
    let hear = |socket: &mut Socket| -> Vec<(Value, Value)> {
        (0..40)
            .map(|_| socket.expect("message"))
            .map(|m| (m["username"].clone(), m["id"].clone()))
            .collect()
    };
    let heard = hear(&mut cyd);
    assert_eq!(hear(&mut ann), heard, "one order for all");
    assert_eq!(hear(&mut bob), heard, "one order for all");
    for (name, first) in [("ann", 0), ("bob", 1)] {
        let ids: Vec<_> = heard
            .iter()
            .filter(|(from, _)| from == name)
            .map(|(_, id)| id.clone())
            .collect();
        let sent: Vec<_> = (first..40)
            .step_by(2)
            .map(|number| json!(format!("m{number}")))
            .collect();
        assert_eq!(ids, sent, "{name}'s own order");
    }
}

#[test]
fn the_mentioned_are_told_once() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    let mentions = json!(["bob", "bob", "ann", "nobody"]);
    ann.send(&json!({"type": "message", "id": "m", "message": "@bob hi", "mentions": mentions}));
    for socket in [&mut ann, &mut bob, &mut cyd] {
        let message = socket.expect("message");
        let listed = message["mentions"]
            .as_array()
            .unwrap_or_else(|| panic!("{message}"));
        assert!(listed.contains(&json!("bob")), "{message}");
    }
    bob.expect_exactly(
        &json!({"type": "mention_notification", "from": "ann", "message": "@bob hi"}),
    );
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);
}

#[test]
fn typing_is_shown_to_the_others() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    for kind in ["typing", "stop_typing"] {
        ann.send(&json!({"type": kind, "username": "mallory"}));
        bob.expect_exactly(&json!({"type": kind, "username": "ann"}));
        cyd.expect_exactly(&json!({"type": kind, "username": "ann"}));
    }
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);
}

#[test]
fn a_private_message_reaches_one() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    ann.send(
        &json!({"type": "private_message", "to": "bob", "message": "psst", "from": "mallory"}),
    );
    bob.expect_exactly(&json!({"type": "private_message", "from": "ann", "message": "psst"}));
    for kind in ["private_typing", "private_stop_typing"] {
        ann.send(&json!({"type": kind, "to": "bob"}));
        bob.expect_exactly(&json!({"type": kind, "from": "ann"}));
    }
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);
}

#[test]
fn a_reaction_goes_where_the_message_was() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    let sent = |action: &str, location: Option<&str>| {
        let mut reaction =
            json!({"type": "reaction", "messageId": "m-1", "emoji": "\u{1F44D}", "action": action});
        if let Some(location) = location {
            reaction["location"] = json!(location);
        }
        reaction
    };
    let heard = |action: &str, location: &str| {
        let mut reaction = sent(action, Some(location));
        reaction["username"] = json!("ann");
        reaction
    };
    ann.send(&sent("add", None));
    ann.send(&sent("remove", Some("group:General")));
    for socket in [&mut ann, &mut bob, &mut cyd] {
        socket.expect_exactly(&heard("add", "group:General"));
        socket.expect_exactly(&heard("remove", "group:General"));
    }
    ann.send(&sent("add", Some("private:bob")));
    // The location is a matter of view: each of the two has the other as peer, or both see the same.
    for socket in [&mut ann, &mut bob] {
        let reaction = socket.expect("reaction");
        assert_eq!(
            (&reaction["username"], &reaction["messageId"]),
            (&json!("ann"), &json!("m-1"))
        );
        assert!(
            reaction["location"]
                .as_str()
                .unwrap()
                .starts_with("private:"),
            "{reaction}"
        );
    }
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);
}

#[test]
fn nothing_is_heard_before_joining() {
    let (server, mut ann, _bob, _cy) = room();
    let mut outside = Socket::open(&server, "dee", &server.register_and_login("dee"));
    ann.send(&json!({"type": "message", "message": "members only"}));
    ann.send(&json!({"type": "private_message", "to": "dee", "message": "psst"}));
    ann.expect("message");
    ann.expect_error("no_such_user");
    outside.expect_quiet();
    for rejected in [
        json!({"type": "message", "message": "x"}),
        json!({"type": "typing"}),
        json!({"type": "private_message", "to": "ann", "message": "x"}),
        json!({"type": "reaction", "messageId": "m", "emoji": "x", "action": "add"}),
    ] {
        outside.send(&rejected);
        outside.expect_error("not_joined");
    }
    ann.expect_quiet();
}

#[test]
fn a_user_with_two_connections_is_one_user() {
    let (server, mut ann, mut bob, _cy) = room();
    let token = server.login("ann");
    let mut second = Socket::join(&server, "ann", &token);
    let seen = bob.pending();
    assert!(
        seen.iter().all(|message| message["type"] != "join"),
        "announced twice: {seen:?}"
    );
    drop(ann.pending());

    bob.send(&json!({"type": "private_message", "to": "ann", "message": "both"}));
    for tab in [&mut ann, &mut second] {
        tab.expect_exactly(&json!({"type": "private_message", "from": "bob", "message": "both"}));
    }
    second.send(&json!({"type": "message", "id": "m", "message": "from the second"}));
    for socket in [&mut ann, &mut second, &mut bob] {
        assert_eq!(socket.expect("message")["username"], "ann");
    }

    second.close();
    ann.send(&json!({"type": "message", "id": "n", "message": "still here"}));
    ann.expect("message");
    let seen = bob.pending();
    assert!(
        seen.iter().all(|message| message["type"] != "leave"),
        "{seen:?}"
    );
    assert!(seen.iter().any(|message| message["id"] == "n"), "{seen:?}");
    ann.close();
    bob.expect_presence("leave", "ann", &["bob", "cyd"]);
}

#[test]
fn joining_twice_does_no_harm() {
    let (_server, mut ann, mut bob, _cy) = room();
    ann.send(&json!({"type": "join"}));
    drop(ann.pending());
    let seen = bob.pending();
    assert!(
        seen.iter().all(|message| message["type"] != "join"),
        "{seen:?}"
    );
    ann.send(&json!({"type": "message", "id": "m", "message": "once"}));
    ann.expect("message");
    ann.expect_quiet();
}

#[test]
fn nonsense_is_answered_and_forgiven() {
    let (_server, mut ann, mut bob, _cy) = room();
    let deep = "[".repeat(50_000);
    for text in [
        "",
        "{",
        "nonsense",
        "{\"type\":}",
        "{\"type\":\"message\",\"message\":\"x\"} x",
        deep.as_str(),
    ] {
        ann.send_text(text);
        ann.expect_error("bad_json");
    }
    for text in [
        "7",
        "null",
        "[]",
        "\"join\"",
        "{}",
        "{\"type\":7}",
        "{\"type\":null}",
    ] {
        ann.send_text(text);
        let error = ann.expect("error");
        let code = error["code"].as_str().unwrap();
        assert!(
            ["bad_json", "invalid", "unknown_type"].contains(&code),
            "{text}: {error}"
        );
    }
    ann.send(&json!({"type": "shout", "id": "n-1"}));
    assert_eq!(ann.expect_error("unknown_type")["id"], "n-1");
    ann.send(&json!({"type": "message", "message": "still here"}));
    ann.expect("message");
    bob.expect("message");
    all_quiet(&mut [&mut ann, &mut bob]);
}

#[test]
fn members_are_judged() {
    let (_server, mut ann, mut bob, mut cyd) = room();
    let texts = [
        "",
        " \n\t ",
        "bell \u{7}",
        "null \0",
        "delete \u{7F}",
        &"x".repeat(4097),
    ];
    for text in texts {
        ann.send(&json!({"type": "message", "id": "m", "message": text}));
        assert_eq!(ann.expect_error("invalid")["id"], "m", "{text:?}");
        ann.send(&json!({"type": "private_message", "to": "bob", "message": text}));
        ann.expect_error("invalid");
    }
    for bad in [
        json!({"type": "message"}),
        json!({"type": "message", "message": 7}),
        json!({"type": "message", "message": "x", "mentions": "bob"}),
        json!({"type": "message", "message": "x", "mentions": [7]}),
        json!({"type": "private_message", "message": "x"}),
        json!({"type": "private_message", "to": 7, "message": "x"}),
        json!({"type": "private_typing"}),
        json!({"type": "reaction", "emoji": "x", "action": "add"}),
        json!({"type": "reaction", "messageId": "m", "action": "add"}),
        json!({"type": "reaction", "messageId": "m", "emoji": "", "action": "add"}),
        json!({"type": "reaction", "messageId": "m", "emoji": "x".repeat(33), "action": "add"}),
        json!({"type": "reaction", "messageId": "m", "emoji": "x", "action": "toggle"}),
        json!({"type": "reaction", "messageId": "m", "emoji": "x", "action": "add", "location": "nowhere"}),
    ] {
        ann.send(&bad);
        ann.expect_error("invalid");
    }
    all_quiet(&mut [&mut ann, &mut bob, &mut cyd]);

    // Characters are counted, not bytes.
    let longest = "\u{1F44B}".repeat(4096);
    ann.send(&json!({"type": "message", "id": "m", "message": longest}));
    assert_eq!(bob.expect("message")["message"], longest.as_str());
}

#[test]
fn a_private_message_to_nobody_is_answered() {
    let (_server, mut ann, mut bob, _cy) = room();
    for nobody in ["zoe", "BOB", ""] {
        ann.send(&json!({"type": "private_message", "to": nobody, "message": "x"}));
        let code = ann.expect("error")["code"].clone();
        assert!(
            code == "no_such_user" || (nobody.is_empty() && code == "invalid"),
            "{nobody:?}: {code}"
        );
    }
    bob.expect_quiet();
}

#[test]
fn binary_messages_are_refused() {
    let (_server, mut ann, mut bob, _cy) = room();
    ann.send_message(Message::binary(
        br#"{"type":"message","message":"x"}"#.to_vec(),
    ));
    match ann.next() {
        Message::Text(text) => assert!(text.contains("\"error\""), "{text}"),
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1003),
        other => panic!("{other:?}"),
    }
    let seen = bob.pending();
    assert!(
        seen.iter().all(|message| message["type"] != "message"),
        "{seen:?}"
    );
}

#[test]
fn a_user_is_limited_and_others_are_not() {
    let server = Server::with_config("messages_per_minute=3");
    let (ann_token, bob_token) = (
        server.register_and_login("ann"),
        server.register_and_login("bob"),
    );
    let mut ann = Socket::join(&server, "ann", &ann_token);
    let mut tab = Socket::join(&server, "ann", &ann_token);
    drop(ann.pending());
    let mut bob = Socket::join(&server, "bob", &bob_token);
    for socket in [&mut ann, &mut tab] {
        socket.expect_presence("join", "bob", &["ann", "bob"]);
    }

    ann.send(&json!({"type": "message", "message": "1"}));
    tab.send(&json!({"type": "private_message", "to": "bob", "message": "2"}));
    tab.expect("message");
    ann.expect("message");
    tab.expect_quiet();
    ann.send(&json!({"type": "reaction", "messageId": "m", "emoji": "x", "action": "add"}));
    for socket in [&mut ann, &mut tab] {
        socket.expect("reaction");
    }
    for socket in [&mut ann, &mut tab] {
        socket.send(&json!({"type": "message", "id": "over", "message": "4"}));
        let error = socket.expect_error("rate_limited");
        assert_eq!(
            (&error["id"], &error["remaining"]),
            (&json!("over"), &json!(0))
        );
        assert!(
            (1..=60).contains(&error["retryAfter"].as_u64().unwrap()),
            "{error}"
        );
    }
    let mut heard: Vec<_> = bob
        .pending()
        .iter()
        .map(|m| m["type"].as_str().unwrap().to_owned())
        .collect();
    heard.sort();
    assert_eq!(heard, ["message", "private_message", "reaction"]);

    bob.send(&json!({"type": "message", "message": "not me"}));
    ann.expect("message");
    tab.expect("message");
    tab.close();
    ann.close();
    bob.expect("message");
    bob.expect_presence("leave", "ann", &["bob"]);
    let mut again = Socket::join(&server, "ann", &ann_token);
    again.send(&json!({"type": "message", "message": "5"}));
    again.expect_error("rate_limited");
}

#[test]
fn a_client_that_comes_back_is_back() {
    let (server, mut ann, bob, _cy) = room();
    let token = server.login("bob");
    bob.close();
    ann.expect_presence("leave", "bob", &["ann", "cyd"]);
    for _ in 0..3 {
        let bob = Socket::join(&server, "bob", &token);
        ann.expect_presence("join", "bob", &["ann", "bob", "cyd"]);
        bob.close();
        ann.expect_presence("leave", "bob", &["ann", "cyd"]);
    }
}

#[test]
fn many_clients_hear_everything() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut sockets: Vec<_> = (0..50)
        .map(|_| Socket::join(&server, "ann", &token))
        .collect();
    for socket in &mut sockets {
        drop(socket.pending());
    }
    for number in 0..20 {
        let message =
            json!({"type": "message", "id": format!("m{number}"), "message": "x".repeat(1000)});
        sockets[number % 50].send(&message);
    }
    for socket in &mut sockets {
        let mut ids: Vec<_> = (0..20)
            .map(|_| socket.expect("message")["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 20);
    }
}

#[test]
fn a_message_over_64_kib_is_invalid_and_the_connection_stays() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut ann = Socket::join(&server, "ann", &token);
    ann.send(&json!({"type": "message", "message": "x".repeat(70_000)}));
    ann.expect_error("invalid");
    ann.send(&json!({"type": "dance"}));
    ann.expect_error("unknown_type");
}
