//! Signals, turned into mail on a thread of their own.

use std::io;
use std::net::TcpListener;
use std::process;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::handover::Successor;
use super::reload::Reloader;
use super::site::Mail;
use super::supervisor;
use crate::web::Post;

/// The exit code after a second signal to stop: not all that was asked for was done.
const IMPATIENT: i32 = 1;
/// With this process all others of its container end (pid_namespaces(7)).
const CONTAINER_INIT: u32 = 1;

/// Handles SIGHUP, SIGUSR2, SIGINT and SIGTERM from now on. `listeners` are for the server that takes the
/// place of this one (SIGUSR2).
///
/// # Errors
/// The handlers or the thread cannot be set up.
pub fn handle(
    post: Post<Mail>,
    mut reloader: Reloader,
    listeners: Vec<TcpListener>,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR2])?;
    // Held until the end begins: then nobody new is to come.
    let mut listeners = Some(listeners);
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let mail = match (signal, &listeners) {
                    (SIGHUP, _) => reload(&mut reloader),
                    (SIGUSR2, Some(held)) if hand_over(held, &reloader) => Some(Mail::Stop),
                    (SIGUSR2, _) => None,
                    (_, None) => process::exit(IMPATIENT),
                    (_, Some(_)) => {
                        log::info!("stopping; a second signal stops at once");
                        supervisor::stopping();
                        Some(Mail::Stop)
                    }
                };
                if matches!(mail, Some(Mail::Stop)) {
                    listeners = None;
                }
                if mail.is_some_and(|mail| post.to_service(mail).is_err()) {
                    return;
                }
            }
        })?;
    Ok(())
}

/// From now on a file that may not grow any more (`ulimit -f`) is an error of who writes it, not the end
/// of the process.
///
/// # Errors
/// The handler cannot be set up.
pub fn survive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

fn reload(reloader: &mut Reloader) -> Option<Mail> {
    supervisor::reloading();
    let reload = reloader.reload();
    supervisor::ready();
    reload.map(|reload| Mail::Reload(Box::new(reload)))
}

/// Starts another server on the same sockets. Returns whether it listens.
fn hand_over(listeners: &[TcpListener], reloader: &Reloader) -> bool {
    if process::id() == CONTAINER_INIT {
        log::error!(
            "SIGUSR2 does nothing here: this is process 1 of a container, which would end with it"
        );
        return false;
    }
    log::info!("starting another server on the same sockets");
    let outcome = Successor::start(listeners, reloader.required())
        .map_err(|error| error.to_string())
        .and_then(Successor::await_ready);
    match outcome {
        Ok(pid) => {
            log::info!("process {pid} has taken over; stopping");
            supervisor::succeeded_by(pid);
            true
        }
        Err(error) => {
            log::error!("nobody has taken over, and this server goes on: {error}");
            false
        }
    }
}
