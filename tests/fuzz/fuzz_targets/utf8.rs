//! Text in pieces against `std` over the whole.

#![no_main]

use edgeloop::proto::ws::utf8::{Decoder, InvalidUtf8};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let whole = str::from_utf8(bytes).map_err(|_| InvalidUtf8);
    let piece_bytes = usize::from(first % 64) + 1;
    let (front, back) = bytes.split_at(usize::from(*first).min(bytes.len()));
    assert_eq!(
        decode(bytes.chunks(piece_bytes)).as_deref(),
        whole.as_deref()
    );
    assert_eq!(decode([front, back]).as_deref(), whole.as_deref());
    assert_eq!(refused_at(bytes), first_bad_byte(bytes));
});

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, InvalidUtf8> {
    let mut decoder = Decoder::new();
    let mut text = String::new();
    for piece in pieces {
        let decoded = decoder.decode(piece)?;
        text.extend(decoded.joined);
        text.push_str(decoded.text);
        assert!(decoder.pending_bytes() <= 3);
    }
    decoder.finish()?;
    Ok(text)
}

/// Position at which the decoder gives up when the bytes come one at a time.
fn refused_at(bytes: &[u8]) -> Option<usize> {
    let mut decoder = Decoder::new();
    bytes
        .iter()
        .position(|&byte| decoder.decode(&[byte]).is_err())
}

/// The first byte with which the bytes so far begin no valid text, whatever follows.
fn first_bad_byte(bytes: &[u8]) -> Option<usize> {
    let valid_bytes = str::from_utf8(bytes).err()?.valid_up_to();
    (valid_bytes..bytes.len()).find(|&at| {
        str::from_utf8(&bytes[valid_bytes..=at]).is_err_and(|error| error.error_len().is_some())
    })
}
