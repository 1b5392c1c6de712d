//! The opening handshake of a WebSocket, between the request that asks for it and the service's
//! word on it, which may come later.

use super::Service;
use super::adapter::Tools;
use super::exchange::State;
use super::service::Reply;
use crate::proto::http1::Head;

/// Whether a request is a proper opening handshake, and what its answer needs.
#[cfg(feature = "ws")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening(
    Result<crate::proto::ws::handshake::Opening, crate::proto::ws::handshake::Refusal>,
);

/// Nothing: without the feature `ws` there is no handshake.
#[cfg(not(feature = "ws"))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening;

impl Opening {
    #[cfg(feature = "ws")]
    pub(super) fn check(head: &Head<'_>) -> Self {
        use crate::proto::http1::Version;
        use crate::proto::ws::handshake::read_request;

        let fields = head.fields.iter();
        let fields = fields.filter_map(|(name, value)| Some((name, str::from_utf8(value).ok()?)));
        let is_http_1_1 = head.version == Version::Http11;
        Self(read_request(head.method.as_str(), is_http_1_1, fields))
    }

    #[cfg(not(feature = "ws"))]
    pub(super) fn check(_: &Head<'_>) -> Self {
        Self
    }

    /// What the service's reply makes of the exchange.
    #[cfg_attr(
        not(feature = "ws"),
        expect(
            unused_variables,
            clippy::needless_pass_by_ref_mut,
            reason = "for refusals"
        )
    )]
    pub(super) fn settle<V: Service>(
        self,
        tools: &mut Tools<'_, V>,
        reply: Reply<V::Socket>,
    ) -> State<V::Socket> {
        match reply {
            Reply::Send(response) => State::Ready(response),
            Reply::Later => State::AwaitService(self),
            #[cfg(feature = "ws")]
            Reply::Upgrade(socket) => self.accept(tools, socket, None),
            #[cfg(feature = "ws")]
            Reply::UpgradeTo(socket, protocol) => self.accept(tools, socket, Some(&protocol)),
            #[cfg(not(feature = "ws"))]
            Reply::Never(never, _) => match never {},
        }
    }

    #[cfg(feature = "ws")]
    fn accept<V: Service>(
        self,
        tools: &mut Tools<'_, V>,
        socket: V::Socket,
        protocol: Option<&str>,
    ) -> State<V::Socket> {
        use super::conn::Upgrade;
        use crate::proto::ws::handshake::Subprotocol;

        match self.0 {
            Ok(opening) => {
                let mut fields = Vec::new();
                opening.encode_fields(&mut fields, protocol.and_then(Subprotocol::new));
                State::Upgrade(Box::new(Upgrade { socket, fields }))
            }
            Err(refusal) => {
                let status = refusal.status();
                let answer = tools.service.refusal(status, &refusal.to_string());
                State::Ready(answer.lines(refusal.fields()))
            }
        }
    }
}
