//! Goes through a folder on disk. Everything here may block.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf, absolute};
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::names::hidden;
use super::skipped::{SkipReason, Skipped};

/// A regular file below the root.
///
/// It is looked up in its folder, which is held open: so it lies below the root even when a part of
/// its path has become a link in the meantime.
#[derive(Debug)]
pub(super) struct FoundFile<'a> {
    /// Its path in URLs, decoded: names with slashes before them.
    pub(super) path: String,
    /// Its folder; not that of a link to it.
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    place: &'a Path,
    root: &'a Arc<Path>,
}

impl FoundFile<'_> {
    /// Its location, to be found again.
    pub(super) fn place(&self) -> FileLocation {
        FileLocation {
            root: Arc::clone(self.root),
            path: self.place.join(self.name).into(),
        }
    }
}

/// Location of a file.
#[derive(Clone, Debug)]
pub(super) struct FileLocation {
    root: Arc<Path>,
    /// Below the root, without links.
    path: Box<Path>,
}

impl FileLocation {
    /// Opens it, unless there are links on the way now.
    pub(super) fn open(&self) -> Result<OwnedFd, Errno> {
        let root = fs::openat(CWD, &*self.root, ROOT, Mode::empty())?;
        let folder = enter(&root, self.path.parent().unwrap_or_else(|| Path::new("")))?;
        let name = self.path.file_name().ok_or(Errno::NOENT)?;
        open(folder.as_fd(), name)
    }
}

/// Opens a regular file in a folder. What it is has to be looked at.
pub(super) fn open(folder: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    // NONBLOCK: a pipe in the place of a file must not hold us up.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    fs::openat(folder, name, flags, Mode::empty())
}

/// Callback for each file, while its folder is open.
pub(super) type Take<'a> = dyn FnMut(&FoundFile<'_>, &mut Skipped) -> io::Result<()> + 'a;

/// Callback for each folder before it is listed, also for those that links only pass through.
pub(super) type Enter<'a> = dyn FnMut(BorrowedFd<'_>) + 'a;

/// Folders within folders: each look opens all those on the way to one.
pub(super) const DEPTH_MAX: usize = 64;

/// Links to folders, each in the folder that the one before leads to.
pub(super) const LINKED_FOLDERS_MAX: usize = 8;

/// Links that lead to links, as the kernel has it.
const LINKS_MAX: usize = 40;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// It may be a link.
const ROOT: OFlags = FOLDER.difference(OFlags::NOFOLLOW);

/// Shows the regular files below `root`, in the order of their names, folder by folder. Links are
/// followed that stay below it; folders they lead to come last.
///
/// # Errors
/// Those of `take`, and a folder cannot be listed. One that has gone in the meantime, that we may not
/// list or that lies too deep is left out instead, unless it is the root.
pub(super) fn walk(
    root: &Path,
    files_max: usize,
    skipped: &mut Skipped,
    enter: &mut Enter<'_>,
    take: &mut Take<'_>,
) -> io::Result<()> {
    let opened = fs::openat(CWD, root, ROOT, Mode::empty())?;
    let path = Arc::from(root);
    let names = [absolute(root)?, root.canonicalize()?];
    let mut walk = Walk {
        root: Root {
            opened,
            path,
            names,
        },
        room: files_max,
        folders: vec![PendingFolder {
            path: String::from("/"),
            place: PathBuf::new(),
            way: None,
        }],
        linked: VecDeque::new(),
        skipped,
        enter,
    };
    while let Some(folder) = walk.folders.pop().or_else(|| walk.linked.pop_front()) {
        walk.visit(&folder, take)?;
    }
    Ok(())
}

struct Walk<'a, 'b> {
    root: Root,
    /// Number of further names to visit.
    room: usize,
    folders: Vec<PendingFolder>,
    /// Those that links lead to wait until all others were visited: however many names they have, they
    /// take no room from those that are there by themselves.
    linked: VecDeque<PendingFolder>,
    skipped: &'a mut Skipped,
    enter: &'a mut Enter<'b>,
}

/// The root, as it was when the walk began.
struct Root {
    opened: OwnedFd,
    path: Arc<Path>,
    /// Its names in links that begin with a slash.
    names: [PathBuf; 2],
}

/// A folder to be visited.
struct PendingFolder {
    /// In URLs, with a slash at its end.
    path: String,
    /// Below the root, without links.
    place: PathBuf,
    way: Option<Rc<LinkPath>>,
}

/// The last link on the way to a folder.
struct LinkPath {
    /// The folder it lies in, and the one it leads to.
    from: PathBuf,
    to: PathBuf,
    before: Option<Rc<Self>>,
    links: usize,
}

