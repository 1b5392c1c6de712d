//! Signals, turned into mail. Their own thread only passes them on, so that one to stop is heard at any
//! moment: what may take its time, a reload or another server's start, is done by two others.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{self, Child};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::handover::{Handover, Listener, READY_TIME, SuccessorReport};
use super::reload::Reloader;
use super::site::Mail;
use super::systemd;
use crate::web::ServiceSender;

/// The exit code after a second signal to stop: not all that was asked for was done.
const IMPATIENT: i32 = 1;
/// With this process all others of its container end (pid_namespaces(7)).
const CONTAINER_INIT: u32 = 1;
/// Time of a reload after which it is logged as hanging.
const RELOAD_TIME: Duration = Duration::from_secs(30);

/// Handles SIGHUP, SIGUSR2, SIGINT and SIGTERM from now on. `listeners` are for the server that takes the
/// place of this one (SIGUSR2). Those that [`hear_early`] heard count as well.
///
/// # Errors
/// The handlers or the threads cannot be set up.
pub fn handle(
    post: ServiceSender<Mail>,
    reloader: Reloader,
    listeners: Vec<Listener>,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR2])?;
    let shared = Arc::new(SignalsShared {
        state: Mutex::new(SignalsState {
            handover: Some(Handover::new(&listeners)?),
            successor: None,
            is_stopping: false,
        }),
        required: Mutex::new(reloader.required().map(PathBuf::from)),
        post,
    });
    // One more is remembered while one is under way, and stands for any number of them.
    let (reload, reloads) = mpsc::sync_channel(1);
    let (hand_over, handovers) = mpsc::sync_channel(1);
    if EARLY.reload.load(Ordering::Relaxed) {
        remember(&reload);
    }
    if EARLY.hand_over.load(Ordering::Relaxed) && process::id() != CONTAINER_INIT {
        remember(&hand_over);
    }
    let (reloading, handing_over) = (Arc::clone(&shared), Arc::clone(&shared));
    spawn("reload", move || reload_all(&reloading, reloader, &reloads))?;
    spawn("handover", move || hand_over_all(&handing_over, &handovers))?;
    spawn("signals", move || {
        // Where the kernel has no memory for a moment, the iterator panics; signals have to be heard again
        // after that.
        let mut listen = || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => remember(&reload),
                    SIGUSR2 if process::id() == CONTAINER_INIT => log::error!(
                        "SIGUSR2 does nothing here: this is process 1 of a container, which would end with it"
                    ),
                    SIGUSR2 => remember(&hand_over),
                    _ => shared.stop(),
                }
            }
        };
        while catch_unwind(AssertUnwindSafe(&mut listen)).is_err() {
            log::error!("the thread that waits for signals panicked, and goes on in a second");
            thread::sleep(Duration::from_secs(1));
        }
    })
}

/// Signals that came before [`handle`] could pass them on.
#[derive(Default)]
struct Early {
    reload: Arc<AtomicBool>,
    hand_over: Arc<AtomicBool>,
}

static EARLY: LazyLock<Early> = LazyLock::new(Early::default);

/// From now on SIGHUP and SIGUSR2 do not end the process; they are remembered for [`handle`].
///
/// # Errors
/// The handlers cannot be set up.
pub fn hear_early() -> io::Result<()> {
    signal_hook::flag::register(SIGHUP, Arc::clone(&EARLY.reload))?;
    signal_hook::flag::register(SIGUSR2, Arc::clone(&EARLY.hand_over)).map(drop)
}

/// From now on a file that may not grow any more (`ulimit -f`) is an error of who writes it, not the end
/// of the process.
///
/// # Errors
/// The handler cannot be set up.
pub fn survive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map(drop)
}

fn remember(work: &SyncSender<()>) {
    // Full: what is remembered already begins after this signal.
    work.try_send(()).ok();
}

/// State that the threads share.
struct SignalsShared {
    state: Mutex<SignalsState>,
    /// The file that a server in the place of this one has to read.
    required: Mutex<Option<PathBuf>>,
    post: ServiceSender<Mail>,
}

