//! Says hello over TLS, to be measured: `cargo bench --bench hello -- cert.pem key.pem`
//!
//! The least a service of this library can do. Prints its port.

#![allow(
    clippy::print_stdout,
    reason = "the port is printed for whoever starts it"
)]

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use edgeloop::app::tls_files::TlsFiles;
use edgeloop::web::{self, Cx, Method, Reply, Request, Response, Security, Service};

/// Says hello over TLS.
#[derive(Debug, Parser)]
struct Args {
    /// PEM file with the certificate.
    cert: PathBuf,
    /// PEM file with its key.
    key: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Hello;

impl Service for Hello {
    type Socket = ();
    type Mail = ();

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        Reply::Send(match (request.method(), request.path()) {
            (Method::Get | Method::Head, "/") => Response::text(200, "Hello, world\n"),
            (_, "/") => Response::empty(405).field("Allow", "GET, HEAD"),
            _ => Response::text(404, "there is only /\n"),
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let security = Security::Tls(TlsFiles::new()?.load(&args.cert, &args.key)?);
    let mut reactor = web::reactor(web::ReactorConfig::default(), |_| Hello)?;
    let (_, address) = reactor.listen("127.0.0.1:0".parse()?, security)?;
    println!("{}", address.port());
    Ok(reactor.run()?)
}
