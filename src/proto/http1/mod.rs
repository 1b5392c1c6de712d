//! HTTP/1.1 server messages (RFC 9110, RFC 9112), sans-IO.
//!
//! ```text
//! bytes ─► Machine::step ─► Head · Body* · End ─► (the service) ─► Machine::answer ─► encode::head ─► bytes
//! ```
//!
//! A [`Machine`] per connection reads requests from whatever contiguous bytes the caller has. It owns
//! no buffer and nothing on the heap, so an idle connection costs its few words and no more. It also
//! decides, in one place, whether the connection lives on after an answer.
//!
//! The reader is strict: whatever two parsers could take for two different things is an [`Error`]
//! with a status, after which the connection has to end. [`Limits`] bound everything a peer can send.
//!
//! ```
//! use edgeloop::proto::http1::{Limits, Machine, Step};
//!
//! let mut machine = Machine::new();
//! let limits = Limits::default();
//! let mut input: &[u8] = b"POST /say HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello";
//! let mut said = Vec::new();
//! loop {
//!     let used = match machine.step(input, &limits)? {
//!         Step::More { .. } => break, // drop `used` bytes, then wait for the socket
//!         Step::Head { used, head } => {
//!             assert_eq!(head.path(), "/say");
//!             used
//!         }
//!         Step::Body { used, data } => {
//!             said.extend_from_slice(data);
//!             used
//!         }
//!         Step::End { used } => used, // the request is whole: answer it
//!     };
//!     input = input.get(used..).unwrap_or_default();
//! }
//! assert_eq!(said, b"hello");
//! # Ok::<(), edgeloop::proto::http1::Error>(())
//! ```

mod body;
mod class;
pub mod date;
pub mod encode;
mod error;
mod fields;
mod framing;
mod head;
mod limits;
mod machine;
mod scan;
mod target;

pub use encode::{After, BodyLength};
pub use error::Error;
pub use fields::Fields;
pub use framing::Framing;
pub use head::{Asked, Head, Method, Version};
pub use limits::{FIELDS_MAX, Limits};
pub use machine::{Awaits, Machine, Step};
pub use target::{TargetError, decode_path};
