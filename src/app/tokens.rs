//! Session tokens: JSON Web Tokens (RFC 7519) signed with HS256.
//!
//! The algorithm is pinned: what a token's header says is compared with it, never followed. No
//! token text ever stands in an error, a `Debug` or a log line.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longer texts are refused unread. Our own tokens are about 200 bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// Issues and verifies tokens under one secret. Cheap enough for the loop: a few microseconds.
pub struct Tokens {
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    expiry_secs: u64,
    /// The database whose users the tokens name.
    database: Option<Box<str>>,
    /// `true` if tokens are good that name no database.
    accepts_legacy: bool,
}

/// Claims of a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `sub`: the user's id. It, not the name, says who the bearer is.
    pub user_id: i64,
    /// The username at the time of issue; it may have been changed since.
    pub username: String,
    /// When the token was issued, in Unix seconds.
    pub iat: u64,
    /// From this Unix second on the token is refused.
    pub exp: u64,
}

/// Why there are no claims. To a client all are the same 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// Not three base64url parts of JSON, or too long.
    Malformed,
    /// Its header names an algorithm other than HS256.
    WrongAlgorithm,
    /// Signed with another key, or changed since.
    BadSignature,
    /// A claim is missing or of the wrong type, or the header demands an extension.
    BadClaims,
    /// `exp` has come.
    Expired,
    /// It is of another database: its user is somebody else here.
    WrongAudience,
    /// It does not say of which database it is, and has to.
    NoAudience,
    /// The token could not be made.
    NotIssued,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is malformed",
            Self::WrongAlgorithm => "the token is not signed with HS256",
            Self::BadSignature => "the token's signature is wrong",
            Self::BadClaims => "the token's claims are incomplete",
            Self::Expired => "the token has expired",
            Self::WrongAudience => "the token is of another database",
            Self::NoAudience => "the token does not say of which database it is",
            Self::NotIssued => "the token could not be signed",
        })
    }
}

impl std::error::Error for TokenError {}

impl Tokens {
    /// Tokens signed with `secret`, good for `expiry_secs` from their issue.
    #[must_use]
    pub fn new(secret: &[u8], expiry_secs: u64) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        // `exp` must be there, but is judged by the caller's clock, in `verify`.
        validation.validate_exp = false;
        // A token without one may be good, so `verify` looks at it.
        validation.validate_aud = false;
        Self {
            header: Header::new(Algorithm::HS256),
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            validation,
            expiry_secs,
            database: None,
            accepts_legacy: true,
        }
    }

    /// The same, of the users of the database with this id: tokens carry it as `aud`, and one that carries
    /// another is refused. One without `aud`, as those of the earlier C server, is good if
    /// `accepts_legacy`.
    #[must_use]
    pub fn for_database(self, id: &str, accepts_legacy: bool) -> Self {
        Self {
            database: Some(id.into()),
            accepts_legacy,
            ..self
        }
    }

    /// A token for this user, from `now_unix` (Unix seconds) on.
    ///
    /// ```
    /// use edgeloop::app::tokens::{TokenError, Tokens};
    /// let tokens = Tokens::new(b"a secret of thirty-two bytes ...", 3600);
    /// let token = tokens.issue(7, "ada", 1_000)?;
    /// assert_eq!(tokens.verify(&token, 1_001)?.user_id, 7);
    /// assert_eq!(tokens.verify(&token, 4_600), Err(TokenError::Expired));
    /// # Ok::<(), TokenError>(())
    /// ```
    ///
    /// # Errors
    /// [`TokenError::NotIssued`] if the cryptographic library fails.
    pub fn issue(&self, user_id: i64, username: &str, now_unix: u64) -> Result<String, TokenError> {
        let claims = Issued {
            sub: user_id,
            username,
            iat: now_unix,
            exp: now_unix.saturating_add(self.expiry_secs),
            aud: self.database.as_deref(),
        };
        encode(&self.header, &claims, &self.signing).map_err(|_| TokenError::NotIssued)
    }

    /// The claims of a token that is whole, ours, and not expired at `now_unix` (Unix seconds).
    ///
    /// # Errors
    /// The first thing found wrong. The signature is checked before any claim is looked at.
    pub fn verify(&self, token: &str, now_unix: u64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let data = decode::<Presented>(token, &self.verifying, &self.validation)
            .map_err(|error| TokenError::from(error.kind()))?;
        // RFC 7515 section 4.1.11: an extension that is critical and unknown refuses the token.
        if data.header.crit.is_some() {
            return Err(TokenError::BadClaims);
        }
        let Presented {
            sub,
            username,
            iat,
            exp,
            aud,
        } = data.claims;
        // RFC 7519 section 4.1.4: not accepted "on or after" that time.
        if now_unix >= exp {
            return Err(TokenError::Expired);
        }
        match aud {
            None if self.accepts_legacy => {}
            None => return Err(TokenError::NoAudience),
            Some(aud) if self.database.as_deref().is_some_and(|id| aud.names(id)) => {}
            Some(_) => return Err(TokenError::WrongAudience),
        }
        Ok(Claims {
            user_id: sub.0,
            username,
            iat,
            exp,
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("expiry_secs", &self.expiry_secs)
            .finish_non_exhaustive()
    }
}

impl From<&ErrorKind> for TokenError {
    fn from(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidSignature => Self::BadSignature,
            ErrorKind::InvalidAlgorithm
            | ErrorKind::InvalidAlgorithmName
            | ErrorKind::UnsupportedAlgorithm
            | ErrorKind::MissingAlgorithm => Self::WrongAlgorithm,
            ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
            | ErrorKind::InvalidAudience
            | ErrorKind::InvalidIssuer
            | ErrorKind::InvalidSubject => Self::BadClaims,
            ErrorKind::ExpiredSignature => Self::Expired,
            _ => Self::Malformed,
        }
    }
}

