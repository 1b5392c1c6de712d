//! Static files.
//!
//! A [`Snapshot`] is a picture of a folder on disk, taken off the loop: small files are held in
//! memory, ready to be sent, large ones are held open, or opened by the thread that reads them.
//! Answering from it touches no disk. A
//! [`Watcher`] takes a new picture whenever something has changed.
//!
//! A path that is not in the picture does not exist, so nothing outside the folder can be served,
//! whatever a request asks for. Left out are:
//!
//! * names that begin with a dot, with all that is in them; but `/.well-known/` is served (RFC 8615);
//! * what editors and patches leave: `name~`, `#name#`, and names that end in `.bak`, `.orig`, `.rej`,
//!   `.swo`, `.swp` or `.swx`;
//! * symbolic links that lead out of the folder, even when they come back, and those that lead to
//!   nothing or to a folder they lie in. Others are followed, whatever the names on their way: the name
//!   that counts is the link's. The root itself may be a link: it is resolved at every look, so a deploy
//!   can switch it;
//! * everything else that is neither a folder nor a regular file;
//! * names that are not UTF-8.
//!
//! Files that gain by it have encoded forms (gzip and Brotli): those that lie beside them as `name.gz`
//! and `name.br`, if they decode to what the file holds, else those that were made once by
//! [`Snapshot::compress`] or by the watcher. Accept-Encoding chooses between them.
//!
//! A file is best replaced by renaming a new one over it. A small file that is overwritten in place
//! is read again until it holds still; a large one is on disk only, so those who are downloading it
//! get what is written into it.
//!
//! ```
//! use edgeloop::web::files::{Snapshot, FileOptions};
//! use edgeloop::web::{Request, Response};
//!
//! fn respond(folder: &Snapshot, request: &Request<'_>) -> Response {
//!     let path = request.decoded_path().unwrap_or_default();
//!     folder
//!         .respond(request, &path)
//!         .or_else(|| folder.page(request, 404, "/404.html"))
//!         .unwrap_or_else(|| Response::text(404, "not found\n"))
//! }
//!
//! # let root = tempfile::tempdir()?;
//! # let root = root.path();
//! std::fs::write(root.join("404.html"), "<!doctype html><title>Not found</title>")?;
//! let folder = Snapshot::load(root, &FileOptions::default())?;
//! assert_eq!(folder.len(), 1);
//! # Ok::<(), std::io::Error>(())
//! ```

mod cached_file;
mod caching;
mod codings;
mod compress;
mod conditions;
mod disk;
mod encode;
mod file_entry;
mod media;
mod multipart;
mod names;
mod notices;
mod options;
mod range;
mod redirect;
mod representation;
mod skipped;
mod snapshot;
#[cfg(test)]
mod tests;
mod walk;
mod watcher;

pub use self::caching::by_kind;
pub use self::options::{Asset, CacheControlOf, FieldsOf, FileOptions};
pub use self::snapshot::Snapshot;
pub use self::watcher::Watcher;
