//! Support of the end-to-end tests: a server process of their own, and clients for it.
//!
//! Nothing here sleeps to let something happen. Every wait is for a condition, ends as soon as it
//! holds, and fails after [`deadline::PATIENCE`] with what was seen instead.

pub(crate) mod browser;
pub(crate) mod command;
pub(crate) mod deadline;
pub(crate) mod http;
pub(crate) mod server;
pub(crate) mod users;
pub(crate) mod ws;

pub(crate) use deadline::wait_for;
pub(crate) use http::{Connection, Response};
pub(crate) use server::{Folder, Server};
pub(crate) use ws::Socket;
