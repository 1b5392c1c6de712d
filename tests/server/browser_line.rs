//! The chat page when its line dies, when the server sends it away, and when its session ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::support::browser::{Browser, Page, quoted};
use crate::support::users::PASSWORD;
use crate::support::{Server, Socket};

/// Lets a test see what the page sends. The page's clock stands still until the test moves it on.
const WATCH: &str = "
    window.clockMs = 0;
    performance.now = () => window.clockMs;
    window.sent = [];
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        window.sent.push(JSON.parse(data));
        return send.call(this, data);
    };";

/// Passes bytes on between a page and the server, until it swallows them without a word.
struct Relay {
    port: u16,
    /// Connections made before this many are dead.
    dead_below: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
}

impl Relay {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            dead_below: Arc::default(),
            made: Arc::default(),
        };
        let (target, dead_below) = (server.port(), Arc::clone(&relay.dead_below));
        let made = Arc::clone(&relay.made);
        // Ends with the tests: nobody waits for it.
        std::thread::spawn(move || {
            for page in listener.incoming().map_while(Result::ok) {
                let number = made.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let both = [(&page, &server), (&server, &page)];
                for (from, to) in both.map(|(from, to)| (from.try_clone(), to.try_clone())) {
                    let (from, to, dead_below) = (from.unwrap(), to.unwrap(), dead_below.clone());
                    std::thread::spawn(move || pass_on(from, to, number, &dead_below));
                }
            }
        });
        relay
    }

    fn origin(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// All connections there are stay open and carry nothing any more; new ones are well.
    fn let_all_die(&self) {
        self.dead_below
            .store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, number: u64, dead_below: &AtomicU64) {
    let mut buffer = [0; 16_384];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        if number < dead_below.load(Ordering::SeqCst) {
            if count == 0 {
                return;
            }
        } else if count == 0 || to.write_all(&buffer[..count]).is_err() {
            // One may be closed already.
            to.shutdown(Shutdown::Both).ok();
            return;
        }
    }
}

/// Opens the chat as the user of the token, and waits until the page knows its name.
fn open_chat(page: &Page, origin: &str, token: &str, username: &str) {
    page.at_start_of_documents(WATCH);
    page.navigate(&format!("{origin}/login"));
    page.evaluate(&format!(
        "sessionStorage.setItem('edgeloop.token', {})",
        quoted(token)
    ));
    page.navigate(&format!("{origin}/chat"));
    wait_for_online(page, username);
}

fn wait_for_online(page: &Page, username: &str) {
    page.wait_until("document.body.dataset.connection === 'online'");
    page.wait_for(&format!(
        "#online-list li[data-username={}]",
        quoted(username)
    ));
    page.wait_for_text("#username", username);
}

fn say(page: &Page, text: &str) {
    page.type_into("#message-input", text);
    page.press_enter();
}

/// Waits until the page has sent so many messages of a type.
fn wait_for_sent(page: &Page, kind: &str, count: usize) {
    page.wait_until(&format!(
        "sent.filter(({{ type }}) => type === {}).length === {count}",
        quoted(kind)
    ));
}

fn wait_for_message(page: &Page, author: &str, text: &str, delivery: &str) {
    page.wait_until(&format!(
        "[...document.querySelectorAll('#messages article')].some(one => \
         one.querySelector('.message-author').textContent === {} && \
         one.querySelector('.message-text').textContent === {} && \
         one.dataset.delivery === {})",
        quoted(author),
        quoted(text),
        quoted(delivery)
    ));
}

/// The texts of what a socket got of one type.
fn texts_of(socket: &mut Socket, kind: &str) -> Vec<String> {
    let pending = socket.pending();
    let ours = pending.iter().filter(|message| message["type"] == kind);
    ours.map(|message| message["message"].as_str().unwrap().to_owned())
        .collect()
}

fn sign_in(page: &Page, username: &str) {
    page.wait_for_path("/login");
    page.fill("#login-form [name=username]", username);
    page.fill("#login-form [name=password]", PASSWORD);
    page.press_enter();
}

#[test]
fn a_dead_line_is_noticed_and_what_was_said_on_it_is_not_lost() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let tokens = ["ann", "bob"].map(|name| server.register_and_login(name));
    let relay = Relay::to(&server);
    let mut bob = Socket::join(&server, "bob", &tokens[1]);
    let ann = browser.page();
    open_chat(&ann, &relay.origin(), &tokens[0], "ann");
    ann.click("#online-list li[data-username=bob] button");
    say(&ann, "a secret");
    wait_for_message(&ann, "ann", "a secret", "sent");

    relay.let_all_die();
    // A system clock that is set back meanwhile changes nothing.
    ann.evaluate("{ const wall = Date.now; Date.now = () => wall() - 3_600_000; }");
    ann.evaluate("sent.length = 0; clockMs += 20_000");
    wait_for_sent(&ann, "private_stop_typing", 1);
    say(&ann, "another");
    wait_for_message(&ann, "ann", "another", "sending");
    ann.evaluate("clockMs += 15_000");
    wait_for_sent(&ann, "join", 1);
    wait_for_online(&ann, "ann");

    wait_for_message(&ann, "ann", "another", "unsure");
    ann.click("#messages .delivery button");
    wait_for_message(&ann, "ann", "another", "sent");
    assert_eq!(
        texts_of(&mut bob, "private_message"),
        ["a secret", "another"]
    );
    ann.expect_no_problems();
}

