//! The cost of lists of users in large rooms, on a clock of the test.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::presence::{BYTES_PER_SECOND, INTERVAL_MS};
use super::tests::rounds;
use super::*;

const JOIN: &str = r#"{"type":"join"}"#;
const LEAVE: &str = r#"{"type":"leave"}"#;

/// One connection, as far as lists go.
#[derive(Debug, Default)]
struct Receiver {
    /// Joins not answered yet.
    asked: usize,
    /// The list it has; 0 for none.
    version: u64,
    /// Lists it asked for, and others.
    responses: usize,
    updates: usize,
    /// When the last four of the others came.
    last_ms: VecDeque<u64>,
    announcements: usize,
}

/// Counts, and holds the bounds after each call.
#[derive(Debug, Default)]
struct Meter {
    now_ms: u64,
    open: HashMap<u32, Receiver>,
    entered: Vec<u32>,
    /// Of the lists nobody asked for: when, and how many bytes for all together.
    updates: VecDeque<(u64, usize)>,
    update_bytes: usize,
    answer_bytes: usize,
    version: u64,
    versions_sent: usize,
}

impl Outbox<u32> for Meter {
    fn to(&mut self, _: u32, _: &str) {}

    fn joined(&mut self, k: u32, _: UserId) {
        self.open.get_mut(&k).unwrap().version = 0;
    }

    fn entered(&mut self, k: u32) {
        if !self.entered.contains(&k) {
            self.entered.push(k);
        }
    }

    fn left(&mut self, k: u32, _: UserId) {
        self.entered.retain(|other| *other != k);
    }

