//! Properties of every HTTP/1.1 request, valid or not.

use std::fmt::Write as _;

use edgeloop::proto::http1::{
    Awaits, BodyLength, ConnectionAction, Framing, Head, HttpLimits, HttpMachine, HttpStep,
    RequestError, RequestMeta, Version, encode,
};
use proptest::prelude::*;

/// A request as it was meant, or as it was read.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    method: String,
    target: String,
    is_http10: bool,
    fields: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    is_chunked: bool,
}

prop_compose! {
    fn request()(
        method in "GET|POST|[A-Z!#$%&'*+.^_`|~0-9-]{1,12}",
        target in "/[a-zA-Z0-9/._~%|-]{0,20}(\\?[a-z0-9=&/?:@]{0,20})?",
        is_http10 in any::<bool>(),
        fields in prop::collection::vec((
            "X-[A-Za-z0-9!#$%&'*+.^_`|~-]{0,12}",
            prop_oneof![
                Just(Vec::new()),
                // Visible at both ends, anything but control bytes between.
                prop::collection::vec(prop_oneof![0x21..=0x7eu8, 0x80..=0xffu8, Just(b' '), Just(b'\t')], 1..30)
                    .prop_map(|value| [b"v", value.as_slice(), b"v"].concat()),
            ],
        ), 0..12),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        is_chunked in any::<bool>(),
    ) -> Request {
        let method = if method == "CONNECT" { "GET".to_owned() } else { method };
        let is_chunked = is_chunked && !is_http10 && body.is_some();
        let mut all = vec![("Host".to_owned(), b"example.org".to_vec())];
        all.extend(fields);
        Request { method, target, is_http10, fields: all, body, is_chunked }
    }
}

/// The request on the wire; `chunk_bytes` is the size of its chunks.
fn wire(request: &Request, chunk_bytes: usize) -> Vec<u8> {
    let minor = if request.is_http10 { 0 } else { 1 };
    let mut head = format!("{} {} HTTP/1.{minor}\r\n", request.method, request.target).into_bytes();
    for (name, value) in &request.fields {
        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    match &request.body {
        None => head.extend(b"\r\n"),
        Some(body) if request.is_chunked => {
            head.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            body.chunks(chunk_bytes)
                .for_each(|data| encode::chunk(&mut head, data));
            head.extend(encode::LAST_CHUNK);
        }
        Some(body) => {
            head.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            head.extend(body);
        }
    }
    head
}

/// Choices where a request may be written in more than one way.
#[derive(Clone, Debug)]
struct Habits {
    empty_lines: usize,
    before_value: String,
    after_value: String,
    extensions: String,
    size_zeros: usize,
    sizes_are_upper: bool,
    trailers: Vec<(String, String)>,
}

prop_compose! {
    fn habits()(
        empty_lines in 0..=4usize,
        before_value in "[ \t]{0,3}",
        after_value in "[ \t]{0,3}",
        extensions in "([ \t]{0,2};[a-z]{0,3}(=([a-z]{1,3}|\"[a-z ;,]{0,5}\"))?){0,2}",
        size_zeros in 0..6usize,
        sizes_are_upper in any::<bool>(),
        trailers in prop::collection::vec(("X-[a-z]{0,3}|Content-Length|Host", "[ -~]{0,8}"), 0..3),
    ) -> Habits {
        Habits {
            empty_lines, before_value, after_value, extensions, size_zeros, sizes_are_upper, trailers,
        }
    }
}

/// The request as a client with these habits writes it.
fn untidy(request: &Request, chunk_bytes: usize, habits: &Habits) -> Vec<u8> {
    let minor = if request.is_http10 { 0 } else { 1 };
    let mut out = b"\r\n".repeat(habits.empty_lines);
    out.extend(format!("{} {} HTTP/1.{minor}\r\n", request.method, request.target).bytes());
    let mut field = |name: &str, value: &[u8]| {
        out.extend([name.as_bytes(), b":", habits.before_value.as_bytes(), value].concat());
        out.extend([habits.after_value.as_bytes(), b"\r\n"].concat());
    };
    match &request.body {
        Some(_) if request.is_chunked => field("transfer-encoding", b"CHUNKED"),
        Some(body) => field("CONTENT-LENGTH", format!("00{}", body.len()).as_bytes()),
        None => {}
    }
    for (name, value) in &request.fields {
        field(name, value);
    }
    out.extend(b"\r\n");
    let body = request.body.as_deref().unwrap_or_default();
    if !request.is_chunked {
        out.extend(body);
        return out;
    }
    let size_line = |size: usize| {
        let size = match habits.sizes_are_upper {
            true => format!("{size:X}"),
            false => format!("{size:x}"),
        };
        format!(
            "{}{size}{}\r\n",
            "0".repeat(habits.size_zeros),
            habits.extensions
        )
    };
    for chunk in body.chunks(chunk_bytes) {
        out.extend(size_line(chunk.len()).bytes());
        out.extend([chunk, b"\r\n"].concat());
    }
    out.extend(size_line(0).bytes());
    for (name, value) in &habits.trailers {
        out.extend(format!("{name}:{value}\r\n").bytes());
    }
    out.extend(b"\r\n");
    out
}

fn read_head(head: &Head<'_>) -> Request {
    let fields = head
        .fields
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_vec()));
    let framing = ["Content-Length", "Transfer-Encoding"];
    let is_framing = |name: &str| framing.iter().any(|other| other.eq_ignore_ascii_case(name));
    Request {
        method: head.method.as_str().to_owned(),
        target: head.target.to_owned(),
        is_http10: head.version == Version::Http10,
        fields: fields.filter(|(name, _)| !is_framing(name)).collect(),
        body: (head.framing != Framing::None).then(Vec::new),
        is_chunked: head.framing == Framing::Chunked,
    }
}