#[test]
fn a_page_that_is_looked_at_again_asks_at_once() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let token = server.register_and_login("ann");
    let page = browser.page();
    open_chat(&page, &server.origin(), &token, "ann");
    page.evaluate("sent.length = 0");
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    wait_for_sent(&page, "private_stop_typing", 1);
    page.evaluate("window.dispatchEvent(new Event('online'))");
    wait_for_sent(&page, "private_stop_typing", 2);

    page.evaluate("window.dispatchEvent(new Event('offline'))");
    page.wait_for_text("#status", "waiting for the network");
    page.evaluate("window.dispatchEvent(new Event('online'))");
    wait_for_online(&page, "ann");
    wait_for_sent(&page, "join", 1);
    page.expect_no_problems();
}

#[test]
fn after_a_change_of_name_the_page_says_so_and_waits_for_its_user() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let tokens = ["alice", "bob"].map(|name| server.register_and_login(name));
    let mut bob = Socket::join(&server, "bob", &tokens[1]);
    let page = browser.page();
    open_chat(&page, &server.origin(), &tokens[0], "alice");
    say(&page, "as alice");
    wait_for_message(&page, "alice", "as alice", "sent");
    server
        .connect()
        .put_json_as(&tokens[0], "/me", &json!({"username": "alicia"}))
        .expect(200);
    page.wait_for_text("#username", "alicia");
    page.wait_for_text("#status", "Disconnected: your username has changed");
    // Neither a look nor the network brings it back.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    page.evaluate("window.dispatchEvent(new Event('online'))");
    wait_for_sent(&page, "join", 1);
    page.wait_for_text("#status", "Disconnected: your username has changed");

    page.click("#reconnect");
    wait_for_online(&page, "alicia");
    say(&page, "as alicia");
    wait_for_message(&page, "alicia", "as alicia", "sent");
    page.wait_until("document.querySelectorAll('[data-delivery=sending]').length === 0");
    assert_eq!(texts_of(&mut bob, "message"), ["as alice", "as alicia"]);
    page.expect_no_problems();
}

#[test]
fn a_name_changed_while_the_page_was_away_is_asked_for() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let token = server.register_and_login("alice");
    let page = browser.page();
    open_chat(&page, &server.origin(), &token, "alice");
    page.evaluate("window.dispatchEvent(new Event('offline'))");
    server
        .connect()
        .put_json_as(&token, "/me", &json!({"username": "alicia"}))
        .expect(200);
    say(&page, "written meanwhile");
    wait_for_message(&page, "alice", "written meanwhile", "queued");
    page.evaluate("window.dispatchEvent(new Event('online'))");
    wait_for_online(&page, "alicia");
    wait_for_message(&page, "alicia", "written meanwhile", "sent");
    wait_for_sent(&page, "message", 1);
    page.expect_no_problems();
}

/// Lets the next handshake be refused as it is when the token has expired.
fn end_session(page: &Page) {
    page.evaluate("window.dispatchEvent(new Event('offline'))");
    page.evaluate("sessionStorage.setItem('edgeloop.token', 'e30.eyJ1c2VybmFtZSI6IngifQ.x')");
}

#[test]
fn drafts_and_unsent_messages_survive_a_new_sign_in() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let tokens = ["ann", "bob"].map(|name| server.register_and_login(name));
    let mut bob = Socket::join(&server, "bob", &tokens[1]);
    let page = browser.page();
    open_chat(&page, &server.origin(), &tokens[0], "ann");
    page.type_into("#message-input", "words of ten minutes");
    page.click("#online-list li[data-username=bob] button");
    end_session(&page);
    say(&page, "waits for the line");
    wait_for_message(&page, "ann", "waits for the line", "queued");
    page.type_into("#message-input", "half a secr");
    page.evaluate("window.dispatchEvent(new Event('online'))");

    sign_in(&page, "ann");
    page.wait_for_path("/chat");
    wait_for_online(&page, "ann");
    wait_for_message(&page, "ann", "waits for the line", "sent");
    assert_eq!(
        page.evaluate("document.querySelector('#message-input').value"),
        "half a secr"
    );
    assert_eq!(
        texts_of(&mut bob, "private_message"),
        ["waits for the line"]
    );
    page.click("#conversations li[data-conversation='group:General'] button");
    page.wait_until("document.querySelector('#message-input').value === 'words of ten minutes'");
    page.reload();
    page.wait_until("document.querySelector('#message-input').value === 'words of ten minutes'");
}

#[test]
fn drafts_are_for_their_author_alone() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let token = server.register_and_login("ann");
    server.register("bob");
    let page = browser.page();
    open_chat(&page, &server.origin(), &token, "ann");
    page.type_into("#message-input", "not for bob");
    end_session(&page);
    page.evaluate("window.dispatchEvent(new Event('online'))");
    sign_in(&page, "bob");
    page.wait_for_path("/chat");
    wait_for_online(&page, "bob");
    assert_eq!(
        page.evaluate(
            "document.querySelector('#message-input').value + JSON.stringify(sessionStorage)"
        )
        .as_str()
        .map(|all| all.contains("not for bob")),
        Some(false)
    );
}

#[test]
fn changes_to_a_profile_survive_a_new_sign_in() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let token = server.register_and_login("ann");
    let page = browser.page();
    open_chat(&page, &server.origin(), &token, "ann");
    page.navigate(&format!("{}/profile", server.origin()));
    page.wait_until("document.querySelector('#username').value === 'ann'");
    page.fill("#name", "Ann the Second");
    end_session(&page);
    page.press_enter();
    sign_in(&page, "ann");
    page.wait_for_path("/profile");
    page.wait_until("document.querySelector('#name').value === 'Ann the Second'");
    page.wait_for_text("#status", "not saved yet");
    page.click("#profile-form button[type=submit]");
    page.wait_for_text("#status", "Your profile is saved");
}
