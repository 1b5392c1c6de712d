//! What a connection needs of the rest while it is served.

use std::fs::File;
use std::sync::Arc;

use super::Service;
use super::post::{ExchangeId, Post};
use super::reader::Reader;
use crate::proto::http1::encode::Common;

/// What a connection needs of the rest while it is served.
pub(super) struct Tools<'a, S: Service> {
    pub(super) service: &'a mut S,
    pub(super) buffers: &'a mut Buffers,
    pub(super) common: &'a Common,
    pub(super) post: &'a Post<S::Mail>,
    pub(super) reader: &'a mut Option<Reader>,
}

impl<S: Service> Tools<'_, S> {
    /// Asks for a piece of a file; `false` when that cannot be done.
    pub(super) fn read(&mut self, file: &Arc<File>, offset: u64, len: u64, to: ExchangeId) -> bool {
        if self.reader.is_none() {
            match Reader::start(self.post.clone()) {
                Ok(reader) => *self.reader = Some(reader),
                Err(error) => log::error!("cannot start the thread that reads files: {error}"),
            }
        }
        self.reader
            .as_ref()
            .is_some_and(|reader| reader.read(file, offset, len, to))
    }
}

/// Buffers of WebSocket messages under way, for the next one that needs one.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    const MAX: usize = 64;
    const BYTES_MAX: usize = 64 * 1024;

    pub(super) fn put(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < Self::MAX && buffer.capacity() <= Self::BYTES_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }

    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.0.pop()
    }
}
