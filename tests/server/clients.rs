//! The server as the clients of the world see it: curl, wrk, Python's http.client.
//!
//! `make clients` installs them; without one its tests say that they were skipped, but on CI they fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::command::{Finished, program, run, run_for};
use crate::support::users::registration;
use crate::support::{Folder, Server, wait_for};

/// The most that a JSON body may have.
const BODY_BYTES_MAX: usize = 16 << 10;

/// A server of the files of a folder of its own.
struct Site {
    server: Server,
    public: PathBuf,
}

impl Site {
    fn start(files: &[(&str, &[u8])]) -> Self {
        let folder = Folder::new();
        let public = folder.file("public");
        std::fs::create_dir(&public).unwrap();
        for (name, content) in files {
            std::fs::write(public.join(name), content).unwrap();
        }
        folder.configure(&format!(
            "public_dir={}\nmax_connections_per_ip=0",
            public.display()
        ));
        Self {
            server: folder.start(),
            public,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.server.folder().file(name)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.origin())
    }
}

/// Bytes that do not repeat soon, so that a part out of its place is noticed.
fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(&state.rotate_left(29).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// curl, trusting the server's certificate and minding nobody's settings.
fn curl(server: &Server) -> Option<Command> {
    let mut curl = program("curl")?;
    curl.args(["-q", "--silent", "--show-error", "--cacert"])
        .arg(server.folder().file("cert.pem"))
        .current_dir(server.folder().path());
    Some(curl)
}

/// Runs it to its proper end; gives what it wrote.
fn written(command: &mut Command) -> String {
    let done = run(command);
    assert_ended_well(&done, command);
    done.stdout
}

fn assert_ended_well(done: &Finished, command: &Command) {
    let Finished {
        status,
        stderr,
        stdout,
    } = done;
    assert!(
        status.success(),
        "{command:?}: {status}\n{stderr}\n{stdout}"
    );
}

#[test]
fn curl_keeps_a_connection_for_several_addresses() {
    let pages: [(&str, &[u8]); 2] = [("a.txt", b"first"), ("b.txt", b"second")];
    let site = Site::start(&pages);
    let Some(mut curl) = curl(&site.server) else {
        return;
    };
    let paths = ["/a.txt", "/b.txt", "/missing", "/a.txt", "/b.txt"];
    curl.args([
        "-w",
        " %{http_code} %{num_connects}\n",
        "-H",
        "Accept: text/plain",
    ]);
    let printed = written(curl.args(paths.map(|path| site.url(path))));
    let ends = [
        "first 200 1",
        "second 200 0",
        "}", // a line of its own
        " 404 0",
        "first 200 0",
        "second 200 0",
    ];
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), ends.len(), "{printed}");
    for (line, end) in lines.iter().zip(ends) {
        assert!(line.ends_with(end), "{printed}");
    }
}

#[test]
fn curl_speaks_http_1_0() {
    let site = Site::start(&[("a.txt", b"first")]);
    let Some(mut curl) = curl(&site.server) else {
        return;
    };
    curl.args(["--http1.0", "-i", "-w", "%{num_connects}\n"]);
    let printed = written(curl.args([site.url("/a.txt"), site.url("/a.txt")]));
    // One connection for each; the answer is of our own version (RFC 9110 §6.2).
    assert_eq!(
        printed.matches("HTTP/1.1 200 OK\r\n").count(),
        2,
        "{printed}"
    );
    assert_eq!(
        printed.matches("\r\nConnection: close\r\n").count(),
        2,
        "{printed}"
    );
    assert_eq!(printed.matches("\r\n\r\nfirst1\n").count(), 2, "{printed}");
}

#[test]
fn curl_asks_for_heads() {
    let site = Site::start(&[("a.txt", b"first")]);
    let Some(mut curl) = curl(&site.server) else {
        return;
    };
    let (a, b) = (site.url("/a.txt"), site.url("/missing"));
    let heads = written(curl.args(["-I", "-w", "%{num_connects}\n", &a, &b, &a]));
    let heads: Vec<&str> = heads.split_inclusive("\r\n\r\n").collect();
    assert!(heads[0].starts_with("HTTP/1.1 200 OK\r\n"), "{heads:?}");
    assert!(heads[0].contains("\r\nContent-Length: 5\r\n"), "{heads:?}");
    assert!(heads[1].starts_with("1\nHTTP/1.1 404 "), "{heads:?}");
    assert!(heads[2].starts_with("0\nHTTP/1.1 200 "), "{heads:?}");
    assert_eq!(heads[3], "0\n");
}

