//! Reads files for answers: what the kernel has in memory at once, the rest on a thread of its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::open_files::OpenFiles;
use super::response::{FileBody, FileHandle, FileSource};
use super::sender::{ExchangeId, FileChunk, ServiceSender};
use crate::invariant::part_mut;
use crate::reactor::Shared;

/// The most that is read, and held for one connection, at a time.
pub(super) const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// The same on the loop, where the piece is to be still in the processor's cache when it is sent.
const NOW_BYTES_MAX: usize = 64 * 1024;
/// Queued output above which no more of a file is read: what one write takes.
pub(super) const AHEAD_BYTES_MAX: usize = 128 * 1024;
/// The most at a time when there is little room for output in all.
const CROWDED_BYTES_MAX: usize = 16 * 1024;
/// Number of pieces of that size the thread keeps to fill them again.
const POOL_MAX: usize = 32;
/// The same for the loop.
const NOW_POOL_MAX: usize = 64;
/// Time they are kept while none is asked for.
const POOL_IDLE: Duration = Duration::from_secs(1);

struct ReadJob {
    file: FileSource,
    offset: u64,
    len: usize,
    to: ExchangeId,
}

/// The next piece of a file.
#[derive(Debug)]
pub(super) enum Piece {
    /// Here it is.
    Here(Shared),
    /// It will come by mail.
    Later,
    /// There is no thread that could read it.
    Never,
}

/// Reads pieces of files. A connection has one on its way at a time, so the thread's queue needs no limit of
/// its own.
#[derive(Debug, Default)]
pub(super) struct Reader {
    jobs: Option<Sender<ReadJob>>,
    /// Bytes that were asked for and have not come: they are output that nobody has counted yet.
    pub(super) expected: usize,
    pool: PiecePool,
    /// Pieces were read on the loop since the last [`rest`](Self::rest).
    is_in_use: bool,
    #[cfg(test)]
    pub(super) is_never_now: bool,
}

impl Reader {
    /// Reads the first piece of what is left of a body, or asks for it: a small one if `room` is all that
    /// may be added to the output.
    pub(super) fn read<M: Send + 'static>(
        &mut self,
        post: &ServiceSender<M>,
        part: &FileBody,
        room: usize,
        to: ExchangeId,
    ) -> Piece {
        let room = room.saturating_sub(self.expected);
        let left = usize::try_from(part.len).unwrap_or(usize::MAX);
        if let Some(piece) = self.read_now(part, left.min(piece_bytes_max(room, NOW_BYTES_MAX))) {
            return Piece::Here(piece);
        }
        let len = left.min(piece_bytes_max(room, CHUNK_BYTES_MAX));
        let job = ReadJob {
            file: part.file.clone(),
            offset: part.offset,
            len,
            to,
        };
        match self.thread(post) {
            Some(jobs) if jobs.send(job).is_ok() => {
                self.expected += len;
                Piece::Later
            }
            _ => Piece::Never,
        }
    }

    /// Reads those of the next `len` bytes that need no disk, at least one.
    fn read_now(&mut self, part: &FileBody, len: usize) -> Option<Shared> {
        #[cfg(test)]
        if self.is_never_now {
            return None;
        }
        let file = part.file.held()?;
        self.is_in_use = true;
        let read = |bytes: &mut [u8]| read_cached(file, bytes, part.offset);
        let piece = self.pool.fill(len, NOW_BYTES_MAX, NOW_POOL_MAX, read);
        piece.ok().filter(|piece| !piece.is_empty())
    }

    /// Gives the memory back if nothing was read since the last call.
    pub(super) fn rest(&mut self) {
        if !std::mem::take(&mut self.is_in_use) {
            self.pool = PiecePool::default();
        }
    }

    /// A piece has come for which so much was asked.
    pub(super) fn has_come(&mut self, meta: usize) {
        self.expected = self.expected.saturating_sub(meta);
    }

    /// The way to the thread, which is started for the first job.
    fn thread<M: Send + 'static>(&mut self, post: &ServiceSender<M>) -> Option<&Sender<ReadJob>> {
        if self.jobs.is_none() {
            match start(post.clone()) {
                Ok(jobs) => self.jobs = Some(jobs),
                Err(error) => log::error!("cannot start the thread that reads files: {error}"),
            }
        }
        self.jobs.as_ref()
    }
}

fn start<M: Send + 'static>(post: ServiceSender<M>) -> io::Result<Sender<ReadJob>> {
    let (jobs, queue) = mpsc::channel();
    thread::Builder::new().name("files".into()).spawn(move || {
        let mut kept = ReaderState::default();
        while let Some(job) = next(&queue, &mut kept) {
            post.chunk(job.to, job.len, kept.read(&job));
        }
    })?;
    Ok(jobs)
}

/// The largest piece to be read when this is all that may be added to the output. The last half of it is for
/// others, who cannot ask for less.
fn piece_bytes_max(room: usize, max: usize) -> usize {
    if room / 2 >= max {
        max
    } else {
        CROWDED_BYTES_MAX
    }
}

/// Reads what the page cache has of a file: `RWF_NOWAIT` of preadv2(2), which fails rather than wait.
#[cfg(feature = "files")]
fn read_cached(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut room = [io::IoSliceMut::new(bytes)];
    Ok(preadv2(file, &mut room, offset, ReadWriteFlags::NOWAIT)?)
}

#[cfg(not(feature = "files"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns `true` if the file system of a file that the kernel has in memory can say so.
#[cfg(test)]
pub(super) fn can_read_now(file: &File) -> bool {
    read_cached(file, &mut [0], 0).is_ok()
}

