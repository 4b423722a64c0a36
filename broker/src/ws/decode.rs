//! Reading commands. A refusal says what is wrong and quotes nothing that the client sent.

use parlor_protocol::code::Code;
use parlor_protocol::command::Command;
use serde_json::error::{Category, Error};

use crate::refusal::Refusal;

/// Reads a command. The refusal comes with the command's id, as far as it can be made out.
pub(crate) fn decode(text: &str) -> Result<Command, (Refusal, Option<String>)> {
    // serde would also take the fields as a list.
    if text.trim_start().starts_with('[') {
        return Err((bad_frame("A command is one JSON object."), None));
    }
    serde_json::from_str(text).map_err(|error| {
        // Only now, because it is read twice: a client that errs wants to know which command.
        let id = serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .and_then(|frame| frame.get("id")?.as_str().map(str::to_owned));
        (bad_frame(&explain(&error)), id)
    })
}

fn bad_frame(detail: &str) -> Refusal {
    Refusal::new(Code::BadRequest, detail)
}

/// Says what is wrong. serde's messages have a stable form; of what they quote, only our own names
/// are repeated.
fn explain(error: &Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            return format!("The frame is not valid JSON: see line {line}, column {column}.");
        }
        Category::Data => {}
    }
    let message = error.to_string();
    let name = message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("missing field `") {
        format!("`{name}` is missing.")
    } else if message.starts_with("duplicate field `") {
        format!("`{name}` is given twice.")
    } else if message.starts_with("unknown field `") {
        "The command has a field that it does not know.".to_owned()
    } else if message.starts_with("unknown variant `") {
        "There is no such `op`.".to_owned()
    } else {
        "A field has a value of the wrong kind.".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, Option<String>) {
        let (refusal, id) = decode(text).unwrap_err();
        assert_eq!(refusal.code, Code::BadRequest);
        (refusal.detail, id)
    }

    #[test]
    fn refusal_says_what_is_wrong_and_in_which_command() {
        let (detail, id) = refused(r#"{"op":"subscribe","id":"7"}"#);
        assert_eq!((detail.as_str(), id.as_deref()), ("`room` is missing.", Some("7")));
        let (detail, _) = refused(r#"{"op":"ping""#);
        assert_eq!(detail, "The frame is not valid JSON: see line 1, column 12.");
        let (detail, _) = refused(r#"{"op":"read","room":"r","seq":1,"seq":2}"#);
        assert_eq!(detail, "`seq` is given twice.");
    }

    #[test]
    fn nothing_that_was_sent_is_repeated() {
        for text in [
            r#"{"op":"hunter2"}"#,
            r#"{"op":"ping","hunter2":1}"#,
            r#"{"op":"read","room":"r","seq":"hunter2"}"#,
            r#"{"op":"cancel","room":"r","message":"hunter2"}"#,
            r#"["hunter2"]"#,
            "hunter2",
        ] {
            assert!(!refused(text).0.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn command_is_an_object() {
        assert!(decode(r#" {"op":"ping"}"#).is_ok());
        assert!(decode(r#" ["ping"]"#).is_err());
    }
}
