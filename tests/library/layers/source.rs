//! Just enough of a Rust parser to know which paths a file mentions, and outside of its tests or not.

use std::path::{Path, PathBuf};

/// A source file taken apart: its tokens, and the paths it mentions.
pub(super) struct Source {
    pub name: PathBuf,
    /// Lines before the tests.
    pub lines: usize,
    pub paths: Vec<Mention>,
    /// Identifiers outside tests, with the one before when joined by `::`.
    pub idents: Vec<(String, Option<String>, usize)>,
}

/// A path within the crate, from its root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub path: Vec<String>,
    pub line: usize,
}

impl Source {
    pub(super) fn parse(name: PathBuf, text: &str) -> Self {
        let tokens = tokens(text);
        let in_tests = test_ranges(&tokens);
        let is_test_file = name
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        let is_test = |at: usize| is_test_file || in_tests.iter().any(|range| range.contains(&at));
        let lines = match in_tests.first() {
            Some(range) => tokens[range.start].line - 1,
            None => text.lines().count(),
        };
        let mut idents = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            if is_ident(&token.text) && !is_test(at) {
                let before =
                    (at >= 2 && tokens[at - 1].text == "::").then(|| tokens[at - 2].text.clone());
                idents.push((token.text.clone(), before, token.line));
            }
        }
        let paths = mentions(&tokens, &module_of(&name));
        Self {
            name,
            lines: if is_test_file { 0 } else { lines },
            paths,
            idents,
        }
    }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are the module `a::b`.
pub(super) fn module_of(name: &Path) -> Vec<String> {
    let parts = name.with_extension("");
    let mut parts: Vec<_> = parts
        .iter()
        .skip(1)
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        parts.pop();
    }
    parts
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

fn is_ident(text: &str) -> bool {
    text.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

/// Identifiers, `::` and single punctuation marks; comments, strings and character literals are gone.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        at = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => find(&chars, at, |rest| rest[0] == '\n'),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment_end(&chars, at),
            '"' => string_end(&chars, at),
            '\'' => quote_end(&chars, at),
            'r' | 'b' | 'c' if raw_string_end(&chars, at).is_some() => {
                raw_string_end(&chars, at).expect("just seen")
            }
            char if char.is_alphanumeric() || char == '_' => {
                let end = find(&chars, at, |rest| {
                    !(rest[0].is_alphanumeric() || rest[0] == '_')
                });
                tokens.push(Token {
                    text: chars[at..end].iter().collect(),
                    line,
                });
                end
            }
            ':' if chars.get(at + 1) == Some(&':') => {
                tokens.push(Token {
                    text: "::".to_owned(),
                    line,
                });
                at + 2
            }
            char if char.is_whitespace() => at + 1,
            char => {
                tokens.push(Token {
                    text: char.to_string(),
                    line,
                });
                at + 1
            }
        };
        line += chars[start..at]
            .iter()
            .filter(|char| **char == '\n')
            .count();
    }
    tokens
}

fn find(chars: &[char], from: usize, is_there: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len())
        .find(|&at| is_there(&chars[at..]))
        .unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of a character literal, or of the quote alone when a lifetime or label starts here.
fn quote_end(chars: &[char], from: usize) -> usize {
    match chars[from + 1..] {
        ['\\', _, ..] => find(chars, from + 3, |rest| rest[0] == '\'') + 1,
        [_, '\'', ..] => from + 3,
        _ => from + 1,
    }
}

fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let prefix = chars[from..]
        .iter()
        .take_while(|char| char.is_ascii_lowercase())
        .count();
    let word: String = chars[from..from + prefix].iter().collect();
    if !["r", "br", "cr"].contains(&word.as_str()) {
        return None;
    }
    let hashes = chars[from + prefix..]
        .iter()
        .take_while(|char| **char == '#')
        .count();
    let open = from + prefix + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    Some((find(chars, open + 1, |rest| rest.starts_with(&end)) + end.len()).min(chars.len()))
}

/// The token ranges of `#[cfg(test)]` items with a body; the first one starts at its `#`.
fn test_ranges(tokens: &[Token]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let words: Vec<_> = tokens[at..]
            .iter()
            .take(7)
            .map(|token| token.text.as_str())
            .collect();
        if words != ["#", "[", "cfg", "(", "test", ")", "]"] {
            at += 1;
            continue;
        }
        let start = at;
        while at < tokens.len() && tokens[at].text != "{" && tokens[at].text != ";" {
            at += 1;
        }
        at = matching_end(tokens, at);
        ranges.push(start..at);
    }
    ranges
}

/// Past the brace that closes the one at `open`; past `open` when it is none.
fn matching_end(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Every path that starts with `crate`, `self` or `super`, from the root of the crate, its groups
/// taken apart. Modules within the file are followed, so `super` is what it is.
fn mentions(tokens: &[Token], module: &[String]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut module = module.to_vec();
    // For every open brace, whether it is a module's.
    let mut braces = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let joined = at > 0 && tokens[at - 1].text == "::";
        match token.text.as_str() {
            "{" => {
                let is_module = at >= 2 && tokens[at - 2].text == "mod";
                if is_module {
                    module.push(tokens[at - 1].text.clone());
                }
                braces.push(is_module);
            }
            "}" if braces.pop() == Some(true) => {
                module.pop();
            }
            "crate" if !joined => follow(tokens, at + 1, Vec::new(), &mut found),
            "self" if !joined => follow(tokens, at + 1, module.clone(), &mut found),
            "super" if !joined => {
                let parent = module[..module.len().saturating_sub(1)].to_vec();
                follow(tokens, at + 1, parent, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Follows a path whose part so far is `path`, from the `::` at `at`.
fn follow(tokens: &[Token], mut at: usize, mut path: Vec<String>, found: &mut Vec<Mention>) {
    let line = tokens[at - 1].line;
    while tokens.get(at).is_some_and(|token| token.text == "::") {
        match tokens.get(at + 1).map(|token| token.text.as_str()) {
            Some("super") => drop(path.pop()),
            Some("self") => {}
            Some("{") => {
                follow_group(tokens, at + 1, &path, found);
                return;
            }
            Some(name) if is_ident(name) => path.push(name.to_owned()),
            // A glob, or a turbofish after the path.
            _ => break,
        }
        at += 2;
    }
    if !path.is_empty() {
        found.push(Mention { path, line });
    }
}

fn follow_group(tokens: &[Token], open: usize, path: &[String], found: &mut Vec<Mention>) {
    let end = matching_end(tokens, open);
    let mut depth = 0;
    for at in open..end {
        let starts = matches!(tokens[at - 1].text.as_str(), "{" | ",");
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            name if depth == 1 && starts && is_ident(name) => {
                let mut path = path.to_vec();
                match name {
                    "self" => {}
                    "super" => drop(path.pop()),
                    _ => path.push(name.to_owned()),
                }
                follow(tokens, at + 1, path, found);
            }
            _ => {}
        }
    }
}