/// Outcome of an input: the requests, each with a mark if it is complete; an error; the input awaited.
type Outcome = (Vec<(Request, bool)>, Option<RequestError>, Awaits);

/// Feeds `input` in pieces of these sizes, then the rest.
fn read(input: &[u8], pieces: &[usize], limits: &HttpLimits) -> Outcome {
    let mut machine = HttpMachine::new();
    let mut requests: Vec<(Request, bool)> = Vec::new();
    let (mut dropped, mut end) = (0, 0);
    let pieces = pieces.iter().copied().chain([input.len()]);
    for piece in pieces {
        end = input.len().min(end + piece);
        loop {
            let step = match machine.step(&input[dropped..end], limits) {
                Ok(step) => step,
                Err(error) => return (requests, Some(error), machine.awaits()),
            };
            match step {
                HttpStep::More { used } => {
                    dropped += used;
                    break;
                }
                HttpStep::Head { used, head } => {
                    requests.push((read_head(&head), false));
                    dropped += used;
                }
                HttpStep::Body { used, data } => {
                    assert!(!data.is_empty());
                    let body = requests
                        .last_mut()
                        .and_then(|request| request.0.body.as_mut());
                    body.expect("a head announced it").extend_from_slice(data);
                    dropped += used;
                }
                HttpStep::End { used } => {
                    requests.last_mut().expect("it had a head").1 = true;
                    dropped += used;
                }
            }
        }
    }
    (requests, None, machine.awaits())
}

