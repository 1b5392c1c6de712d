use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::super::codings::Coding;
use super::super::compress::{compress, is_form_of};
use super::super::file_entry::Encoded;
use super::super::watcher::Watch;
use super::*;

const AE: &str = "Accept-Encoding: gzip, deflate, br, zstd";

/// A file of text with encoded forms that can be told apart.
fn encoded_entry() -> FileEntry {
    let encoded = |content: &[u8], etag: &str| {
        Some(Encoded {
            content: Content::Memory(Shared::from(content)),
            etag: etag.into(),
        })
    };
    let facts = FileMetadata {
        brotli: encoded(b"brotli", "\"e-br\""),
        gzip: encoded(b"gzipped", "\"e-gz\""),
        ..facts(b"0123456789", true)
    };
    FileEntry::new("/a.txt", facts, &FileOptions::default()).unwrap()
}

fn text_of(len: usize) -> String {
    let words = ["one ", "or ", "the ", "other ", "of ", "these\n"];
    let mut text: String = (0..len / 3).map(|n| words[n * n % 7 % 6]).collect();
    text.truncate(len);
    text
}

fn compressed(text: &str, coding: Coding) -> Vec<u8> {
    compress(text.as_bytes(), coding).unwrap()
}

/// Which forms of a file there are, and whether they are forms of this text.
fn forms(folder: &Snapshot, path: &str, text: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (name, coding) in [("br", Coding::Brotli), ("gzip", Coding::Gzip)] {
        let fields = [&*format!("Accept-Encoding: {name}")];
        let sent = ask("GET", &fields, |request| {
            folder.respond(request, path).unwrap()
        });
        if sent.field("Content-Encoding").is_some() {
            assert!(is_form_of(&mut text.as_bytes(), &mut &*sent.body, coding));
            found.push(name);
        } else {
            assert_eq!(sent.body, text.as_bytes());
        }
    }
    let sent = get(folder, path).unwrap();
    assert_eq!(sent.body, text.as_bytes());
    let vary = (!found.is_empty()).then_some("Accept-Encoding");
    assert_eq!(sent.field("Vary"), vary, "{path}");
    found
}

