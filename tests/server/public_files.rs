//! The files of `public_dir`, served by the running server over TLS.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::support::command::{Finished, run};
use crate::support::http::End;
use crate::support::{Connection, Folder, Response, Server, wait_for};

/// A server of a folder with these files.
struct Site {
    server: Server,
}

impl Site {
    fn start(files: &[(&str, &[u8])]) -> Self {
        Self::with_config(files, "")
    }

    fn with_config(files: &[(&str, &[u8])], changes: &str) -> Self {
        let folder = Folder::new();
        for (path, content) in files {
            write(&folder, path, content);
        }
        let public = folder.file("public");
        folder.configure(&format!("public_dir={}\n{changes}", public.display()));
        Self {
            server: folder.start(),
        }
    }

    fn connect(&self) -> Connection {
        self.server.connect()
    }

    fn file(&self, path: &str) -> PathBuf {
        self.server.folder().file("public").join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        write(self.server.folder(), path, content);
    }

    /// Response at a path for a client that accepts this coding, once there is such a form.
    fn encoded(&self, path: &str, coding: &str) -> Response {
        let mut connection = self.connect();
        wait_for(&format!("{path} in {coding}"), || {
            let response = connection.request("GET", path, &[("Accept-Encoding", coding)], b"");
            (response.field("Content-Encoding") == Some(coding)).then_some(response)
        })
    }

    /// curl, which believes our certificate, with these arguments and a path.
    fn curl(&self, arguments: &[&str], path: &str) -> Finished {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
            .arg(self.server.folder().file("cert.pem"))
            .args(arguments)
            .arg(format!("{}{path}", self.server.origin()))
            .current_dir(self.server.folder().path());
        run(&mut command)
    }
}

/// Puts a file in its place whole.
fn write(folder: &Folder, path: &str, content: &[u8]) {
    let path = folder.file("public").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let half = path.with_file_name(".half");
    fs::write(&half, content).unwrap();
    fs::rename(half, path).unwrap();
}

fn decoded(response: &Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    match response.field("Content-Encoding") {
        None => bytes.extend_from_slice(&response.body),
        Some("gzip") => {
            let mut decoder = flate2::read::GzDecoder::new(&*response.body);
            decoder.read_to_end(&mut bytes).unwrap();
        }
        Some("br") => {
            brotli::BrotliDecompress(&mut &*response.body, &mut bytes).unwrap();
        }
        Some(other) => panic!("{other} was not asked for"),
    }
    bytes
}

/// Lines of text that tell where they are.
fn text(len: usize) -> Vec<u8> {
    let lines = (0..).map(|n| format!("line {n} of a text, and some more of it\n"));
    let mut text: Vec<u8> = lines
        .take(len / 30 + 1)
        .flat_map(String::into_bytes)
        .collect();
    text.truncate(len);
    text
}

/// Blocks of bytes that begin with their number.
fn content(len: u32) -> Vec<u8> {
    const BLOCK_BYTES: usize = 1024;
    let len = len as usize;
    let mut content = Vec::with_capacity(len + BLOCK_BYTES);
    for number in 0..len.div_ceil(BLOCK_BYTES) {
        content.extend_from_slice(&number.to_le_bytes());
        content.resize((number + 1) * BLOCK_BYTES, b'.');
    }
    content.truncate(len);
    content
}

fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok();
    if !found {
        eprintln!("NOTE: no curl here: ITS TESTS ARE SKIPPED");
    }
    found
}

