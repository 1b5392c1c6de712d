//! Range (RFC 9110 §14).

use std::ops::RangeInclusive;

/// A part of a file: from its first byte to its last.
pub(super) type Span = RangeInclusive<u64>;

/// Selection that a Range field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it, or nothing that can be made out.
    Whole,
    /// One part, within the file.
    Part(Span),
    /// Several, which neither overlap nor touch.
    Parts(Vec<Span>),
    /// Nothing that is there (RFC 9110 §15.5.17).
    Unsatisfiable,
}

/// More parts than any reader asks for at once, and few enough to make them one by one.
const SPECS_MAX: usize = 64;

/// Reads a Range field about a file of `len` bytes.
///
/// A unit other than bytes and what does not follow the grammar is ignored, as RFC 9110 §14.2 wants
/// and allows. So is a set of more than [`SPECS_MAX`] ranges.
///
/// Of several ranges, those that overlap or touch become one (§15.3.7.2), in the place of the first of
/// them. So no byte is sent twice, and an answer is never longer than the file and the heads of its
/// parts.
pub(super) fn select(value: &[u8], len: u64) -> Selection {
    let Some(specs) = specs(value) else {
        return Selection::Whole;
    };
    // Satisfiable by RFC 9110 §14.1.2, but no Content-Range can say "no bytes".
    let is_suffix = |spec: &Spec| matches!(spec, Spec::Suffix(1..));
    if len == 0 && specs.iter().any(is_suffix) {
        return Selection::Whole;
    }
    let mut spans = joined(specs.iter().filter_map(|spec| spec.span(len)).collect());
    match spans.len() {
        0 => Selection::Unsatisfiable,
        1 => spans.pop().map_or(Selection::Whole, Selection::Part),
        _ => Selection::Parts(spans),
    }
}

/// Makes one of those that overlap or touch.
fn joined(spans: Vec<Span>) -> Vec<Span> {
    let mut by_place: Vec<(usize, Span)> = spans.into_iter().enumerate().collect();
    by_place.sort_by_key(|(_, span)| *span.start());
    let mut joined: Vec<(usize, Span)> = Vec::with_capacity(by_place.len());
    for (order, span) in by_place {
        match joined.last_mut() {
            Some((first, before)) if *span.start() <= before.end().saturating_add(1) => {
                *first = order.min(*first);
                *before = *before.start()..=*before.end().max(span.end());
            }
            _ => joined.push((order, span)),
        }
    }
    // In the order in which they were asked for.
    joined.sort_by_key(|(order, _)| *order);
    joined.into_iter().map(|(_, span)| span).collect()
}

/// A range-spec (RFC 9110 §14.1.1).
enum Spec {
    /// `first-` or `first-last`.
    From(u64, u64),
    /// `-count`: the last so many.
    Suffix(u64),
}

impl Spec {
    /// The bytes it names of a file of `len` bytes.
    fn span(&self, len: u64) -> Option<Span> {
        let end = len.checked_sub(1)?;
        match *self {
            Self::From(first, last) => (first <= end).then(|| first..=last.min(end)),
            Self::Suffix(0) => None,
            Self::Suffix(count) => Some(len.saturating_sub(count)..=end),
        }
    }
}