#[test]
fn the_form_that_the_client_prefers_is_sent() {
    let entry = encoded_entry();
    for (field, body, coding, etag) in [
        ("X: y", "0123456789", None, ETAG),
        (AE, "brotli", Some("br"), "\"e-br\""),
        (
            "Accept-Encoding: gzip;q=0.5",
            "gzipped",
            Some("gzip"),
            "\"e-gz\"",
        ),
        (
            "Accept-Encoding: br;q=0, gzip",
            "gzipped",
            Some("gzip"),
            "\"e-gz\"",
        ),
        ("Accept-Encoding: identity", "0123456789", None, ETAG),
    ] {
        let sent = ask("GET", &[field], |request| entry.respond(request));
        assert_eq!(
            (sent.status, &*sent.body),
            (200, body.as_bytes()),
            "{field}"
        );
        assert_eq!(sent.field("Content-Encoding"), coding);
        assert_eq!(sent.field("ETag"), Some(etag));
        assert_eq!(sent.field("Vary"), Some("Accept-Encoding"));
        assert_eq!(
            sent.field("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(sent.field("Last-Modified"), Some(MODIFIED_DATE));
        // Of an encoded form there are no parts.
        let ranges = coding.is_none().then_some("bytes");
        assert_eq!(sent.field("Accept-Ranges"), ranges);
        let head = ask("HEAD", &[field], |request| entry.respond(request));
        assert_eq!((head.head, head.body.len()), (sent.head, 0));
    }
}

#[test]
fn every_answer_about_a_file_with_forms_says_so() {
    let entry = encoded_entry();
    for (fields, status) in [
        (&[][..], 200),
        (&[AE], 200),
        (&["Range: bytes=0-1"], 206),
        (&["Range: bytes=0-1,4-5"], 206),
        (&["Range: bytes=10-"], 416),
        (&["If-None-Match: *"], 304),
        (&[AE, "If-None-Match: \"e-br\""], 304),
        (&["If-Match: \"x\""], 412),
        (&["Accept-Encoding: identity;q=0"], 406),
    ] {
        let sent = ask("GET", fields, |request| entry.respond(request));
        assert_eq!(sent.status, status, "{fields:?}");
        assert_eq!(sent.field("Vary"), Some("Accept-Encoding"), "{fields:?}");
    }
    let sent = ask("GET", &[AE], |request| entry.page(request, 404));
    assert_eq!((sent.status, &*sent.body), (404, b"brotli".as_slice()));
    let want = [
        "Date",
        "Content-Length",
        "Cache-Control",
        "Vary",
        "Content-Encoding",
        "Content-Type",
    ];
    assert_eq!(sent.names(), want);
    // An error is told even to those who refuse everything.
    let fields = ["Accept-Encoding: *;q=0"];
    let sent = ask("GET", &fields, |request| entry.page(request, 404));
    assert_eq!((sent.status, &*sent.body), (404, b"0123456789".as_slice()));
}

#[test]
fn a_file_without_forms_is_for_all_but_those_who_refuse_it() {
    let entry = entry(b"content", true);
    for (field, want) in [
        (AE, 200),
        ("Accept-Encoding:", 200),
        ("Accept-Encoding: br", 200),
        ("Accept-Encoding: identity;q=0", 406),
        ("Accept-Encoding: br, *;q=0", 406),
    ] {
        let sent = ask("GET", &[field], |request| entry.respond(request));
        assert_eq!((sent.status, sent.field("Vary")), (want, None), "{field}");
    }
}

#[test]
fn one_line_says_all_that_an_answer_varies_with() {
    let options = FileOptions {
        fields: Arc::new(|_| vec![("vary".into(), "Origin".into()), ("A".into(), "b".into())]),
        ..FileOptions::default()
    };
    let entry = FileEntry::new("/a.txt", encoded_entry().facts(), &options).unwrap();
    for field in [AE, "Range: bytes=10-"] {
        let sent = ask("GET", &[field], |request| entry.respond(request));
        assert_eq!(sent.field("Vary"), Some("Origin, Accept-Encoding"));
    }
}

#[test]
fn conditions_are_about_the_form_that_would_be_sent() {
    let entry = encoded_entry();
    for (fields, want, etag) in [
        // RFC 9110 §13.1.2: the selected representation.
        (&[AE, "If-None-Match: \"e-br\""][..], 304, "\"e-br\""),
        (&["If-None-Match: \"e-br\"", AE], 304, "\"e-br\""),
        (&[AE, "If-None-Match: \"e-1\""], 200, "\"e-br\""),
        (&[AE, "If-None-Match: \"e-gz\""], 200, "\"e-br\""),
        (&["If-None-Match: \"e-br\""], 200, ETAG),
        (&["If-None-Match: \"e-1\""], 304, ETAG),
        // A cache with several forms asks about all of them.
        (
            &[
                AE,
                "If-None-Match: \"e-1\", \"e-gz\"",
                "If-None-Match: \"e-br\"",
            ],
            304,
            "\"e-br\"",
        ),
        (
            &["Accept-Encoding: gzip", "If-None-Match: \"e-br\", \"e-gz\""],
            304,
            "\"e-gz\"",
        ),
        (&[AE, "If-Match: \"e-br\""], 200, "\"e-br\""),
        (&[AE, "If-Match: \"e-1\""], 412, ""),
    ] {
        for method in ["GET", "HEAD"] {
            let sent = ask(method, fields, |request| entry.respond(request));
            assert_eq!(sent.status, want, "{fields:?}");
            assert_eq!(sent.field("ETag").unwrap_or_default(), etag, "{fields:?}");
            assert!(want != 304 || sent.field("Content-Encoding").is_none());
        }
    }
}

#[test]
fn parts_are_parts_of_the_file_as_it_is() {
    let entry = encoded_entry();
    for (fields, want, body, etag) in [
        (&["Range: bytes=2-3"][..], 206, "23", ETAG),
        (&["Range: bytes=2-3", AE], 206, "23", ETAG),
        (&["Range: bytes=8-20", AE], 206, "89", ETAG),
        (
            &["Range: bytes=2-3", "If-Range: \"e-1\"", AE],
            206,
            "23",
            ETAG,
        ),
        // What the client has is of another form: it gets the one it prefers, whole.
        (
            &["Range: bytes=2-3", "If-Range: \"e-br\"", AE],
            200,
            "brotli",
            "\"e-br\"",
        ),
        // Nothing that could be made out.
        (&["Range: bytes=3-2", AE], 200, "brotli", "\"e-br\""),
        // A part as it is would be refused.
        (
            &["Range: bytes=2-3", "Accept-Encoding: br, *;q=0"],
            200,
            "brotli",
            "\"e-br\"",
        ),
        (
            &["Range: bytes=2-3", AE, "If-None-Match: \"e-1\""],
            304,
            "",
            ETAG,
        ),
        (
            &["Range: bytes=2-3", AE, "If-None-Match: \"e-br\""],
            206,
            "23",
            ETAG,
        ),
    ] {
        let sent = ask("GET", fields, |request| entry.respond(request));
        assert_eq!(
            (sent.status, &*sent.body),
            (want, body.as_bytes()),
            "{fields:?}"
        );
        assert_eq!(sent.field("ETag"), Some(etag), "{fields:?}");
        let is_encoded = sent.field("Content-Encoding").is_some();
        assert!(want != 206 || !is_encoded);
    }
}

#[test]
fn text_is_compressed_when_that_is_worth_it() {
    let (long, short, nested) = (text_of(5000), text_of(200), text_of(700));
    let noise: Vec<u8> = {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(3000).collect()
    };
    let root = root(&[
        ("long.txt", &long),
        ("index.html", &long),
        ("short.txt", &short),
        ("sub/nested.js", &nested),
        ("picture.png", &long),
        ("done.txt.gz", &long),
        ("done.html.br", &long),
        ("empty.txt", ""),
    ]);
    fs::write(root.path().join("noise.txt"), noise).unwrap();
    let before = load(&root, &FileOptions::default());
    assert_eq!(forms(&before, "/long.txt", &long), [""; 0]);
    let folder = before.compress(&FileOptions::default()).unwrap();
    for (path, text, want) in [
        ("/long.txt", &long, &["br", "gzip"][..]),
        ("/index.html", &long, &["br", "gzip"]),
        ("/", &long, &["br", "gzip"]),
        ("/sub/nested.js", &nested, &["br", "gzip"]),
        ("/short.txt", &short, &[]),
        ("/picture.png", &long, &[]),
        ("/done.txt.gz", &long, &[]),
        ("/done.html.br", &long, &[]),
        ("/empty.txt", &String::new(), &[]),
    ] {
        assert_eq!(forms(&folder, path, text), want, "{path}");
    }
    let (_, gzip, brotli) = folder.slots["/noise.txt"].entry.lens();
    assert_eq!((gzip, brotli), (None, None));
    assert_eq!(folder.len(), before.len());
    // Three files have forms, one of them under two paths.
    let held: u64 = ["/long.txt", "/index.html", "/sub/nested.js"]
        .iter()
        .map(|path| {
            let (_, gzip, brotli) = folder.slots[*path].entry.lens();
            gzip.unwrap() + brotli.unwrap()
        })
        .sum();
    assert_eq!(folder.memory_bytes(), before.memory_bytes() + held);
    let off = FileOptions {
        compress_bytes_max: 0,
        ..FileOptions::default()
    };
    let folder = before.compress(&off).unwrap();
    assert_eq!(forms(&folder, "/long.txt", &long), [""; 0]);
    // Nothing to do is said at once.
    assert!(folder.encode(&off, u64::MAX).unwrap().is_none());
}

#[test]
fn each_form_has_an_entity_tag_of_its_own() {
    let root = root(&[("a.txt", &text_of(5000)), ("b.txt", &text_of(5001))]);
    let options = FileOptions::default();
    let tags = |folder: &Snapshot| {
        let mut tags = Vec::new();
        for path in ["/a.txt", "/b.txt"] {
            for coding in ["br", "gzip", "identity"] {
                let fields = [&*format!("Accept-Encoding: {coding}")];
                let sent = ask("HEAD", &fields, |request| {
                    folder.respond(request, path).unwrap()
                });
                tags.push(sent.field("ETag").unwrap().to_owned());
            }
        }
        tags
    };
    let first = tags(&load(&root, &options).compress(&options).unwrap());
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 6, "{first:?}");
    // They are strong (RFC 9110 §8.8.1), and the same after a restart.
    assert!(first.iter().all(|tag| tag.starts_with('"')));
    assert_eq!(
        first,
        tags(&load(&root, &options).compress(&options).unwrap())
    );
}

#[test]
fn large_text_is_compressed_too() {
    let text = text_of(5000);
    let root = root(&[("a.txt", &text)]);
    let options = small();
    let folder = load(&root, &options);
    // While its bytes could change unseen, it is left alone.
    let waiting = folder.encode(&options, u64::MAX).unwrap().unwrap();
    assert_eq!(forms(&waiting.folder, "/a.txt", &text), [""; 0]);
    assert!(!waiting.has_more);
    let folder = waiting.folder.settle().compress(&options).unwrap();
    assert_eq!(forms(&folder, "/a.txt", &text), ["br", "gzip"]);
    let (_, gzip, brotli) = folder.slots["/a.txt"].entry.lens();
    assert_eq!(folder.memory_bytes(), gzip.unwrap() + brotli.unwrap());
    let options = FileOptions {
        compress_bytes_max: 4999,
        ..options
    };
    let folder = load(&root, &options).settle().compress(&options).unwrap();
    assert_eq!(forms(&folder, "/a.txt", &text), [""; 0]);
}

#[test]
fn forms_of_a_large_file_go_with_what_they_were_made_of() {
    let text = text_of(5000);
    let other = text.replace("one", "two");
    let root = root(&[("a.txt", &text)]);
    let options = small();
    let time = UNIX_EPOCH + Duration::from_secs(MODIFIED);
    let set_back = || {
        let file = fs::File::open(root.path().join("a.txt")).unwrap();
        file.set_modified(time).unwrap();
    };
    set_back();
    let folder = load(&root, &options).settle().compress(&options).unwrap();
    assert_eq!(forms(&folder, "/a.txt", &text), ["br", "gzip"]);
    // Written in place, with the time put back: size and second are what they were.
    write(root.path(), "a.txt", &other);
    set_back();
    let folder = folder.refresh(root.path(), &options).unwrap();
    assert_eq!(forms(&folder, "/a.txt", &other), [""; 0]);
    let folder = folder.settle().compress(&options).unwrap();
    assert_eq!(forms(&folder, "/a.txt", &other), ["br", "gzip"]);
}

#[test]
fn a_picture_that_is_packed_by_itself_is_sent_so_and_not_packed_again() {
    let root = root(&[("a.svgz", &text_of(1000)), ("a.svg", &text_of(1000))]);
    let options = FileOptions::default();
    let folder = load(&root, &options).compress(&options).unwrap();
    let compressed = get(&folder, "/a.svgz").unwrap();
    assert_eq!(compressed.field("Content-Type"), Some("image/svg+xml"));
    assert_eq!(compressed.field("Content-Encoding"), Some("gzip"));
    assert_eq!(folder.slots["/a.svgz"].entry.lens(), (1000, None, None));
    let plain = get(&folder, "/a.svg").unwrap();
    assert_eq!(plain.field("Content-Type"), Some("image/svg+xml"));
    assert_eq!(plain.field("Content-Encoding"), None);
}

#[test]
fn large_text_that_has_changed_meanwhile_is_not_compressed() {
    let text = text_of(5000);
    let root = root(&[("a.txt", &text)]);
    let options = small();
    let folder = load(&root, &options).settle();
    write(root.path(), "a.txt", &text.replace("one", "two"));
    let folder = folder.compress(&options).unwrap();
    let (_, gzip, brotli) = folder.slots["/a.txt"].entry.lens();
    assert_eq!((gzip, brotli), (None, None));
}

#[test]
fn files_beside_a_file_are_its_forms() {
    let text = text_of(5000);
    let root = root(&[("a.txt", &text), ("b.bin", &text), ("c.txt", &text)]);
    // Packed in another way than here, to be recognised.
    let brotli = {
        let mut encoded = Vec::new();
        brotli::BrotliCompress(&mut text.as_bytes(), &mut encoded, &Default::default()).unwrap();
        encoded
    };
    assert_ne!(brotli, compressed(&text, Coding::Brotli));
    let gzip = compressed(&text, Coding::Gzip);
    let put = |name: &str, bytes: &[u8]| fs::write(root.path().join(name), bytes).unwrap();
    put("a.txt.br", &brotli);
    put("b.bin.gz", &gzip);
    put("c.txt.gz", &gzip);
    for options in [FileOptions::default(), small()] {
        let loaded = load(&root, &options).settle();
        let folder = loaded.compress(&options).unwrap();
        assert_eq!(forms(&folder, "/a.txt", &text), ["br", "gzip"]);
        assert_eq!(forms(&folder, "/b.bin", &text), ["gzip"]);
        assert_eq!(forms(&folder, "/c.txt", &text), ["br", "gzip"]);
        let sent = ask("GET", &[AE], |request| {
            folder.respond(request, "/a.txt").unwrap()
        });
        assert_eq!(sent.body, brotli);
        // They are files of their own as well, of their own type.
        let own = ask("GET", &[AE], |request| {
            folder.respond(request, "/b.bin.gz").unwrap()
        });
        assert_eq!((own.field("Content-Encoding"), &own.body), (None, &gzip));
        assert_eq!(own.field("Content-Type"), Some("application/gzip"));
        // They are held once.
        let (_, made_gzip, _) = folder.slots["/a.txt"].entry.lens();
        let (_, _, made_brotli) = folder.slots["/c.txt"].entry.lens();
        let made = made_gzip.unwrap() + made_brotli.unwrap();
        assert_eq!(folder.memory_bytes(), loaded.memory_bytes() + made);
    }
    // With compression off they are used all the same.
    let off = FileOptions {
        compress_bytes_max: 0,
        ..FileOptions::default()
    };
    let folder = load(&root, &off).compress(&off).unwrap();
    assert_eq!(forms(&folder, "/a.txt", &text), ["br"]);
}

#[test]
fn a_file_beside_that_is_no_form_is_not_used() {
    let (text, other) = (text_of(5000), text_of(4990));
    let whole = compressed(&text, Coding::Gzip);
    let stored = {
        use std::io::Write;
        let level = flate2::Compression::none();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let gzip_of_other = compressed(&other, Coding::Gzip);
    for sidecars in [
        // Of another state of the file, of nothing, cut short, longer than the file.
        gzip_of_other.as_slice(),
        b"",
        b"no gzip at all",
        &whole[..whole.len() - 1],
        &stored,
    ] {
        let root = root(&[("a.bin", &text), ("b.txt", &text)]);
        fs::write(root.path().join("a.bin.gz"), sidecars).unwrap();
        fs::write(root.path().join("b.txt.gz"), sidecars).unwrap();
        for options in [FileOptions::default(), small()] {
            let folder = load(&root, &options).settle();
            let folder = folder.compress(&options).unwrap();
            assert_eq!(forms(&folder, "/a.bin", &text), [""; 0]);
            assert_eq!(forms(&folder, "/b.txt", &text), ["br", "gzip"]);
        }
    }
}

#[test]
fn a_file_beside_a_very_large_one_has_to_be_as_new() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let large = fs::File::create(at("a.bin")).unwrap();
    large.set_len(17 * 1024 * 1024).unwrap();
    fs::write(at("a.bin.gz"), "packed").unwrap();
    let gzip = fs::File::open(at("a.bin.gz")).unwrap();
    for (secs, is_used) in [(0, true), (1, true), (-1, false)] {
        let time = UNIX_EPOCH + Duration::from_secs(MODIFIED);
        large.set_modified(time).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(MODIFIED.saturating_add_signed(secs));
        gzip.set_modified(time).unwrap();
        let options = FileOptions::default();
        let folder = load(&root, &options).settle().compress(&options).unwrap();
        let sent = ask("HEAD", &[AE], |request| {
            folder.respond(request, "/a.bin").unwrap()
        });
        let want = is_used.then_some("gzip");
        assert_eq!(sent.field("Content-Encoding"), want, "{secs}");
    }
}

#[test]
fn forms_come_and_go_with_the_files_beside() {
    let (one, two) = (text_of(5000), text_of(5100));
    let root = root(&[("a.bin", &one)]);
    let options = FileOptions::default();
    let first = Arc::new(load(&root, &options));
    let mut watch = Watch::new(root.path(), options, first);
    assert!(watch.encode().0.is_none());
    let put = |bytes: &[u8]| fs::write(root.path().join("a.bin.gz"), bytes).unwrap();
    put(&compressed(&one, Coding::Gzip));
    let news = watch.scan().unwrap();
    assert_eq!(forms(&news, "/a.bin", &one), [""; 0]);
    let news = watch.encode().0.unwrap();
    assert_eq!(forms(&news, "/a.bin", &one), ["gzip"]);
    // The file has changed, and the one beside it not yet.
    write(root.path(), "a.bin", &two);
    let news = watch.scan().unwrap();
    assert_eq!(forms(&news, "/a.bin", &two), [""; 0]);
    assert!(watch.encode().0.is_none());
    put(&compressed(&two, Coding::Gzip));
    watch.scan().unwrap();
    let news = watch.encode().0.unwrap();
    assert_eq!(forms(&news, "/a.bin", &two), ["gzip"]);
    fs::remove_file(root.path().join("a.bin.gz")).unwrap();
    let news = watch.scan().unwrap();
    assert_eq!(forms(&news, "/a.bin", &two), [""; 0]);
    assert!(watch.encode().0.is_none() && watch.scan().is_none());
}

#[test]
fn what_has_not_changed_keeps_its_forms() {
    let text = text_of(5000);
    let root = root(&[("a.txt", &text), ("b.txt", &text), ("index.html", &text)]);
    let options = FileOptions::default();
    let first = Arc::new(load(&root, &options));
    let mut watch = Watch::new(root.path(), options, first);
    let (made, has_more) = watch.encode();
    let made = made.unwrap();
    assert!(!has_more);
    assert!(watch.scan().is_none() && watch.encode().0.is_none());
    write(root.path(), "b.txt", &text_of(6000));
    // A new date on the same content.
    let file = fs::File::open(root.path().join("index.html")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED))
        .unwrap();
    let changed = watch.scan().unwrap();
    let entry = |folder: &Snapshot, path: &str| Arc::clone(&folder.slots[path].entry);
    assert!(Arc::ptr_eq(
        &entry(&made, "/a.txt"),
        &entry(&changed, "/a.txt")
    ));
    assert_eq!(forms(&changed, "/b.txt", &text_of(6000)), [""; 0]);
    for path in ["/", "/index.html"] {
        assert_eq!(forms(&changed, path, &text), ["br", "gzip"]);
    }
    let made = watch.encode().0.unwrap();
    assert!(Arc::ptr_eq(
        &entry(&made, "/a.txt"),
        &entry(&changed, "/a.txt")
    ));
    assert_eq!(forms(&made, "/b.txt", &text_of(6000)), ["br", "gzip"]);
    let lens = |path: &str| {
        let (plain, gzip, brotli) = made.slots[path].entry.lens();
        plain + gzip.unwrap() + brotli.unwrap()
    };
    let held = lens("/a.txt") + lens("/b.txt") + lens("/index.html");
    assert_eq!(made.memory_bytes(), held);
}

