use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn config(path: &Path) -> Config {
    Config {
        log_to_console: false,
        log_file_path: path.to_path_buf(),
        ..Config::default()
    }
}

fn open(config: &Config, rust_log: Option<&str>) -> (Logger, Logging) {
    start(config, rust_log, outputs(config).unwrap(), QUEUE_BYTES_MAX).unwrap()
}

fn say(logger: &Logger, level: Level, target: &str, text: &str) {
    logger.log(
        &Record::builder()
            .level(level)
            .target(target)
            .args(format_args!("{text}"))
            .build(),
    );
}

fn say_each_level(logger: &Logger) {
    for level in Level::iter() {
        say(logger, level, "edgeloop", level.as_str());
    }
}

/// The messages in the file, each line checked to begin with a time.
fn messages(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            assert!(
                line.starts_with("20") && line.get(23..25) == Some("Z "),
                "{line}"
            );
            line[31..].to_owned()
        })
        .collect()
}

#[test]
fn lines_are_appended_to_a_file_that_is_not_for_everyone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    for text in ["one", "two"] {
        let (logger, logging) = open(&config(&path), None);
        say(&logger, Level::Info, "edgeloop", text);
        drop(logging);
    }
    assert_eq!(messages(&path), ["one", "two"]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o007, 0);
}

#[test]
fn levels_mean_what_the_configuration_says() {
    for (level, expected) in [
        (LogLevel::Debug, &["ERROR", "WARN", "INFO", "DEBUG"][..]),
        (LogLevel::Info, &["ERROR", "WARN", "INFO"]),
        (LogLevel::Warn, &["ERROR", "WARN"]),
        (LogLevel::Error, &["ERROR"]),
        (LogLevel::Fatal, &[]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let config = Config {
            log_level: level,
            ..config(&path)
        };
        let (logger, logging) = open(&config, None);
        assert_eq!(logger.max_level(), level.filter());
        say_each_level(&logger);
        assert!(logging.flush());
        assert_eq!(messages(&path), expected, "{level:?}");
    }
}

#[test]
fn the_level_changes_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let (logger, logging) = open(&config(&path), None);
    logging.set_level(LogLevel::Error);
    say_each_level(&logger);
    logging.set_level(LogLevel::Debug);
    say_each_level(&logger);
    assert!(logging.flush());
    assert_eq!(messages(&path), ["ERROR", "ERROR", "WARN", "INFO", "DEBUG"]);
}

#[test]
fn rust_log_rules_when_it_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let (logger, logging) = open(&config(&path), Some("error,edgeloop::web=trace"));
    assert_eq!(logger.max_level(), LevelFilter::Trace);
    logging.set_level(LogLevel::Fatal);
    say_each_level(&logger);
    say(&logger, Level::Trace, "edgeloop::web", "detail");
    assert!(logging.flush());
    assert_eq!(messages(&path), ["ERROR", "detail"]);

    let (logger, _logging) = open(&config(&path), Some(""));
    assert_eq!(logger.max_level(), LevelFilter::Info);
}

#[test]
fn json_lines_are_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let config = Config {
        log_format: LogFormat::Json,
        ..config(&path)
    };
    let (logger, logging) = open(&config, None);
    say(&logger, Level::Info, "edgeloop", "a\nb");
    assert!(logging.flush());
    let text = fs::read_to_string(&path).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "a\nb");
}

