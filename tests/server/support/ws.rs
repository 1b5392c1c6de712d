//! WebSocket clients: a well-behaved one (tungstenite), and one that sends any frame it is told to.

use std::net::IpAddr;

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::http::{Connection, Response, Tls, client_config, tcp_from, tls_over};
use super::server::Server;

/// The key of the example in RFC 6455 §1.3, and what it must be answered with.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A user's connection to the chat.
pub(crate) struct Socket {
    inner: WebSocket<Tls>,
    name: String,
    probes: u32,
}

impl Socket {
    /// Opens a socket with the token as subprotocol and hears the welcome. `name` is for messages of
    /// failing tests.
    pub(crate) fn open(server: &Server, name: &str, token: &str) -> Self {
        Self::open_from(server, [127, 0, 0, 1].into(), name, token)
    }

    /// The same from this address.
    pub(crate) fn open_from(server: &Server, source: IpAddr, name: &str, token: &str) -> Self {
        let mut request = format!("wss://{}/ws", server.host())
            .into_client_request()
            .unwrap();
        let offered = format!("Bearer.{token}");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", offered.parse().unwrap());
        let tcp = tcp_from(server, source).expect("a connection");
        let trusted = client_config(server.folder().certificate());
        let stream = tls_over(tcp, trusted, "localhost").expect("a handshake");
        let config = WebSocketConfig::default();
        let (inner, response) =
            match tungstenite::client::client_with_config(request, stream, Some(config)) {
                Ok(opened) => opened,
                Err(error) => panic!("{name}: no upgrade: {error}"),
            };
        assert_eq!(
            response.headers()["Sec-WebSocket-Protocol"],
            offered.as_str()
        );
        let mut socket = Self {
            inner,
            name: name.to_owned(),
            probes: 0,
        };
        let welcome = socket.expect("system");
        let text = welcome["message"].as_str().unwrap_or_default();
        let number = text.strip_prefix("Welcome! You are client #");
        let number = number.unwrap_or_else(|| panic!("{welcome}"));
        assert!(number.parse::<u64>().is_ok(), "{welcome}");
        socket
    }

