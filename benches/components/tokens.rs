//! Checks of a request with a token before anything else.

use std::hint::black_box;

use edgeloop::app::bearer;
use edgeloop::app::tokens::Tokens;
use edgeloop::proto::http1::{HttpLimits, HttpMachine, HttpStep};

use super::Repeat;

const NOW: u64 = 1_800_000_000;

/// The token found among the fields of a head, and checked.
pub(crate) fn verify(repeat: impl Repeat) {
    let tokens = Tokens::new(b"0123456789abcdef0123456789abcdef", 3600);
    let token = tokens.issue(42, "ada", NOW).unwrap();
    let request = format!(
        "GET /me HTTP/1.1\r\nHost: chat.example.org\r\nAccept: */*\r\n\
         User-Agent: load/1.0\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut machine = HttpMachine::new();
    let Ok(HttpStep::Head { head, .. }) = machine.step(request.as_bytes(), &HttpLimits::DEFAULT)
    else {
        panic!("no head in {request}");
    };
    repeat.repeat(|| {
        let token = bearer::authorization(black_box(&head.fields)).unwrap();
        tokens.verify(token, NOW).unwrap().user_id
    });
}
