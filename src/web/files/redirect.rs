//! The way to a folder's page for those who left its slash out.

use super::representation::no_bytes;
use crate::web::Response;

/// The path of a folder with the slash that was left out.
pub(super) fn folder(path: &str) -> Option<String> {
    (path.starts_with('/') && !path.ends_with('/')).then(|| format!("{path}/"))
}

/// Sends the client on to a folder, with its query. It may remember that for this time only: a folder
/// can become a file.
pub(super) fn respond(folder: &str, query: Option<&str>) -> Response {
    let mut location = encoded(folder);
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    Response::new(308, no_bytes())
        .field("Location", &location)
        .field("Cache-Control", "no-cache")
}

/// Percent-encodes what cannot stand in a path (RFC 3986 §3.3), and the backslash, which browsers
/// take for a slash.
fn encoded(path: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| {
        HEX.get(usize::from(value))
            .map_or('0', |byte| char::from(*byte))
    };
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::web::decode_path;

    proptest! {
        /// The location leads to the folder, and is one field line of ASCII.
        #[test]
        fn the_way_leads_there(path in "(/[^/\0\\\\.]{1,8}){0,3}/") {
            let encoded = encoded(&path);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
            prop_assert!(!encoded.contains(['?', '#', '"', '<']));
            if !path.chars().any(char::is_control) {
                prop_assert_eq!(&*decode_path(&encoded).unwrap(), path.as_str());
            }
        }
    }
}
