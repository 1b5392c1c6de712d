//! An answer as a service makes it.

use std::any::Any;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::proto::http1::encode::{self, BodyForm, Common};
use crate::proto::http1::{BodyLength, ConnectionAction, RequestMeta};
use crate::reactor::{Cx, Shared};

/// Bodies up to this size are copied behind their head, so that both leave in one piece.
const COPIED_BYTES_MAX: usize = 4096;

/// An answer: status, fields, body.
///
/// ```
/// use edgeloop::web::Response;
///
/// let response = Response::text(200, "hello\n").field("Cache-Control", "no-store");
/// assert_eq!(response.status(), 200);
/// ```
#[derive(Debug)]
pub struct Response {
    pub(super) status: u16,
    pub(super) fields: ResponseFields,
    pub(super) body: Body,
    pub(super) close: bool,
    /// Dropped with the response, once all of it was written.
    pub(super) kept: ResponseGuard,
}

/// A value that lives as long as a response is under way.
pub(super) type ResponseGuard = Option<Box<dyn Any + Send>>;

/// Field lines, as they go out: those made once for many answers, and what this one adds to them.
#[derive(Debug)]
pub(super) struct ResponseFields {
    made: Made,
    own: Vec<u8>,
}

#[derive(Debug)]
enum Made {
    Static(&'static [u8]),
    Shared(Shared),
}

impl ResponseFields {
    const fn new(made: &'static [u8]) -> Self {
        Self {
            made: Made::Static(made),
            own: Vec::new(),
        }
    }

    fn made(&self) -> &[u8] {
        match &self.made {
            Made::Static(lines) => lines,
            Made::Shared(lines) => lines.as_ref(),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Body {
    /// None.
    Empty,
    /// Bytes of this answer alone.
    Bytes(Vec<u8>),
    /// Bytes that are a part of the program.
    Static(&'static [u8]),
    /// Bytes that go by reference.
    Shared(Shared),
    /// A part of a file, read while it is sent; off the loop where the kernel has it not in memory.
    File(FileBody),
    /// Pieces, one after another.
    Parts(Vec<Part>),
    /// Written by the service while it goes out: see [`StreamCx`](super::StreamCx).
    Stream,
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes that go by reference.
    Shared(Shared),
    /// A part of a file, read while it is sent; off the loop where the kernel has it not in memory.
    File(FileBody),
}

impl Part {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Shared(shared) => shared.len() as u64,
            Self::File(part) => part.len,
        }
    }

    /// Returns `true` if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file to read from: one that is open, or one that is opened when it is read, by the thread that reads.
///
/// One pointer, as every answer has room for it.
#[derive(Clone, Debug)]
pub struct FileSource(Arc<FileHandle>);

#[derive(Debug)]
pub(super) enum FileHandle {
    Open(Arc<File>),
    OnDemand(Arc<dyn OpenFile>),
}

/// Opens a file, off the loop. It may be closed and opened again while a body is sent, as few are held open at
/// a time: what is not the same file any more is an error, and ends the connection.
pub trait OpenFile: fmt::Debug + Send + Sync {
    /// Opens the file.
    ///
    /// # Errors
    /// It cannot be opened, or it is not the file that was meant.
    fn open(&self) -> io::Result<File>;
}

impl FileSource {
    /// One that is opened when it is read.
    pub fn on_demand(file: Arc<dyn OpenFile>) -> Self {
        Self(Arc::new(FileHandle::OnDemand(file)))
    }

    pub(super) fn source(&self) -> &FileHandle {
        &self.0
    }

    /// The file, where it is open.
    pub fn held(&self) -> Option<&Arc<File>> {
        match &*self.0 {
            FileHandle::Open(file) => Some(file),
            FileHandle::OnDemand(_) => None,
        }
    }

    /// The file, opened if need be: not on the loop.
    ///
    /// # Errors
    /// As [`OpenFile::open`].
    pub fn open(&self) -> io::Result<Arc<File>> {
        match &*self.0 {
            FileHandle::Open(file) => Ok(Arc::clone(file)),
            FileHandle::OnDemand(file) => file.open().map(Arc::new),
        }
    }
}

impl From<Arc<File>> for FileSource {
    fn from(file: Arc<File>) -> Self {
        Self(Arc::new(FileHandle::Open(file)))
    }
}

/// A part of a file.
#[derive(Clone, Debug)]
pub struct FileBody {
    /// File it is read from.
    pub file: FileSource,
    /// Start of the part, in bytes.
    pub offset: u64,
    /// Length in bytes. If the file turns out to be shorter, the connection ends.
    pub len: u64,
}

impl FileBody {
    /// Goes behind a piece that was read; `false` if it is none, or more than there is.
    pub(super) fn take(&mut self, piece: &Shared) -> bool {
        let len = piece.len() as u64;
        let is_part = (1..=self.len).contains(&len);
        if is_part {
            self.offset += len;
            self.len -= len;
        }
        is_part
    }
}

impl Body {
    /// Length in bytes; zero for a stream.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty | Self::Stream => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Static(bytes) => bytes.len() as u64,
            Self::Shared(shared) => shared.len() as u64,
            Self::File(part) => part.len,
            Self::Parts(parts) => parts.iter().map(Part::len).sum(),
        }
    }

    /// Returns `true` if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length as the head has to give it.
    pub(super) fn length(&self) -> BodyLength {
        match self {
            Self::Empty => BodyLength::None,
            Self::Stream => BodyLength::Chunked,
            body => BodyLength::Known(body.len()),
        }
    }

    /// Takes out what is sent piece by piece, after the head; the rest goes out with it.
    pub(super) fn take_parts(&mut self) -> VecDeque<Part> {
        match std::mem::replace(self, Self::Empty) {
            Self::File(part) => [Part::File(part)].into(),
            Self::Parts(parts) => parts.into(),
            whole => {
                *self = whole;
                VecDeque::new()
            }
        }
    }
}

impl Response {
    /// The body, where it is one part of a file.
    #[cfg(all(test, feature = "files"))]
    pub(super) fn file(&self) -> Option<&FileBody> {
        match &self.body {
            Body::File(file) => Some(file),
            _ => None,
        }
    }

