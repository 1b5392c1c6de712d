//! A service that panics: the client gets a 500 where nothing of a response is out, and others notice nothing.

use std::cell::Cell;

use super::*;
use crate::reactor::Endpoint;
use crate::web::{AcceptDecision, BodyMode, RequestBody, StreamCx};

/// Panics once, in the callback that it is asked to panic in.
struct Fragile {
    config: WebConfig,
    panics_in: &'static str,
    has_panicked: Cell<bool>,
    post: ServiceSender<&'static str>,
}

impl Fragile {
    fn may_panic(&self, callback: &str) {
        let panics = self.panics_in == callback && !self.has_panicked.replace(true);
        assert!(!panics, "as the test wants");
    }
}

impl Service for Fragile {
    type Socket = ();
    type Mail = &'static str;

    fn config(&self) -> &WebConfig {
        &self.config
    }

    fn accept(&mut self, _: &mut Cx<'_>, _: Endpoint) -> AcceptDecision {
        self.may_panic("accept");
        AcceptDecision::Served
    }

    fn connection_closed(&mut self, _: &mut Cx<'_>, _: Endpoint, _: AcceptDecision) {
        self.may_panic("connection_closed");
    }

    fn body_mode(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> BodyMode {
        self.may_panic("intake");
        match request.path() {
            "/upload" => BodyMode::Stream(1_000_000),
            _ => BodyMode::Collect,
        }
    }

    fn body(&mut self, _: &mut RequestBody<'_, '_>, _: &[u8]) {
        self.may_panic("body");
    }

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        if request.path() == "/fine" {
            return Reply::Send(Response::text(200, "fine"));
        }
        self.may_panic("request");
        match request.path() {
            "/later" | "/late" => {
                if request.path() == "/later" {
                    self.post.to_exchange(request.exchange(), "x").unwrap();
                }
                Reply::Later
            }
            "/stream" => Reply::Send(Response::stream(200)),
            "/parts" => {
                let part = Part::Shared(Shared::from(vec![b's'; 100_000]));
                Reply::Send(Response::new(200, super::super::Body::Parts(vec![part])))
            }
            #[cfg(feature = "ws")]
            "/ws" => Reply::Upgrade(()),
            _ => Reply::Send(Response::text(200, "hello")),
        }
    }

    fn error_response(&mut self, status: u16, reason: &str) -> Response {
        self.may_panic("refusal");
        Response::text(status, reason.to_owned())
    }

    fn response_timeout(&mut self, _: &mut Cx<'_>, _: ExchangeId) -> Response {
        self.may_panic("overdue");
        Response::text(503, "late")
    }

    fn writable(&mut self, stream: &mut StreamCx<'_, '_>) {
        let _sent = stream.write(b"begun");
        self.may_panic("drained");
        match self.panics_in {
            "expired" => stream.set_timeout(SECOND),
            "shutting_down" => {}
            _ => stream.finish(),
        }
    }

    fn expired(&mut self, _: &mut StreamCx<'_, '_>) {
        self.may_panic("expired");
    }

    fn shutting_down(&mut self, _: &mut StreamCx<'_, '_>) {
        self.may_panic("shutting_down");
    }

    fn request_aborted(&mut self, _: &mut Cx<'_>, _: ExchangeId) {
        self.may_panic("abandoned");
    }

    fn response_sent(&mut self, _: &mut Cx<'_>, served: &ResponseSent<'_>) {
        if served.path != "/fine" {
            self.may_panic("served");
        }
    }

    fn opened(&mut self, ws: &mut WsCx<'_, '_>, (): &mut ()) {
        self.may_panic("opened");
        if self.panics_in == "socket mail" {
            self.post.to_socket(ws.id(), "x").unwrap();
        }
    }

    fn message_too_long(&mut self, _: &mut WsCx<'_, '_>, (): &mut (), _: u64) {
        self.may_panic("message_too_long");
    }

    fn message(&mut self, _: &mut WsCx<'_, '_>, (): &mut (), _: Message<'_>) {
        self.may_panic("message");
    }

    fn closed(&mut self, _: &mut Cx<'_>, (): (), _: &WebSocketClosed<'_>) {
        self.may_panic("closed");
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, _: &'static str) {
        match &to {
            To::Socket(..) => self.may_panic("socket mail"),
            _ => self.may_panic("mail"),
        }
        if let To::Exchange(_, responder) = to {
            responder.reply(Response::text(200, "later"));
        }
    }
}

fn fragile(panics_in: &'static str) -> Sim<Web<Fragile>> {
    let mut config = WebConfig::default();
    config.ws.message_bytes_wanted_max = 10;
    let mut world = Sim::new(ReactorConfig::default(), |mailbox| {
        let post: ServiceSender<&'static str> = ServiceSender::<&'static str>::new(mailbox);
        let service = Fragile {
            config,
            panics_in,
            has_panicked: Cell::new(false),
            post: post.clone(),
        };
        Web::new(service, post)
    });
    world.panics = 1;
    world
}

