//! The published descriptions: `OpenAPI`, `AsyncAPI` and JSON Schema. Made once, at the start.

use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::Value;

use super::endpoint::{Access, Endpoint};
use super::{App, asyncapi, openapi};

const JSON_SCHEMA: &str = "application/schema+json";

/// The documents as they are sent.
#[derive(Debug)]
pub(super) struct Documents {
    openapi: Bytes,
    asyncapi: Bytes,
    schema: Bytes,
}

impl Documents {
    pub(super) fn new(endpoints: &[Endpoint]) -> Self {
        Self {
            openapi: encode(&openapi::document(endpoints)),
            asyncapi: encode(&asyncapi::document()),
            schema: encode(&parlor_protocol::schema::websocket_schema()),
        }
    }
}

fn encode(document: &Value) -> Bytes {
    document.to_string().into()
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/openapi.json", "get_openapi", get_openapi)
            .about("Documents", "Return this document")
            .access(Access::Open)
            .answers::<Value>(200, "The `OpenAPI` 3.1 description of the HTTP API."),
        Endpoint::get("/asyncapi.json", "get_asyncapi", get_asyncapi)
            .about("Documents", "Return the description of the WebSocket")
            .access(Access::Open)
            .answers::<Value>(200, "The `AsyncAPI` 3.0 description of the WebSocket."),
        Endpoint::get("/schema.json", "get_schema", get_schema)
            .about("Documents", "Return the JSON Schema of all frames")
            .access(Access::Open)
            .answers_text(200, JSON_SCHEMA, "JSON Schema (draft 2020-12)."),
    ]
}

async fn get_openapi(State(app): State<App>) -> impl IntoResponse {
    answer("application/json", &app.documents().openapi)
}

async fn get_asyncapi(State(app): State<App>) -> impl IntoResponse {
    answer("application/json", &app.documents().asyncapi)
}

async fn get_schema(State(app): State<App>) -> impl IntoResponse {
    answer(JSON_SCHEMA, &app.documents().schema)
}

fn answer(media_type: &'static str, document: &Bytes) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")], document.clone())
}
