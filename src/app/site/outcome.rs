//! Responses made of the outcomes of workers.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::{App, Mail};
use crate::app::accounts::{AccountError, LoginError, Registration};
use crate::app::json_responses::readable_by;
use crate::app::limits::LoginOutcome;
use crate::app::publisher::{Member, Publisher};
use crate::app::store::{Identified, User};
use crate::app::tokens::TokenError;
use crate::web::{Cx, Reply, Responder, Response};

/// Seconds after which to try again what failed for the database, and for want of room: nobody knows
/// when, and it takes somebody.
const BROKEN_S: u32 = 5;
const FULL_S: u32 = 30;

impl App {
    /// Answers a request with what a worker made of it.
    pub(super) fn respond(
        &mut self,
        cx: &mut Cx<'_>,
        responder: &mut Responder<Member>,
        mail: Mail,
    ) {
        let (reader, mail) = match mail {
            Mail::Read(reader, mail) => (Some(reader), *mail),
            mail => (None, mail),
        };
        match (self.outcome(cx, mail), reader) {
            (Some(Reply::Send(response)), Some(reader)) => {
                responder.reply(readable_by(&reader, response));
            }
            (Some(reply), _) => responder.reply(reply),
            (None, _) => {}
        }
    }

    fn account_error(&self, error: AccountError) -> Response {
        let text = error.to_string();
        match error {
            AccountError::Rule(_) | AccountError::NothingToUpdate => {
                self.responses.failure(400, &text)
            }
            AccountError::EmailTaken | AccountError::UsernameTaken => {
                self.responses.failure(409, &text)
            }
            AccountError::TooManyRenames { retry_after_s } => {
                self.responses.try_later(429, &text, retry_after_s)
            }
            AccountError::NoSuchUser => self.responses.failure(404, &text),
            AccountError::Overloaded => self.responses.try_later(503, &text, 1),
            AccountError::Unavailable => self.responses.try_later(503, &text, BROKEN_S),
            AccountError::StorageFull => self.responses.try_later(507, &text, FULL_S),
        }
    }

    /// Responds to the request that a worker's outcome is for.
    fn outcome(&mut self, cx: &mut Cx<'_>, mail: Mail) -> Option<Reply<Member>> {
        let responses = &self.responses;
        Some(match mail {
            Mail::Registered(ip, done) => {
                self.settle_registration(cx, ip, done);
                match done.outcome {
                    Ok(_) => self.responses.done(201, "User created successfully").into(),
                    Err(error) => self.account_error(error).into(),
                }
            }
            Mail::Updated(done, user_id, claimed) => {
                self.settle_update(cx, &done, user_id, claimed);
                match done {
                    Ok(_) => self
                        .responses
                        .done(200, "Profile updated successfully")
                        .into(),
                    Err(error) => self.account_error(error).into(),
                }
            }
            Mail::Found(Ok(user)) => responses.json(200, &Me::from(&user)).into(),
            // It may have ended while the store was asked.
            Mail::Admitted(Ok(_), handshake) if cx.unix_secs() >= handshake.exp => responses
                .unauthorized(&TokenError::Expired.to_string())
                .into(),
            Mail::Admitted(Ok(Identified { user, aliases }), handshake) => {
                let member = Member {
                    user_id: user.id,
                    username: user.username.into_boxed_str(),
                    aliases,
                    place: handshake.place,
                };
                match handshake.protocol {
                    Some(protocol) => Reply::UpgradeTo(member, protocol),
                    None => Reply::Upgrade(member),
                }
            }
            Mail::Admitted(Err(AccountError::NoSuchUser), _) => responses
                .unauthorized("The user of this token is gone")
                .into(),
            Mail::LoggedIn(peer, account, outcome) => {
                self.settle_login(cx, peer, &account, &outcome);
                self.logged_in(cx, outcome).into()
            }
            Mail::Known => self.known(cx).into(),
            Mail::Found(Err(error)) | Mail::Admitted(Err(error), _) => {
                self.account_error(error).into()
            }
            Mail::Read(..)
            | Mail::Renamed(_)
            | Mail::Files(_)
            | Mail::Reload(_)
            | Mail::Stop
            | Mail::Probed(_)
            | Mail::Alive(_) => return None,
        })
    }

