//! `POST /register` and `POST /login`.

use crate::support::users::{PASSWORD, registration};
use crate::support::{Connection, Server};
use serde_json::{Value, json};

/// A registration with one member changed.
fn registration_with(username: &str, member: &str, value: Value) -> Value {
    let mut body = registration(username);
    body[member] = value;
    body
}

fn rejected(connection: &mut Connection, body: &Value) -> String {
    let response = connection.post_json("/register", body);
    assert_eq!(
        response.status,
        400,
        "accepted or otherwise refused: {body} {}",
        response.text()
    );
    response.error(400)
}

#[test]
fn a_registered_user_logs_in() {
    let server = Server::start();
    let mut connection = server.connect();
    let response = connection
        .post_json("/register", &registration("ann"))
        .expect(201);
    assert_eq!(
        response.json(),
        json!({"success": true, "message": "User created successfully"})
    );

    let body = json!({"username": "ann", "password": PASSWORD, "email": "ignored@example.com"});
    let response = connection.post_json("/login", &body).expect(200).json();
    assert_eq!(response["success"], true);
    assert_eq!(response["message"], "Login successful");
    let token = response["data"]["token"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3, "a JWT has three parts");
    connection.get_as(token, "/me").expect(200);
}

#[test]
fn tokens_carry_the_documented_claims() {
    let server = Server::with_config("jwt_expiry_seconds=1234");
    let token = server.register_and_login("ann");
    let mut parts = token.split('.').map(decode_base64url);
    let header: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    assert_eq!(header["alg"], "HS256");
    let claims: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    assert!(claims["sub"].is_u64(), "{claims}");
    assert_eq!(claims["username"], "ann");
    let (issued, expires) = (
        claims["iat"].as_u64().unwrap(),
        claims["exp"].as_u64().unwrap(),
    );
    assert_eq!(expires - issued, 1234);
}

#[test]
fn a_name_or_an_address_is_taken_once() {
    let server = Server::start();
    let mut connection = server.connect();
    connection
        .post_json("/register", &registration("ann"))
        .expect(201);

    let other_name = registration_with("anna", "email", json!("ann@example.com"));
    assert_eq!(
        connection.post_json("/register", &other_name).error(409),
        "Email already exists"
    );
    let other_address = registration_with("ann", "email", json!("other@example.com"));
    assert_eq!(
        connection.post_json("/register", &other_address).error(409),
        "Username already exists"
    );
    let both = connection
        .post_json("/register", &registration("ann"))
        .error(409);
    assert_eq!(
        both, "Email already exists",
        "the address is looked at first"
    );
}

