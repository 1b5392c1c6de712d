//! Reading the configuration again on SIGHUP, off the loop.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::assets;
use super::config::{Config, ConfigChanges, ConfigErrors, Loaded, environment};
use super::fd_limit;
use super::logging::Logging;
use super::tls_files::{TlsFiles, TlsSettings};
use crate::web::files::Watcher;

/// A configuration to put in force.
#[derive(Debug)]
pub struct NewConfig {
    /// The new configuration, with what cannot change in a running server as it is.
    pub config: Config,
    /// TLS settings of new connections.
    pub tls: TlsSettings,
}

/// Source of the configuration. A file that was there once has to stay, and to set something: without
/// it all that it forbids would be allowed.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    /// The file the command line named, if it named one.
    named: Option<PathBuf>,
    /// The one that was read, if it set a key.
    required: Option<PathBuf>,
}

impl ConfigFile {
    /// `named` is what the command line says; `required` what the server before this one has read.
    #[must_use]
    pub fn new(named: Option<PathBuf>, required: Option<PathBuf>) -> Self {
        Self { named, required }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// As [`Config::load`], and the file that was there is gone or sets nothing.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        match &self.required {
            Some(file) => Config::load_again(file, environment),
            None => Config::load(self.named.as_deref(), environment),
        }
    }

    /// From now on wants the file that was read.
    pub fn has_read(&mut self, loaded: &Loaded) {
        if let Some(file) = loaded.required() {
            self.required = Some(file.to_path_buf());
        }
    }
}

/// Reads file, environment and certificates, and knows what was in force before.
#[derive(Debug)]
pub struct Reloader {
    current: Config,
    file: ConfigFile,
    tls_files: TlsFiles,
    logging: Arc<Logging>,
    watcher: Weak<Watcher>,
}

impl Reloader {
    /// `current` is in force, and was read from `file`. The files that `watcher` sees to are served as a new configuration says.
    pub fn new(
        current: Config,
        file: ConfigFile,
        tls_files: TlsFiles,
        logging: Arc<Logging>,
        watcher: Weak<Watcher>,
    ) -> Self {
        Self {
            current,
            file,
            tls_files,
            logging,
            watcher,
        }
    }

    /// The file that a server in the place of this one has to read.
    pub fn required(&self) -> Option<&Path> {
        self.file.required.as_deref()
    }

    /// Reads everything again. `None`: something is wrong, the log says what, and all stays as
    /// it was.
    pub fn reload(&mut self) -> Option<NewConfig> {
        // Also with a configuration that is refused: logrotate knows nothing of it.
        self.logging.reopen();
        let loaded = match self.file.load() {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in errors.findings() {
                    log::error!("reload refused: {error}");
                }
                return None;
            }
        };
        let mut file = self.file.clone();
        file.has_read(&loaded);
        let ConfigChanges { live, restart } = self.current.changes(&loaded.config);
        let config = self.current.with_live_changes(loaded.config);
        let tls = match self.tls_files.load_all(&config) {
            Ok(tls) => tls,
            Err(error) => {
                log::error!("reload refused: {error}");
                return None;
            }
        };
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        for warning in &tls.warnings {
            log::warn!("{warning}");
        }
        if !live.is_empty() {
            log::info!("changed: {}", live.join(", "));
        }
        if !restart.is_empty() {
            log::warn!("takes effect only after a restart: {}", restart.join(", "));
        }
        if config.max_connections > self.current.max_connections {
            fd_limit::provide(config.max_connections);
        }
        self.logging.set_level(config.log_level);
        self.logging.set_rotation(&config);
        if let Some(watcher) = self.watcher.upgrade() {
            watcher.set_options(assets::options(&config));
        }
        self.file = file;
        self.current = config.clone();
        Some(NewConfig { config, tls })
    }
}
