//! Counters of a service's traffic, in plain numbers: nothing is shared, nothing is locked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{CloseCode, Histogram, Message, ResponseSent, SendStatus, WebSocketClosed};

/// Requests, WebSockets and messages so far.
///
/// A service that wants to know owns one, and tells it in its callbacks what the web layer tells the
/// service. What is published is counted by [`Topics`](super::Topics), and what happens below by the
/// reactor ([`Cx::stats`](super::Cx::stats)).
///
/// ```
/// use edgeloop::web::{Cx, Reply, Request, Response, ResponseSent, Service, Traffic};
///
/// struct Site {
///     traffic: Traffic,
/// }
///
/// impl Service for Site {
///     type Socket = ();
///     type Mail = ();
///
///     fn request(&mut self, _: &mut Cx<'_>, _: &Request<'_>) -> Reply<()> {
///         Response::text(200, format!("{} before you\n", self.traffic.times.count())).into()
///     }
///
///     fn response_sent(&mut self, cx: &mut Cx<'_>, response_sent: &ResponseSent<'_>) {
///         self.traffic.response_sent(response_sent, response_sent.duration(cx));
///     }
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Requests that were answered, by status. Handshakes of WebSockets that came about are not in it.
    pub statuses: BTreeMap<u16, u64>,
    /// From the end of each request to its answer being queued.
    pub times: Histogram,
    /// Bytes of the bodies of those answers.
    pub body_bytes: u64,
    /// WebSockets that were opened.
    pub opened: u64,
    /// WebSockets that have ended, by close code. What peers may choose as they like is put together:
    /// 3000 stands for all of 3000 to 3999, and 4000 for the rest.
    pub ended: BTreeMap<u16, u64>,
    /// Messages that arrived.
    pub messages_in: u64,
    /// Bytes of those.
    pub message_bytes_in: u64,
    /// Messages that were sent to one WebSocket, and are on their way.
    pub messages_out: u64,
}

impl Traffic {
    /// Tells of [`Service::response_sent`](super::Service::response_sent), and how long that took.
    pub fn response_sent(&mut self, served: &ResponseSent<'_>, duration: Duration) {
        *self.statuses.entry(served.status).or_default() += 1;
        self.times.record(duration);
        self.body_bytes += served.body_bytes;
    }

    /// Tells of [`Service::opened`](super::Service::opened).
    pub fn opened(&mut self) {
        self.opened += 1;
    }

    /// Tells of [`Service::message`](super::Service::message).
    pub fn message(&mut self, message: &Message<'_>) {
        self.messages_in += 1;
        self.message_bytes_in += message.len() as u64;
    }

    /// Tells of [`Service::message_too_long`](super::Service::message_too_long).
    pub fn message_too_long(&mut self, bytes: u64) {
        self.messages_in += 1;
        self.message_bytes_in += bytes;
    }

    /// Tells what became of a message to one WebSocket.
    pub fn sent(&mut self, sent: SendStatus) {
        self.messages_out += u64::from(sent != SendStatus::Dropped);
    }

    /// Tells of [`Service::closed`](super::Service::closed).
    pub fn closed(&mut self, ended: &WebSocketClosed<'_>) {
        *self.ended.entry(class(ended.code)).or_default() += 1;
    }

    /// WebSockets that are open.
    pub fn sockets(&self) -> u64 {
        self.opened.saturating_sub(self.ended.values().sum())
    }
}

/// Groups close codes, so that a peer cannot fill the table.
const fn class(code: CloseCode) -> u16 {
    match code.value() {
        code @ 0..3000 => code,
        3000..4000 => 3000,
        _ => 4000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ended(code: u16) -> WebSocketClosed<'static> {
        WebSocketClosed {
            peer: ([127, 0, 0, 1], 1).into(),
            path: "/",
            code: CloseCode::new(code),
            clean: true,
            messages: 0,
            bytes_in: 0,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn peers_cannot_fill_the_table_of_close_codes() {
        let mut traffic = Traffic::default();
        let codes = (1000..=1015).chain(3000..=4999);
        for code in codes.clone() {
            traffic.opened();
            traffic.closed(&ended(code));
        }
        traffic.opened();
        assert_eq!(traffic.sockets(), 1);
        assert_eq!(traffic.ended.len(), 16 + 2);
        assert_eq!((traffic.ended[&3000], traffic.ended[&4000]), (1000, 1000));
        assert_eq!(traffic.ended.values().sum::<u64>(), codes.count() as u64);
    }

    #[test]
    fn what_went_nowhere_was_not_sent() {
        let mut traffic = Traffic::default();
        for sent in [
            SendStatus::Accepted,
            SendStatus::Buffered,
            SendStatus::Backpressure,
            SendStatus::Dropped,
        ] {
            traffic.sent(sent);
        }
        assert_eq!(traffic.messages_out, 3);
    }
}
