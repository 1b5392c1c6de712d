//! The web layer in a real reactor, over the loopback: whatever comes in, what goes out are whole,
//! well-formed answers, the same however the input was cut; and nothing is left behind.

#![no_main]

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use edgeloop::proto::http1::{HttpLimits, HttpMachine, HttpStep};
use edgeloop::web::{
    self, AcceptDecision, Body, BodyMode, Cx, Endpoint, ExchangeId, Reactor, Reply, Request,
    RequestBody, Response, ResponseSent, Security, Service, ServiceSender, StreamCx, To, Web,
    WebConfig,
};
use libfuzzer_sys::fuzz_target;

/// Small enough that random input meets them.
const CONFIG: WebConfig = WebConfig {
    http: HttpLimits {
        target_bytes_max: 64,
        head_bytes_max: 400,
        fields_max: 12,
        body_bytes_max: 20,
        chunk_extension_bytes_max: 16,
        trailer_bytes_max: 16,
    },
    pipeline_max: 4,
    messages_per_turn: 3,
    ..WebConfig::DEFAULT
};

enum Mail {
    /// Answers the last request that waits.
    Answer,
    /// The answer itself.
    Text(String),
    /// Takes an upload in again.
    Resume,
}

struct Site {
    post: ServiceSender<Mail>,
    later: Vec<(ExchangeId, String)>,
    /// Answers and bodies under way, and connections.
    under_way: usize,
    uploads: Vec<ExchangeId>,
    open: usize,
    served: Vec<(u16, bool)>,
}

impl Service for Site {
    type Socket = ();
    type Mail = Mail;

    fn config(&self) -> &WebConfig {
        &CONFIG
    }

    fn accept(&mut self, _: &mut Cx<'_>, _: Endpoint) -> AcceptDecision {
        self.open += 1;
        AcceptDecision::Served
    }

    fn connection_closed(&mut self, _: &mut Cx<'_>, _: Endpoint, _: AcceptDecision) {
        self.open -= 1;
    }

    fn body_mode(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> BodyMode {
        assert_eq!(request.body(), b"");
        match request.path() {
            "/up" => {
                self.uploads.push(request.exchange());
                BodyMode::Stream(30)
            }
            "/two" => BodyMode::CollectUpTo(2),
            "/no" => BodyMode::Answer(Response::text(403, "no")),
            _ => BodyMode::Collect,
        }
    }

    fn body(&mut self, upload: &mut RequestBody<'_, '_>, data: &[u8]) {
        assert!(!data.is_empty() && self.uploads.contains(&upload.exchange()));
        if data.contains(&b'p') {
            upload.pause();
            self.post
                .to_exchange(upload.exchange(), Mail::Resume)
                .unwrap();
        }
        if data.contains(&b'!') {
            // Who has answered is not told that it is over.
            self.uploads.retain(|other| *other != upload.exchange());
            upload.respond(Response::text(400, "stop"));
        }
    }

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        let exchange = request.exchange();
        self.uploads.retain(|other| *other != exchange);
        let text = format!("{} {}", request.method().as_str(), request.body().len());
        match request.path() {
            "/later" => {
                self.under_way += 1;
                self.later.push((exchange, text));
                self.post.to_service(Mail::Answer).unwrap();
                Reply::Later
            }
            "/stream" => {
                self.under_way += 1;
                Response::stream(200).into()
            }
            "/ws" => Reply::Upgrade(()),
            "/close" => Response::text(200, text).close().into(),
            "/none" => Response::empty(204).into(),
            "/same" => Response::new(304, Body::Bytes(text.into())).into(),
            "/large" => Response::new(200, Body::Bytes(vec![b'x'; 300_000])).into(),
            _ => Response::text(200, text).into(),
        }
    }

    fn writable(&mut self, stream: &mut StreamCx<'_, '_>) {
        stream.write(b"part");
        stream.write(b"");
        stream.finish();
        self.under_way -= 1;
    }

    fn request_aborted(&mut self, _: &mut Cx<'_>, exchange: ExchangeId) {
        let uploads = self.uploads.len();
        self.uploads.retain(|other| *other != exchange);
        if self.uploads.len() == uploads {
            self.under_way -= 1;
            self.later.retain(|(other, _)| *other != exchange);
        }
    }

    fn response_sent(&mut self, _: &mut Cx<'_>, served: &ResponseSent<'_>) {
        self.served.push((served.status, served.method == "HEAD"));
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, mail: Mail) {
        match (to, mail) {
            (To::Nobody(_), Mail::Answer) => {
                if let Some((exchange, text)) = self.later.pop() {
                    self.post.to_exchange(exchange, Mail::Text(text)).unwrap();
                }
            }
            (To::Exchange(_, responder), Mail::Text(text)) => {
                self.under_way -= 1;
                responder.reply(Response::text(200, text));
            }
            (To::Upload(upload), Mail::Resume) => upload.resume(),
            _ => {}
        }
    }
}

