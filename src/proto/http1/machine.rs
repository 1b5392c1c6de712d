use super::body::{BodyDecoder, Chunked};
use super::encode::{BodyLength, ConnectionAction};
use super::error::RequestError;
use super::framing::Framing;
use super::head::{Head, RequestMeta};
use super::limits::{FIELDS_MAX, HttpLimits};
use super::scan::{RequestLineState, Scan, check_request_line, first_line, scan, skip_empty_lines};
use crate::invariant::part;

/// The server side of one HTTP/1.1 connection, without its bytes.
///
/// Two halves share it. The reading half is [`step`](HttpMachine::step): hand it what has arrived, drop what it has
/// used, repeat until [`HttpStep::More`]. The writing half is [`respond`](HttpMachine::respond): call it once for each
/// request, in the order of the requests, when its answer is about to be encoded. Several requests may be
/// read before the first is answered; who holds the queue may stop stepping whenever it is long enough.
///
/// ```
/// use edgeloop::proto::http1::{ConnectionAction, BodyLength, HttpLimits, HttpMachine, HttpStep, encode};
///
/// let mut machine = HttpMachine::new();
/// let input = b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";
/// let HttpStep::Head { head, .. } = machine.step(input, &HttpLimits::default())? else { panic!() };
///
/// let body = BodyLength::Known(2);
/// let after = machine.respond(head.meta(), body, ConnectionAction::KeepAlive);
/// assert_eq!(after, ConnectionAction::Close); // the client meta for it
/// let mut out = Vec::new();
/// encode::head(&mut out, 200, &[], body, head.meta(), after, &encode::Common::at(784_111_777));
/// out.extend_from_slice(b"hi");
/// # Ok::<(), edgeloop::proto::http1::RequestError>(())
/// ```
#[derive(Debug)]
pub struct HttpMachine {
    reading: RequestState,
    /// Next step of the reading half after the request it is in.
    then: Then,
    writing: ResponseState,
}

/// State of the reading half.
#[derive(Clone, Copy, Debug)]
enum RequestState {
    /// The end of a head.
    AwaitHead {
        /// Bytes of it that were scanned, so that no byte is scanned twice.
        scanned: u32,
        /// Empty lines that were skipped.
        empty_lines: u8,
        /// State of the request line.
        line: RequestLineState,
    },
    /// The rest of a body.
    AwaitBody(BodyDecoder),
    /// Nothing from the peer: the end of the request is to be told.
    AwaitEnd,
    /// The answer to an upgrade: who will read the bytes after it is not known yet.
    AwaitAnswer,
    /// Nothing: the bytes belong to another protocol.
    Upgraded,
    /// Nothing: what still arrives is dropped.
    Stopped,
}

impl RequestState {
    const NEXT_HEAD: Self = Self::AwaitHead {
        scanned: 0,
        empty_lines: 0,
        line: RequestLineState::Unknown,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    ReadOn,
    AwaitAnswer,
    Stop,
}

/// State of the writing half.
#[derive(Clone, Copy, Debug)]
enum ResponseState {
    /// So many answers.
    Open { owed: u32 },
    /// Nothing: the last answer was begun.
    Sealed,
}

/// Result of one step. `used` bytes of the input are done with: drop them from its front before the
/// next step. What the step borrows lies within them.
#[derive(Clone, Copy, Debug)]
pub enum HttpStep<'b> {
    /// Nothing further without more input (or, after an upgrade request, without its answer).
    More {
        /// Bytes that are done with.
        used: usize,
    },
    /// A request begins.
    Head {
        /// Bytes that are done with.
        used: usize,
        /// The head.
        head: Head<'b>,
    },
    /// A piece of its body, decoded, not empty.
    Body {
        /// Bytes that are done with.
        used: usize,
        /// The piece.
        data: &'b [u8],
    },
    /// The request is complete.
    End {
        /// Bytes that are done with.
        used: usize,
    },
}

