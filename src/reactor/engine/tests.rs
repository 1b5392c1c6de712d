mod slow;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::reactor::sim::{Client, Peer, Rng, Sim, for_seeds, run};
use crate::reactor::{
    CloseReason, Config, ConnId, Cx, Handler, Origin, Security, Sent, Shared, Stall,
};

#[cfg(feature = "app")]
use crate::reactor::Cleartext;

const SECOND: Duration = Duration::from_secs(1);

/// What the engine called back about.
#[derive(Debug)]
enum Call<'a> {
    Open,
    Data(&'a mut [u8]),
    #[cfg(feature = "app")]
    Cleartext(&'a [u8]),
    Eof,
    Drained,
    Expired,
    Stalled(Stall),
    Draining,
    Mail(u32),
    Closed,
}

/// What a closure makes of cleartext.
#[cfg(feature = "app")]
const REFUSED: usize = 0;
#[cfg(feature = "app")]
const INCOMPLETE: usize = 1;
#[cfg(feature = "app")]
const ANSWERED: usize = 2;

/// Acts as a closure says, and checks that the calls make sense.
struct Probe<F> {
    act: F,
    log: Vec<String>,
    open: HashSet<ConnId>,
}

impl<F: FnMut(&mut Cx<'_>, Call<'_>) -> usize> Probe<F> {
    fn new(act: F) -> Self {
        Self {
            act,
            log: Vec::new(),
            open: HashSet::new(),
        }
    }

    fn call(&mut self, cx: &mut Cx<'_>, call: Call<'_>) -> usize {
        assert!(self.open.contains(&cx.id()), "{call:?} on nobody");
        self.log.push(match &call {
            Call::Data(input) => format!("data {}", input.len()),
            #[cfg(feature = "app")]
            Call::Cleartext(input) => format!("cleartext {}", input.len()),
            Call::Stalled(_) => "stalled".to_owned(),
            call => format!("{call:?}").to_lowercase(),
        });
        (self.act)(cx, call)
    }

    fn calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

impl<F: FnMut(&mut Cx<'_>, Call<'_>) -> usize> Handler for Probe<F> {
    type Conn = ConnId;
    type Mail = u32;

    fn open(&mut self, cx: &mut Cx<'_>, _: Origin) -> Option<ConnId> {
        let takes = (self.act)(cx, Call::Open) > 0;
        if takes {
            assert!(self.open.insert(cx.id()), "opened twice");
        }
        takes.then(|| cx.id())
    }

    fn data(&mut self, cx: &mut Cx<'_>, conn: &mut ConnId, input: &mut [u8]) -> usize {
        assert_eq!(*conn, cx.id());
        assert!(!input.is_empty());
        self.call(cx, Call::Data(input))
    }

    #[cfg(feature = "app")]
    fn cleartext(&mut self, cx: &mut Cx<'_>, conn: &mut ConnId, input: &[u8]) -> Cleartext {
        assert_eq!(*conn, cx.id());
        match self.call(cx, Call::Cleartext(input)) {
            REFUSED => Cleartext::Refused,
            INCOMPLETE => Cleartext::Incomplete,
            _ => Cleartext::Answered,
        }
    }

    fn eof(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Eof);
    }

    fn drained(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Drained);
    }

    fn expired(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Expired);
    }

    fn stalled(&mut self, cx: &mut Cx<'_>, _: &mut ConnId, stall: Stall) {
        self.call(cx, Call::Stalled(stall));
    }

    fn draining(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Draining);
    }

    fn mail(&mut self, cx: &mut Cx<'_>, conn: Option<&mut ConnId>, mail: u32) {
        if let Some(conn) = &conn {
            assert_eq!(**conn, cx.id());
        }
        let has_conn = conn.is_some();
        self.log.push(format!("mail {mail} {has_conn}"));
        (self.act)(cx, Call::Mail(mail));
    }

    fn closed(&mut self, cx: &mut Cx<'_>, conn: ConnId, reason: CloseReason) {
        assert_eq!(conn, cx.id());
        assert!(self.open.contains(&conn), "closed what was not open");
        self.log.push(format!("closed({reason:?})").to_lowercase());
        (self.act)(cx, Call::Closed);
        assert!(self.open.remove(&conn), "closed twice");
    }
}

fn probe<F: FnMut(&mut Cx<'_>, Call<'_>) -> usize>(config: Config, act: F) -> Sim<Probe<F>> {
    Sim::new(config, |_| Probe::new(act))
}

