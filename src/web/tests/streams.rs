//! Answers the service writes as they go out, and bodies it takes as they come.

use super::*;
use crate::reactor::sim::Peer;
use crate::web::{BodyMode, RequestBody, SendStatus, StreamCx};

/// Streams, long polls and uploads, by path.
struct Feeder {
    post: ServiceSender<Note>,
    config: WebConfig,
    /// Bytes each stream writes by itself when it is asked to; then it ends.
    fill_bytes: usize,
    filled: usize,
    meta: Vec<ExchangeId>,
    writable: usize,
    expired: Vec<ExchangeId>,
    response_timeout: Vec<ExchangeId>,
    request_aborted: Vec<ExchangeId>,
    received: Vec<u8>,
    pieces: usize,
    /// Uploads pause after each piece.
    pauses: bool,
    above_high_water: bool,
    served: Vec<(String, u16, u64)>,
}

#[derive(Debug)]
enum Note {
    Write(&'static str),
    Send(Shared),
    Finish,
    Abort,
    Timeout(Duration),
    Resume,
    Refuse,
    Answer,
    Drain,
}

impl Service for Feeder {
    type Socket = ();
    type Mail = Note;

    fn config(&self) -> &WebConfig {
        &self.config
    }

    fn body_mode(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> BodyMode {
        assert_eq!(request.body(), b"");
        match request.path() {
            "/upload" => BodyMode::Stream(1_000_000),
            "/short" => BodyMode::CollectUpTo(5),
            "/large" => BodyMode::CollectUpTo(3 << 20),
            "/unwanted" => BodyMode::Answer(Response::text(404, "no")),
            _ => BodyMode::Collect,
        }
    }

    fn body(&mut self, upload: &mut RequestBody<'_, '_>, data: &[u8]) {
        self.pieces += 1;
        self.received.extend_from_slice(data);
        if self.meta.last() != Some(&upload.exchange()) {
            self.meta.push(upload.exchange());
        }
        if self.pauses {
            upload.pause();
        }
        if data.starts_with(b"bad") {
            upload.respond(Response::text(422, "bad"));
        }
    }

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        if request.path() != "/upload" {
            self.meta.push(request.exchange());
        }
        match request.path() {
            "/stream" => Response::stream(200)
                .field("Content-Type", "text/event-stream")
                .into(),
            "/nothing" => Response::stream(204).into(),
            "/poll" => Reply::LaterWithin(100 * SECOND),
            "/later" => Reply::Later,
            "/upload" => Response::text(200, format!("{} bytes", self.received.len())).into(),
            _ => Response::text(200, format!("{}", request.body().len())).into(),
        }
    }

    fn writable(&mut self, stream: &mut StreamCx<'_, '_>) {
        self.writable += 1;
        while self.fill_bytes > self.filled {
            self.filled += 1000;
            if stream.write(&[b'#'; 1000]) == SendStatus::Backpressure {
                return;
            }
        }
        if self.fill_bytes > 0 {
            stream.finish();
        }
    }

    fn expired(&mut self, stream: &mut StreamCx<'_, '_>) {
        self.expired.push(stream.exchange());
        let _sent = stream.write(b"tick");
    }

    fn response_timeout(&mut self, _: &mut Cx<'_>, exchange: ExchangeId) -> Response {
        self.response_timeout.push(exchange);
        Response::empty(204)
    }

    fn request_aborted(&mut self, _: &mut Cx<'_>, exchange: ExchangeId) {
        self.request_aborted.push(exchange);
    }

