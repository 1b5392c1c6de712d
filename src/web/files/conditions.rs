//! Conditional requests (RFC 9110 §13).

use super::codings::AcceptedCodings;
use crate::proto::http1::{Fields, date};

/// Validators of a file's state (RFC 9110 §8.8).
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// The entity tag with its quotes, and `W/` before it if it is weak.
    pub(super) etag: &'a str,
    /// The date of Last-Modified, in seconds since 1970.
    pub(super) modified_secs: u64,
    /// No other state of the file had that date (RFC 9110 §8.8.2.2).
    pub(super) is_date_strong: bool,
}

/// Outcome of the preconditions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// The fields of a request that an answer with a file depends on, gathered in one pass.
#[derive(Debug)]
pub(super) struct Conditions<'b> {
    fields: Fields<'b>,
    accepted: AcceptedCodings,
    if_match: Single<'b>,
    if_none_match: Single<'b>,
    if_modified_since: Single<'b>,
    if_unmodified_since: Single<'b>,
    if_range: Single<'b>,
    range: Single<'b>,
}

const IF_MATCH: &str = "if-match";
const IF_NONE_MATCH: &str = "if-none-match";

/// A field that makes sense once only.
#[derive(Clone, Copy, Debug, Default)]
enum Single<'b> {
    #[default]
    Absent,
    One(&'b [u8]),
    Several,
}

impl<'b> Conditions<'b> {
    pub(super) fn gather(fields: Fields<'b>) -> Self {
        let mut conditions = Self {
            fields,
            accepted: AcceptedCodings::default(),
            if_match: Single::Absent,
            if_none_match: Single::Absent,
            if_modified_since: Single::Absent,
            if_unmodified_since: Single::Absent,
            if_range: Single::Absent,
            range: Single::Absent,
        };
        for (name, value) in fields.iter() {
            conditions.take(name, value);
        }
        conditions
    }

    /// Most names are told apart by their length alone.
    fn take(&mut self, name: &str, value: &'b [u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            5 if is("range") => self.range.add(value),
            8 if is("if-range") => self.if_range.add(value),
            8 if is(IF_MATCH) => self.if_match.add(value),
            13 if is(IF_NONE_MATCH) => self.if_none_match.add(value),
            15 if is("accept-encoding") => self.accepted.add(value),
            17 if is("if-modified-since") => self.if_modified_since.add(value),
            19 if is("if-unmodified-since") => self.if_unmodified_since.add(value),
            _ => {}
        }
    }

    /// Codings that the client accepts.
    pub(super) const fn accepted(&self) -> AcceptedCodings {
        self.accepted
    }

    /// The verdict on a GET or HEAD about the form with this entity tag, in the order of
    /// RFC 9110 §13.2.2.
    pub(super) fn verdict(&self, etag: &str, modified_secs: u64) -> Verdict {
        let is_rejected = match self.names(IF_MATCH, self.if_match, etag, Comparison::Strong) {
            Some(is_named) => !is_named,
            None => self
                .if_unmodified_since
                .date()
                .is_some_and(|date| modified_secs > date),
        };
        if is_rejected {
            return Verdict::Failed;
        }
        let named = self.names(IF_NONE_MATCH, self.if_none_match, etag, Comparison::Weak);
        let is_known = named.unwrap_or_else(|| {
            let date = self.if_modified_since.date();
            date.is_some_and(|date| modified_secs <= date)
        });
        if is_known {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        }
    }

    /// Returns `true` if a field names this entity tag; `None` if it is not there.
    fn names(
        &self,
        name: &str,
        field: Single<'_>,
        etag: &str,
        comparison: Comparison,
    ) -> Option<bool> {
        match field {
            Single::Absent => None,
            Single::One(list) => Some(names(list, etag, comparison)),
            Single::Several => {
                let mut lists = self.fields.get_all(name);
                Some(lists.any(|list| names(list, etag, comparison)))
            }
        }
    }

    /// Returns `true` if there is an If-Range field.
    pub(super) fn has_if_range(&self) -> bool {
        !matches!(self.if_range, Single::Absent)
    }

    /// The Range field, unless If-Range says that the client's part is of another state
    /// (RFC 9110 §13.1.5).
    pub(super) fn range(&self, validators: Validators<'_>) -> Option<&'b [u8]> {
        let Single::One(range) = self.range else {
            return None;
        };
        let applies = match self.if_range {
            Single::Absent => true,
            // Strong comparison: a weak tag is equal to none.
            Single::One(value) if value.ends_with(b"\"") => {
                !value.starts_with(b"W/") && value == validators.etag.as_bytes()
            }
            Single::One(_) => {
                validators.is_date_strong && self.if_range.date() == Some(validators.modified_secs)
            }
            Single::Several => false,
        };
        applies.then_some(range)
    }
}

