//! A compressed message of any bytes: never over the limit, and what another decompressor makes of it.

#![no_main]

use edgeloop::proto::ws::deflate::Compression;
use edgeloop::proto::ws::frame::{Header, Opcode, RESERVED_1};
use edgeloop::proto::ws::handshake::read_request;
use edgeloop::proto::ws::{Error, Event, Limits, Machine, Role, Step};
use libfuzzer_sys::fuzz_target;

/// What ends a flush, and then the stream.
const END: [u8; 9] = [0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF];

fuzz_target!(|data: &[u8]| {
    let [limit, packed @ ..] = data else {
        return;
    };
    let limits = Limits {
        message_bytes_max: usize::from(*limit) << 8,
        ..Limits::DEFAULT
    };
    let ours = inflate(packed, &limits);
    let theirs = miniz_oxide::inflate::decompress_to_vec(&[packed, &END].concat());
    match ours {
        Ok(data) => {
            assert!(data.len() <= limits.message_bytes_max);
            // A stream may end and another begin; the other goes no further than the first.
            if !packed.is_empty() {
                assert!(data.starts_with(&theirs.expect("they can read it, too")));
            }
        }
        Err(Error::MessageTooBig) => {}
        Err(error) => assert_eq!(error, Error::DeflateInvalid),
    }
});

fn inflate(packed: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let opening = read_request("GET", true, fields).expect("a handshake");
    let agreed = opening.agree(&Compression::DEFAULT).expect("an offer");
    let mut machine = Machine::with_compression(Role::Client, agreed);
    let mut wire = Vec::new();
    Header {
        fin: true,
        reserved: RESERVED_1,
        opcode: Opcode::Binary,
        mask_key: None,
        payload_bytes: packed.len() as u64,
    }
    .encode(&mut wire);
    wire.extend_from_slice(packed);
    let wire_bytes = wire.len();
    let (receiver, _) = machine.split();
    let message = match receiver.step(&mut wire, limits)? {
        Step::Event {
            used,
            event: Event::Binary(data),
        } => {
            assert_eq!(used, wire_bytes);
            data.to_vec()
        }
        other => panic!("{other:?}"),
    };
    assert!(receiver.recycle_inflater().is_some());
    Ok(message)
}
