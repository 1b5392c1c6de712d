//! The chat page and the words in it: input methods, directions, mentions, names for who cannot see.

use serde_json::{Value, json};

use crate::support::browser::{Browser, Page, quoted};
use crate::support::{Server, Socket};

/// Lets a test see what the page has been told; its own listener comes first.
const WATCH: &str = "
    window.got = [];
    window.WebSocket = class extends WebSocket {
        constructor(...all) {
            super(...all);
            this.addEventListener('message', ({ data }) => window.got.push(JSON.parse(data)));
        }
    };";

/// A page of ann's and a socket of bob's, both in the chat.
fn ann_and_bob(server: &Server, page: &Page) -> Socket {
    let tokens = ["ann", "bob"].map(|name| server.register_and_login(name));
    let bob = Socket::join(server, "bob", &tokens[1]);
    page.at_start_of_documents(WATCH);
    page.navigate(&format!("{}/login", server.origin()));
    page.evaluate(&format!(
        "sessionStorage.setItem('edgeloop.token', {})",
        quoted(&tokens[0])
    ));
    page.navigate(&format!("{}/chat", server.origin()));
    page.wait_for("#online-list li[data-username=bob]");
    page.wait_for_text("#username", "ann");
    bob
}

fn say(socket: &mut Socket, id: &str, text: &str) {
    let message = json!({"type": "message", "id": id, "message": text, "mentions": ["ann"]});
    socket.send(&message);
}

/// Waits until the page shows the message with this id.
fn wait_for_id(page: &Page, id: &str) {
    page.wait_for(&format!("#messages [data-message-id={}]", quoted(id)));
}

/// A computed style of the first match.
fn style(page: &Page, selector: &str, name: &str) -> Value {
    let (selector, pseudo) = selector.split_once("::").unwrap_or((selector, ""));
    page.wait_for(selector);
    let pseudo = match pseudo {
        "" => "null".to_owned(),
        pseudo => quoted(&format!("::{pseudo}")),
    };
    page.evaluate(&format!(
        "getComputedStyle(document.querySelector({}), {pseudo})[{}]",
        quoted(selector),
        quoted(name)
    ))
}

#[test]
fn the_enter_that_picks_a_word_sends_nothing() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    let mut bob = ann_and_bob(&server, &page);
    // As Safari reports it, the composition is over before the key that ended it; as others do, not.
    for event in ["keyCode: 229", "isComposing: true"] {
        page.type_into("#message-input", "日本");
        page.evaluate(&format!(
            "document.querySelector('#message-input').dispatchEvent(new KeyboardEvent('keydown', \
             {{ key: 'Enter', bubbles: true, cancelable: true, {event} }}))"
        ));
    }
    page.press_enter();
    page.wait_for_text("#messages [data-delivery=sent]", "日本日本");
    let texts: Vec<_> = bob
        .pending()
        .into_iter()
        .filter(|message| message["type"] == "message")
        .map(|message| message["message"].clone())
        .collect();
    assert_eq!(texts, ["日本日本"]);
}

#[test]
fn a_mention_in_a_script_without_spaces_reaches_the_user() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    let mut bob = ann_and_bob(&server, &page);
    page.type_into("#message-input", "你好@bob");
    // The first key closes the list of names: the name is written in full.
    page.press_enter();
    page.wait_for_text("#messages .mention", "@bob");
    let got = bob.pending();
    assert!(
        got.iter()
            .any(|message| message["type"] == "mention_notification"),
        "{got:?}"
    );
}

#[test]
fn words_have_the_direction_of_their_script() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    let mut bob = ann_and_bob(&server, &page);
    say(&mut bob, "rtl", "مرحبا بالعالم!");
    say(&mut bob, "ltr", "hello world!");
    wait_for_id(&page, "ltr");
    for (id, direction) in [("rtl", "rtl"), ("ltr", "ltr")] {
        let text = format!("[data-message-id={id}] .message-text");
        assert_eq!(style(&page, &text, "direction"), direction);
    }
    page.type_into("#message-input", "مرحبا");
    assert_eq!(style(&page, "#message-input", "direction"), "rtl");
}

