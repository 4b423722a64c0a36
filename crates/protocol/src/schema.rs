//! JSON Schema (draft 2020-12) of everything that crosses the wire.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// Collects schemas under names, with their parts in one shared set of definitions.
#[derive(Debug)]
pub struct Schemas {
    generator: SchemaGenerator,
}

impl Schemas {
    /// Starts an empty set whose references point to `definitions`, such as
    /// `/components/schemas`.
    pub fn new(definitions: &str) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = definitions.to_owned().into();
            settings.meta_schema = None;
        });
        Self { generator: settings.into_generator() }
    }

    /// Adds a type with all that it refers to and returns the schema to use in its place.
    pub fn add<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// Returns the definitions by name.
    pub fn into_definitions(mut self) -> BTreeMap<String, Value> {
        self.generator.take_definitions(true).into_iter().collect()
    }
}

/// Returns one schema document with every WebSocket frame, in both directions.
pub fn websocket_schema() -> Value {
    let mut schemas = Schemas::new("/$defs");
    let command = schemas.add::<crate::command::Command>();
    let frame = schemas.add::<crate::frame::Frame>();
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "/schema.json",
        "title": "Parlor WebSocket frames, v1",
        "description": "What a client sends (command) and receives (frame).",
        "oneOf": [command, frame],
        "$defs": schemas.into_definitions(),
    })
}