/// Input expected of the peer, which decides how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Nothing, for now: [`HttpMachine::step`] has an end to tell, or an upgrade is to be answered.
    Answer,
    /// Nothing that this machine would read.
    Nothing,
}

impl Default for HttpMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpMachine {
    /// The machine of a fresh connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reading: RequestState::NEXT_HEAD,
            then: Then::ReadOn,
            writing: ResponseState::Open { owed: 0 },
        }
    }

    /// Reads on. `input` starts with the first byte that no step before has used.
    ///
    /// A request is one [`HttpStep::Head`], any number of [`HttpStep::Body`] and one [`HttpStep::End`].
    ///
    /// After an upgrade request nothing more is read until it is answered, and after an
    /// [`ConnectionAction::Upgrade`] never again: the bytes stay in the caller's hands. After the last request and
    /// after [`stop`](HttpMachine::stop) all input counts as used.
    ///
    /// # Errors
    ///
    /// The request breaks the protocol or a limit, and the machine has stopped. The answers owed for
    /// earlier requests still go out; then this one is answered with [`RequestError::status`]. If its head
    /// was not told before, the answer is owed all the same, with [`RequestMeta::REFUSED`].
    pub fn step<'b>(
        &mut self,
        input: &'b [u8],
        limits: &HttpLimits,
    ) -> Result<HttpStep<'b>, RequestError> {
        let step = match self.reading {
            RequestState::AwaitHead {
                scanned,
                empty_lines,
                line,
            } => {
                let step = self.read_head(input, limits, scanned, empty_lines, line);
                if step.is_err() {
                    self.owe();
                }
                step
            }
            RequestState::AwaitBody(body) => self.read_body(body, input, limits),
            RequestState::AwaitEnd => Ok(self.end(0)),
            RequestState::AwaitAnswer | RequestState::Upgraded => Ok(HttpStep::More { used: 0 }),
            RequestState::Stopped => Ok(HttpStep::More { used: input.len() }),
        };
        if step.is_err() {
            self.stop();
        }
        step
    }

    /// Decides what becomes of the connection after the answer to the oldest request not answered yet.
    /// Call it once for each, just before encoding its head, and act on what it returns.
    ///
    /// `meta` is what came with that request, `body` what the answer will have, and `wish` what the
    /// service would like: [`ConnectionAction::KeepAlive`] unless it means to end the connection, or accepts an
    /// upgrade.
    #[must_use]
    pub fn respond(
        &mut self,
        meta: RequestMeta,
        body: BodyLength,
        wish: ConnectionAction,
    ) -> ConnectionAction {
        let after = self.after(meta, body, wish);
        match (after, &mut self.writing) {
            (ConnectionAction::KeepAlive, ResponseState::Open { owed }) => {
                *owed = owed.saturating_sub(1);
                self.reject_upgrade();
            }
            (ConnectionAction::KeepAlive, ResponseState::Sealed) => {}
            (ConnectionAction::Close, _) => {
                (self.reading, self.writing) = (RequestState::Stopped, ResponseState::Sealed);
            }
            (ConnectionAction::Upgrade, _) => {
                (self.reading, self.writing) = (RequestState::Upgraded, ResponseState::Sealed);
            }
        }
        after
    }

    /// Reads no further request, and not the rest of one: at the peer's end of input, or at shutdown.
    /// Answers still owed go out, the last of them with [`ConnectionAction::Close`].
    pub fn stop(&mut self) {
        if !matches!(self.reading, RequestState::Upgraded) {
            self.reading = RequestState::Stopped;
        }
    }

    /// Answers owed: requests told (or refused) and not answered.
    #[must_use]
    pub const fn pending_responses(&self) -> u32 {
        match self.writing {
            ResponseState::Open { owed } => owed,
            ResponseState::Sealed => 0,
        }
    }

    /// Next input expected of the peer.
    #[must_use]
    pub const fn awaits(&self) -> Awaits {
        match self.reading {
            RequestState::AwaitHead { scanned: 0, .. } => Awaits::Request,
            RequestState::AwaitHead { .. } => Awaits::Head,
            RequestState::AwaitBody(_) => Awaits::Body,
            RequestState::AwaitEnd | RequestState::AwaitAnswer => Awaits::Answer,
            RequestState::Upgraded | RequestState::Stopped => Awaits::Nothing,
        }
    }

    /// The transition table. Keep-alive needs that all agree; each line is one who does not.
    const fn after(
        &self,
        meta: RequestMeta,
        body: BodyLength,
        wish: ConnectionAction,
    ) -> ConnectionAction {
        let is_last = self.pending_responses() <= 1;
        let upgrade_is_read = matches!(self.then, Then::AwaitAnswer)
            && matches!(
                self.reading,
                RequestState::AwaitEnd | RequestState::AwaitAnswer
            );
        match (wish, self.writing, self.reading) {
            (_, ResponseState::Sealed, _) => ConnectionAction::Close,
            (ConnectionAction::Upgrade, _, _) if is_last && upgrade_is_read => {
                ConnectionAction::Upgrade
            }
            (ConnectionAction::Upgrade | ConnectionAction::Close, _, _) => ConnectionAction::Close,
            // RFC 9112 §9.3: the client ends it, or the answer has no other end.
            (ConnectionAction::KeepAlive, _, _)
                if !meta.keep_alive || body.ends_with_connection(meta) =>
            {
                ConnectionAction::Close
            }
            // The answer overtakes the body: where the next request starts is not known.
            (ConnectionAction::KeepAlive, _, RequestState::AwaitBody(_)) if is_last => {
                ConnectionAction::Close
            }
            (ConnectionAction::KeepAlive, _, RequestState::Stopped) if is_last => {
                ConnectionAction::Close
            }
            (ConnectionAction::KeepAlive, _, _) => ConnectionAction::KeepAlive,
        }
    }

    /// After any other answer to an upgrade request the next request follows.
    const fn reject_upgrade(&mut self) {
        if self.pending_responses() == 0 && matches!(self.then, Then::AwaitAnswer) {
            self.then = Then::ReadOn;
            if matches!(self.reading, RequestState::AwaitAnswer) {
                self.reading = RequestState::NEXT_HEAD;
            }
        }
    }

    fn read_head<'b>(
        &mut self,
        input: &'b [u8],
        limits: &HttpLimits,
        scanned: u32,
        empty_lines: u8,
        mut line: RequestLineState,
    ) -> Result<HttpStep<'b>, RequestError> {
        let (skipped, empty_lines) = match scanned {
            0 => skip_empty_lines(input, empty_lines)?,
            _ => (0, empty_lines),
        };
        let rest = part(input, skipped..);
        let window = rest.get(..limits.head_bytes_max).unwrap_or(rest);
        let scan = scan(window, scanned as usize);
        let seen = part(window, ..scan.reach());
        if line == RequestLineState::Unknown && check_request_line(seen, limits.target_bytes_max)? {
            line = RequestLineState::Measured;
        }
        // A line that comes ahead of the rest of its head is judged when it is there. In a head that is
        // whole the parser does that, and what it finds elsewhere counts for less all the same.
        let judge = || match first_line(seen, scanned as usize) {
            Some(first) if line != RequestLineState::Checked => {
                Head::check_line(first).map(|()| RequestLineState::Checked)
            }
            _ => Ok(line),
        };
        match scan {
            Scan::Whole(end) => {
                let head = match Head::parse(seen, limits.fields_max.min(FIELDS_MAX)) {
                    Ok(head) => head,
                    Err(error) => return judge().and(Err(error)),
                };
                self.begin(&head, limits.body_bytes_max)?;
                Ok(HttpStep::Head {
                    used: skipped + end,
                    head,
                })
            }
            Scan::Bad(_, error) => judge().and(Err(error)),
            Scan::Partial(_) if window.len() >= limits.head_bytes_max => {
                judge().and(Err(RequestError::HeadTooLong))
            }
            Scan::Partial(reach) => {
                let line = if reach > scanned as usize {
                    judge()?
                } else {
                    line
                };
                let scanned = u32::try_from(reach).map_err(|_| RequestError::HeadTooLong)?;
                self.reading = RequestState::AwaitHead {
                    scanned,
                    empty_lines,
                    line,
                };
                Ok(HttpStep::More { used: skipped })
            }
        }
    }

    fn begin(&mut self, head: &Head<'_>, body_bytes_max: u64) -> Result<(), RequestError> {
        self.reading = match head.framing {
            Framing::Length(length) if length > body_bytes_max => {
                return Err(RequestError::BodyTooLong);
            }
            Framing::None | Framing::Length(0) => RequestState::AwaitEnd,
            Framing::Length(length) => RequestState::AwaitBody(BodyDecoder::Length(length)),
            Framing::Chunked => RequestState::AwaitBody(BodyDecoder::Chunked(Chunked::new())),
        };
        self.then = match head.meta().keep_alive {
            _ if head.upgrade_websocket => Then::AwaitAnswer,
            true => Then::ReadOn,
            false => Then::Stop,
        };
        self.owe();
        Ok(())
    }

    fn read_body<'b>(
        &mut self,
        mut body: BodyDecoder,
        input: &'b [u8],
        limits: &HttpLimits,
    ) -> Result<HttpStep<'b>, RequestError> {
        let decoded = body.decode(input, limits)?;
        self.reading = match decoded.is_complete {
            true => RequestState::AwaitEnd,
            false => RequestState::AwaitBody(body),
        };
        let used = decoded.used;
        Ok(match decoded.data {
            [] if decoded.is_complete => self.end(used),
            [] => HttpStep::More { used },
            data => HttpStep::Body { used, data },
        })
    }

    const fn end<'b>(&mut self, used: usize) -> HttpStep<'b> {
        self.reading = match self.then {
            Then::ReadOn => RequestState::NEXT_HEAD,
            Then::AwaitAnswer => RequestState::AwaitAnswer,
            Then::Stop => RequestState::Stopped,
        };
        HttpStep::End { used }
    }

    const fn owe(&mut self) {
        if let ResponseState::Open { owed } = &mut self.writing {
            *owed = owed.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const GET_AND_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    const UPGRADE: &[u8] =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const BODY: BodyLength = BodyLength::Known(2);

    /// Steps until `More` or an error; returns what was asked, the ends told, and what is left.
    fn read<'b>(
        machine: &mut HttpMachine,
        mut input: &'b [u8],
    ) -> (Vec<RequestMeta>, usize, &'b [u8]) {
        let (mut meta, mut ends) = (Vec::new(), 0);
        loop {
            let used = match machine.step(input, &HttpLimits::default()) {
                Ok(HttpStep::More { used }) => return (meta, ends, &input[used..]),
                Ok(HttpStep::Head { used, head }) => {
                    meta.push(head.meta());
                    used
                }
                Ok(HttpStep::Body { used, .. }) => used,
                Ok(HttpStep::End { used }) => {
                    ends += 1;
                    used
                }
                Err(_) => {
                    meta.push(RequestMeta::REFUSED);
                    return (meta, ends, input);
                }
            };
            input = &input[used..];
        }
    }

    #[test]
    fn a_machine_is_small() {
        assert!(
            size_of::<HttpMachine>() <= 48,
            "{} bytes",
            size_of::<HttpMachine>()
        );
        assert!(size_of::<RequestMeta>() <= 4);
    }

    #[test]
    fn the_default_limit_on_targets_is_8192_bytes() {
        for (length, is_ok) in [(8191, true), (8192, true), (8193, false)] {
            let target = format!("/{}", "a".repeat(length - 1));
            let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut machine = HttpMachine::new();
            match machine.step(input.as_bytes(), &HttpLimits::default()) {
                Ok(HttpStep::Head { head, .. }) if is_ok => assert_eq!(head.target, target),
                Err(RequestError::TargetTooLong) if !is_ok => {}
                other => panic!("{length}: {other:?}"),
            }
        }
    }

    /// A line without a target was measured with the bytes behind it as the target.
    #[test]
    fn a_line_without_a_target_is_refused_as_such_however_it_comes() {
        let limits = HttpLimits {
            target_bytes_max: 8,
            ..HttpLimits::default()
        };
        let input = b"1\r\nLonger-Than-A-Target: x\r\n\r\n";
        let mut machine = HttpMachine::new();
        let whole = machine.step(input, &limits).unwrap_err();
        let mut machine = HttpMachine::new();
        let pieces = (1..=input.len()).find_map(|end| machine.step(&input[..end], &limits).err());
        assert_eq!((whole, pieces), (RequestError::RequestLine, Some(whole)));
    }

    #[test]
    fn pipelined_answers_keep_the_connection_until_the_last() {
        let mut machine = HttpMachine::new();
        let input = [GET, GET, GET_AND_CLOSE, GET].concat();
        let (meta, ends, rest) = read(&mut machine, &input);
        assert_eq!((meta.len(), ends, rest), (3, 3, &b""[..]));
        assert_eq!(
            (machine.pending_responses(), machine.awaits()),
            (3, Awaits::Nothing)
        );
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::KeepAlive
        );
        assert_eq!(
            machine.respond(meta[1], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::KeepAlive
        );
        assert_eq!(
            machine.respond(meta[2], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::Close
        );
        assert_eq!(machine.pending_responses(), 0);
    }

    #[test]
    fn a_service_may_end_the_connection_before_later_answers() {
        let mut machine = HttpMachine::new();
        let (meta, ..) = read(&mut machine, &[GET, GET].concat());
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::Close),
            ConnectionAction::Close
        );
        assert_eq!(
            (machine.pending_responses(), machine.awaits()),
            (0, Awaits::Nothing)
        );
        assert_eq!(
            machine.respond(meta[1], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::Close
        );
    }

    #[test]
    fn an_answer_that_overtakes_the_body_ends_the_connection() {
        let mut machine = HttpMachine::new();
        let (meta, ends, _) = read(&mut machine, &[GET, POST, b"abc"].concat());
        assert_eq!((meta.len(), ends), (2, 1));
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::KeepAlive
        );
        assert_eq!(
            machine.respond(meta[1], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::Close
        );
        assert_eq!(read(&mut machine, b"deGET / HT").2, b"");
    }

    #[test]
    fn an_answer_before_the_end_is_told_keeps_the_connection_if_there_is_no_body() {
        let mut machine = HttpMachine::new();
        let Ok(HttpStep::Head { head, used }) = machine.step(GET, &HttpLimits::default()) else {
            panic!()
        };
        assert_eq!(used, GET.len());
        assert_eq!(machine.awaits(), Awaits::Answer);
        assert_eq!(
            machine.respond(head.meta(), BODY, ConnectionAction::KeepAlive),
            ConnectionAction::KeepAlive
        );
        assert!(matches!(
            machine.step(b"", &HttpLimits::default()),
            Ok(HttpStep::End { used: 0 })
        ));
        assert_eq!(machine.awaits(), Awaits::Request);
    }

    #[test]
    fn an_upgrade_hands_the_rest_over() {
        let mut machine = HttpMachine::new();
        let input = [UPGRADE, b"frames"].concat();
        let (meta, ends, rest) = read(&mut machine, &input);
        assert_eq!(
            (ends, rest, machine.awaits()),
            (1, &b"frames"[..], Awaits::Answer)
        );
        assert_eq!(
            machine.respond(meta[0], BodyLength::None, ConnectionAction::Upgrade),
            ConnectionAction::Upgrade
        );
        machine.stop();
        assert_eq!(read(&mut machine, b"frames"), (vec![], 0, &b"frames"[..]));
        assert_eq!(machine.awaits(), Awaits::Nothing);
    }

    #[test]
    fn an_upgrade_that_is_refused_lets_the_next_request_through() {
        for tells_end_first in [true, false] {
            let mut machine = HttpMachine::new();
            let Ok(HttpStep::Head { head, .. }) = machine.step(UPGRADE, &HttpLimits::default())
            else {
                panic!()
            };
            if tells_end_first {
                assert!(matches!(
                    machine.step(b"", &HttpLimits::default()),
                    Ok(HttpStep::End { .. })
                ));
            }
            assert_eq!(
                machine.respond(head.meta(), BODY, ConnectionAction::KeepAlive),
                ConnectionAction::KeepAlive
            );
            assert_eq!(read(&mut machine, GET).0.len(), 1);
        }
    }

    #[test]
    fn nobody_is_upgraded_who_did_not_ask_or_is_not_next() {
        let mut machine = HttpMachine::new();
        let (meta, ..) = read(&mut machine, GET);
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::Upgrade),
            ConnectionAction::Close
        );

        let mut machine = HttpMachine::new();
        let (meta, ..) = read(&mut machine, &[GET, UPGRADE].concat());
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::Upgrade),
            ConnectionAction::Close
        );

        let mut machine = HttpMachine::new();
        let (meta, ..) = read(&mut machine, &[GET, UPGRADE].concat());
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::KeepAlive
        );
        assert_eq!(machine.awaits(), Awaits::Answer);
        assert_eq!(
            machine.respond(meta[1], BODY, ConnectionAction::Upgrade),
            ConnectionAction::Upgrade
        );
    }

    #[test]
    fn a_refused_request_is_answered_in_its_turn_and_is_the_last() {
        let mut machine = HttpMachine::new();
        let (meta, ..) = read(
            &mut machine,
            &[GET, b"GET / HTTP/1.1\r\n\r\n", GET].concat(),
        );
        assert_eq!((machine.pending_responses(), meta.len()), (2, 2));
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::KeepAlive
        );
        assert_eq!(
            machine.respond(meta[1], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::Close
        );
    }

    #[test]
    fn a_body_that_is_refused_is_answered_once() {
        let mut machine = HttpMachine::new();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx";
        let (meta, ..) = read(&mut machine, head);
        assert_eq!((machine.pending_responses(), meta.len()), (1, 2));
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::Close
        );
    }

    #[test]
    fn after_a_stop_the_last_answer_closes() {
        let mut machine = HttpMachine::new();
        let (meta, ..) = read(&mut machine, &[GET, GET].concat());
        machine.stop();
        assert_eq!(read(&mut machine, GET), (vec![], 0, &b""[..]));
        assert_eq!(
            machine.respond(meta[0], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::KeepAlive
        );
        assert_eq!(
            machine.respond(meta[1], BODY, ConnectionAction::KeepAlive),
            ConnectionAction::Close
        );
    }

    #[test]
    fn an_unknown_length_closes_for_http10_alone() {
        let old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        let old_head = b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        for (input, body, after) in [
            (&old[..], BodyLength::Chunked, ConnectionAction::Close),
            (old, BODY, ConnectionAction::KeepAlive),
            (old_head, BodyLength::Chunked, ConnectionAction::KeepAlive),
            (GET, BodyLength::Chunked, ConnectionAction::KeepAlive),
        ] {
            let mut machine = HttpMachine::new();
            let (meta, ..) = read(&mut machine, input);
            assert_eq!(
                machine.respond(meta[0], body, ConnectionAction::KeepAlive),
                after,
                "{body:?}"
            );
        }
    }

    #[test]
    fn what_is_awaited_tells_the_time_outs_apart() {
        let mut machine = HttpMachine::new();
        assert_eq!(machine.awaits(), Awaits::Request);
        read(&mut machine, b"P");
        assert_eq!(machine.awaits(), Awaits::Head);
        read(&mut machine, POST);
        assert_eq!(machine.awaits(), Awaits::Body);
        read(&mut machine, b"hello");
        assert_eq!(machine.awaits(), Awaits::Request);
    }
}
