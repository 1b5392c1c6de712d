//! The layers keep to themselves: what each may see is written here, and the sources are read.
//!
//! `main -> app -> {web, cluster}`, `web -> {reactor, proto}`, `cluster -> reactor`,
//! `reactor -> proto::tls`; `proto` sees nothing of ours. All of them see `invariant`.

mod source;

use std::path::Path;

use source::{Source, module_of};

/// Imports that a layer may have of the others. A longer path is a part of a layer.
const EDGES: [(&str, &[&str]); 6] = [
    ("app", &["web", "cluster", "invariant"]),
    ("web", &["reactor", "proto", "invariant"]),
    ("cluster", &["reactor", "invariant"]),
    ("reactor", &["proto::tls", "invariant"]),
    ("proto", &["invariant"]),
    ("invariant", &[]),
];

/// The other crates `proto` may use, and where.
const PROTO_CRATES: [(&str, &str); 6] = [
    ("flate2", "src/proto/ws/deflate"),
    ("httparse", "src/proto/"),
    ("rustls", "src/proto/tls"),
    ("rustls_pki_types", "src/proto/tls"),
    ("sha1", "src/proto/ws/handshake"),
    ("base64", "src/proto/ws/handshake"),
];

/// Names that would bring sockets, clocks, threads or shared state into `proto`.
const NOT_IN_PROTO: [&str; 11] = [
    "Instant",
    "SystemTime",
    "RefCell",
    "Mutex",
    "RwLock",
    "Cell",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "thread",
    "fs",
];

/// Places that read the wall clock, which may jump at any time: for timestamps, or
/// ends by agreement with others. Everything else goes by [`Instant`](std::time::Instant).
const WALL_CLOCK: [&str; 6] = [
    // `Date`, and `exp` of tokens.
    "src/reactor/mod.rs",
    // `Last-Modified`, and whether a file was changed just now.
    "src/web/files/disk.rs",
    // From when to when a certificate is valid.
    "src/app/cert.rs",
    "src/app/chain.rs",
    // The time of each line.
    "src/app/logging/mod.rs",
    "src/app/logging/line.rs",
];

/// Lines of a source file before its tests.
const LINES_MAX: usize = 600;

#[test]
fn every_layer_sees_only_what_it_may() {
    assert_clean(|source| source.edge_violations());
}

#[test]
fn proto_is_sans_io() {
    let crates = dependencies();
    assert!(crates.iter().any(|name| name == "mio"), "{crates:?}");
    assert_clean(|source| source.proto_violations(&crates));
}

#[test]
fn only_the_reactor_has_sockets_and_clocks() {
    assert_clean(Source::clock_violations);
}

#[test]
fn nothing_but_timestamps_goes_by_the_wall_clock() {
    assert_clean(Source::wall_clock_violations);
    let used = |place: &&str| {
        let mut sources = sources().into_iter();
        sources.any(|source| source.is_in(place) && source.reads_wall_clock())
    };
    let unused: Vec<_> = WALL_CLOCK.iter().filter(|place| !used(place)).collect();
    assert!(unused.is_empty(), "not needed any more: {unused:?}");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    assert_clean(|source| source.length_violation().into_iter().collect());
}

fn assert_clean(check: impl Fn(&Source) -> Vec<String>) {
    let sources = sources();
    assert!(sources.len() >= 5, "the sources were not found");
    let found: Vec<_> = sources.iter().flat_map(check).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source of UTF-8");
                let name = path
                    .strip_prefix(root)
                    .expect("under the root")
                    .to_path_buf();
                sources.push(Source::parse(name, &text));
            }
        }
    }
    sources
}

/// The names in `[dependencies]`, as code writes them.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../../../Cargo.toml");
    let (_, after) = manifest
        .split_once("\n[dependencies]\n")
        .expect("[dependencies]");
    let table = after.split("\n[").next().expect("a table");
    table
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .filter(|name| {
            name.chars()
                .all(|char| char.is_ascii_alphanumeric() || char == '_')
        })
        .collect()
}

impl Source {
    /// The layer this file is in; `main.rs` and `lib.rs` are in none.
    fn layer(&self) -> Option<String> {
        module_of(&self.name).into_iter().next()
    }

