//! Answers a client that speaks plain HTTP where TLS is spoken.

use super::tools::Tools;
use super::{Response, ResponseSent, Service};
use crate::proto::http1::encode::BodyForm;
use crate::proto::http1::{ConnectionAction, Head, HttpLimits, HttpMachine, HttpStep, RequestMeta};
use crate::reactor::{Cx, Endpoint, PlaintextOnTls};

/// The most of a head that is waited for. A longer one is answered as one that cannot be read.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a method, and more than any has that such a client would use.
const METHOD_BYTES_MAX: usize = 32;

/// Refuses the request that `input` is the beginning of, in words that help; or waits for more of
/// it; or finds that it is none.
pub(super) fn respond<S: Service>(
    tools: &mut Tools<'_, S>,
    cx: &mut Cx<'_>,
    origin: Endpoint,
    input: &[u8],
) -> PlaintextOnTls {
    if !begins_request(input) {
        return PlaintextOnTls::Refused;
    }
    let limits = HttpLimits {
        head_bytes_max: HEAD_BYTES_MAX,
        ..tools.service.config().http
    };
    match HttpMachine::new().step(input, &limits) {
        Ok(HttpStep::Head { head, .. }) => reject(tools, cx, origin, Some(&head)),
        Ok(_) => return PlaintextOnTls::Incomplete,
        Err(_) => reject(tools, cx, origin, None),
    }
    PlaintextOnTls::Answered
}

/// Returns `true` if this may become a request line: capital letters (and hyphens), then a space.
fn begins_request(input: &[u8]) -> bool {
    let mut bytes = input.iter();
    let other = bytes.position(|byte| !byte.is_ascii_uppercase() && *byte != b'-');
    match other {
        Some(len) => len > 0 && input.get(len) == Some(&b' '),
        None => input.len() <= METHOD_BYTES_MAX,
    }
}

fn reject<S: Service>(
    tools: &mut Tools<'_, S>,
    cx: &mut Cx<'_>,
    origin: Endpoint,
    head: Option<&Head<'_>>,
) {
    let reason = reason(head);
    let mut response = tools.service.error_response(400, &reason).close();
    if !response.is_whole() {
        response = Response::text(400, format!("{reason}\n")).close(); // nothing can follow
    }
    let (status, body_bytes) = (response.status(), response.body.len());
    let length = response.body.length();
    let meta = head.map_or(RequestMeta::REFUSED, |head| head.meta());
    let form = response.write(cx, length, meta, ConnectionAction::Close, tools.common, &[]);
    let (method, path) = head.map_or(("", ""), |head| (head.method.as_str(), head.path()));
    let served = ResponseSent {
        peer: origin.peer(),
        method,
        path,
        status,
        body_bytes: match form {
            BodyForm::Absent => 0,
            _ => body_bytes,
        },
        since: cx.now(),
    };
    tools.service.response_sent(cx, &served);
}

/// Explains the error, and what to ask for instead. The host was found valid with the head
/// (RFC 9110 §7.2), so it can end neither the sentence nor whatever the service puts it into.
fn reason(head: Option<&Head<'_>>) -> String {
    let what = "this port speaks TLS, and the request came without";
    let Some((host, head)) = head.and_then(|head| Some((head.host?, head))) else {
        return format!("{what}: ask again with https");
    };
    let path = if head.path() == "*" { "/" } else { head.path() };
    format!("{what}: ask again for https://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::begins_request;

    #[test]
    fn requests_are_told_from_other_text() {
        for text in [
            "G",
            "GET",
            "GET ",
            "GET / HTTP/1.1\r\n",
            "M-SEARCH * HTTP/1.1",
        ] {
            assert!(begins_request(text.as_bytes()), "{text}");
        }
        let long = "A".repeat(33);
        for text in [
            " ",
            "get / HTTP/1.1",
            "SSH-2.0-x\r\n",
            "GET\r\n",
            "GET\t/",
            "EHLO\0",
            &long,
        ] {
            assert!(!begins_request(text.as_bytes()), "{text}");
        }
    }
}