const FINE: &[u8] = b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends `request` to a service that panics in `callback`, and returns what comes back and whether all is over.
fn provoke(callback: &'static str, request: &[u8], secure: bool) -> (Vec<u8>, bool) {
    let mut world = fragile(callback);
    let security = match secure {
        #[cfg(feature = "tls")]
        true => Security::Tls(crate::proto::tls::tests::server_config()),
        _ => Security::Plain,
    };
    let connect = |world: &mut Sim<Web<Fragile>>| {
        let peer = world.accept(&security).unwrap();
        match secure {
            #[cfg(feature = "tls")]
            true => SimClient::secure(peer),
            _ => SimClient::plain(peer),
        }
    };
    let mut other = connect(&mut world);
    let mut client = connect(&mut world);
    client.write(request);
    run(&mut world, &mut [&mut client, &mut other]);
    if ["overdue", "expired"].contains(&callback) {
        world.advance(Duration::from_secs(60));
        run(&mut world, &mut [&mut client, &mut other]);
    }
    client.finish();
    run(&mut world, &mut [&mut client, &mut other]);
    let is_over = client.peer.is_dropped();
    other.peer.shut();
    world.settle();
    let mut last = connect(&mut world);
    last.write(FINE);
    run(&mut world, &mut [&mut last]);
    assert_eq!(
        read_response(&mut last.received, false).unwrap().body,
        b"fine"
    );
    world.audit();
    (client.received, is_over)
}

fn request(path: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{body}").into_bytes()
}

#[test]
fn where_no_head_is_out_it_is_500() {
    for secure in [false, true] {
        for (callback, path) in [
            ("intake", "/upload"),
            ("body", "/upload"),
            ("request", "/hello"),
            ("mail", "/later"),
            ("overdue", "/late"),
        ] {
            let (mut received, is_over) = provoke(callback, &request(path, "abc"), secure);
            let response = read_response(&mut received, false).unwrap();
            let expected = b"internal server error".to_vec();
            let seen = (response.status, response.close, response.body);
            assert_eq!(seen, (500, true, expected), "{callback}");
            assert!(received.is_empty() && is_over, "{callback}");
        }
    }
}

#[test]
fn answers_before_it_are_whole_and_those_behind_it_are_not_given() {
    let pipeline = [FINE, &request("/hello", ""), FINE].concat();
    let (mut received, is_over) = provoke("request", &pipeline, false);
    assert_eq!(read_response(&mut received, false).unwrap().body, b"fine");
    assert_eq!(read_response(&mut received, false).unwrap().status, 500);
    assert!(received.is_empty() && is_over);
}

#[test]
fn an_answer_that_is_out_stays_whole() {
    let (mut received, is_over) = provoke("served", &request("/hello", ""), false);
    assert_eq!(read_response(&mut received, false).unwrap().body, b"hello");
    assert!(received.is_empty() && is_over);
}

#[test]
fn where_a_head_is_out_the_connection_ends_in_the_middle() {
    for (callback, path) in [
        ("served", "/parts"),
        ("drained", "/stream"),
        ("expired", "/stream"),
    ] {
        let (received, is_over) = provoke(callback, &request(path, ""), false);
        let text = String::from_utf8_lossy(&received);
        assert!(!text.contains("500"), "{callback}: {text}");
        assert!(!text.ends_with("0\r\n\r\n"), "{callback}: {text}");
        assert!(is_over, "{callback}");
    }
}

#[test]
fn what_panics_after_the_connection_is_counted_and_no_more() {
    // Half a body of an upload, of which nothing more comes.
    let upload = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf";
    provoke("abandoned", upload, false);
    provoke("connection_closed", FINE, false);
}

#[test]
fn a_connection_whose_acceptance_panics_is_refused() {
    let mut world = fragile("accept");
    assert!(world.accept(&Security::Plain).is_none());
    let mut client = SimClient::plain(world.accept(&Security::Plain).unwrap());
    client.write(FINE);
    run(&mut world, &mut [&mut client]);
    assert_eq!(
        read_response(&mut client.received, false).unwrap().status,
        200
    );
    world.audit();
}

#[cfg(feature = "ws")]
#[test]
fn a_websocket_is_closed_with_1011() {
    use super::socket::HANDSHAKE;
    for secure in [false, true] {
        for callback in [
            "opened",
            "message",
            "closed",
            "socket mail",
            "message_too_long",
        ] {
            let mut bytes = HANDSHAKE.to_vec();
            if callback == "message" {
                bytes.extend([0x81, 0x81, 0, 0, 0, 0, b'x']);
            }
            if callback == "message_too_long" {
                bytes.extend(*b"\x81\x8b\0\0\0\0hello world");
            }
            let (received, is_over) = provoke(callback, &bytes, secure);
            let text = String::from_utf8_lossy(&received);
            assert!(text.starts_with("HTTP/1.1 101 "), "{callback}: {text}");
            let has_close = received
                .windows(4)
                .any(|bytes| bytes == [0x88, 16, 3, 0xf3]);
            assert_eq!(has_close, callback != "closed", "{callback}");
            assert!(is_over, "{callback}");
        }
    }
}
