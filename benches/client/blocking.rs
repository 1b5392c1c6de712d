//! One blocking connection, plain or over TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::Failure;
use super::open::upgrade_request;

/// A connection to the server.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) tls: Option<ClientConnection>,
}

impl Client {
    /// Connects, and makes the TLS handshake if there is to be one.
    pub(crate) fn connect(
        address: SocketAddr,
        host: &str,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Failure> {
        Self::over(TcpStream::connect(address)?, host, tls)
    }

    /// The same over a connection that stands.
    pub(crate) fn over(
        mut socket: TcpStream,
        host: &str,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Failure> {
        socket.set_nodelay(true)?;
        let mut tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(host.to_owned())?;
                Some(ClientConnection::new(Arc::clone(config), name)?)
            }
        };
        if let Some(tls) = &mut tls {
            while tls.is_handshaking() || tls.wants_write() {
                tls.complete_io(&mut socket)?;
            }
        }
        Ok(Self { socket, tls })
    }

    /// Makes a WebSocket of the connection, with these field lines more. What the server sends along with
    /// its answer is dropped.
    pub(crate) fn upgrade(&mut self, host: &str, path: &str, fields: &str) -> Result<(), Failure> {
        let request = upgrade_request(host, path, fields);
        self.write_all(request.as_bytes())?;
        self.flush()?;
        let mut response = Vec::new();
        let mut piece = [0; 1024];
        while !response.windows(4).any(|four| four == b"\r\n\r\n") {
            match self.read(&mut piece)? {
                0 => return Err("the server closed instead of upgrading".into()),
                count => response.extend(piece.iter().take(count)),
            }
        }
        if !response.starts_with(b"HTTP/1.1 101 ") {
            return Err(format!("no upgrade: {}", response.escape_ascii()).into());
        }
        Ok(())
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).read(buffer),
        }
    }
}

impl Write for Client {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(buffer),
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => self.socket.flush(),
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).flush(),
        }
    }
}
