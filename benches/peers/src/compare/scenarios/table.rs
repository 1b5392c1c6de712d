//! The table of scenarios.

use super::{Beside, Contestant, Kind, Scenario, Section, Unit};
use crate::servers::Server;

/// Ours, whatever part of it takes part.
pub(crate) const OURS: &str = "edgeloop";
/// A service on the library, beside the server in the same scenario.
pub(crate) const OUR_SERVICE: &str = "edgeloop (service)";
pub(crate) const FLOOR: &str = "floor";

/// The server as it is measured, without a line for each request.
const QUIET: Server = Server::Edgeloop(&[]);
const LOGGED: Server = Server::Edgeloop(&[("log_level", "1"), ("log_to_file", "1")]);
const METERED: Server = Server::Edgeloop(&[("metrics_address", "on")]);

const fn contestant(name: &'static str, server: Server, path: &'static str) -> Contestant {
    Contestant {
        name,
        server,
        path,
        beside: Beside::Nothing,
    }
}

/// Those that serve the same path.
fn peers(path: &'static str, names: &[&str]) -> Vec<Contestant> {
    [
        contestant("hyper", Server::Hyper, path),
        contestant("nginx", Server::Nginx, path),
        contestant("bun", Server::Bun, path),
    ]
    .into_iter()
    .filter(|peer| names.contains(&peer.name))
    .collect()
}

/// Echoes of 64 bytes, and of what `load idle --traffic` sends.
const FLOOR_64: &[&str] = &["--echo", "--bytes", "64"];
const FLOOR_16K: &[&str] = &["--echo", "--bytes", "16384"];

const ALL_PEERS: &[&str] = &["hyper", "nginx", "bun"];

/// A scenario with what most have.
fn scenario(id: &'static str, title: &'static str, kind: Kind) -> Scenario {
    Scenario {
        id,
        title,
        section: Section::Peers,
        kind,
        unit: Unit::CPU,
        connections: 64,
        depth: 1,
        bytes: 64,
        seconds: None,
        rounds_max: u64::MAX,
        contestants: Vec::new(),
    }
}

/// All of them, in the order in which they are run and shown.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = requests();
    all.extend(echoes());
    all.extend(connections());
    all.extend(memory());
    all.extend(paired());
    all.extend(floods());
    all.extend(growth());
    all
}

fn requests() -> Vec<Scenario> {
    let small = Scenario {
        contestants: [
            contestant(FLOOR, Server::Floor(&["--bytes", "13"]), "/"),
            contestant(OUR_SERVICE, Server::Hello, "/"),
            contestant(OURS, QUIET, "/13.bin"),
        ]
        .into_iter()
        .chain(peers("/", ALL_PEERS))
        .collect(),
        ..scenario(
            "request-13b",
            "HTTPS request, answer of 13 bytes",
            Kind::Requests,
        )
    };
    let file = |id, title, path, floor| Scenario {
        contestants: [
            contestant(FLOOR, Server::Floor(floor), path),
            contestant(OURS, QUIET, path),
        ]
        .into_iter()
        .chain(peers(path, ALL_PEERS))
        .collect(),
        ..scenario(id, title, Kind::Requests)
    };
    let large = file(
        "file-64m",
        "Download of 64 MiB",
        "/64m.bin",
        &["--file", "64m.bin"],
    );
    vec![
        small,
        file("file-1k", "File of 1 KiB", "/1k.bin", &["--bytes", "1024"]),
        file(
            "file-64k",
            "File of 64 KiB",
            "/64k.bin",
            &["--bytes", "65536"],
        ),
        Scenario {
            unit: Unit::CPU_PER_GB,
            connections: 8,
            ..large
        },
    ]
}

fn echoes() -> Vec<Scenario> {
    let echo = |id, title, bytes, depth, floor| Scenario {
        bytes,
        depth,
        contestants: [
            contestant(FLOOR, Server::Floor(floor), "/echo"),
            contestant(OURS, Server::WsEcho, "/"),
            contestant("hyper (fastwebsockets)", Server::Hyper, "/echo"),
            contestant("hyper (tungstenite)", Server::Hyper, "/echo-tungstenite"),
        ]
        .into_iter()
        .chain(peers("/echo", &["bun"]))
        .collect(),
        ..scenario(id, title, Kind::Echo)
    };
    vec![
        echo("echo-64b", "WebSocket echo, 64 bytes", 64, 1, FLOOR_64),
        echo(
            "echo-64b-16",
            "WebSocket echo, 64 bytes, 16 under way",
            64,
            16,
            FLOOR_64,
        ),
        echo("echo-16k", "WebSocket echo, 16 KiB", 16 << 10, 1, FLOOR_16K),
        echo(
            "echo-16k-16",
            "WebSocket echo, 16 KiB, 16 under way",
            16 << 10,
            16,
            FLOOR_16K,
        ),
    ]
}

fn connections() -> Vec<Scenario> {
    let handshakes = |id, title, resumed| Scenario {
        connections: 16,
        contestants: [
            contestant(FLOOR, Server::Floor(&["--bytes", "13"]), "/"),
            contestant(OURS, Server::Hello, "/"),
        ]
        .into_iter()
        .chain(peers("/", ALL_PEERS))
        .collect(),
        ..scenario(id, title, Kind::Handshakes { resumed })
    };
    let broadcast = Scenario {
        connections: 500,
        bytes: 100,
        contestants: [
            contestant(FLOOR, Server::Floor(&["--room"]), "/room"),
            contestant(OURS, Server::Room, "/room"),
        ]
        .into_iter()
        .chain(peers("/room", &["hyper", "bun"]))
        .collect(),
        ..scenario(
            "broadcast-500",
            "Broadcast to 500, each delivery (100 messages of 100 bytes in a second)",
            Kind::Broadcast { rate: 100 },
        )
    };
    vec![
        broadcast,
        handshakes("handshake", "TLS 1.3 handshake, full", false),
        handshakes("handshake-resumed", "TLS 1.3 handshake, resumed", true),
    ]
}

