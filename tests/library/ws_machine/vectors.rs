//! One vector for each rule, named by its clause of RFC 6455: run whole, byte by byte, and cut in
//! two at every place, always with the same outcome.

use edgeloop::proto::ws::Error::{self, *};
use edgeloop::proto::ws::{CloseCode, Limits, Role};

use super::drive::{Outcome, Owned, drive};

const LIMITS: Limits = Limits {
    frame_bytes_max: 200,
    message_bytes_max: 300,
    ..Limits::DEFAULT
};

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// A frame from a client, made byte by byte and not by the code under test.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let [high, low] = u16::try_from(payload.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut frame = match payload.len() {
        0..126 => vec![first, 0x80 | low],
        _ => vec![first, 0xFE, high, low],
    };
    let key = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(key);
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

fn binary(data: &[u8]) -> Owned {
    Owned::Binary(data.to_owned())
}

fn ping(data: &[u8]) -> Owned {
    Owned::Ping(data.to_owned())
}

fn close(code: u16, reason: &str) -> Owned {
    Owned::Close(Some((code, reason.to_owned())))
}

/// Runs the vector in every way there is to cut it in two, and byte by byte.
#[track_caller]
fn check(role: Role, clause: &str, input: &[u8], events: &[Owned], error: Option<Error>) {
    let expected = Outcome {
        events: events.to_owned(),
        error,
    };
    assert_eq!(drive(role, &LIMITS, [input]), expected, "§{clause}, whole");
    assert_eq!(
        drive(role, &LIMITS, input.chunks(1)),
        expected,
        "§{clause}, byte by byte"
    );
    for cut in 0..=input.len() {
        let halves: [&[u8]; 2] = input.split_at(cut).into();
        assert_eq!(
            drive(role, &LIMITS, halves),
            expected,
            "§{clause}, cut at {cut}"
        );
    }
}

#[track_caller]
fn reads(clause: &str, frames: &[Vec<u8>], events: &[Owned]) {
    check(Role::Server, clause, &frames.concat(), events, None);
}

/// The events are followed by the error, and nothing after that counts.
#[track_caller]
fn refuses(clause: &str, frames: &[Vec<u8>], events: &[Owned], error: Error) {
    check(Role::Server, clause, &frames.concat(), events, Some(error));
    let more = [frames.concat(), frame(FIN | TEXT, "more"), vec![0xFF; 20]].concat();
    check(Role::Server, clause, &more, events, Some(error));
}

#[test]
fn whole_messages() {
    reads("5.6", &[frame(FIN | TEXT, "")], &[text("")]);
    reads("5.6", &[frame(FIN | BINARY, "")], &[binary(b"")]);
    reads("5.7", &[frame(FIN | TEXT, "Hello")], &[text("Hello")]);
    reads(
        "5.6",
        &[frame(FIN | BINARY, [0, 0xFF, 0x80])],
        &[binary(&[0, 0xFF, 0x80])],
    );
    reads("5.6", &[frame(FIN | TEXT, "κόσμε 🦀")], &[text("κόσμε 🦀")]);
    for length in [1, 31, 32, 33, 124, 125, 126, 127, 199, 200] {
        let content = "x".repeat(length);
        reads("5.2", &[frame(FIN | TEXT, &content)], &[text(&content)]);
    }
    let two = [frame(FIN | TEXT, "one"), frame(FIN | BINARY, "two")];
    reads("5.4", &two, &[text("one"), binary(b"two")]);
}

