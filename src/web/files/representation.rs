//! One form of a file, ready to be sent: as it is, or encoded.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::codings::Coding;
use super::media;
use super::multipart;
use super::options::{Asset, FileOptions};
use crate::proto::http1::{date, encode};
use crate::reactor::Shared;
use crate::web::{Body, FileBody, FileSource, Part, Response};

/// One form of a file, ready to be sent.
#[derive(Debug)]
pub(super) struct Representation {
    /// All field lines: first those of the file, then those of every answer about it, then those
    /// that describe its body.
    lines: Shared,
    /// Those that a client needs that has the content already (RFC 9110 §15.4.5).
    known_lines: Shared,
    /// Those that do not say which state of the file this is.
    page_lines: Shared,
    /// Those of every answer about it, even those without it.
    about_lines: Shared,
    etag: Box<str>,
    content_type: Arc<str>,
    content: Content,
}

/// The content of a file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Memory(Shared),
    Disk { file: FileSource, len: u64 },
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { len, .. } => *len,
        }
    }

    /// Number of bytes of it held in memory.
    pub(super) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { .. } => 0,
        }
    }

    /// The file it holds open.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        match self {
            Self::Memory(_) => None,
            Self::Disk { file, .. } => file.held(),
        }
    }

    /// Returns `true` if it is read when it is sent.
    pub(super) fn is_on_disk(&self) -> bool {
        matches!(self, Self::Disk { .. })
    }

    /// A part of it, which lies within it.
    pub(super) fn part(&self, part: &RangeInclusive<u64>) -> Part {
        let (first, last) = (*part.start(), *part.end());
        match self {
            Self::Memory(bytes) => {
                // Both are below the length of what is in memory.
                let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
                Part::Shared(bytes.slice(at(first)..at(last).saturating_add(1)))
            }
            Self::Disk { file, .. } => Part::File(FileBody {
                file: file.clone(),
                offset: first,
                len: (last - first).saturating_add(1),
            }),
        }
    }

    fn body(&self) -> Body {
        match self {
            Self::Memory(bytes) => Body::Shared(bytes.clone()),
            Self::Disk { file, len } => Body::File(FileBody {
                file: file.clone(),
                offset: 0,
                len: *len,
            }),
        }
    }
}

/// A body of length 0, which HEAD is told of as GET is.
pub(super) const fn no_bytes() -> Body {
    Body::Bytes(Vec::new())
}

impl Representation {
    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// All of it.
    pub(super) fn whole(&self) -> Response {
        Response::prepared(200, &self.lines, self.content.body())
    }

    /// The client has it.
    pub(super) fn known(&self) -> Response {
        Response::prepared(304, &self.known_lines, Body::Empty)
    }

    /// Its content as the body of an answer about something else.
    pub(super) fn page(&self, status: u16) -> Response {
        Response::prepared(status, &self.page_lines, self.content.body())
    }

    /// An answer about it that it is no part of.
    pub(super) fn about(&self, status: u16) -> Response {
        Response::prepared(status, &self.about_lines, no_bytes())
    }

    /// A part of it, to a client that has the rest or not.
    pub(super) fn part(&self, part: &RangeInclusive<u64>, has_rest: bool) -> Response {
        let lines = if has_rest {
            &self.known_lines
        } else {
            &self.lines
        };
        let place = multipart::place(part, self.content.len());
        let body = match self.content.part(part) {
            Part::Shared(bytes) => Body::Shared(bytes),
            Part::File(file) => Body::File(file),
        };
        Response::prepared(206, lines, body).field("Content-Range", &place)
    }

    /// Several parts of it. Content-Type is that of each part (RFC 9110 §15.3.7.2).
    pub(super) fn parts(&self, parts: &[RangeInclusive<u64>]) -> Response {
        let (content_type, parts) = multipart::body(&self.content, &self.content_type, parts);
        Response::prepared(206, &self.known_lines, Body::Parts(parts))
            .field("Content-Type", &content_type)
    }
}

/// The fields that are written here or by the encoder, and nowhere else.
const RESERVED: [&str; 9] = [
    "accept-ranges",
    "cache-control",
    "connection",
    "content-encoding",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
];

/// Makes the field lines of a file's forms.
pub(super) struct FieldLineWriter<'a> {
    path: &'a str,
    modified_secs: u64,
    cache_control: Cow<'static, str>,
    vary: String,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    content_type: Arc<str>,
}

impl<'a> FieldLineWriter<'a> {
    /// `varies`: there are encoded forms.
    pub(super) fn new(
        asset: Asset<'a>,
        modified_secs: u64,
        varies: bool,
        options: &FileOptions,
    ) -> Self {
        let mut vary = String::new();
        let mut fields = (options.fields)(asset);
        // One line for all: not every cache reads more.
        fields.retain(|(name, value)| {
            let is_vary = name.eq_ignore_ascii_case("vary");
            if is_vary {
                add_item(&mut vary, value);
            }
            !is_vary
        });
        if varies {
            add_item(&mut vary, "Accept-Encoding");
        }
        let media_type = asset.media_type;
        let parameters = media::parameters(media_type);
        Self {
            path: asset.path,
            modified_secs,
            cache_control: (options.cache_control)(asset),
            vary,
            fields,
            content_type: format!("{media_type}{parameters}").into(),
        }
    }

    /// A form with its lines.
    ///
    /// # Errors
    /// The options gave a field that cannot be sent.
    pub(super) fn form(
        &self,
        coding: Coding,
        etag: Box<str>,
        content: Content,
    ) -> io::Result<Representation> {
        let mut lines = Vec::with_capacity(512);
        let mut add = |name: &str, value: &str| {
            encode::field(&mut lines, name, value)
                .map(|()| lines.len())
                .map_err(|error| rejected(self.path, name, &error.to_string()))
        };
        let mut known_start = 0;
        if coding == Coding::Identity {
            known_start = add("Accept-Ranges", "bytes")?;
        }
        add("ETag", &etag)?;
        let date = date::format(self.modified_secs);
        let date = str::from_utf8(&date).unwrap_or_else(|_| {
            invariant!("a date is ASCII");
            ""
        });
        let page_start = add("Last-Modified", date)?;
        let mut about_start = page_start;
        if !self.cache_control.is_empty() {
            about_start = add("Cache-Control", &self.cache_control)?;
        }
        let mut known_end = about_start;
        if !self.vary.is_empty() {
            known_end = add("Vary", &self.vary)?;
        }
        for (name, value) in &self.fields {
            if RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                return Err(rejected(
                    self.path,
                    name,
                    "the server writes this field itself",
                ));
            }
            known_end = add(name, value)?;
        }
        // One that is packed by itself has no forms that are packed again.
        if let Some(coding) = coding.name().or_else(|| media::content_coding(self.path)) {
            add("Content-Encoding", coding)?;
        }
        let end = add("Content-Type", &self.content_type)?;
        let lines = Shared::from(lines);
        Ok(Representation {
            known_lines: lines.slice(known_start..known_end),
            page_lines: lines.slice(page_start..end),
            about_lines: lines.slice(about_start..known_end),
            lines,
            etag,
            content_type: Arc::clone(&self.content_type),
            content,
        })
    }
}

fn add_item(list: &mut String, item: &str) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(item);
}

fn rejected(path: &str, name: &str, why: &str) -> io::Error {
    let message = format!("field {name:?} of {path}: {why}");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
