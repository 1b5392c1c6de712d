//! The service: what the server answers to requests and WebSocket messages.

mod access;
mod api;
mod cors;
mod health;
mod outcome;
mod redirect;
mod web_config;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use self::access::AccessLog;
use self::health::Probe;
pub(super) use self::web_config::apply_to_reactor;
use self::web_config::web_config;
use super::accounts::{AccountError, Accounts, LoginError, Registration};
use super::admission::Admission;
use super::chain::Shown;
use super::chat::{Chat, ChatError, Identity};
use super::config::{Config, CorsOrigins};
use super::hosts;
use super::json_body;
use super::json_responses::JsonResponses;
use super::limits::Permit;
use super::logging::Logging;
use super::metrics::Process;
use super::publisher::{ChatTopic, EncodedList, Member, Publisher};
use super::reload::NewConfig;
use super::routes::{self, FILE_METHODS, HOME, Route};
use super::store::{Identified, User};
use super::tokens::Tokens;
use crate::web::files::Snapshot;
use crate::web::{
    self, AcceptDecision, BodyMode, CloseCode, ConnId, Cx, Endpoint, ExchangeId, ListenerId,
    Message, Method, Reply, Request, Response, ResponseSent, RouteMatch, Router, Service,
    ServiceSender, Shared, To, Topics, Traffic, WebSocketClosed, WsCx,
};

/// Mail of other threads for the service.
#[derive(Debug)]
pub enum Mail {
    /// The answer to `POST /register`, with who asked.
    Registered(IpAddr, Registration),
    /// The answer to `POST /login`, with who tried.
    LoggedIn(SocketAddr, String, Result<User, LoginError>),
    /// The answer to `GET /me`.
    Found(Result<User, AccountError>),
    /// The answer to `PUT /me`: the username from then on, with the user, and the address whose claim to
    /// a name or an e-mail address was counted.
    Updated(Result<String, AccountError>, i64, Option<IpAddr>),
    /// The user of a WebSocket goes by this name now.
    Renamed(String),
    /// Whose token a WebSocket was asked for with, and what the handshake said.
    Admitted(Result<Identified, AccountError>, Handshake),
    /// An answer that scripts of this origin may read, where it depends on who asks.
    Read(Box<str>, Box<Self>),
    /// Files of `public_dir` have changed.
    Files(Arc<Snapshot>),
    /// The configuration was read again.
    Reload(Box<NewConfig>),
    /// The server is to stop.
    Stop,
    /// `true` if the store has answered a probe.
    Probed(bool),
    /// `GET /readyz` can be answered.
    Known,
    /// `true` if the loop goes round.
    Alive(mpsc::Sender<()>),
}

/// Facts of a WebSocket's handshake, for when the user is known.
#[derive(Debug)]
pub struct Handshake {
    /// When its token ends, in Unix seconds.
    pub exp: u64,
    /// The subprotocol to answer with.
    pub protocol: Option<String>,
    /// Of the WebSocket, where its client is behind a proxy.
    pub place: Option<Permit>,
}

/// Limit on connections of the listener for metrics: it is for few.
const SCRAPERS_MAX: usize = 16;

/// The server's state, all of it on the loop's thread.
#[derive(Debug)]
pub struct App {
    config: Config,
    web: web::WebConfig,
    post: ServiceSender<Mail>,
    accounts: Accounts,
    tokens: Tokens,
    responses: JsonResponses,
    chat: Chat<ConnId>,
    /// Subscribers of the chat.
    topics: Topics<ChatTopic>,
    list: EncodedList,
    gate: Admission,
    folder: Arc<Snapshot>,
    /// The WebSockets of each user.
    sockets: HashMap<i64, Vec<ConnId>>,
    /// The listeners of `port`, which speak TLS.
    secure: Vec<ListenerId>,
    /// The certificates that they show.
    certificates: Vec<Shown>,
    /// Field lines of every answer over TLS.
    secure_lines: Option<Shared>,
    /// The port to send the clients of `http_port` to.
    port: u16,
    start: Option<Instant>,
    /// The listener for metrics, and how many connections it has.
    metrics: Option<ListenerId>,
    metrics_address: Option<SocketAddr>,
    scrapers: usize,
    traffic: Traffic,
    access_log: AccessLog,
    process: Process,
    /// Counts the lines it loses.
    logging: Option<Arc<Logging>>,
    probe: Probe,
    routes: Router<Route>,
}