    fn is_in(&self, place: &str) -> bool {
        self.name
            .to_str()
            .is_some_and(|name| name.starts_with(place))
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.name.display())
    }

    fn edge_violations(&self) -> Vec<String> {
        if self.is_in("src/main.rs") {
            let of_ours = self
                .idents
                .iter()
                .filter(|(_, before, _)| before.as_deref() == Some("edgeloop"));
            let wrong = of_ours.filter(|(name, _, _)| name != "app");
            return wrong
                .map(|(name, _, line)| self.at(*line, &format!("main sees {name}, not only app")))
                .collect();
        }
        let Some(layer) = self.layer() else {
            return Vec::new();
        };
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == layer) else {
            return vec![self.at(1, &format!("{layer} is no layer"))];
        };
        let wrong = self.paths.iter().filter(|mention| {
            let path = mention.path.join("::");
            !std::iter::once(&layer.as_str())
                .chain(*allowed)
                .any(|part| is_within(&path, part))
        });
        wrong
            .map(|m| {
                self.at(
                    m.line,
                    &format!("{layer} may not see crate::{}", m.path.join("::")),
                )
            })
            .collect()
    }

    fn proto_violations(&self, crates: &[String]) -> Vec<String> {
        if !self.is_in("src/proto/") {
            return Vec::new();
        }
        let allowed = |name: &str| {
            PROTO_CRATES
                .iter()
                .any(|(known, place)| *known == name && self.is_in(place))
        };
        let mut found = Vec::new();
        for (at, (name, before, line)) in self.idents.iter().enumerate() {
            let follows = self
                .idents
                .get(at + 1)
                .and_then(|(_, before, _)| before.as_deref());
            let is_crate = before.is_none() && crates.contains(name) && follows == Some(name);
            if is_crate && !allowed(name) {
                found.push(self.at(*line, &format!("proto sees the crate {name}")));
            }
            let of_std = before
                .as_deref()
                .is_some_and(|before| ["std", "core"].contains(&before));
            let is_type = name.starts_with(char::is_uppercase);
            if NOT_IN_PROTO.contains(&name.as_str()) && (of_std || is_type) {
                found.push(self.at(*line, &format!("proto sees {name}")));
            }
        }
        found
    }

    fn clock_violations(&self) -> Vec<String> {
        if self.is_in("src/reactor/") {
            return Vec::new();
        }
        let wrong = self.idents.iter().filter_map(|(name, before, line)| {
            let is_clock = name == "now" && before.as_deref() == Some("Instant");
            let is_mio = before.as_deref() == Some("mio");
            (is_clock || is_mio).then(|| {
                self.at(
                    *line,
                    &format!("{}::{name}", before.as_deref().unwrap_or_default()),
                )
            })
        });
        wrong.collect()
    }

    fn reads_wall_clock(&self) -> bool {
        self.idents.iter().any(|(name, _, _)| is_wall_clock(name))
    }

    fn wall_clock_violations(&self) -> Vec<String> {
        if WALL_CLOCK.iter().any(|place| self.is_in(place)) {
            return Vec::new();
        }
        let wrong = self
            .idents
            .iter()
            .filter(|(name, _, _)| is_wall_clock(name));
        wrong
            .map(|(name, _, line)| self.at(*line, &format!("{name} goes by the clock on the wall")))
            .collect()
    }

    fn length_violation(&self) -> Option<String> {
        (self.lines > LINES_MAX)
            .then(|| self.at(LINES_MAX, &format!("{} lines before the tests", self.lines)))
    }
}

/// Of std, and of crates that we use or might.
fn is_wall_clock(name: &str) -> bool {
    ["SystemTime", "UNIX_EPOCH", "UnixTime", "OffsetDateTime"].contains(&name)
}

