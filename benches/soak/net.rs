//! Connections to the server, each from an address of its own choice in 127.0.0.0/8.
//!
//! The server counts connections, handshakes and failed logins by address. With many of them its
//! default limits stay in force and no well-behaved client comes near one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use socket2::{Domain, SockRef, Socket, Type};

use crate::tally::{Failure, PATIENCE, Random};

/// A TLS stream to the server.
pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Address of the server, and the way to speak to it.
#[derive(Debug)]
pub(crate) struct Target {
    port: u16,
    host: String,
    tls13: Arc<ClientConfig>,
    tls12: Arc<ClientConfig>,
}

impl Target {
    pub(crate) fn new(port: u16, certificate: &Path) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let roots = Arc::new(roots);
        let speaking = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            let config = ClientConfig::builder_with_protocol_versions(versions)
                .with_root_certificates(Arc::clone(&roots))
                .with_no_client_auth();
            Arc::new(config)
        };
        Ok(Self {
            port,
            host: format!("localhost:{port}"),
            tls13: speaking(&[&version::TLS13]),
            tls12: speaking(&[&version::TLS12]),
        })
    }

    /// Value of `Host`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A TCP connection from an address.
    pub(crate) fn tcp(&self, from: Ipv4Addr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        socket.connect_timeout(&server.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// A TLS session that has sent nothing yet; every fifth speaks TLS 1.2.
    pub(crate) fn session(&self, random: &mut Random) -> Result<ClientConnection, Failure> {
        let config = if random.below(5) == 0 {
            &self.tls12
        } else {
            &self.tls13
        };
        let name = "localhost".try_into()?;
        Ok(ClientConnection::new(Arc::clone(config), name)?)
    }

    /// A TLS connection with its handshake done.
    pub(crate) fn tls(&self, from: Ipv4Addr, random: &mut Random) -> Result<Tls, Failure> {
        let tcp = self
            .tcp(from)
            .map_err(|error| format!("connect from {from}: {error}"))?;
        let mut stream = StreamOwned::new(self.session(random)?, tcp);
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .map_err(|error| format!("TLS handshake from {from}: {error}"))?;
        }
        Ok(stream)
    }
}

/// One of some 2,000 addresses that clients share which come and go. A fixed number, so that what
/// the server remembers of them does not grow.
pub(crate) fn passing_address(random: &mut Random) -> Ipv4Addr {
    let [third, fourth, ..] = random.next().to_le_bytes();
    Ipv4Addr::new(127, 9, third % 8, fourth.clamp(1, 250))
}

/// The address of the client with this number in a group of clients.
pub(crate) fn own_address(group: u8, number: usize) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, group, high, low)
}

/// Returns `true` if a read ended because nothing came in time.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Ways in which a client ends its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// With close_notify, as it should be.
    Notify,
    /// With a FIN and no close_notify.
    Fin,
    /// With a RST.
    Reset,
}

impl Cut {
    pub(crate) fn any(random: &mut Random) -> Self {
        match random.below(3) {
            0 => Self::Notify,
            1 => Self::Fin,
            _ => Self::Reset,
        }
    }

    /// Ends a connection below TLS.
    pub(crate) fn tcp(self, stream: TcpStream) {
        if matches!(self, Self::Reset) {
            // It fails only for a connection that has ended by itself.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
        }
        drop(stream);
    }

    /// Ends a TLS connection.
    pub(crate) fn tls(self, mut stream: Tls) {
        if matches!(self, Self::Notify) {
            stream.conn.send_close_notify();
            // The server may have closed before.
            stream.conn.write_tls(&mut stream.sock).ok();
        }
        self.tcp(stream.sock);
    }
}

/// Reads until the server ends the connection, which it has to do in time.
pub(crate) fn read_to_end(stream: &mut impl Read) -> Result<Vec<u8>, Failure> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend(buffer.iter().take(count)),
            Err(error) if is_timeout(&error) => {
                let kept = bytes.iter().copied().take(300).collect::<Vec<u8>>();
                return Err(format!(
                    "wanted the server to close, and after {PATIENCE:?} it has not; got {:?}",
                    String::from_utf8_lossy(&kept)
                )
                .into());
            }
            // Reset, or ended without close_notify: ended all the same.
            Err(_) => return Ok(bytes),
        }
    }
}

/// Sends bytes to a server that may have closed already.
pub(crate) fn send_anyway(stream: &mut impl Write, bytes: &[u8]) {
    stream.write_all(bytes).and_then(|()| stream.flush()).ok();
}
