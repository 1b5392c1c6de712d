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
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};

pub(super) use self::address::AddressText;
use self::file::{LogFile, Wishes};
use self::line::Composer;
use self::queue::Queue;
use self::sink::Sink;
use super::config::{Config, LogFormat, LogLevel};

mod address;
mod file;
mod line;
mod queue;
mod sink;

/// Bytes of lines that wait for the writer; more are dropped.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// How long the end of the process waits for an output that does not move.
const PATIENCE: Duration = Duration::from_secs(2);
/// Space the writer keeps between batches: what gathers while it writes one is more than it waits for.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// The running logger. Dropping it writes out what is queued and stops it, within two seconds.
#[must_use = "dropping it stops the log"]
#[derive(Debug)]
pub struct Logging {
    shared: Arc<Shared>,
    /// Whether this is the logger of the whole process.
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
        let (logger, mut logging) = {
            let wishes = Arc::default();
            let outputs = outputs(config, &wishes)?;
            start(config, rust_log, outputs, wishes, QUEUE_BYTES_MAX)?
        };
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

    /// From now on rotates the file as this configuration says.
    pub fn set_rotation(&self, config: &Config) {
        self.shared.set_rotation(config);
    }

    /// Opens the path of the log file again before the next lines: it may have been renamed.
    pub fn reopen(&self) {
        self.shared.wishes.reopen.store(true, Ordering::Relaxed);
    }

    /// How many lines were lost so far: those that found no room in the queue, and those that an output
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

/// What callers, the writer and the handle have in common.
struct Shared {
    queue: Queue,
    format: LogFormat,
    /// A `LevelFilter` as a number.
    level: AtomicUsize,
    /// What `RUST_LOG` says.
    directives: Option<env_logger::Logger>,
    has_outputs: bool,
    wishes: Arc<Wishes>,
    /// See [`Logging::lost`].
    lost: AtomicU64,
}

impl Shared {
    fn set_level(&self, level: LevelFilter) {
        // `Level` and `LevelFilter` number from the most serious up, `Off` being 0.
        self.level.store(level as usize, Ordering::Relaxed);
    }

    fn set_rotation(&self, config: &Config) {
        let Wishes {
            bytes_max, keep, ..
        } = &*self.wishes;
        bytes_max.store(config.log_max_size, Ordering::Relaxed);
        keep.store(config.log_keep, Ordering::Relaxed);
    }

    fn allows(&self, level: Level) -> bool {
        level as usize <= self.level.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("format", &self.format)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

struct Logger(Arc<Shared>);

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

fn outputs(config: &Config, wishes: &Arc<Wishes>) -> Result<Vec<Sink>, LoggingError> {
    let mut outputs = Vec::new();
    if config.log_to_console {
        outputs.push(Sink::new(Box::new(io::stderr())));
    }
    if config.log_to_file {
        let file = LogFile::open(&config.log_file_path, Arc::clone(wishes))
            .map_err(|error| LoggingError::File(config.log_file_path.clone(), error))?;
        outputs.push(Sink::file(file));
    }
    Ok(outputs)
}

fn start(
    config: &Config,
    rust_log: Option<&str>,
    outputs: Vec<Sink>,
    wishes: Arc<Wishes>,
    queue_bytes_max: usize,
) -> Result<(Logger, Logging), LoggingError> {
    let directives = rust_log
        .filter(|text| !text.is_empty())
        .map(|text| env_logger::Builder::new().parse_filters(text).build());
    let shared = Arc::new(Shared {
        queue: Queue::new(queue_bytes_max),
        format: config.log_format,
        level: AtomicUsize::default(),
        directives,
        has_outputs: !outputs.is_empty(),
        wishes,
        lost: AtomicU64::default(),
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
fn write_out(shared: &Shared, mut outputs: Vec<Sink>) {
    let mut batch = Vec::new();
    while let Some(dropped) = shared.queue.take(&mut batch) {
        let mut lost = dropped;
        if dropped > 0 {
            let text = format_args!("{dropped} log lines were dropped: the log queue was full");
            batch.extend_from_slice(&notice(shared.format, text));
        }
        let more = batch.len();
        for output in &mut outputs {
            if let Some(text) = output.prepare(more) {
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
