use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::ClientNetwork;
use super::network::Level;

/// Attempts to log in that have not come out yet. There are no more entries than attempts, and
/// those are bounded by what the store and the hashers take.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    accounts: HashMap<u64, u32>,
    /// By level.
    networks: [HashMap<ClientNetwork, u32>; Level::ALL.len()],
}

impl InFlight {
    /// Those of this account, from wherever.
    pub(super) fn of_account(&self, account: u64) -> u32 {
        self.accounts.get(&account).copied().unwrap_or(0)
    }

    /// Those from this network, by level, for whatever account.
    pub(super) fn of_network(&self, network: ClientNetwork) -> [u32; Level::ALL.len()] {
        let mut counts = [0; Level::ALL.len()];
        for ((count, networks), level) in counts.iter_mut().zip(&self.networks).zip(Level::ALL) {
            let counted = network.at(level).and_then(|key| networks.get(&key));
            *count = counted.copied().unwrap_or(0);
        }
        counts
    }

    pub(super) fn begin(&mut self, account: u64, network: ClientNetwork) {
        *self.accounts.entry(account).or_default() += 1;
        for (networks, level) in self.networks.iter_mut().zip(Level::ALL) {
            if let Some(key) = network.at(level) {
                *networks.entry(key).or_default() += 1;
            }
        }
    }

    pub(super) fn end(&mut self, account: u64, network: ClientNetwork) {
        one_less(self.accounts.entry(account));
        for (networks, level) in self.networks.iter_mut().zip(Level::ALL) {
            if let Some(key) = network.at(level) {
                one_less(networks.entry(key));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.networks.iter().all(HashMap::is_empty)
    }
}

fn one_less<K>(entry: Entry<'_, K, u32>) {
    if let Entry::Occupied(mut count) = entry {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_and_ended_leaves_nothing() {
        let mut in_flight = InFlight::default();
        let (here, there) = (ClientNetwork::V4(1), ClientNetwork::V6(1));
        for network in [here, there, here] {
            in_flight.begin(7, network);
        }
        assert_eq!(in_flight.of_account(7), 3);
        assert_eq!(in_flight.of_network(here), [2, 0, 0]);
        assert_eq!(in_flight.of_network(ClientNetwork::V6(2)), [0, 1, 1]);
        assert_eq!(in_flight.of_network(ClientNetwork::V4(2)), [0, 0, 0]);
        for network in [here, there, here] {
            in_flight.end(7, network);
        }
        assert!(in_flight.is_empty());
        in_flight.end(7, here);
        assert!(in_flight.is_empty());
    }
}