#[test]
fn much_is_compressed_step_by_step() {
    let text = text_of(5000);
    let names: Vec<_> = (0..5).map(|n| format!("{n}.txt")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), text.as_str()))
        .collect();
    let root = root(&files);
    let options = FileOptions::default();
    let mut folder = load(&root, &options);
    for done in 1..=5 {
        // Two forms are twice the work.
        let step = folder.encode(&options, 10_000).unwrap().unwrap();
        folder = step.folder;
        let made = |name: &String| {
            folder.slots[format!("/{name}").as_str()]
                .entry
                .lens()
                .1
                .is_some()
        };
        assert_eq!(names.iter().filter(|name| made(name)).count(), done);
        assert_eq!(step.has_more, done < 5);
    }
    assert!(folder.encode(&options, 10_000).unwrap().is_none());
}

#[test]
fn forms_get_the_memory_that_files_leave() {
    let text = text_of(5000);
    let root = root(&[("a.txt", &text), ("b.txt", &text), ("c.txt", &text)]);
    let own = compressed(&text, Coding::Brotli).len() + compressed(&text, Coding::Gzip).len();
    let options = FileOptions {
        memory_bytes_max: 15_000 + 2 * own as u64,
        ..FileOptions::default()
    };
    let folder = load(&root, &options).compress(&options).unwrap();
    assert_eq!(folder.memory_bytes(), options.memory_bytes_max);
    let made = |folder: &Snapshot| {
        ["/a.txt", "/b.txt", "/c.txt"].map(|path| forms(folder, path, &text).len())
    };
    assert_eq!(made(&folder), [2, 2, 0]);
    // A file that grows takes the room of a form.
    write(root.path(), "d.bin", "1");
    let folder = folder.settle().refresh(root.path(), &options).unwrap();
    assert_eq!(made(&folder), [2, 0, 0]);
    assert_eq!(folder.memory_bytes(), 15_001 + own as u64);
    assert!(folder.memory_bytes() <= options.memory_bytes_max);
    // Nobody tries again and again to make what does not fit.
    let folder = folder.compress(&options).unwrap();
    assert!(folder.encode(&options, u64::MAX).unwrap().is_none());
    assert_eq!(made(&folder)[1..], [0, 0]);
}

