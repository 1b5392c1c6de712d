//! `GET /me` and `PUT /me`.

use crate::support::command::edgeloop;
use crate::support::users::{PASSWORD, login};
use crate::support::{Folder, Server};
use serde_json::json;

#[test]
fn a_user_sees_who_they_are() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let response = server.connect().get_as(&token, "/me").expect(200).json();
    let id = response["id"].as_u64().expect("a numeric id");
    assert_eq!(
        response,
        json!({"id": id, "name": "ann of the tests", "username": "ann", "email": "ann@example.com"})
    );
}

#[test]
fn nobody_else_gets_in() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = head.split_once('.').unwrap();
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    // {"alg":"HS512","typ":"JWT"}
    let other_algorithm = format!("eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.{claims}.{signature}");
    let wrong = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer x".to_owned(),
        "Bearer a.b.c".to_owned(),
        format!("Basic {token}"),
        token.clone(),
        format!("Bearer {token}x"),
        format!("Bearer {header}.{claims}"),
        format!("Bearer {header}.{claims}."),
        format!("Bearer {header}.{claims}.{flipped}{}", &signature[1..]),
        format!("Bearer {unsigned}"),
        format!("Bearer {other_algorithm}"),
    ];
    let mut connection = server.connect();
    for value in &wrong {
        let response = connection.request("GET", "/me", &[("Authorization", value)], b"");
        assert_eq!(response.status, 401, "{value:?}");
        let text = response.error(401);
        assert_eq!(
            response.json()["message"],
            text.as_str(),
            "the pages read `message`"
        );
    }
    connection.get("/me").error(401);
    // Of two tokens it would not be clear whose word counts.
    let (good, bad) = (format!("Bearer {token}"), "Bearer x".to_owned());
    for values in [[&good, &bad], [&bad, &good], [&good, &good]] {
        let fields = values.map(|value| ("Authorization", value.as_str()));
        connection.request("GET", "/me", &fields, b"").error(401);
    }
    connection
        .put_json_as("x", "/me", &json!({"name": "x"}))
        .error(401);
    connection.get_as(&token, "/me").expect(200);
}

#[test]
fn a_token_of_another_key_does_not_count() {
    let folder = Folder::new();
    folder.configure("");
    let token = folder.start().register_and_login("ann");

    // It is the key that is judged, not what it opens: with it the token is good.
    folder.start().connect().get_as(&token, "/me").expect(200);

    let mut command = edgeloop();
    command.env("SECRET_KEY", "another-key-another-key-another-k");
    let other_key = folder.start_as(command);
    other_key.connect().get_as(&token, "/me").error(401);
    let own = other_key.login("ann");
    other_key.connect().get_as(&own, "/me").expect(200);
}

#[test]
fn a_token_expires() {
    let server = Server::with_config("jwt_expiry_seconds=1");
    let token = server.register_and_login("ann");
    let mut connection = server.connect();
    crate::support::wait_for("the token to expire", || {
        (connection.get_as(&token, "/me").status == 401).then_some(())
    });
}

#[test]
fn a_user_who_is_gone_is_not_found() {
    let folder = Folder::new();
    folder.configure("");
    let server = folder.start();
    let token = server.register_and_login("ann");
    let database = rusqlite::Connection::open(folder.file("users.db")).unwrap();
    database.execute("DELETE FROM users", []).unwrap();
    server.connect().get_as(&token, "/me").error(404);
}

#[test]
fn a_profile_changes_field_by_field() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut connection = server.connect();
    let response = connection
        .put_json_as(&token, "/me", &json!({"name": "Ann O'Nym \u{2764}"}))
        .expect(200);
    assert_eq!(
        response.json(),
        json!({"success": true, "message": "Profile updated successfully"})
    );
    let me = connection.get_as(&token, "/me").expect(200).json();
    assert_eq!(
        (me["name"].as_str(), me["email"].as_str()),
        (Some("Ann O'Nym \u{2764}"), Some("ann@example.com"))
    );

    connection
        .put_json_as(&token, "/me", &json!({"email": "new@example.com"}))
        .expect(200);
    let me = connection.get_as(&token, "/me").expect(200).json();
    assert_eq!(
        (me["name"].as_str(), me["email"].as_str()),
        (Some("Ann O'Nym \u{2764}"), Some("new@example.com"))
    );
}

#[test]
fn the_old_pages_send_username_and_password_along() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    let mut connection = server.connect();
    let body = json!({"name": "A", "email": "ann@example.com", "username": "ann", "password": "Other-Horse-9"});
    connection.put_json_as(&token, "/me", &body).expect(200);
    login(&mut connection, "ann", PASSWORD);
}

#[test]
fn a_bad_change_is_refused_whole() {
    let server = Server::start();
    let token = server.register_and_login("ann");
    server.register("bob");
    let mut connection = server.connect();
    let before = connection.get_as(&token, "/me").expect(200).json();
    for bad in [
        json!({}),
        json!({"name": 7}),
        json!({"name": ""}),
        json!({"name": "x", "email": "no"}),
        json!([]),
    ] {
        let response = connection.put_json_as(&token, "/me", &bad);
        assert_eq!(response.status, 400, "{bad}");
        response.error(400);
    }
    let taken = json!({"name": "x", "email": "bob@example.com"});
    assert_eq!(
        connection.put_json_as(&token, "/me", &taken).error(409),
        "Email already exists"
    );
    let taken = json!({"name": "x", "username": "bob"});
    assert_eq!(
        connection.put_json_as(&token, "/me", &taken).error(409),
        "Username already exists"
    );
    assert_eq!(connection.get_as(&token, "/me").expect(200).json(), before);
}
