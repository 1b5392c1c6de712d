//! Target of the load.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Socket, Type};

use super::{Failure, Wire};

/// An URL of a kind that can be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    pub(crate) text: String,
    pub(crate) host: String,
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) is_tls: bool,
    pub(crate) is_websocket: bool,
}

impl Url {
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
        let (is_tls, is_websocket) = match scheme {
            "http" => (false, false),
            "https" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            _ => return Err(format!("{scheme}: not http, https, ws or wss").into()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, _) = authority.rsplit_once(':').ok_or("the URL has no port")?;
        let mut addresses = authority.to_socket_addrs()?;
        Ok(Self {
            text: url.to_owned(),
            host: host.to_owned(),
            address: addresses
                .find(SocketAddr::is_ipv4)
                .ok_or("no IPv4 address")?,
            path: format!("/{path}"),
            is_tls,
            is_websocket,
        })
    }
}

/// A server, and how its clients connect.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// From how many addresses, 127.0.0.1 and those that follow; 0 leaves it to the kernel.
    pub(crate) sources: u32,
    /// Of the sockets, where the kernel is not to choose.
    pub(crate) receive_buffer_bytes: Option<usize>,
}

impl Target {
    /// Begins a connection.
    pub(crate) fn connect(&self, number: usize) -> Result<Wire, Failure> {
        self.connect_with(number, self.tls.as_ref())
    }

    /// The same with TLS of its own.
    pub(crate) fn connect_with(
        &self,
        number: usize,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Wire, Failure> {
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(self.url.host.clone())?;
                Some(ClientConnection::new(Arc::clone(config), name)?)
            }
        };
        Ok(Wire::new(self.socket(number)?, tls))
    }

    fn socket(&self, number: usize) -> Result<TcpStream, Failure> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if self.sources > 0 {
            let offset = u32::try_from(number % self.sources as usize)?;
            let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + offset);
            // Ports that earlier ones are in TIME_WAIT with are good enough.
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
        }
        match socket.connect(&self.url.address.into()) {
            Err(error) if !is_under_way(&error) => Err(error.into()),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
        || error.kind() == io::ErrorKind::WouldBlock
}
