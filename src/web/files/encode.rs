//! Gives the files of a picture their encoded forms. It takes long: not for the loop's thread.

use std::io::{self, Read};
use std::sync::Arc;

use super::cached_file::{CachedFile, EncodedForms, Sidecars, content_tag};
use super::codings::Coding;
use super::compress;
use super::disk::{self, FromStart};
use super::file_entry::{Encoded, FileEntry};
use super::media;
use super::options::FileOptions;
use super::representation::Content;
use super::snapshot::Snapshot;
use crate::reactor::Shared;

/// Larger files beside others are believed to be forms of them when they are not older.
const CHECKED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A picture with more encoded forms than the one before.
#[derive(Debug)]
pub(super) struct EncodeStep {
    pub(super) folder: Snapshot,
    /// `true` if there is more to be done at once.
    pub(super) has_more: bool,
}

impl Snapshot {
    /// Makes the encoded forms of all files. It takes long, and a [`Watcher`](super::Watcher) does
    /// the same in the background: this is for those who have none.
    ///
    /// # Errors
    /// [`FileOptions::fields`] or [`FileOptions::cache_control`] made a field that cannot be sent.
    pub fn compress(&self, options: &FileOptions) -> io::Result<Self> {
        let step = self.encode(options, u64::MAX)?;
        Ok(step.map_or_else(|| self.clone(), |step| step.folder))
    }

    /// Makes the encoded forms of some files: of so many that they are about `bytes_max` long
    /// together. `None`: none is left.
    pub(super) fn encode(
        &self,
        options: &FileOptions,
        bytes_max: u64,
    ) -> io::Result<Option<EncodeStep>> {
        if self.is_encoded {
            return Ok(None);
        }
        let waiting = self.files().filter(|(_, slot)| slot.forms.is_none());
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable_by_key(|(path, _)| *path);
        let mut step = EncodeStep {
            folder: self.clone(),
            has_more: false,
        };
        step.folder.is_encoded = true;
        let mut work_bytes = 0_u64;
        for (path, slot) in waiting {
            if work_bytes >= bytes_max {
                (step.folder.is_encoded, step.has_more) = (false, true);
                break;
            }
            if !slot.is_settled && slot.entry.content().is_on_disk() {
                // Its bytes may be others before its stamp tells.
                step.folder.is_encoded = false;
                continue;
            }
            work_bytes = work_bytes.saturating_add(step.folder.encode_file(path, slot, options)?);
        }
        Ok(Some(step))
    }

    /// Makes the encoded forms of a file; returns how many bytes were worked on.
    fn encode_file(
        &mut self,
        path: &str,
        slot: &CachedFile,
        options: &FileOptions,
    ) -> io::Result<u64> {
        let mut work = EncodeJob {
            path,
            slot,
            plain: None,
            bytes: 0,
            own_bytes: 0,
            own_bytes_max: options.memory_bytes_max.saturating_sub(self.memory_bytes),
        };
        let sidecars = self.sidecars(path);
        let may_compress = !is_encoded_name(path)
            && media::is_compressible(media::media_type(path))
            && (compress::BYTES_MIN..=options.compress_bytes_max)
                .contains(&slot.entry.content().len());
        let form = |work: &mut EncodeJob<'_>, sidecars: Option<&Arc<FileEntry>>, coding| {
            let found = sidecars.and_then(|sidecars| work.sidecars(sidecars, coding));
            found.or_else(|| may_compress.then(|| work.compress(coding))?)
        };
        let brotli = form(&mut work, sidecars.brotli.as_ref(), Coding::Brotli);
        let gzip = form(&mut work, sidecars.gzip.as_ref(), Coding::Gzip);
        let (bytes, own_bytes) = (work.bytes, work.own_bytes);
        let forms = Some(EncodedForms {
            sidecars,
            own_bytes,
        });
        let slot = if brotli.is_none() && gzip.is_none() {
            CachedFile {
                forms,
                ..slot.clone()
            }
        } else {
            let mut facts = slot.entry.facts();
            (facts.brotli, facts.gzip) = (brotli, gzip);
            slot.with(path, facts, forms, options)?
        };
        self.memory_bytes = self.memory_bytes.saturating_add(own_bytes);
        self.put(path, slot);
        Ok(bytes)
    }

    /// Of the forms that came with their files from the picture before, keeps those that still hold
    /// and fit in memory.
    pub(super) fn keep_forms(&mut self, options: &FileOptions) -> io::Result<()> {
        let (mut stale, mut made, mut own_bytes) = (Vec::new(), Vec::new(), 0_u64);
        let mut is_encoded = true;
        for (path, slot) in self.files() {
            match &slot.forms {
                None => is_encoded = false,
                Some(forms) if !forms.sidecars.is_same(&self.sidecars(path)) => {
                    stale.push((path.to_owned(), slot.bare(path, None, options)?));
                    is_encoded = false;
                }
                Some(forms) if forms.own_bytes > 0 => {
                    made.push(path.to_owned());
                    own_bytes = own_bytes.saturating_add(forms.own_bytes);
                }
                Some(_) => {}
            }
        }
        for (path, slot) in stale {
            self.put(&path, slot);
        }
        self.is_encoded = is_encoded;
        let room = options.memory_bytes_max.saturating_sub(self.memory_bytes);
        if own_bytes > room {
            own_bytes = self.give_up_forms(made, room, options)?;
        }
        self.memory_bytes = self.memory_bytes.saturating_add(own_bytes);
        Ok(())
    }

    /// Keeps the forms made here that fit, in the order of their paths; returns how long they are.
    fn give_up_forms(
        &mut self,
        mut made: Vec<String>,
        room: u64,
        options: &FileOptions,
    ) -> io::Result<u64> {
        made.sort_unstable();
        let mut kept_bytes = 0_u64;
        for path in made {
            let Some(slot) = self.slots.get(path.as_str()) else {
                continue;
            };
            let own_bytes = slot.forms.as_ref().map_or(0, |forms| forms.own_bytes);
            let bytes = kept_bytes.saturating_add(own_bytes);
            if bytes <= room {
                kept_bytes = bytes;
                continue;
            }
            // They are not made again: there would be no more room for them than now.
            let forms = slot.forms.clone().map(|forms| EncodedForms {
                own_bytes: 0,
                ..forms
            });
            let slot = slot.bare(&path, forms, options)?;
            self.put(&path, slot);
        }
        Ok(kept_bytes)
    }

    /// The same picture with the field lines of other options, and with the encoded forms if they
    /// are to be the same.
    pub(super) fn remade(&self, options: &FileOptions, keeps_forms: bool) -> io::Result<Self> {
        let mut folder = self.clone();
        for (path, slot) in self.files() {
            let slot = if keeps_forms {
                slot.with(path, slot.entry.facts(), slot.forms.clone(), options)?
            } else {
                let own_bytes = slot.forms.as_ref().map_or(0, |forms| forms.own_bytes);
                folder.memory_bytes = folder.memory_bytes.saturating_sub(own_bytes);
                folder.is_encoded = false;
                slot.bare(path, None, options)?
            };
            folder.put(path, slot);
        }
        Ok(folder)
    }

    /// The files beside this one that by their names are its encoded forms.
    fn sidecars(&self, path: &str) -> Sidecars {
        if !self.has_encoded_files || is_encoded_name(path) {
            return Sidecars::default();
        }
        let entry = |end| Some(Arc::clone(&self.slots.get(&*format!("{path}{end}"))?.entry));
        Sidecars {
            brotli: entry(".br"),
            gzip: entry(".gz"),
        }
    }
}

