//! The chunked coding: cut anywhere, the outcome is the same; and what was put in comes out.

#![no_main]

use edgeloop::proto::http1::{HttpLimits, HttpMachine, HttpStep, RequestError, encode};
use libfuzzer_sys::fuzz_target;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

const TIGHT: HttpLimits = HttpLimits {
    body_bytes_max: 40,
    chunk_extension_bytes_max: 8,
    trailer_bytes_max: 8,
    ..HttpLimits::DEFAULT
};

/// The body, how many bytes it took on the wire if it is complete, and what was wrong.
type Outcome = (Vec<u8>, Option<usize>, Option<RequestError>);

fuzz_target!(|data: &[u8]| {
    let [bits, high, low, input @ ..] = data else {
        return;
    };
    let limits = if bits & 1 == 0 {
        HttpLimits::DEFAULT
    } else {
        TIGHT
    };
    let cut = usize::from(u16::from_be_bytes([*high, *low]));
    as_received(input, cut % (input.len() + 1), &limits);
    as_sent(input, usize::from(bits >> 1) + 1, cut);
});

fn as_received(input: &[u8], cut: usize, limits: &HttpLimits) {
    let whole = decode([input], limits);
    assert!(whole.0.len() as u64 <= limits.body_bytes_max);
    let (front, back) = input.split_at(cut);
    assert_eq!(decode([front, back], limits), whole, "cut at {cut}");
    assert_eq!(decode(input.chunks(1), limits), whole, "byte by byte");
}

fn as_sent(body: &[u8], chunk_bytes: usize, cut: usize) {
    let mut wire = Vec::new();
    for data in body.chunks(chunk_bytes) {
        encode::chunk(&mut wire, data);
    }
    wire.extend_from_slice(encode::LAST_CHUNK);
    let (front, back) = wire.split_at(cut % (wire.len() + 1));
    let decoded = decode([front, back], &HttpLimits::DEFAULT);
    assert_eq!(decoded, (body.to_vec(), Some(wire.len()), None));
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &HttpLimits) -> Outcome {
    let mut machine = HttpMachine::new();
    let begun = machine.step(HEAD, limits);
    assert!(matches!(begun, Ok(HttpStep::Head { used, .. }) if used == HEAD.len()));
    let (mut body, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        loop {
            let used = match machine.step(rest, limits) {
                Ok(HttpStep::More { used }) => {
                    assert_eq!(used, rest.len(), "chunked framing keeps no tail");
                    taken += used;
                    break;
                }
                Ok(HttpStep::Body { used, data }) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                    used
                }
                Ok(HttpStep::End { used }) => return (body, Some(taken + used), None),
                Ok(HttpStep::Head { .. }) => unreachable!("the body has not ended"),
                Err(error) => return (body, None, Some(error)),
            };
            taken += used;
            rest = &rest[used..];
        }
    }
    (body, None, None)
}