/// Sends everything back, and ends after the peer.
fn echo(cx: &mut Cx<'_>, call: Call<'_>) -> usize {
    match call {
        Call::Data(input) => {
            cx.write(input);
            input.len()
        }
        Call::Eof | Call::Draining => {
            cx.finish();
            0
        }
        _ => 1,
    }
}

fn securities() -> Vec<Security> {
    vec![
        Security::Plain,
        #[cfg(feature = "app")]
        Security::Tls(crate::proto::tls::tests::server_config()),
    ]
}

fn client(peer: Peer, security: &Security) -> Client {
    #[cfg(feature = "app")]
    if let Security::Tls(_) = security {
        return Client::secure(peer);
    }
    assert!(matches!(security, Security::Plain), "no client for it");
    Client::plain(peer)
}

fn small(rng: &mut Rng) -> Config {
    Config {
        output_mark_bytes: 1 << (8 + rng.below(10)),
        tail_bytes_max: 4096,
        ..Config::default()
    }
}

/// Changes keys now and then where there are any.
fn refresh_keys(client: &mut Client, rng: &mut Rng) {
    #[cfg(feature = "app")]
    if let Some(tls) = &mut client.tls
        && !tls.is_handshaking()
        && rng.one_in(8)
    {
        tls.refresh_keys();
    }
    let _ = (client, rng);
}

#[test]
fn an_echo_is_exact() {
    for security in securities() {
        for_seeds(60, |rng| {
            let mut sim = probe(small(rng), echo);
            let mut clients: Vec<(Client, Vec<u8>)> = (0..1 + rng.below(3))
                .map(|_| {
                    let peer = sim.accept(&security).unwrap();
                    peer.set_capacity(1 + rng.below(100_000));
                    if rng.one_in(2) {
                        peer.chop(Rng::new(rng.next()));
                    }
                    let mut client = client(peer, &security);
                    let len = 1 << rng.below(18);
                    let sent = rng.bytes(len);
                    let mut left = sent.as_slice();
                    while !left.is_empty() {
                        let (piece, rest) = left.split_at(1 + rng.below(left.len()));
                        client.write(piece);
                        refresh_keys(&mut client, rng);
                        left = rest;
                    }
                    client.finish();
                    (client, sent)
                })
                .collect();
            for _ in 0..rng.below(400) {
                let lucky = rng.below(clients.len());
                clients[lucky].0.pump_some(rng);
                refresh_keys(&mut clients[lucky].0, rng);
                if rng.one_in(2) {
                    sim.turn();
                }
            }
            let mut all: Vec<&mut Client> = clients.iter_mut().map(|(c, _)| c).collect();
            run(&mut sim, &mut all);
            for (client, sent) in &clients {
                assert!(client.received == *sent, "an echo differs");
                assert!(client.saw_orderly_end());
            }
            sim.audit();
            assert_eq!(sim.connections(), 0);
        });
    }
}

/// Echoes whole lines, at most three at a time; sometimes pauses, and resumes by mail.
struct Lines {
    mailbox: crate::reactor::Mailbox<()>,
    rng: Rng,
    over_mark: HashMap<ConnId, bool>,
}

impl Handler for Lines {
    type Conn = bool;
    type Mail = ();

    fn open(&mut self, _: &mut Cx<'_>, _: Origin) -> Option<bool> {
        Some(false)
    }

    fn data(&mut self, cx: &mut Cx<'_>, paused: &mut bool, input: &mut [u8]) -> usize {
        assert!(!*paused, "data while paused");
        let mut used = 0;
        for _ in 0..3 {
            if cx.is_over_mark() {
                self.over_mark.insert(cx.id(), true);
                return used;
            }
            let Some(len) = input[used..].iter().position(|&b| b == b'\n') else {
                return used;
            };
            let line = &input[used..=used + len];
            if self.rng.one_in(2) {
                cx.write(line);
            } else {
                let sent = cx.send(cx.id(), &Shared::from(line));
                assert_ne!(sent, Sent::Gone);
            }
            used += len + 1;
        }
        if self.rng.one_in(4) {
            cx.pause();
            *paused = true;
            self.mailbox.post(Some(cx.id()), ()).unwrap();
        } else {
            cx.resume();
        }
        used
    }

    fn drained(&mut self, cx: &mut Cx<'_>, paused: &mut bool) {
        if self.over_mark.remove(&cx.id()).is_some() && !*paused {
            cx.resume();
        }
    }

    fn mail(&mut self, cx: &mut Cx<'_>, conn: Option<&mut bool>, (): ()) {
        if let Some(paused) = conn {
            *paused = false;
            cx.resume();
        }
    }
}

