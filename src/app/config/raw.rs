//! First stage: the file as `key=value` lines. What the values mean comes later.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::finding::{Finding, SettingSource};

/// Far more than any configuration needs; stops a mistaken `--config /dev/zero`.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One `key=value` line, both sides trimmed. The value may be empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads the file, at most [`FILE_BYTES_MAX`] bytes of it.
pub(super) fn read(file: &PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(file)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read > FILE_BYTES_MAX) {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Splits the file into entries. Lines that are neither entry, comment nor blank go to `findings`.
pub(super) fn entries(
    file: &Arc<PathBuf>,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Vec<Setting> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut entries = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        match entry(number, line) {
            Ok(entry) => entries.extend(entry),
            Err(text) => findings.push(Finding {
                place: SettingSource::Line {
                    file: Arc::clone(file),
                    number,
                    key: None,
                },
                text,
            }),
        }
    }
    entries
}

fn entry(line: usize, bytes: &[u8]) -> Result<Option<Setting>, String> {
    let text = str::from_utf8(bytes).map_err(|_| "the line is not UTF-8 text".to_owned())?;
    let text = text.trim();
    // Else all of a file whose lines end with it alone would be its first comment.
    if text.contains('\r') {
        return Err("the line has a carriage return in it; lines end with LF or CRLF".to_owned());
    }
    let text = without_comment(text).trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err("the line has a control character in it".to_owned());
    }
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!("{text:?} has no \"=\"; write key=value"));
    };
    let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
    if key.is_empty() {
        return Err(format!("{text:?} has no key before the \"=\""));
    }
    Ok(Some(Setting { line, key, value }))
}

/// A `#` starts a comment at the start of a line or after white space, so that a value may
/// have one inside.
fn without_comment(text: &str) -> &str {
    let mut after_space = true;
    for (at, c) in text.char_indices() {
        if c == '#' && after_space {
            return text.get(..at).unwrap_or(text);
        }
        after_space = c.is_whitespace();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> (Vec<(usize, String, String)>, Vec<String>) {
        let mut findings = Vec::new();
        let entries = entries(
            &Arc::new(PathBuf::from("server.conf")),
            bytes,
            &mut findings,
        );
        (
            entries
                .into_iter()
                .map(|entry| (entry.line, entry.key, entry.value))
                .collect(),
            findings.iter().map(Finding::to_string).collect(),
        )
    }

    #[test]
    fn entries_are_trimmed_and_numbered() {
        let (entries, findings) =
            parse(b"# head\n\n  port = 1 \r\n\tdb_path=\ta b=c\t\nempty=\nlast=x");
        let expected = [
            (3, "port", "1"),
            (4, "db_path", "a b=c"),
            (5, "empty", ""),
            (6, "last", "x"),
        ];
        assert_eq!(
            entries,
            expected.map(|(line, key, value)| (line, key.to_owned(), value.to_owned()))
        );
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn comments_need_white_space_before_them() {
        let (entries, _) = parse(b"a=1 # one\nb=x#y\nc=#z\n  # d=4\ne=\t#5");
        let values: Vec<_> = entries.iter().map(|(_, _, value)| value.as_str()).collect();
        assert_eq!(values, ["1", "x#y", "#z", ""]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let (entries, findings) = parse("\u{feff}port=1".as_bytes());
        assert_eq!(entries, [(1, "port".to_owned(), "1".to_owned())]);
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn odd_lines_are_named_and_the_rest_still_read() {
        let (entries, findings) = parse(b"port\n=1\na=\xff\nb=\x1b[31m\nc=1\n# d\rport=1\r\n");
        assert_eq!(entries, [(5, "c".to_owned(), "1".to_owned())]);
        assert_eq!(
            findings,
            [
                r#"server.conf:1: "port" has no "="; write key=value"#,
                r#"server.conf:2: "=1" has no key before the "=""#,
                "server.conf:3: the line is not UTF-8 text",
                "server.conf:4: the line has a control character in it",
                "server.conf:6: the line has a carriage return in it; lines end with LF or CRLF",
            ]
        );
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = read(&PathBuf::from("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1 MiB");
    }
}
