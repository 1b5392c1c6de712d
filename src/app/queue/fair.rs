//! Jobs of many networks, taken in turns.

use std::collections::{BTreeMap, HashMap};

use crate::app::limits::ClientNetwork;

/// Share of the common time that a turn of one network takes. A /56 may have four turns in the same time,
/// a /48 sixteen: as with the limits of addresses.
const TURN: u64 = 16;

/// Jobs of networks, in fair order: start-time fair queueing with jobs of equal cost.
///
/// A network's first job is due a turn from now, each further one a turn after the one before it. The job that
/// is due first is taken first, so a network with many jobs alternates with those that have few. When there is
/// no room, the job that is due last has to go, which is one of the network with the most.
#[derive(Debug)]
pub(in crate::app) struct Fair<T> {
    /// By when they are due, then by when they came.
    jobs: BTreeMap<(u64, u64), (ClientNetwork, T)>,
    /// Those with jobs, by level.
    backlogs: HashMap<(u64, ClientNetwork), Backlog>,
    /// When the latest job taken was due.
    now: u64,
    /// Number of jobs ever came.
    count: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Backlog {
    jobs: usize,
    /// When the last of them is due, as far as this level is concerned.
    last_due: u64,
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self {
            jobs: BTreeMap::new(),
            backlogs: HashMap::new(),
            now: 0,
            count: 0,
        }
    }
}

/// A network with those around it, each with what its turn takes.
fn levels(network: ClientNetwork) -> impl Iterator<Item = (u64, ClientNetwork)> {
    let levels = network.levels().into_iter();
    levels.filter_map(|(network, times)| Some((TURN / u64::from(times), network?)))
}

impl<T> Fair<T> {
    /// Number of wait.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Adds a job. When there are `jobs_max`, as many as there may be, it takes the place of the last job of a
    /// network that has more.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn push(
        &mut self,
        network: ClientNetwork,
        job: T,
        jobs_max: usize,
    ) -> Result<Option<T>, T> {
        let due = levels(network).map(|key| self.next_due(key)).max();
        let due = due.unwrap_or(self.now);
        let mut displaced = None;
        if self.jobs.len() >= jobs_max {
            let Some(key) = self.displaceable(network, due) else {
                return Err(job);
            };
            if let Some((network, job)) = self.jobs.remove(&key) {
                self.one_less(network, true);
                displaced = Some(job);
            }
        }
        for key in levels(network) {
            let last_due = self.next_due(key);
            let backlog = self.backlogs.entry(key).or_default();
            backlog.jobs += 1;
            backlog.last_due = last_due;
        }
        self.count = self.count.wrapping_add(1);
        self.jobs.insert((due, self.count), (network, job));
        Ok(displaced)
    }

    /// When another job would be due, as far as one level is concerned.
    fn next_due(&self, key: (u64, ClientNetwork)) -> u64 {
        let backlog = self.backlogs.get(&key);
        let last_due = backlog.map_or(0, |backlog| backlog.last_due);
        last_due.max(self.now).saturating_add(key.0)
    }

    /// The job that has to go for one of `network` that is `due` then.
    fn displaceable(&self, network: ClientNetwork, due: u64) -> Option<(u64, u64)> {
        let own = self.waiting(network);
        let later = self.jobs.range((due, 0)..).rev();
        let mut ahead = later.map(|(key, (other, _))| (*key, self.waiting(*other)));
        let found = ahead.find(|&((last_due, _), others)| last_due > due || others > own + 1);
        found.map(|(key, _)| key)
    }

    fn waiting(&self, network: ClientNetwork) -> usize {
        let backlog = self.backlogs.get(&(TURN, network));
        backlog.map_or(0, |backlog| backlog.jobs)
    }

    /// Takes the job that is due first.
    pub(super) fn pop(&mut self) -> Option<T> {
        let ((due, _), (network, job)) = self.jobs.pop_first()?;
        self.now = self.now.max(due);
        self.one_less(network, false);
        Some(job)
    }

    fn one_less(&mut self, network: ClientNetwork, is_displaced: bool) {
        for key in levels(network) {
            let Some(backlog) = self.backlogs.get_mut(&key) else {
                continue;
            };
            backlog.jobs = backlog.jobs.saturating_sub(1);
            if is_displaced {
                backlog.last_due = backlog.last_due.saturating_sub(key.0);
            }
            if backlog.jobs == 0 {
                self.backlogs.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain<T>(fair: &mut Fair<T>) -> Vec<T> {
        std::iter::from_fn(|| fair.pop()).collect()
    }

    #[test]
    fn one_network_is_served_in_order() {
        let mut fair = Fair::default();
        for n in 0..9 {
            fair.push(ClientNetwork::V4(1), n, 100).unwrap();
        }
        assert_eq!(drain(&mut fair), (0..9).collect::<Vec<_>>());
        assert!(fair.backlogs.is_empty());
    }

    #[test]
    fn networks_take_turns_however_many_jobs_they_have() {
        let mut fair = Fair::default();
        for n in 0..6 {
            fair.push(ClientNetwork::V4(1), n, 100).unwrap();
        }
        assert_eq!(fair.pop(), Some(0));
        for n in [10, 11] {
            fair.push(ClientNetwork::V4(2), n, 100).unwrap();
        }
        fair.push(ClientNetwork::V6(1), 20, 100).unwrap();
        assert_eq!(drain(&mut fair), [1, 10, 20, 2, 11, 3, 4, 5]);
    }

    #[test]
    fn a_network_of_ipv6_has_sixteen_turns_with_all_of_its_48() {
        let mut fair = Fair::default();
        for subnet in 0..40 {
            fair.push(ClientNetwork::V6(subnet << 8), "many", 100)
                .unwrap();
        }
        fair.push(ClientNetwork::V4(1), "one", 100).unwrap();
        let order = drain(&mut fair);
        let place = order.iter().position(|job| *job == "one").unwrap();
        assert!((15..=16).contains(&place), "{place}");
    }

    proptest! {
        #[test]
        fn whoever_has_none_waiting_is_let_in_before_whoever_has_two(
            acts in prop::collection::vec(prop::option::weighted(0.8, 0_u32..6), 1..300),
            jobs_max in 1_usize..12,
        ) {
            let mut fair = Fair::default();
            let mut waiting = HashMap::<u32, usize>::new();
            for act in acts {
                let Some(n) = act else {
                    if let Some(n) = fair.pop() {
                        *waiting.get_mut(&n).unwrap() -= 1;
                    }
                    continue;
                };
                let is_full = fair.len() == jobs_max;
                let own = waiting.get(&n).copied().unwrap_or(0);
                let most = waiting.values().copied().max().unwrap_or(0);
                match fair.push(ClientNetwork::V4(n), n, jobs_max) {
                    Ok(displaced) => {
                        prop_assert_eq!(displaced.is_some(), is_full);
                        if let Some(other) = displaced {
                            let count = waiting.get_mut(&other).unwrap();
                            prop_assert!(*count > own);
                            *count -= 1;
                        }
                        *waiting.entry(n).or_default() += 1;
                    }
                    Err(_) => {
                        prop_assert!(is_full && (own > 0 || most < 2));
                    }
                }
                prop_assert_eq!(fair.len(), waiting.values().sum::<usize>());
                prop_assert!(fair.len() <= jobs_max);
                let open = waiting.values().filter(|count| **count > 0).count();
                prop_assert_eq!(fair.backlogs.len(), open);
            }
        }
    }
}
