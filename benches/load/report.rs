//! Measurements.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::args::Command;
use crate::client::{Failure, Memory};
use crate::connection::Tally;

/// Number of figures are in a line of the table.
const COLUMNS: usize = 6;

/// One number of a round.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// In JSON.
    key: String,
    /// In the table, where it is divided by `unit` and has so many digits.
    title: String,
    unit: f64,
    digits: usize,
    /// NaN where it is not known.
    value: f64,
}

impl Figure {
    pub(crate) fn new(key: &str, title: &str, value: f64) -> Self {
        Self {
            key: key.to_owned(),
            title: title.to_owned(),
            unit: 1.0,
            digits: 0,
            value,
        }
    }

    pub(crate) const fn with_digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    const fn in_unit(mut self, unit: f64) -> Self {
        self.unit = unit;
        self
    }
}

/// Results of one round.
pub(crate) struct Measured {
    elapsed: Duration,
    pub(crate) operations: f64,
    tally: Tally,
    /// Figures of this kind of load alone.
    pub(crate) more: Vec<Figure>,
}

impl Measured {
    /// `operations`: parts of them included.
    pub(crate) fn new(elapsed: Duration, operations: f64, tally: Tally) -> Result<Self, Failure> {
        if tally.responded == 0 && !tally.rejected.is_empty() {
            return Err(format!("all were refused, by status: {:?}", tally.rejected).into());
        }
        Ok(Self {
            elapsed,
            operations,
            tally,
            more: Vec::new(),
        })
    }

    /// All figures; `cpu` is what the server has used meanwhile.
    pub(crate) fn figures(self, cpu: Option<Duration>) -> Vec<Figure> {
        let Self {
            elapsed,
            operations,
            tally,
            more,
        } = self;
        let seconds = elapsed.as_secs_f64();
        let bytes = tally.content_bytes as f64;
        let cpu = cpu.map_or(f64::NAN, |spent| spent.as_secs_f64());
        // Nothing for nothing is no figure.
        let per = |sum: f64, count: f64| if count > 0.0 { sum / count } else { f64::NAN };
        let rate = operations / seconds;
        let flow = if bytes > 0.0 {
            bytes / seconds
        } else {
            f64::NAN
        };
        let mut figures = vec![
            Figure::new("operations", "operations", operations),
            Figure::new("rate", "op/s", rate).with_digits(if rate < 1000.0 { 2 } else { 0 }),
            Figure::new("bytes_per_second", "MB/s", flow)
                .in_unit(1e6)
                .with_digits(1),
            Figure::new("cpu_us", "server µs/op", per(cpu * 1e6, operations)).with_digits(2),
            Figure::new("cpu_s_per_gb", "server s/GB", per(cpu * 1e9, bytes)).with_digits(3),
            Figure::new("cpu_percent", "server CPU %", cpu * 100.0 / seconds).with_digits(1),
        ];
        let latencies = [
            ("p50_us", "p50 µs", tally.latencies.value_at_quantile(0.5)),
            ("p90_us", "p90 µs", tally.latencies.value_at_quantile(0.9)),
            ("p99_us", "p99 µs", tally.latencies.value_at_quantile(0.99)),
            (
                "p999_us",
                "p99.9 µs",
                tally.latencies.value_at_quantile(0.999),
            ),
            ("max_us", "max µs", tally.latencies.max()),
        ];
        figures.extend(latencies.map(|(key, title, value)| {
            let is_known = !tally.latencies.is_empty();
            Figure::new(
                key,
                title,
                if is_known {
                    value as f64 / 1e3
                } else {
                    f64::NAN
                },
            )
        }));
        if tally.never_begun > 0 {
            let count = tally.never_begun as f64;
            figures.push(Figure::new("never_begun", "never begun", count));
        }
        figures.extend(tally.rejected.iter().map(|(status, count)| {
            let (key, title) = (format!("status_{status}"), format!("refused {status}"));
            Figure::new(&key, &title, *count as f64)
        }));
        figures.extend(more);
        figures
    }
}

