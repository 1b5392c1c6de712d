//! Carries what the chat says to WebSockets.

use super::chat::Outbox;
use crate::web::{ConnId, Cx, Message, frame};

/// A user at one end of a WebSocket.
#[derive(Debug)]
pub struct Member {
    /// The user's number.
    pub user_id: i64,
    /// The user's name, as registered.
    pub username: Box<str>,
}

/// Frames each message once, whoever gets it.
#[derive(Debug)]
pub struct Frames<'a, 'b>(pub &'a mut Cx<'b>);

impl Outbox<ConnId> for Frames<'_, '_> {
    fn to(&mut self, to: ConnId, json: &str) {
        self.0.send(to, &frame(Message::Text(json)));
    }

    fn to_many(&mut self, to: impl Iterator<Item = ConnId>, json: &str) {
        let frame = frame(Message::Text(json));
        for to in to {
            self.0.send(to, &frame);
        }
    }
}
