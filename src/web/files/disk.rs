//! Looks at a file on disk. Everything here may block.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, FileType};
use rustix::io::Errno;

use super::skipped::SkipReason;
use super::walk::{self, FileLocation, FoundFile, is_gone};
use crate::web::{FileSource, OpenFile};

/// Fingerprint of a file's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) len: u64,
    pub(super) inode: u64,
    device: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// The same for the last change of the inode. Unlike the time of modification nobody can set it.
    pub(super) changed: (i64, i64),
}

/// Time after a change in which another one could leave the same times behind: file systems count in
/// steps of up to two seconds.
const SETTLING_SECS: u64 = 2;

impl Fingerprint {
    fn of(stat: &fs::Stat) -> Self {
        Self {
            len: number(stat.st_size),
            inode: number(stat.st_ino),
            device: number(stat.st_dev),
            modified: (number(stat.st_mtime), number(stat.st_mtime_nsec)),
            changed: (number(stat.st_ctime), number(stat.st_ctime_nsec)),
        }
    }

    /// That of an open file.
    pub(super) fn of_open(file: &File) -> io::Result<Self> {
        Ok(Self::of(&fs::fstat(file)?))
    }

    /// The time of modification in whole seconds.
    pub(super) fn modified_whole_secs(&self) -> i64 {
        self.modified.0
    }

    /// Returns `true` if a further change will get another second of modification.
    fn is_aged(&self, now_secs: u64) -> bool {
        secs(self.modified.0).abs_diff(now_secs) > SETTLING_SECS
    }

    /// Returns `true` if both are of the same file, whatever has been done to it.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Returns `true` if both are of the same file with the same content, as far as they tell: a change of permissions
    /// makes no difference.
    fn has_same_content(&self, other: &Self) -> bool {
        self.is_same_file(other) && (self.len, self.modified) == (other.len, other.modified)
    }

    /// Returns `true` if any further change will be seen in the stamp.
    fn is_settled(&self, now_secs: u64) -> bool {
        secs(self.changed.0).abs_diff(now_secs) > SETTLING_SECS
    }

    /// For Last-Modified, which never lies in the future (RFC 9110 §8.8.2.1).
    fn modified_secs(&self, now_secs: u64) -> u64 {
        secs(self.modified.0).min(now_secs)
    }
}

/// The types of its numbers differ between architectures; all that is in use fits.
fn number<T: Default>(value: impl TryInto<T>) -> T {
    value.try_into().unwrap_or_default()
}

/// The stamp of a regular file; `None` if there is no such file.
pub(super) fn fingerprint(found: &FoundFile<'_>) -> Result<Option<Fingerprint>, SkipReason> {
    match fs::statat(found.folder, found.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode)
            .is_file()
            .then(|| Fingerprint::of(&stat))),
        Err(error) if is_gone(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file at one moment.
#[derive(Debug)]
pub(super) struct ReadFile {
    pub(super) fingerprint: Fingerprint,
    /// `true` if any change since then can be seen in the stamp.
    pub(super) is_settled: bool,
    /// `true` if any change since then can be seen in the second of its modification.
    pub(super) is_aged: bool,
    pub(super) modified_secs: u64,
    pub(super) source: ContentSource,
}

/// Source of a file's content.
#[derive(Debug)]
pub(super) enum ContentSource {
    Memory(Vec<u8>),
    Disk(FileSource),
}

const ATTEMPTS: usize = 4;

/// Room in the cache for the next file.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheRoom {
    /// Longer ones are not read, only opened.
    pub(super) small_bytes_max: u64,
    pub(super) may_hold_open: bool,
}

