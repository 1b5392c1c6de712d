//! One attempt to read or to write, and what it says about readiness.

use std::io;

use super::Readiness;
use crate::reactor::socket::Transport;

/// Outcome of one read.
pub(super) enum ReadOutcome {
    /// So many bytes came.
    Bytes(usize),
    /// The peer will send nothing more.
    Eof,
    /// There is nothing now.
    Nothing,
    /// The wire is broken.
    Failed,
}

/// One read, whatever signals come in between.
pub(super) fn read(wire: &mut impl Transport, room: &mut [u8]) -> ReadOutcome {
    // A read of nothing returns nothing, which is how the end looks.
    if !invariant!(!room.is_empty(), "a read has room") {
        return ReadOutcome::Failed;
    }
    loop {
        return match wire.read(room) {
            Ok(0) => ReadOutcome::Eof,
            Ok(count) => ReadOutcome::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ReadOutcome::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => ReadOutcome::Failed,
        };
    }
}

/// One write: how many bytes were taken, or `None` when the wire is broken.
pub(super) fn write(mut write: impl FnMut() -> io::Result<usize>) -> Option<usize> {
    loop {
        return match write() {
            Ok(count) => Some(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => None,
        };
    }
}

/// epoll(7) allows to take a short read for `EAGAIN`, unless the peer has closed.
pub(super) fn after_read(count: usize, room: usize, closing: bool) -> Readiness {
    if count < room && !closing {
        Readiness::Cleared
    } else {
        Readiness::Kept
    }
}

/// The same for a short write.
pub(super) fn after_write(count: usize, offered: usize) -> Readiness {
    if count < offered {
        Readiness::Cleared
    } else {
        Readiness::Kept
    }
}
