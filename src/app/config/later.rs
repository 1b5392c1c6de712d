//! Keys that are understood but whose function comes in a later release: starting without it would be
//! a surprise, so the start is refused. A release that brings the function removes the line here.

use super::Config;

pub(super) struct Later {
    pub(super) key: &'static str,
    /// `true` if the value asks for the function.
    pub(super) asked: fn(&Config) -> bool,
    pub(super) text: &'static str,
}

pub(super) const LATER: &[Later] = &[Later {
    key: "worker_processes",
    asked: |config| config.worker_processes > 1,
    text: "this release runs one reactor and does not have more yet; set it to 1",
}];
