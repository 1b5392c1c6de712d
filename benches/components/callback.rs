//! A callback of a reactor: where there is a `Cx`, and with it the output queues of connections.

use std::net::TcpListener;

use edgeloop::reactor::{CloseReason, ConnId, Cx, Endpoint, Handler, Reactor, ReactorConfig};
use edgeloop::web::{self, Reply, Request, Response, Service, Web, WsCx};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Says hello, and echoes messages.
pub(crate) struct Site;

impl Service for Site {
    type Socket = ();
    type Mail = ();

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        if request.wants_websocket() {
            return Reply::Upgrade(());
        }
        Reply::Send(Response::text(200, "Hello, world\n"))
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, _: &mut (), message: web::Message<'_>) {
        ws.reply(message);
    }
}

/// A connection of the site.
pub(crate) type Conn = web::WebConn<()>;

/// Serves the site, and calls back once.
struct Inside<F> {
    web: Web<Site>,
    run: Option<F>,
}

impl<F> Handler for Inside<F>
where
    F: FnOnce(&mut Web<Site>, &mut Cx<'_>, &mut Conn, &[ConnId]),
{
    type Conn = Conn;
    type Mail = Vec<ConnId>;

    fn open(&mut self, cx: &mut Cx<'_>, from: Endpoint) -> Option<Conn> {
        self.web.open(cx, from)
    }

    fn data(&mut self, cx: &mut Cx<'_>, conn: &mut Conn, input: &mut [u8]) -> usize {
        self.web.data(cx, conn, input)
    }

    fn mail(&mut self, cx: &mut Cx<'_>, conn: Option<&mut Conn>, ids: Vec<ConnId>) {
        if cx.phases().open == ids.len()
            && let Some(run) = self.run.take()
        {
            run(&mut self.web, cx, conn.unwrap(), &ids);
        }
    }

    fn closed(&mut self, cx: &mut Cx<'_>, conn: Conn, reason: CloseReason) {
        self.web.closed(cx, conn, reason);
    }
}

/// Calls back for the first of so many connections, which all stand, with the ids of all of them.
///
/// Nothing reads or writes a socket meanwhile: output stays in the queues, which have no limit.
pub(crate) fn within<F>(connections: usize, run: F)
where
    F: FnOnce(&mut Web<Site>, &mut Cx<'_>, &mut Conn, &[ConnId]),
{
    allow_descriptors();
    let web = web::reactor(ReactorConfig::default(), |_| Site).unwrap();
    let inside = Inside {
        web: web.into_handler(),
        run: Some(run),
    };
    let config = ReactorConfig {
        output_high_water_bytes: usize::MAX,
        output_bytes_max: usize::MAX,
        output_bytes_max_total: usize::MAX,
        ..ReactorConfig::default()
    };
    let mut reactor = Reactor::new(config, inside).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (mut ids, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        ids.push(reactor.connect(address).unwrap().unwrap());
        peers.push(listener.accept().unwrap());
    }
    while reactor.handler().run.is_some() {
        reactor
            .mailbox()
            .send(ids.first().copied(), ids.clone())
            .unwrap();
        reactor.turn(None).unwrap();
    }
}

/// Both ends of all connections are of this process.
pub(crate) fn allow_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, all).unwrap();
}
