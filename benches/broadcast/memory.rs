//! The memory of this process, and of the kernel for all TCP sockets of this network.

use std::alloc::System;
use std::fmt;
use std::fs;
use std::thread;
use std::time::Duration;

use cap::Cap;

use crate::client::Failure;

const PAGE_BYTES: usize = 4 << 10;

#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    heap_bytes: usize,
    resident_bytes: usize,
    /// Both ends of all connections.
    kernel_bytes: usize,
}

impl Memory {
    pub(crate) fn now(heap: &Cap<System>) -> Result<Self, Failure> {
        let status = fs::read_to_string("/proc/self/status")?;
        let sockets = fs::read_to_string("/proc/net/sockstat")?;
        Ok(Self {
            heap_bytes: heap.allocated(),
            resident_bytes: number_after(&status, "VmRSS:", "VmRSS:")? << 10,
            kernel_bytes: number_after(&sockets, "TCP:", "mem")? * PAGE_BYTES,
        })
    }

    /// As soon as the heap does not change any more.
    pub(crate) fn settled(heap: &Cap<System>) -> Result<Self, Failure> {
        let mut heap_bytes = heap.allocated();
        let mut unchanged = 0;
        while unchanged < 5 {
            thread::sleep(Duration::from_millis(40));
            let now_bytes = heap.allocated();
            unchanged = if now_bytes == heap_bytes {
                unchanged + 1
            } else {
                0
            };
            heap_bytes = now_bytes;
        }
        Self::now(heap)
    }

    /// Keeps the larger of each.
    pub(crate) fn raise(&mut self, other: &Self) {
        self.heap_bytes = self.heap_bytes.max(other.heap_bytes);
        self.resident_bytes = self.resident_bytes.max(other.resident_bytes);
        self.kernel_bytes = self.kernel_bytes.max(other.kernel_bytes);
    }
}

/// The number that follows `name` in the line that starts with `line`.
fn number_after(text: &str, line: &str, name: &str) -> Result<usize, Failure> {
    let line = text.lines().find(|other| other.starts_with(line));
    let mut words = line.unwrap_or_default().split_whitespace();
    words.find(|word| *word == name);
    Ok(words.next().ok_or("not in proc(5)")?.parse()?)
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let (heap, resident) = (mib(self.heap_bytes), mib(self.resident_bytes));
        let kernel = mib(self.kernel_bytes);
        write!(f, "{heap:>12.2}{resident:>12.2}{kernel:>14.2}")
    }
}
