//! Well-behaved clients of pages and files: keep-alive, pipelined, conditional, partial, downloads.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::http::{Connection, Response};
use crate::net::{Target, own_address};
use crate::tally::{Failure, Op, Pace, Random, Tally, now};

/// Connections of one worker.
const CONNECTIONS: usize = 24;
/// Turns of one worker in a second; a turn is one request, a batch of pipelined ones, or a download.
const TURNS_PER_SECOND: u32 = 200;
/// Requests that are sent at once.
const PIPELINED: usize = 16;
/// Files up to this size are pipelined.
const PIPELINED_BYTES_MAX: usize = 20 << 10;
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// A page or file, and what is in it.
#[derive(Debug)]
pub(crate) struct Page {
    path: String,
    body: Vec<u8>,
}

/// All that is to be had from the server's public folder.
pub(crate) fn catalogue(public: &Path) -> Result<Vec<Page>, Failure> {
    let mut pages = Vec::new();
    collect(public, "", &mut pages)?;
    for name in ["index", "login", "register", "profile", "chat"] {
        let path = if name == "index" {
            "/".to_owned()
        } else {
            format!("/{name}")
        };
        let body = fs::read(public.join(format!("{name}.html")))?;
        pages.push(Page { path, body });
    }
    Ok(pages)
}

fn collect(folder: &Path, under: &str, pages: &mut Vec<Page>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{under}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, pages)?;
        } else {
            let body = fs::read(entry.path())?;
            pages.push(Page { path, body });
        }
    }
    Ok(())
}

/// Asks for pages until the end of the run.
pub(crate) fn run(target: &Target, tally: &Tally, pages: &[Page], number: usize, seed: u64) {
    let mut reader = Reader {
        target,
        tally,
        pages,
        random: Random::new(seed),
    };
    let mut connections: Vec<Option<Connection>> = (0..CONNECTIONS).map(|_| None).collect();
    let mut pace = Pace::per_second(TURNS_PER_SECOND);
    while !tally.is_stopping() {
        pace.wait();
        let index = reader.random.below(CONNECTIONS);
        let Some(slot) = connections.get_mut(index) else {
            continue;
        };
        let from = own_address(1, number * CONNECTIONS + index);
        if let Err(error) = reader.turn(slot, from) {
            tally.error("page", &error);
            *slot = None;
        }
    }
}

/// Asks for one page over and over, and notes how long it takes.
pub(crate) fn probe(target: &Target, tally: &Tally, pages: &[Page]) {
    let Some(page) = pages.iter().find(|page| page.path == "/") else {
        return;
    };
    let mut random = Random::new(0);
    let mut connection = None;
    while !tally.is_stopping() {
        let mut ask = || {
            if connection.is_none() {
                connection = Some(Connection::open(target, own_address(2, 1), &mut random)?);
            }
            let Some(open) = &mut connection else {
                return Ok(());
            };
            let start = now();
            let response = open.ask("GET /", "", "")?;
            tally.probed(now().duration_since(start));
            page.expect_whole(response).map(drop)
        };
        if let Err(error) = ask() {
            tally.error("probe", &error);
            connection = None;
        }
        thread::sleep(PROBE_INTERVAL);
    }
}

struct Reader<'a> {
    target: &'a Target,
    tally: &'a Tally,
    pages: &'a [Page],
    random: Random,
}

