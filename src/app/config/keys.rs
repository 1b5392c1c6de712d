//! The keys of the configuration, and the search for one.

use super::Config;
use super::table::TABLE;
use super::value::Bad;

/// When a new value of a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// After SIGHUP.
    Live,
    /// In a new process.
    Restart,
}

/// A key of `server.conf`. Its name is that of the field of [`Config`].
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) reload: Reload,
    /// The text of the default.
    pub(super) default: &'static str,
    /// Purpose, unit and range of the key: sentences for `server.conf` and the documentation.
    pub(super) doc: &'static str,
    /// Reads the text of a value into the configuration.
    pub(super) set: fn(&mut Config, &str) -> Result<(), Bad>,
    /// `true` if two configurations have different values.
    pub(super) differs: fn(&Config, &Config) -> bool,
    /// Gives the first configuration the value of the second.
    pub(super) keep: fn(&mut Config, &Config),
}

/// A part of `server.conf`.
pub(super) enum Item {
    Section(&'static str),
    /// About all keys below it in the section.
    Note(&'static str),
    Key(Key),
}

/// Environment variables that beat a key of the file.
pub(super) const VARIABLES: [(&str, &str); 4] = [
    ("SERVER_PORT", "port"),
    ("SERVER_MAX_CONNECTIONS", "max_connections"),
    ("SERVER_LOG_LEVEL", "log_level"),
    ("DB_PATH", "db_path"),
];

/// Every key, in the order of `server.conf`.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    TABLE.iter().filter_map(|item| match item {
        Item::Key(key) => Some(key),
        Item::Section(_) | Item::Note(_) => None,
    })
}

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// The known key that is most like `name`, if any is near enough to be meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let (distance, key) = all().map(|key| (edits(&name, key.name), key.name)).min()?;
    (distance <= key.len() / 3).then_some(key)
}

/// The Levenshtein distance in bytes.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, a) in one.bytes().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, b) in cells.zip(other.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("prot", "port", 2),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(edits(one, other), distance, "{one} {other}");
        }
    }

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        assert_eq!(nearest("max_conections"), Some("max_connections"));
        assert_eq!(nearest("Log-Level"), Some("log_level"));
        assert_eq!(nearest("por"), Some("port"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn names_are_unique_and_variables_name_keys() {
        let names: Vec<_> = all().map(|key| key.name).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{name}");
        }
        for (_, key) in VARIABLES {
            assert!(find(key).is_some(), "{key}");
        }
    }
}
