//! Handlers of API requests: they read and check them, and hand on what takes long.

use super::{App, Handshake, Mail};
use crate::app::accounts::{LoginError, New, Profile};
use crate::app::bearer;
use crate::app::completion::{Completion as Callback, Overloaded};
use crate::app::json_body::{JsonBody, JsonBodyError, is_json};
use crate::app::limits::{ClientNetwork, Limit, LoginOutcome, Permit, Refused};
use crate::app::passwords::Password;
use crate::app::publisher::Member;
use crate::app::store::{LoginAttempt, Renames};
use crate::app::tokens::Claims;
use crate::app::validation;
use crate::web::{Cx, Reply, Request, Response};

impl App {
    pub(super) fn register(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        if let Some(error_response) = self.cross_site(request) {
            return error_response.into();
        }
        let new = match self.form(request, |form| {
            Ok(New {
                name: form.text("name")?,
                username: form.text("username")?,
                email: form.text("email")?,
                password: Password::from(form.text("password")?),
            })
        }) {
            Ok(new) => new,
            Err(error_response) => return error_response.into(),
        };
        let place = match self.place(cx, request) {
            Ok(place) => place,
            Err(error_response) => return error_response.into(),
        };
        let (now_ms, ip) = (self.now_ms(cx), request.peer().ip());
        if let Err(rejected) = self.gate.register(request.peer(), now_ms) {
            return self.too_many(rejected).into();
        }
        let reply = self.mail_to(request, place, move |done| Mail::Registered(ip, done));
        let tried = self.accounts.register(new, ClientNetwork::of(ip), reply);
        if tried.is_err() {
            self.gate.forgo_registration(ip, now_ms);
            self.gate.forgo_claim(ip, now_ms);
        }
        self.later(tried)
    }

    /// The answer where an address has asked for too many accounts, or for too much that others have.
    fn too_many(&self, rejected: Refused) -> Response {
        let text = match rejected.limit {
            Limit::Conflicts => "Too many names and addresses that are taken, try again later",
            _ => "Too many registrations, try again later",
        };
        self.responses.try_later(429, text, rejected.retry_after_s)
    }

    pub(super) fn login(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        if let Some(error_response) = self.cross_site(request) {
            return error_response.into();
        }
        let (username, password) = match self.form(request, |form| {
            Ok((form.text("username")?, form.text("password")?))
        }) {
            Ok((username, password)) => (username, Password::from(password)),
            Err(error_response) => return error_response.into(),
        };
        let place = match self.place(cx, request) {
            Ok(place) => place,
            Err(error_response) => return error_response.into(),
        };
        let (now_ms, peer) = (self.now_ms(cx), request.peer());
        let in_flight = match self.gate.login(peer, &username, now_ms) {
            Ok(in_flight) => in_flight,
            Err(rejected) => {
                let text = match rejected.limit {
                    Limit::Attempts => "Too many logins, try again later",
                    _ => LoginError::TOO_MANY,
                };
                return self
                    .responses
                    .try_later(429, text, rejected.retry_after_s)
                    .into();
            }
        };
        if !validation::may_be_credentials(&username, password.as_str()) {
            // Nobody's: known without a look at who there is, and too long to wait for its turn.
            let wrong = Err(LoginError::Wrong);
            self.settle_login(cx, peer, &username, &wrong);
            return self.logged_in(cx, wrong).into();
        }
        let attempt = LoginAttempt {
            username: username.clone(),
            network: ClientNetwork::of(peer.ip()),
            failures_max: self.config.login_attempts_per_minute,
            in_flight,
            now: now_unix(cx),
        };
        let account = username.clone();
        let reply = self.mail_to(request, place, move |outcome| {
            Mail::LoggedIn(peer, account, outcome)
        });
        let tried = self.accounts.login(attempt, password, reply);
        if tried.is_err() {
            let outcome = LoginOutcome::NotTried;
            self.gate.settle_login(peer, &username, outcome, now_ms);
        }
        self.later(tried)
    }

    pub(super) fn me(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        let claims = self.claims(cx, bearer::authorization(&request.fields()));
        let asked = claims.and_then(|claims| Ok((claims.user_id, self.place(cx, request)?)));
        match asked {
            Ok((user_id, place)) => {
                let reply = self.mail_to(request, place, Mail::Found);
                self.later(self.accounts.me(user_id, reply))
            }
            Err(error_response) => error_response.into(),
        }
    }

    pub(super) fn update_me(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        if let Some(error_response) = self.cross_site(request) {
            return error_response.into();
        }
        let id = match self.claims(cx, bearer::authorization(&request.fields())) {
            Ok(claims) => claims.user_id,
            Err(error_response) => return error_response.into(),
        };
        let profile = match self.form(request, |form| {
            Ok(Profile {
                name: form.optional_text("name")?,
                username: form.optional_text("username")?,
                email: form.optional_text("email")?,
            })
        }) {
            Ok(profile) => profile,
            Err(error_response) => return error_response.into(),
        };
        let place = match self.place(cx, request) {
            Ok(place) => place,
            Err(error_response) => return error_response.into(),
        };
        let (now_ms, peer) = (self.now_ms(cx), request.peer());
        let claims = profile.username.is_some() || profile.email.is_some();
        if claims && let Err(rejected) = self.gate.claim(peer, now_ms) {
            return self.too_many(rejected).into();
        }
        let claimed = claims.then(|| peer.ip());
        let renames = Renames {
            per_day: self.config.renames_per_day,
            now: now_unix(cx),
        };
        let reply = self.mail_to(request, place, move |done| Mail::Updated(done, id, claimed));
        let tried = self.accounts.update(id, profile, renames, reply);
        if tried.is_err()
            && let Some(ip) = claimed
        {
            self.gate.forgo_claim(ip, now_ms);
        }
        self.later(tried)
    }