/// The range-specs of a field, at least one.
fn specs(value: &[u8]) -> Option<Vec<Spec>> {
    let (unit, set) = str::from_utf8(value).ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for text in set.split(',').map(|text| text.trim_matches([' ', '\t'])) {
        if text.is_empty() {
            continue;
        }
        if specs.len() >= SPECS_MAX {
            return None;
        }
        specs.push(spec(text)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(text: &str) -> Option<Spec> {
    match text.split_once('-')? {
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
            // One bad range spoils the set.
            ("bytes=0-1,x", 10, Whole),
            ("bytes=0-1,4-3", 10, Whole),
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

    #[test]
    fn several_ranges_are_parts_that_do_not_touch() {
        use Selection::{Part, Parts, Unsatisfiable, Whole};
        for (value, len, want) in [
            // RFC 9110 §14.1.2, its examples.
            ("bytes=0-0,-1", 10_000, Parts(vec![0..=0, 9_999..=9_999])),
            (
                "bytes=0-999, 4500-5499, -1000",
                10_000,
                Parts(vec![0..=999, 4_500..=5_499, 9_000..=9_999]),
            ),
            ("bytes=500-600,601-999", 10_000, Part(500..=999)),
            ("bytes=500-700,601-999", 10_000, Part(500..=999)),
            // §15.3.7.2: in the order asked for.
            ("bytes=8-9,0-1,4-5", 10, Parts(vec![8..=9, 0..=1, 4..=5])),
            ("bytes=-1,0-0", 10, Parts(vec![9..=9, 0..=0])),
            (
                "bytes=6-6,1-2,0-0,8-8",
                10,
                Parts(vec![6..=6, 0..=2, 8..=8]),
            ),
            ("bytes=1-2,6-6,0-0", 10, Parts(vec![0..=2, 6..=6])),
            // Those that overlap or touch are one, however many.
            ("bytes=0-,0-,0-", 10, Part(0..=9)),
            ("bytes=0-8,1-2,3-4,9-9", 10, Part(0..=9)),
            ("bytes=0-1,2-3,5-6", 10, Parts(vec![0..=3, 5..=6])),
            ("bytes=0-1,3-4", 10, Parts(vec![0..=1, 3..=4])),
            // What is not there is left out.
            ("bytes=0-1,20-", 10, Part(0..=1)),
            ("bytes=20-,-0,30-40", 10, Unsatisfiable),
            ("bytes=0-1,8-99", 10, Parts(vec![0..=1, 8..=9])),
            ("bytes=0-0,1-1", 0, Unsatisfiable),
            ("bytes=0-0,-1", 0, Whole),
            ("bytes=,0-1,, 4-5\t,", 10, Parts(vec![0..=1, 4..=5])),
            ("bytes=0-99999999999999999999,0-1", 10, Part(0..=9)),
        ] {
            assert_eq!(select(value.as_bytes(), len), want, "{value} of {len}");
        }
    }

    #[test]
    fn sets_of_many_ranges_are_ignored() {
        let set = |count: u64| {
            let specs: Vec<_> = (0..count).map(|n| format!("{0}-{0}", n * 2)).collect();
            format!("bytes={}", specs.join(","))
        };
        let most = SPECS_MAX as u64;
        let Selection::Parts(parts) = select(set(most).as_bytes(), 1000) else {
            panic!("as many as may be");
        };
        assert_eq!(parts.len(), SPECS_MAX);
        assert_eq!(select(set(most + 1).as_bytes(), 1000), Selection::Whole);
        // Also when they would come to one in the end.
        let same = format!("bytes={}", "0-,".repeat(SPECS_MAX + 1));
        assert_eq!(select(same.as_bytes(), 1000), Selection::Whole);
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
        /// The bytes selected are those named, and a selection of none is rejected.
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
                Selection::Parts(parts) => prop_assert!(false, "{:?}", parts),
            }
        }

        /// The parts of a set are the bytes named, each once, in pieces as large as can be, in the
        /// order in which they were asked for first.
        #[test]
        fn a_set_selects_what_its_ranges_name(
            len in 1..40u64,
            set in proptest::collection::vec((0..50u64, 0..50u64), 1..6),
        ) {
            let set: Vec<_> = set.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            let specs: Vec<_> = set.iter().map(|(a, b)| format!("{a}-{b}")).collect();
            let spans = match select(format!("bytes={}", specs.join(",")).as_bytes(), len) {
                Selection::Part(part) => vec![part],
                Selection::Parts(parts) => parts,
                Selection::Unsatisfiable => vec![],
                Selection::Whole => return Err(TestCaseError::fail("it is well formed")),
            };
            let is_named = |at: &u64| set.iter().any(|(a, b)| a <= at && at <= b);
            let mut selected: Vec<_> = spans.iter().cloned().flatten().collect();
            selected.sort_unstable();
            prop_assert_eq!(selected, (0..len).filter(is_named).collect::<Vec<_>>());
            for (one, other) in spans.iter().zip(spans.iter().skip(1)) {
                prop_assert!(one.end() + 1 < *other.start() || other.end() + 1 < *one.start());
            }
            let meta = |span: &Span| set.iter().position(|(a, _)| span.contains(a));
            prop_assert!(spans.is_sorted_by_key(meta));
        }

        /// Whatever is sent, a part lies within the file.
        #[test]
        fn a_part_is_never_outside(
            value in "(bytes)?=?[-0-9, \tb]{0,30}",
            len in prop_oneof![0..30u64, any::<u64>()],
        ) {
            let parts = match select(value.as_bytes(), len) {
                Selection::Part(part) => vec![part],
                Selection::Parts(parts) => parts,
                Selection::Whole | Selection::Unsatisfiable => vec![],
            };
            for part in parts {
                prop_assert!(part.start() <= part.end() && *part.end() < len, "{:?}", part);
            }
        }
    }
}
