//! Runs the load generator on core 1.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::place::Place;
use crate::scenarios::{Beside, Scenario};
use crate::servers::{Running, end, pinned};

/// Results of one turn: the load's own report.
pub(crate) type Sample = BTreeMap<String, Value>;

/// Time by which a turn may take longer than it is meant to.
const PATIENCE: Duration = Duration::from_secs(90);

/// One turn of one server, which has something else to do meanwhile if `beside` says so.
pub(crate) fn turn(
    load: &Path,
    place: &Place,
    scenario: &Scenario,
    url: &str,
    server: &Running,
    beside: Beside,
    seconds: u64,
) -> Result<Sample, Failure> {
    let mut crowd = match beside {
        Beside::Nothing => None,
        beside => Some(Crowd::gather(load, place, server, beside)?),
    };
    let mut command = pinned(1, load);
    command.args(scenario.arguments(url, seconds));
    command.arg("--trust").arg(place.cert());
    command.arg("--pid").arg(server.pid.to_string());
    command.args(["--rounds", "1", "--json"]);
    let limit = Duration::from_secs(seconds) + PATIENCE;
    let result = finish(command, limit);
    if let Some(crowd) = &mut crowd
        && let Ok(Some(_)) = crowd.0.try_wait()
    {
        return Err("the others did not stay".into());
    }
    result
}

/// Runs to the end, or to the limit, and reads the report.
fn finish(mut command: Command, limit: Duration) -> Result<Sample, Failure> {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > limit {
            end(&mut child);
            return Err(format!("the load has not ended in {} s", limit.as_secs()).into());
        }
        thread::sleep(Duration::from_millis(20));
    };
    let mut report = String::new();
    let mut said = String::new();
    if let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) {
        stdout.read_to_string(&mut report)?;
        stderr.read_to_string(&mut said)?;
    }
    if !status.success() {
        let line = said.lines().last().unwrap_or("it said nothing");
        return Err(format!("the load has failed: {line}").into());
    }
    let line = report
        .lines()
        .last()
        .ok_or("the load has reported nothing")?;
    let sample: Sample = serde_json::from_str(line)?;
    Ok(sample)
}

/// Connections beside those that are measured.
struct Crowd(Child);

impl Crowd {
    fn gather(
        load: &Path,
        place: &Place,
        server: &Running,
        beside: Beside,
    ) -> Result<Self, Failure> {
        let others = beside.connections();
        let at = format!("localhost:{}", server.port);
        let mut command = pinned(1, load);
        match beside {
            Beside::Logins(_) => {
                command.args(["logins", &format!("https://{at}/login"), "--register"])
            }
            Beside::Nothing | Beside::Idle(_) => command.args(["idle", &format!("wss://{at}/")]),
        };
        command
            .args(["--seconds", "600", "--connections"])
            .arg(others.to_string())
            .arg("--trust")
            .arg(place.cert());
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut crowd = Self(command.spawn()?);
        let begun = Instant::now();
        while open_files(server.pid)? < others {
            if crowd.0.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                return Err("the others could not connect".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        // The last of them are still at their handshake.
        thread::sleep(Duration::from_millis(500));
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn open_files(pid: u32) -> Result<usize, Failure> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