    fn response_sent(&mut self, _: &mut Cx<'_>, served: &ResponseSent<'_>) {
        let path = served.path.to_owned();
        self.served.push((path, served.status, served.body_bytes));
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, note: Note) {
        match (to, note) {
            (To::Stream(stream), note) => match note {
                Note::Write(text) => {
                    self.above_high_water |=
                        stream.write(text.as_bytes()) == SendStatus::Backpressure;
                }
                Note::Send(shared) => {
                    self.above_high_water |= stream.send(&shared) == SendStatus::Backpressure
                }
                Note::Finish => {
                    stream.finish();
                    assert_eq!(stream.write(b"more"), SendStatus::Dropped);
                }
                Note::Abort => stream.abort(),
                Note::Timeout(time) => stream.set_timeout(time),
                note => panic!("{note:?} is not for a stream"),
            },
            (To::Upload(upload), Note::Resume) => upload.resume(),
            (To::Upload(upload), Note::Refuse) => upload.respond(Response::text(503, "full")),
            (To::Exchange(_, responder), _) => responder.reply(Response::text(200, "answered")),
            (To::Nobody(cx), Note::Drain) => cx.shutdown(10 * SECOND),
            (_, _) => {}
        }
    }
}

type Feed = Sim<Web<Feeder>>;

fn feed() -> Feed {
    Sim::new(ReactorConfig::default(), |mailbox| {
        let post: ServiceSender<Note> = ServiceSender::new(mailbox);
        let feeder = Feeder {
            post: post.clone(),
            config: WebConfig::default(),
            fill_bytes: 0,
            filled: 0,
            meta: Vec::new(),
            writable: 0,
            expired: Vec::new(),
            response_timeout: Vec::new(),
            request_aborted: Vec::new(),
            received: Vec::new(),
            pieces: 0,
            pauses: false,
            above_high_water: false,
            served: Vec::new(),
        };
        Web::new(feeder, post)
    })
}

fn feeder(feed: &mut Feed) -> &mut Feeder {
    feed.handler().service()
}

fn client(feed: &mut Feed) -> SimClient {
    SimClient::plain(feed.accept(&Security::Plain).unwrap())
}

fn tell(feed: &mut Feed, client: &mut SimClient, exchange: ExchangeId, note: Note) {
    let post = feeder(feed).post.clone();
    post.to_exchange(exchange, note).unwrap();
    run(feed, &mut [client]);
}

/// Sends bytes, waits for silence and takes what came back.
fn exchange(feed: &mut Feed, client: &mut SimClient, bytes: &[u8]) -> String {
    client.write(bytes);
    run(feed, &mut [client]);
    taken(client)
}

fn taken(client: &mut SimClient) -> String {
    String::from_utf8(std::mem::take(&mut client.received)).unwrap()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{body}").into()
}

fn meta(feed: &mut Feed) -> ExchangeId {
    *feeder(feed).meta.last().unwrap()
}

/// The body of the one answer in there, with the chunks as they came.
fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_stream_is_fed_by_mail_and_timers() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    let head = exchange(&mut feed, &mut client, &get("/stream"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n"));
    assert_eq!((body(&head), feeder(&mut feed).writable), ("", 1));
    let stream = meta(&mut feed);

    tell(&mut feed, &mut client, stream, Note::Write("hello"));
    assert_eq!(taken(&mut client), "5\r\nhello\r\n");
    tell(&mut feed, &mut client, stream, Note::Write(""));
    assert_eq!(taken(&mut client), "");
    let shared = Shared::from(vec![b'x'; 20_000]);
    tell(&mut feed, &mut client, stream, Note::Send(shared));
    let text = taken(&mut client);
    assert!(text.starts_with("4e20\r\nxxx") && text.ends_with("x\r\n"));
    assert_eq!(text.len(), 20_000 + 8);

    tell(&mut feed, &mut client, stream, Note::Timeout(200 * SECOND));
    feed.advance(199 * SECOND);
    run(&mut feed, &mut [&mut client]);
    assert_eq!(taken(&mut client), "");
    feed.advance(2 * SECOND);
    run(&mut feed, &mut [&mut client]);
    assert_eq!(taken(&mut client), "4\r\ntick\r\n");
    assert_eq!(feeder(&mut feed).expired, [stream]);

    tell(&mut feed, &mut client, stream, Note::Finish);
    assert_eq!(taken(&mut client), "0\r\n\r\n");
    let served = [("/stream".to_owned(), 200, 20_009)];
    assert_eq!(feeder(&mut feed).served, served);
    // What comes too late is for nobody; the connection lives on.
    tell(&mut feed, &mut client, stream, Note::Write("late"));
    let text = exchange(&mut feed, &mut client, &get("/"));
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(feeder(&mut feed).request_aborted.is_empty());
}

#[test]
fn a_stream_waits_for_its_turn() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    let requests = [get("/later"), get("/stream"), get("/stream"), get("/")].concat();
    assert_eq!(exchange(&mut feed, &mut client, &requests), "");
    let [later, first, second, _] = feeder(&mut feed).meta[..] else {
        panic!("four requests");
    };
    tell(&mut feed, &mut client, second, Note::Write("second"));
    tell(&mut feed, &mut client, second, Note::Finish);
    tell(&mut feed, &mut client, first, Note::Write("first"));
    let shared = Shared::from(vec![b'x'; 10]);
    tell(&mut feed, &mut client, first, Note::Send(shared));
    assert!(!feeder(&mut feed).above_high_water);
    let much = Shared::from(vec![b'x'; 100_000]);
    tell(&mut feed, &mut client, first, Note::Send(much));
    assert!(feeder(&mut feed).above_high_water);
    assert_eq!(
        (taken(&mut client), feeder(&mut feed).writable),
        (String::new(), 0)
    );
    tell(&mut feed, &mut client, later, Note::Answer);
    let text = taken(&mut client);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(text.contains("\r\n\r\n5\r\nfirst\r\na\r\nxxxxxxxxxx\r\n186a0\r\nxxx"));
    assert!(!text.contains("second"));
    tell(&mut feed, &mut client, first, Note::Finish);
    let text = taken(&mut client);
    assert!(text.starts_with("0\r\n\r\nHTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("\r\n\r\n6\r\nsecond\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert!(
        text.ends_with("\r\n\r\n0"),
        "the answer to the last: {text}"
    );
}

#[test]
fn a_stream_goes_as_fast_as_its_client_takes_it() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    client.peer.set_capacity(10_000);
    feeder(&mut feed).fill_bytes = 3_000_000;
    client.peer.send(&get("/stream"));
    feed.settle();
    // Nothing is read: no more is made than the mark allows, and the kernel takes.
    let made = feeder(&mut feed).filled;
    assert!((100_000..1_000_000).contains(&made), "{made}");
    run(&mut feed, &mut [&mut client]);
    assert_eq!(feeder(&mut feed).filled, 3_000_000);
    assert!(feeder(&mut feed).writable > 3);
    let text = taken(&mut client);
    assert!(text.ends_with("0\r\n\r\n"));
    assert_eq!(text.matches('#').count(), 3_000_000);
}

#[test]
fn a_stream_to_one_who_does_not_read_is_given_up() {
    let mut feed = feed();
    let client = client(&mut feed);
    client.peer.set_capacity(10_000);
    feeder(&mut feed).fill_bytes = 3_000_000;
    client.peer.send(&get("/stream"));
    feed.settle();
    let stream = meta(&mut feed);
    feed.advance(200 * SECOND);
    assert_eq!(feed.connections(), 0);
    assert_eq!(feeder(&mut feed).request_aborted, [stream]);

    // The same for one that has not come to the mark.
    let client = self::client(&mut feed);
    client.peer.set_capacity(10);
    client.peer.send(&get("/stream"));
    feed.settle();
    feed.advance(200 * SECOND);
    assert_eq!(feed.connections(), 0);
}

#[test]
fn old_clients_get_a_stream_as_it_is() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    let request = b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let head = exchange(&mut feed, &mut client, request);
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert!(!head.contains("Transfer-Encoding"));
    let stream = meta(&mut feed);
    tell(&mut feed, &mut client, stream, Note::Write("as it is"));
    let shared = Shared::from(b" and shared".as_slice());
    tell(&mut feed, &mut client, stream, Note::Send(shared));
    assert_eq!(taken(&mut client), "as it is and shared");
    tell(&mut feed, &mut client, stream, Note::Finish);
    assert_eq!(taken(&mut client), "");
    assert!(client.peer.at_end());
}

#[test]
fn no_body_is_no_stream() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    let head = b"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = exchange(&mut feed, &mut client, head);
    assert!(text.contains("\r\nTransfer-Encoding: chunked\r\n") && text.ends_with("\r\n\r\n"));
    let text = exchange(&mut feed, &mut client, &get("/nothing"));
    assert!(text.starts_with("HTTP/1.1 204 No Content\r\n") && body(&text).is_empty());
    let meta = feeder(&mut feed).meta.clone();
    assert_eq!(
        (
            feeder(&mut feed).request_aborted.clone(),
            feeder(&mut feed).writable
        ),
        (meta, 0)
    );
    let text = exchange(&mut feed, &mut client, &get("/"));
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn those_who_go_are_told_of() {
    let mut feed = feed();
    for leave in [Peer::reset as fn(&Peer), Peer::shut] {
        let mut client = client(&mut feed);
        client.write(&[get("/stream"), get("/poll")].concat());
        run(&mut feed, &mut [&mut client]);
        let meta = std::mem::take(&mut feeder(&mut feed).meta);
        leave(&client.peer);
        feed.settle();
        // A peer that is silent from its end on may be reading, or gone.
        feed.advance(200 * SECOND);
        feed.settle();
        assert_eq!(std::mem::take(&mut feeder(&mut feed).request_aborted), meta);
        assert_eq!(feed.connections(), 0);
    }
    let mut client = client(&mut feed);
    client.write(&get("/stream"));
    run(&mut feed, &mut [&mut client]);
    let stream = meta(&mut feed);
    tell(&mut feed, &mut client, stream, Note::Abort);
    assert!(client.peer.is_dropped());
    assert_eq!(feeder(&mut feed).request_aborted, [stream]);
    feed.audit();
}

#[test]
fn shutdown_ends_streams() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    exchange(&mut feed, &mut client, &get("/stream"));
    let stream = meta(&mut feed);
    tell(&mut feed, &mut client, stream, Note::Write("last"));
    feeder(&mut feed)
        .post
        .clone()
        .to_service(Note::Drain)
        .unwrap();
    run(&mut feed, &mut [&mut client]);
    assert_eq!(taken(&mut client), "4\r\nlast\r\n0\r\n\r\n");
    // Its head could not say that it is the last answer, so another request may come.
    assert!(!client.peer.at_end());
    feed.advance(Duration::from_millis(1100));
    run(&mut feed, &mut [&mut client]);
    assert!(client.peer.at_end());
}

