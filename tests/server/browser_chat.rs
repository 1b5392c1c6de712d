//! The pages in a real browser: two people register, log in and talk.

use crate::support::Server;
use crate::support::browser::{Browser, Page, quoted};
use crate::support::users::PASSWORD;

/// Registers and logs in through the pages; ends on the chat page, online.
fn enter(server: &Server, page: &Page, username: &str) {
    page.navigate(&format!("{}/register", server.origin()));
    page.fill(
        "#register-form [name=name]",
        &format!("{username} of the tests"),
    );
    page.fill("#register-form [name=username]", username);
    page.fill(
        "#register-form [name=email]",
        &format!("{username}@example.com"),
    );
    page.fill("#register-form [name=password]", PASSWORD);
    page.press_enter();
    page.wait_for_path("/login");
    log_in(page, username);
}

fn log_in(page: &Page, username: &str) {
    page.fill("#login-form [name=username]", username);
    page.fill("#login-form [name=password]", PASSWORD);
    page.press_enter();
    page.wait_for_path("/chat");
    wait_for_online(page, username);
}

fn wait_for_online(page: &Page, username: &str) {
    page.wait_for(&format!(
        "#online-list li[data-username={}]",
        quoted(username)
    ));
}

fn wait_for_message(page: &Page, author: &str, text: &str) {
    page.wait_until(&format!(
        "[...document.querySelectorAll('#messages article[data-message-id]')].some(one => \
         one.querySelector('.message-author').textContent.includes({}) && \
         one.querySelector('.message-text').textContent === {})",
        quoted(author),
        quoted(text)
    ));
}

fn say(page: &Page, text: &str) {
    page.type_into("#composer textarea", text);
    page.click("#send");
}

#[test]
fn two_people_talk() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let (ann, bob) = (browser.page(), browser.page());
    enter(&server, &ann, "ann");
    enter(&server, &bob, "bob");
    wait_for_online(&ann, "bob");
    wait_for_online(&bob, "ann");

    say(&ann, "hello bob");
    wait_for_message(&bob, "ann", "hello bob");
    wait_for_message(&ann, "ann", "hello bob");
    say(&bob, "hello ann \u{1F44B}");
    wait_for_message(&ann, "bob", "hello ann \u{1F44B}");

    bob.type_into("#composer textarea", "thinking");
    ann.wait_for_text("#typing", "bob");

    for page in [&ann, &bob] {
        page.expect_no_problems();
    }
}

#[test]
fn messages_are_compressed_or_not_as_the_server_says() {
    let Some(browser) = Browser::start() else {
        return;
    };
    for (key, extensions) in [("1", "permessage-deflate"), ("0", "")] {
        let server = Server::with_config(&format!("ws_compression={key}"));
        let (ann, bob) = (browser.page(), browser.page());
        enter(&server, &ann, "ann");
        enter(&server, &bob, "bob");
        let negotiated = ann.evaluate(
            "new Promise((done, fail) => { \
                const token = sessionStorage.getItem('edgeloop.token'); \
                const socket = new WebSocket(`wss://${location.host}/ws`, ['chat', `Bearer.${token}`]); \
                socket.onopen = () => { done(socket.extensions); socket.close(); }; \
                socket.onerror = () => fail('no socket'); \
            })",
        );
        let negotiated = negotiated.as_str().unwrap_or_default();
        assert_eq!(
            negotiated.split(';').next(),
            Some(extensions),
            "{negotiated}"
        );
        let long = "Long messages are worth packing. ".repeat(60);
        say(&ann, long.trim());
        wait_for_message(&bob, "ann", long.trim());
        wait_for_message(&ann, "ann", long.trim());
        for page in [&ann, &bob] {
            page.expect_no_problems();
        }
    }
}

#[test]
fn markup_stays_text() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let (ann, bob) = (browser.page(), browser.page());
    enter(&server, &ann, "ann");
    enter(&server, &bob, "bob");
    wait_for_online(&ann, "bob");

    let attacks = [
        "<img src=x onerror=\"window.broken=1\">",
        "</textarea><script>window.broken=1</script>",
        "&lt;b&gt;",
    ];
    for attack in attacks {
        say(&ann, attack);
        wait_for_message(&bob, "ann", attack);
    }
    say(&ann, "the last");
    wait_for_message(&bob, "ann", "the last");
    assert_eq!(bob.evaluate("window.broken === undefined"), true);
    assert_eq!(
        bob.evaluate("document.querySelectorAll('#messages img, #messages script').length"),
        0
    );
    bob.expect_no_problems();
}

#[test]
fn a_reloaded_page_is_back_in_the_chat() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let (ann, bob) = (browser.page(), browser.page());
    enter(&server, &ann, "ann");
    enter(&server, &bob, "bob");
    wait_for_online(&ann, "bob");
    bob.reload();
    wait_for_online(&bob, "ann");
    wait_for_online(&ann, "bob");
    say(&bob, "back again");
    wait_for_message(&ann, "bob", "back again");
}

#[test]
fn a_wrong_password_is_told_and_a_right_one_helps() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    server.register("ann");
    let page = browser.page();
    page.navigate(&format!("{}/login", server.origin()));
    page.fill("#login-form [name=username]", "ann");
    page.fill("#login-form [name=password]", "Wrong-Horse-9");
    page.press_enter();
    page.wait_for_text("#form-error", "Invalid username or password");
    log_in(&page, "ann");
}

#[test]
fn who_is_not_signed_in_is_sent_to_the_login() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    server.register("ann");
    let page = browser.page();
    page.navigate(&format!("{}/chat", server.origin()));
    page.wait_for_path("/login");
    log_in(&page, "ann");
    page.click("#logout");
    page.wait_until("location.pathname !== '/chat'");
}

#[test]
fn a_restarted_server_is_found_again() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let folder = server.folder().clone();
    let page = browser.page();
    enter(&server, &page, "ann");
    let port = server.port();
    let online = page.text("#status");
    assert!(server.stop().success());
    page.wait_until(&format!(
        "document.querySelector('#status').textContent !== {}",
        quoted(&online)
    ));

    folder.configure(&format!("port={port}"));
    let server = folder.start();
    page.wait_until(&format!(
        "document.querySelector('#status').textContent === {}",
        quoted(&online)
    ));
    say(&page, "and on we go");
    wait_for_message(&page, "ann", "and on we go");
    drop(server);
}

#[test]
fn all_pages_load_without_complaint() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    for path in ["/", "/register", "/login"] {
        page.navigate(&format!("{}{path}", server.origin()));
        page.wait_until("document.title.length > 0");
    }
    page.expect_no_problems();
}
