//! Compressed messages (RFC 7692): what is taken, what is refused, and that it comes back the same.

use edgeloop::proto::ws::deflate::{Compression, Deflaters, Inflater, NegotiatedDeflate};
use edgeloop::proto::ws::frame::{Header, Opcode, RESERVED_1};
use edgeloop::proto::ws::handshake::read_request;
use edgeloop::proto::ws::{CloseCode, Event, Role, WsError, WsLimits, WsMachine, WsStep};
use proptest::prelude::*;
use proptest::sample::Index;

use super::drive::{Outcome, Owned, feed};
use super::streams::{piece_sizes, pieces};

pub(crate) const EACH: Compression = Compression {
    threshold_bytes: 0,
    ..Compression::DEFAULT
};
pub(crate) const KEEPING: Compression = Compression {
    keeps_windows: true,
    ..EACH
};

fn negotiated(how: &Compression, offer: &str) -> NegotiatedDeflate {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", offer),
    ];
    let opening = read_request("GET", true, fields).unwrap();
    opening.negotiate(how).unwrap()
}

pub(crate) fn machine(role: Role, how: &Compression) -> WsMachine {
    let negotiated = negotiated(how, "permessage-deflate; client_max_window_bits");
    WsMachine::with_compression(role, negotiated)
}

/// Feeds `pieces` to `machine` as a connection would that lends an inflater to whom needs it.
pub(crate) fn drive<'a>(
    machine: &mut WsMachine,
    limits: &WsLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut input = Vec::new();
    let mut spare: Option<Box<Inflater>> = None;
    for piece in pieces {
        if let Some(inflater) = spare.take() {
            spare = machine.split().0.lend_inflater(inflater);
        }
        input.extend_from_slice(piece);
        feed(machine, limits, &mut input, &mut outcome);
        let receiver = machine.split().0;
        assert!(receiver.buffer_bytes() <= limits.message_bytes_max.max(8192));
        spare = receiver.recycle_inflater().or(spare);
    }
    outcome
}

fn client_takes(bytes: &[u8], how: &Compression) -> Outcome {
    let whole = drive(&mut machine(Role::Client, how), &WsLimits::DEFAULT, [bytes]);
    let bytewise = drive(
        &mut machine(Role::Client, how),
        &WsLimits::DEFAULT,
        bytes.chunks(1),
    );
    assert_eq!(whole, bytewise, "{bytes:02X?}");
    whole
}

fn hello() -> Owned {
    Owned::Text("Hello".to_owned())
}

#[test]
fn rfc_7692_section_7_2_3_examples() {
    let examples: [&[u8]; 5] = [
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
        b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ];
    for bytes in examples {
        for how in [EACH, KEEPING] {
            let outcome = client_takes(bytes, &how);
            assert_eq!(outcome.error, None, "{bytes:02X?}");
            assert_eq!(outcome.events, [hello()], "{bytes:02X?}");
        }
    }
}

#[test]
fn rfc_7692_section_7_2_3_2_a_window_is_kept_where_that_was_agreed() {
    let twice = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    let kept = client_takes(twice, &KEEPING);
    assert_eq!((kept.events, kept.error), (vec![hello(), hello()], None));
    let not_kept = client_takes(twice, &EACH);
    assert_eq!(not_kept.events, [hello()]);
    assert_eq!(not_kept.error, Some(WsError::DeflateInvalid));
}

#[test]
fn rfc_7692_section_7_2_3_6_nothing_may_be_compressed() {
    for bytes in [&b"\xc1\x01\x00"[..], b"\xc1\x00", b"\x41\x00\x80\x00"] {
        let outcome = client_takes(bytes, &EACH);
        assert_eq!(outcome.events, [Owned::Text(String::new())], "{bytes:?}");
    }
}

#[test]
fn rfc_7692_section_6_rsv1_is_for_first_frames_of_messages() {
    let rejected: [&[u8]; 7] = [
        b"\x41\x01\xf2\xc0\x01\x48", // a continuation
        b"\xc9\x00",                 // a ping
        b"\xca",
        b"\xc8",
        b"\xa1", // RSV2
        b"\x91", // RSV3
        b"\xe1", // RSV1 and RSV2
    ];
    for bytes in rejected {
        let outcome = client_takes(bytes, &EACH);
        assert_eq!(outcome.error, Some(WsError::ReservedBits), "{bytes:02X?}");
        assert!(outcome.events.is_empty());
    }
    let mut plain = WsMachine::new(Role::Client);
    let outcome = drive(&mut plain, &WsLimits::DEFAULT, [&b"\xc1"[..]]);
    assert_eq!(outcome.error, Some(WsError::ReservedBits));
}

