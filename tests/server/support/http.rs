//! An HTTPS client that sends what it is told, byte for byte, and believes nothing it gets.
//!
//! Answers are parsed by the letter of RFC 9112: what a lenient client would let pass fails the test.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::deadline::PATIENCE;
use super::server::Server;

/// A TLS stream to the server.
pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A TLS client that trusts exactly `root`.
pub(crate) fn client_config(root: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a certificate that can be trusted");
    Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// A TCP connection to the server, before any TLS.
pub(crate) fn tcp(server: &Server) -> io::Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// As [`tcp`], from this address.
pub(crate) fn tcp_from(server: &Server, source: IpAddr) -> io::Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A TLS connection to `localhost` with its handshake done.
pub(crate) fn tls(server: &Server, config: Arc<ClientConfig>) -> io::Result<Tls> {
    tls_as(server, config, "localhost")
}

/// As [`tls`], to a server of another name.
pub(crate) fn tls_as(server: &Server, config: Arc<ClientConfig>, name: &str) -> io::Result<Tls> {
    tls_over(tcp(server)?, config, name)
}

/// TLS over a connection that stands.
pub(crate) fn tls_over(
    socket: TcpStream,
    config: Arc<ClientConfig>,
    name: &str,
) -> io::Result<Tls> {
    let name = name.to_owned().try_into().map_err(io::Error::other)?;
    let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// End of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close_notify: nothing was cut off.
    Clean,
    /// Without: reset, or closed below TLS.
    Cut,
}

/// One keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Tls,
    host: String,
    /// Received and not yet looked at.
    received: Vec<u8>,
}

impl Connection {
    /// Connects and does the TLS handshake.
    pub(crate) fn open(server: &Server) -> io::Result<Self> {
        Self::open_with(server, client_config(server.folder().certificate()))
    }

    /// As [`Connection::open`], with a TLS configuration of one's own.
    pub(crate) fn open_with(server: &Server, config: Arc<ClientConfig>) -> io::Result<Self> {
        Ok(Self::of(server, tls(server, config)?))
    }

    /// Over a TCP connection that stands, on which something may have been said already.
    pub(crate) fn over(server: &Server, socket: TcpStream) -> io::Result<Self> {
        let config = client_config(server.folder().certificate());
        Ok(Self::of(server, tls_over(socket, config, "localhost")?))
    }

    fn of(server: &Server, stream: Tls) -> Self {
        Self {
            stream,
            host: server.host(),
            received: Vec::new(),
        }
    }

    /// The TLS session, for what it negotiated.
    pub(crate) fn session(&self) -> &ClientConnection {
        &self.stream.conn
    }

    /// The port of this end.
    pub(crate) fn local_port(&self) -> u16 {
        let address = self.stream.sock.local_addr();
        address.expect("a connection has ends").port()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection takes bytes");
    }