#[test]
fn pages_and_scripts_go_out_packed_and_are_what_they_were() {
    let server = Server::start();
    let public = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/public"));
    let site = Site { server };
    for path in [
        "index.html",
        "chat.html",
        "css/base.css",
        "js/chat/page.js",
        "favicon.svg",
    ] {
        let want = fs::read(public.join(path)).unwrap();
        let path = format!("/{path}");
        let mut tags = Vec::new();
        for coding in ["br", "gzip"] {
            let response = site.encoded(&path, coding).expect(200);
            assert!(response.body.len() < want.len());
            assert_eq!(decoded(&response), want, "{path} in {coding}");
            assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
            tags.push(response.field("ETag").unwrap().to_owned());
        }
        let plain = site.connect().get(&path).expect(200);
        assert_eq!(
            (plain.field("Content-Encoding"), &plain.body),
            (None, &want)
        );
        assert_eq!(plain.field("Vary"), Some("Accept-Encoding"));
        assert_ne!(tags[0], tags[1]);
        assert!(!tags.contains(&plain.field("ETag").unwrap().to_owned()));
        // What is known in one form is not sent again in it, and is in another.
        for (coding, tag, want) in [("br", &tags[0], 304), ("gzip", &tags[0], 200)] {
            let fields = [("Accept-Encoding", coding), ("If-None-Match", tag)];
            let response = site.connect().request("GET", &path, &fields, b"");
            assert_eq!(
                (response.status, response.field("Vary")),
                (want, Some("Accept-Encoding"))
            );
        }
    }
    // Also the page that says that there is none.
    let fields = [("Accept-Encoding", "br"), ("Accept", "text/html")];
    let response = site
        .connect()
        .request("GET", "/nothing", &fields, b"")
        .expect(404);
    assert_eq!(
        decoded(&response),
        fs::read(public.join("404.html")).unwrap()
    );
}

#[test]
fn head_says_all_that_get_says() {
    let large = text(2_000_000);
    let site = Site::start(&[
        ("index.html", b"<p>home"),
        ("docs/index.html", &text(1000)),
        ("base.css", &text(3000)),
        ("a.png", b"picture"),
        ("large.txt", &large),
        ("large.bin", &content(1_000_000)),
        ("app.3f9a1c2b.js", &text(500)),
    ]);
    site.encoded("/large.txt", "gzip");
    let mut connection = site.connect();
    for path in [
        "/",
        "/docs/",
        "/docs?query",
        "/base.css",
        "/a.png",
        "/large.txt",
        "/large.bin",
        "/app.3f9a1c2b.js",
        "/nothing",
    ] {
        for coding in ["br", "gzip", "identity", "identity;q=0"] {
            let fields = [("Accept-Encoding", coding)];
            let get = connection.request("GET", path, &fields, b"");
            let head = connection.request("HEAD", path, &fields, b"");
            assert_eq!(head.status, get.status, "{path} {coding}");
            let without_date = |response: &Response| {
                let mut fields = response.fields.clone();
                fields.retain(|(name, _)| name != "Date");
                fields
            };
            assert_eq!(without_date(&head), without_date(&get), "{path} {coding}");
        }
    }
}

#[test]
fn a_deploy_is_seen_and_packed_anew() {
    let (one, two) = (text(4000), text(5000));
    let site = Site::start(&[("a.js", &one), ("other.js", &one)]);
    let before = site.encoded("/a.js", "br");
    let other = site.encoded("/other.js", "br");
    assert_eq!(decoded(&before), one);
    site.write("a.js", &two);
    let mut connection = site.connect();
    let fields = [("Accept-Encoding", "br")];
    wait_for("the new file", || {
        let response = connection.request("GET", "/a.js", &fields, b"");
        // Never the old bytes under a new name, or the other way round.
        let bytes = decoded(&response);
        let is_old = response.field("ETag") == before.field("ETag");
        assert!(if is_old { bytes == one } else { bytes == two });
        (!is_old).then_some(())
    });
    let after = site.encoded("/a.js", "br");
    assert_eq!(decoded(&after), two);
    assert_ne!(before.field("ETag"), after.field("ETag"));
    // A file beside takes the place of ours, and is one of its own too.
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &*two, &mut compressed, &Default::default()).unwrap();
    assert_ne!(compressed, after.body);
    site.write("a.js.br", &compressed);
    wait_for("the file beside", || {
        let response = connection.request("GET", "/a.js", &fields, b"");
        assert_eq!(decoded(&response), two);
        (response.body == compressed).then_some(())
    });
    let own = connection
        .request("GET", "/a.js.br", &fields, b"")
        .expect(200);
    assert_eq!(
        (own.field("Content-Encoding"), &own.body),
        (None, &compressed)
    );
    assert_eq!(
        site.encoded("/other.js", "br").field("ETag"),
        other.field("ETag")
    );
}