impl Reader<'_> {
    fn turn(&mut self, slot: &mut Option<Connection>, from: Ipv4Addr) -> Result<(), Failure> {
        if slot.is_none() {
            *slot = Some(Connection::open(self.target, from, &mut self.random)?);
        }
        let (Some(connection), Some(page)) = (slot.as_mut(), self.random.pick(self.pages)) else {
            return Ok(());
        };
        let mut is_last = false;
        let requests = match self.random.below(100) {
            0..10 => self.pipelined(connection)?,
            10..20 => page.conditional(connection)?,
            20..30 => page.part(connection, &mut self.random)?,
            30..40 => page.head(connection)?,
            40..45 => {
                connection
                    .ask("GET /no/such/file", "", "")?
                    .expect("a missing file", 404)?;
                1
            }
            45..47 => {
                connection
                    .ask("DELETE /chat", "", "")?
                    .expect("a wrong method", 405)?;
                1
            }
            47..49 => {
                is_last = true;
                page.last(connection)?
            }
            _ => {
                page.ask(connection)?;
                1
            }
        };
        self.tally.add(Op::Get, requests);
        if is_last || self.random.below(300) == 0 {
            *slot = None;
        }
        Ok(())
    }

    /// Many requests at once, answered in their order.
    fn pipelined(&mut self, connection: &mut Connection) -> Result<u64, Failure> {
        let small = |page: &&Page| page.body.len() <= PIPELINED_BYTES_MAX;
        let small: Vec<&Page> = self.pages.iter().filter(small).collect();
        let asked: Vec<&Page> = (0..PIPELINED)
            .filter_map(|_| self.random.pick(&small).copied())
            .collect();
        let requests: String = asked
            .iter()
            .map(|page| connection.request_bytes(&page.get(), "", ""))
            .collect();
        connection.send(requests.as_bytes())?;
        for page in &asked {
            let response = connection.respond(false);
            let response = response.map_err(|error| format!("pipelined {}: {error}", page.path))?;
            page.expect_whole(response)?;
        }
        Ok(u64::try_from(asked.len())?)
    }
}

impl Page {
    fn get(&self) -> String {
        format!("GET {}", self.path)
    }

    pub(crate) const fn len(&self) -> usize {
        self.body.len()
    }

    /// Asks for all of it, and checks that it comes.
    pub(crate) fn ask(&self, connection: &mut Connection) -> Result<(), Failure> {
        self.expect_whole(connection.ask(&self.get(), "", "")?)
            .map(drop)
    }

    /// Checks an answer that has all of it.
    fn expect_whole(&self, response: Response) -> Result<Response, Failure> {
        let response = response.expect(&self.path, 200)?;
        if response.body == self.body {
            return Ok(response);
        }
        let (wanted, got) = (self.body.len(), response.body.len());
        Err(format!("{}: wanted {wanted} bytes, got {got} others", self.path).into())
    }

    fn conditional(&self, connection: &mut Connection) -> Result<u64, Failure> {
        let response = self.expect_whole(connection.ask(&self.get(), "", "")?)?;
        let wanted = |name| {
            let value = response.field(name);
            value.ok_or_else(|| format!("{}: wanted {name}, got {response}", self.path))
        };
        let (tag, modified) = (wanted("etag")?, wanted("last-modified")?);
        for (condition, status) in [
            (format!("If-None-Match: {tag}\r\n"), 304),
            (format!("If-Modified-Since: {modified}\r\n"), 304),
            ("If-None-Match: \"another\"\r\n".to_owned(), 200),
        ] {
            let response = connection.ask(&self.get(), &condition, "")?;
            response.expect(&format!("{} {condition}", self.path), status)?;
        }
        Ok(4)
    }

    fn part(&self, connection: &mut Connection, random: &mut Random) -> Result<u64, Failure> {
        let first = random.below(self.body.len());
        let last = first + random.below(self.body.len() - first);
        let range = format!("Range: bytes={first}-{last}\r\n");
        let response = connection.ask(&self.get(), &range, "")?;
        let response = response.expect(&format!("{} {range}", self.path), 206)?;
        if self.body.get(first..=last) != Some(response.body.as_slice()) {
            let got = response.body.len();
            return Err(format!("{} {range}: got {got} other bytes", self.path).into());
        }
        Ok(1)
    }

    fn head(&self, connection: &mut Connection) -> Result<u64, Failure> {
        let response = connection.ask(&format!("HEAD {}", self.path), "", "")?;
        let response = response.expect(&format!("HEAD {}", self.path), 200)?;
        let wanted = self.body.len().to_string();
        if response.field("content-length") != Some(&wanted) {
            return Err(format!("HEAD {}: wanted length {wanted}: {response}", self.path).into());
        }
        Ok(1)
    }

    /// The last request of a connection, which the server then closes.
    fn last(&self, connection: &mut Connection) -> Result<u64, Failure> {
        let response = connection.ask(&self.get(), "Connection: close\r\n", "")?;
        let response = self.expect_whole(response)?;
        if !response.closes() {
            return Err(format!("{}: wanted Connection: close: {response}", self.path).into());
        }
        match connection.respond(false) {
            Ok(more) => Err(format!("wanted the end, got {more}").into()),
            Err(end) if end.to_string().contains("the server closed") => Ok(1),
            Err(other) => Err(format!("wanted a clean end: {other}").into()),
        }
    }
}
