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
        let sent = ask("GET", &fields, |request| entry.answer(request));
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
        let head = ask("HEAD", &fields, |request| entry.answer(request));
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
        let sent = ask("GET", &fields, |request| entry.answer(request));
        assert_eq!(sent.status, 416);
        let length = format!("bytes */{}", content.len());
        assert_eq!(sent.field("Content-Range"), Some(&*length));
        assert_eq!(sent.names(), ["Date", "Content-Length", "Content-Range"]);
        let head = ask("HEAD", &fields, |request| entry.answer(request));
        assert_eq!(head.status, 200);
    }
}

#[test]
fn what_is_no_single_range_of_bytes_is_ignored() {
    let entry = entry(b"0123456789", true);
    for fields in [
        &["Range: bytes=0-1,4-5"][..],
        &["Range: bytes=0-1", "Range: bytes=0-1"],
        &["Range: lines=0-1"],
        &["Range: bytes=5-4"],
        &["Range:"],
        &["Range: \u{fc}"],
    ] {
        let sent = ask("GET", fields, |request| entry.answer(request));
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
                |fields: &[&str]| ask("GET", fields, |request| entry.answer(request)).status;
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
    let sent = ask("GET", &fields, |request| entry.answer(request));
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

proptest! {
    /// Parts of a file in memory and of one on disk are the same bytes, and where they are said to be.
    #[test]
    fn parts_are_where_they_are_said_to_be(
        len in 0..60usize,
        range in "(bytes=)?[0-9]{0,2}-[0-9]{0,2}",
    ) {
        let content: String = (b'0'..=b'z').take(len).map(char::from).collect();
        let root = root(&[("a", &content)]);
        let large = Options { memory_bytes_max: 0, ..Options::default() };
        let fields = [&*format!("Range: {range}")];
        for options in [Options::default(), large] {
            let folder = load(&root, &options);
            let sent = ask("GET", &fields, |request| folder.answer(request, "/a").unwrap());
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
}
