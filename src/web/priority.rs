//! Threads whose work can wait.

use rustix::process::setpriority_process;

/// See setpriority(2): the loop gets nine tenths of a core that both want.
const NICENESS: i32 = 10;

/// Lets the loop have the core whenever it wants it, and this thread what is left. On Linux, priorities
/// are those of threads.
pub(crate) fn stand_back(who: &str) {
    if let Err(error) = setpriority_process(None, NICENESS) {
        log::debug!("{who} has the priority of the loop: {error}");
    }
}
