use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use slab::Slab;

use super::rate::RateState;
use crate::app::limits::WINDOW_MS;

/// Users who have left and are still remembered for what they spent.
const DEPARTED_MAX: usize = 65_536;

/// Connections, the users they belong to, and which of them have joined.
#[derive(Debug)]
pub(super) struct Room<K> {
    connections: HashMap<K, Connection>,
    users: Slab<OnlineUser>,
    /// The users by their number in the database, which stays when the name changes.
    numbers: HashMap<i64, UserId>,
    /// The users by their names, those given up too.
    names: HashMap<Arc<str>, UserId>,
    /// Users to look at again at the time given, because they left with something spent.
    /// Each stands in it once at most, and is not removed while it does.
    departed: VecDeque<(u64, UserId)>,
}

/// A user who has a connection or is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(usize);

/// Names given up that a user is still found by: the latest of them.
pub const ALIASES_MAX: usize = 256;

/// User who opens a connection, as the database has it at that moment.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The number of the user: whatever is counted for a user is counted for this.
    pub user_id: i64,
    /// The name others see.
    pub username: &'a str,
    /// Names the user has given up, the latest last. Others find the user by them, too.
    pub aliases: &'a [Box<str>],
}

impl<'a> Identity<'a> {
    /// A user who has had no other name.
    pub const fn new(user_id: i64, username: &'a str) -> Self {
        Self {
            user_id,
            username,
            aliases: &[],
        }
    }
}

/// State of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionState<K> {
    pub(super) k: K,
    pub(super) user: UserId,
    pub(super) joined: bool,
}

/// Effect of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// The user is online now.
    First,
    /// The user was online already, on another connection.
    Again,
    /// This connection had joined before, or is not known.
    Before,
}

/// Effect of a leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The user is offline now.
    Last,
    /// The user is still online on another connection.
    NotLast,
    /// This connection had not joined, or is not known.
    Before,
}

#[derive(Debug)]
struct Connection {
    user: UserId,
    joined: bool,
}

#[derive(Debug)]
struct OnlineUser {
    number: i64,
    name: Arc<str>,
    /// Names given up, the latest last.
    aliases: Box<[Arc<str>]>,
    /// Joined or not.
    connections: usize,
    /// Those of them that have joined.
    joined: usize,
    spent: RateState,
    is_departed: bool,
}

impl<K: Copy + Eq + Hash> Room<K> {
    pub(super) fn new() -> Self {
        Self {
            connections: HashMap::new(),
            users: Slab::new(),
            numbers: HashMap::new(),
            names: HashMap::new(),
            departed: VecDeque::new(),
        }
    }

    /// A new connection, which has not joined. Whoever joined under another name has left before.
    pub(super) fn connect(&mut self, k: K, identity: Identity<'_>) {
        let id = match self.numbers.get(&identity.user_id) {
            Some(&id) => id,
            None => self.new_user(identity),
        };
        self.set_names(id, identity);
        if let Some(user) = self.users.get_mut(id.0) {
            user.connections += 1;
        } else {
            invariant!("a user who connects is in the table of users");
        }
        self.connections.insert(
            k,
            Connection {
                user: id,
                joined: false,
            },
        );
    }

    fn new_user(&mut self, identity: Identity<'_>) -> UserId {
        let id = UserId(self.users.insert(OnlineUser {
            number: identity.user_id,
            name: identity.username.into(),
            aliases: Box::default(),
            connections: 0,
            joined: 0,
            spent: RateState::default(),
            is_departed: false,
        }));
        self.numbers.insert(identity.user_id, id);
        self.add_names(id);
        id
    }

    /// The user goes by these names from now on.
    fn set_names(&mut self, id: UserId, identity: Identity<'_>) {
        let Some(user) = self.users.get(id.0) else {
            return;
        };
        let aliases = user.aliases.iter().map(AsRef::as_ref);
        if *user.name == *identity.username
            && aliases.eq(identity.aliases.iter().map(AsRef::as_ref))
        {
            return;
        }
        self.remove_names(id);
        if let Some(user) = self.users.get_mut(id.0) {
            user.name = identity.username.into();
            user.aliases = identity
                .aliases
                .iter()
                .map(|name| (**name).into())
                .collect();
        }
        self.add_names(id);
    }

