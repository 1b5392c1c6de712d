//! Lists of users: who is owed one, and when.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::outbound::{self, UsersJson};
use super::room::Room;

/// Lists that keep others up to date may have so many bytes a second, all receivers together.
pub(super) const BYTES_PER_SECOND: usize = 8 << 20;
/// Between two rounds of such lists: four times a second.
pub(super) const INTERVAL_MS: u64 = 250;
/// Byte budget of one round, so that the bytes of a second are never more than allowed.
const ROUND_BYTES_MAX: usize = BYTES_PER_SECOND / 4;

/// The `users` message: everybody online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserList<'a> {
    /// The whole text message.
    pub json: &'a str,
    /// The same for the same text, another one when somebody came or went. Never 0.
    pub version: u64,
}

/// Which list each connection has that has joined.
///
/// A connection that joins gets the list at the end of the turn, the first thing it hears: those who
/// join in one turn share it. The others are served in rounds, those with the oldest list first, so
/// that each is served in turn however many there are, and always with the list as it is by then.
#[derive(Debug)]
pub(super) struct Presence<K> {
    /// Goes up when somebody comes or goes.
    version: u64,
    /// Connections whose `join` is to be answered, each once.
    joining: Vec<K>,
    /// All other connections that have joined, by the list they have.
    by_age: BTreeMap<ListVersion, K>,
    places: HashMap<K, ListVersion>,
    serial: u64,
    /// Some may have an older list than there is.
    is_behind: bool,
    /// When the next round may be.
    not_before_ms: u64,
    /// The list of `json_version`.
    json: Vec<u8>,
    json_version: u64,
    /// Those the list goes to, between calls empty.
    receivers: Vec<K>,
}

/// The version of the list that a connection has, and a number of its own.
type ListVersion = (u64, u64);

impl<K: Copy + Eq + Hash> Presence<K> {
    pub(super) fn new() -> Self {
        Self {
            version: 1,
            joining: Vec::new(),
            by_age: BTreeMap::new(),
            places: HashMap::new(),
            serial: 0,
            is_behind: false,
            not_before_ms: 0,
            json: Vec::new(),
            json_version: 0,
            receivers: Vec::new(),
        }
    }

    /// Somebody came online, or went.
    pub(super) fn changed(&mut self) {
        self.version += 1;
        self.is_behind = !self.by_age.is_empty();
    }

    /// A connection has joined, or asks again.
    pub(super) fn join(&mut self, k: K) {
        self.remove_place(k);
        self.joining.push(k);
    }

    /// A connection has left.
    pub(super) fn leave(&mut self, k: K) {
        self.remove_place(k);
        self.joining.retain(|other| *other != k);
    }

    fn remove_place(&mut self, k: K) {
        if let Some(place) = self.places.remove(&k) {
            self.by_age.remove(&place);
        }
    }

    pub(super) fn has_joining(&self) -> bool {
        !self.joining.is_empty()
    }

    /// When a list is due: at once for those who join.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        match (self.joining.is_empty(), self.is_behind) {
            (false, _) => Some(0),
            (true, true) => Some(self.not_before_ms),
            (true, false) => None,
        }
    }

    /// Those whose `join` is to be answered, with the list for them.
    pub(super) fn answer_joins(&mut self, room: &Room<K>) -> (&[K], UserList<'_>) {
        self.receivers.clear();
        self.receivers.append(&mut self.joining);
        self.send(room)
    }

    /// The round that is due: who has an older list than there is, as many as it may be at once, and
    /// the list for them.
    pub(super) fn round(&mut self, room: &Room<K>, now_ms: u64) -> Option<(&[K], UserList<'_>)> {
        if !self.is_behind || now_ms < self.not_before_ms {
            return None;
        }
        let bytes = self.serialise(room);
        self.receivers.clear();
        // One list goes out however long it is.
        while let Some(oldest) = self.by_age.first_entry()
            && oldest.key().0 < self.version
            && (self.receivers.is_empty() || bytes * (self.receivers.len() + 1) <= ROUND_BYTES_MAX)
        {
            self.receivers.push(oldest.remove());
        }
        let oldest = self.by_age.first_key_value();
        self.is_behind = oldest.is_some_and(|((version, _), _)| *version < self.version);
        if self.receivers.is_empty() {
            return None;
        }
        let spent = bytes * self.receivers.len();
        let wait_ms = (spent * 1000).div_ceil(BYTES_PER_SECOND) as u64;
        self.not_before_ms = now_ms.saturating_add(wait_ms.max(INTERVAL_MS));
        Some(self.send(room))
    }

    /// Notes that the receivers have the list as it is.
    fn send(&mut self, room: &Room<K>) -> (&[K], UserList<'_>) {
        self.serialise(room);
        for k in &self.receivers {
            self.serial += 1;
            let place = (self.version, self.serial);
            self.places.insert(*k, place);
            self.by_age.insert(place, *k);
        }
        let list = UserList {
            json: outbound::text(&self.json),
            version: self.version,
        };
        (&self.receivers, list)
    }

    /// Makes the list, once for each version; gives how long it is.
    fn serialise(&mut self, room: &Room<K>) -> usize {
        if self.json_version != self.version {
            outbound::json(&UsersJson(room), &mut self.json);
            self.json_version = self.version;
        }
        self.json.len()
    }

    #[cfg(test)]
    pub(super) fn assert_sound(&self, joined: usize) {
        assert_eq!(self.places.len(), self.by_age.len());
        assert!(
            self.by_age
                .iter()
                .all(|(place, k)| self.places[k] == *place)
        );
        assert_eq!(self.places.len() + self.joining.len(), joined);
        let behind = self
            .by_age
            .keys()
            .any(|(version, _)| *version < self.version);
        assert!(self.is_behind || !behind, "somebody is forgotten");
    }
}
