//! Publishing: order, who gets what, slow subscribers, long messages.

use std::collections::{BTreeMap, BTreeSet};

use super::socket::HANDSHAKE;
use super::*;
use crate::proto::ws::frame::{Header, Opcode};
use crate::proto::ws::{Event, Role, WsLimits, WsMachine, WsStep};
use crate::web::{Exclude, Published, SendStatus, Topics};

/// Publishes what its mail says.
struct Hub {
    post: ServiceSender<HubAction>,
    config: WebConfig,
    topics: Topics<&'static str>,
    open: Vec<ConnId>,
    published: Vec<Published>,
    replied: Vec<SendStatus>,
    ended: Vec<(ConnId, CloseCode)>,
}

#[derive(Debug)]
enum HubAction {
    Publish(&'static str, String),
    /// By the socket the mail is for.
    PublishExcept(&'static str, Option<&'static str>, String),
    Subscribe(&'static str),
    Unsubscribe(&'static str),
    Reply(String),
}

impl Service for Hub {
    type Socket = ();
    type Mail = HubAction;

    fn config(&self) -> &WebConfig {
        &self.config
    }

    fn request(&mut self, _: &mut Cx<'_>, _: &Request<'_>) -> Reply<()> {
        Reply::Upgrade(())
    }

    fn opened(&mut self, ws: &mut WsCx<'_, '_>, (): &mut ()) {
        self.open.push(ws.id());
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, (): &mut (), message: Message<'_>) {
        self.replied.push(ws.reply(message));
    }

    fn closed(&mut self, cx: &mut Cx<'_>, (): (), ended: &WebSocketClosed<'_>) {
        self.topics.remove(cx.id());
        self.open.retain(|id| *id != cx.id());
        self.ended.push((cx.id(), ended.code));
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, act: HubAction) {
        match (to, act) {
            (To::Nobody(cx), HubAction::Publish(topic, text)) => {
                let text = Message::Text(&text);
                let published = self.topics.publish(cx, [&topic], text, Exclude::Nobody);
                self.published.push(published);
            }
            (To::Socket(ws, ()), act) => match act {
                HubAction::Subscribe(topic) => assert!(self.topics.subscribe(ws, topic)),
                HubAction::Unsubscribe(topic) => assert!(self.topics.unsubscribe(ws.id(), &topic)),
                HubAction::Reply(text) => self.replied.push(ws.reply(Message::Text(&text))),
                HubAction::PublishExcept(topic, others, text) => {
                    let text = Message::Text(&text);
                    let except = others
                        .as_ref()
                        .map_or(Exclude::Sender, Exclude::Subscribers);
                    let published = self.topics.publish(ws.cx(), [&topic], text, except);
                    self.published.push(published);
                }
                HubAction::Publish(..) => panic!("for nobody"),
            },
            _ => {}
        }
    }
}

type Net = Sim<Web<Hub>>;

const MARK: usize = 100_000;

fn net() -> Net {
    let reactor = ReactorConfig {
        output_high_water_bytes: MARK,
        ..ReactorConfig::default()
    };
    Sim::new(reactor, |mailbox| {
        let post: ServiceSender<HubAction> = ServiceSender::new(mailbox);
        let hub = Hub {
            post: post.clone(),
            config: WebConfig::default(),
            topics: Topics::new().with_lossy(|name| name.starts_with("lossy")),
            open: Vec::new(),
            published: Vec::new(),
            replied: Vec::new(),
            ended: Vec::new(),
        };
        Web::new(hub, post)
    })
}

fn hub(net: &mut Net) -> &mut Hub {
    net.handler().service()
}

/// A client that keeps the frames it gets.
struct Ear {
    client: SimClient,
    machine: WsMachine,
    id: ConnId,
}

impl Ear {
    fn open(net: &mut Net) -> Self {
        Self::offering(net, None)
    }

    /// With this value of Sec-WebSocket-Extensions.
    fn offering(net: &mut Net, extensions: Option<&str>) -> Self {
        let mut client = SimClient::plain(net.accept(&Security::Plain).unwrap());
        let id = client.peer.id;
        let handshake = HANDSHAKE.strip_suffix(b"\r\n").unwrap();
        let offer = extensions.map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        let offer = offer.unwrap_or_default() + "\r\n";
        client.write(&[handshake, offer.as_bytes()].concat());
        run(net, &mut [&mut client]);
        assert_eq!(
            read_response(&mut client.received, false).unwrap().status,
            101
        );
        Self {
            client,
            machine: WsMachine::new(Role::Client),
            id,
        }
    }

    fn send(&mut self, event: Event<'_>) {
        let mut out = Vec::new();
        let (_, sender) = self.machine.split();
        sender.send_masked(&mut out, event, [1, 2, 3, 4]).unwrap();
        self.client.write(&out);
    }

    fn act(&self, net: &mut Net, act: HubAction) {
        let post = hub(net).post.clone();
        post.to_socket(self.id, act).unwrap();
        net.settle();
    }

    /// The texts received.
    fn texts(&mut self) -> Vec<String> {
        self.client.pump();
        let mut input = std::mem::take(&mut self.client.received);
        let (mut texts, mut used) = (Vec::new(), 0);
        let (receiver, _) = self.machine.split();
        loop {
            match receiver
                .step(&mut input[used..], &WsLimits::default())
                .unwrap()
            {
                WsStep::More { used: count } => {
                    used += count;
                    break;
                }
                WsStep::Event { used: count, event } => {
                    used += count;
                    if let Event::Text(text) = event {
                        texts.push(text.to_owned());
                    }
                }
                WsStep::TooLong { .. } => panic!("all is wanted"),
            }
        }
        self.client.received = input.split_off(used);
        texts
    }

    /// The headers of the frames received.
    fn headers(&mut self) -> Vec<Header> {
        self.client.pump();
        let mut input = self.client.received.as_slice();
        let mut headers = Vec::new();
        while let Some((header, len)) = Header::decode(input).unwrap() {
            input = &input[len + usize::try_from(header.payload_bytes).unwrap()..];
            headers.push(header);
        }
        headers
    }
}

fn publish(net: &mut Net, topic: &'static str, text: &str) -> Published {
    let act = HubAction::Publish(topic, text.to_owned());
    hub(net).post.clone().to_service(act).unwrap();
    net.settle();
    hub(net).published.pop().unwrap()
}

fn delivered(count: usize) -> Published {
    Published {
        delivered: count,
        ..Published::default()
    }
}

#[test]
fn subscribers_get_what_is_published_and_others_do_not() {
    let mut net = net();
    let mut ears: Vec<Ear> = (0..4).map(|_| Ear::open(&mut net)).collect();
    ears[0].act(&mut net, HubAction::Subscribe("a"));
    ears[1].act(&mut net, HubAction::Subscribe("a"));
    ears[1].act(&mut net, HubAction::Subscribe("b"));
    ears[2].act(&mut net, HubAction::Subscribe("a"));
    assert_eq!(publish(&mut net, "a", "1"), delivered(3));
    assert_eq!(publish(&mut net, "b", "2"), delivered(1));
    assert_eq!(publish(&mut net, "c", "3"), delivered(0));
    ears[1].act(&mut net, HubAction::PublishExcept("a", None, "4".into()));
    ears[3].act(&mut net, HubAction::PublishExcept("a", None, "5".into()));
    ears[3].act(
        &mut net,
        HubAction::PublishExcept("a", Some("b"), "6".into()),
    );
    ears[3].act(
        &mut net,
        HubAction::PublishExcept("a", Some("nobody"), "7".into()),
    );
    let published: Vec<usize> = hub(&mut net)
        .published
        .iter()
        .map(|p| p.delivered)
        .collect();
    assert_eq!(published, [2, 3, 2, 3]);
    ears[0].act(&mut net, HubAction::Unsubscribe("a"));
    assert_eq!(publish(&mut net, "a", "8"), delivered(2));
    for (ear, want) in ears.iter_mut().zip([
        ["1", "4", "5", "6", "7"].as_slice(),
        &["1", "2", "5", "7", "8"],
        &["1", "4", "5", "6", "7", "8"],
        &[],
    ]) {
        assert_eq!(ear.texts(), want);
    }
    assert_eq!(hub(&mut net).topics.len(), 2);
    for ear in &ears {
        ear.client.peer.reset();
    }
    net.settle();
    assert!(hub(&mut net).topics.is_empty());
}

#[test]
fn the_table_is_that_of_a_simple_model() {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for_seeds(20, |rng| {
        let mut net = net();
        let ids: Vec<ConnId> = (0..20).map(|_| Ear::open(&mut net).id).collect();
        let topics = &mut hub(&mut net).topics;
        let mut model: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for _ in 0..2000 {
            let (who, name) = (rng.below(ids.len()), NAMES[rng.below(NAMES.len())]);
            match rng.below(20) {
                0 => {
                    topics.remove(ids[who]);
                    model.values_mut().for_each(|members| {
                        members.remove(&who);
                    });
                }
                1..8 => {
                    let was_there = model.get_mut(name).is_some_and(|m| m.remove(&who));
                    assert_eq!(topics.unsubscribe(ids[who], &name), was_there);
                }
                _ => {
                    let is_new = model.entry(name).or_default().insert(who);
                    assert_eq!(topics.add(ids[who], None, name), is_new);
                }
            }
            model.retain(|_, members| !members.is_empty());
            assert_eq!(topics.len(), model.len());
            let members = model.get(name);
            assert_eq!(topics.subscribers(&name), members.map_or(0, BTreeSet::len));
            let is_member = members.is_some_and(|members| members.contains(&who));
            assert_eq!(topics.is_subscribed(ids[who], &name), is_member);
        }
    });
}

#[test]
fn all_get_the_same_in_the_same_order() {
    for_seeds(10, |rng| {
        let mut net = net();
        let mut ears: Vec<Ear> = (0..5).map(|_| Ear::open(&mut net)).collect();
        for ear in &mut ears {
            ear.act(&mut net, HubAction::Subscribe("a"));
            ear.client.peer.set_capacity(1 + rng.below(5_000));
            ear.client.peer.chop(Rng::new(rng.next()));
        }
        let mut heard: Vec<Vec<String>> = vec![Vec::new(); ears.len()];
        let mut said = Vec::new();
        for n in 0..100 {
            let text = format!("{n} {}", "x".repeat(rng.below(500)));
            publish(&mut net, "a", &text);
            said.push(text);
            let listener = rng.below(ears.len());
            heard[listener].extend(ears[listener].texts());
        }
        for (ear, heard) in ears.iter_mut().zip(&mut heard) {
            run(&mut net, &mut [&mut ear.client]);
            heard.extend(ear.texts());
            assert_eq!(*heard, said);
        }
    });
}

#[test]
fn a_slow_subscriber_is_closed_and_does_not_hold_up_others() {
    let mut net = net();
    let slow = Ear::open(&mut net);
    let mut quick = Ear::open(&mut net);
    slow.act(&mut net, HubAction::Subscribe("a"));
    quick.act(&mut net, HubAction::Subscribe("a"));
    slow.client.peer.set_capacity(1000);
    let text = "x".repeat(1000);
    let mut above_high_water = 0;
    for n in 0..150 {
        let published = publish(&mut net, "a", &text);
        assert_eq!((published.delivered, published.skipped), (2, 0), "{n}");
        above_high_water += published.above_high_water;
        assert_eq!(quick.texts(), [text.as_str()]);
    }
    assert!((45..60).contains(&above_high_water), "{above_high_water}");
    net.advance(11 * SECOND);
    // The Close waits behind what is not taken; it is not taken either.
    net.advance(6 * SECOND);
    let ended = [(slow.id, CloseCode::TRY_AGAIN_LATER)];
    assert_eq!(hub(&mut net).ended, ended);
    assert_eq!(publish(&mut net, "a", &text), delivered(1));
}

#[test]
fn a_slow_subscriber_of_a_lossy_topic_misses_the_oldest() {
    let mut net = net();
    let mut slow = Ear::open(&mut net);
    let mut quick = Ear::open(&mut net);
    for ear in [&slow, &quick] {
        ear.act(&mut net, HubAction::Subscribe("lossy"));
        ear.act(&mut net, HubAction::Subscribe("kept"));
    }
    slow.client.peer.set_capacity(1000);
    let mut skipped = 0;
    for n in 0..500 {
        if n == 250 {
            let kept = publish(&mut net, "kept", "kept");
            assert_eq!((kept.delivered, kept.skipped), (2, 0));
        }
        let published = publish(&mut net, "lossy", &format!("{n:04}{}", "x".repeat(996)));
        assert_eq!((published.delivered, published.above_high_water), (2, 0));
        skipped += published.skipped;
        net.advance(Duration::from_millis(100));
        quick.client.pump();
    }
    assert!((390..410).contains(&skipped), "{skipped}");
    assert_eq!(hub(&mut net).topics.skipped(), skipped as u64);
    assert_eq!(hub(&mut net).open.len(), 2);
    assert_eq!(quick.texts().len(), 501);
    // It gets what was begun, what was not lossy, and the newest, without a gap.
    run(&mut net, &mut [&mut slow.client]);
    let texts = slow.texts();
    assert_eq!(texts.len(), 501 - skipped);
    let numbers: Vec<usize> = texts
        .iter()
        .filter(|text| *text != "kept")
        .map(|text| text[..4].parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), texts.len() - 1);
    let first = numbers.iter().position(|n| *n > 100).unwrap();
    assert!(first < 4, "{numbers:?}");
    let newest: Vec<usize> = (500 - (numbers.len() - first)..500).collect();
    assert_eq!(numbers[first..], newest);
}

#[test]
fn long_messages_let_pings_and_pongs_pass() {
    let mut net = net();
    let mut ear = Ear::open(&mut net);
    ear.act(&mut net, HubAction::Subscribe("a"));
    ear.client.peer.set_capacity(10_000);
    let text = "é".repeat(150_000);
    assert_eq!(publish(&mut net, "a", &text).above_high_water, 1);
    ear.act(&mut net, HubAction::Reply(text.clone()));
    assert_eq!(hub(&mut net).replied.pop(), Some(SendStatus::Backpressure));
    // Nothing was taken: the server asks whether anybody is there, and answers the same question.
    net.advance(5 * SECOND);
    ear.client.pump();
    ear.send(Event::Ping(b"there?"));
    run(&mut net, &mut [&mut ear.client]);
    let headers = ear.headers();
    let data: Vec<&Header> = headers.iter().filter(|h| !h.opcode.is_control()).collect();
    assert_eq!(data.len(), 10, "{headers:?}");
    for message in data.chunks(5) {
        let opcodes = message.iter().map(|header| header.opcode);
        assert!(opcodes.clone().take(1).eq([Opcode::Text]));
        assert!(opcodes.skip(1).eq([Opcode::Continuation; 4]));
        let ends = message.iter().map(|header| header.fin);
        assert!(ends.eq([false, false, false, false, true]));
    }
    assert_eq!(ear.texts(), [text.as_str(), &text]);
}

#[test]
fn a_pong_passes_a_message_that_is_not_begun() {
    let mut net = net();
    let mut ear = Ear::open(&mut net);
    ear.client.peer.set_capacity(70_000);
    ear.act(&mut net, HubAction::Subscribe("a"));
    publish(&mut net, "a", &"x".repeat(60_000));
    publish(&mut net, "a", &"y".repeat(60_000));
    ear.client.peer.send(&[0x89, 0x80, 1, 2, 3, 4]);
    net.settle();
    run(&mut net, &mut [&mut ear.client]);
    let opcodes: Vec<Opcode> = ear.headers().iter().map(|header| header.opcode).collect();
    assert_eq!(opcodes, [Opcode::Text, Opcode::Text, Opcode::Pong]);
    // The second was begun; what comes after the pong was not.
    ear.texts();
    for _ in 0..3 {
        publish(&mut net, "a", &"z".repeat(30_000));
    }
    ear.client.peer.send(&[0x89, 0x80, 1, 2, 3, 4]);
    net.settle();
    run(&mut net, &mut [&mut ear.client]);
    let opcodes: Vec<Opcode> = ear.headers().iter().map(|header| header.opcode).collect();
    assert_eq!(
        opcodes,
        [Opcode::Text, Opcode::Text, Opcode::Text, Opcode::Pong]
    );
}

#[test]
fn a_reply_says_what_becomes_of_it() {
    let mut net = net();
    let ear = Ear::open(&mut net);
    ear.act(&mut net, HubAction::Reply("one".into()));
    assert_eq!(hub(&mut net).replied.pop(), Some(SendStatus::Accepted));
    ear.client.peer.set_capacity(10);
    ear.act(&mut net, HubAction::Reply("x".repeat(100)));
    assert_eq!(hub(&mut net).replied.pop(), Some(SendStatus::Accepted));
    ear.act(&mut net, HubAction::Reply("two".into()));
    assert_eq!(hub(&mut net).replied.pop(), Some(SendStatus::Buffered));
    ear.act(&mut net, HubAction::Reply("x".repeat(MARK)));
    assert_eq!(hub(&mut net).replied.pop(), Some(SendStatus::Backpressure));
}

#[test]
fn what_is_published_is_compressed_once_for_all_who_agreed_to_the_same() {
    let offers = [
        None,
        Some("permessage-deflate"),
        Some("permessage-deflate; server_max_window_bits=9"),
        Some("permessage-deflate"),
    ];
    let mut net = net();
    let ears: Vec<Ear> = offers
        .iter()
        .map(|offer| Ear::offering(&mut net, *offer))
        .collect();
    for ear in &ears {
        ear.act(&mut net, HubAction::Subscribe("a"));
    }
    let text = "the same again and again, ".repeat(40);
    assert_eq!(publish(&mut net, "a", &text), delivered(4));
    assert_eq!(publish(&mut net, "a", "short"), delivered(4));
    let mut got: Vec<Vec<u8>> = Vec::new();
    for mut ear in ears {
        ear.client.pump();
        got.push(std::mem::take(&mut ear.client.received));
    }
    let short = b"\x81\x05short";
    for (bytes, is_compressed) in got.iter().zip([false, true, true, true]) {
        assert_eq!(bytes[0], if is_compressed { 0xc1 } else { 0x81 });
        assert_eq!(bytes.len() < 200, is_compressed);
        assert!(bytes.ends_with(short));
    }
    assert_eq!(got[1], got[3]);
    for (bytes, bits) in [(&got[1], 15), (&got[2], 9)] {
        assert!(bytes[1] < 126, "a short frame");
        let payload = &bytes[2..bytes.len() - short.len()];
        let mut inflate = flate2::Decompress::new_with_window_bits(false, bits);
        let mut out = Vec::with_capacity(2 * text.len());
        let ended = [payload, &[0, 0, 0xff, 0xff]].concat();
        inflate
            .decompress_vec(&ended, &mut out, flate2::FlushDecompress::Sync)
            .unwrap();
        assert!(out == text.as_bytes());
    }
}
