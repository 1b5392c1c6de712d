//! The words of the sources: a type's name is defined once, and documentation begins with a noun or a verb.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that a doc comment does not begin with.
const QUESTIONS: [&str; 5] = ["What", "Who", "Whether", "How", "Where"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.ends_with("target") {
                continue;
            }
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read_sources(folders: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in folders {
        sources(&root.join(folder), &mut paths);
    }
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// The crate that a source belongs to, or is to belong to: the server, or the library.
fn package(name: &str) -> &'static str {
    let is_server = name.starts_with("src/app/") || name == "src/main.rs";
    if is_server { "server" } else { "library" }
}

/// The name of the type that a line defines. Those of tests within a file and associated types are indented.
fn defined(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub").map_or(line, |line| {
        let line = line.trim_start();
        match line.strip_prefix('(') {
            Some(scoped) => scoped.split_once(") ").map_or(line, |(_, line)| line),
            None => line,
        }
    });
    let kinds = ["struct ", "enum ", "trait ", "union ", "type "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
}

#[test]
fn a_type_name_is_defined_once_in_a_package() {
    let mut places: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    for (name, text) in read_sources(&["src"]) {
        let mut is_other_build = false;
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(defined) = defined(line)
                && !is_other_build
            {
                let key = (package(&name), defined.to_owned());
                places
                    .entry(key)
                    .or_default()
                    .push(format!("{name}:{number}"));
            }
            // The same type in a build without a feature, or a module for that.
            is_other_build = line.contains("cfg(not(feature")
                || (is_other_build && (line.starts_with("#[") || line.starts_with("///")));
        }
    }
    // What stands in the place of `deflate/zlib.rs` in builds without WebSockets.
    let is_stub = |place: &String| place.starts_with("src/proto/ws/deflate/none.rs");
    let doubled: Vec<_> = places
        .iter_mut()
        .filter_map(|((package, defined), places)| {
            places.retain(|place| !is_stub(place));
            (places.len() > 1).then(|| format!("{defined} ({package}): {}", places.join(", ")))
        })
        .collect();
    assert!(doubled.is_empty(), "\n{}", doubled.join("\n"));
    assert!(places.len() > 300, "only {} types were found", places.len());
}

#[test]
fn no_documentation_begins_with_a_question_word() {
    let mut found = Vec::new();
    for (name, text) in read_sources(&["src", "tests", "benches", "examples"]) {
        let mut before = "";
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_start();
            for mark in ["///", "//!"] {
                let Some(doc) = line.strip_prefix(mark) else {
                    continue;
                };
                let is_first = !before.starts_with(mark) || before == mark;
                let first = doc.trim_start().split(|c: char| !c.is_alphabetic()).next();
                if is_first && first.is_some_and(|word| QUESTIONS.contains(&word)) {
                    found.push(format!("{name}:{number}:{doc}"));
                }
            }
            before = line;
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn definitions_are_found() {
    assert_eq!(defined("pub(crate) struct Wheel {"), Some("Wheel"));
    assert_eq!(defined("pub enum Role {"), Some("Role"));
    assert_eq!(defined("type Links<W> = Vec<W>;"), Some("Links"));
    assert_eq!(defined("    type Conn;"), None);
    assert_eq!(defined("pub fn of(kind: Kind)"), None);
    assert_eq!(package("src/app/chat/mod.rs"), "server");
    assert_eq!(package("src/web/mod.rs"), "library");
}
