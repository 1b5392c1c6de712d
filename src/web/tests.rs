//! The web layer as a whole: a service in an engine, against a scripted client.

mod deadlines;
mod held;
mod http;
mod panics;
mod pipelining;
#[cfg(feature = "tls")]
mod plaintext_on_tls;
#[cfg(feature = "ws")]
mod socket;
mod streams;
#[cfg(feature = "ws")]
mod topics;

use std::time::Duration;

use super::sender::{ServiceMail, ServiceSender};
use super::{
    CloseCode, ConnId, Cx, ExchangeId, FileBody, Message, Part, ReactorConfig, Reply, Request,
    Response, ResponseSent, Security, Service, Shared, To, Web, WebConfig, WebSocketClosed, WsCx,
    frame,
};
use crate::reactor::sim::{Rng, Sim, SimClient, for_seeds, run};

const SECOND: Duration = Duration::from_secs(1);

/// Does as little as a service may.
struct ByDefault;

impl Service for ByDefault {
    type Socket = ();
    type Mail = Mail;

    fn request(&mut self, _: &mut Cx<'_>, _: &Request<'_>) -> Reply<()> {
        Reply::Send(Response::empty(404))
    }
}

/// Answers by path.
struct TestService {
    config: WebConfig,
    goes_on_over_long: bool,
    post: ServiceSender<Mail>,
    /// Requests whose answers come later, with what they are to be answered.
    later: Vec<(ExchangeId, String)>,
    file: Option<FileBody>,
    sockets: Vec<ConnId>,
    served: Vec<(String, u16, u64)>,
    ended: Vec<(CloseCode, bool, u64)>,
    messages: Vec<usize>,
    open: usize,
}

#[derive(Debug)]
#[cfg_attr(
    not(feature = "ws"),
    expect(dead_code, reason = "some of it is for WebSockets")
)]
enum Mail {
    Answer(String),
    /// For the service: sends a frame to every socket.
    Publish(&'static str),
    Drain,
    /// With a grace that does not end.
    DrainForEver,
    /// For a socket: closes it.
    Close,
}

impl Service for TestService {
    type Socket = ();
    type Mail = Mail;

    fn config(&self) -> &WebConfig {
        &self.config
    }

    fn accept(&mut self, _: &mut Cx<'_>, _: super::Endpoint) -> super::AcceptDecision {
        self.open += 1;
        super::AcceptDecision::Served
    }

    fn connection_closed(&mut self, _: &mut Cx<'_>, _: super::Endpoint, _: super::AcceptDecision) {
        self.open -= 1;
    }

    #[cfg_attr(
        not(feature = "ws"),
        expect(unused_variables, reason = "WebSockets alone are known by number")
    )]
    fn request(&mut self, cx: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        let path = request.path();
        let number = path.rsplit('/').next().unwrap();
        if path.starts_with("/later") {
            let text = format!("later {number} {}", request.body().len());
            self.later.push((request.exchange(), text));
            return Reply::Later;
        }
        Reply::Send(match path {
            "/echo" => Response::new(200, super::Body::Bytes(request.body().to_vec())),
            "/close" => Response::text(200, "bye").close(),
            #[cfg(feature = "ws")]
            "/ws" => {
                self.sockets.push(cx.id());
                return Reply::Upgrade(());
            }
            "/file" => Response::new(200, super::Body::File(self.file.clone().unwrap())),
            "/parts" => {
                let file = self.file.clone().unwrap();
                Response::new(200, super::Body::Parts(parts(&file)))
            }
            "/unchanged" => Response::new(304, super::Body::File(self.file.clone().unwrap())),
            _ if path.starts_with("/big") => {
                Response::new(200, super::Body::Bytes(vec![b'b'; number.parse().unwrap()]))
            }
            _ => Response::text(200, format!("{} {number}", request.method().as_str())),
        })
    }

    fn response_sent(&mut self, _: &mut Cx<'_>, served: &ResponseSent<'_>) {
        let path = served.path.to_owned();
        self.served.push((path, served.status, served.body_bytes));
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, (): &mut (), message: Message<'_>) {
        self.messages.push(message.len());
        match message {
            Message::Text("close") => ws.close(CloseCode::NORMAL, "asked for"),
            Message::Text("quiet") => {}
            Message::Text("round trip") => {
                ws.reply(Message::Text(&format!("{:?}", ws.round_trip())));
            }
            message => {
                ws.reply(message);
            }
        }
    }

    fn message_too_long(&mut self, ws: &mut WsCx<'_, '_>, (): &mut (), bytes: u64) {
        if self.goes_on_over_long {
            ws.reply(Message::Text(&format!("too long: {bytes}")));
        } else {
            ByDefault.message_too_long(ws, &mut (), bytes);
        }
    }

    fn closed(&mut self, _: &mut Cx<'_>, (): (), ended: &WebSocketClosed<'_>) {
        assert_eq!(ended.path, "/ws");
        self.ended.push((ended.code, ended.clean, ended.messages));
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, mail: Mail) {
        match (to, mail) {
            (To::Exchange(_, responder), Mail::Answer(text)) => {
                responder.reply(Response::text(200, text));
            }
            (To::Socket(ws, ()), Mail::Close) => ws.close(CloseCode::NORMAL, ""),
            (To::Nobody(cx), Mail::Publish(text)) => {
                let frame: Shared = frame(Message::Text(text));
                for &id in &self.sockets {
                    // Those that have closed are gone.
                    let _sent = cx.send(id, &frame);
                }
            }
            (To::Nobody(cx), Mail::Drain) => cx.shutdown(10 * SECOND),
            (To::Nobody(cx), Mail::DrainForEver) => cx.shutdown(Duration::MAX),
            _ => {}
        }
    }
}

