//! Carries what the chat says to WebSockets.

use super::chat::{Audience, Outbox, UserId, UserList};
use super::limits::Permit;
use crate::web::{
    ConnId, Cx, EncodedMessage, Exclude, Framed, Message, Topics, Traffic, WindowBits,
};

/// A user at one end of a WebSocket.
#[derive(Debug)]
pub struct Member {
    /// The user's number.
    pub user_id: i64,
    /// The user's name, as registered.
    pub username: Box<str>,
    /// Names given up, until the WebSocket is open: then the chat has them.
    pub aliases: Vec<Box<str>>,
    /// For as long as it is open, where the user is behind a proxy.
    pub place: Option<Permit>,
}

/// Topics that joined connections subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChatTopic {
    /// Messages for everybody.
    Room,
    /// All connections of a user.
    User(UserId),
}

/// The list of users that was sent last, framed, until a newer one takes its place.
#[derive(Debug, Default)]
pub struct EncodedList {
    version: u64,
    frames: EncodedMessage,
}

/// Publishes what the chat says: each message is framed once, whoever gets it.
#[derive(Debug)]
pub struct Publisher<'a, 'b> {
    /// Joined connections.
    pub topics: &'a mut Topics<ChatTopic>,
    /// The list of users, which goes to some of them at a time.
    pub list: &'a mut EncodedList,
    /// Counts what goes to one of them.
    pub traffic: &'a mut Traffic,
    /// Of the compressed messages that the connection can read which has sent something.
    pub window: Option<WindowBits>,
    /// The reactor's view.
    pub cx: &'a mut Cx<'b>,
}

impl Outbox<ConnId> for Publisher<'_, '_> {
    fn to(&mut self, to: ConnId, json: &str) {
        let sent = Framed::new(Message::Text(json)).send_to(self.cx, to);
        self.traffic.sent(sent);
    }

    fn joined(&mut self, id: ConnId, user: UserId) {
        self.topics.add(id, self.window, ChatTopic::User(user));
    }

    fn entered(&mut self, id: ConnId) {
        self.topics.add_too(id, ChatTopic::Room);
    }

    fn users(&mut self, to: &[ConnId], list: UserList<'_>) {
        if self.list.version != list.version {
            *self.list = EncodedList {
                version: list.version,
                frames: EncodedMessage::default(),
            };
        }
        let text = Message::Text(list.json);
        self.topics.send(self.cx, to, text, &mut self.list.frames);
    }

    fn left(&mut self, id: ConnId, _: UserId) {
        self.topics.remove(id);
    }

    fn publish(&mut self, audience: Audience<'_>, json: &str) {
        let Self { topics, cx, .. } = self;
        let text = Message::Text(json);
        match audience {
            Audience::Everybody => topics.publish(cx, [&ChatTopic::Room], text, Exclude::Nobody),
            Audience::Others(user) => {
                let user = ChatTopic::User(user);
                topics.publish(cx, [&ChatTopic::Room], text, Exclude::Subscribers(&user))
            }
            Audience::Only(users) => {
                let users: Vec<ChatTopic> = users.iter().copied().map(ChatTopic::User).collect();
                topics.publish(cx, &users, text, Exclude::Nobody)
            }
        };
    }
}
