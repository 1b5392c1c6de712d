mod ceiling;
mod closing;
mod deadlines;
mod delivery;
mod limits;
mod opening;
mod panics;
mod slow;
mod turns;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::reactor::sim::{Peer, Rng, Sim, SimClient, for_seeds, run};
use crate::reactor::{
    CloseReason, ConnId, Cx, Endpoint, Handler, ProxyHeaderOutcome, ReactorConfig, Security,
    SendStatus, Shared, Stall,
};

#[cfg(feature = "tls")]
use crate::reactor::PlaintextOnTls;

const SECOND: Duration = Duration::from_secs(1);

/// Callback of the engine.
#[derive(Debug)]
enum Call<'a> {
    Open,
    Preface(&'a [u8]),
    Data(&'a mut [u8]),
    #[cfg(feature = "tls")]
    Cleartext(&'a [u8]),
    Eof,
    Drained,
    Expired,
    ServiceExpired,
    Stalled(Stall),
    Draining,
    Mail(u32),
    Panicked,
    Closed,
}

/// Results of a closure for plaintext.
#[cfg(feature = "tls")]
const REFUSED: usize = 0;
#[cfg(feature = "tls")]
const INCOMPLETE: usize = 1;
#[cfg(feature = "tls")]
const ANSWERED: usize = 2;

/// Result of a closure for a PROXY header that is not complete.
const MORE: usize = usize::MAX;

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
            Call::Preface(input) => format!("preface {}", input.len()),
            Call::Data(input) => format!("data {}", input.len()),
            #[cfg(feature = "tls")]
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

    fn open(&mut self, cx: &mut Cx<'_>, _: Endpoint) -> Option<ConnId> {
        let takes = (self.act)(cx, Call::Open) > 0;
        if takes {
            assert!(self.open.insert(cx.id()), "opened twice");
        }
        takes.then(|| cx.id())
    }

    fn proxy_header(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut ConnId,
        input: &[u8],
    ) -> ProxyHeaderOutcome {
        assert_eq!(*conn, cx.id());
        match self.call(cx, Call::Preface(input)) {
            MORE => ProxyHeaderOutcome::Incomplete,
            used => ProxyHeaderOutcome::Passed(used),
        }
    }

    fn data(&mut self, cx: &mut Cx<'_>, conn: &mut ConnId, input: &mut [u8]) -> usize {
        assert_eq!(*conn, cx.id());
        assert!(!input.is_empty());
        self.call(cx, Call::Data(input))
    }

    #[cfg(feature = "tls")]
    fn plaintext_on_tls(
        &mut self,
        cx: &mut Cx<'_>,
        conn: &mut ConnId,
        input: &[u8],
    ) -> PlaintextOnTls {
        assert_eq!(*conn, cx.id());
        match self.call(cx, Call::Cleartext(input)) {
            REFUSED => PlaintextOnTls::Refused,
            INCOMPLETE => PlaintextOnTls::Incomplete,
            _ => PlaintextOnTls::Answered,
        }
    }

    fn eof(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Eof);
    }

    fn writable(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Drained);
    }

    fn expired(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Expired);
    }

    fn service_expired(&mut self, cx: &mut Cx<'_>) {
        assert_eq!(cx.id(), ConnId::NONE);
        self.log.push("service expired".to_owned());
        (self.act)(cx, Call::ServiceExpired);
    }

    fn stalled(&mut self, cx: &mut Cx<'_>, _: &mut ConnId, stall: Stall) {
        self.call(cx, Call::Stalled(stall));
    }

    fn shutting_down(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
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

    fn panicked(&mut self, cx: &mut Cx<'_>, _: &mut ConnId) {
        self.call(cx, Call::Panicked);
    }

    fn closed(&mut self, cx: &mut Cx<'_>, conn: ConnId, reason: CloseReason) {
        assert_eq!(conn, cx.id());
        assert!(self.open.contains(&conn), "closed what was not open");
        self.log.push(format!("closed({reason:?})").to_lowercase());
        (self.act)(cx, Call::Closed);
        assert!(self.open.remove(&conn), "closed twice");
    }
}

fn probe<F: FnMut(&mut Cx<'_>, Call<'_>) -> usize>(config: ReactorConfig, act: F) -> Sim<Probe<F>> {
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
        #[cfg(feature = "tls")]
        Security::Tls(crate::proto::tls::tests::server_config()),
    ]
}

fn client(peer: Peer, security: &Security) -> SimClient {
    #[cfg(feature = "tls")]
    if let Security::Tls(_) = security {
        return SimClient::secure(peer);
    }
    assert!(matches!(security, Security::Plain), "no client for it");
    SimClient::plain(peer)
}

fn small(rng: &mut Rng) -> ReactorConfig {
    ReactorConfig {
        output_high_water_bytes: 1 << (8 + rng.below(10)),
        tail_bytes_max: 4096,
        ..ReactorConfig::default()
    }
}

/// Changes keys now and then where there are any.
fn refresh_keys(client: &mut SimClient, rng: &mut Rng) {
    #[cfg(feature = "tls")]
    if let Some(tls) = &mut client.tls
        && !tls.is_handshaking()
        && rng.one_in(8)
    {
        tls.refresh_keys();
    }
    let _ = (client, rng);
}
