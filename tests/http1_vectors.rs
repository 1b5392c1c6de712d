//! Runs `tests/vectors/http1/*.txt`: whole, byte by byte, and split at every place. The format is in
//! the README beside them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::{Path, PathBuf};

use edgeloop::proto::http1::{Awaits, Error, Framing, Head, Limits, Machine, Step};

struct Vector {
    title: String,
    clause: String,
    limits: Limits,
    shows_fields: bool,
    sent: Vec<u8>,
    expected: Vec<String>,
}

#[test]
fn every_vector_gives_the_same_however_it_arrives() {
    let vectors = vectors();
    assert!(vectors.len() >= 120, "only {} vectors", vectors.len());
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
        Error::BareCr,
        Error::BareLf,
        Error::ControlByte,
        Error::EmptyLines,
        Error::RequestLine,
        Error::Method,
        Error::MethodTooLong,
        Error::Connect,
        Error::Target,
        Error::TargetSpace,
        Error::TargetTooLong,
        Error::Version,
        Error::HeadTooLong,
        Error::TooManyFields,
        Error::FieldName,
        Error::FieldNameEmpty,
        Error::SpaceBeforeColon,
        Error::ObsFold,
        Error::HostMissing,
        Error::HostRepeated,
        Error::Host,
        Error::ContentLength,
        Error::ContentLengthRepeated,
        Error::BothFramings,
        Error::CodingInHttp10,
        Error::Coding,
        Error::ChunkedNotLast,
        Error::CodingUnknown,
        Error::Expectation,
        Error::BodyTooLong,
        Error::ChunkSize,
        Error::ChunkExtensionsTooLong,
        Error::ChunkEnd,
        Error::Trailer,
        Error::TrailersTooLong,
    ];
    for error in all {
        assert!(
            expected.contains(&error_line(error)),
            "no vector for {error:?}"
        );
    }
}

/// Feeds a vector to a fresh machine, in pieces that end at `cuts`.
fn run(vector: &Vector, cuts: &[usize]) -> Vec<String> {
    let mut machine = Machine::new();
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
                Step::More { used } => used,
                Step::Head { used, head } => {
                    outcome.push(head_line(&head));
                    check_copy(&head);
                    if vector.shows_fields {
                        outcome.extend(field_lines(&head));
                    }
                    used
                }
                Step::Body { used, data } => {
                    assert!(!data.is_empty() && input[..used].ends_with(data));
                    body.get_or_insert_default().extend_from_slice(data);
                    used
                }
                Step::End { used } => {
                    outcome.extend(body.take().map(|data| body_line(&data)));
                    outcome.push("end".to_owned());
                    used
                }
            };
            assert!(used <= input.len());
            dropped += used;
            if matches!(step, Step::More { .. }) {
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
}

fn head_line(head: &Head<'_>) -> String {
    let asked = head.asked();
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
        (!asked.keep_alive, " close"),
    ] {
        line += if is_so { word } else { "" };
    }
    assert_eq!(asked.version, head.version);
    assert_eq!(asked.head, head.method.as_str() == "HEAD");
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

fn error_line(error: Error) -> String {
    format!("error {} {error:?}", error.status())
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/http1");
    let entries = folder.read_dir().expect("the vectors are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths.iter().flat_map(|path| vectors_of(path)).collect()
}

fn vectors_of(path: &Path) -> Vec<Vector> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut vectors: Vec<Vector> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let place = format!("{}:{number}", path.display());
        if let Some(title) = line.strip_prefix("== ") {
            let (title, clause) = title
                .split_once(" | ")
                .unwrap_or_else(|| panic!("{place}: clause"));
            vectors.push(Vector {
                title: format!("{place}: {title}"),
                clause: clause.to_owned(),
                limits: Limits::default(),
                shows_fields: false,
                sent: Vec::new(),
                expected: Vec::new(),
            });
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let vector = vectors
            .last_mut()
            .unwrap_or_else(|| panic!("{place}: no title"));
        if let Some(sent) = line.strip_prefix(">>") {
            vector
                .sent
                .extend(unescape(sent.strip_prefix(' ').unwrap_or(sent), &place));
            vector.sent.extend(b"\r\n");
        } else if let Some(sent) = line.strip_prefix("> ") {
            vector.sent.extend(unescape(sent, &place));
        } else if let Some(limits) = line.strip_prefix("limits ") {
            limits
                .split(' ')
                .for_each(|limit| set_limit(&mut vector.limits, limit, &place));
        } else if line == "show fields" {
            vector.shows_fields = true;
        } else {
            let expected = unescape_repeats(line, &place);
            vector.expected.push(expected);
        }
    }
    vectors
}

fn set_limit(limits: &mut Limits, limit: &str, place: &str) {
    let (name, value) = limit.split_once('=').unwrap();
    let value: usize = value.parse().unwrap();
    match name {
        "target" => limits.target_bytes_max = value,
        "head" => limits.head_bytes_max = value,
        "fields" => limits.fields_max = value,
        "body" => limits.body_bytes_max = value as u64,
        "extensions" => limits.chunk_extension_bytes_max = value,
        "trailers" => limits.trailer_bytes_max = value,
        _ => panic!("{place}: no limit {name}"),
    }
}

/// Replaces each `\{text*count}`.
fn unescape_repeats(line: &str, place: &str) -> String {
    let mut parts = line.split("\\{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (repeat, rest) = part
            .split_once('}')
            .unwrap_or_else(|| panic!("{place}: no brace"));
        let (what, count) = repeat
            .rsplit_once('*')
            .unwrap_or_else(|| panic!("{place}: no count"));
        text += &what.repeat(count.parse().unwrap());
        text += rest;
    }
    text
}

fn unescape(line: &str, place: &str) -> Vec<u8> {
    let text = unescape_repeats(line, place);
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let (byte, after) = match (byte, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let hex = String::from_utf8(vec![*high, *low]).unwrap();
                (u8::from_str_radix(&hex, 16).unwrap(), after)
            }
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b't', after @ ..]) => (b'\t', after),
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', _) => panic!("{place}: unknown escape"),
            _ => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}
