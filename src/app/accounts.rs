//! Registering, logging in, and the own profile: the flows over store and hasher.
//!
//! A flow is a chain (loop, store, hasher, store) whose every link is a bounded queue. No method
//! blocks. `Err(Overloaded)` means the first queue is full and the reply was dropped uncalled;
//! after `Ok(())` the reply is called exactly once, on another thread or, for a value that breaks
//! a rule, before the method returns. A queue found full further on is answered `Overloaded` too.

mod login;

pub use login::LoginError;

use super::completion::{Completion, Overloaded, Promise};
use super::limits::ClientNetwork;
use super::passwords::{HashError, Hasher, HasherPool, Password};
use super::pseudonyms::Pseudonyms;
use super::queue::Load;
use super::store::{
    Identified, Logins, NewUser, Renames, Store, StoreError, User, UserChanges, UserTable,
};
use super::validation::{self, RuleError};
use std::fmt;

/// Body of `POST /register`.
#[derive(Debug)]
pub struct New {
    /// The name shown.
    pub name: String,
    /// Unique, compared exactly.
    pub username: String,
    /// Unique without regard to the case of ASCII letters.
    pub email: String,
    /// In plain text.
    pub password: Password,
}

/// Body of `PUT /me`; `None` for a member that was not sent.
///
/// `username` is honoured when it differs from the user's own. A `password` in the body is no
/// part of this: changing it takes the current one, and another endpoint.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The name shown.
    pub name: Option<String>,
    /// Unique, compared exactly.
    pub username: Option<String>,
    /// Unique without regard to the case of ASCII letters.
    pub email: Option<String>,
}

/// Why an account was not made, found or changed. `Display` is the text for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountError {
    /// A value breaks a rule: 400.
    Rule(RuleError),
    /// No member that could be changed was sent: 400.
    NothingToUpdate,
    /// 409; also when the username is taken too.
    EmailTaken,
    /// 409; also when another user has given the name up.
    UsernameTaken,
    /// The user has changed the username as often as allowed: 429.
    TooManyRenames {
        /// When to try again: the value for `Retry-After`.
        retry_after_s: u32,
    },
    /// The user is gone: 404.
    NoSuchUser,
    /// A queue is full: 503.
    Overloaded,
    /// The disk has no room for it: 507.
    StorageFull,
    /// The database or the hasher failed: 503. The cause is in the log.
    Unavailable,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::NothingToUpdate => f.write_str("No fields to update"),
            Self::EmailTaken => f.write_str("Email already exists"),
            Self::UsernameTaken => f.write_str("Username already exists"),
            Self::TooManyRenames { .. } => {
                f.write_str("Username was changed too often, try again later")
            }
            Self::NoSuchUser => f.write_str("User not found"),
            Self::Overloaded => f.write_str("Server is overloaded, try again later"),
            Self::StorageFull => f.write_str("Storage is full, try again later"),
            Self::Unavailable => f.write_str("Service is unavailable, try again later"),
        }
    }
}

impl AccountError {
    /// Returns `true` if it tells that another account has, or has had, what was asked for.
    pub(crate) const fn is_conflict(self) -> bool {
        matches!(self, Self::EmailTaken | Self::UsernameTaken)
    }
}

impl std::error::Error for AccountError {}

impl From<RuleError> for AccountError {
    fn from(rule: RuleError) -> Self {
        Self::Rule(rule)
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::EmailTaken => Self::EmailTaken,
            StoreError::UsernameTaken => Self::UsernameTaken,
            StoreError::TooManyRenames { retry_after_s } => Self::TooManyRenames { retry_after_s },
            StoreError::NoSuchUser => Self::NoSuchUser,
            StoreError::Full => Self::StorageFull,
            StoreError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<HashError> for AccountError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Unavailable => Self::Unavailable,
            HashError::Overloaded => Self::Overloaded,
        }
    }
}

