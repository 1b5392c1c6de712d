//! `server.conf` and `docs/configuration.md` as the table of keys has them.

use std::fmt::Write as _;

use super::keys::{Item, Key, Reload};
use super::table::TABLE;

/// The longest line of `server.conf`, values aside.
const LINE_MAX: usize = 100;

const CONF_HEAD: &str = "\
# edgeloop configuration.
#
# One key=value per line; a \"#\" starts a comment. Every key is listed with its default: remove
# the \"#\" in front of a key and change the value. A bad value or an unknown key stops the start
# with a message that says where it is. `edgeloop --check` reads this file and starts nothing.
#
# The environment beats this file: SERVER_PORT, SERVER_MAX_CONNECTIONS, SERVER_LOG_LEVEL and
# DB_PATH. SECRET_KEY, which signs the login tokens, is only read from the environment.
#
# Keys marked [restart] count after a restart, the others on SIGHUP too.
";

/// `text` in lines that begin with `# `.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.len() > 1 && line.len() + 1 + word.chars().count() > LINE_MAX {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// A `server.conf` with every key at its default, in a comment.
#[must_use]
pub fn server_conf() -> String {
    let mut out = CONF_HEAD.to_owned();
    for item in TABLE {
        out.push('\n');
        match item {
            Item::Section(name) => {
                let line = format!("# --- {name} ");
                writeln!(out, "{line:-<98}").ok(); // a string takes all
            }
            Item::Note(text) => comment(&mut out, text),
            Item::Key(Key {
                name,
                reload,
                default,
                doc,
                ..
            }) => {
                let mark = if *reload == Reload::Restart {
                    " [restart]"
                } else {
                    ""
                };
                comment(&mut out, &format!("{doc}{mark}"));
                writeln!(out, "#{name}={default}").ok();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::super::keys::{self, VARIABLES};
    use super::*;

    const PAGE_HEAD: &str = "\
# Configuration

The server reads `server.conf` in its working directory, or the file that `--config` names: `key=value`, one in a line, `#` before comments.
A bad value or an unknown key stops the start with a message that names file, line and key; `edgeloop --check` looks for them and
starts nothing. On SIGHUP the file is read again. If anything in it is wrong, all stays as it was, and the log says what; else the new values
count at once, but for those of keys marked *restart*. `edgeloop config` prints a file with every key at its default.
";

    fn page() -> String {
        let mut out = PAGE_HEAD.to_owned();
        let cell = |text: &str| {
            let text = text.replace('|', "\\|").replace('*', "\\*");
            text.replace('<', "&lt;")
        };
        for item in TABLE {
            match item {
                Item::Section(name) => {
                    write!(out, "\n## {name}\n\n| key | default | |\n|---|---|---|\n").unwrap();
                }
                Item::Note(text) => writeln!(out, "| | | {} |", cell(text)).unwrap(),
                Item::Key(Key {
                    name,
                    reload,
                    default,
                    doc,
                    ..
                }) => {
                    let mark = if *reload == Reload::Restart {
                        " *restart*"
                    } else {
                        ""
                    };
                    let default = match *default {
                        "" => "none".to_owned(),
                        text => format!("`{text}`"),
                    };
                    writeln!(out, "| `{name}`{mark} | {default} | {} |", cell(doc)).unwrap();
                }
            }
        }
        out.push_str("\n## Environment\n\n| variable | |\n|---|---|\n");
        out.push_str("| `SECRET_KEY` | the secret that signs login tokens: 16 bytes at least, better 32; it has to be set |\n");
        for (variable, key) in VARIABLES {
            writeln!(out, "| `{variable}` | beats `{key}` |").unwrap();
        }
        out
    }

    /// Compares a file of the repository with what it is to be, or writes it where `UPDATE_CONFIG_DOCS` is set.
    fn compare(name: &str, wanted: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("UPDATE_CONFIG_DOCS").is_some() {
            std::fs::write(path, wanted).unwrap();
            return;
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        let difference = wanted
            .lines()
            .zip(found.lines())
            .find(|(one, other)| one != other);
        assert!(
            wanted == found,
            "{name} is not what the table of keys (src/app/config/table.rs) says; write it with: make config-docs\n{difference:#?}"
        );
    }

    #[test]
    fn the_files_are_what_the_table_says() {
        compare("server.conf", &server_conf());
        compare("docs/configuration.md", &page());
    }

    #[test]
    fn every_default_is_the_one_that_counts() {
        let defaults = Config::default();
        for key in keys::all() {
            let mut config = defaults.clone();
            assert!((key.set)(&mut config, key.default).is_ok(), "{}", key.name);
            assert!(!(key.differs)(&config, &defaults), "{}", key.name);
            assert!(
                key.doc.ends_with(['.', ',']) || key.doc.contains("http"),
                "{}: no sentence",
                key.name
            );
        }
    }
}