impl PendingFolder {
    /// Returns `true` if one is in that folder on the way to this one.
    fn is_within(&self, folder: &Path) -> bool {
        let mut place = self.place.as_path();
        let mut way = self.way.as_deref();
        loop {
            let start = way.map_or_else(|| Path::new(""), |way| way.to.as_path());
            if place.starts_with(folder) && folder.starts_with(start) {
                return true;
            }
            let Some(link) = way else {
                return false;
            };
            (place, way) = (&link.from, link.before.as_deref());
        }
    }
}

/// Kind of an entry of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EntryKind {
    File,
    Folder,
    Link,
}

/// Final target of a link.
enum LinkTarget {
    File {
        folder: OwnedFd,
        place: PathBuf,
        name: OsString,
    },
    Folder {
        place: PathBuf,
    },
}

impl Walk<'_, '_> {
    fn visit(&mut self, at: &PendingFolder, take: &mut Take<'_>) -> io::Result<()> {
        let listed = self.root.enter(&at.place).and_then(|folder| {
            (self.enter)(folder.as_fd());
            let names = list(&folder, self.room, &at.path, self.skipped)?;
            Ok((names, folder))
        });
        let (names, folder) = match listed {
            Ok(listed) => listed,
            Err(error) if at.path == "/" => return Err(error.into()),
            Err(error) if is_gone(error) => return Ok(()),
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                self.skipped.add(&at.path, error.into());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.room = self.room.saturating_sub(names.len());
        for (name, kind) in names {
            let path = format!("{}{name}", at.path);
            match kind {
                EntryKind::File => {
                    let found = FoundFile {
                        path,
                        folder: folder.as_fd(),
                        name: name.as_ref(),
                        place: &at.place,
                        root: &self.root.path,
                    };
                    take(&found, self.skipped)?;
                }
                EntryKind::Folder => {
                    if self.is_too_deep(&path) {
                        continue;
                    }
                    self.folders.push(PendingFolder {
                        path: path + "/",
                        place: at.place.join(name),
                        way: at.way.clone(),
                    });
                }
                EntryKind::Link => self.follow(at, path, &name, take)?,
            }
        }
        Ok(())
    }

    fn is_too_deep(&mut self, path: &str) -> bool {
        let is_too_deep = path.matches('/').count() > DEPTH_MAX;
        if is_too_deep {
            self.skipped.add(path, SkipReason::TooDeep);
        }
        is_too_deep
    }

    /// Goes where a link leads to.
    fn follow(
        &mut self,
        at: &PendingFolder,
        path: String,
        name: &str,
        take: &mut Take<'_>,
    ) -> io::Result<()> {
        let links = at.way.as_ref().map_or(0, |way| way.links);
        let place = match self.root.resolve(&at.place, name.as_ref(), self.enter) {
            Ok(LinkTarget::File {
                folder,
                place,
                name,
            }) => {
                let found = FoundFile {
                    path,
                    folder: folder.as_fd(),
                    name: &name,
                    place: &place,
                    root: &self.root.path,
                };
                return take(&found, self.skipped);
            }
            Ok(LinkTarget::Folder { place }) if at.is_within(&place) => Err(SkipReason::LeadsBack),
            Ok(LinkTarget::Folder { .. }) if links >= LINKED_FOLDERS_MAX => {
                Err(SkipReason::TooManyLinks)
            }
            Ok(LinkTarget::Folder { place }) => Ok(place),
            Err(reason) => Err(reason),
        };
        match place {
            Err(reason) => self.skipped.add(&path, reason),
            Ok(_) if self.is_too_deep(&path) => {}
            Ok(place) => self.linked.push_back(PendingFolder {
                path: path + "/",
                place: place.clone(),
                way: Some(Rc::new(LinkPath {
                    from: at.place.clone(),
                    to: place,
                    before: at.way.clone(),
                    links: links + 1,
                })),
            }),
        }
        Ok(())
    }
}

impl Root {
    /// Opens a folder below it.
    fn enter(&self, place: &Path) -> Result<OwnedFd, Errno> {
        enter(&self.opened, place)
    }

