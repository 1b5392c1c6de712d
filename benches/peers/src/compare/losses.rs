//! Scenarios in which others are better, by the figures.

use std::fmt::Write;

use crate::budgets;
use crate::figures::Figures;
use crate::scenarios::{FLOOR, Section, all as scenarios};
use crate::tables::{grouped, ours};

/// Latencies in a closed loop differ by as much from run to run.
const LATENCY_MARGIN: f64 = 1.2;

/// A list of all that we lose, or a line that there is nothing.
pub(crate) fn list(figures: &Figures) -> String {
    let mut text = String::new();
    for scenario in scenarios() {
        if scenario.section != Section::Peers {
            continue;
        }
        let own = ours(&scenario);
        let key = scenario.unit.key;
        let Some(mine) = figures.spread(scenario.id, own, key) else {
            continue;
        };
        let my_p99 = figures.median(scenario.id, own, "p99_us");
        for peer in &scenario.contestants {
            if peer.name == FLOOR || peer.name.starts_with(crate::scenarios::OURS) {
                continue;
            }
            let (title, name) = (scenario.title, peer.name);
            if let Some(theirs) = figures.spread(scenario.id, name, key)
                && mine.median > theirs.median
            {
                let [mine_text, theirs_text] =
                    [mine, theirs].map(|spread| scenario.unit.print(spread.median));
                let ratio = mine.median / theirs.median;
                write!(
                    text,
                    "- {title}: {mine_text}, {name} {theirs_text} (**{ratio:.2}** of it)"
                )
                .ok();
                if mine.overlaps(&theirs) {
                    text.push_str("; their rounds overlap, so this may be chance");
                }
                text.push('\n');
            }
            if let (Some(mine), Some(theirs)) =
                (my_p99, figures.median(scenario.id, name, "p99_us"))
                && mine > LATENCY_MARGIN * theirs
            {
                let [mine, theirs] = [mine, theirs].map(|us| grouped(us.round()));
                writeln!(text, "- {title}, p99: {mine} µs, {name} {theirs} µs").ok();
            }
        }
    }
    for budget in budgets::all(figures) {
        if budget.is_met == Some(false) {
            writeln!(text, "- Over budget, {}", budget.line()).ok();
        }
    }
    if text.is_empty() {
        text.push_str("Nowhere in this run.\n");
    }
    text
}
