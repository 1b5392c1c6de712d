//! Frames from a client: cut anywhere, the outcome is the same; and a client reads the echo back.

#![no_main]

use edgeloop::proto::ws::{Error, Event, Limits, Machine, Role, SendError, Step};
use libfuzzer_sys::fuzz_target;

/// Small enough that random input meets them.
const TIGHT: Limits = Limits {
    frame_bytes_max: 40,
    message_bytes_max: 60,
    ..Limits::DEFAULT
};

/// An [`Event`] that owns what it holds.
#[derive(Debug, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
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

/// What was received, what was wrong, and what an echo sent back.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    events: Vec<Owned>,
    error: Option<Error>,
    sent: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    let [bits, high, low, input @ ..] = data else {
        return;
    };
    let limits = if bits & 1 == 0 {
        Limits::default()
    } else {
        TIGHT
    };
    let cut = usize::from(u16::from_be_bytes([*high, *low])) % (input.len() + 1);
    let whole = run([input], &limits);
    let (front, back) = input.split_at(cut);
    assert_eq!(run([front, back], &limits), whole, "cut at {cut}");
    assert_eq!(run(input.chunks(1), &limits), whole, "byte by byte");
    check_echo(whole);
});

fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    let mut machine = Machine::new(Role::Server);
    let mut outcome = Outcome::default();
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        let used = feed(&mut machine, &mut input, limits, &mut outcome);
        input.drain(..used);
        let is_over = machine.is_failed() || machine.is_close_received();
        assert!(input.len() <= 130 && (input.is_empty() || !is_over));
        let receiver = machine.split().0;
        assert!(receiver.buffer_bytes() <= limits.message_bytes_max);
        receiver.recycle();
        assert!(receiver.is_message_under_way() || receiver.buffer_bytes() == 0);
    }
    assert_eq!(machine.is_failed(), outcome.error.is_some());
    outcome
}

fn feed(machine: &mut Machine, input: &mut [u8], limits: &Limits, outcome: &mut Outcome) -> usize {
    let (receiver, sender) = machine.split();
    let mut done = 0;
    loop {
        match receiver.step(&mut input[done..], limits) {
            Ok(Step::More { used }) => return done + used,
            Ok(Step::Event { used, event }) => {
                assert!(used > 0, "an event without a byte");
                done += used;
                let answer = match event {
                    Event::Ping(data) => Event::Pong(data),
                    other => other,
                };
                assert_eq!(sender.send(&mut outcome.sent, answer), Ok(()));
                outcome.events.push(event.into());
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
fn check_echo(outcome: Outcome) {
    let Outcome {
        mut events,
        error,
        mut sent,
    } = outcome;
    for event in &mut events {
        if let Owned::Ping(data) = event {
            *event = Owned::Pong(std::mem::take(data));
        }
    }
    events
        .extend(error.map(|error| Owned::Close(Some((error.close_code().value(), String::new())))));

    let mut client = Machine::new(Role::Client);
    let (mut echoed, mut done) = (Vec::new(), 0);
    loop {
        match client.split().0.step(&mut sent[done..], &Limits::default()) {
            Ok(Step::More { used }) => {
                assert_eq!(done + used, sent.len());
                break;
            }
            Ok(Step::Event { used, event }) => {
                done += used;
                echoed.push(Owned::from(event));
            }
            Err(error) => panic!("the echo is refused: {error}"),
        }
    }
    assert_eq!(echoed, events);
}
