//! A room that loses all its connections at once, and comes back at once.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::accounts::{self, User};
use crate::net::{Cut, Target, own_address};
use crate::server::Server;
use crate::socket::Socket;
use crate::tally::{Failure, PATIENCE, Random, Tally, now};

/// Connections that share an address; the server allows 100, and as many handshakes a second.
const PER_ADDRESS: usize = 50;
const WORKERS: usize = 8;
/// From the last handshake until each has the list.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

/// Number of are connected between two looks at what the others have been sent.
const CONNECTED_AT_ONCE: usize = 8;

/// A user's connection, and what was heard on it.
struct Client<'a> {
    user: &'a User,
    socket: Socket,
    list_bytes: usize,
    messages: usize,
}

/// Findings of a worker's clients.
struct Seen<'a> {
    clients: Vec<Client<'a>>,
    /// When the last of them was connected.
    connected: Instant,
    /// When the last of them had its list.
    listed: Instant,
}

impl Client<'_> {
    /// The first thing heard has to be the list, with the user in it.
    fn take(&mut self, heard: &str) -> Result<(), Failure> {
        self.messages += 1;
        if self.list_bytes == 0 {
            let own = format!("\"{}\"", self.user.name);
            if !heard.starts_with(r#"{"type":"users""#) || !heard.contains(&own) {
                return Err(format!("{}: wanted the list, got {heard}", self.user.name).into());
            }
            self.list_bytes = heard.len();
        }
        Ok(())
    }

    /// Reads what has come: who does not read is closed, and rightly so.
    fn catch_up(&mut self) -> Result<(), Failure> {
        while let Some(heard) = self.socket.hear_ready()? {
            self.take(&heard)?;
        }
        Ok(())
    }
}

/// Lets so many users come, go and come back; what goes wrong is an error of the run.
pub(crate) fn run(
    target: &Target,
    server: &Server,
    tally: &Tally,
    count: usize,
) -> Result<(), Failure> {
    let users = accounts::enroll_many(&server.file("users.db"), count)?;
    let before = server.usage()?;
    for round in ["first", "again"] {
        let cpu_seconds = server.usage()?.cpu_seconds;
        let start = now();
        let seen = connect(target, &users)?;
        let connected = seen
            .iter()
            .map(|seen| seen.connected)
            .max()
            .unwrap_or(start);
        let listed = seen.iter().map(|seen| seen.listed).max().unwrap_or(start);
        let clients = seen.iter().flat_map(|seen| &seen.clients);
        let list_bytes: usize = clients.map(|client| client.list_bytes).sum();
        let late = listed.saturating_duration_since(connected);
        let clients = hear_all(seen)?;
        let messages: usize = clients.iter().map(|client| client.messages).sum();
        let end = server.usage()?;
        println!(
            "reunion, {round}: {count} users connected in {:.2?}, the last list {late:.2?} later; \
             {} KiB of own lists, {messages} messages; CPU {:.1} s, {end}",
            connected.duration_since(start),
            list_bytes >> 10,
            end.cpu_seconds - cpu_seconds,
        );
        if late > LISTED_WITHIN {
            let error =
                format!("wanted all lists within {LISTED_WITHIN:?}, the last took {late:?}");
            tally.error("reunion", &error);
        }
        // All at once, without a Close.
        let sockets = clients.into_iter().map(|client| client.socket);
        sockets.for_each(|socket| socket.cut(Cut::Reset));
    }
    let open = server.await_descriptors(before.descriptors)?;
    if open > before.descriptors {
        let wanted = before.descriptors;
        return Err(format!("wanted {wanted} descriptors in {PATIENCE:?}, got {open}").into());
    }
    Ok(())
}

/// Connects them all as fast as it goes. Each joins when it is connected.
fn connect<'a>(target: &Target, users: &'a [User]) -> Result<Vec<Seen<'a>>, Failure> {
    let all_connected = Barrier::new(WORKERS);
    let work = |worker: usize| -> Result<Seen<'a>, Failure> {
        let connected = connect_some(target, users, worker);
        let at = now();
        all_connected.wait();
        let mut clients = connected?;
        for client in &mut clients {
            if client.list_bytes == 0 {
                let list = client.socket.hear_now()?;
                client.take(&list)?;
            }
        }
        Ok(Seen {
            clients,
            connected: at,
            listed: now(),
        })
    };
    in_threads((0..WORKERS).collect(), work)
}

/// Connects the share of a worker.
fn connect_some<'a>(
    target: &Target,
    users: &'a [User],
    worker: usize,
) -> Result<Vec<Client<'a>>, Failure> {
    let mut random = Random::new(u64::try_from(worker)?);
    let mut clients: Vec<Client<'a>> = Vec::new();
    for (number, user) in users.iter().enumerate().skip(worker).step_by(WORKERS) {
        let from = own_address(30, number / PER_ADDRESS);
        let mut socket = Socket::open(target, from, user, &mut random)?;
        socket.send(&json!({"type": "join"}))?;
        clients.push(Client {
            user,
            socket,
            list_bytes: 0,
            messages: 0,
        });
        if clients.len().is_multiple_of(CONNECTED_AT_ONCE) {
            clients.iter_mut().try_for_each(Client::catch_up)?;
        }
    }
    Ok(clients)
}

/// Reads what is on its way to each, up to the answer to a question: who has been closed has none.
fn hear_all(seen: Vec<Seen<'_>>) -> Result<Vec<Client<'_>>, Failure> {
    Ok(in_threads(seen, hear_some)?.into_iter().flatten().collect())
}

fn hear_some(mut seen: Seen<'_>) -> Result<Vec<Client<'_>>, Failure> {
    for client in &mut seen.clients {
        let question = json!({"type": "no-such-type", "id": "probe"});
        client.socket.send(&question)?;
    }
    for client in &mut seen.clients {
        loop {
            let heard = client.socket.hear_now()?;
            if heard.contains(r#""probe""#) {
                break;
            }
            client.take(&heard)?;
        }
    }
    Ok(seen.clients)
}

/// Does the work for each in a thread of its own.
fn in_threads<T: Send, R: Send>(
    each: Vec<T>,
    work: impl Fn(T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let work = &work;
    thread::scope(|scope| {
        let workers: Vec<_> = each
            .into_iter()
            .map(|one| scope.spawn(move || work(one)))
            .collect();
        let done = workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| "a worker panicked")?);
        done.collect()
    })
}
