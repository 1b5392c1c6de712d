//! A whole connection, with answers: cut anywhere, the outcome is the same.

#![no_main]

use edgeloop::proto::http1::{
    Awaits, BodyLength, ConnectionAction, Head, HttpLimits, HttpMachine, HttpStep, RequestError,
    RequestMeta, encode,
};
use libfuzzer_sys::fuzz_target;

/// Small enough that random input meets them.
const TIGHT: HttpLimits = HttpLimits {
    target_bytes_max: 24,
    head_bytes_max: 120,
    fields_max: 4,
    body_bytes_max: 10,
    chunk_extension_bytes_max: 8,
    trailer_bytes_max: 8,
};

/// Behaviour of the other side of the machine, from the first byte of the input.
#[derive(Clone, Copy)]
struct Service {
    limits: HttpLimits,
    accepts_upgrades: bool,
    closes: bool,
    body: BodyLength,
}

impl Service {
    fn from_bits(bits: u8) -> Self {
        Self {
            limits: if bits & 1 == 0 {
                HttpLimits::DEFAULT
            } else {
                TIGHT
            },
            accepts_upgrades: bits & 2 != 0,
            closes: bits & 4 != 0,
            body: match bits >> 3 & 3 {
                0 => BodyLength::None,
                1 => BodyLength::Chunked,
                n => BodyLength::Known(n.into()),
            },
        }
    }
}

#[derive(Debug, PartialEq)]
struct Request {
    head: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
    meta: RequestMeta,
    body: Vec<u8>,
    is_complete: bool,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    requests: Vec<Request>,
    responses: Vec<ConnectionAction>,
    error: Option<RequestError>,
    awaits: Awaits,
    /// Bytes left to the caller.
    rest: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    let [bits, high, low, input @ ..] = data else {
        return;
    };
    let service = Service::from_bits(*bits);
    let cut = usize::from(u16::from_be_bytes([*high, *low])) % (input.len() + 1);
    let whole = run(service, [input]);
    let (front, back) = input.split_at(cut);
    assert_eq!(run(service, [front, back]), whole, "cut at {cut}");
    assert_eq!(run(service, input.chunks(1)), whole, "byte by byte");
});

fn run<'a>(service: Service, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut machine = HttpMachine::new();
    let mut outcome = Outcome {
        requests: Vec::new(),
        responses: Vec::new(),
        error: None,
        awaits: Awaits::Request,
        rest: Vec::new(),
    };
    let mut input: Vec<u8> = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        let mut dropped = 0;
        while outcome.error.is_none() {
            let (used, is_end) = match machine.step(&input[dropped..], &service.limits) {
                Ok(HttpStep::More { used }) => {
                    dropped += used;
                    break;
                }
                Ok(step) => note(step, &mut outcome),
                Err(error) => {
                    reject(&mut machine, &mut outcome, error);
                    break;
                }
            };
            dropped += used;
            if is_end {
                respond(&mut machine, service, &mut outcome);
            }
        }
        input.drain(..dropped);
    }
    outcome.awaits = machine.awaits();
    if outcome.error.is_none() {
        outcome.rest = input;
    }
    outcome
}

/// Returns the bytes used, and whether the request is complete.
fn note(step: HttpStep<'_>, outcome: &mut Outcome) -> (usize, bool) {
    match step {
        HttpStep::More { .. } => unreachable!("it was handled before"),
        HttpStep::Head { used, head } => {
            assert!(head.bytes().len() <= used);
            let copy = Head::reparse(head.bytes()).expect("a head that was accepted");
            assert_eq!(copy.path(), head.path());
            outcome.requests.push(Request {
                head: head.bytes().to_vec(),
                fields: head
                    .fields
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_vec()))
                    .collect(),
                meta: head.meta(),
                body: Vec::new(),
                is_complete: false,
            });
            (used, false)
        }
        HttpStep::Body { used, data } => {
            assert!(!data.is_empty() && data.len() <= used);
            let request = outcome.requests.last_mut().expect("a head before its body");
            assert!(!request.is_complete);
            request.body.extend_from_slice(data);
            (used, false)
        }
        HttpStep::End { used } => {
            let request = outcome.requests.last_mut().expect("a head before the end");
            assert!(!request.is_complete);
            request.is_complete = true;
            (used, true)
        }
    }
}

fn respond(machine: &mut HttpMachine, service: Service, outcome: &mut Outcome) {
    let request = outcome.requests.last().expect("it has just ended");
    assert!(request.body.len() as u64 <= service.limits.body_bytes_max);
    assert_eq!(machine.pending_responses(), 1);
    let wish = match service {
        Service { closes: true, .. } => ConnectionAction::Close,
        Service {
            accepts_upgrades: true,
            ..
        } if machine.awaits() == Awaits::Answer => ConnectionAction::Upgrade,
        _ => ConnectionAction::KeepAlive,
    };
    let after = machine.respond(request.meta, service.body, wish);
    check_encoding(service.body, request.meta, after);
    assert_eq!(machine.pending_responses(), 0);
    outcome.responses.push(after);
}

fn reject(machine: &mut HttpMachine, outcome: &mut Outcome, error: RequestError) {
    assert!(matches!(error.status(), 400..=499 | 501 | 505));
    let is_in_body = outcome
        .requests
        .last()
        .is_some_and(|request| !request.is_complete);
    let meta = match outcome.requests.last() {
        Some(request) if is_in_body => request.meta,
        _ => RequestMeta::REFUSED,
    };
    assert_eq!(
        machine.pending_responses(),
        1,
        "a refused request is answered too"
    );
    let after = machine.respond(meta, BodyLength::None, ConnectionAction::KeepAlive);
    assert_eq!(after, ConnectionAction::Close);
    outcome.responses.push(after);
    outcome.error = Some(error);
}

fn check_encoding(body: BodyLength, meta: RequestMeta, after: ConnectionAction) {
    let status = if after == ConnectionAction::Upgrade {
        101
    } else {
        200
    };
    let mut out = Vec::new();
    let _form = encode::head(
        &mut out,
        status,
        &[b"A: b\r\n"],
        body,
        meta,
        after,
        &encode::Common::at(0),
    );
    let mut table = [httparse::EMPTY_HEADER; 8];
    let parsed = httparse::Response::new(&mut table).parse(&out);
    assert_eq!(parsed, Ok(httparse::Status::Complete(out.len())));
}
