//! A head alone: what is accepted can be written again from its parts, and httparse reads it so too.

#![no_main]

use edgeloop::proto::http1::{
    Framing, Head, HttpLimits, HttpMachine, HttpStep, RequestError, Version,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((bits, input)) = data.split_first() else {
        return;
    };
    let limits = HttpLimits {
        target_bytes_max: if bits & 1 == 0 { 8192 } else { 16 },
        head_bytes_max: if bits & 2 == 0 { 65536 } else { 64 },
        fields_max: if bits & 4 == 0 { 100 } else { 2 },
        ..HttpLimits::DEFAULT
    };
    let told = HttpMachine::new()
        .step(input, &limits)
        .map(|step| match step {
            HttpStep::Head { used, head } => {
                assert!(head.bytes().len() <= limits.head_bytes_max);
                assert!(head.target.len() <= limits.target_bytes_max);
                assert!(head.fields.count() <= limits.fields_max);
                // Before it there may only have been empty lines.
                let skipped = used - head.bytes().len();
                assert!(skipped % 2 == 0 && skipped <= 8);
                assert!(input[..skipped].chunks(2).all(|line| line == b"\r\n"));
                check(&head);
                Some(head.bytes().to_vec())
            }
            HttpStep::More { .. } => None,
            HttpStep::Body { .. } | HttpStep::End { .. } => unreachable!("there was no head"),
        });
    match Head::reparse(input) {
        Some(head) => {
            check(&head);
            let is_limited = matches!(
                told,
                Err(RequestError::TargetTooLong
                    | RequestError::HeadTooLong
                    | RequestError::TooManyFields)
            ) || matches!(
                told,
                Err(RequestError::BodyTooLong | RequestError::MethodTooLong)
            );
            assert!(is_limited || told == Ok(Some(input.to_vec())), "{told:?}");
        }
        None => assert_ne!(told, Ok(Some(input.to_vec()))),
    }
});

fn check(head: &Head<'_>) {
    let mut again = format!("{} {} ", head.method.as_str(), head.target).into_bytes();
    again.extend_from_slice(match head.version {
        Version::Http10 => b"HTTP/1.0\r\n",
        Version::Http11 => b"HTTP/1.1\r\n",
    });
    for (name, value) in head.fields.iter() {
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        again.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    again.extend_from_slice(b"\r\n");
    let copy = Head::reparse(&again).expect("a head of parts that were accepted");
    assert!(head.fields.iter().eq(copy.fields.iter()));
    assert_eq!((head.path(), head.query()), (copy.path(), copy.query()));
    assert_eq!((head.host, head.framing), (copy.host, copy.framing));
    assert_eq!(head.meta(), copy.meta());
    assert_eq!(head.wants_continue, copy.wants_continue);
    assert_eq!(head.upgrade_websocket, copy.upgrade_websocket);

    assert!(head.path() == "*" || head.path().starts_with('/'));
    assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(head.version == Version::Http10 || head.host.is_some());
    let lengths = head.fields.get_all("content-length").count();
    let codings = head.fields.get_all("transfer-encoding").count();
    match head.framing {
        Framing::None => assert_eq!((lengths, codings), (0, 0)),
        Framing::Length(_) => assert_eq!((lengths, codings), (1, 0)),
        Framing::Chunked => assert_eq!((lengths, codings), (0, 1)),
    }

    let mut table = vec![httparse::EMPTY_HEADER; 1000];
    let mut request = httparse::Request::new(&mut table);
    let parsed = request.parse(head.bytes());
    assert_eq!(parsed, Ok(httparse::Status::Complete(head.bytes().len())));
    assert_eq!(request.method, Some(head.method.as_str()));
    assert_eq!(request.path, Some(head.target));
    assert_eq!(request.headers.len(), head.fields.count());
}
