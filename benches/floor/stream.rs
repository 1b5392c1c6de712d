//! Responses: the same bytes again and again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use edgeloop::proto::ws::frame::{self, Opcode};

use crate::Failure;

/// Kind of the request that a response is for.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    /// Whatever one read brings.
    ByRead,
    /// So many bytes, after an upgrade.
    ByBytes(usize),
}

pub(crate) struct Stream {
    pub(crate) asked: Asked,
    /// Of one answer.
    pub(crate) unit_bytes: usize,
    /// As many answers as one write can have, wherever in one it begins; or what comes before a file.
    bytes: Vec<u8>,
    file: Option<File>,
}

impl Stream {
    /// HTTP answers with so much content.
    pub(crate) fn of_answers(content_bytes: usize, write_bytes: usize) -> Self {
        let mut unit = head(content_bytes);
        unit.resize(unit.len() + content_bytes, b'x');
        Self::repeated(Asked::ByRead, &unit, write_bytes)
    }

    /// HTTP answers with a file.
    pub(crate) fn of_file(file: &Path) -> Result<Self, Failure> {
        let file = File::open(file)?;
        let content_bytes = usize::try_from(file.metadata()?.len())?;
        let bytes = head(content_bytes);
        Ok(Self {
            asked: Asked::ByRead,
            unit_bytes: bytes.len() + content_bytes,
            bytes,
            file: Some(file),
        })
    }

    /// Echoes of messages of so many bytes.
    pub(crate) fn of_echoes(payload_bytes: usize, write_bytes: usize) -> Self {
        let payload = vec![b'x'; payload_bytes];
        let (mut asked, mut unit) = (Vec::new(), Vec::new());
        frame::encode_masked(&mut asked, Opcode::Binary, &payload, [1, 2, 3, 4]);
        frame::encode(&mut unit, Opcode::Binary, &payload);
        Self::repeated(Asked::ByBytes(asked.len()), &unit, write_bytes)
    }

    fn repeated(asked: Asked, unit: &[u8], write_bytes: usize) -> Self {
        Self {
            asked,
            unit_bytes: unit.len(),
            bytes: unit.repeat(write_bytes.div_ceil(unit.len()) + 1),
            file: None,
        }
    }

    /// At most `count` bytes from `place` in an answer on; `room` is for what is read from a file.
    pub(crate) fn piece<'a>(
        &'a self,
        place: usize,
        count: usize,
        room: &'a mut [u8],
    ) -> io::Result<&'a [u8]> {
        match (self.bytes.get(place..), &self.file) {
            (Some(rest), _) if !rest.is_empty() => Ok(rest.get(..count).unwrap_or(rest)),
            (_, Some(file)) => {
                let offset = place - self.bytes.len();
                let count = count.min(self.unit_bytes - place);
                // Some processors copy several times slower to just behind a page's start.
                let skip = room.as_ptr().align_offset(64);
                let piece = room.get_mut(skip..skip + count).unwrap_or_default();
                file.read_exact_at(piece, offset as u64)?;
                Ok(piece)
            }
            _ => Ok(&[]),
        }
    }
}

fn head(content_bytes: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {content_bytes}\r\n\r\n").into_bytes()
}
