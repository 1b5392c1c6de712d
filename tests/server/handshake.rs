//! The WebSocket opening handshake: who gets in, and what is answered.

use crate::support::ws::{KEY, RawSocket, UPGRADE, assert_upgraded, handshake};
use crate::support::{Connection, Response, Server};

struct Door {
    server: Server,
    token: String,
}

impl Door {
    fn new(config: &str) -> Self {
        let server = Server::with_config(config);
        let token = server.register_and_login("ann");
        Self { server, token }
    }

    fn knock(&self, target: &str, more: &[(&str, &str)]) -> (Response, Connection) {
        let mut connection = self.server.connect();
        let response = handshake(&mut connection, target, more);
        (response, connection)
    }

    /// Gets in with these fields and hears the welcome; gives the subprotocol chosen.
    fn enter(&self, target: &str, more: &[(&str, &str)]) -> Option<String> {
        let (response, connection) = self.knock(target, more);
        assert_upgraded(&response);
        assert_eq!(
            response.field("Sec-WebSocket-Extensions"),
            None,
            "none was offered"
        );
        let mut socket = RawSocket(connection);
        assert_eq!(socket.frame().json()["type"], "system");
        socket.expect_alive();
        response.field("Sec-WebSocket-Protocol").map(str::to_owned)
    }
}

#[test]
fn nobody_gets_in_without_a_token() {
    let door = Door::new("");
    let offered = format!("Bearer.{}x", door.token);
    let header = format!("Bearer {}x", door.token);
    let cases: [&[(&str, &str)]; 7] = [
        &[],
        &[("Sec-WebSocket-Protocol", "chat")],
        &[("Sec-WebSocket-Protocol", "Bearer.")],
        &[("Sec-WebSocket-Protocol", "Bearer.a.b.c")],
        &[("Sec-WebSocket-Protocol", &offered)],
        &[("Authorization", &header)],
        &[("Authorization", "Basic YTpi")],
    ];
    for more in cases {
        for target in ["/ws", "/"] {
            let (response, _) = door.knock(target, more);
            assert_eq!(response.status, 401, "{target} {more:?}");
            let text = response.error(401);
            assert_eq!(response.json()["message"], text.as_str());
            assert_eq!(response.field("Sec-WebSocket-Accept"), None);
        }
    }
    let in_the_address = format!("/ws?token={}", door.token);
    door.knock(&in_the_address, &[]).0.error(401);
}

#[test]
fn the_token_is_a_subprotocol() {
    let door = Door::new("");
    let bearer = format!("Bearer.{}", door.token);
    assert_eq!(
        door.enter("/ws", &[("Sec-WebSocket-Protocol", &bearer)])
            .as_deref(),
        Some(bearer.as_str())
    );
    assert_eq!(
        door.enter("/", &[("Sec-WebSocket-Protocol", &bearer)])
            .as_deref(),
        Some(bearer.as_str())
    );

    let several = format!("soap,{bearer} , wamp");
    assert_eq!(
        door.enter("/ws", &[("Sec-WebSocket-Protocol", &several)])
            .as_deref(),
        Some(bearer.as_str())
    );
    let lines = [
        ("Sec-WebSocket-Protocol", "soap"),
        ("Sec-WebSocket-Protocol", bearer.as_str()),
    ];
    assert_eq!(door.enter("/ws", &lines).as_deref(), Some(bearer.as_str()));
}

#[test]
fn with_chat_offered_the_token_is_not_echoed() {
    let door = Door::new("");
    for offered in [
        format!("chat, Bearer.{}", door.token),
        format!("Bearer.{}, chat", door.token),
    ] {
        let chosen = door.enter("/ws", &[("Sec-WebSocket-Protocol", &offered)]);
        assert_eq!(chosen.as_deref(), Some("chat"));
    }
}

#[test]
fn command_line_clients_may_use_authorization() {
    let door = Door::new("");
    let header = format!("Bearer {}", door.token);
    assert_eq!(door.enter("/ws", &[("Authorization", &header)]), None);
}

#[test]
fn other_origins_must_be_listed() {
    let door = Door::new("allowed_origins=https://pages.example, https://other.example:8443");
    let bearer = format!("Bearer.{}", door.token);
    let own = door.server.origin();
    let accepted = [
        own.as_str(),
        "https://pages.example",
        "https://other.example:8443",
        "HTTPS://Pages.Example",
    ];
    for origin in accepted {
        door.enter(
            "/ws",
            &[("Sec-WebSocket-Protocol", &bearer), ("Origin", origin)],
        );
    }
    let plain = own.replace("https", "http");
    let longer = format!("{own}.evil.example");
    let rejected = [
        "https://evil.example",
        "null",
        "https://pages.example.evil.example",
        "https://pages.example:8443",
        "https://other.example",
        "http://pages.example",
        plain.as_str(),
        longer.as_str(),
        "https://localhost",
    ];
    for origin in rejected {
        let (response, _) = door.knock(
            "/ws",
            &[("Sec-WebSocket-Protocol", &bearer), ("Origin", origin)],
        );
        assert_eq!(response.status, 403, "{origin}");
        response.error(403);
    }
}

#[test]
fn another_version_is_told_ours() {
    let door = Door::new("");
    let bearer = format!("Bearer {}", door.token);
    for version in ["12", "0", "14", "x"] {
        let fields = [
            UPGRADE[0],
            UPGRADE[1],
            UPGRADE[3],
            ("Sec-WebSocket-Version", version),
            ("Authorization", &bearer),
        ];
        let response = door.server.connect().request("GET", "/ws", &fields, b"");
        assert_eq!(response.status, 426, "{version}");
        assert_eq!(response.field("Sec-WebSocket-Version"), Some("13"));
    }
}

