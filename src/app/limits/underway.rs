use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Network;

/// Attempts to log in that have not come out yet. There are no more entries than attempts, and
/// those are bounded by what the store and the hashers take.
#[derive(Debug, Default)]
pub(super) struct Underway {
    accounts: HashMap<u64, u32>,
    pairs: HashMap<(u64, Network), u32>,
}

impl Underway {
    /// Those of this account, from wherever.
    pub(super) fn of_account(&self, account: u64) -> u32 {
        self.accounts.get(&account).copied().unwrap_or(0)
    }

    /// Those of this account from this network.
    pub(super) fn of_pair(&self, account: u64, network: Network) -> u32 {
        self.pairs.get(&(account, network)).copied().unwrap_or(0)
    }

    pub(super) fn begin(&mut self, account: u64, network: Network) {
        *self.accounts.entry(account).or_default() += 1;
        *self.pairs.entry((account, network)).or_default() += 1;
    }

    pub(super) fn end(&mut self, account: u64, network: Network) {
        one_less(self.accounts.entry(account));
        one_less(self.pairs.entry((account, network)));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.pairs.is_empty()
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
        let mut underway = Underway::default();
        let (here, there) = (Network::V4(1), Network::V6(1));
        for network in [here, there, here] {
            underway.begin(7, network);
        }
        assert_eq!(underway.of_account(7), 3);
        assert_eq!(underway.of_pair(7, here), 2);
        assert_eq!(underway.of_pair(8, here), 0);
        for network in [here, there, here] {
            underway.end(7, network);
        }
        assert!(underway.is_empty());
        underway.end(7, here);
        assert!(underway.is_empty());
    }
}