#[test]
fn other_options_make_other_answers_at_once() {
    let text = text_of(5000);
    let root = root(&[("a.txt", &text), ("index.html", "x")]);
    let options = FileOptions::default();
    let first = Arc::new(load(&root, &options));
    let mut watch = Watch::new(root.path(), options.clone(), first);
    watch.encode().0.unwrap();
    let with = |value: &'static str, compress_bytes_max| FileOptions {
        fields: Arc::new(move |_| vec![("X-A".into(), value.into())]),
        compress_bytes_max,
        ..options.clone()
    };
    let news = watch
        .set_options(with("1", options.compress_bytes_max))
        .unwrap();
    for path in ["/a.txt", "/", "/index.html"] {
        assert_eq!(get(&news, path).unwrap().field("X-A"), Some("1"));
    }
    assert_eq!(forms(&news, "/a.txt", &text), ["br", "gzip"]);
    // What is asked for cannot be sent: all stays as it was.
    assert!(watch.set_options(with("\n", 0)).is_none());
    assert!(watch.scan().is_none());
    let news = watch.set_options(with("2", 0)).unwrap();
    assert_eq!(get(&news, "/a.txt").unwrap().field("X-A"), Some("2"));
    assert_eq!(forms(&news, "/a.txt", &text), [""; 0]);
    assert_eq!(news.memory_bytes(), 5001);
    assert!(watch.encode().0.is_none());
    // Files that change from now on get the new fields too.
    write(root.path(), "b.txt", "b");
    let news = watch.scan().unwrap();
    assert_eq!(get(&news, "/b.txt").unwrap().field("X-A"), Some("2"));
}