#[test]
fn a_log_without_outputs_costs_nothing() {
    let config = Config {
        log_to_console: false,
        log_to_file: false,
        ..Config::default()
    };
    for rust_log in [None, Some("trace")] {
        let (logger, _logging) = open(&config, rust_log);
        assert_eq!(logger.max_level(), LevelFilter::Off);
        let error = Metadata::builder().level(Level::Error).build();
        assert!(!logger.enabled(&error));
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = outputs(&config(folder.path())).err().unwrap();
    let expected = format!(
        "log_file_path: {}: cannot be opened: ",
        folder.path().display()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn a_file_that_was_moved_is_opened_again_also_when_nothing_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let [path, moved] = ["server.log", "moved.log"].map(|name| folder.path().join(name));
    let (logger, logging) = open(&config(&path), None);
    say(&logger, Level::Info, "edgeloop", "one");
    assert!(logging.flush());
    fs::rename(&path, &moved).unwrap();
    logging.reopen();
    assert!(logging.flush());
    assert_eq!(messages(&path), [""; 0]);
    say(&logger, Level::Info, "edgeloop", "two");
    assert!(logging.flush());
    assert_eq!(messages(&moved), ["one"]);
    assert_eq!(messages(&path), ["two"]);
}

#[test]
fn a_file_that_cannot_be_opened_again_is_written_on_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let [path, moved] = ["server.log", "moved.log"].map(|name| folder.path().join(name));
    let (logger, logging) = open(&config(&path), None);
    fs::rename(&path, &moved).unwrap();
    fs::create_dir(&path).unwrap();
    logging.reopen();
    assert!(logging.flush());
    say(&logger, Level::Info, "edgeloop", "one");
    assert!(logging.flush());
    let messages = messages(&moved);
    assert!(messages[0].contains("the log file cannot be opened again"));
    assert_eq!(messages[1..], ["one"]);
}

#[test]
fn a_file_is_rotated_at_a_limit_that_changes_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let [path, older] = ["server.log", "server.log.1"].map(|name| folder.path().join(name));
    let mut config = config(&path);
    (config.log_max_size, config.log_keep) = (0, 5);
    let (logger, logging) = open(&config, None);
    for text in ["one", "two"] {
        say(&logger, Level::Info, "edgeloop", text);
        assert!(logging.flush());
    }
    config.log_max_size = 50;
    logging.set_rotation(&config);
    say(&logger, Level::Info, "edgeloop", "three");
    assert!(logging.flush());
    assert_eq!(messages(&older), ["one", "two"]);
    assert_eq!(messages(&path), ["three"]);

    // A folder with something in it gives its place to nobody.
    let last = folder.path().join("server.log.5");
    fs::create_dir_all(last.join("x")).unwrap();
    for number in 2..5 {
        fs::write(folder.path().join(format!("server.log.{number}")), "").unwrap();
    }
    for text in ["four", "five"] {
        say(&logger, Level::Info, "edgeloop", text);
        assert!(logging.flush());
    }
    let messages = messages(&path);
    assert_eq!(
        (messages[0].as_str(), messages[1].as_str()),
        ("three", "four")
    );
    assert!(messages[2].contains("the log file cannot be rotated"));
    assert_eq!(messages[3..], ["five"]);
}

#[test]
fn a_value_that_logs_while_it_is_formatted_is_no_trouble() {
    struct Chatty<'a>(&'a Logger);
    impl fmt::Display for Chatty<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            say(self.0, Level::Info, "edgeloop", "inner");
            f.write_str("outer")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let (logger, logging) = open(&config(&path), None);
    logger.log(
        &Record::builder()
            .level(Level::Info)
            .target("edgeloop")
            .args(format_args!("{}", Chatty(&logger)))
            .build(),
    );
    assert!(logging.flush());
    assert_eq!(messages(&path), ["inner", "outer"]);
}

#[test]
fn many_threads_keep_their_lines_whole_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let (logger, logging) = open(&config(&path), None);
    thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let logger = &logger;
            scope.spawn(move || {
                for number in 0..1000 {
                    say(logger, Level::Info, "edgeloop", &format!("{name} {number}"));
                }
            });
        }
    });
    assert!(logging.flush());
    let messages = messages(&path);
    for name in ["a", "b", "c", "d"] {
        let own = messages.iter().filter(|line| line.starts_with(name));
        assert!(
            own.eq((0..1000)
                .map(|number| format!("{name} {number}"))
                .collect::<Vec<_>>()
                .iter())
        );
    }
}

