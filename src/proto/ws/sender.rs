//! The sending half of a connection: events in, frames out.

use super::deflate::{Compression, Deflater, Deflaters, Direction, WindowBits};
use super::frame::{CONTROL_BYTES_MAX, Opcode, RESERVED_1, encode_pieces, encode_with};
use super::mask::MaskKey;
use super::{Event, Role, SendError, close};

/// Frames what is sent to the peer, and keeps the output sealed after a Close.
#[derive(Debug)]
pub struct Sender {
    writing: SendState,
    role: Role,
    /// Our compression parameters.
    ours: Option<Direction>,
    /// Compressor with its window, where that is kept.
    deflater: Option<Box<Deflater>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SendState {
    Open,
    CloseSent,
}

impl Sender {
    pub(super) const fn new(role: Role, ours: Option<Direction>) -> Self {
        Self {
            writing: SendState::Open,
            role,
            ours,
            deflater: None,
        }
    }

    /// Appends `event` to `out` as one unmasked frame, as servers do. A close reason that is too
    /// long for its frame is cut short, between characters.
    ///
    /// # Errors
    ///
    /// Nothing is written after a Close, for a ping or pong that is too long, for a close code
    /// that may not be sent, or when this side is the client.
    pub fn send(&mut self, out: &mut Vec<u8>, event: Event<'_>) -> Result<(), SendError> {
        self.encode(out, event, None, None)
    }

    /// The same, with messages compressed where that was agreed on and makes them smaller.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_compressed(
        &mut self,
        out: &mut Vec<u8>,
        event: Event<'_>,
        deflaters: &mut Deflaters,
        how: &Compression,
    ) -> Result<(), SendError> {
        self.encode(out, event, None, Some((deflaters, how)))
    }

    /// Appends `event` to `out` as one masked frame, as clients do. The key must be fresh and
    /// unpredictable for every frame (RFC 6455 §5.3).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and when this side is the server.
    pub fn send_masked(
        &mut self,
        out: &mut Vec<u8>,
        event: Event<'_>,
        key: MaskKey,
    ) -> Result<(), SendError> {
        self.encode(out, event, Some(key), None)
    }

    /// The same, with messages compressed where that was agreed on and makes them smaller.
    ///
    /// # Errors
    ///
    /// As for [`send_masked`](Self::send_masked).
    pub fn send_masked_compressed(
        &mut self,
        out: &mut Vec<u8>,
        event: Event<'_>,
        key: MaskKey,
        deflaters: &mut Deflaters,
        how: &Compression,
    ) -> Result<(), SendError> {
        self.encode(out, event, Some(key), Some((deflaters, how)))
    }

    /// The window that frames made for many may be compressed with, so that this peer can read
    /// them, too; `None` when it takes uncompressed ones only. That is so, too, where our window is
    /// kept: a frame that did not pass through it would be missing there.
    pub fn shared_window(&self) -> Option<WindowBits> {
        let ours = self.ours.filter(|ours| !ours.keeps_window());
        ours.map(Direction::window_bits)
    }

    /// Returns `true` if a Close was sent. No frame may follow it: neither one from [`send`](Self::send),
    /// which refuses it, nor one made for many receivers, which is the caller's duty.
    pub const fn is_sealed(&self) -> bool {
        matches!(self.writing, SendState::CloseSent)
    }