    /// The user goes by another name from now on, and is still found by the old one.
    pub(super) fn rename(&mut self, id: UserId, username: &str) {
        let Some(user) = self.users.get(id.0) else {
            return;
        };
        let names = user.aliases.iter().chain([&user.name]);
        let aliases: Vec<Box<str>> = names
            .filter(|name| ***name != *username)
            .map(|name| name.as_ref().into())
            .collect();
        let too_many = aliases.len().saturating_sub(ALIASES_MAX);
        let identity = Identity {
            user_id: user.number,
            username,
            aliases: aliases.get(too_many..).unwrap_or_default(),
        };
        self.set_names(id, identity);
    }

    fn add_names(&mut self, id: UserId) {
        let Some(user) = self.users.get(id.0) else {
            return;
        };
        for alias in &user.aliases {
            self.names.entry(Arc::clone(alias)).or_insert(id);
        }
        // A name in use comes before one given up.
        self.names.insert(Arc::clone(&user.name), id);
    }

    fn remove_names(&mut self, id: UserId) {
        let Some(user) = self.users.get(id.0) else {
            return;
        };
        for name in user.aliases.iter().chain([&user.name]) {
            if self.names.get(name) == Some(&id) {
                self.names.remove(name);
            }
        }
    }

    /// The connection is gone; it must have left before.
    pub(super) fn disconnect(&mut self, k: K, now_ms: u64) {
        let Some(Connection { user: id, joined }) = self.connections.remove(&k) else {
            return;
        };
        debug_assert!(!joined, "left before");
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
        self.remove_names(id);
        if let Some(user) = self.users.try_remove(id.0) {
            self.numbers.remove(&user.number);
        }
    }

    pub(super) fn seat(&self, k: K) -> Option<ConnectionState<K>> {
        let connection = self.connections.get(&k)?;
        Some(ConnectionState {
            k,
            user: connection.user,
            joined: connection.joined,
        })
    }

    pub(super) fn join(&mut self, k: K) -> Joined {
        let Some((connection, user)) = self.look_up(k) else {
            return Joined::Before;
        };
        if std::mem::replace(&mut connection.joined, true) {
            return Joined::Before;
        }
        user.joined += 1;
        match user.joined {
            1 => Joined::First,
            _ => Joined::Again,
        }
    }

    pub(super) fn leave(&mut self, k: K) -> Left {
        let Some((connection, user)) = self.look_up(k) else {
            return Left::Before;
        };
        if !std::mem::replace(&mut connection.joined, false) {
            return Left::Before;
        }
        user.joined -= 1;
        match user.joined {
            0 => Left::Last,
            _ => Left::NotLast,
        }
    }

    fn look_up(&mut self, k: K) -> Option<(&mut Connection, &mut OnlineUser)> {
        let connection = self.connections.get_mut(&k)?;
        let user = self.users.get_mut(connection.user.0)?;
        Some((connection, user))
    }

    /// The user with that number in the database, if there is a connection or something spent.
    pub(super) fn numbered(&self, user_id: i64) -> Option<UserId> {
        self.numbers.get(&user_id).copied()
    }

    /// Number of connections of a user that have joined.
    pub(super) fn joined_by(&self, user: UserId) -> usize {
        self.users.get(user.0).map_or(0, |user| user.joined)
    }

    /// The connections of a user. Looks at all: for what happens seldom.
    pub(super) fn connections_of(&self, user: UserId) -> Vec<K> {
        let all = self.connections.iter();
        all.filter(|(_, connection)| connection.user == user)
            .map(|(k, _)| *k)
            .collect()
    }

    /// The user of that name, or who has given it up, if online.
    pub(super) fn find_online(&self, name: &str) -> Option<UserId> {
        let id = *self.names.get(name)?;
        self.users
            .get(id.0)
            .filter(|user| user.joined > 0)
            .map(|_| id)
    }

    pub(super) fn name(&self, user: UserId) -> &str {
        self.users.get(user.0).map_or("", |user| &user.name)
    }

    pub(super) fn spent(&mut self, user: UserId) -> Option<&mut RateState> {
        self.users.get_mut(user.0).map(|user| &mut user.spent)
    }

    /// The names of the users online.
    pub(super) fn online(&self) -> impl Iterator<Item = &str> {
        let online = self.users.iter().filter(|(_, user)| user.joined > 0);
        online.map(|(_, user)| user.name.as_ref())
    }

    pub(super) fn joined_connections(&self) -> usize {
        self.users.iter().map(|(_, user)| user.joined).sum()
    }

    #[cfg(test)]
    pub(super) fn users_kept(&self) -> usize {
        self.users.len()
    }

