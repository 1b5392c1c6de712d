//! The timer wheel.

use edgeloop::reactor::Wheel;

use super::Repeat;

/// Timers as connections have them: spread over the next minute.
pub(crate) fn wheel(timers: u32) -> Wheel {
    let mut wheel = Wheel::new(0);
    for key in 0..timers {
        wheel.arm(key, due_ms(key));
    }
    wheel
}

/// A time within a minute from the start, the same for the same key.
pub(crate) fn due_ms(key: u32) -> u64 {
    1 + u64::from(key.wrapping_mul(2_654_435_761)) % 60_000
}

pub(crate) fn arm_again(repeat: impl Repeat, timers: u32) {
    let mut wheel = wheel(timers);
    let mut turn = 0_u32;
    repeat.repeat(|| {
        turn = turn.wrapping_add(1);
        wheel.arm(turn % timers, due_ms(turn));
    });
}

/// One timer comes due and is armed again, however many there are: they are as many milliseconds apart.
pub(crate) fn turn_with_one_due(repeat: impl Repeat, timers: u32) {
    let mut wheel = Wheel::new(0);
    for key in 0..timers {
        wheel.arm(key, u64::from(key) + 1);
    }
    let mut now_ms = 0;
    repeat.repeat(|| {
        now_ms += 1;
        // With a million, it may have to wait for its turn to move to a finer slot.
        while let Some(key) = wheel.poll(now_ms) {
            wheel.arm(key, now_ms + u64::from(timers));
        }
        wheel.next_ms()
    });
}
