//! A file in a picture, and what is needed to see whether it has changed.

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::Arc;

use super::disk::{ContentSource, Fingerprint, ReadFile};
use super::file_entry::{FileEntry, FileMetadata};
use super::options::FileOptions;
use super::representation::Content;
use crate::reactor::Shared;

/// A file and what is needed to see whether it has changed.
#[derive(Clone, Debug)]
pub(super) struct CachedFile {
    pub(super) entry: Arc<FileEntry>,
    pub(super) fingerprint: Fingerprint,
    /// `true` if any change of the file can be seen in its stamp.
    pub(super) is_settled: bool,
    /// Origin of its encoded forms. `None`: not looked for yet.
    pub(super) forms: Option<EncodedForms>,
}

/// Origin of a file's encoded forms, also where it has none now.
#[derive(Clone, Debug, Default)]
pub(super) struct EncodedForms {
    /// The files beside it that were looked at.
    pub(super) sidecars: Sidecars,
    /// Length of those that were made here.
    pub(super) own_bytes: u64,
}

/// The files beside another one that by their names are its encoded forms.
#[derive(Clone, Debug, Default)]
pub(super) struct Sidecars {
    pub(super) brotli: Option<Arc<FileEntry>>,
    pub(super) gzip: Option<Arc<FileEntry>>,
}

impl Sidecars {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_same =
            |one: &Option<Arc<FileEntry>>, other: &Option<Arc<FileEntry>>| match (one, other) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => false,
            };
        is_same(&self.brotli, &other.brotli) && is_same(&self.gzip, &other.gzip)
    }
}

impl CachedFile {
    /// Makes an entry of what was read, or keeps the known one if that is the same.
    pub(super) fn new(
        path: &str,
        reading: ReadFile,
        known: Option<&Self>,
        options: &FileOptions,
    ) -> io::Result<Self> {
        let ReadFile {
            fingerprint,
            is_settled,
            is_aged,
            modified_secs,
            source,
        } = reading;
        let is_on_disk = matches!(source, ContentSource::Disk(_));
        let is_open = matches!(&source, ContentSource::Disk(file) if file.held().is_some());
        let is_closed = is_on_disk && !is_open;
        let (content, etag) = match source {
            ContentSource::Memory(bytes) => {
                let etag = content_tag(&bytes);
                (Content::Memory(Shared::from(bytes)), etag)
            }
            ContentSource::Disk(file) => {
                let len = fingerprint.len;
                (
                    Content::Disk { file, len },
                    fingerprint_tag(fingerprint, is_aged),
                )
            }
        };
        // With the same content the encoded forms are the same too.
        let same = known.filter(|known| {
            known.entry.etag() == &*etag && (!is_on_disk || known.still_shows(fingerprint))
        });
        // One that is not open is opened only as what it was. One that is open may be one too many by now.
        let is_kept = same.is_some_and(|same| {
            same.entry.modified_secs() == modified_secs
                && same.entry.file().is_some() == is_open
                && (!is_closed || same.fingerprint == fingerprint)
        });
        let entry = match same.map(|same| &same.entry) {
            Some(entry) if is_kept => Arc::clone(entry),
            before => {
                let had_date =
                    known.is_some_and(|known| known.entry.modified_secs() == modified_secs);
                let encoded = before.map(|entry| entry.facts());
                let (brotli, gzip) = encoded.map(|facts| (facts.brotli, facts.gzip)).unzip();
                let facts = FileMetadata {
                    content,
                    etag,
                    modified_secs,
                    is_date_strong: is_settled && !had_date,
                    brotli: brotli.flatten(),
                    gzip: gzip.flatten(),
                };
                Arc::new(FileEntry::new(path, facts, options)?)
            }
        };
        let forms = same.filter(|same| !is_on_disk || same.fingerprint == fingerprint);
        Ok(Self {
            entry,
            fingerprint,
            // Read again until its tag is a strong one.
            is_settled: is_settled && (is_aged || !is_on_disk),
            forms: forms.and_then(|same| same.forms.clone()),
        })
    }

    /// Returns `true` if an open file of the same size and second is what the entry has: its tag does not tell. One
    /// that took its place is another file, and what has been done to it may have made its encoded forms
    /// those of something else.
    fn still_shows(&self, fingerprint: Fingerprint) -> bool {
        self.fingerprint == fingerprint
            || (self.fingerprint.is_same_file(&fingerprint) && !self.entry.has_encoded_forms())
    }

    /// The same file with other encoded forms.
    pub(super) fn with(
        &self,
        path: &str,
        facts: FileMetadata,
        forms: Option<EncodedForms>,
        options: &FileOptions,
    ) -> io::Result<Self> {
        Ok(Self {
            entry: Arc::new(FileEntry::new(path, facts, options)?),
            forms,
            ..self.clone()
        })
    }

    /// The same file as it is only.
    pub(super) fn bare(
        &self,
        path: &str,
        forms: Option<EncodedForms>,
        options: &FileOptions,
    ) -> io::Result<Self> {
        let facts = FileMetadata {
            brotli: None,
            gzip: None,
            ..self.entry.facts()
        };
        self.with(path, facts, forms, options)
    }
}

/// The entity tag of a content: the same for all that serve it.
pub(super) fn content_tag(content: &[u8]) -> Box<str> {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    format!("\"{:016x}-{:x}\"", hasher.finish(), content.len()).into()
}

/// The entity tag of a file too large to be read: of its size and the second of its modification, so that
/// copies on several machines have the same, and a change of permissions makes no other.
///
/// Within a second or two there may be several states of that tag: until that is over it is weak (RFC 9110
/// §8.8.1).
fn fingerprint_tag(fingerprint: Fingerprint, is_aged: bool) -> Box<str> {
    let weak = if is_aged { "" } else { "W/" };
    let (len, secs) = (fingerprint.len, fingerprint.modified_whole_secs());
    format!("{weak}\"{len:x}-{secs:x}\"").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(
        content: &str,
        modified_secs: u64,
        is_settled: bool,
        known: Option<&CachedFile>,
    ) -> CachedFile {
        let file = tempfile::tempfile().unwrap();
        let reading = ReadFile {
            fingerprint: Fingerprint::of_open(&file).unwrap(),
            is_settled,
            is_aged: is_settled,
            modified_secs,
            source: ContentSource::Memory(content.into()),
        };
        CachedFile::new("/a", reading, known, &FileOptions::default()).unwrap()
    }

    #[test]
    fn a_date_is_strong_when_no_other_content_can_have_had_it() {
        // RFC 9110 §8.8.2.2.
        let is_strong = |slot: &CachedFile| slot.entry.validators().is_date_strong;
        let settled = slot("1", 1000, true, None);
        let fresh = slot("1", 1000, false, None);
        assert!(is_strong(&settled));
        assert!(!is_strong(&fresh));
        assert!(is_strong(&slot("2", 1001, true, Some(&fresh))));
        assert!(!is_strong(&slot("2", 1001, false, Some(&fresh))));
        assert!(!is_strong(&slot("2", 1000, true, Some(&fresh))));
        assert!(!is_strong(&slot("2", 1000, true, Some(&settled))));
    }

    #[test]
    fn the_same_content_of_the_same_time_is_kept() {
        let known = slot("1", 1000, false, None);
        let is_kept = |slot: &CachedFile| Arc::ptr_eq(&slot.entry, &known.entry);
        let same = slot("1", 1000, true, Some(&known));
        assert!(is_kept(&same) && same.is_settled);
        assert!(!is_kept(&slot("1", 1001, true, Some(&known))));
        assert!(!is_kept(&slot("2", 1000, true, Some(&known))));
    }
}
