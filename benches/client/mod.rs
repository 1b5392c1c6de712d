//! The client side of the benchmarks, and what they read about servers.

#![allow(
    dead_code,
    unused_imports,
    reason = "each benchmark compiles its own copy and uses its own part of it"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "clients of benchmarks read the clock"
)]

mod blocking;
mod deflate;
mod open;
mod process;
mod receiver;
mod room;
mod target;
mod tls;
mod wire;

use std::error::Error;

pub(crate) use self::blocking::Client;
pub(crate) use self::deflate::{OFFER, negotiated};
pub(crate) use self::open::{Opening, content_length, open};
pub(crate) use self::process::{Cpu, Memory, kernel_bytes, resident_bytes, settled, slab_bytes};
pub(crate) use self::room::{Outcome, Room, Terms, until};
pub(crate) use self::target::{Target, Url};
pub(crate) use self::tls::{Version, trust, trust_as};
pub(crate) use self::wire::{Progress, Wire};

/// Error that a benchmark stops with.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;