#[test]
fn what_is_no_deflate_is_refused() {
    let rejected: [&[u8]; 7] = [
        b"\xc1\x01\xf2",                                     // cut in its first byte
        b"\xc1\x05\xf2\x48\xcd\xc9\xc9",                     // cut within a block
        b"\xc1\x06\xf2\x48\xcd\xc9\xc9\x07",                 // without its flush
        b"\xc1\x02\x07\x00",                                 // block type 3
        b"\xc1\x05\xf2\x00\x11\x00\x00",                     // back before the beginning
        b"\xc1\x07\x00\x05\x00\xfa\xfe\x48\x65",             // lengths that differ
        b"\xc1\x0a\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x00", // a stored block cut
    ];
    for bytes in rejected {
        let outcome = client_takes(bytes, &EACH);
        assert_eq!(outcome.error, Some(WsError::DeflateInvalid), "{bytes:02X?}");
        assert!(outcome.events.is_empty());
    }
    assert_eq!(
        WsError::DeflateInvalid.close_code(),
        CloseCode::INVALID_PAYLOAD
    );
}

#[test]
fn text_is_checked_as_it_is_decompressed() {
    // 30 KB that do not compress, the first byte no UTF-8: refused long before they are here.
    let mut noise = noise(30_000);
    noise[0] = 0xFF;
    let mut wire = Vec::new();
    let mut server = machine(Role::Server, &KEEPING);
    let mut deflaters = Deflaters::default();
    let event = Event::Binary(&noise);
    let sent = server
        .split()
        .1
        .send_compressed(&mut wire, event, &mut deflaters, &KEEPING);
    assert_eq!(sent, Ok(()));
    assert_eq!(wire[0], 0xC2);
    wire[0] = 0xC1;
    let mut client = machine(Role::Client, &KEEPING);
    let outcome = drive(&mut client, &WsLimits::DEFAULT, [&wire[..8192]]);
    assert_eq!(outcome.error, Some(WsError::TextNotUtf8));
}

#[test]
fn short_text_is_refused_at_its_first_bad_byte() {
    let mut data = b"good \xFF".to_vec();
    data.extend(noise(900).iter().map(|byte| byte % 26 + b'a'));
    let mut server = machine(Role::Server, &EACH);
    let mut wire = Vec::new();
    let mut deflaters = Deflaters::default();
    let event = Event::Binary(&data);
    let sent = server
        .split()
        .1
        .send_compressed(&mut wire, event, &mut deflaters, &EACH);
    assert_eq!((sent, wire[0]), (Ok(()), 0xC2));
    wire[0] = 0xC1;
    let read = |limits: &WsLimits| {
        let mut client = machine(Role::Client, &EACH);
        let receiver = client.split().0;
        let mut bytes = wire.clone();
        bytes
            .iter_mut()
            .scan(Vec::new(), |unread: &mut Vec<u8>, byte| {
                unread.push(*byte);
                match receiver.step(unread, limits) {
                    Ok(WsStep::More { used }) => unread.drain(..used),
                    other => {
                        assert_eq!(other, Err(WsError::TextNotUtf8));
                        return None;
                    }
                };
                Some(())
            })
            .count()
    };
    let at = read(&WsLimits::DEFAULT);
    assert!(at < 150, "{at} of {}", wire.len());
    // Where memory is short it waits for more, and is refused all the same.
    let waits = WsLimits {
        compressed_bytes_held_max: 4096,
        ..WsLimits::DEFAULT
    };
    assert_eq!(read(&waits), wire.len() - 1);
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = vec![0; 64 << 20];
    let mut wire = Vec::new();
    let mut server = machine(Role::Server, &EACH);
    let sent = server.split().1.send_compressed(
        &mut wire,
        Event::Binary(&bomb),
        &mut Deflaters::default(),
        &EACH,
    );
    assert_eq!(sent, Ok(()));
    assert!(wire.len() < 1 << 20, "{} bytes", wire.len());
    let mut client = machine(Role::Client, &EACH);
    let (receiver, _) = client.split();
    assert_eq!(
        receiver.step(&mut wire, &WsLimits::DEFAULT),
        Err(WsError::MessageTooBig)
    );
    assert!(receiver.buffer_bytes() <= 1 << 20);
    assert_eq!(WsError::MessageTooBig.close_code(), CloseCode::TOO_BIG);
}

