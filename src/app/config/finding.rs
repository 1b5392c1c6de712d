//! Errors and warnings about the configuration, with their places.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Source of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingSource {
    /// The configuration file as a whole.
    File(Arc<PathBuf>),
    /// One line of the configuration file.
    Line {
        /// The file, as it was named to us.
        file: Arc<PathBuf>,
        /// Line number, counted from 1.
        number: usize,
        /// The key on that line, if the line has one.
        key: Option<String>,
    },
    /// An environment variable.
    Variable(&'static str),
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Line { file, number, key } => {
                write!(f, "{}:{number}", file.display())?;
                key.iter().try_for_each(|key| write!(f, ": {key}"))
            }
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One error or warning: a place and a sentence. Displays as one line, such as
/// `server.conf:12: port: "web" is not a whole number from 0 to 65535`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Place that the sentence is about.
    pub place: SettingSource,
    /// The error, and what was expected.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Every error of one attempt to load the configuration, never empty. Displays one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Finding>);

impl ConfigErrors {
    /// `Ok` when nothing was found.
    pub(super) fn check(findings: Vec<Finding>) -> Result<(), Self> {
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Self(findings))
        }
    }

    /// The errors, those of the file first and in its order.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
