//! The log file: appended to, opened again when it was moved, and rotated when it is full.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Permissions of a log file that is made: it names users and addresses.
const MODE: u32 = 0o640;
/// After a rotation that failed, the next one is tried when the file has grown by this part of its limit.
const RETRY_PART: u64 = 8;

/// When the log file is rotated, and how many older ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotation {
    /// Size that the file may reach, in bytes; 0 for any.
    pub(super) size_max: u64,
    /// Older files, at least one.
    pub(super) keep: u32,
}

/// The log file. It loses nothing: whatever fails here, lines go on into the file they went into before.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Bytes in it, as far as this process has seen it grow.
    size: u64,
    /// Size at the last rotation that failed. Such failures are reported once.
    failed_at: Option<u64>,
}

impl LogFile {
    /// Opens the file for appending, and makes it if it is missing.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, size) = append_to(path, MODE)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            size,
            failed_at: None,
        })
    }

    /// Opens the path again: another program has moved the file. Returns whether it is another one now. A
    /// pipe is not opened: that would wait for its reader.
    ///
    /// # Errors
    /// It cannot be opened, or is no regular file where it was one; the file stays the one that it was.
    pub(super) fn reopen(&mut self) -> io::Result<bool> {
        let held = self.file.metadata()?;
        if !held.is_file() {
            return Ok(false);
        }
        if fs::metadata(&self.path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("it is not a regular file any more"));
        }
        (self.file, self.size) = append_to(&self.path, permissions(&held))?;
        self.failed_at = None;
        Ok(true)
    }

    /// Rotates the file if it has no room for `more` bytes. Returns whether it is another one now.
    ///
    /// # Errors
    /// The file cannot be rotated, and stays the one that it was. Only the first of such failures in a row.
    pub(super) fn make_room(&mut self, more: usize, rotation: Rotation) -> io::Result<bool> {
        let Rotation { size_max, keep } = rotation;
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        if size_max == 0 || self.size == 0 || self.size.saturating_add(more) <= size_max {
            return Ok(false);
        }
        let pause = size_max / RETRY_PART;
        if self
            .failed_at
            .is_some_and(|size| self.size < size.saturating_add(pause))
        {
            return Ok(false);
        }
        let rotated = self.rotate(more, size_max, keep);
        let is_known = self.failed_at.is_some();
        match rotated {
            Ok(is_new) => Ok(is_new),
            Err(error) => {
                self.failed_at = Some(self.size);
                if is_known { Ok(false) } else { Err(error) }
            }
        }
    }

    fn rotate(&mut self, more: u64, size_max: u64, keep: u32) -> io::Result<bool> {
        // Older files are kept beside the file itself, also where the path is a link to it.
        let path = match fs::canonicalize(&self.path) {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.reopen();
            }
            Err(error) => return Err(error),
        };
        let (named, held) = (fs::metadata(&path)?, self.file.metadata()?);
        if (named.dev(), named.ino()) != (held.dev(), held.ino()) {
            // The server that takes the place of this one may have rotated it.
            return self.reopen();
        }
        // It may have been cut off since; and a device has no size to speak of.
        self.size = held.len();
        if !held.is_file() || self.size.saturating_add(more) <= size_max || self.size == 0 {
            return Ok(false);
        }
        shift(&path, keep)?;
        let older = numbered(&path, 1);
        fs::rename(&path, &older)?;
        if let Err(error) = self.reopen() {
            fs::rename(&older, &path)?;
            return Err(error);
        }
        Ok(true)
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size = self.size.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path, mode: u32) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(mode)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn permissions(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o777
}

/// Makes `path.1` free. Numbers rise only up to the first that is free, so that a rotation that failed
/// half-way and is tried again moves nothing out; without a free one the oldest file goes.
fn shift(path: &Path, keep: u32) -> io::Result<()> {
    let mut free = 1;
    while free < keep && numbered(path, free).symlink_metadata().is_ok() {
        free += 1;
    }
    for number in (1..free).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    Ok(())
}

