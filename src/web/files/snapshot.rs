//! A picture of a folder.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::cached_file::CachedFile;
use super::disk::{self, CacheRoom};
use super::file_entry;
use super::options::FileOptions;
use super::redirect;
use super::representation::Content;
#[cfg(test)]
use super::skipped::SkipReason;
use super::skipped::Skipped;
use super::walk::{Enter, FoundFile, walk};
use crate::web::{Method, Request, Response};

/// A picture of a folder, to answer requests from. It never changes; see
/// [`Watcher`](super::Watcher) for a newer one.
#[derive(Clone)]
pub struct Snapshot {
    /// By path in URLs. A folder with an `index.html` is there too, with a slash at its end.
    pub(super) slots: HashMap<Box<str>, CachedFile>,
    files: usize,
    pub(super) memory_bytes: u64,
    open_files: usize,
    /// `true` if there are files that may be the encoded forms of others.
    pub(super) has_encoded_files: bool,
    /// `true` if the encoded forms of all files were made, or found not to be worth it.
    pub(super) is_encoded: bool,
    /// `true` if a further look would find the same, with nothing changed.
    pub(super) is_settled: bool,
    skipped: Skipped,
}

const INDEX: &str = "index.html";

impl Snapshot {
    /// Reads a folder. It blocks: not for the thread of a reactor that serves already.
    ///
    /// A file that cannot be had is left out, and the log says so. No file has its encoded forms yet:
    /// they come with [`compress`](Self::compress), or from a [`Watcher`](super::Watcher).
    ///
    /// # Errors
    /// A folder cannot be listed, or [`FileOptions::fields`] or [`FileOptions::cache_control`] made a field
    /// that cannot be sent (`InvalidInput`).
    pub fn load(root: &Path, options: &FileOptions) -> io::Result<Self> {
        Self::scan(root, options, None, &mut |_| ())
    }

    /// Answers a request for the file at `path`: decoded, as
    /// [`Request::decoded_path`](crate::web::Request::decoded_path) has it. `None`: there is no such
    /// file.
    ///
    /// A path that ends in a slash means the `index.html` there. A folder that has one and is asked
    /// for without the slash is answered with 308 to the path with it: in its page, links would lead
    /// astray.
    ///
    /// GET and HEAD get the file in the form that Accept-Encoding prefers, parts of it (RFC 9110
    /// §14), or what their conditions come to (RFC 9110 §13); other methods get 405. 406 tells a
    /// client that refuses every form there is.
    pub fn respond(&self, request: &Request<'_>, path: &str) -> Option<Response> {
        if let Some(slot) = self.slots.get(path) {
            return Some(slot.entry.respond(request));
        }
        let folder = redirect::folder(path)?;
        self.slots
            .contains_key(folder.as_str())
            .then(|| match request.method() {
                Method::Get | Method::Head => redirect::respond(&folder, request.query()),
                _ => file_entry::not_allowed(),
            })
    }

    /// The file at `path` as the body of an answer about something else, as an error is: with
    /// Content-Type, Cache-Control and the fields of [`FileOptions::fields`], and without what tells one
    /// state of the file from another. It comes in the form that the request prefers.
    pub fn page(&self, request: &Request<'_>, status: u16, path: &str) -> Option<Response> {
        Some(self.slots.get(path)?.entry.page(request, status))
    }

    /// Returns `true` if [`respond`](Self::respond) has one for that path.
    pub fn has(&self, path: &str) -> bool {
        let is_folder = |path: String| self.slots.contains_key(path.as_str());
        self.slots.contains_key(path) || redirect::folder(path).is_some_and(is_folder)
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files
    }

    /// Returns `true` if there is no file.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// Number of bytes of files are held in memory, encoded forms included.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Entries that are not served, a line for each reason. The log has them too, and besides them what is
    /// not served on purpose: names that begin with a dot, backups, pipes and the like.
    pub fn skipped(&self) -> impl Iterator<Item = String> {
        self.skipped.lines()
    }

