//! Changes of a re-read configuration, for SIGHUP.

use super::Config;
use super::keys::{self, Reload};

/// The keys whose values differ between two configurations, in the order of `server.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigChanges {
    /// Keys that a running server takes over at once.
    pub live: Vec<&'static str>,
    /// Keys that only count after a restart; a running server keeps their old values.
    pub restart: Vec<&'static str>,
}

impl ConfigChanges {
    /// Returns `true` if nothing differs. The certificate files may still have new contents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }
}

impl Config {
    /// Differences of `new`, divided by when they take effect.
    #[must_use]
    pub fn changes(&self, new: &Self) -> ConfigChanges {
        let mut changes = ConfigChanges::default();
        for key in keys::all().filter(|key| (key.differs)(self, new)) {
            match key.reload {
                Reload::Live => changes.live.push(key.name),
                Reload::Restart => changes.restart.push(key.name),
            }
        }
        if self.secret_key != new.secret_key {
            changes.restart.push("SECRET_KEY");
        }
        changes
    }

    /// `new` as it counts in a server that runs with this configuration: what takes a restart stays as it is.
    #[must_use]
    pub fn with_live_changes(&self, mut new: Self) -> Self {
        for key in keys::all().filter(|key| key.reload == Reload::Restart) {
            (key.keep)(&mut new, self);
        }
        new.secret_key = self.secret_key.clone();
        new
    }
}
