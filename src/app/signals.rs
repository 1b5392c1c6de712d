//! Signals, turned into mail on a thread of their own.

use std::io;
use std::process;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::reload::Reloader;
use super::site::Mail;
use crate::web::Post;

/// The exit code after a second signal to stop: not all that was asked for was done.
const IMPATIENT: i32 = 1;

/// Handles SIGHUP, SIGINT and SIGTERM from now on.
///
/// # Errors
/// The handlers or the thread cannot be set up.
pub fn handle(post: Post<Mail>, mut reloader: Reloader) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut is_stopping = false;
            for signal in signals.forever() {
                let mail = match signal {
                    SIGHUP => reloader
                        .reload()
                        .map(|reload| Mail::Reload(Box::new(reload))),
                    _ if is_stopping => process::exit(IMPATIENT),
                    _ => {
                        is_stopping = true;
                        log::info!("stopping; a second signal stops at once");
                        Some(Mail::Stop)
                    }
                };
                if mail.is_some_and(|mail| post.to_service(mail).is_err()) {
                    return;
                }
            }
        })?;
    Ok(())
}