    /// A new picture, which shares with this one what has not changed. `enter` is shown each folder before
    /// it is listed.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(super) fn scan_again(
        &self,
        root: &Path,
        options: &FileOptions,
        enter: &mut Enter<'_>,
    ) -> io::Result<Self> {
        Self::scan(root, options, Some(self), enter)
    }

    #[cfg(test)]
    pub(super) fn refresh(&self, root: &Path, options: &FileOptions) -> io::Result<Self> {
        self.scan_again(root, options, &mut |_| ())
    }

    /// Returns `true` if both show the same.
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
        self.files().filter_map(|(path, slot)| {
            let file = slot.entry.file()?;
            let kept = other.slots.get(path).and_then(|kept| kept.entry.file());
            let is_kept = kept.is_some_and(|kept| Arc::ptr_eq(kept, file));
            (!is_kept).then_some(file)
        })
    }

    fn scan(
        root: &Path,
        options: &FileOptions,
        before: Option<&Self>,
        enter: &mut Enter<'_>,
    ) -> io::Result<Self> {
        let mut folder = Self {
            slots: HashMap::new(),
            files: 0,
            memory_bytes: 0,
            open_files: 0,
            has_encoded_files: false,
            is_encoded: false,
            is_settled: true,
            skipped: Skipped::default(),
        };
        let mut skipped = Skipped::default();
        walk(
            root,
            options.files_max,
            &mut skipped,
            enter,
            &mut |found, skipped| {
                let known = before.and_then(|before| before.slots.get(found.path.as_str()));
                folder.visit(found, known, options, skipped)
            },
        )?;
        skipped.log(before.map(|before| &before.skipped));
        folder.skipped = skipped;
        folder.keep_forms(options)?;
        Ok(folder)
    }

    /// Takes a file in, from the picture before if it has not changed.
    fn visit(
        &mut self,
        found: &FoundFile<'_>,
        known: Option<&CachedFile>,
        options: &FileOptions,
        skipped: &mut Skipped,
    ) -> io::Result<()> {
        let known_that_fits = known.filter(|slot| self.has_room(slot, options));
        if let Some(slot) = known_that_fits
            && slot.is_settled
            && self.is_as_read_now(slot, options)
            && matches!(disk::fingerprint(found), Ok(Some(fingerprint)) if fingerprint == slot.fingerprint)
        {
            self.insert(&found.path, slot.clone());
            return Ok(());
        }
        match disk::read(found, self.room(options)) {
            Ok(Some(reading)) => {
                let slot = CachedFile::new(&found.path, reading, known, options)?;
                self.insert(&found.path, slot);
            }
            Ok(None) => {}
            Err(reason) => {
                skipped.add(&found.path, reason);
                self.is_settled &= !reason.is_passing();
                // Its stamp is the old one, so the next look tries again.
                if let Some(slot) = known_that_fits.filter(|_| reason.is_passing()) {
                    self.insert(&found.path, slot.clone());
                }
            }
        }
        Ok(())
    }

    fn room(&self, options: &FileOptions) -> CacheRoom {
        let memory_bytes = options.memory_bytes_max.saturating_sub(self.memory_bytes);
        CacheRoom {
            small_bytes_max: memory_bytes.min(options.small_file_bytes_max),
            may_hold_open: self.open_files < options.open_files_max,
        }
    }

    fn has_room(&self, slot: &CachedFile, options: &FileOptions) -> bool {
        let room = self.room(options);
        match slot.entry.content() {
            Content::Memory(bytes) => bytes.len() as u64 <= room.small_bytes_max,
            Content::Disk { .. } => slot.entry.file().is_none() || room.may_hold_open,
        }
    }

    /// Returns `true` if a file that is not in memory, or not held open, would not be if it were read now: there may be more
    /// room than there was.
    fn is_as_read_now(&self, slot: &CachedFile, options: &FileOptions) -> bool {
        let room = self.room(options);
        match slot.entry.content() {
            Content::Memory(_) => true,
            Content::Disk { len, .. } => {
                *len > room.small_bytes_max && slot.entry.file().is_some() == room.may_hold_open
            }
        }
    }

    /// Takes a file in. Its encoded forms are counted when all are in: they only get what room is left.
    fn insert(&mut self, path: &str, slot: CachedFile) {
        self.open_files += usize::from(slot.entry.file().is_some());
        self.files += 1;
        self.is_settled &= slot.is_settled;
        self.memory_bytes += slot.entry.content().memory_bytes();
        self.has_encoded_files |= path.ends_with(".br") || path.ends_with(".gz");
        self.put(path, slot);
    }

    pub(super) fn put(&mut self, path: &str, slot: CachedFile) {
        if let Some(folder) = path.strip_suffix(INDEX).filter(|path| path.ends_with('/')) {
            self.slots.insert(folder.into(), slot.clone());
        }
        self.slots.insert(path.into(), slot);
    }

    /// The files, each once, in no order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &CachedFile)> {
        let slots = self.slots.iter();
        slots
            .filter(|(path, _)| !path.ends_with('/'))
            .map(|(path, slot)| (&**path, slot))
    }

    /// As if all changes were long over.
    #[cfg(test)]
    pub(super) fn settle(mut self) -> Self {
        self.is_settled = true;
        for slot in self.slots.values_mut() {
            slot.is_settled = true;
        }
        self
    }

    #[cfg(test)]
    pub(super) fn reason(&self, path: &str) -> Option<SkipReason> {
        self.skipped.reason(path)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder")
            .field("files", &self.files)
            .field("memory_bytes", &self.memory_bytes)
            .field("open_files", &self.open_files)
            .finish_non_exhaustive()
    }
}
