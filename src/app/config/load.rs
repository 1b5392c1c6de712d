//! From file and environment to a checked [`Config`].

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{ConfigErrors, Finding, SettingSource};
use super::keys::{self, Key, VARIABLES};
use super::later::LATER;
use super::secret::Secret;
use super::value::Bad;
use super::{Config, raw};

/// Read when no file is named, if it exists.
const DEFAULT_FILE: &str = "server.conf";
/// Shorter signing keys can be guessed.
const SECRET_BYTES_MIN: usize = 16;
/// The size of an HMAC-SHA256 key (RFC 7518 section 3.2).
const SECRET_BYTES_WANTED: usize = 32;

/// Quotation marks of other formats; no value begins with one.
const QUOTES: [char; 12] = [
    '"', '\'', '`', '“', '”', '„', '‘', '’', '‚', '«', '»', '\u{2039}',
];

/// A checked configuration, and what is worth saying about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings for the operator, to be logged.
    pub warnings: Vec<Finding>,
    /// The file that was read; `None` when there was none and all keys are at their defaults.
    pub file: Option<PathBuf>,
    /// `true` if it sets a key.
    pub sets_keys: bool,
}

impl Loaded {
    /// The file that has to be there when the configuration is read again: without it, or with one that sets
    /// nothing, limits that an operator has set would fall back to their defaults.
    #[must_use]
    pub fn required(&self) -> Option<&Path> {
        self.file.as_deref().filter(|_| self.sets_keys)
    }
}

impl Config {
    /// Reads the file, then the environment, which beats it.
    ///
    /// With no `path` this is `server.conf` in the working directory if that exists. `env` looks
    /// up an environment variable: [`environment`] in a server, anything in a test.
    ///
    /// ```
    /// use edgeloop::app::config::Config;
    ///
    /// let loaded = Config::load(None, |name| match name {
    ///     "SECRET_KEY" => Some("a secret of at least thirty-two bytes".to_owned()),
    ///     "SERVER_PORT" => Some("0".to_owned()),
    ///     _ => None,
    /// })?;
    /// assert_eq!(loaded.config.port, 0);
    /// # Ok::<(), edgeloop::app::config::ConfigErrors>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong, not only the first: a `path` that cannot be read, a line, key or
    /// value that is not understood, values that contradict each other, no good `SECRET_KEY`.
    pub fn load(
        path: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigErrors> {
        Loading::default().run(path, &env)
    }

    /// As [`load`](Self::load), from a file that has set keys before and must still set some.
    ///
    /// # Errors
    ///
    /// As `load`, and the file sets none: it is empty, or only its first comments were written.
    pub fn load_again(
        path: &Path,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigErrors> {
        let loading = Loading {
            wants_keys: true,
            ..Loading::default()
        };
        loading.run(Some(path), &env)
    }
}

/// An environment variable of this process. Bytes that are not UTF-8 come as U+FFFD, which
/// [`Config::load`] refuses: so a mangled value is never taken for a missing one.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[derive(Default)]
struct Loading {
    config: Config,
    /// Place at which each key that is not at its default was set.
    places: HashMap<&'static str, SettingSource>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    /// `true` if a file that sets nothing is an error.
    wants_keys: bool,
    sets_keys: bool,
}

impl Loading {
    fn run(
        mut self,
        path: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigErrors> {
        let file = self.read_file(path);
        self.read_environment(env);
        self.read_secret(env);
        self.settle_log_file(env);
        self.check_limits();
        self.check_clients();
        self.check_ports();
        self.check_later();
        ConfigErrors::check(self.errors)?;
        Ok(Loaded {
            config: self.config,
            warnings: self.warnings,
            file,
            sets_keys: self.sets_keys,
        })
    }

    fn read_file(&mut self, path: Option<&Path>) -> Option<PathBuf> {
        let file = Arc::new(path.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_path_buf));
        let bytes = match raw::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                let place = SettingSource::File(file);
                self.error(place, format!("cannot be read: {error}"));
                return None;
            }
        };
        let entries = raw::entries(&file, &bytes, &mut self.errors);
        self.sets_keys = !entries.is_empty();
        if self.wants_keys && !self.sets_keys {
            let text =
                "is empty or has only comments, and has set keys before; for all defaults, restart";
            self.error(SettingSource::File(Arc::clone(&file)), text.to_owned());
        }
        for entry in entries {
            let place = SettingSource::Line {
                file: Arc::clone(&file),
                number: entry.line,
                key: Some(entry.key.clone()),
            };
            match keys::find(&entry.key) {
                None => self.error(place, unknown_key(&entry.key)),
                Some(key) => match self.places.get(key.name) {
                    Some(SettingSource::Line { number, .. }) => {
                        let text = format!("is set a second time; the first is on line {number}");
                        self.error(place, text);
                    }
                    _ => self.set(key, &entry.value, place),
                },
            }
        }
        // What was bad was found in the order of stages, not of lines.
        self.errors.sort_by_key(|error| match &error.place {
            SettingSource::Line { number, .. } => *number,
            SettingSource::File(_) | SettingSource::Variable(_) => 0,
        });
        Some(file.to_path_buf())
    }

