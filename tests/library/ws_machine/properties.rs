//! Properties of any conversation, and of any bytes at all.

use edgeloop::proto::ws::{Role, WsLimits};
use proptest::prelude::*;
use proptest::sample::Index;

use super::drive::{Outcome, drive};
use super::streams::{Stream, messages, piece_sizes, pieces};

fn whole(role: Role, limits: &WsLimits, bytes: &[u8]) -> Outcome {
    drive(role, limits, [bytes])
}

/// Bytes that look like frames more often than chance would have it.
fn almost_frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(&[0x81, 0x82, 0x01, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8A, 0x41]);
    let payload = prop::collection::vec(any::<u8>(), 0..20);
    let frame =
        (first, 0..8_u8, any::<[u8; 4]>(), payload).prop_map(|(first, off, key, payload)| {
            // Some lengths are wrong, so that what follows is read as something else.
            let length = u8::try_from(payload.len()).unwrap().saturating_sub(off / 7);
            let mut frame = vec![first, 0x80 | length];
            frame.extend(key);
            frame.extend(payload);
            frame
        });
    prop::collection::vec(frame, 0..8).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn conversations_survive_any_cut(messages in messages(), sizes in piece_sizes()) {
        for (role, masked) in [(Role::Server, true), (Role::Client, false)] {
            let stream = Stream::new(&messages, masked);
            let expected = Outcome { events: stream.events, error: None };
            let limits = WsLimits::default();
            prop_assert_eq!(&whole(role, &limits, &stream.bytes), &expected);
            prop_assert_eq!(&drive(role, &limits, pieces(&stream.bytes, &sizes)), &expected);
        }
    }

    #[test]
    fn what_is_too_long_is_dropped_and_the_next_is_read(
        messages in messages(),
        sizes in piece_sizes(),
        bytes_wanted_max in prop_oneof![0..20_usize, 50..140_usize, 65_530..65_540_usize],
    ) {
        let limits = WsLimits { message_bytes_wanted_max: bytes_wanted_max, ..WsLimits::DEFAULT };
        let stream = Stream::new(&messages, true);
        let events = stream.events.into_iter().map(|event| event.if_wanted(bytes_wanted_max));
        let expected = Outcome { events: events.collect(), error: None };
        prop_assert_eq!(&whole(Role::Server, &limits, &stream.bytes), &expected);
        prop_assert_eq!(&drive(Role::Server, &limits, pieces(&stream.bytes, &sizes)), &expected);
    }

    #[test]
    fn damage_gets_one_verdict(
        messages in messages(),
        at: Index,
        damage in 1..=u8::MAX,
        sizes in piece_sizes(),
        bytes_wanted_max in prop_oneof![Just(usize::MAX), 0..140_usize],
    ) {
        let mut bytes = Stream::new(&messages, true).bytes;
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= damage;
        let limits = WsLimits {
            frame_bytes_max: 60_000,
            message_bytes_max: 65_535,
            message_bytes_wanted_max: bytes_wanted_max,
            ..WsLimits::DEFAULT
        };
        let verdict = whole(Role::Server, &limits, &bytes);
        prop_assert_eq!(drive(Role::Server, &limits, pieces(&bytes, &sizes)), verdict);
    }

    #[test]
    fn garbage_gets_one_verdict(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), almost_frames()],
        sizes in piece_sizes(),
        bytes_wanted_max in prop_oneof![Just(usize::MAX), 0..24_usize],
    ) {
        let limits = WsLimits {
            frame_bytes_max: 16,
            message_bytes_max: 24,
            message_bytes_wanted_max: bytes_wanted_max,
            ..WsLimits::DEFAULT
        };
        for role in [Role::Server, Role::Client] {
            let verdict = whole(role, &limits, &bytes);
            prop_assert_eq!(&drive(role, &limits, bytes.chunks(1)), &verdict);
            prop_assert_eq!(&drive(role, &limits, pieces(&bytes, &sizes)), &verdict);
        }
    }
}
