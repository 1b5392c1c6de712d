//! A picture of a folder.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{self, Found, LeftOut, Reading, Room, Source, Stamp};
use super::entry::{Content, Entry, Facts};
use super::options::Options;
use crate::reactor::Shared;
use crate::web::{Request, Response};

/// A picture of a folder, to answer requests from. It never changes; see
/// [`Watcher`](super::Watcher) for a newer one.
pub struct Folder {
    /// By path in URLs. A folder with an `index.html` is there too, with a slash at its end.
    slots: HashMap<Box<str>, Slot>,
    files: usize,
    memory_bytes: u64,
    open_files: usize,
    left_out: LeftOut,
}

/// A file and what is needed to see whether it has changed.
#[derive(Clone, Debug)]
struct Slot {
    entry: Arc<Entry>,
    stamp: Stamp,
    /// Whether any change of the file can be seen in its stamp.
    is_settled: bool,
}

const INDEX: &str = "index.html";

impl Folder {
    /// Reads a folder. It blocks: not for the thread of a reactor that serves already.
    ///
    /// A file that cannot be had is left out, and the log says so.
    ///
    /// # Errors
    /// A folder cannot be listed, or [`Options::fields`] or [`Options::cache_control`] made a field
    /// that cannot be sent (`InvalidInput`).
    pub fn load(root: &Path, options: &Options) -> io::Result<Self> {
        Self::look(root, options, None)
    }

    /// Answers a request for the file at `path`: decoded, as
    /// [`Request::decoded_path`](crate::web::Request::decoded_path) has it. `None`: there is no such
    /// file.
    ///
    /// A path that ends in a slash means the `index.html` there. Of a folder without the slash there
    /// is no such file: the links in its page would lead astray.
    ///
    /// GET and HEAD get the file, a part of it (RFC 9110 §14), or what their conditions come to
    /// (RFC 9110 §13); other methods get 405. Several ranges are answered with the whole.
    pub fn answer(&self, request: &Request<'_>, path: &str) -> Option<Response> {
        Some(self.slots.get(path)?.entry.answer(request))
    }

    /// The file at `path` as the body of an answer about something else, as an error is: with
    /// Content-Type, Cache-Control and the fields of [`Options::fields`], and without what tells one
    /// state of the file from another.
    pub fn page(&self, status: u16, path: &str) -> Option<Response> {
        Some(self.slots.get(path)?.entry.page(status))
    }

    /// Whether there is a file at that path.
    pub fn has(&self, path: &str) -> bool {
        self.slots.contains_key(path)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// How many bytes of files are held in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// A new picture, which shares with this one what has not changed.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(super) fn refresh(&self, root: &Path, options: &Options) -> io::Result<Self> {
        Self::look(root, options, Some(self))
    }

