//! The JSON bodies that clients send.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Why a body is not what was asked for: the text for the client.
pub type JsonBodyError = String;

/// Limit on a JSON body, in bytes: reading one of this size takes the loop some tens of microseconds.
pub const BODY_BYTES_MAX: u64 = 16 * 1024;

/// The members that any body has a use for. Others are skipped, however deep, and not held.
const NAMES: [&str; 4] = ["name", "username", "email", "password"];

/// The known members of a JSON object. Of one that was given twice, the last.
#[derive(Default)]
pub struct JsonBody([Option<MemberValue>; NAMES.len()]);

/// The value of a member, told apart no further than a form needs it.
enum MemberValue {
    Null,
    Text(String),
    Other,
}

/// A whole body.
enum WholeBody {
    Object(JsonBody),
    Other,
}

impl JsonBody {
    /// Reads a body.
    ///
    /// # Errors
    /// It is not one JSON object in UTF-8.
    pub fn read(body: &[u8]) -> Result<Self, JsonBodyError> {
        let invalid = || "Invalid JSON".to_owned();
        // What is skipped is not looked at for this by the parser.
        let text = std::str::from_utf8(body).map_err(|_| invalid())?;
        let mut json = serde_json::Deserializer::from_str(text);
        let body = WholeBody::deserialize(&mut json).map_err(|_| invalid())?;
        json.end().map_err(|_| invalid())?;
        match body {
            WholeBody::Object(form) => Ok(form),
            WholeBody::Other => Err("Invalid JSON: an object is expected".to_owned()),
        }
    }

    /// Takes a member out that must be there.
    ///
    /// # Errors
    /// It is missing or not a string.
    pub fn text(&mut self, name: &str) -> Result<String, JsonBodyError> {
        self.optional_text(name)?
            .ok_or_else(|| format!("Missing field: {name}"))
    }

    /// Takes a member out that may be missing; `null` counts as missing.
    ///
    /// # Errors
    /// It is there and not a string.
    pub fn optional_text(&mut self, name: &str) -> Result<Option<String>, JsonBodyError> {
        let slot = NAMES.iter().position(|known| *known == name);
        debug_assert!(slot.is_some(), "{name} is not among the names");
        let value = slot
            .and_then(|slot| self.0.get_mut(slot))
            .and_then(Option::take);
        match value {
            None | Some(MemberValue::Null) => Ok(None),
            Some(MemberValue::Text(text)) => Ok(Some(text)),
            Some(MemberValue::Other) => Err(format!("Field must be a string: {name}")),
        }
    }
}

impl fmt::Debug for JsonBody {
    /// Without the values, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").finish_non_exhaustive()
    }
}

/// Reads a member's name: its place among the known ones, if it is one.
struct ReadName;

impl<'de> DeserializeSeed<'de> for ReadName {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ReadName {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(NAMES.iter().position(|known| *known == name))
    }
}

impl<'de> Deserialize<'de> for WholeBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadBody)
    }
}

struct ReadBody;

impl<'de> Visitor<'de> for ReadBody {
    type Value = WholeBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a body")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut form = JsonBody::default();
        while let Some(name) = map.next_key_seed(ReadName)? {
            match name.and_then(|name| form.0.get_mut(name)) {
                Some(slot) => *slot = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(WholeBody::Object(form))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(WholeBody::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(WholeBody::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(WholeBody::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(WholeBody::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(WholeBody::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(WholeBody::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(WholeBody::Other)
    }
}

impl<'de> Deserialize<'de> for MemberValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadValue)
    }
}

struct ReadValue;

impl<'de> Visitor<'de> for ReadValue {
    type Value = MemberValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(MemberValue::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(MemberValue::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(MemberValue::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(MemberValue::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(MemberValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(MemberValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(MemberValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(MemberValue::Other)
    }
}

/// Returns `true` if a request's media type is JSON. One that says nothing is taken at its word.
pub fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return false;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_strings_or_missing() {
        let mut form = JsonBody::read(br#"{"name":"x","email":7,"username":null}"#).unwrap();
        assert_eq!(form.text("name"), Ok("x".to_owned()));
        let error = "Field must be a string: email".to_owned();
        assert_eq!(form.text("email"), Err(error));
        assert_eq!(form.optional_text("username"), Ok(None));
        let error = "Missing field: password".to_owned();
        assert_eq!(form.text("password"), Err(error));
    }

    #[test]
    fn whatever_is_no_string_is_told_apart_from_what_is_missing() {
        for value in ["true", "-1", "1.5", "[]", "[{}]", "{}", r#"{"name":"x"}"#] {
            let body = format!(r#"{{"name":{value}}}"#);
            let mut form = JsonBody::read(body.as_bytes()).unwrap();
            let error = "Field must be a string: name".to_owned();
            assert_eq!(form.optional_text("name"), Err(error), "{value}");
        }
    }

    #[test]
    fn other_members_are_skipped_however_deep() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let body = format!(r#"{{"x":{deep},"na\u006de":"\u00e9","y":{{"name":"z"}},"Name":1}}"#);
        let mut form = JsonBody::read(body.as_bytes()).unwrap();
        assert_eq!(form.text("name"), Ok("\u{e9}".to_owned()));
    }

    #[test]
    fn of_a_member_given_twice_the_last_counts() {
        let mut form = JsonBody::read(br#"{"name":"x","name":7,"name":"y"}"#).unwrap();
        assert_eq!(form.text("name"), Ok("y".to_owned()));
    }

    #[test]
    fn only_one_whole_object_is_a_form() {
        for body in [
            "",
            "{",
            "{} {}",
            "[1,",
            r#"{"x":[}"#,
            r#"{"x":1,}"#,
            "{1:2}",
        ] {
            let error = JsonBody::read(body.as_bytes()).unwrap_err();
            assert_eq!(error, "Invalid JSON", "{body}");
        }
        for body in ["[]", "null", "\"x\"", "7", "-7", "7.5", "true", " [[1]] "] {
            let error = JsonBody::read(body.as_bytes()).unwrap_err();
            assert_eq!(error, "Invalid JSON: an object is expected", "{body}");
        }
        assert!(JsonBody::read(b"{\"a\":\"\xFF\"}").is_err());
    }

    #[test]
    fn parameters_of_the_media_type_do_not_matter() {
        assert!(is_json(Some("Application/JSON; charset=utf-8")));
        assert!(!is_json(None));
        assert!(!is_json(Some("application/jsonx")));
        assert!(!is_json(Some("text/plain; application/json")));
    }
}
