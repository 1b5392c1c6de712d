//! Time of a server from its start to the first byte that it serves.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Failure;
use crate::load::Sample;
use crate::place::Place;
use crate::programs::Programs;
use crate::servers::{Server, Started};

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts it twice in one folder: what it makes at its first start, it has at the second.
pub(crate) fn measure(
    server: Server,
    programs: &Programs,
    place: &Place,
) -> Result<Sample, Failure> {
    let tls = trust(place)?;
    let folder = Started::new(server, programs, place)?.ready()?.stop();
    let folder = folder.ok_or("its folder has gone")?;
    let begun = Instant::now();
    let started = Started::again(server, programs, place, folder)?;
    let port = started.port().ok_or("its port is not known")?;
    let socket = loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(socket) => break socket,
            Err(_) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_micros(200)),
            Err(error) => return Err(error.into()),
        }
    };
    let listening = begun.elapsed();
    socket.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("localhost")?;
    let mut stream = StreamOwned::new(ClientConnection::new(tls, name)?, socket);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut first = [0];
    stream.read_exact(&mut first)?;
    let served = begun.elapsed();
    // Ends it, when it is known to be up.
    drop(started.ready()?);
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e3).into();
    Ok(BTreeMap::from([
        ("start_ms".to_owned(), milliseconds(served)),
        ("listening_ms".to_owned(), milliseconds(listening)),
    ]))
}

fn trust(place: &Place) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(place.cert())? {
        roots.add(cert?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(config.with_no_client_auth()))
}
