//! Publish and subscribe: a message is framed once and goes to all WebSockets of a topic.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use slab::Slab;

use super::message::{Framed, Message, WsCx};
use super::{Compression, ConnId, Cx, SendStatus, WindowBits};
use crate::proto::ws::deflate::Deflaters;

/// Cost of a delivery in the turn's budget, in bytes of input.
const DELIVERY_WORK_BYTES: usize = 64;

/// Topics and their subscribers. A service owns one and publishes through it.
///
/// A topic is named by any value; it exists while somebody is subscribed. A published message is framed
/// once, and compressed once for all who have agreed to the same, and queued on each subscriber by
/// reference, in the order of the calls: all subscribers of a topic get the same in the same order.
///
/// When a WebSocket has [closed](super::Service::closed), [`remove`](Self::remove) it.
///
/// A subscriber that takes too little is paused, and after the grace time closed with 1013; of a topic that
/// is [lossy](Self::with_lossy) it misses the oldest messages instead, which are counted.
///
/// ```
/// use edgeloop::web::{Cx, WebSocketClosed, Exclude, Message, Reply, Request, Service, Topics, WsCx};
///
/// struct Room {
///     topics: Topics<&'static str>,
/// }
///
/// impl Service for Room {
///     type Socket = ();
///     type Mail = ();
///
///     fn request(&mut self, _: &mut Cx<'_>, _: &Request<'_>) -> Reply<()> {
///         # #[cfg(feature = "ws")]
///         return Reply::Upgrade(());
///         # #[cfg(not(feature = "ws"))]
///         # return Reply::Send(edgeloop::web::Response::empty(404));
///     }
///
///     fn opened(&mut self, ws: &mut WsCx<'_, '_>, _: &mut ()) {
///         self.topics.subscribe(ws, "room");
///     }
///
///     fn message(&mut self, ws: &mut WsCx<'_, '_>, _: &mut (), message: Message<'_>) {
///         self.topics.publish(ws.cx(), [&"room"], message, Exclude::Sender);
///     }
///
///     fn closed(&mut self, cx: &mut Cx<'_>, _: (), _: &WebSocketClosed<'_>) {
///         self.topics.remove(cx.id());
///     }
/// }
/// ```
pub struct Topics<T> {
    table: Slab<Topic<T>>,
    names: HashMap<T, usize>,
    /// Subscriptions of each subscriber.
    seats: HashMap<ConnId, Vec<Subscription>>,
    is_lossy: fn(&T) -> bool,
    skipped: u64,
    delivered: u64,
    compression: Compression,
    deflaters: Deflaters,
}

struct Topic<T> {
    name: T,
    subscribers: Vec<Subscriber>,
    is_lossy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Subscriber {
    id: ConnId,
    /// Of the compressed messages it can read.
    window: Option<WindowBits>,
}

/// The frames of one message, in each encoding that a receiver has wanted so far.
///
/// Whoever sends the same message at several times keeps it between the calls of [`Topics::send`], so
/// that it is framed and compressed once for all of them.
#[derive(Clone, Debug, Default)]
pub struct EncodedMessage {
    plain: Option<Framed>,
    /// `None` where the compressed form would not be smaller.
    compressed: Vec<(WindowBits, Option<Framed>)>,
}

/// A place among the subscribers of a topic.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    topic: usize,
    place: usize,
}

/// Subscribers that do not get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclude<'a, T> {
    /// All get it.
    Nobody,
    /// Not the connection the callback is for.
    Sender,
    /// Not those who have subscribed to that topic, too.
    Subscribers(&'a T),
}

/// Outcome of publishing a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// To how many it is on its way.
    pub delivered: usize,
    /// Number of them that are above their high-water mark.
    pub above_high_water: usize,
    /// Number of messages, this one or older ones of the topic, were skipped for those who are.
    pub skipped: usize,
}