#[test]
fn one_of_many_registrations_of_a_name_at_once_wins() {
    let server = Server::start();
    let mut connections: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for (number, connection) in connections.iter_mut().enumerate() {
        let email = json!(format!("ann{number}@example.com"));
        let body = registration_with("ann", "email", email).to_string();
        let fields = [("Content-Type", "application/json")];
        connection.send_request("POST", "/register", &fields, body.as_bytes());
    }
    let mut statuses: Vec<_> = connections
        .iter_mut()
        .map(|connection| connection.respond().status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
}

#[test]
fn usernames_are_judged() {
    let server = Server::start();
    let mut connection = server.connect();
    let long = "u".repeat(33);
    for bad in [
        "", "ab", &long, "1ann", "an n", "ann!", "änn", "ann\n", "<b>",
    ] {
        let body = registration_with("ann", "username", json!(bad));
        let text = rejected(&mut connection, &body).to_lowercase();
        assert!(text.contains("username"), "{bad:?}: {text}");
    }
    for good in ["abc", &"u".repeat(32), "A_-9", "_ann"] {
        let mut body = registration(good);
        body["email"] = json!(format!("{good}@example.com"));
        connection.post_json("/register", &body).expect(201);
    }
}

#[test]
fn addresses_are_judged() {
    let server = Server::start();
    let mut connection = server.connect();
    let long = format!("{}@example.com", "a".repeat(244));
    assert_eq!(long.len(), 256);
    for bad in [
        "",
        "a@b.",
        "a@@example.com",
        "example.com",
        "a@example",
        "@example.com",
        "a b@example.com",
        &long,
    ] {
        let text = rejected(
            &mut connection,
            &registration_with("ann", "email", json!(bad)),
        )
        .to_lowercase();
        assert!(text.contains("email"), "{bad:?}: {text}");
    }
    for (number, good) in ["a+tag@mail.example.co.uk", "first.last@example.com"]
        .iter()
        .enumerate()
    {
        let body = registration_with(&format!("user{number}"), "email", json!(good));
        connection.post_json("/register", &body).expect(201);
    }
}

#[test]
fn passwords_are_judged() {
    let server = Server::start();
    let mut connection = server.connect();
    let long = format!("Aa1!{}", "x".repeat(125));
    assert_eq!(long.len(), 129);
    for bad in [
        "", "Aa1!xyz", "aa1!wxyz", "AA1!WXYZ", "Aaa!wxyz", "Aa11wxyz", &long,
    ] {
        let text = rejected(
            &mut connection,
            &registration_with("ann", "password", json!(bad)),
        )
        .to_lowercase();
        assert!(text.contains("password"), "{bad:?}: {text}");
    }
    for (number, good) in ["Aa1!wxyz", &long[..128], "Aa1! ~wxyz\u{1F512}"]
        .iter()
        .enumerate()
    {
        let username = format!("user{number}");
        connection
            .post_json(
                "/register",
                &registration_with(&username, "password", json!(good)),
            )
            .expect(201);
        crate::support::users::login(&mut connection, &username, good);
    }
}

#[test]
fn every_member_must_be_a_string() {
    let server = Server::start();
    let mut connection = server.connect();
    for member in ["name", "username", "email", "password"] {
        for wrong in [json!(null), json!(7), json!(["x"]), json!({}), json!(true)] {
            rejected(&mut connection, &registration_with("ann", member, wrong));
        }
        let mut body = registration("ann");
        body.as_object_mut().unwrap().remove(member);
        rejected(&mut connection, &body);
    }
    for member in ["username", "password"] {
        let mut body = json!({"username": "ann", "password": PASSWORD});
        body[member] = json!(7);
        connection.post_json("/login", &body).error(400);
        body.as_object_mut().unwrap().remove(member);
        connection.post_json("/login", &body).error(400);
    }
}

#[test]
fn unknown_users_and_wrong_passwords_look_the_same() {
    let server = Server::start();
    server.register("ann");
    let mut connection = server.connect();
    let mut bodies = Vec::new();
    for (username, password) in [
        ("ann", "Wrong-Horse-9"),
        ("nobody", PASSWORD),
        ("ann", ""),
        ("", ""),
    ] {
        let response = connection.post_json(
            "/login",
            &json!({"username": username, "password": password}),
        );
        assert_eq!(response.error(401), "Invalid username or password");
        bodies.push(response.body);
    }
    assert!(
        bodies.windows(2).all(|pair| pair[0] == pair[1]),
        "{bodies:?}"
    );
}

#[test]
fn names_compare_as_registered() {
    let server = Server::start();
    server.register("ann");
    let mut connection = server.connect();
    let body = json!({"username": "ANN", "password": PASSWORD});
    connection.post_json("/login", &body).error(401);
}

#[test]
fn users_outlive_the_server() {
    let server = Server::start();
    let folder = server.folder().clone();
    let token = server.register_and_login("ann");
    assert!(server.stop().success());

    let server = folder.start();
    server.connect().get_as(&token, "/me").expect(200);
    server.login("ann");
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let server = Server::start();
    let folder = server.folder().clone();
    server.register("ann");
    server.signal("KILL");
    drop(server);

    folder.start().login("ann");
}

#[test]
fn no_password_and_no_token_reaches_the_log() {
    let server = Server::with_config("log_level=0");
    let token = server.register_and_login("ann");
    let mut connection = server.connect();
    connection.get_as(&token, "/me").expect(200);
    let wrong = json!({"username": "ann", "password": "Wrong-Horse-9"});
    connection.post_json("/login", &wrong).error(401);
    let log = server.log_lines().join("\n");
    let signature = token.rsplit('.').next().unwrap();
    for secret in [
        PASSWORD,
        "Wrong-Horse-9",
        signature,
        crate::support::command::SECRET_KEY,
    ] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
}

#[test]
fn curl_registers_and_logs_in() {
    let server = Server::start();
    let certificate = server.folder().file("cert.pem");
    let post = |path: &str, body: Value| {
        let mut command = std::process::Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "--cacert",
        ]);
        command.arg(&certificate).args([
            "--header",
            "Content-Type: application/json; charset=utf-8",
            "--data",
        ]);
        command
            .arg(body.to_string())
            .arg(format!("{}{path}", server.origin()));
        let done = crate::support::command::run(&mut command);
        assert!(done.status.success(), "curl: {}", done.stderr);
        serde_json::from_str::<Value>(&done.stdout).unwrap()
    };
    assert_eq!(post("/register", registration("ann"))["success"], true);
    assert!(
        post("/login", json!({"username": "ann", "password": PASSWORD}))["data"]["token"]
            .is_string()
    );
}

fn decode_base64url(text: &str) -> Vec<u8> {
    let digits = text.bytes().map(|byte| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let place = alphabet
            .iter()
            .position(|&known| known == byte)
            .expect("base64url");
        u32::try_from(place).expect("one of 64")
    });
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for digit in digits {
        bits = (bits << 6) | digit;
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., byte] = (bits >> held).to_be_bytes();
            bytes.push(byte);
        }
    }
    bytes
}
