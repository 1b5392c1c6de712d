//! Notifications of the service manager (sd_notify(3)): ready, reloading, stopping, alive.
//!
//! Without a manager all of it does nothing.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

/// The server listens.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] says when it has.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("the service manager is not told of a reload: {error}"),
    }
}

/// It stops.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Another process has taken its place.
pub(super) fn succeeded_by(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager cannot be told: {error}");
    }
}

/// If a watchdog is configured, asks the loop for a sign of life four times in each of its times, and passes
/// it on: `ask` is to lead to a message on `responses`, and returns `false` when there is nobody any more.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn watch(
    ask: impl Fn() -> bool + Send + 'static,
    responses: Receiver<()>,
) -> std::io::Result<()> {
    let Some(time) = sd_notify::watchdog_enabled() else {
        return Ok(());
    };
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || beat(time / 4, &ask, &responses))?;
    Ok(())
}

fn beat(time: Duration, ask: &impl Fn() -> bool, responses: &Receiver<()>) {
    while ask() {
        match responses.recv_timeout(2 * time) {
            Ok(()) => notify(&[NotifyState::Watchdog]),
            // The last sign of life is three quarters of the manager's patience ago.
            Err(RecvTimeoutError::Timeout) => {
                let waited = 2 * time;
                log::warn!("the event loop gave no sign of life within {waited:?}");
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        thread::sleep(time);
        // What was asked for before is no sign of life now.
        while responses.try_recv().is_ok() {}
    }
}
