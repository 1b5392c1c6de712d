//! Facts about processes in proc(5).

use std::fs;
use std::thread;
use std::time::Duration;

use super::Failure;

/// Ticks in a second: the same on every Linux that Rust's standard library knows.
const TICKS_PER_SECOND: u64 = 100;
const PAGE_BYTES: u64 = 4 << 10;

/// The processor time that processes had used at some moment, in all their threads.
pub(crate) struct Cpu<'a> {
    pids: &'a [u32],
    ticks: u64,
}

impl<'a> Cpu<'a> {
    pub(crate) fn of_processes(pids: &'a [u32]) -> Result<Self, Failure> {
        Ok(Self {
            pids,
            ticks: total(pids, ticks)?,
        })
    }

    /// Time they have used since, in user and in kernel mode; `None` if there are none.
    pub(crate) fn since(&self) -> Result<Option<Duration>, Failure> {
        let ticks = total(self.pids, ticks)?.saturating_sub(self.ticks);
        let spent = Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Ok(Some(spent).filter(|_| !self.pids.is_empty()))
    }
}

/// The resident memory of some processes together, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// The most there was since [`begin`](Self::begin).
    pub(crate) peak: u64,
}

impl Memory {
    /// Present memory; the peak is measured anew from here on.
    pub(crate) fn begin(pids: &[u32]) -> Result<Option<Self>, Failure> {
        for pid in pids {
            // Somebody else's process keeps its peak.
            fs::write(format!("/proc/{pid}/clear_refs"), "5").ok();
        }
        Self::now(pids)
    }

    /// `None` if there are no processes.
    pub(crate) fn now(pids: &[u32]) -> Result<Option<Self>, Failure> {
        let memory = Self {
            resident: total(pids, |pid| status_bytes(&pid.to_string(), "VmRSS:"))?,
            peak: total(pids, |pid| status_bytes(&pid.to_string(), "VmHWM:"))?,
        };
        Ok(Some(memory).filter(|_| !pids.is_empty()))
    }

    /// As soon as they neither grow nor shrink.
    pub(crate) fn settled(pids: &[u32]) -> Result<Option<Self>, Failure> {
        settled(|| total(pids, |pid| status_bytes(&pid.to_string(), "VmRSS:")))?;
        Self::now(pids)
    }
}

/// The resident memory of this process.
pub(crate) fn resident_bytes() -> Result<u64, Failure> {
    status_bytes("self", "VmRSS:")
}

/// Bytes in the kernel's TCP buffers, at both ends of all connections of this network.
pub(crate) fn kernel_bytes() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    Ok(number_after(&text, "TCP:", "mem")? * PAGE_BYTES)
}

/// Bytes of the kernel's own objects, sockets among them, for the whole machine.
pub(crate) fn slab_bytes() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/meminfo")?;
    Ok(number_after(&text, "Slab:", "Slab:")? << 10)
}

/// A figure as soon as it has been the same for a while: the server has handled everything then.
pub(crate) fn settled<T: PartialEq>(
    mut figure: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut last = figure()?;
    let mut unchanged = 0;
    // Who never rests is taken as it is.
    for _ in 0..250 {
        if unchanged == 5 {
            break;
        }
        thread::sleep(Duration::from_millis(40));
        let now = figure()?;
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

fn total(pids: &[u32], figure: impl Fn(u32) -> Result<u64, Failure>) -> Result<u64, Failure> {
    pids.iter().copied().map(figure).sum()
}

/// Fields 14 and 15 of the line, utime and stime; the second field may hold spaces and ends with
/// the last parenthesis.
fn ticks(pid: u32) -> Result<u64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no process name")?;
    let mut fields = rest.split_whitespace().skip(11);
    match (fields.next(), fields.next()) {
        (Some(user), Some(system)) => Ok(user.parse::<u64>()? + system.parse::<u64>()?),
        _ => Err("no processor times".into()),
    }
}

fn status_bytes(pid: &str, line: &str) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(number_after(&text, line, line)? << 10)
}

/// The number that follows `name` in the line that starts with `line`.
fn number_after(text: &str, line: &str, name: &str) -> Result<u64, Failure> {
    let line = text.lines().find(|other| other.starts_with(line));
    let mut words = line.unwrap_or_default().split_whitespace();
    words.find(|word| *word == name);
    Ok(words.next().ok_or("not in proc(5)")?.parse()?)
}
