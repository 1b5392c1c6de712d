//! A room that is published to.

use std::time::Duration;

use crate::Load;
use crate::client::{Failure, Outcome, Room};
use crate::connection::Tally;
use crate::progress::Progress;
use crate::report::{Figure, Measured};

pub(crate) struct Broadcast {
    pub(crate) room: Room,
    pub(crate) bytes: usize,
}

impl Load for Broadcast {
    fn run(&mut self, duration: Duration, progress: &mut Progress) -> Result<Measured, Failure> {
        let outcome = self.room.publish(duration, |sent| {
            progress.tick(|| format!("{sent} messages sent"));
        })?;
        let Outcome {
            expected,
            delivered,
            closed,
            reads,
            latencies,
            elapsed,
        } = outcome;
        let tally = Tally {
            latencies,
            content_bytes: delivered * self.bytes as u64,
            ..Tally::new()?
        };
        let mut measured = Measured::new(elapsed, delivered as f64, tally)?;
        measured.more = vec![
            Figure::new("lost", "lost", expected.saturating_sub(delivered) as f64),
            Figure::new("closed", "closed", closed as f64),
            Figure::new("reads", "reads", reads as f64),
        ];
        Ok(measured)
    }
}