    /// Resolves the link of that name in a folder, as long as no step of it leads out of the root.
    ///
    /// By hand: openat2(2) says whether it stays inside, but not which folders it has passed.
    fn resolve(
        &self,
        place: &Path,
        name: &OsStr,
        entered: &mut Enter<'_>,
    ) -> Result<LinkTarget, SkipReason> {
        let mut place = place.to_path_buf();
        let mut folder = self.enter(&place).map_err(nowhere)?;
        // The next one last.
        let mut names = vec![name.to_owned()];
        let mut links = 0;
        while let Some(name) = names.pop() {
            if name == ".." {
                if !place.pop() {
                    return Err(SkipReason::LeadsOut);
                }
                folder = self.enter(&place).map_err(nowhere)?;
                entered(folder.as_fd());
                continue;
            }
            let stat = fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(nowhere)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink if links == LINKS_MAX => return Err(SkipReason::LeadsBack),
                FileType::Symlink => {
                    links += 1;
                    let target = fs::readlinkat(&folder, &name, Vec::new()).map_err(nowhere)?;
                    let target = Path::new(OsStr::from_bytes(target.to_bytes()));
                    let is_absolute = target.is_absolute();
                    let target = self.below(target).ok_or(SkipReason::LeadsOut)?;
                    if is_absolute {
                        place = PathBuf::new();
                        folder = self.enter(&place).map_err(nowhere)?;
                        entered(folder.as_fd());
                    }
                    let steps = target.components().rev().filter_map(|step| match step {
                        Component::Normal(name) => Some(name.to_owned()),
                        Component::ParentDir => Some(OsString::from("..")),
                        _ => None,
                    });
                    names.extend(steps);
                }
                FileType::Directory => {
                    folder = fs::openat(&folder, &name, FOLDER, Mode::empty()).map_err(nowhere)?;
                    place.push(name);
                    entered(folder.as_fd());
                }
                FileType::RegularFile if names.is_empty() => {
                    return Ok(LinkTarget::File {
                        folder,
                        place,
                        name,
                    });
                }
                FileType::RegularFile => return Err(SkipReason::LeadsNowhere),
                _ => return Err(SkipReason::Special),
            }
        }
        Ok(LinkTarget::Folder { place })
    }

    /// A path as it is seen from the root, if it is not one from elsewhere.
    fn below<'a>(&self, target: &'a Path) -> Option<&'a Path> {
        if !target.is_absolute() {
            return Some(target);
        }
        let mut names = self.names.iter();
        names.find_map(|name| target.strip_prefix(name).ok())
    }
}

/// Opens a folder below the root, step by step, so that no link is followed on the way.
fn enter(root: &OwnedFd, place: &Path) -> Result<OwnedFd, Errno> {
    let mut folder = fs::openat(root, ".", FOLDER, Mode::empty())?;
    for name in place {
        folder = fs::openat(&folder, name, FOLDER, Mode::empty())?;
    }
    Ok(folder)
}

fn nowhere(error: Errno) -> SkipReason {
    if is_gone(error) {
        SkipReason::LeadsNowhere
    } else {
        error.into()
    }
}

/// The names of what is in a folder, and what they stand for.
fn list(
    folder: &OwnedFd,
    room: usize,
    prefix: &str,
    skipped: &mut Skipped,
) -> Result<Vec<(String, EntryKind)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(text) = name.to_str() else {
            let is_hidden = name.to_bytes().starts_with(b".");
            if !is_hidden {
                skipped.add(prefix, SkipReason::Name);
            }
            continue;
        };
        if let Some(reason) = hidden(prefix, text) {
            skipped.add(&format!("{prefix}{text}"), reason);
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
        let kind = match kind {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Folder,
            FileType::Symlink => EntryKind::Link,
            _ => {
                skipped.add(&format!("{prefix}{text}"), SkipReason::Special);
                continue;
            }
        };
        if names.len() >= room {
            skipped.add(prefix, SkipReason::TooMany);
            break;
        }
        names.push((text.to_owned(), kind));
    }
    names.sort_unstable();
    Ok(names)
}