fn is_within(path: &str, part: &str) -> bool {
    path.strip_prefix(part)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

mod the_checks {
    use std::path::PathBuf;

    use super::Source;

    fn source(name: &str, text: &str) -> Source {
        Source::parse(PathBuf::from(name), text)
    }

    fn edges(name: &str, text: &str) -> usize {
        source(name, text).edge_violations().len()
    }

    #[test]
    fn allowed_edges_pass() {
        let allowed = [
            (
                "src/app/mod.rs",
                "use crate::web::{Request, service::Service}; use crate::app::rules;",
            ),
            (
                "src/web/mod.rs",
                "use crate::{proto::{http1, ws}, reactor::Cx};",
            ),
            (
                "src/reactor/socket.rs",
                "use crate::proto::tls::Tls; use super::wheel; pub(crate) fn f(&self) { self.g() }",
            ),
            (
                "src/proto/ws/frame.rs",
                "use super::mask; use super::super::http1; use crate::proto::ws; use std::fmt;",
            ),
            (
                "src/proto/ws/frame.rs",
                "mod tests { use super::*; use super::super::mask; use super::super::super::http1; }",
            ),
            ("src/main.rs", "fn main() { edgeloop::app::cli::run() }"),
            ("src/lib.rs", "pub mod proto; pub use crate::web::Service;"),
            (
                "src/web/files.rs",
                "// use crate::app;\n/* crate::app /* nested */ crate::app */ const A: &str = \"crate::app\";",
            ),
            (
                "src/web/files.rs",
                "const A: &str = r#\"crate::app \" \"#; const B: char = '\"'; const C: char = '\\''; fn f<'a>() {}",
            ),
        ];
        for (name, text) in allowed {
            assert_eq!(source(name, text).edge_violations(), [""; 0], "{text}");
        }
    }

    #[test]
    fn forbidden_edges_are_found() {
        let forbidden = [
            ("src/app/mod.rs", "use crate::reactor::Cx;"),
            (
                "src/app/mod.rs",
                "fn f() { crate::proto::http1::date::format(0); }",
            ),
            ("src/app/server.rs", "use super::super::reactor;"),
            ("src/app/chat/mod.rs", "use super::super::{reactor::Cx};"),
            ("src/web/mod.rs", "use crate::{proto::http1, app::rules};"),
            (
                "src/web/mod.rs",
                "use crate::{reactor::{self, Cx}, proto::{tls, ws}, app};",
            ),
            ("src/web/mod.rs", "use {std::fmt, crate::app};"),
            (
                "src/web/mod.rs",
                "const A: char = '\"'; use crate::app; const B: char = '\"';",
            ),
            ("src/reactor/mod.rs", "use crate::proto::http1;"),
            ("src/reactor/mod.rs", "use crate::proto;"),
            (
                "src/reactor/mod.rs",
                "mod inner { mod tests { use super::super::super::web::Service; } }",
            ),
            ("src/proto/tls.rs", "use crate::reactor::Cx as Context;"),
            ("src/proto/http1/mod.rs", "pub(in crate::app) fn f() {}"),
            ("src/web/mod.rs", "use crate::Reactor;"),
            ("src/main.rs", "use edgeloop::reactor::Reactor;"),
            ("src/util/mod.rs", ""),
        ];
        for (name, text) in forbidden {
            assert_eq!(
                edges(name, text),
                1,
                "{name}: {text} {:?}",
                source(name, text).paths
            );
        }
    }

    #[test]
    fn proto_is_held_to_little() {
        let crates = ["mio", "log", "httparse", "sha1"].map(String::from);
        let found = |name: &str, text: &str| source(name, text).proto_violations(&crates).len();
        assert_eq!(
            found(
                "src/proto/http1/head.rs",
                "use httparse::Header; fn log(mio: u8) { log(mio) }"
            ),
            0
        );
        assert_eq!(found("src/proto/ws/handshake.rs", "use sha1::Sha1;"), 0);
        assert_eq!(
            found(
                "src/proto/ws/mod.rs",
                "#[cfg(test)] mod tests { use mio::Poll; }"
            ),
            0
        );
        for text in [
            "use mio::Poll;",
            "use sha1::Sha1;",
            "log::warn!(\"x\");",
            "use std::net::TcpStream;",
            "use std::cell::RefCell;",
        ] {
            assert_eq!(found("src/proto/http1/head.rs", text), 1, "{text}");
        }
        assert_eq!(found("src/web/mod.rs", "use log::warn;"), 0);
    }

    #[test]
    fn clocks_and_lengths_are_found() {
        let wall = "use std::time::SystemTime; fn f() { SystemTime::now(); }";
        let found = |name: &str, text: &str| source(name, text).wall_clock_violations().len();
        assert_eq!(found("src/app/admission.rs", wall), 2);
        assert_eq!(found("src/app/cert.rs", wall), 0);
        assert_eq!(found("src/app/admission.rs", "// SystemTime"), 0);
        assert_eq!(
            source("src/web/mod.rs", "let a = std::time::Instant::now();")
                .clock_violations()
                .len(),
            1
        );
        assert_eq!(
            source("src/web/mod.rs", "use mio::Poll;")
                .clock_violations()
                .len(),
            1
        );
        assert_eq!(
            source("src/reactor/mod.rs", "let a = Instant::now();")
                .clock_violations()
                .len(),
            0
        );

        let long = "\n".repeat(601);
        assert!(source("src/web/mod.rs", &long).length_violation().is_some());
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}", "\n".repeat(599));
        assert!(
            source("src/web/mod.rs", &tested)
                .length_violation()
                .is_none()
        );
    }
}
