use super::body::{Body, Chunked};
use super::encode::{After, BodyLength};
use super::error::Error;
use super::framing::Framing;
use super::head::{Asked, Head};
use super::limits::{FIELDS_MAX, Limits};
use super::scan::{Line, Scan, check_request_line, first_line, scan, skip_empty_lines};
use crate::invariant::part;

/// The server side of one HTTP/1.1 connection, without its bytes.
///
/// Two halves share it. The reading half is [`step`](Machine::step): hand it what has arrived, drop what it has
/// used, repeat until [`Step::More`]. The writing half is [`answer`](Machine::answer): call it once for each
/// request, in the order of the requests, when its answer is about to be encoded. Several requests may be
/// read before the first is answered; who holds the queue may stop stepping whenever it is long enough.
///
/// ```
/// use edgeloop::proto::http1::{After, BodyLength, Limits, Machine, Step, encode};
///
/// let mut machine = Machine::new();
/// let input = b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";
/// let Step::Head { head, .. } = machine.step(input, &Limits::default())? else { panic!() };
///
/// let body = BodyLength::Known(2);
/// let after = machine.answer(head.asked(), body, After::KeepAlive);
/// assert_eq!(after, After::Close); // the client asked for it
/// let mut out = Vec::new();
/// encode::head(&mut out, 200, &[], body, head.asked(), after, &encode::Common::at(784_111_777));
/// out.extend_from_slice(b"hi");
/// # Ok::<(), edgeloop::proto::http1::Error>(())
/// ```
#[derive(Debug)]
pub struct Machine {
    reading: Reading,
    /// What the reading half does after the request it is in.
    then: Then,
    writing: Writing,
}

/// What the reading half awaits.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// The end of a head.
    AwaitHead {
        /// Bytes of it that were scanned, so that no byte is scanned twice.
        scanned: u32,
        /// Empty lines that were skipped.
        empty_lines: u8,
        /// What is known of the request line.
        line: Line,
    },
    /// The rest of a body.
    AwaitBody(Body),
    /// Nothing from the peer: the end of the request is to be told.
    AwaitEnd,
    /// The answer to an upgrade: who will read the bytes after it is not known yet.
    AwaitAnswer,
    /// Nothing: the bytes belong to another protocol.
    Upgraded,
    /// Nothing: what still arrives is dropped.
    Stopped,
}

