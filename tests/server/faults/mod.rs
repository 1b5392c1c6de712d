//! Faults of the system: no resources left, peers that are gone, a clock that jumps. It is
//! survived each time, and those who are served notice as little of it as can be.

mod backlog;
mod clock;
mod descriptors;
mod hashing;
mod memory;
mod outputs;
mod process;
mod sockets;