    /// Opens a socket, joins, and hears who is online.
    pub(crate) fn join(server: &Server, name: &str, token: &str) -> Self {
        let mut socket = Self::open(server, name, token);
        socket.send(&json!({"type": "join"}));
        let users = socket.expect("users");
        assert!(
            online(&users).contains(&name.to_owned()),
            "{name} is not among {users}"
        );
        socket
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Sends one text message that need not be JSON.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text));
    }

    /// Sends any message.
    pub(crate) fn send_message(&mut self, message: Message) {
        self.inner
            .send(message)
            .unwrap_or_else(|error| panic!("{} cannot send: {error}", self.name));
    }

    /// The next message, of whatever kind.
    pub(crate) fn next(&mut self) -> Message {
        self.inner
            .read()
            .unwrap_or_else(|error| panic!("{} hears no message: {error}", self.name))
    }

    /// The next message, which must be JSON of this type.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let message = self.next();
        let Message::Text(text) = &message else {
            panic!("{} wanted {kind:?} and got {message:?}", self.name);
        };
        let value: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("{} got no JSON ({error}): {text}", self.name));
        assert_eq!(
            value["type"], kind,
            "{} wanted {kind:?} and got {text}",
            self.name
        );
        value
    }

    /// The next message, which must be this, apart from a `timestamp` that must be one.
    pub(crate) fn expect_exactly(&mut self, wanted: &Value) {
        let kind = wanted["type"].as_str().expect("what is wanted has a type");
        let mut got = self.expect(kind);
        if let Some(timestamp) = got.as_object_mut().unwrap().remove("timestamp") {
            assert_is_seconds(&timestamp);
        } else {
            assert!(
                matches!(
                    kind,
                    "typing" | "stop_typing" | "users" | "private_typing" | "private_stop_typing"
                ),
                "no timestamp in {got}"
            );
        }
        assert_eq!(&got, wanted, "{} got something else", self.name);
    }

    /// The next two are a `join` or `leave` of `username` and the list of who is online then.
    pub(crate) fn expect_presence(&mut self, kind: &str, username: &str, online_now: &[&str]) {
        self.expect_exactly(&json!({"type": kind, "username": username}));
        self.expect_online(online_now);
    }

    /// The next is the list of who is online.
    pub(crate) fn expect_online(&mut self, online_now: &[&str]) {
        let users = self.expect("users");
        assert_eq!(online(&users), online_now, "{}", self.name);
    }

    /// The next is an error with this code.
    pub(crate) fn expect_error(&mut self, code: &str) -> Value {
        let error = self.expect("error");
        assert_eq!(error["code"], code, "{} got {error}", self.name);
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{error}"
        );
        error
    }

    /// Nothing is on its way to this socket, and all it sent was handled.
    ///
    /// Found out without waiting: a message nobody knows is answered to its sender alone, after
    /// everything that came before.
    pub(crate) fn expect_quiet(&mut self) {
        self.probes += 1;
        let id = format!("probe-{}", self.probes);
        self.send(&json!({"type": "no-such-type", "id": id}));
        let response = self.expect("error");
        assert!(
            matches!(
                response["code"].as_str(),
                Some("unknown_type" | "not_joined")
            ),
            "{}: {response}",
            self.name
        );
        assert_eq!(response["id"], id.as_str(), "{} got {response}", self.name);
    }

    /// Everything that was on its way to this socket, in order; see [`Socket::expect_quiet`].
    pub(crate) fn pending(&mut self) -> Vec<Value> {
        self.probes += 1;
        let id = format!("probe-{}", self.probes);
        self.send(&json!({"type": "no-such-type", "id": id}));
        let mut heard = Vec::new();
        loop {
            let Message::Text(text) = self.next() else {
                panic!("{} wanted text", self.name)
            };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            if message["id"] == id.as_str() {
                return heard;
            }
            heard.push(message);
        }
    }

    /// The server closes with this code.
    pub(crate) fn expect_close(&mut self, code: u16) {
        match self.next() {
            Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), code, "{frame:?}"),
            other => panic!("{} wanted close {code} and got {other:?}", self.name),
        }
    }

    /// Closes in order, hearing the server's close frame.
    pub(crate) fn close(mut self) {
        self.inner.close(None).expect("a close frame goes out");
        loop {
            match self.inner.read() {
                Ok(Message::Close(_)) => {}
                Ok(other) => panic!("{} wanted the close and got {other:?}", self.name),
                Err(tungstenite::Error::ConnectionClosed) => return,
                Err(error) => panic!("{}: the close is not answered: {error}", self.name),
            }
        }
    }
}

/// The names in a `users` message, sorted, every one said to be online.
pub(crate) fn online(users: &Value) -> Vec<String> {
    let list = users["users"]
        .as_array()
        .unwrap_or_else(|| panic!("{users}"));
    let mut names: Vec<String> = list
        .iter()
        .map(|user| {
            assert_eq!(user["isOnline"], true, "{users}");
            user["username"]
                .as_str()
                .unwrap_or_else(|| panic!("{users}"))
                .to_owned()
        })
        .collect();
    names.sort();
    names
}

/// A time in seconds, not in milliseconds, and one this project has been alive at.
pub(crate) fn assert_is_seconds(timestamp: &Value) {
    let seconds = timestamp
        .as_u64()
        .unwrap_or_else(|| panic!("timestamp {timestamp}"));
    assert!(
        (1_700_000_000..100_000_000_000).contains(&seconds),
        "timestamp {seconds}"
    );
}

/// The fields of a sound opening handshake, without any credentials.
pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
];

/// Sends an opening handshake with more fields, and gives the answer, whatever it is.
pub(crate) fn handshake(
    connection: &mut Connection,
    target: &str,
    more: &[(&str, &str)],
) -> Response {
    let fields: Vec<_> = UPGRADE.iter().chain(more).copied().collect();
    connection.request("GET", target, &fields, b"")
}

