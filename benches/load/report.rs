//! What was measured.

use std::fmt;
use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::client::Failure;

/// Ticks of proc(5) in a second: the same on every Linux that Rust's standard library knows.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time a process had used at some moment.
pub(crate) struct Cpu {
    pid: u32,
    ticks: u64,
}

impl Cpu {
    pub(crate) fn of_process(pid: u32) -> Result<Self, Failure> {
        Ok(Self {
            pid,
            ticks: ticks(pid)?,
        })
    }

    /// What it has used since, in user and in kernel mode.
    pub(crate) fn since(&self) -> Result<Duration, Failure> {
        let ticks = ticks(self.pid)?.saturating_sub(self.ticks);
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }
}

/// Fields 14 and 15 of the line, utime and stime; the second field may hold spaces and ends with
/// the last parenthesis.
fn ticks(pid: u32) -> Result<u64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no process name")?;
    let mut fields = rest.split_whitespace().skip(11);
    match (fields.next(), fields.next()) {
        (Some(user), Some(system)) => Ok(user.parse::<u64>()? + system.parse::<u64>()?),
        _ => Err("no processor times".into()),
    }
}

/// The figures of one round.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    operations: usize,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: Option<f64>,
}

impl Round {
    pub(crate) fn new(
        mut latencies: Vec<Duration>,
        elapsed: Duration,
        cpu: Option<Duration>,
    ) -> Self {
        latencies.sort_unstable();
        let count = latencies.len();
        let quantile_us = |percent: usize| {
            let latency = latencies.get(count.saturating_sub(1) * percent / 100);
            latency.map_or(0.0, Duration::as_secs_f64) * 1e6
        };
        let operations = count as f64;
        Self {
            operations: count,
            rate: operations / elapsed.as_secs_f64(),
            p50_us: quantile_us(50),
            p99_us: quantile_us(99),
            cpu_us: cpu.map(|spent| spent.as_secs_f64() * 1e6 / operations),
        }
    }
}

/// The medians of some rounds.
pub(crate) struct Report<'a> {
    url: &'a str,
    connections: usize,
    depth: usize,
    rounds: usize,
    median: Round,
}

impl<'a> Report<'a> {
    pub(crate) fn new(url: &'a str, connections: usize, depth: usize, rounds: &[Round]) -> Self {
        let median = |figure: fn(&Round) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_unstable_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let has_cpu = rounds.iter().all(|round| round.cpu_us.is_some());
        Self {
            url,
            connections,
            depth,
            rounds: rounds.len(),
            median: Round {
                operations: rounds.iter().map(|round| round.operations).sum(),
                rate: median(|round| round.rate),
                p50_us: median(|round| round.p50_us),
                p99_us: median(|round| round.p99_us),
                cpu_us: has_cpu.then(|| median(|round| round.cpu_us.unwrap_or(f64::NAN))),
            },
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "url": self.url,
            "connections": self.connections,
            "depth": self.depth,
            "rounds": self.rounds,
            "operations": self.median.operations,
            "rate": self.median.rate,
            "p50_us": self.median.p50_us,
            "p99_us": self.median.p99_us,
            "server_cpu_us": self.median.cpu_us,
        })
    }

    pub(crate) fn row(&self, title: &str) -> String {
        let Round {
            rate,
            p50_us,
            p99_us,
            cpu_us,
            ..
        } = self.median;
        let cpu_us = cpu_us.map_or_else(|| "-".to_owned(), |cpu_us| format!("{cpu_us:.2}"));
        format!("| {title} | {rate:.0} | {p50_us:.0} | {p99_us:.0} | {cpu_us} |")
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Round {
            rate,
            p50_us,
            p99_us,
            cpu_us,
            ..
        } = self.median;
        let titles = ["op/s", "p50 µs", "p99 µs", "server µs/op"];
        writeln!(
            f,
            "{}, {} connections, depth {}, medians of {}",
            self.url, self.connections, self.depth, self.rounds
        )?;
        for title in titles {
            write!(f, "{title:>14}")?;
        }
        writeln!(f)?;
        write!(f, "{rate:>14.0}{p50_us:>14.0}{p99_us:>14.0}")?;
        match cpu_us {
            Some(cpu_us) => writeln!(f, "{cpu_us:>14.2}"),
            None => writeln!(f, "{:>14}", "-"),
        }
    }
}
