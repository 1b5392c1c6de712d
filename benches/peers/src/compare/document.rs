//! Writes docs/benchmarks.md and its plots. What is written by hand is in docs/benchmarks-notes.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::figures::Figures;
use crate::scenarios::{Scenario, Section, all as scenarios};
use crate::tables::grouped;
use crate::{Failure, budgets, losses, plots, tables};

const HEAD: &str = "\
# Benchmarks

Made by `make bench-peers`: do not edit, it is overwritten. Notes on parts, the timer wheel, system calls and rooms are in
[benchmarks-notes.md](benchmarks-notes.md), load tests by hand in [load-testing.md](load-testing.md).

    make bench-peers                                          all of this, in less than 20 minutes
    make bench-peers ARGS='--only echo --rounds 5 --seconds 5'   some of it; prints tables and writes no document
    make bench-peers ARGS=--list                              what there is
    make bench-peers ARGS=--builds                            also how long builds take, which takes minutes more

";

const METHOD: &str = "\
- Every server has one thread or worker and is pinned to core 0, the load to core 1 of the same machine. In every round each
  server has its turn, after a warm-up of a second; a figure is the median of the rounds, beside it the least and the most.
- The figure to compare is the processor time, user and system, that the server's process takes for an operation, from proc(5).
  Rates and latencies are those of a closed loop: the client waits for each answer, and its own speed is in them. An operation
  with 16 under way is one of 16 on the same connection.
- TLS 1.3 with AES-128-GCM and the same ECDSA P-256 certificate for all. Session tickets are on everywhere.
- *floor* is `benches/floor`: an epoll loop with the same TLS and the same system calls, and no protocol above.
- *edgeloop* is the server for files, `examples/ws_echo` for echo, and a room on the library for broadcast; *edgeloop (service)* is
  the smallest service on the library, `benches/hello.rs`, and the one to set beside the others' 13-byte answer. *hyper* is
  `benches/peers/src/hyper` (tokio's current-thread runtime, tokio-rustls, WebSockets by fastwebsockets or tokio-tungstenite),
  *nginx* has `benches/peers/nginx.conf`, *bun* runs `benches/peers/bun.js`, which is uWebSockets under JavaScript.
- Memory is what the server's resident set grew by for each connection.

";

pub(crate) fn write(root: &Path, figures: &Figures) -> Result<(), Failure> {
    let folder = root.join("docs/benchmarks");
    let plots = plots::draw(figures, &folder)?;
    let mut text = HEAD.to_owned();
    let (rounds, seconds) = (figures.rounds, figures.seconds);
    writeln!(
        text,
        "The run of {}: rounds {rounds}, of {seconds} s each, {} minutes in all; some scenarios have fewer rounds.",
        figures.date,
        figures.took_s.div_ceil(60)
    )?;
    if is_noisy(figures) {
        text.push_str(
            "**The run was short or the machine busy: differences below 20 % are noise.**\n",
        );
    }
    let failures = figures.failures();
    if !failures.is_empty() {
        text.push_str("\nNot all could be measured:\n\n");
        for line in failures {
            writeln!(text, "- {line}")?;
        }
    }
    write!(text, "\n## Where we lose\n\n{}", losses::list(figures))?;
    write!(text, "\n## Budgets\n\n{}", budgets::table(figures))?;
    text.push_str("\nWhat a p99 is during other floods, of writes too, is what `make soak` and `make attacks` measure.\n");
    text.push_str("\n## How it is measured\n\n");
    text.push_str(METHOD);
    text.push_str(&two_columns("machine", &figures.machine));
    text.push('\n');
    text.push_str(&two_columns("version", &figures.versions));
    text.push_str("\n## Beside the others\n");
    for (title, file) in plots.iter().filter(|(_, file)| file != "growth.svg") {
        write!(text, "\n![{title}](benchmarks/{file})\n")?;
    }
    let is_in = |section| move |scenario: &&Scenario| scenario.section == section;
    for scenario in scenarios().iter().filter(is_in(Section::Peers)) {
        text.push_str(&tables::one(figures, scenario));
    }
    text.push_str("\n## Log and metrics\n");
    for scenario in scenarios().iter().filter(is_in(Section::Paired)) {
        text.push_str(&tables::one(figures, scenario));
    }
    text.push_str("\n## While others log in\n");
    for scenario in scenarios().iter().filter(is_in(Section::Floods)) {
        text.push_str(&tables::one(figures, scenario));
    }
    text.push_str("\n## With more connections\n\nOf edgeloop. Handshakes are made beside so many idle connections.\n");
    text.push_str(&tables::growth(figures));
    if plots.iter().any(|(_, file)| file == "growth.svg") {
        text.push_str("\n![Growth](benchmarks/growth.svg)\n");
    }
    text.push_str(&sizes(figures)?);
    fs::write(root.join("docs/benchmarks.md"), text)?;
    Ok(())
}

/// Few rounds, or something else that ran.
fn is_noisy(figures: &Figures) -> bool {
    let averages = figures.machine.get("load average before it");
    let last = averages.and_then(|averages| averages.split(',').next()?.parse::<f64>().ok());
    figures.rounds < 3 || last.is_some_and(|last| last > 1.0)
}

fn two_columns(title: &str, entries: &BTreeMap<String, String>) -> String {
    let mut text = format!("| {title} | |\n|---|---|\n");
    for (name, value) in entries {
        text.push_str(&format!("| {name} | {value} |\n"));
    }
    text
}

fn sizes(figures: &Figures) -> Result<String, Failure> {
    let mut text =
        "\n## Sizes and builds\n\n| executable | bytes | stripped |\n|---|---|---|\n".to_owned();
    for (name, size) in &figures.sizes {
        let bytes = |bytes: u64| grouped(bytes as f64);
        let stripped = size.stripped_bytes.map_or_else(|| "-".to_owned(), bytes);
        writeln!(text, "| {name} | {} | {stripped} |", bytes(size.bytes))?;
    }
    let builds = &figures.builds;
    if !builds.seconds.is_empty() {
        write!(
            text,
            "\nFrom nothing, `cargo build --release`, on {}:\n\n",
            builds.date
        )?;
        text.push_str("| built | seconds |\n|---|---|\n");
        for (what, seconds) in &builds.seconds {
            writeln!(text, "| {what} | {seconds:.0} |")?;
        }
    }
    Ok(text)
}
