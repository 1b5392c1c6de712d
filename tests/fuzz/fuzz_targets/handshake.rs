//! UpgradeRequest handshakes: what the server accepts, a client accepts in turn.

#![no_main]

use edgeloop::proto::ws::deflate::Compression;
use edgeloop::proto::ws::handshake::{self, UpgradeRequest, UpgradeResponseError};
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
    check_extension(&opening);
    let names: Vec<_> = offered.iter().map(|name| name.as_str()).collect();
    for chosen in offered.iter().copied().map(Some).chain([None]) {
        let mut response = Vec::new();
        opening.encode_fields(&mut response, chosen);
        let response = String::from_utf8(response).expect("tokens are ASCII");
        let lines = || {
            response
                .split_terminator("\r\n")
                .filter_map(|line| line.split_once(':'))
        };
        assert_eq!(lines().count(), if chosen.is_some() { 4 } else { 3 });
        let read = handshake::read_response(101, lines(), key, &names);
        assert_eq!(read, Ok(chosen.map(|name| name.as_str())));
        let other_key = "AAAAAAAAAAAAAAAAAAAAAA==";
        if key != other_key {
            let read = handshake::read_response(101, lines(), other_key, &names);
            assert_eq!(read, Err(UpgradeResponseError::AcceptWrong));
        }
    }
});

/// The agreement is within the offer, and written as an offer it would get the same.
fn check_extension(opening: &UpgradeRequest) {
    for (keeps_windows, window_bits_max) in [(false, 15), (true, 15), (true, 8), (false, 11)] {
        let how = Compression {
            keeps_windows,
            window_bits_max,
            ..Compression::DEFAULT
        };
        let Some(negotiated) = opening.negotiate(&how) else {
            return;
        };
        assert!(negotiated.server().window_bits().value() <= window_bits_max);
        assert!(keeps_windows || !negotiated.server().keeps_window());
        assert!(keeps_windows || !negotiated.client().keeps_window());
        let mut line = Vec::new();
        opening.encode_extensions(&mut line, negotiated);
        let line = String::from_utf8(line).expect("tokens are ASCII");
        let (name, value) = line.trim_end().split_once(": ").expect("a field line");
        let again = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
            (name, value),
        ];
        let again = handshake::read_request("GET", true, again).expect("a handshake");
        assert_eq!(
            again.negotiate(&how).map(|again| again.server()),
            Some(negotiated.server())
        );
    }
}

/// The value of a field that must be there once.
fn one<'a>(fields: &[(&'a str, &'a str)], name: &str) -> &'a str {
    let mut named = fields
        .iter()
        .filter(|field| field.0.eq_ignore_ascii_case(name));
    let value = named.next().expect("it was accepted").1;
    assert!(named.next().is_none(), "two of {name}");
    value.trim_matches([' ', '\t'])
}