impl App {
    /// A site nobody is on yet.
    pub fn new(
        config: Config,
        routes: Router<Route>,
        accounts: Accounts,
        folder: Arc<Snapshot>,
        post: ServiceSender<Mail>,
    ) -> Self {
        let mut site = Self {
            routes,
            web: web::WebConfig::DEFAULT,
            tokens: tokens(&config, accounts.database_id()),
            responses: JsonResponses::new(CorsOrigins::Nobody),
            chat: Chat::new(0),
            topics: Topics::new(),
            list: EncodedList::default(),
            gate: Admission::new(&config),
            sockets: HashMap::new(),
            secure: Vec::new(),
            certificates: Vec::new(),
            secure_lines: None,
            port: config.port,
            start: None,
            metrics: None,
            metrics_address: config.metrics_address,
            scrapers: 0,
            traffic: Traffic::default(),
            access_log: AccessLog::default(),
            process: Process::new(),
            logging: None,
            probe: Probe::default(),
            config: Config::default(),
            post,
            accounts,
            folder,
        };
        site.apply(config);
        site
    }

    /// Puts a configuration in force, at the start and after a reload alike: whatever is made of one is made here.
    fn apply(&mut self, config: Config) {
        self.web = web_config(&config);
        self.topics
            .set_compression(self.web.compression.unwrap_or_default());
        self.responses = JsonResponses::new(config.cors_allow_origin.clone());
        self.secure_lines = secure_lines(&config);
        self.tokens = tokens(&config, self.accounts.database_id());
        self.chat
            .set_messages_per_minute(config.messages_per_minute);
        self.gate.configure(&config);
        self.config = config;
    }

    /// Says which listeners speak TLS, and on which port, and which one is for metrics.
    pub fn set_listeners(
        &mut self,
        secure: Vec<ListenerId>,
        port: u16,
        metrics: Option<ListenerId>,
    ) {
        (self.secure, self.port, self.metrics) = (secure, port, metrics);
    }

    fn is_for_metrics(&self, from: Endpoint) -> bool {
        matches!(from, Endpoint::Accepted { listener, .. } if self.metrics == Some(listener))
    }

    /// Ends the threads behind the site, with what they have been given to do done.
    pub fn close(self) {
        self.accounts.close();
    }

    fn now_ms(&mut self, cx: &Cx<'_>) -> u64 {
        let start = *self.start.get_or_insert_with(|| cx.now());
        u64::try_from(cx.now().saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
    }

    /// Hands something of a WebSocket to the chat, and closes that one if it may not stay.
    fn chat_with(
        &mut self,
        ws: &mut WsCx<'_, '_>,
        hand: impl FnOnce(&mut Chat<ConnId>, ConnId, u64, u64, &mut Publisher<'_, '_>) -> bool,
    ) {
        let (id, now_ms, unix_secs) = (ws.id(), self.now_ms(ws.cx()), ws.cx().unix_secs());
        let mut out = Publisher {
            topics: &mut self.topics,
            list: &mut self.list,
            traffic: &mut self.traffic,
            window: ws.shared_window(),
            cx: ws.cx(),
        };
        let may_stay = hand(&mut self.chat, id, now_ms, unix_secs, &mut out);
        self.set_chat_deadline(ws.cx());
        if !may_stay {
            ws.close(CloseCode::POLICY_VIOLATION, "too many messages");
        }
    }

    /// Has the chat called back when lists of users are due.
    fn set_chat_deadline(&self, cx: &mut Cx<'_>) {
        let due = self.chat.next_deadline().zip(self.start);
        let at = due.and_then(|(ms, start)| start.checked_add(Duration::from_millis(ms)));
        cx.set_service_deadline(at);
    }

    fn route(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        let (route, path) = match self.resolve_route(request) {
            Ok(found) => found,
            Err(response) => return response.into(),
        };
        match route {
            Route::Register => self.register(cx, request),
            Route::Login => self.login(cx, request),
            Route::Me => self.me(cx, request),
            Route::UpdateMe => self.update_me(cx, request),
            Route::Home if !request.wants_websocket() => self.file(cx, request, HOME).into(),
            Route::Home | Route::Chat => self.open_chat(cx, request),
            Route::Live => Self::live().into(),
            Route::Ready => self.ready(cx, request),
            Route::Page(file) => self.file(cx, request, file).into(),
            Route::File => self.file(cx, request, &path).into(),
        }
    }

    /// Finds the route of a request, and its decoded path.
    ///
    /// # Errors
    /// The answer, where head and path are all it takes.
    fn resolve_route<'a>(&self, request: &Request<'a>) -> Result<(Route, Cow<'a, str>), Response> {
        let (responses, method) = (&self.responses, request.method());
        if !self.is_ours(request) {
            return Err(responses.error(421, "Not a name of this server"));
        }
        match method {
            Method::Other(_) => return Err(responses.error(501, "This method is not known here")),
            Method::Options if request.path() == "*" => {
                return Err(self.preflight(request, routes::METHODS));
            }
            _ => {}
        }
        let Ok(path) = request.decoded_path() else {
            return Err(responses.error(400, "The path is not valid"));
        };
        let route = match self.routes.find(method, &path) {
            RouteMatch::Route(route, _) => *route,
            RouteMatch::Options(allow) => return Err(self.preflight(request, allow)),
            RouteMatch::NotAllowed(allow) => return Err(self.not_allowed(allow)),
            RouteMatch::Nothing => return Err(responses.error(404, "Not found")),
        };
        match (route, method) {
            (Route::File, Method::Options) => Err(self.preflight(request, FILE_METHODS)),
            (Route::File, Method::Get | Method::Head) => Ok((route, path)),
            (Route::File, _) if self.folder.has(&path) => Err(self.not_allowed(FILE_METHODS)),
            (Route::File, _) => Err(responses.error(404, "Not found")),
            _ => Ok((route, path)),
        }
    }