#[test]
fn compression_can_be_turned_off() {
    let site = Site::start(&[("a.js", &text(4000))]);
    site.encoded("/a.js", "gzip");
    let folder = site.server.folder();
    let public = folder.file("public");
    folder.configure(&format!(
        "public_dir={}\ncompress_files=0",
        public.display()
    ));
    site.server.hangup();
    let mut connection = site.connect();
    wait_for("files as they are", || {
        let response = connection.request("GET", "/a.js", &[("Accept-Encoding", "gzip")], b"");
        assert_eq!(decoded(&response), text(4000));
        response.field("Content-Encoding").is_none().then_some(())
    });
}

#[test]
fn curl_gets_files_packed_in_parts_and_resumed() {
    if !has_curl() {
        return;
    }
    let (page, large) = (text(100_000), content(3_000_001));
    let site = Site::start(&[("page.html", &page), ("large.bin", &large)]);
    site.encoded("/page.html", "gzip");
    let got = |name: &str| fs::read(site.server.folder().file(name)).unwrap();
    let done = |arguments: &[&str], path: &str| {
        let done = site.curl(arguments, path);
        assert_eq!(done.code(), Some(0), "{arguments:?}: {}", done.stderr);
        done.stdout
    };

    // --compressed: fewer bytes on the way, the same in the end.
    let size = done(
        &["--compressed", "-o", "a", "-w", "%{size_download}"],
        "/page.html",
    );
    assert!(size.parse::<usize>().unwrap() < page.len() / 2, "{size}");
    assert_eq!(got("a"), page);

    // --range.
    for path in ["/page.html", "/large.bin"] {
        let whole = if path == "/page.html" { &page } else { &large };
        for (range, part) in [
            ("0-0", &whole[..1]),
            ("1000-90000", &whole[1000..=90_000]),
            ("-77", &whole[whole.len() - 77..]),
        ] {
            let code = done(
                &["--compressed", "-r", range, "-o", "b", "-w", "%{http_code}"],
                path,
            );
            assert_eq!(code, "206");
            assert_eq!(got("b"), part, "{range} of {path}");
        }
        // Several at once.
        done(&["-r", "5-9,70000-90000,-3", "-D", "head", "-o", "c"], path);
        let head = String::from_utf8(got("head")).unwrap();
        assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
        let (_, boundary) = head.split_once("multipart/byteranges; boundary=").unwrap();
        let boundary = format!("--{}", boundary.lines().next().unwrap());
        let parts = parts(&got("c"), &boundary, whole.len());
        let want = [5..10, 70_000..90_001, whole.len() - 3..whole.len()];
        assert_eq!(parts.len(), want.len());
        for ((start, bytes), want) in parts.iter().zip(want) {
            assert_eq!(
                (*start, bytes.as_slice()),
                (want.start, &whole[want]),
                "{path}"
            );
        }
        // -C -: goes on where a file ends, be it with --compressed.
        for arguments in [
            &["-C", "-", "-o", "d"][..],
            &["--compressed", "-C", "-", "-o", "d"],
        ] {
            fs::write(site.server.folder().file("d"), &whole[..77_777]).unwrap();
            done(arguments, path);
            assert!(got("d") == *whole, "{path} {arguments:?}");
        }
    }

    // What is known by its date or its tag is not fetched again.
    done(&["--etag-save", "tag", "-R", "-o", "e"], "/large.bin");
    for arguments in [&["--etag-compare", "tag"][..], &["-z", "e"]] {
        let arguments = [arguments, &["-o", "f", "-w", "%{http_code}"]].concat();
        assert_eq!(done(&arguments, "/large.bin"), "304", "{arguments:?}");
    }
}

/// Takes a multipart/byteranges body apart: where each part begins, and its bytes.
fn parts(body: &[u8], boundary: &str, whole: usize) -> Vec<(usize, Vec<u8>)> {
    let mut rest = body.strip_prefix(boundary.as_bytes()).unwrap();
    let mut parts = Vec::new();
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|at| at == what);
    while rest != b"--\r\n" {
        let head_len = find(rest, b"\r\n\r\n").unwrap() + 4;
        let head = str::from_utf8(&rest[..head_len]).unwrap();
        let (_, place) = head.split_once("\r\nContent-Range: bytes ").unwrap();
        let (place, len) = place.lines().next().unwrap().split_once('/').unwrap();
        assert_eq!(len.parse::<usize>().unwrap(), whole);
        let (first, last) = place.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let (bytes, behind) = rest[head_len..].split_at(last - first + 1);
        parts.push((first, bytes.to_vec()));
        rest = behind
            .strip_prefix(format!("\r\n{boundary}").as_bytes())
            .unwrap();
    }
    parts
}