#[test]
fn curl_takes_ranges() {
    let whole = content(100_000);
    let site = Site::start(&[("large", &whole)]);
    let cases = [
        ("0-0", 206, &whole[..1]),
        ("500-1499", 206, &whole[500..1500]),
        ("99990-", 206, &whole[99_990..]),
        ("-10", 206, &whole[99_990..]),
        ("99990-200000", 206, &whole[99_990..]),
    ];
    for (range, status, part) in cases {
        let Some(mut curl) = curl(&site.server) else {
            return;
        };
        curl.args(["-r", range, "-o", "part", "-w", "%{http_code}"]);
        assert_eq!(
            written(curl.arg(site.url("/large"))),
            status.to_string(),
            "{range}"
        );
        assert!(std::fs::read(site.file("part")).unwrap() == part, "{range}");
    }
    let Some(mut curl) = curl(&site.server) else {
        return;
    };
    curl.args(["-r", "100000-", "-o", "part", "-w", "%{http_code}"]);
    assert_eq!(written(curl.arg(site.url("/large"))), "416");
}

#[test]
fn curl_resumes() {
    let whole = content(3_000_000);
    let site = Site::start(&[("large", &whole)]);
    for had in [1, 1_234_567, 2_999_999] {
        let Some(mut curl) = curl(&site.server) else {
            return;
        };
        std::fs::write(site.file("got"), &whole[..had]).unwrap();
        curl.args([
            "-C",
            "-",
            "-o",
            "got",
            "-w",
            "%{http_code} %{size_download}",
        ]);
        let told = written(curl.arg(site.url("/large")));
        assert_eq!(told, format!("206 {}", whole.len() - had));
        assert!(
            std::fs::read(site.file("got")).unwrap() == whole,
            "from {had} on"
        );
    }
}

#[test]
fn curl_reads_what_it_asked_to_be_compressed() {
    let text = "All work and no play makes Jack a dull boy.\n".repeat(1000);
    let site = Site::start(&[("a.txt", text.as_bytes())]);
    for (offered, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("deflate, gzip, br, zstd", "br"),
        ("identity", ""),
    ] {
        let Some(mut curl) = curl(&site.server) else {
            return;
        };
        let accept = format!("Accept-Encoding: {offered}");
        curl.args([
            "--compressed",
            "-H",
            &accept,
            "-o",
            "got",
            "-w",
            "%{http_code} %header{content-encoding}",
        ]);
        curl.arg(site.url("/a.txt"));
        // Files are compressed in the background, soon after the start.
        let want = format!("200 {coding}");
        wait_for(&format!("{want} for {offered}"), || {
            (written(&mut curl) == want).then_some(())
        });
        assert!(
            std::fs::read(site.file("got")).unwrap() == text.as_bytes(),
            "{offered}"
        );
    }
}

/// A registration that is this many bytes of JSON.
fn registration_of(len: usize) -> String {
    let mut body = registration("ann");
    body["pad"] = "".into();
    let pad = len - body.to_string().len();
    body["pad"] = "x".repeat(pad).into();
    body.to_string()
}

/// Posts a file; gives the status, and all that was said.
fn upload(server: &Server, path: &str, fields: &[&str], body: &str) -> Option<(String, String)> {
    let mut curl = curl(server)?;
    std::fs::write(server.folder().file("body"), body).unwrap();
    curl.args([
        "-v",
        "-o",
        "got",
        "-w",
        "%{http_code}",
        "--data-binary",
        "@body",
    ]);
    curl.args([
        "--expect100-timeout",
        "600",
        "-H",
        "Content-Type: application/json",
    ]);
    for field in fields {
        curl.args(["-H", field]);
    }
    let done = run(curl.arg(format!("{}{path}", server.origin())));
    assert_ended_well(&done, &curl);
    Some((done.stdout, done.stderr))
}

