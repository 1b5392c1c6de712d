//! Frames from a client: cut anywhere, the outcome is the same; and a client reads the echo back.

#![no_main]

use edgeloop::proto::ws::deflate::{Compression, Deflaters, NegotiatedDeflate};
use edgeloop::proto::ws::handshake::read_request;
use edgeloop::proto::ws::{Event, Role, SendError, WsError, WsLimits, WsMachine, WsStep};
use libfuzzer_sys::fuzz_target;

/// Small enough that random input meets them.
const TIGHT: WsLimits = WsLimits {
    frame_bytes_max: 40,
    message_bytes_max: 60,
    ..WsLimits::DEFAULT
};

/// An [`Event`] that owns what it holds.
#[derive(Debug, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    TooLong(u64),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(data) => Self::Binary(data.to_owned()),
            Event::Ping(data) => Self::Ping(data.to_owned()),
            Event::Pong(data) => Self::Pong(data.to_owned()),
            Event::Close(close) => {
                Self::Close(close.map(|(code, reason)| (code.value(), reason.to_owned())))
            }
        }
    }
}

/// Messages received, the error, and the bytes of an echo.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    events: Vec<Owned>,
    error: Option<WsError>,
    sent: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    let [bits, high, low, input @ ..] = data else {
        return;
    };
    let mut limits = if bits & 1 == 0 {
        WsLimits::default()
    } else {
        TIGHT
    };
    if bits & 8 != 0 {
        limits.message_bytes_wanted_max = 20;
    }
    let how = Compression {
        threshold_bytes: 0,
        keeps_windows: bits & 4 != 0,
        ..Compression::DEFAULT
    };
    let setup = Setup {
        limits,
        negotiated: (bits & 2 != 0).then(|| negotiated(&how)),
        how,
    };
    let cut = usize::from(u16::from_be_bytes([*high, *low])) % (input.len() + 1);
    let whole = run([input], &setup);
    let (front, back) = input.split_at(cut);
    assert_eq!(run([front, back], &setup), whole, "cut at {cut}");
    assert_eq!(run(input.chunks(1), &setup), whole, "byte by byte");
    check_echo(whole, &setup);
});

struct Setup {
    limits: WsLimits,
    negotiated: Option<NegotiatedDeflate>,
    how: Compression,
}

impl Setup {
    fn machine(&self, role: Role) -> WsMachine {
        match self.negotiated {
            Some(negotiated) => WsMachine::with_compression(role, negotiated),
            None => WsMachine::new(role),
        }
    }
}

fn negotiated(how: &Compression) -> NegotiatedDeflate {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let opening = read_request("GET", true, fields).expect("a handshake");
    opening.negotiate(how).expect("an offer")
}

fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, setup: &Setup) -> Outcome {
    let limits = &setup.limits;
    let mut machine = setup.machine(Role::Server);
    let mut deflaters = Deflaters::default();
    let mut spare = None;
    let mut outcome = Outcome::default();
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        spare = spare.and_then(|inflater| machine.split().0.lend_inflater(inflater));
        let used = feed(
            &mut machine,
            &mut input,
            setup,
            &mut outcome,
            &mut deflaters,
        );
        input.drain(..used);
        let is_over = machine.is_failed() || machine.is_close_received();
        assert!(input.len() <= 130 && (input.is_empty() || !is_over));
        let receiver = machine.split().0;
        // The start of a compressed message may wait in 4 KiB, and a buffer doubles.
        assert!(receiver.buffer_bytes() <= limits.message_bytes_max.max(8 << 10));
        spare = receiver.recycle_inflater().or(spare);
        receiver.recycle();
        assert!(receiver.is_message_under_way() || receiver.buffer_bytes() == 0);
    }
    assert_eq!(machine.is_failed(), outcome.error.is_some());
    outcome
}

fn feed(
    machine: &mut WsMachine,
    input: &mut [u8],
    setup: &Setup,
    outcome: &mut Outcome,
    deflaters: &mut Deflaters,
) -> usize {
    let (receiver, sender) = machine.split();
    let mut done = 0;
    loop {
        match receiver.step(&mut input[done..], &setup.limits) {
            Ok(WsStep::More { used }) => return done + used,
            Ok(WsStep::Event { used, event }) => {
                assert!(used > 0, "an event without a byte");
                done += used;
                let response = match event {
                    Event::Ping(data) => Event::Pong(data),
                    other => other,
                };
                let sent =
                    sender.send_compressed(&mut outcome.sent, response, deflaters, &setup.how);
                assert_eq!(sent, Ok(()));
                outcome.events.push(event.into());
            }
            Ok(WsStep::TooLong { used, bytes }) => {
                assert!(bytes > setup.limits.message_bytes_wanted_max as u64);
                done += used;
                outcome.events.push(Owned::TooLong(bytes));
            }
            Err(error) => {
                assert_eq!(outcome.error, None, "a connection fails once");
                let close = Event::Close(Some((error.close_code(), "")));
                let sent = sender.send(&mut outcome.sent, close);
                assert!(matches!(sent, Ok(()) | Err(SendError::Sealed)));
                outcome.error = Some(error);
            }
        }
    }
}

/// A client reads from the echo what the server has read from the client.
fn check_echo(outcome: Outcome, setup: &Setup) {
    let Outcome {
        mut events,
        error,
        mut sent,
    } = outcome;
    events.retain(|event| !matches!(event, Owned::TooLong(_)));
    for event in &mut events {
        if let Owned::Ping(data) = event {
            *event = Owned::Pong(std::mem::take(data));
        }
    }
    events
        .extend(error.map(|error| Owned::Close(Some((error.close_code().value(), String::new())))));

    let mut client = setup.machine(Role::Client);
    let (mut echoed, mut done) = (Vec::new(), 0);
    loop {
        match client
            .split()
            .0
            .step(&mut sent[done..], &WsLimits::default())
        {
            Ok(WsStep::More { used }) => {
                assert_eq!(done + used, sent.len());
                break;
            }
            Ok(WsStep::Event { used, event }) => {
                done += used;
                echoed.push(Owned::from(event));
            }
            Ok(WsStep::TooLong { .. }) => panic!("all is wanted of the echo"),
            Err(error) => panic!("the echo is refused: {error}"),
        }
    }
    assert_eq!(echoed, events);
}
