//! One record as one line. Whatever a peer got into a record, it cannot start a line of its own,
//! fake a field or steer a terminal: control characters are escaped in every part.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};

use crate::app::config::LogFormat;

/// Targets under this are our own and not worth a word in a text line.
const OWN_TARGET: &str = env!("CARGO_PKG_NAME");

/// Space for one line, to be used again and again.
#[derive(Default)]
pub(super) struct Composer {
    line: Vec<u8>,
    value: String,
    stamp: Stamp,
}

impl Composer {
    /// The record as a line with its line end, good until the next call.
    pub(super) fn compose(
        &mut self,
        format: LogFormat,
        now: SystemTime,
        record: &Record<'_>,
    ) -> &[u8] {
        // One giant line should not keep its space for ever.
        self.line.clear();
        self.line.shrink_to(64 * 1024);
        self.line.reserve(256);
        match format {
            LogFormat::Text => self.text(now, record),
            LogFormat::Json => self.json(now, record),
        }
        self.line.push(b'\n');
        &self.line
    }

    fn text(&mut self, now: SystemTime, record: &Record<'_>) {
        self.stamp.write(&mut self.line, now);
        self.line.push(b' ');
        self.line.extend_from_slice(level_padded(record.level()));
        let empty = record.args().as_str() == Some("");
        if !is_own(record.target()) || empty {
            push_escaped(&mut self.line, record.target(), Style::Plain);
            if !empty {
                self.line.extend_from_slice(b": ");
            }
        }
        write_escaped(&mut self.line, record.args(), Style::Plain);
        let fields = &mut TextFields {
            line: &mut self.line,
            value: &mut self.value,
        };
        // The visitor never fails; a source that does leaves its remaining fields out.
        record.key_values().visit(fields).ok();
    }

    fn json(&mut self, now: SystemTime, record: &Record<'_>) {
        self.line.extend_from_slice(b"{\"time\":\"");
        self.stamp.write(&mut self.line, now);
        self.line.extend_from_slice(b"\",\"level\":\"");
        self.line
            .extend_from_slice(record.level().as_str().as_bytes());
        self.line.extend_from_slice(b"\",\"target\":\"");
        push_escaped(&mut self.line, record.target(), Style::Json);
        self.line.extend_from_slice(b"\",\"message\":\"");
        write_escaped(&mut self.line, record.args(), Style::Json);
        self.line.push(b'"');
        let fields = &mut JsonFields {
            line: &mut self.line,
        };
        record.key_values().visit(fields).ok();
        self.line.push(b'}');
    }
}

fn is_own(target: &str) -> bool {
    target
        .strip_prefix(OWN_TARGET)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn level_padded(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b"ERROR ",
        Level::Warn => b"WARN  ",
        Level::Info => b"INFO  ",
        Level::Debug => b"DEBUG ",
        Level::Trace => b"TRACE ",
    }
}

/// ` key=value` for each field.
struct TextFields<'a> {
    line: &'a mut Vec<u8>,
    value: &'a mut String,
}

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.line.push(b' ');
        push_word(self.line, key.as_str());
        self.line.push(b'=');
        value.visit(self)
    }
}

impl VisitValue<'_> for TextFields<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.value.clear();
        // Fails only if the value's own Display does: what it wrote till then is shown.
        write!(self.value, "{value}").ok();
        push_word(self.line, self.value);
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        push_word(self.line, value);
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        push_number(self.line, value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        match thousandths(value) {
            Some(thousandths) => {
                push_thousandths(self.line, thousandths);
                Ok(())
            }
            None => self.visit_any(value.into()),
        }
    }
}

/// A number that is so many thousandths and nothing more, and not too large to tell.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number between 0 and a thousand times `MAX`"
)]
fn thousandths(value: f64) -> Option<u64> {
    const MAX: f64 = 1e12;
    let scaled = (value * 1e3).round();
    let is_exact = value.is_sign_positive() && value < MAX && scaled / 1e3 == value;
    is_exact.then_some(scaled as u64)
}

/// As `Display` shows it: without zeros at its end.
fn push_thousandths(line: &mut Vec<u8>, thousandths: u64) {
    push_number(line, thousandths / 1000);
    let mut fraction = thousandths % 1000;
    if fraction > 0 {
        line.push(b'.');
    }
    let mut place = 100;
    while fraction > 0 {
        line.push(digit(fraction / place));
        fraction %= place;
        place /= 10;
    }
}

