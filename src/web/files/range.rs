//! Range (RFC 9110 §14).

use std::ops::RangeInclusive;

/// What a Range field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it, or nothing that can be made out.
    Whole,
    /// The bytes from the first to the last, both within the file.
    Part(RangeInclusive<u64>),
    /// Nothing that is there (RFC 9110 §15.5.17).
    Unsatisfiable,
}

/// Reads a Range field about a file of `len` bytes.
///
/// A unit other than bytes and what does not follow the grammar is ignored, as RFC 9110 §14.2 wants
/// and allows. So are several ranges: the whole answers them as well.
pub(super) fn select(value: &[u8], len: u64) -> Selection {
    let Some(spec) = single_spec(value) else {
        return Selection::Whole;
    };
    match spec {
        Spec::From(first, last) if first < len => Selection::Part(first..=last.min(len - 1)),
        Spec::From(..) | Spec::Suffix(0) => Selection::Unsatisfiable,
        // Satisfiable by RFC 9110 §14.1.2, but no Content-Range can say "no bytes".
        Spec::Suffix(_) if len == 0 => Selection::Whole,
        Spec::Suffix(count) => Selection::Part(len.saturating_sub(count)..=len - 1),
    }
}

/// A range-spec (RFC 9110 §14.1.1).
enum Spec {
    /// `first-` or `first-last`.
    From(u64, u64),
    /// `-count`: the last so many.
    Suffix(u64),
}

/// The one range-spec of a field that has one.
fn single_spec(value: &[u8]) -> Option<Spec> {
    let (unit, set) = str::from_utf8(value).ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']))
        .filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else {
        return None;
    };
    match spec.split_once('-')? {
        ("", count) => Some(Spec::Suffix(number(count)?)),
        (first, "") => Some(Spec::From(number(first)?, u64::MAX)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, last))
        }
    }
}

/// Digits; what is too large for a file is as good as the largest number.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_reads_them() {
        use Selection::{Part, Unsatisfiable, Whole};
        for (value, len, want) in [
            // RFC 9110 §14.1.2, with its own examples.
            ("bytes=0-499", 10_000, Part(0..=499)),
            ("bytes=500-999", 10_000, Part(500..=999)),
            ("bytes=-500", 10_000, Part(9_500..=9_999)),
            ("bytes=9500-", 10_000, Part(9_500..=9_999)),
            // The last position may lie past the end, the first may not.
            ("bytes=9999-10000", 10_000, Part(9_999..=9_999)),
            ("bytes=10000-", 10_000, Unsatisfiable),
            ("bytes=10000-10001", 10_000, Unsatisfiable),
            // A suffix longer than the file is the file.
            ("bytes=-10001", 10_000, Part(0..=9_999)),
            ("bytes=-0", 10_000, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Whole),
            // §14.1: names of units have no case. §5.6.1: empty items of lists do not count.
            ("BYTES=1-2", 10, Part(1..=2)),
            ("bytes=, ,1-2\t,", 10, Part(1..=2)),
            // Numbers have no limit.
            ("bytes=1-99999999999999999999", 10, Part(1..=9)),
            ("bytes=99999999999999999999-", 10, Unsatisfiable),
            ("bytes=-99999999999999999999", 10, Part(0..=9)),
            // §14.2: several may be answered with the whole.
            ("bytes=0-1,3-4", 10, Whole),
            // §14.2: unknown units must be, what is malformed may be ignored.
            ("lines=0-1", 10, Whole),
            ("bytes=2-1", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=,", 10, Whole),
            ("bytes", 10, Whole),
            ("bytes 0-1", 10, Whole),
            ("bytes =0-1", 10, Whole),
            ("bytes=0--1", 10, Whole),
            ("bytes=+0-1", 10, Whole),
            ("bytes=0x0-1", 10, Whole),
            ("bytes=0 -1", 10, Whole),
            ("", 10, Whole),
        ] {
            assert_eq!(select(value.as_bytes(), len), want, "{value} of {len}");
        }
        assert_eq!(select(b"bytes=\xff0-1", 10), Whole);
    }

    /// The same, byte by byte: which bytes of the file does a range name?
    fn named(len: u64, first: Option<u64>, last: Option<u64>) -> Vec<u64> {
        (0..len)
            .filter(|at| match (first, last) {
                (Some(first), Some(last)) => first <= *at && *at <= last,
                (Some(first), None) => first <= *at,
                (None, Some(count)) => len - at <= count,
                (None, None) => false,
            })
            .collect()
    }

    proptest! {
        /// What is selected is what is named, and no bytes at all are refused.
        #[test]
        fn agrees_with_the_bytes_named(
            len in 0..40u64,
            first in proptest::option::of(0..50u64),
            last in proptest::option::of(0..50u64),
        ) {
            let shown = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
            let value = format!("bytes={}-{}", shown(first), shown(last));
            let named = named(len, first, last);
            let is_malformed = first.is_none() && last.is_none()
                || first.zip(last).is_some_and(|(first, last)| first > last);
            match select(value.as_bytes(), len) {
                Selection::Part(part) => prop_assert_eq!(part.collect::<Vec<_>>(), named),
                Selection::Unsatisfiable => prop_assert!(named.is_empty() && !is_malformed),
                Selection::Whole => prop_assert!(is_malformed || len == 0),
            }
        }

        /// Whatever is sent, a part lies within the file.
        #[test]
        fn a_part_is_never_outside(
            value in "(bytes)?=?[-0-9, \tb]{0,30}",
            len in prop_oneof![0..30u64, any::<u64>()],
        ) {
            if let Selection::Part(part) = select(value.as_bytes(), len) {
                prop_assert!(part.start() <= part.end() && *part.end() < len, "{:?}", part);
            }
        }
    }
}