/// Reads lines until the writer ends; returns how many are `line`s and how many were dropped.
fn count_lines(reader: PipeReader) -> (u64, u64) {
    let (mut lines, mut dropped) = (0, 0);
    for line in BufReader::new(reader).lines() {
        let line = line.unwrap();
        match line[31..].split_once(" log lines were dropped: the log queue was full") {
            Some((number, _)) => dropped += number.parse::<u64>().unwrap(),
            None => lines += u64::from(&line[31..] == "line"),
        }
    }
    (lines, dropped)
}

#[test]
fn a_full_queue_drops_lines_and_tells_how_many() {
    const SENT: u64 = 10_000;
    let (reader, writer) = io::pipe().unwrap();
    let outputs = vec![Sink::stream(Box::new(writer))];
    let (logger, logging) = start(&Config::default(), None, outputs, 4096).unwrap();
    // Nobody reads the pipe: it fills, the writer blocks, the queue fills. Callers go on.
    for _ in 0..SENT {
        say(&logger, Level::Info, "edgeloop", "line");
    }
    let counting = thread::spawn(move || count_lines(reader));
    drop(logging);
    let (lines, dropped) = counting.join().unwrap();
    assert!(dropped > 0);
    assert_eq!(lines + dropped, SENT);
}

#[test]
fn a_line_larger_than_the_queue_is_told_at_once() {
    let (reader, writer) = io::pipe().unwrap();
    let outputs = vec![Sink::stream(Box::new(writer))];
    let (logger, logging) = start(&Config::default(), None, outputs, 100).unwrap();
    say(&logger, Level::Info, "edgeloop", &"x".repeat(200));
    assert!(logging.flush());
    drop(logging);
    assert_eq!(count_lines(reader), (0, 1));
}

#[test]
fn a_full_disk_and_a_closed_pipe_do_not_keep_lines_from_a_good_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let (reader, closed) = io::pipe().unwrap();
    drop(reader);
    let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let mut all = vec![Sink::stream(Box::new(full)), Sink::stream(Box::new(closed))];
    all.extend(outputs(&config(&path)).unwrap());
    let (logger, logging) = start(&config(&path), None, all, QUEUE_BYTES_MAX).unwrap();
    for text in ["one", "two"] {
        say(&logger, Level::Info, "edgeloop", text);
        assert!(logging.flush());
    }
    assert_eq!(messages(&path), ["one", "two"]);
}

#[test]
fn the_end_does_not_wait_for_ever_for_an_output_that_does_not_move() {
    let (reader, writer) = io::pipe().unwrap();
    let outputs = vec![Sink::stream(Box::new(writer))];
    let (logger, logging) = start(&Config::default(), None, outputs, 1 << 20).unwrap();
    for _ in 0..10_000 {
        say(&logger, Level::Info, "edgeloop", "line");
    }
    let patience = Duration::from_millis(1);
    assert!(!logging.shared.queue.flush(patience));
    assert!(!logging.shared.queue.close(patience));
    // Lets the writer thread end.
    drop(reader);
}

/// The one test that sets the logger of the process: lines of other tests may end up here too.
#[test]
fn installed_it_takes_what_the_macros_give_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let logging = Logging::install(&config(&path), None).unwrap();
    log::info!(target: "edgeloop", peer = "127.0.0.1:5000", path:% = "/a b"; "access 7531");
    logging.set_level(LogLevel::Warn);
    assert_eq!(log::max_level(), LevelFilter::Warn);
    log::info!("not this 7531");
    assert!(logging.flush());
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("Z INFO  access 7531 peer=127.0.0.1:5000 path=\"/a b\"\n"),
        "{text}"
    );
    assert!(!text.contains("not this 7531"), "{text}");

    let error = Logging::install(&config(&path), None).unwrap_err();
    assert_eq!(error.to_string(), "the process has a logger already");
}
