//! Pseudonyms in the database for values that must not be read there: the names that were tried, which are
//! often mistyped passwords, and the networks users come from.
//!
//! Both are few enough to be guessed, so a mark is made with a key that is not in the database. It
//! comes from `SECRET_KEY`: with another one, all marks are forgotten.

use std::fmt;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key, Tag, sign};

use super::limits::ClientNetwork;

/// Keeps the key apart from that of the tokens.
const PURPOSE: &[u8] = b"edgeloop marks of logins, version 1";

/// Makes marks: HMAC-SHA-256 of what is marked.
pub struct Pseudonyms {
    key: Key,
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marks").finish_non_exhaustive()
    }
}

impl Pseudonyms {
    /// Marks under a key made of `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let key = sign(&Key::new(HMAC_SHA256, secret), PURPOSE);
        Self {
            key: Key::new(HMAC_SHA256, key.as_ref()),
        }
    }

    /// The mark of an account's name.
    pub(super) fn account(&self, name: &str) -> Tag {
        self.mark(b"account", &[name.as_bytes()])
    }

    /// The mark of a network a user comes from. That of another user is another one, so that nobody can
    /// see who comes from the same.
    pub(super) fn network(&self, user_id: i64, network: ClientNetwork) -> Tag {
        let (kind, bytes): (&[u8; 7], _) = match network {
            ClientNetwork::V4(bits) => (b"network", u64::from(bits)),
            ClientNetwork::V6(bits) => (b"net-ip6", bits),
        };
        self.mark(kind, &[&user_id.to_be_bytes(), &bytes.to_be_bytes()])
    }

    /// All kinds have names of the same length, so that no two of them are marked alike.
    fn mark(&self, kind: &[u8; 7], parts: &[&[u8]]) -> Tag {
        let mut context = Context::with_key(&self.key);
        context.update(kind);
        for part in parts {
            context.update(part);
        }
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_by_all_that_is_marked_and_by_the_secret() {
        let pseudonyms = Pseudonyms::new(b"one secret");
        let other = Pseudonyms::new(b"another secret");
        let here = ClientNetwork::V4(1);
        let all = [
            pseudonyms.account("ann"),
            pseudonyms.account("Ann"),
            pseudonyms.account(""),
            other.account("ann"),
            pseudonyms.network(1, here),
            pseudonyms.network(2, here),
            pseudonyms.network(1, ClientNetwork::V4(2)),
            pseudonyms.network(1, ClientNetwork::V6(1)),
            other.network(1, here),
        ];
        for (index, mark) in all.iter().enumerate() {
            let rest = &all[index + 1..];
            assert!(rest.iter().all(|other| other.as_ref() != mark.as_ref()));
        }
        let again = Pseudonyms::new(b"one secret");
        assert_eq!(again.account("ann").as_ref(), all[0].as_ref());
    }
}
