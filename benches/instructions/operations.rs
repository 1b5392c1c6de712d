//! Operations that are counted.

use std::hint::black_box;

use edgeloop::web::Method;

use crate::components::frames::{ASCII, GREEK, text_of};
use crate::components::http::{BROWSER_GET, SMALL_GET};
use crate::components::{
    Repeat, chat, deflate, frames, http, queue, router, tls, tokens, web, wheel,
};

/// An operation, and how many times it is done for one count and for the other.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) few: u64,
    pub(crate) many: u64,
    pub(crate) run: fn(Times),
}

/// One that is the same each time.
const fn steady(name: &'static str, run: fn(Times)) -> Operation {
    between(name, 100, 600, run)
}

/// One that is not: the counts say for how long it takes to come to its mean.
const fn between(name: &'static str, few: u64, many: u64, run: fn(Times)) -> Operation {
    Operation {
        name,
        few,
        many,
        run,
    }
}

/// By name.
pub(crate) const OPERATIONS: &[Operation] = &[
    steady("chat/received", chat::received),
    // Each queue has room for 256 frames from the 129th on.
    between("chat/to_1000", 130, 250, |times| chat::to_all(times, 1000)),
    between("deflate/compress_1k", 20, 60, |times| {
        deflate::compress(times, 1 << 10)
    }),
    steady("deflate/decompress_1k", |times| {
        deflate::decompress(times, 1 << 10)
    }),
    steady("frames/decode_16k", |times| frames::decode(times, 16 << 10)),
    steady("frames/decode_64", |times| frames::decode(times, 64)),
    steady("frames/encode_16k", |times| frames::encode(times, 16 << 10)),
    steady("frames/encode_64", |times| frames::encode(times, 64)),
    steady("frames/mask_16k", |times| {
        frames::mask_apply(times, 16 << 10);
    }),
    steady("frames/utf8_16k_ascii", |times| {
        frames::utf8_decode(times, &text_of(ASCII))
    }),
    steady("frames/utf8_16k_greek", |times| {
        frames::utf8_decode(times, &text_of(GREEK))
    }),
    steady("http/chunked_64k_by_4k", |times| {
        http::chunked_decode(times, 4096)
    }),
    steady("http/chunked_64k_by_64", |times| {
        http::chunked_decode(times, 64)
    }),
    steady("http/head_encode", http::head_encode),
    steady("http/head_parse_browser", |times| {
        http::head_parse(times, BROWSER_GET)
    }),
    steady("http/head_parse_small", |times| {
        http::head_parse(times, SMALL_GET)
    }),
    steady("queue/append_64", |times| {
        queue::append_and_drain(times, 64)
    }),
    steady("queue/gather_16k_of_128", |times| queue::gather(times, 128)),
    steady("queue/push_128", |times| queue::push_and_drain(times, 128)),
    steady("queue/write_vectored_32", |times| {
        queue::write_vectored(times, 128)
    }),
    steady("router/file", |times| {
        router::server(times, Method::Get, "/css/base.css")
    }),
    steady("router/not_allowed", |times| {
        router::server(times, Method::Delete, "/login")
    }),
    steady("router/nothing", router::nothing),
    steady("router/page", |times| {
        router::server(times, Method::Get, "/chat")
    }),
    steady("router/two_parameters", router::parameters),
    between("tls/record_in_16k", 20, 120, |times| {
        tls::record_in(times, 16 << 10)
    }),
    steady("tls/record_in_64", |times| tls::record_in(times, 64)),
    between("tls/record_out_16k", 20, 120, |times| {
        tls::record_out(times, 16 << 10)
    }),
    steady("tls/record_out_64", |times| tls::record_out(times, 64)),
    steady("tokens/verify", tokens::verify),
    // Output fills chunks of 16 KiB.
    between("web/echo_64", 1000, 5000, |times| web::echo(times, 64)),
    between("web/get", 1000, 5000, web::get),
    between("wheel/arm_again", 1000, 11_000, |times| {
        wheel::arm_again(times, 10_000)
    }),
    // Whole turns of its coarser slots.
    between("wheel/turn_with_one_due", 4096, 12_288, |times| {
        wheel::turn_with_one_due(times, 10_000);
    }),
];

/// Does an operation so many times.
#[derive(Debug)]
pub(crate) struct Times(pub(crate) u64);

impl Repeat for Times {
    fn repeat<T>(self, mut operation: impl FnMut() -> T) {
        counted_operations(self.0, &mut || {
            black_box(operation());
        });
    }

    fn repeat_on<I, T>(self, mut input: impl FnMut() -> I, mut operation: impl FnMut(&mut I) -> T) {
        let mut inputs: Vec<I> = (0..self.0).map(|_| input()).collect();
        let mut inputs = inputs.iter_mut();
        counted_operations(self.0, &mut || {
            black_box(inputs.next().map(&mut operation));
        });
    }
}

/// Runs the operations that are counted: valgrind knows this function by its name.
#[inline(never)]
fn counted_operations(count: u64, operation: &mut dyn FnMut()) {
    for _ in 0..count {
        operation();
    }
}