/// A file of that name is encoded already: it is not encoded again.
fn is_encoded_name(path: &str) -> bool {
    path.ends_with(".br") || path.ends_with(".gz") || media::content_coding(path).is_some()
}

/// A file whose encoded forms are being made.
struct EncodeJob<'a> {
    path: &'a str,
    slot: &'a CachedFile,
    /// Its content, once it was read.
    plain: Option<Shared>,
    /// Number of bytes worked on.
    bytes: u64,
    own_bytes: u64,
    own_bytes_max: u64,
}

impl EncodeJob<'_> {
    /// Takes a file beside for a form of this one if it is one, and smaller.
    fn sidecars(&mut self, sidecars: &Arc<FileEntry>, coding: Coding) -> Option<Encoded> {
        let (plain, encoded) = (self.slot.entry.content(), sidecars.content());
        let is_form = encoded.len() < plain.len()
            && if plain.len() > CHECKED_BYTES_MAX {
                sidecars.modified_secs() >= self.slot.entry.modified_secs()
            } else {
                self.bytes = self.bytes.saturating_add(plain.len());
                compress::is_form_of(&mut *reader(plain)?, &mut *reader(encoded)?, coding)
            };
        if !is_form {
            let name = coding.name().unwrap_or_default();
            log::warn!(
                "not used: the file beside {} that is named as its {name} form is not one, or not \
                 smaller",
                self.path
            );
            return None;
        }
        Some(Encoded {
            content: encoded.clone(),
            etag: sidecars.etag().into(),
        })
    }

    fn compress(&mut self, coding: Coding) -> Option<Encoded> {
        let plain = self.plain()?;
        self.bytes = self.bytes.saturating_add(plain.len() as u64);
        let encoded = compress::compress(plain.as_ref(), coding)?;
        let own_bytes = self.own_bytes.saturating_add(encoded.len() as u64);
        if own_bytes > self.own_bytes_max {
            return None;
        }
        self.own_bytes = own_bytes;
        let etag = content_tag(&encoded);
        let content = Content::Memory(Shared::from(encoded));
        Some(Encoded { content, etag })
    }

    /// The content of the file; `None` if it is no longer what it was.
    fn plain(&mut self) -> Option<Shared> {
        if self.plain.is_none() {
            self.plain = match self.slot.entry.content() {
                Content::Memory(bytes) => Some(bytes.clone()),
                Content::Disk { file, .. } => {
                    let file = file.open().ok()?;
                    let bytes = disk::content(&file, self.slot.fingerprint).ok().flatten();
                    bytes.map(Shared::from)
                }
            };
        }
        self.plain.clone()
    }
}

/// `None`: it cannot be opened, or is no longer what it was.
fn reader(content: &Content) -> Option<Box<dyn Read + '_>> {
    Some(match content {
        Content::Memory(bytes) => Box::new(bytes.as_ref()),
        Content::Disk { file, .. } => Box::new(FromStart::new(file.open().ok()?)),
    })
}
