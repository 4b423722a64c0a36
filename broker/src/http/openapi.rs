//! The `OpenAPI` 3.1 document, made from the table of operations.

use std::collections::BTreeMap;

use parlor_protocol::code::{Code, Problem};
use parlor_protocol::http::Scope;
use parlor_protocol::schema::Schemas;
use serde_json::{Map, Value, json};

use super::endpoint::{Access, Answer, Endpoint};
use super::problem::PROBLEM_JSON;
use crate::grant::Need;

const DESCRIPTION: &str = "A chat broker in which people and language models share rooms.\n\n\
    Log in at `POST /v1/auth/token` and send the access token as `Authorization: Bearer`. Live \
    events come over the WebSocket at `/v1/ws`, described at `/asyncapi.json`, or as server-sent \
    events. Errors are problem documents (RFC 9457) with a stable `code`; answers with status 429 \
    and 503 carry `Retry-After`. Lists are pages: pass `next` as `cursor` to get the page after.";

/// What the families are about, in the order of the document.
const TAGS: [(&str, &str); 14] = [
    ("Login", "Accounts, logins and tokens."),
    ("Users", "Profiles and presence."),
    ("Rooms", "Rooms: public, private, direct."),
    ("Members", "Who is in a room, and with which role."),
    ("Messages", "History, writing, reactions, replies of bots."),
    ("Events", "Following a room live."),
    ("Files", "Uploads, attachments, downloads."),
    ("Bots", "Language models as members, and what they remember."),
    ("Integrations", "Other programs: what they post, and what they are told."),
    ("Models", "Model providers."),
    ("Administration", "For administrators of the server."),
    ("Server", "Health, limits, error codes."),
    ("Documents", "The descriptions of the API."),
    ("WebSocket", "The live connection."),
];

/// Makes the document.
pub(super) fn document(endpoints: &[Endpoint]) -> Value {
    let mut schemas = Schemas::new("/components/schemas");
    let problem = schemas.add::<Problem>();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut schemas, &problem);
        let method = endpoint.method.as_str().to_ascii_lowercase();
        paths.entry(endpoint.path).or_default().insert(method, operation);
    }
    let tags: Vec<Value> = TAGS
        .iter()
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Parlor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.into_definitions(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token of a login, or a personal access token.",
                },
                "password": {
                    "type": "oauth2",
                    "description": "Log in with user name and password.",
                    "flows": {"password": {"tokenUrl": "/v1/auth/token", "scopes": {}}},
                },
            },
        },
    })
}

fn operation(endpoint: &Endpoint, schemas: &mut Schemas, problem: &Value) -> Value {
    let mut responses = Map::new();
    for answer in &endpoint.answers {
        responses.insert(answer.status.to_string(), success(answer, schemas));
    }
    for (status, codes) in by_status(&endpoint.all_codes()) {
        responses.entry(status.to_string()).or_insert_with(|| failure(status, &codes, problem));
    }
    let mut operation = json!({
        "operationId": endpoint.id,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "security": security(endpoint.access),
        "responses": responses,
    });
    let mut add = |key: &str, value: Value| {
        if let Some(operation) = operation.as_object_mut() {
            operation.insert(key.to_owned(), value);
        }
    };
    let description = [endpoint.details.map(str::to_owned), about_tokens(endpoint)];
    let description: Vec<String> = description.into_iter().flatten().collect();
    if !description.is_empty() {
        add("description", description.join("\n\n").into());
    }
    if let Some(scope) = scope(endpoint) {
        add("x-scope", scope.as_str().into());
    }
    let parameters = parameters(endpoint);
    if !parameters.is_empty() {
        add("parameters", parameters.into());
    }
    if !endpoint.body.is_empty() {
        let content = endpoint.body.iter().map(|(media_type, schema)| {
            ((*media_type).to_owned(), json!({"schema": schema(schemas)}))
        });
        let content: Map<String, Value> = content.collect();
        add("requestBody", json!({"required": endpoint.body_required, "content": content}));
    }
    if let Some(media_type) = endpoint.bytes {
        let bytes = json!({"type": "string", "format": "binary"});
        let content = json!({media_type: {"schema": bytes}});
        add("requestBody", json!({"required": true, "content": content}));
    }
    operation
}

/// Returns the scope that a personal access token needs, where one will do.
fn scope(endpoint: &Endpoint) -> Option<Scope> {
    match (endpoint.access, endpoint.need) {
        (Access::User | Access::Admin, Need::Scope(scope)) => Some(scope),
        _ => None,
    }
}

