//! Memory ceilings for peers, where the process has a limit of its own.
//!
//! Rust ends a process that is refused memory. So what peers can make grow has ceilings, and they fit
//! into the limit; and a limit that leaves no room for them is told of at the start.

use rustix::process::{Resource, getrlimit};

use crate::web::ReactorConfig;

const MIB: u64 = 1024 * 1024;

/// Memory without any peer, beside files that are kept in memory: code, libraries, stacks, the
/// database's cache, and buffers of the loop.
const BASE: u64 = 64 * MIB;
/// Memory of each hashing thread, with its stack.
const PER_HASHER: u64 = 24 * MIB;
/// Memory of an idle connection.
const PER_CONNECTION: u64 = 4 * 1024;
/// For what is under way on them, at the least.
const PEERS_MIN: u64 = 32 * MIB;

/// Threads beside those that hash: the loop, the store, the log, two for files, signals, the watchdog.
const THREADS: u64 = 7;
/// Address space that the allocator of glibc sets aside for a thread, and does not use.
const PER_ARENA: u64 = 64 * MIB;

/// Lowers the ceilings of `reactor` to what fits into the limit on address space or data of this process.
///
/// # Errors
/// A sentence: the limit is too low to serve anybody.
pub(super) fn fit(
    reactor: &mut ReactorConfig,
    hashers: usize,
    max_connections: usize,
    max_file_memory: usize,
) -> Result<(), String> {
    let hashers = hashers as u64;
    let idle = (max_connections as u64).saturating_mul(PER_CONNECTION);
    let needed = BASE + max_file_memory as u64 + hashers * PER_HASHER + idle;
    let set_aside = (THREADS + hashers) * PER_ARENA;
    let limits = [
        (
            Resource::As,
            "address space (ulimit -v)",
            needed + set_aside,
        ),
        (Resource::Data, "data (ulimit -d)", needed),
    ];
    for (resource, what, needed) in limits {
        if let Some(limit) = getrlimit(resource).current {
            fit_into(limit, what, needed, reactor)?;
        }
    }
    Ok(())
}

fn fit_into(
    limit: u64,
    what: &str,
    needed: u64,
    reactor: &mut ReactorConfig,
) -> Result<(), String> {
    let room = limit.saturating_sub(needed);
    if room < PEERS_MIN {
        return Err(format!(
            "this process may have {} MiB of {what}, and needs {} MiB at least; fewer max_connections \
             need less",
            limit / MIB,
            (needed + PEERS_MIN) / MIB
        ));
    }
    // Half is for what is counted, and half for what is not: buffers grow by doubling, the allocator
    // leaves holes, and every connection has a few KiB.
    let most = usize::try_from(room / 4).unwrap_or(usize::MAX);
    reactor.output_bytes_max_total = reactor.output_bytes_max_total.min(most);
    reactor.input_bytes_max_total = reactor.input_bytes_max_total.min(most);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings(limit_mib: u64) -> Result<[usize; 2], String> {
        let mut reactor = ReactorConfig::default();
        fit_into(limit_mib * MIB, "memory", 152 * MIB, &mut reactor)?;
        let ceilings = [
            reactor.output_bytes_max_total,
            reactor.input_bytes_max_total,
        ];
        Ok(ceilings.map(|bytes| bytes >> 20))
    }

    #[test]
    fn ceilings_come_down_to_a_low_limit_and_no_further() {
        assert_eq!(ceilings(u64::MAX / MIB), Ok([512, 256]));
        assert_eq!(ceilings(152 + 1200), Ok([300, 256]));
        assert_eq!(ceilings(152 + 32), Ok([8, 8]));
        let rejected = ceilings(152 + 31).unwrap_err();
        assert_eq!(
            rejected,
            "this process may have 183 MiB of memory, and needs 184 MiB at least; fewer max_connections \
             need less"
        );
    }
}
