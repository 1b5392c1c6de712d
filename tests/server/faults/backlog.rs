//! More connections than the kernel holds, to a server that does not accept for a while.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::deadline::{Deadline, PATIENCE};
use crate::support::{Connection, Server, wait_for};

const CLIENTS: usize = 200;

#[test]
fn a_full_backlog_is_worked_off() {
    let server =
        Server::with_config("backlog=1\nmax_connections_per_ip=0\nhandshakes_per_second_per_ip=0");
    let (tried, rejected) = (AtomicUsize::new(0), AtomicUsize::new(0));
    server.signal("STOP");
    let served = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| be_served(&server, &tried, &rejected)))
            .collect();
        wait_for("everybody to have tried, and most in vain", || {
            let tried = tried.load(Ordering::Relaxed);
            let rejected = rejected.load(Ordering::Relaxed);
            (tried == CLIENTS && rejected > CLIENTS / 2).then_some(())
        });
        server.signal("CONT");
        let served = clients.into_iter().map(|client| client.join().unwrap());
        served.filter(|served| *served).count()
    });
    assert_eq!(served, CLIENTS);
    server.connect().get("/").expect(200);
}

/// Tries again as long as the kernel drops what opens a connection; one that stands is served.
fn be_served(server: &Server, tried: &AtomicUsize, rejected: &AtomicUsize) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let deadline = Deadline::new();
    let mut is_first = true;
    while deadline.left().is_some() {
        let stream = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        if std::mem::take(&mut is_first) {
            tried.fetch_add(1, Ordering::Relaxed);
        }
        match stream.and_then(|stream| open(server, stream)) {
            Ok(mut connection) => {
                connection.get("/login").expect(200);
                return true;
            }
            // The wait for an answer ends so, and nobody is to wait that long.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("{error}"),
            Err(_) => rejected.fetch_add(1, Ordering::Relaxed),
        };
    }
    false
}

fn open(server: &Server, stream: TcpStream) -> io::Result<Connection> {
    stream.set_read_timeout(Some(PATIENCE))?;
    Connection::over(server, stream)
}
