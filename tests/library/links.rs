//! Links in Markdown lead somewhere: to a file of the repository, and to a heading that it has.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are made, not written.
const MADE: [&str; 5] = ["target", "node_modules", "corpus", "artifacts", ".git"];

fn markdown(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let is_made = MADE.iter().any(|name| entry.file_name() == *name);
        if is_made {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            markdown(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines of a text that are not in fenced code, with their numbers, without what is in backquotes.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut is_code = false;
    let lines = (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence && !line.starts_with("    ")
    });
    lines.map(|(number, line)| (number, line.split('`').step_by(2).collect()))
}

/// The destinations of a line: `[text](destination)`, `[name]: destination`, and those of HTML.
fn destinations(line: &str) -> Vec<&str> {
    let mut found: Vec<&str> = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .collect();
    for attribute in ["href=\"", "src=\""] {
        let after = line.split(attribute).skip(1);
        found.extend(after.filter_map(|rest| rest.split('"').next()));
    }
    if line.starts_with('[')
        && let Some((_, destination)) = line.split_once("]: ")
    {
        found.push(destination.trim());
    }
    found
}

/// The anchor that GitHub gives a heading: small letters, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|character| character.is_alphanumeric() || "-_ ".contains(*character));
    let kept: String = kept.collect();
    kept.to_lowercase().replace(' ', "-")
}

/// The anchors of a text; of headings that are alike, those after the first have a number.
fn anchors(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if is_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let first = anchor(heading);
        let mut name = first.clone();
        let mut number = 0;
        while !found.insert(name) {
            number += 1;
            name = format!("{first}-{number}");
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .canonicalize()
        .unwrap()
}

/// The fault of a link in `file`, if it has one.
fn fault(file: &Path, text: &str, destination: &str) -> Option<String> {
    if destination.contains("://") || destination.starts_with("mailto:") {
        return None;
    }
    let (path, wanted) = destination.split_once('#').unwrap_or((destination, ""));
    let target = file.parent().unwrap().join(path);
    let read;
    let text = if path.is_empty() {
        text
    } else if !target.exists() {
        return Some(format!("there is no {path}"));
    } else if !target.canonicalize().unwrap().starts_with(root()) {
        return Some(format!("{path} is outside the repository"));
    } else if wanted.is_empty() {
        return None;
    } else {
        read = fs::read_to_string(&target).unwrap();
        &read
    };
    let has_heading = anchors(text).contains(wanted);
    (!has_heading).then(|| format!("no heading is #{wanted}"))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let root = root();
    let mut files = Vec::new();
    markdown(&root, &mut files);
    let mut links = 0;
    let mut faults = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for (number, line) in prose(&text) {
            for destination in destinations(&line) {
                links += 1;
                if let Some(fault) = fault(file, &text, destination) {
                    let name = file.strip_prefix(&root).unwrap().display();
                    faults.push(format!("{name}:{number}: {destination}: {fault}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(links > 20, "only {links} links in {} files", files.len());
}

#[test]
fn links_and_anchors_are_read_as_github_reads_them() {
    let text = "# One `two`, three!\n\n## Same\n```\n## not one\n```\n## Same\n#no\n";
    let found = anchors(text);
    let expected = ["one-two-three", "same", "same-1"].map(String::from);
    assert_eq!(found, HashSet::from(expected));
    let line = "see [a](b.md#c) and [d](e), not";
    assert_eq!(destinations(line), ["b.md#c", "e"]);
    assert_eq!(destinations("[f]: g.md"), ["g.md"]);
    let lines: Vec<_> = prose("a `[x](y)` b\n```\n[x](y)\n```\nc").collect();
    assert_eq!(lines, [(1, "a  b".to_owned()), (5, "c".to_owned())]);
    let html = r#"<a href="h"><img src="i.png" alt="j"></a>"#;
    assert_eq!(destinations(html), ["h", "i.png"]);
    let file = root().join("README.md");
    let fault = |destination| fault(&file, text, destination);
    assert_eq!(fault("https://example.com/x"), None);
    assert_eq!(fault("#same-1"), None);
    assert_eq!(fault("#two").unwrap(), "no heading is #two");
    assert_eq!(fault("none.md").unwrap(), "there is no none.md");
    assert!(fault("README.md#no-such-heading").is_some());
    assert_eq!(fault("..").unwrap(), ".. is outside the repository");
}
