//! Sees when a folder changes.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::folder::Folder;
use super::options::Options;

/// How long it rests between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// A thread that looks at a folder once a second, and calls back with a new picture when something
/// has changed. It ends when this is dropped, which waits for the look or callback under way.
///
/// Files that have not changed are shared between the pictures. When a look fails, as it does while
/// the folder is being replaced, the picture before stays.
#[derive(Debug)]
pub struct Watcher {
    /// Nothing is ever sent: the thread sees that this end is gone.
    stop: Option<Sender<Infallible>>,
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
        options: Options,
        first: Arc<Folder>,
        changed: impl FnMut(Arc<Folder>) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let watch = Watch::new(root, options, first);
        let thread = thread::Builder::new()
            .name("files-watch".into())
            .spawn(move || watch.run(&stopped, changed))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            // The callback may be the one that drops it.
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            log::error!("the thread that watches files panicked");
        }
    }
}

/// What the thread knows.
pub(super) struct Watch {
    root: PathBuf,
    options: Options,
    current: Arc<Folder>,
    failure: Option<io::ErrorKind>,
    /// Pictures and open files that were replaced, until nobody else uses them: so it is this thread
    /// that frees and closes them, which can take long, and not a reactor's.
    retired: Vec<Arc<Folder>>,
    closing: Vec<Arc<File>>,
}

impl Watch {
    pub(super) fn new(root: &Path, options: Options, first: Arc<Folder>) -> Self {
        Self {
            root: root.to_path_buf(),
            options,
            current: first,
            failure: None,
            retired: Vec::new(),
            closing: Vec::new(),
        }
    }

    fn run(mut self, stopped: &Receiver<Infallible>, mut changed: impl FnMut(Arc<Folder>)) {
        loop {
            match stopped.recv_timeout(INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(never) => match never {},
            }
            if let Some(folder) = self.look() {
                changed(folder);
            }
        }
    }

    /// The folder as it is now, if that is news.
    pub(super) fn look(&mut self) -> Option<Arc<Folder>> {
        self.retired.retain(|folder| Arc::strong_count(folder) > 1);
        self.closing.retain(|file| Arc::strong_count(file) > 1);
        match self.current.refresh(&self.root, &self.options) {
            Ok(folder) => {
                self.failure = None;
                self.replace(Arc::new(folder))
            }
            Err(error) => {
                if self.failure.replace(error.kind()) != Some(error.kind()) {
                    log::warn!("cannot look at {}: {error}", self.root.display());
                }
                None
            }
        }
    }

    fn replace(&mut self, folder: Arc<Folder>) -> Option<Arc<Folder>> {
        let is_news = !folder.is_same(&self.current);
        self.closing
            .extend(self.current.files_not_in(&folder).map(Arc::clone));
        let before = std::mem::replace(&mut self.current, Arc::clone(&folder));
        self.retired.push(before);
        is_news.then_some(folder)
    }
}