impl Reading {
    const NEXT_HEAD: Self = Self::AwaitHead {
        scanned: 0,
        empty_lines: 0,
        line: Line::Unknown,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    ReadOn,
    AwaitAnswer,
    Stop,
}

/// What the writing half owes.
#[derive(Clone, Copy, Debug)]
enum Writing {
    /// So many answers.
    Open { owed: u32 },
    /// Nothing: the last answer was begun.
    Sealed,
}

/// What one step gave. `used` bytes of the input are done with: drop them from its front before the
/// next step. What the step borrows lies within them.
#[derive(Clone, Copy, Debug)]
pub enum Step<'b> {
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

/// What the peer is expected to send, which decides how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Nothing, for now: [`Machine::step`] has an end to tell, or an upgrade is to be answered.
    Answer,
    /// Nothing that this machine would read.
    Nothing,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// The machine of a fresh connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reading: Reading::NEXT_HEAD,
            then: Then::ReadOn,
            writing: Writing::Open { owed: 0 },
        }
    }

    /// Reads on. `input` starts with the first byte that no step before has used.
    ///
    /// A request is one [`Step::Head`], any number of [`Step::Body`] and one [`Step::End`].
    ///
    /// After an upgrade request nothing more is read until it is answered, and after an
    /// [`After::Upgrade`] never again: the bytes stay in the caller's hands. After the last request and
    /// after [`stop`](Machine::stop) all input counts as used.
    ///
    /// # Errors
    ///
    /// The request breaks the protocol or a limit, and the machine has stopped. The answers owed for
    /// earlier requests still go out; then this one is answered with [`Error::status`]. If its head
    /// was not told before, the answer is owed all the same, with [`Asked::REFUSED`].
    pub fn step<'b>(&mut self, input: &'b [u8], limits: &Limits) -> Result<Step<'b>, Error> {
        let step = match self.reading {
            Reading::AwaitHead {
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
            Reading::AwaitBody(body) => self.read_body(body, input, limits),
            Reading::AwaitEnd => Ok(self.end(0)),
            Reading::AwaitAnswer | Reading::Upgraded => Ok(Step::More { used: 0 }),
            Reading::Stopped => Ok(Step::More { used: input.len() }),
        };
        if step.is_err() {
            self.stop();
        }
        step
    }

    /// Decides what becomes of the connection after the answer to the oldest request not answered yet.
    /// Call it once for each, just before encoding its head, and act on what it returns.
    ///
    /// `asked` is what came with that request, `body` what the answer will have, and `wish` what the
    /// service would like: [`After::KeepAlive`] unless it means to end the connection, or accepts an
    /// upgrade.
    #[must_use]
    pub fn answer(&mut self, asked: Asked, body: BodyLength, wish: After) -> After {
        let after = self.after(asked, body, wish);
        match (after, &mut self.writing) {
            (After::KeepAlive, Writing::Open { owed }) => {
                *owed = owed.saturating_sub(1);
                self.refuse_upgrade();
            }
            (After::KeepAlive, Writing::Sealed) => {}
            (After::Close, _) => {
                (self.reading, self.writing) = (Reading::Stopped, Writing::Sealed);
            }
            (After::Upgrade, _) => {
                (self.reading, self.writing) = (Reading::Upgraded, Writing::Sealed);
            }
        }
        after
    }

    /// Reads no further request, and not the rest of one: at the peer's end of input, or at shutdown.
    /// Answers still owed go out, the last of them with [`After::Close`].
    pub fn stop(&mut self) {
        if !matches!(self.reading, Reading::Upgraded) {
            self.reading = Reading::Stopped;
        }
    }

    /// Answers owed: requests told (or refused) and not answered.
    #[must_use]
    pub const fn owed(&self) -> u32 {
        match self.writing {
            Writing::Open { owed } => owed,
            Writing::Sealed => 0,
        }
    }

    /// What the peer is expected to send next.
    #[must_use]
    pub const fn awaits(&self) -> Awaits {
        match self.reading {
            Reading::AwaitHead { scanned: 0, .. } => Awaits::Request,
            Reading::AwaitHead { .. } => Awaits::Head,
            Reading::AwaitBody(_) => Awaits::Body,
            Reading::AwaitEnd | Reading::AwaitAnswer => Awaits::Answer,
            Reading::Upgraded | Reading::Stopped => Awaits::Nothing,
        }
    }

    /// The transition table. Keep-alive needs that all agree; each line is one who does not.
    const fn after(&self, asked: Asked, body: BodyLength, wish: After) -> After {
        let is_last = self.owed() <= 1;
        let upgrade_is_read = matches!(self.then, Then::AwaitAnswer)
            && matches!(self.reading, Reading::AwaitEnd | Reading::AwaitAnswer);
        match (wish, self.writing, self.reading) {
            (_, Writing::Sealed, _) => After::Close,
            (After::Upgrade, _, _) if is_last && upgrade_is_read => After::Upgrade,
            (After::Upgrade | After::Close, _, _) => After::Close,
            // RFC 9112 §9.3: the client ends it, or the answer has no other end.
            (After::KeepAlive, _, _) if !asked.keep_alive || body.ends_with_connection(asked) => {
                After::Close
            }
            // The answer overtakes the body: where the next request starts is not known.
            (After::KeepAlive, _, Reading::AwaitBody(_)) if is_last => After::Close,
            (After::KeepAlive, _, Reading::Stopped) if is_last => After::Close,
            (After::KeepAlive, _, _) => After::KeepAlive,
        }
    }

    /// After any other answer to an upgrade request the next request follows.
    const fn refuse_upgrade(&mut self) {
        if self.owed() == 0 && matches!(self.then, Then::AwaitAnswer) {
            self.then = Then::ReadOn;
            if matches!(self.reading, Reading::AwaitAnswer) {
                self.reading = Reading::NEXT_HEAD;
            }
        }
    }

    fn read_head<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
        scanned: u32,
        empty_lines: u8,
        mut line: Line,
    ) -> Result<Step<'b>, Error> {
        let (skipped, empty_lines) = match scanned {
            0 => skip_empty_lines(input, empty_lines)?,
            _ => (0, empty_lines),
        };
        let rest = part(input, skipped..);
        let window = rest.get(..limits.head_bytes_max).unwrap_or(rest);
        let scan = scan(window, scanned as usize);
        let seen = part(window, ..scan.reach());
        if line == Line::Unknown && check_request_line(seen, limits.target_bytes_max)? {
            line = Line::Measured;
        }
        // A line that comes ahead of the rest of its head is judged when it is there. In a head that is
        // whole the parser does that, and what it finds elsewhere counts for less all the same.
        let judge = || match first_line(seen, scanned as usize) {
            Some(first) if line != Line::Checked => Head::check_line(first).map(|()| Line::Checked),
            _ => Ok(line),
        };
        match scan {
            Scan::Whole(end) => {
                let head = match Head::parse(seen, limits.fields_max.min(FIELDS_MAX)) {
                    Ok(head) => head,
                    Err(error) => return judge().and(Err(error)),
                };
                self.begin(&head, limits.body_bytes_max)?;
                Ok(Step::Head {
                    used: skipped + end,
                    head,
                })
            }
            Scan::Bad(_, error) => judge().and(Err(error)),
            Scan::Partial(_) if window.len() >= limits.head_bytes_max => {
                judge().and(Err(Error::HeadTooLong))
            }
            Scan::Partial(reach) => {
                let line = if reach > scanned as usize {
                    judge()?
                } else {
                    line
                };
                let scanned = u32::try_from(reach).map_err(|_| Error::HeadTooLong)?;
                self.reading = Reading::AwaitHead {
                    scanned,
                    empty_lines,
                    line,
                };
                Ok(Step::More { used: skipped })
            }
        }
    }

    fn begin(&mut self, head: &Head<'_>, body_bytes_max: u64) -> Result<(), Error> {
        self.reading = match head.framing {
            Framing::Length(length) if length > body_bytes_max => return Err(Error::BodyTooLong),
            Framing::None | Framing::Length(0) => Reading::AwaitEnd,
            Framing::Length(length) => Reading::AwaitBody(Body::Length(length)),
            Framing::Chunked => Reading::AwaitBody(Body::Chunked(Chunked::new())),
        };
        self.then = match head.asked().keep_alive {
            _ if head.upgrade_websocket => Then::AwaitAnswer,
            true => Then::ReadOn,
            false => Then::Stop,
        };
        self.owe();
        Ok(())
    }

    fn read_body<'b>(
        &mut self,
        mut body: Body,
        input: &'b [u8],
        limits: &Limits,
    ) -> Result<Step<'b>, Error> {
        let decoded = body.decode(input, limits)?;
        self.reading = match decoded.is_complete {
            true => Reading::AwaitEnd,
            false => Reading::AwaitBody(body),
        };
        let used = decoded.used;
        Ok(match decoded.data {
            [] if decoded.is_complete => self.end(used),
            [] => Step::More { used },
            data => Step::Body { used, data },
        })
    }

    const fn end<'b>(&mut self, used: usize) -> Step<'b> {
        self.reading = match self.then {
            Then::ReadOn => Reading::NEXT_HEAD,
            Then::AwaitAnswer => Reading::AwaitAnswer,
            Then::Stop => Reading::Stopped,
        };
        Step::End { used }
    }

    const fn owe(&mut self) {
        if let Writing::Open { owed } = &mut self.writing {
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
    fn read<'b>(machine: &mut Machine, mut input: &'b [u8]) -> (Vec<Asked>, usize, &'b [u8]) {
        let (mut asked, mut ends) = (Vec::new(), 0);
        loop {
            let used = match machine.step(input, &Limits::default()) {
                Ok(Step::More { used }) => return (asked, ends, &input[used..]),
                Ok(Step::Head { used, head }) => {
                    asked.push(head.asked());
                    used
                }
                Ok(Step::Body { used, .. }) => used,
                Ok(Step::End { used }) => {
                    ends += 1;
                    used
                }
                Err(_) => {
                    asked.push(Asked::REFUSED);
                    return (asked, ends, input);
                }
            };
            input = &input[used..];
        }
    }

    #[test]
    fn a_machine_is_small() {
        assert!(size_of::<Machine>() <= 48, "{} bytes", size_of::<Machine>());
        assert!(size_of::<Asked>() <= 4);
    }

    #[test]
    fn the_default_limit_on_targets_is_8192_bytes() {
        for (length, is_ok) in [(8191, true), (8192, true), (8193, false)] {
            let target = format!("/{}", "a".repeat(length - 1));
            let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut machine = Machine::new();
            match machine.step(input.as_bytes(), &Limits::default()) {
                Ok(Step::Head { head, .. }) if is_ok => assert_eq!(head.target, target),
                Err(Error::TargetTooLong) if !is_ok => {}
                other => panic!("{length}: {other:?}"),
            }
        }
    }

    /// What follows a line without a target was measured as if it were the target.
    #[test]
    fn a_line_without_a_target_is_refused_as_such_however_it_comes() {
        let limits = Limits {
            target_bytes_max: 8,
            ..Limits::default()
        };
        let input = b"1\r\nLonger-Than-A-Target: x\r\n\r\n";
        let mut machine = Machine::new();
        let whole = machine.step(input, &limits).unwrap_err();
        let mut machine = Machine::new();
        let pieces = (1..=input.len()).find_map(|end| machine.step(&input[..end], &limits).err());
        assert_eq!((whole, pieces), (Error::RequestLine, Some(whole)));
    }

    #[test]
    fn pipelined_answers_keep_the_connection_until_the_last() {
        let mut machine = Machine::new();
        let input = [GET, GET, GET_AND_CLOSE, GET].concat();
        let (asked, ends, rest) = read(&mut machine, &input);
        assert_eq!((asked.len(), ends, rest), (3, 3, &b""[..]));
        assert_eq!((machine.owed(), machine.awaits()), (3, Awaits::Nothing));
        assert_eq!(
            machine.answer(asked[0], BODY, After::KeepAlive),
            After::KeepAlive
        );
        assert_eq!(
            machine.answer(asked[1], BODY, After::KeepAlive),
            After::KeepAlive
        );
        assert_eq!(
            machine.answer(asked[2], BODY, After::KeepAlive),
            After::Close
        );
        assert_eq!(machine.owed(), 0);
    }

    #[test]
    fn a_service_may_end_the_connection_before_later_answers() {
        let mut machine = Machine::new();
        let (asked, ..) = read(&mut machine, &[GET, GET].concat());
        assert_eq!(machine.answer(asked[0], BODY, After::Close), After::Close);
        assert_eq!((machine.owed(), machine.awaits()), (0, Awaits::Nothing));
        assert_eq!(
            machine.answer(asked[1], BODY, After::KeepAlive),
            After::Close
        );
    }

    #[test]
    fn an_answer_that_overtakes_the_body_ends_the_connection() {
        let mut machine = Machine::new();
        let (asked, ends, _) = read(&mut machine, &[GET, POST, b"abc"].concat());
        assert_eq!((asked.len(), ends), (2, 1));
        assert_eq!(
            machine.answer(asked[0], BODY, After::KeepAlive),
            After::KeepAlive
        );
        assert_eq!(
            machine.answer(asked[1], BODY, After::KeepAlive),
            After::Close
        );
        assert_eq!(read(&mut machine, b"deGET / HT").2, b"");
    }

    #[test]
    fn an_answer_before_the_end_is_told_keeps_the_connection_if_there_is_no_body() {
        let mut machine = Machine::new();
        let Ok(Step::Head { head, used }) = machine.step(GET, &Limits::default()) else {
            panic!()
        };
        assert_eq!(used, GET.len());
        assert_eq!(machine.awaits(), Awaits::Answer);
        assert_eq!(
            machine.answer(head.asked(), BODY, After::KeepAlive),
            After::KeepAlive
        );
        assert!(matches!(
            machine.step(b"", &Limits::default()),
            Ok(Step::End { used: 0 })
        ));
        assert_eq!(machine.awaits(), Awaits::Request);
    }

    #[test]
    fn an_upgrade_hands_the_rest_over() {
        let mut machine = Machine::new();
        let input = [UPGRADE, b"frames"].concat();
        let (asked, ends, rest) = read(&mut machine, &input);
        assert_eq!(
            (ends, rest, machine.awaits()),
            (1, &b"frames"[..], Awaits::Answer)
        );
        assert_eq!(
            machine.answer(asked[0], BodyLength::None, After::Upgrade),
            After::Upgrade
        );
        machine.stop();
        assert_eq!(read(&mut machine, b"frames"), (vec![], 0, &b"frames"[..]));
        assert_eq!(machine.awaits(), Awaits::Nothing);
    }

    #[test]
    fn an_upgrade_that_is_refused_lets_the_next_request_through() {
        for tells_end_first in [true, false] {
            let mut machine = Machine::new();
            let Ok(Step::Head { head, .. }) = machine.step(UPGRADE, &Limits::default()) else {
                panic!()
            };
            if tells_end_first {
                assert!(matches!(
                    machine.step(b"", &Limits::default()),
                    Ok(Step::End { .. })
                ));
            }
            assert_eq!(
                machine.answer(head.asked(), BODY, After::KeepAlive),
                After::KeepAlive
            );
            assert_eq!(read(&mut machine, GET).0.len(), 1);
        }
    }

    #[test]
    fn nobody_is_upgraded_who_did_not_ask_or_is_not_next() {
        let mut machine = Machine::new();
        let (asked, ..) = read(&mut machine, GET);
        assert_eq!(machine.answer(asked[0], BODY, After::Upgrade), After::Close);

        let mut machine = Machine::new();
        let (asked, ..) = read(&mut machine, &[GET, UPGRADE].concat());
        assert_eq!(machine.answer(asked[0], BODY, After::Upgrade), After::Close);

        let mut machine = Machine::new();
        let (asked, ..) = read(&mut machine, &[GET, UPGRADE].concat());
        assert_eq!(
            machine.answer(asked[0], BODY, After::KeepAlive),
            After::KeepAlive
        );
        assert_eq!(machine.awaits(), Awaits::Answer);
        assert_eq!(
            machine.answer(asked[1], BODY, After::Upgrade),
            After::Upgrade
        );
    }

    #[test]
    fn a_refused_request_is_answered_in_its_turn_and_is_the_last() {
        let mut machine = Machine::new();
        let (asked, ..) = read(
            &mut machine,
            &[GET, b"GET / HTTP/1.1\r\n\r\n", GET].concat(),
        );
        assert_eq!((machine.owed(), asked.len()), (2, 2));
        assert_eq!(
            machine.answer(asked[0], BODY, After::KeepAlive),
            After::KeepAlive
        );
        assert_eq!(
            machine.answer(asked[1], BODY, After::KeepAlive),
            After::Close
        );
    }

    #[test]
    fn a_body_that_is_refused_is_answered_once() {
        let mut machine = Machine::new();
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx";
        let (asked, ..) = read(&mut machine, head);
        assert_eq!((machine.owed(), asked.len()), (1, 2));
        assert_eq!(
            machine.answer(asked[0], BODY, After::KeepAlive),
            After::Close
        );
    }

    #[test]
    fn after_a_stop_the_last_answer_closes() {
        let mut machine = Machine::new();
        let (asked, ..) = read(&mut machine, &[GET, GET].concat());
        machine.stop();
        assert_eq!(read(&mut machine, GET), (vec![], 0, &b""[..]));
        assert_eq!(
            machine.answer(asked[0], BODY, After::KeepAlive),
            After::KeepAlive
        );
        assert_eq!(
            machine.answer(asked[1], BODY, After::KeepAlive),
            After::Close
        );
    }

    #[test]
    fn an_unknown_length_closes_for_http10_alone() {
        let old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        let old_head = b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        for (input, body, after) in [
            (&old[..], BodyLength::Chunked, After::Close),
            (old, BODY, After::KeepAlive),
            (old_head, BodyLength::Chunked, After::KeepAlive),
            (GET, BodyLength::Chunked, After::KeepAlive),
        ] {
            let mut machine = Machine::new();
            let (asked, ..) = read(&mut machine, input);
            assert_eq!(
                machine.answer(asked[0], body, After::KeepAlive),
                after,
                "{body:?}"
            );
        }
    }

    #[test]
    fn what_is_awaited_tells_the_time_outs_apart() {
        let mut machine = Machine::new();
        assert_eq!(machine.awaits(), Awaits::Request);
        read(&mut machine, b"P");
        assert_eq!(machine.awaits(), Awaits::Head);
        read(&mut machine, POST);
        assert_eq!(machine.awaits(), Awaits::Body);
        read(&mut machine, b"hello");
        assert_eq!(machine.awaits(), Awaits::Request);
    }
}
