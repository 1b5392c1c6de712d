//! A request whose body is still arriving.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Http;
use crate::proto::http1::{Framing, Head, HttpLimits};
use crate::reactor::{Cx, after};
use crate::web::request_body::{BodyMode, RequestBody};
use crate::web::sender::ExchangeId;
use crate::web::tools::Tools;
use crate::web::{Request, Response, Service, WebConfig};

/// A request whose body is still arriving.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) number: u32,
    /// The head, copied.
    pub(super) head: Vec<u8>,
    /// Peer of the request.
    pub(super) peer: SocketAddr,
    /// Limit on the length of the body.
    pub(super) bytes_max: u64,
    sink: Sink,
    recent: Recent,
}

/// Bytes of a body in the current stretch of [`BODY_WINDOW`], and its beginning.
#[derive(Clone, Copy, Debug)]
struct Recent {
    bytes: u64,
    since: Instant,
}

impl Recent {
    const fn new(since: Instant) -> Self {
        Self { bytes: 0, since }
    }
}

/// Destination of the body.
#[derive(Debug)]
enum Sink {
    Collect(Vec<u8>),
    Service {
        is_paused: bool,
    },
    /// Nowhere: this is the answer already.
    Drop(Response),
}

impl Receiving {
    pub(super) fn held_bytes(&self) -> usize {
        let body = match &self.sink {
            Sink::Collect(body) => body.capacity(),
            Sink::Service { .. } | Sink::Drop(_) => 0,
        };
        self.head.capacity() + body
    }

    /// When it is next looked at whether enough has come of the body, `began` being when the request did.
    /// One that is handed on may take any time at that pace, others have to be here in their time.
    pub(super) fn due(&self, config: &WebConfig, began: Instant) -> Instant {
        let enough = after(self.recent.since, window(config));
        match self.sink {
            Sink::Service { .. } => enough,
            Sink::Collect(_) | Sink::Drop(_) => enough.min(after(began, config.request_timeout)),
        }
    }

    /// Returns `true` if the peer, whose time has passed, has sent enough of the body to go on.
    pub(super) fn keeps_pace(&mut self, config: &WebConfig, began: Instant, now: Instant) -> bool {
        let is_late = now >= after(began, config.request_timeout);
        if is_late && !matches!(self.sink, Sink::Service { .. }) {
            return false;
        }
        let rate = f64::from(config.body_bytes_per_second_min);
        let least = (rate * window(config).as_secs_f64()).max(1.0);
        let recent = std::mem::replace(&mut self.recent, Recent::new(now));
        recent.bytes as f64 >= least
    }
}

/// On the average of how long a body has to come at its pace.
const BODY_WINDOW: Duration = Duration::from_secs(10);

fn window(config: &WebConfig) -> Duration {
    BODY_WINDOW.min(config.request_timeout)
}

/// A body that is not wanted is still read up to this size, so that the connection can live on.
const DROPPED_BYTES_MAX: u64 = 64 * 1024;

