//! Hears from the kernel that folders have changed: inotify(7).

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{self, FsWord};
use rustix::io::Errno;

/// Number of looks without notices there are between two attempts to get them.
const LOOKS_BETWEEN: u32 = 60;

/// As many as the kernel queues by default: more of them tell nothing new.
const EVENTS_MAX: usize = 16_384;

/// Everything that may change what a look finds. Not that files were read: we do that ourselves.
const CHANGES: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// File systems whose files are changed from elsewhere, of which this kernel is not told: 9p, AFS, Ceph,
/// CIFS, Coda, FUSE, GFS2, Lustre, NCP, NFS, OCFS2, SMB, SMB2 and VirtualBox's.
const SHARED: [FsWord; 14] = [
    0x0102_1997,
    0x5346_414f,
    0x00c3_6400,
    0xff53_4d42,
    0x7375_7245,
    0x6573_5546,
    0x0116_1970,
    0x0bd0_0bd0,
    0x564c,
    0x6969,
    0x7461_636f,
    0x517b,
    0xfe53_4d42,
    0x786f_4256,
];

/// Why folders have to be looked at whether or not they have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// There is no inotify.
    Unavailable(io::ErrorKind),
    /// This user has as many instances, or the process as many descriptors, as may be.
    Instances,
    /// This user watches as much as may be.
    Watches,
    /// The file system is shared with other machines.
    FileSystem,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(kind) => write!(f, "inotify cannot be used: {kind}"),
            Self::Instances => f.write_str(
                "there is no instance of inotify left (fs.inotify.max_user_instances, LimitNOFILE)",
            ),
            Self::Watches => {
                f.write_str("inotify has too few watches (fs.inotify.max_user_watches)")
            }
            Self::FileSystem => {
                f.write_str("its file system does not tell what other machines change")
            }
        }
    }
}

/// Notices of what has changed in the folders that a look has entered.
#[derive(Debug, Default)]
pub(super) struct Notices {
    watching: Option<Watching>,
    /// Why there are none, as the log has said.
    obstacle: Option<Obstacle>,
    /// In the look under way.
    met: Option<Obstacle>,
    /// Looks since the last attempt.
    scans: u32,
    root: Option<FileId>,
}

/// Device and inode.
type FileId = (u64, u64);

#[derive(Debug)]
struct Watching {
    inotify: OwnedFd,
    /// The folders watched.
    folders: HashSet<i32>,
    /// Those that the look under way has entered.
    entered: HashSet<i32>,
}

impl Notices {
    /// Ready to be told, of nothing yet: what this takes is taken before anybody is served.
    pub(super) fn new() -> Self {
        let mut notices = Self::default();
        notices.open();
        notices
    }

    fn open(&mut self) {
        match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(inotify) => {
                self.watching = Some(Watching {
                    inotify,
                    folders: HashSet::new(),
                    entered: HashSet::new(),
                });
            }
            Err(Errno::MFILE | Errno::NFILE) => self.met = Some(Obstacle::Instances),
            Err(error) => self.met = Some(Obstacle::Unavailable(error.kind())),
        }
    }

    /// A look begins.
    pub(super) fn begin(&mut self, root: &Path) {
        // First: what changes from now on may or may not be seen.
        self.root = identity(root);
        self.met = None;
        if self.watching.is_none() && (self.obstacle.is_none() || self.scans >= LOOKS_BETWEEN) {
            self.scans = 0;
            self.open();
        }
        self.scans = self.scans.saturating_add(1);
    }

    /// The look enters a folder, and has not listed it yet.
    pub(super) fn enter(&mut self, folder: BorrowedFd<'_>) {
        if self.met.is_none()
            && let Some(watching) = &mut self.watching
        {
            self.met = watching.add(folder).err();
        }
    }

    /// The look is over.
    pub(super) fn end(&mut self, root: &Path) {
        if self.met.is_some() {
            // What it has is of use to others.
            self.watching = None;
        }
        if let Some(watching) = &mut self.watching {
            watching.forget_the_rest();
            if self.obstacle.take().is_some() {
                log::info!("changes of {} are told by the kernel again", root.display());
            }
        }
        let Some(met) = self.met else {
            return;
        };
        if self.obstacle.replace(met) != Some(met) {
            log::warn!("{} is looked at once a second: {met}", root.display());
        }
    }

    /// Returns `true` if something may have changed since the last look began.
    pub(super) fn has_any(&self, root: &Path) -> bool {
        let has_changed = match &self.watching {
            Some(watching) => watching.has_changed(),
            None => true,
        };
        // The root's own name, and the links behind it, lie in folders that are not watched.
        has_changed || self.root.is_none() || identity(root) != self.root
    }
}