/// The digits of a number.
pub(super) fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn digit(number: u64) -> u8 {
    u8::try_from(number).map_or(b'?', |number| b'0' + number)
}

/// `,"key":value` for each field.
struct JsonFields<'a> {
    line: &'a mut Vec<u8>,
}

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.line.extend_from_slice(b",\"");
        push_escaped(self.line, key.as_str(), Style::Json);
        // The members of every line come first; a field of that name must not replace one.
        if ["time", "level", "target", "message"].contains(&key.as_str()) {
            self.line.push(b'_');
        }
        self.line.extend_from_slice(b"\":");
        value.visit(JsonValue { line: self.line })
    }
}

/// A number, truth value or null as such, everything else as a string.
struct JsonValue<'a> {
    line: &'a mut Vec<u8>,
}

impl JsonValue<'_> {
    fn bare(&mut self, value: impl fmt::Display) -> Result<(), kv::Error> {
        write_escaped(self.line, &format_args!("{value}"), Style::Json);
        Ok(())
    }
}

impl<'v> VisitValue<'v> for JsonValue<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.line.push(b'"');
        write_escaped(self.line, &format_args!("{value}"), Style::Json);
        self.line.push(b'"');
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.bare("null")
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.bare(value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.bare(value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        if value.is_finite() {
            self.bare(value)
        } else {
            self.bare("null")
        }
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.bare(value)
    }
}

/// Which characters are escaped besides those that never appear, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Free text.
    Plain,
    /// Text between quotation marks.
    Quoted,
    /// A JSON string (RFC 8259 section 7).
    Json,
}

/// As it is if it is one plain word, else in quotation marks.
#[inline]
fn push_word(line: &mut Vec<u8>, text: &str) {
    if !text.is_empty() && text.bytes().all(is_plain_byte) {
        line.extend_from_slice(text.as_bytes());
    } else {
        push_other_word(line, text);
    }
}

#[cold]
fn push_other_word(line: &mut Vec<u8>, text: &str) {
    if !text.is_empty() && text.chars().all(is_plain) {
        line.extend_from_slice(text.as_bytes());
    } else {
        line.push(b'"');
        push_escaped(line, text, Style::Quoted);
        line.push(b'"');
    }
}

fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !is_unsafe(c) && !matches!(c, '"' | '\\' | '=')
}

/// Returns `true` if it is no white space, nothing to be escaped in any style, and ASCII.
fn is_plain_byte(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)) == Some(&true)
}

static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let (mut byte, mut rest) = (0_u8, plain.as_mut_slice());
    while let [is_plain, after @ ..] = rest {
        *is_plain = byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
        byte = byte.wrapping_add(1);
        rest = after;
    }
    plain
};

fn write_escaped(line: &mut Vec<u8>, arguments: &fmt::Arguments<'_>, style: Style) {
    match arguments.as_str() {
        Some(text) => push_escaped(line, text, style),
        // As with values: a failing Display shows what it wrote till then.
        None => Escaping { line, style }.write_fmt(*arguments).unwrap_or(()),
    }
}

struct Escaping<'a> {
    line: &'a mut Vec<u8>,
    style: Style,
}

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.line, text, self.style);
        Ok(())
    }
}

fn push_escaped(line: &mut Vec<u8>, text: &str, style: Style) {
    // The most of what is logged is this, and a byte is faster looked at than a character.
    if text.bytes().all(is_plain_byte) {
        return line.extend_from_slice(text.as_bytes());
    }
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|&(_, c)| needs_escape(c, style)) {
        let (clean, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        line.extend_from_slice(clean.as_bytes());
        push_escape(line, c, style);
        rest = after.get(c.len_utf8()..).unwrap_or_default();
    }
    line.extend_from_slice(rest.as_bytes());
}

fn needs_escape(c: char, style: Style) -> bool {
    c == '\\' || (c == '"' && style != Style::Plain) || is_unsafe(c)
}

/// Control characters, and the marks that break lines or turn the direction of text around.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_escape(line: &mut Vec<u8>, c: char, style: Style) {
    let short = match c {
        '\n' => Some(b'n'),
        '\r' => Some(b'r'),
        '\t' => Some(b't'),
        '\\' => Some(b'\\'),
        '"' => Some(b'"'),
        _ => None,
    };
    line.push(b'\\');
    match short {
        Some(letter) => line.push(letter),
        None => {
            // Every character that comes here has at most four hexadecimal digits.
            let code = format!("{:04x}", u32::from(c));
            let pseudonyms: (&[u8], &[u8]) = match style {
                Style::Json => (b"u", b""),
                Style::Plain | Style::Quoted => (b"u{", b"}"),
            };
            line.extend_from_slice(pseudonyms.0);
            line.extend_from_slice(code.as_bytes());
            line.extend_from_slice(pseudonyms.1);
        }
    }
}