    pub(super) fn settle_update(
        &mut self,
        cx: &mut Cx<'_>,
        done: &Result<String, AccountError>,
        user_id: i64,
        claimed: Option<IpAddr>,
    ) {
        if let Some(ip) = claimed
            && !done.as_ref().is_err_and(|error| error.is_conflict())
        {
            let now_ms = self.now_ms(cx);
            self.gate.forgo_claim(ip, now_ms);
        }
        if let Ok(username) = done {
            self.rename(cx, user_id, username);
        }
    }

    /// The user goes by this name from now on, as the store has answered: nobody goes on under another.
    fn rename(&mut self, cx: &mut Cx<'_>, user_id: i64, username: &str) {
        let sockets = self.sockets.get(&user_id).map(Vec::as_slice);
        let unix_secs = cx.unix_secs();
        let mut out = Publisher {
            topics: &mut self.topics,
            list: &mut self.list,
            traffic: &mut self.traffic,
            window: None,
            cx,
        };
        let ks = sockets.unwrap_or_default();
        if self
            .chat
            .renamed(user_id, username, ks, unix_secs, &mut out)
        {
            self.set_chat_deadline(cx);
            self.close_renamed(user_id, username);
        }
    }

    /// Closes the WebSockets of a user that were opened under another name.
    pub(super) fn close_renamed(&self, user_id: i64, username: &str) {
        for &socket in self.sockets.get(&user_id).into_iter().flatten() {
            // Once the reactor has ended they are closed anyway.
            self.post
                .to_socket(socket, Mail::Renamed(username.to_owned()))
                .ok();
        }
    }

    pub(super) fn settle_login(
        &mut self,
        cx: &Cx<'_>,
        peer: SocketAddr,
        account: &str,
        outcome: &Result<User, LoginError>,
    ) {
        let now_ms = self.now_ms(cx);
        let came_out = match outcome {
            Err(LoginError::Wrong) => LoginOutcome::Failed,
            Err(LoginError::WrongUncounted) => LoginOutcome::FailedUncounted,
            Err(LoginError::Overloaded | LoginError::Unavailable) => LoginOutcome::NotTried,
            Ok(_) | Err(LoginError::TooMany { .. }) => LoginOutcome::NotFailed,
        };
        self.gate.settle_login(peer, account, came_out, now_ms);
        if let Err(LoginError::TooMany { retry_after_s }) = *outcome {
            self.gate.login_rejected(peer, retry_after_s, now_ms);
        }
    }

    pub(super) fn settle_registration(&mut self, cx: &Cx<'_>, ip: IpAddr, done: Registration) {
        let now_ms = self.now_ms(cx);
        if !done.has_hashed {
            self.gate.forgo_registration(ip, now_ms);
        }
        if !done.outcome.is_err_and(AccountError::is_conflict) {
            self.gate.forgo_claim(ip, now_ms);
        }
    }

    fn login_error(&self, error: LoginError) -> Response {
        let text = error.to_string();
        match error {
            LoginError::Wrong | LoginError::WrongUncounted => self.responses.failure(401, &text),
            LoginError::TooMany { retry_after_s } => {
                self.responses.try_later(429, &text, retry_after_s)
            }
            LoginError::Overloaded => self.responses.try_later(503, &text, 1),
            LoginError::Unavailable => self.responses.try_later(503, &text, BROKEN_S),
        }
    }

    pub(super) fn logged_in(&self, cx: &Cx<'_>, outcome: Result<User, LoginError>) -> Response {
        match outcome {
            Ok(user) => match self.tokens.issue(user.id, &user.username, cx.unix_secs()) {
                Ok(token) => {
                    let body = LoggedIn {
                        success: true,
                        message: "Login successful",
                        data: Token { token },
                    };
                    self.responses.json(200, &body)
                }
                Err(error) => {
                    log::error!("no token can be signed: {error}");
                    self.responses.failure(500, "Internal error")
                }
            },
            Err(error) => self.login_error(error),
        }
    }
}

/// The body of `GET /me`.
#[derive(Serialize)]
struct Me<'a> {
    id: i64,
    name: &'a str,
    username: &'a str,
    email: &'a str,
}

impl<'a> From<&'a User> for Me<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            username: &user.username,
            email: &user.email,
        }
    }
}

/// The body of a successful `POST /login`.
#[derive(Serialize)]
struct LoggedIn {
    success: bool,
    message: &'static str,
    data: Token,
}

#[derive(Serialize)]
struct Token {
    token: String,
}
