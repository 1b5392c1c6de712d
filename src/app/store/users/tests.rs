//! Names: whose they are for good, and how often they may change.

use super::*;
use crate::app::store::{Store, StoreOptions};
use std::sync::mpsc::sync_channel;
use tempfile::TempDir;

const NOW: i64 = 1_800_000_000;
const FREE: Renames = Renames {
    per_day: 0,
    now: NOW,
};

struct UsersFixture {
    folder: TempDir,
    store: Store,
}

impl UsersFixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("users.db");
        let store = Store::open(&path, StoreOptions::default()).unwrap();
        Self { folder, store }
    }

    fn reopen(self) -> Self {
        self.store.close();
        let path = self.folder.path().join("users.db");
        let store = Store::open(&path, StoreOptions::default()).unwrap();
        Self {
            folder: self.folder,
            store,
        }
    }

    /// Another connection to the file, as that of a server of the version before.
    fn raw(&self) -> Connection {
        Connection::open(self.folder.path().join("users.db")).unwrap()
    }

    fn insert(&self, name: &str) -> Result<i64, StoreError> {
        let new = NewUser {
            name: name.to_owned(),
            username: name.to_owned(),
            email: format!("{name}@x.example"),
            password_hash: String::new(),
        };
        ask(|reply| self.store.users().insert(new, reply))
    }

    fn check_free(&self, name: &str) -> Result<(), StoreError> {
        let email = format!("{name}@free.example");
        let users = self.store.users();
        ask(|reply| users.check_free(email, name.to_owned(), reply))
    }

    fn rename(&self, id: i64, name: &str, renames: Renames) -> Result<String, StoreError> {
        let changes = UserChanges {
            username: Some(name.to_owned()),
            ..UserChanges::default()
        };
        self.update(id, changes, renames)
    }

    fn update(
        &self,
        id: i64,
        changes: UserChanges,
        renames: Renames,
    ) -> Result<String, StoreError> {
        ask(|reply| self.store.users().update(id, changes, renames, reply))
    }

    /// The name in use, and those given up.
    fn names(&self, id: i64) -> (String, Vec<String>) {
        let found = ask(|reply| self.store.users().identify(id, reply)).unwrap();
        let mut aliases: Vec<_> = found.aliases.into_iter().map(String::from).collect();
        aliases.sort_unstable();
        (found.user.username, aliases)
    }
}

fn ask<T: Send + 'static>(submit: impl FnOnce(Completion<T>) -> Result<(), Overloaded>) -> T {
    let (tell, told) = sync_channel(1);
    submit(Box::new(move |response| tell.send(response).unwrap())).unwrap();
    told.recv().unwrap()
}

#[test]
fn a_name_given_up_is_nobody_elses() {
    let mut fixture = UsersFixture::new();
    let ada = fixture.insert("ada").unwrap();
    let bob = fixture.insert("bob").unwrap();
    assert_eq!(fixture.rename(ada, "eva", FREE).as_deref(), Ok("eva"));
    for _ in 0..2 {
        let taken = StoreError::UsernameTaken;
        assert_eq!(fixture.check_free("ada"), Err(taken));
        assert_eq!(fixture.insert("ada"), Err(StoreError::EmailTaken));
        assert_eq!(fixture.rename(bob, "ada", FREE), Err(taken));
        assert_eq!(fixture.rename(bob, "eva", FREE), Err(taken));
        assert_eq!(fixture.names(ada), ("eva".into(), vec!["ada".into()]));
        assert_eq!(fixture.names(bob), ("bob".into(), vec![]));
        fixture = fixture.reopen();
    }
    // Who has had it may have it again.
    assert_eq!(fixture.rename(ada, "ada", FREE).as_deref(), Ok("ada"));
    assert_eq!(fixture.names(ada), ("ada".into(), vec!["eva".into()]));
    assert_eq!(fixture.check_free("eva"), Err(StoreError::UsernameTaken));
    // Also when the user is gone.
    let raw = fixture.raw();
    raw.execute("DELETE FROM users WHERE id = ?1", [ada])
        .unwrap();
    for name in ["ada", "eva"] {
        assert_eq!(fixture.insert(name), Err(StoreError::UsernameTaken));
    }
}

