use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use slab::Slab;

use super::rate::Spent;
use crate::app::limits::WINDOW_MS;

/// Users who have left and are still remembered for what they spent.
const DEPARTED_MAX: usize = 65_536;

/// Who is here: the connections, the users they belong to, and which of them have joined.
#[derive(Debug)]
pub(super) struct Room<K> {
    connections: HashMap<K, Connection>,
    /// The joined connections, side by side, so that a broadcast is a walk through memory.
    members: Vec<Member<K>>,
    users: Slab<User<K>>,
    names: HashMap<Arc<str>, UserId>,
    /// Users to look at again at the time given, because they left with something spent.
    /// Each stands in it once at most, and is not removed while it does.
    departed: VecDeque<(u64, UserId)>,
}

/// A user who has a connection or is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UserId(usize);

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat<K> {
    pub(super) k: K,
    pub(super) user: UserId,
    pub(super) joined: bool,
}

/// What a join changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// The user is online now.
    First,
    /// The user was online already, on this connection or another.
    Again,
}

/// What a leave changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The user is offline now.
    Last,
    /// The user is still online on another connection, or was not online.
    Unchanged,
}

#[derive(Debug)]
struct Connection {
    user: UserId,
    /// Its index in `members`.
    place: Option<usize>,
}

#[derive(Debug)]
struct Member<K> {
    k: K,
    user: UserId,
}

#[derive(Debug)]
struct User<K> {
    name: Arc<str>,
    /// Joined or not.
    connections: usize,
    joined: Vec<K>,
    spent: Spent,
    is_departed: bool,
}

impl<K: Copy + Eq + Hash> Room<K> {
    pub(super) fn new() -> Self {
        Self {
            connections: HashMap::new(),
            members: Vec::new(),
            users: Slab::new(),
            names: HashMap::new(),
            departed: VecDeque::new(),
        }
    }

    /// A new connection, which has not joined.
    pub(super) fn connect(&mut self, k: K, name: &str) {
        let user = self
            .names
            .get(name)
            .copied()
            .unwrap_or_else(|| self.new_user(name));
        if let Some(user) = self.users.get_mut(user.0) {
            user.connections += 1;
        }
        self.connections.insert(k, Connection { user, place: None });
    }

    fn new_user(&mut self, name: &str) -> UserId {
        let name: Arc<str> = name.into();
        let user = User {
            name: Arc::clone(&name),
            connections: 0,
            joined: Vec::new(),
            spent: Spent::default(),
            is_departed: false,
        };
        let id = UserId(self.users.insert(user));
        self.names.insert(name, id);
        id
    }

    /// The connection is gone; it must have left before.
    pub(super) fn disconnect(&mut self, k: K, now_ms: u64) {
        let Some(Connection { user: id, place }) = self.connections.remove(&k) else {
            return;
        };
        debug_assert!(place.is_none(), "left before");
        let Some(user) = self.users.get_mut(id.0) else {
            return;
        };
        user.connections -= 1;
        if user.connections > 0 || user.is_departed {
            return;
        }
        if user.spent.is_empty(now_ms) {
            self.remove_user(id);
        } else {
            user.is_departed = true;
            self.departed
                .push_back((now_ms.saturating_add(WINDOW_MS), id));
        }
    }

    /// Forgets the users who are gone and have nothing spent any more: within two minutes of going,
    /// and before that if there are too many of them.
    pub(super) fn forget_departed(&mut self, now_ms: u64) {
        while let Some((due_ms, id)) = self.departed.front().copied() {
            let too_many = self.departed.len() > DEPARTED_MAX;
            if due_ms > now_ms && !too_many {
                return;
            }
            self.departed.pop_front();
            let Some(user) = self.users.get_mut(id.0) else {
                continue;
            };
            if user.connections > 0 {
                user.is_departed = false;
            } else if too_many || user.spent.is_empty(now_ms) {
                self.remove_user(id);
            } else {
                // Back and gone again since.
                self.departed
                    .push_back((now_ms.saturating_add(WINDOW_MS), id));
            }
        }
    }

    fn remove_user(&mut self, id: UserId) {
        if let Some(user) = self.users.try_remove(id.0) {
            self.names.remove(&user.name);
        }
    }

    pub(super) fn seat(&self, k: K) -> Option<Seat<K>> {
        let connection = self.connections.get(&k)?;
        Some(Seat {
            k,
            user: connection.user,
            joined: connection.place.is_some(),
        })
    }

    pub(super) fn join(&mut self, k: K) -> Joined {
        let Some(connection) = self.connections.get_mut(&k) else {
            return Joined::Again;
        };
        let Some(user) = self.users.get_mut(connection.user.0) else {
            return Joined::Again;
        };
        if connection.place.is_some() {
            return Joined::Again;
        }
        connection.place = Some(self.members.len());
        self.members.push(Member {
            k,
            user: connection.user,
        });
        user.joined.push(k);
        if user.joined.len() == 1 {
            Joined::First
        } else {
            Joined::Again
        }
    }

    pub(super) fn leave(&mut self, k: K) -> Left {
        let Some(connection) = self.connections.get_mut(&k) else {
            return Left::Unchanged;
        };
        let user = connection.user;
        let Some(place) = connection.place.take() else {
            return Left::Unchanged;
        };
        self.members.swap_remove(place);
        let moved = self
            .members
            .get(place)
            .and_then(|moved| self.connections.get_mut(&moved.k));
        if let Some(moved) = moved {
            moved.place = Some(place);
        }
        let Some(user) = self.users.get_mut(user.0) else {
            return Left::Unchanged;
        };
        user.joined.retain(|joined| *joined != k);
        if user.joined.is_empty() {
            Left::Last
        } else {
            Left::Unchanged
        }
    }

