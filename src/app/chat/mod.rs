//! The chat: who is online, and who gets what. Pure logic: no socket, no clock, no thread.
//!
//! ```text
//! text of a client ─► members ─► inbound ─► Chat ─► outbound ─► Outbox ─► connections
//!                      JSON      validation      │  │      JSON
//!                                        room  rate
//! ```
//!
//! A connection belongs to a user, who may have several. It is known from [`Chat::connected`] on,
//! and gets nothing but `system` and `error` until it sends `join`.
//!
//! - A user is online from the first `join` of one of its connections to the last `leave` or
//!   close. Only these two are announced, to the others: a `leave` as it happens, a `join` at the end of
//!   its turn at the latest.
//! - Lists are bounded. A connection that joins gets its list of `users` before anything else and in the
//!   same turn ([`Chat::expired`]). Those who join in one turn share it and are in it; whoever was first
//!   gets the `join` of the others behind it. After that a list always is what the one before and the
//!   announcements since add up to.
//!   The others, whose list has become an old one, get it in rounds: four a second at most, of 2 MiB for
//!   all receivers together, which makes 8 MiB a second. (A list longer than that goes to one at a time, and
//!   the next round waits for its share.) Who has the oldest list is served first, always with the list
//!   as it is by then, until each has the last; who has that already gets no other. So a user who flaps
//!   costs the others a `join`, a `leave`, and no more lists than that, whoever else comes and goes.
//! - *Others* are the connections of other users: no tab is told of typing in another tab
//!   of the same user. What goes to all goes to every tab of the sender too, so that they show the
//!   same.
//! - A further `join`, on the same connection or in another tab, tells nobody; that connection gets
//!   the `users`.
//! - A user is known by the number in the database, and is found by the name and by the names given up.
//!   A change of the name is a `leave` under the old one; the limits go on.
//! - A private message reaches every joined connection of its recipient, and none else: other tabs
//!   of the sender do not get it. It may be sent to oneself.
//! - A reaction in `private:<peer>` reaches both users with the `location` as it was sent: to the
//!   peer the other one is the `username` in it.
//! - `message`, `private_message` and `reaction` count for the limit of messages, all connections
//!   of a user together, also if the one they are for turns out not to be online. Typing and `join`
//!   have a looser limit of their own: ten times that, at least 600 a minute, a join counting for
//!   ten, since it is answered with the list of users. `leave` is free. What is refused costs nothing of these.
//! - Whatever comes costs work, if only to be refused: its length is counted, in KiB, and more for each
//!   refusal. There is room for as many messages as are allowed, each as long as may be, and for as much
//!   again of notices and refusals as nobody sends by hand. What comes over it is refused unread,
//!   `rate_limited`; over twice as much the user's connections are to be closed as they go on.
//! - A message that is refused is answered with an `error`, in this order: too much work, no JSON object, no known
//!   `type`, not joined, a member that breaks a rule, too many, nobody of that name online.

mod error;
mod inbound;
mod outbound;
mod presence;
mod rate;
mod raw_message;
mod room;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::hash::Hash;

pub use error::ChatError;
pub use presence::UserList;
pub use room::{ALIASES_MAX, Identity, UserId};

use inbound::{Inbound, Reaction, TypedMessage};
use outbound::Outbound;
use presence::Presence;
use rate::{Allowance, JOIN_COST, Work};
use raw_message::{Id, RawMessage};
use room::{ConnectionState, Joined, Left, Room};

/// Bytes of one message of a client, as sent and decompressed. One that is longer means nothing: it need not be
/// kept, see [`Chat::rejected`].
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Output of the chat. `json` is one whole text message.
///
/// Each distinct message is handed over once, so whoever frames it can share the frame among all
/// its receivers.
pub trait Outbox<K> {
    /// Sends `json` to one connection.
    fn to(&mut self, k: K, json: &str);

    /// A connection of this user has joined: it gets what is published for that user from now on.
    fn joined(&mut self, k: K, user: UserId);

    /// It has been sent its first list of users: it gets what is published for all from now on. Also
    /// called when it has got another one for another `join`, which changes nothing.
    fn entered(&mut self, k: K);

