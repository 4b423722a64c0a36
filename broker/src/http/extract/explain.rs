//! Turns the errors of decoding into refusals that name the field and never quote the value.

use parlor_protocol::code::Code;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::refusal::{Outcome, Refusal};

/// Longest name of an unknown field that is repeated to the client.
const NAME_MAX: usize = 64;

/// Reads JSON.
pub(in crate::http) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Outcome<T> {
    // serde would take a list for a struct, its items for the fields in their order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::new(Code::BadRequest, "The body must be a JSON object."));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| refuse_json(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| refuse_json("", &error))?;
    Ok(value)
}

/// Reads a form or a query.
pub(super) fn from_form<T: DeserializeOwned>(bytes: &[u8]) -> Outcome<T> {
    let form = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(bytes));
    serde_path_to_error::deserialize(form)
        .map_err(|error| refuse_field(&error.path().to_string(), &error.inner().to_string()))
}

fn refuse_json(path: &str, error: &serde_json::Error) -> Refusal {
    match error.classify() {
        Category::Data => {
            let message = error.to_string();
            let position = message.rfind(" at line ").unwrap_or(message.len());
            refuse_field(path, message.get(..position).unwrap_or(&message))
        }
        Category::Eof => Refusal::new(Code::BadRequest, "The JSON of the body is incomplete."),
        Category::Syntax | Category::Io => Refusal::new(
            Code::BadRequest,
            format!(
                "The body is not valid JSON: see line {}, column {}.",
                error.line(),
                error.column()
            ),
        ),
    }
}

/// Reads serde's messages, whose form is stable; what they quote is left out.
fn refuse_field(path: &str, message: &str) -> Refusal {
    let parent = path.trim_matches('.');
    let quoted = message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("missing field `") {
        Refusal::field(&join(parent, quoted), "required", "is required")
    } else if message.starts_with("unknown field `") {
        Refusal::field(&join_unknown(parent, quoted), "unknown", "is not a field of this request")
    } else if message.starts_with("duplicate field `") {
        Refusal::field(&join(parent, quoted), "duplicate", "is given twice")
    } else {
        let field = if parent.is_empty() { "body" } else { parent };
        Refusal::field(field, "invalid", expectation(message))
    }
}

/// What would be right, where the message ends with it.
fn expectation(message: &str) -> String {
    let unsuitable = || "has a value of the wrong kind".to_owned();
    // The expectation comes last and is ours; a quoted value comes before it.
    let expected = match message.rfind(", expected ") {
        Some(at) => message.get(at + 2..),
        None => message.starts_with("expected ").then_some(message),
    };
    let known = |text: &&str| text.len() <= 200 && !text.contains('"') && !text.contains("struct");
    expected.filter(known).map_or_else(unsuitable, |text| text.replacen("expected ", "must be ", 1))
}

fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}

/// The path ends with the unknown field itself, or with what it is in.
fn join_unknown(parent: &str, field: &str) -> String {
    let plain = field.len() <= NAME_MAX
        && !field.is_empty()
        && field.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    let name = if plain { field } else { "(unknown)" };
    let container = parent.strip_suffix(field).unwrap_or(parent).trim_end_matches('.');
    join(container, name)
}

#[cfg(test)]
mod tests {
    use parlor_protocol::http::{CreateRoomRequest, PutMemberRequest, TokenRequest};
    use serde::Deserialize;

    use super::*;

    fn refusal<T: DeserializeOwned>(json: &str) -> (Code, String, String, String) {
        let refusal = from_json::<T>(json.as_bytes()).err().unwrap();
        let error = refusal.errors.first().cloned();
        let (field, code) = error.map(|e| (e.field, e.code)).unwrap_or_default();
        (refusal.code, field, code, refusal.detail)
    }

    fn field<T: DeserializeOwned>(json: &str) -> (String, String) {
        let (code, field, kind, _) = refusal::<T>(json);
        assert_eq!(code, Code::ValidationFailed, "{json}");
        (field, kind)
    }

