//! The pages and files of `public_dir`.

use std::path::Path;

use crate::support::{Folder, Server};

/// A folder whose `public/` holds these files, and a server on it.
fn serve(files: &[(&str, &[u8])]) -> Server {
    let folder = Folder::new();
    for (name, content) in files {
        write(&folder.file("public").join(name), content);
    }
    folder.configure(&format!("public_dir={}", folder.file("public").display()));
    folder.start()
}

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn the_five_pages_are_there() {
    let server = Server::start();
    let mut connection = server.connect();
    for path in ["/", "/login", "/register", "/profile", "/chat"] {
        let response = connection.get(path).expect(200);
        let media_type = response.field("Content-Type").unwrap();
        assert!(media_type.starts_with("text/html"), "{path}: {media_type}");
        assert!(response.text().contains("<html"), "{path}");
        assert_eq!(
            connection
                .get(&format!("{path}?from=here"))
                .expect(200)
                .body,
            response.body
        );
    }
}

#[test]
fn everything_the_pages_refer_to_is_there() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut seen = std::collections::BTreeSet::new();
    let mut waiting: Vec<String> = ["/", "/login", "/register", "/profile", "/chat"]
        .map(String::from)
        .to_vec();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let response = connection.get(&path).expect(200);
        if !response
            .field("Content-Type")
            .unwrap()
            .starts_with("text/html")
        {
            continue;
        }
        for attribute in ["href=\"", "src=\""] {
            for reference in response.text().split(attribute).skip(1) {
                let target = reference.split(['"', '#', '?']).next().unwrap();
                assert!(
                    !target.contains("//"),
                    "{path} refers to another host: {target}"
                );
                if target.starts_with('/') {
                    waiting.push(target.to_owned());
                }
            }
        }
    }
    assert!(seen.iter().any(|path| path.ends_with(".css")), "{seen:?}");
    assert!(seen.iter().any(|path| path.ends_with(".js")), "{seen:?}");
}

#[test]
fn pages_carry_a_content_security_policy() {
    let server = Server::start();
    let policy = server.connect().get("/").expect(200);
    let policy = policy
        .field("Content-Security-Policy")
        .expect("a policy by default");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );

    let server = Server::with_config("content_security_policy=default-src 'self'");
    let response = server.connect().get("/").expect(200);
    assert_eq!(
        response.field("Content-Security-Policy"),
        Some("default-src 'self'")
    );

    let server = Server::with_config("content_security_policy=off");
    let response = server.connect().get("/").expect(200);
    assert_eq!(response.field("Content-Security-Policy"), None);
}

#[test]
fn files_have_the_right_media_type() {
    let types = [
        ("a.html", "text/html"),
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.mjs", "text/javascript"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.ico", "image/x-icon"),
        ("a.woff2", "font/woff2"),
        ("a.txt", "text/plain"),
        ("a.unheard-of", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ];
    let server = serve(&types.map(|(name, _)| (name, b"x".as_slice())));
    let mut connection = server.connect();
    for (name, media_type) in types {
        let response = connection.get(&format!("/{name}")).expect(200);
        let got = response.field("Content-Type").unwrap();
        assert_eq!(got.split(';').next().unwrap(), media_type, "{name}");
    }
}