    /// An answer with this body.
    pub fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            fields: ResponseFields::new(b""),
            body,
            close: false,
            kept: None,
        }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self::new(status, Body::Empty)
    }

    /// Plain text. A literal is not copied.
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let body = match text.into() {
            Cow::Borrowed(text) => Body::Static(text.as_bytes()),
            Cow::Owned(text) => Body::Bytes(text.into_bytes()),
        };
        Self {
            fields: ResponseFields::new(b"Content-Type: text/plain; charset=utf-8\r\n"),
            ..Self::new(status, body)
        }
    }

    /// JSON, serialised already.
    pub fn json(status: u16, json: impl Into<Vec<u8>>) -> Self {
        Self {
            fields: ResponseFields::new(b"Content-Type: application/json\r\n"),
            ..Self::new(status, Body::Bytes(json.into()))
        }
    }

    /// An answer whose body the service writes bit by bit, of any length.
    ///
    /// [`Service::writable`](super::Service::writable) is called when it can begin; after that mail to
    /// the request ([`To::Stream`](super::To::Stream)) and timers reach it. It ends with
    /// [`StreamCx::finish`](super::StreamCx::finish).
    pub fn stream(status: u16) -> Self {
        Self::new(status, Body::Stream)
    }

    /// An answer whose field lines were made before, by [`field_lines`](Self::field_lines).
    pub fn prepared(status: u16, fields: &Shared, body: Body) -> Self {
        Self {
            status,
            fields: ResponseFields {
                made: Made::Shared(fields.clone()),
                own: Vec::new(),
            },
            body,
            close: false,
            kept: None,
        }
    }

    /// Adds a field.
    ///
    /// A name or value that would not be one field of one line (RFC 9110 §5) cannot be sent: the
    /// whole answer becomes a 500, and the log says why.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        match encode::field(&mut self.fields.own, name, value) {
            Ok(()) => self,
            Err(error) => {
                log::error!("answer withheld: field {name:?}: {error}");
                Self::empty(500)
            }
        }
    }

    /// Takes out the fields of that name that were added to it.
    #[cfg(feature = "ws")]
    pub(super) fn without(mut self, name: &str) -> Self {
        let own = &mut self.fields.own;
        let is_other = |line: &&[u8]| {
            let found = line.split(|byte| *byte == b':').next();
            !found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
        };
        *own = own
            .split_inclusive(|byte| *byte == b'\n')
            .filter(is_other)
            .collect::<Vec<_>>()
            .concat();
        self
    }

    /// Adds field lines that are known to be good.
    #[cfg(feature = "ws")]
    pub(super) fn lines(mut self, lines: &[u8]) -> Self {
        self.fields.own.extend_from_slice(lines);
        self
    }

    /// Ends the connection after this answer.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Keeps `guard` until the last of the response is in the connection's output queue, or the connection
    /// ends, and drops it then: the permit of a download that is limited, say. It replaces an earlier one.
    #[must_use]
    pub fn keep(mut self, guard: impl Any + Send) -> Self {
        self.kept = Some(Box::new(guard));
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The field lines added so far.
    pub fn field_lines(&self) -> Shared {
        let ResponseFields { made, own } = &self.fields;
        match made {
            Made::Shared(lines) if own.is_empty() => lines.clone(),
            _ => Shared::from([self.fields.made(), own].concat()),
        }
    }

    /// Memory that it shares with no other response.
    pub(super) fn own_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Bytes(bytes) => bytes.capacity(),
            Body::Parts(parts) => parts.capacity() * size_of::<Part>(),
            Body::Empty | Body::Static(_) | Body::Shared(_) | Body::File(_) | Body::Stream => 0,
        };
        self.fields.own.capacity() + body
    }

    /// Returns `true` if the service writes the body.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.body, Body::Stream)
    }

    /// `true` where head and body go out in one go, `false` where the body follows piece by piece.
    pub fn is_whole(&self) -> bool {
        matches!(
            self.body,
            Body::Empty | Body::Bytes(_) | Body::Static(_) | Body::Shared(_)
        )
    }

    /// Queues the head, with `more` lines that are known to be good, and the body if that is whole. Returns
    /// how a body follows the head.
    pub(super) fn write(
        self,
        cx: &mut Cx<'_>,
        length: BodyLength,
        meta: RequestMeta,
        after: ConnectionAction,
        common: &Common,
        more: &[u8],
    ) -> BodyForm {
        let lines = [self.fields.made(), &self.fields.own, more];
        let copied = match &self.body {
            Body::Bytes(bytes) => bytes.as_slice(),
            Body::Static(bytes) => bytes,
            Body::Shared(shared) => shared.as_ref(),
            Body::Empty | Body::File(_) | Body::Parts(_) | Body::Stream => &[],
        };
        let mut form = BodyForm::Absent;
        cx.write_with(|out| {
            form = encode::head(out, self.status, &lines, length, meta, after, common);
            if form != BodyForm::Absent && copied.len() <= COPIED_BYTES_MAX {
                out.extend_from_slice(copied);
            }
        });
        if form != BodyForm::Absent && copied.len() > COPIED_BYTES_MAX {
            let shared = match self.body {
                Body::Bytes(bytes) => Shared::from(bytes),
                Body::Static(bytes) => Shared::from(bytes),
                Body::Shared(shared) => shared,
                Body::Empty | Body::File(_) | Body::Parts(_) | Body::Stream => return form,
            };
            cx.send(cx.id(), &shared);
        }
        form
    }
}