#[test]
fn a_folder_is_its_page_and_a_hidden_file_is_none() {
    let site = Site::start(&[
        ("index.html", b"home"),
        ("docs/index.html", b"docs"),
        ("docs/a.txt", b"a"),
        ("empty/a.txt", b"a"),
        (".env", b"secret"),
        (".git/config", b"secret"),
        ("docs/.htaccess", b"secret"),
    ]);
    let mut connection = site.connect();
    for (path, body) in [
        ("/", "home"),
        ("/docs/", "docs"),
        ("/docs/index.html", "docs"),
    ] {
        let response = connection.get(path).expect(200);
        assert_eq!(response.text(), body);
        // A page is a page under each of its names.
        assert!(
            response.field("Content-Security-Policy").is_some(),
            "{path}"
        );
    }
    for (path, location) in [
        ("/docs", "/docs/"),
        ("/docs?a=1&b=%2F", "/docs/?a=1&b=%2F"),
        ("/x/../docs", "/docs/"),
        ("/%64ocs", "/docs/"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = connection.request(method, path, &[], b"").expect(308);
            assert_eq!(response.field("Location"), Some(location), "{path}");
        }
    }
    for path in [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/",
        "/.git",
        "/docs/.htaccess",
        "/docs/..%2f.env",
        "/empty",
        "/empty/",
        "/docs/a.txt/",
        "/..%2fserver.conf",
        "/../cert.pem",
        "/docs/../../key.pem",
    ] {
        let status = connection.get(path).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
}

#[test]
fn links_inside_are_followed_and_what_is_not_served_is_in_the_log() {
    let folder = Folder::new();
    for (path, content) in [
        ("..one/index.html", "one"),
        ("..two/index.html", "two"),
        (".well-known/acme-challenge/token", "proof"),
        ("config.js.bak", "secret"),
        ("config.js~", "secret"),
    ] {
        write(&folder, path, content.as_bytes());
    }
    let public = folder.file("public");
    symlink("..one", public.join("..data")).unwrap();
    symlink("..data/index.html", public.join("index.html")).unwrap();
    symlink("../cert.pem", public.join("cert.pem")).unwrap();
    folder.configure(&format!("public_dir={}", public.display()));
    let site = Site {
        server: folder.start(),
    };
    let mut connection = site.connect();
    for (path, body) in [("/", "one"), ("/.well-known/acme-challenge/token", "proof")] {
        assert_eq!(connection.get(path).expect(200).text(), body);
    }
    for path in [
        "/cert.pem",
        "/config.js.bak",
        "/config.js~",
        "/..data/index.html",
        "/..one/index.html",
        "/.well-known",
        "/.well-known/",
    ] {
        connection.get(path).expect(404);
    }
    for line in [
        "not served: links that lead out of the folder: /cert.pem",
        "not served: names of backups: /config.js.bak, /config.js~",
        "not served: names that begin with a dot: /..data, /..one, /..two",
    ] {
        site.server.wait_for_log(line);
    }
    // As Kubernetes does it.
    symlink("..two", public.join("..data_tmp")).unwrap();
    fs::rename(public.join("..data_tmp"), public.join("..data")).unwrap();
    wait_for("what is in the new folder", || {
        (connection.get("/").text() == "two").then_some(())
    });
}

#[test]
fn no_link_leads_outside_not_even_one_that_comes_while_serving() {
    let folder = Folder::new();
    let outside = folder.file("outside");
    fs::create_dir(&outside).unwrap();
    for name in ["a.txt", "large.bin"] {
        // As long as what is inside, so that no length gives it away.
        fs::write(
            outside.join(name),
            if name == "a.txt" { "secret" } else { "SECRET" },
        )
        .unwrap();
        write(&folder, &format!("sub/{name}"), b"inside");
    }
    write(&folder, "looks", b"-1");
    let public = folder.file("public");
    symlink(&outside, public.join("link")).unwrap();
    symlink(outside.join("a.txt"), public.join("link.txt")).unwrap();
    folder.configure(&format!("public_dir={}", public.display()));
    let site = Site {
        server: folder.start(),
    };
    let mut connection = site.connect();
    for path in ["/link/a.txt", "/link.txt", "/link", "/link/"] {
        connection.get(path).expect(404);
    }
    // A folder and a file turn into links and back all the time, while the server looks at them.
    let (sub, away) = (public.join("sub"), public.join(".away"));
    let (file, file_away) = (public.join("sub/a.txt"), public.join("sub/.away.txt"));
    for look in 0..3 {
        site.write("looks", look.to_string().as_bytes());
        wait_for("a further look", || {
            for _ in 0..50 {
                fs::rename(&sub, &away).unwrap();
                symlink(&outside, &sub).unwrap();
                fs::remove_file(&sub).unwrap();
                fs::rename(&away, &sub).unwrap();
                fs::rename(&file, &file_away).unwrap();
                symlink(outside.join("a.txt"), &file).unwrap();
                fs::remove_file(&file).unwrap();
                fs::rename(&file_away, &file).unwrap();
            }
            for path in ["/sub/a.txt", "/sub/large.bin"] {
                let response = connection.get(path);
                match response.status {
                    200 => assert_eq!(response.text(), "inside", "{path}"),
                    status => assert_eq!(status, 404, "{path}"),
                }
            }
            (connection.get("/looks").text() == look.to_string()).then_some(())
        });
    }
    wait_for("all to be there again", || {
        (connection.get("/sub/a.txt").status == 200).then_some(())
    });
}

#[test]
fn large_files_are_served_however_few_may_be_held_open() {
    const LEN: u32 = 300_000;
    const FILES: usize = 12;
    let body = |number: usize| {
        let mut body = content(LEN);
        body[0] = u8::try_from(number).unwrap();
        body
    };
    let folder = Folder::new();
    for number in 0..FILES {
        write(&folder, &format!("{number:02}.bin"), &body(number));
    }
    let public = folder.file("public");
    let configured = |changes: &str| format!("public_dir={}\n{changes}", public.display());
    folder.configure(&configured("max_open_files=2"));
    let site = Site {
        server: folder.start(),
    };
    let open_files = || {
        let open = fs::read_dir(format!("/proc/{}/fd", site.server.pid())).unwrap();
        let links = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        links
            .filter(|link| link.extension().is_some_and(|end| end == "bin"))
            .count()
    };
    // While a file is new, each look opens it for a moment.
    wait_for("two files held open", || (open_files() == 2).then_some(()));
    let mut connection = site.connect();
    for number in (0..FILES).chain([0, FILES - 1]) {
        let path = format!("/{number:02}.bin");
        let response = connection.get(&path).expect(200);
        assert!(response.body == body(number), "{path}");
        let range = [("Range", "bytes=299990-,0-0")];
        let response = connection.request("GET", &path, &range, b"").expect(206);
        let first = [&[u8::try_from(number).unwrap()][..], b"\r\n--"].concat();
        let has_first = response
            .body
            .windows(first.len())
            .any(|bytes| bytes == first);
        assert!(has_first, "{path}");
    }
    // Those that were opened to be sent are closed when nobody reads any.
    wait_for("the files to be closed", || {
        (open_files() == 2).then_some(())
    });
    // One that is replaced is another one, and soon the one that is served.
    let last = format!("{:02}.bin", FILES - 1);
    site.write(&last, b"small now");
    wait_for("what has replaced it", || {
        let response = site
            .connect()
            .request("HEAD", &format!("/{last}"), &[], b"");
        (response.field("Content-Length") == Some("9")).then_some(())
    });
    // How many there may be can be changed.
    site.server
        .folder()
        .configure(&configured("max_open_files=5"));
    site.server.hangup();
    wait_for("more files held open", || (open_files() == 5).then_some(()));
    site.server
        .folder()
        .configure(&configured("max_open_files=0\nmax_files=3"));
    site.server.hangup();
    wait_for("none held open, and the first three only", || {
        let is_gone = site.connect().get("/05.bin").status == 404;
        (is_gone && open_files() == 0).then_some(())
    });
    site.server
        .wait_for_log("more files and folders than files_max");
}

#[test]
fn a_large_file_waits_for_its_reader_in_little_memory() {
    const LEN: u32 = 32 << 20;
    let site = Site::start(&[("small.txt", b"small")]);
    let large = content(LEN);
    site.write("large.bin", &large);
    let mut other = site.connect();
    wait_for("the large file", || {
        let head = other.request("HEAD", "/large.bin", &[], b"");
        (head.status == 200).then_some(())
    });
    let before_kib = site.server.resident_kib();
    let mut readers: Vec<_> = (0..4).map(|_| site.connect()).collect();
    for (reader, ranges) in readers
        .iter_mut()
        .zip(["0-", "0-", "0-", "0-15000000,20000000-"])
    {
        let range = format!("bytes={ranges}");
        reader.send_request("GET", "/large.bin", &[("Range", &range)], b"");
        // The answer has begun, and is not read on for now.
        reader.peek(1);
    }
    for _ in 0..100 {
        other.get("/small.txt").expect(200);
    }
    let grown_kib = site.server.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < 8 * 1024, "{grown_kib} KiB for four readers");
    let (mut one, mut several) = (readers.remove(0), readers.pop().unwrap());
    drop(readers);
    let response = one.respond().expect(206);
    assert!(response.body == large);
    let response = several.respond().expect(206);
    let (_, boundary) = response
        .field("Content-Type")
        .unwrap()
        .split_once('=')
        .unwrap();
    let parts = parts(&response.body, &format!("--{boundary}"), large.len());
    assert!(parts[0] == (0, large[..15_000_001].to_vec()));
    assert!(parts[1] == (20_000_000, large[20_000_000..].to_vec()));
    // Both go on.
    one.get("/small.txt").expect(200);
    several.get("/small.txt").expect(200);
    let grown_kib = site.server.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < 8 * 1024, "{grown_kib} KiB after them");
}