impl<T: Clone + Eq + Hash> Topics<T> {
    /// Nobody has subscribed to anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Slab::new(),
            names: HashMap::new(),
            seats: HashMap::new(),
            is_lossy: |_| false,
            skipped: 0,
            delivered: 0,
            compression: Compression::DEFAULT,
            deflaters: Deflaters::default(),
        }
    }

    /// Sets the compression of messages from now on, for subscribers who have agreed to that.
    pub fn set_compression(&mut self, compression: Compression) {
        self.compression = compression;
    }

    /// The same, with topics of which a slow subscriber misses messages rather than be closed.
    #[must_use]
    pub fn with_lossy(self, is_lossy: fn(&T) -> bool) -> Self {
        Self { is_lossy, ..self }
    }

    /// Subscribes a WebSocket to a topic. Returns whether it is new there.
    pub fn subscribe(&mut self, ws: &WsCx<'_, '_>, name: T) -> bool {
        self.add(ws.id(), ws.shared_window(), name)
    }

    /// The same by its id and its [`WsCx::shared_window`].
    pub fn add(&mut self, id: ConnId, window: Option<WindowBits>, name: T) -> bool {
        let topic = match self.names.get(&name) {
            Some(topic) => *topic,
            None => {
                let topic = self.table.insert(Topic {
                    is_lossy: (self.is_lossy)(&name),
                    name: name.clone(),
                    subscribers: Vec::new(),
                });
                self.names.insert(name, topic);
                topic
            }
        };
        let seats = self.seats.entry(id).or_default();
        if seats.iter().any(|seat| seat.topic == topic) {
            return false;
        }
        if let Some(entry) = self.table.get_mut(topic) {
            seats.push(Subscription {
                topic,
                place: entry.subscribers.len(),
            });
            entry.subscribers.push(Subscriber { id, window });
        } else {
            invariant!("topic {topic} is in the table of topics");
        }
        true
    }

    /// Subscribes a WebSocket that has subscribed to something before, to one topic more.
    /// Returns whether it is new there.
    pub fn add_too(&mut self, id: ConnId, name: T) -> bool {
        self.add(id, self.window(id), name)
    }

    /// Takes back a subscription. Returns whether there was one.
    pub fn unsubscribe(&mut self, id: ConnId, name: &T) -> bool {
        let (Some(&topic), Some(seats)) = (self.names.get(name), self.seats.get_mut(&id)) else {
            return false;
        };
        let Some(number) = seats.iter().position(|seat| seat.topic == topic) else {
            return false;
        };
        let seat = seats.swap_remove(number);
        if seats.is_empty() {
            self.seats.remove(&id);
        }
        self.vacate(seat);
        true
    }

    /// Takes back all subscriptions of a WebSocket: it has closed.
    pub fn remove(&mut self, id: ConnId) {
        for seat in self.seats.remove(&id).unwrap_or_default() {
            self.vacate(seat);
        }
    }

    /// Sends a message to all subscribers of these topics; who is in several gets it several times.
    pub fn publish<'t>(
        &mut self,
        cx: &mut Cx<'_>,
        names: impl IntoIterator<Item = &'t T>,
        message: Message<'_>,
        except: Exclude<'_, T>,
    ) -> Published
    where
        T: 't,
    {
        let mut encoded = EncodedMessage::default();
        let mut published = Published::default();
        for name in names {
            if let Some(&topic) = self.names.get(name) {
                let message = (message, &mut encoded);
                self.publish_to(cx, topic, message, &except, &mut published);
            }
        }
        cx.count_work(published.delivered * DELIVERY_WORK_BYTES);
        self.skipped += published.skipped as u64;
        self.delivered += published.delivered as u64;
        published
    }

    /// Sends a message to these WebSockets, of whatever topics, in their order. `encoded` is empty at
    /// first, and from then on belongs to this message.
    pub fn send(
        &mut self,
        cx: &mut Cx<'_>,
        to: &[ConnId],
        message: Message<'_>,
        encoded: &mut EncodedMessage,
    ) {
        let mut deflaters = std::mem::take(&mut self.deflaters);
        for &id in to {
            let window = self.window(id);
            let form = encoded.form(message, window, &mut deflaters, &self.compression);
            self.delivered += u64::from(form.send_to(cx, id) != SendStatus::Dropped);
        }
        self.deflaters = deflaters;
    }

    /// Of the compressed messages that a subscriber can read.
    fn window(&self, id: ConnId) -> Option<WindowBits> {
        let seat = self.seats.get(&id)?.first()?;
        let subscriber = self.table.get(seat.topic)?.subscribers.get(seat.place)?;
        subscriber.window
    }

    fn publish_to(
        &mut self,
        cx: &mut Cx<'_>,
        number: usize,
        (message, encoded): (Message<'_>, &mut EncodedMessage),
        except: &Exclude<'_, T>,
        published: &mut Published,
    ) {
        let Some(topic) = self.table.get(number) else {
            return;
        };
        let mut deflaters = std::mem::take(&mut self.deflaters);
        let label = topic
            .is_lossy
            .then(|| u32::try_from(number).unwrap_or(u32::MAX));
        let sender = match except {
            Exclude::Sender => cx.id(),
            Exclude::Nobody | Exclude::Subscribers(_) => ConnId::NONE,
        };
        let others = match *except {
            Exclude::Subscribers(other) => self.names.get(other).copied(),
            Exclude::Nobody | Exclude::Sender => None,
        };
        for subscriber in &topic.subscribers {
            let id = subscriber.id;
            if id == sender || others.is_some_and(|other| self.has_seat(other, id)) {
                continue;
            }
            let window = subscriber.window;
            let form = encoded.form(message, window, &mut deflaters, &self.compression);
            let (sent, skipped) = form.send(cx, id, label);
            published.skipped += skipped;
            match sent {
                SendStatus::Dropped => {}
                SendStatus::Backpressure if skipped > 0 => published.above_high_water += 1, // this one is skipped
                SendStatus::Backpressure => {
                    published.above_high_water += 1;
                    published.delivered += 1;
                }
                SendStatus::Accepted | SendStatus::Buffered => published.delivered += 1,
            }
        }
        self.deflaters = deflaters;
    }

    /// Number of have subscribed to a topic.
    pub fn subscribers(&self, name: &T) -> usize {
        let topic = self
            .names
            .get(name)
            .and_then(|topic| self.table.get(*topic));
        topic.map_or(0, |topic| topic.subscribers.len())
    }

    /// Returns `true` if a WebSocket has subscribed to a topic.
    pub fn is_subscribed(&self, id: ConnId, name: &T) -> bool {
        let topic = self.names.get(name);
        topic.is_some_and(|topic| self.has_seat(*topic, id))
    }

    /// Number of topics.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns `true` if nobody has subscribed to anything.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of messages sent so far, for all subscribers together.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Number of messages of lossy topics were skipped so far, for all subscribers together.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn has_seat(&self, topic: usize, id: ConnId) -> bool {
        match self.table.get(topic) {
            // As the connections of one user are: quicker looked through than looked up.
            Some(topic) if topic.subscribers.len() <= 8 => {
                topic.subscribers.iter().any(|other| other.id == id)
            }
            _ => {
                let seats = self.seats.get(&id);
                seats.is_some_and(|seats| seats.iter().any(|seat| seat.topic == topic))
            }
        }
    }

    /// Frees a place, which the last subscriber takes; the last one to go ends the topic.
    fn vacate(&mut self, Subscription { topic, place }: Subscription) {
        let Some(entry) = self.table.get_mut(topic) else {
            return;
        };
        if place < entry.subscribers.len() {
            entry.subscribers.swap_remove(place);
        }
        let moved = entry.subscribers.get(place);
        let seats = moved.and_then(|moved| self.seats.get_mut(&moved.id));
        if let Some(seat) = seats.and_then(|seats| seats.iter_mut().find(|s| s.topic == topic)) {
            seat.place = place;
        }
        if entry.subscribers.is_empty() {
            let entry = self.table.remove(topic);
            self.names.remove(&entry.name);
        }
    }
}