#[test]
fn unread_messages_are_part_of_the_names_of_buttons() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    let mut bob = ann_and_bob(&server, &page);
    for text in ["psst", "psst!"] {
        bob.send(&json!({"type": "private_message", "to": "ann", "message": text}));
    }
    page.wait_for(
        "[data-conversation='private:bob'] [aria-label='bob, online, 2 unread messages']",
    );
    page.wait_for("#people-toggle[aria-label='Conversations and people, 2 unread messages']");
    page.click("[data-conversation='private:bob'] button");
    page.wait_for("[data-conversation='private:bob'] [aria-label='bob, online']");
    page.wait_for("#people-toggle[aria-label='Conversations and people']");
}

#[test]
fn show_leads_to_the_message() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    let mut bob = ann_and_bob(&server, &page);
    say(&mut bob, "the-one", "@ann, look here");
    // A notice in use stays.
    page.wait_until(
        "(() => { const show = document.querySelector('.toast-action'); show?.focus(); \
         return show !== null && document.activeElement === show; })()",
    );
    for number in 0..40 {
        bob.send(&json!({"type": "message", "id": format!("m{number}"), "message": "more"}));
    }
    wait_for_id(&page, "m39");
    page.click(".toast-action");
    page.wait_until(
        "(() => { const one = document.activeElement; \
         if (one.dataset.messageId !== 'the-one') return false; \
         const box = one.getBoundingClientRect(); \
         const log = document.querySelector('#messages').getBoundingClientRect(); \
         return box.top >= log.top && box.bottom <= log.bottom; })()",
    );
    page.expect_no_problems();
}

#[test]
fn a_refused_typing_notice_is_no_toast() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    let bob = ann_and_bob(&server, &page);
    page.click("#online-list li[data-username=bob] button");
    drop(bob);
    page.wait_until("document.querySelector('#online-list li[data-username=bob]') === null");
    page.type_into("#message-input", "are you");
    page.wait_until("got.some(({ type, code }) => type === 'error' && code === 'no_such_user')");
    // What the page makes of a message it makes at once; the refusal of a message it does show.
    assert_eq!(
        page.evaluate("document.querySelectorAll('.toast').length"),
        0
    );
    page.press_enter();
    page.wait_for_text("#messages [data-delivery=failed]", "Not sent");
}

#[test]
fn states_stay_visible_in_forced_colours() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    page.emulate_media("forced-colors", "active");
    let mut bob = ann_and_bob(&server, &page);
    page.type_into("#message-input", "mine");
    page.press_enter();
    page.wait_for("#messages .is-own[data-delivery=sent]");
    bob.send(&json!({"type": "message", "id": "plain", "message": "hello"}));
    say(&mut bob, "mention", "hello @ann");
    bob.send(&json!({"type": "private_message", "to": "ann", "message": "psst"}));
    page.wait_for("[data-conversation='private:bob'] .badge:not(:empty)");
    wait_for_id(&page, "mention");
    let line = |selector: &str| {
        ["borderLeftColor", "borderLeftStyle"].map(|name| style(&page, selector, name))
    };
    let plain = line("[data-message-id=plain]");
    assert_ne!(line("#messages .is-own"), plain);
    assert_ne!(line("[data-message-id=mention]"), plain);
    assert_ne!(line("[data-message-id=mention]"), line("#messages .is-own"));
    let pairs = [
        (".mention.is-me", "backgroundColor", "body"),
        (".badge:not(:empty)", "backgroundColor", "body"),
        ("#online-list .person::before", "backgroundColor", "body"),
        (
            "[data-conversation='group:General'] .person",
            "borderTopColor",
            "[data-conversation='private:bob'] .person",
        ),
    ];
    for (selector, property, other) in pairs {
        assert_ne!(
            style(&page, selector, property),
            style(&page, other, property),
            "{selector}"
        );
    }
}