#[test]
fn fragments() {
    let fragments = [frame(TEXT, "Hel"), frame(FIN, "lo")];
    reads("5.7", &fragments, &[text("Hello")]);
    let fragments = [
        frame(BINARY, "a"),
        frame(CONTINUATION, "b"),
        frame(FIN, "c"),
    ];
    reads("5.4", &fragments, &[binary(b"abc")]);
    let empty = [frame(TEXT, ""), frame(CONTINUATION, ""), frame(FIN, "")];
    reads("5.4", &empty, &[text("")]);
    let empty = [frame(TEXT, ""), frame(CONTINUATION, "x"), frame(FIN, "")];
    reads("5.4", &empty, &[text("x")]);
    let twice = [
        frame(TEXT, "a"),
        frame(FIN, "b"),
        frame(BINARY, "c"),
        frame(FIN, "d"),
    ];
    reads("5.4", &twice, &[text("ab"), binary(b"cd")]);
    let then_whole = [frame(TEXT, "a"), frame(FIN, "b"), frame(FIN | TEXT, "c")];
    reads("5.4", &then_whole, &[text("ab"), text("c")]);
}

#[test]
fn control_frames() {
    reads("5.5.2", &[frame(FIN | PING, "")], &[ping(b"")]);
    reads("5.5.2", &[frame(FIN | PING, [7; 125])], &[ping(&[7; 125])]);
    reads(
        "5.5.3",
        &[frame(FIN | PONG, b"\xFF")],
        &[Owned::Pong(vec![0xFF])],
    );
    let between = [
        frame(TEXT, "Hel"),
        frame(FIN | PING, "1"),
        frame(CONTINUATION, "l"),
        frame(FIN | PONG, "2"),
        frame(FIN | PING, "3"),
        frame(FIN, "o"),
    ];
    let events = [
        ping(b"1"),
        Owned::Pong(b"2".to_vec()),
        ping(b"3"),
        text("Hello"),
    ];
    reads("5.5", &between, &events);
}

#[test]
fn closes() {
    reads("5.5.1", &[frame(FIN | CLOSE, "")], &[Owned::Close(None)]);
    reads(
        "5.5.1",
        &[frame(FIN | CLOSE, [0x03, 0xE8])],
        &[close(1000, "")],
    );
    reads(
        "5.5.1",
        &[frame(FIN | CLOSE, b"\x0F\xA1caf\xC3\xA9")],
        &[close(4001, "café")],
    );
    let longest = [&[0x03, 0xE9], [b'r'; 123].as_slice()].concat();
    reads(
        "5.5.1",
        &[frame(FIN | CLOSE, longest)],
        &[close(1001, &"r".repeat(123))],
    );
    let late = [
        frame(FIN | CLOSE, [0x03, 0xE8]),
        frame(FIN | TEXT, "late"),
        vec![0xFF; 200],
    ];
    reads("5.5.1", &late, &[close(1000, "")]);
    let between = [
        frame(TEXT, "half"),
        frame(FIN | CLOSE, [0x03, 0xE8]),
        frame(FIN, "late"),
    ];
    reads("5.5.1", &between, &[close(1000, "")]);
}

#[test]
fn close_payloads_are_checked() {
    refuses("5.5.1", &[frame(FIN | CLOSE, [0x03])], &[], CloseCodeCut);
    for code in [
        0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        refuses(
            "7.4",
            &[frame(FIN | CLOSE, code.to_be_bytes())],
            &[],
            CloseCodeInvalid,
        );
    }
    for code in [1000_u16, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
        reads(
            "7.4",
            &[frame(FIN | CLOSE, code.to_be_bytes())],
            &[close(code, "")],
        );
    }
    refuses(
        "5.5.1",
        &[frame(FIN | CLOSE, b"\x03\xE8\xED\xA0\x80")],
        &[],
        CloseReasonNotUtf8,
    );
    refuses(
        "5.5.1",
        &[frame(FIN | CLOSE, b"\x03\xE8caf\xC3")],
        &[],
        CloseReasonNotUtf8,
    );
}

