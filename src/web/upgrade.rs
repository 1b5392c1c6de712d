//! The opening handshake of a WebSocket, between the request that asks for it and the service's
//! word on it, which may come later.

use crate::proto::http1::Head;
#[cfg(feature = "ws")]
use crate::proto::{
    http1::{Framing, Version},
    ws::deflate::{Compression, NegotiatedDeflate},
    ws::handshake::{self, Subprotocol, UpgradeError, read_request},
};

/// Outcome of the check of an opening handshake, and the facts its response needs.
#[cfg(feature = "ws")]
#[derive(Clone, Copy, Debug)]
pub(super) struct UpgradeCheck(Result<handshake::UpgradeRequest, UpgradeError>);

/// Nothing: without the feature `ws` there is no handshake.
#[cfg(not(feature = "ws"))]
#[derive(Clone, Copy, Debug)]
pub(super) struct UpgradeCheck;

impl UpgradeCheck {
    #[cfg(feature = "ws")]
    pub(super) fn check(head: &Head<'_>) -> Self {
        let fields = head.fields.iter();
        let fields = fields.filter_map(|(name, value)| Some((name, str::from_utf8(value).ok()?)));
        if !matches!(head.framing, Framing::None | Framing::Length(0)) {
            return Self(Err(UpgradeError::BodyPresent));
        }
        let is_http_1_1 = head.version == Version::Http11;
        Self(read_request(head.method.as_str(), is_http_1_1, fields))
    }

    #[cfg(not(feature = "ws"))]
    pub(super) fn check(_: &Head<'_>) -> Self {
        Self
    }

    /// The field lines of the 101 answer, and what they agree to.
    ///
    /// # Errors
    /// Why the request opens no WebSocket.
    #[cfg(feature = "ws")]
    pub(super) fn fields(
        self,
        protocol: Option<&str>,
        compression: Option<&Compression>,
    ) -> Result<(Vec<u8>, Option<NegotiatedDeflate>), UpgradeError> {
        let opening = self.0?;
        let mut fields = Vec::new();
        opening.encode_fields(&mut fields, protocol.and_then(Subprotocol::new));
        let negotiated = compression.and_then(|how| opening.negotiate(how));
        if let Some(negotiated) = negotiated {
            opening.encode_extensions(&mut fields, negotiated);
        }
        Ok((fields, negotiated))
    }
}