struct World {
    reactor: Reactor<Web<Site>>,
    address: SocketAddr,
}

impl World {
    fn new() -> Self {
        let mut reactor = web::reactor(web::ReactorConfig::default(), |post| Site {
            post,
            later: Vec::new(),
            under_way: 0,
            uploads: Vec::new(),
            open: 0,
            served: Vec::new(),
        })
        .unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let (_, address) = reactor.listen(any, Security::Plain).unwrap();
        Self { reactor, address }
    }

    fn turn(&mut self) {
        self.reactor.turn(Some(Duration::from_millis(1))).unwrap();
    }

    /// Sends the pieces and the end; returns all that came back, and what was served.
    fn exchange(&mut self, pieces: [&[u8]; 2]) -> (Vec<u8>, Vec<(u16, bool)>) {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_nodelay(true).unwrap();
        for piece in pieces {
            // A few kilobytes always fit; a server that has closed does not take them.
            client.write_all(piece).ok();
            self.turn();
        }
        client.shutdown(Shutdown::Write).ok();
        client.set_nonblocking(true).unwrap();
        let mut received = Vec::new();
        loop {
            self.turn();
            match client.read_to_end(&mut received) {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error} after {}", received.escape_ascii()),
            }
        }
        drop(client);
        while self.reactor.connections() > 0 {
            self.turn();
        }
        let site = self.reactor.handler().service();
        assert_eq!((site.open, site.under_way), (0, 0), "someone is left");
        assert!(site.later.is_empty() && site.uploads.is_empty());
        (received, std::mem::take(&mut site.served))
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|data: &[u8]| {
    let [high, low, input @ ..] = data else {
        return;
    };
    let cut = usize::from(u16::from_be_bytes([*high, *low])) % (input.len() + 1);
    WORLD.with_borrow_mut(|world| {
        let whole = world.exchange([input, b""]);
        check(&whole.0, &whole.1);
        let (front, back) = input.split_at(cut);
        let parts = world.exchange([front, back]);
        check(&parts.0, &parts.1);
        // Whether a body has come with its head decides whether it is meta for.
        let lower = input.to_ascii_lowercase();
        if !lower.windows(12).any(|part| part == b"100-continue") {
            let (whole, parts) = (undated(&whole.0), undated(&parts.0));
            assert_eq!(whole, parts, "cut at {cut}");
        }
    });
});

fn undated(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    let lines = text
        .split("\\r\\n")
        .filter(|line| !line.starts_with("Date: "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads answers until there are none; `served` says what they are to be.
fn check(mut bytes: &[u8], served: &[(u16, bool)]) {
    let mut served = served.iter();
    let mut is_over = false;
    while !bytes.is_empty() {
        assert!(!is_over, "an answer after the last");
        let mut table = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Response::new(&mut table);
        let Ok(httparse::Status::Complete(len)) = head.parse(bytes) else {
            panic!("no answer: {}", bytes.escape_ascii());
        };
        bytes = &bytes[len..];
        let status = head.code.unwrap();
        let fields = head.headers.iter();
        let all = |name: &str| {
            let named = fields
                .clone()
                .filter(|field| field.name.eq_ignore_ascii_case(name));
            let values = named.map(|field| std::str::from_utf8(field.value).unwrap());
            values.collect::<Vec<_>>()
        };
        let field = |name: &str| {
            let all = all(name);
            assert!(all.len() <= 1, "{name} more than once");
            all.first().copied()
        };
        if status == 100 {
            continue;
        }
        if status == 101 {
            return; // the rest is frames
        }
        let (expected, is_head) = *served.next().expect("an answer that was not served");
        assert_eq!(status, expected);
        assert!(field("Date").is_some());
        is_over = all("Connection").contains(&"close");
        let (length, coding) = (field("Content-Length"), field("Transfer-Encoding"));
        assert!(length.is_none() || coding.is_none());
        if is_head || matches!(status, 204 | 304) {
            continue;
        }
        match (length, coding) {
            (Some(length), None) => bytes = &bytes[length.parse().unwrap()..],
            (None, Some("chunked")) => bytes = after_chunks(bytes),
            // To a client of HTTP/1.0.
            (None, None) if is_over => return,
            _ => panic!("no framing"),
        }
    }
    assert!(served.next().is_none(), "an answer is missing");
}

fn after_chunks(body: &[u8]) -> &[u8] {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut machine = HttpMachine::new();
    let limits = HttpLimits::DEFAULT;
    let begun = machine.step(head, &limits);
    assert!(matches!(begun, Ok(HttpStep::Head { .. })));
    let mut rest = body;
    loop {
        match machine.step(rest, &limits) {
            Ok(HttpStep::Body { used, .. }) => rest = &rest[used..],
            Ok(HttpStep::End { used }) => return &rest[used..],
            other => panic!("half a body: {other:?}"),
        }
    }
}
