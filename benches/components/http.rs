//! Heads of requests and of answers, and bodies in chunks.

use std::hint::black_box;

use edgeloop::proto::http1::{
    BodyLength, ConnectionAction, HttpLimits, HttpMachine, HttpStep, RequestMeta, Version, encode,
};

use super::Repeat;

/// Request of a program: 100 bytes.
pub(crate) const SMALL_GET: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example.org\r\n\
    User-Agent: load/1.0\r\nAccept: */*\r\nX-Request: 12345\r\n\r\n";

/// Request of a browser: 700 bytes.
pub(crate) const BROWSER_GET: &[u8] = b"GET /chat.html?room=general HTTP/1.1\r\n\
    Host: chat.example.org:8443\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/142.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Dest: document\r\n\
    Referer: https://chat.example.org:8443/login.html\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    If-None-Match: \"5f3c-18c10123\"\r\n\r\n";

/// The bytes of the body that comes in chunks.
pub(crate) const BODY_BYTES: usize = 64 << 10;

pub(crate) fn head_parse(repeat: impl Repeat, input: &[u8]) {
    repeat.repeat(|| {
        let mut machine = HttpMachine::new();
        match machine.step(black_box(input), &HttpLimits::DEFAULT) {
            Ok(HttpStep::Head { head, .. }) => black_box(head).path().len(),
            other => panic!("{other:?}"),
        }
    });
}

/// A whole body, in chunks of this size.
pub(crate) fn chunked_decode(repeat: impl Repeat, chunk_bytes: usize) {
    let mut wire = Vec::new();
    for data in vec![b'x'; BODY_BYTES].chunks(chunk_bytes) {
        encode::chunk(&mut wire, data);
    }
    wire.extend_from_slice(encode::LAST_CHUNK);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    repeat.repeat(|| {
        let mut machine = HttpMachine::new();
        machine.step(head, &HttpLimits::DEFAULT).unwrap();
        let (mut input, mut total) = (black_box(wire.as_slice()), 0);
        loop {
            let used = match machine.step(input, &HttpLimits::DEFAULT).unwrap() {
                HttpStep::Body { used, data } => {
                    total += data.len();
                    used
                }
                HttpStep::End { .. } => return total,
                step => panic!("{step:?}"),
            };
            input = input.get(used..).unwrap_or_default();
        }
    });
}

pub(crate) fn head_encode(repeat: impl Repeat) {
    let asked = RequestMeta {
        version: Version::Http11,
        head: false,
        keep_alive: true,
    };
    let common = encode::Common::at(784_111_777);
    let fields: &[u8] = b"Content-Type: text/plain; charset=utf-8\r\n";
    let mut out = Vec::with_capacity(512);
    repeat.repeat(|| {
        out.clear();
        encode::head(
            &mut out,
            200,
            &[black_box(fields)],
            black_box(BodyLength::Known(13)),
            asked,
            ConnectionAction::KeepAlive,
            &common,
        )
    });
}
