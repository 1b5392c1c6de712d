//! What was measured.

use std::fmt;
use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::client::Failure;
use crate::connection::Tally;

/// Ticks of proc(5) in a second: the same on every Linux that Rust's standard library knows.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time that processes had used at some moment, in all their threads.
pub(crate) struct Cpu<'a> {
    pids: &'a [u32],
    ticks: u64,
}

impl<'a> Cpu<'a> {
    pub(crate) fn of_processes(pids: &'a [u32]) -> Result<Self, Failure> {
        Ok(Self {
            pids,
            ticks: total_ticks(pids)?,
        })
    }

    /// What they have used since, in user and in kernel mode; `None` if there are none.
    pub(crate) fn since(&self) -> Result<Option<Duration>, Failure> {
        let ticks = total_ticks(self.pids)?.saturating_sub(self.ticks);
        let spent = Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Ok(Some(spent).filter(|_| !self.pids.is_empty()))
    }
}

fn total_ticks(pids: &[u32]) -> Result<u64, Failure> {
    pids.iter().copied().map(ticks).sum()
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

/// What one round brought.
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    /// Answers, parts of answers included.
    pub(crate) operations: f64,
    pub(crate) tally: Tally,
}

/// The figures of one round.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    operations: f64,
    rate: f64,
    bytes_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: Option<f64>,
    cpu_s_per_gb: Option<f64>,
}

impl Round {
    pub(crate) fn new(measured: Measured, cpu: Option<Duration>) -> Self {
        let Measured {
            elapsed,
            operations,
            tally:
                Tally {
                    mut latencies,
                    content_bytes,
                },
        } = measured;
        latencies.sort_unstable();
        let last = latencies.len().saturating_sub(1);
        let quantile_us = |percent: usize| {
            let latency = latencies.get(last * percent / 100);
            latency.map_or(f64::NAN, Duration::as_secs_f64) * 1e6
        };
        let cpu = cpu.map(|spent| spent.as_secs_f64());
        Self {
            operations,
            rate: operations / elapsed.as_secs_f64(),
            bytes_per_second: content_bytes as f64 / elapsed.as_secs_f64(),
            p50_us: quantile_us(50),
            p99_us: quantile_us(99),
            cpu_us: cpu.map(|seconds| seconds * 1e6 / operations),
            cpu_s_per_gb: cpu.map(|seconds| seconds * 1e9 / content_bytes as f64),
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
        let median_cpu = |figure: fn(&Round) -> f64| has_cpu.then(|| median(figure));
        Self {
            url,
            connections,
            depth,
            rounds: rounds.len(),
            median: Round {
                operations: rounds.iter().map(|round| round.operations).sum(),
                rate: median(|round| round.rate),
                bytes_per_second: median(|round| round.bytes_per_second),
                p50_us: median(|round| round.p50_us),
                p99_us: median(|round| round.p99_us),
                cpu_us: median_cpu(|round| round.cpu_us.unwrap_or(f64::NAN)),
                cpu_s_per_gb: median_cpu(|round| round.cpu_s_per_gb.unwrap_or(f64::NAN)),
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
            "bytes_per_second": self.median.bytes_per_second,
            "p50_us": self.median.p50_us,
            "p99_us": self.median.p99_us,
            "server_cpu_us": self.median.cpu_us,
            "server_cpu_s_per_gb": self.median.cpu_s_per_gb,
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
        let digits = if rate < 1000.0 { 2 } else { 0 };
        format!("| {title} | {rate:.digits$} | {p50_us:.0} | {p99_us:.0} | {cpu_us} |")
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let round = &self.median;
        writeln!(
            f,
            "{}, {} connections, depth {}, medians of {}",
            self.url, self.connections, self.depth, self.rounds
        )?;
        let figures = [
            ("op/s", Some(round.rate), 0),
            ("MB/s", Some(round.bytes_per_second / 1e6), 1),
            ("p50 µs", Some(round.p50_us), 0),
            ("p99 µs", Some(round.p99_us), 0),
            ("server µs/op", round.cpu_us, 2),
            ("server s/GB", round.cpu_s_per_gb, 3),
        ];
        for (title, ..) in figures {
            write!(f, "{title:>14}")?;
        }
        writeln!(f)?;
        for (_, figure, digits) in figures {
            match figure {
                Some(figure) => write!(f, "{figure:>14.digits$}")?,
                None => write!(f, "{:>14}", "-")?,
            }
        }
        writeln!(f)
    }
}
