use proptest::prelude::*;

use super::*;

#[test]
fn a_part_is_sent_with_its_place() {
    let entry = entry(b"0123456789", true);
    for (range, part, place) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=0-", "0123456789", "bytes 0-9/10"),
        ("bytes=5-5", "5", "bytes 5-5/10"),
    ] {
        let fields = [&*format!("Range: {range}")];
        let sent = ask("GET", &fields, |request| entry.respond(request));
        assert_eq!(sent.status, 206);
        assert_eq!(sent.body, part.as_bytes());
        assert_eq!(sent.field("Content-Range"), Some(place));
        let length = part.len().to_string();
        assert_eq!(sent.field("Content-Length"), Some(&*length));
        // RFC 9110 §15.3.7: the fields of a 200.
        for name in ["ETag", "Last-Modified", "Cache-Control", "Content-Type"] {
            assert!(sent.field(name).is_some(), "{name}");
        }
        // §14.2: Range means something to GET only.
        let head = ask("HEAD", &fields, |request| entry.respond(request));
        assert_eq!(head.status, 200);
        assert_eq!(head.field("Content-Length"), Some("10"));
    }
}

#[test]
fn a_range_of_nothing_is_told_the_length() {
    // RFC 9110 §15.5.17.
    for (content, range) in [
        ("0123456789", "bytes=10-"),
        ("0123", "bytes=-0"),
        ("", "bytes=0-"),
    ] {
        let entry = entry(content.as_bytes(), true);
        let fields = [&*format!("Range: {range}")];
        let sent = ask("GET", &fields, |request| entry.respond(request));
        assert_eq!(sent.status, 416);
        let length = format!("bytes */{}", content.len());
        assert_eq!(sent.field("Content-Range"), Some(&*length));
        assert_eq!(sent.names(), ["Date", "Content-Length", "Content-Range"]);
        let head = ask("HEAD", &fields, |request| entry.respond(request));
        assert_eq!(head.status, 200);
    }
}

#[test]
fn what_is_no_set_of_ranges_is_ignored() {
    let entry = entry(b"0123456789", true);
    for fields in [
        &["Range: bytes=0-1,5-4"][..],
        &["Range: bytes=0-1", "Range: bytes=0-1"],
        &["Range: lines=0-1"],
        &["Range: bytes=5-4"],
        &["Range:"],
        &["Range: \u{fc}"],
    ] {
        let sent = ask("GET", fields, |request| entry.respond(request));
        assert_eq!((sent.status, sent.body.len()), (200, 10), "{fields:?}");
        assert_eq!(sent.field("Content-Range"), None);
    }
}

#[test]
fn if_range_lets_only_the_same_state_be_continued() {
    // RFC 9110 §13.1.5. With a date that two states may share (§8.8.2.2), all is sent again.
    for (if_range, want, want_weak_date) in [
        ("\"e-1\"", 206, 206),
        ("\"x\"", 200, 200),
        ("W/\"e-1\"", 200, 200),
        ("e-1", 200, 200),
        ("*", 200, 200),
        ("\"e-1\", \"x\"", 200, 200),
        ("\"x\", \"e-1\"", 200, 200),
        ("", 200, 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 206, 200),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 206, 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200, 200),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200, 200),
    ] {
        for (is_date_strong, want) in [(true, want), (false, want_weak_date)] {
            let entry = entry(b"0123456789", is_date_strong);
            let if_range = &*format!("If-Range: {if_range}");
            let status =
                |fields: &[&str]| ask("GET", fields, |request| entry.respond(request)).status;
            assert_eq!(status(&["Range: bytes=2-3", if_range]), want, "{if_range}");
            let want = if want == 206 { 416 } else { 200 };
            assert_eq!(status(&["Range: bytes=10-", if_range]), want, "{if_range}");
            // Without Range, or twice, it means nothing.
            assert_eq!(status(&[if_range]), 200);
            assert_eq!(status(&["Range: bytes=2-3", if_range, if_range]), 200);
        }
    }
}

#[test]
fn who_continues_is_not_told_again_what_it_knows() {
    // RFC 9110 §15.3.7.
    let entry = entry(b"0123456789", true);
    let fields = ["Range: bytes=2-", "If-Range: \"e-1\""];
    let sent = ask("GET", &fields, |request| entry.respond(request));
    let want = [
        "Date",
        "Content-Length",
        "ETag",
        "Last-Modified",
        "Cache-Control",
        "Content-Range",
    ];
    assert_eq!(sent.names(), want);
}

/// Takes a multipart/byteranges body apart (RFC 2046 §5.1.1): the place and the bytes of each part.
fn parts(sent: &SentResponse) -> Vec<(String, Vec<u8>)> {
    let content_type = sent.field("Content-Type").unwrap();
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let (delimiter, mut rest) = (format!("--{boundary}"), sent.body.as_slice());
    let mut parts = Vec::new();
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|at| at == what);
    loop {
        rest = rest.strip_prefix(delimiter.as_bytes()).unwrap();
        if rest == b"--\r\n" {
            return parts;
        }
        rest = rest.strip_prefix(b"\r\n").unwrap();
        let head_len = find(rest, b"\r\n\r\n").unwrap() + 4;
        let (head, body) = rest.split_at(head_len);
        let head = str::from_utf8(head).unwrap();
        let place = head
            .strip_prefix("Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ")
            .and_then(|place| place.strip_suffix("\r\n\r\n"));
        let len = find(body, format!("\r\n{delimiter}").as_bytes()).unwrap();
        parts.push((place.unwrap().to_owned(), body[..len].to_vec()));
        rest = &body[len + 2..];
    }
}

