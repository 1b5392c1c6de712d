//! Keys that are understood but whose function comes in a later release. Asking for one is
//! never passed over in silence. A release that brings the function removes the line here.

use super::Config;

pub(super) enum Verdict {
    /// Starting without it would be unsafe or a surprise: the start is refused.
    Refuse,
    /// The server does less than was asked for, and says so.
    Warn,
}

pub(super) struct Later {
    pub(super) key: &'static str,
    /// Whether the value asks for the function.
    pub(super) asked: fn(&Config) -> bool,
    pub(super) verdict: Verdict,
    pub(super) text: &'static str,
}

pub(super) const LATER: &[Later] = &[
    Later {
        key: "worker_processes",
        asked: |config| config.worker_processes > 1,
        verdict: Verdict::Refuse,
        text: "this release runs one reactor and does not have more yet; set it to 1",
    },
    Later {
        key: "metrics_address",
        asked: |config| config.metrics_address.is_some(),
        verdict: Verdict::Warn,
        text: "this release does not serve metrics yet; nothing will listen there",
    },
];
