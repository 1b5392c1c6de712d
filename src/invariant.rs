//! Invariants: conditions that the code relies on.
//!
//! A broken invariant is a fault of this program, whatever a peer has sent. In debug builds and in tests it
//! panics. In release builds it is logged once for each place and counted, the code that found it goes on without
//! what is missing, and the engine ends the connection that was worked on.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::slice::SliceIndex;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

static VIOLATIONS: AtomicU64 = AtomicU64::new(0);
/// The places that are in the log.
static LOGGED: Mutex<Vec<&Location<'_>>> = Mutex::new(Vec::new());

thread_local! {
    static HERE: Cell<u64> = const { Cell::new(0) };
    #[cfg(test)]
    static IS_RELEASE: Cell<bool> = const { Cell::new(false) };
}

/// Number of broken invariants that this thread has found: the engine ends the connection during whose work it grew.
pub(crate) fn violations_here() -> u64 {
    HERE.get()
}

/// Runs a test as in a release build, where a violation does not panic.
#[cfg(test)]
pub(crate) fn as_in_release<T>(test: impl FnOnce() -> T) -> T {
    IS_RELEASE.set(true);
    let value = test();
    IS_RELEASE.set(false);
    value
}

/// Number of broken invariants since the process began.
pub fn violations() -> u64 {
    VIOLATIONS.load(Ordering::Relaxed)
}

/// Checks what cannot be otherwise: `invariant!(condition, "message")` returns whether it holds.
///
/// `invariant!("message")` stands where the code is not reached. Both take arguments for the message, as
/// [`format!`] does. See the [module](mod@crate::invariant) for what becomes of a violation.
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
    ($message:literal $(, $argument:expr)* $(,)?) => {
        $crate::invariant::report(format_args!($message $(, $argument)*))
    };
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
#[track_caller]
#[expect(
    clippy::panic,
    reason = "a fault of this program ends the test that shows it"
)]
pub fn report(message: fmt::Arguments<'_>) {
    VIOLATIONS.fetch_add(1, Ordering::Relaxed);
    HERE.set(HERE.get() + 1);
    #[cfg(test)]
    let panics = !IS_RELEASE.get();
    #[cfg(not(test))]
    let panics = true;
    if cfg!(debug_assertions) && panics {
        panic!("broken invariant: {message}");
    }
    let place = Location::caller();
    let is_logged = LOGGED.lock().is_ok_and(|mut logged| {
        let is_logged = logged.contains(&place);
        if !is_logged {
            logged.push(place);
        }
        is_logged
    });
    if !is_logged {
        log::error!(
            "broken invariant at {place}: {message}. Please report this fault of the program"
        );
    }
}

/// The part of `slice` in `range`. That is within it: else an invariant is broken, and the part is empty.
#[doc(hidden)]
#[inline]
#[track_caller]
pub fn part<T, I>(slice: &[T], range: I) -> &[T]
where
    I: SliceIndex<[T], Output = [T]>,
{
    slice.get(range).unwrap_or_else(|| {
        outside(slice.len());
        &[]
    })
}

/// The same, to be changed.
#[doc(hidden)]
#[inline]
#[track_caller]
pub fn part_mut<T, I>(slice: &mut [T], range: I) -> &mut [T]
where
    I: SliceIndex<[T], Output = [T]>,
{
    let len = slice.len();
    match slice.get_mut(range) {
        Some(part) => part,
        None => {
            outside(len);
            &mut []
        }
    }
}

#[cold]
#[track_caller]
fn outside(len: usize) {
    invariant!("a range is within the {} elements of a slice", len);
}

#[cfg(test)]
mod tests {
    use super::{part, part_mut};

    #[test]
    fn what_holds_is_said_to_hold() {
        assert!(invariant!(1 + 1 == 2, "numbers add up"));
        assert_eq!(part(b"abc", 1..), b"bc");
        assert_eq!(part_mut(&mut [1, 2, 3], ..2), [1, 2]);
        assert_eq!(part(b"abc", 3..), b"");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "broken invariant: 3 is even")]
    fn what_does_not_hold_panics_where_tests_run() {
        invariant!(3 % 2 == 0, "{} is even", 3);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a range is within the 3 elements")]
    fn a_part_that_there_is_not_panics_where_tests_run() {
        part(b"abc", 4..);
    }
}
