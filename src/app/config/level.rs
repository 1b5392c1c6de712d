//! Levels and formats of the log.

use log::LevelFilter;

/// The least serious lines that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `0`: everything, for finding faults.
    Debug,
    /// `1`: one line for each request and each change of state.
    Info,
    /// `2`: what an operator should look at.
    Warn,
    /// `3`: what failed.
    Error,
    /// `4`: nothing but the line that says why the server stops.
    Fatal,
}

impl LogLevel {
    /// The same as a filter for the `log` crate, which has no fatal level.
    #[must_use]
    pub fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::Debug,
            Self::Info => LevelFilter::Info,
            Self::Warn => LevelFilter::Warn,
            Self::Error => LevelFilter::Error,
            Self::Fatal => LevelFilter::Off,
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-11-23T10:11:12.345Z INFO  access peer=127.0.0.1:5000`
    Text,
    /// One JSON object per line.
    Json,
}