#[test]
fn a_change_without_another_name_gives_none_up() {
    let fixture = UsersFixture::new();
    let ada = fixture.insert("ada").unwrap();
    assert_eq!(fixture.rename(ada, "ada", FREE).as_deref(), Ok("ada"));
    let email = UserChanges {
        email: Some("new@x.example".to_owned()),
        ..UserChanges::default()
    };
    assert_eq!(fixture.update(ada, email, FREE).as_deref(), Ok("ada"));
    assert_eq!(fixture.names(ada), ("ada".into(), vec![]));
    let gone = Err(StoreError::NoSuchUser);
    assert_eq!(fixture.rename(ada + 1, "eva", FREE), gone);
}

#[test]
fn of_many_names_the_latest_are_known_and_all_are_taken() {
    let fixture = UsersFixture::new();
    let ada = fixture.insert("ada").unwrap();
    for number in 0..ALIASES_MAX + 10 {
        fixture.rename(ada, &format!("ada{number}"), FREE).unwrap();
    }
    assert_eq!(fixture.names(ada).1.len(), ALIASES_MAX);
    assert_eq!(fixture.check_free("ada"), Err(StoreError::UsernameTaken));
}

#[test]
fn a_name_changes_so_often_a_day() {
    let mut fixture = UsersFixture::new();
    let at = |now| Renames { per_day: 2, now };
    let ada = fixture.insert("ada").unwrap();
    let bob = fixture.insert("bob").unwrap();
    fixture.rename(ada, "ada1", at(NOW)).unwrap();
    // What changes no name, and what is refused, is free.
    fixture.rename(ada, "ada1", at(NOW)).unwrap();
    let taken = Err(StoreError::UsernameTaken);
    assert_eq!(fixture.rename(ada, "bob", at(NOW)), taken);
    fixture.rename(ada, "ada2", at(NOW + 100)).unwrap();
    for name in ["ada3", "ada", "bob"] {
        let rejected = fixture.rename(ada, name, at(NOW + 200));
        let retry_after_s = 86_400 - 200;
        assert_eq!(rejected, Err(StoreError::TooManyRenames { retry_after_s }));
        fixture = fixture.reopen();
    }
    let email = UserChanges {
        username: Some("ada2".to_owned()),
        email: Some("new@x.example".to_owned()),
        ..UserChanges::default()
    };
    assert!(fixture.update(ada, email, at(NOW + 200)).is_ok());
    fixture.rename(bob, "bob1", at(NOW + 200)).unwrap();
    assert!(fixture.rename(ada, "ada3", at(NOW + 86_399)).is_err());
    assert!(fixture.rename(ada, "ada3", at(NOW + 86_400)).is_ok());
    assert!(fixture.rename(ada, "ada4", at(NOW + 86_400)).is_err());
    // Another limit counts at once.
    let more = Renames {
        per_day: 3,
        now: NOW + 86_400,
    };
    assert!(fixture.rename(ada, "ada4", more).is_ok());
    // A clock that was far ahead locks nobody out.
    assert!(fixture.rename(ada, "ada5", at(NOW - 90_000)).is_ok());
}

#[test]
fn a_server_of_the_version_before_goes_on_with_the_file_and_keeps_the_names() {
    let fixture = UsersFixture::new();
    let raw = fixture.raw();
    let version: i64 = raw
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 2, "the newest it opens");
    let insert = "INSERT INTO users (name, username, email, password_hash) VALUES ('', ?1, ?1, '')";
    raw.execute(insert, ["ada"]).unwrap();
    let ada = raw.last_insert_rowid();
    raw.execute(insert, ["bob"]).unwrap();
    let update = "UPDATE users SET name = coalesce(?2, name), username = coalesce(?3, username) WHERE id = ?1";
    raw.execute(update, params![ada, "Ada", None::<&str>])
        .unwrap();
    raw.execute(update, params![ada, None::<&str>, "eva"])
        .unwrap();
    assert_eq!(fixture.names(ada), ("eva".into(), vec!["ada".into()]));
    for name in ["ada", "bob"] {
        let rejected = raw.execute(insert, [name]).unwrap_err();
        assert_eq!(
            rejected.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation)
        );
    }
    assert!(
        raw.execute(update, params![ada, None::<&str>, "bob"])
            .is_err()
    );
}