impl<'b> Single<'b> {
    fn add(&mut self, value: &'b [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    /// The date, if the field has exactly one: RFC 9110 §13.1.3 and §13.1.4 want all else ignored.
    fn date(self) -> Option<u64> {
        match self {
            Self::One(value) => date::parse(str::from_utf8(value).ok()?),
            Self::Absent | Self::Several => None,
        }
    }
}

/// Comparison of entity tags (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Both have to be strong.
    Strong,
    /// Their opaque parts count.
    Weak,
}

/// Returns `true` if a list of entity tags is `*` or names this one.
fn names(list: &[u8], etag: &str, comparison: Comparison) -> bool {
    if list == b"*" {
        return true;
    }
    let etag = match etag.strip_prefix("W/") {
        Some(_) if comparison == Comparison::Strong => return false,
        Some(opaque) => opaque,
        None => etag,
    };
    let mut rest = list;
    while let Some((tag, behind)) = next_tag(rest) {
        rest = behind;
        let opaque = match tag.strip_prefix(b"W/") {
            Some(_) if comparison == Comparison::Strong => continue,
            Some(opaque) => opaque,
            None => tag,
        };
        if opaque == etag.as_bytes() {
            return true;
        }
    }
    false
}

/// The first entity tag of a list, and what is behind it. `None` at its end, and where it breaks the
/// grammar: what is said after that is not known. A comma within quotes is part of a tag.
fn next_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
    let list = list.get(start..)?;
    let opaque = list.strip_prefix(b"W/").unwrap_or(list);
    let inner = opaque.strip_prefix(b"\"")?;
    let inner_len = inner.iter().position(|byte| *byte == b'"')?;
    let (tag, behind) = list.split_at_checked(list.len() - inner.len() + inner_len + 1)?;
    let next = behind.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    matches!(next, None | Some(b',')).then_some((tag, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_entity_tags_are_read() {
        let (strong, weak) = (Comparison::Strong, Comparison::Weak);
        for (list, comparison, want) in [
            ("*", strong, true),
            ("*", weak, true),
            ("\"a\"", strong, true),
            ("\"b\"", strong, false),
            // RFC 9110 §8.8.3.2: the table of comparisons.
            ("W/\"a\"", strong, false),
            ("W/\"a\"", weak, true),
            ("W/\"b\"", weak, false),
            // RFC 9110 §5.6.1: lists, with empty items.
            ("\"b\", \"a\"", strong, true),
            (",, \"b\"\t,\"a\" ,", weak, true),
            ("W/\"b\",W/\"a\"", weak, true),
            ("", weak, false),
            // A comma in quotes separates nothing.
            ("\"b,\"", weak, false),
            ("\"b,\", \"a\"", weak, true),
            ("\"x, \\\"a\\\"\"", weak, false),
            // What is malformed names nothing, and neither does what follows it.
            ("a", weak, false),
            ("\"a", weak, false),
            ("a\"", weak, false),
            ("w/\"a\"", weak, false),
            ("W/ \"a\"", weak, false),
            ("\"a\"x", weak, false),
            ("\"b\" \"a\"", weak, false),
            ("\"b\", *", weak, false),
            ("b, \"a\"", weak, false),
        ] {
            assert_eq!(names(list.as_bytes(), "\"a\"", comparison), want, "{list}");
        }
        // RFC 9110 §8.8.3.2: the same table with a tag of ours that is weak.
        for (list, comparison, want) in [
            ("W/\"a\"", strong, false),
            ("\"a\"", strong, false),
            ("*", strong, true),
            ("W/\"a\"", weak, true),
            ("\"a\"", weak, true),
            ("W/\"b\"", weak, false),
        ] {
            let named = names(list.as_bytes(), "W/\"a\"", comparison);
            assert_eq!(named, want, "{list}");
        }
    }
}