/// Bytes that look like requests often enough to get deep into the machine.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "POST /a?b HTTP/1.1\r\n", "GET / HTTP/1.0\r\n", "Host: a\r\n", "\r\n",
            "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n",
            "Expect: 100-continue\r\n", "abc", "3\r\nabc\r\n", "0\r\n", "0\r\n\r\n", ";x=y", "A: b\r\n",
            "Connection: upgrade\r\nUpgrade: websocket\r\n", "GET /long/long/long/long/long",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["\r", "\n", " ", "\t", "\0", ":", "x", "/", "\u{7f}", "é"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

const TIGHT: HttpLimits = HttpLimits {
    target_bytes_max: 24,
    head_bytes_max: 100,
    fields_max: 4,
    body_bytes_max: 10,
    chunk_extension_bytes_max: 8,
    trailer_bytes_max: 8,
};

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_meant(
        requests in prop::collection::vec(request(), 1..4),
        chunk_bytes in 1..100usize,
        pieces in prop::collection::vec(0..60usize, 0..20),
    ) {
        let mut input = Vec::new();
        let mut meant = Vec::new();
        for request in requests {
            input.extend(wire(&request, chunk_bytes));
            let is_last = request.is_http10;
            meant.push((request, true));
            if is_last {
                break;
            }
        }
        let awaits = if meant.last().unwrap().0.is_http10 { Awaits::Nothing } else { Awaits::Request };
        prop_assert_eq!(read(&input, &pieces, &HttpLimits::default()), (meant, None, awaits));
    }

    #[test]
    fn the_habits_of_clients_change_nothing(
        requests in prop::collection::vec((request(), habits()), 1..4),
        chunk_bytes in 1..100usize,
        pieces in prop::collection::vec(0..60usize, 0..20),
    ) {
        let mut input = Vec::new();
        let mut meant = Vec::new();
        for (request, habits) in requests {
            input.extend(untidy(&request, chunk_bytes, &habits));
            let is_last = request.is_http10;
            meant.push((request, true));
            if is_last {
                break;
            }
        }
        let limits = HttpLimits { chunk_extension_bytes_max: 1 << 20, ..HttpLimits::default() };
        let (read, error, _) = read(&input, &pieces, &limits);
        prop_assert_eq!((read, error), (meant, None));
    }

    /// Whatever was read, sent on in our own words, is read again as the same: nothing is in it that
    /// another reader could take in another way.
    #[test]
    fn what_was_read_can_be_sent_on(
        input in prop_oneof![
            nearly_requests(),
            prop::collection::vec((request(), habits(), 1..100usize), 1..4).prop_map(|requests| {
                requests.iter().flat_map(|(request, habits, chunk_bytes)| {
                    untidy(request, *chunk_bytes, habits)
                }).collect()
            }),
        ],
        chunk_bytes in 1..100usize,
    ) {
        let limits = HttpLimits { chunk_extension_bytes_max: 1 << 20, ..HttpLimits::default() };
        let (mut first, ..) = read(&input, &[], &limits);
        first.retain(|(_, is_complete)| *is_complete);
        let sent_on: Vec<u8> = first.iter().flat_map(|(request, _)| wire(request, chunk_bytes)).collect();
        let (second, error, awaits) = read(&sent_on, &[], &limits);
        prop_assert_eq!((&second, error), (&first, None));
        prop_assert!(matches!(awaits, Awaits::Request | Awaits::Answer | Awaits::Nothing));
    }

    #[test]
    fn no_split_changes_what_is_read(
        input in nearly_requests(),
        pieces in prop::collection::vec(0..12usize, 0..40),
        is_tight in any::<bool>(),
    ) {
        let limits = if is_tight { TIGHT } else { HttpLimits::default() };
        let whole = read(&input, &[], &limits);
        prop_assert_eq!(&read(&input, &pieces, &limits), &whole);
        prop_assert_eq!(&read(&input, &vec![1; input.len()], &limits), &whole);
    }

    #[test]
    fn no_bytes_upset_the_machine(input in prop::collection::vec(any::<u8>(), 0..200), cut in 0..200usize) {
        prop_assert_eq!(read(&input, &[cut], &TIGHT), read(&input, &[], &TIGHT));
        prop_assert!(Head::reparse(&input).is_none_or(|head| head.bytes() == input));
    }

    #[test]
    fn an_answer_is_read_as_it_was_meant(
        status in 200..=599u16,
        body in prop::collection::vec(any::<u8>(), 0..300),
        fields in prop::collection::vec(("X-[A-Za-z-]{0,8}", "[!-~]([ -~\t]{0,20}[!-~])?"), 0..6),
        is_chunked in any::<bool>(),
    ) {
        let mut lines = Vec::new();
        for (name, value) in &fields {
            encode::field(&mut lines, name, value).unwrap();
        }
        let length = if is_chunked { BodyLength::Chunked } else { BodyLength::Known(body.len() as u64) };
        let meta = RequestMeta { version: Version::Http11, head: false, keep_alive: true };
        let mut out = Vec::new();
        let form = encode::head(&mut out, status, &[&lines], length, meta, ConnectionAction::KeepAlive, &encode::Common::at(0));
        let mut table = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut table);
        let parsed = response.parse(&out).unwrap();
        prop_assert_eq!(parsed, httparse::Status::Complete(out.len()));
        prop_assert_eq!(response.code, Some(status));
        let mut expected = vec![("Date".to_owned(), "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())];
        match form {
            encode::BodyForm::Plain => {
                expected.push(("Content-Length".to_owned(), body.len().to_string()));
            }
            encode::BodyForm::Chunks => {
                expected.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
            }
            encode::BodyForm::Absent => prop_assert!(matches!(status, 204 | 304)),
            encode::BodyForm::UntilClose => prop_assert!(false, "HTTP/1.1 has chunks"),
        }
        expected.extend(fields);
        let read = response.headers.iter().map(|field| {
            (field.name.to_owned(), String::from_utf8(field.value.to_vec()).unwrap())
        });
        prop_assert_eq!(read.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn errors_have_a_status_and_a_sentence(input in nearly_requests()) {
        if let Some(error) = read(&input, &[], &TIGHT).1 {
            prop_assert!(matches!(error.status(), 400 | 405 | 413 | 414 | 417 | 431 | 501 | 505));
            let mut sentence = String::new();
            write!(sentence, "{error}").unwrap();
            prop_assert!(sentence.len() > 10 && !sentence.ends_with('.'));
        }
    }
}
