//! The JSON answers of the API, all with the same fields.

use serde::Serialize;

use super::config::{CorsOrigins, Origin};
use crate::web::{Body, Response, Shared};

/// Makes answers with the configured CORS field (Fetch standard, §3.2).
#[derive(Debug)]
pub struct JsonResponses {
    /// Field lines of every JSON answer.
    json: Shared,
    cors: CorsOrigins,
}

#[derive(Serialize)]
struct Done<'a> {
    success: bool,
    message: &'a str,
}

#[derive(Serialize)]
struct Failed<'a> {
    success: bool,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// The methods and fields a script of another origin may use.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
const FIELDS: &str = "Authorization, Content-Type, If-None-Match, If-Range, Range";

impl JsonResponses {
    /// Answers that scripts of these origins may read.
    pub fn new(cors: CorsOrigins) -> Self {
        let json = with_cors(Response::empty(200), &cors)
            .field("Content-Type", "application/json")
            .field("Cache-Control", "no-store")
            .field("X-Content-Type-Options", "nosniff")
            .field_lines();
        Self { json, cors }
    }

    /// A JSON body, its members in the order of their declaration, on a line of its own.
    pub fn json(&self, status: u16, body: &impl Serialize) -> Response {
        match serde_json::to_vec(body) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                Response::prepared(status, &self.json, Body::Bytes(bytes))
            }
            Err(error) => {
                log::error!("an answer cannot be written as JSON: {error}");
                Response::empty(500)
            }
        }
    }

    /// `{"success":true,"message":…}`
    pub fn done(&self, status: u16, message: &str) -> Response {
        self.json(
            status,
            &Done {
                success: true,
                message,
            },
        )
    }

    /// `{"success":false,"error":…}`
    pub fn error(&self, status: u16, error: &str) -> Response {
        self.json(
            status,
            &Failed {
                success: false,
                error,
                message: None,
            },
        )
    }

    /// The same with the text in `message` too, where the pages look for it.
    pub fn failure(&self, status: u16, error: &str) -> Response {
        self.json(
            status,
            &Failed {
                success: false,
                error,
                message: Some(error),
            },
        )
    }

    /// No, or no good, token.
    pub fn unauthorized(&self, error: &str) -> Response {
        self.failure(401, error).field("WWW-Authenticate", "Bearer")
    }

    /// A limit was reached, or a queue is full.
    pub fn try_later(&self, status: u16, error: &str, seconds: u32) -> Response {
        self.error(status, error)
            .field("Retry-After", &seconds.to_string())
    }

    /// The answer to `OPTIONS`: what may be asked here, and from elsewhere. `reader` is the listed origin that asks.
    pub fn preflight(&self, allow: &str, reader: Option<&Origin>) -> Response {
        let response = with_cors(Response::empty(204).field("Allow", allow), &self.cors);
        if reader.is_none() && self.cors != CorsOrigins::Anybody {
            return response;
        }
        response
            .field("Access-Control-Allow-Methods", METHODS)
            .field("Access-Control-Allow-Headers", FIELDS)
            .field("Access-Control-Max-Age", "86400")
    }
}

/// Says who may read an answer, or that it depends on who asks.
fn with_cors(response: Response, cors: &CorsOrigins) -> Response {
    match cors {
        CorsOrigins::Nobody => response,
        CorsOrigins::Anybody => response.field("Access-Control-Allow-Origin", "*"),
        CorsOrigins::Listed(_) => response.field("Vary", "Origin"),
    }
}

/// Lets scripts of the listed origin that asks read the answer, if it is one that depends on that.
pub fn readable_by(reader: &str, response: Response) -> Response {
    let lines = response.field_lines();
    let mut lines = lines.as_ref().split(|&byte| byte == b'\n');
    let depends = lines.any(|line| {
        let Some((name, value)) = line.split_at_checked("Vary:".len()) else {
            return false;
        };
        let mut items = value.split(|&byte| byte == b',');
        name == b"Vary:" && items.any(|item| item.trim_ascii() == b"Origin")
    });
    if depends {
        response.field("Access-Control-Allow-Origin", reader)
    } else {
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(response: &Response) -> String {
        String::from_utf8(response.field_lines().as_ref().to_vec()).unwrap()
    }

    #[test]
    fn every_json_answer_may_be_read_by_the_configured_origin() {
        let any = JsonResponses::new(CorsOrigins::Anybody);
        assert!(lines(&any.error(400, "no")).contains("Access-Control-Allow-Origin: *\r\n"));
        let reader: Origin = "https://pages.example".parse().unwrap();
        let some = JsonResponses::new(CorsOrigins::Listed(vec![reader.clone()]));
        let (response, preflight) = (some.done(200, "yes"), some.preflight("GET", None));
        for response in [response, preflight] {
            let unread = lines(&response);
            assert!(unread.contains("Vary: Origin\r\n"), "{unread}");
            assert!(!unread.contains("Access-Control"), "{unread}");
            let read = lines(&readable_by(reader.as_str(), response));
            let allowed = "Access-Control-Allow-Origin: https://pages.example\r\n";
            assert_eq!(read, unread + allowed);
        }
        let preflight = lines(&some.preflight("GET", Some(&reader)));
        assert!(preflight.contains("Access-Control-Allow-Methods: "));
        let none = JsonResponses::new(CorsOrigins::Nobody);
        assert!(!lines(&none.preflight("GET", None)).contains("Access-Control"));
    }

    #[test]
    fn what_does_not_depend_on_who_asks_is_left_alone() {
        for (vary, depends) in [
            ("Accept-Encoding", false),
            ("Origin-Agent", false),
            ("Origin, Accept-Encoding", true),
            ("Accept-Encoding,Origin", true),
        ] {
            let response = Response::empty(200).field("Vary", vary);
            let read = lines(&readable_by("https://a.example", response));
            assert_eq!(read.contains("Access-Control"), depends, "{vary}");
        }
        let page = Response::empty(200).field("X-Vary", "Origin");
        assert!(!lines(&readable_by("https://a.example", page)).contains("Access-Control"));
    }

    #[test]
    fn a_wait_is_told_in_seconds() {
        let responses = JsonResponses::new(CorsOrigins::Nobody);
        assert!(lines(&responses.try_later(429, "slow down", 7)).contains("Retry-After: 7\r\n"));
    }
}
