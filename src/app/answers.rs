//! The JSON answers of the API, all with the same fields.

use serde::Serialize;

use crate::web::{Body, Response, Shared};

/// Makes answers with the configured CORS field (Fetch standard, §3.2).
#[derive(Debug)]
pub struct Answers {
    /// Field lines of every JSON answer.
    json: Shared,
    cors_allow_origin: Option<String>,
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

impl Answers {
    /// Answers that scripts of this origin, or of any (`*`), may read.
    pub fn new(cors_allow_origin: Option<String>) -> Self {
        let json = with_cors(Response::empty(200), cors_allow_origin.as_deref())
            .field("Content-Type", "application/json")
            .field("Cache-Control", "no-store")
            .field("X-Content-Type-Options", "nosniff")
            .field_lines();
        Self {
            json,
            cors_allow_origin,
        }
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

    /// The answer to `OPTIONS`: what may be asked here, and from elsewhere.
    pub fn preflight(&self, allow: &str) -> Response {
        let answer = Response::empty(204).field("Allow", allow);
        let answer = with_cors(answer, self.cors_allow_origin.as_deref());
        if self.cors_allow_origin.is_none() {
            return answer;
        }
        answer
            .field("Access-Control-Allow-Methods", METHODS)
            .field("Access-Control-Allow-Headers", FIELDS)
            .field("Access-Control-Max-Age", "86400")
    }
}

fn with_cors(answer: Response, origin: Option<&str>) -> Response {
    match origin {
        None => answer,
        Some("*") => answer.field("Access-Control-Allow-Origin", "*"),
        Some(origin) => answer
            .field("Access-Control-Allow-Origin", origin)
            .field("Vary", "Origin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(answer: &Response) -> String {
        String::from_utf8(answer.field_lines().as_ref().to_vec()).unwrap()
    }

    #[test]
    fn every_json_answer_may_be_read_by_the_configured_origin() {
        let any = Answers::new(Some("*".to_owned()));
        assert!(lines(&any.error(400, "no")).contains("Access-Control-Allow-Origin: *\r\n"));
        let one = Answers::new(Some("https://pages.example".to_owned()));
        assert!(lines(&one.done(200, "yes")).contains("Vary: Origin\r\n"));
        let none = Answers::new(None);
        assert!(!lines(&none.preflight("GET")).contains("Access-Control"));
    }

    #[test]
    fn a_wait_is_told_in_seconds() {
        let answers = Answers::new(None);
        assert!(lines(&answers.try_later(429, "slow down", 7)).contains("Retry-After: 7\r\n"));
    }
}
