//! Figures, as they are kept in figures.json.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

/// All of one run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) date: String,
    pub(crate) rounds: u64,
    pub(crate) seconds: u64,
    pub(crate) took_s: u64,
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) versions: BTreeMap<String, String>,
    /// Servers that could not be had, and why.
    pub(crate) missing: BTreeMap<String, String>,
    pub(crate) scenarios: BTreeMap<String, Scenario>,
    /// Bytes of executables, stripped and not.
    pub(crate) sizes: BTreeMap<String, Size>,
    #[serde(default)]
    pub(crate) builds: Builds,
}

/// One scenario.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// Command line of the load.
    pub(crate) command: String,
    pub(crate) servers: BTreeMap<String, Measured>,
}

/// One server in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Reports of the load, for each round.
    pub(crate) samples: Vec<BTreeMap<String, Value>>,
    /// Why rounds are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) stripped_bytes: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Builds {
    pub(crate) date: String,
    /// Seconds, by what was built.
    pub(crate) seconds: BTreeMap<String, f64>,
}

/// The middle one of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figures {
    /// Puts scenarios of a later run in place of these, and notes when that was.
    pub(crate) fn replace(&mut self, later: Self) {
        let names: Vec<&str> = later.scenarios.keys().map(String::as_str).collect();
        let names = names.join(", ");
        let version = later.versions.get("edgeloop");
        let version = version.map(String::as_str).unwrap_or_default();
        let note = format!("{}, edgeloop {version}: {names}", later.date);
        self.machine.insert("measured later".to_owned(), note);
        self.scenarios.extend(later.scenarios);
    }
}

impl Measured {
    /// Of one figure over all rounds that have it.
    pub(crate) fn spread(&self, key: &str) -> Option<Spread> {
        let figures = self.samples.iter();
        let figures = figures.filter_map(|sample| sample.get(key).and_then(Value::as_f64));
        Spread::of(figures.collect())
    }

    pub(crate) fn median(&self, key: &str) -> Option<f64> {
        self.spread(key).map(|spread| spread.median)
    }
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let upper = *figures.get(middle)?;
        let median = if figures.len() % 2 == 1 {
            upper
        } else {
            f64::midpoint(upper, *figures.get(middle.checked_sub(1)?)?)
        };
        Some(Self { median, min, max })
    }

    /// Returns `true` if two sets of figures have a value in common: then which is lower is not certain.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

impl Figures {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("no figures of a full run to read: {error}"))?;
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(fs::write(path, text)?)
    }

    pub(crate) fn measured(&self, scenario: &str, server: &str) -> Option<&Measured> {
        self.scenarios.get(scenario)?.servers.get(server)
    }

    pub(crate) fn spread(&self, scenario: &str, server: &str, key: &str) -> Option<Spread> {
        self.measured(scenario, server)?.spread(key)
    }

    pub(crate) fn median(&self, scenario: &str, server: &str, key: &str) -> Option<f64> {
        self.spread(scenario, server, key)
            .map(|spread| spread.median)
    }

    /// A line for each server that is missing and each run that failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        let missing = self.missing.iter();
        let mut lines: Vec<String> = missing
            .map(|(server, why)| format!("{server} is left out: {why}"))
            .collect();
        for (id, scenario) in &self.scenarios {
            for (server, measured) in &scenario.servers {
                if let Some(why) = &measured.failed {
                    let rounds = measured.samples.len();
                    lines.push(format!(
                        "{id}, {server}, a round has failed ({rounds} have not): {why}"
                    ));
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_is_in_the_middle() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of(vec![4.0, 1.0]).unwrap().median, 2.5);
        assert!(Spread::of(Vec::new()).is_none());
    }
}
