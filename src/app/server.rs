//! The running server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::config::Config;
use super::logging::Logging;
use super::tls_files::TlsFiles;

/// What the command has checked and opened before the server starts.
#[derive(Debug)]
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The file that `--config` named, to be read again on SIGHUP.
    pub config_path: Option<PathBuf>,
    /// Loads the certificate files again on SIGHUP; keeps the ticket keys.
    pub tls_files: TlsFiles,
    /// What to serve TLS with.
    pub tls: Arc<rustls::ServerConfig>,
    /// Gets the real port as a decimal line once the server listens.
    pub port_file: Option<PathBuf>,
    /// The log; its level changes on SIGHUP, and dropping it writes out the rest.
    pub logging: Logging,
}

/// Runs until a signal stops it.
#[must_use]
pub fn run(setup: Setup) -> ExitCode {
    log::error!("this build has no server yet");
    drop(setup);
    ExitCode::FAILURE
}