/// Says which personal access tokens will do, where a proof is needed.
fn about_tokens(endpoint: &Endpoint) -> Option<String> {
    match (endpoint.access, endpoint.need) {
        (Access::Open | Access::Public, _) => None,
        (_, Need::Scope(scope)) => Some(format!("Scope of a personal access token: `{scope}`.")),
        (_, Need::Login) => Some("Not with a personal access token.".to_owned()),
    }
}

fn security(access: Access) -> Value {
    match access {
        Access::Open | Access::Public => json!([]),
        Access::User | Access::Admin => json!([{"bearer": []}, {"password": []}]),
    }
}

fn success(answer: &Answer, schemas: &mut Schemas) -> Value {
    let content: Map<String, Value> = answer
        .content
        .iter()
        .map(|(media_type, schema)| {
            // Text, or a document of a shape of its own.
            let plain =
                if media_type.ends_with("json") { json!(true) } else { json!({"type": "string"}) };
            let schema = schema.map_or(plain, |schema| schema(schemas));
            ((*media_type).to_owned(), json!({"schema": schema}))
        })
        .collect();
    if content.is_empty() {
        json!({"description": answer.description})
    } else {
        json!({"description": answer.description, "content": content})
    }
}

fn by_status(codes: &[Code]) -> BTreeMap<u16, Vec<Code>> {
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        statuses.entry(code.status()).or_default().push(*code);
    }
    statuses
}

fn failure(status: u16, codes: &[Code], problem: &Value) -> Value {
    let list: Vec<String> =
        codes.iter().map(|&code| format!("`{code}`: {}", super::problem::describe(code))).collect();
    let mut failure = json!({
        "description": list.join("\n\n"),
        "content": {PROBLEM_JSON: {"schema": problem}},
    });
    if matches!(status, 429 | 503)
        && let Some(failure) = failure.as_object_mut()
    {
        let schema = json!({"type": "integer", "minimum": 1});
        let header = json!({
            "description": "When to try again, in seconds.",
            "required": true,
            "schema": schema,
        });
        failure.insert("headers".to_owned(), json!({"Retry-After": header}));
    }
    failure
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let in_path = path_parameters(endpoint.path).map(|name| {
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": path_description(name),
            "schema": {"type": "string"},
        })
    });
    let headers = endpoint.headers.iter().map(|header| {
        json!({
            "name": header.name,
            "in": "header",
            "required": false,
            "description": header.description,
            "schema": {"type": "string"},
        })
    });
    in_path.chain(query_parameters(endpoint)).chain(headers).collect()
}

fn query_parameters(endpoint: &Endpoint) -> Vec<Value> {
    let Some(schema) = endpoint.query else { return Vec::new() };
    let schema = schema();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let parameter = |(name, property): (&String, &Value)| {
        let mut property = property.clone();
        let description = property.as_object_mut().and_then(|p| p.remove("description"));
        json!({
            "name": name,
            "in": "query",
            "required": required.contains(&name.as_str()),
            "description": description.unwrap_or_default(),
            "schema": property,
        })
    };
    properties.map(parameter).collect()
}

fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn path_description(name: &str) -> &'static str {
    match name {
        "room" => "The room, by id or by its short name.",
        "username" => "The user name, or `me`.",
        "message" => "The id of the message.",
        "emoji" => "The emoji, percent-encoded.",
        "bot" => "The bot's user name.",
        "token" => "The id of the token.",
        "integration" => "The id of the integration.",
        "webhook" => "The id of the webhook.",
        "command" => "The id of the command.",
        "secret" => "The secret of the address.",
        "seq" => "The position of the event.",
        "code" => "The code.",
        "upload" => "The upload's id.",
        "file" => "The attachment's id.",
        "name" => "The file's name, for people and their programs.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::table;
    use super::*;

    #[test]
    fn document_is_as_it_was_published() {
        insta::assert_json_snapshot!("openapi", document(&table::endpoints()));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document(&table::endpoints());
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_answer_parameter_and_tag_is_described() {
        let document = document(&table::endpoints());
        let tags: BTreeSet<&str> = TAGS.iter().map(|(name, _)| *name).collect();
        let operations = document["paths"].as_object().unwrap().values();
        for operation in operations.flat_map(|path| path.as_object().unwrap().values()) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{id}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let description = response["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{id} {status}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let description = parameter["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{id} {}", parameter["name"]);
            }
        }
    }

    #[test]
    fn answers_that_ask_to_wait_say_how_long() {
        let document = document(&table::endpoints());
        let limited = &document["paths"]["/v1/rooms"]["get"]["responses"]["429"];
        assert!(limited["headers"]["Retry-After"].is_object());
    }
}
