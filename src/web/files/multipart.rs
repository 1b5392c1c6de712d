//! Several parts of a file in one answer: multipart/byteranges (RFC 9110 §14.6).

use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;

use super::representation::Content;
use crate::reactor::Shared;
use crate::web::Part;

/// The value of Content-Range for a part of a file of `len` bytes (RFC 9110 §14.4).
pub(super) fn place(part: &RangeInclusive<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.start(), part.end())
}

/// The body with these parts of a file of this type, and its own type.
pub(super) fn body(
    content: &Content,
    content_type: &str,
    parts: &[RangeInclusive<u64>],
) -> (String, Vec<Part>) {
    let boundary = boundary();
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    let mut break_before = "";
    for part in parts {
        let place = place(part, content.len());
        let head = format!(
            "{break_before}--{boundary}\r\nContent-Type: {content_type}\r\n\
             Content-Range: {place}\r\n\r\n"
        );
        pieces.push(Part::Shared(Shared::from(head.into_bytes())));
        pieces.push(content.part(part));
        break_before = "\r\n";
    }
    let end = format!("{break_before}--{boundary}--\r\n");
    pieces.push(Part::Shared(Shared::from(end.into_bytes())));
    (format!("multipart/byteranges; boundary={boundary}"), pieces)
}

/// Boundary between the parts: 128 bits that nobody can foresee, so no file can have them in it.
fn boundary() -> String {
    let bits = || RandomState::new().hash_one(0);
    format!("{:016x}{:016x}", bits(), bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_boundary_is_like_another() {
        let mut seen: Vec<_> = (0..1000).map(|_| boundary()).collect();
        // RFC 2046 §5.1.1: at most 70 characters, and hexadecimal digits are among those allowed.
        assert!(seen.iter().all(|boundary| boundary.len() == 32));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }
}