#[test]
fn a_broken_handshake_is_refused() {
    let door = Door::new("");
    let bearer = format!("Bearer {}", door.token);
    let token = ("Authorization", bearer.as_str());
    let [connection, upgrade, version, key] = UPGRADE;
    let cases: [&[(&str, &str)]; 5] = [
        &[connection, upgrade, version, token],
        &[
            connection,
            upgrade,
            version,
            token,
            ("Sec-WebSocket-Key", ""),
        ],
        &[
            connection,
            upgrade,
            version,
            token,
            ("Sec-WebSocket-Key", "c2hvcnQ="),
        ],
        &[
            connection,
            upgrade,
            version,
            token,
            ("Sec-WebSocket-Key", "not base64 at all!!!!!!="),
        ],
        &[
            connection,
            upgrade,
            version,
            token,
            key,
            ("Sec-WebSocket-Key", KEY),
        ],
    ];
    for fields in cases {
        let response = door.server.connect().request("GET", "/ws", fields, b"");
        assert_eq!(response.status, 400, "{fields:?}");
    }
    for fields in [
        &[token][..],
        &[upgrade, version, key, token],
        &[connection, version, key, token],
    ] {
        let response = door.server.connect().request("GET", "/ws", fields, b"");
        assert!(
            matches!(response.status, 400 | 426),
            "{fields:?}: {}",
            response.status
        );
    }
    let fields = [connection, upgrade, version, key, token];
    let response = door.server.connect().request("POST", "/ws", &fields, b"");
    assert_eq!(response.status, 405);
    let response = door.server.connect().request("HEAD", "/ws", &fields, b"");
    assert_eq!(
        (response.status, response.field("Allow")),
        (405, Some("GET"))
    );
    assert_eq!(door.knock("/missing", &[token]).0.status, 404);
}

#[test]
fn a_handshake_has_no_body() {
    let door = Door::new("");
    let bearer = format!("Bearer {}", door.token);
    let mut fields = UPGRADE.to_vec();
    fields.push(("Authorization", &bearer));
    let response = door
        .server
        .connect()
        .request("GET", "/ws", &fields, b"body");
    assert_eq!(response.status, 400);
    assert_eq!(response.field("Sec-WebSocket-Accept"), None);
    // Nobody is told to send one.
    let mut connection = door.server.connect();
    let head: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    connection.send(format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\n{head}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        door.server.host()
    ));
    assert_eq!(connection.respond().status, 400);
    fields.push(("Content-Length", "0"));
    let response = door.server.connect().request("GET", "/ws", &fields, b"");
    assert_upgraded(&response);
}

#[test]
fn compression_is_agreed_on_or_declined() {
    let door = Door::new("");
    let bearer = format!("Bearer {}", door.token);
    let none = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let small = format!("{none}; server_max_window_bits=10");
    for (offers, responded) in [
        (
            &["permessage-deflate; client_max_window_bits"][..],
            Some(none),
        ),
        (&["x-other, permessage-deflate"], Some(none)),
        (
            &[
                "permessage-deflate; server_max_window_bits=99",
                "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            ],
            Some(&small),
        ),
        (&["permessage-deflate; odd=1"], None),
    ] {
        let mut more = vec![("Authorization", bearer.as_str())];
        more.extend(
            offers
                .iter()
                .map(|offer| ("Sec-WebSocket-Extensions", *offer)),
        );
        let (response, _) = door.knock("/ws", &more);
        assert_eq!(response.status, 101, "{offers:?}");
        assert_eq!(
            response.field("Sec-WebSocket-Extensions"),
            responded,
            "{offers:?}"
        );
    }
    let odd = ("Sec-WebSocket-Extensions", "permessage-deflate; =");
    let (response, _) = door.knock("/ws", &[("Authorization", &bearer), odd]);
    assert_eq!(response.status, 400);

    let door = Door::new("ws_compression=0");
    let bearer = format!("Bearer {}", door.token);
    let offer = ("Sec-WebSocket-Extensions", "permessage-deflate");
    let (response, _) = door.knock("/ws", &[("Authorization", &bearer), offer]);
    assert_eq!(response.status, 101);
    assert_eq!(response.field("Sec-WebSocket-Extensions"), None);
}

#[test]
fn browsers_send_lists() {
    let door = Door::new("");
    let bearer = format!("Bearer {}", door.token);
    let fields = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "WebSocket"),
        UPGRADE[2],
        UPGRADE[3],
        ("Authorization", &bearer),
    ];
    let response = door.server.connect().request("GET", "/ws", &fields, b"");
    assert_upgraded(&response);
}

#[test]
fn after_a_refusal_the_connection_may_try_again() {
    let door = Door::new("");
    let bearer = format!("Bearer {}", door.token);
    let (response, mut connection) = door.knock("/ws", &[]);
    response.error(401);
    if response.closes() {
        connection.expect_close();
    } else {
        assert_upgraded(&handshake(
            &mut connection,
            "/ws",
            &[("Authorization", &bearer)],
        ));
    }
}

#[test]
fn requests_before_the_upgrade_are_answered_first() {
    let door = Door::new("");
    let bearer = format!("Bearer {}", door.token);
    let mut connection = door.server.connect();
    connection.send_request("GET", "/", &[], b"");
    let fields: Vec<_> = UPGRADE
        .into_iter()
        .chain([("Authorization", bearer.as_str())])
        .collect();
    connection.send_request("GET", "/ws", &fields, b"");
    connection.respond().expect(200);
    assert_upgraded(&connection.respond());
    assert_eq!(RawSocket(connection).frame().json()["type"], "system");
}