/// Reads or opens a file. `None` if it is gone, or no regular file any more.
pub(super) fn read(found: &FoundFile<'_>, room: CacheRoom) -> Result<Option<ReadFile>, SkipReason> {
    for _ in 0..ATTEMPTS {
        let Some(listed) = fingerprint(found)? else {
            return Ok(None);
        };
        let is_small = listed.len <= room.small_bytes_max;
        let file = match open(found) {
            Ok(file) => file,
            Err(error) if is_gone(error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let now_secs = now_secs();
        let before = Fingerprint::of_open(&file)?;
        if before != listed {
            continue; // it may be something else by now
        }
        let source = if is_small {
            match content(&file, before)? {
                Some(bytes) => ContentSource::Memory(bytes),
                None => continue,
            }
        } else if room.may_hold_open {
            ContentSource::Disk(Arc::new(file).into())
        } else {
            let place = found.place();
            let fingerprint = before;
            ContentSource::Disk(FileSource::on_demand(Arc::new(ClosedFile {
                place,
                fingerprint,
            })))
        };
        return Ok(Some(ReadFile {
            fingerprint: before,
            is_settled: before.is_settled(now_secs),
            is_aged: before.is_aged(now_secs),
            modified_secs: before.modified_secs(now_secs),
            source,
        }));
    }
    Err(SkipReason::Changing)
}

fn open(found: &FoundFile<'_>) -> Result<File, Errno> {
    walk::open(found.folder, found.name).map(File::from)
}

/// A file that is not held open.
#[derive(Debug)]
struct ClosedFile {
    place: FileLocation,
    fingerprint: Fingerprint,
}

impl OpenFile for ClosedFile {
    fn open(&self) -> io::Result<File> {
        let file = File::from(self.place.open()?);
        let fingerprint = Fingerprint::of_open(&file)?;
        if fingerprint.has_same_content(&self.fingerprint) {
            Ok(file)
        } else {
            Err(io::Error::other("the file was changed"))
        }
    }
}

/// All bytes of a file, if it was left alone meanwhile.
pub(super) fn content(file: &File, before: Fingerprint) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(usize::try_from(before.len).unwrap_or(0));
    // One more than there should be tells that it has grown.
    FromStart::new(file)
        .take(before.len.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let is_same = Fingerprint::of_open(file)? == before && bytes.len() as u64 == before.len;
    Ok(is_same.then_some(bytes))
}

/// Reads a file from its start, whoever else reads it at the same time.
#[derive(Debug)]
pub(super) struct FromStart<F> {
    file: F,
    offset: u64,
}

impl<F> FromStart<F> {
    pub(super) const fn new(file: F) -> Self {
        Self { file, offset: 0 }
    }
}

impl<F: Deref<Target = File>> Read for FromStart<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(bytes, self.offset)?;
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}

fn secs(since_1970: i64) -> u64 {
    u64::try_from(since_1970).unwrap_or(0)
}

fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, remove_dir, remove_file, rename, write};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::{CWD, Mode};

    use super::super::skipped::Skipped;
    use super::super::walk::walk;
    use super::*;

    const ROOM: CacheRoom = CacheRoom {
        small_bytes_max: 100,
        may_hold_open: false,
    };

    #[test]
    fn a_stamp_can_be_trusted_when_its_change_is_over() {
        let fingerprint = |changed| Fingerprint {
            len: 0,
            inode: 0,
            device: 0,
            modified: (changed, 0),
            changed: (changed, 0),
        };
        for (changed, is_settled) in [
            (1000, false),
            (998, false),
            (997, true),
            (0, true),
            // The clock was set back: changes from now on have other times.
            (1002, false),
            (1003, true),
        ] {
            assert_eq!(
                fingerprint(changed).is_settled(1000),
                is_settled,
                "{changed}"
            );
        }
        assert_eq!(fingerprint(-5).modified_secs(1000), 0);
        assert_eq!(fingerprint(999).modified_secs(1000), 999);
        assert_eq!(fingerprint(1001).modified_secs(1000), 1000);
    }

    /// Looks at the files below a folder.
    fn visit(root: &Path, mut take: impl FnMut(&FoundFile<'_>)) {
        let mut skipped = Skipped::default();
        walk(root, 100, &mut skipped, &mut |_| (), &mut |found, _| {
            take(found);
            Ok(())
        })
        .unwrap();
    }

    fn bytes(reading: Option<ReadFile>) -> Vec<u8> {
        match reading.unwrap().source {
            ContentSource::Memory(bytes) => bytes,
            ContentSource::Disk(_) => panic!("a small file"),
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_believed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        for (before, after) in [("short", "much longer"), ("long", "cut"), ("some", "")] {
            write(&path, before).unwrap();
            let file = File::open(&path).unwrap();
            let listed = Fingerprint::of_open(&file).unwrap();
            assert_eq!(content(&file, listed).unwrap().unwrap(), before.as_bytes());
            write(&path, after).unwrap();
            assert_eq!(content(&file, listed).unwrap(), None);
            visit(root.path(), |found| {
                assert_eq!(bytes(read(found, ROOM).unwrap()), after.as_bytes());
            });
        }
    }

    #[test]
    fn a_file_that_is_something_else_by_now_is_none() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = root.path().join("a");
        let secret = outside.path().join("a");
        write(&secret, "secret").unwrap();
        let replacements: [&dyn Fn(); 4] = [
            &|| {},
            &|| symlink(&secret, &path).unwrap(),
            &|| create_dir(&path).unwrap(),
            &|| {
                let mode = Mode::from_raw_mode(0o600);
                fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
            },
        ];
        for replace in replacements {
            write(&path, "").unwrap();
            visit(root.path(), |found| {
                remove_file(&path).unwrap();
                replace();
                assert!(read(found, ROOM).unwrap().is_none());
                assert_eq!(fingerprint(found).unwrap(), None);
            });
            drop(remove_file(&path));
            drop(remove_dir(&path));
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        write(&path, "").unwrap();
        visit(root.path(), |found| {
            remove_file(&path).unwrap();
            fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
            assert!(open(found).is_ok());
        });
    }

    #[test]
    fn a_folder_that_became_a_link_leads_nowhere_else() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| root.path().join(name);
        create_dir(at("sub")).unwrap();
        write(at("sub/a"), "inside").unwrap();
        write(outside.path().join("a"), "secret").unwrap();
        let swap = || {
            rename(at("sub"), at(".sub")).unwrap();
            symlink(outside.path(), at("sub")).unwrap();
        };
        // After its files were listed: what was found is still what is read.
        let mut seen = 0;
        visit(root.path(), |found| {
            swap();
            assert_eq!(bytes(read(found, ROOM).unwrap()), b"inside");
            seen += 1;
        });
        assert_eq!(seen, 1);
        // Before: it is gone.
        remove_file(at("sub")).unwrap();
        rename(at(".sub"), at("sub")).unwrap();
        write(at("0"), "").unwrap();
        let mut paths = Vec::new();
        visit(root.path(), |found| {
            if paths.is_empty() {
                swap();
            }
            paths.push(found.path.clone());
        });
        assert_eq!(paths, ["/0"]);
    }
}
