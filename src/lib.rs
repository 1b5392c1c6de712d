//! An edge-triggered epoll reactor, and the HTTPS and WebSocket server that runs on it.
//!
//! One thread owns one [`Reactor`](reactor::Reactor): an epoll instance, the state of its
//! connections, a timer wheel, a mailbox. Bytes go through rustls, requests through a strict
//! HTTP/1.1 machine, WebSocket frames through our own, and all of it comes out as callbacks on
//! one value that you write:
//!
//! ```text
//!                 reactor              proto::tls       proto::http1, proto::ws        web
//!  socket ──► read once a turn ──► decrypt in place ──► requests, messages ──► Service::request
//!                                                                              Service::message
//!  socket ◄── one write a turn ◄── encrypt late ◄────── answers, frames ◄───── Reply, WsCx, Cx
//!                 ▲
//!                 └── mail from other threads (Mailbox, Post)
//! ```
//!
//! - [`reactor`]: bytes. A [`Handler`](reactor::Handler) gets what arrived and queues what goes out.
//! - [`web`]: HTTP/1.1 and WebSockets. A [`Service`](web::Service) answers requests and messages.
//! - [`proto`]: the protocol machines, without I/O, for those who have a loop of their own.
#![cfg_attr(
    feature = "app",
    doc = "- [`app`]: the server behind the `edgeloop` command."
)]
//!
//! # A server
//!
//! ```no_run
//! use edgeloop::web::{self, Cx, Reply, Request, Response, Security, Service};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     type Socket = ();
//!     type Mail = ();
//!
//!     fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
//!         Reply::Send(match request.path() {
//!             "/" => Response::text(200, "Hello, world\n"),
//!             _ => Response::empty(404),
//!         })
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = web::reactor(web::ReactorConfig::default(), |_| Hello)?;
//! reactor.listen(([127, 0, 0, 1], 8080).into(), Security::Plain)?;
//! reactor.run()
//! # }
//! ```
//!
//! # Features
//!
//! | feature | adds | with it come |
//! |---|---|---|
//! | none | [`reactor`], HTTP/1.1 in [`web`], [`proto`] | mio, slab, httparse, log |
//! | `tls` | TLS listeners | rustls (aws-lc-rs) |
//! | `ws` | the WebSocket handshake, and with it upgrades; compression | sha1, base64, flate2 (zlib-rs) |
//! | `files` | a folder of static files, cached, refreshed, compressed | mime_guess, brotli, flate2, rustix |
//! | `router` | a table of paths with parameters | matchit |
//! | `app` (default) | the server: users, chat, configuration, logging | SQLite, JWT, argon2, … |
//!
//! A feature adds to the API and changes nothing else. Linux on 64-bit machines.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("edgeloop is made for epoll: it runs on 64-bit Linux");

#[macro_use]
pub mod invariant;
pub mod proto;
pub mod reactor;
pub mod web;

#[cfg(feature = "app")]
pub mod app;

#[cfg(all(doctest, feature = "ws"))]
#[doc = include_str!("../README.md")]
struct Readme;
