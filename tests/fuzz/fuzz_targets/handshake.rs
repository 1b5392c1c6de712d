//! Opening handshakes: what the server accepts, a client accepts in turn.

#![no_main]

use edgeloop::proto::ws::handshake::{self, AnswerError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Lines of `name:value`, as a parser would hand them over.
    let fields: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let offered: Vec<_> = handshake::subprotocols(fields.iter().copied()).collect();
    let opening = match handshake::read_request("GET", true, fields.iter().copied()) {
        Ok(opening) => opening,
        Err(refusal) => {
            assert!(matches!(refusal.status(), 400 | 426));
            assert!(refusal.fields().is_empty() || refusal.fields().ends_with("\r\n"));
            return;
        }
    };
    assert_eq!(one(&fields, "sec-websocket-version"), "13");
    let key = one(&fields, "sec-websocket-key");
    let names: Vec<_> = offered.iter().map(|name| name.as_str()).collect();
    for chosen in offered.iter().copied().map(Some).chain([None]) {
        let mut answer = Vec::new();
        opening.encode_fields(&mut answer, chosen);
        let answer = String::from_utf8(answer).expect("tokens are ASCII");
        let lines = || {
            answer
                .split_terminator("\r\n")
                .filter_map(|line| line.split_once(':'))
        };
        assert_eq!(lines().count(), if chosen.is_some() { 4 } else { 3 });
        let read = handshake::read_answer(101, lines(), key, &names);
        assert_eq!(read, Ok(chosen.map(|name| name.as_str())));
        let other_key = "AAAAAAAAAAAAAAAAAAAAAA==";
        if key != other_key {
            let read = handshake::read_answer(101, lines(), other_key, &names);
            assert_eq!(read, Err(AnswerError::AcceptWrong));
        }
    }
});

/// The value of a field that must be there once.
fn one<'a>(fields: &[(&'a str, &'a str)], name: &str) -> &'a str {
    let mut named = fields
        .iter()
        .filter(|field| field.0.eq_ignore_ascii_case(name));
    let value = named.next().expect("it was accepted").1;
    assert!(named.next().is_none(), "two of {name}");
    value.trim_matches([' ', '\t'])
}