#[test]
fn files_arrive_whole_whatever_their_size() {
    let sizes = [0, 1, 16_383, 16_384, 16_385, 100_000, 5_000_000];
    let content: Vec<u8> = (0..5_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let names = sizes.map(|size| format!("f{size}"));
    let files: Vec<_> = names
        .iter()
        .zip(sizes)
        .map(|(name, size)| (name.as_str(), &content[..size]))
        .collect();
    let server = serve(&files);
    let mut connection = server.connect();
    for (name, size) in names.iter().zip(sizes) {
        let response = connection.get(&format!("/{name}")).expect(200);
        assert!(
            response.body == content[..size],
            "{size} bytes came as {}",
            response.body.len()
        );
    }
    // Two large ones at once over one connection, and a small one over another meanwhile.
    connection.send_request("GET", "/f5000000", &[], b"");
    connection.send_request("GET", "/f5000000", &[], b"");
    assert_eq!(server.connect().get("/f1").expect(200).body, content[..1]);
    for _ in 0..2 {
        assert!(connection.respond().expect(200).body == content);
    }
}

#[test]
fn a_known_version_is_not_sent_again() {
    let server = serve(&[("a.txt", b"hello")]);
    let mut connection = server.connect();
    let response = connection.get("/a.txt").expect(200);
    let etag = response.field("ETag").expect("an ETag").to_owned();
    let modified = response
        .field("Last-Modified")
        .expect("a Last-Modified")
        .to_owned();
    let opaque = etag.strip_prefix("W/").unwrap_or(&etag);
    assert!(
        opaque.len() > 2 && opaque.starts_with('"') && opaque.ends_with('"'),
        "{etag}"
    );
    let time = httpdate::parse_http_date(&modified).unwrap();
    let earlier = httpdate::fmt_http_date(time - std::time::Duration::from_secs(1));
    let weak = format!("W/{opaque}");
    let list = format!("\"other\", {etag}");

    let same: [&[(&str, &str)]; 6] = [
        &[("If-None-Match", &etag)],
        &[("If-None-Match", &weak)],
        &[("If-None-Match", &list)],
        &[("If-None-Match", "*")],
        &[("If-Modified-Since", &modified)],
        &[("If-None-Match", &etag), ("If-Modified-Since", &earlier)],
    ];
    for fields in same {
        let response = connection.request("GET", "/a.txt", fields, b"");
        assert_eq!(response.status, 304, "{fields:?}");
        assert_eq!(response.field("ETag"), Some(etag.as_str()), "{fields:?}");
    }
    let changed: [&[(&str, &str)]; 4] = [
        &[("If-None-Match", "\"other\"")],
        &[("If-Modified-Since", &earlier)],
        &[("If-Modified-Since", "no date")],
        &[
            ("If-None-Match", "\"other\""),
            ("If-Modified-Since", &modified),
        ],
    ];
    for fields in changed {
        let response = connection.request("GET", "/a.txt", fields, b"");
        assert_eq!(
            (response.status, response.text()),
            (200, "hello"),
            "{fields:?}"
        );
    }
}

#[test]
fn a_part_can_be_asked_for() {
    let server = serve(&[("a.txt", b"0123456789")]);
    let mut connection = server.connect();
    let whole = connection.get("/a.txt").expect(200);
    assert_eq!(whole.field("Accept-Ranges"), Some("bytes"));
    let parts = [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=7-99", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
    ];
    for (range, body, content_range) in parts {
        let response = connection.request("GET", "/a.txt", &[("Range", range)], b"");
        assert_eq!((response.status, response.text()), (206, body), "{range}");
        assert_eq!(
            response.field("Content-Range"),
            Some(content_range),
            "{range}"
        );
        assert_eq!(response.field("ETag"), whole.field("ETag"));
    }
    for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
        let response = connection.request("GET", "/a.txt", &[("Range", range)], b"");
        assert_eq!(response.status, 416, "{range}");
        assert_eq!(
            response.field("Content-Range"),
            Some("bytes */10"),
            "{range}"
        );
    }
    for range in [
        "lines=0-1",
        "bytes=4-2",
        "bytes=x-",
        "bytes",
        "bytes=-",
        "bytes=99999999999999999999999-",
    ] {
        let response = connection.request("GET", "/a.txt", &[("Range", range)], b"");
        assert!(
            matches!(response.status, 200 | 416),
            "{range}: {}",
            response.status
        );
        assert!(
            response.status == 416 || response.text() == "0123456789",
            "{range}"
        );
    }
}