    /// The token names a user by number; the name to chat under comes from the database, as it
    /// may have changed since, and the user may be gone. All requests before this one have been
    /// answered, so what the database answers is what is opened.
    pub(super) fn open_chat(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        if !request.wants_websocket() {
            let response = self.responses.error(426, "This is a WebSocket");
            return response
                .field("Upgrade", "websocket")
                .field("Connection", "Upgrade")
                .field("Sec-WebSocket-Version", "13")
                .into();
        }
        if !bearer::is_origin_allowed(request, &self.config.allowed_origins) {
            return self
                .responses
                .failure(403, "This origin is not allowed")
                .into();
        }
        let fields = request.fields();
        let (token, protocol) = bearer::handshake(&fields).unzip();
        let claims = match self.claims(cx, token) {
            Ok(claims) => claims,
            Err(error_response) => return error_response.into(),
        };
        let protocol = protocol.flatten().map(str::to_owned);
        let place = match self.place(cx, request) {
            Ok(place) => place,
            Err(error_response) => return error_response.into(),
        };
        let handshake = Handshake {
            exp: claims.exp,
            protocol,
            place,
        };
        let reply = self.mail_to(request, None, move |user| Mail::Admitted(user, handshake));
        self.later(self.accounts.identify(claims.user_id, reply))
    }

    fn claims(&self, cx: &Cx<'_>, token: Option<&str>) -> Result<Claims, Response> {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(self.responses.unauthorized("Missing token"));
        };
        match self.tokens.verify(token, cx.unix_secs()) {
            Ok(claims) => Ok(claims),
            Err(error) => Err(self.responses.unauthorized(&error.to_string())),
        }
    }

    /// The refusal of what a page of another site asks for in its visitor's place.
    fn cross_site(&self, request: &Request<'_>) -> Option<Response> {
        let cors = &self.config.cors_allow_origin;
        let is_allowed = bearer::is_site_allowed(request, &self.config.allowed_origins, cors);
        (!is_allowed).then(|| self.responses.failure(403, "This origin is not allowed"))
    }

    /// Reads a JSON body, or says what is wrong with it.
    fn form<T>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(&mut JsonBody) -> Result<T, JsonBodyError>,
    ) -> Result<T, Response> {
        // Without a body there is nothing to mistake.
        let content_type = request.field("content-type");
        let has_no_body = content_type.is_none() && request.body().is_empty();
        if !(is_json(content_type) || has_no_body) {
            return Err(self
                .responses
                .error(415, "Content-Type must be application/json"));
        }
        let form = JsonBody::read(request.body()).and_then(|mut form| read(&mut form));
        form.map_err(|error| self.responses.failure(400, &error))
    }

    /// The place of a request that takes its time, if its client is behind a proxy.
    pub(super) fn place(
        &mut self,
        cx: &Cx<'_>,
        request: &Request<'_>,
    ) -> Result<Option<Permit>, Response> {
        if !request.is_forwarded() {
            return Ok(None); // its connection counts
        }
        let now_ms = self.now_ms(cx);
        self.gate.place(request.peer(), now_ms).map_err(|rejected| {
            let text = "Too many connections, try again later";
            self.responses.try_later(429, text, rejected.retry_after_s)
        })
    }

    /// Sends an outcome back to the request that asked for it, whose place is free then.
    fn mail_to<T: 'static>(
        &self,
        request: &Request<'_>,
        place: Option<Permit>,
        wrap: impl FnOnce(T) -> Mail + Send + 'static,
    ) -> Callback<T> {
        let (post, exchange) = (self.post.clone(), request.exchange());
        let reader = self
            .reader(request)
            .map(|reader| Box::from(reader.as_str()));
        Box::new(move |outcome| {
            drop(place);
            let mail = match reader {
                Some(reader) => Mail::Read(reader, Box::new(wrap(outcome))),
                None => wrap(outcome),
            };
            // Once the reactor has ended there is nobody to answer.
            post.to_exchange(exchange, mail).ok();
        })
    }

    fn later(&self, asked: Result<(), Overloaded>) -> Reply<Member> {
        match asked {
            Ok(()) => Reply::Later,
            Err(overloaded) => self
                .responses
                .try_later(503, &overloaded.to_string(), 1)
                .into(),
        }
    }
}

fn now_unix(cx: &Cx<'_>) -> i64 {
    i64::try_from(cx.unix_secs()).unwrap_or(i64::MAX)
}
