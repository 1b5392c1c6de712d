//! A compressed message of any bytes: never over the limit, and what another decompressor makes of it.

#![no_main]

use edgeloop::proto::ws::deflate::Compression;
use edgeloop::proto::ws::frame::{Header, Opcode, RESERVED_1};
use edgeloop::proto::ws::handshake::read_request;
use edgeloop::proto::ws::{Event, Role, WsError, WsLimits, WsMachine, WsStep};
use libfuzzer_sys::fuzz_target;

/// End of a flush, and then of the stream.
const END: [u8; 9] = [0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF];

fuzz_target!(|data: &[u8]| {
    let [limit, compressed @ ..] = data else {
        return;
    };
    let limits = WsLimits {
        message_bytes_max: usize::from(*limit) << 8,
        ..WsLimits::DEFAULT
    };
    let ours = inflate(compressed, &limits);
    let theirs = miniz_oxide::inflate::decompress_to_vec(&[compressed, &END].concat());
    match ours {
        Ok(data) => {
            assert!(data.len() <= limits.message_bytes_max);
            // A stream may end and another begin; the other goes no further than the first.
            if !compressed.is_empty() {
                assert!(data.starts_with(&theirs.expect("they can read it, too")));
            }
        }
        Err(WsError::MessageTooBig) => {}
        Err(error) => assert_eq!(error, WsError::DeflateInvalid),
    }
});

fn inflate(compressed: &[u8], limits: &WsLimits) -> Result<Vec<u8>, WsError> {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let opening = read_request("GET", true, fields).expect("a handshake");
    let negotiated = opening.negotiate(&Compression::DEFAULT).expect("an offer");
    let mut machine = WsMachine::with_compression(Role::Client, negotiated);
    let mut wire = Vec::new();
    Header {
        fin: true,
        reserved: RESERVED_1,
        opcode: Opcode::Binary,
        mask_key: None,
        payload_bytes: compressed.len() as u64,
    }
    .encode(&mut wire);
    wire.extend_from_slice(compressed);
    let wire_bytes = wire.len();
    let (receiver, _) = machine.split();
    let message = match receiver.step(&mut wire, limits)? {
        WsStep::Event {
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