#[test]
fn curl_waits_to_be_told_to_go_on() {
    let server = Server::start();
    let body = registration_of(BODY_BYTES_MAX);
    let asks = ["Expect: 100-continue"];
    let Some((status, said)) = upload(&server, "/register", &asks, &body) else {
        return;
    };
    assert_eq!(status, "201");
    assert_eq!(said.matches("< HTTP/1.1 100 Continue").count(), 1, "{said}");

    // What is not going to be read is not asked for.
    let body = registration_of(BODY_BYTES_MAX + 1);
    let (status, said) = upload(&server, "/register", &asks, &body).unwrap();
    assert_eq!(status, "413");
    assert!(!said.contains("100 Continue"), "{said}");
}

#[test]
fn curl_uploads_up_to_the_limit() {
    let server = Server::start();
    let framings: [&[&str]; 2] = [&["Expect:"], &["Expect:", "Transfer-Encoding: chunked"]];
    for (number, fields) in framings.into_iter().enumerate() {
        let name = |body: String| body.replace("ann", &format!("ann{number}"));
        let below = name(registration_of(BODY_BYTES_MAX - 3));
        assert_eq!(below.len(), BODY_BYTES_MAX);
        let Some((status, _)) = upload(&server, "/register", fields, &below) else {
            return;
        };
        assert_eq!(status, "201");
        // Refused while it is sent: the answer arrives all the same.
        for len in [BODY_BYTES_MAX + 1, 20 << 20] {
            let (status, _) = upload(&server, "/register", fields, &registration_of(len)).unwrap();
            assert_eq!(status, "413");
            let response = std::fs::read_to_string(server.folder().file("got")).unwrap();
            assert!(response.starts_with(r#"{"success":false,"#), "{response}");
        }
    }
}

#[test]
fn wrk_gets_nothing_but_good_answers() {
    let site = Site::start(&[("a.txt", b"first")]);
    let Some(mut wrk) = program("wrk") else {
        return;
    };
    let printed = written(wrk.args(["-t1", "-c16", "-d1s", &site.url("/a.txt")]));
    assert!(!printed.contains("Non-2xx"), "{printed}");
    assert!(!printed.contains("Socket errors"), "{printed}");
    let line = printed.lines().find(|line| line.contains(" requests in "));
    let count = line.unwrap().trim().split(' ').next().unwrap();
    assert!(count.parse::<u64>().unwrap() > 100, "{printed}");
}

/// Runs a script with the port and the certificate for its arguments.
fn python(server: &Server, script: &str) -> Option<()> {
    let mut python = program("python3")?;
    let port = server.port().to_string();
    python
        .args(["-I", "-c", script, &port])
        .arg(server.folder().file("cert.pem"));
    let printed = written(&mut python);
    assert_eq!(printed.trim_end(), "done");
    Some(())
}

const PYTHON_PRELUDE: &str = r#"
import http.client, json, ssl, sys
port, cert = int(sys.argv[1]), sys.argv[2]
trust = ssl.create_default_context(cafile=cert)
def connect():
    return http.client.HTTPSConnection("localhost", port, timeout=20, context=trust)
def ask(conn, method, path, **more):
    conn.request(method, path, **more)
    answer = conn.getresponse()
    return answer.status, answer.read()
"#;

#[test]
fn python_keeps_a_connection() {
    let server = Server::start();
    let script = r#"
conn = connect()
conn.connect()
sock = conn.sock
for n in range(20):
    assert ask(conn, "GET", "/")[0] == 200
    assert ask(conn, "HEAD", "/") == (200, b"")
    assert ask(conn, "GET", "/missing")[0] == 404
    status, body = ask(conn, "POST", "/login", body=b"{}", headers={"Content-Type": "application/json"})
    assert status == 400 and not json.loads(body)["success"]
    assert conn.sock is sock, "connected again"
assert ask(conn, "GET", "/", headers={"Connection": "close"})[0] == 200
assert conn.sock is None
print("done")
"#;
    python(&server, &format!("{PYTHON_PRELUDE}{script}"));
}

#[test]
fn python_uploads_in_chunks() {
    let server = Server::start();
    let body = registration_of(BODY_BYTES_MAX);
    std::fs::write(server.folder().file("body"), body).unwrap();
    let script = r#"
import os
text = open(os.path.join(os.path.dirname(cert), "body"), "rb").read()
headers = {"Content-Type": "application/json"}
def pieces(text, size):
    return (text[at:at + size] for at in range(0, len(text), size))
def upload(conn, text, size):
    return ask(conn, "POST", "/register", body=pieces(text, size), headers=headers, encode_chunked=True)
conn = connect()
assert upload(conn, text, 1000)[0] == 201
assert upload(conn, text, 70000)[0] == 409
assert upload(conn, b"{}", 1)[0] == 400
assert ask(conn, "GET", "/")[0] == 200
conn.close()
try:
    status, answer = upload(conn, text + b" ", 4096)
    assert status == 413 and json.loads(answer)["error"], answer
except BrokenPipeError:
    assert False, "it could not send all, and so heard no answer"
print("done")
"#;
    python(&server, &format!("{PYTHON_PRELUDE}{script}"));
}

#[test]
fn python_pipelines_by_hand() {
    let server = Server::start();
    let script = r#"
import socket
paths = ["/", "/missing", "/login", "/me"] * 50
wanted = [200, 404, 200, 401] * 50
with trust.wrap_socket(socket.create_connection(("localhost", port), 20), server_hostname="localhost") as sock:
    sock.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths))
    file = sock.makefile("rb")
    for want in wanted:
        status = int(file.readline().split()[1])
        fields = http.client.parse_headers(file)
        body = file.read(int(fields["Content-Length"]))
        assert status == want and body, (status, want)
print("done")
"#;
    python(&server, &format!("{PYTHON_PRELUDE}{script}"));
}

