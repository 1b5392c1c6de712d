//! Masking of payloads (RFC 6455 §5.3): XOR with a key of four bytes, its own inverse.

/// A masking key, as it stands in a frame header.
pub type MaskKey = [u8; 4];

/// Bytes of one stride of the fast loop: a whole number of keys, and of vector registers.
const STRIDE: usize = 32;

/// Masks or unmasks `bytes` in place. The first byte meets the first byte of the key; for a
/// payload that comes in pieces, [`rotated`] gives the key of the next piece.
///
/// ```
/// use edgeloop::proto::ws::mask;
///
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58"; // RFC 6455 §5.7
/// mask::apply(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
/// assert_eq!(&payload, b"Hello");
/// ```
pub fn apply(bytes: &mut [u8], key: MaskKey) {
    let word = u32::from_ne_bytes(key);
    let mut wide = [0; STRIDE];
    for place in wide.as_chunks_mut().0 {
        *place = key;
    }
    let (strides, rest) = bytes.as_chunks_mut::<STRIDE>();
    for stride in strides {
        for (byte, mask) in stride.iter_mut().zip(wide) {
            *byte ^= mask;
        }
    }
    let (words, rest) = rest.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(key) {
        *byte ^= mask;
    }
}

/// The key as it applies from `offset` bytes into the payload on.
pub fn rotated(mut key: MaskKey, offset: usize) -> MaskKey {
    key.rotate_left(offset % 4);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6455 §5.3, word for word: octet i meets octet i mod 4 of the key.
    fn naive(bytes: &mut [u8], key: MaskKey) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn every_short_length_is_as_the_naive_loop() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..200_u8 {
            let mut fast: Vec<u8> = (0..length).collect();
            let mut slow = fast.clone();
            apply(&mut fast, key);
            naive(&mut slow, key);
            assert_eq!(fast, slow, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_as_the_naive_loop_over_the_whole(
            payload in prop::collection::vec(any::<u8>(), 0..600),
            key: MaskKey,
            cuts in prop::collection::vec(0_usize..600, 0..5),
        ) {
            let mut whole = payload.clone();
            naive(&mut whole, key);

            let mut pieces = payload;
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(pieces.len())).collect();
            cuts.extend([0, pieces.len()]);
            cuts.sort_unstable();
            for ends in cuts.windows(2) {
                apply(&mut pieces[ends[0]..ends[1]], rotated(key, ends[0]));
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
