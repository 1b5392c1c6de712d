//! Opens many connections, several at once.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::wire::Progress;
use super::{Failure, Target, Wire};

/// Time for which none of those under way may make progress.
const PATIENCE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 << 10;

/// Steps on a connection before it is open.
#[derive(Clone, Debug)]
pub(crate) enum Opening {
    /// It is connected, the TLS handshake made.
    Handshake,
    /// Its first request is answered.
    Request,
    /// It is a WebSocket, asked for with these field lines more.
    Upgrade(&'static str),
}

/// The request that makes a WebSocket of a connection.
pub(crate) fn upgrade_request(host: &str, path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// A connection on its way.
struct Entry {
    number: usize,
    wire: Wire,
    has_asked: bool,
    response: Vec<u8>,
}

/// Opens so many, at most `at_once` under way, and registers each in `poll` with its number as token,
/// from `first` on. `tell` is told how many are open.
///
/// Events of those that are open are lost meanwhile: read from each once afterwards.
pub(crate) fn open(
    poll: &mut Poll,
    target: &Target,
    opening: &Opening,
    first: usize,
    count: usize,
    at_once: usize,
    mut tell: impl FnMut(usize),
) -> Result<Vec<Wire>, Failure> {
    let url = &target.url;
    let request = match opening {
        Opening::Handshake => None,
        Opening::Request => Some(format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n",
            url.path, url.host
        )),
        Opening::Upgrade(fields) => Some(upgrade_request(&url.host, &url.path, fields)),
    };
    let mut room = vec![0; READ_BYTES];
    let mut events = Events::with_capacity(1024);
    let mut under_way: Vec<Option<Entry>> = Vec::new();
    let mut done: Vec<Option<Wire>> = (0..count).map(|_| None).collect();
    let (mut begun, mut opened, mut last) = (0, 0, Instant::now());
    under_way.resize_with(count, || None);
    while opened < count {
        while begun < count && begun - opened < at_once.max(1) {
            let mut wire = target.connect(first + begun)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut wire.socket, Token(first + begun), interest)?;
            if let Some(slot) = under_way.get_mut(begun) {
                *slot = Some(Entry {
                    number: begun,
                    wire,
                    has_asked: false,
                    response: Vec::new(),
                });
            }
            begun += 1;
        }
        match poll.poll(&mut events, Some(Duration::from_secs(1))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        if last.elapsed() > PATIENCE {
            return Err(format!("{opened} of {count} are open, and no more").into());
        }
        for event in &events {
            let Token(number) = event.token();
            let place = number.checked_sub(first);
            let Some(slot) = place.and_then(|place| under_way.get_mut(place)) else {
                continue;
            };
            let Some(mut entry) = slot.take() else {
                continue;
            };
            match entry.go_on(request.as_deref(), opening, &mut room) {
                Ok(ControlFlow::Continue(())) => *slot = Some(entry),
                Ok(ControlFlow::Break(())) => {
                    if let Some(place) = done.get_mut(entry.number) {
                        *place = Some(entry.wire);
                    }
                    opened += 1;
                    last = Instant::now();
                }
                Err(error) => return Err(format!("connection {number}: {error}").into()),
            }
        }
        tell(first + opened);
    }
    Ok(done.into_iter().flatten().collect())
}

impl Entry {
    /// Breaks when it is open.
    fn go_on(
        &mut self,
        request: Option<&str>,
        opening: &Opening,
        room: &mut [u8],
    ) -> Result<ControlFlow<()>, Failure> {
        loop {
            self.wire.flush()?;
            if self.wire.is_ready() && !self.has_asked {
                let Some(request) = request else {
                    return Ok(ControlFlow::Break(()));
                };
                self.wire.send(request.as_bytes())?;
                self.has_asked = true;
            }
            let response = &mut self.response;
            let progress = self.wire.receive(room, |plain| {
                response.extend_from_slice(plain);
                Ok(())
            })?;
            if self.has_asked && is_whole(&self.response, opening)? {
                return Ok(ControlFlow::Break(()));
            }
            let has_to_ask = self.wire.is_ready() && !self.has_asked;
            match progress {
                Progress::Closed => return Err("the server closed it".into()),
                Progress::Drained if !has_to_ask => return Ok(ControlFlow::Continue(())),
                Progress::Drained | Progress::Short | Progress::More => {}
            }
        }
    }
}

/// Returns `true` if this is the answer that was hoped for, all of it.
fn is_whole(received: &[u8], opening: &Opening) -> Result<bool, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_bytes) = response.parse(received)? else {
        return Ok(false);
    };
    let expected = match opening {
        Opening::Upgrade(_) => 101,
        Opening::Handshake | Opening::Request => 200,
    };
    if response.code != Some(expected) {
        return Err(format!("{:?} instead of {expected}", response.code).into());
    }
    let content = received.len() - head_bytes;
    if expected == 101 {
        // Nobody has sent anything yet.
        return match content {
            0 => Ok(true),
            _ => Err("the server speaks first, which nothing here can take".into()),
        };
    }
    Ok(content >= content_length(&response)?)
}

/// The Content-Length that an answer has to have.
pub(crate) fn content_length(response: &httparse::Response<'_, '_>) -> Result<usize, Failure> {
    let field = response
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without Content-Length")?;
    Ok(str::from_utf8(field.value)?.parse()?)
}