/// The medians of some rounds, and the server's memory.
pub(crate) struct Report<'a> {
    command: &'a Command,
    figures: Vec<Figure>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        command: &'a Command,
        rounds: &[Vec<Figure>],
        before: Option<Memory>,
        after: Option<Memory>,
    ) -> Self {
        let mut figures: Vec<Figure> = Vec::new();
        for figure in rounds.iter().flatten() {
            if figures.iter().any(|known| known.key == figure.key) {
                continue;
            }
            // What is not in a round was not in it: refusals.
            let mut values: Vec<f64> = rounds
                .iter()
                .map(|round| value(round, &figure.key))
                .collect();
            values.sort_unstable_by(f64::total_cmp);
            let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
            figures.push(Figure {
                value: median,
                ..figure.clone()
            });
        }
        let memory = [
            (
                "rss_before",
                "RSS before MiB",
                before.map(|memory| memory.resident),
            ),
            ("rss_peak", "RSS peak MiB", after.map(|memory| memory.peak)),
            (
                "rss_after",
                "RSS after MiB",
                after.map(|memory| memory.resident),
            ),
        ];
        figures.extend(memory.map(|(key, title, bytes)| {
            let bytes = bytes.map_or(f64::NAN, |bytes| bytes as f64);
            Figure::new(key, title, bytes)
                .in_unit(f64::from(1 << 20))
                .with_digits(2)
        }));
        if let Command::Slow(args) = command {
            let grown = after.zip(before).map_or(f64::NAN, |(after, before)| {
                after.resident as f64 - before.resident as f64
            });
            let each = grown / args.common.connections as f64;
            figures.push(Figure::new("rss_each", "RSS each B", each));
        }
        if let Command::Idle(_) = command {
            let percent = value(&figures, "cpu_percent");
            figures.push(Figure::new("idle_cpu_percent", "idle CPU %", percent).with_digits(2));
        }
        Self { command, figures }
    }

    pub(crate) fn json(&self) -> Value {
        let common = self.command.common();
        let mut line = Map::new();
        for (key, value) in [
            ("kind", json!(self.command.kind())),
            ("url", json!(common.url)),
            ("connections", json!(common.connections)),
            ("depth", json!(self.command.depth())),
            ("bytes", json!(self.command.bytes())),
            ("seconds", json!(common.seconds)),
            ("rounds", json!(common.rounds.max(1))),
            ("loop", json!(self.way())),
            ("rate_wanted", json!(self.command.rate())),
        ] {
            line.insert(key.to_owned(), value);
        }
        for figure in &self.figures {
            line.insert(figure.key.clone(), json!(figure.value));
        }
        Value::Object(line)
    }

    pub(crate) fn row(&self, title: &str) -> String {
        let rate = value(&self.figures, "rate");
        let cpu_us = value(&self.figures, "cpu_us");
        let cpu_us = match cpu_us.is_nan() {
            true => "-".to_owned(),
            false => format!("{cpu_us:.2}"),
        };
        let [p50_us, p99_us] = ["p50_us", "p99_us"].map(|key| value(&self.figures, key));
        let digits = if rate < 1000.0 { 2 } else { 0 };
        format!("| {title} | {rate:.digits$} | {p50_us:.0} | {p99_us:.0} | {cpu_us} |")
    }

    /// Returns `true` for a row that a table of this kind of load is better without.
    fn is_moot(&self, key: &str) -> bool {
        let moot: &[&str] = match self.command {
            Command::Idle(_) => &["operations", "rate", "cpu_percent"],
            Command::Logins(_) => &["bytes_per_second", "cpu_s_per_gb"],
            Command::Slow(_) => &["operations", "rate", "cpu_us"],
            _ => &[],
        };
        moot.contains(&key)
    }

    fn way(&self) -> Option<&'static str> {
        match self.command {
            Command::Idle(_) | Command::Slow(_) => None,
            _ if self.command.rate().is_some() => Some("open"),
            _ => Some("closed"),
        }
    }
}

fn value(figures: &[Figure], key: &str) -> f64 {
    let figure = figures.iter().find(|figure| figure.key == key);
    figure.map_or(f64::NAN, |figure| figure.value)
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let common = self.command.common();
        write!(f, "{} {}, ", self.command.kind(), common.url)?;
        write!(f, "{} connections", common.connections)?;
        if self.command.depth() > 1 {
            write!(f, ", depth {}", self.command.depth())?;
        }
        match (self.way(), self.command.rate()) {
            (Some(_), Some(rate)) => write!(f, ", open loop at {rate}/s, latency from when due")?,
            (Some(_), None) => f.write_str(", closed loop: a slow server is asked less")?,
            (None, _) => {}
        }
        let rounds = common.rounds.max(1);
        writeln!(f, "; median of {rounds} x {} s", common.seconds)?;
        let known: Vec<_> = self
            .figures
            .iter()
            .filter(|one| !one.value.is_nan() && !self.is_moot(&one.key))
            .collect();
        for line in known.chunks(COLUMNS) {
            for figure in line {
                write!(f, "{:>16}", figure.title)?;
            }
            writeln!(f)?;
            for Figure {
                value,
                unit,
                digits,
                ..
            } in line
            {
                write!(f, "{:>16.digits$}", value / unit)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
