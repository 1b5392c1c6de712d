//! The log file: opened again when that is asked for, and rotated at a size. Used by the log's thread alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// What others ask of the file.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// It may have been renamed: open its path again.
    pub(super) reopen: AtomicBool,
    /// Bytes from which on it is rotated; 0 for never.
    pub(super) bytes_max: AtomicU64,
    /// How many rotated ones are kept.
    pub(super) keep: AtomicU32,
}

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// No pipe or device, which opening again could wait for.
    is_regular: bool,
    wishes: Arc<Wishes>,
    /// Length at which a rotation that failed is tried again, and whether that was reported.
    retry_at: u64,
    is_reported: bool,
}

impl LogFile {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn open(path: &Path, wishes: Arc<Wishes>) -> io::Result<Self> {
        let file = append_to(path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            len: metadata.len(),
            is_regular: metadata.is_file(),
            wishes,
            retry_at: 0,
            is_reported: false,
        })
    }

    /// Takes another file if one is wanted before `more` bytes of whole lines are written. Returns whether it
    /// did, and a sentence if that failed: lines go on to the file that is open.
    pub(super) fn prepare(&mut self, more: usize) -> (bool, Option<String>) {
        if !self.is_regular {
            return (false, None);
        }
        if self.wishes.reopen.swap(false, Ordering::Relaxed) {
            return match self.open_again() {
                Ok(()) => (true, None),
                Err(error) => (false, Some(self.failure("opened again", &error))),
            };
        }
        let max = self.wishes.bytes_max.load(Ordering::Relaxed);
        let is_small = self.len == 0 || self.len.saturating_add(more as u64) <= max;
        if max == 0 || is_small || self.len < self.retry_at {
            return (false, None);
        }
        match self.rotate() {
            Ok(()) => {
                (self.retry_at, self.is_reported) = (0, false);
                (true, None)
            }
            Err(error) => {
                self.retry_at = self.len.saturating_add(max / 8).saturating_add(1);
                let is_news = !std::mem::replace(&mut self.is_reported, true);
                (false, is_news.then(|| self.failure("rotated", &error)))
            }
        }
    }

    fn failure(&self, what: &str, error: &io::Error) -> String {
        let path = self.path.display();
        format!("log_file_path: {path}: cannot be {what}, and grows on as it is: {error}")
    }

    fn open_again(&mut self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        let metadata = file.metadata()?;
        (self.file, self.len, self.is_regular) = (file, metadata.len(), metadata.is_file());
        Ok(())
    }

    /// Nothing is overwritten but the oldest one.
    fn rotate(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {}
            // Renaming would move the link and not the file.
            Ok(there) if there.is_symlink() => {
                return Err(io::Error::other("it is a symbolic link"));
            }
            // Another process has rotated it, such as the server before this one.
            Ok(_) => return self.open_again(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.open_again(),
            Err(error) => return Err(error),
        }
        for number in (1..self.wishes.keep.load(Ordering::Relaxed)).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))?;
        self.open_again().inspect_err(|_| {
            // As it was, for the next attempt; if that fails, too, its path is opened again then.
            fs::rename(self.numbered(1), &self.path).ok();
        })
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name: OsString = self.path.clone().into();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.len = self.len.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, bytes_max: u64, keep: u32) -> LogFile {
        let wishes = Wishes {
            reopen: false.into(),
            bytes_max: bytes_max.into(),
            keep: keep.into(),
        };
        LogFile::open(path, Arc::new(wishes)).unwrap()
    }

    fn write(log: &mut LogFile, line: &str) -> Option<String> {
        let (_, failure) = log.prepare(line.len());
        log.write_all(line.as_bytes()).unwrap();
        failure
    }

    fn text(path: &Path, end: &str) -> String {
        fs::read_to_string(format!("{}{end}", path.display())).unwrap_or_default()
    }

    #[test]
    fn it_is_rotated_at_its_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let mut log = open(&path, 6, 2);
        for line in [
            "1\n",
            "22\n",
            "333\n",
            "a line longer than all\n",
            "4\n",
            "5\n",
        ] {
            assert_eq!(write(&mut log, line), None);
        }
        assert_eq!(text(&path, ""), "4\n5\n");
        assert_eq!(text(&path, ".1"), "a line longer than all\n");
        assert_eq!(text(&path, ".2"), "333\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_rotation_that_fails_is_reported_once_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        // A folder with something in it is not replaced.
        let in_the_way = folder.path().join("server.log.1");
        fs::create_dir_all(in_the_way.join("x")).unwrap();
        let mut log = open(&path, 4, 1);
        let failures: Vec<_> = (0..9).filter_map(|_| write(&mut log, "123\n")).collect();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].contains("cannot be rotated"), "{failures:?}");
        assert_eq!(text(&path, ""), "123\n".repeat(9));
        fs::remove_dir_all(&in_the_way).unwrap();
        assert_eq!(write(&mut log, "4\n"), None);
        assert_eq!(
            (text(&path, ""), text(&path, ".1")),
            ("4\n".to_owned(), "123\n".repeat(9))
        );
    }

    #[test]
    fn who_finds_it_rotated_takes_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let (mut one, mut other) = (open(&path, 4, 3), open(&path, 4, 3));
        write(&mut one, "1\n");
        write(&mut other, "other\n");
        write(&mut one, "345\n");
        assert_eq!(text(&path, ".1"), "1\nother\n");
        write(&mut other, "6\n");
        assert_eq!(text(&path, ""), "345\n6\n");
        assert_eq!(text(&path, ".2"), "");
    }

    #[test]
    fn it_is_opened_again_when_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let mut log = open(&path, 0, 1);
        write(&mut log, "1\n");
        fs::rename(&path, folder.path().join("server.log.old")).unwrap();
        write(&mut log, "2\n");
        log.wishes.reopen.store(true, Ordering::Relaxed);
        write(&mut log, "3\n");
        assert_eq!(text(&path, ".old"), "1\n2\n");
        assert_eq!(text(&path, ""), "3\n");
        // Where that cannot be, lines go on.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        log.wishes.reopen.store(true, Ordering::Relaxed);
        let failure = write(&mut log, "4\n").unwrap();
        assert!(failure.contains("cannot be opened again"), "{failure}");
        assert_eq!(write(&mut log, "5\n"), None);
    }
}
