//! Compressed messages over what is wanted: they are thrown away, and the next one is read.

use edgeloop::proto::ws::deflate::{Compression, Deflaters};
use edgeloop::proto::ws::frame::{Header, Opcode, RESERVED_1};
use edgeloop::proto::ws::{Role, WsError, WsLimits, WsMachine, WsStep};
use proptest::prelude::*;

use super::compression::{EACH, KEEPING, as_event, content, drive, machine};
use super::drive::{Outcome, Owned};
use super::streams::{piece_sizes, pieces};

const WANTED_MAX: usize = 1000;
const LIMITS: WsLimits = WsLimits {
    message_bytes_wanted_max: WANTED_MAX,
    ..WsLimits::DEFAULT
};

/// Bytes that a server sends.
fn wire(how: &Compression, events: &[Owned]) -> Vec<u8> {
    let (mut server, mut bytes) = (machine(Role::Server, how), Vec::new());
    let mut deflaters = Deflaters::default();
    for event in events.iter().map(as_event) {
        let (_, sender) = server.split();
        let sent = sender.send_compressed(&mut bytes, event, &mut deflaters, how);
        assert_eq!(sent, Ok(()));
    }
    bytes
}

/// The same with each message in fragments of these sizes, and a ping behind each that is not the last.
fn fragmented(mut wire: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((header, header_bytes)) = Header::decode(wire).unwrap() {
        let length = usize::try_from(header.payload_bytes).unwrap();
        let (frame, rest) = wire.split_at(header_bytes + length);
        wire = rest;
        if header.opcode.is_control() {
            bytes.extend_from_slice(frame);
            continue;
        }
        let mut left = &frame[header_bytes..];
        let mut next = Header { ..header };
        // No more fragments than a message may have.
        for size in sizes.iter().cycle().take(100) {
            let (piece, after) = left.split_at(left.len().min(*size));
            if after.is_empty() {
                break;
            }
            left = after;
            next.fin = false;
            next.payload_bytes = piece.len() as u64;
            next.encode(&mut bytes);
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\x89\x01!");
            next.opcode = Opcode::Continuation;
            next.reserved = 0;
        }
        next.fin = true;
        next.payload_bytes = left.len() as u64;
        next.encode(&mut bytes);
        bytes.extend_from_slice(left);
    }
    bytes
}

/// Lengths of the frames' payloads.
fn payload_bytes(mut wire: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some((header, header_bytes)) = Header::decode(wire).unwrap() {
        let length = usize::try_from(header.payload_bytes).unwrap();
        lengths.push(length);
        wire = &wire[header_bytes + length..];
    }
    lengths
}

