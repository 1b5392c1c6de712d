//! Metrics of the server, in the text format that Prometheus reads (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::fs;

use super::chain::{self, Shown};
use super::queue::{self, Load};
use crate::web::{CloseReason, Cx, Histogram, Traffic};

/// Ticks of proc(5) in a second: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Sources of the metrics.
#[derive(Debug)]
pub(super) struct MetricSources<'a, 'b> {
    /// The reactor's view.
    pub(super) cx: &'a Cx<'b>,
    /// Requests, WebSockets and messages.
    pub(super) traffic: &'a Traffic,
    /// Rejections, by the key of the limit.
    pub(super) rejected: &'a BTreeMap<&'static str, u64>,
    /// Messages over the limit of their user.
    pub(super) rate_limited: u64,
    /// Messages put on their way to those who have subscribed.
    pub(super) published: u64,
    /// Messages skipped for those of them who are slow.
    pub(super) skipped: u64,
    /// The queues of workers, by name.
    pub(super) queues: [(&'static str, Load); 2],
    /// Lines that the log has lost.
    pub(super) lines_lost: u64,
    /// The certificates that are served.
    pub(super) certificates: &'a [Shown],
    /// This process.
    pub(super) process: &'a Process,
}

/// Everything there is to tell.
pub(super) fn text(counted: &MetricSources<'_, '_>) -> String {
    let mut page = Page::default();
    let version = env!("CARGO_PKG_VERSION");
    page.head("build_info", "gauge", "Always 1: the version is the label.");
    page.labelled("build_info", "version", version, 1);
    reactor(&mut page, counted.cx);
    requests(&mut page, counted.traffic);
    sockets(&mut page, counted);
    limits(&mut page, counted);
    workers(&mut page, &counted.queues);
    let help = "Lines that the log lost: its queue was full, or an output failed.";
    page.counter("log_lines_lost_total", help, counted.lines_lost);
    certificates(&mut page, counted.certificates);
    counted.process.tell(&mut page);
    page.0
}

fn reactor(page: &mut Page, cx: &Cx<'_>) {
    let (stats, phases) = (cx.stats(), cx.phases());
    page.head("connections", "gauge", "Connections, by state.");
    for (state, count) in [
        ("handshaking", phases.handshaking),
        ("open", phases.open),
        ("finishing", phases.finishing),
    ] {
        page.labelled("connections", "state", state, count);
    }
    let help = "Connections that were taken.";
    page.counter("connections_accepted_total", help, stats.accepted);
    let help = "Connections that were closed at once.";
    page.counter("connections_refused_total", help, stats.rejected);
    let help = "Connections that have ended, by reason.";
    page.head("connections_closed_total", "counter", help);
    for (reason, count) in CloseReason::ALL.iter().zip(&stats.closed) {
        page.labelled("connections_closed_total", "reason", label(*reason), count);
    }
    let help = "Panics of callbacks, each of which has ended its connection, and of workers' jobs.";
    page.counter("panics_total", help, stats.panics + queue::panics());
    let help = "Broken invariants: faults of the server, logged once for each place.";
    page.counter(
        "invariant_violations_total",
        help,
        crate::invariant::violations(),
    );
    let help = "Accepts that failed for want of descriptors or memory.";
    page.counter("accepts_exhausted_total", help, stats.exhausted);
    let help = "Bytes read from sockets.";
    page.counter("received_bytes_total", help, stats.bytes_in);
    let help = "Bytes that sockets took.";
    page.counter("sent_bytes_total", help, stats.bytes_out);
    let help = "Memory held by output that waits; what waits for many counts once.";
    page.gauge("queued_output_bytes", help, cx.queued_bytes_total());
    let help = "Input that waits for the rest of a request or message.";
    page.gauge("held_input_bytes", help, cx.held_input_bytes());
    page.gauge("timers", "Timers that run.", cx.timers());
    let help = "Turns of the loop, without their wait for events.";
    page.head("turn_seconds", "histogram", help);
    page.histogram("turn_seconds", "", &stats.turns);
    let help = "The longest turn: of this minute and the one before, and since the start.";
    page.head("turn_longest_seconds", "gauge", help);
    for (within, longest) in [
        ("minutes", cx.longest_turn_of_late()),
        ("process", cx.longest_turn()),
    ] {
        let seconds = longest.as_secs_f64();
        page.labelled("turn_longest_seconds", "within", within, seconds);
    }
}

fn requests(page: &mut Page, traffic: &Traffic) {
    page.head("requests_total", "counter", "Requests answered, by status.");
    for (status, count) in &traffic.statuses {
        page.labelled("requests_total", "status", status, count);
    }
    let help = "From the end of a request to the queueing of its answer.";
    page.head("request_seconds", "histogram", help);
    page.histogram("request_seconds", "", &traffic.times);
    let help = "Bytes of the bodies of answers.";
    page.counter("answer_body_bytes_total", help, traffic.body_bytes);
}

fn sockets(page: &mut Page, counted: &MetricSources<'_, '_>) {
    let traffic = counted.traffic;
    let help = "WebSockets that are open.";
    page.gauge("websockets", help, traffic.sockets());
    let help = "WebSockets that were opened.";
    page.counter("websockets_opened_total", help, traffic.opened);
    let help = "WebSockets that have ended, by close code; 3000 and 4000 are all from there on.";
    page.head("websockets_ended_total", "counter", help);
    for (code, count) in &traffic.ended {
        page.labelled("websockets_ended_total", "code", code, count);
    }
    let help = "Messages of WebSockets that came.";
    page.counter("messages_received_total", help, traffic.messages_in);
    let (help, bytes) = ("Bytes of those messages.", traffic.message_bytes_in);
    page.counter("messages_received_bytes_total", help, bytes);
    let help = "Messages put on their way to a WebSocket, once for each that gets it.";
    let delivered = traffic.messages_out + counted.published;
    page.counter("deliveries_total", help, delivered);
    let help = "Messages that slow WebSockets missed.";
    page.counter("deliveries_skipped_total", help, counted.skipped);
}

fn limits(page: &mut Page, counted: &MetricSources<'_, '_>) {
    let help = "Connections, requests and messages turned away, by the key of the limit.";
    page.head("turned_away_total", "counter", help);
    let messages = ("messages_per_minute", counted.rate_limited);
    let others = counted.rejected.iter().map(|(key, count)| (*key, *count));
    for (key, count) in others.chain([messages]) {
        page.labelled("turned_away_total", "limit", key, count);
    }
}

fn workers(page: &mut Page, queues: &[(&str, Load)]) {
    let mut family = |name: &str, kind: &str, help: &str, number: fn(&Load) -> f64| {
        page.head(name, kind, help);
        for (queue, load) in queues {
            page.labelled(name, "queue", queue, number(load));
        }
    };
    let help = "Jobs that wait for a worker.";
    family("queue_waiting", "gauge", help, |load| load.waiting as f64);
    let help = "Jobs that found no room in the queue.";
    let rejected = |load: &Load| load.rejected as f64;
    family("queue_refused_total", "counter", help, rejected);
    let help = "Jobs that were taken.";
    let taken = |load: &Load| load.waits.count() as f64;
    family("queue_jobs_total", "counter", help, taken);
    let help = "The time workers spent on jobs.";
    let busy = |load: &Load| load.busy.as_secs_f64();
    family("queue_busy_seconds_total", "counter", help, busy);
    let help = "The time jobs waited for a worker.";
    page.head("queue_wait_seconds", "histogram", help);
    for (queue, load) in queues {
        let labels = format!("queue=\"{queue}\",");
        page.histogram("queue_wait_seconds", &labels, &load.waits);
    }
}

/// A name is told once: of certificates for the same one, that of another kind of key say, the first to expire.
fn certificates(page: &mut Page, served: &[Shown]) {
    let help = "Seconds until the certificate for the name expires; negative when it has.";
    page.head("certificate_expires_seconds", "gauge", help);
    let mut soonest = BTreeMap::new();
    for Shown { name, not_after } in served {
        let known = soonest.entry(name).or_insert(*not_after);
        *known = (*known).min(*not_after);
    }
    for (name, not_after) in soonest {
        let name = name
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let left = not_after.saturating_sub(chain::now());
        page.labelled("certificate_expires_seconds", "name", name, left);
    }
}

/// This process, as proc(5) has it: text that the kernel makes when it is read, no disk. With it the whole
/// page keeps the loop for some 150 µs.
#[derive(Debug)]
pub(super) struct Process {
    /// In Unix time.
    started: Option<f64>,
}

impl Process {
    /// This process.
    pub(super) fn new() -> Self {
        // Not at each use: on a large machine the kernel counts for a while.
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = system.lines().find_map(|line| line.strip_prefix("btime "));
        let booted = booted.and_then(|text| text.trim().parse::<f64>().ok());
        let since = StatFields::read().ticks(22).map(seconds);
        Self {
            started: booted.zip(since).map(|(booted, since)| booted + since),
        }
    }

    /// Names as all of Prometheus' libraries have them. What the kernel does not say is left out.
    fn tell(&self, page: &mut Page) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
        };
        for (name, field, help) in [
            (
                "process_resident_memory_bytes",
                "VmRSS:",
                "Resident memory, the heap and all else.",
            ),
            (
                "edgeloop_anonymous_memory_bytes",
                "RssAnon:",
                "Resident memory of no file: the heap, with what is free in it, and stacks.",
            ),
            ("process_virtual_memory_bytes", "VmSize:", "Address space."),
        ] {
            page.plain(name, "gauge", help, bytes(field));
        }
        // Since Linux 6.2 this is their number.
        let open = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
        let (help, open) = ("Descriptors that are open.", (open > 0).then_some(open));
        page.plain("process_open_fds", "gauge", help, open);
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let most = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let most = most.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let help = "The most descriptors that may be.";
        page.plain("process_max_fds", "gauge", help, most);
        let stat = StatFields::read();
        let used = stat.ticks(14).zip(stat.ticks(15));
        let used = used.map(|(user, kernel)| seconds(user + kernel));
        let help = "Processor time, in user and kernel mode.";
        page.plain("process_cpu_seconds_total", "counter", help, used);
        let help = "When the process started, in Unix time.";
        page.plain("process_start_time_seconds", "gauge", help, self.started);
    }
}

