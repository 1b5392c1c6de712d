//! Feeds a receiver the way a connection does: bytes come in pieces, what is not done with stays.

use edgeloop::proto::ws::{Event, Role, WsError, WsLimits, WsMachine, WsStep};

/// An [`Event`] that owns what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owned {
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

impl Owned {
    /// As it is where messages of so many bytes are wanted.
    pub(crate) fn if_wanted(self, bytes_wanted_max: usize) -> Self {
        match self {
            Self::Text(text) if text.len() > bytes_wanted_max => Self::TooLong(text.len() as u64),
            Self::Binary(data) if data.len() > bytes_wanted_max => Self::TooLong(data.len() as u64),
            other => other,
        }
    }
}

/// Outcome of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Owned>,
    pub(crate) error: Option<WsError>,
}

/// Feeds `pieces` one after the other to the end, past a Close or an error too.
pub(crate) fn drive<'a>(
    role: Role,
    limits: &WsLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut machine = WsMachine::new(role);
    let mut outcome = Outcome::default();
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        feed(&mut machine, limits, &mut input, &mut outcome);
        if machine.is_failed() || machine.is_close_received() {
            assert!(input.is_empty(), "nothing is kept of what comes too late");
        }
        assert!(
            input.len() <= 130,
            "{} bytes are left in the input",
            input.len()
        );
    }
    assert_eq!(machine.is_failed(), outcome.error.is_some());
    outcome
}

/// Steps until `More`, and drops from `input` what is done with.
pub(crate) fn feed(
    machine: &mut WsMachine,
    limits: &WsLimits,
    input: &mut Vec<u8>,
    outcome: &mut Outcome,
) {
    let receiver = machine.split().0;
    let mut done = 0;
    loop {
        match receiver.step(&mut input[done..], limits) {
            Ok(WsStep::More { used }) => {
                input.drain(..done + used);
                break;
            }
            Ok(WsStep::Event { used, event }) => {
                assert!(used > 0, "an event without a byte");
                done += used;
                outcome.events.push(event.into());
            }
            Ok(WsStep::TooLong { used, bytes }) => {
                done += used;
                outcome.events.push(Owned::TooLong(bytes));
            }
            Err(error) => {
                assert_eq!(outcome.error, None, "a connection fails once");
                outcome.error = Some(error);
            }
        }
    }
    receiver.recycle();
}
