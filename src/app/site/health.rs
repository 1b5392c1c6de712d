//! Whether the server lives, whether it can serve, and what it has done.

use std::sync::Arc;
use std::time::Duration;

use super::{Mail, Site};
use crate::app::accounts::AccountError;
use crate::app::chain::Shown;
use crate::app::hosts;
use crate::app::logging::Logging;
use crate::app::metrics::{self, Counted};
use crate::app::talk::Member;
use crate::web::{Body, Cx, ExchangeId, Method, Reply, Request, Response};

/// How long what the store has answered counts, in milliseconds.
const FRESH_MS: u64 = 1_000;
/// How long the store may take to answer, in milliseconds: who probes gives up after a second, as a rule.
const PATIENCE_MS: u64 = 500;
/// How many requests may wait for it to.
const WAITING_MAX: usize = 64;
/// No user has it: whether there is one is not the question.
const NO_USER: i64 = -1;
const SILENT: &str = "the store does not answer";
const UNUSABLE: &str = "the database cannot be used, the log says why";

/// One question to the store at a time, whoever wants to know: a flood of requests is none of jobs.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Whether all was well when the store answered last, and when that was.
    answered: Option<(bool, u64)>,
    /// When it was asked, if it has not answered yet.
    asked_ms: Option<u64>,
    /// Who is to be told.
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

impl Site {
    /// Says which certificates are served.
    pub fn serves(&mut self, certificates: Vec<Shown>) {
        self.certificates = certificates;
    }

    /// Says which log to ask for the lines it has lost.
    pub fn logs_to(&mut self, logging: Arc<Logging>) {
        self.logging = Some(logging);
    }

    /// A request of the listener for metrics.
    pub(super) fn tell(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        let (names, bound) = (&self.config.server_names, self.metrics_address);
        if !hosts::is_for_metrics(names, bound, request.host()) {
            return self
                .answers
                .error(421, "Not a name of this listener")
                .into();
        }
        if !matches!(request.method(), Method::Get | Method::Head) {
            let answer = self.answers.error(405, "Method not allowed");
            return answer.field("Allow", "GET, HEAD").into();
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
            _ => self.answers.error(404, "Not found").into(),
        }
    }

    fn metrics(&self, cx: &Cx<'_>) -> String {
        metrics::text(&Counted {
            cx,
            traffic: &self.traffic,
            turned_away: self.gate.turned_away(),
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

    /// Whether the store answers, and no shutdown is under way.
    pub(super) fn ready(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        let now_ms = self.now_ms(cx);
        let is_fresh = |(_, at_ms): (bool, u64)| now_ms - at_ms < FRESH_MS;
        if cx.is_draining() || self.probe.answered.is_some_and(is_fresh) {
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
        let answered = move |found| {
            let failed = matches!(
                found,
                Err(AccountError::Unavailable | AccountError::Overloaded)
            );
            // Once the reactor has ended there is nobody to tell.
            post.to_service(Mail::Probed(!failed)).ok();
        };
        self.accounts.me(NO_USER, Box::new(answered)).is_ok()
    }

    /// The store has answered.
    pub(super) fn probed(&mut self, cx: &Cx<'_>, is_well: bool) {
        self.probe.answered = Some((is_well, self.now_ms(cx)));
        self.probe.asked_ms = None;
        for exchange in self.probe.waiting.drain(..) {
            self.post.to_exchange(exchange, Mail::Known).ok();
        }
    }

    /// What is known by now.
    pub(super) fn known(&self, cx: &Cx<'_>) -> Response {
        readiness(match self.probe.answered {
            _ if cx.is_draining() => Err("shutting down"),
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
    let answer = match state {
        Ok(()) => Response::text(200, "ready\n"),
        Err(reason) => Response::text(503, format!("{reason}\n")).field("Retry-After", "1"),
    };
    answer.field("Cache-Control", "no-store")
}