/// Makes a file of nothing.
fn sparse(path: &Path, len: u64) {
    std::fs::File::create(path).unwrap().set_len(len).unwrap();
}

/// Memory that a download may add to the server: its own queue, and pieces on their way.
const GROWTH_KIB_MAX: u64 = 16 << 10;

#[test]
fn a_huge_file_takes_little_memory() {
    const LEN: u64 = 2 << 30;
    let site = Site::start(&[("small", b"small")]);
    let Some(mut curl) = curl(&site.server) else {
        return;
    };
    sparse(&site.public.join("huge"), LEN);
    site.wait_for("/huge");
    site.server.connect().get("/small").expect(200);
    let before = site.server.resident_kib_peak();
    curl.args(["-o", "/dev/null", "-w", "%{http_code} %{size_download}"]);
    let done = run_for(curl.arg(site.url("/huge")), Duration::from_secs(300));
    assert_ended_well(&done, &curl);
    assert_eq!(done.stdout, format!("200 {LEN}"));
    let growth = site.server.resident_kib_peak() - before;
    assert!(
        growth < GROWTH_KIB_MAX,
        "{growth} KiB more than {before} KiB"
    );
}

impl Site {
    /// Waits until a file that was made later is served.
    fn wait_for(&self, path: &str) {
        wait_for("the server to see a new file", || {
            let response = self.server.connect().request("HEAD", path, &[], b"");
            (response.status == 200).then_some(())
        });
    }
}

#[test]
fn a_slow_reader_gets_all_and_holds_up_nobody() {
    let whole = content(6 << 20);
    let site = Site::start(&[("large", &whole), ("small", b"small")]);
    let Some(mut curl) = curl(&site.server) else {
        return;
    };
    curl.args(["--limit-rate", "3M", "-o", "got", "-w", "%{http_code}"]);
    curl.arg(site.url("/large"));
    let mut other = site.server.connect();
    other.get("/small").expect(200);
    let before = site.server.resident_kib_peak();
    let (told, served) = std::thread::scope(|scope| {
        let slow = scope.spawn(|| written(&mut curl));
        let mut served = 0;
        while !slow.is_finished() {
            assert_eq!(other.get("/small").expect(200).body, b"small");
            served += 1;
        }
        (slow.join().unwrap(), served)
    });
    assert_eq!(told, "200");
    assert!(std::fs::read(site.file("got")).unwrap() == whole);
    assert!(served > 100, "only {served} others were served meanwhile");
    let growth = site.server.resident_kib_peak() - before;
    assert!(
        growth < GROWTH_KIB_MAX,
        "{growth} KiB more than {before} KiB"
    );
}
