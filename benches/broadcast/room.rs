//! The server: whoever connects is in the room, but for those who publish.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use edgeloop::proto::ws::deflate::Compression;
use edgeloop::web::{
    self, Cx, Exclude, Message, Reply, Request, Response, Security, Service, Topics,
    WebSocketClosed, WsCx,
};
use rustls::ServerConfig;
use socket2::SockRef;

use crate::Failure;

/// Number of WebSockets have ended, by close code.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<u16, usize>>>);

struct Room {
    config: web::WebConfig,
    topics: Topics<()>,
    counts: Counts,
}

impl Service for Room {
    type Socket = ();
    type Mail = ();

    fn config(&self) -> &web::WebConfig {
        &self.config
    }

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        if request.wants_websocket() {
            Reply::Upgrade(())
        } else {
            Reply::Send(Response::empty(426))
        }
    }

    fn opened(&mut self, ws: &mut WsCx<'_, '_>, (): &mut ()) {
        self.topics.subscribe(ws, ());
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, (): &mut (), message: Message<'_>) {
        self.topics
            .publish(ws.cx(), [&()], message, Exclude::Sender);
    }

    fn closed(&mut self, cx: &mut Cx<'_>, (): (), ended: &WebSocketClosed<'_>) {
        self.topics.remove(cx.id());
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(ended.code.value()).or_default() += 1;
    }
}

/// Serves until the process ends; `tell` is told where.
pub(crate) fn serve(
    tls: Arc<ServerConfig>,
    compress: bool,
    counts: Counts,
    tell: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let compression = Compression {
        threshold_bytes: 0,
        ..Compression::DEFAULT
    };
    let mut topics = Topics::new();
    topics.set_compression(compression);
    let room = Room {
        config: web::WebConfig {
            compression: compress.then_some(compression),
            ..web::WebConfig::DEFAULT
        },
        topics,
        counts,
    };
    let mut reactor = web::reactor(web::ReactorConfig::default(), |_| room)?;
    let socket = TcpListener::bind("127.0.0.1:0")?;
    // As the server does: what its kernel holds for the silent is not to hide them.
    SockRef::from(&socket).set_tcp_notsent_lowat(128 << 10)?;
    let (_, address) = reactor.listen_on(socket, Security::Tls(tls))?;
    tell(address)?;
    Ok(reactor.run()?)
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.is_empty() {
            return f.write_str("none");
        }
        for (code, count) in counts.iter() {
            write!(f, "{code}: {count}  ")?;
        }
        Ok(())
    }
}
