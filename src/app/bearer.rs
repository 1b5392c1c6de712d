//! Tokens in requests, and the check if one may open a WebSocket at all.

use super::config::{CorsOrigins, Origin};
use crate::web::{Fields, Request, subprotocols};

/// The token of an `Authorization: Bearer` field (RFC 6750 §2.1), if there is one such field: of two it
/// would not be clear whose word counts.
pub fn authorization<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    if fields.get_all("authorization").nth(1).is_some() {
        return None;
    }
    let (scheme, token) = fields.text("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of an opening handshake, and the subprotocol to answer with.
///
/// A browser can only send it as the subprotocol `Bearer.<token>`, which is answered with that
/// very value; with `chat` offered too, with `chat`, so that the token is not repeated.
pub fn handshake<'a>(fields: &Fields<'a>) -> Option<(&'a str, Option<&'a str>)> {
    let text = fields
        .iter()
        .filter_map(|(name, value)| Some((name, str::from_utf8(value).ok()?)));
    let (mut bearer, mut chat) = (None, None);
    for offered in subprotocols(text) {
        let offered = offered.as_str();
        if offered == "chat" {
            chat = Some(offered);
        } else if let Some(token) = offered.strip_prefix("Bearer.") {
            bearer.get_or_insert((token, offered));
        }
    }
    match bearer {
        Some((token, offered)) => Some((token, Some(chat.unwrap_or(offered)))),
        None => authorization(fields).map(|token| (token, chat)),
    }
}

/// Returns `true` if the page behind a request may open a WebSocket (RFC 6455 §10.2): one of our own, or of
/// a listed origin. Clients that are no browser send no `Origin` and hold the token themselves.
pub fn is_origin_allowed(request: &Request<'_>, listed: &[Origin]) -> bool {
    is_origin_among(request, |origin| {
        listed.iter().any(|listed| listed.is(origin))
    })
}

/// Returns `true` if a request that counts attempts or changes something may come from the page behind it: one of
/// our own, of an origin in `listed`, or one whose scripts may read the answers (`cors`, where `*` is
/// any but the opaque `null`). What a browser says came from another site without naming a page is not.
pub fn is_site_allowed(request: &Request<'_>, listed: &[Origin], cors: &CorsOrigins) -> bool {
    let is_cross_site = (request.fields().get_all("sec-fetch-site"))
        .any(|site| site.eq_ignore_ascii_case(b"cross-site"));
    let is_listed =
        |origin: &str| listed.iter().any(|listed| listed.is(origin)) || cors.include(origin);
    if is_cross_site {
        // Our own pages never are.
        let mut origins = request.fields().get_all("origin");
        return matches!((origins.next(), origins.next()), (Some(origin), None)
            if str::from_utf8(origin).is_ok_and(is_listed));
    }
    is_origin_among(request, is_listed)
}

/// The listed origin of the page behind a request: the one that may read the answer.
pub fn reader<'a>(request: &Request<'_>, cors: &'a CorsOrigins) -> Option<&'a Origin> {
    let mut origins = request.fields().get_all("origin");
    match (origins.next(), origins.next()) {
        (Some(origin), None) => cors.listed(str::from_utf8(origin).ok()?),
        _ => None,
    }
}

fn is_origin_among(request: &Request<'_>, is_listed: impl FnOnce(&str) -> bool) -> bool {
    let mut origins = request.fields().get_all("origin");
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return request.fields().get("origin").is_none();
    };
    let Ok(origin) = str::from_utf8(origin) else {
        return false;
    };
    let is_own = request
        .host()
        .and_then(|host| format!("https://{host}").parse::<Origin>().ok())
        .is_some_and(|own| own.is(origin));
    is_own || is_listed(origin)
}
