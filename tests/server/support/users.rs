//! Users of the server, through its own front door.

use serde_json::{Value, json};

use super::http::Connection;
use super::server::Server;

/// A password within the rules.
pub(crate) const PASSWORD: &str = "Correct-Horse-9";

/// What registers `username` with everything else within the rules.
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

    /// Both; gives the token.
    pub(crate) fn register_and_login(&self, username: &str) -> String {
        let mut connection = self.connect();
        connection
            .post_json("/register", &registration(username))
            .expect(201);
        login(&mut connection, username, PASSWORD)
    }
}

/// Logs in over a connection; gives the token.
pub(crate) fn login(connection: &mut Connection, username: &str, password: &str) -> String {
    let body = json!({"username": username, "password": password});
    let answer = connection.post_json("/login", &body).expect(200).json();
    answer["data"]["token"]
        .as_str()
        .unwrap_or_else(|| panic!("no token: {answer}"))
        .to_owned()
}
