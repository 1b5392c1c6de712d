//! A file, ready to be sent.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::conditions::{Conditions, Validators, Verdict};
use super::media;
use super::options::{Asset, Options};
use super::range::{self, Selection};
use crate::proto::http1::{Fields, date, encode};
use crate::reactor::Shared;
use crate::web::{Body, FileBody, Method, Request, Response};

/// A file, ready to be sent.
#[derive(Debug)]
pub(super) struct Entry {
    /// All field lines: first those of the file, then those of every answer about it, then
    /// Content-Type.
    lines: Shared,
    /// Those that a client needs that has the content already (RFC 9110 §15.4.5).
    known_lines: Shared,
    /// Those that do not say which state of the file this is.
    page_lines: Shared,
    etag: Box<str>,
    modified_secs: u64,
    is_date_strong: bool,
    content: Content,
}

/// The content of a file.
#[derive(Debug)]
pub(super) enum Content {
    Memory(Shared),
    Disk { file: Arc<File>, len: u64 },
}

/// What was found out about a file when it was read.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) content: Content,
    /// The entity tag, with its quotes.
    pub(super) etag: String,
    pub(super) modified_secs: u64,
    pub(super) is_date_strong: bool,
}

/// The fields that are written here or by the encoder, and nowhere else.
const RESERVED: [&str; 8] = [
    "accept-ranges",
    "cache-control",
    "connection",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
];

impl Entry {
    /// Prepares the answers for the file at this path of URLs.
    ///
    /// # Errors
    /// The options give it a field that cannot be sent.
    pub(super) fn new(path: &str, facts: Facts, options: &Options) -> io::Result<Self> {
        let media_type = media::media_type(path);
        let asset = Asset { path, media_type };
        let mut lines = Vec::with_capacity(256);
        let mut add = |name: &str, value: &str| {
            encode::field(&mut lines, name, value)
                .map(|()| lines.len())
                .map_err(|error| refused(path, name, &error.to_string()))
        };
        let known_start = add("Accept-Ranges", "bytes")?;
        add("ETag", &facts.etag)?;
        let date = date::format(facts.modified_secs);
        let date = str::from_utf8(&date).unwrap_or_default();
        let page_start = add("Last-Modified", date)?;
        let mut known_end = page_start;
        let cache_control = (options.cache_control)(asset);
        if !cache_control.is_empty() {
            known_end = add("Cache-Control", &cache_control)?;
        }
        for (name, value) in (options.fields)(asset) {
            if RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                return Err(refused(path, &name, "the server writes this field itself"));
            }
            known_end = add(&name, &value)?;
        }
        let parameters = media::parameters(media_type);
        let end = add("Content-Type", &format!("{media_type}{parameters}"))?;
        let lines = Shared::from(lines);
        Ok(Self {
            known_lines: lines.slice(known_start..known_end),
            page_lines: lines.slice(page_start..end),
            lines,
            etag: facts.etag.into(),
            modified_secs: facts.modified_secs,
            is_date_strong: facts.is_date_strong,
            content: facts.content,
        })
    }

    /// Answers a request for this file.
    pub(super) fn answer(&self, request: &Request<'_>) -> Response {
        match request.method() {
            Method::Get => self.read(request.fields(), true),
            Method::Head => self.read(request.fields(), false),
            _ => Response::empty(405).field("Allow", "GET, HEAD"),
        }
    }

    /// Preconditions come first, then Range, which GET alone knows (RFC 9110 §13.2.2, §14.2).
    fn read(&self, fields: Fields<'_>, is_get: bool) -> Response {
        let conditions = Conditions::gather(fields, &self.etag);
        match conditions.verdict(self.modified_secs) {
            Verdict::Failed => return Response::empty(412),
            Verdict::NotModified => {
                return Response::prepared(304, &self.known_lines, Body::Empty);
            }
            Verdict::Proceed => {}
        }
        let range = conditions.range(self.validators()).filter(|_| is_get);
        let selection = range.map_or(Selection::Whole, |range| range::select(range, self.len()));
        match selection {
            Selection::Whole => Response::prepared(200, &self.lines, self.body()),
            Selection::Part(part) => {
                // Who sent If-Range has the other fields already (RFC 9110 §15.3.7).
                let lines = if conditions.has_if_range() {
                    &self.known_lines
                } else {
                    &self.lines
                };
                self.part(lines, part)
            }
            Selection::Unsatisfiable => {
                Response::empty(416).field("Content-Range", &format!("bytes */{}", self.len()))
            }
        }
    }

    /// The file as the body of an answer about something else.
    pub(super) fn page(&self, status: u16) -> Response {
        Response::prepared(status, &self.page_lines, self.body())
    }

    fn part(&self, lines: &Shared, part: RangeInclusive<u64>) -> Response {
        let (first, last) = part.into_inner();
        let content_range = format!("bytes {first}-{last}/{}", self.len());
        let body = match &self.content {
            Content::Memory(bytes) => {
                // Both are below the length of what is in memory.
                let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
                Body::Shared(bytes.slice(at(first)..at(last).saturating_add(1)))
            }
            Content::Disk { file, .. } => Body::File(FileBody {
                file: Arc::clone(file),
                offset: first,
                len: (last - first).saturating_add(1),
            }),
        };
        Response::prepared(206, lines, body).field("Content-Range", &content_range)
    }

    fn body(&self) -> Body {
        match &self.content {
            Content::Memory(bytes) => Body::Shared(bytes.clone()),
            Content::Disk { file, len } => Body::File(FileBody {
                file: Arc::clone(file),
                offset: 0,
                len: *len,
            }),
        }
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: &self.etag,
            modified_secs: self.modified_secs,
            is_date_strong: self.is_date_strong,
        }
    }

    fn len(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk { len, .. } => *len,
        }
    }

    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    pub(super) fn modified_secs(&self) -> u64 {
        self.modified_secs
    }

    /// How many bytes of content it holds in memory.
    pub(super) fn memory_bytes(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk { .. } => 0,
        }
    }

    /// The file it holds open.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        match &self.content {
            Content::Memory(_) => None,
            Content::Disk { file, .. } => Some(file),
        }
    }
}

fn refused(path: &str, name: &str, why: &str) -> io::Error {
    let message = format!("field {name:?} of {path}: {why}");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