/// Outcome of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The id of the new user, if there is one.
    pub outcome: Result<i64, AccountError>,
    /// `true` if a password was hashed for it, which is what it costs.
    pub has_hashed: bool,
}

impl Registration {
    fn cheap(error: impl Into<AccountError>) -> Self {
        Self {
            outcome: Err(error.into()),
            has_hashed: false,
        }
    }

    fn hashed(outcome: Result<i64, AccountError>) -> Self {
        Self {
            outcome,
            has_hashed: true,
        }
    }
}

/// The user accounts: a store and a pool of hashers, and the flows over both.
#[derive(Debug)]
pub struct Accounts {
    users: UserTable,
    logins: Logins,
    hasher: Hasher,
    // Dropped in this order: a hasher's last answers may still become writes.
    pool: HasherPool,
    store: Store,
}

type Owed<T> = Promise<Result<T, AccountError>>;
type OwedRegistration = Promise<Registration>;

impl Accounts {
    /// The accounts in `store`, with passwords hashed by `pool`, and what is noted of logins marked
    /// with `pseudonyms`.
    #[must_use]
    pub fn new(store: Store, pool: HasherPool, pseudonyms: Pseudonyms) -> Self {
        Self {
            users: store.users(),
            logins: store.logins(pseudonyms),
            hasher: pool.hasher(),
            pool,
            store,
        }
    }

    /// Makes a user, for somebody in `network`, and answers the id. Whether e-mail address and username are free is asked
    /// before the costly hash, and judged by the database after it.
    ///
    /// # Errors
    /// [`Overloaded`] when the store's queue is full.
    pub fn register(
        &self,
        new: New,
        network: ClientNetwork,
        reply: Completion<Registration>,
    ) -> Result<(), Overloaded> {
        if let Err(rule) = check_rules(&new) {
            reply(Registration::cheap(rule));
            return Ok(());
        }
        let (users, hasher) = (self.users.clone(), self.hasher.clone());
        let (email, username) = (new.email.clone(), new.username.clone());
        let hash_if_free = move |free| {
            let owed = Promise::new(reply, || Registration::cheap(AccountError::Overloaded));
            match free {
                Ok(()) => hash_then_insert(&hasher, users, new, network, owed),
                Err(error) => owed.keep(Registration::cheap(error)),
            }
        };
        self.users
            .check_free(email, username, Box::new(hash_if_free))
    }

    /// Id of the database in tokens.
    #[must_use]
    pub fn database_id(&self) -> &str {
        self.store.id()
    }

    /// Load of the store and of the hashers, now and so far.
    pub(super) fn loads(&self) -> [(&'static str, Load); 2] {
        [("store", self.store.load()), ("hashing", self.pool.load())]
    }

    /// Answers the user with this id.
    ///
    /// # Errors
    /// [`Overloaded`] when the store's queue is full.
    pub fn me(
        &self,
        id: i64,
        reply: Completion<Result<User, AccountError>>,
    ) -> Result<(), Overloaded> {
        let response = move |found: Result<User, StoreError>| reply(found.map_err(Into::into));
        self.users.find(id, Box::new(response))
    }

    /// Answers the user with this id and the names the user is found by.
    ///
    /// # Errors
    /// [`Overloaded`] when the store's queue is full.
    pub fn identify(
        &self,
        id: i64,
        reply: Completion<Result<Identified, AccountError>>,
    ) -> Result<(), Overloaded> {
        let response = move |found: Result<Identified, StoreError>| {
            reply(found.map_err(Into::into));
        };
        self.users.identify(id, Box::new(response))
    }

    /// Changes what `profile` has of the user's profile, all or nothing, and answers the username
    /// from then on. A value that is the
    /// user's own already is not held to the rules, since users of the C design may have
    /// names and addresses that break them.
    ///
    /// # Errors
    /// [`Overloaded`] when the store's queue is full.
    pub fn update(
        &self,
        id: i64,
        profile: Profile,
        renames: Renames,
        reply: Completion<Result<String, AccountError>>,
    ) -> Result<(), Overloaded> {
        if profile.is_empty() {
            reply(Err(AccountError::NothingToUpdate));
            return Ok(());
        }
        if profile.broken_rule().is_none() {
            let response = move |done: Result<String, StoreError>| reply(done.map_err(Into::into));
            let changes = profile.into();
            return self.users.update(id, changes, renames, Box::new(response));
        }
        let users = self.users.clone();
        let update_changed = move |found| {
            let owed = Promise::new(reply, || Err(AccountError::Overloaded));
            match found {
                Ok(user) => update_changed(&users, &user, profile, renames, owed),
                Err(error) => owed.keep(Err(AccountError::from(error))),
            }
        };
        self.users.find(id, Box::new(update_changed))
    }

    /// Refuses new work, finishes what was taken and closes the database. Blocks. A login or
    /// registration that is between two steps is answered `Overloaded`.
    pub fn close(self) {
        self.pool.close();
        self.store.close();
    }
}

impl Profile {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.username.is_none() && self.email.is_none()
    }