struct SignalsState {
    /// Holds the sockets until the end begins: then nobody new is to come.
    handover: Option<Handover>,
    /// Has been started, and does not listen yet.
    successor: Option<Child>,
    is_stopping: bool,
}

impl SignalsShared {
    fn state(&self) -> MutexGuard<'_, SignalsState> {
        locked(&self.state)
    }

    fn stop(&self) {
        let mut state = self.state();
        if state.is_stopping {
            process::exit(IMPATIENT);
        }
        state.is_stopping = true;
        log::info!("stopping; a second signal stops at once");
        state.handover = None;
        if let Some(successor) = &mut state.successor {
            // It may have ended by itself in this moment.
            successor.kill().ok();
        }
        systemd::stopping();
        // Nobody there: it has stopped.
        self.post.to_service(Mail::Stop).ok();
    }
}

/// A thread that panicked has left whole what these locks are for.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reload_all(shared: &SignalsShared, mut reloader: Reloader, reloads: &Receiver<()>) {
    while reloads.recv().is_ok() && !shared.state().is_stopping {
        systemd::reloading();
        let (done, is_done) = mpsc::channel::<()>();
        let warned = thread::Builder::new().name("reload-time".into()).spawn(move || {
            if let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(RELOAD_TIME) {
                log::error!(
                    "a reload hangs: what it reads has not come within {RELOAD_TIME:?}, and until it does all stays as it was"
                );
                systemd::ready();
            }
        });
        if let Err(error) = warned {
            log::warn!("nobody looks after the time that this reload takes: {error}");
        }
        let reload = reloader.reload();
        drop(done);
        *locked(&shared.required) = reloader.required().map(PathBuf::from);
        if shared.state().is_stopping {
            return;
        }
        systemd::ready();
        let mail = reload.map(|reload| Mail::Reload(Box::new(reload)));
        if mail.is_some_and(|mail| shared.post.to_service(mail).is_err()) {
            return;
        }
    }
}

fn hand_over_all(shared: &SignalsShared, handovers: &Receiver<()>) {
    while handovers.recv().is_ok() {
        let Some(handover) = shared.state().handover.take() else {
            return;
        };
        log::info!("starting another server on the same sockets");
        match hand_over(shared, handover) {
            Ok(Some(pid)) => {
                log::info!("process {pid} has taken over; stopping");
                systemd::succeeded_by(pid);
                shared.post.to_service(Mail::Stop).ok();
                return;
            }
            Ok(None) => {
                log::info!("the server that was starting has been ended");
                return;
            }
            Err(error) => {
                log::error!("nobody has taken over, and this server goes on: {error}");
            }
        }
    }
}

/// Starts another server and waits until it listens: then gives its process id, and this one stops. `None`:
/// this one was told to stop meanwhile, and the other has been ended.
fn hand_over(shared: &SignalsShared, mut handover: Handover) -> Result<Option<u32>, String> {
    let required = locked(&shared.required).clone();
    // Not under the lock: a command on a dead mount does not start.
    let started = handover.start(required.as_deref());
    let mut state = shared.state();
    if !state.is_stopping {
        // Dropped otherwise: nobody new is to come.
        state.handover = Some(handover);
    }
    let (mut successor, ready) = started.map_err(|error| error.to_string())?;
    if state.is_stopping {
        end(&mut successor);
        return Ok(None);
    }
    let pid = successor.id();
    state.successor = Some(successor);
    drop(state);
    let response = ready.wait();
    let mut state = shared.state();
    let Some(mut successor) = state.successor.take() else {
        return Ok(None);
    };
    if state.is_stopping {
        drop(state);
        end(&mut successor);
        return Ok(None);
    }
    match response {
        SuccessorReport::Ready => {
            state.is_stopping = true;
            state.handover = None;
            Ok(Some(pid))
        }
        SuccessorReport::Ended => {
            drop(state);
            match successor.wait() {
                Ok(status) => Err(format!("it ended with {status}")),
                Err(error) => Err(error.to_string()),
            }
        }
        SuccessorReport::TooLate => {
            drop(state);
            end(&mut successor);
            Err(format!("it did not listen within {READY_TIME:?}"))
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself in this moment.
    child.kill().ok();
    child.wait().ok();
}