    fn read_environment(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        for (variable, name) in VARIABLES {
            let (Some(value), Some(key)) = (env(variable), keys::find(name)) else {
                continue;
            };
            let place = SettingSource::Variable(variable);
            let value = value.trim();
            if value.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
                let text = "has a byte in it that is no UTF-8 text, or a control character";
                self.error(place, text.to_owned());
            } else {
                self.set(key, value, place);
            }
        }
    }

    fn read_secret(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        const HOW: &str = "make one with: openssl rand -hex 32";
        let place = SettingSource::Variable("SECRET_KEY");
        let value = env("SECRET_KEY").unwrap_or_default();
        if value.starts_with(QUOTES) {
            let text = "begins with a quotation mark, which is a part of it: other programs with this \
                        secret may have it without";
            self.warnings.push(Finding {
                place: place.clone(),
                text: text.to_owned(),
            });
        }
        let garbled = value.contains(char::REPLACEMENT_CHARACTER);
        let secret = Secret::from(value);
        match secret.bytes().len() {
            0 => self.error(place, format!("is not set; {HOW}")),
            _ if garbled => self.error(place, format!("is not UTF-8 text; {HOW}")),
            length if length < SECRET_BYTES_MIN => {
                let text = format!(
                    "has {length} bytes and needs at least {SECRET_BYTES_MIN}, \
                     better {SECRET_BYTES_WANTED}; {HOW}"
                );
                self.error(place, text);
            }
            length if length < SECRET_BYTES_WANTED => {
                let text = format!("has {length} bytes, {SECRET_BYTES_WANTED} are wanted; {HOW}");
                self.warnings.push(Finding { place, text });
            }
            _ => {}
        }
        self.config.secret_key = secret;
    }

    /// Turns the log file off where standard error is kept by a service manager, unless the configuration asks for one.
    /// asks for one.
    fn settle_log_file(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        let is_chosen = self.places.contains_key("log_to_file");
        if !is_chosen && self.config.log_to_console {
            let stderr = std::fs::metadata("/proc/self/fd/2").ok();
            let stderr = stderr.map(|file| (file.dev(), file.ino()));
            let journal = env("JOURNAL_STREAM");
            self.config.log_to_file = !is_kept(journal.as_deref(), stderr, std::process::id());
        }
    }

    fn check_limits(&mut self) {
        let (head, uri) = (self.config.max_header_size, self.config.max_uri_length);
        if head < uri
            && let Some(place) = self.place_of(["max_header_size", "max_uri_length"])
        {
            let text = format!(
                "max_header_size ({head}) is less than max_uri_length ({uri}), \
                 which is a part of it"
            );
            self.error(place, text);
        }
    }

    fn check_clients(&mut self) {
        if self.config.ssl_verify_client
            && self.config.ssl_client_ca_path.is_none()
            && let Some(place) = self.place_of(["ssl_client_ca_path", "ssl_verify_client"])
        {
            let text = "ssl_verify_client=1 needs ssl_client_ca_path, the authorities that sign the \
                        certificates of clients";
            self.error(place, text.to_owned());
        }
    }

    fn check_ports(&mut self) {
        let (port, http_port) = (self.config.port, self.config.http_port);
        if port != 0
            && port == http_port
            && let Some(place) = self.place_of(["http_port", "port"])
        {
            self.error(place, format!("port and http_port are both {port}"));
        }
        let Some(metrics) = self.config.metrics_address else {
            return;
        };
        let meets = |ip: &IpAddr| {
            let same_kind = ip.is_ipv4() == metrics.is_ipv4();
            let any = ip.is_unspecified() || metrics.ip().is_unspecified();
            *ip == metrics.ip() || (same_kind && any)
        };
        if !self.config.bind_address.iter().any(meets) {
            return;
        }
        for (key, port) in [("port", port), ("http_port", http_port)] {
            if port != 0
                && port == metrics.port()
                && let Some(place) = self.place_of(["metrics_address", key])
            {
                let text = format!("metrics_address is {metrics}, and {key} is {port} there too");
                self.error(place, text);
            }
        }
    }

    fn check_later(&mut self) {
        for later in LATER {
            let Some(place) = self.place_of([later.key]) else {
                continue;
            };
            if (later.asked)(&self.config) {
                self.error(place, later.text.to_owned());
            }
        }
    }

    fn set(&mut self, key: &'static Key, value: &str, place: SettingSource) {
        if value.starts_with(QUOTES) {
            let text = "begins with a quotation mark, which would be a part of it; write it without quotes";
            self.error(place.clone(), text.to_owned());
        } else if let Err(Bad(text)) = (key.set)(&mut self.config, value) {
            self.error(place.clone(), text);
        }
        self.places.insert(key.name, place);
    }

    /// Place at which the first of the keys was set, if any was.
    fn place_of<const N: usize>(&self, keys: [&str; N]) -> Option<SettingSource> {
        keys.iter().find_map(|key| self.places.get(key)).cloned()
    }

    fn error(&mut self, place: SettingSource, text: String) {
        self.errors.push(Finding { place, text });
    }
}

/// Returns `true` if standard error goes to the journal (systemd.exec(5), `JOURNAL_STREAM`: a shell started by systemd
/// hands the variable on with another standard error), or to who runs the container.
fn is_kept(journal: Option<&str>, stderr: Option<(u64, u64)>, pid: u32) -> bool {
    let is_journal = stderr.is_some_and(|(device, inode)| {
        journal.is_some_and(|journal| journal == format!("{device}:{inode}"))
    });
    is_journal || pid == 1
}

fn unknown_key(key: &str) -> String {
    match keys::nearest(key) {
        Some(nearest) => format!("is not a known key; did you mean {nearest}?"),
        None => "is not a known key".to_owned(),
    }
}

#[cfg(test)]
mod tests;