#[test]
fn a_part_of_another_version_is_not_sent() {
    let server = serve(&[("a.txt", b"0123456789")]);
    let mut connection = server.connect();
    let modified = connection
        .get("/a.txt")
        .expect(200)
        .field("Last-Modified")
        .unwrap()
        .to_owned();
    let old = [("Range", "bytes=0-1"), ("If-Range", "\"other\"")];
    assert_eq!(
        connection
            .request("GET", "/a.txt", &old, b"")
            .expect(200)
            .text(),
        "0123456789"
    );
    let older = [
        ("Range", "bytes=0-1"),
        ("If-Range", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    assert_eq!(
        connection
            .request("GET", "/a.txt", &older, b"")
            .expect(200)
            .text(),
        "0123456789"
    );
    let missed = [
        ("Range", "bytes=0-1"),
        ("If-Modified-Since", modified.as_str()),
    ];
    connection
        .request("GET", "/a.txt", &missed, b"")
        .expect(304);
}

#[test]
fn head_says_what_get_would() {
    let server = serve(&[("a.txt", b"0123456789")]);
    let mut connection = server.connect();
    let got = connection.get("/a.txt").expect(200);
    let told = connection.request("HEAD", "/a.txt", &[], b"").expect(200);
    for field in [
        "Content-Length",
        "Content-Type",
        "ETag",
        "Last-Modified",
        "Accept-Ranges",
    ] {
        assert_eq!(told.field(field), got.field(field), "{field}");
    }
    connection.request("HEAD", "/missing", &[], b"").expect(404);
    connection.get("/a.txt").expect(200);
}

#[test]
fn a_changed_file_is_served_changed() {
    let server = serve(&[("a.txt", b"first")]);
    let path = server.folder().file("public/a.txt");
    let mut connection = server.connect();
    let before = connection.get("/a.txt").expect(200);
    std::fs::write(&path, b"second, longer").unwrap();
    let after = crate::support::wait_for("the new content", || {
        Some(connection.get("/a.txt").expect(200))
            .filter(|response| response.text() == "second, longer")
    });
    assert_ne!(before.field("ETag"), after.field("ETag"));

    std::fs::remove_file(&path).unwrap();
    crate::support::wait_for("the file to be gone", || {
        (connection.get("/a.txt").status == 404).then_some(())
    });
    write(&server.folder().file("public/b.txt"), b"new");
    crate::support::wait_for("the new file", || {
        (connection.get("/b.txt").status == 200).then_some(())
    });
}

#[test]
fn names_are_decoded_once() {
    let server = serve(&[
        ("a b.txt", b"space"),
        ("%41.txt", b"percent"),
        ("sub/\u{e4}.txt", b"umlaut"),
    ]);
    let mut connection = server.connect();
    assert_eq!(connection.get("/a%20b.txt").expect(200).text(), "space");
    assert_eq!(connection.get("/%2541.txt").expect(200).text(), "percent");
    assert_eq!(
        connection.get("/sub/%C3%A4.txt").expect(200).text(),
        "umlaut"
    );
    assert_eq!(
        connection.get("/sub/./../a%20b.txt").expect(200).text(),
        "space"
    );
}

#[test]
fn nothing_outside_is_served() {
    let server = serve(&[("in/a.txt", b"inside")]);
    let folder = server.folder();
    let secret = b"the outside";
    std::fs::write(folder.file("secret.txt"), secret).unwrap();
    std::os::unix::fs::symlink(folder.file("secret.txt"), folder.file("public/link.txt")).unwrap();
    let absolute = format!("/{}", folder.file("secret.txt").display());
    let targets = [
        "/../secret.txt",
        "/in/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/.%2E/secret.txt",
        "/..%2fsecret.txt",
        "/in/..%2f..%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/..%5csecret.txt",
        "/....//secret.txt",
        "/in/a.txt/../../../secret.txt",
        "/in/a.txt%00.html",
        "/in%00/../../secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/link.txt",
        "/in",
        "/in/",
        "/in/a.txt/",
        absolute.as_str(),
    ];
    for target in targets {
        // A connection each: what cannot be decoded may end it.
        let response = server.connect().get(target);
        assert!(
            matches!(response.status, 400 | 404),
            "{target}: {} {:?}",
            response.status,
            response.text()
        );
        assert!(!response.text().contains("the outside"), "{target}");
    }
    assert_eq!(
        server.connect().get("/in/a.txt").expect(200).text(),
        "inside"
    );
}
