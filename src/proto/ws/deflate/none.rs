//! Without the feature `ws` nothing is negotiated, and so nothing compressed: none of these
//! has a value.
#![expect(
    clippy::needless_pass_by_ref_mut,
    reason = "the signatures are those of the other build"
)]

use super::super::WsError;
use super::Compression;

/// Parameters that both ends have agreed on: none, in this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegotiatedDeflate {}

/// Compression parameters of one side: none, in this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {}

/// The size of a window: there is none in this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowBits {}

/// Decompresses: not in this build.
#[derive(Debug)]
pub enum Inflater {}

/// Compresses: not in this build.
#[derive(Debug)]
pub(in super::super) enum Deflater {}

/// Compresses for connections without windows of their own: there are none in this build.
#[derive(Debug, Default)]
pub struct Deflaters {
    _nothing: (),
}

impl Direction {
    pub(in super::super) const fn keeps_window(self) -> bool {
        match self {}
    }

    pub(in super::super) const fn window_bits(self) -> WindowBits {
        match self {}
    }
}

impl Inflater {
    pub(in super::super) const fn boxed(direction: Direction) -> Box<Self> {
        match direction {}
    }

    pub(in super::super) fn inflate(
        &mut self,
        _: &[u8],
        _: &mut dyn FnMut(&[u8]) -> Result<(), WsError>,
    ) -> Result<(), WsError> {
        match *self {}
    }

    pub(in super::super) fn finish(
        &mut self,
        _: bool,
        _: &mut dyn FnMut(&[u8]) -> Result<(), WsError>,
    ) -> Result<(), WsError> {
        match *self {}
    }

    pub(in super::super) fn reset(&mut self) {
        match *self {}
    }
}

impl Deflaters {
    /// The compressed payload of a message: never, in this build.
    pub fn compress_without_takeover(
        &mut self,
        _: &Compression,
        bits: WindowBits,
        _: &[u8],
    ) -> Option<&[u8]> {
        match bits {}
    }

    pub(in super::super) fn compress_with_takeover(
        &mut self,
        _: &Compression,
        bits: WindowBits,
        _: &mut Option<Box<Deflater>>,
        _: &[u8],
    ) -> Option<&[u8]> {
        match bits {}
    }
}
