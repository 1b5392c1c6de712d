//! A `users.db` made by the C design: it opens, its users log in, and their passwords move on.

use std::num::NonZeroU32;

use crate::support::command::{edgeloop, run};
use crate::support::users::{PASSWORD, login, registration};
use crate::support::{Folder, Server};
use aws_lc_rs::pbkdf2;
use rusqlite::Connection as Database;
use serde_json::json;

/// A folder with a database as the C design leaves it.
fn legacy_folder(users: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    folder.configure("");
    let database = Database::open(folder.file("users.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE User (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, \
             username TEXT UNIQUE NOT NULL, email TEXT UNIQUE NOT NULL, \
             password BLOB NOT NULL, salt BLOB NOT NULL);",
        )
        .unwrap();
    for (number, (username, email)) in users.iter().enumerate() {
        let salt = [u8::try_from(number).unwrap() + 1; 16];
        let hash = legacy_hash(PASSWORD, &salt);
        let name = format!("{username} of old");
        let insert =
            "INSERT INTO User (name, username, email, password, salt) VALUES (?1, ?2, ?3, ?4, ?5)";
        database
            .execute(insert, rusqlite::params![name, username, email, hash, salt])
            .unwrap();
    }
    folder
}

fn legacy_hash(password: &str, salt: &[u8; 16]) -> [u8; 32] {
    let mut hash = [0; 32];
    let rounds = NonZeroU32::new(10_000).unwrap();
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        salt,
        password.as_bytes(),
        &mut hash,
    );
    hash
}

/// Number of times the bytes occur in the files of a stopped server's database.
fn occurrences(folder: &Folder, needle: &[u8]) -> usize {
    let bytes: Vec<u8> = ["users.db", "users.db-wal"]
        .iter()
        .filter_map(|name| std::fs::read(folder.file(name)).ok())
        .flatten()
        .collect();
    bytes
        .windows(needle.len())
        .filter(|window| *window == needle)
        .count()
}

fn rejected(server: &Server, username: &str, password: &str) {
    let body = json!({"username": username, "password": password});
    server.connect().post_json("/login", &body).error(401);
}

#[test]
fn users_keep_their_ids_and_passwords() {
    let folder = legacy_folder(&[("ann", "ann@example.com"), ("bob", "bob@example.com")]);
    let server = folder.start();
    rejected(&server, "ann", "Wrong-Horse-9");
    let token = server.login("bob");
    let me = server.connect().get_as(&token, "/me").expect(200).json();
    assert_eq!(
        me,
        json!({"id": 2, "name": "bob of old", "username": "bob", "email": "bob@example.com"})
    );
    let token = server.login("ann");
    assert_eq!(
        server.connect().get_as(&token, "/me").expect(200).json()["id"],
        1
    );
}

#[test]
fn a_login_moves_its_user_and_no_other() {
    let folder = legacy_folder(&[("ann", "ann@example.com"), ("bob", "bob@example.com")]);
    let server = folder.start();
    server.login("ann");
    rejected(&server, "ann", "Wrong-Horse-9");
    assert!(server.stop().success());
    assert_eq!(occurrences(&folder, b"$argon2id$v=19$m=19456,t=2,p=1$"), 1);

    // Both still log in, after another start too.
    let server = folder.start();
    for username in ["ann", "bob", "ann", "bob"] {
        login(&mut server.connect(), username, PASSWORD);
        rejected(&server, username, "Wrong-Horse-9");
    }
    assert!(server.stop().success());
    assert_eq!(occurrences(&folder, b"$argon2id$v=19$m=19456,t=2,p=1$"), 2);
}

#[test]
fn new_users_live_beside_the_old() {
    let folder = legacy_folder(&[("ann", "ann@example.com")]);
    let server = folder.start();
    let mut connection = server.connect();
    let mut body = registration("ann");
    assert_eq!(
        connection.post_json("/register", &body).error(409),
        "Email already exists"
    );
    body["email"] = json!("other@example.com");
    assert_eq!(
        connection.post_json("/register", &body).error(409),
        "Username already exists"
    );
    let token = server.register_and_login("bob");
    assert_eq!(
        server.connect().get_as(&token, "/me").expect(200).json()["id"],
        2
    );
}

#[test]
fn what_the_c_design_let_in_still_opens() {
    // Addresses that differ by case only, and a name today's rules would refuse.
    let users = [
        ("ann", "ann@example.com"),
        ("Ann", "ANN@example.com"),
        ("1 odd name", "odd"),
    ];
    let folder = legacy_folder(&users);
    let server = folder.start();
    for (username, _) in users {
        server.login(username);
    }
}

#[test]
fn an_empty_old_database_opens() {
    let folder = legacy_folder(&[]);
    folder.start().register_and_login("ann");
}

#[test]
fn a_newer_database_is_left_alone() {
    let folder = Folder::new();
    folder.configure("");
    let path = folder.file("users.db");
    let database = Database::open(&path).unwrap();
    database
        .execute_batch("CREATE TABLE future (x); PRAGMA user_version = 9999;")
        .unwrap();
    drop(database);
    let before = std::fs::read(&path).unwrap();
    let done = run(edgeloop()
        .current_dir(folder.path())
        .arg("--config")
        .arg(folder.file("server.conf")));
    assert!(!done.status.success(), "{done:?}");
    assert!(
        done.stderr.contains("9999") && done.stderr.contains("users.db"),
        "{done:?}"
    );
    assert!(
        std::fs::read(&path).unwrap() == before,
        "the newer database was changed"
    );
}

#[test]
fn what_is_no_database_is_left_alone() {
    let folder = Folder::new();
    folder.configure("");
    std::fs::write(
        folder.file("users.db"),
        "this is no database, it is a love letter ".repeat(100),
    )
    .unwrap();
    let done = run(edgeloop()
        .current_dir(folder.path())
        .arg("--config")
        .arg(folder.file("server.conf")));
    assert!(!done.status.success(), "{done:?}");
    assert!(
        done.stderr.contains("users.db") && !done.stderr.contains("panicked"),
        "{done:?}"
    );
}
