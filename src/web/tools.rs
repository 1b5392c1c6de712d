//! Services of the web layer that a connection uses while it is served.

use std::sync::Arc;

use super::Service;
use super::reader::{Piece, Reader};
use super::response::FileBody;
use super::sender::{ExchangeId, ServiceSender};
use crate::proto::http1::encode::Common;
use crate::proto::ws::Receiver;
use crate::proto::ws::deflate::{Deflaters, Inflater};
use crate::reactor::Cx;

/// Services of the web layer that a connection uses while it is served.
pub(super) struct Tools<'a, S: Service> {
    pub(super) service: &'a mut S,
    pub(super) buffers: &'a mut MessageBuffers,
    pub(super) common: &'a Common,
    pub(super) post: &'a ServiceSender<S::Mail>,
    pub(super) reader: &'a mut Reader,
}

impl<S: Service> Tools<'_, S> {
    /// Reads, or asks for, the next piece of a body that is in a file.
    pub(super) fn read(&mut self, cx: &Cx<'_>, part: &FileBody, to: ExchangeId) -> Piece {
        let room = cx.output_room_bytes();
        self.reader.read(self.post, part, room, to)
    }
}

/// Resources that WebSockets share: buffers of messages under way, for the next one that needs one, and
/// what compresses and decompresses.
#[derive(Debug, Default)]
pub(super) struct MessageBuffers {
    spare: Vec<Vec<u8>>,
    inflater: Option<Box<Inflater>>,
    pub(super) deflaters: Deflaters,
    /// The path of the last WebSocket.
    path: Arc<str>,
}

impl MessageBuffers {
    const MAX: usize = 64;
    const BYTES_MAX: usize = 64 * 1024;

    pub(super) fn put(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < Self::MAX && buffer.capacity() <= Self::BYTES_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// A path to keep: most WebSockets have the same.
    pub(super) fn path(&mut self, path: &str) -> Arc<str> {
        if *self.path != *path {
            self.path = path.into();
        }
        Arc::clone(&self.path)
    }

    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.spare.pop()
    }

    /// Lends what a connection may need to read what has arrived.
    pub(super) fn lend(&mut self, receiver: &mut Receiver) {
        if let Some(spare) = self.take().and_then(|buffer| receiver.lend(buffer)) {
            self.put(spare);
        }
        self.inflater = self
            .inflater
            .take()
            .and_then(|inflater| receiver.lend_inflater(inflater));
    }

    /// Takes back what it does not hold on to.
    pub(super) fn take_back(&mut self, receiver: &mut Receiver) {
        if let Some(buffer) = receiver.recycle() {
            self.put(buffer);
        }
        if let Some(inflater) = receiver.recycle_inflater() {
            self.inflater = Some(inflater);
        }
    }
}
