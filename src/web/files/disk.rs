//! Looks at a folder on disk. Everything here may block.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// A regular file below the root.
///
/// It is looked up in its folder, which is held open: so it lies below the root even when a part of
/// its path has become a link in the meantime.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Its path in URLs, decoded: names with slashes before them.
    pub(super) path: String,
    folder: BorrowedFd<'a>,
}

impl<'a> Found<'a> {
    fn name(&self) -> &str {
        self.path
            .rsplit_once('/')
            .map_or(self.path.as_str(), |(_, name)| name)
    }
}

/// What is done with each file, while its folder is open.
pub(super) type Take<'a> = dyn FnMut(&Found<'_>, &mut LeftOut) -> io::Result<()> + 'a;

/// Folders within folders: each look opens all those on the way to one.
const DEPTH_MAX: usize = 64;

/// Shows the regular files below `root`, in the order of their names, folder by folder.
///
/// # Errors
/// Those of `take`, and a folder cannot be listed. One that has gone in the meantime, that we may not
/// list or that lies too deep is left out instead, unless it is the root.
pub(super) fn walk(
    root: &Path,
    files_max: usize,
    left_out: &mut LeftOut,
    take: &mut Take<'_>,
) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::openat(CWD, root, flags, Mode::empty())?;
    let mut room = files_max;
    let mut folders = vec![String::from("/")];
    while let Some(prefix) = folders.pop() {
        let listed = enter(&root, &prefix)
            .and_then(|folder| Ok((list(&folder, room, &prefix, left_out)?, folder)));
        let (names, folder) = match listed {
            Ok(listed) => listed,
            Err(error) if prefix == "/" => return Err(error.into()),
            Err(error) if is_gone(error) => continue,
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                left_out.add(&prefix, error.into());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        room = room.saturating_sub(names.len());
        for (name, is_folder) in names {
            let path = format!("{prefix}{name}");
            if !is_folder {
                let folder = folder.as_fd();
                take(&Found { path, folder }, left_out)?;
            } else if path.matches('/').count() > DEPTH_MAX {
                left_out.add(&path, Reason::TooDeep);
            } else {
                folders.push(path + "/");
            }
        }
    }
    Ok(())
}

/// Opens a folder below the root, step by step, so that no link is followed on the way.
fn enter(root: &OwnedFd, prefix: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = fs::openat(root, ".", flags, Mode::empty())?;
    for name in prefix.split('/').filter(|name| !name.is_empty()) {
        folder = fs::openat(&folder, name, flags, Mode::empty())?;
    }
    Ok(folder)
}

/// The names of the files and folders in a folder, and which of them are folders.
fn list(
    folder: &OwnedFd,
    room: usize,
    prefix: &str,
    left_out: &mut LeftOut,
) -> Result<Vec<(String, bool)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes().starts_with(b".") {
            continue;
        }
        // Of the entry itself: a link is neither file nor folder.
        let kind = match entry.file_type() {
            FileType::Unknown => match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(error) if is_gone(error) => continue,
                Err(error) => return Err(error),
            },
            kind => kind,
        };
        if !(kind.is_file() || kind.is_dir()) {
            continue;
        }
        let Ok(name) = name.to_str() else {
            left_out.add(prefix, Reason::Name);
            continue;
        };
        if names.len() >= room {
            left_out.add(prefix, Reason::TooMany);
            break;
        }
        names.push((name.to_owned(), kind.is_dir()));
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

    /// Whether a further change will get another second of modification.
    fn is_aged(&self, now_secs: u64) -> bool {
        secs(self.modified.0).abs_diff(now_secs) > SETTLING_SECS
    }

    /// Whether both are of the same file, whatever has been done to it.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
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

/// The types of its numbers differ between architectures; all that is in use fits.
fn number<T: Default>(value: impl TryInto<T>) -> T {
    value.try_into().unwrap_or_default()
}

