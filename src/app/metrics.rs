//! What the server has done, in the text format that Prometheus reads (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::fs;
use std::time::Duration;

use super::queue::Load;
use crate::web::{CloseReason, Cx, Histogram};

/// Ticks of proc(5) in a second: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the site counts itself.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by_status: BTreeMap<u16, u64>,
    answers: Histogram,
    body_bytes: u64,
    sockets_opened: u64,
    sockets_ended: BTreeMap<u16, u64>,
    messages: u64,
    message_bytes: u64,
}

/// What others have counted.
#[derive(Debug)]
pub(super) struct Others<'a> {
    /// Who was turned away, by the key of the limit.
    pub(super) turned_away: &'a BTreeMap<&'static str, u64>,
    /// Messages put on their way, and skipped for those who are slow.
    pub(super) delivered: u64,
    /// See there.
    pub(super) skipped: u64,
    /// The queues of workers, by name.
    pub(super) queues: [(&'static str, Load); 2],
}

impl Counts {
    /// A request was answered.
    pub(super) fn answered(&mut self, status: u16, body_bytes: u64, duration: Duration) {
        *self.by_status.entry(status).or_default() += 1;
        self.answers.record(duration);
        self.body_bytes += body_bytes;
    }

    /// A WebSocket is open.
    pub(super) fn opened(&mut self) {
        self.sockets_opened += 1;
    }

    /// A WebSocket has ended, with this close code.
    pub(super) fn ended(&mut self, code: u16) {
        *self.sockets_ended.entry(code).or_default() += 1;
    }

    /// A message came.
    pub(super) fn message(&mut self, bytes: usize) {
        self.messages += 1;
        self.message_bytes += bytes as u64;
    }

    /// Everything there is to tell.
    pub(super) fn text(&self, cx: &Cx<'_>, others: &Others<'_>) -> String {
        let mut page = Page::default();
        reactor(&mut page, cx);
        self.traffic(&mut page, others);
        workers(&mut page, others);
        process(&mut page);
        page.0
    }

    fn traffic(&self, page: &mut Page, others: &Others<'_>) {
        page.head("requests_total", "counter", "Requests answered, by status.");
        for (status, count) in &self.by_status {
            page.labelled("requests_total", "status", status, count);
        }
        let help = "From the end of a request to the queueing of its answer.";
        page.histogram("request_seconds", help, &self.answers);
        let help = "Bytes of the bodies of answers.";
        page.counter("answer_body_bytes_total", help, self.body_bytes);
        let ended: u64 = self.sockets_ended.values().sum();
        let open = self.sockets_opened.saturating_sub(ended);
        page.gauge("websockets", "WebSockets that are open.", open);
        let help = "WebSockets that have ended, by close code.";
        page.head("websockets_ended_total", "counter", help);
        for (code, count) in &self.sockets_ended {
            page.labelled("websockets_ended_total", "code", code, count);
        }
        let help = "Messages of WebSockets that came.";
        page.counter("messages_received_total", help, self.messages);
        let help = "Bytes of those messages.";
        page.counter("messages_received_bytes_total", help, self.message_bytes);
        let help = "Messages put on their way to a WebSocket.";
        page.counter("deliveries_total", help, others.delivered);
        let help = "Messages that slow WebSockets missed.";
        page.counter("deliveries_skipped_total", help, others.skipped);
        let help = "Connections and requests turned away, by the key of the limit.";
        page.head("turned_away_total", "counter", help);
        for (key, count) in others.turned_away {
            page.labelled("turned_away_total", "limit", key, count);
        }
    }
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
    page.counter("connections_refused_total", help, stats.refused);
    let help = "Connections that have ended, by reason.";
    page.head("connections_closed_total", "counter", help);
    for (reason, count) in CloseReason::ALL.iter().zip(&stats.closed) {
        page.labelled("connections_closed_total", "reason", label(*reason), count);
    }
    page.counter(
        "received_bytes_total",
        "Bytes read from sockets.",
        stats.bytes_in,
    );
    page.counter(
        "sent_bytes_total",
        "Bytes that sockets took.",
        stats.bytes_out,
    );
    let help = "Bytes of output that wait.";
    page.gauge("queued_output_bytes", help, cx.queued_bytes_total());
    page.gauge("timers", "Timers that run.", cx.timers());
    let help = "Turns of the loop, without their wait for events.";
    page.histogram("turn_seconds", help, &stats.turns);
}

fn workers(page: &mut Page, others: &Others<'_>) {
    page.head("queue_waiting", "gauge", "Jobs that wait for a worker.");
    for (queue, load) in &others.queues {
        page.labelled("queue_waiting", "queue", queue, load.waiting);
    }
    page.head("queue_jobs_total", "counter", "Jobs that were taken.");
    for (queue, load) in &others.queues {
        page.labelled("queue_jobs_total", "queue", queue, load.taken);
    }
    let help = "The time workers spent on jobs.";
    page.head("queue_busy_seconds_total", "counter", help);
    for (queue, load) in &others.queues {
        let busy = load.busy.as_secs_f64();
        page.labelled("queue_busy_seconds_total", "queue", queue, busy);
    }
}

/// What proc(5) says; it is made in memory when read. Names as all of Prometheus' libraries have them.
fn process(page: &mut Page) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    if let Some(kib) = resident {
        let help = "Resident memory, the heap and all else.";
        page.plain("process_resident_memory_bytes", "gauge", help, kib << 10);
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // From the third on: the second one may hold spaces, and ends with the last parenthesis.
    let fields = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace());
    let ticks: Vec<u64> = fields
        .into_iter()
        .flatten()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let seconds = |field: usize| {
        let ticks = ticks.get(field - 3);
        ticks.map(|ticks| *ticks as f64 / TICKS_PER_SECOND)
    };
    if let (Some(user), Some(kernel)) = (seconds(14), seconds(15)) {
        let help = "Processor time, in user and kernel mode.";
        page.plain("process_cpu_seconds_total", "counter", help, user + kernel);
    }
    let system = fs::read_to_string("/proc/stat").unwrap_or_default();
    let booted = system.lines().find_map(|line| line.strip_prefix("btime "));
    let booted = booted.and_then(|text| text.trim().parse::<f64>().ok());
    if let (Some(booted), Some(since)) = (booted, seconds(22)) {
        let help = "When the process started, in Unix time.";
        page.plain("process_start_time_seconds", "gauge", help, booted + since);
    }
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

    fn plain(&mut self, name: &str, kind: &str, help: &str, number: impl Display) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        self.line(format_args!("{name} {number}"));
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            match bound {
                Some(bound) => self.labelled(&bucket, "le", bound.as_secs_f64(), count),
                None => self.labelled(&bucket, "le", "+Inf", count),
            }
        }
        let (sum, count) = (histogram.sum().as_secs_f64(), histogram.count());
        self.line(format_args!("edgeloop_{name}_sum {sum}"));
        self.line(format_args!("edgeloop_{name}_count {count}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").ok();
    }
}