impl<S> Http<S> {
    /// Asks the service what is to become of a body, and acts on it unless it is to be collected: then
    /// returns up to how many bytes.
    pub(super) fn take_in<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        head: &Head<'_>,
        number: u32,
        is_awaited: bool,
        limits: &HttpLimits,
    ) -> Option<u64> {
        let request = self.view(tools, cx, head, &[], number);
        let peer = request.peer();
        let length = match head.framing {
            Framing::Length(length) => length,
            Framing::None | Framing::Chunked => 0,
        };
        let (sink, bytes_max) = match tools.service.body_mode(cx, &request) {
            BodyMode::Collect => (None, limits.body_bytes_max),
            BodyMode::CollectUpTo(bytes_max) => (None, bytes_max),
            BodyMode::Stream(bytes_max) => (Some(Sink::Service { is_paused: false }), bytes_max),
            BodyMode::Answer(response) => {
                let would_wait = head.wants_continue && is_awaited;
                if would_wait || length > DROPPED_BYTES_MAX {
                    self.respond_last(cx, Some((head, peer)), number, response);
                    return None;
                }
                (Some(Sink::Drop(response)), DROPPED_BYTES_MAX)
            }
        };
        if length > bytes_max {
            if matches!(sink, Some(Sink::Service { .. })) {
                tools.service.request_aborted(cx, request.exchange);
            }
            let error_response = tools.service.error_response(413, "the body is too long");
            self.respond_last(cx, Some((head, peer)), number, error_response);
            return None;
        }
        let Some(sink) = sink else {
            return Some(bytes_max);
        };
        self.owes_continue = head.wants_continue && is_awaited;
        self.write_continue(cx);
        self.receiving = Some(Box::new(Receiving {
            number,
            head: head.bytes().to_vec(),
            peer,
            bytes_max,
            sink,
            recent: Recent::new(cx.now()),
        }));
        None
    }

    /// Begins to collect a body, with what is there of it.
    pub(super) fn receive(&mut self, request: &Request<'_>, limits: &HttpLimits, now: Instant) {
        self.receiving = Some(Box::new(Receiving {
            number: request.exchange.number,
            head: request.head.bytes().to_vec(),
            peer: request.peer(),
            bytes_max: limits.body_bytes_max,
            sink: Sink::Collect(request.body.to_vec()),
            recent: Recent {
                bytes: request.body.len() as u64,
                since: now,
            },
        }));
    }

    /// A piece of the body.
    pub(super) fn take_body<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        data: &[u8],
    ) {
        let Some(receiving) = &mut self.receiving else {
            return;
        };
        receiving.recent.bytes += data.len() as u64;
        match &mut receiving.sink {
            Sink::Collect(body) => body.extend_from_slice(data),
            Sink::Drop(_) => {}
            Sink::Service { .. } => {
                self.with_upload(cx, |upload| tools.service.body(upload, data));
            }
        }
    }

    /// Calls back with the view of the body that is handed on.
    pub(in crate::web) fn with_upload(
        &mut self,
        cx: &mut Cx<'_>,
        callback: impl FnOnce(&mut RequestBody<'_, '_>),
    ) {
        let Some(receiving) = &mut self.receiving else {
            return;
        };
        let Sink::Service { is_paused } = &mut receiving.sink else {
            return;
        };
        let was_paused = *is_paused;
        let exchange = ExchangeId {
            conn: cx.id(),
            number: receiving.number,
        };
        let mut upload = RequestBody {
            cx,
            exchange,
            is_paused,
            response: None,
        };
        callback(&mut upload);
        if was_paused && !*upload.is_paused {
            // While it was held back the peer was not to send.
            receiving.recent = Recent::new(upload.cx.now());
        }
        if let Some(response) = upload.response.take()
            && let Some(receiving) = self.receiving.take()
        {
            let head = Head::reparse(&receiving.head);
            let head = head.as_ref().map(|head| (head, receiving.peer));
            self.respond_last(cx, head, receiving.number, response);
            cx.resume(); // what still comes is dropped
        }
    }

    /// The body is complete.
    pub(super) fn complete<V: Service<Socket = S>>(
        &mut self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
    ) {
        self.owes_continue = false;
        let Some(receiving) = self.receiving.take() else {
            return;
        };
        let Receiving {
            number, head, sink, ..
        } = *receiving;
        let Some(head) = Head::reparse(&head) else {
            return;
        };
        match sink {
            Sink::Collect(body) => {
                cx.count_work(body.len());
                self.request(tools, cx, &head, &body, number);
            }
            Sink::Service { .. } => self.request(tools, cx, &head, &[], number),
            Sink::Drop(response) => {
                self.has_served = true;
                let request = self.view(tools, cx, &head, &[], number);
                self.reply(tools, cx, &request, response.into());
            }
        }
    }

    /// The answer to a request whose body is dropped.
    pub(super) fn take_dropped(&mut self) -> Option<Response> {
        match &mut self.receiving.as_mut()?.sink {
            Sink::Drop(response) => Some(std::mem::replace(response, Response::empty(500))),
            Sink::Collect(_) | Sink::Service { .. } => None,
        }
    }

    /// The peer has had its time to send: whether it has more, as there has come enough of a body.
    pub(super) fn keeps_sending(&mut self, config: &WebConfig, now: Instant) -> bool {
        let began = self.began;
        let receiving = self.receiving.as_mut();
        receiving.is_some_and(|receiving| receiving.keeps_pace(config, began, now))
    }

    /// The connection is read from again: while it was not, the peer could not send.
    pub(super) fn reads_on(&mut self, now: Instant) {
        if let Some(receiving) = &mut self.receiving {
            receiving.recent = Recent::new(now);
        }
    }

    pub(super) fn is_upload_paused(&self) -> bool {
        let sink = self.receiving.as_ref().map(|receiving| &receiving.sink);
        matches!(sink, Some(Sink::Service { is_paused: true }))
    }

    /// Returns `true` if the body of the request with this number is handed on.
    pub(super) fn is_upload(&self, number: u32) -> bool {
        self.receiving.as_ref().is_some_and(|receiving| {
            receiving.number == number && matches!(receiving.sink, Sink::Service { .. })
        })
    }

    /// Tells the service that nothing more comes of a body it has the beginning of.
    pub(super) fn abort_upload<V: Service<Socket = S>>(
        &self,
        tools: &mut Tools<'_, V>,
        cx: &mut Cx<'_>,
        receiving: &Receiving,
    ) {
        if matches!(receiving.sink, Sink::Service { .. }) {
            let exchange = ExchangeId {
                conn: cx.id(),
                number: receiving.number,
            };
            tools.service.request_aborted(cx, exchange);
        }
    }
}
