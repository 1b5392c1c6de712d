//! Server-sent events, long polling, and uploads of any size: `cargo run --example events`, then
//!
//! ```sh
//! U=http://127.0.0.1:8083
//! curl -N $U/events &        # stays, and prints what is said
//! curl $U/next &             # waits for the next thing that is said
//! curl $U/say -d hello
//! curl $U/count -T file      # never held in memory
//! ```

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::Duration;

use edgeloop::web::{
    self, BodyMode, Cx, ExchangeId, Method, ReactorConfig, Reply, Request, RequestBody, Response,
    RouteError, RouteMatch, Router, Security, Service, ServiceSender, Shared, StreamCx, To,
};

/// A comment now and then shows each side that the other is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_secs(25);
const UPLOAD_BYTES_MAX: u64 = 1 << 40;

#[derive(Clone, Copy)]
enum Route {
    Events,
    Next,
    Say,
    Count,
}

struct Events {
    routes: Router<Route>,
    post: ServiceSender<Shared>,
    /// Streams and long polls that hear of what is said.
    listening: HashSet<ExchangeId>,
    /// Bytes of each upload under way.
    uploads: HashMap<ExchangeId, u64>,
}

impl Service for Events {
    type Socket = ();
    type Mail = Shared;

    fn body_mode(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> BodyMode {
        match request.path() {
            "/count" => BodyMode::Stream(UPLOAD_BYTES_MAX),
            "/say" => BodyMode::CollectUpTo(1000),
            _ => BodyMode::Answer(Response::empty(404)),
        }
    }

    fn body(&mut self, upload: &mut RequestBody<'_, '_>, data: &[u8]) {
        *self.uploads.entry(upload.exchange()).or_default() += data.len() as u64;
    }

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        let route = match self.routes.find(request.method(), request.path()) {
            RouteMatch::Route(route, _) => *route,
            RouteMatch::Options(allow) => return Response::empty(204).field("Allow", allow).into(),
            RouteMatch::NotAllowed(allow) => {
                return Response::empty(405).field("Allow", allow).into();
            }
            RouteMatch::Nothing => return Response::empty(404).into(),
        };
        match route {
            Route::Events => {
                self.listening.insert(request.exchange());
                Response::stream(200)
                    .field("Content-Type", "text/event-stream")
                    .field("Cache-Control", "no-store")
                    .into()
            }
            Route::Next => {
                self.listening.insert(request.exchange());
                Reply::LaterWithin(POLL)
            }
            Route::Say => {
                let event = [b"data: ", request.body(), b"\n\n"].concat();
                if event.iter().filter(|byte| **byte == b'\n').count() > 2 {
                    return Response::text(400, "one line, please\n").into();
                }
                let event = Shared::from(event);
                for listener in &self.listening {
                    // Once the reactor has ended nobody listens.
                    self.post.to_exchange(*listener, event.clone()).ok();
                }
                Response::empty(204).into()
            }
            Route::Count => {
                let bytes = self.uploads.remove(&request.exchange()).unwrap_or(0);
                Response::text(200, format!("{bytes} bytes\n")).into()
            }
        }
    }

    /// The stream has begun, or its client has caught up.
    fn writable(&mut self, stream: &mut StreamCx<'_, '_>) {
        stream.set_timeout(HEARTBEAT);
    }

    fn expired(&mut self, stream: &mut StreamCx<'_, '_>) {
        stream.write(b":\n\n");
        stream.set_timeout(HEARTBEAT);
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, event: Shared) {
        match to {
            To::Stream(stream) => {
                stream.send(&event);
            }
            To::Exchange(_, responder) => {
                self.listening.remove(&responder.exchange());
                responder.reply(Response::new(200, web::Body::Shared(event)));
            }
            _ => {}
        }
    }

    /// Nothing was said in time.
    fn response_timeout(&mut self, _: &mut Cx<'_>, exchange: ExchangeId) -> Response {
        self.listening.remove(&exchange);
        Response::empty(204)
    }

    fn request_aborted(&mut self, _: &mut Cx<'_>, exchange: ExchangeId) {
        self.listening.remove(&exchange);
        self.uploads.remove(&exchange);
    }
}

fn routes() -> Result<Router<Route>, RouteError> {
    let mut routes = Router::new();
    routes.add(Method::Get, "/events", Route::Events)?;
    routes.add(Method::Get, "/next", Route::Next)?;
    routes.add(Method::Post, "/say", Route::Say)?;
    routes.add(Method::Put, "/count", Route::Count)?;
    Ok(routes)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8083".into());
    let routes = routes()?;
    let mut reactor = web::reactor(ReactorConfig::default(), |post| Events {
        routes,
        post,
        listening: HashSet::new(),
        uploads: HashMap::new(),
    })?;
    let (_, address) = reactor.listen(address.parse()?, Security::Plain)?;
    eprintln!("events on http://{address}/");
    Ok(reactor.run()?)
}
