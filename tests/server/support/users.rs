//! Users of the server, through its own front door.

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::command::SECRET_KEY;
use super::http::Connection;
use super::server::Server;

/// A password within the rules.
pub(crate) const PASSWORD: &str = "Correct-Horse-9";

/// Registration of `username` with everything else valid.
pub(crate) fn registration(username: &str) -> Value {
    json!({
        "name": format!("{username} of the tests"),
        "username": username,
        "email": format!("{username}@example.com"),
        "password": PASSWORD,
    })
}

impl Server {
    /// Registers a user.
    pub(crate) fn register(&self, username: &str) {
        self.connect()
            .post_json("/register", &registration(username))
            .expect(201);
    }

    /// Logs a user in; gives the token.
    pub(crate) fn login(&self, username: &str) -> String {
        login(&mut self.connect(), username, PASSWORD)
    }

    /// Puts so many users into the database and signs a token for each, which takes no hashing of
    /// passwords; gives names and tokens.
    pub(crate) fn enroll(&self, count: usize) -> Vec<(String, String)> {
        let mut database = rusqlite::Connection::open(self.folder().file("users.db")).unwrap();
        let transaction = database.transaction().unwrap();
        let users = (0..count)
            .map(|number| {
                let name = format!("person-{number}");
                transaction
                    .execute(
                        "INSERT INTO users (name, username, email) VALUES (?1, ?1, ?1 || '@example.com')",
                        [&name],
                    )
                    .unwrap();
                let token = sign(transaction.last_insert_rowid(), &name);
                (name, token)
            })
            .collect();
        transaction.commit().unwrap();
        users
    }

    /// Both; gives the token.
    pub(crate) fn register_and_login(&self, username: &str) -> String {
        let mut connection = self.connect();
        connection
            .post_json("/register", &registration(username))
            .expect(201);
        login(&mut connection, username, PASSWORD)
    }
}

/// A token as the server issues them.
fn sign(user_id: i64, username: &str) -> String {
    let claims = json!({"sub": user_id, "username": username, "iat": 1, "exp": 4_000_000_000_u32});
    let parts = [json!({"alg": "HS256", "typ": "JWT"}), claims]
        .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = parts.join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET_KEY.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// Logs in over a connection; gives the token.
pub(crate) fn login(connection: &mut Connection, username: &str, password: &str) -> String {
    let body = json!({"username": username, "password": password});
    let response = connection.post_json("/login", &body).expect(200).json();
    response["data"]["token"]
        .as_str()
        .unwrap_or_else(|| panic!("no token: {response}"))
        .to_owned()
}
