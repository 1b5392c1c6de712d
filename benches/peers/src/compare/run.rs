//! The run: every scenario, every server in turn, round by round.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::figures::{Figures, Measured, Scenario as Outcome};
use crate::load::{self, Sample};
use crate::place::Place;
use crate::programs::Programs;
use crate::scenarios::{Contestant, Kind, Scenario};
use crate::servers::{Running, Started};
use crate::{Args, Failure, machine, sizes, start};

/// A server that has failed so often in a scenario is left out of its other rounds.
const FAILURES_MAX: u32 = 2;

/// All that a run needs.
pub(crate) struct Run<'a> {
    root: &'a Path,
    args: &'a Args,
    programs: Programs,
    place: Place,
}

impl<'a> Run<'a> {
    pub(crate) fn new(root: &'a Path, args: &'a Args) -> Result<Self, Failure> {
        let programs = Programs::get(root, &args.profile)?;
        let place = Place::new(programs.path("edgeloop")?)?;
        Ok(Self {
            root,
            args,
            programs,
            place,
        })
    }

    pub(crate) fn all(&self, scenarios: &[Scenario]) -> Result<Figures, Failure> {
        let mut figures = Figures {
            date: machine::date()?,
            rounds: self.args.rounds,
            seconds: self.args.seconds,
            machine: machine::describe()?,
            versions: machine::versions(self.root, &self.programs),
            missing: self.programs.missing(),
            sizes: sizes::executables(&self.programs, self.place.path()),
            ..Figures::default()
        };
        let mut progress = Progress::new(scenarios, self.args);
        for scenario in scenarios {
            let outcome = self.scenario(scenario, &mut progress);
            figures.scenarios.insert(scenario.id.to_owned(), outcome);
        }
        figures.took_s = progress.begun.elapsed().as_secs();
        figures
            .machine
            .insert("load average after it".to_owned(), machine::load_average()?);
        Ok(figures)
    }

    fn scenario(&self, scenario: &Scenario, progress: &mut Progress) -> Outcome {
        let mut servers: BTreeMap<String, Measured> = BTreeMap::new();
        // Servers stay for all rounds, but where what they begin with is what is measured.
        let mut running: BTreeMap<&str, Running> = BTreeMap::new();
        let mut failures: BTreeMap<&str, u32> = BTreeMap::new();
        for round in 1..=scenario.rounds(self.args.rounds) {
            for contestant in &scenario.contestants {
                let is_there = self.programs.path(contestant.server.program()).is_ok();
                let measured = servers.entry(contestant.name.to_owned()).or_default();
                let failures = failures.entry(contestant.name).or_default();
                if !is_there || *failures >= FAILURES_MAX {
                    progress.step(scenario, self.args.seconds, None);
                    continue;
                }
                let server = running.remove(contestant.name);
                let said = match self.turn(scenario, contestant, server) {
                    Ok((sample, server)) => {
                        if let Some(server) = server.filter(|_| !scenario.is_fresh()) {
                            running.insert(contestant.name, server);
                        }
                        let figure = sample.get(scenario.unit.key).and_then(Value::as_f64);
                        measured.samples.push(sample);
                        figure.map_or_else(|| "?".to_owned(), |f| scenario.unit.print(f))
                    }
                    Err(error) => {
                        *failures += 1;
                        let why = self.without_paths(&error.to_string());
                        let said = format!("FAILED: {why}");
                        measured.failed = Some(why);
                        said
                    }
                };
                let line = format!(
                    "{}, {}, round {round}: {said}",
                    scenario.id, contestant.name
                );
                progress.step(scenario, self.args.seconds, Some(&line));
            }
        }
        servers.retain(|_, measured| !measured.samples.is_empty() || measured.failed.is_some());
        Outcome {
            command: scenario.command(scenario.seconds(self.args.seconds)),
            servers,
        }
    }

    /// One turn of one server, which is started unless it runs. Also returns the server.
    fn turn(
        &self,
        scenario: &Scenario,
        contestant: &Contestant,
        server: Option<Running>,
    ) -> Result<(Sample, Option<Running>), Failure> {
        let (programs, place) = (&self.programs, &self.place);
        if scenario.kind == Kind::Start {
            return Ok((start::measure(contestant.server, programs, place)?, None));
        }
        let server = match server {
            Some(server) => server,
            None => Started::new(contestant.server, programs, place)?.ready()?,
        };
        let scheme = scenario.kind.scheme();
        let url = format!("{scheme}://localhost:{}{}", server.port, contestant.path);
        let seconds = scenario.seconds(self.args.seconds);
        let load = programs.path("load")?;
        let sample = load::turn(
            load,
            place,
            scenario,
            &url,
            &server,
            contestant.beside,
            seconds,
        )?;
        Ok((sample, Some(server)))
    }

    /// Leaves out the paths of this machine.
    fn without_paths(&self, text: &str) -> String {
        let root = self.root.display().to_string();
        let place = self.place.path().display().to_string();
        text.replace(&place, "FOLDER").replace(&root, ".")
    }
}

/// Says how far it is.
struct Progress {
    begun: Instant,
    done: u32,
    steps: u32,
    /// Expected duration of all steps, and of those that are done.
    expected: Duration,
    expected_done: Duration,
}

impl Progress {
    fn new(scenarios: &[Scenario], args: &Args) -> Self {
        let mut steps = 0;
        let mut expected = Duration::ZERO;
        for scenario in scenarios {
            let turns = scenario.turns(args.rounds);
            steps += turns;
            expected += scenario.expected(args.seconds) * turns;
        }
        eprintln!(
            "{steps} turns, about {} min",
            expected.as_secs().div_ceil(60)
        );
        Self {
            begun: Instant::now(),
            done: 0,
            steps,
            expected,
            expected_done: Duration::ZERO,
        }
    }

    /// One more turn is done, or left out.
    fn step(&mut self, scenario: &Scenario, seconds: u64, line: Option<&str>) {
        self.done += 1;
        match line {
            None => self.expected = self.expected.saturating_sub(scenario.expected(seconds)),
            Some(line) => {
                self.expected_done += scenario.expected(seconds);
                let pace = self.begun.elapsed().as_secs_f64() / self.expected_done.as_secs_f64();
                let left = self
                    .expected
                    .saturating_sub(self.expected_done)
                    .as_secs_f64()
                    * pace;
                let left = if left < 90.0 {
                    format!("{left:.0} s")
                } else {
                    format!("{:.0} min", left / 60.0)
                };
                eprintln!("[{:>3}/{}] {line}  ({left} left)", self.done, self.steps);
            }
        }
    }
}
