//! Random conversations, and the bytes they are on the wire.

use edgeloop::proto::ws::frame::{Header, Opcode};
use proptest::prelude::*;
use proptest::sample::Index;

use super::drive::Owned;

/// A message, where it is cut into fragments, and the control frame after each fragment.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    content: Owned,
    cuts: Vec<(Index, Option<Owned>)>,
    keys: Vec<[u8; 4]>,
}

pub(crate) fn messages() -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec(message(), 0..6)
}

fn message() -> impl Strategy<Value = Message> {
    let content = prop_oneof![
        3 => "\\PC{0,60}".prop_map(Owned::Text),
        3 => "[a-z]{100,140}".prop_map(Owned::Text),
        3 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Owned::Binary),
        1 => (any::<u8>(), 65_530..65_540_usize)
            .prop_map(|(byte, size)| Owned::Binary(vec![byte; size])),
        3 => control(),
    ];
    let cuts = prop::collection::vec((any::<Index>(), prop::option::of(control())), 0..4);
    (content, cuts, prop::collection::vec(any::<[u8; 4]>(), 1..4)).prop_map(
        |(content, cuts, keys)| Message {
            content,
            cuts,
            keys,
        },
    )
}

fn control() -> impl Strategy<Value = Owned> {
    let payload = || prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        payload().prop_map(Owned::Ping),
        payload().prop_map(Owned::Pong)
    ]
}

/// The bytes of a conversation and the events it is, in the order they end.
pub(crate) struct Stream {
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: Vec<Owned>,
}

impl Stream {
    /// As a client sends it when `masked`, else as a server does.
    pub(crate) fn new(messages: &[Message], masked: bool) -> Self {
        let mut stream = Self {
            bytes: Vec::new(),
            events: Vec::new(),
        };
        for message in messages {
            let mut keys = message.keys.iter().copied().cycle();
            stream.push(message, || if masked { keys.next() } else { None });
        }
        stream
    }

    fn push(&mut self, message: &Message, mut next_key: impl FnMut() -> Option<[u8; 4]>) {
        let (mut opcode, payload) = parts(&message.content);
        let mut start = 0;
        if !opcode.is_control() {
            let cuts = message.cuts.iter();
            let mut cuts: Vec<_> = cuts
                .map(|(cut, control)| (cut.index(payload.len() + 1), control))
                .collect();
            cuts.sort_by_key(|&(end, _)| end);
            for (end, control) in cuts {
                self.frame(false, opcode, &payload[start..end], next_key());
                opcode = Opcode::Continuation;
                start = end;
                if let Some(control) = control {
                    let (opcode, payload) = parts(control);
                    self.frame(true, opcode, payload, next_key());
                    self.events.push(control.clone());
                }
            }
        }
        self.frame(true, opcode, &payload[start..], next_key());
        self.events.push(message.content.clone());
    }

    fn frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], mask_key: Option<[u8; 4]>) {
        let payload_bytes = payload.len() as u64;
        Header {
            fin,
            reserved: 0,
            opcode,
            mask_key,
            payload_bytes,
        }
        .encode(&mut self.bytes);
        let key = mask_key.unwrap_or_default().into_iter().cycle();
        self.bytes
            .extend(payload.iter().zip(key).map(|(byte, mask)| byte ^ mask));
    }
}

fn parts(content: &Owned) -> (Opcode, &[u8]) {
    match content {
        Owned::Text(text) => (Opcode::Text, text.as_bytes()),
        Owned::Binary(data) => (Opcode::Binary, data),
        Owned::Ping(data) => (Opcode::Ping, data),
        Owned::Pong(data) => (Opcode::Pong, data),
        Owned::Close(_) | Owned::TooLong(_) => unreachable!("no strategy makes one"),
    }
}

/// `bytes` in pieces of random sizes, over and over in that order.
pub(crate) fn pieces<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let size = rest.len().min(*sizes.next().unwrap_or(&1)).max(1);
        let (piece, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(piece)
    })
}

/// Sizes for [`pieces`]: small ones that cut everything, then a large one that gets on.
pub(crate) fn piece_sizes() -> impl Strategy<Value = Vec<usize>> {
    let small = prop::collection::vec(prop_oneof![1..4_usize, 1..40_usize], 1..20);
    (small, 1..9000_usize).prop_map(|(mut sizes, large)| {
        sizes.push(large);
        sizes
    })
}