#[test]
fn leavings_come_again_until_they_are_used() {
    for security in securities() {
        for_seeds(60, |rng| {
            let mut config = small(rng);
            config.tail_bytes_max = 64 * 1024 + 4096;
            let seed = rng.next();
            let mut sim = Sim::new(config, |mailbox| Lines {
                mailbox,
                rng: Rng::new(seed),
                over_mark: HashMap::new(),
            });
            let peer = sim.accept(&security).unwrap();
            peer.set_capacity(1 + rng.below(20_000));
            let mut client = client(peer, &security);
            let mut sent = Vec::new();
            for _ in 0..rng.below(500) {
                sent.extend(vec![b'x'; rng.below(100)]);
                sent.push(b'\n');
            }
            client.write(&sent);
            client.write(b"half a line");
            client.finish();
            for _ in 0..rng.below(200) {
                client.pump_some(rng);
                if rng.one_in(2) {
                    sim.turn();
                }
            }
            run(&mut sim, &mut [&mut client]);
            assert!(client.received == sent, "the lines differ");
            assert!(client.saw_orderly_end());
            sim.audit();
            assert_eq!(sim.connections(), 0);
        });
    }
}

#[test]
fn an_idle_connection_owns_no_buffer() {
    for security in securities() {
        let mut sim = probe(Config::default(), echo);
        let mut client = client(sim.accept(&security).unwrap(), &security);
        for _ in 0..3 {
            client.write(&[7; 50_000]);
            run(&mut sim, &mut [&mut client]);
            sim.audit();
        }
        assert_eq!(client.received.len(), 150_000);
        let held = sim
            .engine
            .core
            .channels
            .iter()
            .any(|(_, c)| c.held().is_some());
        assert!(!held);
        // The time a handshake had may wake it once.
        sim.advance(20 * SECOND);
        assert_eq!(sim.engine.core.sleep_max(), None);
    }
}

