//! Stored counts: a line for each operation, behind lines that name the tools.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::client::Failure;

/// Its path, from the folder of the package.
pub(crate) const PATH: &str = "benches/instructions/baseline.txt";

const TITLE: &str =
    "# Instructions for one of each operation. Written by `make instructions-update`.\n";

/// Counts by name, and what they were counted with.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    pub(crate) tools: Vec<String>,
    pub(crate) counts: BTreeMap<String, f64>,
}

impl Baseline {
    /// That which is stored; nothing, if nothing is.
    pub(crate) fn read() -> Result<Self, Failure> {
        match fs::read_to_string(file()) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{PATH}: {error}").into()),
        }
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let mut baseline = Self::default();
        for line in text.strip_prefix(TITLE).unwrap_or(text).lines() {
            if let Some(tool) = line.strip_prefix("# ") {
                baseline.tools.push(tool.to_owned());
                continue;
            }
            let (name, count) = line
                .split_once(' ')
                .ok_or_else(|| format!("{PATH}: not a name and a count: {line}"))?;
            let count = count.trim().parse();
            let count = count.map_err(|_| format!("{PATH}: not a count: {line}"))?;
            baseline.counts.insert(name.to_owned(), count);
        }
        Ok(baseline)
    }

    /// Stores it in place of what is stored.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let mut text = TITLE.to_owned();
        for tool in &self.tools {
            writeln!(text, "# {tool}")?;
        }
        for (name, count) in &self.counts {
            writeln!(text, "{name:<28}{count:>12.1}")?;
        }
        fs::write(file(), text).map_err(|error| format!("{PATH}: {error}").into())
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(PATH)
}
