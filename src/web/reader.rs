//! Reads files for answers, off the loop.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::post::{Chunk, ExchangeId, Post};
use crate::reactor::Shared;

/// The most that is read, and held for one connection, at a time.
pub(super) const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// The same when there is little room for output in all.
const CROWDED_BYTES_MAX: usize = 16 * 1024;
/// How many pieces of that size are kept to be filled again.
const POOL_MAX: usize = 32;
/// How long they are kept while nobody asks for any.
const POOL_IDLE: Duration = Duration::from_secs(1);

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
    /// Bytes that were asked for and have not come: they are output that nobody has counted yet.
    pub(super) expected: usize,
}

impl Reader {
    pub(super) fn start<M: Send + 'static>(post: Post<M>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new().name("files".into()).spawn(move || {
            let mut pool = Pool::default();
            while let Some(job) = next(&queue, &mut pool) {
                post.chunk(job.to, job.len, pool.read(&job));
            }
        })?;
        Ok(Self { jobs, expected: 0 })
    }

    /// Asks for the next piece, a small one if `room` is all that may be added to the output; `false` when
    /// the thread has ended.
    pub(super) fn read(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: u64,
        room: usize,
        to: ExchangeId,
    ) -> bool {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let len = len.min(piece_bytes_max(room.saturating_sub(self.expected)));
        self.expected += len;
        self.jobs
            .send(Job {
                file: Arc::clone(file),
                offset,
                len,
                to,
            })
            .is_ok()
    }

    /// A piece has come for which so much was asked.
    pub(super) fn has_come(&mut self, asked: usize) {
        self.expected = self.expected.saturating_sub(asked);
    }
}

/// The largest piece to be read when this is all that may be added to the output. The last half of it is for
/// others, who cannot ask for less.
fn piece_bytes_max(room: usize) -> usize {
    if room / 2 >= CHUNK_BYTES_MAX {
        CHUNK_BYTES_MAX
    } else {
        CROWDED_BYTES_MAX
    }
}

/// Waits for a job. The pool is given back when there is none for a while.
fn next(queue: &Receiver<Job>, pool: &mut Pool) -> Option<Job> {
    if !pool.pieces.is_empty() {
        match queue.recv_timeout(POOL_IDLE) {
            Err(RecvTimeoutError::Timeout) => *pool = Pool::default(),
            job => return job.ok(),
        }
    }
    queue.recv().ok()
}

/// Pieces that were read and are perhaps sent by now: fresh memory costs the kernel more than
/// reading into it does.
#[derive(Default)]
struct Pool {
    pieces: Vec<Shared>,
}

impl Pool {
    /// Exactly as many bytes as were asked for: fewer means that the file was cut short.
    fn read(&mut self, job: &Job) -> Chunk {
        let fill = |bytes: &mut [u8]| job.file.read_exact_at(bytes, job.offset);
        for piece in &mut self.pieces {
            if piece.len() >= job.len
                && let Some(bytes) = piece.get_mut()
            {
                fill(bytes.get_mut(..job.len).unwrap_or_default())?;
                return Ok(piece.slice(0..job.len));
            }
        }
        let piece = Shared::fill(job.len, fill)?;
        if job.len == CHUNK_BYTES_MAX && self.pieces.len() < POOL_MAX {
            self.pieces.push(piece.clone());
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::reactor::ConnId;

    /// A job for `len` bytes of a file that has `file_len` of them, all the same.
    fn job(byte: u8, file_len: usize, len: usize) -> Job {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![byte; file_len]).unwrap();
        let to = ExchangeId {
            conn: ConnId::NONE,
            number: 0,
        };
        Job {
            file: Arc::new(file),
            offset: 0,
            len,
            to,
        }
    }

    const LEN: usize = CHUNK_BYTES_MAX;

    #[test]
    fn what_is_held_is_not_written_over() {
        let mut pool = Pool::default();
        let held = pool.read(&job(b'a', LEN, LEN)).unwrap();
        let other = pool.read(&job(b'b', LEN, LEN)).unwrap();
        assert_eq!(held.as_ref(), [b'a'; LEN]);
        assert_eq!(other.as_ref(), [b'b'; LEN]);
        assert_eq!(pool.pieces.len(), 2);
    }

    #[test]
    fn what_was_sent_is_filled_again() {
        let mut pool = Pool::default();
        let first = pool.read(&job(b'a', LEN, LEN)).unwrap();
        let place = first.as_ref().as_ptr();
        drop(first);
        let second = pool.read(&job(b'b', LEN, 10)).unwrap();
        assert_eq!(second.as_ref(), [b'b'; 10]);
        assert_eq!(second.as_ref().as_ptr(), place);
        assert_eq!(pool.pieces.len(), 1);
    }

    #[test]
    fn a_file_cut_short_is_an_error_every_time() {
        let mut pool = Pool::default();
        drop(pool.read(&job(b'a', LEN, LEN)).unwrap());
        for _ in 0..2 {
            assert!(pool.read(&job(b'b', LEN - 1, LEN)).is_err());
        }
    }

    #[test]
    fn the_pool_is_bounded_and_holds_full_pieces_only() {
        let mut pool = Pool::default();
        let short = pool.read(&job(b'a', 10, 10)).unwrap();
        assert_eq!((short.len(), pool.pieces.len()), (10, 0));
        let job = job(b'a', LEN, LEN);
        let pieces: Vec<_> = (0..POOL_MAX + 5).map(|_| pool.read(&job)).collect();
        assert!(pieces.iter().all(Result::is_ok));
        assert_eq!(pool.pieces.len(), POOL_MAX);
    }
}
