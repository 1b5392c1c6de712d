//! What cannot happen, where the code relies on it.
//!
//! A broken invariant is a fault of this program, whatever a peer has sent. In debug builds and in tests it
//! panics. In release builds it is logged once for each place and counted, and the code that found it
//! ends the connection that it was at work on.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static VIOLATIONS: AtomicU64 = AtomicU64::new(0);

/// Number of broken invariants since the process began.
pub fn violations() -> u64 {
    VIOLATIONS.load(Ordering::Relaxed)
}

/// Checks what cannot be otherwise: `invariant!(condition, "message")` returns whether it holds.
///
/// `invariant!("message")` stands where the code is not reached. Both take arguments for the message, as
/// [`format!`] does. See the [module](crate::invariant) for what becomes of a violation.
///
/// ```
/// fn third(bytes: &[u8; 4]) -> u8 {
///     let Some(byte) = bytes.get(2) else {
///         edgeloop::invariant!("an array of {} has a third element", bytes.len());
///         return 0;
///     };
///     *byte
/// }
/// assert_eq!(third(&[1, 2, 3, 4]), 3);
/// ```
#[macro_export]
macro_rules! invariant {
    ($message:literal $(, $argument:expr)* $(,)?) => {{
        static IS_LOGGED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
        $crate::invariant::report(&IS_LOGGED, file!(), line!(), format_args!($message $(, $argument)*));
    }};
    ($condition:expr, $message:literal $(, $argument:expr)* $(,)?) => {{
        let holds: bool = $condition;
        if !holds {
            $crate::invariant!($message $(, $argument)*);
        }
        holds
    }};
}

/// Reports a violation; to be called by [`invariant!`](crate::invariant!) alone.
///
/// # Panics
/// In debug builds.
#[doc(hidden)]
#[cold]
#[expect(clippy::panic, reason = "a fault of this program ends the test that shows it")]
pub fn report(is_logged: &AtomicBool, file: &str, line: u32, message: fmt::Arguments<'_>) {
    VIOLATIONS.fetch_add(1, Ordering::Relaxed);
    if cfg!(debug_assertions) {
        panic!("broken invariant: {message} ({file}:{line})");
    }
    if !is_logged.swap(true, Ordering::Relaxed) {
        log::error!("broken invariant: {message} ({file}:{line}); this is a fault of the server, please report it");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_holds_is_said_to_hold() {
        assert!(invariant!(1 + 1 == 2, "numbers add up"));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "broken invariant: 3 is even")]
    fn what_does_not_hold_panics_where_tests_run() {
        invariant!(3 % 2 == 0, "{} is even", 3);
    }
}
