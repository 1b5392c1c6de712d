//! PEM files (RFC 7468), with every section of them accounted for: what a lenient reader would skip is an
//! error here, with its line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// More than any store of authorities takes.
const BYTES_MAX: u64 = 16 << 20;

/// Reads a regular file: to open a pipe would wait for its writer.
///
/// # Errors
/// It cannot be read, or is something else.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > BYTES_MAX {
        return Err(io::Error::other("it is too large"));
    }
    // With room for all of it: no copy of a key stays behind where it has grown.
    let room = usize::try_from(metadata.len()).unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(room.saturating_add(1)));
    file.take(BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// A section between its `BEGIN` and `END` lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section<'a> {
    /// Its label.
    pub(super) label: &'a str,
    /// The line it begins at.
    pub(super) line: usize,
}

impl Section<'_> {
    pub(super) fn is_certificate(&self) -> bool {
        self.label == "CERTIFICATE"
    }

    pub(super) fn is_private_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// Returns `true` if it stands rightly in a file of certificates or keys: some keep both in one, and OpenSSL puts
    /// the parameters of a key before it.
    pub(super) fn is_expected(&self) -> bool {
        self.is_certificate()
            || self.is_private_key()
            || matches!(self.label, "EC PARAMETERS" | "DH PARAMETERS")
    }
}

/// Error at a line. Nothing of the text is quoted: it may be of a key.
pub(super) type PemError = (usize, &'static str);

/// Finds all sections. Between them there may be plain text.
///
/// # Errors
/// The first line at which a section could be lost.
pub(super) fn sections(text: &[u8]) -> Result<Vec<Section<'_>>, PemError> {
    let mut found = Vec::new();
    let mut open: Option<Section<'_>> = None;
    for (number, line) in (1..).zip(lines(text)) {
        let Ok(line) = str::from_utf8(line) else {
            return Err((number, "not text"));
        };
        let line = line.trim_end_matches([' ', '\t']);
        let has_marker = line.contains("-----BEGIN") || line.contains("-----END");
        match (marker(line, "-----BEGIN "), marker(line, "-----END "), open) {
            (Some(label), _, None) => {
                open = Some(Section {
                    label,
                    line: number,
                });
            }
            (_, Some(label), Some(section)) if label == section.label => {
                found.push(section);
                open = None;
            }
            (_, Some(_), Some(_)) => return Err((number, "the END line is of another section")),
            (_, Some(_), None) => return Err((number, "an END line without a BEGIN line")),
            (Some(_), _, Some(_)) => {
                return Err((
                    number,
                    "a section begins before the one before it has ended",
                ));
            }
            (None, None, _) if has_marker => {
                return Err((number, "a BEGIN or END that is not a line of its own"));
            }
            // What is in the section is for its decoder to judge.
            (None, None, Some(_)) => {}
            (None, None, None) if is_damaged_marker(line) => {
                return Err((
                    number,
                    "like a BEGIN or END line, but without its five hyphens",
                ));
            }
            (None, None, None) if !is_plain(line) => return Err((number, "not plain text")),
            (None, None, None) => {}
        }
    }
    match open {
        Some(section) => Err((section.line, "the section that begins here has no END line")),
        None => Ok(found),
    }
}

/// Lines as RFC 7468 §3 has them: ended by CRLF, CR or LF.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.iter().position(|&byte| byte == b'\n' || byte == b'\r');
        let (line, behind) = text.split_at(end.unwrap_or(text.len()));
        rest = end.and_then(|_| behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..)));
        Some(line)
    })
}

fn marker<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix("-----")?;
    (!label.contains("--")).then_some(label)
}

/// Returns `true` if this was a marker before a word processor, a form or a hand went over it.
fn is_damaged_marker(line: &str) -> bool {
    let line = line.to_ascii_uppercase();
    let is_marker = line.contains("BEGIN ") || line.contains("END ");
    is_marker && (line.contains("CERTIFICATE") || line.contains("PRIVATE KEY")) && {
        let is_dash = |char: char| {
            matches!(
                char,
                '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
            )
        };
        line.trim().starts_with(is_dash) || line.trim().ends_with(is_dash)
    }
}

/// Explanatory text (RFC 7468 §2). A byte order mark is none: it hides a marker behind it.
fn is_plain(line: &str) -> bool {
    !line
        .chars()
        .any(|char| (char.is_control() && char != '\t') || char == '\u{feff}' || char == '\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN A-----\nAAAA\n-----END A-----";

    #[test]
    fn sections_and_plain_text_are_told_apart() {
        let text =
            format!("subject=CN = é\n{ONE} \r\n\r\n# b\r-----BEGIN B C-----\r\n-----END B C-----");
        let found = sections(text.as_bytes()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.label, found.line))
            .collect();
        assert_eq!(found, [("A", 2), ("B C", 7)]);
        assert_eq!(sections(b"").unwrap(), []);
    }

    #[test]
    fn whatever_could_hide_a_section_is_refused_with_its_line() {
        for (text, line) in [
            (format!("{ONE}{ONE}\n"), 3),
            (format!("{ONE}\n\u{feff}{ONE}\n"), 4),
            (format!("{ONE}\n x{ONE}\n"), 4),
            (format!("{ONE}\n {ONE}\n"), 4),
            (format!("{ONE}\n\u{feff}\n{ONE}\n"), 4),
            (format!("{ONE}\n\0\n"), 4),
            (format!("{ONE}\n-----END A-----\n"), 4),
            (format!("{ONE}\n-----BEGIN A-----\nAAAA\n"), 4),
            (format!("-----BEGIN A-----\nAAAA\n{ONE}\n"), 3),
            (format!("{ONE}\n----BEGIN CERTIFICATE----\n"), 4),
            (format!("{ONE}\n-----begin certificate-----\n"), 4),
            (format!("{ONE}\n–––––BEGIN EC PRIVATE KEY–––––\n"), 4),
            (ONE.replace("END A", "END B"), 3),
            (ONE.replace("END A-----", "END A----"), 3),
        ] {
            let fault = sections(text.as_bytes()).unwrap_err();
            assert_eq!(fault.0, line, "{text:?}: {fault:?}");
        }
        assert_eq!(sections(b"\n\xff\n").unwrap_err().0, 2);
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in [pipe.as_path(), folder.path()] {
            let error = read(path).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file");
        }
    }
}
