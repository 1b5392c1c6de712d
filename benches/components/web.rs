//! All that happens to input between a socket and the output queue, but TLS.

use std::hint::black_box;

use edgeloop::reactor::Handler;

use super::callback::within;
use super::http::SMALL_GET;
use super::{Repeat, frames};

const OPENING: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A request and its answer of 13 bytes.
pub(crate) fn get(repeat: impl Repeat) {
    within(1, |web, cx, conn, _| {
        let mut input = SMALL_GET.to_vec();
        let mut responses = 0;
        repeat.repeat(|| {
            responses += 1;
            web.data(cx, conn, black_box(&mut input))
        });
        assert!(cx.queued_bytes() > responses * 100, "all were answered");
    });
}

/// A WebSocket message and its echo.
pub(crate) fn echo(repeat: impl Repeat, bytes: usize) {
    within(1, |web, cx, conn, _| {
        web.data(cx, conn, &mut OPENING.to_vec());
        let mut input = frames::masked(bytes);
        let mut echoes = 0;
        repeat.repeat(|| {
            echoes += 1;
            web.data(cx, conn, black_box(&mut input))
        });
        assert!(cx.queued_bytes() > echoes * bytes, "all were echoed");
    });
}