/// State of the thread between jobs.
#[derive(Debug, Default)]
struct ReaderState {
    pool: PiecePool,
    files: OpenFiles,
}

impl ReaderState {
    fn read(&mut self, job: &ReadJob) -> FileChunk {
        let file = match job.file.source() {
            FileHandle::Open(file) => file,
            FileHandle::OnDemand(file) => self.files.open(file)?,
        };
        self.pool.read(file, job)
    }

    fn is_empty(&self) -> bool {
        self.pool.pieces.is_empty() && self.files.is_empty()
    }
}

/// Waits for a job. What is kept is given back when there is none for a while.
fn next(queue: &Receiver<ReadJob>, kept: &mut ReaderState) -> Option<ReadJob> {
    if !kept.is_empty() {
        match queue.recv_timeout(POOL_IDLE) {
            Err(RecvTimeoutError::Timeout) => *kept = ReaderState::default(),
            job => return job.ok(),
        }
    }
    queue.recv().ok()
}

/// Pieces that were read and are perhaps sent by now: fresh memory costs the kernel more than
/// reading into it does.
#[derive(Debug, Default)]
struct PiecePool {
    pieces: Vec<Shared>,
}

impl PiecePool {
    /// Exactly as many bytes as were asked for: fewer means that the file was cut short.
    fn read(&mut self, file: &File, job: &ReadJob) -> FileChunk {
        self.fill(job.len, CHUNK_BYTES_MAX, POOL_MAX, |bytes| {
            file.read_exact_at(bytes, job.offset)?;
            Ok(bytes.len())
        })
    }

    /// Has `len` bytes filled, and gives back as many as were. Those of `full` bytes are kept, up to `max`.
    fn fill(
        &mut self,
        len: usize,
        full: usize,
        max: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> FileChunk {
        for piece in &mut self.pieces {
            if piece.len() >= len
                && let Some(bytes) = piece.get_mut()
            {
                let filled = fill(part_mut(bytes, ..len))?;
                return Ok(piece.slice(0..filled));
            }
        }
        let mut filled = 0;
        let piece = Shared::fill(len, |bytes| {
            filled = fill(bytes)?;
            Ok::<_, io::Error>(())
        })?;
        let part = piece.slice(0..filled);
        if len == full && self.pieces.len() < max {
            self.pieces.push(piece);
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::reactor::ConnId;

    /// A job for `len` bytes of a file that has `file_len` of them, all the same.
    fn job(byte: u8, file_len: usize, len: usize) -> ReadJob {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![byte; file_len]).unwrap();
        let to = ExchangeId {
            conn: ConnId::NONE,
            number: 0,
        };
        ReadJob {
            file: Arc::new(file).into(),
            offset: 0,
            len,
            to,
        }
    }

    const LEN: usize = CHUNK_BYTES_MAX;

    #[test]
    fn what_is_held_is_not_written_over() {
        let mut kept = ReaderState::default();
        let held = kept.read(&job(b'a', LEN, LEN)).unwrap();
        let other = kept.read(&job(b'b', LEN, LEN)).unwrap();
        assert_eq!(held.as_ref(), [b'a'; LEN]);
        assert_eq!(other.as_ref(), [b'b'; LEN]);
        assert_eq!(kept.pool.pieces.len(), 2);
    }

    #[test]
    fn what_was_sent_is_filled_again() {
        let mut kept = ReaderState::default();
        let first = kept.read(&job(b'a', LEN, LEN)).unwrap();
        let place = first.as_ref().as_ptr();
        drop(first);
        let second = kept.read(&job(b'b', LEN, 10)).unwrap();
        assert_eq!(second.as_ref(), [b'b'; 10]);
        assert_eq!(second.as_ref().as_ptr(), place);
        assert_eq!(kept.pool.pieces.len(), 1);
    }

    #[test]
    fn what_the_kernel_has_in_memory_comes_at_once() {
        let ReadJob { file, .. } = job(b'a', 100_000, 0);
        let part = FileBody {
            file,
            offset: 0,
            len: 100_000,
        };
        let mut reader = Reader::default();
        let Some(first) = reader.read_now(&part, NOW_BYTES_MAX) else {
            assert!(!can_read_now(&part.file.open().unwrap()));
            return;
        };
        assert_eq!(first.as_ref(), [b'a'; NOW_BYTES_MAX]);
        let end = FileBody {
            offset: 99_990,
            ..part.clone()
        };
        assert_eq!(reader.read_now(&end, 20).unwrap().as_ref(), [b'a'; 10]);
        let behind = FileBody {
            offset: 100_000,
            ..part
        };
        assert!(reader.read_now(&behind, 20).is_none());
        reader.rest();
        assert_eq!(reader.pool.pieces.len(), 1);
        reader.rest();
        assert!(reader.pool.pieces.is_empty());
    }

    #[test]
    fn a_file_cut_short_is_an_error_every_time() {
        let mut kept = ReaderState::default();
        drop(kept.read(&job(b'a', LEN, LEN)).unwrap());
        for _ in 0..2 {
            assert!(kept.read(&job(b'b', LEN - 1, LEN)).is_err());
        }
    }

    #[test]
    fn the_pool_is_bounded_and_holds_full_pieces_only() {
        let mut kept = ReaderState::default();
        let short = kept.read(&job(b'a', 10, 10)).unwrap();
        assert_eq!((short.len(), kept.pool.pieces.len()), (10, 0));
        let job = job(b'a', LEN, LEN);
        let pieces: Vec<_> = (0..POOL_MAX + 5).map(|_| kept.read(&job)).collect();
        assert!(pieces.iter().all(Result::is_ok));
        assert_eq!(kept.pool.pieces.len(), POOL_MAX);
    }
}
