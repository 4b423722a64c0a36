//! The `AsyncAPI` 3.0 document of the WebSocket, made from the types of its frames.

use parlor_protocol::close::CloseCode;
use parlor_protocol::command::Command;
use parlor_protocol::frame::Frame;
use parlor_protocol::schema::Schemas;
use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "The live connection: subprotocol `parlor.v1`, one JSON object in each \
    text frame. Prove who you are by the `Authorization` header, by a ticket from \
    `POST /v1/auth/ws-ticket` as `?ticket=`, or by `hello` as first frame. Events carry their \
    room's `seq`, come in order and without a hole; signals come at most once. After a close code \
    of 4000 to 4499 connect again and subscribe with `since`; after 4500 to 4999 do not.";

/// Makes the document.
pub(super) fn document() -> Value {
    let mut schemas = Schemas::new("/components/schemas");
    schemas.add::<Command>();
    schemas.add::<Frame>();
    let definitions = schemas.into_definitions();
    let messages = |name: &str, sender: &str| -> Map<String, Value> {
        let variants = definitions[name]["oneOf"].as_array().cloned().unwrap_or_default();
        variants.iter().filter_map(|variant| message(variant, sender)).collect()
    };
    let sent = messages("Command", "client");
    let received = messages("Frame", "server");
    let references = |messages: &Map<String, Value>, at: &str| -> Vec<Value> {
        messages.keys().map(|name| json!({"$ref": format!("#/{at}/{name}")})).collect()
    };
    let all: Map<String, Value> = sent.clone().into_iter().chain(received.clone()).collect();
    let in_channel: Map<String, Value> = all
        .keys()
        .map(|name| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")})))
        .collect();
    let channel = json!({"$ref": "#/channels/socket"});
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parlor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0 OR MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/v1/ws",
                "title": "The WebSocket",
                "messages": in_channel,
                "bindings": {"ws": {"method": "GET", "query": query()}},
                "x-close-codes": close_codes(),
            },
        },
        "operations": {
            "send": {
                "action": "receive",
                "summary": "Commands, sent by the client",
                "channel": channel,
                "messages": references(&sent, "channels/socket/messages"),
            },
            "receive": {
                "action": "send",
                "summary": "Frames, sent by the server",
                "channel": channel,
                "messages": references(&received, "channels/socket/messages"),
            },
        },
        "components": {"schemas": definitions, "messages": all},
    })
}

/// Makes one message of one variant, named by its `op`.
fn message(variant: &Value, sender: &str) -> Option<(String, Value)> {
    let op = variant["properties"]["op"]["const"].as_str()?.to_owned();
    let summary = variant["description"].as_str().unwrap_or_default().to_owned();
    let name = if sender == "server" { format!("{op}_frame") } else { op.clone() };
    let message = json!({"name": op, "title": op, "summary": summary, "payload": variant});
    Some((name, message))
}

fn query() -> Value {
    json!({
        "type": "object",
        "properties": {
            "ticket": {"type": "string", "description": "A single-use ticket."},
            "token": {
                "type": "string",
                "description": "An access token, where the operator allows it.",
            },
        },
    })
}

fn close_codes() -> Map<String, Value> {
    let codes = CloseCode::ALL.iter();
    codes.map(|code| (code.as_u16().to_string(), code.reason().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_as_it_was_published() {
        insta::assert_json_snapshot!("asyncapi", document());
    }

    #[test]
    fn every_command_and_frame_is_a_message() {
        let document = document();
        let messages = document["components"]["messages"].as_object().unwrap();
        for op in ["hello", "subscribe", "publish", "cancel", "ping"] {
            assert!(messages.contains_key(op), "{op}");
        }
        for op in ["welcome", "ok", "error", "subscribed", "event", "signal", "resync", "drain"] {
            assert!(messages.contains_key(&format!("{op}_frame")), "{op}");
        }
    }
}
