//! WebSocket frames, and the text in them.

use std::hint::black_box;

use edgeloop::proto::ws::frame::{self, Opcode};
use edgeloop::proto::ws::mask::{self, MaskKey};
use edgeloop::proto::ws::utf8::Decoder;
use edgeloop::proto::ws::{self, Role};

use super::Repeat;

const KEY: MaskKey = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const ASCII: &str = "hello world ";
pub(crate) const GREEK: &str = "γειά σου κόσμε ";

/// A whole message, as a client sends it.
pub(crate) fn masked(payload_bytes: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    frame::encode_masked(&mut wire, Opcode::Binary, &vec![b'x'; payload_bytes], KEY);
    wire
}

/// A whole masked message, unmasked where it lies. The mask is undone by the next run.
pub(crate) fn decode(repeat: impl Repeat, payload_bytes: usize) {
    let mut wire = masked(payload_bytes);
    let mut machine = ws::WsMachine::new(Role::Server);
    let limits = ws::WsLimits::default();
    repeat.repeat(
        || match machine.split().0.step(black_box(&mut wire), &limits) {
            Ok(ws::WsStep::Event { used, .. }) => used,
            other => panic!("{other:?}"),
        },
    );
}

pub(crate) fn encode(repeat: impl Repeat, payload_bytes: usize) {
    let payload = vec![b'x'; payload_bytes];
    let mut out = Vec::with_capacity(payload_bytes + frame::HEADER_BYTES_MAX);
    repeat.repeat(|| {
        out.clear();
        frame::encode(&mut out, Opcode::Binary, black_box(&payload));
    });
}

pub(crate) fn mask_apply(repeat: impl Repeat, bytes: usize) {
    let mut payload = vec![b'x'; bytes];
    repeat.repeat(|| mask::apply(black_box(&mut payload), black_box(KEY)));
}

/// Some 16 KiB of a word.
pub(crate) fn text_of(word: &str) -> String {
    word.repeat((16 << 10) / word.len())
}

/// Text as people write it, in pieces of 1,000 bytes: some characters are cut.
pub(crate) fn utf8_decode(repeat: impl Repeat, text: &str) {
    repeat.repeat(|| {
        let mut decoder = Decoder::new();
        for piece in black_box(text).as_bytes().chunks(1000) {
            black_box(decoder.decode(piece).unwrap());
        }
        decoder.finish()
    });
}