    fn not_allowed(&self, allow: &str) -> Response {
        let response = self.responses.error(405, "Method not allowed");
        response.field("Allow", allow)
    }

    /// Returns `true` if a request may be served.
    ///
    /// # Errors
    /// The answer that it may not.
    fn admit(&mut self, cx: &Cx<'_>, request: &Request<'_>) -> Result<(), Response> {
        let now_ms = self.now_ms(cx);
        if !self.gate.is_welcome(request.peer(), now_ms) {
            return Err(self.responses.error(403, "Not from this network"));
        }
        let admitted = self.gate.request(request.peer(), now_ms);
        admitted.map_err(|rejected| {
            let text = "Too many requests, try again later";
            self.responses.try_later(429, text, rejected.retry_after_s)
        })
    }

    /// Returns `true` if a request is for a name of this server. Who asks for health goes by an address, which need
    /// not be known here.
    fn is_ours(&self, request: &Request<'_>) -> bool {
        hosts::is_served(&self.config.server_names, request.host())
            || matches!(request.path(), "/healthz" | "/readyz")
    }

    /// A file of the public folder. A long download through a proxy counts for the client while it lasts.
    fn file(&mut self, cx: &Cx<'_>, request: &Request<'_>, path: &str) -> Response {
        let response = self.find_file(request, path);
        if response.is_whole() {
            return response;
        }
        match self.place(cx, request) {
            Ok(Some(place)) => response.keep(place),
            Ok(None) => response,
            Err(error_response) => error_response,
        }
    }

    fn find_file(&self, request: &Request<'_>, path: &str) -> Response {
        if let Some(response) = self.folder.respond(request, path) {
            return response;
        }
        let wants_page = request
            .field("accept")
            .is_some_and(|types| types.contains("text/html"));
        wants_page
            .then(|| self.folder.page(request, 404, "/404.html"))
            .flatten()
            .unwrap_or_else(|| self.responses.error(404, "Not found"))
    }

    fn reload(&mut self, cx: &mut Cx<'_>, reload: NewConfig) {
        let NewConfig { config, tls } = reload;
        apply_to_reactor(&config, cx.config_mut());
        self.apply(config);
        for &listener in &self.secure {
            cx.secure(listener, web::Security::Tls(Arc::clone(&tls.config)));
        }
        self.certificates = tls.served;
        log::info!("configuration and certificates are in force");
    }
}

impl Service for App {
    type Socket = Member;
    type Mail = Mail;

    fn config(&self) -> &web::WebConfig {
        &self.web
    }

    fn field_lines(&self, from: Endpoint) -> Option<&Shared> {
        let lines = self.secure_lines.as_ref()?;
        match from {
            Endpoint::Accepted { listener, .. } => self.secure.contains(&listener).then_some(lines),
            Endpoint::Connected { .. } => None,
        }
    }

    fn is_proxy(&self, peer: SocketAddr) -> bool {
        self.gate.is_proxy(peer.ip())
    }

