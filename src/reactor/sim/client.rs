//! A client at the other end of a wire, with TLS or without.

use std::collections::VecDeque;

use super::{Peer, Rng};

/// A client: bytes, or TLS around them.
pub(crate) struct SimClient {
    pub(crate) peer: Peer,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::proto::tls::tests::TlsClient>,
    outbox: VecDeque<u8>,
    shuts: bool,
    pub(crate) received: Vec<u8>,
}

impl SimClient {
    pub(crate) fn plain(peer: Peer) -> Self {
        Self {
            peer,
            #[cfg(feature = "tls")]
            tls: None,
            outbox: VecDeque::new(),
            shuts: false,
            received: Vec::new(),
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn secure(peer: Peer) -> Self {
        let tls = crate::proto::tls::tests::TlsClient::new(&[&rustls::version::TLS13]);
        Self {
            tls: Some(tls),
            ..Self::plain(peer)
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.write(bytes);
            return;
        }
        self.outbox.extend(bytes);
    }

    /// Ends the client's side behind everything written.
    pub(crate) fn finish(&mut self) {
        self.shuts = true;
    }

    #[cfg(feature = "tls")]
    fn stage(&mut self) {
        if let Some(tls) = &mut self.tls {
            if self.shuts && !tls.is_handshaking() {
                tls.close();
            }
            self.outbox.extend(tls.output());
        }
    }

    fn accept(&mut self, bytes: Vec<u8>) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.input(&bytes);
            self.received.append(&mut tls.plain);
            return;
        }
        self.received.extend(bytes);
    }

    /// Moves some bytes each way.
    pub(crate) fn pump_some(&mut self, rng: &mut Rng) {
        #[cfg(feature = "tls")]
        self.stage();
        if rng.one_in(2) {
            let most = 1 << rng.below(18);
            let some = rng.below(1 + self.outbox.len().min(most));
            let some: Vec<u8> = self.outbox.drain(..some).collect();
            self.peer.send(&some);
        }
        if rng.one_in(2) {
            let most = 1 << rng.below(18);
            let some = self.peer.take(rng.below(most));
            self.accept(some);
        }
        #[cfg(feature = "tls")]
        self.stage();
        self.shut_if_done();
    }

    /// Moves everything there is each way. Returns whether there was anything.
    pub(crate) fn pump(&mut self) -> bool {
        #[cfg(feature = "tls")]
        self.stage();
        let out: Vec<u8> = self.outbox.drain(..).collect();
        self.peer.send(&out);
        let taken = self.peer.take_all();
        let moved = !out.is_empty() || !taken.is_empty();
        self.accept(taken);
        #[cfg(feature = "tls")]
        self.stage();
        self.shut_if_done();
        moved
    }

    fn shut_if_done(&self) {
        if self.shuts && self.outbox.is_empty() && !self.is_handshaking() {
            self.peer.shut();
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn is_handshaking(&self) -> bool {
        false
    }

    /// Returns `true` if the server ended its side, over TLS with a close_notify.
    pub(crate) fn saw_orderly_end(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls
            && !tls.closed
        {
            return false;
        }
        self.peer.at_end() && self.peer.is_shut()
    }
}
