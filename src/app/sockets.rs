//! The sockets the server listens on, bound as the configuration says.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::config::Config;

/// A socket with its address, not listening yet: who connects is refused until it does.
#[derive(Debug)]
pub(super) struct Bound {
    socket: Socket,
    address: SocketAddr,
    key: PortKey,
}

/// The key that gave a socket its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortKey {
    Port,
    HttpPort,
    MetricsAddress,
}

impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Port => "the key port or SERVER_PORT in the environment",
            Self::HttpPort => "the key http_port",
            Self::MetricsAddress => "the key metrics_address",
        })
    }
}

/// An address that cannot be listened on. Displays with the key to change.
#[derive(Debug)]
pub(super) struct ListenError {
    address: SocketAddr,
    key: PortKey,
    error: io::Error,
}

impl ListenError {
    /// Returns `true` if another socket has the address: which may be gone in a moment.
    pub(super) fn is_taken(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            key,
            error,
        } = self;
        write!(f, "cannot listen on {address}: ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "another program does, maybe an edgeloop that runs already; another port is chosen \
                 by {key}"
            ),
            io::ErrorKind::AddrNotAvailable if *key == PortKey::MetricsAddress => {
                write!(f, "this machine has no such address; it comes from {key}")
            }
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("this machine has no such address; it comes from the key bind_address")
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "{error}; ports below 1024 take root or CAP_NET_BIND_SERVICE; another port is chosen \
                 by {key}"
            ),
            _ => write!(f, "{error}; the port comes from {key}"),
        }
    }
}

/// Binds all addresses for HTTPS and for redirects to it.
///
/// # Errors
/// Every address that cannot be had, not only the first.
pub(super) fn bind_all(config: &Config) -> Result<Vec<Bound>, Vec<ListenError>> {
    let (mut bound, mut errors, mut port) = (Vec::new(), Vec::new(), config.port);
    let mut add = |outcome: Result<Bound, ListenError>| match outcome {
        Ok(socket) => {
            let port = socket.address.port();
            bound.push(socket);
            Some(port)
        }
        Err(error) => {
            errors.push(error);
            None
        }
    };
    for &address in &config.bind_address {
        // With port 0 the first listener takes a free one, and the others the same.
        let address = SocketAddr::new(address, port);
        port = add(bind(address, PortKey::Port)).unwrap_or(port);
    }
    if config.http_port != 0 {
        for &address in &config.bind_address {
            let address = SocketAddr::new(address, config.http_port);
            add(bind(address, PortKey::HttpPort));
        }
    }
    if errors.is_empty() {
        Ok(bound)
    } else {
        Err(errors)
    }
}

/// Binds the address for metrics, if there is to be one.
pub(super) fn bind_metrics(config: &Config) -> Option<Result<Bound, ListenError>> {
    let address = config.metrics_address?;
    Some(bind(address, PortKey::MetricsAddress))
}

impl Bound {
    /// Lets clients connect.
    ///
    /// # Errors
    /// Another socket was quicker to listen there.
    pub(super) fn listen(self, backlog: u32) -> Result<TcpListener, ListenError> {
        let Self {
            socket,
            address,
            key,
        } = self;
        match socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)) {
            Ok(()) => Ok(socket.into()),
            Err(error) => Err(ListenError {
                address,
                key,
                error,
            }),
        }
    }
}

/// A socket that binds while old connections linger.
fn bind(address: SocketAddr, key: PortKey) -> Result<Bound, ListenError> {
    let open = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if matches!(address.ip(), IpAddr::V6(_)) {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok((socket, address))
    };
    match open() {
        Ok((socket, address)) => Ok(Bound {
            socket,
            address,
            key,
        }),
        Err(error) => Err(ListenError {
            address,
            key,
            error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(port: u16) -> Config {
        Config {
            port,
            bind_address: vec![[127, 0, 0, 1].into()],
            metrics_address: None,
            ..Config::default()
        }
    }

    #[test]
    fn every_address_that_cannot_be_had_is_told_with_its_key() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let config = Config {
            // TEST-NET-1 (RFC 5737) is no machine's.
            bind_address: vec![[127, 0, 0, 1].into(), [192, 0, 2, 1].into()],
            http_port: port,
            metrics_address: Some(SocketAddr::from(([127, 0, 0, 1], port))),
            ..local(0)
        };
        let errors = bind_all(&config).unwrap_err();
        let told: Vec<_> = errors
            .iter()
            .map(|error| (error.is_taken(), error.to_string()))
            .collect();
        assert_eq!(told.len(), 3, "{told:?}");
        let (is_taken, text) = &told[0];
        assert!(!is_taken && text.contains("bind_address"), "{text}");
        let (is_taken, text) = &told[1];
        assert!(is_taken & text.ends_with("the key http_port"), "{text}");
        assert!(text.contains(&format!("127.0.0.1:{port}: ")), "{text}");
        let error = bind_metrics(&config).unwrap().unwrap_err();
        assert!(error.is_taken());
        assert!(error.to_string().ends_with("the key metrics_address"));
        let error = &bind_all(&local(port)).unwrap_err()[0];
        assert!(error.to_string().contains("the key port or SERVER_PORT"));
    }

    #[test]
    fn what_is_bound_listens_when_it_is_told_to() {
        let bound = bind_all(&local(0)).unwrap().pop().unwrap();
        let address = bound.address;
        assert!(std::net::TcpStream::connect(address).is_err());
        let listener = bound.listen(1).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        assert!(std::net::TcpStream::connect(address).is_ok());
    }
}
