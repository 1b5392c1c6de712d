//! The files: small ones in memory, large ones from the disk as the client takes them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::MapOk;
use http_body_util::{Either, Full, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

/// Limit on the bytes kept in memory.
const CACHED_BYTES_MAX: u64 = 1 << 20;
/// Bytes that are read at once of the others.
const PIECE_BYTES: usize = 128 << 10;

type Pieces = MapOk<ReaderStream<File>, fn(Bytes) -> Frame<Bytes>>;
/// Content from memory, or from a file.
pub(crate) type Body = Either<Full<Bytes>, StreamBody<Pieces>>;

enum Entry {
    Cached(Bytes),
    OnDisk(PathBuf, u64),
}

/// The files of one folder, by path.
pub(crate) struct Files(HashMap<String, Entry>);

impl Files {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let mut entries = HashMap::new();
        for file in fs::read_dir(folder)? {
            let file = file?;
            let bytes = file.metadata()?.len();
            let entry = if bytes <= CACHED_BYTES_MAX {
                Entry::Cached(fs::read(file.path())?.into())
            } else {
                Entry::OnDisk(file.path(), bytes)
            };
            entries.insert(format!("/{}", file.file_name().to_string_lossy()), entry);
        }
        Ok(Self(entries))
    }

    /// The file of that path, if there is one.
    pub(crate) async fn respond(&self, path: &str) -> Option<io::Result<Response<Body>>> {
        Some(match self.0.get(path)? {
            Entry::Cached(content) => Ok(with(Either::Left(Full::new(content.clone())))),
            Entry::OnDisk(path, bytes) => File::open(path).await.map(|file| {
                let pieces = ReaderStream::with_capacity(file, PIECE_BYTES);
                let pieces: Pieces = pieces.map_ok(Frame::data);
                let mut response = with(Either::Right(StreamBody::new(pieces)));
                response
                    .headers_mut()
                    .insert(CONTENT_LENGTH, (*bytes).into());
                response
            }),
        })
    }
}

fn with(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
