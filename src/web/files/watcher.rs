//! Sees when a folder changes.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::encode::EncodeStep;
use super::notices::Notices;
use super::options::FileOptions;
use super::snapshot::Snapshot;
use crate::web::priority::stand_back;

/// Pause before it asks again if something has changed: many changes are one scan.
const INTERVAL: Duration = Duration::from_secs(1);

/// So many times nothing may have changed before it looks nevertheless: a file can also be written by a name
/// that it has elsewhere, or through a mapping, of which nobody is told.
const QUIET_MAX: u32 = 60;

/// Number of bytes of files are compressed between two looks, at most: some tenths of a second.
const STEP_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A thread that sees when a folder changes, within a second, and calls back with a new picture. It ends
/// when this is dropped, which waits for the look or callback under way.
///
/// The kernel tells it of changes (inotify), so that a folder at rest costs next to nothing. Where it cannot,
/// as on file systems of other machines, the folder is looked at once a second, and the log says so.
///
/// Files that have not changed are shared between the pictures. When a look fails, as it does while
/// the folder is being replaced, the picture before stays.
///
/// The encoded forms of files are made here too, those of the first picture right after the start. A
/// file that has changed is seen as it is at first, and soon after with them in a further picture.
#[derive(Debug)]
pub struct Watcher {
    /// The thread sees when this end is gone.
    wishes: Option<Sender<FileOptions>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts the thread. `first` is a picture of `root` made with the same options; `changed` is
    /// called on the thread, and does not need to be quick.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        root: &Path,
        options: FileOptions,
        first: Arc<Snapshot>,
        changed: impl FnMut(Arc<Snapshot>) + Send + 'static,
    ) -> io::Result<Self> {
        let (wishes, wished) = mpsc::channel();
        let watch = Watch::new(root, options, first);
        let thread = thread::Builder::new()
            .name("files-watch".into())
            .spawn(move || watch.run(&wished, changed))?;
        Ok(Self {
            wishes: Some(wishes),
            thread: Some(thread),
        })
    }

    /// Goes on with other options. A picture made with them comes at once.
    pub fn set_options(&self, options: FileOptions) {
        if let Some(wishes) = &self.wishes {
            // The thread has only ended if it panicked, which is logged.
            wishes.send(options).ok();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.wishes.take());
        if let Some(thread) = self.thread.take()
            // The callback may be the one that drops it.
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            log::error!("the thread that watches files panicked");
        }
    }
}

/// State of the thread.
pub(super) struct Watch {
    root: PathBuf,
    options: FileOptions,
    current: Arc<Snapshot>,
    failure: Option<io::ErrorKind>,
    notices: Notices,
    /// Number of checks without a change since the last scan.
    quiet: u32,
    /// Pictures and open files that were replaced, until nobody else uses them: so it is this thread
    /// that frees and closes them, which can take long, and not a reactor's.
    retired: Vec<Arc<Snapshot>>,
    closing: Vec<Arc<File>>,
}

impl Watch {
    pub(super) fn new(root: &Path, options: FileOptions, first: Arc<Snapshot>) -> Self {
        Self {
            root: root.to_path_buf(),
            options,
            current: first,
            failure: None,
            notices: Notices::new(),
            quiet: 0,
            retired: Vec::new(),
            closing: Vec::new(),
        }
    }

    fn run(mut self, wished: &Receiver<FileOptions>, mut changed: impl FnMut(Arc<Snapshot>)) {
        stand_back("who watches files");
        loop {
            let (news, has_more) = self.encode();
            news.map(&mut changed);
            let pause = if has_more { Duration::ZERO } else { INTERVAL };
            let news = match wished.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => self.scan_if_due(),
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(options) => self.set_options(options),
            };
            news.map(&mut changed);
        }
    }

    /// The folder with more encoded forms than before, if there are more, and whether even more are
    /// to be made.
    pub(super) fn encode(&mut self) -> (Option<Arc<Snapshot>>, bool) {
        match self.current.encode(&self.options, STEP_BYTES_MAX) {
            Ok(None) => (None, false),
            Ok(Some(EncodeStep { folder, has_more })) => (self.replace(Arc::new(folder)), has_more),
            Err(error) => {
                self.complain(&error);
                (None, false)
            }
        }
    }

    /// The folder with the field lines of other options.
    pub(super) fn set_options(&mut self, options: FileOptions) -> Option<Arc<Snapshot>> {
        let keeps_forms = options.compress_bytes_max == self.options.compress_bytes_max;
        match self.current.remade(&options, keeps_forms) {
            Ok(folder) => {
                self.options = options;
                // There may be room for more files than before, or for fewer.
                self.quiet = QUIET_MAX;
                self.replace(Arc::new(folder))
            }
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if self.failure.replace(error.kind()) != Some(error.kind()) {
            log::warn!("cannot look at {}: {error}", self.root.display());
        }
    }

    /// The folder as it is now, if anything may have changed and that is news.
    pub(super) fn scan_if_due(&mut self) -> Option<Arc<Snapshot>> {
        self.clear();
        // It is asked in any case, so that its queue is emptied.
        let has_notices = self.notices.has_any(&self.root);
        self.quiet += 1;
        let is_due = has_notices
            || self.quiet >= QUIET_MAX
            || self.failure.is_some()
            || !self.current.is_settled;
        is_due.then(|| self.scan())?
    }

    /// Frees and closes what nobody else uses any more.
    fn clear(&mut self) {
        self.retired.retain(|folder| Arc::strong_count(folder) > 1);
        self.closing.retain(|file| Arc::strong_count(file) > 1);
    }

    /// The folder as it is now, if that is news.
    pub(super) fn scan(&mut self) -> Option<Arc<Snapshot>> {
        self.clear();
        self.quiet = 0;
        self.notices.begin(&self.root);
        let notices = &mut self.notices;
        let enter = &mut |folder: BorrowedFd<'_>| notices.enter(folder);
        let folder = self.current.scan_again(&self.root, &self.options, enter);
        self.notices.end(&self.root);
        match folder {
            Ok(folder) => {
                self.failure = None;
                self.replace(Arc::new(folder))
            }
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    /// Number of checks without a change since the last scan.
    #[cfg(test)]
    pub(super) fn quiet(&self) -> u32 {
        self.quiet
    }

    /// As if all changes were long over, or some not.
    #[cfg(test)]
    pub(super) fn settle(&mut self, is_settled: bool) {
        let mut folder = (*self.current).clone().settle();
        folder.is_settled = is_settled;
        self.current = Arc::new(folder);
    }

    fn replace(&mut self, folder: Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let should_record = !folder.is_same(&self.current);
        self.closing
            .extend(self.current.files_not_in(&folder).map(Arc::clone));
        let before = std::mem::replace(&mut self.current, Arc::clone(&folder));
        self.retired.push(before);
        should_record.then_some(folder)
    }
}