    /// Sends the list of users to these connections, which have joined. The same list may be sent
    /// several times, to others each time.
    fn users(&mut self, to: &[K], list: UserList<'_>);

    /// It has left, and gets no more.
    fn left(&mut self, k: K, user: UserId);

    /// Sends `json` to the connections that have joined, of those whom it is for.
    fn publish(&mut self, audience: Audience<'_>, json: &str);
}

/// Whom of those who have joined a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// All.
    Everybody,
    /// All but this user.
    Others(UserId),
    /// These users, who are distinct.
    Only(&'a [UserId]),
}

/// A chat whose connections are known by `K`.
///
/// ```
/// use edgeloop::app::chat::{Audience, Chat, Identity, Outbox, UserId, UserList};
///
/// struct Print;
///
/// impl Outbox<u32> for Print {
///     fn to(&mut self, k: u32, json: &str) {
///         println!("{k}: {json}");
///     }
///     fn joined(&mut self, k: u32, user: UserId) {
///         println!("{k} is {user:?}");
///     }
///     fn entered(&mut self, k: u32) {
///         println!("{k} hears the others");
///     }
///     fn users(&mut self, to: &[u32], list: UserList<'_>) {
///         println!("{to:?}: {}", list.json);
///     }
///     fn left(&mut self, k: u32, _: UserId) {
///         println!("{k} is gone");
///     }
///     fn publish(&mut self, audience: Audience<'_>, json: &str) {
///         println!("{audience:?}: {json}");
///     }
/// }
///
/// let mut chat = Chat::new(100);
/// chat.connected(7, Identity::new(1, "ann"), 0, 1_700_000_000, &mut Print);
/// chat.received(7, r#"{"type":"join"}"#, 10, 1_700_000_000, &mut Print);
/// assert_eq!(chat.next_deadline(), Some(0)); // at once: 7 is pending_responses the list
/// chat.expired(10, &mut Print);
/// chat.received(7, r#"{"type":"message","message":"hello"}"#, 20, 1_700_000_000, &mut Print);
/// assert_eq!(chat.online_users(), 1);
/// chat.disconnected(7, 30, 1_700_000_000, &mut Print);
/// assert_eq!(chat.online_users(), 0);
/// ```
#[derive(Debug)]
pub struct Chat<K> {
    room: Room<K>,
    presence: Presence<K>,
    /// Users who have come online and are not announced, in the order of their joins.
    newcomers: Vec<Newcomer<K>>,
    allowed: Allowance,
    connections_seen: u64,
    ids_made: u64,
    rate_limited: u64,
    /// The message being sent.
    json: Vec<u8>,
    /// The users it mentions.
    mentioned: Vec<UserId>,
}

/// A user who has come online, by which connection and when.
#[derive(Clone, Copy, Debug)]
struct Newcomer<K> {
    k: K,
    user: UserId,
    unix_secs: u64,
}

/// The moment a message is handled at.
#[derive(Clone, Copy)]
struct Moment {
    now_ms: u64,
    unix_secs: u64,
}

impl<K: Copy + Eq + Hash> Chat<K> {
    /// An empty chat where a user may send so many messages in 60 seconds; 0 is no limit.
    pub fn new(messages_per_minute: u32) -> Self {
        Self {
            room: Room::new(),
            presence: Presence::new(),
            newcomers: Vec::new(),
            allowed: Allowance {
                messages_per_minute,
            },
            connections_seen: 0,
            ids_made: 0,
            rate_limited: 0,
            json: Vec::new(),
            mentioned: Vec::new(),
        }
    }

    /// The limit from now on; what was sent in the last minute counts for it.
    pub fn set_messages_per_minute(&mut self, messages_per_minute: u32) {
        self.allowed = Allowance {
            messages_per_minute,
        };
    }

    /// A connection of this user was opened: it is welcomed. After this the caller owes one
    /// [`Chat::disconnected`]. `now_ms` is of any clock that never goes back.
    ///
    /// Returns whether the user went by another name until now, as [`Chat::renamed`] was not called:
    /// the other connections of the user have left.
    pub fn connected(
        &mut self,
        k: K,
        identity: Identity<'_>,
        now_ms: u64,
        unix_secs: u64,
        out: &mut impl Outbox<K>,
    ) -> bool {
        debug_assert!(self.room.seat(k).is_none(), "connected twice");
        self.room.forget_departed(now_ms);
        let Identity {
            user_id, username, ..
        } = identity;
        let known = self.room.numbered(user_id);
        let renamed = known.filter(|user| self.room.name(*user) != username);
        if let Some(user) = renamed {
            let ks = self.room.connections_of(user);
            self.renamed(user_id, username, &ks, unix_secs, out);
        }
        self.room.connect(k, identity);
        self.connections_seen += 1;
        let message = format!("Welcome! You are client #{}", self.connections_seen);
        out.to(
            k,
            outbound::json(&Outbound::System { message: &message }, &mut self.json),
        );
        renamed.is_some()
    }

    /// The user goes by another name from now on: the connections of the user, `ks`, leave under the old
    /// one, and would join under the new one. What was sent counts on, and who asks for the old name
    /// finds the user. Returns whether the name is another one than before.
    pub fn renamed(
        &mut self,
        user_id: i64,
        username: &str,
        ks: &[K],
        unix_secs: u64,
        out: &mut impl Outbox<K>,
    ) -> bool {
        let Some(user) = self.room.numbered(user_id) else {
            return false;
        };
        if self.room.name(user) == username {
            return false;
        }
        // They hear of their own joins under the name that these were made with.
        self.answer_joins(out);
        for seat in ks
            .iter()
            .filter_map(|k| self.room.seat(*k))
            .collect::<Vec<_>>()
        {
            if seat.user == user {
                self.leave(seat, unix_secs, out);
            }
        }
        debug_assert_eq!(self.room.joined_by(user), 0, "`ks` are all of them");
        self.room.rename(user, username);
        true
    }

    /// When [`expired`](Self::expired) is to be called, by the clock of `now_ms`: a time that has passed
    /// is at the end of this turn, `None` never. It may change with every call.
    pub fn next_deadline(&self) -> Option<u64> {
        self.presence.next_deadline()
    }

    /// Sends the lists of users that are due.
    pub fn expired(&mut self, now_ms: u64, out: &mut impl Outbox<K>) {
        self.answer_joins(out);
        if let Some((to, list)) = self.presence.round(&self.room, now_ms) {
            out.users(to, list);
        }
    }

    /// Sends those who have joined their list, and announces them, ahead of what comes next. Whoever joined
    /// before a newcomer gets the announcement, behind the list where both came in one turn.
    fn answer_joins(&mut self, out: &mut impl Outbox<K>) {
        if !self.presence.has_joining() {
            return;
        }
        let (to, list) = self.presence.answer_joins(&self.room);
        out.users(to, list);
        let mut newcomers = self.newcomers.drain(..).peekable();
        for k in to {
            if let Some(newcomer) = newcomers.next_if(|newcomer| newcomer.k == *k) {
                let join = Outbound::Join {
                    username: self.room.name(newcomer.user),
                    timestamp: newcomer.unix_secs,
                };
                let json = outbound::json(&join, &mut self.json);
                out.publish(Audience::Others(newcomer.user), json);
            }
            out.entered(*k);
        }
    }

    /// A text message came from `k`. `unix_secs` is the time of day for its `timestamp`.
    ///
    /// Returns whether the connection may stay: not when its user goes on sending too much, on whatever
    /// connections.
    pub fn received(
        &mut self,
        k: K,
        text: &str,
        now_ms: u64,
        unix_secs: u64,
        out: &mut impl Outbox<K>,
    ) -> bool {
        let at = Moment { now_ms, unix_secs };
        let bytes = text.len();
        self.take(k, bytes as u64, at, out, |chat, seat, out| {
            if bytes > MESSAGE_BYTES_MAX {
                return (Err(ChatError::TooLong), None); // reading it is most of what it costs
            }
            match RawMessage::read(text) {
                Ok(members) => {
                    let id = inbound::id_of(&members);
                    (chat.handle(seat, members, at, out), id)
                }
                Err(fault) => (Err(fault), None),
            }
        })
    }

    /// Something of `bytes` came from `k` that is no message of the chat, which is what `fault` says: it is
    /// refused. Returns what [`received`](Self::received) does.
    pub fn rejected(
        &mut self,
        k: K,
        fault: ChatError,
        bytes: u64,
        now_ms: u64,
        unix_secs: u64,
        out: &mut impl Outbox<K>,
    ) -> bool {
        let at = Moment { now_ms, unix_secs };
        self.take(k, bytes, at, out, |_, _, _| (Err(fault), None))
    }

    /// Charges the user for `bytes`, and has them handled if there is room for them.
    fn take<'t, O: Outbox<K>>(
        &mut self,
        k: K,
        bytes: u64,
        at: Moment,
        out: &mut O,
        handle: impl FnOnce(
            &mut Self,
            ConnectionState<K>,
            &mut O,
        ) -> (Result<(), ChatError>, Option<Id<'t>>),
    ) -> bool {
        self.room.forget_departed(at.now_ms);
        let Some(seat) = self.room.seat(k) else {
            return true;
        };
        let allowed = self.allowed;
        let work = match self.room.spent(seat.user) {
            Some(spent) => spent.work(bytes, allowed, at.now_ms),
            None => Work::Due,
        };
        let (handled, id) = match work {
            Work::Due => handle(self, seat, out),
            Work::Refused { retry_after_s } => {
                self.rate_limited += 1;
                (Err(ChatError::RateLimited { retry_after_s }), None)
            }
            Work::Flood => {
                self.rate_limited += 1;
                return false;
            }
        };
        if let Err(fault) = handled {
            if let Some(spent) = self.room.spent(seat.user) {
                spent.error_response(allowed, at.now_ms);
            }
            self.answer_joins(out);
            let error = Outbound::error(fault, id.as_ref());
            out.to(k, outbound::json(&error, &mut self.json));
        }
        true
    }

    /// The connection was closed, by whomever. One that is not known is ignored.
    pub fn disconnected(&mut self, k: K, now_ms: u64, unix_secs: u64, out: &mut impl Outbox<K>) {
        self.room.forget_departed(now_ms);
        let Some(seat) = self.room.seat(k) else {
            return;
        };
        self.answer_joins(out);
        self.leave(seat, unix_secs, out);
        self.room.disconnect(k, now_ms);
    }

    /// Users online.
    pub fn online_users(&self) -> usize {
        self.room.online().count()
    }

    /// Connections that have joined: the receivers of what goes to all.
    pub fn joined_connections(&self) -> usize {
        self.room.joined_connections()
    }

    /// Number of messages over the limit so far, of all users.
    pub fn rate_limited(&self) -> u64 {
        self.rate_limited
    }

    fn handle(
        &mut self,
        seat: ConnectionState<K>,
        members: RawMessage<'_>,
        at: Moment,
        out: &mut impl Outbox<K>,
    ) -> Result<(), ChatError> {
        let draft = TypedMessage::new(members)?;
        if !seat.joined && !draft.is_join() {
            return Err(ChatError::NotJoined);
        }
        let inbound = draft.check()?;
        self.charge(seat.user, &inbound, at.now_ms)?;
        // Each further `join` of a connection has an answer of its own.
        if seat.joined {
            self.answer_joins(out);
        }
        match inbound {
            Inbound::Join => self.join(seat, at.unix_secs, out),
            Inbound::Leave => self.leave(seat, at.unix_secs, out),
            Inbound::Typing { stopped } => self.typing(seat.user, stopped, out),
            Inbound::Message { id, text, mentions } => {
                let id = id.unwrap_or_else(|| self.new_id(at.unix_secs));
                self.message(seat.user, id, &text, &mentions, at.unix_secs, out);
            }
            Inbound::PrivateMessage { to, text } => {
                self.private_message(seat.user, &to, &text, at.unix_secs, out)?;
            }
            Inbound::PrivateTyping { to, stopped } => {
                self.private_typing(seat.user, &to, stopped, out)?;
            }
            Inbound::Reaction(reaction) => {
                self.reaction(seat.user, &reaction, at.unix_secs, out)?;
            }
        }
        Ok(())
    }

    fn charge(
        &mut self,
        user: UserId,
        inbound: &Inbound<'_>,
        now_ms: u64,
    ) -> Result<(), ChatError> {
        let allowed = self.allowed;
        let Some(spent) = self.room.spent(user) else {
            return Ok(());
        };
        match inbound {
            Inbound::Message { .. } | Inbound::PrivateMessage { .. } | Inbound::Reaction(_) => {
                spent.message(allowed, now_ms)
            }
            Inbound::Typing { .. } | Inbound::PrivateTyping { .. } => {
                spent.notice(1, allowed, now_ms)
            }
            Inbound::Join => spent.notice(JOIN_COST, allowed, now_ms),
            Inbound::Leave => Ok(()),
        }
        .map_err(|retry_after_s| {
            self.rate_limited += 1;
            ChatError::RateLimited { retry_after_s }
        })
    }

    /// The list and the announcement are due at the end of the turn: [`Chat::answer_joins`].
    fn join(&mut self, seat: ConnectionState<K>, unix_secs: u64, out: &mut impl Outbox<K>) {
        let joined = self.room.join(seat.k);
        if joined != Joined::Before {
            out.joined(seat.k, seat.user);
        }
        if joined == Joined::First {
            self.newcomers.push(Newcomer {
                k: seat.k,
                user: seat.user,
                unix_secs,
            });
            self.presence.changed();
        }
        self.presence.join(seat.k);
    }

    fn leave(&mut self, seat: ConnectionState<K>, unix_secs: u64, out: &mut impl Outbox<K>) {
        let left = self.room.leave(seat.k);
        if left != Left::Before {
            self.presence.leave(seat.k);
            out.left(seat.k, seat.user);
        }
        if left == Left::Last {
            let username = self.room.name(seat.user);
            let leave = Outbound::Leave {
                username,
                timestamp: unix_secs,
            };
            out.publish(Audience::Everybody, outbound::json(&leave, &mut self.json));
            self.presence.changed();
        }
    }

    fn typing(&mut self, user: UserId, stopped: bool, out: &mut impl Outbox<K>) {
        let username = self.room.name(user);
        let typing = match stopped {
            false => Outbound::Typing { username },
            true => Outbound::StopTyping { username },
        };
        out.publish(
            Audience::Others(user),
            outbound::json(&typing, &mut self.json),
        );
    }

    fn message(
        &mut self,
        user: UserId,
        id: Id<'_>,
        message: &str,
        mentions: &[Cow<'_, str>],
        timestamp: u64,
        out: &mut impl Outbox<K>,
    ) {
        let from = self.room.name(user);
        let to_all = Outbound::Message {
            id,
            username: from,
            message,
            timestamp,
            mentions,
        };
        out.publish(Audience::Everybody, outbound::json(&to_all, &mut self.json));

        self.mentioned.clear();
        self.mentioned.extend(
            mentions
                .iter()
                .filter_map(|name| self.room.find_online(name)),
        );
        self.mentioned.retain(|mentioned| *mentioned != user);
        self.mentioned.sort_unstable();
        self.mentioned.dedup();
        if !self.mentioned.is_empty() {
            let notification = Outbound::MentionNotification {
                from,
                message,
                timestamp,
            };
            let json = outbound::json(&notification, &mut self.json);
            out.publish(Audience::Only(&self.mentioned), json);
        }
    }

    fn private_message(
        &mut self,
        user: UserId,
        to: &str,
        message: &str,
        timestamp: u64,
        out: &mut impl Outbox<K>,
    ) -> Result<(), ChatError> {
        let recipient = self.room.find_online(to).ok_or(ChatError::NoSuchUser)?;
        let from = self.room.name(user);
        let private = Outbound::PrivateMessage {
            from,
            message,
            timestamp,
        };
        out.publish(
            Audience::Only(&[recipient]),
            outbound::json(&private, &mut self.json),
        );
        Ok(())
    }

    fn private_typing(
        &mut self,
        user: UserId,
        to: &str,
        stopped: bool,
        out: &mut impl Outbox<K>,
    ) -> Result<(), ChatError> {
        let recipient = self.room.find_online(to).ok_or(ChatError::NoSuchUser)?;
        let from = self.room.name(user);
        let typing = match stopped {
            false => Outbound::PrivateTyping { from },
            true => Outbound::PrivateStopTyping { from },
        };
        out.publish(
            Audience::Only(&[recipient]),
            outbound::json(&typing, &mut self.json),
        );
        Ok(())
    }

    fn reaction(
        &mut self,
        user: UserId,
        reaction: &Reaction<'_>,
        timestamp: u64,
        out: &mut impl Outbox<K>,
    ) -> Result<(), ChatError> {
        let Reaction {
            message_id,
            emoji,
            action,
            location,
        } = reaction;
        let peer = match location.peer() {
            Some(name) => Some(self.room.find_online(name).ok_or(ChatError::NoSuchUser)?),
            None => None,
        };
        let reaction = Outbound::Reaction {
            username: self.room.name(user),
            message_id,
            emoji,
            action: *action,
            timestamp,
            location: location.as_str(),
        };
        let json = outbound::json(&reaction, &mut self.json);
        match peer {
            None => out.publish(Audience::Everybody, json),
            Some(peer) if peer == user => out.publish(Audience::Only(&[user]), json),
            Some(peer) => out.publish(Audience::Only(&[user, peer]), json),
        }
        Ok(())
    }

    /// A name for a message whose sender gave none. The time keeps it apart from those made before
    /// a restart.
    fn new_id(&mut self, unix_secs: u64) -> Id<'static> {
        self.ids_made += 1;
        Id::Text(Cow::Owned(format!("{unix_secs:x}-{:x}", self.ids_made)))
    }
}
