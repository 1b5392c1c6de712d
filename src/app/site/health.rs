//! Whether the server lives, whether it can serve, and what it has done.

use super::{Mail, Site};
use crate::app::accounts::AccountError;
use crate::app::metrics::Others;
use crate::app::talk::Member;
use crate::web::{Body, Cx, Method, Reply, Request, Response};

/// How long what the store has answered counts, in milliseconds.
const PROBE_MS: u64 = 1_000;
/// No user has it: whether there is one is not the question.
const NO_USER: i64 = -1;

impl Site {
    /// A request of the listener for metrics.
    pub(super) fn tell(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        if !matches!(request.method(), Method::Get | Method::Head) {
            let answer = self.answers.error(405, "Method not allowed");
            return answer.field("Allow", "GET, HEAD").into();
        }
        match request.path() {
            "/metrics" => {
                let others = Others {
                    turned_away: self.gate.turned_away(),
                    delivered: self.topics.delivered(),
                    skipped: self.topics.skipped(),
                    queues: self.accounts.loads(),
                };
                let text = self.counts.text(cx, &others);
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

    /// The loop goes round: this is the proof.
    pub(super) fn live() -> Response {
        Response::text(200, "ok\n").field("Cache-Control", "no-store")
    }

    /// Whether the store answers, and no shutdown is under way.
    pub(super) fn ready(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        if cx.is_draining() {
            return readiness(Err("shutting down")).into();
        }
        let now_ms = self.now_ms(cx);
        match self.probed {
            Some((is_well, at_ms)) if now_ms - at_ms < PROBE_MS => probed(is_well).into(),
            _ => {
                let reply = self.mail_to(request, |found| {
                    Mail::Probed(!matches!(
                        found,
                        Err(AccountError::Unavailable | AccountError::Overloaded)
                    ))
                });
                match self.accounts.me(NO_USER, reply) {
                    Ok(()) => Reply::Later,
                    Err(_) => readiness(Err("the store has too much to do")).into(),
                }
            }
        }
    }

    /// The store has answered.
    pub(super) fn probed(&mut self, cx: &Cx<'_>, is_well: bool) -> Response {
        self.probed = Some((is_well, self.now_ms(cx)));
        probed(is_well)
    }
}

fn probed(is_well: bool) -> Response {
    readiness(is_well.then_some(()).ok_or("the store does not answer"))
}

fn readiness(state: Result<(), &str>) -> Response {
    let answer = match state {
        Ok(()) => Response::text(200, "ready\n"),
        Err(reason) => Response::text(503, &format!("{reason}\n")).field("Retry-After", "1"),
    };
    answer.field("Cache-Control", "no-store")
}