    /// Whether both show the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let mut slots = self.slots.iter();
        self.slots.len() == other.slots.len()
            && slots.all(|(path, slot)| {
                let found = other.slots.get(path);
                found.is_some_and(|found| Arc::ptr_eq(&found.entry, &slot.entry))
            })
    }

    /// The files held open that another picture does not have, each once.
    pub(super) fn files_not_in<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = &'a Arc<File>> {
        let files = self.slots.iter().filter(|(path, _)| !path.ends_with('/'));
        files.filter_map(|(path, slot)| {
            let file = slot.entry.file()?;
            let kept = other.slots.get(path).and_then(|kept| kept.entry.file());
            let is_kept = kept.is_some_and(|kept| Arc::ptr_eq(kept, file));
            (!is_kept).then_some(file)
        })
    }

    fn look(root: &Path, options: &Options, before: Option<&Self>) -> io::Result<Self> {
        let mut folder = Self {
            slots: HashMap::new(),
            files: 0,
            memory_bytes: 0,
            open_files: 0,
            left_out: LeftOut::default(),
        };
        for found in disk::walk(root, options.files_max, &mut folder.left_out)? {
            let known = before.and_then(|before| before.slots.get(found.path.as_str()));
            folder.visit(&found, known, options)?;
        }
        folder.left_out.log(before.map(|before| &before.left_out));
        Ok(folder)
    }

    /// Takes a file in, from the picture before if it has not changed.
    fn visit(&mut self, found: &Found, known: Option<&Slot>, options: &Options) -> io::Result<()> {
        let known_that_fits = known.filter(|slot| self.has_room(slot, options));
        if let Some(slot) = known_that_fits
            && slot.is_settled
            && matches!(disk::stamp(&found.disk_path), Ok(Some(stamp)) if stamp == slot.stamp)
        {
            self.insert(&found.path, slot.clone());
            return Ok(());
        }
        match disk::read(&found.disk_path, self.room(options)) {
            Ok(Some(reading)) => {
                let slot = Slot::new(&found.path, reading, known, options)?;
                self.insert(&found.path, slot);
            }
            Ok(None) => {}
            Err(reason) => {
                self.left_out.add(&found.path, reason);
                // Its stamp is the old one, so the next look tries again.
                if let Some(slot) = known_that_fits.filter(|_| reason.is_passing()) {
                    self.insert(&found.path, slot.clone());
                }
            }
        }
        Ok(())
    }

    fn room(&self, options: &Options) -> Room {
        let memory_bytes = options.memory_bytes_max.saturating_sub(self.memory_bytes);
        Room {
            small_bytes_max: memory_bytes.min(options.small_file_bytes_max),
            may_hold_open: self.open_files < options.open_files_max,
        }
    }

    fn has_room(&self, slot: &Slot, options: &Options) -> bool {
        let room = self.room(options);
        match slot.entry.file() {
            Some(_) => room.may_hold_open,
            None => slot.entry.memory_bytes() <= room.small_bytes_max,
        }
    }

    fn insert(&mut self, path: &str, slot: Slot) {
        self.open_files += usize::from(slot.entry.file().is_some());
        self.files += 1;
        self.memory_bytes += slot.entry.memory_bytes();
        if let Some(folder) = path.strip_suffix(INDEX).filter(|path| path.ends_with('/')) {
            self.slots.insert(folder.into(), slot.clone());
        }
        self.slots.insert(path.into(), slot);
    }

    /// As if all changes were long over.
    #[cfg(test)]
    pub(super) fn settle(mut self) -> Self {
        for slot in self.slots.values_mut() {
            slot.is_settled = true;
        }
        self
    }

    #[cfg(test)]
    pub(super) fn reason(&self, path: &str) -> Option<disk::Reason> {
        self.left_out.reason(path)
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder")
            .field("files", &self.files)
            .field("memory_bytes", &self.memory_bytes)
            .field("open_files", &self.open_files)
            .finish_non_exhaustive()
    }
}

impl Slot {
    /// What was read, or what is known of the file already if that is the same.
    fn new(
        path: &str,
        reading: Reading,
        known: Option<&Self>,
        options: &Options,
    ) -> io::Result<Self> {
        let Reading {
            stamp,
            is_settled,
            modified_secs,
            source,
        } = reading;
        let (content, etag) = match source {
            Source::Memory(bytes) => {
                let etag = content_tag(&bytes);
                (Content::Memory(Shared::from(bytes)), etag)
            }
            Source::Disk(file) => {
                let (file, len) = (Arc::new(file), stamp.len);
                (Content::Disk { file, len }, stamp_tag(stamp))
            }
        };
        let entry = match known.map(|known| &known.entry) {
            Some(entry) if entry.etag() == etag && entry.modified_secs() == modified_secs => {
                Arc::clone(entry)
            }
            before => {
                let had_date = before.is_some_and(|before| before.modified_secs() == modified_secs);
                let facts = Facts {
                    content,
                    etag,
                    modified_secs,
                    is_date_strong: is_settled && !had_date,
                };
                Arc::new(Entry::new(path, facts, options)?)
            }
        };
        Ok(Self {
            entry,
            stamp,
            is_settled,
        })
    }
}

/// The entity tag of a content: the same for all that serve it.
fn content_tag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    format!("\"{:016x}-{:x}\"", hasher.finish(), content.len())
}

/// The entity tag of a file too large to be read. The time of change is the one that nobody can set
/// back.
fn stamp_tag(stamp: Stamp) -> String {
    let (secs, nanos) = stamp.changed;
    format!("\"{secs:x}.{nanos:x}-{:x}-{:x}\"", stamp.len, stamp.inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(content: &str, modified_secs: u64, is_settled: bool, known: Option<&Slot>) -> Slot {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reading = Reading {
            stamp: disk::stamp(file.path()).unwrap().unwrap(),
            is_settled,
            modified_secs,
            source: Source::Memory(content.into()),
        };
        Slot::new("/a", reading, known, &Options::default()).unwrap()
    }

    #[test]
    fn a_date_is_strong_when_no_other_content_can_have_had_it() {
        // RFC 9110 §8.8.2.2.
        let is_strong = |slot: &Slot| slot.entry.validators().is_date_strong;
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
        let is_kept = |slot: &Slot| Arc::ptr_eq(&slot.entry, &known.entry);
        let same = slot("1", 1000, true, Some(&known));
        assert!(is_kept(&same) && same.is_settled);
        assert!(!is_kept(&slot("1", 1001, true, Some(&known))));
        assert!(!is_kept(&slot("2", 1000, true, Some(&known))));
    }
}
