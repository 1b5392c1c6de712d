//! Static files over real sockets.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use edgeloop::web::files::{FileOptions, Snapshot, Watcher};
use edgeloop::web::{self, Cx, Reply, Request, Response, Security, Service, ServiceSender, To};

/// Far more than it takes.
const DEADLINE: Duration = Duration::from_secs(60);

enum Mail {
    Changed(Arc<Snapshot>),
    Stop,
}

struct Site {
    folder: Arc<Snapshot>,
    seen: Sender<()>,
}

impl Service for Site {
    type Socket = ();
    type Mail = Mail;

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        let path = request.decoded_path().unwrap_or_default();
        let response = self.folder.respond(request, &path);
        let response = response.or_else(|| self.folder.page(request, 404, "/404.html"));
        Reply::Send(response.unwrap_or_else(|| Response::empty(404)))
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, mail: Mail) {
        let To::Nobody(cx) = to else {
            panic!("mail is for the service");
        };
        match mail {
            Mail::Changed(folder) => {
                self.folder = folder;
                self.seen.send(()).unwrap();
            }
            Mail::Stop => cx.stop(),
        }
    }
}

/// A server of a folder, until it is dropped.
struct Server {
    address: SocketAddr,
    post: ServiceSender<Mail>,
    /// Hears of each new picture in use.
    seen: Receiver<()>,
    first: Arc<Snapshot>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(root: &Path, options: &FileOptions) -> Self {
        let first = Arc::new(Snapshot::load(root, options).unwrap());
        let folder = Arc::clone(&first);
        let (saw, seen) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut post = None;
            let mut reactor = web::reactor(web::ReactorConfig::default(), |own| {
                post = Some(own);
                Site { folder, seen: saw }
            })
            .unwrap();
            let any = "127.0.0.1:0".parse().unwrap();
            let (_, address) = reactor.listen(any, Security::Plain).unwrap();
            tell.send((address, post.unwrap())).unwrap();
            reactor.run().unwrap();
        });
        let (address, post) = told.recv_timeout(DEADLINE).unwrap();
        Self {
            address,
            post,
            seen,
            first,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Client(BufReader::new(stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self.post.to_service(Mail::Stop);
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            stopped.unwrap();
            ended.unwrap();
        }
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, method: &str, path: &str, fields: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// The head of an answer: status and field lines.
    fn head(&mut self) -> (u16, Vec<String>) {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let Some(line) = line.strip_suffix("\r\n") else {
                panic!("the connection ended in a head: {lines:?}, {line:?}");
            };
            if line.is_empty() {
                let status: String = lines.remove(0);
                return (status.split(' ').nth(1).unwrap().parse().unwrap(), lines);
            }
            lines.push(line.to_owned());
        }
    }

    /// An answer: status, field lines and body.
    fn respond(&mut self) -> (u16, Vec<String>, Vec<u8>) {
        let (status, lines) = self.head();
        let mut body = vec![0; length(&lines)];
        self.0.read_exact(&mut body).unwrap();
        (status, lines, body)
    }

    fn get(&mut self, path: &str) -> (u16, Vec<u8>) {
        self.ask("GET", path, "");
        let (status, _, body) = self.respond();
        (status, body)
    }
}

fn length(lines: &[String]) -> usize {
    let mut lengths = lines
        .iter()
        .filter_map(|line| line.strip_prefix("Content-Length: "));
    lengths.next().unwrap_or("0").parse().unwrap()
}

/// Bytes that tell where they are.
fn content(len: u32) -> Vec<u8> {
    let words = (0..len.div_ceil(4)).flat_map(u32::to_le_bytes);
    words.take(len as usize).collect()
}

#[test]
fn files_of_all_sizes_arrive_whole_and_in_order() {
    let root = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 4095, 4097, 262_144, 262_145, 3_000_001];
    for size in sizes {
        fs::write(root.path().join(size.to_string()), content(size)).unwrap();
    }
    fs::write(root.path().join("404.html"), "<p>not here").unwrap();
    let server = Server::start(root.path(), &FileOptions::default());
    let mut client = server.connect();
    // All at once: the answers have to queue.
    for size in sizes.iter().rev() {
        client.ask("HEAD", &format!("/{size}"), "");
        client.ask("GET", &format!("/{size}"), "");
    }
    client.ask("GET", "/nothing", "");
    for size in sizes.iter().rev() {
        let (status, lines) = client.head();
        assert_eq!((status, length(&lines)), (200, *size as usize));
        let (status, _, body) = client.respond();
        assert_eq!(status, 200);
        assert!(body == content(*size), "{size}");
    }
    let (status, _, body) = client.respond();
    assert_eq!((status, &*body), (404, b"<p>not here".as_slice()));
}

#[test]
fn parts_and_conditions_work_on_large_files_too() {
    let root = tempfile::tempdir().unwrap();
    let whole = content(2_000_000);
    fs::write(root.path().join("a.bin"), &whole).unwrap();
    let server = Server::start(root.path(), &FileOptions::default());
    let mut client = server.connect();
    client.ask("GET", "/a.bin", "Range: bytes=1000000-1999998\r\n");
    let (status, lines, body) = client.respond();
    assert_eq!(status, 206);
    let place = "Content-Range: bytes 1000000-1999998/2000000";
    assert!(lines.iter().any(|line| line == place), "{lines:?}");
    assert!(body == whole[1_000_000..=1_999_998]);
    let etag = lines.iter().find_map(|line| line.strip_prefix("ETag: "));
    client.ask(
        "GET",
        "/a.bin",
        &format!("If-None-Match: {}\r\n", etag.unwrap()),
    );
    let (status, lines) = client.head();
    assert_eq!((status, length(&lines)), (304, 0));
    client.ask("POST", "/a.bin", "");
    assert_eq!(client.respond().0, 405);
    client.ask("GET", "/a.bin", "Range: bytes=2000000-\r\n");
    assert_eq!(client.respond().0, 416);
}

#[test]
fn a_file_cut_short_ends_the_connection_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.bin");
    fs::write(&path, content(1_000_000)).unwrap();
    fs::write(root.path().join("b"), "b").unwrap();
    let server = Server::start(root.path(), &FileOptions::default());
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(500_000)
        .unwrap();
    let mut client = server.connect();
    client.ask("GET", "/a.bin", "");
    assert_eq!(length(&client.head().1), 1_000_000);
    let mut body = Vec::new();
    // Whether it ends with a reset is not what matters here.
    let _ended = client.0.read_to_end(&mut body);
    assert!(body.len() <= 500_000);
    assert!(content(1_000_000).starts_with(&body));
    assert_eq!(server.connect().get("/b"), (200, b"b".to_vec()));
}

#[test]
fn a_deploy_is_seen_without_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::write(at("index.html"), "before").unwrap();
    let options = FileOptions::default();
    let server = Server::start(root.path(), &options);
    let mut client = server.connect();
    assert_eq!(client.get("/"), (200, b"before".to_vec()));
    let post = server.post.clone();
    let changed = move |folder| post.to_service(Mail::Changed(folder)).unwrap();
    let first = Arc::clone(&server.first);
    let watcher = Watcher::start(root.path(), options, first, changed).unwrap();
    fs::write(at(".next"), "after").unwrap();
    fs::rename(at(".next"), at("index.html")).unwrap();
    server.seen.recv_timeout(DEADLINE).unwrap();
    assert_eq!(client.get("/"), (200, b"after".to_vec()));
    drop(watcher);
}
