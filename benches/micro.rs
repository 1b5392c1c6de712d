//! What the parts of the server cost alone: `cargo bench --bench micro`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that fails has nothing to measure"
)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use edgeloop::proto::http1::{
    After, Asked, BodyLength, Limits, Machine, Step, Version, date, encode,
};
#[cfg(feature = "ws")]
use edgeloop::proto::ws::deflate::{Agreed, Compression, Deflaters};
use edgeloop::proto::ws::frame::{self, Opcode};
#[cfg(feature = "ws")]
use edgeloop::proto::ws::handshake::read_request;
use edgeloop::proto::ws::utf8::Decoder;
use edgeloop::proto::ws::{self, Role, mask};
use edgeloop::reactor::Wheel;

const KEY: mask::MaskKey = [0x37, 0xfa, 0x21, 0x3d];

/// What a program sends: 100 bytes.
const SMALL_GET: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example.org\r\n\
    User-Agent: load/1.0\r\nAccept: */*\r\nX-Request: 12345\r\n\r\n";

/// What a browser sends: 700 bytes.
const BROWSER_GET: &[u8] = b"GET /chat.html?room=general HTTP/1.1\r\n\
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

fn main() {
    assert_eq!((SMALL_GET.len(), BROWSER_GET.len()), (100, 700));
    divan::main();
}

const TIMERS: [u32; 3] = [100, 10_000, 1_000_000];

/// Timers as connections have them: spread over the next minute.
fn wheel(timers: u32) -> Wheel {
    let mut wheel = Wheel::new(0);
    for key in 0..timers {
        wheel.arm(key, due_ms(key));
    }
    wheel
}

/// A time within a minute from the start, the same for the same key.
fn due_ms(key: u32) -> u64 {
    1 + u64::from(key.wrapping_mul(2_654_435_761)) % 60_000
}

#[divan::bench(args = TIMERS)]
fn wheel_arm_again(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = wheel(timers);
    let mut turn = 0_u32;
    bencher.bench_local(|| {
        turn = turn.wrapping_add(1);
        wheel.arm(turn % timers, due_ms(turn));
    });
}

#[divan::bench(args = TIMERS)]
fn wheel_cancel_and_arm(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = wheel(timers);
    let mut turn = 0_u32;
    bencher.bench_local(|| {
        turn = turn.wrapping_add(1);
        wheel.cancel(turn % timers);
        wheel.arm(turn % timers, due_ms(turn));
    });
}

/// One millisecond passes; what is due is armed again for a minute later. That is one of 60,000, so at a
/// million it is sixteen in each.
#[divan::bench(args = TIMERS)]
fn wheel_poll_a_millisecond(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = wheel(timers);
    let mut now_ms = 0;
    bencher.bench_local(|| {
        now_ms += 1;
        while let Some(key) = wheel.poll(now_ms) {
            wheel.arm(key, now_ms + 60_000);
        }
    });
}

/// One timer comes due and is armed again, however many there are: they are as many milliseconds apart.
#[divan::bench(args = TIMERS)]
fn wheel_turn_with_one_due(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = Wheel::new(0);
    for key in 0..timers {
        wheel.arm(key, u64::from(key) + 1);
    }
    let mut now_ms = 0;
    bencher.bench_local(|| {
        now_ms += 1;
        // With a million, it may have to wait for its turn to move to a finer slot.
        while let Some(key) = wheel.poll(now_ms) {
            wheel.arm(key, now_ms + u64::from(timers));
        }
        wheel.next_ms()
    });
}

/// A slot four seconds wide comes up, with a fifteenth of the timers of a minute, which move to finer slots:
/// the turn in which they begin to.
#[divan::bench(args = TIMERS, sample_count = 20, sample_size = 1)]
fn wheel_coarse_slot_comes_up(bencher: Bencher<'_, '_>, timers: u32) {
    let before = || {
        let mut wheel = wheel(timers);
        while wheel.next_ms().is_some_and(|next_ms| next_ms < 4096) {
            while wheel.poll(4095).is_some() {}
        }
        wheel
    };
    bencher
        .with_inputs(before)
        .bench_local_refs(|wheel| while wheel.poll(4096).is_some() {});
}

/// What each turn of the loop costs while nothing is due.
#[divan::bench(args = TIMERS)]
fn wheel_poll_nothing_due(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = wheel(timers);
    bencher.bench_local(|| (wheel.poll(black_box(0)), wheel.next_ms()));
}

#[divan::bench(args = [SMALL_GET.len(), BROWSER_GET.len()])]
fn head_parse(bencher: Bencher<'_, '_>, head_bytes: usize) {
    let input = if head_bytes == SMALL_GET.len() {
        SMALL_GET
    } else {
        BROWSER_GET
    };
    bencher
        .counter(BytesCount::new(input.len()))
        .bench_local(|| {
            let mut machine = Machine::new();
            match machine.step(black_box(input), &Limits::DEFAULT) {
                Ok(Step::Head { head, .. }) => black_box(head).path().len(),
                other => panic!("{other:?}"),
            }
        });
}

/// What the framing of chunks of this size costs: data is handed on and not looked at.
#[divan::bench(args = [64, 4096])]
fn chunked_decode(bencher: Bencher<'_, '_>, chunk_bytes: usize) {
    let body = vec![b'x'; 64 << 10];
    let mut wire = Vec::new();
    let mut chunks = 0_usize;
    for data in body.chunks(chunk_bytes) {
        encode::chunk(&mut wire, data);
        chunks += 1;
    }
    wire.extend_from_slice(encode::LAST_CHUNK);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    bencher.counter(ItemsCount::new(chunks)).bench_local(|| {
        let mut machine = Machine::new();
        machine.step(head, &Limits::DEFAULT).unwrap();
        let (mut input, mut total) = (black_box(wire.as_slice()), 0);
        loop {
            let used = match machine.step(input, &Limits::DEFAULT).unwrap() {
                Step::Body { used, data } => {
                    total += data.len();
                    used
                }
                Step::End { .. } => return total,
                step => panic!("{step:?}"),
            };
            input = input.get(used..).unwrap_or_default();
        }
    });
}

/// A whole masked message, unmasked where it lies. The mask is undone by the next run.
#[divan::bench(args = [64, 16 << 10])]
fn frame_decode(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    let mut wire = Vec::new();
    frame::encode_masked(&mut wire, Opcode::Binary, &vec![b'x'; payload_bytes], KEY);
    let mut machine = ws::Machine::new(Role::Server);
    let limits = ws::Limits::default();
    bencher
        .counter(BytesCount::new(payload_bytes))
        .bench_local(
            || match machine.split().0.step(black_box(&mut wire), &limits) {
                Ok(ws::Step::Event { used, .. }) => used,
                other => panic!("{other:?}"),
            },
        );
}

#[divan::bench(args = [64, 16 << 10])]
fn frame_encode(bencher: Bencher<'_, '_>, payload_bytes: usize) {
    let payload = vec![b'x'; payload_bytes];
    let mut out = Vec::with_capacity(payload_bytes + frame::HEADER_BYTES_MAX);
    bencher
        .counter(BytesCount::new(payload_bytes))
        .bench_local(|| {
            out.clear();
            frame::encode(&mut out, Opcode::Binary, black_box(&payload));
        });
}

/// What chats are made of, this many bytes of it.
#[cfg(feature = "ws")]
fn json_like(bytes: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        let user = ["ann", "bob", "cleo", "dan"].get(number % 4).unwrap_or(&"");
        text.push_str(&format!(
            "{{\"type\":\"message\",\"id\":\"{:08x}\",\"username\":\"{user}\",\"message\":\"number {number}\"}},",
            number.wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF
        ));
    }
    text.truncate(bytes);
    text
}

#[cfg(feature = "ws")]
fn agreed() -> Option<Agreed> {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let opening = read_request("GET", true, fields).ok()?;
    opening.agree(&Compression::DEFAULT)
}

/// A message compressed by itself, as for a broadcast.
#[cfg(feature = "ws")]
#[divan::bench(args = [100, 1 << 10, 16 << 10])]
fn message_compress(bencher: Bencher<'_, '_>, bytes: usize) {
    let how = Compression {
        threshold_bytes: 0,
        ..Compression::DEFAULT
    };
    let window = agreed().map(|agreed| agreed.server().window_bits());
    let text = json_like(bytes);
    let mut deflaters = Deflaters::default();
    let bencher = bencher.counter(BytesCount::new(bytes));
    bencher.bench_local(|| {
        let packed = deflaters.shared(&how, black_box(window)?, text.as_bytes());
        packed.map(<[u8]>::len)
    });
}

/// A compressed message received, whole.
#[cfg(feature = "ws")]
#[divan::bench(args = [100, 1 << 10, 16 << 10])]
fn message_decompress(bencher: Bencher<'_, '_>, bytes: usize) {
    let how = Compression {
        threshold_bytes: 0,
        ..Compression::DEFAULT
    };
    let Some(agreed) = agreed() else {
        return;
    };
    let (mut deflaters, mut wire) = (Deflaters::default(), Vec::new());
    let text = json_like(bytes);
    let mut server = ws::Machine::with_compression(Role::Server, agreed);
    let (_, sender) = server.split();
    let event = ws::Event::Text(&text);
    if let Err(error) = sender.send_compressed(&mut wire, event, &mut deflaters, &how) {
        return eprintln!("{error}");
    }
    let limits = ws::Limits::default();
    let mut client = ws::Machine::with_compression(Role::Client, agreed);
    let bencher = bencher.counter(BytesCount::new(bytes));
    bencher.bench_local(|| {
        let (receiver, _) = client.split();
        match receiver.step(black_box(&mut wire), &limits) {
            Ok(ws::Step::Event { used, .. }) => used,
            _ => 0,
        }
    });
}

#[divan::bench(args = [64, 16 << 10])]
fn mask_apply(bencher: Bencher<'_, '_>, bytes: usize) {
    let mut payload = vec![b'x'; bytes];
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| mask::apply(black_box(&mut payload), black_box(KEY)));
}

/// Text as people write it, in pieces of 1,000 bytes: some characters are cut.
#[divan::bench(args = ["ascii", "greek"])]
fn utf8_decode(bencher: Bencher<'_, '_>, language: &str) {
    let word = if language == "ascii" {
        "hello world "
    } else {
        "γειά σου κόσμε "
    };
    let text = word.repeat((16 << 10) / word.len());
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| {
            let mut decoder = Decoder::new();
            for piece in black_box(&text).as_bytes().chunks(1000) {
                black_box(decoder.decode(piece).unwrap());
            }
            decoder.finish()
        });
}

#[divan::bench]
fn head_encode(bencher: Bencher<'_, '_>) {
    let asked = Asked {
        version: Version::Http11,
        head: false,
        keep_alive: true,
    };
    let common = encode::Common::at(784_111_777);
    let fields: &[u8] = b"Content-Type: text/plain; charset=utf-8\r\n";
    let mut out = Vec::with_capacity(512);
    bencher.bench_local(|| {
        out.clear();
        encode::head(
            &mut out,
            200,
            &[black_box(fields)],
            black_box(BodyLength::Known(13)),
            asked,
            After::KeepAlive,
            &common,
        )
    });
}

#[divan::bench]
fn date_format(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| date::format(black_box(784_111_777)));
}
