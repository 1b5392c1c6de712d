//! Looks over the bytes of a head as they come: what may stand before it, where it ends, and what must
//! not be in it.

use super::error::RequestError;
use crate::invariant::part;

/// Empty lines before a request line that are skipped: some old clients send one after a body
/// (RFC 9112 §2.2).
const EMPTY_LINES_MAX: u8 = 4;

/// Longer than any registered method, so that the search for its end has an end.
const METHOD_BYTES_MAX: usize = 32;

/// Result of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The head is whole; it is this many bytes long.
    Whole(usize),
    /// All in order up to here; the next scan starts here.
    Partial(usize),
    /// The byte at this place must not be there.
    Bad(usize, RequestError),
}

impl Scan {
    /// Number of bytes from the start that are known to be valid.
    pub(super) const fn reach(self) -> usize {
        match self {
            Self::Whole(reach) | Self::Partial(reach) | Self::Bad(reach, _) => reach,
        }
    }
}

/// Number of bytes of empty lines there are at the front, and how many lines in all.
pub(super) fn skip_empty_lines(input: &[u8], before: u8) -> Result<(usize, u8), RequestError> {
    let (mut skipped, mut lines) = (0, before);
    let mut rest = input;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        if lines == EMPTY_LINES_MAX {
            return Err(RequestError::EmptyLines);
        }
        (skipped, lines, rest) = (skipped + 2, lines + 1, after);
    }
    Ok((skipped, lines))
}

/// Part of a request line that is known to be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestLineState {
    Unknown,
    /// Method and target are within their limits.
    Measured,
    /// All of it.
    Checked,
}

/// Checks the lengths of method and target in the part of a head seen so far, which must not wait for
/// the end of a head that is all target. Returns whether there is nothing left to check.
pub(super) fn check_request_line(
    seen: &[u8],
    target_bytes_max: usize,
) -> Result<bool, RequestError> {
    let ends_word = |byte: &u8| matches!(byte, b' ' | b'\r');
    let start = seen.get(..=METHOD_BYTES_MAX).unwrap_or(seen);
    let Some(method_end) = start.iter().position(ends_word) else {
        return if seen.len() > METHOD_BYTES_MAX {
            Err(RequestError::MethodTooLong)
        } else {
            Ok(false)
        };
    };
    if seen.get(method_end) == Some(&b'\r') {
        return Ok(true); // the line ends here, without a target
    }
    let rest = part(seen, method_end + 1..);
    if rest.len() <= target_bytes_max {
        return Ok(false);
    }
    let target = rest.iter().take(target_bytes_max.saturating_add(1));
    if target.copied().any(|byte| ends_word(&byte)) {
        Ok(true)
    } else {
        Err(RequestError::TargetTooLong)
    }
}

/// The first line that ends in `seen`, of which `scanned` bytes were seen before it ended.
#[cold]
pub(super) fn first_line(seen: &[u8], scanned: usize) -> Option<&[u8]> {
    let news = seen.get(scanned..)?;
    let end = news.windows(2).position(|pair| pair == b"\r\n")?;
    seen.get(..scanned + end + 2)
}

/// Scans for the empty line that ends a head, from `from` on, where the scan before left off.
///
/// Lines end in CRLF and hold no control byte but HTAB. The first line must not be empty.
pub(super) fn scan(bytes: &[u8], from: usize) -> Scan {
    let mut at = from;
    while let Some((place, byte)) = next_control(bytes, at) {
        match (byte, bytes.get(place + 1)) {
            (b'\t', _) => at = place + 1,
            (b'\r', None) => return Scan::Partial(place),
            (b'\r', Some(b'\n')) => {
                if bytes
                    .get(..place)
                    .is_some_and(|line| line.ends_with(b"\r\n"))
                {
                    return Scan::Whole(place + 2);
                }
                at = place + 2;
            }
            (b'\r', Some(_)) => return Scan::Bad(place, RequestError::BareCr),
            (b'\n', _) => return Scan::Bad(place, RequestError::BareLf),
            _ => return Scan::Bad(place, RequestError::ControlByte),
        }
    }
    Scan::Partial(bytes.len())
}

/// The place of the first CR.
pub(super) fn find_cr(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        match next_control(bytes, from)? {
            (place, b'\r') => return Some(place),
            (place, _) => from = place + 1,
        }
    }
}

/// The first control byte at or after `from`, and its place.
pub(super) fn next_control(bytes: &[u8], from: usize) -> Option<(usize, u8)> {
    let mut at = from;
    let mut rest = bytes.get(from..)?;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let marks = control_marks(u64::from_le_bytes(*word));
        if marks != 0 {
            let place = (marks.trailing_zeros() / 8) as usize;
            return word.get(place).map(|byte| (at + place, *byte));
        }
        (at, rest) = (at + 8, after);
    }
    let place = rest.iter().position(u8::is_ascii_control)?;
    rest.get(place).map(|byte| (at + place, *byte))
}

/// Eight bytes at once: the top bit of each byte that is below 0x20, or 0x7f, and no other bit.
///
/// With the top bits set no subtraction borrows from the neighbour, so each byte is judged alone.
const fn control_marks(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const TOPS: u64 = ONES << 7;
    let from_space = (word | TOPS) - ONES * 0x20;
    let del = word ^ (ONES * 0x7f);
    let not_del = ((del | TOPS) - ONES) | del;
    !(from_space & not_del) & !word & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_alone() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                for around in [b' ', b'a', 0x7e, 0x80, 0xff] {
                    let mut word = [around; 8];
                    word[place] = byte;
                    let want = if byte.is_ascii_control() {
                        0x80u64 << (8 * place)
                    } else {
                        0
                    };
                    assert_eq!(control_marks(u64::from_le_bytes(word)), want, "{word:x?}");
                }
            }
        }
    }

    #[test]
    fn a_cr_is_found_past_tabs() {
        assert_eq!(find_cr(b"A: \tbcdefghij\tk\r\nB\r"), Some(15));
        assert_eq!(find_cr(b"A\n\t"), None);
    }

    #[test]
    fn a_scan_goes_on_where_it_left_off() {
        let head = b"GET / HTTP/1.1\r\nHost: example.org\r\nA:\tb\r\n\r\nrest";
        let whole = head.len() - 4;
        assert_eq!(scan(head, 0), Scan::Whole(whole));
        let mut at = 0;
        for end in 0..whole {
            let Scan::Partial(reach) = scan(&head[..end], at) else {
                panic!("not partial at {end}")
            };
            assert!(reach >= at && reach + 1 >= end);
            at = reach;
        }
        assert_eq!(scan(&head[..whole], at), Scan::Whole(whole));
    }

    #[test]
    fn what_must_not_be_there_is_found_at_its_place() {
        assert_eq!(
            scan(b"GET / HTTP/1.1\nHost", 0),
            Scan::Bad(14, RequestError::BareLf)
        );
        assert_eq!(
            scan(b"GET /\rHTTP/1.1", 0),
            Scan::Bad(5, RequestError::BareCr)
        );
        assert_eq!(scan(b"GET /\r", 0), Scan::Partial(5));
        assert_eq!(
            scan(b"GET / HTTP/1.1\r\nA: \0", 0),
            Scan::Bad(19, RequestError::ControlByte)
        );
        assert_eq!(scan(b"G\x7f", 0), Scan::Bad(1, RequestError::ControlByte));
        assert_eq!(scan("é\u{80}".as_bytes(), 0), Scan::Partial(4));
    }
}