/// `LOOP`: it is a link now.
pub(super) fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, create_dir_all, write};
    use std::os::unix::fs::symlink;

    use super::*;

    /// The paths of what is found, in order, and what is not.
    fn walked(root: &Path, files_max: usize) -> (Vec<String>, Skipped) {
        let (mut skipped, mut paths) = (Skipped::default(), Vec::new());
        walk(
            root,
            files_max,
            &mut skipped,
            &mut |_| (),
            &mut |found, _| {
                paths.push(found.path.clone());
                Ok(())
            },
        )
        .unwrap();
        (paths, skipped)
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
        let (paths, skipped) = walked(root.path(), 1000);
        assert_eq!(paths.len(), DEPTH_MAX);
        let deep = "/d".repeat(DEPTH_MAX + 1);
        assert_eq!(skipped.reason(&deep), Some(SkipReason::TooDeep));
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_inside() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        create_dir_all(root.join("sub/deep")).unwrap();
        create_dir(root.join(".hidden")).unwrap();
        write(root.join("a"), "").unwrap();
        write(root.join(".hidden/x"), "").unwrap();
        write(root.join("sub/deep/b"), "").unwrap();
        write(parent.path().join("secret"), "").unwrap();
        symlink("root", parent.path().join("current")).unwrap();
        let absolute = |path: &str| root.join(path);
        for (target, at) in [
            (Path::new("a"), "1-beside"),
            (Path::new("sub/../sub/./deep/b"), "2-around"),
            (Path::new("../../a"), "sub/deep/3-up"),
            (&absolute("sub/deep/b"), "4-absolute"),
            (
                &parent.path().join("current/a"),
                "5-by-the-link-to-the-root",
            ),
            (Path::new("1-beside"), "6-link-to-link"),
            (Path::new(".hidden/x"), "7-through-a-hidden-name"),
            (Path::new("sub/deep"), "8-folder"),
            (Path::new("8-folder/b"), "9-through-a-linked-folder"),
        ] {
            symlink(target, root.join(at)).unwrap();
        }
        let leads_out = ["/o1", "/o2", "/o3", "/o4", "/sub/o5"];
        for (target, at) in [
            (Path::new("../secret"), "o1"),
            (&parent.path().join("secret"), "o2"),
            (Path::new("../root/a"), "o3"),
            (&absolute("../secret"), "o4"),
            (Path::new("../../secret"), "sub/o5"),
        ] {
            symlink(target, root.join(at)).unwrap();
        }
        // By its own name, and by one that is a link.
        let (mut paths, skipped) = walked(&parent.path().join("current"), 1000);
        paths.sort();
        let want = [
            "/1-beside",
            "/2-around",
            "/4-absolute",
            "/5-by-the-link-to-the-root",
            "/6-link-to-link",
            "/7-through-a-hidden-name",
            "/8-folder/3-up",
            "/8-folder/b",
            "/9-through-a-linked-folder",
            "/a",
            "/sub/deep/3-up",
            "/sub/deep/b",
        ];
        assert_eq!(paths, want);
        for path in leads_out {
            assert_eq!(skipped.reason(path), Some(SkipReason::LeadsOut), "{path}");
        }
        assert_eq!(
            walked(&root, 1000).0.len(),
            want.len() - 1,
            "not by another name"
        );
    }

    #[test]
    fn links_that_lead_nowhere_end() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        create_dir_all(at("a/b")).unwrap();
        create_dir(at("c")).unwrap();
        write(at("f"), "").unwrap();
        for (target, name) in [
            (".", "a/self"),
            ("..", "a/b/up"),
            ("../..", "a/b/top"),
            ("../c", "a/there"),
            ("../a", "c/back"),
            ("round", "round"),
            ("pong", "ping"),
            ("ping", "pong"),
            ("nothing", "dangling"),
            ("f/x", "through-a-file"),
        ] {
            symlink(target, at(name)).unwrap();
        }
        let (paths, skipped) = walked(root.path(), 1000);
        assert_eq!(paths, ["/f"]);
        for path in ["/a/self", "/a/b/up", "/a/b/top", "/round", "/ping", "/pong"] {
            assert_eq!(skipped.reason(path), Some(SkipReason::LeadsBack), "{path}");
        }
        for path in ["/dangling", "/through-a-file"] {
            assert_eq!(
                skipped.reason(path),
                Some(SkipReason::LeadsNowhere),
                "{path}"
            );
        }
    }

    #[test]
    fn folders_that_are_linked_to_each_other_take_no_room_from_others() {
        let root = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        for name in names {
            create_dir(root.path().join(name)).unwrap();
            write(root.path().join(name).join("file"), "").unwrap();
            for other in names {
                symlink(format!("../{other}"), root.path().join(name).join(other)).unwrap();
            }
        }
        let (paths, skipped) = walked(root.path(), 1000);
        for name in names {
            assert!(paths.contains(&format!("/{name}/file")), "{name}");
        }
        assert!(paths.len() <= 1000);
        assert!(skipped.lines().any(|line| line.contains("files_max")));
    }

    #[test]
    fn links_to_folders_are_followed_so_far() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..20 {
            let folder = root.path().join(format!(".{number}"));
            create_dir(&folder).unwrap();
            write(folder.join("file"), "").unwrap();
            symlink(format!("../.{}", number + 1), folder.join("next")).unwrap();
        }
        symlink(".0", root.path().join("next")).unwrap();
        let (paths, skipped) = walked(root.path(), 1000);
        assert_eq!(paths.len(), LINKED_FOLDERS_MAX);
        let path = "/next".repeat(LINKED_FOLDERS_MAX + 1);
        assert_eq!(skipped.reason(&path), Some(SkipReason::TooManyLinks));
    }
}