/// Checks that an answer is the upgrade to our key.
pub(crate) fn assert_upgraded(response: &Response) {
    assert_eq!(
        response.status,
        101,
        "{response:?} {}",
        String::from_utf8_lossy(&response.body)
    );
    assert!(
        response
            .field("Upgrade")
            .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    );
    assert!(
        response
            .field("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("upgrade"))
    );
    assert_eq!(response.field("Sec-WebSocket-Accept"), Some(ACCEPT));
}

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// One frame as received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) is_final: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The payload as JSON of a text frame.
    pub(crate) fn json(&self) -> Value {
        assert_eq!((self.is_final, self.opcode), (true, TEXT), "{self:?}");
        serde_json::from_slice(&self.payload).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The code of a close frame.
    pub(crate) fn close_code(&self) -> u16 {
        assert_eq!((self.is_final, self.opcode), (true, CLOSE), "{self:?}");
        let code = self
            .payload
            .first_chunk()
            .unwrap_or_else(|| panic!("no code in {self:?}"));
        assert!(std::str::from_utf8(&self.payload[2..]).is_ok(), "{self:?}");
        u16::from_be_bytes(*code)
    }
}

/// A socket of bare frames, welcome heard.
pub(crate) struct RawSocket(pub Connection);

impl RawSocket {
    /// Upgrades a connection with a token.
    pub(crate) fn open(server: &Server, token: &str) -> Self {
        let mut connection = server.connect();
        let bearer = format!("Bearer {token}");
        assert_upgraded(&handshake(
            &mut connection,
            "/ws",
            &[("Authorization", &bearer)],
        ));
        let mut socket = Self(connection);
        assert_eq!(socket.frame().json()["type"], "system");
        socket
    }

    /// Sends a masked frame.
    pub(crate) fn send(&mut self, is_final: bool, opcode: u8, payload: &[u8]) {
        self.0.send(masked(is_final, opcode, payload));
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        let head = self.0.take(2);
        assert_eq!(head[0] & 0x70, 0, "reserved bits are not set");
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes(self.0.take(2).try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(self.0.take(8).try_into().unwrap())).unwrap(),
            small => usize::from(small),
        };
        Frame {
            is_final: head[0] & 0x80 != 0,
            opcode: head[0] & 0x0F,
            payload: self.0.take(length),
        }
    }

    /// The server refuses what it got: a close frame with this code, then the end.
    pub(crate) fn expect_refusal(&mut self, code: u16) {
        let frame = self.frame();
        assert_eq!(frame.close_code(), code, "{frame:?}");
        let (rest, _) = self.0.rest();
        assert!(
            rest.is_empty(),
            "after the close frame: {}",
            rest.escape_ascii()
        );
    }

    /// The connection still works: a ping is answered.
    pub(crate) fn expect_alive(&mut self) {
        self.send(true, PING, b"still there?");
        let pong = Frame {
            is_final: true,
            opcode: PONG,
            payload: b"still there?".to_vec(),
        };
        assert_eq!(self.frame(), pong);
    }
}

/// A frame as a client sends it.
pub(crate) fn masked(is_final: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = head(is_final, opcode, payload.len(), true);
    frame.extend(KEY);
    frame.extend(
        payload
            .iter()
            .zip(KEY.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// A frame without the mask a client owes.
pub(crate) fn unmasked(is_final: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(is_final, opcode, payload.len(), false);
    frame.extend(payload);
    frame
}

/// The first bytes of a frame, up to the masking key.
pub(crate) fn head(is_final: bool, opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    let mut head = vec![opcode | if is_final { 0x80 } else { 0 }];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(small @ ..=125), _) => head.push(mask | small),
        (_, Ok(medium)) => {
            head.push(mask | 126);
            head.extend(medium.to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    head
}