#[test]
fn one_write_for_all_that_a_turn_queues() {
    for security in securities() {
        let mut sim = probe(Config::default(), |cx, call| {
            if let Call::Data(input) = call {
                for _ in 0..10 {
                    cx.write(b"piece");
                    let sent = cx.send(cx.id(), &Shared::from(b"shared".as_slice()));
                    assert_eq!(sent, Sent::AtOnce);
                }
                return input.len();
            }
            1
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        let before = client.peer.writes();
        client.write(b"go");
        run(&mut sim, &mut [&mut client]);
        assert_eq!(client.peer.writes() - before, 1);
        assert_eq!(client.received.len(), 110);
    }
}

#[test]
fn finishing_sends_all_that_is_queued() {
    for security in securities() {
        for_seeds(20, |rng| {
            let len = rng.below(300_000);
            let mut sim = probe(Config::default(), move |cx, call| match call {
                Call::Data(input) => {
                    cx.write(&vec![9; len]);
                    cx.finish();
                    assert_eq!(cx.send_copy(cx.id(), b"late"), Sent::Gone);
                    input.len()
                }
                _ => 1,
            });
            let mut client = client(sim.accept(&security).unwrap(), &security);
            client.peer.set_capacity(1 + rng.below(30_000));
            client.peer.chop(Rng::new(rng.next()));
            client.write(b"x");
            run(&mut sim, &mut [&mut client]);
            assert_eq!(client.received, vec![9; len]);
            assert!(client.saw_orderly_end());
            // It waits for the peer's own end, and drops what comes until then.
            assert_eq!(sim.connections(), 1);
            client.peer.send(b"late");
            sim.settle();
            assert_eq!(client.peer.unread(), 0);
            client.peer.shut();
            sim.settle();
            sim.audit();
            assert_eq!(sim.connections(), 0);
            let calls = sim.handler().calls();
            assert_eq!(calls.last().unwrap(), "closed(finished)");
        });
    }
}

#[test]
fn a_slow_reader_gets_its_last_bytes_while_it_takes_some() {
    for security in securities() {
        let mut sim = probe(Config::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.write(&[9; 200_000]);
                cx.finish();
                input.len()
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        client.peer.set_capacity(10_000);
        client.write(b"x");
        for _ in 0..40 {
            client.pump();
            sim.advance(4 * SECOND);
        }
        assert_eq!(client.received.len(), 200_000);
        assert!(client.saw_orderly_end());
        sim.advance(5 * SECOND);
        assert_eq!(sim.connections(), 0);
    }
}

#[test]
fn lingering_ends() {
    for security in securities() {
        // The peer takes everything and never ends its side.
        let mut sim = probe(Config::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.finish();
                input.len()
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(b"x");
        run(&mut sim, &mut [&mut client]);
        sim.advance(Duration::from_millis(4_900));
        assert_eq!(sim.connections(), 1);
        sim.advance(Duration::from_millis(200));
        assert_eq!(sim.connections(), 0);
        assert_eq!(sim.handler().calls().last().unwrap(), "closed(finished)");
        sim.audit();
    }
}

#[test]
fn one_who_still_sends_is_waited_for_longer() {
    // A close while data arrives would be a reset, which could overtake the answer.
    for security in securities() {
        let mut sim = probe(Config::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.finish();
                input.len()
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        for second in 0..30 {
            client.write(&[b'x'; 1000]);
            run(&mut sim, &mut [&mut client]);
            assert_eq!(sim.connections(), 1, "after {second} s");
            sim.advance(SECOND);
        }
        client.write(b"x");
        run(&mut sim, &mut [&mut client]);
        sim.advance(SECOND);
        assert_eq!(sim.connections(), 0);
        sim.audit();
    }
}

#[test]
fn finishing_at_once_is_orderly() {
    let mut sim = probe(Config::default(), |cx, call| {
        if let Call::Open = call {
            cx.finish();
        }
        1
    });
    let mut client = Client::plain(sim.accept(&Security::Plain).unwrap());
    run(&mut sim, &mut [&mut client]);
    assert!(client.saw_orderly_end());
    client.peer.shut();
    sim.settle();
    assert_eq!(sim.handler().calls(), ["closed(finished)"]);
}

#[test]
fn a_connection_closed_and_refused_takes_no_other_with_it() {
    let mut opened = 0;
    let mut sim = probe(Config::default(), move |cx, call| match call {
        Call::Open => {
            opened += 1;
            if opened == 1 {
                cx.write(b"go away");
                cx.close();
                return 0;
            }
            1
        }
        call => echo(cx, call),
    });
    assert!(sim.accept(&Security::Plain).is_none());
    let mut client = Client::plain(sim.accept(&Security::Plain).unwrap());
    client.write(b"hello");
    run(&mut sim, &mut [&mut client]);
    assert_eq!(client.received, b"hello");
    sim.audit();
}

#[test]
fn closing_drops_what_is_queued() {
    for security in securities() {
        let mut sim = probe(Config::default(), |cx, call| match call {
            Call::Data(input) => {
                cx.write(b"never");
                cx.close();
                cx.write(b"seen");
                input.len() - 1
            }
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(b"xy");
        run(&mut sim, &mut [&mut client]);
        assert!(client.peer.is_dropped());
        assert_eq!(client.received, b"");
        assert_eq!(sim.handler().calls(), ["data 2", "closed(closed)"]);
        sim.audit();
    }
}

#[test]
fn over_the_mark_reads_stop_until_drained() {
    let config = Config {
        output_mark_bytes: 100_000,
        ..Config::default()
    };
    let mut sim = probe(config, echo);
    let peer = sim.accept(&Security::Plain).unwrap();
    peer.set_capacity(1_000);
    peer.send(&[1; 1_000_000]);
    sim.settle();
    let queued = sim.engine.core.queued_bytes_total();
    assert!((100_000..200_000).contains(&queued), "{queued}");
    assert!(peer.unread() > 800_000);
    let mut got = 0;
    while sim.engine.core.queued_bytes_total() > 50_000 {
        assert!(!sim.handler().calls().contains(&"drained".into()));
        got += peer.take_all().len();
        sim.turn();
    }
    assert_eq!(sim.handler().calls(), ["drained"]);
    while got < 1_000_000 {
        got += peer.take_all().len();
        sim.settle();
    }
    sim.audit();
}

#[test]
fn outbound_connections() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        if let Call::Open = call {
            cx.write(b"hello");
        }
        echo(cx, call)
    };
    let mut sim = probe(Config::default(), act);
    let mut client = Client::plain(sim.connect().unwrap());
    sim.settle();
    assert_eq!(client.peer.writes(), 0);
    client.peer.stand(false);
    client.write(b" again");
    run(&mut sim, &mut [&mut client]);
    assert_eq!(client.received, b"hello again");

    let peer = sim.connect().unwrap();
    peer.stand(true);
    sim.settle();
    assert!(peer.is_dropped());
    let silent = sim.connect().unwrap();
    sim.advance(11 * SECOND);
    assert!(silent.is_dropped());
    let calls = sim.handler().calls();
    assert_eq!(
        calls[1..],
        ["closed(connectfailed)", "closed(connectfailed)"]
    );
}

#[cfg(feature = "app")]
#[test]
fn a_handshake_takes_only_so_long() {
    let security = &securities()[1];
    let mut sim = probe(Config::default(), echo);
    let peer = sim.accept(security).unwrap();
    sim.advance(9 * SECOND);
    peer.send(b"\x16\x03\x01");
    sim.advance(Duration::from_millis(1_100));
    assert!(peer.is_dropped());
    assert_eq!(sim.handler().calls(), ["closed(handshaketimeout)"]);
    let mut quick = Client::secure(sim.accept(security).unwrap());
    run(&mut sim, &mut [&mut quick]);
    sim.advance(60 * SECOND);
    assert_eq!(sim.handler().calls(), [""; 0]);
    sim.audit();
}

#[cfg(feature = "app")]
#[test]
fn what_is_not_tls_gets_an_alert() {
    let openings: [(&[u8], bool); 4] = [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", true),
        (b"\0\0\0\0\0\0\0\0", false),
        (b"{\"GET\": 1}\n", false),
        (b"\xe9\xe9\xe9\xe9\xe9\xe9", false),
    ];
    for (opening, is_shown) in openings {
        let mut sim = probe(Config::default(), |cx, call| match call {
            // Not for those who speak no TLS, whatever is written later.
            Call::Open => {
                cx.write(b"secret");
                1
            }
            Call::Cleartext(_) => {
                cx.write(b"second thoughts");
                REFUSED
            }
            call => echo(cx, call),
        });
        let peer = sim.accept(&securities()[1]).unwrap();
        peer.send(opening);
        sim.settle();
        let answer = peer.take_all();
        assert_eq!((answer[0], answer.len()), (21, 7), "an alert alone");
        assert!(peer.at_end());
        peer.shut();
        sim.settle();
        let mut calls = vec!["closed(tls)".to_owned()];
        if is_shown {
            calls.insert(0, format!("cleartext {}", opening.len()));
        }
        assert_eq!(sim.handler().calls(), calls);
        sim.audit();
    }
}

#[cfg(feature = "app")]
#[test]
fn cleartext_can_be_answered() {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    for_seeds(20, |rng| {
        let mut sim = probe(Config::default(), |cx, call| match call {
            Call::Open => {
                cx.write(b"for TLS only");
                1
            }
            Call::Cleartext(input) if input.ends_with(b"\r\n\r\n") => {
                assert_eq!(input, request, "all of it is shown");
                cx.write(&[b'a'; 50_000]);
                ANSWERED
            }
            Call::Cleartext(_) => INCOMPLETE,
            call => echo(cx, call),
        });
        let peer = sim.accept(&securities()[1]).unwrap();
        peer.set_capacity(1 + rng.below(20_000));
        let mut pieces = 0;
        let mut rest = request.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + rng.below(rest.len()));
            assert_eq!(peer.take_all(), b"", "an answer to a part");
            peer.send(piece);
            sim.settle();
            sim.audit();
            (pieces, rest) = (pieces + 1, after);
        }
        // What still comes is dropped, and no reset overtakes the answer.
        peer.send(&[b'x'; 100_000]);
        let mut answer = Vec::new();
        while !peer.at_end() {
            answer.extend(peer.take_all());
            sim.settle();
        }
        assert_eq!(answer, [b'a'; 50_000]);
        assert!(peer.is_shut() && !peer.is_dropped());
        assert_eq!(peer.unread(), 0);
        peer.shut();
        sim.settle();
        let calls = sim.handler().calls();
        assert_eq!(calls.len(), pieces + 1, "{calls:?}");
        assert_eq!(calls.last().unwrap(), "closed(finished)");
        assert_eq!(sim.connections(), 0);
        sim.audit();
    });
}

#[cfg(feature = "app")]
#[test]
fn cleartext_has_the_time_and_the_room_of_a_handshake() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| match call {
        Call::Cleartext(_) => INCOMPLETE,
        call => echo(cx, call),
    };
    let mut sim = probe(Config::default(), act);
    let slow = sim.accept(&securities()[1]).unwrap();
    for _ in 0..9 {
        slow.send(b"A");
        sim.advance(SECOND);
    }
    assert!(!slow.is_dropped());
    sim.advance(SECOND);
    assert!(slow.is_dropped());
    assert_eq!(slow.take_all(), b"");
    let calls = sim.handler().calls();
    assert_eq!(calls.last().unwrap(), "closed(handshaketimeout)");

    let endless = sim.accept(&securities()[1]).unwrap();
    endless.send(&vec![b'A'; 1 << 20]);
    sim.settle();
    assert!(endless.is_dropped());
    assert_eq!(sim.connections(), 0);
    sim.audit();
}

#[cfg(feature = "app")]
#[test]
fn cleartext_within_tls_is_no_cleartext() {
    let mut sim = probe(Config::default(), echo);
    let mut client = client(sim.accept(&securities()[1]).unwrap(), &securities()[1]);
    client.write(b"GET");
    run(&mut sim, &mut [&mut client]);
    assert_eq!(client.received, b"GET");
    client.peer.send(b"GET / HTTP/1.1\r\n\r\n");
    sim.settle();
    let calls = sim.handler().calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("cleartext")),
        "{calls:?}"
    );
    assert!(
        client.peer.take_all().starts_with(&[23]),
        "an encrypted alert"
    );
    assert!(client.peer.at_end());
}

