//! The PROXY header: what was found stays what it is when more comes.

#![no_main]

use edgeloop::proto::proxy::{ProxyHeader, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut found = Ok(ProxyHeader::Incomplete);
    for len in 0..=input.len().min(300) {
        let now = read(input.get(..len).unwrap_or_default());
        assert!(found == Ok(ProxyHeader::Incomplete) || found == now);
        if let Ok(ProxyHeader::Header { used, .. }) = now {
            assert!(used <= 16 + 65_535);
        }
        found = now;
    }
    let whole = read(input);
    assert!(found == Ok(ProxyHeader::Incomplete) || found == whole);
});
