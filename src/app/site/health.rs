//! `true` if the server lives, whether it can serve, and what it has done.

use std::sync::Arc;
use std::time::Duration;

use super::{App, Mail};
use crate::app::accounts::AccountError;
use crate::app::chain::Shown;
use crate::app::hosts;
use crate::app::logging::Logging;
use crate::app::metrics::{self, MetricSources};
use crate::app::publisher::Member;
use crate::web::{Body, Cx, ExchangeId, Method, Reply, Request, Response};

/// Time for which the store's last response counts, in milliseconds.
const FRESH_MS: u64 = 1_000;
/// Time limit for the store's response, in milliseconds: probes usually give up after a second.
const PATIENCE_MS: u64 = 500;
/// Limit on requests that wait for it.
const WAITING_MAX: usize = 64;
/// No user has it: whether there is one is not the question.
const NO_USER: i64 = -1;
const SILENT: &str = "the store does not answer";
const UNUSABLE: &str = "the database cannot be used, the log says why";

/// One question to the store at a time, whoever wants to know: a flood of requests is none of jobs.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// `true` if all was well when the store answered last, and when that was.
    responded: Option<(bool, u64)>,
    /// When it was asked, if it has not answered yet.
    asked_ms: Option<u64>,
    /// Exchanges that wait for the result.
    waiting: Vec<ExchangeId>,
}

impl Probe {
    /// Nobody is to be told there any more. Returns whether somebody was.
    pub(super) fn forget(&mut self, exchange: ExchangeId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|other| *other != exchange);
        self.waiting.len() < before
    }
}

impl App {
    /// Says which certificates are served.
    pub fn serves(&mut self, certificates: Vec<Shown>) {
        self.certificates = certificates;
    }

    /// Says which log to ask for the lines it has lost.
    pub fn set_logging(&mut self, logging: Arc<Logging>) {
        self.logging = Some(logging);
    }

    /// A request of the listener for metrics.
    pub(super) fn tell(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        let (names, bound) = (&self.config.server_names, self.metrics_address);
        if !hosts::is_for_metrics(names, bound, request.host()) {
            return self
                .responses
                .error(421, "Not a name of this listener")
                .into();
        }
        if !matches!(request.method(), Method::Get | Method::Head) {
            let response = self.responses.error(405, "Method not allowed");
            return response.field("Allow", "GET, HEAD").into();
        }
        match request.path() {
            "/metrics" => {
                let text = self.metrics(cx);
                Response::new(200, Body::Bytes(text.into_bytes()))
                    .field("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                    .field("Cache-Control", "no-store")
                    .into()
            }
            "/healthz" => Self::live().into(),
            "/readyz" => self.ready(cx, request),
            _ => self.responses.error(404, "Not found").into(),
        }
    }

    fn metrics(&self, cx: &Cx<'_>) -> String {
        metrics::text(&MetricSources {
            cx,
            traffic: &self.traffic,
            rejected: self.gate.rejected(),
            rate_limited: self.chat.rate_limited(),
            published: self.topics.delivered(),
            skipped: self.topics.skipped(),
            queues: self.accounts.loads(),
            lines_lost: self.logging.as_ref().map_or(0, |logging| logging.lost()),
            certificates: &self.certificates,
            process: &self.process,
        })
    }

    /// The loop goes round: this is the proof.
    pub(super) fn live() -> Response {
        Response::text(200, "ok\n").field("Cache-Control", "no-store")
    }

    /// Returns `true` if the store answers, and no shutdown is under way.
    pub(super) fn ready(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        let now_ms = self.now_ms(cx);
        let is_fresh = |(_, at_ms): (bool, u64)| now_ms - at_ms < FRESH_MS;
        if cx.is_shutting_down() || self.probe.responded.is_some_and(is_fresh) {
            return self.known(cx).into();
        }
        let asked_ms = match self.probe.asked_ms {
            Some(asked_ms) => asked_ms,
            None if self.ask_store() => now_ms,
            None => return readiness(Err("the store has too much to do")).into(),
        };
        self.probe.asked_ms = Some(asked_ms);
        let left_ms = (asked_ms + PATIENCE_MS).saturating_sub(now_ms);
        if left_ms == 0 || self.probe.waiting.len() >= WAITING_MAX {
            return readiness(Err(SILENT)).into();
        }
        self.probe.waiting.push(request.exchange());
        Reply::LaterWithin(Duration::from_millis(left_ms))
    }

    /// Returns whether the question is on its way.
    fn ask_store(&self) -> bool {
        let post = self.post.clone();
        let responded = move |found| {
            let failed = matches!(
                found,
                Err(AccountError::Unavailable | AccountError::Overloaded)
            );
            // Once the reactor has ended there is nobody to tell.
            post.to_service(Mail::Probed(!failed)).ok();
        };
        self.accounts.me(NO_USER, Box::new(responded)).is_ok()
    }

    /// The store has answered.
    pub(super) fn probed(&mut self, cx: &Cx<'_>, is_well: bool) {
        self.probe.responded = Some((is_well, self.now_ms(cx)));
        self.probe.asked_ms = None;
        for exchange in self.probe.waiting.drain(..) {
            self.post.to_exchange(exchange, Mail::Known).ok();
        }
    }

    /// Responds with what is known by now.
    pub(super) fn known(&self, cx: &Cx<'_>) -> Response {
        readiness(match self.probe.responded {
            _ if cx.is_shutting_down() => Err("shutting down"),
            Some((true, _)) => Ok(()),
            Some((false, _)) => Err(UNUSABLE),
            None => Err(SILENT),
        })
    }

    /// The store takes too long, if that is what this request waits for.
    pub(super) fn given_up(&mut self, exchange: ExchangeId) -> Option<Response> {
        self.probe.forget(exchange).then(|| readiness(Err(SILENT)))
    }
}

fn readiness(state: Result<(), &str>) -> Response {
    let response = match state {
        Ok(()) => Response::text(200, "ready\n"),
        Err(reason) => Response::text(503, format!("{reason}\n")).field("Retry-After", "1"),
    };
    response.field("Cache-Control", "no-store")
}
