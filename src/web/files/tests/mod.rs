mod compression;
mod conditions;
mod disk;
mod ranges;
mod watching;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::TempDir;

use super::file_entry::{FileEntry, FileMetadata};
use super::representation::Content;
use super::{FileOptions, Snapshot};
use crate::proto::http1::{BodyLength, ConnectionAction, Head, date, encode};
use crate::reactor::{ConnId, Shared};
use crate::web::{Body, ExchangeId, FileBody, Part, Request, Response};

const ETAG: &str = "\"e-1\"";
const MODIFIED: u64 = 784_111_777;
const MODIFIED_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// An answer as it would go out.
#[derive(Debug)]
struct SentResponse {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn read(part: &FileBody) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(part.len).unwrap()];
    part.file
        .open()
        .unwrap()
        .read_exact_at(&mut bytes, part.offset)
        .unwrap();
    bytes
}

impl SentResponse {
    fn of(response: Response, request: &Head<'_>) -> Self {
        let length = match &response.body {
            Body::Empty => BodyLength::None,
            body => BodyLength::Known(body.len()),
        };
        let mut head = Vec::new();
        let lines = response.field_lines();
        let form = encode::head(
            &mut head,
            response.status(),
            &[lines.as_ref()],
            length,
            request.meta(),
            ConnectionAction::KeepAlive,
            &encode::Common::at(0),
        );
        let status = response.status();
        let body = match response.body {
            _ if form == encode::BodyForm::Absent => Vec::new(),
            Body::Empty | Body::Stream => Vec::new(),
            Body::Bytes(bytes) => bytes,
            Body::Static(bytes) => bytes.to_vec(),
            Body::Shared(shared) => shared.as_ref().to_vec(),
            Body::File(part) => read(&part),
            Body::Parts(parts) => parts
                .iter()
                .flat_map(|part| match part {
                    Part::Shared(shared) => shared.as_ref().to_vec(),
                    Part::File(part) => read(part),
                })
                .collect(),
        };
        let head = String::from_utf8(head).unwrap();
        Self { status, head, body }
    }

    /// The values of a field.
    fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|line| line.0.eq_ignore_ascii_case(name))
            .map(|line| line.1)
            .collect()
    }

    /// The value of a field that is there once or not at all.
    fn field(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} is repeated: {}", self.head);
        values.first().copied()
    }

    /// The names of all fields, in order.
    fn names(&self) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.map(|line| line.0).collect()
    }
}

/// Has a request with these method and field lines answered.
fn ask(
    method: &str,
    fields: &[&str],
    respond: impl FnOnce(&Request<'_>) -> Response,
) -> SentResponse {
    ask_at("/x", method, fields, respond)
}

/// The same with a target of one's own.
fn ask_at(
    target: &str,
    method: &str,
    fields: &[&str],
    respond: impl FnOnce(&Request<'_>) -> Response,
) -> SentResponse {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for field in fields {
        bytes.push_str(field);
        bytes.push_str("\r\n");
    }
    bytes.push_str("\r\n");
    let head = Head::reparse(bytes.as_bytes()).unwrap();
    let endpoint = crate::reactor::Endpoint::Connected {
        peer: "192.0.2.1:1000".parse().unwrap(),
    };
    let request = Request {
        head,
        body: &[],
        endpoint,
        connection: endpoint,
        exchange: ExchangeId {
            conn: ConnId::NONE,
            number: 0,
        },
    };
    SentResponse::of(respond(&request), &head)
}

/// Response of a folder to a plain GET.
fn get(folder: &Snapshot, path: &str) -> Option<SentResponse> {
    let mut is_there = true;
    let sent = ask("GET", &[], |request| {
        folder.respond(request, path).unwrap_or_else(|| {
            is_there = false;
            Response::empty(404)
        })
    });
    is_there.then_some(sent)
}

/// Text at a path.
fn text(folder: &Snapshot, path: &str) -> Option<String> {
    get(folder, path).map(|sent| String::from_utf8(sent.body).unwrap())
}

/// A text file of known validators.
fn entry(content: &[u8], is_date_strong: bool) -> FileEntry {
    FileEntry::new(
        "/a.txt",
        facts(content, is_date_strong),
        &FileOptions::default(),
    )
    .unwrap()
}

fn facts(content: &[u8], is_date_strong: bool) -> FileMetadata {
    FileMetadata {
        content: Content::Memory(Shared::from(content)),
        etag: ETAG.into(),
        modified_secs: MODIFIED,
        is_date_strong,
        brotli: None,
        gzip: None,
    }
}

/// A folder on disk with these files.
fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        write(root.path(), path, content);
    }
    root
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Files of more than eight bytes are large.
fn small() -> FileOptions {
    FileOptions {
        small_file_bytes_max: 8,
        ..FileOptions::default()
    }
}

fn load(root: &TempDir, options: &FileOptions) -> Snapshot {
    Snapshot::load(root.path(), options).unwrap()
}
