//! Logging: to standard error and a file, as text or JSON lines, through a queue, so that a slow
//! disk or a stopped terminal never holds up the server.
//!
//! A caller formats its line into space it uses again and again, and copies it into a bounded
//! buffer that one thread writes out. When the buffer is full, lines are dropped and counted, and
//! the count is logged when there is room. An output that fails loses lines, and says how many
//! when it works again.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};

pub(super) use self::address::AddressText;
use self::file::{LogFile, Rotation};
use self::line::Composer;
use self::queue::{LineQueue, Taken};
use self::sink::Sink;
use super::config::{Config, LogFormat, LogLevel};

mod address;
mod file;
mod line;
mod queue;
mod sink;

/// Bytes of lines that wait for the writer; more are dropped.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Time for which the end of the process waits for an output that does not move.
const PATIENCE: Duration = Duration::from_secs(2);
/// Space the writer keeps between batches: what gathers while it writes one is more than it waits for.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// The running logger. Dropping it writes out what is queued and stops it, within two seconds.
#[must_use = "dropping it stops the log"]
#[derive(Debug)]
pub struct Logging {
    shared: Arc<LoggerShared>,
    /// `true` if this is the logger of the whole process.
    global: bool,
}

impl Logging {
    /// Makes this the logger of the process, as the configuration has it. `rust_log` is the
    /// value of `RUST_LOG`: if there is one it rules, and `log_level` does not count.
    ///
    /// # Errors
    ///
    /// See [`LoggingError`].
    pub fn install(config: &Config, rust_log: Option<&str>) -> Result<Self, LoggingError> {
        let (logger, mut logging) = start(config, rust_log, outputs(config)?, QUEUE_BYTES_MAX)?;
        let level = logger.max_level();
        log::set_boxed_logger(Box::new(logger)).map_err(|_| LoggingError::Installed)?;
        logging.global = true;
        log::set_max_level(level);
        Ok(logging)
    }

    /// From now on logs this level and what is more serious, unless `RUST_LOG` rules.
    pub fn set_level(&self, level: LogLevel) {
        self.shared.set_level(level.filter());
        if self.global && self.shared.directives.is_none() && self.shared.has_outputs {
            log::set_max_level(level.filter());
        }
    }

    /// From now on rotates the log file as this configuration has it.
    pub fn set_rotation(&self, config: &Config) {
        self.shared.set_rotation(config);
    }

    /// Opens the log file again, on the log's thread: logrotate(8) or somebody else may have moved it. What
    /// was logged before may go to the new file too. If it cannot be opened, the old one is written on, which
    /// the log says.
    pub fn reopen(&self) {
        self.shared.queue.reopen();
    }

    /// Number of lines lost so far: those that found no room in the queue, and those that an output
    /// did not take, once for each output.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until all that was logged before is written out, at most two seconds. Returns
    /// whether it is. For the end of a program and for tests: it blocks.
    pub fn flush(&self) -> bool {
        self.shared.queue.flush(PATIENCE)
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.shared.queue.close(PATIENCE);
    }
}

/// Why logging did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoggingError {
    /// The log file cannot be opened for appending.
    File(PathBuf, io::Error),
    /// The writer thread did not start.
    Thread(io::Error),
    /// The process has a logger already.
    Installed,
}

impl fmt::Display for LoggingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => {
                write!(
                    f,
                    "log_file_path: {}: cannot be opened: {error}",
                    path.display()
                )
            }
            Self::Thread(error) => write!(f, "the log writer cannot be started: {error}"),
            Self::Installed => f.write_str("the process has a logger already"),
        }
    }
}

impl Error for LoggingError {}

/// State shared by callers, the writer and the handle.
struct LoggerShared {
    queue: LineQueue,
    format: LogFormat,
    /// A `LevelFilter` as a number.
    level: AtomicUsize,
    /// Directives of `RUST_LOG`.
    directives: Option<env_logger::Logger>,
    has_outputs: bool,
    /// See [`Logging::lost`].
    lost: AtomicU64,
    /// `log_max_size` and `log_keep`.
    file_size_max: AtomicU64,
    files_kept: AtomicU32,
}

impl LoggerShared {
    fn set_level(&self, level: LevelFilter) {
        // `Level` and `LevelFilter` number from the most serious up, `Off` being 0.
        self.level.store(level as usize, Ordering::Relaxed);
    }

    fn set_rotation(&self, config: &Config) {
        self.file_size_max
            .store(config.log_max_size, Ordering::Relaxed);
        self.files_kept.store(config.log_keep, Ordering::Relaxed);
    }