#[test]
fn a_message_may_be_as_large_as_the_limit() {
    let how = EACH;
    for (bytes, fits) in [(1000, true), (1001, false)] {
        let text = "a".repeat(bytes);
        let mut wire = Vec::new();
        let mut server = machine(Role::Server, &how);
        let sent = server.split().1.send_compressed(
            &mut wire,
            Event::Text(&text),
            &mut Deflaters::default(),
            &how,
        );
        assert_eq!(sent, Ok(()));
        let limits = WsLimits {
            message_bytes_max: 1000,
            ..WsLimits::DEFAULT
        };
        for size in [1, wire.len()] {
            let outcome = drive(&mut machine(Role::Client, &how), &limits, wire.chunks(size));
            let error = (!fits).then_some(WsError::MessageTooBig);
            assert_eq!(
                (outcome.events.len(), outcome.error),
                (usize::from(fits), error)
            );
        }
    }
}

#[test]
fn a_declared_length_reserves_nothing() {
    let mut server = machine(Role::Server, &EACH);
    let mut header = Vec::new();
    Header {
        fin: true,
        reserved: RESERVED_1,
        opcode: Opcode::Binary,
        mask_key: Some([0; 4]),
        payload_bytes: 1 << 20,
    }
    .encode(&mut header);
    let (receiver, _) = server.split();
    let used = header.len();
    assert_eq!(
        receiver.step(&mut header, &WsLimits::DEFAULT),
        Ok(WsStep::More { used })
    );
    assert_eq!(receiver.buffer_bytes(), 0);
    // Where memory is short, the first bytes wait as they are: what decompresses is not taken up by them.
    let limits = WsLimits {
        compressed_bytes_held_max: 4096,
        ..WsLimits::DEFAULT
    };
    assert_eq!(
        receiver.step(&mut [0; 4096], &limits),
        Ok(WsStep::More { used: 4096 })
    );
    assert_eq!(receiver.held_bytes(), receiver.buffer_bytes());
    assert!(receiver.recycle_inflater().is_none());
    assert!(receiver.buffer_bytes() <= 8192);
}

#[test]
fn the_inflater_goes_back_when_a_message_ends() {
    let mut client = machine(Role::Client, &EACH);
    let mut hello = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    let (receiver, _) = client.split();
    assert!(matches!(
        receiver.step(&mut hello, &WsLimits::DEFAULT),
        Ok(WsStep::Event { used: 9, .. })
    ));
    let inflater = receiver.recycle_inflater().expect("it is not needed");
    assert!(receiver.lend_inflater(inflater).is_none());
    // To those who have agreed on nothing, or keep their own, it is of no use.
    let inflater = receiver.recycle_inflater().expect("it is not needed");
    let mut plain = WsMachine::new(Role::Client);
    let inflater = plain.split().0.lend_inflater(inflater).expect("refused");
    let mut keeping = machine(Role::Client, &KEEPING);
    assert!(keeping.split().0.lend_inflater(inflater).is_some());
}

/// Compresses with the smallest window, and reads it with a window of 8 bits a byte at a time: what
/// points back farther than that is an error then.
#[test]
fn rfc_7692_section_7_1_2_1_the_smallest_window_is_honoured() {
    let offer = "permessage-deflate; server_max_window_bits=8";
    let bits = negotiated(&EACH, offer).server().window_bits();
    assert_eq!(bits.value(), 8);
    let unit = noise(240);
    let mut data = Vec::new();
    for start in 0..200 {
        data.extend_from_slice(&unit[start % 40..]);
    }
    for level in 1..=9 {
        let how = Compression { level, ..EACH };
        let mut deflaters = Deflaters::default();
        let compressed = deflaters
            .compress_without_takeover(&how, bits, &data)
            .expect("it is smaller");
        let mut inflate = zlib_rs::Inflate::new(false, 8);
        let (mut out, mut input) = (Vec::new(), [compressed, &[0, 0, 0xFF, 0xFF]].concat());
        loop {
            let mut byte = [0];
            let before = (inflate.total_in(), inflate.total_out());
            inflate
                .decompress(&input, &mut byte, zlib_rs::InflateFlush::NoFlush)
                .expect("no distance over 256");
            input.drain(..usize::try_from(inflate.total_in() - before.0).unwrap());
            if inflate.total_out() == before.1 {
                break;
            }
            out.push(byte[0]);
        }
        assert!(out == data, "level {level}");
    }
}

