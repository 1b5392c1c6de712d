//! Runs `tests/vectors/http1/*.txt`: whole, byte by byte, and split at every place. The format is in
//! the README beside them.

use crate::vectors::{Vector, vectors};
use edgeloop::proto::http1::{
    Awaits, FIELDS_MAX, Framing, Head, HttpLimits, HttpMachine, HttpStep, RequestError,
};

#[test]
fn every_vector_gives_the_same_however_it_arrives() {
    let vectors = vectors();
    assert!(vectors.len() >= 400, "only {} vectors", vectors.len());
    let mut failures = Vec::new();
    for vector in &vectors {
        assert!(
            vector.clause.starts_with("RFC "),
            "{}: no clause",
            vector.title
        );
        let length = vector.sent.len();
        let bytewise: Vec<usize> = (1..length).collect();
        let cuts = [Vec::new(), bytewise]
            .into_iter()
            .chain((0..=length).map(|cut| vec![cut]));
        for cuts in cuts {
            let outcome = run(vector, &cuts);
            if outcome != vector.expected {
                failures.push(format!(
                    "{} (cut at {:?}):\n  expected {:#?}\n  got {outcome:#?}",
                    vector.title,
                    cuts.iter().take(3).collect::<Vec<_>>(),
                    vector.expected
                ));
                break;
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_error_has_a_vector() {
    let expected: Vec<String> = vectors()
        .into_iter()
        .flat_map(|vector| vector.expected)
        .collect();
    let all = [
        RequestError::BareCr,
        RequestError::BareLf,
        RequestError::ControlByte,
        RequestError::EmptyLines,
        RequestError::RequestLine,
        RequestError::Method,
        RequestError::MethodTooLong,
        RequestError::Connect,
        RequestError::Target,
        RequestError::TargetSpace,
        RequestError::TargetTooLong,
        RequestError::Version,
        RequestError::HeadTooLong,
        RequestError::TooManyFields,
        RequestError::FieldName,
        RequestError::FieldNameEmpty,
        RequestError::SpaceBeforeColon,
        RequestError::ObsFold,
        RequestError::HostMissing,
        RequestError::HostRepeated,
        RequestError::Host,
        RequestError::ContentLength,
        RequestError::ContentLengthRepeated,
        RequestError::BothFramings,
        RequestError::CodingInHttp10,
        RequestError::Coding,
        RequestError::ChunkedNotLast,
        RequestError::CodingUnknown,
        RequestError::Expectation,
        RequestError::BodyTooLong,
        RequestError::ChunkSize,
        RequestError::ChunkExtension,
        RequestError::ChunkExtensionsTooLong,
        RequestError::ChunkEnd,
        RequestError::Trailer,
        RequestError::TrailersTooLong,
    ];
    for error in all {
        assert!(
            expected.contains(&error_line(error)),
            "no vector for {error:?}"
        );
    }
}

/// Every kind of line there is, for damage to be done to.
const SPECIMEN: &[u8] =
    b"POST /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n\
    3;e=f\r\nabc\r\n0\r\nT: u\r\n\r\n";

fn outcome_of(sent: Vec<u8>) -> Vec<String> {
    let vector = Vector {
        title: String::new(),
        clause: String::new(),
        limits: HttpLimits::default(),
        shows_fields: false,
        sent,
        expected: Vec::new(),
    };
    run(&vector, &[])
}

/// RFC 9110 §5.5, RFC 9112 §2.2.
#[test]
fn no_control_byte_passes_anywhere() {
    assert_eq!(outcome_of(SPECIMEN.to_vec()).last().unwrap(), "end");
    let others = (0..=0x1f).filter(|byte| !matches!(byte, b'\t' | b'\r' | b'\n'));
    for byte in others.chain([0x7f]) {
        for place in 0..=SPECIMEN.len() {
            let mut sent = SPECIMEN.to_vec();
            sent.insert(place, byte);
            let outcome = outcome_of(sent);
            let last = outcome.last().unwrap();
            assert!(
                last.starts_with("error 400 "),
                "{byte:#x} at {place}: {outcome:?}"
            );
        }
    }
}

/// RFC 9112 §2.2: a line ends in CR and LF, in that order, and nowhere else is either of them.
#[test]
fn no_line_ends_otherwise() {
    for place in 0..=SPECIMEN.len() {
        let mut with_lf = SPECIMEN.to_vec();
        with_lf.insert(place, b'\n');
        let outcome = outcome_of(with_lf);
        let last = outcome.last().unwrap();
        assert!(last.starts_with("error 400 "), "LF at {place}: {outcome:?}");

        let mut with_cr = SPECIMEN.to_vec();
        with_cr.insert(place, b'\r');
        let outcome = outcome_of(with_cr);
        let last = outcome.last().unwrap();
        // At the very end it may yet become an empty line.
        let is_open = place == SPECIMEN.len() && last == "awaits head";
        assert!(
            is_open || last.starts_with("error 400 "),
            "CR at {place}: {outcome:?}"
        );

        if matches!(SPECIMEN.get(place), Some(b'\r' | b'\n')) {
            let mut without = SPECIMEN.to_vec();
            without.remove(place);
            let outcome = outcome_of(without);
            let last = outcome.last().unwrap();
            let is_open = place == SPECIMEN.len() - 1 && last == "awaits body";
            assert!(
                is_open || last.starts_with("error 400 "),
                "no end at {place}: {outcome:?}"
            );
        }
    }
}

/// RFC 9110 §5.5: bytes outside ASCII pass in values, and in extensions, which nobody reads.
#[test]
fn bytes_outside_ascii_pass_in_values_only() {
    let marked = b"POST /a?b HTTP/1.1\r\nHost: a\r\nX:{ y}\r\nTransfer-Encoding: chunked\r\n\r\n\
        3;{e=f}\r\nabc\r\n0\r\nT:{ u}\r\n\r\n";
    let (mut plain, mut may_pass, mut is_value) = (Vec::new(), Vec::new(), false);
    for byte in marked {
        match byte {
            b'{' => is_value = true,
            b'}' => {
                may_pass.push(plain.len());
                is_value = false;
            }
            byte => {
                may_pass.extend(is_value.then_some(plain.len()));
                plain.push(*byte);
            }
        }
    }
    assert_eq!(plain, SPECIMEN);
    for place in 0..SPECIMEN.len() {
        let mut sent = plain.clone();
        sent.insert(place, 0xe9);
        let outcome = outcome_of(sent);
        let last = outcome.last().unwrap();
        if may_pass.contains(&place) {
            assert_eq!(last, "end", "{place}");
        } else {
            assert!(last.starts_with("error 400 "), "{place}: {outcome:?}");
        }
    }
}

/// RFC 6585 §5: whatever limit is set, this many and no more.
#[test]
fn the_table_of_fields_has_an_end() {
    for (count, last) in [
        (FIELDS_MAX, "end"),
        (FIELDS_MAX + 1, "error 431 TooManyFields"),
    ] {
        let mut vector = Vector {
            title: String::new(),
            clause: String::new(),
            limits: HttpLimits::default(),
            shows_fields: false,
            sent: b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec(),
            expected: Vec::new(),
        };
        vector.limits.fields_max = usize::MAX;
        vector.sent.extend(b"A:\r\n".repeat(count - 1));
        vector.sent.extend(b"\r\n");
        assert_eq!(run(&vector, &[]).last().unwrap(), last);
    }
}

/// Feeds a vector to a fresh machine, in pieces that end at `cuts`.
fn run(vector: &Vector, cuts: &[usize]) -> Vec<String> {
    let mut machine = HttpMachine::new();
    let mut outcome = Vec::new();
    let mut body: Option<Vec<u8>> = None;
    let (mut dropped, length) = (0, vector.sent.len());
    for end in cuts.iter().copied().chain([length]) {
        loop {
            let input = &vector.sent[dropped..end];
            let step = match machine.step(input, &vector.limits) {
                Ok(step) => step,
                Err(error) => {
                    outcome.extend(body.take().map(|data| body_line(&data)));
                    outcome.push(error_line(error));
                    assert_eq!(machine.awaits(), Awaits::Nothing);
                    return outcome;
                }
            };
            let used = match step {
                HttpStep::More { used } => used,
                HttpStep::Head { used, head } => {
                    outcome.push(head_line(&head));
                    check_copy(&head);
                    if vector.shows_fields {
                        outcome.extend(field_lines(&head));
                    }
                    used
                }
                HttpStep::Body { used, data } => {
                    assert!(!data.is_empty() && input[..used].ends_with(data));
                    body.get_or_insert_default().extend_from_slice(data);
                    used
                }
                HttpStep::End { used } => {
                    outcome.extend(body.take().map(|data| body_line(&data)));
                    outcome.push("end".to_owned());
                    used
                }
            };
            assert!(used <= input.len());
            dropped += used;
            if matches!(step, HttpStep::More { .. }) {
                break;
            }
        }
    }
    outcome.extend(body.take().map(|data| body_line(&data)));
    outcome.extend(match machine.awaits() {
        Awaits::Request if dropped == length => None,
        Awaits::Request | Awaits::Head => Some("awaits head".to_owned()),
        Awaits::Body => Some("awaits body".to_owned()),
        Awaits::Answer => Some("awaits answer".to_owned()),
        Awaits::Nothing => Some("awaits nothing".to_owned()),
    });
    outcome
}

/// A head copied elsewhere is the same head.
fn check_copy(head: &Head<'_>) {
    let copy = head.bytes().to_vec();
    let again = Head::reparse(&copy).expect("a head that was parsed parses again");
    assert_eq!(format!("{head:?}"), format!("{again:?}"));
    assert!(Head::reparse(&copy[..copy.len() - 1]).is_none());
    assert!(Head::reparse(&[&copy[..], b"x"].concat()).is_none());
    assert!(Head::reparse(&[b"\r\n", &copy[..]].concat()).is_none());
}

fn head_line(head: &Head<'_>) -> String {
    let meta = head.meta();
    let mut line = format!(
        "head {} {} {:?}",
        head.method.as_str(),
        head.target,
        head.version
    )
    .replace("Http1", "HTTP/1.");
    if head.path() != head.target {
        line += &format!(" path={}", head.path());
    }
    line += &head
        .query()
        .map(|query| format!(" query={query}"))
        .unwrap_or_default();
    line += &head
        .host
        .map(|host| format!(" host={host}"))
        .unwrap_or_default();
    line += &match head.framing {
        Framing::None => String::new(),
        Framing::Length(length) => format!(" length={length}"),
        Framing::Chunked => " chunked".to_owned(),
    };
    for (is_so, word) in [
        (head.wants_continue, " continue"),
        (head.upgrade_websocket, " upgrade"),
        (!meta.keep_alive, " close"),
    ] {
        line += if is_so { word } else { "" };
    }
    assert_eq!(meta.version, head.version);
    assert_eq!(meta.head, head.method.as_str() == "HEAD");
    line
}

fn field_lines(head: &Head<'_>) -> Vec<String> {
    let lines = head.fields.iter().map(|(name, value)| {
        assert!(head.fields.get_all(name).any(|other| other == value));
        format!("field {name}: {}", value.escape_ascii())
    });
    let lines: Vec<String> = lines.collect();
    assert_eq!(lines.len(), head.fields.count());
    lines
}

fn body_line(data: &[u8]) -> String {
    format!("body {}", data.escape_ascii())
}

fn error_line(error: RequestError) -> String {
    format!("error {} {error:?}", error.status())
}