    fn endpoint(&self, request: &Request<'_>) -> Endpoint {
        match request.endpoint() {
            Endpoint::Accepted { peer, listener } if self.gate.is_proxy(peer.ip()) => {
                let is_proxy = |ip| self.gate.is_proxy(ip);
                let peer = request.client(self.config.forwarded_field, is_proxy);
                Endpoint::Accepted { peer, listener }
            }
            origin => origin,
        }
    }

    fn accept(&mut self, cx: &mut Cx<'_>, from: Endpoint) -> AcceptDecision {
        if self.is_for_metrics(from) {
            let is_welcome = self.scrapers < SCRAPERS_MAX;
            self.scrapers += usize::from(is_welcome);
            return if is_welcome {
                AcceptDecision::Served
            } else {
                AcceptDecision::Refused
            };
        }
        let now_ms = self.now_ms(cx);
        self.gate.admit(from.peer(), now_ms)
    }

    fn connection_closed(&mut self, _: &mut Cx<'_>, from: Endpoint, admission: AcceptDecision) {
        if self.is_for_metrics(from) {
            self.scrapers = self.scrapers.saturating_sub(1);
        } else {
            self.gate.release(from.peer(), admission);
        }
    }

    /// Only the forms of the API have bodies, and short ones; what is wrong without one is told before it
    /// is read.
    fn body_mode(&mut self, cx: &mut Cx<'_>, request: &Request<'_>) -> BodyMode {
        if self.is_for_metrics(request.endpoint()) {
            return BodyMode::Answer(self.responses.error(404, "Not found"));
        }
        if self.is_plain(request) {
            return BodyMode::Answer(self.redirect(request));
        }
        let error_response = match self.resolve_route(request) {
            Ok((route, _)) if request.wants_websocket() && route.takes_websocket() => {
                // It would stand where frames are expected: refused before the client is told to send it.
                self.error_response(400, "a request for a WebSocket has no body")
            }
            Ok((Route::Register | Route::Login | Route::UpdateMe, _)) => {
                let bytes_max = self.web.http.body_bytes_max.min(json_body::BODY_BYTES_MAX);
                return BodyMode::CollectUpTo(bytes_max);
            }
            Ok(_) => return BodyMode::Collect,
            Err(response) => response,
        };
        let response = self.admit(cx, request).err().unwrap_or(error_response);
        BodyMode::Answer(self.readable(request, response))
    }

    fn request(&mut self, cx: &mut Cx<'_>, request: &Request<'_>) -> Reply<Member> {
        if self.is_for_metrics(request.endpoint()) {
            return self.tell(cx, request);
        }
        if self.is_plain(request) {
            return self.redirect(request).into();
        }
        let reply = match self.admit(cx, request) {
            Ok(()) => self.route(cx, request),
            Err(response) => response.into(),
        };
        match reply {
            Reply::Send(response) if self.config.cors_allow_origin.is_list() => {
                self.readable(request, response).into()
            }
            reply => reply,
        }
    }

    fn error_response(&mut self, status: u16, reason: &str) -> Response {
        let error_response = self.responses.error(status, reason);
        match status {
            405 => error_response.field("Allow", routes::METHODS), // a tunnel was asked for
            503 => error_response.field("Retry-After", "5"),
            _ => error_response,
        }
    }

    fn response_timeout(&mut self, _: &mut Cx<'_>, exchange: ExchangeId) -> Response {
        let given_up = self.given_up(exchange);
        given_up.unwrap_or_else(|| self.error_response(503, "the answer took too long").close())
    }

    fn request_aborted(&mut self, _: &mut Cx<'_>, exchange: ExchangeId) {
        self.probe.forget(exchange);
    }

    fn response_sent(&mut self, cx: &mut Cx<'_>, served: &ResponseSent<'_>) {
        let duration = served.duration(cx);
        self.traffic.response_sent(served, duration);
        self.access_log.request(served, duration);
    }

