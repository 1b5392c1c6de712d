//! The vectors of `tests/vectors/http1` through hyper's HTTP/1.1 server: what it makes of them,
//! beside what we make of them. Wherever that is not the same, `tests/vectors/hyper.txt` says why.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::vectors::{Vector, vectors};
use edgeloop::proto::http1::{BodyLength, ConnectionAction, HttpLimits, HttpMachine, HttpStep};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

/// Sent after every vector: where a reader sees a message end, it goes on with this one; and what
/// was cut off where we refuse it at once is a whole message to one that does not.
const NEXT: &[u8] = b"\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Verdict of a reader about some bytes: a line for each request, and one for the end.
type Verdict = Vec<String>;

fn request_line(method: &str, path: &str, query: Option<&str>, body: &[u8]) -> String {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{method} {path}{query} {}", body.escape_ascii())
        .trim_end()
        .to_owned()
}

/// Ours, with every request answered as soon as it is complete.
fn ours(sent: &[u8], limits: &HttpLimits) -> Verdict {
    let mut machine = HttpMachine::new();
    let mut verdict = Verdict::new();
    let mut under_way = None;
    let mut rest = sent;
    loop {
        let used = match machine.step(rest, limits) {
            Ok(HttpStep::More { used }) => {
                rest = &rest[used..];
                break;
            }
            Ok(HttpStep::Head { used, head }) => {
                let method = head.method.as_str().to_owned();
                let path = head.path().to_owned();
                let query = head.query().map(str::to_owned);
                under_way = Some((method, path, query, head.meta(), Vec::new()));
                used
            }
            Ok(HttpStep::Body { used, data }) => {
                under_way.as_mut().unwrap().4.extend_from_slice(data);
                used
            }
            Ok(HttpStep::End { used }) => {
                let (method, path, query, meta, body) = under_way.take().unwrap();
                verdict.push(request_line(&method, &path, query.as_deref(), &body));
                let _after = machine.respond(meta, BodyLength::None, ConnectionAction::KeepAlive);
                used
            }
            Err(_) => {
                verdict.push("refused".to_owned());
                return verdict;
            }
        };
        rest = &rest[used..];
    }
    if under_way.is_some() || !rest.is_empty() {
        verdict.push("incomplete".to_owned());
    }
    verdict
}

/// Bytes to read, and then the end; what is written is dropped.
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

/// No body.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

async fn collect(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// Returns `true` if the input ended too soon, and was in order so far.
fn is_incomplete(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    error.is_incomplete_message()
        || source.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof)
}

fn hypers(sent: &[u8], limits: &HttpLimits) -> Verdict {
    let requests = Rc::new(RefCell::new(Verdict::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let requests = Rc::clone(&requests);
        async move {
            let (head, body) = request.into_parts();
            let line = match collect(body).await {
                Ok(body) => {
                    let path = head.uri.path();
                    request_line(head.method.as_str(), path, head.uri.query(), &body)
                }
                Err(error) if is_incomplete(&error) => "incomplete".to_owned(),
                Err(_) => "refused".to_owned(),
            };
            requests.borrow_mut().push(line);
            Ok::<_, std::convert::Infallible>(hyper::Response::new(Nothing))
        }
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(limits.fields_max)
        .serve_connection(Memory(sent), service);
    let mut connection = pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    // Nothing ever waits for anything but its next turn.
    let ended = (0..10_000).find_map(|_| match connection.as_mut().poll(&mut cx) {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => None,
    });
    let ended = ended.expect("hyper comes to an end");
    let mut verdict = requests.borrow().clone();
    let is_told = matches!(
        verdict.last().map(String::as_str),
        Some("refused" | "incomplete")
    );
    match ended {
        Err(error) if !is_told && is_incomplete(&error) => verdict.push("incomplete".to_owned()),
        Err(_) if !is_told => verdict.push("refused".to_owned()),
        _ => {}
    }
    verdict
}

/// A difference that is known: what hyper makes of a vector, and why we do not.
struct Known {
    hypers: String,
    why: String,
}

/// By title. `== why`, then for each vector `title => what hyper makes of it`.
fn known() -> BTreeMap<String, Known> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hyper.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut why = "";
    for (line, number) in text.lines().zip(1..) {
        if let Some(reason) = line.strip_prefix("== ") {
            assert!(reason.contains("RFC "), "line {number}: no clause");
            why = reason;
        } else if !line.is_empty() && !line.starts_with('#') {
            let (title, hypers) = line
                .split_once(" => ")
                .unwrap_or_else(|| panic!("line {number}: {line}"));
            let (hypers, why) = (hypers.to_owned(), why.to_owned());
            let earlier = known.insert(title.to_owned(), Known { hypers, why });
            assert!(earlier.is_none(), "line {number}: {title} is there twice");
        }
    }
    known
}

/// The title, with the name of the file for its place.
fn title(vector: &Vector) -> String {
    let (place, title) = vector.title.split_once(": ").unwrap();
    let file = Path::new(place.split_once(".txt").unwrap().0);
    format!("{}: {title}", file.file_name().unwrap().to_str().unwrap())
}

#[test]
fn hyper_reads_what_we_read_or_we_know_why_not() {
    let mut known = known();
    let mut wrong = String::new();
    for vector in vectors() {
        let title = title(&vector);
        let sent = [&vector.sent, NEXT].concat();
        let ours = ours(&sent, &vector.limits).join(" | ");
        let hypers = hypers(&sent, &vector.limits).join(" | ");
        match known.remove(&title) {
            None if ours != hypers => {
                writeln!(wrong, "{title} => {hypers}\n    ours: {ours}").unwrap();
            }
            Some(known) if ours == hypers => {
                writeln!(wrong, "{title}: the same, but explained: {}", known.why).unwrap();
            }
            Some(known) if known.hypers != hypers => {
                writeln!(wrong, "{title}: not {:?} but {hypers:?}", known.hypers).unwrap();
            }
            _ => {}
        }
    }
    for title in known.keys() {
        writeln!(wrong, "{title}: no such vector").unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
