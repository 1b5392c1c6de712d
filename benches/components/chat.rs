//! A message of the chat: read, judged, and on its way.

use std::hint::black_box;

use edgeloop::app::chat::{Audience, Chat, Identity, Outbox, UserId, UserList};
use edgeloop::app::publisher::{ChatTopic, EncodedList, Publisher};
use edgeloop::web::{ConnId, Topics, Traffic};

use super::Repeat;
use super::callback::within;

const NOW: u64 = 1_800_000_000;
const JOIN: &str = r#"{"type":"join"}"#;
/// A hundred letters of text.
const MESSAGE: &str = r#"{"type":"message","message":"Has anybody seen the keys of the boat house? They were on the hook by the door when we left on Sunday."}"#;

/// Sink of messages.
struct Sink;

impl Outbox<u32> for Sink {
    fn to(&mut self, k: u32, json: &str) {
        black_box((k, json));
    }

    fn joined(&mut self, _: u32, _: UserId) {}

    fn entered(&mut self, _: u32) {}

    fn users(&mut self, to: &[u32], list: UserList<'_>) {
        black_box((to, list));
    }

    fn left(&mut self, _: u32, _: UserId) {}

    fn publish(&mut self, audience: Audience<'_>, json: &str) {
        black_box((audience, json));
    }
}

/// A message read and judged, and that which is to be published made of it.
pub(crate) fn received(repeat: impl Repeat) {
    let mut chat = Chat::new(0);
    chat.connected(7, Identity::new(1, "ann"), 0, NOW, &mut Sink);
    chat.received(7, JOIN, 0, NOW, &mut Sink);
    chat.expired(0, &mut Sink);
    repeat.repeat(|| chat.received(7, black_box(MESSAGE), 0, NOW, &mut Sink));
}

/// Subscribes those who join, and sends nothing.
struct Joining<'a>(&'a mut Topics<ChatTopic>);

impl Outbox<ConnId> for Joining<'_> {
    fn to(&mut self, _: ConnId, _: &str) {}

    fn joined(&mut self, id: ConnId, user: UserId) {
        self.0.add(id, None, ChatTopic::User(user));
    }

    fn entered(&mut self, id: ConnId) {
        self.0.add(id, None, ChatTopic::Room);
    }

    fn users(&mut self, _: &[ConnId], _: UserList<'_>) {}

    fn left(&mut self, _: ConnId, _: UserId) {}

    fn publish(&mut self, _: Audience<'_>, _: &str) {}
}

/// The same, framed once and put into the output queues of so many users, who are all there is.
pub(crate) fn to_all(repeat: impl Repeat, users: usize) {
    within(users, |_, cx, _, ids| {
        let (mut chat, mut topics) = (Chat::new(0), Topics::new());
        for (number, id) in (0_u32..).zip(ids) {
            let mut joining = Joining(&mut topics);
            let username = format!("user{number}");
            let identity = Identity::new(number.into(), &username);
            chat.connected(*id, identity, 0, NOW, &mut joining);
            chat.received(*id, JOIN, 0, NOW, &mut joining);
        }
        chat.expired(0, &mut Joining(&mut topics));
        let (sender, mut traffic) = (cx.id(), Traffic::default());
        let mut list = EncodedList::default();
        let mut messages = 0;
        repeat.repeat(|| {
            let mut publisher = Publisher {
                topics: &mut topics,
                list: &mut list,
                traffic: &mut traffic,
                window: None,
                cx: &mut *cx,
            };
            chat.received(sender, black_box(MESSAGE), 0, NOW, &mut publisher);
            messages += 1;
        });
        assert_eq!(topics.delivered(), messages * users as u64);
    });
}
