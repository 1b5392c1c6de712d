//! A look at the server's process from outside, and a hand on its limits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::Server;
use crate::support::deadline::PATIENCE;

/// Says why a test is not done here. Not by `println!`, which a passing test keeps to itself.
pub(crate) fn skip(why: &str) {
    let told = format!("SKIPPED: {why}\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}

/// Gives a running server another soft limit; gives the one it had.
pub(crate) fn limit(server: &Server, resource: Resource, soft: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(server.pid().try_into().unwrap());
    // Only the soft limit is in force, and the hard one is not to be lost.
    let maximum = hard_limit(server, resource);
    let limit = Rlimit {
        current: soft,
        maximum,
    };
    prlimit(pid, resource, limit).unwrap().current
}

fn hard_limit(server: &Server, resource: Resource) -> Option<u64> {
    let name = match resource {
        Resource::Nofile => "Max open files",
        Resource::Fsize => "Max file size",
        other => panic!("{other:?}"),
    };
    limits(server, name).1
}

/// The soft and the hard limit of a server, by their name in proc(5); `None` is unlimited.
pub(crate) fn limits(server: &Server, name: &str) -> (Option<u64>, Option<u64>) {
    let path = format!("/proc/{}/limits", server.pid());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut words = line.expect(name).split_whitespace();
    let mut next = || words.next().unwrap().parse().ok();
    (next(), next())
}

/// Targets of its descriptors, by their numbers.
pub(crate) fn descriptors(server: &Server) -> Vec<(u64, PathBuf)> {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let mut open: Vec<_> = folder
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            // It may be closed by now.
            Some((number, std::fs::read_link(&path).ok()?))
        })
        .collect();
    open.sort_unstable();
    open
}

/// A counter of a server without labels. `log` is what it has logged, with the address of its metrics.
pub(crate) fn metric(log: &str, name: &str) -> f64 {
    let (_, after) = log.split_once("metrics are at http://").expect(log);
    let (address, _) = after.split_once('/').unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).unwrap();
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect(name).trim().parse().unwrap()
}

/// Processor time it has used, in user and kernel mode.
pub(crate) fn cpu_time(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .map(|field: usize| fields[field].parse::<u64>().unwrap())
        .iter()
        .sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