    fn encode(
        &mut self,
        out: &mut Vec<u8>,
        event: Event<'_>,
        key: Option<MaskKey>,
        packer: Option<(&mut Deflaters, &Compression)>,
    ) -> Result<(), SendError> {
        if self.is_sealed() {
            return Err(SendError::Sealed);
        }
        if key.is_some() != (self.role == Role::Client) {
            return Err(SendError::WrongRole);
        }
        match event {
            Event::Text(text) => self.message(out, Opcode::Text, text.as_bytes(), key, packer),
            Event::Binary(data) => self.message(out, Opcode::Binary, data, key, packer),
            Event::Ping(data) | Event::Pong(data) if data.len() > CONTROL_BYTES_MAX => {
                return Err(SendError::ControlTooLong);
            }
            Event::Ping(data) => encode_pieces(out, Opcode::Ping, key, [data]),
            Event::Pong(data) => encode_pieces(out, Opcode::Pong, key, [data]),
            Event::Close(code) => {
                match code {
                    Some((code, _)) if !code.is_valid_on_wire() => {
                        return Err(SendError::CloseCodeInvalid);
                    }
                    Some((code, reason)) => {
                        let code = code.value().to_be_bytes();
                        let reason = close::fitting(reason).as_bytes();
                        encode_pieces(out, Opcode::Close, key, [&code, reason]);
                    }
                    None => encode_pieces(out, Opcode::Close, key, []),
                }
                self.writing = SendState::CloseSent;
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        out: &mut Vec<u8>,
        opcode: Opcode,
        payload: &[u8],
        key: Option<MaskKey>,
        packer: Option<(&mut Deflaters, &Compression)>,
    ) {
        match packer.and_then(|(deflaters, how)| self.pack(deflaters, how, payload)) {
            Some(compressed) => encode_with(out, opcode, RESERVED_1, key, [compressed]),
            None => encode_pieces(out, opcode, key, [payload]),
        }
    }

    /// The compressed payload of the next message, with [`RESERVED_1`] in its first frame; it must
    /// be sent. `None` when the message is to be sent as it is: nothing was agreed on, it is under the
    /// threshold, or would not be smaller.
    #[cfg_attr(
        not(feature = "ws"),
        expect(
            unreachable_code,
            unused_variables,
            reason = "nothing is agreed on in that build"
        )
    )]
    pub fn pack<'d>(
        &mut self,
        deflaters: &'d mut Deflaters,
        how: &Compression,
        payload: &[u8],
    ) -> Option<&'d [u8]> {
        let ours = self.ours?;
        let bits = ours.window_bits();
        if ours.keeps_window() {
            deflaters.compress_with_takeover(how, bits, &mut self.deflater, payload)
        } else {
            deflaters.compress_without_takeover(how, bits, payload)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CloseCode;
    use super::*;

    #[test]
    fn section_5_5_1_nothing_follows_a_close() {
        let mut sender = Sender::new(Role::Server, None);
        let mut out = Vec::new();
        assert_eq!(sender.send(&mut out, Event::Close(None)), Ok(()));
        assert!(sender.is_sealed());
        let close = Event::Close(Some((CloseCode::NORMAL, "")));
        for event in [
            Event::Text("late"),
            Event::Binary(b""),
            Event::Pong(b""),
            close,
        ] {
            assert_eq!(sender.send(&mut out, event), Err(SendError::Sealed));
        }
        assert_eq!(out, b"\x88\x00");
    }

    #[test]
    fn section_5_5_control_frames_hold_125_bytes() {
        let mut sender = Sender::new(Role::Server, None);
        let mut out = Vec::new();
        for event in [Event::Ping(&[0; 126]), Event::Pong(&[0; 126])] {
            assert_eq!(sender.send(&mut out, event), Err(SendError::ControlTooLong));
        }
        assert!(out.is_empty());
        assert_eq!(sender.send(&mut out, Event::Ping(&[0; 125])), Ok(()));
        let reason = "x".repeat(1000);
        let close = Event::Close(Some((CloseCode::NORMAL, &reason)));
        assert_eq!(sender.send(&mut out, close), Ok(()));
        assert_eq!(out.len(), 2 * (2 + 125));
    }

    #[test]
    fn section_7_4_a_local_code_is_not_sent() {
        let mut sender = Sender::new(Role::Server, None);
        let mut out = Vec::new();
        for code in [
            CloseCode::NO_STATUS,
            CloseCode::ABNORMAL,
            CloseCode::new(999),
        ] {
            let close = Event::Close(Some((code, "")));
            assert_eq!(
                sender.send(&mut out, close),
                Err(SendError::CloseCodeInvalid)
            );
        }
        assert!(out.is_empty() && !sender.is_sealed());
    }

    #[test]
    fn section_5_1_clients_mask_and_servers_do_not() {
        let mut out = Vec::new();
        let mut client = Sender::new(Role::Client, None);
        assert_eq!(
            client.send(&mut out, Event::Text("a")),
            Err(SendError::WrongRole)
        );
        let mut server = Sender::new(Role::Server, None);
        let event = Event::Text("a");
        assert_eq!(
            server.send_masked(&mut out, event, [1; 4]),
            Err(SendError::WrongRole)
        );
        assert!(out.is_empty());
        assert_eq!(client.send_masked(&mut out, event, [1; 4]), Ok(()));
        assert_eq!(out, [0x81, 0x81, 1, 1, 1, 1, b'a' ^ 1]);
    }
}
