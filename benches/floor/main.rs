//! The floor under our figures: what TLS and the kernel cost with no server between them.
//!
//! ```text
//! cargo bench --bench floor -- cert.pem key.pem --bytes 13
//! cargo bench --bench floor -- cert.pem key.pem --file big.bin
//! cargo bench --bench floor -- cert.pem key.pem --echo --bytes 64
//! cargo bench --bench floor -- cert.pem key.pem --room
//! ```
//!
//! An edge-triggered loop that encrypts and writes: no time is kept, nothing is bounded. It answers whatever
//! one read brings with the same bytes, and no request is looked at: `load requests` at depth 1 gets on with
//! it. With `--file` the bytes are read again for each answer, as the kernel has them. With `--echo` the
//! first read is answered with an upgrade, and then every so many bytes with the frame of an echo, which
//! is always the same, as what `load echo` sends is. With `--room` messages are unmasked and sent on.
//!
//! TLS is set up as our server does it, tickets included: any of them is the floor under handshakes.

#![allow(
    clippy::print_stdout,
    reason = "the port is printed for whoever starts it"
)]

mod response;
mod room;
mod stream;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use edgeloop::app::tls_files::TlsFiles;

use self::stream::Stream;

type Failure = Box<dyn Error + Send + Sync>;

/// Answers over TLS without looking, or sends on what comes.
#[derive(Debug, Parser)]
struct Args {
    /// PEM file with the certificate.
    cert: PathBuf,
    /// PEM file with its key.
    key: PathBuf,
    /// Bytes of content of each answer, or of each message.
    #[arg(long, default_value_t = 13)]
    bytes: usize,
    /// A file that is the content instead.
    #[arg(long, conflicts_with = "echo")]
    file: Option<PathBuf>,
    /// Answer WebSocket messages of so many bytes.
    #[arg(long)]
    echo: bool,
    /// Send on each WebSocket message to all others.
    #[arg(long, conflicts_with_all = ["echo", "file"])]
    room: bool,
    /// The most plaintext in one write.
    #[arg(long, default_value_t = 128 << 10)]
    write_bytes: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let config = TlsFiles::new()?.load(&args.cert, &args.key)?;
    let tell = |address: SocketAddr| {
        println!("{}", address.port());
        Ok(())
    };
    if args.room {
        return room::serve(config, tell);
    }
    let stream = match (&args.file, args.echo) {
        (Some(file), _) => Stream::of_file(file)?,
        (None, true) => Stream::of_echoes(args.bytes, args.write_bytes),
        (None, false) => Stream::of_answers(args.bytes, args.write_bytes),
    };
    response::serve(config, stream, args.write_bytes, tell)
}
