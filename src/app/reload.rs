//! Reading the configuration again on SIGHUP, off the loop.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use rustls::ServerConfig;

use super::assets;
use super::config::{Changes, Config, environment};
use super::descriptors;
use super::logging::Logging;
use super::tls_files::TlsFiles;
use crate::web::files::Watcher;

/// A configuration to put in force.
#[derive(Debug)]
pub struct Reload {
    /// The new configuration; what cannot change in a running server is ignored.
    pub config: Config,
    /// What new connections do TLS with.
    pub tls: Arc<ServerConfig>,
}

/// Reads file, environment and certificates, and knows what was in force before.
#[derive(Debug)]
pub struct Reloader {
    current: Config,
    path: Option<PathBuf>,
    tls_files: TlsFiles,
    logging: Arc<Logging>,
    watcher: Weak<Watcher>,
}

impl Reloader {
    /// `current` is in force; `path` is the file the command line named, if it named one. The files
    /// that `watcher` sees to are served as a new configuration says.
    pub fn new(
        current: Config,
        path: Option<PathBuf>,
        tls_files: TlsFiles,
        logging: Arc<Logging>,
        watcher: Weak<Watcher>,
    ) -> Self {
        Self {
            current,
            path,
            tls_files,
            logging,
            watcher,
        }
    }

    /// Reads everything again. `None`: something is wrong, the log says what, and all stays as
    /// it was.
    pub fn reload(&mut self) -> Option<Reload> {
        let loaded = match Config::load(self.path.as_deref(), environment) {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in errors.findings() {
                    log::error!("reload refused: {error}");
                }
                return None;
            }
        };
        let config = loaded.config;
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
        let Changes { live, restart } = self.current.changes(&config);
        if !live.is_empty() {
            log::info!("changed: {}", live.join(", "));
        }
        if !restart.is_empty() {
            log::warn!("takes effect only after a restart: {}", restart.join(", "));
        }
        if config.max_connections > self.current.max_connections {
            descriptors::provide(config.max_connections);
        }
        self.logging.set_level(config.log_level);
        if let Some(watcher) = self.watcher.upgrade() {
            watcher.set_options(assets::options(&config));
        }
        self.current = config.clone();
        Some(Reload { config, tls })
    }
}
