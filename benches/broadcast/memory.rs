//! The memory of this process, and of the kernel for all TCP sockets of this network.

use std::alloc::System;
use std::fmt;

use cap::Cap;

use crate::client::{Failure, kernel_bytes, resident_bytes, settled};

#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    heap_bytes: u64,
    resident_bytes: u64,
    /// Both ends of all connections.
    kernel_bytes: u64,
}

impl Memory {
    pub(crate) fn now(heap: &Cap<System>) -> Result<Self, Failure> {
        Ok(Self {
            heap_bytes: heap.allocated() as u64,
            resident_bytes: resident_bytes()?,
            kernel_bytes: kernel_bytes()?,
        })
    }

    /// As soon as the heap does not change any more.
    pub(crate) fn settled(heap: &Cap<System>) -> Result<Self, Failure> {
        settled(|| Ok(heap.allocated()))?;
        Self::now(heap)
    }

    /// Keeps the larger of each.
    pub(crate) fn raise(&mut self, other: &Self) {
        self.heap_bytes = self.heap_bytes.max(other.heap_bytes);
        self.resident_bytes = self.resident_bytes.max(other.resident_bytes);
        self.kernel_bytes = self.kernel_bytes.max(other.kernel_bytes);
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (heap, resident) = (mib(self.heap_bytes), mib(self.resident_bytes));
        let kernel = mib(self.kernel_bytes);
        write!(f, "{heap:>12.2}{resident:>12.2}{kernel:>14.2}")
    }
}