    #[cfg(test)]
    pub(super) fn assert_sound(&self) {
        assert_eq!(self.users.len(), self.numbers.len());
        let names: usize = self
            .users
            .iter()
            .map(|(_, user)| 1 + user.aliases.len())
            .sum();
        assert_eq!(names, self.names.len());
        for (id, user) in &self.users {
            let id = UserId(id);
            assert_eq!(self.numbers[&user.number], id);
            for name in user.aliases.iter().chain([&user.name]) {
                assert_eq!(self.names[name], id);
            }
            let mine = self
                .connections
                .values()
                .filter(|connection| connection.user == id)
                .count();
            assert_eq!(user.connections, mine);
            let joined = self
                .connections
                .values()
                .filter(|c| c.user == id && c.joined);
            assert_eq!(user.joined, joined.count());
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

    const ANN: Identity<'_> = Identity::new(7, "ann");
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
        room.connect(1, ANN);
        room.connect(2, ANN);
        room.disconnect(1, 0);
        assert_eq!(room.users_kept(), 1);
        room.disconnect(2, 0);
        assert_eq!(room.users_kept(), 0);
        room.assert_sound();
    }

    #[test]
    fn what_was_spent_survives_a_reconnect_and_is_forgotten_after_the_window() {
        let mut room = Room::new();
        room.connect(1, ANN);
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        room.disconnect(1, 1000);
        for k in 2..50 {
            room.forget_departed(30_000);
            room.connect(k, ANN);
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
        room.connect(1, ANN);
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        room.disconnect(1, 0);
        room.connect(2, ANN);
        assert_eq!(spend(&mut room, 2, 50_000), Ok(()));
        room.disconnect(2, 50_000);
        room.forget_departed(61_000);
        room.connect(3, ANN);
        assert_eq!(spend(&mut room, 3, 61_000), Ok(()));
        assert_eq!(spend(&mut room, 3, 61_000), Err(49));
        room.forget_departed(122_000);
        room.assert_sound();
        room.disconnect(3, 122_000);
        assert_eq!(room.users_kept(), 0);
    }

    #[test]
    fn what_was_spent_is_the_users_whatever_the_name() {
        let mut room = Room::new();
        room.connect(1, ANN);
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        let ann = room.seat(1).unwrap().user;
        room.rename(ann, "anna");
        assert_eq!(spend(&mut room, 1, 0), Ok(()));
        room.disconnect(1, 0);
        // A name from the database, and one that only the database knows of.
        let aliases = ["ann".into(), "anna".into()];
        let anne = Identity {
            username: "anne",
            aliases: &aliases,
            ..ANN
        };
        room.connect(2, anne);
        assert_eq!(spend(&mut room, 2, 0), Err(60));
        room.assert_sound();
        assert_eq!(room.names.len(), 3);
        room.disconnect(2, 0);
        room.forget_departed(WINDOW_MS);
        assert_eq!((room.users_kept(), room.names.len()), (0, 0));
    }

    #[test]
    fn the_latest_names_given_up_are_known() {
        let mut room = Room::new();
        room.connect(1, ANN);
        let ann = room.seat(1).unwrap().user;
        for number in 0..=ALIASES_MAX {
            room.rename(ann, &format!("ann{number}"));
            room.assert_sound();
        }
        room.join(1);
        assert_eq!(room.find_online("ann"), None);
        assert_eq!(room.find_online("ann0"), Some(ann));
        room.rename(ann, "ann0");
        room.assert_sound();
        assert_eq!(room.name(ann), "ann0");
    }

    #[test]
    fn a_name_in_use_comes_before_one_given_up() {
        let mut room = Room::new();
        let bob = Identity::new(8, "bob");
        room.connect(1, bob);
        let aliases = ["bob".into()];
        room.connect(
            2,
            Identity {
                aliases: &aliases,
                ..ANN
            },
        );
        for k in [1, 2] {
            room.join(k);
        }
        let bob = room.seat(1).unwrap().user;
        assert_eq!(room.find_online("bob"), Some(bob));
        room.leave(2);
        room.disconnect(2, 0);
        assert_eq!(room.find_online("bob"), Some(bob));
    }

    #[test]
    fn a_flood_of_departed_users_is_bounded() {
        let mut room = Room::new();
        for k in 0..70_000 {
            room.forget_departed(0);
            room.connect(k, Identity::new(k.into(), &k.to_string()));
            assert_eq!(spend(&mut room, k, 0), Ok(()));
            room.disconnect(k, 0);
        }
        assert!(room.users_kept() <= DEPARTED_MAX + 1);
    }
}