/// Without pings, and without saying how long what was dropped was.
fn messages(outcome: &Outcome) -> Vec<Owned> {
    let events = outcome.events.iter();
    let events = events.filter(|event| !matches!(event, Owned::Ping(_)));
    events
        .map(|event| match event {
            Owned::TooLong(_) => Owned::TooLong(0),
            other => other.clone(),
        })
        .collect()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header {
        fin: true,
        reserved: RESERVED_1,
        opcode: Opcode::Text,
        mask_key: None,
        payload_bytes: payload.len() as u64,
    }
    .encode(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// The compressed form of so many bytes.
fn bomb(how: &Compression, bytes: usize) -> Vec<u8> {
    let wire = wire(how, &[Owned::Text("a".repeat(bytes))]);
    let (_, header_bytes) = Header::decode(&wire).unwrap().unwrap();
    wire[header_bytes..].to_vec()
}

#[test]
fn what_is_not_wanted_holds_nothing_and_is_not_decompressed() {
    // Behind what is too much comes what is no DEFLATE.
    let mut payload = bomb(&EACH, 1 << 20);
    let at = payload.len() / 2;
    payload[at..].fill(0xFF);
    let mut client = machine(Role::Client, &EACH);
    let (receiver, _) = client.split();
    let (mut unread, mut lent) = (Vec::new(), true);
    let bytes = frame(&payload);
    for (number, byte) in bytes.iter().enumerate() {
        unread.push(*byte);
        match receiver.step(&mut unread, &LIMITS) {
            Ok(WsStep::More { used }) => drop(unread.drain(..used)),
            Ok(WsStep::TooLong { used, bytes: long }) => {
                assert_eq!((number + 1, used), (bytes.len(), 1));
                assert!(long > WANTED_MAX as u64, "{long}");
            }
            other => panic!("{other:?}"),
        }
        receiver.recycle();
        let is_held = receiver.recycle_inflater().is_none() && receiver.held_bytes() > 0;
        assert!(lent || !is_held, "what is dropped takes no memory again");
        lent = is_held || number < 20;
    }
    assert!(!lent && !receiver.is_message_under_way());
    assert_eq!(receiver.held_bytes(), 0);

    // The next message may refer to what is in this one, so it is decompressed all the same.
    let outcome = drive(&mut machine(Role::Client, &KEEPING), &LIMITS, [&*bytes]);
    assert_eq!(outcome.error, Some(WsError::DeflateInvalid));
}

#[test]
fn windows_that_are_kept_go_on_over_what_is_dropped() {
    let events = [
        "abc".repeat(1000),
        "abc".repeat(20),
        "abcd".repeat(500),
        "abcd".repeat(20),
    ];
    let events = events.map(Owned::Text);
    let bytes = wire(&KEEPING, &events);
    for size in [1, bytes.len()] {
        let client = &mut machine(Role::Client, &KEEPING);
        let outcome = drive(client, &LIMITS, bytes.chunks(size));
        let expected = events.clone().map(|event| event.if_wanted(WANTED_MAX));
        assert_eq!((&*outcome.events, outcome.error), (&expected[..], None));
    }
}

#[test]
fn the_largest_message_is_still_the_limit() {
    let limits = WsLimits {
        message_bytes_max: 2000,
        ..LIMITS
    };
    let mut plain = vec![0x02, 126, 0x03, 0xE8];
    plain.extend([b'x'; 1000]);
    for (last, error) in [(1000, None), (1001, Some(WsError::MessageTooBig))] {
        let mut bytes = plain.clone();
        bytes.extend([0x80, 126]);
        bytes.extend(u16::try_from(last).unwrap().to_be_bytes());
        bytes.extend(vec![b'x'; last]);
        for compressed in [0, RESERVED_1] {
            bytes[0] = 0x02 | compressed;
            // Stored blocks: as many bytes decompressed as there are, but for their heads.
            if compressed > 0 {
                let stored = [0, 0xE3, 0x03, 0x1C, 0xFC];
                bytes[4..9].copy_from_slice(&stored);
            }
            let outcome = drive(&mut machine(Role::Client, &EACH), &limits, [&*bytes]);
            assert_eq!(outcome.error, error, "{last} {compressed}");
            let dropped = [Owned::TooLong(2000)];
            let expected = if error.is_none() { &dropped[..] } else { &[] };
            assert_eq!(outcome.events, expected);
        }
    }

    // Decompressed: only where it has to be.
    let bytes = frame(&bomb(&KEEPING, 2001));
    let outcome = drive(&mut machine(Role::Client, &KEEPING), &limits, [&*bytes]);
    assert_eq!(outcome.error, Some(WsError::MessageTooBig));
    let outcome = drive(&mut machine(Role::Client, &EACH), &limits, [&*bytes]);
    assert_eq!((outcome.events.len(), outcome.error), (1, None));
}

#[test]
fn a_message_within_the_limit_that_is_longer_as_sent_is_dropped() {
    // A byte in each block.
    let block = [0, 1, 0, 0xFE, 0xFF, b'x'];
    let mut payload = block.repeat(200);
    payload.push(0);
    let outcome = drive(
        &mut machine(Role::Client, &EACH),
        &LIMITS,
        [&*frame(&payload)],
    );
    assert_eq!(outcome.events, [Owned::TooLong(1201)]);
}

proptest! {
    #[test]
    fn what_is_dropped_never_breaks_the_next(
        events in prop::collection::vec(content(), 0..6),
        keeps_windows: bool,
        compressed_bytes_held_max in prop_oneof![Just(0), 0..100_usize, Just(4096)],
        fragments in prop::collection::vec(0..400_usize, 1..5),
        sizes in piece_sizes(),
    ) {
        let how = Compression { keeps_windows, ..EACH };
        let limits = WsLimits { compressed_bytes_held_max, ..LIMITS };
        let sent = wire(&how, &events);
        // What does not compress may be over the limit only as it is sent.
        let expected = events.into_iter().zip(payload_bytes(&sent)).map(|(event, sent)| {
            if sent > WANTED_MAX { Owned::TooLong(0) } else { event.if_wanted(WANTED_MAX) }
        });
        let expected = Outcome { events: expected.collect(), error: None };
        for bytes in [&sent, &fragmented(&sent, &fragments)] {
            let whole = drive(&mut machine(Role::Client, &how), &limits, [&**bytes]);
            prop_assert_eq!(whole.error, None);
            prop_assert_eq!(messages(&whole), messages(&expected));
            let mut client: WsMachine = machine(Role::Client, &how);
            prop_assert_eq!(&drive(&mut client, &limits, pieces(bytes, &sizes)), &whole);
            prop_assert!(!client.split().0.is_message_under_way());
        }
    }
}
