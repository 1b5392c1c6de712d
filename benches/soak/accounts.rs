//! Users of the server: those the chat needs, and a modest stream of others.

use std::net::Ipv4Addr;
use std::path::Path;

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::net::{Target, own_address};
use crate::server::SECRET_KEY;
use crate::tally::{Failure, Op, Pace, Random, Tally};

const PASSWORD: &str = "Correct-Horse-9";
const WRONG_PASSWORD: &str = "Wrong-Horse-99";
/// Rounds of one worker in a minute; most of a round are five hashes of a password.
const ROUNDS_PER_MINUTE: u32 = 40;
/// Failed logins that the server's default allows in a minute.
const FAILURES_MAX: usize = 10;
/// Every so many rounds a client guesses until it is stopped.
const ROUNDS_PER_GUESSER: usize = 10;

/// A user who can log in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) token: String,
}

/// Registers a user and logs in.
pub(crate) fn enroll(
    target: &Target,
    from: Ipv4Addr,
    name: &str,
    random: &mut Random,
) -> Result<User, Failure> {
    let mut connection = Connection::open(target, from, random)?;
    register(&mut connection, name, 201)?;
    let token = log_in(&mut connection, name)?;
    Ok(User {
        name: name.to_owned(),
        token,
    })
}

/// Puts so many users into the database and signs their tokens: their passwords would be hashed for
/// minutes.
pub(crate) fn enroll_many(database: &Path, count: usize) -> Result<Vec<User>, Failure> {
    let mut database = rusqlite::Connection::open(database)?;
    let transaction = database.transaction()?;
    let mut users = Vec::with_capacity(count);
    for number in 0..count {
        let name = format!("reunion-{number}");
        transaction.execute(
            "INSERT INTO users (name, username, email) VALUES (?1, ?1, ?1 || '@example.com')",
            [&name],
        )?;
        let token = sign(transaction.last_insert_rowid(), &name);
        users.push(User { name, token });
    }
    transaction.commit()?;
    Ok(users)
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

fn register(connection: &mut Connection, name: &str, status: u16) -> Result<(), Failure> {
    let body = json!({
        "name": format!("{name} of the soak"),
        "username": name,
        "email": format!("{name}@example.com"),
        "password": PASSWORD,
    });
    let response = connection.post("/register", &body)?;
    response.expect("/register", status).map(drop)
}

fn credentials(name: &str, password: &str) -> Value {
    json!({"username": name, "password": password})
}

fn log_in(connection: &mut Connection, name: &str) -> Result<String, Failure> {
    let response = connection.post("/login", &credentials(name, PASSWORD))?;
    let body = response.expect("/login", 200)?.json()?;
    let token = body.pointer("/data/token").and_then(Value::as_str);
    Ok(token.ok_or("wanted a token")?.to_owned())
}

/// Registers, logs in and fails to log in until the end of the run.
pub(crate) fn run(target: &Target, tally: &Tally, number: usize, seed: u64) {
    let mut random = Random::new(seed);
    let mut pace = Pace::per_minute(ROUNDS_PER_MINUTE);
    let mut rounds = 0;
    while !tally.is_stopping() {
        pace.wait();
        rounds += 1;
        let name = format!("soak-{number}-{rounds}");
        // Each round has an address of its own, or its failures would add up.
        let from = own_address(u8::try_from(3 + number).unwrap_or(3), rounds);
        let done = if rounds % ROUNDS_PER_GUESSER == 0 {
            guess(target, from, &mut random)
        } else {
            round(target, from, &name, &mut random)
        };
        match done {
            Ok(requests) => tally.add(Op::Account, requests),
            Err(error) => tally.error("account", &error),
        }
    }
}

/// The life of an account.
fn round(target: &Target, from: Ipv4Addr, name: &str, random: &mut Random) -> Result<u64, Failure> {
    let User { token, .. } = enroll(target, from, name, random)?;
    let mut connection = Connection::open(target, from, random)?;
    register(&mut connection, name, 409)?;
    let wrong = connection.post("/login", &credentials(name, WRONG_PASSWORD))?;
    wrong.expect("a wrong password", 401)?;
    let wrong = connection.post("/login", &credentials("nobody-at-all", PASSWORD))?;
    // Every worker asks for nobody, who has failed too often at times.
    if wrong.status != 429 {
        wrong.expect("an unknown user", 401)?;
    }
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let me = connection
        .ask("GET /me", &bearer, "")?
        .expect("/me", 200)?
        .json()?;
    if me.get("username").and_then(Value::as_str) != Some(name) {
        return Err(format!("/me: wanted {name}, got {me}").into());
    }
    let fields = format!("{bearer}Content-Type: application/json\r\n");
    let change = json!({"name": format!("{name} renamed")}).to_string();
    connection
        .ask("PUT /me", &fields, &change)?
        .expect("PUT /me", 200)?;
    connection
        .ask("GET /me", "Authorization: Bearer a.b.c\r\n", "")?
        .expect("a bad token", 401)?;
    connection
        .ask("POST /login", "Content-Type: application/json\r\n", "{")?
        .expect("bad JSON", 400)?;
    connection
        .ask("POST /login", "Content-Type: text/plain\r\n", "{}")?
        .expect("a wrong media type", 415)?;
    Ok(10)
}

/// Wrong passwords until the limit says stop, which it has to.
fn guess(target: &Target, from: Ipv4Addr, random: &mut Random) -> Result<u64, Failure> {
    let name = format!("guessed-{from}").replace('.', "-");
    let mut connection = Connection::open(target, from, random)?;
    for _ in 0..FAILURES_MAX {
        let wrong = connection.post("/login", &credentials(&name, WRONG_PASSWORD))?;
        wrong.expect("a guess", 401)?;
    }
    let stopped = connection.post("/login", &credentials(&name, WRONG_PASSWORD))?;
    let stopped = stopped.expect("a guess too many", 429)?;
    if stopped.field("retry-after").is_none() {
        return Err(format!("wanted Retry-After, got {stopped}").into());
    }
    Ok(u64::try_from(FAILURES_MAX)? + 1)
}