#[test]
fn a_file_cut_short_while_it_is_sent_ends_the_connection() {
    let site = Site::start(&[("small.txt", b"small")]);
    let ranges = ["bytes=0-", "bytes=0-1000000,2000000-"];
    for (len, range) in (32_u32 << 20..).zip(ranges) {
        site.write("large.bin", &content(len));
        let mut reader = site.connect();
        wait_for("the large file", || {
            let head = reader.request("HEAD", "/large.bin", &[], b"");
            (head.field("Content-Length") == Some(&len.to_string())).then_some(())
        });
        reader.send_request("GET", "/large.bin", &[("Range", range)], b"");
        reader.peek(1);
        let path = site.file("large.bin");
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(u64::from(len) / 2).unwrap();
        // Without close_notify the client knows that something is missing (RFC 9112 §9.8).
        let (received, end) = reader.received_until_end(len as usize);
        assert_eq!(end, End::Cut);
        assert!(received < len as usize * 3 / 4, "{received}");
        assert_eq!(site.connect().get("/small.txt").expect(200).text(), "small");
    }
}

#[test]
fn kinds_of_files_may_be_kept_for_as_long_as_they_last() {
    let site = Site::start(&[
        ("index.html", b"x"),
        ("js/main.js", b"x"),
        ("js/app.3f9a1c2b.js", b"x"),
        ("logo.png", b"x"),
        ("text.woff2", b"x"),
        ("manual.pdf", b"x"),
    ]);
    let mut connection = site.connect();
    for (path, want) in [
        ("/", "no-cache"),
        ("/js/main.js", "no-cache"),
        ("/js/app.3f9a1c2b.js", "public, max-age=31536000, immutable"),
        (
            "/logo.png",
            "public, max-age=3600, stale-while-revalidate=604800",
        ),
        ("/text.woff2", "public, max-age=604800"),
        ("/manual.pdf", "no-cache"),
    ] {
        let response = connection.get(path).expect(200);
        assert_eq!(response.field("Cache-Control"), Some(want), "{path}");
        let fields = [("If-None-Match", "*")];
        let known = connection.request("GET", path, &fields, b"").expect(304);
        assert_eq!(known.field("Cache-Control"), Some(want), "{path}");
        // An error is not kept for as long.
        let fields = [("If-Match", "\"x\"")];
        let failed = connection.request("GET", path, &fields, b"").expect(412);
        assert_eq!(failed.field("Cache-Control"), None, "{path}");
    }
}

