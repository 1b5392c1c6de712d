use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::skipped::SkipReason;
use super::*;
use crate::web::{FileSource, decode_path};

#[test]
fn files_are_found_at_their_paths() {
    let root = root(&[
        ("index.html", "home"),
        ("css/base.css", "css"),
        ("docs/deep/index.html", "docs"),
        ("name with \u{e4} and \\", "odd"),
        ("empty", ""),
    ]);
    let folder = load(&root, &FileOptions::default());
    for (path, want) in [
        ("/index.html", Some("home")),
        ("/", Some("home")),
        ("/css/base.css", Some("css")),
        ("/docs/deep/", Some("docs")),
        ("/docs/deep/index.html", Some("docs")),
        ("/name with \u{e4} and \\", Some("odd")),
        ("/empty", Some("")),
        ("/docs/", None),
        ("/docs", None),
        ("/css/", None),
        ("/css/base.css/", None),
        ("/CSS/base.css", None),
        ("//css/base.css", None),
        ("/css//base.css", None),
        ("css/base.css", None),
        ("", None),
    ] {
        assert_eq!(text(&folder, path).as_deref(), want, "{path}");
    }
    assert_eq!(folder.len(), 5);
}

#[test]
fn a_folder_without_its_slash_is_led_to_it() {
    let root = root(&[
        ("index.html", "home"),
        ("docs/index.html", "docs"),
        ("css/base.css", "css"),
        ("\u{e4} b%2f/index.html", "odd"),
        ("back\\slash/index.html", "odd"),
    ]);
    let folder = load(&root, &FileOptions::default());
    for (target, path, want) in [
        ("/docs", "/docs", "/docs/"),
        ("/docs?", "/docs", "/docs/?"),
        ("/docs?a=b&c=%20", "/docs", "/docs/?a=b&c=%20"),
        // Whatever was sent, where it leads to is the folder's own path.
        ("//example.org/%2e%2e/docs", "/docs", "/docs/"),
        ("/%C3%A4%20b%252f", "/\u{e4} b%2f", "/%C3%A4%20b%252f/"),
        ("/x", "/back\\slash", "/back%5Cslash/"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = |request: &Request<'_>| folder.respond(request, path).unwrap();
            let sent = ask_at(target, method, &[], response);
            assert_eq!((sent.status, sent.field("Location")), (308, Some(want)));
            assert_eq!(sent.field("Cache-Control"), Some("no-cache"));
            let sent = ask_at(target, "POST", &[], response);
            assert_eq!((sent.status, sent.field("Allow")), (405, Some("GET, HEAD")));
        }
    }
    for path in ["/css", "/docs/index", "", "/nothing"] {
        assert!(get(&folder, path).is_none(), "{path}");
    }
}

#[test]
fn nothing_outside_the_folder_can_be_named() {
    let outside = root(&[
        ("secret.txt", "secret"),
        ("public/index.html", "home"),
        ("public/css/base.css", "css"),
    ]);
    let folder = Snapshot::load(&outside.path().join("public"), &FileOptions::default()).unwrap();
    let absolute = outside.path().join("secret.txt");
    for path in [
        "/../secret.txt",
        "/css/../../secret.txt",
        "/css/..%2f..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/.%00./secret.txt",
        "/index.html%00.txt",
        "/%252e%252e/secret.txt",
        "//secret.txt",
        absolute.to_str().unwrap(),
    ] {
        // As it was sent, and decoded.
        assert_eq!(text(&folder, path), None, "{path}");
        if let Ok(decoded) = decode_path(path) {
            assert_eq!(text(&folder, &decoded), None, "{path}");
        }
    }
    // Dots that stay inside are no harm.
    let path = decode_path("/css/%2e%2e/css/./base.css").unwrap();
    assert_eq!(text(&folder, &path).as_deref(), Some("css"));
}

