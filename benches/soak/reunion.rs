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

/// What a worker's clients have seen.
struct Seen {
    sockets: Vec<Socket>,
    /// When the last of them was connected.
    connected: Instant,
    /// When the last of them had its list.
    listed: Instant,
    list_bytes: usize,
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
        let list_bytes: usize = seen.iter().map(|seen| seen.list_bytes).sum();
        let late = listed.saturating_duration_since(connected);
        let quiet = hear_all(seen, count)?;
        let end = server.usage()?;
        println!(
            "reunion, {round}: {count} users connected in {:.2?}, the last list {late:.2?} later; \
             {} KiB of own lists, {} messages to all; CPU {:.1} s, {end}",
            connected.duration_since(start),
            list_bytes >> 10,
            quiet.messages,
            end.cpu_seconds - cpu_seconds,
        );
        if late > LISTED_WITHIN {
            let error =
                format!("wanted all lists within {LISTED_WITHIN:?}, the last took {late:?}");
            tally.error("reunion", &error);
        }
        // All at once, without a Close.
        quiet
            .sockets
            .into_iter()
            .for_each(|socket| socket.cut(Cut::Reset));
    }
    let open = server.await_descriptors(before.descriptors)?;
    if open > before.descriptors {
        let wanted = before.descriptors;
        return Err(format!("wanted {wanted} descriptors in {PATIENCE:?}, got {open}").into());
    }
    Ok(())
}

/// Connects them all as fast as it goes. Each joins when it is connected.
fn connect(target: &Target, users: &[User]) -> Result<Vec<Seen>, Failure> {
    let all_connected = Barrier::new(WORKERS);
    let work = |worker: usize| -> Result<Seen, Failure> {
        let mut random = Random::new(u64::try_from(worker)?);
        let mine = users.iter().enumerate().skip(worker).step_by(WORKERS);
        let opened = mine.clone().map(|(number, user)| {
            let from = own_address(30, number / PER_ADDRESS);
            let mut socket = Socket::open(target, from, user, &mut random)?;
            socket.send(&json!({"type": "join"}))?;
            Ok(socket)
        });
        let sockets: Result<Vec<Socket>, Failure> = opened.collect();
        let connected = now();
        all_connected.wait();
        let (mut sockets, mut list_bytes) = (sockets?, 0);
        for (socket, (_, user)) in sockets.iter_mut().zip(mine) {
            let list = socket.hear_now()?;
            list_bytes += list.len();
            let own = format!("\"{}\"", user.name);
            if !list.starts_with(r#"{"type":"users""#) || !list.contains(&own) {
                return Err(format!("{}: wanted the list, got {list}", user.name).into());
            }
        }
        Ok(Seen {
            sockets,
            connected,
            listed: now(),
            list_bytes,
        })
    };
    in_threads((0..WORKERS).collect(), work)
}

/// Those who have heard what there was to hear.
struct Quiet {
    sockets: Vec<Socket>,
    messages: usize,
}

/// Reads what is on its way to each, up to the answer to a question: who has been closed has none.
fn hear_all(seen: Vec<Seen>, count: usize) -> Result<Quiet, Failure> {
    let hear = |mut seen: Seen| -> Result<(Vec<Socket>, usize), Failure> {
        let mut messages = 0;
        for socket in &mut seen.sockets {
            socket.send(&json!({"type": "no-such-type", "id": "probe"}))?;
            loop {
                let heard = socket.hear_now()?;
                if heard.contains(r#""probe""#) {
                    break;
                }
                messages += 1;
            }
        }
        Ok((seen.sockets, messages))
    };
    let mut quiet = Quiet {
        sockets: Vec::with_capacity(count),
        messages: 0,
    };
    for (sockets, messages) in in_threads(seen, hear)? {
        quiet.sockets.extend(sockets);
        quiet.messages += messages;
    }
    Ok(quiet)
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
