//! A file, ready to be sent.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::codings::Coding;
use super::conditions::{Conditions, Validators, Verdict};
use super::media;
use super::options::{Asset, FileOptions};
use super::range::{self, Selection};
use super::representation::{Content, FieldLineWriter, Representation, no_bytes};
use crate::proto::http1::Fields;
use crate::web::{Method, Request, Response};

/// A file, ready to be sent.
#[derive(Debug)]
pub(super) struct FileEntry {
    /// The file as it is.
    plain: Representation,
    brotli: Option<Representation>,
    gzip: Option<Representation>,
    modified_secs: u64,
    is_date_strong: bool,
}

/// Metadata of a file, from which its responses are made.
#[derive(Clone, Debug)]
pub(super) struct FileMetadata {
    pub(super) content: Content,
    /// The entity tag, with its quotes.
    pub(super) etag: Box<str>,
    pub(super) modified_secs: u64,
    pub(super) is_date_strong: bool,
    pub(super) brotli: Option<Encoded>,
    pub(super) gzip: Option<Encoded>,
}

/// An encoded form of a file.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    pub(super) content: Content,
    /// The entity tag, with its quotes: each form has its own (RFC 9110 §8.8.3.3).
    pub(super) etag: Box<str>,
}

impl FileEntry {
    /// Prepares the answers for the file at this path of URLs.
    ///
    /// # Errors
    /// The options give it a field that cannot be sent.
    pub(super) fn new(path: &str, facts: FileMetadata, options: &FileOptions) -> io::Result<Self> {
        let FileMetadata {
            content,
            etag,
            modified_secs,
            is_date_strong,
            brotli,
            gzip,
        } = facts;
        let media_type = media::media_type(path);
        let asset = Asset { path, media_type };
        let varies = brotli.is_some() || gzip.is_some();
        let lines = FieldLineWriter::new(asset, modified_secs, varies, options);
        let encoded = |coding, encoded: Option<Encoded>| {
            let made = encoded.map(|Encoded { content, etag }| lines.form(coding, etag, content));
            made.transpose()
        };
        Ok(Self {
            plain: lines.form(Coding::Identity, etag, content)?,
            brotli: encoded(Coding::Brotli, brotli)?,
            gzip: encoded(Coding::Gzip, gzip)?,
            modified_secs,
            is_date_strong,
        })
    }

    /// Metadata it was made of.
    pub(super) fn facts(&self) -> FileMetadata {
        let encoded = |form: &Representation| Encoded {
            content: form.content().clone(),
            etag: form.etag().into(),
        };
        FileMetadata {
            content: self.plain.content().clone(),
            etag: self.plain.etag().into(),
            modified_secs: self.modified_secs,
            is_date_strong: self.is_date_strong,
            brotli: self.brotli.as_ref().map(encoded),
            gzip: self.gzip.as_ref().map(encoded),
        }
    }

    /// Answers a request for this file.
    pub(super) fn respond(&self, request: &Request<'_>) -> Response {
        match request.method() {
            Method::Get => self.read(request.fields(), true),
            Method::Head => self.read(request.fields(), false),
            _ => not_allowed(),
        }
    }

    /// The form is chosen first, as the others are about it; then come preconditions, then Range,
    /// which GET alone knows (RFC 9110 §13.2.2, §14.2).
    fn read(&self, fields: Fields<'_>, is_get: bool) -> Response {
        let conditions = Conditions::gather(fields);
        let accepted = conditions.accepted();
        let Some(coding) = accepted.choose(self.brotli.is_some(), self.gzip.is_some()) else {
            return self.plain.about(406);
        };
        // Positions in a file are those in the file as it is: a part of it goes out in that form.
        let range = conditions
            .range(self.validators())
            .filter(|_| is_get && accepted.allows_identity());
        let selection = range.map_or(Selection::Whole, |range| {
            range::select(range, self.plain.content().len())
        });
        let form = match selection {
            Selection::Whole => self.form(coding),
            Selection::Part(_) | Selection::Parts(_) | Selection::Unsatisfiable => &self.plain,
        };
        match conditions.verdict(form.etag(), self.modified_secs) {
            Verdict::Failed => return self.plain.about(412),
            Verdict::NotModified => return form.known(),
            Verdict::Proceed => {}
        }
        match selection {
            Selection::Whole => form.whole(),
            // Who sent If-Range has the other fields already (RFC 9110 §15.3.7).
            Selection::Part(part) => form.part(&part, conditions.has_if_range()),
            Selection::Parts(parts) => form.parts(&parts),
            Selection::Unsatisfiable => {
                let place = format!("bytes */{}", form.content().len());
                form.about(416).field("Content-Range", &place)
            }
        }
    }

    /// The file as the body of an answer about something else.
    pub(super) fn page(&self, request: &Request<'_>, status: u16) -> Response {
        let accepted = Conditions::gather(request.fields()).accepted();
        let coding = accepted.choose(self.brotli.is_some(), self.gzip.is_some());
        // An error has to be told whatever the client would like.
        self.form(coding.unwrap_or(Coding::Identity)).page(status)
    }

    fn form(&self, coding: Coding) -> &Representation {
        let encoded = match coding {
            Coding::Identity => None,
            Coding::Gzip => self.gzip.as_ref(),
            Coding::Brotli => self.brotli.as_ref(),
        };
        encoded.unwrap_or(&self.plain)
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.plain.etag(),
            modified_secs: self.modified_secs,
            is_date_strong: self.is_date_strong,
        }
    }

    /// Content of the file.
    pub(super) fn content(&self) -> &Content {
        self.plain.content()
    }

    pub(super) fn etag(&self) -> &str {
        self.plain.etag()
    }

    pub(super) fn has_encoded_forms(&self) -> bool {
        self.brotli.is_some() || self.gzip.is_some()
    }

    pub(super) fn modified_secs(&self) -> u64 {
        self.modified_secs
    }

    /// The file it holds open.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        self.plain.content().file()
    }
}

/// The answer to other methods than GET and HEAD.
pub(super) fn not_allowed() -> Response {
    Response::new(405, no_bytes()).field("Allow", "GET, HEAD")
}

#[cfg(test)]
impl FileEntry {
    /// Number of bytes its forms are long: as it is, in gzip, in Brotli.
    pub(super) fn lens(&self) -> (u64, Option<u64>, Option<u64>) {
        let len = |form: &Option<Representation>| form.as_ref().map(|form| form.content().len());
        (
            self.plain.content().len(),
            len(&self.gzip),
            len(&self.brotli),
        )
    }
}
