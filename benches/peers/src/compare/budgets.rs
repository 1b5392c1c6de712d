//! Our budgets, beside what was measured.

use std::fmt::Write;

use crate::figures::Figures;
use crate::scenarios::{CALM, FLOODED, FLOOR, OUR_SERVICE, OURS};
use crate::tables::{Series, grouped, series};

/// One budget.
pub(crate) struct Budget {
    what: &'static str,
    limit: String,
    measured: String,
    /// `None`: it was not measured.
    pub(crate) is_met: Option<bool>,
}

impl Budget {
    /// A figure that is to be no more than a limit.
    fn new(
        what: &'static str,
        limit: f64,
        figure: Option<f64>,
        text: impl Fn(f64) -> String,
    ) -> Self {
        Self {
            what,
            limit: format!("≤ {}", text(limit)),
            measured: figure.map_or_else(|| "-".to_owned(), &text),
            is_met: figure.map(|figure| figure <= limit),
        }
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {}, the budget is {}",
            self.what, self.measured, self.limit
        )
    }
}

pub(crate) fn all(figures: &Figures) -> Vec<Budget> {
    let cpu = |scenario: &str, name: &str| {
        let floor = figures.median(scenario, FLOOR, "cpu_us")?;
        Some(figures.median(scenario, name, "cpu_us")? / floor)
    };
    let of_floor = |ratio: f64| format!("{ratio:.2} of the floor");
    let bytes = |bytes: f64| format!("{} bytes", grouped(bytes));
    let percent = |percent: f64| format!("{percent:.2} % of a core");
    let ms = |ms: f64| format!("{ms:.0} ms");
    let p99 = |name| figures.median("login-flood", name, "p99_us");
    let memory = |scenario| figures.median(scenario, OURS, "rss_each");
    let mut budgets = vec![
        Budget::new(
            "memory of an idle WebSocket over TLS",
            4096.0,
            memory("idle-memory"),
            bytes,
        ),
        Budget::new(
            "the same after 1 MiB each way",
            5120.0,
            memory("idle-memory-carried"),
            bytes,
        ),
        Budget::new(
            "CPU of a request, answer of 13 bytes",
            1.15,
            cpu("request-13b", OUR_SERVICE),
            of_floor,
        ),
        Budget::new(
            "CPU of an echo of 64 bytes",
            1.15,
            cpu("echo-64b", OURS),
            of_floor,
        ),
        Budget::new(
            "CPU of a delivery to one of 500",
            1.2,
            cpu("broadcast-500", OURS),
            of_floor,
        ),
        Budget::new(
            "CPU of a full TLS 1.3 handshake",
            1.1,
            cpu("handshake", OURS),
            of_floor,
        ),
        Budget::new(
            "CPU with 10,000 idle connections",
            0.5,
            figures.median("idle-10000", OURS, "idle_cpu_percent"),
            percent,
        ),
        Budget::new(
            "p99 of a request while others log in",
            2.0,
            p99(FLOODED)
                .zip(p99(CALM))
                .map(|(flooded, calm)| flooded / calm),
            |ratio| format!("{ratio:.2} of the quiet one"),
        ),
        Budget::new(
            "start to the first byte served",
            100.0,
            figures.median("start", OURS, "start_ms"),
            ms,
        ),
    ];
    budgets.extend(of_growths(figures));
    budgets
}

fn of_growths(figures: &Figures) -> Vec<Budget> {
    let floors = series(figures, FLOOR);
    let of_one = |ours: &Series| {
        let floor = floors.iter().find(|floor| floor.title == ours.title);
        of_growth(ours, floor.and_then(Series::last_of_first))
    };
    series(figures, OURS).iter().map(of_one).collect()
}

/// Every figure is to be the same, give or take a tenth, with 100 and with 10,000 connections.
fn of_growth(series: &Series, floor: Option<f64>) -> Budget {
    let what = match series.title {
        "request" => "growth of a request, 100 to 10,000",
        "echo" => "growth of an echo",
        "delivery" => "growth of a delivery",
        "handshake" => "growth of a handshake",
        _ => "growth of idle memory",
    };
    let mut budget = Budget::new(what, 1.1, series.last_of_first(), |of| {
        format!("{of:.2} times")
    });
    if let Some(floor) = floor {
        write!(budget.measured, " (the floor {floor:.2})").ok();
    }
    budget
}

pub(crate) fn table(figures: &Figures) -> String {
    let mut text = "| | budget | measured | met |\n|---|---|---|---|\n".to_owned();
    for budget in all(figures) {
        let met = match budget.is_met {
            None => "-",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        let Budget {
            what,
            limit,
            measured,
            ..
        } = budget;
        writeln!(text, "| {what} | {limit} | {measured} | {met} |").ok();
    }
    text
}
