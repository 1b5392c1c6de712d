//! Echoes WebSocket messages at `/`, over TLS when given a certificate, compressed as the client
//! wants it unless told otherwise:
//! `cargo run --release --example ws_echo -- [--no-compression | --keep-windows] 127.0.0.1:9001 [CERT.pem KEY.pem]`

use std::error::Error;
use std::sync::Arc;

use edgeloop::web::{
    self, Compression, Cx, Message, Reply, Request, Response, Security, Service, WsCx,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const MESSAGE_BYTES_MAX: usize = 64 << 20;

struct Echo(web::WebConfig);

impl Service for Echo {
    type Socket = ();
    type Mail = ();

    fn config(&self) -> &web::WebConfig {
        &self.0
    }

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        if request.path() == "/" && request.wants_websocket() {
            return Reply::Upgrade(());
        }
        Reply::Send(Response::text(426, "this is a WebSocket\n"))
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, _: &mut (), message: Message<'_>) {
        ws.reply(message);
    }
}

fn security(mut pem: impl Iterator<Item = String>) -> Result<Security, Box<dyn Error>> {
    let (Some(cert), Some(key)) = (pem.next(), pem.next()) else {
        return Ok(Security::Plain);
    };
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let tls = rustls::ServerConfig::builder().with_no_client_auth();
    let mut tls = tls.with_single_cert(chain, key)?;
    // Clients keep their sessions, encrypted: by default they would be kept here.
    tls.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Security::Tls(Arc::new(tls)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = std::env::args().skip(1);
    let (flags, args): (Vec<_>, Vec<_>) = args.partition(|arg| arg.starts_with("--"));
    let mut args = args.into_iter();
    let address = args.next().unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut config = web::WebConfig::default();
    config.ws.frame_bytes_max = MESSAGE_BYTES_MAX as u64;
    config.ws.message_bytes_max = MESSAGE_BYTES_MAX;
    // The Autobahn suite cuts 4 MiB into pieces of 64 bytes.
    config.ws.fragments_max = u32::MAX;
    for flag in flags {
        match flag.as_str() {
            "--no-compression" => config.compression = None,
            "--keep-windows" => {
                config.compression = Some(Compression {
                    keeps_windows: true,
                    ..Compression::DEFAULT
                });
            }
            other => return Err(format!("{other} is not known here").into()),
        }
    }
    let bounds = web::ReactorConfig {
        output_bytes_max: 2 * MESSAGE_BYTES_MAX,
        ..web::ReactorConfig::default()
    };
    let mut reactor = web::reactor(bounds, |_| Echo(config))?;
    let (_, address) = reactor.listen(address.parse()?, security(args)?)?;
    eprintln!("echoing WebSocket messages on {address}");
    Ok(reactor.run()?)
}