#[test]
fn reserved_bits_and_opcodes() {
    for bit in [0x40, 0x20, 0x10] {
        refuses("5.2", &[frame(FIN | bit | TEXT, "a")], &[], ReservedBits);
        refuses("5.2", &[frame(FIN | bit | PING, "a")], &[], ReservedBits);
        let later = [frame(TEXT, "a"), frame(FIN | bit, "b")];
        refuses("5.2", &later, &[], ReservedBits);
    }
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        let after = [frame(FIN | TEXT, "before"), frame(FIN | opcode, "")];
        refuses("5.2", &after, &[text("before")], ReservedOpcode);
    }
    refuses(
        "5.2",
        &[b"GET / HTTP/1.1\r\n".to_vec()],
        &[],
        ReservedOpcode,
    );
}

#[test]
fn masks() {
    check(
        Role::Server,
        "5.1",
        b"\x81\x05Hello",
        &[],
        Some(MaskMissing),
    );
    check(Role::Server, "5.1", b"\x89\x00", &[], Some(MaskMissing));
    check(
        Role::Client,
        "5.1",
        b"\x81\x05Hello",
        &[text("Hello")],
        None,
    );
    check(
        Role::Client,
        "5.1",
        b"\x01\x03Hel\x80\x02lo",
        &[text("Hello")],
        None,
    );
    check(
        Role::Client,
        "5.1",
        &frame(FIN | TEXT, "Hello"),
        &[],
        Some(MaskUnexpected),
    );
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [CLOSE, PING, PONG] {
        refuses("5.5", &[frame(opcode, "")], &[], ControlFragmented);
        refuses("5.5", &[frame(FIN | opcode, [0; 126])], &[], ControlTooLong);
    }
}

#[test]
fn the_order_of_fragments() {
    refuses("5.4", &[frame(FIN, "a")], &[], ContinuationUnexpected);
    refuses(
        "5.4",
        &[frame(CONTINUATION, "a")],
        &[],
        ContinuationUnexpected,
    );
    let after_the_end = [frame(TEXT, "a"), frame(FIN, "b"), frame(FIN, "c")];
    refuses("5.4", &after_the_end, &[text("ab")], ContinuationUnexpected);
    for first in [TEXT, BINARY] {
        let inside = [
            frame(first, "a"),
            frame(FIN | PING, ""),
            frame(FIN | TEXT, "b"),
        ];
        refuses("5.4", &inside, &[ping(b"")], ContinuationMissing);
        let inside = [frame(TEXT, ""), frame(first, "b")];
        refuses("5.4", &inside, &[], ContinuationMissing);
    }
}

