//! Everything that we accept, hyper accepts, and reads in the same way: two readers do not disagree about where a
//! message ends. What hyper takes and we do not is of no interest here.

#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use edgeloop::proto::http1::{BodyLength, ConnectionAction, HttpLimits, HttpMachine, HttpStep};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;

/// Method, target as hyper writes it, body.
type RequestMeta = (String, String, Vec<u8>);

fuzz_target!(|input: &[u8]| {
    if let Some(ours) = ours(input) {
        assert_eq!(ours, hypers(input));
    }
});

/// The requests, if nothing is wrong with any and nothing is missing.
fn ours(input: &[u8]) -> Option<Vec<RequestMeta>> {
    let limits = HttpLimits::DEFAULT;
    let mut machine = HttpMachine::new();
    let (mut all, mut under_way, mut rest) = (Vec::new(), None, input);
    loop {
        let used = match machine.step(rest, &limits).ok()? {
            HttpStep::More { used } => {
                let is_whole = under_way.is_none() && used == rest.len();
                return is_whole.then_some(all);
            }
            HttpStep::Head { used, head } => {
                let method = head.method.as_str().to_owned();
                // hyper has another path for the one, and none with the other: browsers encode it
                // there, but not everyone does.
                if head.path() == "*" || head.path().contains('`') {
                    return None;
                }
                let query = head
                    .query()
                    .map(|query| format!("?{query}"))
                    .unwrap_or_default();
                let target = format!("{}{query}", head.path());
                // It does not look for `close` in what is not ASCII.
                if head
                    .fields
                    .get_all("connection")
                    .any(|value| !value.is_ascii())
                {
                    return None;
                }
                under_way = Some(((method, target, Vec::new()), head.meta()));
                used
            }
            HttpStep::Body { used, data } => {
                under_way.as_mut()?.0.2.extend_from_slice(data);
                used
            }
            HttpStep::End { used } => {
                let (request, meta) = under_way.take()?;
                all.push(request);
                let _after = machine.respond(meta, BodyLength::None, ConnectionAction::KeepAlive);
                used
            }
        };
        rest = &rest[used..];
    }
}

struct Memory<'a>(&'a [u8]);

impl Read for Memory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(room.remaining().min(self.0.len()));
        room.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

fn hypers(input: &[u8]) -> Vec<RequestMeta> {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let requests = Rc::clone(&requests);
        async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) =
                std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
            {
                let data = frame.expect("a body we accept").into_data();
                bytes.extend_from_slice(&data.unwrap_or_default());
            }
            let query = head.uri.query().map(|query| format!("?{query}"));
            let target = format!("{}{}", head.uri.path(), query.unwrap_or_default());
            requests
                .borrow_mut()
                .push((head.method.to_string(), target, bytes));
            Ok::<_, Infallible>(hyper::Response::new(Nothing))
        }
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(HttpLimits::DEFAULT.fields_max)
        .serve_connection(Memory(input), service);
    let mut connection = pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(ended) = connection.as_mut().poll(&mut cx) {
            ended.expect("requests we accept");
            return requests.take();
        }
    }
    panic!("hyper does not come to an end");
}