#[test]
fn pages_are_guarded_and_everything_else_may_be_fetched_from_elsewhere() {
    let files: [(&str, &[u8]); 4] = [
        ("index.html", b"x"),
        ("a.js", b"x"),
        ("a.woff2", b"x"),
        ("404.html", b"x"),
    ];
    let site = Site::with_config(&files, "cors_allow_origin=*");
    let mut connection = site.connect();
    for path in ["/", "/index.html", "/nothing"] {
        let page = connection.request("GET", path, &[("Accept", "text/html")], b"");
        assert_eq!(page.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(page.field("Referrer-Policy"), Some("same-origin"));
        let policy = page.field("Content-Security-Policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(page.field("Access-Control-Allow-Origin"), None);
    }
    for (path, range) in [
        ("/a.js", "bytes=0-"),
        ("/a.woff2", "bytes=0-"),
        ("/a.js", "bytes=9-"),
    ] {
        let file = connection.request("GET", path, &[("Range", range)], b"");
        assert_eq!(file.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(file.field("Content-Security-Policy"), None);
        assert_eq!(file.field("Access-Control-Allow-Origin"), Some("*"));
        let exposed = file.field("Access-Control-Expose-Headers").unwrap();
        assert!(exposed.contains("Content-Range"), "{exposed}");
        assert_eq!(file.field("Access-Control-Allow-Credentials"), None);
    }
    // What is configured counts at the next SIGHUP.
    let public = site.server.folder().file("public");
    site.server.folder().configure(&format!(
        "public_dir={}\ncontent_security_policy=default-src 'self'\ncors_allow_origin=off",
        public.display()
    ));
    site.server.hangup();
    wait_for("the new policy", || {
        let policy = connection.get("/").expect(200);
        (policy.field("Content-Security-Policy") == Some("default-src 'self'")).then_some(())
    });
    let file = connection.get("/a.js").expect(200);
    assert_eq!(file.field("Access-Control-Allow-Origin"), None);
}

#[test]
fn strict_transport_security_is_said_over_tls_and_nowhere_else() {
    const NAME: &str = "Strict-Transport-Security";
    let off = Site::start(&[("index.html", b"x")]);
    assert_eq!(off.connect().get("/").field(NAME), None);

    let http_port = free_port();
    let changes =
        format!("strict_transport_security=max-age=600; includeSubDomains\nhttp_port={http_port}");
    let site = Site::with_config(&[("index.html", b"x"), ("a/index.html", b"x")], &changes);
    let mut connection = site.connect();
    for (method, path, fields, status) in [
        ("GET", "/", &[][..], 200),
        ("HEAD", "/", &[], 200),
        ("GET", "/a", &[], 308),
        ("GET", "/", &[("If-None-Match", "*")], 304),
        ("GET", "/", &[("Range", "bytes=9-")], 416),
        ("GET", "/nothing", &[], 404),
        ("GET", "/me", &[], 401),
        ("DELETE", "/me", &[], 405),
        ("OPTIONS", "/me", &[], 204),
    ] {
        let response = connection.request(method, path, fields, b"");
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(
            response.field(NAME),
            Some("max-age=600; includeSubDomains"),
            "{method} {path}"
        );
    }
    // A request that never came to the service.
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert!(connection.respond().expect(400).field(NAME).is_some());

    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut plain = std::net::TcpStream::connect(("127.0.0.1", http_port)).unwrap();
        plain
            .set_read_timeout(Some(crate::support::deadline::PATIENCE))
            .unwrap();
        plain.write_all(request.as_bytes()).unwrap();
        plain.shutdown(std::net::Shutdown::Write).unwrap();
        let mut response = String::new();
        plain.read_to_string(&mut response).unwrap();
        assert!(
            response.starts_with("HTTP/1.1 ") && !response.contains(NAME),
            "{response}"
        );
    }
}

/// A port that is free, and outside of those that the system gives to who asks for any. `http_port`
/// cannot be any: 0 is off.
fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (first..32_000)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
