//! Reads files for answers, off the loop.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::post::{Chunk, ExchangeId, Post};
use crate::reactor::Shared;

/// The most that is read, and held for one connection, at a time.
pub(super) const CHUNK_BYTES_MAX: usize = 256 * 1024;

struct Job {
    file: Arc<File>,
    offset: u64,
    len: usize,
    to: ExchangeId,
}

/// The thread that reads. There is one job at a time for each connection, so the queue needs no
/// limit of its own.
#[derive(Debug)]
pub(super) struct Reader {
    jobs: Sender<Job>,
}

impl Reader {
    pub(super) fn start<M: Send + 'static>(post: Post<M>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new().name("files".into()).spawn(move || {
            for Job {
                file,
                offset,
                len,
                to,
            } in queue
            {
                post.chunk(to, read(&file, offset, len));
            }
        })?;
        Ok(Self { jobs })
    }

    /// Asks for the next piece; `false` when the thread has ended.
    pub(super) fn read(&self, file: &Arc<File>, offset: u64, len: u64, to: ExchangeId) -> bool {
        let len = usize::try_from(len).map_or(CHUNK_BYTES_MAX, |len| len.min(CHUNK_BYTES_MAX));
        self.jobs
            .send(Job {
                file: Arc::clone(file),
                offset,
                len,
                to,
            })
            .is_ok()
    }
}

/// Exactly `len` bytes: fewer means that the file was cut short.
fn read(file: &File, offset: u64, len: usize) -> Chunk {
    Shared::fill(len, |bytes| file.read_exact_at(bytes, offset))
}