/// A large message that a part of shows to be noise is not compressed to the end for nothing.
#[test]
fn large_noise_is_sent_as_it_is() {
    let noise = noise(1 << 20);
    for how in [EACH, KEEPING] {
        let mut server = machine(Role::Server, &how);
        let mut wire = Vec::new();
        let event = Event::Binary(&noise);
        let (_, sender) = server.split();
        let sent = sender.send_compressed(&mut wire, event, &mut Deflaters::default(), &how);
        assert_eq!(sent, Ok(()));
        assert_eq!(wire[0], 0x82);
    }
}

#[test]
fn what_would_not_be_smaller_is_sent_as_it_is() {
    let mut server = machine(Role::Server, &EACH);
    let mut deflaters = Deflaters::default();
    let noise = noise(300);
    let how = Compression::DEFAULT;
    let even = "a".repeat(255);
    for event in [
        Event::Binary(&noise),
        Event::Text(&even),
        Event::Text(""),
        Event::Ping(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        Event::Close(None),
    ] {
        let mut wire = Vec::new();
        let (_, sender) = server.split();
        let sent = sender.send_compressed(&mut wire, event, &mut deflaters, &how);
        assert_eq!(sent, Ok(()));
        assert_eq!(wire[0] & RESERVED_1, 0, "{event:?}");
    }
}

pub(crate) fn content() -> impl Strategy<Value = Owned> {
    prop_oneof![
        3 => "[ab ]{0,2000}".prop_map(Owned::Text),
        2 => "\\PC{0,600}".prop_map(Owned::Text),
        2 => prop::collection::vec(any::<u8>(), 0..6000).prop_map(Owned::Binary),
        1 => (any::<u8>(), 0..70_000_usize).prop_map(|(byte, n)| Owned::Binary(vec![byte; n])),
        1 => prop::collection::vec(any::<u8>(), 0..125).prop_map(Owned::Ping),
    ]
}

pub(crate) fn as_event(owned: &Owned) -> Event<'_> {
    match owned {
        Owned::Text(text) => Event::Text(text),
        Owned::Binary(data) => Event::Binary(data),
        Owned::Ping(data) => Event::Ping(data),
        Owned::Pong(data) => Event::Pong(data),
        Owned::Close(_) | Owned::TooLong(_) => Event::Close(None),
    }
}

proptest! {
    #[test]
    fn what_was_compressed_comes_back(
        events in prop::collection::vec(content(), 0..6),
        keeps_windows: bool,
        level in 1..=9_u8,
        bits in 8..=15_u8,
        sizes in piece_sizes(),
        damage in prop::option::of((any::<Index>(), any::<u8>())),
    ) {
        let how = Compression { keeps_windows, level, ..EACH };
        let offer = format!(
            "permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}"
        );
        let negotiated = negotiated(&how, &offer);
        let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
        let mut server = WsMachine::with_compression(Role::Server, negotiated);
        let mut client = WsMachine::with_compression(Role::Client, negotiated);
        let mut deflaters = Deflaters::default();
        for event in events.iter().map(as_event) {
            let (_, sender) = server.split();
            prop_assert_eq!(
                sender.send_compressed(&mut from_server, event, &mut deflaters, &how), Ok(())
            );
            let (_, sender) = client.split();
            let key = [1, 2, 3, 4];
            prop_assert_eq!(
                sender.send_masked_compressed(&mut from_client, event, key, &mut deflaters, &how),
                Ok(())
            );
        }
        for (role, mut wire) in [(Role::Client, from_server), (Role::Server, from_client)] {
            let read = |wire: &[u8], limits: &WsLimits| {
                let mut machine = WsMachine::with_compression(role, negotiated);
                drive(&mut machine, limits, pieces(wire, &sizes))
            };
            let outcome = read(&wire, &WsLimits::DEFAULT);
            prop_assert_eq!((&outcome.events, outcome.error), (&events, None));

            // Damaged, or over a limit, the verdict does not depend on the cuts either.
            if let (Some((at, byte)), false) = (damage, wire.is_empty()) {
                let at = at.index(wire.len());
                wire[at] ^= byte;
            }
            for limits in [
                WsLimits::DEFAULT,
                WsLimits { message_bytes_max: 500, ..WsLimits::DEFAULT },
                WsLimits { message_bytes_wanted_max: 300, ..WsLimits::DEFAULT },
                WsLimits { message_bytes_wanted_max: 300, message_bytes_max: 500, ..WsLimits::DEFAULT },
            ] {
                let mut machine = WsMachine::with_compression(role, negotiated);
                let whole = drive(&mut machine, &limits, [wire.as_slice()]);
                prop_assert_eq!(read(&wire, &limits), whole);
            }
        }
    }
}