/// The stamp of a regular file; `None` if there is no such file.
pub(super) fn stamp(found: &Found<'_>) -> Result<Option<Stamp>, Reason> {
    match fs::statat(found.folder, found.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode)
            .is_file()
            .then(|| Stamp::of(&stat))),
        Err(error) if is_gone(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) stamp: Stamp,
    /// Whether any change since then can be seen in the stamp.
    pub(super) is_settled: bool,
    /// Whether any change since then can be seen in the second of its modification.
    pub(super) is_aged: bool,
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
pub(super) fn read(found: &Found<'_>, room: Room) -> Result<Option<Reading>, Reason> {
    for _ in 0..ATTEMPTS {
        let Some(listed) = stamp(found)? else {
            return Ok(None);
        };
        let is_small = listed.len <= room.small_bytes_max;
        if !is_small && !room.may_hold_open {
            return Err(Reason::TooManyOpen);
        }
        let file = match open(found) {
            Ok(file) => file,
            Err(error) if is_gone(error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let now_secs = now_secs();
        let before = Stamp::of_open(&file)?;
        if before != listed {
            continue; // it may be something else by now
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
            is_aged: before.is_aged(now_secs),
            modified_secs: before.modified_secs(now_secs),
            source,
        }));
    }
    Err(Reason::Changing)
}

fn open(found: &Found<'_>) -> Result<File, Errno> {
    // NONBLOCK: a pipe in the place of a file must not hold us up.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    fs::openat(found.folder, found.name(), flags, Mode::empty()).map(File::from)
}

/// All bytes of a file, if it was left alone meanwhile.
pub(super) fn content(file: &File, before: Stamp) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(usize::try_from(before.len).unwrap_or(0));
    // One more than there should be tells that it has grown.
    FromStart::new(file)
        .take(before.len.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let is_same = Stamp::of_open(file)? == before && bytes.len() as u64 == before.len;
    Ok(is_same.then_some(bytes))
}

/// Reads a file from its start, whoever else reads it at the same time.
#[derive(Debug)]
pub(super) struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> FromStart<'a> {
    pub(super) const fn new(file: &'a File) -> Self {
        Self { file, offset: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(bytes, self.offset)?;
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}

/// `LOOP`: it is a link now.
fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
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
    /// More folders within folders than we go down.
    TooDeep,
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
            Self::TooMany | Self::TooManyOpen | Self::TooDeep | Self::Name => false,
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.kind())
    }
}

impl From<Errno> for Reason {
    fn from(error: Errno) -> Self {
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
            Self::TooDeep => write!(f, "it lies more than {DEPTH_MAX} folders deep"),
            Self::Name => f.write_str("a name in it is not UTF-8"),
            Self::Changing => f.write_str("it changes while it is read"),
            Self::Unreadable(kind) => write!(f, "it cannot be read: {kind}"),
        }
    }
}

/// What is not served, and why.
#[derive(Clone, Debug, Default)]
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
                log::warn!("{}", line(path, *reason));
            }
        }
    }

    /// A line for each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(path, reason)| line(path, *reason))
    }

    #[cfg(test)]
    pub(super) fn reason(&self, path: &str) -> Option<Reason> {
        self.0.get(path).copied()
    }
}

fn line(path: &str, reason: Reason) -> String {
    format!("not served: {path}: {reason}")
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, remove_dir, remove_file, rename, write};
    use std::os::unix::fs::symlink;

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

    /// Looks at the files below a folder.
    fn visit(root: &Path, mut take: impl FnMut(&Found<'_>)) {
        let mut left_out = LeftOut::default();
        walk(root, 100, &mut left_out, &mut |found, _| {
            take(found);
            Ok(())
        })
        .unwrap();
    }

    fn bytes(reading: Option<Reading>) -> Vec<u8> {
        match reading.unwrap().source {
            Source::Memory(bytes) => bytes,
            Source::Disk(_) => panic!("a small file"),
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_believed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        for (before, after) in [("short", "much longer"), ("long", "cut"), ("some", "")] {
            write(&path, before).unwrap();
            let file = File::open(&path).unwrap();
            let listed = Stamp::of_open(&file).unwrap();
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
                assert_eq!(stamp(found).unwrap(), None);
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

    #[test]
    fn folders_are_entered_to_a_certain_depth() {
        let root = tempfile::tempdir().unwrap();
        let mut path = root.path().to_path_buf();
        for _ in 0..=DEPTH_MAX {
            path.push("d");
            create_dir(&path).unwrap();
            write(path.join("f"), "").unwrap();
        }
        let (mut left_out, mut count) = (LeftOut::default(), 0);
        walk(root.path(), 1000, &mut left_out, &mut |_, _| {
            count += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(count, DEPTH_MAX);
        let deep = "/d".repeat(DEPTH_MAX + 1);
        assert_eq!(left_out.reason(&deep), Some(Reason::TooDeep));
    }
}
