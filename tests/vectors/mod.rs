//! Reads `http1/*.txt`; the format is in the README beside them.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses its own part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use edgeloop::proto::http1::HttpLimits;

/// Input, and the outcome it has to have.
#[derive(Clone, Debug)]
pub struct Vector {
    /// File, line and title.
    pub title: String,
    /// The clause it checks.
    pub clause: String,
    pub limits: HttpLimits,
    pub shows_fields: bool,
    pub sent: Vec<u8>,
    pub expected: Vec<String>,
}

/// All of them, in the order of their files.
pub fn vectors() -> Vec<Vector> {
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
                limits: HttpLimits::default(),
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

fn set_limit(limits: &mut HttpLimits, limit: &str, place: &str) {
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
