//! Looks at a folder on disk. Everything here may block.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A regular file below the root.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path in URLs, decoded: names with slashes before them.
    pub(super) path: String,
    pub(super) disk_path: PathBuf,
}

/// Finds the regular files below `root`, in the order of their names, folder by folder.
///
/// # Errors
/// A folder cannot be listed. One that has gone in the meantime, that we may not list or that lies
/// too deep is left out instead, unless it is the root.
pub(super) fn walk(
    root: &Path,
    files_max: usize,
    left_out: &mut LeftOut,
) -> io::Result<Vec<Found>> {
    let mut files = Vec::new();
    let mut room = files_max;
    let mut folders = vec![(root.to_path_buf(), String::from("/"))];
    while let Some((folder, prefix)) = folders.pop() {
        let names = match list(&folder, room, &prefix, left_out) {
            Ok(names) => names,
            Err(error) if prefix == "/" => return Err(error),
            Err(error) => match error.kind() {
                kind if is_gone(kind) => continue,
                kind @ (io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidFilename) => {
                    left_out.add(&prefix, Reason::Unreadable(kind));
                    continue;
                }
                _ => return Err(error),
            },
        };
        room = room.saturating_sub(names.len());
        for (name, is_folder) in names {
            let disk_path = folder.join(&name);
            if is_folder {
                folders.push((disk_path, format!("{prefix}{name}/")));
            } else {
                let path = format!("{prefix}{name}");
                files.push(Found { path, disk_path });
            }
        }
    }
    Ok(files)
}

/// The names of the files and folders in a folder, and which of them are folders.
fn list(
    folder: &Path,
    room: usize,
    prefix: &str,
    left_out: &mut LeftOut,
) -> io::Result<Vec<(String, bool)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of the entry itself: a link is neither file nor folder.
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) if is_gone(error.kind()) => continue,
            Err(error) => return Err(error),
        };
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || !(kind.is_file() || kind.is_dir()) {
            continue;
        }
        let Ok(name) = name.into_string() else {
            left_out.add(prefix, Reason::Name);
            continue;
        };
        if names.len() >= room {
            left_out.add(prefix, Reason::TooMany);
            break;
        }
        names.push((name, kind.is_dir()));
    }
    names.sort_unstable();
    Ok(names)
}

/// What tells whether a file has been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len: u64,
    pub(super) inode: u64,
    device: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// The same for the last change of the inode. Unlike the time of modification nobody can set it.
    pub(super) changed: (i64, i64),
}

/// How long after a change another one could leave the same times behind: file systems count in
/// steps of up to two seconds.
const SETTLING_SECS: u64 = 2;

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            inode: metadata.ino(),
            device: metadata.dev(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether any further change will be seen in the stamp.
    fn is_settled(&self, now_secs: u64) -> bool {
        secs(self.changed.0).abs_diff(now_secs) > SETTLING_SECS
    }

    /// For Last-Modified, which never lies in the future (RFC 9110 §8.8.2.1).
    fn modified_secs(&self, now_secs: u64) -> u64 {
        secs(self.modified.0).min(now_secs)
    }
}

/// The stamp of a regular file; `None` if there is no such file.
pub(super) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then(|| Stamp::of(&metadata))),
        Err(error) if is_gone(error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) stamp: Stamp,
    /// Whether any change since then can be seen in the stamp.
    pub(super) is_settled: bool,
    pub(super) modified_secs: u64,
    pub(super) source: Source,
}

/// Where the content of a file is.
#[derive(Debug)]
pub(super) enum Source {
    Memory(Vec<u8>),
    Disk(File),
}

const ATTEMPTS: usize = 4;

/// What may be taken in of the next file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Longer ones are not read, only opened.
    pub(super) small_bytes_max: u64,
    pub(super) may_hold_open: bool,
}

/// Reads or opens a file. `None` if it is gone, or no regular file any more.
pub(super) fn read(path: &Path, room: Room) -> Result<Option<Reading>, Reason> {
    for _ in 0..ATTEMPTS {
        let Some(listed) = stamp(path)? else {
            return Ok(None);
        };
        let is_small = listed.len <= room.small_bytes_max;
        if !is_small && !room.may_hold_open {
            return Err(Reason::TooManyOpen);
        }
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_gone(error.kind()) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let now_secs = now_secs();
        let before = Stamp::of(&file.metadata()?);
        if before != listed {
            continue; // it may be a link by now
        }
        let source = if is_small {
            match content(&file, before)? {
                Some(bytes) => Source::Memory(bytes),
                None => continue,
            }
        } else {
            Source::Disk(file)
        };
        return Ok(Some(Reading {
            stamp: before,
            is_settled: before.is_settled(now_secs),
            modified_secs: before.modified_secs(now_secs),
            source,
        }));
    }
    Err(Reason::Changing)
}

