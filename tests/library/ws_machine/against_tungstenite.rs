//! Two implementations, one wire: what the one writes the other reads the same.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use edgeloop::proto::ws::{CloseCode, Event, Role, WsError as OurError, WsLimits, WsMachine};
use proptest::prelude::*;
use proptest::sample::Index;
use tungstenite::protocol::{self, CloseFrame, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use super::drive::{Owned, drive};
use super::streams::{Stream, messages, piece_sizes, pieces};

/// The same for both.
const LIMITS: WsLimits = WsLimits {
    frame_bytes_max: BYTES_MAX as u64,
    message_bytes_max: BYTES_MAX,
    ..WsLimits::DEFAULT
};
const BYTES_MAX: usize = 70_000;

/// Close codes registered with IANA that tungstenite refuses to read.
const REFUSED_BY_THEM: [u16; 1] = [1014];

/// A socket whose peer has sent `input`, to be had in these pieces, and is quiet since.
struct Wire {
    input: VecDeque<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Wire {
    /// Between two pieces there is nothing to be had for once.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.input.front_mut().filter(|piece| !piece.is_empty()) else {
            self.input.pop_front();
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let read = piece.as_slice().read(buffer)?;
        piece.drain(..read);
        Ok(read)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn socket<'a>(role: Role, pieces: impl IntoIterator<Item = &'a [u8]>) -> WebSocket<Wire> {
    let wire = Wire {
        input: pieces.into_iter().map(<[u8]>::to_vec).collect(),
        output: Vec::new(),
    };
    let role = match role {
        Role::Client => protocol::Role::Client,
        Role::Server => protocol::Role::Server,
    };
    let config = WebSocketConfig::default()
        .max_frame_size(Some(BYTES_MAX))
        .max_message_size(Some(BYTES_MAX));
    WebSocket::from_raw_socket(wire, role, Some(config))
}

fn read_all(socket: WebSocket<Wire>) -> Vec<Owned> {
    let (events, error) = read_until_error(socket);
    assert!(error.is_none(), "{error:?} after {events:?}");
    events
}

/// Up to an error, a Close, or all there is.
fn read_until_error(mut socket: WebSocket<Wire>) -> (Vec<Owned>, Option<Error>) {
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Message::Text(text)) => Owned::Text(text.to_string()),
            Ok(Message::Binary(data)) => Owned::Binary(data.to_vec()),
            Ok(Message::Ping(data)) => Owned::Ping(data.to_vec()),
            Ok(Message::Pong(data)) => Owned::Pong(data.to_vec()),
            Ok(Message::Close(frame)) => {
                events.push(Owned::Close(
                    frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned())),
                ));
                return (events, None);
            }
            Ok(Message::Frame(frame)) => panic!("a bare frame: {frame}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if socket.get_ref().input.is_empty() {
                    return (events, None);
                }
                continue;
            }
            Err(error) => return (events, Some(error)),
        });
    }
}

fn as_event(owned: &Owned) -> Event<'_> {
    match owned {
        Owned::Text(text) => Event::Text(text),
        Owned::Binary(data) => Event::Binary(data),
        Owned::Ping(data) => Event::Ping(data),
        Owned::Pong(data) => Event::Pong(data),
        Owned::Close(close) => Event::Close(
            close
                .as_ref()
                .map(|(code, reason)| (CloseCode::new(*code), &**reason)),
        ),
        Owned::TooLong(_) => unreachable!("all is wanted"),
    }
}

fn as_message(owned: &Owned) -> Message {
    match owned.clone() {
        Owned::Text(text) => Message::text(text),
        Owned::Binary(data) => Message::binary(data),
        Owned::Ping(data) => Message::Ping(data.into()),
        Owned::Pong(data) => Message::Pong(data.into()),
        Owned::Close(close) => Message::Close(close.map(|(code, reason)| CloseFrame {
            code: code.into(),
            reason: reason.into(),
        })),
        Owned::TooLong(_) => unreachable!("all is wanted"),
    }
}

fn close() -> impl Strategy<Value = Owned> {
    let code = prop_oneof![1000..=1003_u16, 1007..=1013_u16, 3000..=4999_u16];
    prop::option::of((code, "\\PC{0,20}")).prop_map(Owned::Close)
}

/// Damage to one byte on its way.
#[derive(Debug, Clone)]
enum Damage {
    Change(Index, u8),
    Insert(Index, u8),
    Lose(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            4 => (any::<Index>(), 1..=u8::MAX).prop_map(|(at, by)| Self::Change(at, by)),
            1 => any::<(Index, u8)>().prop_map(|(at, byte)| Self::Insert(at, byte)),
            1 => any::<Index>().prop_map(Self::Lose),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match *self {
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len() + 1), byte),
            _ if bytes.is_empty() => {}
            Self::Change(at, by) => {
                let at = at.index(bytes.len());
                bytes[at] ^= by;
            }
            Self::Lose(at) => drop(bytes.remove(at.index(bytes.len()))),
        }
    }
}

/// Close code for their verdict.
fn close_code(error: &Error) -> CloseCode {
    match error {
        Error::Protocol(_) => CloseCode::PROTOCOL_ERROR,
        Error::Utf8(_) => CloseCode::INVALID_PAYLOAD,
        Error::Capacity(_) => CloseCode::TOO_BIG,
        other => panic!("no verdict: {other}"),
    }
}