#[test]
fn limits_on_output() {
    let config = Config {
        output_mark_bytes: 1_000,
        output_bytes_max: 10_000,
        output_bytes_max_total: 20_000,
        ..Config::default()
    };
    let act = |cx: &mut Cx<'_>, call: Call<'_>| match call {
        Call::Data(input) => {
            let count = input.len();
            cx.write(&vec![0; count]);
            count
        }
        _ => 1,
    };
    let mut sim = probe(config, act);
    let one = sim.accept(&Security::Plain).unwrap();
    one.set_capacity(0);
    one.send(&[0; 10_001]);
    sim.settle();
    assert!(one.is_dropped());
    let calls = sim.handler().calls();
    assert_eq!(calls[1..], ["stalled", "closed(outputoverflow)"]);
    sim.audit();
    // All together: those over their mark go.
    let crowd: Vec<Peer> = (0..3)
        .map(|_| sim.accept(&Security::Plain).unwrap())
        .collect();
    for peer in &crowd {
        peer.set_capacity(0);
        peer.send(&[0; 9_000]);
        sim.settle();
    }
    let gone: Vec<bool> = crowd.iter().map(Peer::is_dropped).collect();
    assert_eq!(gone, [false, false, true]);
    sim.audit();
    for peer in &crowd {
        peer.reset();
    }
    sim.settle();
    sim.audit();
    assert_eq!(sim.connections(), 0);
}

