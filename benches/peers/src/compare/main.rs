//! Runs edgeloop, its peers and the floor under the same load in turn, and writes docs/benchmarks.md.
//!
//! ```text
//! compare                                     everything; writes the document
//! compare --only echo --rounds 5 --seconds 5  some scenarios; prints their tables
//! compare --list
//! compare --render                            the document again, from the figures of the last full run
//! ```

mod budgets;
mod document;
mod figures;
mod load;
mod losses;
mod machine;
mod place;
mod plots;
mod programs;
mod run;
mod scenarios;
mod servers;
mod sizes;
mod start;
mod tables;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::figures::Figures;
use self::run::Run;

type Failure = Box<dyn Error + Send + Sync>;

/// Compares edgeloop with hyper, nginx, Bun and the floor: server on core 0, load on core 1, in turn.
#[derive(Debug, Parser)]
struct Args {
    /// Only scenarios with this in their name; may be given several times. Writes no document.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Only servers with this in their name; may be given several times. Writes no document.
    #[arg(long, value_name = "PART")]
    server: Vec<String>,
    /// Number of turns of each server.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Seconds of each turn, after a warm-up of one.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Names the scenarios and the servers of each.
    #[arg(long)]
    list: bool,
    /// Also builds everything from nothing, twice, to say how long that takes.
    #[arg(long)]
    builds: bool,
    /// Builds ours with this profile of cargo: dev is quick to build, and nothing to measure. Writes no
    /// document unless it is release.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Puts what `--only` has measured into the document, in place of what the last full run has of that.
    #[arg(long, requires = "only", conflicts_with_all = ["server", "profile"])]
    keep: bool,
    /// Runs nothing, and writes the document from the figures of the last full run.
    #[arg(long, conflicts_with_all = ["only", "server", "list", "builds"])]
    render: bool,
}

impl Args {
    fn is_partial(&self) -> bool {
        !self.only.is_empty() || !self.server.is_empty() || self.profile != "release"
    }
}

/// The folder of the main package.
fn root() -> Result<PathBuf, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Ok(root.canonicalize()?)
}

fn main() -> ExitCode {
    match compare(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<ExitCode, Failure> {
    let scenarios = scenarios::chosen(&args.only, &args.server);
    if args.list {
        for scenario in &scenarios {
            let servers: Vec<&str> = scenario.contestants.iter().map(|c| c.name).collect();
            println!("{:<22} {}", scenario.id, servers.join(", "));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let root = root()?;
    let kept = root.join("docs/benchmarks/figures.json");
    if args.render {
        document::write(&root, &Figures::read(&kept)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if scenarios.is_empty() {
        return Err("no scenario of that name: see --list".into());
    }
    let mut figures = Run::new(&root, args)?.all(&scenarios)?;
    // Builds take minutes and are seldom asked for: those of an earlier run stand, with their date.
    if args.builds {
        figures.builds = sizes::builds(&root)?;
    } else if let Ok(earlier) = Figures::read(&kept) {
        figures.builds = earlier.builds;
    }
    if args.keep {
        let mut all = Figures::read(&kept)?;
        all.replace(figures);
        figures = all;
    }
    if args.is_partial() && !args.keep {
        let path = root.join("target/peers/figures.json");
        figures.write(&path)?;
        print!("{}", tables::all(&figures));
        println!("\nThe raw figures are in target/peers/figures.json.");
    } else {
        figures.write(&kept)?;
        document::write(&root, &figures)?;
        println!("Written: docs/benchmarks.md, docs/benchmarks/.");
    }
    let failed = figures.failures();
    for line in &failed {
        eprintln!("NOTE: {line}");
    }
    Ok(ExitCode::SUCCESS)
}