#[test]
fn hidden_and_special_files_and_links_that_lead_out_are_left_out() {
    let root = root(&[
        ("a.txt", "a"),
        (".well-known/security.txt", "known"),
        (".well-known/.env", "secret"),
        ("sub/.well-known/security.txt", "secret"),
        ("a.txt~", "secret"),
        ("old.bak/a.txt", "secret"),
        (".env", "secret"),
        (".git/config", "secret"),
        ("sub/.htpasswd", "secret"),
    ]);
    let outside = super::root(&[("secret.txt", "secret")]);
    let at = |name: &str| root.path().join(name);
    symlink(outside.path().join("secret.txt"), at("out.txt")).unwrap();
    symlink(outside.path(), at("out")).unwrap();
    symlink(at("a.txt"), at("in.txt")).unwrap();
    symlink(root.path(), at("loop")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    fs::write(at("x").with_file_name(OsStr::from_bytes(b"\xff.txt")), "x").unwrap();
    let folder = load(&root, &FileOptions::default());
    assert_eq!(folder.len(), 3);
    assert_eq!(text(&folder, "/a.txt").as_deref(), Some("a"));
    assert_eq!(text(&folder, "/in.txt").as_deref(), Some("a"));
    let known = text(&folder, "/.well-known/security.txt");
    assert_eq!(known.as_deref(), Some("known"));
    for path in [
        "/.well-known/.env",
        "/sub/.well-known/security.txt",
        "/a.txt~",
        "/old.bak/a.txt",
        "/.env",
        "/.git/config",
        "/sub/.htpasswd",
        "/out.txt",
        "/out/secret.txt",
        "/loop/a.txt",
        "/dangling",
        "/socket",
        "/\u{fffd}.txt",
    ] {
        assert_eq!(text(&folder, path), None, "{path}");
    }
    for (path, reason) in [
        ("/", SkipReason::Name),
        ("/.env", SkipReason::Hidden),
        ("/a.txt~", SkipReason::Backup),
        ("/socket", SkipReason::Special),
        ("/out", SkipReason::LeadsOut),
        ("/out.txt", SkipReason::LeadsOut),
        ("/loop", SkipReason::LeadsBack),
        ("/dangling", SkipReason::LeadsNowhere),
    ] {
        assert_eq!(folder.reason(path), Some(reason), "{path}");
    }
    // What is meant to be so is no finding.
    assert!(!folder.skipped().any(|line| line.contains("/.env")));
}

#[test]
fn a_folder_as_kubernetes_mounts_it_is_served_and_its_switch_is_seen() {
    let root = root(&[("..one/a", "1"), ("..one/sub/b", "1"), ("..two/a", "2")]);
    let at = |name: &str| root.path().join(name);
    symlink("..one", at("..data")).unwrap();
    symlink("..data/a", at("a")).unwrap();
    symlink("..data/sub", at("sub")).unwrap();
    let options = FileOptions::default();
    let one = load(&root, &options);
    assert_eq!((text(&one, "/a"), one.len()), (Some("1".to_owned()), 2));
    assert_eq!(text(&one, "/sub/b").as_deref(), Some("1"));
    for path in ["/..data/a", "/..one/a"] {
        assert_eq!(text(&one, path), None, "{path}");
    }
    symlink("..two", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    let two = one.refresh(root.path(), &options).unwrap();
    assert_eq!((text(&two, "/a"), two.len()), (Some("2".to_owned()), 1));
    assert_eq!(two.reason("/sub"), Some(SkipReason::LeadsNowhere));
}

#[test]
fn the_root_may_be_a_link() {
    let (one, two) = (root(&[("a", "one")]), root(&[("a", "two")]));
    let links = tempfile::tempdir().unwrap();
    let (link, next) = (links.path().join("public"), links.path().join("next"));
    symlink(one.path(), &link).unwrap();
    let options = FileOptions::default();
    let folder = Snapshot::load(&link, &options).unwrap();
    assert_eq!(text(&folder, "/a").as_deref(), Some("one"));
    symlink(two.path(), &next).unwrap();
    fs::rename(&next, &link).unwrap();
    let folder = folder.refresh(&link, &options).unwrap();
    assert_eq!(text(&folder, "/a").as_deref(), Some("two"));
}

#[test]
fn a_root_that_is_no_folder_is_an_error() {
    let root = root(&[("file", "")]);
    for (name, kind) in [
        ("file", ErrorKind::NotADirectory),
        ("nothing", ErrorKind::NotFound),
    ] {
        let error = Snapshot::load(&root.path().join(name), &FileOptions::default()).unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn what_does_not_fit_in_memory_is_held_open() {
    let root = root(&[
        ("a", "1234"),
        ("b", "123456789"),
        ("c", "12345"),
        ("d", "12"),
    ]);
    let options = FileOptions {
        memory_bytes_max: 10,
        small_file_bytes_max: 8,
        ..FileOptions::default()
    };
    let folder = load(&root, &options);
    // `b` is too long by itself, `d` was too much.
    assert_eq!(folder.memory_bytes(), 4 + 5);
    assert_eq!(folder.len(), 4);
    for (path, want) in [
        ("/a", "1234"),
        ("/b", "123456789"),
        ("/c", "12345"),
        ("/d", "12"),
    ] {
        assert_eq!(text(&folder, path).as_deref(), Some(want));
    }
    // Also when files grow into the room of others that have not changed.
    let folder = folder.settle();
    write(root.path(), "a", "12345678");
    let folder = folder.refresh(root.path(), &options).unwrap();
    // There is no room for `c` any more, and now some for `d`, as in a folder that is loaded anew.
    assert_eq!(folder.memory_bytes(), 8 + 2);
    for (path, want) in [("/a", "12345678"), ("/c", "12345"), ("/d", "12")] {
        assert_eq!(text(&folder, path).as_deref(), Some(want));
    }
}

#[test]
fn numbers_of_files_are_bounded() {
    let root = root(&[("a", "1"), ("b", "2"), ("c/d", "3"), ("c/e", "4")]);
    for files_max in 0..=6 {
        let options = FileOptions {
            files_max,
            ..FileOptions::default()
        };
        let folder = load(&root, &options);
        // The folder counts too.
        assert!(folder.len() <= files_max);
        let is_whole = files_max >= 5;
        assert_eq!(folder.len() == 4, is_whole);
        let reasons = [folder.reason("/"), folder.reason("/c/")];
        assert_eq!(
            reasons == [None, None],
            is_whole,
            "{files_max}: {reasons:?}"
        );
        assert!(is_whole || reasons.contains(&Some(SkipReason::TooMany)));
    }
    // Old enough for strong tags, which will not change.
    for name in ["a", "b", "c/d", "c/e"] {
        let file = File::open(root.path().join(name)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(MODIFIED);
        file.set_modified(time).unwrap();
    }
    let options = FileOptions {
        small_file_bytes_max: 0,
        open_files_max: 3,
        ..FileOptions::default()
    };
    // However many are held open, all are served.
    let folder = load(&root, &options);
    assert_eq!((folder.len(), open_files(&folder)), (4, 3));
    for (path, want) in [("/a", "1"), ("/b", "2"), ("/c/d", "3"), ("/c/e", "4")] {
        assert_eq!(text(&folder, path).as_deref(), Some(want));
    }
    // Others that come before them take their places.
    let folder = folder.settle();
    for name in ["00", "01", "02", "03"] {
        write(root.path(), name, name);
        let file = File::open(root.path().join(name)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(MODIFIED);
        file.set_modified(time).unwrap();
    }
    let next = folder.refresh(root.path(), &options).unwrap();
    assert_eq!((next.len(), open_files(&next)), (8, 3));
    assert_eq!(next.files_not_in(&folder).count(), 3);
    for (path, want) in [("/00", "00"), ("/a", "1"), ("/b", "2"), ("/c/e", "4")] {
        assert_eq!(text(&next, path).as_deref(), Some(want));
    }
    let same = next.refresh(root.path(), &options).unwrap();
    assert!(same.is_same(&next));
    // More room is used by files that were known before there was any.
    let next = next.settle();
    let roomier = FileOptions {
        open_files_max: 5,
        ..options.clone()
    };
    let more = next.refresh(root.path(), &roomier).unwrap();
    assert_eq!((more.len(), open_files(&more)), (8, 5));
    let in_memory = FileOptions {
        small_file_bytes_max: 10,
        ..options
    };
    let more = more.settle().refresh(root.path(), &in_memory).unwrap();
    assert_eq!((more.memory_bytes(), open_files(&more)), (12, 0));
}

/// Number of files a picture really holds open.
fn open_files(folder: &Snapshot) -> usize {
    let files = folder.files();
    files
        .filter(|(_, slot)| slot.entry.file().is_some())
        .count()
}

#[test]
fn a_file_that_is_not_held_open_is_opened_only_as_what_it_was() {
    let root = root(&[("sub/large", "a large file"), ("other", "another one!")]);
    let outside = super::root(&[("large", "secret bytes")]);
    let options = FileOptions {
        open_files_max: 0,
        ..small()
    };
    let at = |name: &str| root.path().join(name);
    let folder = load(&root, &options);
    let mut source = None;
    ask("GET", &[], |request| {
        let response = folder.respond(request, "/sub/large").unwrap();
        source = response.file().map(|part| part.file.clone());
        response
    });
    let source = source.unwrap();
    let content = |source: &FileSource| {
        let mut content = String::new();
        source
            .open()
            .ok()?
            .as_ref()
            .read_to_string(&mut content)
            .unwrap();
        Some(content)
    };
    let modified = fs::metadata(at("sub/large")).unwrap().modified().unwrap();
    assert_eq!(content(&source).as_deref(), Some("a large file"));
    // Who may read it makes no difference, as long as it can be.
    fs::set_permissions(at("sub/large"), Permissions::from_mode(0o444)).unwrap();
    assert_eq!(content(&source).as_deref(), Some("a large file"));
    // Another file of the same length and time, a link, a folder that is one, and none.
    fs::rename(at("sub/large"), at("kept")).unwrap();
    let other = File::open(at("other")).unwrap();
    other.set_modified(modified).unwrap();
    fs::rename(at("other"), at("sub/large")).unwrap();
    assert_eq!(content(&source), None);
    fs::remove_file(at("sub/large")).unwrap();
    assert_eq!(content(&source), None);
    symlink(outside.path().join("large"), at("sub/large")).unwrap();
    assert_eq!(content(&source), None);
    fs::remove_dir_all(at("sub")).unwrap();
    symlink(outside.path(), at("sub")).unwrap();
    assert_eq!(content(&source), None);
    // It is itself again, and then has been written to.
    fs::remove_file(at("sub")).unwrap();
    fs::create_dir(at("sub")).unwrap();
    fs::rename(at("kept"), at("sub/large")).unwrap();
    assert_eq!(content(&source).as_deref(), Some("a large file"));
    write(root.path(), "sub/large", "a large file, longer");
    assert_eq!(content(&source), None);
    let next = folder.refresh(root.path(), &options).unwrap();
    let now = text(&next, "/sub/large");
    assert_eq!(now.as_deref(), Some("a large file, longer"));
}

#[test]
fn a_new_picture_shares_what_has_not_changed() {
    let root = root(&[("a", "1"), ("b", "2"), ("large", "123456789")]);
    let options = small();
    let first = load(&root, &options);
    let same = first.refresh(root.path(), &options).unwrap();
    assert!(same.is_same(&first));
    let same = same.settle().refresh(root.path(), &options).unwrap();
    assert!(same.is_same(&first));
    write(root.path(), "a", "33");
    let changed = same.refresh(root.path(), &options).unwrap();
    assert!(!changed.is_same(&same));
    assert_eq!(changed.files_not_in(&same).count(), 0);
    assert_eq!(text(&same, "/a").as_deref(), Some("1"));
    assert_eq!(text(&changed, "/a").as_deref(), Some("33"));
    let etag = |folder: &Snapshot, path| {
        let sent = get(folder, path).unwrap();
        sent.field("ETag").unwrap().to_owned()
    };
    assert_ne!(etag(&same, "/a"), etag(&changed, "/a"));
    assert_eq!(etag(&same, "/b"), etag(&changed, "/b"));
}

#[test]
fn additions_and_removals_are_seen() {
    let root = root(&[("a", "1"), ("sub/b", "2")]);
    let options = FileOptions::default();
    let first = load(&root, &options);
    write(root.path(), "c/index.html", "3");
    let more = first.refresh(root.path(), &options).unwrap();
    assert!(!more.is_same(&first));
    assert_eq!(text(&more, "/c/").as_deref(), Some("3"));
    fs::remove_dir_all(root.path().join("sub")).unwrap();
    let fewer = more.refresh(root.path(), &options).unwrap();
    assert!(!fewer.is_same(&more));
    assert_eq!((fewer.len(), text(&fewer, "/sub/b")), (2, None));
    // A file in the place of a folder, and a link in the place of a file.
    fs::remove_dir_all(root.path().join("c")).unwrap();
    write(root.path(), "c", "file");
    fs::remove_file(root.path().join("a")).unwrap();
    symlink(root.path().join("c"), root.path().join("a")).unwrap();
    let other = fewer.refresh(root.path(), &options).unwrap();
    assert_eq!(text(&other, "/c").as_deref(), Some("file"));
    assert_eq!(text(&other, "/c/"), None);
    assert_eq!(text(&other, "/a").as_deref(), Some("file"));
}

#[test]
fn changes_are_seen_however_they_are_made() {
    for options in [FileOptions::default(), small()] {
        let root = root(&[("a", "version 1"), ("index.html", "")]);
        let path = root.path().join("a");
        let mut folder = load(&root, &options).settle();
        let mut check = |want: &str| {
            let next = folder.refresh(root.path(), &options).unwrap();
            assert!(!next.is_same(&folder), "{want}");
            assert_eq!(text(&next, "/a").as_deref(), Some(want));
            folder = next.settle();
        };
        // It grows, and shrinks.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b", longer").unwrap();
        check("version 1, longer");
        file.set_len(9).unwrap();
        check("version 1");
        // Another one is put in its place, of the same length and time.
        let modified = file.metadata().unwrap().modified().unwrap();
        write(root.path(), "next", "version 2");
        let next = File::open(root.path().join("next")).unwrap();
        next.set_modified(modified).unwrap();
        fs::rename(root.path().join("next"), &path).unwrap();
        check("version 2");
    }
}

#[test]
fn a_small_file_overwritten_within_a_tick_of_the_clock_is_read_again() {
    let root = root(&[("a", "0000")]);
    let options = FileOptions::default();
    let mut folder = load(&root, &options);
    for version in 1..50 {
        // The same length, and mostly the same times: the stamp cannot be trusted yet.
        let content = format!("{version:04}");
        write(root.path(), "a", &content);
        folder = folder.refresh(root.path(), &options).unwrap();
        assert_eq!(text(&folder, "/a"), Some(content));
    }
}

#[test]
fn a_replaced_large_file_stays_whole_for_those_who_have_it() {
    let root = root(&[("a", "version 1"), ("next", "version 2, longer")]);
    let options = small();
    let before = load(&root, &options);
    let at = |name: &str| root.path().join(name);
    fs::rename(at("next"), at("a")).unwrap();
    let after = before.refresh(root.path(), &options).unwrap();
    assert_eq!(text(&before, "/a").as_deref(), Some("version 1"));
    assert_eq!(text(&after, "/a").as_deref(), Some("version 2, longer"));
    // `next` is gone, and `a` is another file.
    assert_eq!(before.files_not_in(&after).count(), 2);
    fs::remove_file(at("a")).unwrap();
    assert_eq!(text(&after, "/a").as_deref(), Some("version 2, longer"));
    assert!(after.refresh(root.path(), &options).unwrap().is_empty());
}

#[test]
fn only_a_new_time_makes_new_dates() {
    let root = root(&[("a", "same")]);
    let file = File::open(root.path().join("a")).unwrap();
    let set = |secs| {
        let time = UNIX_EPOCH + Duration::from_secs(secs);
        file.set_modified(time).unwrap();
    };
    let options = FileOptions::default();
    set(MODIFIED);
    let first = load(&root, &options);
    let shown = |folder: &Snapshot| {
        let sent = get(folder, "/a").unwrap();
        let field = |name| sent.field(name).unwrap().to_owned();
        (field("ETag"), field("Last-Modified"))
    };
    let (etag, modified) = shown(&first);
    assert_eq!(modified, MODIFIED_DATE);
    set(MODIFIED + 1);
    let touched = first.refresh(root.path(), &options).unwrap();
    let want = (etag, "Sun, 06 Nov 1994 08:49:38 GMT".to_owned());
    assert_eq!(shown(&touched), want);
    // The same content in a file of the same time is no news, whichever file it is.
    write(root.path(), "next", "same");
    let next = File::open(root.path().join("next")).unwrap();
    next.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED + 1))
        .unwrap();
    fs::rename(root.path().join("next"), root.path().join("a")).unwrap();
    let replaced = touched.refresh(root.path(), &options).unwrap();
    assert!(replaced.is_same(&touched));
}

/// The field ETag of a file.
fn tag(folder: &Snapshot, path: &str) -> String {
    let sent = get(folder, path).unwrap();
    sent.field("ETag").unwrap().to_owned()
}

#[test]
fn copies_of_a_large_file_have_one_tag_whoever_may_read_them() {
    let files = [("a", "large, the same")];
    let roots = [root(&files), root(&files)];
    let path = roots[0].path().join("a");
    for root in &roots {
        let file = File::open(root.path().join("a")).unwrap();
        let time = UNIX_EPOCH + Duration::new(MODIFIED, 123_456_789);
        file.set_modified(time).unwrap();
    }
    let options = small();
    let folder = load(&roots[0], &options);
    let want = format!("\"f-{MODIFIED:x}\"");
    assert_eq!(tag(&folder, "/a"), want);
    assert_eq!(tag(&load(&roots[1], &options), "/a"), want);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let next = folder.refresh(roots[0].path(), &options).unwrap();
    assert!(next.is_same(&folder));
    let file = File::open(&path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED + 1))
        .unwrap();
    let next = next.refresh(roots[0].path(), &options).unwrap();
    assert_eq!(tag(&next, "/a"), format!("\"f-{:x}\"", MODIFIED + 1));
}

#[test]
fn a_large_file_that_was_just_written_has_a_weak_tag() {
    let root = root(&[("a", "large, new")]);
    let options = small();
    let folder = load(&root, &options);
    let weak = tag(&folder, "/a");
    let strong = weak.strip_prefix("W/").expect("a weak tag").to_owned();
    // Nobody may go on with a part of it; who has it need not get it again.
    let respond = |field: &str, value: &str| {
        let fields = [&*format!("{field}: {value}"), "Range: bytes=1-2"];
        let response = ask("GET", &fields, |request| {
            folder.respond(request, "/a").unwrap()
        });
        response.status
    };
    assert_eq!(respond("If-Range", &weak), 200);
    assert_eq!(respond("If-Range", &strong), 200);
    assert_eq!(respond("If-Match", &weak), 412);
    assert_eq!(respond("If-None-Match", &weak), 304);
    assert_eq!(respond("If-None-Match", &strong), 304);
    // A look is not enough, time is.
    let file = File::open(root.path().join("a")).unwrap();
    let past = SystemTime::now() - Duration::from_secs(60);
    file.set_modified(past).unwrap();
    let aged = folder.refresh(root.path(), &options).unwrap();
    let aged = tag(&aged, "/a");
    assert!(aged.starts_with('"'), "{aged}");
}

#[test]
fn last_modified_never_lies_in_the_future() {
    // RFC 9110 §8.8.2.1.
    let root = root(&[("a", "same")]);
    let file = File::open(root.path().join("a")).unwrap();
    let far = 32_503_680_000; // the year 3000
    file.set_modified(UNIX_EPOCH + Duration::from_secs(far))
        .unwrap();
    let sent = get(&load(&root, &FileOptions::default()), "/a").unwrap();
    let modified = date::parse(sent.field("Last-Modified").unwrap()).unwrap();
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(modified <= now, "{modified}");
}