/// `server.log.1` of `server.log`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const TEN: Rotation = Rotation {
        size_max: 10,
        keep: 2,
    };

    struct Case {
        folder: TempDir,
        log: LogFile,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let log = LogFile::open(&folder.path().join("log")).unwrap();
            Self { folder, log }
        }

        /// Makes room for the line as [`LogFile::make_room`], and appends it.
        fn append(&mut self, line: &str) -> io::Result<bool> {
            let is_new = self.log.make_room(line.len(), TEN);
            self.log.write_all(line.as_bytes()).unwrap();
            is_new
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Content of the files `log`, `log.1` and so on.
        fn held(&self) -> Vec<String> {
            let names = (0..).map(|number| match number {
                0 => "log".to_owned(),
                _ => format!("log.{number}"),
            });
            names
                .map_while(|name| fs::read_to_string(self.path(&name)).ok())
                .collect()
        }
    }

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_goes() {
        let mut case = Case::new();
        for line in ["1......\n", "2......\n", "3.\n", "4......\n", "5......\n"] {
            case.append(line).unwrap();
        }
        // 3 and 4 do not fit together, 2 and 3 do not either.
        assert_eq!(case.held(), ["5......\n", "4......\n", "3.\n"]);
    }

    #[test]
    fn a_line_longer_than_the_limit_has_a_file_to_itself() {
        let mut case = Case::new();
        assert!(!case.append("longer than the limit\n").unwrap());
        assert!(case.append("short\n").unwrap());
        assert_eq!(case.held(), ["short\n", "longer than the limit\n"]);
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let mut case = Case::new();
        case.append("1......\n").unwrap();
        let none = Rotation {
            size_max: 0,
            keep: 1,
        };
        assert!(!case.log.make_room(1 << 40, none).unwrap());
    }

    #[test]
    fn a_file_that_was_there_counts_with_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "1......\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let log = LogFile::open(&path).unwrap();
        let mut case = Case { folder, log };
        assert!(case.append("2......\n").unwrap());
        assert_eq!(case.held(), ["2......\n", "1......\n"]);
        // Who could read the old one can read the new one, and nobody else.
        assert_eq!(permissions(&path.metadata().unwrap()), 0o600);
    }

    #[test]
    fn a_file_that_was_moved_or_cut_off_is_not_rotated_again() {
        let mut case = Case::new();
        case.append("1......\n").unwrap();
        fs::rename(case.path("log"), case.path("moved")).unwrap();
        assert!(case.append("2......\n").unwrap());
        assert_eq!(case.held(), ["2......\n"]);

        File::create(case.path("log")).unwrap(); // empties it
        assert!(!case.append("3......\n").unwrap());
        assert_eq!(case.held(), ["3......\n"]);

        // As another process does it that has the file open too.
        fs::rename(case.path("log"), case.path("log.1")).unwrap();
        fs::write(case.path("log"), "x").unwrap();
        assert!(case.append("4......\n").unwrap());
        assert_eq!(case.held(), ["x4......\n", "3......\n"]);
    }

    #[test]
    fn older_files_are_beside_the_file_that_a_link_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (deep, path) = (folder.path().join("deep"), folder.path().join("log"));
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("real"), "1......\n").unwrap();
        std::os::unix::fs::symlink(deep.join("real"), &path).unwrap();
        let mut log = LogFile::open(&path).unwrap();
        assert!(log.make_room(8, TEN).unwrap());
        log.write_all(b"2......\n").unwrap();
        assert!(path.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"2......\n");
        assert_eq!(fs::read(deep.join("real.1")).unwrap(), b"1......\n");
    }

    #[test]
    fn a_rotation_that_fails_is_told_once_and_loses_nothing() {
        let mut case = Case::new();
        // In the way of the second move, and then of the third.
        fs::create_dir(case.path("log.1")).unwrap();
        fs::create_dir(case.path("log.2")).unwrap();
        fs::write(case.path("log.2/x"), "").unwrap();
        case.append("1......\n").unwrap();
        assert!(case.append("2......\n").is_err());
        for line in ["3......\n", "4......\n"] {
            assert!(!case.append(line).unwrap());
        }
        let all = fs::read_to_string(case.path("log")).unwrap();
        assert_eq!(all, "1......\n2......\n3......\n4......\n");

        fs::remove_dir_all(case.path("log.2")).unwrap();
        fs::remove_dir(case.path("log.1")).unwrap();
        assert!(case.append("5......\n").unwrap());
        assert_eq!(case.held(), ["5......\n".to_owned(), all]);
        // The next failure is news again.
        fs::remove_file(case.path("log.1")).unwrap();
        fs::create_dir_all(case.path("log.1/x")).unwrap();
        fs::create_dir_all(case.path("log.2/x")).unwrap();
        assert!(case.append("6......\n").is_err());
    }

    #[test]
    fn numbers_rise_only_up_to_the_first_that_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for number in [1, 3, 4] {
            fs::write(numbered(&path, number), number.to_string()).unwrap();
        }
        let held = |number| fs::read_to_string(numbered(&path, number)).ok();
        shift(&path, 4).unwrap();
        let expected = [None, Some("1"), Some("3"), Some("4")];
        assert_eq!(
            [1, 2, 3, 4].map(held),
            expected.map(|text| text.map(str::to_owned))
        );
        shift(&path, 4).unwrap();
        assert_eq!(held(4).as_deref(), Some("4"));
    }

    #[test]
    fn a_path_that_cannot_be_opened_again_leaves_the_file_as_it_is() {
        let mut case = Case::new();
        case.append("1\n").unwrap();
        fs::rename(case.path("log"), case.path("moved")).unwrap();
        fs::create_dir(case.path("log")).unwrap();
        assert!(case.log.reopen().is_err());
        case.append("2\n").unwrap();
        assert_eq!(fs::read(case.path("moved")).unwrap(), b"1\n2\n");
    }

    #[test]
    fn a_pipe_in_the_place_of_the_file_is_not_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let mut case = Case::new();
        case.append("1......\n").unwrap();
        let path = case.path("log");
        fs::rename(&path, case.path("moved")).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(case.log.reopen().is_err());
        // Nor when there is no room.
        assert!(case.append("2......\n").is_err());
        assert_eq!(fs::read(case.path("moved")).unwrap(), b"1......\n2......\n");
        fs::remove_file(&path).unwrap();
        assert!(case.log.reopen().unwrap());
        case.append("3......\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3......\n");
    }

    #[test]
    fn what_is_no_regular_file_is_never_rotated() {
        let mut log = LogFile::open(Path::new("/dev/null")).unwrap();
        for _ in 0..5 {
            assert!(!log.make_room(20, TEN).unwrap());
            log.write_all(b"a line of the log\n").unwrap();
        }
        assert!(!Path::new("/dev/null.1").exists());
        assert!(!log.reopen().unwrap());
    }
}
