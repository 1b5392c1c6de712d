//! A server of hyper and tokio-rustls on one thread, as one would write it for speed: what edgeloop is compared
//! with. `hyper-peer PORT CERT.pem KEY.pem PUBLIC` serves `/`, the files of PUBLIC, and the WebSockets `/echo`,
//! `/echo-tungstenite` and `/room`.

mod files;
mod room;
mod site;
mod sockets;

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::site::Site;

type Failure = Box<dyn Error + Send + Sync>;

/// Serves what edgeloop is measured with, by hyper.
#[derive(Debug, Parser)]
struct Args {
    /// On 127.0.0.1.
    port: u16,
    /// PEM file with the certificate.
    cert: PathBuf,
    /// PEM file with its key.
    key: PathBuf,
    /// The folder with the files.
    public: PathBuf,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&args))
}

fn tls(args: &Args) -> Result<TlsAcceptor, Failure> {
    let chain = CertificateDer::pem_file_iter(&args.cert)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&args.key)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(args: &Args) -> Result<(), Failure> {
    let tls = tls(args)?;
    let site = Arc::new(Site::new(&args.public)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await?;
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors: those who go make room.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(connection(socket, tls.clone(), Arc::clone(&site)));
    }
}

/// Serves one connection to its end; what it ends with is of no interest here.
async fn connection(socket: TcpStream, tls: TlsAcceptor, site: Arc<Site>) {
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = tls.accept(socket).await else {
        return;
    };
    let service = service_fn(move |request| Arc::clone(&site).respond(request));
    http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .ok();
}
