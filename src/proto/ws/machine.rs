//! One connection: its two halves and how they close.

#[cfg(feature = "ws")]
use super::deflate::NegotiatedDeflate;
use super::{Receiver, Sender};

/// Which end of the connection this is (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives masked frames and sends unmasked ones.
    Server,
    /// Receives unmasked frames and sends masked ones.
    Client,
}

/// A connection after its opening handshake: 96 bytes, and no heap while no message is under
/// way, [`Receiver::recycle`] and [`Receiver::recycle_inflater`] are called, and no windows are kept.
///
/// The halves are used side by side, so that an event that lies in the one can be answered with
/// the other: see [`split`](Self::split).
#[derive(Debug)]
pub struct WsMachine {
    receiver: Receiver,
    sender: Sender,
}

impl WsMachine {
    /// A connection that has carried nothing yet.
    pub const fn new(role: Role) -> Self {
        Self {
            receiver: Receiver::new(role, None),
            sender: Sender::new(role, None),
        }
    }

    /// A connection that has carried nothing yet, and compresses as was agreed.
    #[cfg(feature = "ws")]
    pub const fn with_compression(role: Role, negotiated: NegotiatedDeflate) -> Self {
        let (ours, theirs) = match role {
            Role::Server => (negotiated.server(), negotiated.client()),
            Role::Client => (negotiated.client(), negotiated.server()),
        };
        Self {
            receiver: Receiver::new(role, Some(theirs)),
            sender: Sender::new(role, Some(ours)),
        }
    }

    /// The two halves.
    pub const fn split(&mut self) -> (&mut Receiver, &mut Sender) {
        (&mut self.receiver, &mut self.sender)
    }

    /// Returns `true` if a Close was sent: the output is sealed.
    pub const fn is_close_sent(&self) -> bool {
        self.sender.is_sealed()
    }

    /// Returns `true` if a Close was received: it wants an answer unless one was sent first.
    pub const fn is_close_received(&self) -> bool {
        self.receiver.is_close_received()
    }

    /// Returns `true` if a Close went either way: the closing handshake is started (RFC 6455 §7.1.3).
    pub const fn is_closing(&self) -> bool {
        self.is_close_sent() || self.is_close_received()
    }

    /// Returns `true` if a Close went both ways: the closing handshake is complete and the server closes
    /// the TCP connection (§7.1.1, §7.1.4).
    pub const fn is_closed(&self) -> bool {
        self.is_close_sent() && self.is_close_received()
    }

    /// Returns `true` if the peer broke the protocol. Once a Close is sent and flushed the TCP connection
    /// is closed, without awaiting an answer (§7.1.7).
    pub const fn is_failed(&self) -> bool {
        self.receiver.is_failed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CloseCode, Event, WsLimits, WsStep};
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(
            size_of::<WsMachine>() <= 96,
            "{} bytes",
            size_of::<WsMachine>()
        );
        assert_eq!(WsMachine::new(Role::Server).split().0.buffer_bytes(), 0);
    }

    #[test]
    fn section_7_1_a_close_goes_both_ways() {
        let mut client = WsMachine::new(Role::Client);
        let mut server = WsMachine::new(Role::Server);
        let close = Event::Close(Some((CloseCode::GOING_AWAY, "bye")));
        let mut wire = Vec::new();
        assert_eq!(
            client.split().1.send_masked(&mut wire, close, [1, 2, 3, 4]),
            Ok(())
        );
        assert!(client.is_closing() && !client.is_closed());

        let used = wire.len();
        let step = server.split().0.step(&mut wire, &WsLimits::default());
        assert_eq!(step, Ok(WsStep::Event { used, event: close }));
        assert!(server.is_close_received() && !server.is_close_sent() && !server.is_closed());

        let mut wire = Vec::new();
        assert_eq!(server.split().1.send(&mut wire, close), Ok(()));
        assert!(server.is_closed());
        let used = wire.len();
        let step = client.split().0.step(&mut wire, &WsLimits::default());
        assert_eq!(step, Ok(WsStep::Event { used, event: close }));
        assert!(client.is_closed() && !client.is_failed());
    }
}
