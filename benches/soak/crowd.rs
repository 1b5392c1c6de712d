//! Connections that come and go by the thousand: half of them HTTPS, half WebSockets, most of the
//! time idle.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::User;
use crate::http::Connection;
use crate::net::{Cut, Target, own_address};
use crate::pages::Page;
use crate::socket::Socket;
use crate::tally::{Failure, Op, Random, Tally, now};

/// Connections that share an address; the server allows 100.
const PER_ADDRESS: usize = 50;
/// Duration of a connection.
const LIFE_MS: (u64, u64) = (5_000, 120_000);
/// Between two things that are done on one; shorter than the server lets it idle.
const ACTION_MS: (u64, u64) = (2_000, 25_000);
/// After so long without anything from it, the server may have ended a connection. Only a machine with much
/// else to do lets us come so late.
const IDLE_MAX: Duration = Duration::from_secs(45);
/// Pages up to this size are asked for.
const PAGE_BYTES_MAX: usize = 20 << 10;

/// State that the members of a crowd share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd<'a> {
    pub(crate) target: &'a Target,
    pub(crate) tally: &'a Tally,
    pub(crate) pages: &'a [Page],
    pub(crate) users: &'a [User],
}

/// One place in the crowd: when a connection has left it, another takes it.
struct Place {
    number: usize,
    open: Option<Open>,
    leaves: Instant,
    /// When something was last done on it.
    active: Instant,
}

enum Open {
    Https(Connection),
    WebSocket(Socket),
}

/// Keeps the places with these numbers taken until the end of the run.
pub(crate) fn run(crowd: &Crowd<'_>, numbers: std::ops::Range<usize>, seed: u64) {
    let mut random = Random::new(seed);
    let start = now();
    let mut places: Vec<Place> = numbers
        .map(|number| Place {
            number,
            open: None,
            leaves: start,
            active: start,
        })
        .collect();
    // Not all at once, but soon.
    let mut due: BinaryHeap<Reverse<(Instant, usize)>> = (0..places.len())
        .map(|index| Reverse((start + random.millis(0, 10_000), index)))
        .collect();
    while !crowd.tally.is_stopping() {
        let Some(&Reverse((at, index))) = due.peek() else {
            return;
        };
        let early = at.saturating_duration_since(now());
        if !early.is_zero() {
            thread::sleep(early.min(Duration::from_millis(100)));
            continue;
        }
        due.pop();
        if let Some(place) = places.get_mut(index) {
            let is_late = place.open.is_some() && place.active + IDLE_MAX < now();
            if let Err(error) = place.turn(crowd, &mut random) {
                place.open = None;
                if !is_late {
                    crowd.tally.error("crowd", &error);
                }
            }
            place.active = now();
        }
        let pause = random.millis(ACTION_MS.0, ACTION_MS.1);
        due.push(Reverse((now() + pause, index)));
    }
    for place in places {
        let is_late = place.active + IDLE_MAX < now();
        if let Some(Open::WebSocket(socket)) = place.open
            && let Err(error) = socket.close()
            && !is_late
        {
            crowd.tally.error("crowd", &error);
        }
    }
}

impl Place {
    /// Somebody comes, does something, or goes.
    fn turn(&mut self, crowd: &Crowd<'_>, random: &mut Random) -> Result<(), Failure> {
        if self.open.is_some() && now() >= self.leaves {
            self.leave(random)?;
        }
        match &mut self.open {
            None => {
                self.open = Some(self.enter(crowd, random)?);
                self.leaves = now() + random.millis(LIFE_MS.0, LIFE_MS.1);
                crowd.tally.add(Op::Arrival, 1);
            }
            Some(Open::Https(connection)) => {
                let small = crowd.pages.iter();
                let small: Vec<_> = small.filter(|page| page.len() <= PAGE_BYTES_MAX).collect();
                let page = random.pick(&small).ok_or("no small page")?;
                page.ask(connection)?;
                crowd.tally.add(Op::Get, 1);
            }
            Some(Open::WebSocket(socket)) => socket.ping(random)?,
        }
        Ok(())
    }

    fn enter(&self, crowd: &Crowd<'_>, random: &mut Random) -> Result<Open, Failure> {
        let from = own_address(30, self.number / PER_ADDRESS);
        if self.number.is_multiple_of(2) {
            return Ok(Open::Https(Connection::open(crowd.target, from, random)?));
        }
        let user = random.pick(crowd.users).ok_or("no users")?;
        Ok(Open::WebSocket(Socket::open(
            crowd.target,
            from,
            user,
            random,
        )?))
    }

    fn leave(&mut self, random: &mut Random) -> Result<(), Failure> {
        match self.open.take() {
            None => {}
            Some(Open::Https(connection)) => Cut::any(random).tls(connection.into_parts().0),
            Some(Open::WebSocket(socket)) if random.below(2) == 0 => socket.close()?,
            Some(Open::WebSocket(socket)) => socket.cut(Cut::any(random)),
        }
        Ok(())
    }
}
