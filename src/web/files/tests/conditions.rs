use std::borrow::Cow;
use std::sync::Arc;

use super::*;

const OLDER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const NEWER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn status(method: &str, fields: &[&str]) -> u16 {
    let entry = entry(b"content", true);
    ask(method, fields, |request| entry.respond(request)).status
}

#[test]
fn a_file_is_sent_with_what_a_cache_needs() {
    let entry = entry(b"content", true);
    let sent = ask("GET", &[], |request| entry.respond(request));
    assert_eq!(sent.status, 200);
    assert_eq!(sent.body, b"content");
    assert_eq!(sent.field("Content-Length"), Some("7"));
    assert_eq!(
        sent.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(sent.field("ETag"), Some(ETAG));
    assert_eq!(sent.field("Last-Modified"), Some(MODIFIED_DATE));
    assert_eq!(sent.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(sent.field("Cache-Control"), Some("no-cache"));
    // RFC 9110 §9.3.2: HEAD has the same head and no body.
    let head = ask("HEAD", &[], |request| entry.respond(request));
    assert_eq!(head.head, sent.head);
    assert_eq!(head.body, b"");
}

#[test]
fn other_methods_are_told_which_there_are() {
    // RFC 9110 §15.5.6, whatever the conditions (§13.2.1).
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get"] {
        for fields in [&[][..], &["If-Match: \"x\""], &["If-None-Match: *"]] {
            let entry = entry(b"content", true);
            let sent = ask(method, fields, |request| entry.respond(request));
            assert_eq!(sent.status, 405, "{method}");
            assert_eq!(sent.field("Allow"), Some("GET, HEAD"));
            assert_eq!(sent.body, b"");
        }
    }
}

#[test]
fn conditions_decide_in_the_order_of_the_rfc() {
    let modified = format!("If-Modified-Since: {MODIFIED_DATE}");
    let modified_older = format!("If-Modified-Since: {OLDER}");
    let modified_newer = format!("If-Modified-Since: {NEWER}");
    let unmodified = format!("If-Unmodified-Since: {MODIFIED_DATE}");
    let unmodified_older = format!("If-Unmodified-Since: {OLDER}");
    let two_dates = format!("If-Modified-Since: {NEWER}, {NEWER}");
    let rows: &[(&[&str], u16)] = &[
        (&[], 200),
        // §13.1.1 If-Match, compared strongly.
        (&["If-Match: \"e-1\""], 200),
        (&["If-Match: \"x\", \"e-1\""], 200),
        (&["If-Match: \"x\"", "If-Match: \"e-1\""], 200),
        (&["If-Match: *"], 200),
        (&["If-Match: \"x\""], 412),
        (&["If-Match: W/\"e-1\""], 412),
        (&["If-Match:"], 412),
        // §13.1.2 If-None-Match, compared weakly.
        (&["If-None-Match: \"e-1\""], 304),
        (&["if-none-match: W/\"e-1\""], 304),
        (&["If-None-Match: \"x\", W/\"y\", \"e-1\""], 304),
        (&["If-None-Match: \"x\"", "If-None-Match: \"e-1\""], 304),
        (&["If-None-Match: *"], 304),
        (&["If-None-Match: \"x\""], 200),
        (&["If-None-Match: e-1"], 200),
        (&["If-None-Match:"], 200),
        // §13.1.3 If-Modified-Since.
        (&[&modified], 304),
        (&[&modified_newer], 304),
        (&[&modified_older], 200),
        (&["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 304),
        (&["If-Modified-Since: Sun Nov  6 08:49:37 1994"], 304),
        (&["If-Modified-Since: yesterday"], 200),
        (&[&two_dates], 200),
        (&[&modified_newer, &modified_newer], 200),
        // §13.1.4 If-Unmodified-Since.
        (&[&unmodified], 200),
        (&[&unmodified_older], 412),
        (&["If-Unmodified-Since: yesterday"], 200),
        (&[&unmodified_older, &unmodified_older], 200),
        // §13.2.2 steps 1 and 2: If-Unmodified-Since counts only without If-Match.
        (&["If-Match: \"e-1\"", &unmodified_older], 200),
        (&["If-Match: \"x\"", &unmodified], 412),
        // Steps 3 and 4: If-Modified-Since counts only without If-None-Match.
        (&["If-None-Match: \"x\"", &modified], 200),
        (&["If-None-Match: \"e-1\"", &modified_older], 304),
        // Steps 1 and 2 come before 3 and 4, whatever the order of the fields.
        (&["If-None-Match: \"e-1\"", "If-Match: \"x\""], 412),
        (&["If-None-Match: \"e-1\"", "If-Match: \"e-1\""], 304),
        (&[&modified, &unmodified_older], 412),
        (&["If-None-Match: \"e-1\"", &unmodified_older], 412),
    ];
    for (fields, want) in rows {
        for method in ["GET", "HEAD"] {
            assert_eq!(status(method, fields), *want, "{method} {fields:?}");
        }
    }
}

#[test]
fn conditions_come_before_ranges() {
    // RFC 9110 §13.2.2 and §14.2.
    let range = "Range: bytes=0-1";
    assert_eq!(status("GET", &[range, "If-None-Match: \"e-1\""]), 304);
    assert_eq!(status("GET", &[range, "If-None-Match: \"x\""]), 206);
    assert_eq!(status("GET", &[range, "If-Match: \"x\""]), 412);
    assert_eq!(status("GET", &["Range: bytes=9-", "If-Match: \"x\""]), 412);
}

#[test]
fn not_modified_says_what_keeps_a_cache_fresh_and_no_more() {
    let options = FileOptions {
        fields: Arc::new(|_| vec![("Vary".into(), "Accept-Language".into())]),
        ..FileOptions::default()
    };
    let entry = FileEntry::new("/a.txt", facts(b"content", true), &options).unwrap();
    for method in ["GET", "HEAD"] {
        let fields = ["If-None-Match: \"e-1\""];
        let sent = ask(method, &fields, |request| entry.respond(request));
        // RFC 9110 §15.4.5.
        let want = ["Date", "ETag", "Last-Modified", "Cache-Control", "Vary"];
        assert_eq!(sent.names(), want);
        assert_eq!(sent.field("ETag"), Some(ETAG));
        assert_eq!(sent.body, b"");
    }
}

#[test]
fn a_failed_condition_says_nothing_about_the_file() {
    let entry = entry(b"content", true);
    let sent = ask("GET", &["If-Match: \"x\""], |request| {
        entry.respond(request)
    });
    assert_eq!(sent.status, 412);
    assert_eq!(sent.names(), ["Date", "Content-Length"]);
}

#[test]
fn the_embedder_adds_fields_by_path_and_type() {
    let root = root(&[("index.html", "page"), ("a.css", "style"), ("v.1.js", "js")]);
    let options = FileOptions {
        fields: Arc::new(|asset| match asset.media_type {
            "text/html" => vec![(
                "Content-Security-Policy".into(),
                "default-src 'self'".into(),
            )],
            _ => Vec::new(),
        }),
        cache_control: Arc::new(|asset| match asset.path {
            "/v.1.js" => Cow::Borrowed("max-age=31536000, immutable"),
            "/a.css" => Cow::Borrowed(""),
            _ => Cow::Borrowed("no-cache"),
        }),
        ..FileOptions::default()
    };
    let folder = load(&root, &options);
    let page = get(&folder, "/").unwrap();
    let policy = page.field("Content-Security-Policy");
    assert_eq!(policy, Some("default-src 'self'"));
    assert_eq!(page.field("Cache-Control"), Some("no-cache"));
    let script = get(&folder, "/v.1.js").unwrap();
    assert_eq!(script.field("Content-Security-Policy"), None);
    let forever = script.field("Cache-Control");
    assert_eq!(forever, Some("max-age=31536000, immutable"));
    assert_eq!(get(&folder, "/a.css").unwrap().field("Cache-Control"), None);
}

#[test]
fn fields_that_cannot_be_sent_are_refused_at_the_start() {
    let root = root(&[("a.txt", "a")]);
    for (name, value) in [
        ("X-A", "b\r\nX-C: d"),
        ("X A", "b"),
        ("Content-Length", "1"),
        ("ETag", "\"mine\""),
        ("content-type", "text/plain"),
        ("Connection", "close"),
    ] {
        let options = FileOptions {
            fields: Arc::new(move |_| vec![(name.into(), value.into())]),
            ..FileOptions::default()
        };
        let error = Snapshot::load(root.path(), &options).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}");
        assert!(error.to_string().contains("/a.txt"), "{error}");
    }
}

#[test]
fn a_page_serves_as_the_body_of_an_error() {
    let root = root(&[("404.html", "<p>not here")]);
    for options in [FileOptions::default(), small()] {
        let folder = load(&root, &options);
        // Conditions are about what was asked for, not about this page.
        let fields = ["If-None-Match: *", "Range: bytes=0-0"];
        let sent = ask("GET", &fields, |request| {
            assert!(folder.page(request, 404, "/500.html").is_none());
            folder.page(request, 404, "/404.html").unwrap()
        });
        assert_eq!((sent.status, &*sent.body), (404, b"<p>not here".as_slice()));
        let want = ["Date", "Content-Length", "Cache-Control", "Content-Type"];
        assert_eq!(sent.names(), want);
    }
}