#[test]
fn several_parts_are_sent_with_their_places() {
    // RFC 9110 §15.3.7.2, in memory and from disk.
    let root = root(&[("a.txt", "0123456789")]);
    for options in [FileOptions::default(), small()] {
        let folder = load(&root, &options);
        let fields = ["Range: bytes=7-8, 0-1,-1,20-"];
        let sent = ask("GET", &fields, |request| {
            folder.respond(request, "/a.txt").unwrap()
        });
        assert_eq!(sent.status, 206);
        let want = [("7-9/10", "789"), ("0-1/10", "01")];
        let want = want.map(|(place, part)| (place.to_owned(), part.as_bytes().to_vec()));
        assert_eq!(parts(&sent), want);
        let length = sent.body.len().to_string();
        assert_eq!(sent.field("Content-Length"), Some(&*length));
        assert_eq!(sent.field("Content-Range"), None);
        for name in ["ETag", "Last-Modified", "Cache-Control"] {
            assert!(sent.field(name).is_some(), "{name}");
        }
        let head = ask("HEAD", &fields, |request| {
            folder.respond(request, "/a.txt").unwrap()
        });
        assert_eq!(
            (head.status, head.field("Content-Length")),
            (200, Some("10"))
        );
    }
    let entry = entry(b"0123456789", true);
    let status = |fields: &[&str]| ask("GET", fields, |request| entry.respond(request)).status;
    assert_eq!(status(&["Range: bytes=0-1,4-5", "If-Range: \"e-1\""]), 206);
    assert_eq!(status(&["Range: bytes=0-1,4-5", "If-Range: \"x\""]), 200);
    assert_eq!(status(&["Range: bytes=10-,20-30"]), 416);
}

#[test]
fn ranges_that_come_to_one_are_answered_with_one() {
    let entry = entry(b"0123456789", true);
    for range in ["bytes=0-2,2-4", "bytes=3-4,0-2", "bytes=0-4,99-"] {
        let fields = [&*format!("Range: {range}")];
        let sent = ask("GET", &fields, |request| entry.respond(request));
        assert_eq!((sent.status, &*sent.body), (206, b"01234".as_slice()));
        assert_eq!(sent.field("Content-Range"), Some("bytes 0-4/10"));
        assert_eq!(
            sent.field("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
    }
}

#[test]
fn no_set_of_ranges_makes_much_of_a_file() {
    // Overlapping ranges, as an attack would have them, and as many small ones as there may be.
    let content = "0123456789".repeat(100);
    let entry = entry(content.as_bytes(), true);
    let overlapping: Vec<_> = (0..64).map(|n| format!("{n}-")).collect();
    let small: Vec<_> = (0..64).map(|n| format!("{0}-{0}", n * 10)).collect();
    for (set, most) in [(overlapping, content.len()), (small, 64 + 65 * 128)] {
        let fields = [&*format!("Range: bytes={}", set.join(","))];
        let sent = ask("GET", &fields, |request| entry.respond(request));
        assert_eq!(sent.status, 206);
        assert!(sent.body.len() <= most, "{}", sent.body.len());
    }
}

proptest! {
    /// Parts of a file in memory and of one on disk are the same bytes, and where they are said to be.
    #[test]
    fn parts_are_where_they_are_said_to_be(
        len in 0..60usize,
        range in "(bytes=)?[0-9]{0,2}-[0-9]{0,2}",
    ) {
        let content: String = (b'0'..=b'z').take(len).map(char::from).collect();
        let root = root(&[("a", &content)]);
        let large = FileOptions { memory_bytes_max: 0, ..FileOptions::default() };
        let fields = [&*format!("Range: {range}")];
        for options in [FileOptions::default(), large] {
            let folder = load(&root, &options);
            let sent = ask("GET", &fields, |request| folder.respond(request, "/a").unwrap());
            match sent.status {
                200 => prop_assert_eq!(&sent.body, content.as_bytes()),
                206 => {
                    let place = sent.field("Content-Range").unwrap();
                    let place = place.strip_prefix("bytes ").unwrap();
                    let (place, whole) = place.split_once('/').unwrap();
                    let (first, last) = place.split_once('-').unwrap();
                    let (first, last): (usize, usize) = (first.parse()?, last.parse()?);
                    prop_assert_eq!(whole.parse::<usize>()?, len);
                    prop_assert_eq!(&sent.body, &content.as_bytes()[first..=last]);
                }
                status => {
                    prop_assert_eq!(status, 416);
                    let place = format!("bytes */{len}");
                    prop_assert_eq!(sent.field("Content-Range"), Some(&*place));
                }
            }
        }
    }
    /// The parts of a set are the bytes they are said to be, and their number is what was asked for at
    /// most.
    #[test]
    fn several_parts_are_where_they_are_said_to_be(
        len in 0..60usize,
        set in proptest::collection::vec("[0-9]{0,2}-[0-9]{0,2}", 1..5),
    ) {
        let content: String = (b'0'..=b'z').take(len).map(char::from).collect();
        let entry = entry(content.as_bytes(), true);
        let fields = [&*format!("Range: bytes={}", set.join(","))];
        let sent = ask("GET", &fields, |request| entry.respond(request));
        if sent.status == 206 && sent.field("Content-Range").is_none() {
            let parts = parts(&sent);
            prop_assert!((2..=set.len()).contains(&parts.len()));
            for (place, bytes) in parts {
                let (place, whole) = place.split_once('/').unwrap();
                let (first, last) = place.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse()?, last.parse()?);
                prop_assert_eq!(whole.parse::<usize>()?, len);
                prop_assert_eq!(&bytes, &content.as_bytes()[first..=last]);
            }
        }
    }
}
