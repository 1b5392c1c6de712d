//! Makes the encoded forms of files, and checks those that were made by others. Everything here
//! takes long.

use std::io::{self, Read, Write};

use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::codings::Coding;

/// Shorter files are not compressed: they travel in one packet as they are.
pub(super) const BYTES_MIN: u64 = 256;

/// Memory of the field lines of an encoded form.
const LINES_BYTES: usize = 64;

/// Most of the gain at a twentieth of the time that the next steps cost.
const BROTLI_QUALITY: i32 = 5;
const GZIP_LEVEL: Compression = Compression::new(6);

const BUFFER_BYTES: usize = 64 * 1024;

/// The encoded form of a file, if it is worth having: a client that unpacks it should gain by that.
pub(super) fn compress(bytes: &[u8], coding: Coding) -> Option<Vec<u8>> {
    let encoded = match coding {
        Coding::Identity => return None,
        Coding::Gzip => gzip(bytes),
        Coding::Brotli => brotli(bytes),
    };
    let encoded = match encoded {
        Ok(encoded) => encoded,
        Err(error) => {
            log::error!("a file cannot be compressed: {error}");
            return None;
        }
    };
    let gain = bytes.len().saturating_sub(encoded.len());
    (gain >= LINES_BYTES && gain >= bytes.len() / 10).then_some(encoded)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), GZIP_LEVEL);
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let bits = usize::BITS - bytes.len().leading_zeros();
    let params = BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        // A window larger than the file only costs time; RFC 7932 allows 24 bits.
        lgwin: i32::try_from(bits).unwrap_or(22).clamp(16, 22),
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let mut encoded = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut encoded, &params)?;
    Ok(encoded)
}

/// Returns `true` if `encoded` decodes to exactly `plain`. No more of either is read than needed to tell.
pub(super) fn is_form_of(plain: &mut dyn Read, encoded: &mut dyn Read, coding: Coding) -> bool {
    let is_same = match coding {
        Coding::Identity => is_same(plain, encoded),
        Coding::Gzip => is_same(plain, &mut MultiGzDecoder::new(encoded)),
        Coding::Brotli => is_same(plain, &mut brotli::Decompressor::new(encoded, BUFFER_BYTES)),
    };
    // What cannot be read or decoded is no form of it.
    is_same.unwrap_or(false)
}

fn is_same(one: &mut dyn Read, other: &mut dyn Read) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    loop {
        let (left_len, right_len) = (fill(one, &mut left)?, fill(other, &mut right)?);
        if left.get(..left_len) != right.get(..right_len) {
            return Ok(false);
        }
        if left_len < BUFFER_BYTES {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or there is nothing more.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reactor::sim::rounds;

    const CODINGS: [Coding; 2] = [Coding::Gzip, Coding::Brotli];

    fn is_form(plain: &[u8], encoded: &[u8], coding: Coding) -> bool {
        is_form_of(&mut &*plain, &mut &*encoded, coding)
    }

    /// Bytes with no pattern in them.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    #[test]
    fn only_what_gains_is_kept() {
        let text = "the quick brown fox ".repeat(100);
        for coding in CODINGS {
            let encoded = compress(text.as_bytes(), coding).unwrap();
            assert!(encoded.len() < text.len() / 10);
            assert_eq!(compress(&noise(10_000), coding), None);
            assert_eq!(compress(&[], coding), None);
            // A few bytes less would be more with the field lines.
            assert_eq!(compress(&[b'a'; 70], coding), None);
        }
        assert_eq!(compress(text.as_bytes(), Coding::Identity), None);
    }

    #[test]
    fn a_form_of_another_file_is_told() {
        let long = noise(200_000);
        for plain in [b"".as_slice(), b"a", b"some text", &long] {
            for coding in CODINGS {
                let encoded = match coding {
                    Coding::Gzip => gzip(plain),
                    _ => brotli(plain),
                }
                .unwrap();
                assert!(is_form(plain, &encoded, coding));
                assert!(!is_form(&[plain, b"more"].concat(), &encoded, coding));
                assert!(!is_form(&encoded, plain, coding));
                if let Some((last, start)) = plain.split_last() {
                    assert!(!is_form(start, &encoded, coding));
                    let other = [start, &[last ^ 1]].concat();
                    assert!(!is_form(&other, &encoded, coding));
                    // Cut short, it does not come to its end.
                    assert!(!is_form(plain, &encoded[..encoded.len() - 1], coding));
                }
                let wrong = match coding {
                    Coding::Gzip => Coding::Brotli,
                    _ => Coding::Gzip,
                };
                assert!(!is_form(plain, &encoded, wrong), "{wrong:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32 * rounds()))]

        /// Compressed forms decode to the original.
        #[test]
        fn nothing_is_lost(words in proptest::collection::vec("[a-e]{1,5}", 0..500)) {
            let text = words.join(" ");
            for coding in CODINGS {
                if let Some(encoded) = compress(text.as_bytes(), coding) {
                    prop_assert!(encoded.len() < text.len());
                    prop_assert!(is_form(text.as_bytes(), &encoded, coding));
                }
            }
        }
    }
}
