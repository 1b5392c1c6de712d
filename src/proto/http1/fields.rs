use std::fmt;

use super::class::{Class, class};
use super::scan::{find_cr, next_control};

/// The field lines of a head, in the order received: a view that is cheap to copy.
///
/// The lines were checked when the head was parsed, so reading them cannot fail. Names are tokens and
/// compare without regard to case (RFC 9110 §5.1). Values have no white space around them and no
/// control byte but HTAB; they may hold bytes outside ASCII (RFC 9110 §5.5), so they are bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields<'b> {
    /// Each line with its CRLF; the empty line is left out.
    lines: &'b [u8],
}

impl<'b> Fields<'b> {
    /// `lines` must be whole, checked field lines.
    pub(super) const fn new(lines: &'b [u8]) -> Self {
        Self { lines }
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.get_all(name).next()
    }

    /// The value of the first field of this name, if it is UTF-8 text.
    ///
    /// A missing field and one that is not text look the same here: where the difference matters, as
    /// when a check must not be skipped, use [`Fields::get`].
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'b str> {
        self.get(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// The values of all fields of this name, in order.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        FieldLines { rest: self.lines }
            .filter_map(move |line| value_if_named(line, name.as_bytes()))
    }

    /// Returns `true` if a field of this name, read as a comma-separated list, holds `token` in any case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(list)
            .any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Every field, name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'b> {
        FieldLines { rest: self.lines }.filter_map(name_and_value)
    }

    /// Number of field lines there are.
    #[must_use]
    pub fn count(&self) -> usize {
        FieldLines { rest: self.lines }.count()
    }
}

impl fmt::Debug for Fields<'_> {
    /// Names only: values carry passwords and tokens, which have no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// The items of a comma-separated list (RFC 9110 §5.6.1), without the white space around them.
/// Empty items are passed on: who reads the list decides whether they are tolerable.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// Returns `true` if this is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && TOKEN.holds(bytes)
}

static TOKEN: Class = class!(is_token_byte);

/// Returns `true` if this byte may stand in a token.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
        | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Returns `true` if this byte may stand in a field value.
pub(super) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Returns `true` if these may stand in one.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    let mut from = 0;
    while let Some((place, byte)) = next_control(bytes, from) {
        if byte != b'\t' {
            return false;
        }
        from = place + 1;
    }
    true
}

struct FieldLines<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for FieldLines<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let end = find_cr(self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(2..).unwrap_or_default();
        Some(line)
    }
}

fn value_if_named<'b>(line: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let (b':', value) = rest.split_first()? else {
        return None;
    };
    start.eq_ignore_ascii_case(name).then(|| trim(value))
}

fn name_and_value(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((str::from_utf8(name).ok()?, trim(value.get(1..)?)))
}

/// Without spaces and tabs at both ends.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] =
        b"Host: a\r\nX-Empty:\r\nAccept:\t text/html , */* \t\r\nhost:b:c\r\nX: \xe9\r\n";

    #[test]
    fn fields_are_found_in_any_case_and_in_order() {
        let fields = Fields::new(LINES);
        assert_eq!(fields.count(), 5);
        assert_eq!(fields.get("HOST"), Some(&b"a"[..]));
        assert_eq!(
            fields.get_all("host").collect::<Vec<_>>(),
            [&b"a"[..], b"b:c"]
        );
        assert_eq!(fields.get("x-empty"), Some(&b""[..]));
        assert_eq!(fields.text("accept"), Some("text/html , */*"));
        assert_eq!(fields.get("Hos"), None);
        assert_eq!(fields.get("Host:"), None);
        assert_eq!(
            (fields.get("x"), fields.text("x")),
            (Some(&b"\xe9"[..]), None)
        );
        let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Host", "X-Empty", "Accept", "host", "X"]);
    }

    #[test]
    fn tokens_are_found_in_lists() {
        let fields = Fields::new(b"Connection: keep-alive,, Upgrade\r\nConnection: x\r\n");
        assert!(fields.has_token("connection", "upgrade"));
        assert!(fields.has_token("connection", "X"));
        assert!(!fields.has_token("connection", "up"));
        assert!(!fields.has_token("upgrade", "x"));
    }

    #[test]
    fn values_stay_out_of_debug_output() {
        let shown = format!("{:?}", Fields::new(b"Authorization: Bearer secret\r\n"));
        assert_eq!(shown, r#"["Authorization"]"#);
    }
}
