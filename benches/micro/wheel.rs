//! The timer wheel, with any number of timers.

use divan::{Bencher, black_box};

use crate::components::wheel::{self, due_ms, wheel};

const TIMERS: [u32; 3] = [100, 10_000, 1_000_000];

#[divan::bench(args = TIMERS)]
fn arm_again(bencher: Bencher<'_, '_>, timers: u32) {
    wheel::arm_again(bencher, timers);
}

#[divan::bench(args = TIMERS)]
fn cancel_and_arm(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = wheel(timers);
    let mut turn = 0_u32;
    bencher.bench_local(|| {
        turn = turn.wrapping_add(1);
        wheel.cancel(turn % timers);
        wheel.arm(turn % timers, due_ms(turn));
    });
}

/// One millisecond passes; what is due is armed again for a minute later. That is one of 60,000, so at a
/// million it is sixteen in each.
#[divan::bench(args = TIMERS)]
fn poll_a_millisecond(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = wheel(timers);
    let mut now_ms = 0;
    bencher.bench_local(|| {
        now_ms += 1;
        while let Some(key) = wheel.poll(now_ms) {
            wheel.arm(key, now_ms + 60_000);
        }
    });
}

#[divan::bench(args = TIMERS)]
fn turn_with_one_due(bencher: Bencher<'_, '_>, timers: u32) {
    wheel::turn_with_one_due(bencher, timers);
}

/// A slot four seconds wide comes up, with a fifteenth of the timers of a minute, which move to finer slots:
/// the turn in which they begin to.
#[divan::bench(args = TIMERS, sample_count = 20, sample_size = 1)]
fn coarse_slot_comes_up(bencher: Bencher<'_, '_>, timers: u32) {
    let before = || {
        let mut wheel = wheel(timers);
        while wheel.next_ms().is_some_and(|next_ms| next_ms < 4096) {
            while wheel.poll(4095).is_some() {}
        }
        wheel
    };
    bencher
        .with_inputs(before)
        .bench_local_refs(|wheel| while wheel.poll(4096).is_some() {});
}

/// Cost of a turn of the loop while nothing is due.
#[divan::bench(args = TIMERS)]
fn poll_nothing_due(bencher: Bencher<'_, '_>, timers: u32) {
    let mut wheel = wheel(timers);
    bencher.bench_local(|| (wheel.poll(black_box(0)), wheel.next_ms()));
}