fn memory() -> Vec<Scenario> {
    let idle = |id, title, traffic_bytes| Scenario {
        unit: Unit::MEMORY,
        // It is the same to a few bytes each time, and a gigabyte each way takes its time.
        rounds_max: if traffic_bytes == 0 { 2 } else { 1 },
        connections: 1_000,
        seconds: Some(1),
        contestants: [
            contestant(FLOOR, Server::Floor(FLOOR_16K), "/echo"),
            contestant(OURS, Server::WsEcho, "/"),
            contestant("hyper (fastwebsockets)", Server::Hyper, "/echo"),
            contestant("hyper (tungstenite)", Server::Hyper, "/echo-tungstenite"),
        ]
        .into_iter()
        .chain(peers("/echo", &["bun"]))
        .collect(),
        ..scenario(id, title, Kind::Idle { traffic_bytes })
    };
    let start = Scenario {
        unit: Unit::START,
        connections: 1,
        rounds_max: u64::MAX,
        contestants: [contestant(OURS, QUIET, "/")]
            .into_iter()
            .chain(peers("/", ALL_PEERS))
            .collect(),
        ..scenario(
            "start",
            "From exec to the first byte served over TLS",
            Kind::Start,
        )
    };
    vec![
        idle("idle-memory", "Idle WebSockets over TLS, 1,000", 0),
        idle(
            "idle-memory-carried",
            "The same after 1 MiB each way on each",
            1 << 20,
        ),
        start,
    ]
}

fn paired() -> Vec<Scenario> {
    vec![Scenario {
        section: Section::Paired,
        contestants: vec![
            contestant(OURS, QUIET, "/1k.bin"),
            contestant("edgeloop (every request logged)", LOGGED, "/1k.bin"),
            contestant("edgeloop (metrics on)", METERED, "/1k.bin"),
        ],
        ..scenario(
            "log-and-metrics",
            "File of 1 KiB, with log and metrics",
            Kind::Requests,
        )
    }]
}

/// The server while nobody else asks, and again while others log in as fast as passwords are hashed.
pub(crate) const CALM: &str = "edgeloop, nothing else";
pub(crate) const FLOODED: &str = "edgeloop, 8 clients log in";

fn floods() -> Vec<Scenario> {
    let flooded = Contestant {
        beside: Beside::Logins(8),
        ..contestant(FLOODED, QUIET, "/13.bin")
    };
    vec![Scenario {
        section: Section::Floods,
        unit: Unit::P99,
        connections: 16,
        contestants: vec![contestant(CALM, QUIET, "/13.bin"), flooded],
        ..scenario(
            "login-flood",
            "Request while others log in",
            Kind::Paced { rate: 1_000 },
        )
    }]
}

fn beside_idle(mut contestants: Vec<Contestant>, connections: usize) -> Vec<Contestant> {
    for contestant in &mut contestants {
        contestant.beside = Beside::Idle(connections);
    }
    contestants
}

/// The numbers of connections that growth is looked at with.
const GROWTH: [usize; 3] = [100, 1_000, 10_000];

fn growth() -> Vec<Scenario> {
    // What the floor grows by is the kernel's, and the caches'.
    let both = |floor: &'static [&'static str], server, path| {
        vec![
            contestant(FLOOR, Server::Floor(floor), path),
            contestant(OURS, server, path),
        ]
    };
    let mut all = Vec::new();
    for (index, connections) in GROWTH.into_iter().enumerate() {
        // The names of a series, for each number of connections.
        let id = |names: [&'static str; 3]| names.get(index).copied().unwrap_or_default();
        let grown = |names, title, kind| Scenario {
            section: Section::Growth(title),
            rounds_max: 2,
            connections,
            ..scenario(id(names), title, kind)
        };
        all.push(Scenario {
            contestants: both(&["--bytes", "13"], Server::Hello, "/"),
            ..grown(
                ["request-100", "request-1000", "request-10000"],
                "request",
                Kind::Requests,
            )
        });
        all.push(Scenario {
            contestants: both(FLOOR_64, Server::WsEcho, "/"),
            ..grown(["echo-100", "echo-1000", "echo-10000"], "echo", Kind::Echo)
        });
        all.push(Scenario {
            bytes: 100,
            contestants: both(&["--room"], Server::Room, "/room"),
            ..grown(
                ["delivery-100", "delivery-1000", "delivery-10000"],
                "delivery",
                // As many deliveries in a second for each.
                Kind::Broadcast {
                    rate: 30_000 / connections,
                },
            )
        });
        all.push(Scenario {
            connections: 16,
            contestants: beside_idle(both(FLOOR_64, Server::WsEcho, "/"), connections),
            ..grown(
                ["handshake-100", "handshake-1000", "handshake-10000"],
                "handshake",
                Kind::Handshakes { resumed: false },
            )
        });
        all.push(Scenario {
            unit: Unit::MEMORY,
            // Long enough to see half a percent of a core in ticks of 10 ms.
            seconds: Some(10),
            rounds_max: 1,
            contestants: both(FLOOR_64, Server::WsEcho, "/"),
            ..grown(
                ["idle-100", "idle-1000", "idle-10000"],
                "idle memory",
                Kind::Idle { traffic_bytes: 0 },
            )
        });
    }
    // One series after the other.
    all.sort_by_key(|scenario| {
        let order = ["request", "echo", "delivery", "handshake", "idle memory"];
        order
            .iter()
            .position(|title| scenario.section == Section::Growth(title))
    });
    all
}
