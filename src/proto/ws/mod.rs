//! WebSocket (RFC 6455), sans-IO: bytes in, events out, and the other way round.
//!
//! ```text
//! bytes received ──► Receiver::step ──► Event: Text | Binary | Ping | Pong | Close, or TooLong
//! bytes to send  ◄── Sender::send   ◄── Event
//!                    frame::encode  ◄── one frame for many peers
//! ```
//!
//! A [`WsMachine`] holds a [`Receiver`] and a [`Sender`] and stands for one connection after its
//! opening handshake. The caller owns the socket and the input: frames are unmasked where they
//! lie, and a message that is whole in the input is handed out as a slice of it. Only a message
//! still arriving is copied, into a buffer that the receiver owns while it needs it.
//!
//! ```
//! use edgeloop::proto::ws::{CloseCode, Event, WsLimits, WsMachine, Role, SendError, WsStep};
//!
//! /// Answers what is in `input`; returns how many of its bytes are done with.
//! fn echo(ws: &mut WsMachine, input: &mut [u8], out: &mut Vec<u8>) -> Result<usize, SendError> {
//!     let (receiver, sender) = ws.split();
//!     let mut done = 0;
//!     while !sender.is_sealed() {
//!         match receiver.step(&mut input[done..], &WsLimits::default()) {
//!             Ok(WsStep::More { used }) => return Ok(done + used),
//!             Ok(WsStep::Event { used, event }) => {
//!                 done += used;
//!                 match event {
//!                     Event::Ping(data) => sender.send(out, Event::Pong(data))?,
//!                     Event::Pong(_) => {}
//!                     Event::Text(_) | Event::Binary(_) | Event::Close(_) => sender.send(out, event)?,
//!                 }
//!             }
//!             Ok(WsStep::TooLong { .. }) => sender.send(out, Event::Close(Some((CloseCode::TOO_BIG, ""))))?,
//!             Err(error) => sender.send(out, Event::Close(Some((error.close_code(), ""))))?,
//!         }
//!     }
//!     Ok(input.len())
//! }
//!
//! let mut ws = WsMachine::new(Role::Server);
//! let mut out = Vec::new();
//! let mut input = *b"\x81\x82\x01\x02\x03\x04ik"; // "hi", masked
//! assert_eq!(echo(&mut ws, &mut input, &mut out), Ok(8));
//! assert_eq!(out, b"\x81\x02hi");
//!
//! out.clear();
//! let mut input = *b"\x81\x02hi"; // not masked: 1002
//! assert_eq!(echo(&mut ws, &mut input, &mut out), Ok(4));
//! assert_eq!(out, b"\x88\x02\x03\xEA");
//! assert!(ws.is_failed());
//! ```
//!
//! The opening handshake (RFC 6455 §4), module `handshake`, needs SHA-1 and base64, and
//! compression (RFC 7692), module [`deflate`], a library: both come with the feature `ws`. All
//! else is std alone.

mod close;
pub mod deflate;
mod error;
mod event;
pub mod frame;
#[cfg(feature = "ws")]
pub mod handshake;
mod limits;
mod machine;
pub mod mask;
mod message;
mod receiver;
mod sender;
pub mod utf8;

pub use close::CloseCode;
pub use error::{SendError, WsError};
pub use event::Event;
pub use limits::WsLimits;
pub use machine::{Role, WsMachine};
pub use receiver::{Receiver, WsStep};
pub use sender::Sender;