    #[test]
    fn broken_json_is_a_bad_request_that_says_where() {
        let (code, _, _, detail) = refusal::<CreateRoomRequest>("{\n  \"name\": nope}");
        assert_eq!(code, Code::BadRequest);
        assert!(detail.contains("line 2"), "{detail}");
        assert_eq!(refusal::<CreateRoomRequest>("{\"name\":\"a").0, Code::BadRequest);
        assert_eq!(refusal::<CreateRoomRequest>("").0, Code::BadRequest);
        let deep = "{\"a\":".repeat(10_000);
        assert_eq!(refusal::<serde_json::Value>(&deep).0, Code::BadRequest);
        assert_eq!(refusal::<CreateRoomRequest>(r#"["a",null,"public"]"#).0, Code::BadRequest);
        let trailing = r#"{"name":"a","kind":"public"} {}"#;
        assert_eq!(refusal::<CreateRoomRequest>(trailing).0, Code::BadRequest);
    }

    #[test]
    fn field_at_fault_is_named() {
        type Room = CreateRoomRequest;
        let pair = |field: &str, code: &str| (field.to_owned(), code.to_owned());
        assert_eq!(field::<Room>(r#"{"kind":"public"}"#), pair("name", "required"));
        assert_eq!(
            field::<Room>(r#"{"name":"a","kind":"public","colour":1}"#),
            pair("colour", "unknown")
        );
        assert_eq!(field::<Room>(r#"{"name":"a","name":"b"}"#), pair("name", "duplicate"));
        assert_eq!(field::<Room>(r#"{"name":7,"kind":"public"}"#), pair("name", "invalid"));
        assert_eq!(
            field::<Room>(r#"{"name":"a","kind":"public","members":["x",1]}"#),
            pair("members[1]", "invalid")
        );
        assert_eq!(
            field::<PutMemberRequest>(r#"{"mute":{"until":"soon"}}"#),
            pair("mute.until", "invalid")
        );
        assert_eq!(
            field::<PutMemberRequest>(r#"{"mute":{"for":"ever"}}"#),
            pair("mute.for", "unknown")
        );
    }

    #[test]
    fn value_is_never_quoted() {
        let secrets = [
            r#"{"name":"a","kind":"hunter2"}"#,
            r#"{"name":{"hunter2":1},"kind":"public"}"#,
            r#"{"name":"a","kind":"public","members":"hunter2"}"#,
            r#"{"name":"a","kind":"public","hunter2 \"x\", expected hunter2":1}"#,
            "\"hunter2\"",
        ];
        for json in secrets {
            let refusal = from_json::<CreateRoomRequest>(json.as_bytes()).unwrap_err();
            let told = format!("{refusal:?}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        let (_, _, _, detail) = refusal::<CreateRoomRequest>(r#"{"name":"a","kind":"hunter2"}"#);
        assert!(detail.contains("must be one of `public`"), "{detail}");
    }

    #[test]
    fn form_is_read_like_json() {
        let form: TokenRequest =
            from_form(b"grant_type=password&username=ada&password=a%20b").unwrap();
        assert_eq!((form.username.as_str(), form.password.as_str()), ("ada", "a b"));
        let refusal = from_form::<TokenRequest>(b"username=ada").err().unwrap();
        assert_eq!(refusal.errors[0].field, "password");
    }

    #[test]
    fn query_names_the_parameter_at_fault() {
        #[derive(Debug, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[derive(Default)]
        struct Query {
            limit: Option<u32>,
        }
        assert_eq!(from_form::<Query>(b"limit=5").unwrap().limit, Some(5));
        let refusal = from_form::<Query>(b"limit=hunter2").unwrap_err();
        assert_eq!(refusal.errors[0].field, "limit");
        assert!(!format!("{refusal:?}").contains("hunter2"));
        let refusal = from_form::<Query>(b"limt=5").unwrap_err();
        assert_eq!((&*refusal.errors[0].field, &*refusal.errors[0].code), ("limt", "unknown"));
    }
}
