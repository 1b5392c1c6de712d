//! The cost of idle connections for the server.

use std::path::Path;

use crate::accounts::{self, User};
use crate::http::Connection;
use crate::net::{Target, own_address};
use crate::server::Server;
use crate::socket::Socket;
use crate::tally::{Failure, PATIENCE, Random};

/// Connections that share an address; the server allows 100.
const PER_ADDRESS: usize = 50;

/// Prints the server's memory with so many connections: none, TLS only, WebSockets, none again.
pub(crate) fn measure(binary: &Path, count: usize) -> Result<(), Failure> {
    let server = Server::start(binary)?;
    let target = Target::new(server.port(), &server.file("cert.pem"))?;
    let mut random = Random::new(1);
    let user = accounts::enroll(&target, own_address(2, 1), "idle", &mut random)?;
    // What is set up once is not the cost of a connection.
    open_socket(&target, &user, 0, &mut random)?.close()?;
    println!("{:<28}{:>12}{:>16}", "", "RSS KiB", "bytes for each");
    let before_kib = server.usage()?.resident_kib;
    let show = |what: &str, each: bool| -> Result<(), Failure> {
        let kib = server.usage()?.resident_kib;
        let bytes = kib.saturating_sub(before_kib) * 1024 / u64::try_from(count)?.max(1);
        let bytes = if each {
            bytes.to_string()
        } else {
            String::new()
        };
        println!("{what:<28}{kib:>12}{bytes:>16}");
        Ok(())
    };
    show("before", false)?;
    for round in 1..=2 {
        println!("round {round}");
        let quiet = server.usage()?.descriptors;
        let secure = (0..count)
            .map(|number| Connection::open(&target, address(number), &mut random))
            .collect::<Result<Vec<_>, _>>()?;
        show("TLS connections", true)?;
        drop(secure);
        server.await_descriptors(quiet)?;
        show("all closed", true)?;
        let sockets = (0..count)
            .map(|number| open_socket(&target, &user, number, &mut random))
            .collect::<Result<Vec<_>, _>>()?;
        show("WebSockets", true)?;
        for socket in sockets {
            socket.close()?;
        }
        let open = server.await_descriptors(quiet)?;
        if open > quiet {
            return Err(format!("wanted {quiet} descriptors in {PATIENCE:?}, got {open}").into());
        }
        show("all closed", true)?;
    }
    Ok(())
}

fn address(number: usize) -> std::net::Ipv4Addr {
    own_address(20, number / PER_ADDRESS)
}

fn open_socket(
    target: &Target,
    user: &User,
    number: usize,
    random: &mut Random,
) -> Result<Socket, Failure> {
    Socket::open(target, address(number), user, random)
}