#[test]
fn lengths_are_minimal() {
    let short = vec![FIN | BINARY, 0xFE, 0, 125, 0, 0, 0, 0];
    refuses("5.2", &[short], &[], LengthNotMinimal);
    let short = vec![FIN | BINARY, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0];
    refuses("5.2", &[short], &[], LengthNotMinimal);
    let top_bit = vec![FIN | BINARY, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    refuses("5.2", &[top_bit], &[], LengthTopBit);
}

#[test]
fn sizes_are_judged_by_the_header() {
    let header = |first: u8, length: u8| vec![first, 0xFE, 0, length, 1, 2, 3, 4];
    reads("10.4", &[header(FIN | TEXT, 200)], &[]);
    refuses("10.4", &[header(FIN | TEXT, 201)], &[], FrameTooBig);
    refuses("10.4", &[header(BINARY, 201)], &[], FrameTooBig);
    let huge = [vec![FIN | TEXT, 0xFF, 0x7F], vec![0xFF; 7], vec![0; 4]].concat();
    refuses("10.4", &[huge], &[], FrameTooBig);

    let exact = [frame(TEXT, [b'x'; 200]), frame(FIN, [b'x'; 100])];
    reads("10.4", &exact, &[text(&"x".repeat(300))]);
    let over = [
        frame(TEXT, [b'x'; 200]),
        frame(FIN | PING, ""),
        vec![FIN, 0x80 | 101, 0, 0, 0, 0],
    ];
    refuses("10.4", &over, &[ping(b"")], MessageTooBig);
    // A character cut by the fragments counts in full.
    let cut = [frame(TEXT, ["x".repeat(199).as_bytes(), b"\xC3"].concat())];
    let over = [cut[0].clone(), vec![FIN, 0x80 | 101, 0, 0, 0, 0]];
    refuses("10.4", &over, &[], MessageTooBig);
    let next = [
        exact.concat(),
        frame(TEXT, [b'y'; 200]),
        frame(FIN, [b'y'; 100]),
    ];
    reads(
        "10.4",
        &next,
        &[text(&"x".repeat(300)), text(&"y".repeat(300))],
    );
}

#[test]
fn text_is_utf8() {
    let bad: [&[u8]; 10] = [
        b"\x80",
        b"\xC0\x80",
        b"\xE0\x9F\xBF",
        b"\xED\xA0\x80",
        b"\xF0\x8F\xBF\xBF",
        b"\xF4\x90\x80\x80",
        b"\xF5\x80\x80\x80",
        b"ok \xCE\xBA\xFF",
        b"\xC3\x28",
        b"\xE2\x82",
    ];
    for bytes in bad {
        refuses("8.1", &[frame(FIN | TEXT, bytes)], &[], TextNotUtf8);
        let mut fragments: Vec<_> = bytes
            .iter()
            .map(|byte| frame(CONTINUATION, [*byte]))
            .collect();
        fragments[0][0] = TEXT;
        fragments.push(frame(FIN, ""));
        refuses("8.1", &fragments, &[], TextNotUtf8);
        reads("8.1", &[frame(FIN | BINARY, bytes)], &[binary(bytes)]);
    }
    let cut = [
        frame(TEXT, b"\xF0\x9F"),
        frame(FIN | PING, ""),
        frame(FIN, b"\xA6\x80"),
    ];
    reads("8.1", &cut, &[ping(b""), text("🦀")]);
    let reset = [
        frame(TEXT, b"\xF0\x9F"),
        frame(FIN, b"\xA6\x80"),
        frame(FIN | TEXT, b"\xA6\x80"),
    ];
    refuses("8.1", &reset, &[text("🦀")], TextNotUtf8);
}

/// As Autobahn's 6.4: the frame is not whole, its bad byte is here.
#[test]
fn text_is_refused_at_its_first_bad_byte() {
    for bad in [b"\xFF".as_slice(), b"\xED\xA0", b"\xF4\x90", b"\xC3\x28"] {
        let payload = [b"good", bad, b"twenty bytes to come"].concat();
        let arrived = frame(FIN | TEXT, &payload).len() - 20;
        let start = frame(FIN | TEXT, &payload)[..arrived].to_vec();
        check(Role::Server, "8.1", &start, &[], Some(TextNotUtf8));
        check(Role::Server, "8.1", &start[..arrived - 1], &[], None);

        let payload = [bad, b"twenty bytes to come"].concat();
        let second = frame(FIN, &payload)[..6 + bad.len()].to_vec();
        check(
            Role::Server,
            "8.1",
            &[frame(TEXT, "good"), second].concat(),
            &[],
            Some(TextNotUtf8),
        );
    }
}

#[test]
fn section_7_4_1_codes_of_errors() {
    for (code, errors) in [
        (
            CloseCode::PROTOCOL_ERROR,
            [
                ReservedBits,
                ReservedOpcode,
                MaskMissing,
                MaskUnexpected,
                LengthNotMinimal,
                LengthTopBit,
                ControlTooLong,
                ControlFragmented,
                ContinuationUnexpected,
                ContinuationMissing,
                CloseCodeCut,
                CloseCodeInvalid,
            ]
            .as_slice(),
        ),
        (
            CloseCode::INVALID_PAYLOAD,
            &[CloseReasonNotUtf8, TextNotUtf8],
        ),
        (CloseCode::TOO_BIG, &[FrameTooBig, MessageTooBig]),
    ] {
        for error in errors {
            assert_eq!(error.close_code(), code, "{error}");
        }
    }
}
