//! Files that are opened when they are read.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::response::OpenFile;

/// Number of are held open.
const OPEN_FILES_MAX: usize = 64;

/// EMFILE of Linux: the process has as many descriptors as it may.
const EMFILE: i32 = 24;

/// Those that were read last, in this order.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Vec<(Arc<dyn OpenFile>, File)>);

impl OpenFiles {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The open file.
    ///
    /// # Errors
    /// As [`OpenFile::open`].
    pub(super) fn open(&mut self, wanted: &Arc<dyn OpenFile>) -> io::Result<&File> {
        let mut open = self.0.iter();
        let entry = match open.position(|(file, _)| Arc::ptr_eq(file, wanted)) {
            Some(index) => self.0.remove(index),
            None => (Arc::clone(wanted), self.open_anew(&**wanted)?),
        };
        if self.0.len() >= OPEN_FILES_MAX {
            self.0.remove(0);
        }
        self.0.push(entry);
        // It was pushed just now.
        let last = self.0.last().map(|(_, file)| file);
        last.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open_anew(&mut self, wanted: &dyn OpenFile) -> io::Result<File> {
        match wanted.open() {
            Err(error) if error.raw_os_error() == Some(EMFILE) && !self.0.is_empty() => {
                self.0.clear();
                wanted.open()
            }
            opened => opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is opened, and cannot be as often as it is told.
    #[derive(Debug, Default)]
    struct CountedFile {
        opened: AtomicUsize,
        rejected: AtomicUsize,
    }

    impl OpenFile for CountedFile {
        fn open(&self) -> io::Result<File> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            let less = |rejected: usize| rejected.checked_sub(1);
            match self
                .rejected
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            {
                Ok(_) => Err(io::Error::from_raw_os_error(EMFILE)),
                Err(_) => tempfile::tempfile(),
            }
        }
    }

    #[test]
    fn those_read_last_stay_open() {
        let files: Vec<_> = (0..=OPEN_FILES_MAX)
            .map(|_| Arc::new(CountedFile::default()))
            .collect();
        let mut open = OpenFiles::default();
        let mut read = |index: usize| {
            let file: Arc<dyn OpenFile> = files[index].clone();
            open.open(&file).unwrap();
            let opened = files[index].opened.load(Ordering::Relaxed);
            (opened, open.0.len())
        };
        for index in 0..OPEN_FILES_MAX {
            assert_eq!(read(index), (1, index + 1));
        }
        assert_eq!(read(0), (1, OPEN_FILES_MAX));
        // The one that was not read for longest makes room.
        assert_eq!(read(OPEN_FILES_MAX), (1, OPEN_FILES_MAX));
        assert_eq!(read(0), (1, OPEN_FILES_MAX));
        assert_eq!(read(1), (2, OPEN_FILES_MAX));
    }

    #[test]
    fn what_is_open_makes_room_when_there_is_none() {
        let mut open = OpenFiles::default();
        let first: Arc<dyn OpenFile> = Arc::new(CountedFile::default());
        open.open(&first).unwrap();
        let rejected = |times| -> Arc<dyn OpenFile> {
            Arc::new(CountedFile {
                rejected: AtomicUsize::new(times),
                ..CountedFile::default()
            })
        };
        open.open(&rejected(1)).unwrap();
        assert_eq!(open.0.len(), 1);
        assert!(open.open(&rejected(2)).is_err());
    }
}