    fn opened(&mut self, ws: &mut WsCx<'_, '_>, member: &mut Member) {
        let (id, now_ms, unix_secs) = (ws.id(), self.now_ms(ws.cx()), ws.cx().unix_secs());
        self.sockets.entry(member.user_id).or_default().push(id);
        self.traffic.opened();
        let mut out = Publisher {
            topics: &mut self.topics,
            list: &mut self.list,
            traffic: &mut self.traffic,
            window: ws.shared_window(),
            cx: ws.cx(),
        };
        let aliases = std::mem::take(&mut member.aliases);
        let identity = Identity {
            user_id: member.user_id,
            username: &member.username,
            aliases: &aliases,
        };
        if self
            .chat
            .connected(id, identity, now_ms, unix_secs, &mut out)
        {
            // Another process has changed the name.
            self.set_chat_deadline(ws.cx());
            self.close_renamed(member.user_id, &member.username);
        }
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, _: &mut Member, message: Message<'_>) {
        self.traffic.message(&message);
        self.chat_with(ws, |chat, id, now_ms, unix_secs, out| match message {
            Message::Text(text) => chat.received(id, text, now_ms, unix_secs, out),
            Message::Binary(data) => {
                let (fault, bytes) = (ChatError::NOT_TEXT, data.len() as u64);
                chat.rejected(id, fault, bytes, now_ms, unix_secs, out)
            }
        });
    }

    fn message_too_long(&mut self, ws: &mut WsCx<'_, '_>, _: &mut Member, bytes: u64) {
        self.traffic.message_too_long(bytes);
        self.chat_with(ws, |chat, id, now_ms, unix_secs, out| {
            chat.rejected(id, ChatError::TooLong, bytes, now_ms, unix_secs, out)
        });
    }

    fn closed(&mut self, cx: &mut Cx<'_>, member: Member, ended: &WebSocketClosed<'_>) {
        let (id, now_ms, unix_secs) = (cx.id(), self.now_ms(cx), cx.unix_secs());
        let mut out = Publisher {
            topics: &mut self.topics,
            list: &mut self.list,
            traffic: &mut self.traffic,
            window: None,
            cx,
        };
        self.chat.disconnected(id, now_ms, unix_secs, &mut out);
        self.set_chat_deadline(cx);
        self.traffic.closed(ended);
        if let Some(sockets) = self.sockets.get_mut(&member.user_id) {
            sockets.retain(|&socket| socket != id);
            if sockets.is_empty() {
                self.sockets.remove(&member.user_id);
            }
        }
        self.access_log.socket(ended, &member.username);
    }

    fn service_expired(&mut self, cx: &mut Cx<'_>) {
        let now_ms = self.now_ms(cx);
        let mut out = Publisher {
            topics: &mut self.topics,
            list: &mut self.list,
            traffic: &mut self.traffic,
            window: None,
            cx,
        };
        self.chat.expired(now_ms, &mut out);
        self.set_chat_deadline(cx);
    }

    fn mail(&mut self, to: To<'_, '_, '_, Member>, mail: Mail) {
        match (to, mail) {
            (To::Exchange(cx, responder), mail) => self.respond(cx, responder, mail),
            (to @ To::Nobody(_), Mail::Read(_, mail)) => self.mail(to, *mail),
            (To::Nobody(cx), Mail::LoggedIn(peer, account, outcome)) => {
                self.settle_login(cx, peer, &account, &outcome);
            }
            (To::Nobody(cx), Mail::Registered(ip, done)) => self.settle_registration(cx, ip, done),
            (To::Nobody(cx), Mail::Updated(done, user_id, claimed)) => {
                self.settle_update(cx, &done, user_id, claimed);
            }
            // It has left the chat under the old name: a page starts anew under the new one.
            (To::Socket(ws, member), Mail::Renamed(name)) if *member.username != *name => {
                ws.close(CloseCode::POLICY_VIOLATION, "your username has changed");
            }
            (_, Mail::Files(folder)) => self.folder = folder,
            (To::Nobody(cx), Mail::Reload(reload)) => self.reload(cx, *reload),
            (To::Nobody(cx), Mail::Probed(is_well)) => self.probed(cx, is_well),
            (To::Nobody(cx), Mail::Stop) => cx.shutdown(self.config.shutdown_grace),
            (_, Mail::Alive(response)) => drop(response.send(())), // or nobody waits any more
            // The client went away before its answer came.
            _ => {}
        }
    }
}

/// Issues and judges tokens for the users of this database.
fn tokens(config: &Config, database_id: &str) -> Tokens {
    Tokens::new(config.secret_key.bytes(), config.jwt_expiry_seconds)
        .for_database(database_id, config.accept_legacy_tokens)
}

/// Field lines that are only sent over TLS (RFC 6797 §7.2).
fn secure_lines(config: &Config) -> Option<Shared> {
    let policy = config.strict_transport_security.as_ref()?;
    let response = Response::empty(200).field("Strict-Transport-Security", policy);
    Some(response.field_lines())
}