    fn rotation(&self) -> Rotation {
        Rotation {
            size_max: self.file_size_max.load(Ordering::Relaxed),
            keep: self.files_kept.load(Ordering::Relaxed),
        }
    }

    fn allows(&self, level: Level) -> bool {
        level as usize <= self.level.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for LoggerShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("format", &self.format)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

struct Logger(Arc<LoggerShared>);

thread_local! {
    static COMPOSER: RefCell<Composer> = RefCell::default();
}

impl Logger {
    fn max_level(&self) -> LevelFilter {
        if !self.0.has_outputs {
            return LevelFilter::Off;
        }
        match &self.0.directives {
            Some(directives) => directives.filter(),
            None => LevelFilter::iter()
                .nth(self.0.level.load(Ordering::Relaxed))
                .unwrap_or(LevelFilter::Off),
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.has_outputs
            && match &self.0.directives {
                Some(directives) => directives.enabled(metadata),
                None => self.0.allows(metadata.level()),
            }
    }

    fn log(&self, record: &Record<'_>) {
        let wanted = self.0.has_outputs
            && match &self.0.directives {
                // Directives may have a pattern for the message too.
                Some(directives) => directives.matches(record),
                None => self.0.allows(record.level()),
            };
        if !wanted {
            return;
        }
        let (queue, format, now) = (&self.0.queue, self.0.format, SystemTime::now());
        let used = COMPOSER.try_with(|composer| {
            // Taken when a value that is being formatted logs in turn.
            let mut composer = composer.try_borrow_mut().ok()?;
            queue.push(composer.compose(format, now, record));
            Some(())
        });
        if !matches!(used, Ok(Some(()))) {
            queue.push(Composer::default().compose(format, now, record));
        }
    }

    fn flush(&self) {
        self.0.queue.flush(PATIENCE);
    }
}

fn outputs(config: &Config) -> Result<Vec<Sink>, LoggingError> {
    let mut outputs = Vec::new();
    if config.log_to_console {
        outputs.push(Sink::stream(Box::new(io::stderr())));
    }
    if config.log_to_file {
        let file = LogFile::open(&config.log_file_path)
            .map_err(|error| LoggingError::File(config.log_file_path.clone(), error))?;
        outputs.push(Sink::file(file));
    }
    Ok(outputs)
}

fn start(
    config: &Config,
    rust_log: Option<&str>,
    outputs: Vec<Sink>,
    queue_bytes_max: usize,
) -> Result<(Logger, Logging), LoggingError> {
    let directives = rust_log
        .filter(|text| !text.is_empty())
        .map(|text| env_logger::Builder::new().parse_filters(text).build());
    let shared = Arc::new(LoggerShared {
        queue: LineQueue::new(queue_bytes_max),
        format: config.log_format,
        level: AtomicUsize::default(),
        directives,
        has_outputs: !outputs.is_empty(),
        lost: AtomicU64::default(),
        file_size_max: AtomicU64::default(),
        files_kept: AtomicU32::default(),
    });
    shared.set_level(config.log_level.filter());
    shared.set_rotation(config);
    let writers = Arc::clone(&shared);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_out(&writers, outputs))
        .map_err(LoggingError::Thread)?;
    let logging = Logging {
        shared: Arc::clone(&shared),
        global: false,
    };
    Ok((Logger(shared), logging))
}

/// The writer thread, until the queue is closed.
fn write_out(shared: &LoggerShared, mut outputs: Vec<Sink>) {
    let mut batch = Vec::new();
    while let Some(Taken { dropped, reopen }) = shared.queue.take(&mut batch) {
        let mut lost = dropped;
        if dropped > 0 {
            let text = format_args!("{dropped} log lines were dropped: the log queue was full");
            batch.extend_from_slice(&notice(shared.format, text));
        }
        for output in &mut outputs {
            if let Err(text) = output.prepare(batch.len(), reopen, shared.rotation()) {
                batch.extend_from_slice(&notice(shared.format, format_args!("{text}")));
            }
        }
        for output in &mut outputs {
            lost += output.write(&batch, |lost, reason| {
                let text = format_args!("{lost} log lines were lost here: {reason}");
                notice(shared.format, text)
            });
        }
        shared.lost.fetch_add(lost, Ordering::Relaxed);
        batch.clear();
        batch.shrink_to(KEPT_BYTES_MAX);
    }
}

/// A line of the log about itself.
fn notice(format: LogFormat, text: fmt::Arguments<'_>) -> Vec<u8> {
    let record = Record::builder()
        .level(Level::Warn)
        .target(module_path!())
        .args(text)
        .build();
    Composer::default()
        .compose(format, SystemTime::now(), &record)
        .to_vec()
}

#[cfg(test)]
mod tests;