#[derive(Serialize)]
struct Issued<'a> {
    sub: i64,
    username: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

#[derive(Deserialize)]
struct Presented {
    sub: Subject,
    username: String,
    iat: u64,
    exp: u64,
    aud: Option<AudienceClaim>,
}

/// One text, or a list of which one has to fit (RFC 7519 section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum AudienceClaim {
    One(Box<str>),
    Any(Vec<Box<str>>),
}

impl AudienceClaim {
    fn names(&self, id: &str) -> bool {
        match self {
            Self::One(one) => **one == *id,
            Self::Any(list) => list.iter().any(|one| **one == *id),
        }
    }
}

/// A user id as a JSON number, or as a string of digits (RFC 7519 has `sub` a string).
struct Subject(i64);

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SubjectVisitor).map(Self)
    }
}

struct SubjectVisitor;

impl Visitor<'_> for SubjectVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user id")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::custom("not a user id"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
        // `parse` alone would take "+7".
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(E::custom("not a user id"));
        }
        text.parse().map_err(|_| E::custom("not a user id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: u64 = 1_800_000_000;
    const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    fn tokens() -> Tokens {
        Tokens::new(SECRET, 3600)
    }

    /// A token put together by hand, signed by another implementation of HMAC-SHA256.
    fn forge(header: &str, claims: &str, algorithm: aws_lc_rs::hmac::Algorithm) -> String {
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = signed.join(".");
        let key = aws_lc_rs::hmac::Key::new(algorithm, SECRET);
        let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn sign(header: &str, claims: &str) -> String {
        forge(header, claims, aws_lc_rs::hmac::HMAC_SHA256)
    }

    fn verify_claims(claims: &str) -> Result<Claims, TokenError> {
        tokens().verify(&sign(HS256, claims), NOW)
    }

    #[test]
    fn claims_come_back() {
        let token = tokens().issue(42, "ada", NOW).unwrap();
        let claims = tokens().verify(&token, NOW).unwrap();
        assert_eq!((claims.user_id, &*claims.username), (42, "ada"));
        assert_eq!((claims.iat, claims.exp), (NOW, NOW + 3600));
    }

    #[test]
    fn the_token_has_the_claims_of_the_contract() {
        let token = tokens().issue(42, "ada", NOW).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let json = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(
            json(parts[0]),
            serde_json::json!({"typ": "JWT", "alg": "HS256"})
        );
        let claims =
            serde_json::json!({"sub": 42, "username": "ada", "iat": NOW, "exp": NOW + 3600});
        assert_eq!(json(parts[1]), claims);
    }

    #[test]
    fn a_token_is_of_one_database() {
        let (ours, theirs) = (
            tokens().for_database("d1", true),
            tokens().for_database("d2", true),
        );
        let token = ours.issue(42, "ada", NOW).unwrap();
        assert_eq!(ours.verify(&token, NOW).unwrap().user_id, 42);
        let wrong = Err(TokenError::WrongAudience);
        assert_eq!(theirs.verify(&token, NOW), wrong);
        assert_eq!(tokens().verify(&token, NOW), wrong);
        // An older token has none.
        let old = tokens().issue(42, "ada", NOW).unwrap();
        assert!(ours.verify(&old, NOW).is_ok());
        let strict = tokens().for_database("d1", false);
        assert_eq!(strict.verify(&old, NOW), Err(TokenError::NoAudience));
        assert!(strict.verify(&token, NOW).is_ok());
        let verify = |aud: &str| {
            let exp = NOW + 1;
            let claims = format!(r#"{{"sub":1,"username":"a","iat":1,"exp":{exp},"aud":{aud}}}"#);
            ours.verify(&sign(HS256, &claims), NOW).map(drop)
        };
        for good in [r#""d1""#, r#"["d2","d1"]"#] {
            assert_eq!(verify(good), Ok(()), "{good}");
        }
        for bad in [r#""""#, r#""d""#, r#""d11""#, "[]", r#"["d2"]"#] {
            assert_eq!(verify(bad), Err(TokenError::WrongAudience), "{bad}");
        }
        for bad in ["7", "{}", "[7]", "true"] {
            assert!(verify(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_ends_at_exp_without_leeway() {
        let token = tokens().issue(1, "ada", NOW).unwrap();
        assert!(tokens().verify(&token, NOW + 3599).is_ok());
        assert_eq!(
            tokens().verify(&token, NOW + 3600),
            Err(TokenError::Expired)
        );
    }

    #[test]
    fn the_subject_may_be_a_numeric_string() {
        let claims = |sub: &str| {
            verify_claims(&format!(
                r#"{{"sub":{sub},"username":"ada","iat":1,"exp":{}}}"#,
                NOW + 1
            ))
        };
        assert_eq!(claims("7").unwrap().user_id, 7);
        assert_eq!(claims(r#""7""#).unwrap().user_id, 7);
        assert_eq!(
            claims(r#""9223372036854775807""#).unwrap().user_id,
            i64::MAX
        );
        for bad in [
            r#""""#,
            r#""+7""#,
            r#""-7""#,
            r#"" 7""#,
            r#""9223372036854775808""#,
            "7.5",
        ] {
            assert!(claims(bad).is_err(), "{bad}");
        }
        for bad in ["-7", "null", "true", "[7]", "9223372036854775808"] {
            assert!(claims(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_claim_is_required() {
        let exp = NOW + 1;
        for claims in [
            format!(r#"{{"username":"ada","iat":1,"exp":{exp}}}"#),
            format!(r#"{{"sub":1,"iat":1,"exp":{exp}}}"#),
            format!(r#"{{"sub":1,"username":"ada","exp":{exp}}}"#),
            r#"{"sub":1,"username":"ada","iat":1}"#.to_owned(),
            r#"{"sub":1,"username":"ada","iat":1,"exp":"9999999999"}"#.to_owned(),
            r#"{"sub":1,"username":"ada","iat":1,"exp":-1}"#.to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(verify_claims(&claims).is_err(), "{claims}");
        }
    }

    #[test]
    fn the_algorithm_is_pinned() {
        let claims = format!(r#"{{"sub":1,"username":"ada","iat":1,"exp":{}}}"#, NOW + 1);
        let hs512 = forge(r#"{"alg":"HS512"}"#, &claims, aws_lc_rs::hmac::HMAC_SHA512);
        assert_eq!(
            tokens().verify(&hs512, NOW),
            Err(TokenError::WrongAlgorithm)
        );
        for header in [
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"ES256"}"#,
            r#"{"alg":"EdDSA"}"#,
        ] {
            let token = sign(header, &claims);
            assert_eq!(
                tokens().verify(&token, NOW),
                Err(TokenError::WrongAlgorithm)
            );
        }
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"hs256"}"#,
            "{}",
            r#"{"alg":256}"#,
        ] {
            let token = sign(header, &claims);
            assert!(tokens().verify(&token, NOW).is_err(), "{header}");
            let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
            assert!(tokens().verify(&unsigned, NOW).is_err(), "{header}");
        }
    }

    #[test]
    fn a_critical_extension_is_refused() {
        let claims = format!(r#"{{"sub":1,"username":"ada","iat":1,"exp":{}}}"#, NOW + 1);
        let token = sign(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, &claims);
        assert_eq!(tokens().verify(&token, NOW), Err(TokenError::BadClaims));
    }

    #[test]
    fn another_secret_is_refused() {
        let token = Tokens::new(b"another secret of some 32 bytes.", 3600)
            .issue(1, "ada", NOW)
            .unwrap();
        assert_eq!(tokens().verify(&token, NOW), Err(TokenError::BadSignature));
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let long = format!("{}.b.c", "a".repeat(TOKEN_BYTES_MAX));
        for text in ["", ".", "..", "a.b.c", "a.b", "a.b.c.d", "é.é.é", &long] {
            assert_eq!(
                tokens().verify(text, NOW),
                Err(TokenError::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", tokens());
        assert_eq!(shown, "Tokens { expiry_secs: 3600, .. }");
    }

    proptest! {
        #[test]
        fn a_changed_token_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9._-]") {
            let token = tokens().issue(42, "ada", NOW).unwrap();
            let at = at.index(token.len());
            let mut changed = token.clone();
            changed.replace_range(at..=at, &to);
            // Two spellings may differ only in the unused low bits of the last character, which
            // the decoder refuses too.
            prop_assume!(changed != token);
            prop_assert!(tokens().verify(&changed, NOW).is_err());
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            prop_assert!(tokens().verify(&text, NOW).is_err());
        }
    }
}
