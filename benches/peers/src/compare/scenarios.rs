//! The scenarios, and the servers that take part in each.

mod table;

use std::time::Duration;

use crate::servers::Server;

pub(crate) use self::table::{CALM, FLOODED, FLOOR, OUR_SERVICE, OURS, all};

/// Kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Requests,
    /// So many requests in a second, whether or not there is an answer to those before: latencies count from
    /// when they are due.
    Paced {
        rate: usize,
    },
    Echo,
    Handshakes {
        resumed: bool,
    },
    Broadcast {
        rate: usize,
    },
    Idle {
        traffic_bytes: usize,
    },
    /// No load: from the start of the process to the first byte that is served.
    Start,
}

impl Kind {
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Echo | Self::Broadcast { .. } | Self::Idle { .. } => "wss",
            Self::Requests | Self::Paced { .. } | Self::Handshakes { .. } | Self::Start => "https",
        }
    }
}

/// The figure that counts: its name in the load's report, how it is called, and its decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) short: &'static str,
    digits: usize,
}

impl Unit {
    const CPU: Self = Self::new("cpu_us", "server CPU, µs per operation", "µs", 2);
    const CPU_PER_GB: Self = Self::new("cpu_s_per_gb", "server CPU, s per GB", "s/GB", 3);
    const MEMORY: Self = Self::new("rss_each", "resident memory, bytes per connection", "B", 0);
    const P99: Self = Self::new("p99_us", "p99 of a request, µs", "µs", 0);
    const START: Self = Self::new("start_ms", "start to first byte, ms", "ms", 1);

    const fn new(
        key: &'static str,
        title: &'static str,
        short: &'static str,
        digits: usize,
    ) -> Self {
        Self {
            key,
            title,
            short,
            digits,
        }
    }

    pub(crate) fn number(self, figure: f64) -> String {
        format!("{figure:.*}", self.digits)
    }

    pub(crate) fn print(self, figure: f64) -> String {
        format!("{} {}", self.number(figure), self.short)
    }
}

/// A server that takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contestant {
    /// As in tables and figures.json.
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) path: &'static str,
    pub(crate) beside: Beside,
}

/// Other work of its server meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// So many connections that are idle.
    Idle(usize),
    /// So many clients that log in, over and over.
    Logins(usize),
}

impl Beside {
    /// Number of connections that takes.
    pub(crate) const fn connections(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Idle(connections) | Self::Logins(connections) => connections,
        }
    }
}

/// Section that shows a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Peers,
    /// One of several that differ in the number of connections alone.
    Growth(&'static str),
    /// Ours beside ours.
    Paired,
    /// Ours beside ours, while something else goes on.
    Floods,
}

/// One scenario.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) section: Section,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) bytes: usize,
    /// Instead of what the command line says: what is enough here.
    seconds: Option<u64>,
    rounds_max: u64,
    pub(crate) contestants: Vec<Contestant>,
}

impl Scenario {
    pub(crate) fn seconds(&self, wanted: u64) -> u64 {
        self.seconds.unwrap_or(wanted)
    }

    pub(crate) fn rounds(&self, wanted: u64) -> u64 {
        wanted.min(self.rounds_max)
    }

    /// Returns `true` if each turn has a server of its own: what it begins with is what is measured.
    pub(crate) const fn is_fresh(&self) -> bool {
        matches!(self.kind, Kind::Idle { .. })
    }

    pub(crate) fn turns(&self, rounds: u64) -> u32 {
        let turns = self.rounds(rounds) * self.contestants.len() as u64;
        u32::try_from(turns).unwrap_or(u32::MAX)
    }

    /// The most that any of its servers has to do besides.
    pub(crate) fn beside(&self) -> Beside {
        let all = self.contestants.iter().map(|contestant| contestant.beside);
        all.max_by_key(|beside| beside.connections())
            .unwrap_or(Beside::Nothing)
    }

    /// Approximate duration of a turn.
    pub(crate) fn expected(&self, seconds: u64) -> Duration {
        let setup_ms = match self.kind {
            Kind::Start => return Duration::from_millis(700),
            Kind::Idle { .. } => 1_000,
            _ => 1_300,
        };
        let connections = (self.connections + self.beside().connections()) as u64;
        Duration::from_millis(self.seconds(seconds) * 1_000 + setup_ms + connections)
    }

    /// Arguments of the load.
    pub(crate) fn arguments(&self, url: &str, seconds: u64) -> Vec<String> {
        let mut arguments: Vec<String> = match self.kind {
            Kind::Requests | Kind::Paced { .. } => vec!["requests".into()],
            Kind::Echo => vec!["echo".into()],
            Kind::Handshakes { .. } => vec!["handshakes".into()],
            Kind::Broadcast { .. } => vec!["broadcast".into()],
            Kind::Idle { .. } => vec!["idle".into()],
            Kind::Start => Vec::new(),
        };
        arguments.push(url.to_owned());
        let mut option = |name: &str, value: usize| {
            arguments.extend([format!("--{name}"), value.to_string()]);
        };
        option("connections", self.connections);
        match self.kind {
            Kind::Requests => option("depth", self.depth),
            Kind::Echo => {
                option("depth", self.depth);
                option("bytes", self.bytes);
            }
            Kind::Paced { rate } => option("rate", rate),
            Kind::Broadcast { rate } => {
                option("rate", rate);
                option("bytes", self.bytes);
            }
            Kind::Idle { traffic_bytes: 0 } | Kind::Handshakes { .. } | Kind::Start => {}
            Kind::Idle { traffic_bytes } => option("traffic", traffic_bytes),
        }
        arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
        if self.kind == (Kind::Handshakes { resumed: true }) {
            arguments.push("--resumed".to_owned());
        }
        arguments
    }

    /// The same to be read; without what differs from server to server.
    pub(crate) fn command(&self, seconds: u64) -> String {
        if self.kind == Kind::Start {
            return "(from exec to the first byte of GET / over TLS)".to_owned();
        }
        let path = self.contestants.first().map_or("/", |first| first.path);
        let url = format!("{}://localhost:PORT{path}", self.kind.scheme());
        let command = format!("load {}", self.arguments(&url, seconds).join(" "));
        match self.beside() {
            Beside::Idle(crowd) => format!("{command}, beside {crowd} idle connections"),
            Beside::Nothing | Beside::Logins(_) => command,
        }
    }
}

/// Those with one of these parts in their names, with the servers that have; all if there are none.
pub(crate) fn chosen(scenarios: &[String], servers: &[String]) -> Vec<Scenario> {
    let has = |name: &str, parts: &[String]| {
        parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))
    };
    let mut chosen = all();
    chosen.retain(|scenario| has(scenario.id, scenarios));
    for scenario in &mut chosen {
        scenario.contestants.retain(|c| has(c.name, servers));
    }
    chosen.retain(|scenario| !scenario.contestants.is_empty());
    chosen
}

/// The scenario of that name.
pub(crate) fn named(id: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::all;

    #[test]
    fn names_are_used_once() {
        let mut ids = BTreeSet::new();
        for scenario in all() {
            assert!(ids.insert(scenario.id), "{} is there twice", scenario.id);
            let names: BTreeSet<_> = scenario.contestants.iter().map(|c| c.name).collect();
            assert_eq!(
                names.len(),
                scenario.contestants.len(),
                "in {}",
                scenario.id
            );
        }
    }
}