    fn publish(&mut self, audience: Audience<'_>, json: &str) {
        assert!(!matches!(audience, Audience::Only(_)) && !json.contains(r#""users""#));
        for k in &self.entered {
            self.open.get_mut(k).unwrap().announcements += 1;
        }
    }

    fn users(&mut self, to: &[u32], list: UserList<'_>) {
        assert!(list.version >= self.version, "an older list");
        if list.version > self.version {
            self.version = list.version;
            self.versions_sent += 1;
        }
        let mut round_bytes = 0;
        for k in to {
            let receiver = self.open.get_mut(k).unwrap();
            if let Some(left) = receiver.asked.checked_sub(1) {
                receiver.asked = left;
                receiver.responses += 1;
                self.answer_bytes += list.json.len();
            } else {
                assert!(receiver.version < list.version, "the same list again");
                receiver.updates += 1;
                round_bytes += list.json.len();
                receiver.last_ms.push_back(self.now_ms);
                if receiver.last_ms.len() > 4 {
                    let fifth_last_ms = receiver.last_ms.pop_front().unwrap();
                    assert!(self.now_ms - fifth_last_ms >= 1000, "five in a second");
                }
            }
            receiver.version = list.version;
        }
        if round_bytes > 0 {
            self.update_bytes += round_bytes;
            self.updates.push_back((self.now_ms, round_bytes));
            while self.updates[0].0 + 1000 <= self.now_ms {
                self.updates.pop_front();
            }
            let bytes: usize = self.updates.iter().map(|(_, bytes)| bytes).sum();
            // One list goes out however long it is.
            let long = if list.json.len() > BYTES_PER_SECOND / 4 {
                list.json.len()
            } else {
                0
            };
            assert!(
                bytes <= BYTES_PER_SECOND + long,
                "{bytes} bytes in a second"
            );
        }
    }
}

struct Hall {
    chat: Chat<u32>,
    meter: Meter,
    /// Of each name.
    name_bytes: usize,
}

impl Hall {
    fn new(name_bytes: usize) -> Self {
        Self {
            chat: Chat::new(0),
            meter: Meter::default(),
            name_bytes,
        }
    }

    fn connect(&mut self, k: u32) {
        let name = format!("{}{k:04}", "a".repeat(self.name_bytes - 4));
        self.meter.open.insert(k, Receiver::default());
        let now_ms = self.meter.now_ms;
        let identity = Identity::new(k.into(), &name);
        self.chat.connected(k, identity, now_ms, 7, &mut self.meter);
    }

    fn join(&mut self, k: u32) {
        self.meter.open.get_mut(&k).unwrap().asked += 1;
        self.say(k, JOIN);
    }

    fn say(&mut self, k: u32, text: &str) {
        let now_ms = self.meter.now_ms;
        self.chat.received(k, text, now_ms, 7, &mut self.meter);
    }

    fn close(&mut self, k: u32) {
        let now_ms = self.meter.now_ms;
        self.chat.disconnected(k, now_ms, 7, &mut self.meter);
        self.meter.open.remove(&k);
    }

    fn fill(users: u32, name_bytes: usize) -> Self {
        let mut hall = Self::new(name_bytes);
        for k in 0..users {
            hall.connect(k);
            hall.join(k);
        }
        hall.pass(0);
        assert_eq!(hall.chat.next_deadline(), None, "one list for all");
        assert_eq!(hall.meter.versions_sent, 1);
        for (k, receiver) in &mut hall.meter.open {
            // Whoever came first gets the `join` of the others.
            let announcements = std::mem::take(&mut receiver.announcements);
            assert_eq!(announcements, (users - k - 1) as usize);
        }
        hall
    }

    /// The turn ends, and time passes.
    fn pass(&mut self, ms: u64) {
        let until_ms = self.meter.now_ms + ms;
        while let Some(due_ms) = self.chat.next_deadline()
            && due_ms <= until_ms
        {
            self.meter.now_ms = self.meter.now_ms.max(due_ms);
            self.chat.expired(self.meter.now_ms, &mut self.meter);
            let mut receivers = self.meter.open.values();
            assert!(receivers.all(|receiver| receiver.asked == 0), "at once");
        }
        self.meter.now_ms = until_ms;
    }

    /// Lets time pass until nothing is due; all have the last list then. Gives how long it took.
    fn settle(&mut self) -> u64 {
        let start_ms = self.meter.now_ms;
        self.pass(0);
        while let Some(due_ms) = self.chat.next_deadline() {
            self.pass(due_ms - self.meter.now_ms);
        }
        for k in &self.meter.entered {
            assert_eq!(self.meter.open[k].version, self.meter.version, "the last");
        }
        self.chat
            .presence
            .assert_sound(self.chat.joined_connections());
        self.meter.now_ms - start_ms
    }
}

#[test]
fn those_who_come_back_at_once_cost_a_list_each_and_a_few_for_all() {
    let mut hall = Hall::new(20);
    // Two thousand a second.
    for k in 0..2000 {
        hall.connect(k);
        hall.join(k);
        if k % 20 == 19 {
            hall.pass(10);
        }
    }
    hall.pass(0);
    assert!(
        hall.meter
            .open
            .values()
            .all(|receiver| receiver.responses == 1)
    );
    let turns = 100;
    let seconds = 1 + usize::try_from(hall.settle().div_ceil(1000)).unwrap();
    assert!(hall.meter.versions_sent <= turns + 4, "made once for many");
    assert!(hall.meter.update_bytes <= (seconds + 1) * BYTES_PER_SECOND);
    // Without bounds it had been 2,000 times that.
    let list_bytes = 2000 * (20 + r#"{"username":"","isOnline":true},"#.len());
    assert!(hall.meter.answer_bytes <= 2000 * list_bytes);
    assert!(hall.meter.update_bytes <= 2 * 2000 * list_bytes);
}

#[test]
fn a_user_who_flaps_costs_announcements_and_bounded_lists() {
    let mut hall = Hall::fill(300, 20);
    hall.connect(1000);
    for _ in 0..100 {
        hall.join(1000);
        hall.pass(10);
        hall.say(1000, LEAVE);
        hall.pass(10);
    }
    hall.settle();
    for k in 0..300 {
        let receiver = &hall.meter.open[&k];
        assert_eq!(receiver.announcements, 200);
        // Two seconds.
        assert!((1..=9).contains(&receiver.updates), "{receiver:?}");
    }
    assert_eq!(hall.meter.open[&1000].responses, 100);
}

#[test]
fn a_large_room_is_served_in_turn() {
    // Lists of 200 KB for 200: 40 MB a round, five seconds' worth.
    let mut hall = Hall::fill(200, 1000);
    hall.connect(1000);
    for _ in 0..10 {
        hall.join(1000);
        hall.pass(1500);
        hall.say(1000, LEAVE);
        hall.pass(1500);
    }
    let updates = |hall: &Hall| -> Vec<usize> {
        let receivers = (0..200).map(|k| &hall.meter.open[&k]);
        receivers.map(|receiver| receiver.updates).collect()
    };
    let now = updates(&hall);
    let (least, most) = (now.iter().min().unwrap(), now.iter().max().unwrap());
    assert!(*least >= 5 && most - least <= 1, "{least} to {most}");
    assert!(hall.settle() <= 6000);
}

#[test]
fn a_list_longer_than_a_round_goes_out_one_at_a_time() {
    // 3 MB each.
    let mut hall = Hall::fill(10, 300_000);
    hall.close(9);
    let took_ms = hall.settle();
    let each_ms = (hall.meter.update_bytes as u64 / 9 * 1000) / BYTES_PER_SECOND as u64;
    assert!(each_ms > INTERVAL_MS);
    assert!(
        (8 * each_ms..=8 * each_ms + 8).contains(&took_ms),
        "{took_ms}"
    );
    assert!((0..9).all(|k| hall.meter.open[&k].updates == 1));
}

#[derive(Clone, Copy, Debug)]
enum HallAction {
    Come(u32),
    Join(u32),
    Leave(u32),
    Close(u32),
    Pass(u64),
}

fn act() -> impl Strategy<Value = HallAction> {
    let k = || 0_u32..60;
    prop_oneof![
        4 => k().prop_map(HallAction::Come),
        3 => k().prop_map(HallAction::Join),
        2 => k().prop_map(HallAction::Leave),
        2 => k().prop_map(HallAction::Close),
        2 => Just(HallAction::Pass(0)),
        2 => (0_u64..300).prop_map(HallAction::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24 * rounds()) })]

    #[test]
    fn bounds_hold_whatever_the_order(
        acts in prop::collection::vec(act(), 1..150),
        name_bytes in prop_oneof![Just(10_usize), Just(10_000), Just(40_000)],
    ) {
        let mut hall = Hall::new(name_bytes);
        for act in acts {
            match act {
                HallAction::Come(k) | HallAction::Join(k) if !hall.meter.open.contains_key(&k) => {
                    hall.connect(k);
                    if let HallAction::Come(_) = act {
                        hall.join(k);
                    }
                }
                HallAction::Come(k) | HallAction::Join(k) => hall.join(k),
                HallAction::Leave(k) => hall.say(k, LEAVE),
                HallAction::Close(k) if hall.meter.open.contains_key(&k) => hall.close(k),
                HallAction::Close(_) => {}
                HallAction::Pass(ms) => hall.pass(ms),
            }
        }
        hall.settle();
        prop_assert_eq!(hall.chat.next_deadline(), None);
    }
}
