//! The server itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::time::Timestamp;

/// The state of one thing that the server depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// Whether it works.
    pub ok: bool,
    /// What it is, such as `sqlite`.
    pub kind: String,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether the node takes work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// Whether it does.
    pub ready: bool,
    /// Why not, when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Each dependency by name.
    pub dependencies: BTreeMap<String, Dependency>,
}

/// What this server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// Always `parlor`.
    pub name: String,
    /// The version.
    pub version: String,
    /// The WebSocket subprotocols.
    pub subprotocols: Vec<String>,
    /// Whether anyone may register.
    pub registration: Registration,
    /// Whether the first administrator is still to be made.
    pub setup_required: bool,
    /// Limits of a connection.
    pub limits: Limits,
    /// Rates by name; none when they are switched off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, RateRule>,
}

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RateRule {
    /// How many in `seconds`.
    pub count: u32,
    /// The time in which as many are given back.
    pub seconds: u32,
    /// How many at once after a pause.
    pub burst: u32,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Everyone.
    Open,
    /// Those with an invite code.
    Invite,
    /// Nobody.
    Closed,
}

/// The state of the server, for administrators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The version.
    pub version: String,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// Each dependency by name.
    pub dependencies: BTreeMap<String, Dependency>,
}

/// The state of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// For how many seconds it has been running.
    pub uptime_seconds: u64,
    /// Open WebSocket connections.
    pub connections: u64,
    /// Rooms with a connected member.
    pub rooms: u64,
}
