//! Memory that a connection owns, and when.

use edgeloop::proto::ws::{Event, Role, WsError, WsLimits, WsMachine, WsStep};

use super::drive::{Outcome, Owned, feed};

const KEY: [u8; 4] = [0; 4];

/// A masked frame with a zero key, so that its payload can be read in the test.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend(KEY);
    frame.extend(payload);
    frame
}

#[test]
fn whole_messages_are_slices_of_the_input() {
    let mut machine = WsMachine::new(Role::Server);
    let mut input = [
        frame(0x81, b"text"),
        frame(0x82, b"data"),
        frame(0x89, b"ping"),
    ]
    .concat();
    let range = input.as_ptr_range();
    let receiver = machine.split().0;
    let mut done = 0;
    for expected in [
        Event::Text("text"),
        Event::Binary(b"data"),
        Event::Ping(b"ping"),
    ] {
        let step = receiver.step(&mut input[done..], &WsLimits::default());
        let Ok(WsStep::Event { used, event }) = step else {
            panic!("{step:?}")
        };
        assert_eq!(event, expected);
        let (Event::Binary(bytes) | Event::Ping(bytes)) = event else {
            let Event::Text(text) = event else {
                panic!("{event:?}")
            };
            assert!(range.contains(&text.as_ptr()));
            done += used;
            continue;
        };
        assert!(range.contains(&bytes.as_ptr()));
        done += used;
    }
    assert_eq!(receiver.buffer_bytes(), 0);
    assert_eq!(receiver.recycle(), None);
}

#[test]
fn a_declared_length_reserves_nothing() {
    let mut machine = WsMachine::new(Role::Server);
    let limits = WsLimits {
        frame_bytes_max: u64::MAX,
        message_bytes_max: usize::MAX,
        ..WsLimits::DEFAULT
    };
    let mut input = vec![0x82, 0xFF, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    input.extend(KEY);
    let mut outcome = Outcome::default();
    feed(&mut machine, &limits, &mut input, &mut outcome);
    assert_eq!(machine.split().0.buffer_bytes(), 0);
    input.extend([7; 10]);
    feed(&mut machine, &limits, &mut input, &mut outcome);
    assert_eq!(outcome, Outcome::default());
    assert!((10..=64).contains(&machine.split().0.buffer_bytes()));
}

#[test]
fn the_buffer_does_not_outgrow_the_largest_message() {
    let mut machine = WsMachine::new(Role::Server);
    let limits = WsLimits {
        frame_bytes_max: 100,
        message_bytes_max: 150,
        ..WsLimits::DEFAULT
    };
    let mut outcome = Outcome::default();
    let mut input = Vec::new();
    for first in [0x01, 0x00] {
        for byte in frame(first, &[b'x'; 75]) {
            input.push(byte);
            feed(&mut machine, &limits, &mut input, &mut outcome);
            assert!(machine.split().0.buffer_bytes() <= 150);
        }
    }
    assert!(machine.split().0.is_message_under_way());
}

#[test]
fn a_lent_buffer_is_used_and_comes_back() {
    let mut machine = WsMachine::new(Role::Server);
    let limits = WsLimits::default();
    let pooled = Vec::with_capacity(1000);
    let address = pooled.as_ptr();
    let receiver = machine.split().0;
    assert_eq!(receiver.lend(pooled), None);
    assert_eq!(receiver.lend(vec![1]), Some(vec![1]), "one is enough");

    let mut fragment = frame(0x01, b"half ");
    assert_eq!(
        receiver.step(&mut fragment, &limits),
        Ok(WsStep::More { used: 11 })
    );
    assert!(receiver.is_message_under_way());
    assert_eq!(receiver.recycle(), None, "a message under way keeps it");
    let mut ping = frame(0x89, b"?");
    let step = receiver.step(&mut ping, &limits);
    assert_eq!(
        step,
        Ok(WsStep::Event {
            used: 7,
            event: Event::Ping(b"?")
        })
    );
    assert_eq!(
        receiver.recycle(),
        None,
        "a ping between fragments changes nothing"
    );
    let mut fragment = frame(0x80, b"whole");
    let step = receiver.step(&mut fragment, &limits);
    assert_eq!(
        step,
        Ok(WsStep::Event {
            used: 11,
            event: Event::Text("half whole")
        })
    );

    let buffer = receiver.recycle().unwrap();
    assert!(buffer.is_empty() && buffer.capacity() == 1000 && buffer.as_ptr() == address);
    assert_eq!(receiver.buffer_bytes(), 0);
    assert!(!receiver.is_message_under_way());
}

#[test]
fn without_recycling_the_buffer_serves_the_next_message() {
    let mut machine = WsMachine::new(Role::Server);
    let limits = WsLimits::default();
    let receiver = machine.split().0;
    for (opcode, event) in [(1, Event::Text("abc")), (2, Event::Binary(b"abc"))] {
        let mut fragment = frame(opcode, b"ab");
        assert_eq!(
            receiver.step(&mut fragment, &limits),
            Ok(WsStep::More { used: 8 })
        );
        let mut fragment = frame(0x80, b"c");
        let step = receiver.step(&mut fragment, &limits);
        assert_eq!(step, Ok(WsStep::Event { used: 7, event }));
        assert!(!receiver.is_message_under_way());
    }
}

#[test]
fn an_error_or_a_close_gives_the_buffer_free() {
    let limits = WsLimits::default();
    for (last, error) in [
        (frame(0x81, b"again"), Some(WsError::ContinuationMissing)),
        (frame(0x80, b"\xFF"), Some(WsError::TextNotUtf8)),
        (frame(0x88, b""), None),
    ] {
        let mut machine = WsMachine::new(Role::Server);
        let receiver = machine.split().0;
        let mut fragment = frame(0x01, b"half");
        assert_eq!(
            receiver.step(&mut fragment, &limits),
            Ok(WsStep::More { used: 10 })
        );
        let mut last = last;
        assert_eq!(receiver.step(&mut last, &limits).err(), error);
        assert!(!receiver.is_message_under_way());
        assert!(receiver.recycle().is_some_and(|buffer| buffer.is_empty()));
        assert_eq!(
            receiver.step(&mut [1, 2, 3], &limits),
            Ok(WsStep::More { used: 3 })
        );
    }
}

#[test]
fn a_lower_limit_holds_for_what_comes_after_it() {
    let mut machine = WsMachine::new(Role::Server);
    let mut outcome = Outcome::default();
    let mut input = frame(0x01, &[b'x'; 100]);
    feed(&mut machine, &WsLimits::default(), &mut input, &mut outcome);
    let lower = WsLimits {
        message_bytes_max: 50,
        ..WsLimits::default()
    };
    let mut input = [frame(0x00, b""), frame(0x80, b"y")].concat();
    feed(&mut machine, &lower, &mut input, &mut outcome);
    assert_eq!(
        outcome,
        Outcome {
            events: Vec::<Owned>::new(),
            error: Some(WsError::MessageTooBig)
        }
    );
}
