//! Sinks of log lines. A sink that fails loses lines and counts them; it never stops anything.

use std::io::{self, Write};

use super::file::{LogFile, Rotation};

/// One output: standard error or the log file.
pub(super) struct Sink {
    output: Output,
    /// Whole or torn lines that could not be written since the last success.
    lost: u64,
    /// Why, for the note that follows.
    reason: Option<io::Error>,
    /// `true` if the output ends in the middle of a line.
    torn: bool,
}

enum Output {
    Stream(Box<dyn Write + Send>),
    File(LogFile),
}

impl Sink {
    pub(super) fn stream(output: Box<dyn Write + Send>) -> Self {
        Self::new(Output::Stream(output))
    }

    pub(super) fn file(file: LogFile) -> Self {
        Self::new(Output::File(file))
    }

    fn new(output: Output) -> Self {
        Self {
            output,
            lost: 0,
            reason: None,
            torn: false,
        }
    }

    /// Opens a file again if that is asked for, or rotates it if it has no room for `more` bytes.
    ///
    /// # Errors
    /// A sentence for the log; lines go where they went before.
    pub(super) fn prepare(
        &mut self,
        more: usize,
        reopen: bool,
        rotation: Rotation,
    ) -> Result<(), String> {
        let Output::File(file) = &mut self.output else {
            return Ok(());
        };
        let is_new = if reopen {
            file.reopen().map_err(|error| {
                format!("the log file cannot be opened again, the old one is written on: {error}")
            })
        } else {
            file.make_room(more, rotation).map_err(|error| {
                format!("the log file cannot be rotated, and grows over log_max_size: {error}")
            })
        }?;
        self.torn &= !is_new;
        Ok(())
    }

    /// Writes whole lines. If earlier ones were lost, the line that `note` makes of their number
    /// and the reason goes first. Returns how many were lost now.
    pub(super) fn write(
        &mut self,
        lines: &[u8],
        note: impl FnOnce(u64, &io::Error) -> Vec<u8>,
    ) -> u64 {
        if let Some(reason) = &self.reason {
            let mut prefix = note(self.lost, reason);
            if self.torn {
                prefix.insert(0, b'\n');
            }
            match self.write_all(&prefix) {
                Ok(()) => (self.lost, self.reason) = (0, None),
                Err((_, error)) => {
                    // The note itself is torn or missing, and so are the lines after it.
                    return self.lose(count(lines), error);
                }
            }
        }
        match self.write_all(lines) {
            Ok(()) => 0,
            Err((rest, error)) => self.lose(rest, error),
        }
    }

    fn lose(&mut self, lines: u64, reason: io::Error) -> u64 {
        self.lost = self.lost.saturating_add(lines);
        self.reason = Some(reason);
        lines
    }

    /// On an error also how many lines are not wholly written.
    fn write_all(&mut self, lines: &[u8]) -> Result<(), (u64, io::Error)> {
        let mut rest = lines;
        while !rest.is_empty() {
            let written = match &mut self.output {
                Output::Stream(stream) => stream.write(rest),
                Output::File(file) => file.write(rest),
            };
            let error = match written {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    let (done, after) = rest.split_at_checked(written).unwrap_or((rest, &[]));
                    self.torn = done.last() != Some(&b'\n');
                    rest = after;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err((count(rest), error));
        }
        Ok(())
    }
}

/// Line ends: a line never has one inside.
fn count(lines: &[u8]) -> u64 {
    lines.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn note(lost: u64, _: &io::Error) -> Vec<u8> {
        format!("lost {lost}\n").into_bytes()
    }

    fn drain(mut reader: &UnixStream) -> String {
        let mut bytes = Vec::new();
        let error = reader.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_lost_to_a_full_output_are_counted_and_told_when_it_has_room() {
        let (output, reader) = UnixStream::pair().unwrap();
        output.set_nonblocking(true).unwrap();
        reader.set_nonblocking(true).unwrap();
        let mut sink = Sink::stream(Box::new(output));
        // Larger than any socket buffer; one line, so the output ends torn.
        let huge = [vec![b'x'; 8 << 20], b"\n".to_vec()].concat();
        sink.write(&huge, note);
        sink.write(b"two\nthree\n", note);
        let before = drain(&reader);
        assert!(before.len() < huge.len() && before.bytes().all(|byte| byte == b'x'));

        sink.write(b"four\n", note);
        sink.write(b"five\n", note);
        assert_eq!(drain(&reader), "\nlost 3\nfour\nfive\n");
    }

    #[test]
    fn a_closed_output_and_a_full_disk_are_survived() {
        let (output, reader) = UnixStream::pair().unwrap();
        drop(reader);
        let full = std::fs::OpenOptions::new().append(true).open("/dev/full");
        for output in [
            Box::new(output) as Box<dyn Write + Send>,
            Box::new(full.unwrap()),
        ] {
            let mut sink = Sink::stream(output);
            assert_eq!(sink.write(b"one\n", note), 1);
            assert_eq!(sink.write(b"two\nthree\n", note), 2);
            assert_eq!(sink.lost, 3);
            assert!(!sink.torn);
        }
    }
}
