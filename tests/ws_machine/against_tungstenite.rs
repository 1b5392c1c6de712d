//! Two implementations, one wire: what the one writes the other reads the same.

use std::io::{self, Read, Write};

use edgeloop::proto::ws::{CloseCode, Error as OurError, Event, Limits, Machine, Role};
use proptest::prelude::*;
use proptest::sample::Index;
use tungstenite::protocol::{self, CloseFrame, WebSocket};
use tungstenite::{Error, Message};

use crate::drive::{Owned, drive};
use crate::streams::{Stream, messages, piece_sizes, pieces};

/// A socket whose peer has sent `input` and is quiet since.
struct Wire {
    input: io::Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
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

fn socket(role: protocol::Role, input: Vec<u8>) -> WebSocket<Wire> {
    let wire = Wire {
        input: io::Cursor::new(input),
        output: Vec::new(),
    };
    WebSocket::from_raw_socket(wire, role, None)
}

fn read_all(socket: WebSocket<Wire>) -> Vec<Owned> {
    let (events, error) = read_until_error(socket);
    assert!(error.is_none(), "{error:?} after {events:?}");
    events
}

fn read_until_error(mut socket: WebSocket<Wire>) -> (Vec<Owned>, Option<Error>) {
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Message::Text(text)) => Owned::Text(text.to_string()),
            Ok(Message::Binary(data)) => Owned::Binary(data.to_vec()),
            Ok(Message::Ping(data)) => Owned::Ping(data.to_vec()),
            Ok(Message::Pong(data)) => Owned::Pong(data.to_vec()),
            Ok(Message::Close(frame)) => Owned::Close(
                frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned())),
            ),
            Ok(Message::Frame(frame)) => panic!("a bare frame: {frame}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (events, None);
            }
            Err(Error::ConnectionClosed) => return (events, None),
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
    }
}

fn close() -> impl Strategy<Value = Owned> {
    let code = prop_oneof![1000..=1003_u16, 1007..=1013_u16, 3000..=4999_u16];
    prop::option::of((code, "\\PC{0,20}")).prop_map(Owned::Close)
}

proptest! {
    #[test]
    fn both_read_the_same(messages in messages()) {
        let stream = Stream::new(&messages, true);
        let ours = drive(Role::Server, &Limits::default(), [stream.bytes.as_slice()]);
        let theirs = read_all(socket(protocol::Role::Server, stream.bytes));
        prop_assert_eq!(ours.events, theirs);
    }

    #[test]
    fn they_read_what_we_send(messages in messages(), close in close(), key: [u8; 4]) {
        let mut events = Stream::new(&messages, true).events;
        events.push(close);
        let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
        let (mut server, mut client) = (Machine::new(Role::Server), Machine::new(Role::Client));
        for event in events.iter().map(as_event) {
            prop_assert_eq!(server.split().1.send(&mut from_server, event), Ok(()));
            prop_assert_eq!(client.split().1.send_masked(&mut from_client, event, key), Ok(()));
        }
        prop_assert_eq!(&read_all(socket(protocol::Role::Client, from_server)), &events);
        prop_assert_eq!(&read_all(socket(protocol::Role::Server, from_client)), &events);
    }

    /// They do not mind lengths in more bytes than needed, give codes that may not be sent out as
    /// 1002, and look at a frame when all of it is there; else the verdict is the same.
    #[test]
    fn damage_is_seen_by_both(
        messages in messages(),
        close in close(),
        at: Index,
        damage in 1..=u8::MAX,
        sizes in piece_sizes(),
    ) {
        let Stream { mut bytes, .. } = Stream::new(&messages, true);
        let mut client = Machine::new(Role::Client);
        let sent = client.split().1.send_masked(&mut bytes, as_event(&close), [1, 2, 3, 4]);
        prop_assert_eq!(sent, Ok(()));
        let at = at.index(bytes.len());
        bytes[at] ^= damage;

        let limits = Limits { frame_bytes_max: 16 << 20, message_bytes_max: 64 << 20, ..Limits::DEFAULT };
        let ours = drive(Role::Server, &limits, pieces(&bytes, &sizes));
        let (mut theirs, mut error) = read_until_error(socket(protocol::Role::Server, bytes));
        if ours.error == Some(OurError::CloseCodeInvalid)
            && let Some(Owned::Close(Some((1002, _)))) = theirs.last()
        {
            theirs.pop();
            error = Some(Error::ConnectionClosed);
        }
        match (ours.error, error) {
            (Some(OurError::LengthNotMinimal), _) => prop_assert!(theirs.starts_with(&ours.events)),
            (Some(_), _) | (None, None) => {
                prop_assert_eq!(&ours.events, &theirs, "{:?}", ours.error);
            }
            (None, Some(error)) => prop_assert!(false, "only they see {error} in {:?}", ours.events),
        }
    }

    #[test]
    fn we_read_what_they_send(messages in messages(), close in close()) {
        let mut events = Stream::new(&messages, true).events;
        events.push(close);
        for (their_role, our_role) in
            [(protocol::Role::Client, Role::Server), (protocol::Role::Server, Role::Client)]
        {
            let mut socket = socket(their_role, Vec::new());
            for event in &events {
                socket.send(as_message(event)).unwrap();
            }
            let outcome = drive(our_role, &Limits::default(), [socket.get_ref().output.as_slice()]);
            prop_assert_eq!((&outcome.events, outcome.error), (&events, None));
        }
    }
}
