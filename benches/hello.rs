//! The least a service of this library can do, over TLS, to be measured. Prints its port.
//!
//! ```text
//! cargo bench --bench hello -- cert.pem key.pem
//! cargo bench --bench hello -- cert.pem key.pem --room
//! ```
//!
//! Says hello, or is a room: whatever one WebSocket sends goes to all the others.

#![allow(
    clippy::print_stdout,
    reason = "the port is printed for whoever starts it"
)]

#[path = "broadcast/room.rs"]
mod room;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use edgeloop::app::tls_files::TlsFiles;
use edgeloop::web::{self, Cx, Method, Reply, Request, Response, Security, Service};

/// Says hello over TLS, or is a room.
#[derive(Debug, Parser)]
struct Args {
    /// PEM file with the certificate.
    cert: PathBuf,
    /// PEM file with its key.
    key: PathBuf,
    /// Send on each WebSocket message to all others.
    #[arg(long)]
    room: bool,
    /// Compress them for those who can.
    #[arg(long, requires = "room")]
    compress: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

type Failure = Box<dyn Error + Send + Sync>;

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

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let tls = TlsFiles::new()?.load(&args.cert, &args.key)?;
    let tell = |address: SocketAddr| {
        println!("{}", address.port());
        Ok(())
    };
    if args.room {
        return room::serve(tls, args.compress, room::Counts::default(), tell);
    }
    let mut reactor = web::reactor(web::ReactorConfig::default(), |_| Hello)?;
    let (_, address) = reactor.listen("127.0.0.1:0".parse()?, Security::Tls(tls))?;
    tell(address)?;
    Ok(reactor.run()?)
}