impl Watching {
    fn add(&mut self, folder: BorrowedFd<'_>) -> Result<(), Obstacle> {
        let unavailable = |error: Errno| Obstacle::Unavailable(error.kind());
        if SHARED.contains(&fs::fstatfs(folder).map_err(unavailable)?.f_type) {
            return Err(Obstacle::FileSystem);
        }
        // By what is open: a path might lead elsewhere by now.
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        match inotify::add_watch(&self.inotify, path, CHANGES) {
            Ok(watch) => {
                self.folders.insert(watch);
                self.entered.insert(watch);
                Ok(())
            }
            Err(Errno::NOSPC | Errno::NOMEM) => Err(Obstacle::Watches),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Watches only the folders that the look has entered.
    fn forget_the_rest(&mut self) {
        for watch in self.folders.difference(&self.entered) {
            // One that was deleted is not watched any more.
            inotify::remove_watch(&self.inotify, *watch).ok();
        }
        self.folders = std::mem::take(&mut self.entered);
    }

    fn has_changed(&self) -> bool {
        let mut bytes = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.inotify, &mut bytes);
        let mut has_changed = false;
        for _ in 0..EVENTS_MAX {
            match events.next() {
                // Only says that a watch was removed, by us or with its folder.
                Ok(event) if event.events() == ReadFlags::IGNORED => {}
                // Also that there were more than the queue holds.
                Ok(_) => has_changed = true,
                Err(Errno::AGAIN) => return has_changed,
                Err(_) => return true,
            }
        }
        true
    }
}

fn identity(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs::{
        File, Permissions, create_dir, create_dir_all, remove_dir_all, remove_file, rename,
        set_permissions, write,
    };
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::skipped::Skipped;
    use super::super::walk::walk;
    use super::*;

    fn scan(notices: &mut Notices, root: &Path) {
        notices.begin(root);
        let mut skipped = Skipped::default();
        let enter = &mut |folder: BorrowedFd<'_>| notices.enter(folder);
        walk(root, 100, &mut skipped, enter, &mut |_, _| Ok(())).unwrap();
        notices.end(root);
    }

    #[test]
    fn every_change_is_told_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        let at = |name: &str| root.join(name);
        create_dir_all(at("sub/deep")).unwrap();
        create_dir_all(at(".hidden/deep")).unwrap();
        write(at("sub/deep/a"), "1").unwrap();
        write(at(".hidden/deep/b"), "1").unwrap();
        symlink(".hidden/deep/b", at("b")).unwrap();
        symlink("root", parent.path().join("link")).unwrap();
        let link = parent.path().join("link");
        let mut notices = Notices::default();
        scan(&mut notices, &link);
        assert_eq!(notices.obstacle, None);
        let changes: [(&str, &dyn Fn()); 14] = [
            ("nothing", &|| {}),
            ("it was read", &|| {
                drop(std::fs::read(at("sub/deep/a")).unwrap())
            }),
            ("overwritten", &|| write(at("sub/deep/a"), "2").unwrap()),
            ("made", &|| write(at("sub/c"), "").unwrap()),
            ("removed", &|| remove_file(at("sub/c")).unwrap()),
            ("renamed", &|| rename(at("sub/deep/a"), at("a")).unwrap()),
            ("not to be read", &|| {
                set_permissions(at("a"), Permissions::from_mode(0o600)).unwrap();
            }),
            ("dated", &|| {
                let file = File::open(at("a")).unwrap();
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }),
            ("behind a link", &|| {
                write(at(".hidden/deep/b"), "2").unwrap()
            }),
            ("on the way of a link", &|| {
                rename(at(".hidden/deep"), at(".hidden/other")).unwrap();
            }),
            ("made in a new folder", &|| {
                create_dir(at("new")).unwrap();
            }),
            ("the root itself", &|| {
                rename(&root, parent.path().join("old")).unwrap();
                create_dir(&root).unwrap();
            }),
            ("the link to it", &|| {
                create_dir(parent.path().join("next")).unwrap();
                remove_file(&link).unwrap();
                symlink("next", &link).unwrap();
            }),
            ("in what is no longer there", &|| {
                write(root.join("x"), "").unwrap();
            }),
        ];
        for (what, change) in changes {
            change();
            let is_none = ["nothing", "it was read", "in what is no longer there"].contains(&what);
            assert_eq!(notices.has_any(&link), !is_none, "{what}");
            scan(&mut notices, &link);
            assert!(!notices.has_any(&link), "after: {what}");
        }
        remove_dir_all(parent.path().join("next")).unwrap();
        assert!(notices.has_any(&link));
        assert!(notices.has_any(&link), "until it is there again");
    }

    #[test]
    fn folders_that_are_no_longer_in_it_are_no_longer_watched() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        create_dir_all(root.join("sub")).unwrap();
        let mut notices = Notices::default();
        scan(&mut notices, &root);
        let count = |notices: &Notices| notices.watching.as_ref().unwrap().folders.len();
        assert_eq!(count(&notices), 2);
        rename(root.join("sub"), parent.path().join("away")).unwrap();
        assert!(notices.has_any(&root));
        scan(&mut notices, &root);
        assert_eq!(count(&notices), 1);
        write(parent.path().join("away/a"), "").unwrap();
        assert!(!notices.has_any(&root));
    }

    #[test]
    fn without_notices_every_look_is_due_until_there_are_some() {
        let root = tempfile::tempdir().unwrap();
        let mut notices = Notices::default();
        notices.begin(root.path());
        notices.met = Some(Obstacle::Watches);
        notices.end(root.path());
        assert!(notices.watching.is_none(), "none is kept from others");
        for _ in 1..LOOKS_BETWEEN {
            assert!(notices.has_any(root.path()));
            scan(&mut notices, root.path());
            assert_eq!(notices.obstacle, Some(Obstacle::Watches));
        }
        scan(&mut notices, root.path());
        assert_eq!(notices.obstacle, None);
        assert!(!notices.has_any(root.path()));
    }
}
