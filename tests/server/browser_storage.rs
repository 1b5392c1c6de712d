//! The pages in a browser that lets no site keep data.

use crate::support::Server;
use crate::support::browser::Browser;
use crate::support::users::PASSWORD;

#[test]
fn who_lets_no_site_keep_data_is_told_and_can_chat_all_the_same() {
    let Some(browser) = Browser::start_without_site_data() else {
        return;
    };
    let server = Server::start();
    let page = browser.page();
    page.navigate(&format!("{}/", server.origin()));
    page.wait_for_text("#status", "keeps no data for this site");
    page.navigate(&format!("{}/chat", server.origin()));
    page.wait_for_path("/login");
    page.wait_for_text("#status", "keeps no data for this site");

    page.navigate(&format!("{}/register", server.origin()));
    page.wait_for_text("#status", "keeps no data for this site");
    page.fill("#register-form [name=name]", "Ann");
    page.fill("#register-form [name=username]", "ann");
    page.fill("#register-form [name=email]", "ann@example.com");
    page.fill("#register-form [name=password]", PASSWORD);
    page.press_enter();
    page.wait_for_path("/login");
    page.wait_for_text("#status", "Your account is ready");
    page.fill("#login-form [name=password]", PASSWORD);
    page.press_enter();
    page.wait_for_path("/chat");
    page.wait_for_text(".toast", "keeps no data for this site");
    page.wait_for("#online-list li[data-username=ann]");
    page.type_into("#message-input", "hello nobody");
    page.press_enter();
    page.wait_for_text("#messages [data-delivery=sent]", "hello nobody");
    page.expect_no_problems();

    page.reload();
    page.wait_for_path("/login");
    page.wait_for_text("#status", "keeps no data for this site");
}
