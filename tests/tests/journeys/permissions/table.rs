//! The tables of expectations, and the server's document to hold them against.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use reqwest::Method;
use serde_json::Value;

use super::cast::ORDER;
use crate::rest::Caller;

/// What is expected of one operation, or of one way to use it.
#[derive(Debug)]
pub(super) struct Row {
    /// The name of the operation, with what is special about this row.
    pub(super) text: String,
    pub(super) operation: String,
    /// A letter for each role, in a public room or where there is no room.
    pub(super) public: String,
    /// The same in a private room.
    pub(super) private: String,
    /// What stands for the parts of the path.
    pub(super) parts: BTreeMap<String, String>,
    pub(super) query: String,
    pub(super) body: Option<String>,
    /// It is done in rooms of its own, because it leaves nothing as it was.
    pub(super) fresh: bool,
    /// It is done with a login of its own, because it ends it.
    pub(super) login: bool,
}

/// Reads a table: `operation public private part=value ?query fresh login {"body":…}`.
pub(super) fn read(table: &str) -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys/permissions");
    let table = std::fs::read_to_string(folder.join(table)).unwrap();
    let lines = table.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

fn row(line: &str) -> Row {
    let (head, body) = line.split_once(" {").unwrap_or((line, ""));
    let body = (!body.is_empty()).then(|| format!("{{{body}"));
    let mut words = head.split_whitespace();
    let operation = words.next().unwrap().to_owned();
    let mut letters = || {
        let letters = words.next().unwrap_or_default().to_owned();
        assert_eq!(letters.len(), ORDER.len(), "a letter for each role: {line}");
        letters
    };
    let (public, private) = (letters(), letters());
    let mut row = Row {
        text: operation.clone(),
        operation,
        public,
        private,
        parts: BTreeMap::new(),
        query: String::new(),
        body,
        fresh: false,
        login: false,
    };
    for word in words {
        match (word, word.split_once('=')) {
            ("fresh", _) => row.fresh = true,
            ("login", _) => row.login = true,
            (query, _) if query.starts_with('?') => query.clone_into(&mut row.query),
            (_, Some((part, value))) => drop(row.parts.insert(part.to_owned(), value.to_owned())),
            _ => panic!("{word:?} in {line:?} means nothing"),
        }
        row.text = format!("{} {word}", row.text);
    }
    row.text.extend(row.body.iter().map(|body| format!(" {body}")));
    row
}

/// The operations that the server documents.
#[derive(Debug)]
pub(super) struct Document {
    operations: BTreeMap<String, (Method, String)>,
}

impl Document {
    /// Reads the OpenAPI document of a server.
    pub(super) async fn of(server: SocketAddr) -> Self {
        let document = Caller::anonymous(server).get("/openapi.json").await.ok();
        let mut operations = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let Some(id) = operation["operationId"].as_str() else { continue };
                let method = method.to_uppercase().parse().unwrap();
                operations.insert(id.to_owned(), (method, path.clone()));
            }
        }
        Self { operations }
    }

    /// Returns the method and the path of an operation.
    pub(super) fn operation(&self, id: &str) -> (&Method, &str) {
        let (method, path) = &self.operations[id];
        (method, path)
    }

    /// Returns the operations in rooms.
    pub(super) fn in_rooms(&self) -> impl Iterator<Item = (&str, &Method, &str)> {
        self.operations
            .iter()
            .map(|(id, (method, path))| (id.as_str(), method, path.as_str()))
            .filter(|(_, _, path)| path.contains("{room}"))
    }

    /// Fails unless each operation has a row, and each row an operation.
    #[track_caller]
    pub(super) fn expect_each_in(&self, rows: &[Row]) {
        let documented: BTreeSet<&str> = self.operations.keys().map(String::as_str).collect();
        let expected: BTreeSet<&str> = rows.iter().map(|row| row.operation.as_str()).collect();
        let without: Vec<_> = documented.difference(&expected).collect();
        assert!(
            without.is_empty(),
            "say in tests/tests/journeys/permissions/calls.txt who may call {without:?}"
        );
        let gone: Vec<_> = expected.difference(&documented).collect();
        assert!(gone.is_empty(), "rows of operations that there are not: {gone:?}");
    }
}

/// Returns the names of the commands in the server's description of the WebSocket.
pub(super) fn commands(asyncapi: &Value) -> BTreeSet<String> {
    let command = &asyncapi["components"]["schemas"]["Command"];
    let kinds = command["oneOf"].as_array().or(command["anyOf"].as_array()).unwrap();
    let name = |kind: &Value| kind["properties"]["op"]["const"].as_str().unwrap().to_owned();
    kinds.iter().map(name).collect()
}
