//! The figures as Markdown tables.

use std::fmt::Write;

use crate::figures::{Figures, Spread};
use crate::scenarios::{CALM, FLOOR, Kind, OUR_SERVICE, OURS, Scenario, Section, all as table};

/// The name under which we take part in a scenario.
pub(crate) fn ours(scenario: &Scenario) -> &'static str {
    let is_service = |c: &crate::scenarios::Contestant| c.name == OUR_SERVICE;
    match scenario.contestants.iter().any(is_service) {
        true => OUR_SERVICE,
        false => OURS,
    }
}

/// A table for each scenario that was run, in order, and those of growth as one.
pub(crate) fn all(figures: &Figures) -> String {
    let mut text = String::new();
    for scenario in table() {
        if !figures.scenarios.contains_key(scenario.id) {
            continue;
        }
        match scenario.section {
            Section::Peers | Section::Paired | Section::Floods => {
                text.push_str(&one(figures, &scenario));
            }
            Section::Growth(_) => {}
        }
    }
    text.push_str(&growth(figures));
    text
}

/// One scenario: its title, how it was run, and a row for each server.
pub(crate) fn one(figures: &Figures, scenario: &Scenario) -> String {
    let Some(outcome) = figures.scenarios.get(scenario.id) else {
        return String::new();
    };
    let mut text = format!("\n### {}\n\n    {}\n\n", scenario.title, outcome.command);
    let has_latency = !matches!(scenario.kind, Kind::Start | Kind::Idle { .. });
    let mut head = format!("| | {} | min..max |", scenario.unit.title);
    let mut rule = "|---|---|---|".to_owned();
    let has_floor = scenario.contestants.iter().any(|c| c.name == FLOOR);
    if has_floor {
        head.push_str(" of the floor |");
        rule.push_str("---|");
    }
    let is_flood = scenario.section == Section::Floods;
    head.push_str(match is_flood {
        true => " of the quiet one |",
        false => " edgeloop of it |",
    });
    rule.push_str("---|");
    if has_latency {
        head.push_str(" a second | p50 µs | p99 µs |");
        rule.push_str("---|---|---|");
    }
    text.push_str(&format!("{head}\n{rule}\n"));
    let key = scenario.unit.key;
    let floor = figures.median(scenario.id, FLOOR, key);
    let base = match is_flood {
        true => figures.median(scenario.id, CALM, key),
        false => figures.median(scenario.id, ours(scenario), key),
    };
    for contestant in &scenario.contestants {
        let Some(measured) = outcome.servers.get(contestant.name) else {
            continue;
        };
        let Some(spread) = measured.spread(key) else {
            let why = measured.failed.as_deref().unwrap_or("no figure");
            text.push_str(&format!("| {} | {why} |\n", contestant.name));
            continue;
        };
        let mut row = format!("| {} | {} |", contestant.name, range(scenario, spread));
        if has_floor {
            row.push_str(&ratio(Some(spread.median), floor));
        }
        row.push_str(&match is_flood {
            true => ratio(Some(spread.median), base),
            false => ratio(base, Some(spread.median)),
        });
        if has_latency {
            let rate = measured.median("rate");
            row.push_str(&format!(" {} |", rate.map_or_else(dash, rate_text)));
            for key in ["p50_us", "p99_us"] {
                let us = measured.median(key);
                row.push_str(&format!(
                    " {} |",
                    us.map_or_else(dash, |us| grouped(us.round()))
                ));
            }
        }
        text.push_str(&format!("{row}\n"));
    }
    text
}

fn range(scenario: &Scenario, spread: Spread) -> String {
    let number = |figure| match scenario.unit.key {
        "rss_each" => grouped(figure),
        _ => scenario.unit.number(figure),
    };
    let Spread { median, min, max } = spread;
    format!("{} | {}..{}", number(median), number(min), number(max))
}

fn ratio(figure: Option<f64>, base: Option<f64>) -> String {
    match (figure, base) {
        (Some(figure), Some(base)) if base > 0.0 => format!(" {:.2} |", figure / base),
        _ => " - |".to_owned(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn rate_text(rate: f64) -> String {
    if rate < 100.0 {
        format!("{rate:.1}")
    } else {
        grouped(rate.round())
    }
}

/// A whole number with commas.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    if number < 0.0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One series of growth: what it is of, whose, and the median for each number of connections.
pub(crate) struct Series {
    pub(crate) title: &'static str,
    pub(crate) server: &'static str,
    pub(crate) points: Vec<Point>,
}

pub(crate) struct Point {
    pub(crate) connections: usize,
    pub(crate) figure: f64,
    pub(crate) text: String,
}

impl Series {
    /// The figure with the most connections over that with the fewest.
    pub(crate) fn last_of_first(&self) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        (self.points.len() > 1 && first.figure > 0.0).then(|| last.figure / first.figure)
    }
}

/// All series of a server of which there are figures.
pub(crate) fn series(figures: &Figures, server: &'static str) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for scenario in table() {
        let Section::Growth(title) = scenario.section else {
            continue;
        };
        let Some(figure) = figures.median(scenario.id, server, scenario.unit.key) else {
            continue;
        };
        let point = Point {
            connections: scenario.connections.max(scenario.beside().connections()),
            figure,
            text: scenario.unit.print(figure),
        };
        match all.iter_mut().find(|series| series.title == title) {
            Some(series) => series.points.push(point),
            None => all.push(Series {
                title,
                server,
                points: vec![point],
            }),
        }
    }
    all
}

/// Growth of our figures and of the floor's with the number of connections.
pub(crate) fn growth(figures: &Figures) -> String {
    let mut all = series(figures, OURS);
    all.extend(series(figures, FLOOR));
    // By what they are of, in their order.
    let titles: Vec<_> = all.iter().map(|series| series.title).collect();
    all.sort_by_key(|series| titles.iter().position(|title| *title == series.title));
    if all.is_empty() {
        return String::new();
    }
    let mut text =
        "\n| connections | 100 | 1,000 | 10,000 | last of first |\n|---|---|---|---|---|\n"
            .to_owned();
    for series in &all {
        write!(text, "| {}, {} |", series.title, series.server).ok();
        for connections in [100, 1_000, 10_000] {
            let point = series.points.iter().find(|p| p.connections == connections);
            write!(text, " {} |", point.map_or("-", |point| &point.text)).ok();
        }
        let growth = series.last_of_first();
        writeln!(
            text,
            " {} |",
            growth.map_or_else(dash, |of| format!("{of:.2}"))
        )
        .ok();
    }
    for (id, scenario) in &figures.scenarios {
        let is_growth =
            crate::scenarios::named(id).is_some_and(|s| matches!(s.section, Section::Growth(_)));
        for (server, measured) in &scenario.servers {
            if let Some(why) = measured.failed.as_ref().filter(|_| is_growth) {
                writeln!(text, "\n{id}, {server}: {why}").ok();
            }
        }
    }
    text
}