#[test]
fn reads_that_a_crowd_held_back_go_on() {
    let config = Config {
        output_mark_bytes: 10_000,
        output_bytes_max_total: 9_000,
        ..Config::default()
    };
    for ends_by_reset in [false, true] {
        let mut sim = probe(config.clone(), echo);
        let crowd = sim.accept(&Security::Plain).unwrap();
        let peer = sim.accept(&Security::Plain).unwrap();
        crowd.set_capacity(1);
        peer.set_capacity(1);
        peer.send(b"ab");
        sim.settle();
        crowd.send(&[0; 9_999]);
        sim.settle();
        // Something is queued for it and there is too much in all: not read.
        peer.send(b"c");
        sim.settle();
        assert_eq!(peer.unread(), 1);
        if ends_by_reset {
            crowd.reset();
        } else {
            peer.set_capacity(100);
            assert_eq!(peer.take_all(), b"a");
        }
        sim.settle();
        assert_eq!(peer.unread(), 0, "held back for ever");
    }
}

#[test]
fn all_tails_together_have_a_limit() {
    let config = Config {
        input_bytes_max_total: 10_000,
        ..Config::default()
    };
    for security in securities() {
        let mut sim = probe(config.clone(), |_, call| match call {
            Call::Data(_) => 0,
            _ => 1,
        });
        let mut clients: Vec<_> = (0..3)
            .map(|_| client(sim.accept(&security).unwrap(), &security))
            .collect();
        for client in &mut clients {
            client.write(&[0; 5_000]);
            run(&mut sim, &mut [client]);
        }
        let gone: Vec<bool> = clients.iter().map(|one| one.peer.is_dropped()).collect();
        assert_eq!(gone, [false, false, true]);
        // A little is never too much.
        let mut small = client(sim.accept(&security).unwrap(), &security);
        small.write(&[0; 4_000]);
        run(&mut sim, &mut [&mut small]);
        assert!(!small.peer.is_dropped());
        sim.audit();
        for one in &clients {
            one.peer.reset();
        }
        small.peer.reset();
        sim.settle();
        sim.audit();
        assert_eq!(sim.connections(), 0);
    }
}