/// All bytes of a file, if it was left alone meanwhile.
fn content(mut file: &File, before: Stamp) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(usize::try_from(before.len).unwrap_or(0));
    // One more than there should be tells that it has grown.
    file.by_ref()
        .take(before.len.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let is_same = Stamp::of(&file.metadata()?) == before && bytes.len() as u64 == before.len;
    Ok(is_same.then_some(bytes))
}

fn is_gone(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn secs(since_1970: i64) -> u64 {
    u64::try_from(since_1970).unwrap_or(0)
}

fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Why something is not served that the root has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// More than `files_max`.
    TooMany,
    /// More large files than `open_files_max`.
    TooManyOpen,
    /// A name that is not UTF-8.
    Name,
    /// It was changed whenever it was read.
    Changing,
    /// The file system says no.
    Unreadable(io::ErrorKind),
}

impl Reason {
    /// Whether the next look may do better, with nothing changed.
    pub(super) fn is_passing(self) -> bool {
        match self {
            Self::Changing => true,
            Self::Unreadable(kind) => kind != io::ErrorKind::PermissionDenied,
            Self::TooMany | Self::TooManyOpen | Self::Name => false,
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.kind())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => {
                f.write_str("more files and folders than files_max; the rest is left out")
            }
            Self::TooManyOpen => f.write_str("more large files than open_files_max"),
            Self::Name => f.write_str("a name in it is not UTF-8"),
            Self::Changing => f.write_str("it changes while it is read"),
            Self::Unreadable(kind) => write!(f, "it cannot be read: {kind}"),
        }
    }
}

/// What is not served, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<Box<str>, Reason>);

/// Enough to see what is wrong.
const LEFT_OUT_MAX: usize = 32;

impl LeftOut {
    pub(super) fn add(&mut self, path: &str, reason: Reason) {
        if self.0.len() < LEFT_OUT_MAX {
            self.0.insert(path.into(), reason);
        }
    }

    /// Logs what the look before did not leave out.
    pub(super) fn log(&self, before: Option<&Self>) {
        for (path, reason) in &self.0 {
            if before.and_then(|before| before.0.get(path)) != Some(reason) {
                log::warn!("not served: {path}: {reason}");
            }
        }
    }

    #[cfg(test)]
    pub(super) fn reason(&self, path: &str) -> Option<Reason> {
        self.0.get(path).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        small_bytes_max: 100,
        may_hold_open: false,
    };

    #[test]
    fn a_stamp_can_be_trusted_when_its_change_is_over() {
        let stamp = |changed| Stamp {
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
            assert_eq!(stamp(changed).is_settled(1000), is_settled, "{changed}");
        }
        assert_eq!(stamp(-5).modified_secs(1000), 0);
        assert_eq!(stamp(999).modified_secs(1000), 999);
        assert_eq!(stamp(1001).modified_secs(1000), 1000);
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (before, after) in [("short", "much longer"), ("long", "cut"), ("some", "")] {
            fs::write(&path, before).unwrap();
            let file = File::open(&path).unwrap();
            let listed = Stamp::of(&file.metadata().unwrap());
            assert_eq!(content(&file, listed).unwrap().unwrap(), before.as_bytes());
            let file = File::open(&path).unwrap();
            fs::write(&path, after).unwrap();
            assert_eq!(content(&file, listed).unwrap(), None);
            let Source::Memory(bytes) = read(&path, ROOM).unwrap().unwrap().source else {
                panic!("a small file");
            };
            assert_eq!(bytes, after.as_bytes());
        }
    }

    #[test]
    fn a_file_that_is_gone_or_a_link_by_now_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("a"), "").unwrap();
        std::os::unix::fs::symlink(path.join("a"), path.join("link")).unwrap();
        let gone = ["b", "a/b", "link", ""].map(|name| path.join(name));
        for gone in gone {
            assert!(read(&gone, ROOM).unwrap().is_none(), "{}", gone.display());
            assert_eq!(stamp(&gone).unwrap(), None);
        }
    }
}