/// The fields of `/proc/self/stat`, from the third on: the second one may hold spaces, and ends with the
/// last parenthesis.
struct StatFields(String);

impl StatFields {
    fn read() -> Self {
        Self(fs::read_to_string("/proc/self/stat").unwrap_or_default())
    }

    fn ticks(&self, field: usize) -> Option<u64> {
        let (_, rest) = self.0.rsplit_once(')')?;
        let ticks = rest.split_whitespace().nth(field.checked_sub(3)?)?;
        ticks.parse().ok()
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

const fn label(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Finished => "finished",
        CloseReason::Closed => "closed",
        CloseReason::Reset => "reset",
        CloseReason::ConnectFailed => "connect_failed",
        CloseReason::Tls => "tls",
        CloseReason::HandshakeTimeout => "handshake_timeout",
        CloseReason::InputOverflow => "input_overflow",
        CloseReason::TooSlow => "too_slow",
        CloseReason::OutputOverflow => "output_overflow",
        CloseReason::Panicked => "panicked",
        CloseReason::Shutdown => "shutdown",
    }
}

/// The text. Writing to a string does not fail.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP edgeloop_{name} {help}"));
        self.line(format_args!("# TYPE edgeloop_{name} {kind}"));
    }

    fn labelled(&mut self, name: &str, label: &str, value: impl Display, number: impl Display) {
        self.line(format_args!(
            "edgeloop_{name}{{{label}=\"{value}\"}} {number}"
        ));
    }

    fn counter(&mut self, name: &str, help: &str, number: impl Display) {
        self.head(name, "counter", help);
        self.line(format_args!("edgeloop_{name} {number}"));
    }

    fn gauge(&mut self, name: &str, help: &str, number: impl Display) {
        self.head(name, "gauge", help);
        self.line(format_args!("edgeloop_{name} {number}"));
    }

    /// A name that is not ours alone.
    fn plain(&mut self, name: &str, kind: &str, help: &str, number: Option<impl Display>) {
        if let Some(number) = number {
            self.line(format_args!("# HELP {name} {help}"));
            self.line(format_args!("# TYPE {name} {kind}"));
            self.line(format_args!("{name} {number}"));
        }
    }

    /// The samples of a histogram; each of `labels` ends with a comma.
    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            let bound = match bound {
                Some(bound) => bound.as_secs_f64().to_string(),
                None => "+Inf".to_owned(),
            };
            self.line(format_args!(
                "edgeloop_{name}_bucket{{{labels}le=\"{bound}\"}} {count}"
            ));
        }
        let (sum, count) = (histogram.sum().as_secs_f64(), histogram.count());
        let labels = match labels.strip_suffix(',') {
            Some(labels) => format!("{{{labels}}}"),
            None => String::new(),
        };
        self.line(format_args!("edgeloop_{name}_sum{labels} {sum}"));
        self.line(format_args!("edgeloop_{name}_count{labels} {count}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").ok();
    }
}