    /// Every joined connection.
    pub(super) fn everybody(&self) -> impl Iterator<Item = K> {
        self.members.iter().map(|member| member.k)
    }

    /// Every joined connection of other users.
    pub(super) fn others(&self, user: UserId) -> impl Iterator<Item = K> {
        self.members
            .iter()
            .filter(move |member| member.user != user)
            .map(|member| member.k)
    }

    /// Every joined connection of these users.
    pub(super) fn only(&self, users: &[UserId]) -> impl Iterator<Item = K> {
        users
            .iter()
            .filter_map(|id| self.users.get(id.0))
            .flat_map(|user| user.joined.iter().copied())
    }

    /// The user of that name, if online.
    pub(super) fn find_online(&self, name: &str) -> Option<UserId> {
        let id = *self.names.get(name)?;
        self.users
            .get(id.0)
            .filter(|user| !user.joined.is_empty())
            .map(|_| id)
    }

    pub(super) fn name(&self, user: UserId) -> &str {
        self.users.get(user.0).map_or("", |user| &user.name)
    }

    pub(super) fn spent(&mut self, user: UserId) -> Option<&mut Spent> {
        self.users.get_mut(user.0).map(|user| &mut user.spent)
    }

    /// The names of the users online.
    pub(super) fn online(&self) -> impl Iterator<Item = &str> {
        let online = self
            .users
            .iter()
            .filter(|(_, user)| !user.joined.is_empty());
        online.map(|(_, user)| user.name.as_ref())
    }

    pub(super) fn joined_connections(&self) -> usize {
        self.members.len()
    }

    #[cfg(test)]
    pub(super) fn users_kept(&self) -> usize {
        self.users.len()
    }

    #[cfg(test)]
    pub(super) fn assert_sound(&self) {
        assert_eq!(self.users.len(), self.names.len());
        for (place, member) in self.members.iter().enumerate() {
            let connection = &self.connections[&member.k];
            assert_eq!(
                (connection.place, connection.user),
                (Some(place), member.user)
            );
        }
        let joined = self
            .connections
            .values()
            .filter(|connection| connection.place.is_some())
            .count();
        assert_eq!(joined, self.members.len());
        for (id, user) in &self.users {
            let id = UserId(id);
            assert_eq!(self.names[&user.name], id);
            let mine = self
                .connections
                .values()
                .filter(|connection| connection.user == id)
                .count();
            assert_eq!(user.connections, mine);
            assert_eq!(
                user.joined.len(),
                self.members.iter().filter(|m| m.user == id).count()
            );
            assert!(
                mine > 0 || user.is_departed,
                "an empty user is removed or about to be"
            );
            let queued = self
                .departed
                .iter()
                .filter(|(_, departed)| *departed == id)
                .count();
            assert_eq!(queued, usize::from(user.is_departed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate::Allowance;
    use super::*;

    const ALLOWED: Allowance = Allowance {
        messages_per_minute: 2,
    };

    fn spend(room: &mut Room<u32>, k: u32, now_ms: u64) -> Result<(), u32> {
        let user = room.seat(k).unwrap().user;
        room.spent(user).unwrap().message(ALLOWED, now_ms)
    }

    #[test]
    fn a_user_who_spent_nothing_is_removed_with_the_last_connection() {
        let mut room = Room::new();
        room.connect(1, "ann");
        room.connect(2, "ann");
        room.disconnect(1, 0);
        assert_eq!(room.users_kept(), 1);
        room.disconnect(2, 0);
        assert_eq!(room.users_kept(), 0);
        room.assert_sound();
    }

    #[test]
    fn what_was_spent_survives_a_reconnect_and_is_forgotten_after_the_window() {
        let mut room = Room::new();
        room.connect(1, "ann");
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        room.disconnect(1, 1000);
        for k in 2..50 {
            room.forget_departed(30_000);
            room.connect(k, "ann");
            assert_eq!(spend(&mut room, k, 30_000), Err(30));
            room.disconnect(k, 30_000);
            room.assert_sound();
        }
        room.forget_departed(60_999);
        assert_eq!(room.users_kept(), 1);
        room.forget_departed(61_000);
        assert_eq!(room.users_kept(), 0);
        room.assert_sound();
    }

    #[test]
    fn who_came_back_and_went_again_is_kept_for_the_new_window() {
        let mut room = Room::new();
        room.connect(1, "ann");
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        room.disconnect(1, 0);
        room.connect(2, "ann");
        assert_eq!(spend(&mut room, 2, 50_000), Ok(()));
        room.disconnect(2, 50_000);
        room.forget_departed(61_000);
        room.connect(3, "ann");
        assert_eq!(spend(&mut room, 3, 61_000), Ok(()));
        assert_eq!(spend(&mut room, 3, 61_000), Err(49));
        room.forget_departed(122_000);
        room.assert_sound();
        room.disconnect(3, 122_000);
        assert_eq!(room.users_kept(), 0);
    }

    #[test]
    fn a_flood_of_departed_users_is_bounded() {
        let mut room = Room::new();
        for k in 0..70_000 {
            room.forget_departed(0);
            room.connect(k, &k.to_string());
            assert_eq!(spend(&mut room, k, 0), Ok(()));
            room.disconnect(k, 0);
        }
        assert!(room.users_kept() <= DEPARTED_MAX + 1);
    }
}
