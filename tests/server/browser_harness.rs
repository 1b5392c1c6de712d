//! The browser harness itself, on pages that need no server.

use crate::support::browser::Browser;

const PAGE: &str = "data:text/html,<title>t</title><form id=form><input name=word><button id=go>go</button></form>\
     <p id=out></p><script>form.onsubmit = (event) => { event.preventDefault(); \
     setTimeout(() => { out.textContent = 'said ' + form.word.value; }, 30); }</script>";

#[test]
fn types_clicks_and_waits() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let page = browser.page();
    page.navigate(PAGE);
    page.type_into("input[name=word]", "hello");
    page.click("#go");
    page.wait_for_text("#out", "said hello");
    page.fill("input[name=word]", "again");
    page.press_enter();
    page.wait_for_text("#out", "said again");
    assert_eq!(page.text("#out"), "said again");
    page.expect_no_problems();
    page.reload();
    assert_eq!(page.text("#out"), "");
}

#[test]
fn complaints_are_heard_on_the_page_they_belong_to() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let (noisy, quiet) = (browser.page(), browser.page());
    quiet.navigate(PAGE);
    noisy.navigate(
        "data:text/html,<script>console.error('spilled'); throw new Error('thrown')</script>",
    );
    let problems = noisy.problems().join("\n");
    assert!(
        problems.contains("spilled") && problems.contains("thrown"),
        "{problems}"
    );
    quiet.expect_no_problems();
}