#[test]
fn a_long_poll_has_its_own_time() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    assert_eq!(exchange(&mut feed, &mut client, &get("/poll")), "");
    let poll = meta(&mut feed);
    feed.advance(99 * SECOND);
    run(&mut feed, &mut [&mut client]);
    tell(&mut feed, &mut client, poll, Note::Answer);
    assert!(taken(&mut client).ends_with("answered"));

    exchange(&mut feed, &mut client, &get("/poll"));
    feed.advance(101 * SECOND);
    run(&mut feed, &mut [&mut client]);
    let text = taken(&mut client);
    assert!(text.starts_with("HTTP/1.1 204 No Content\r\n"), "{text}");
    assert_eq!(feeder(&mut feed).response_timeout.len(), 1);
    assert!(exchange(&mut feed, &mut client, &get("/")).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_body_is_handed_on_as_it_comes() {
    for is_chunked in [false, true] {
        let mut feed = feed();
        let mut client = client(&mut feed);
        let bytes = Rng::new(7).bytes(300_000);
        let framing = if is_chunked {
            "Transfer-Encoding: chunked"
        } else {
            "Content-Length: 300000"
        };
        let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        client.write(head.as_bytes());
        for piece in bytes.chunks(70_000) {
            if is_chunked {
                client.write(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            client.write(piece);
            run(&mut feed, &mut [&mut client]);
            if is_chunked {
                client.write(b"\r\n");
            }
        }
        if is_chunked {
            client.write(b"0\r\n\r\n");
        }
        let text = exchange(&mut feed, &mut client, &get("/"));
        assert!(
            text.contains("\r\n\r\n300000 bytesHTTP/1.1 200 OK\r\n"),
            "{text}"
        );
        assert!(feeder(&mut feed).received == bytes);
        assert!(feeder(&mut feed).pieces >= 5);
        assert!(feeder(&mut feed).request_aborted.is_empty());
    }
}

#[test]
fn an_upload_goes_as_fast_as_its_service_takes_it() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    feeder(&mut feed).pauses = true;
    client.peer.set_capacity(20_000);
    client.write(&post("/upload", &"u".repeat(500_000)));
    run(&mut feed, &mut [&mut client]);
    let mut taken_bytes = feeder(&mut feed).received.len();
    assert!(taken_bytes < 100_000, "{taken_bytes}");
    // The service takes its time, which is not the client's fault.
    feed.advance(200 * SECOND);
    while taken_bytes < 500_000 {
        let upload = meta(&mut feed);
        tell(&mut feed, &mut client, upload, Note::Resume);
        let now = feeder(&mut feed).received.len();
        assert!(now > taken_bytes && now - taken_bytes < 100_000, "{now}");
        taken_bytes = now;
    }
    let upload = meta(&mut feed);
    tell(&mut feed, &mut client, upload, Note::Resume);
    assert!(taken(&mut client).ends_with("500000 bytes"));
}

#[test]
fn an_upload_can_be_refused_on_its_way() {
    let mut feed = feed();
    let mut rejected = client(&mut feed);
    let long = "bad".to_owned() + &"u".repeat(400_000);
    let text = exchange(&mut feed, &mut rejected, &post("/upload", &long));
    assert!(text.starts_with("HTTP/1.1 422 "), "{text}");
    assert!(text.contains("Connection: close\r\n") && rejected.peer.at_end());

    let mut by_mail = client(&mut feed);
    feeder(&mut feed).pauses = true;
    by_mail.write(&post("/upload", &"u".repeat(400_000)));
    run(&mut feed, &mut [&mut by_mail]);
    let upload = meta(&mut feed);
    tell(&mut feed, &mut by_mail, upload, Note::Refuse);
    assert!(taken(&mut by_mail).starts_with("HTTP/1.1 503 "));
    assert!(by_mail.peer.at_end());
    assert!(feeder(&mut feed).request_aborted.is_empty());
}

#[test]
fn an_upload_that_breaks_off_is_told_of() {
    let mut feed = feed();
    let begun = &post("/upload", &"u".repeat(1000))[..500];
    for leave in [Peer::reset as fn(&Peer), Peer::shut] {
        let mut client = client(&mut feed);
        exchange(&mut feed, &mut client, begun);
        leave(&client.peer);
        feed.settle();
        let upload = meta(&mut feed);
        assert_eq!(feeder(&mut feed).request_aborted.pop(), Some(upload));
    }
    // Too slow, broken, too long: the service hears of it, and the client gets the reason.
    let chunked = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc";
    for (rest, status) in [("", "408"), ("xx", "400"), ("\r\nf4240\r\n", "413")] {
        let mut client = client(&mut feed);
        exchange(&mut feed, &mut client, chunked);
        let upload = meta(&mut feed);
        client.write(rest.as_bytes());
        run(&mut feed, &mut [&mut client]);
        feed.advance(31 * SECOND);
        run(&mut feed, &mut [&mut client]);
        let text = taken(&mut client);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert_eq!(feeder(&mut feed).request_aborted.pop(), Some(upload));
    }
}

#[test]
fn an_upload_has_to_keep_coming() {
    let head = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n";
    for (per_second, is_enough) in [(200, false), (300, true)] {
        let mut feed = feed();
        let mut client = client(&mut feed);
        exchange(&mut feed, &mut client, head);
        let (mut seconds, mut response) = (0, String::new());
        while seconds < 300 && !client.peer.at_end() {
            response += &exchange(&mut feed, &mut client, &vec![b'u'; per_second]);
            feed.advance(SECOND);
            seconds += 1;
        }
        if is_enough {
            assert!(response.is_empty(), "{response}");
        } else {
            assert!((10..=12).contains(&seconds), "{seconds} s");
            response += &taken(&mut client);
            assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
        }
    }
}

#[test]
fn the_time_an_upload_is_held_back_is_not_the_peers() {
    let mut feed = feed();
    feeder(&mut feed).pauses = true;
    let mut client = client(&mut feed);
    let begun = &post("/upload", &"u".repeat(20_000))[..10_000];
    exchange(&mut feed, &mut client, begun);
    let upload = meta(&mut feed);
    feed.advance(100 * SECOND);
    tell(&mut feed, &mut client, upload, Note::Resume);
    feed.advance(9 * SECOND);
    run(&mut feed, &mut [&mut client]);
    assert!(taken(&mut client).is_empty());
    feed.advance(2 * SECOND);
    run(&mut feed, &mut [&mut client]);
    assert!(taken(&mut client).starts_with("HTTP/1.1 408 "));
}

#[test]
fn the_service_says_how_long_a_body_may_be() {
    let mut feed = feed();
    for (path, len, status) in [
        ("/short", 5, 200),
        ("/short", 6, 413),
        ("/large", 3 << 20, 200),
        ("/large", (3 << 20) + 1, 413),
        ("/", 1 << 20, 200),
        ("/", (1 << 20) + 1, 413),
        ("/upload", 1_000_000, 200),
        ("/upload", 1_000_001, 413),
    ] {
        for is_chunked in [false, true] {
            let mut client = client(&mut feed);
            let body = "b".repeat(len);
            let request = if is_chunked {
                let framing = format!("Transfer-Encoding: chunked\r\n\r\n{len:x}\r\n{body}");
                format!("PUT {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n0\r\n\r\n").into()
            } else {
                post(path, &body)
            };
            let text = exchange(&mut feed, &mut client, &request);
            let want = format!("HTTP/1.1 {status} ");
            assert!(text.starts_with(&want), "{path} {len} {is_chunked}: {text}");
            let is_cut = path == "/upload" && status == 413;
            let request_aborted = std::mem::take(&mut feeder(&mut feed).request_aborted);
            assert_eq!(request_aborted.len(), usize::from(is_cut), "{path} {len}");
        }
    }
}

#[test]
fn a_body_that_is_not_wanted_is_not_waited_for() {
    let mut feed = feed();
    // A short one is dropped, in one piece or two, and the connection lives on.
    let mut client = client(&mut feed);
    let short = post("/unwanted", "short");
    let text = exchange(&mut feed, &mut client, &[short.clone(), get("/")].concat());
    assert!(
        text.starts_with("HTTP/1.1 404 ") && text.contains("HTTP/1.1 200 OK"),
        "{text}"
    );
    assert_eq!(
        exchange(&mut feed, &mut client, &short[..short.len() - 2]),
        ""
    );
    let text = exchange(&mut feed, &mut client, b"rt");
    assert!(
        text.starts_with("HTTP/1.1 404 ") && !text.contains("close"),
        "{text}"
    );

    // A client that waits is told at once, without `100 Continue`.
    let waiting = b"POST /unwanted HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
        Expect: 100-continue\r\n\r\n";
    let text = exchange(&mut feed, &mut client, waiting);
    assert!(text.starts_with("HTTP/1.1 404 ") && text.contains("Connection: close\r\n"));
    assert!(client.peer.at_end());

    // One that has much to say as well; what it still says is taken and dropped.
    for head in [
        "Content-Length: 10000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
    ] {
        let mut client = self::client(&mut feed);
        let head = format!("POST /unwanted HTTP/1.1\r\nHost: a\r\n{head}");
        client.write(head.as_bytes());
        for _ in 0..100 {
            client.write(b"1000\r\n");
            client.write(&[b'x'; 0x1000]);
            client.write(b"\r\n");
        }
        run(&mut feed, &mut [&mut client]);
        let text = taken(&mut client);
        assert!(text.starts_with("HTTP/1.1 404 ") && text.contains("Connection: close\r\n"));
        assert!(client.peer.at_end());
    }
    assert_eq!(feeder(&mut feed).meta.len(), 1);
}

#[test]
fn continue_is_sent_when_a_body_is_wanted() {
    let mut feed = feed();
    let mut client = client(&mut feed);
    for path in ["/upload", "/large", "/"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        );
        let text = exchange(&mut feed, &mut client, head.as_bytes());
        assert_eq!(text, "HTTP/1.1 100 Continue\r\n\r\n");
        let text = exchange(&mut feed, &mut client, b"hi");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
}

#[test]
fn the_server_field_is_sent_where_it_is_wanted() {
    for server in [None, Some("edgeloop"), Some("bad\r\nvalue")] {
        let mut feed = feed();
        feeder(&mut feed).config.server = server;
        feed.advance(SECOND);
        let mut client = client(&mut feed);
        let text = exchange(&mut feed, &mut client, &get("/"));
        assert_eq!(
            text.contains("\r\nServer: edgeloop\r\n"),
            server == Some("edgeloop")
        );
        assert_eq!(
            text.matches("Server").count() + text.matches("bad").count(),
            usize::from(server == Some("edgeloop"))
        );
    }
}