/// A UTC timestamp as RFC 3339 has it, kept for the lines of the same millisecond.
struct Stamp {
    /// Seconds and milliseconds.
    time: (u64, u32),
    text: String,
}

impl Default for Stamp {
    fn default() -> Self {
        Self {
            time: (u64::MAX, 0),
            text: String::new(),
        }
    }
}

impl Stamp {
    fn write(&mut self, line: &mut Vec<u8>, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = (since.as_secs(), since.subsec_millis());
        if time != self.time {
            self.renew(time);
        }
        line.extend_from_slice(self.text.as_bytes());
    }

    fn renew(&mut self, (second, millis): (u64, u32)) {
        if second == self.time.0 {
            self.text
                .truncate(self.text.len().saturating_sub(".000Z".len()));
        } else {
            self.text = to_the_second(second);
        }
        self.time = (second, millis);
        write!(self.text, ".{millis:03}Z").unwrap_or_default();
    }
}

/// `2026-11-23T10:11:12` in the Gregorian calendar.
fn to_the_second(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Years are counted from 1 March, so that the leap day is the last of its year, and
    // from 0000-03-01, the start of a 400-year cycle, 719,468 days before 1970.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 153 days in every five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = cycle * 400 + year + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn compose(
        format: LogFormat,
        target: &str,
        message: fmt::Arguments<'_>,
        fields: &[(&str, Value<'_>)],
    ) -> String {
        let record = Record::builder()
            .level(Level::Info)
            .target(target)
            .args(message)
            .key_values(&fields)
            .build();
        let mut composer = Composer::default();
        let line = composer.compose(format, at(1_795_428_672_345), &record);
        String::from_utf8(line.to_vec()).unwrap()
    }

    fn text(message: fmt::Arguments<'_>, fields: &[(&str, Value<'_>)]) -> String {
        let line = compose(LogFormat::Text, "edgeloop::app", message, fields);
        line.strip_prefix("2026-11-23T10:11:12.345Z INFO  ")
            .and_then(|line| line.strip_suffix('\n'))
            .unwrap()
            .to_owned()
    }

    fn json(message: fmt::Arguments<'_>, fields: &[(&str, Value<'_>)]) -> serde_json::Value {
        let line = compose(LogFormat::Json, "edgeloop::app", message, fields);
        serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap()
    }

    #[test]
    fn a_text_line() {
        let peer = format_args!("127.0.0.1:5000").to_string();
        let fields = [
            ("peer", Value::from(peer.as_str())),
            ("status", Value::from(200)),
            ("ratio", Value::from(0.5)),
            ("tls", Value::from(true)),
        ];
        let line = compose(LogFormat::Text, "edgeloop", format_args!("access"), &fields);
        assert_eq!(
            line,
            "2026-11-23T10:11:12.345Z INFO  access peer=127.0.0.1:5000 status=200 ratio=0.5 \
             tls=true\n"
        );
    }

    #[test]
    fn targets_of_others_are_named() {
        let line = |target, message| compose(LogFormat::Text, target, message, &[]);
        assert!(line("mio::poll", format_args!("hi")).ends_with("INFO  mio::poll: hi\n"));
        assert!(line("edgeloopy", format_args!("hi")).ends_with("INFO  edgeloopy: hi\n"));
        assert!(line("access", format_args!("")).ends_with("INFO  access\n"));
        assert!(line("edgeloop::web", format_args!("hi")).ends_with("INFO  hi\n"));
    }

    #[test]
    fn a_message_cannot_start_a_line_or_steer_a_terminal() {
        let evil = "a\nb\r\u{1b}[31m\u{9b}x\u{2028}\u{202e}\0\t\\n é";
        assert_eq!(
            text(format_args!("{evil}"), &[]),
            r"a\nb\r\u{001b}[31m\u{009b}x\u{2028}\u{202e}\u{0000}\t\\n é"
        );
    }

    #[test]
    fn values_that_are_not_one_word_are_quoted() {
        for (value, shown) in [
            ("word", "word"),
            ("/a?b&c", "/a?b&c"),
            ("é", "é"),
            ("", r#""""#),
            ("two words", r#""two words""#),
            ("x status=200", r#""x status=200""#),
            ("a=b", r#""a=b""#),
            ("say \"hi\"", r#""say \"hi\"""#),
            ("back\\slash", r#""back\\slash""#),
            ("a\nINFO fake", r#""a\nINFO fake""#),
            ("\u{7f}", r#""\u{007f}""#),
        ] {
            let line = text(format_args!("m"), &[("k", Value::from(value))]);
            assert_eq!(line, format!("m k={shown}"));
            // The same when the value only exists as something to be displayed.
            let line = text(format_args!("m"), &[("k", Value::from_display(&value))]);
            assert_eq!(line, format!("m k={shown}"));
        }
        let line = text(format_args!("m"), &[("a b", Value::from(1))]);
        assert_eq!(line, r#"m "a b"=1"#);
    }

    #[test]
    fn a_json_line() {
        let fields = [
            ("peer", Value::from("127.0.0.1:5000")),
            ("status", Value::from(200)),
            ("change", Value::from(-1)),
            ("ratio", Value::from(0.5)),
            ("odd", Value::from(f64::NAN)),
            ("tls", Value::from(true)),
            ("shown", Value::from_display(&"a\"b\n")),
            ("level", Value::from("fake")),
        ];
        let expected = serde_json::json!({
            "time": "2026-11-23T10:11:12.345Z", "level": "INFO", "target": "edgeloop::app",
            "message": "acc\ness", "peer": "127.0.0.1:5000", "status": 200, "change": -1,
            "ratio": 0.5, "odd": null, "tls": true, "shown": "a\"b\n", "level_": "fake",
        });
        assert_eq!(json(format_args!("acc\ness"), &fields), expected);
    }

    #[test]
    fn the_calendar_is_right() {
        for (unix, expected) in [
            (0, "1970-01-01T00:00:00"),
            (68_169_600, "1972-02-29T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (1_795_428_672, "2026-11-23T10:11:12"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(to_the_second(unix), expected);
        }
    }

    #[test]
    fn the_kept_second_is_not_kept_too_long() {
        let mut stamp = Stamp::default();
        let mut line = Vec::new();
        for millis in [999, 1000, 1001, 60_000, 7] {
            stamp.write(&mut line, at(millis));
            line.push(b' ');
        }
        assert_eq!(
            str::from_utf8(&line).unwrap(),
            "1970-01-01T00:00:00.999Z 1970-01-01T00:00:01.000Z 1970-01-01T00:00:01.001Z \
             1970-01-01T00:01:00.000Z 1970-01-01T00:00:00.007Z "
        );
    }

    proptest! {
        #[test]
        fn every_day_agrees_with_another_calendar(unix in 0_u64..253_402_300_799) {
            let other = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix));
            let ours = to_the_second(unix);
            prop_assert_eq!(&ours[0..4], &other[12..16]);
            prop_assert_eq!(&ours[8..10], &other[5..7]);
            prop_assert_eq!(&ours[11..], &other[17..25]);
        }

        #[test]
        fn whatever_comes_is_one_clean_line(message: String, value: String, key: String) {
            let fields = [(key.as_str(), Value::from(value.as_str()))];
            for format in [LogFormat::Text, LogFormat::Json] {
                let line = compose(format, "edgeloop", format_args!("{message}"), &fields);
                let body = line.strip_suffix('\n').unwrap();
                prop_assert!(!body.contains(is_unsafe), "{}", line);
            }
        }

        #[test]
        fn json_gives_back_what_went_in(message: String, value: String) {
            let line = json(format_args!("{message}"), &[("k", Value::from(value.as_str()))]);
            prop_assert_eq!(line["message"].as_str(), Some(message.as_str()));
            prop_assert_eq!(line["k"].as_str(), Some(value.as_str()));
        }
    }

    fn shown(value: Value<'_>) -> String {
        let (mut line, mut text) = (Vec::new(), String::new());
        let fields = &mut TextFields {
            line: &mut line,
            value: &mut text,
        };
        fields.visit_pair(Key::from_str("k"), value).unwrap();
        String::from_utf8(line).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_shown_as_display_shows_them(
            whole in any::<u64>(),
            thousandths in 0..10_000_000_000u64,
            any in any::<f64>(),
        ) {
            prop_assert_eq!(shown(whole.into()), format!(" k={whole}"));
            for number in [thousandths as f64 / 1e3, whole as f64, any, -1.5, 0.0, -0.0] {
                prop_assert_eq!(shown(number.into()), format!(" k={number}"));
            }
        }
    }
}
