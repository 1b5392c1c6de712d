//! `true` if what the server uses stays level.

use std::time::Duration;

use crate::server::Usage;
use crate::tally::Tally;

/// Until then the server's memory takes its size.
const WARM_UP: Duration = Duration::from_secs(60);
/// Into how many stretches the rest is divided.
const STRETCHES: usize = 6;
/// Limit on the growth of memory from the first stretch to the last: the allocator's own behaviour is not
/// a leak.
const GROWTH_MAX: f64 = 1.1;

/// Samples taken now and then.
#[derive(Debug, Default)]
pub(crate) struct Level(Vec<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    usage: Usage,
    p99_us: Option<u64>,
}

impl Level {
    /// Adds a sample taken after so much of the run.
    pub(crate) fn add(&mut self, since_start: Duration, usage: Usage, p99_us: Option<u64>) {
        if since_start >= WARM_UP {
            self.0.push(Sample { usage, p99_us });
        }
    }

    /// Prints the medians of each stretch; growth is an error.
    pub(crate) fn check(&self, tally: &Tally) {
        if self.0.len() < STRETCHES {
            println!("too short a run to see whether memory is level");
            return;
        }
        println!("stretch     RSS KiB    heap KiB     fds      p99 us");
        let mut resident = Vec::new();
        for stretch in 0..STRETCHES {
            let part = |at: usize| self.0.len() * at / STRETCHES;
            let samples = self.0.get(part(stretch)..part(stretch + 1));
            let samples = samples.unwrap_or_default();
            let kib = median(samples, |sample| sample.usage.resident_kib);
            println!(
                "{:>7}{kib:>12}{:>12}{:>8}{:>12}",
                stretch + 1,
                median(samples, |sample| sample.usage.anonymous_kib),
                median(samples, |sample| sample.usage.descriptors as u64),
                median(samples, |sample| sample.p99_us.unwrap_or_default()),
            );
            resident.push(kib);
        }
        if let (Some(&first), Some(&last)) = (resident.first(), resident.last())
            && last as f64 > first as f64 * GROWTH_MAX
        {
            let error = format!("resident memory grew from {first} KiB to {last} KiB");
            tally.error("soak", &error);
        }
    }
}

fn median(samples: &[Sample], figure: impl Fn(&Sample) -> u64) -> u64 {
    let mut figures: Vec<u64> = samples.iter().map(figure).collect();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
