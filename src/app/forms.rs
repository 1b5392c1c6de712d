//! The JSON bodies that clients send.

use serde_json::{Map, Value};

/// Why a body is not what was asked for: the text for the client.
pub type FormError = String;

/// The members of a JSON object.
#[derive(Debug)]
pub struct Form(Map<String, Value>);

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    /// It is not one JSON object in UTF-8.
    pub fn read(body: &[u8]) -> Result<Self, FormError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err("Invalid JSON: an object is expected".to_owned()),
            Err(_) => Err("Invalid JSON".to_owned()),
        }
    }

    /// Takes a member out that must be there.
    ///
    /// # Errors
    /// It is missing or not a string.
    pub fn text(&mut self, name: &str) -> Result<String, FormError> {
        self.optional_text(name)?
            .ok_or_else(|| format!("Missing field: {name}"))
    }

    /// Takes a member out that may be missing; `null` counts as missing.
    ///
    /// # Errors
    /// It is there and not a string.
    pub fn optional_text(&mut self, name: &str) -> Result<Option<String>, FormError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("Field must be a string: {name}")),
        }
    }
}

/// Whether a request's media type is JSON. One that says nothing is taken at its word.
pub fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_strings_or_missing() {
        let mut form = Form::read(br#"{"a":"x","b":7,"c":null}"#).unwrap();
        assert_eq!(form.text("a"), Ok("x".to_owned()));
        assert_eq!(form.text("b"), Err("Field must be a string: b".to_owned()));
        assert_eq!(form.optional_text("c"), Ok(None));
        assert_eq!(form.text("d"), Err("Missing field: d".to_owned()));
    }

    #[test]
    fn only_one_whole_object_is_a_form() {
        for body in ["", "{", "[]", "null", "{} {}", "\"x\""] {
            assert!(Form::read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Form::read(b"{\"a\":\"\xFF\"}").is_err());
    }

    #[test]
    fn parameters_of_the_media_type_do_not_matter() {
        assert!(is_json(Some("Application/JSON; charset=utf-8")));
        assert!(is_json(None));
        assert!(!is_json(Some("application/jsonx")));
        assert!(!is_json(Some("text/plain; application/json")));
    }
}