#[test]
fn the_tail_has_a_limit() {
    let config = Config {
        tail_bytes_max: 100,
        ..Config::default()
    };
    for security in securities() {
        let mut sim = probe(config.clone(), |_, call| match call {
            Call::Data(_) => 0,
            _ => 1,
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(&[0; 100]);
        run(&mut sim, &mut [&mut client]);
        client.write(&[0; 1]);
        run(&mut sim, &mut [&mut client]);
        let calls = sim.handler().calls();
        assert_eq!(calls, ["data 100", "data 101", "closed(inputoverflow)"]);
        sim.audit();
    }
}

#[test]
fn the_end_waits_for_what_the_handler_left() {
    // Paused with a tail, the peer ends: the rest comes first, then the end.
    for security in securities() {
        let mut sim = probe(Config::default(), |cx, call| match call {
            Call::Data(input) if input.len() == 4 => {
                cx.pause();
                1
            }
            Call::Data(input) => input.len(),
            Call::Mail(_) => {
                cx.resume();
                0
            }
            call => echo(cx, call),
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        client.write(b"abcd");
        client.finish();
        run(&mut sim, &mut [&mut client]);
        assert_eq!(sim.handler().calls(), ["data 4"]);
        sim.mailbox().post(Some(client.peer.id), 1).unwrap();
        run(&mut sim, &mut [&mut client]);
        let calls = sim.handler().calls();
        assert_eq!(calls, ["mail 1 true", "data 3", "eof", "closed(finished)"]);
    }
}

#[test]
fn the_end_comes_although_the_handler_does_not_resume() {
    // The input ends while the output is over its mark and part of a message is left.
    let config = Config {
        output_mark_bytes: 1_000,
        ..Config::default()
    };
    for security in securities() {
        let mut sim = probe(config.clone(), |cx, call| match call {
            Call::Data(input) => {
                if input.len() > 5 {
                    cx.write(&[0; 5_000]);
                }
                input.len().saturating_sub(5)
            }
            call => echo(cx, call),
        });
        let mut client = client(sim.accept(&security).unwrap(), &security);
        run(&mut sim, &mut [&mut client]);
        client.peer.set_capacity(100);
        client.write(b"message, part");
        client.finish();
        run(&mut sim, &mut [&mut client]);
        assert_eq!(client.received.len(), 5_000);
        assert!(client.saw_orderly_end());
        assert_eq!(sim.connections(), 0);
    }
}

#[test]
fn mail_to_the_gone_arrives_without_state() {
    let mut sim = probe(Config::default(), echo);
    let first = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    first.reset();
    sim.settle();
    let second = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    assert_eq!(first.id.index(), second.id.index());
    for (to, mail) in [(Some(first.id), 1), (Some(second.id), 2), (None, 3)] {
        sim.mailbox().post(to, mail).unwrap();
    }
    sim.settle();
    let calls = sim.handler().calls();
    assert_eq!(calls[1..], ["mail 1 false", "mail 2 true", "mail 3 false"]);
}

#[test]
fn bytes_for_the_gone_reach_nobody() {
    let mut sim = probe(Config::default(), |cx, call| match call {
        Call::Mail(index) => {
            let ghost = ConnId::new(index, 77);
            assert_eq!(cx.send_copy(ghost, b"boo"), Sent::Gone);
            assert_eq!(cx.send(ghost, &Shared::from(b"boo".as_slice())), Sent::Gone);
            assert_eq!(cx.send_copy(ConnId::NONE, b"boo"), Sent::Gone);
            0
        }
        call => echo(cx, call),
    });
    let peer = sim.accept(&Security::Plain).unwrap();
    sim.mailbox().post(None, 0).unwrap();
    sim.settle();
    assert_eq!(peer.take_all(), b"");
    sim.audit();
}

#[test]
fn a_reset_ends_a_connection_in_any_state() {
    for security in securities() {
        for_seeds(40, |rng| {
            let mut sim = probe(small(rng), echo);
            let peer = sim.accept(&security).unwrap();
            peer.set_capacity(1 + rng.below(10_000));
            let mut client = client(peer, &security);
            let len = rng.below(100_000);
            client.write(&rng.bytes(len));
            if rng.one_in(2) {
                client.finish();
            }
            for _ in 0..rng.below(30) {
                client.pump_some(rng);
                sim.turn();
            }
            client.peer.reset();
            sim.settle();
            assert_eq!(sim.connections(), 0);
            let calls = sim.handler().calls();
            let ends = calls.iter().filter(|call| call.starts_with("closed"));
            assert_eq!(ends.count(), 1);
            sim.audit();
        });
    }
}

#[test]
fn a_deadline_that_moves_does_not_fire_early() {
    for_seeds(50, |rng| {
        let mut sim = probe(Config::default(), |cx, call| match call {
            Call::Mail(ms) => {
                cx.set_timeout(Duration::from_millis(ms.into()));
                0
            }
            _ => 1,
        });
        let peer = sim.accept(&Security::Plain).unwrap();
        sim.settle();
        let mut due = None;
        for _ in 0..20 {
            let ms = 1 + u32::try_from(rng.below(100_000)).unwrap();
            sim.mailbox().post(Some(peer.id), ms).unwrap();
            sim.settle();
            due = Some(sim.now() + Duration::from_millis(ms.into()));
            sim.handler().calls();
            let part = Duration::from_micros(rng.next() % (u64::from(ms) * 1000));
            sim.advance(part);
            assert_eq!(sim.handler().calls(), [""; 0], "early");
        }
        let left = due.unwrap() - sim.now();
        sim.advance(left + Duration::from_millis(2));
        assert_eq!(sim.handler().calls(), ["expired"]);
        assert_eq!(sim.engine.core.sleep_max(), None);
    });
}

#[test]
fn a_deadline_in_the_past_does_not_keep_the_loop() {
    let mut left = 10;
    let mut sim = probe(Config::default(), move |cx, call| {
        if let Call::Open | Call::Expired = call
            && left > 0
        {
            left -= 1;
            cx.set_deadline(cx.now());
        }
        1
    });
    sim.accept(&Security::Plain).unwrap();
    sim.turn();
    assert_eq!(sim.handler().calls(), [""; 0]);
    sim.advance(SECOND);
    assert_eq!(sim.handler().calls(), ["expired"; 10]);
}

#[test]
fn a_cleared_deadline_does_not_fire() {
    let mut sim = probe(Config::default(), |cx, call| {
        match call {
            Call::Open => cx.set_timeout(SECOND),
            Call::Mail(_) => cx.clear_deadline(),
            _ => {}
        }
        1
    });
    let peer = sim.accept(&Security::Plain).unwrap();
    sim.mailbox().post(Some(peer.id), 0).unwrap();
    sim.advance(10 * SECOND);
    assert_eq!(sim.handler().calls(), ["mail 0 true"]);
    assert_eq!(sim.engine.core.sleep_max(), None);
}

#[test]
fn draining_tells_everyone_and_ends() {
    let act = |cx: &mut Cx<'_>, call: Call<'_>| {
        if let Call::Mail(_) = call {
            cx.drain(10 * SECOND);
        }
        echo(cx, call)
    };
    let mut sim = probe(Config::default(), act);
    let peers: Vec<Peer> = (0..600)
        .map(|_| sim.accept(&Security::Plain).unwrap())
        .collect();
    sim.settle();
    sim.mailbox().post(None, 0).unwrap();
    sim.turn();
    sim.turn();
    // One that comes when its place in the table was told already hears of it, too.
    let late = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    let calls = sim.handler().calls();
    let told = calls.iter().filter(|call| *call == "draining").count();
    assert_eq!(told, 601);
    assert!(!sim.is_drained());
    for peer in peers.iter().chain([&late]) {
        assert!(peer.at_end());
        peer.shut();
    }
    sim.settle();
    assert!(sim.is_drained());
    sim.audit();
}

#[test]
fn draining_ends_at_its_deadline() {
    let mut sim = probe(Config::default(), |cx, call| {
        if let Call::Mail(_) = call {
            cx.drain(10 * SECOND);
        }
        1
    });
    sim.accept(&Security::Plain).unwrap();
    sim.mailbox().post(None, 0).unwrap();
    sim.advance(9 * SECOND);
    assert_eq!(sim.handler().calls(), ["mail 0 false", "draining"]);
    assert!(!sim.is_drained());
    assert_eq!(sim.engine.core.sleep_max(), Some(SECOND));
    sim.advance(SECOND);
    assert!(sim.is_drained());
}

#[test]
fn a_busy_peer_does_not_starve_another() {
    let mut sim = probe(Config::default(), |_, call| match call {
        Call::Data(input) => input.len(),
        _ => 1,
    });
    let busy = sim.accept(&Security::Plain).unwrap();
    let calm = sim.accept(&Security::Plain).unwrap();
    sim.settle();
    busy.send(&vec![0; 10 << 20]);
    sim.turn();
    calm.send(b"x");
    sim.turn();
    assert_eq!(calm.unread(), 0);
    assert!(busy.unread() > 9 << 20);
    sim.settle();
    assert_eq!(busy.unread(), 0);
}
