//! Number of instructions the operations of `benches/parts` take: `make instructions`
//!
//! ```text
//! cargo bench --bench instructions                    all, compared with baseline.txt
//! cargo bench --bench instructions -- --only tls      those with that in their name
//! cargo bench --bench instructions -- --update        and store them in baseline.txt
//! cargo bench --bench instructions -- run NAME COUNT  does one COUNT times, and counts nothing
//! ```
//!
//! Each operation is done in a process of its own under callgrind, once few and once many times: the
//! difference is what one takes, without what is done once.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "it prints what it counted, and an operation that fails has nothing to count"
)]

use edgeloop::invariant;
mod baseline;
mod callgrind;
#[path = "../client/mod.rs"]
mod client;
#[path = "../components/mod.rs"]
mod components;
mod operations;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::baseline::{Baseline, PATH};
use self::callgrind::Callgrind;
use self::client::Failure;
use self::operations::{OPERATIONS, Operation, Times};

/// Limit on the growth of an operation, in percent: compilers and hash seeds do not make that much.
const GROWTH_PERCENT_MAX: f64 = 3.0;

/// Counts the instructions of operations, and compares them with those stored.
#[derive(Debug, Parser)]
struct Args {
    /// Only the operations with this in their name.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Store what was counted as what to compare with.
    #[arg(long)]
    update: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    inside: Option<Inside>,
}

/// Operation of the driver under valgrind.
#[derive(Debug, Subcommand)]
enum Inside {
    /// Does an operation.
    Run {
        /// Its name.
        name: String,
        /// Number of times.
        count: u64,
    },
    /// Prints what instructions there seem to be.
    Features,
}

fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    match &args.inside {
        Some(Inside::Run { name, count }) => {
            let mut operations = OPERATIONS.iter();
            let operation = operations.find(|operation| operation.name == name);
            let operation = operation.ok_or_else(|| format!("there is no operation {name}"))?;
            (operation.run)(Times(*count));
            Ok(ExitCode::SUCCESS)
        }
        Some(Inside::Features) => {
            println!("{}", callgrind::features());
            Ok(ExitCode::SUCCESS)
        }
        None => drive(&args),
    }
}

fn drive(args: &Args) -> Result<ExitCode, Failure> {
    let only = args.only.as_deref().unwrap_or_default();
    let asked = OPERATIONS.iter().filter(|o| o.name.contains(only));
    let operations: Vec<&Operation> = asked.collect();
    if operations.is_empty() {
        return Err(format!("no operation has {only:?} in its name").into());
    }
    let callgrind = Callgrind::new()?;
    // Those under valgrind get what there is here.
    components::callback::allow_descriptors();
    let mut stored = Baseline::read()?;
    let tools = callgrind.tools()?;
    for (was, is) in stored
        .tools
        .iter()
        .zip(&tools)
        .filter(|(was, is)| was != is)
    {
        println!("NOTE: the baseline was counted with {was}, this is {is}");
    }
    let is_mixed = stored.tools != tools && !stored.counts.is_empty();
    if is_mixed && args.update && args.only.is_some() {
        return Err("the others were counted with something else: update all".into());
    }
    println!(
        "{:<28}{:>12}{:>12}{:>10}",
        "instructions", "baseline", "now", "change"
    );
    let mut grown = Vec::new();
    for operation in operations {
        let now = callgrind.count(operation)?;
        let before = stored.counts.insert(operation.name.to_owned(), now);
        let change = before.map(|before| (now / before - 1.0) * 100.0);
        println!(
            "{:<28}{:>12}{now:>12.1}{:>10}",
            operation.name,
            before.map_or_else(|| "-".to_owned(), |before| format!("{before:.1}")),
            change.map_or_else(|| "new".to_owned(), |change| format!("{change:+.2} %")),
        );
        if let Some(change) = change.filter(|change| *change > GROWTH_PERCENT_MAX) {
            grown.push(format!("{} by {change:.1} %", operation.name));
        }
    }
    if args.update {
        // What is no longer there is not looked for again.
        let known = |name: &str| OPERATIONS.iter().any(|operation| operation.name == name);
        stored.counts.retain(|name, _| known(name));
        stored.tools = tools;
        stored.write()?;
        println!("stored in {PATH}");
    } else if !grown.is_empty() {
        eprintln!(
            "more than {GROWTH_PERCENT_MAX} % more instructions: {}",
            grown.join(", ")
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
