//! Options of an embedder for the files it serves.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::caching::by_kind;
use super::media;

/// A file that is served, as far as its field lines may depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset<'a> {
    /// The path in URLs, decoded: `/css/base.css`.
    pub path: &'a str,
    /// The media type, without parameters: `text/css`.
    pub media_type: &'a str,
}

impl Asset<'_> {
    /// Returns `true` if a browser shows it as a document, in which scripts may run: HTML, XML and SVG.
    #[must_use]
    pub fn is_document(&self) -> bool {
        media::is_document(self.media_type)
    }
}

/// Makes the fields to add to the answers for a file, names and values.
pub type FieldsOf = dyn Fn(Asset<'_>) -> Vec<(Cow<'static, str>, Cow<'static, str>)> + Send + Sync;

/// Makes the value of Cache-Control for a file. An empty one leaves the field out.
pub type CacheControlOf = dyn Fn(Asset<'_>) -> Cow<'static, str> + Send + Sync;

/// Options for serving a folder.
#[derive(Clone)]
pub struct FileOptions {
    /// Files up to this size are held in memory.
    pub small_file_bytes_max: u64,
    /// Number of bytes of files one [`Snapshot`](super::Snapshot) holds in memory. Those that do not fit
    /// are held open, like large ones. Encoded forms get what is left.
    pub memory_bytes_max: u64,
    /// Files up to this size are compressed, if that makes much of their type; 0 for none. Encoded
    /// forms that lie beside their files, as `name.br` and `name.gz`, are used in any case.
    pub compress_bytes_max: u64,
    /// Number of files held open. The rest of the large ones is opened when it is sent; one that is
    /// replaced meanwhile may then end the connection.
    pub open_files_max: usize,
    /// Number of files and folders are looked at. The rest is not served, and the log says so.
    pub files_max: usize,
    /// Fields to add, as Content-Security-Policy is to pages. They go out with 200, 206 and 304.
    ///
    /// Not to be among them: Accept-Ranges, Cache-Control, Connection, Content-Encoding,
    /// Content-Length, Content-Range, Content-Type, Date, ETag, Last-Modified and Transfer-Encoding.
    pub fields: Arc<FieldsOf>,
    /// Cache-Control (RFC 9111 §5.2); [`by_kind`](super::by_kind) by default.
    pub cache_control: Arc<CacheControlOf>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            small_file_bytes_max: 256 * 1024,
            memory_bytes_max: 64 * 1024 * 1024,
            open_files_max: 512,
            files_max: 100_000,
            compress_bytes_max: 4 * 1024 * 1024,
            fields: Arc::new(|_| Vec::new()),
            cache_control: Arc::new(by_kind),
        }
    }
}

impl fmt::Debug for FileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("small_file_bytes_max", &self.small_file_bytes_max)
            .field("memory_bytes_max", &self.memory_bytes_max)
            .field("compress_bytes_max", &self.compress_bytes_max)
            .field("open_files_max", &self.open_files_max)
            .field("files_max", &self.files_max)
            .finish_non_exhaustive()
    }
}
