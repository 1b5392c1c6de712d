//! Entries of the folder that are not served, with the reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::io;

use rustix::io::Errno;

use super::walk::{DEPTH_MAX, LINKED_FOLDERS_MAX};

/// Why something is not served that the root has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SkipReason {
    /// Its name begins with a dot.
    Hidden,
    /// An editor or a patch has left it.
    Backup,
    /// A pipe, socket or device.
    Special,
    /// A link that leads out of the root.
    LeadsOut,
    /// A link to nothing.
    LeadsNowhere,
    /// A link to itself, or to a folder it lies in.
    LeadsBack,
    /// More links to folders within each other than are followed.
    TooManyLinks,
    /// More than `files_max`.
    TooMany,
    /// More folders within folders than we go down.
    TooDeep,
    /// A name that is not UTF-8.
    Name,
    /// It was changed whenever it was read.
    Changing,
    /// The file system says no.
    Unreadable(io::ErrorKind),
}

impl SkipReason {
    /// Returns `true` if the next look may do better, with nothing changed.
    pub(super) fn is_passing(self) -> bool {
        match self {
            Self::Changing => true,
            Self::Unreadable(kind) => kind != io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// Returns `true` if it is meant to be so.
    fn is_intended(self) -> bool {
        matches!(self, Self::Hidden | Self::Backup | Self::Special)
    }
}

impl From<io::Error> for SkipReason {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.kind())
    }
}

impl From<Errno> for SkipReason {
    fn from(error: Errno) -> Self {
        Self::Unreadable(error.kind())
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden => f.write_str("names that begin with a dot"),
            Self::Backup => f.write_str("names of backups"),
            Self::Special => f.write_str("neither files nor folders"),
            Self::LeadsOut => f.write_str("links that lead out of the folder"),
            Self::LeadsNowhere => f.write_str("links to nothing"),
            Self::LeadsBack => f.write_str("links to themselves or to a folder they lie in"),
            Self::TooManyLinks => write!(
                f,
                "behind more than {LINKED_FOLDERS_MAX} links to folders, each in the one before"
            ),
            Self::TooMany => {
                f.write_str("more files and folders than files_max; the rest is left out")
            }
            Self::TooDeep => write!(f, "more than {DEPTH_MAX} folders deep"),
            Self::Name => f.write_str("a name in it is not UTF-8"),
            Self::Changing => f.write_str("changes while it is read"),
            Self::Unreadable(kind) => write!(f, "cannot be read: {kind}"),
        }
    }
}

/// Entries that are not served: for each reason their number, and the first of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Skipped(BTreeMap<SkipReason, SkippedGroup>);

#[derive(Clone, Debug, Default)]
struct SkippedGroup {
    count: usize,
    paths: BTreeSet<Box<str>>,
}

/// Enough to see what is wrong.
const PATHS_MAX: usize = 8;

/// Of a longer path its end is cut off.
const PATH_CHARS_MAX: usize = 200;

impl Skipped {
    pub(super) fn add(&mut self, path: &str, reason: SkipReason) {
        let group = self.0.entry(reason).or_default();
        group.count += 1;
        if group.paths.len() < PATHS_MAX {
            group.paths.insert(path.into());
        }
    }

    /// Logs what the look before did not leave out: a line for each reason.
    pub(super) fn log(&self, before: Option<&Self>) {
        for (reason, group) in &self.0 {
            let before = before.and_then(|before| before.0.get(reason));
            if !before.is_some_and(|before| group.is_within(before)) {
                let level = if reason.is_intended() {
                    log::Level::Info
                } else {
                    log::Level::Warn
                };
                log::log!(level, "{}", line(*reason, group));
            }
        }
    }

    /// A line for each reason that is not as it should be.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let groups = self.0.iter();
        groups
            .filter(|(reason, _)| !reason.is_intended())
            .map(|(reason, group)| line(*reason, group))
    }

    #[cfg(test)]
    pub(super) fn reason(&self, path: &str) -> Option<SkipReason> {
        let mut groups = self.0.iter();
        let found = groups.find(|(_, group)| group.paths.contains(path));
        found.map(|(reason, _)| *reason)
    }
}

impl SkippedGroup {
    /// Returns `true` if there is nothing in it that the other one has not told.
    fn is_within(&self, before: &Self) -> bool {
        self.count <= before.count && self.paths.is_subset(&before.paths)
    }
}

fn line(reason: SkipReason, group: &SkippedGroup) -> String {
    let mut line = format!("not served: {reason}:");
    for (index, path) in group.paths.iter().enumerate() {
        let end = path.char_indices().nth(PATH_CHARS_MAX);
        let (shown, more) = match end.and_then(|(end, _)| path.get(..end)) {
            Some(shown) => (shown, "…"),
            None => (&**path, ""),
        };
        let comma = if index == 0 { "" } else { "," };
        // Into a String it cannot fail.
        write!(line, "{comma} {shown}{more}").ok();
    }
    let more = group.count.saturating_sub(group.paths.len());
    if more > 0 {
        write!(line, ", and {more} more").ok();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_line_however_much_it_is() {
        let mut skipped = Skipped::default();
        for number in 0..20 {
            skipped.add(&format!("/{number:02}"), SkipReason::LeadsOut);
        }
        skipped.add("/.env", SkipReason::Hidden);
        skipped.add(&"/long".repeat(100), SkipReason::TooDeep);
        let lines: Vec<_> = skipped.lines().collect();
        assert_eq!(
            lines[0],
            "not served: links that lead out of the folder: /00, /01, /02, /03, /04, /05, /06, /07, \
             and 12 more"
        );
        assert!(lines[1].len() < 300 && lines[1].ends_with('…'), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let of = |paths: &[&str]| {
            let mut group = SkippedGroup::default();
            for path in paths {
                group.count += 1;
                group.paths.insert((*path).into());
            }
            group
        };
        let before = of(&["/a", "/b"]);
        for (paths, is_told) in [
            (&["/a", "/b"][..], true),
            (&["/a"], true),
            (&["/c"], false),
            (&["/a", "/b", "/c"], false),
        ] {
            assert_eq!(of(paths).is_within(&before), is_told, "{paths:?}");
        }
        let more = SkippedGroup {
            count: 3,
            ..before.clone()
        };
        assert!(!more.is_within(&before));
    }
}