    fn broken_rule(&self) -> Option<RuleError> {
        let judge = |value: &Option<String>, rule: fn(&str) -> Result<(), RuleError>| {
            value.as_deref().and_then(|value| rule(value).err())
        };
        judge(&self.username, validation::username)
            .or_else(|| judge(&self.email, validation::email))
            .or_else(|| judge(&self.name, validation::name))
    }

    fn without_values_of(mut self, user: &User) -> Self {
        self.name = self.name.filter(|name| *name != user.name);
        self.username = self.username.filter(|username| *username != user.username);
        self.email = self.email.filter(|email| *email != user.email);
        self
    }
}

impl From<Profile> for UserChanges {
    fn from(profile: Profile) -> Self {
        let Profile {
            name,
            username,
            email,
        } = profile;
        Self {
            name,
            username,
            email,
        }
    }
}

fn check_rules(new: &New) -> Result<(), RuleError> {
    validation::username(&new.username)?;
    validation::email(&new.email)?;
    validation::password(new.password.as_str())?;
    validation::name(&new.name)
}

fn hash_then_insert(
    hasher: &Hasher,
    users: UserTable,
    new: New,
    network: ClientNetwork,
    owed: OwedRegistration,
) {
    let New {
        name,
        username,
        email,
        password,
    } = new;
    let insert_hashed = move |hashed| match hashed {
        Ok(password_hash) => {
            let new = NewUser {
                name,
                username,
                email,
                password_hash,
            };
            insert(&users, new, owed);
        }
        Err(error) => owed.keep(Registration::cheap(error)),
    };
    note_rejection(hasher.hash(network, password, Box::new(insert_hashed)));
}

fn insert(users: &UserTable, new: NewUser, owed: OwedRegistration) {
    let owed = owed.or(|| Registration::hashed(Err(AccountError::Overloaded)));
    let response = move |inserted: Result<i64, StoreError>| {
        owed.keep(Registration::hashed(inserted.map_err(Into::into)));
    };
    note_rejection(users.insert(new, Box::new(response)));
}

fn update_changed(
    users: &UserTable,
    user: &User,
    profile: Profile,
    renames: Renames,
    owed: Owed<String>,
) {
    let changed = profile.without_values_of(user);
    if let Some(rule) = changed.broken_rule() {
        return owed.keep(Err(rule.into()));
    }
    let response = move |done: Result<String, StoreError>| owed.keep(done.map_err(Into::into));
    note_rejection(users.update(user.id, changed.into(), renames, Box::new(response)));
}

/// A refused step has dropped its reply, and with it the promise, which has answered `Overloaded`.
fn note_rejection(step: Result<(), Overloaded>) {
    if let Err(overloaded) = step {
        log::debug!("a step of an account's flow was refused: {overloaded}");
    }
}

#[cfg(test)]
mod tests;