    /// Sends bytes to a server that may have closed already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Sends a request with `Host` and, when there is a body or the method wants one, its length.
    pub(crate) fn send_request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in fields {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT") {
            bytes.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes);
    }

    /// Sends a request and reads its answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send_request(method, target, fields, body);
        self.answer_to(method)
    }

    /// `GET`.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], b"")
    }

    /// `GET` with a token.
    pub(crate) fn get_as(&mut self, token: &str, target: &str) -> Response {
        self.request(
            "GET",
            target,
            &[("Authorization", &format!("Bearer {token}"))],
            b"",
        )
    }

    /// `POST` of a JSON body.
    pub(crate) fn post_json(&mut self, target: &str, body: &Value) -> Response {
        let fields = [("Content-Type", "application/json")];
        self.request("POST", target, &fields, body.to_string().as_bytes())
    }

    /// `PUT` of a JSON body with a token.
    pub(crate) fn put_json_as(&mut self, token: &str, target: &str, body: &Value) -> Response {
        let bearer = format!("Bearer {token}");
        let fields = [
            ("Content-Type", "application/json"),
            ("Authorization", &bearer),
        ];
        self.request("PUT", target, &fields, body.to_string().as_bytes())
    }

    /// The next answer, to anything but `HEAD`.
    pub(crate) fn respond(&mut self) -> Response {
        self.answer_to("GET")
    }

    /// The next answer, to a request with this method. An interim (1xx) answer counts as one.
    pub(crate) fn answer_to(&mut self, method: &str) -> Response {
        let head = self.take_head();
        let mut response = Response::parse_head(&head);
        response.body = match response.framing(method) {
            Framing::Nothing => Vec::new(),
            Framing::Length(length) => self.take(length),
            Framing::Chunked => self.take_chunks(),
        };
        response
    }

    /// Says that no more requests follow, and stays to hear the answers.
    pub(crate) fn half_close(&mut self) {
        self.stream.conn.send_close_notify();
        while self.stream.conn.wants_write() {
            self.stream
                .conn
                .write_tls(&mut self.stream.sock)
                .expect("close_notify goes out");
        }
        self.stream
            .sock
            .shutdown(Shutdown::Write)
            .expect("the sending side closes");
    }

    /// Everything up to the end of the connection, and how it ended.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        loop {
            match self.receive() {
                Ok(0) => return (std::mem::take(&mut self.received), End::Clean),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    panic!(
                        "still open after {PATIENCE:?}; so far: {:?}",
                        self.received.escape_ascii().to_string()
                    )
                }
                Err(_) => return (std::mem::take(&mut self.received), End::Cut),
            }
        }
    }

    /// Waits for some bytes and keeps them. 0: the connection has ended, however it did.
    pub(crate) fn read_more(&mut self) -> usize {
        self.receive().unwrap_or(0)
    }

    /// Drops all that has come and was not looked at.
    pub(crate) fn drop_received(&mut self) {
        self.received.clear();
    }

    /// Reads up to so many bytes, and drops them. 0: the connection has ended, however it did.
    pub(crate) fn read_some(&mut self, max: usize) -> usize {
        let mut room = vec![0; max];
        self.stream.read(&mut room).unwrap_or(0)
    }

    /// Number of bytes come before the end of the connection, and how it ends. More than `max` are not
    /// waited for.
    pub(crate) fn received_until_end(&mut self, max: usize) -> (usize, End) {
        let mut count = self.received.len();
        loop {
            self.received.clear();
            match self.receive() {
                Ok(0) => return (count, End::Clean),
                Ok(more) => count += more,
                Err(error) if is_timeout(&error) => {
                    panic!("still open after {PATIENCE:?} and {count} bytes")
                }
                Err(_) => return (count, End::Cut),
            }
            assert!(count <= max, "{count} bytes and no end");
        }
    }

    /// The server closes in order, and says nothing more.
    pub(crate) fn expect_close(&mut self) {
        let (rest, end) = self.rest();
        assert!(rest.is_empty(), "before the end: {}", rest.escape_ascii());
        assert_eq!(end, End::Clean, "the connection ended without close_notify");
    }

    /// Returns `true` if anything has come that was not looked at, without waiting for it.
    pub(crate) fn has_received(&mut self) -> bool {
        self.stream.sock.set_nonblocking(true).unwrap();
        let received = self.receive();
        self.stream.sock.set_nonblocking(false).unwrap();
        match received {
            Err(error) if !is_timeout(&error) => panic!("{error}"),
            _ => !self.received.is_empty(),
        }
    }

    /// The bytes received and not yet looked at, with `more` of them at least.
    pub(crate) fn peek(&mut self, more: usize) -> &[u8] {
        self.fill(more);
        &self.received
    }

    /// Exactly `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        self.fill(count);
        self.received.drain(..count).collect()
    }

    fn take_head(&mut self) -> Vec<u8> {
        loop {
            if let Some(at) = self
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
            {
                return self.take(at + 4);
            }
            self.fill(self.received.len() + 1);
        }
    }

    fn take_line(&mut self) -> String {
        loop {
            if let Some(at) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8(self.take(at)).expect("a line of ASCII");
                self.take(2);
                return line;
            }
            self.fill(self.received.len() + 1);
        }
    }

    fn take_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line();
            let size =
                usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"));
            if size == 0 {
                assert_eq!(self.take(2), b"\r\n", "the last chunk ends the body");
                return body;
            }
            body.extend(self.take(size));
            assert_eq!(self.take(2), b"\r\n", "a chunk ends with CRLF");
        }
    }

    fn fill(&mut self, wanted: usize) {
        while self.received.len() < wanted {
            match self.receive() {
                Ok(0) => panic!(
                    "closed after {:?}",
                    self.received.escape_ascii().to_string()
                ),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => panic!(
                    "nothing more within {PATIENCE:?} after {:?}",
                    self.received.escape_ascii().to_string()
                ),
                Err(error) => {
                    panic!(
                        "{error} after {:?}",
                        self.received.escape_ascii().to_string()
                    )
                }
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16_384];
        let count = self.stream.read(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

enum Framing {
    Nothing,
    Length(usize),
    Chunked,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    fn parse_head(head: &[u8]) -> Self {
        let text = std::str::from_utf8(head).expect("a head of ASCII");
        let text = text.strip_suffix("\r\n\r\n").expect("a whole head");
        assert!(
            text.replace("\r\n", "")
                .chars()
                .all(|char| char == '\t' || !char.is_control()),
            "stray control characters in {text:?}"
        );
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap();
        let after = status_line
            .strip_prefix("HTTP/1.1 ")
            .unwrap_or_else(|| panic!("{status_line:?}"));
        let (status, _reason) = after
            .split_once(' ')
            .unwrap_or_else(|| panic!("{status_line:?}"));
        assert_eq!(status.len(), 3, "{status_line:?}");
        let fields = lines.map(parse_field).collect();
        let response = Self {
            status: status.parse().unwrap(),
            fields,
            body: Vec::new(),
        };
        if response.status >= 200 {
            let date = response
                .field("Date")
                .expect("every final answer carries a Date");
            httpdate::parse_http_date(date).expect("Date is an HTTP date");
        }
        response
    }

    fn framing(&self, method: &str) -> Framing {
        let length = self.field("Content-Length");
        let coding = self.field("Transfer-Encoding");
        assert!(
            length.is_none() || coding.is_none(),
            "both framings: {self:?}"
        );
        if self.status < 200 || self.status == 204 {
            assert!(
                length.is_none() && coding.is_none(),
                "a {} with framing",
                self.status
            );
        }
        if method == "HEAD" || self.status < 200 || matches!(self.status, 204 | 304) {
            return Framing::Nothing;
        }
        match (length, coding) {
            (Some(length), None) => {
                assert!(
                    length.bytes().all(|byte| byte.is_ascii_digit()),
                    "{length:?}"
                );
                Framing::Length(length.parse().unwrap())
            }
            (None, Some(coding)) => {
                assert_eq!(coding, "chunked");
                Framing::Chunked
            }
            _ => panic!("no framing: {self:?}"),
        }
    }

    /// The value of a field that may be there once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of UTF-8")
    }

    /// The body as JSON, which the media type must say it is.
    pub(crate) fn json(&self) -> Value {
        let media_type = self
            .field("Content-Type")
            .unwrap_or_else(|| panic!("no media type: {self:?}"));
        assert_eq!(
            media_type.split(';').next().unwrap().trim(),
            "application/json",
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// An error answer in the one shape they all have; gives its text.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        let body = self.json();
        assert_eq!(body["success"], Value::Bool(false), "{body}");
        let text = body["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error text: {body}"));
        assert!(!text.is_empty(), "an error says what is wrong");
        text.to_owned()
    }

    /// Checks the status, showing the body when it differs.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    /// Returns `true` if the connection ends after this answer.
    pub(crate) fn closes(&self) -> bool {
        self.field("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

fn parse_field(line: &str) -> (String, String) {
    let (name, value) = line
        .split_once(':')
        .unwrap_or_else(|| panic!("field line {line:?}"));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(
        !name.is_empty() && name.bytes().all(is_token),
        "field name {name:?}"
    );
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}
