//! HTTP/1.1 server messages (RFC 9110, RFC 9112), sans-IO.
//!
//! ```text
//! bytes ─► HttpMachine::step ─► Head · Body* · End ─► (the service) ─► HttpMachine::response ─► encode::head ─► bytes
//! ```
//!
//! A [`HttpMachine`] per connection reads requests from whatever contiguous bytes the caller has. It owns
//! no buffer and nothing on the heap, so an idle connection costs its few words and no more. It also
//! decides, in one place, whether the connection lives on after an answer.
//!
//! The reader is strict: whatever two parsers could take for two different things is an [`RequestError`]
//! with a status, after which the connection has to end. [`HttpLimits`] bound everything a peer can send.
//!
//! ```
//! use edgeloop::proto::http1::{HttpLimits, HttpMachine, HttpStep};
//!
//! let mut machine = HttpMachine::new();
//! let limits = HttpLimits::default();
//! let mut input: &[u8] = b"POST /say HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello";
//! let mut said = Vec::new();
//! loop {
//!     let used = match machine.step(input, &limits)? {
//!         HttpStep::More { .. } => break, // drop `used` bytes, then wait for the socket
//!         HttpStep::Head { used, head } => {
//!             assert_eq!(head.path(), "/say");
//!             used
//!         }
//!         HttpStep::Body { used, data } => {
//!             said.extend_from_slice(data);
//!             used
//!         }
//!         HttpStep::End { used } => used, // the request is whole: response it
//!     };
//!     input = input.get(used..).unwrap_or_default();
//! }
//! assert_eq!(said, b"hello");
//! # Ok::<(), edgeloop::proto::http1::RequestError>(())
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

pub use encode::{BodyLength, ConnectionAction};
pub use error::RequestError;
pub use fields::Fields;
pub use framing::Framing;
pub use head::{Head, Method, RequestMeta, Version};
pub use limits::{FIELDS_MAX, HttpLimits};
pub use machine::{Awaits, HttpMachine, HttpStep};
pub use target::{TargetError, decode_path};