/// Has both read `bytes` cut into pieces: the same messages must come of it, and the same verdict.
fn compare(role: Role, bytes: &[u8], sizes: &[usize]) {
    let ours = drive(role, &LIMITS, pieces(bytes, sizes));
    // They look at a frame when all of it is there: let that be so where we have seen enough.
    let rest = vec![
        0;
        if ours.error.is_some() {
            BYTES_MAX + 14
        } else {
            0
        }
    ];
    let all = pieces(bytes, sizes).chain([rest.as_slice()]);
    let (mut theirs, error) = read_until_error(socket(role, all));
    let mut verdict = error.as_ref().map(close_code);
    if let Some(Owned::Close(Some((1002, _)))) = theirs.last() {
        // A code that they refuse they give out as this one.
        if ours.error == Some(OurError::CloseCodeInvalid) {
            theirs.pop();
            verdict = Some(CloseCode::PROTOCOL_ERROR);
        } else if let Some(Owned::Close(Some((code, _)))) = ours.events.last()
            && REFUSED_BY_THEM.contains(code)
        {
            theirs.pop();
            theirs.extend(ours.events.last().cloned());
        }
    }
    if matches!(
        ours.error,
        Some(OurError::LengthNotMinimal | OurError::ControlTooLong)
    ) {
        // They do not mind a length in more bytes than needed, nor that of a control frame.
        assert!(theirs.starts_with(&ours.events));
        return;
    }
    assert_eq!(ours.events, theirs, "{:?}, {error:?}", ours.error);
    let our_verdict = ours.error.map(OurError::close_code);
    // A frame may have two faults: of those in its head they see the length first, and of those in
    // a Close the reason.
    let is_one_of_two = match verdict {
        Some(CloseCode::TOO_BIG) => our_verdict == Some(CloseCode::PROTOCOL_ERROR),
        Some(CloseCode::INVALID_PAYLOAD) => ours.error == Some(OurError::CloseCodeInvalid),
        _ => false,
    };
    assert!(
        our_verdict == verdict || is_one_of_two,
        "{:?}, {error:?}",
        ours.error
    );
}

#[test]
fn the_close_codes_that_one_accepts_and_the_other_refuses() {
    let accepted_by_us = |code: &u16| CloseCode::new(*code).is_valid_on_wire();
    let accepted_by_them =
        |code: &u16| protocol::frame::coding::CloseCode::from(*code).is_allowed();
    let differing: Vec<u16> = (0..=u16::MAX)
        .filter(|code| accepted_by_us(code) != accepted_by_them(code))
        .collect();
    assert_eq!(differing, REFUSED_BY_THEM);
    assert!(REFUSED_BY_THEM.iter().all(accepted_by_us));
}

/// The codes at every edge: damage on the way may make any of another.
#[test]
fn both_come_to_the_same_about_a_close_code() {
    let registered = 998..=1017_u16;
    let edges = [0, 1, 2999, 3000, 3999, 4000, 4999, 5000, u16::MAX];
    for code in registered.chain(edges) {
        let [high, low] = code.to_be_bytes();
        for reason in ["", "why"] {
            let length = 2 + u8::try_from(reason.len()).unwrap();
            let frame = [&[0x88, length, high, low], reason.as_bytes()].concat();
            compare(Role::Client, &frame, &[1]);
            // The mask is zero.
            let masked = [&frame[..1], &[0x80 | length, 0, 0, 0, 0], &frame[2..]].concat();
            compare(Role::Server, &masked, &[3]);
        }
    }
}

proptest! {
    /// Compares on sound, damaged and cut input, in any pieces.
    #[test]
    fn both_come_to_the_same(
        messages in messages(),
        close in close(),
        damage in prop::collection::vec(Damage::any(), 0..4),
        end in prop::option::of(any::<Index>()),
        sizes in piece_sizes(),
    ) {
        for role in [Role::Server, Role::Client] {
            let mut bytes = Stream::new(&messages, role == Role::Server).bytes;
            let close = as_event(&close);
            let (mut client, mut server) = (WsMachine::new(Role::Client), WsMachine::new(Role::Server));
            let sent = match role {
                Role::Server => client.split().1.send_masked(&mut bytes, close, [1, 2, 3, 4]),
                Role::Client => server.split().1.send(&mut bytes, close),
            };
            prop_assert_eq!(sent, Ok(()));
            for damage in &damage {
                damage.apply(&mut bytes);
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len() + 1));
            }
            compare(role, &bytes, &sizes);
        }
    }

    #[test]
    fn they_read_what_we_send(messages in messages(), close in close(), key: [u8; 4]) {
        let mut events = Stream::new(&messages, true).events;
        events.push(close);
        let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
        let (mut server, mut client) = (WsMachine::new(Role::Server), WsMachine::new(Role::Client));
        for event in events.iter().map(as_event) {
            prop_assert_eq!(server.split().1.send(&mut from_server, event), Ok(()));
            prop_assert_eq!(client.split().1.send_masked(&mut from_client, event, key), Ok(()));
        }
        prop_assert_eq!(&read_all(socket(Role::Client, [from_server.as_slice()])), &events);
        prop_assert_eq!(&read_all(socket(Role::Server, [from_client.as_slice()])), &events);
    }

    #[test]
    fn we_read_what_they_send(messages in messages(), close in close()) {
        let mut events = Stream::new(&messages, true).events;
        events.push(close);
        for (their_role, our_role) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let mut socket = socket(their_role, []);
            for event in &events {
                socket.send(as_message(event)).unwrap();
            }
            let outcome = drive(our_role, &WsLimits::default(), [socket.get_ref().output.as_slice()]);
            prop_assert_eq!((&outcome.events, outcome.error), (&events, None));
        }
    }
}