/// Bytes and pieces of a file in turn, some of them empty, some of them large.
fn parts(file: &FileBody) -> Vec<Part> {
    let shared = |len| Part::Shared(Shared::from(vec![b's'; len]));
    let piece = |len| {
        Part::File(FileBody {
            len,
            ..file.clone()
        })
    };
    vec![
        shared(10),
        piece(0),
        piece(file.len),
        shared(0),
        shared(200_000),
        piece(file.len / 2),
        piece(file.len / 3),
        shared(1),
    ]
}

type World = Sim<Web<TestService>>;

fn world(config: WebConfig, reactor: ReactorConfig) -> World {
    Sim::new(reactor, |mailbox| {
        let post: ServiceSender<Mail> = ServiceSender::<Mail>::new(mailbox);
        let site = TestService {
            config,
            post: post.clone(),
            later: Vec::new(),
            file: None,
            sockets: Vec::new(),
            served: Vec::new(),
            ended: Vec::new(),
            messages: Vec::new(),
            open: 0,
            goes_on_over_long: false,
        };
        Web::new(site, post)
    })
}

fn usual() -> World {
    world(WebConfig::default(), ReactorConfig::default())
}

fn site(world: &mut World) -> &mut TestService {
    world.handler().service()
}

/// Answers the requests that wait, in an order of chance or as they came.
fn respond_later(world: &mut World, rng: Option<&mut Rng>) {
    let mut waiting = std::mem::take(&mut site(world).later);
    let post = site(world).post.clone();
    if let Some(rng) = rng {
        for n in (1..waiting.len()).rev() {
            waiting.swap(n, rng.below(n + 1));
        }
    }
    for (exchange, text) in waiting {
        post.to_exchange(exchange, Mail::Answer(text)).unwrap();
    }
}

fn plain(world: &mut World) -> SimClient {
    SimClient::plain(world.accept(&Security::Plain).unwrap())
}

/// A client over TLS, or where the build has none, a plain one.
#[cfg(feature = "tls")]
fn secure(world: &mut World) -> SimClient {
    let config = crate::proto::tls::tests::server_config();
    SimClient::secure(world.accept(&Security::Tls(config)).unwrap())
}

#[cfg(not(feature = "tls"))]
fn secure(world: &mut World) -> SimClient {
    plain(world)
}

/// Sends `bytes` and waits for silence.
fn ask(world: &mut World, client: &mut SimClient, bytes: &[u8]) {
    client.write(bytes);
    run(world, &mut [client]);
}

/// Checks that nothing is left of anyone.
fn assert_empty(world: &mut World) {
    assert_eq!(world.connections(), 0);
    assert_eq!(site(world).open, 0);
    world.audit();
}

fn letter(mail: Mail) -> ServiceMail<Mail> {
    ServiceMail(super::sender::MailContents::Mail(mail))
}

#[derive(Debug, PartialEq, Eq)]
struct Answered {
    status: u16,
    close: bool,
    body: Vec<u8>,
}

/// Reads one answer from the front; `None` while it is not whole.
fn read_response(bytes: &mut Vec<u8>, is_head: bool) -> Option<Answered> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.1 "), "{head:?}");
    let status: u16 = head[9..12].parse().unwrap();
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let len: usize = field("Content-Length").map_or(0, |len| len.parse().unwrap());
    let has_body = !is_head && status != 304 && status >= 200;
    let len = if has_body { len } else { 0 };
    if bytes.len() < end + len {
        return None;
    }
    let close = field("Connection") == Some("close");
    let body = bytes[end..end + len].to_vec();
    bytes.drain(..end + len);
    Some(Answered {
        status,
        close,
        body,
    })
}

/// The answers received: statuses, and whether the last one said close.
fn statuses(client: &mut SimClient) -> (Vec<u16>, bool) {
    let mut all = Vec::new();
    let mut close = false;
    while let Some(response) = read_response(&mut client.received, false) {
        assert!(!close, "an answer after the last");
        all.push(response.status);
        close = response.close;
    }
    assert_eq!(client.received, b"", "half an answer");
    (all, close)
}