impl EncodedMessage {
    /// The frames for a receiver with this window.
    #[inline]
    fn form(
        &mut self,
        message: Message<'_>,
        window: Option<WindowBits>,
        deflaters: &mut Deflaters,
        how: &Compression,
    ) -> &Framed {
        if let Some(window) = window {
            let known = &mut self.compressed;
            if let Some(form) = compressed_form(known, message, window, deflaters, how) {
                return form;
            }
        }
        self.plain.get_or_insert_with(|| Framed::new(message))
    }
}

/// The compressed frames for that window, if they are smaller.
#[inline(never)] // most receivers have none
fn compressed_form<'a>(
    known: &'a mut Vec<(WindowBits, Option<Framed>)>,
    message: Message<'_>,
    window: WindowBits,
    deflaters: &mut Deflaters,
    how: &Compression,
) -> Option<&'a Framed> {
    let place = known.iter().position(|(other, _)| *other == window);
    let place = place.unwrap_or_else(|| {
        let form = Framed::compressed(message, deflaters, how, window);
        known.push((window, form));
        known.len() - 1
    });
    known.get(place)?.1.as_ref()
}

impl<T: Clone + Eq + Hash> Default for Topics<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Topics<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics")
            .field("topics", &self.table.len())
            .field("subscribers", &self.seats.len())
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}
