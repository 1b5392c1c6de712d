//! Logging in: who is asked to wait is told so before a password is hashed, a failure is counted before
//! it is answered.

use super::{Accounts, note_rejection};
use crate::app::completion::{Completion, Overloaded, Promise};
use crate::app::passwords::{HashError, Password, Verdict};
use crate::app::store::{Login, LoginAttempt, Logins, Success, User};
use std::fmt;

/// Why nobody was logged in. `Display` is the text for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginError {
    /// No such user, or not the password: 401, and nothing tells which.
    Wrong,
    /// As [`LoginError::Wrong`], and it could not be stored that the account has failed.
    WrongUncounted,
    /// The account has failed too often to be tried now: 429, whether or not it exists.
    TooMany {
        /// When to try again: the value for `Retry-After`.
        retry_after_s: u32,
    },
    /// A queue is full: 503.
    Overloaded,
    /// The database or the hasher failed: 503. The cause is in the log.
    Unavailable,
}

impl LoginError {
    /// Text for a client that has to wait, for the account or for the address.
    pub(crate) const TOO_MANY: &str = "Too many failed logins, try again later";
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong | Self::WrongUncounted => "Invalid username or password",
            Self::TooMany { .. } => Self::TOO_MANY,
            Self::Overloaded => "Server is overloaded, try again later",
            Self::Unavailable => "Service is unavailable, try again later",
        })
    }
}

impl std::error::Error for LoginError {}

type OwedLogin = Promise<Result<User, LoginError>>;

impl Accounts {
    /// Checks a name and a password and answers whose they are. A wrong one costs the same time
    /// whether or not the user exists. A hash of the C design, or of an old cost, is replaced
    /// before the answer.
    ///
    /// # Errors
    /// [`Overloaded`] when the store's queue is full.
    pub fn login(
        &self,
        attempt: LoginAttempt,
        password: Password,
        reply: Completion<Result<User, LoginError>>,
    ) -> Result<(), Overloaded> {
        let (logins, hasher) = (self.logins.clone(), self.hasher.clone());
        let begun = attempt.clone();
        let check_found = move |found| {
            let owed: OwedLogin = Promise::new(reply, || Err(LoginError::Overloaded));
            let login: Login = match found {
                Ok(login) => login,
                Err(_) => return owed.keep(Err(LoginError::Unavailable)),
            };
            if let Some(retry_after_s) = login.retry_after_s {
                return owed.keep(Err(LoginError::TooMany { retry_after_s }));
            }
            let (credential, legacy_left) = (login.credential.clone(), login.legacy_left);
            let network = attempt.network;
            let settle = move |verdict| match verdict {
                Ok(verdict) => settle(&logins, attempt, login, verdict, owed),
                Err(HashError::Overloaded) => owed.keep(Err(LoginError::Overloaded)),
                Err(HashError::Unavailable) => owed.keep(Err(LoginError::Unavailable)),
            };
            note_rejection(hasher.check(
                network,
                password,
                credential,
                legacy_left,
                Box::new(settle),
            ));
        };
        self.logins.begin(begun, Box::new(check_found))
    }
}

fn settle(logins: &Logins, attempt: LoginAttempt, login: Login, verdict: Verdict, owed: OwedLogin) {
    match (verdict, login.user) {
        (Verdict::Right { replacement }, Some(user)) => {
            if replacement.is_none() && !login.should_record {
                return owed.keep(Ok(user));
            }
            let success = Success {
                attempt,
                user_id: user.id,
                replacement: replacement.map(|new| (login.credential, new)),
            };
            // The password was right, so a failure here (logged by the store) only means that
            // the next login tries again.
            let response = move |_noted| owed.keep(Ok(user));
            note_rejection(logins.succeed(success, Box::new(response)));
        }
        (Verdict::Wrong, _) | (Verdict::Right { .. }, None) => {
            if attempt.failures_max == 0 {
                return owed.keep(Err(LoginError::Wrong));
            }
            let owed = owed.or(|| Err(LoginError::WrongUncounted));
            let response = move |counted: Result<(), _>| {
                let uncounted = |_| LoginError::WrongUncounted;
                owed.keep(Err(counted.map_or_else(uncounted, |()| LoginError::Wrong)));
            };
            note_rejection(logins.fail(attempt, Box::new(response)));
        }
    }
}
