//! Outgoing webhooks, as the store holds them.

use std::time::Duration;

use parlor_protocol::id::{RoomId, UserId, WebhookId};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;

/// A new webhook. It is told what happens from now on.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its id.
    pub id: WebhookId,
    /// The room.
    pub room: RoomId,
    /// Who makes it.
    pub creator: UserId,
    /// Where to, checked.
    pub url: String,
    /// Types of events; empty: all.
    pub events: Vec<String>,
    /// What its signing secret is derived from.
    pub salt: [u8; 16],
    /// When.
    pub at: Timestamp,
    /// How many a room may have.
    pub max: u32,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Its id.
    pub id: WebhookId,
    /// The room.
    pub room: RoomId,
    /// Who made it.
    pub creator: UserRef,
    /// Where to.
    pub url: String,
    /// Types of events; empty: all.
    pub events: Vec<String>,
    /// What its signing secret is derived from.
    pub salt: [u8; 16],
    /// When it was made.
    pub created_at: Timestamp,
    /// Up to here events were delivered, passed over or given up.
    pub cursor: u64,
    /// Since when and why it is told nothing.
    pub disabled: Option<(Timestamp, String)>,
    /// Failed attempts at the event after the cursor.
    pub attempts: u32,
    /// When the first of an unbroken row of failures was.
    pub failing_since: Option<Timestamp>,
    /// How the last attempt ended.
    pub last_outcome: Option<String>,
    /// When something was last delivered.
    pub last_delivered_at: Option<Timestamp>,
    /// Events that were given up and are kept.
    pub dead_letters: u64,
}

/// Changes of a webhook; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where to, checked.
    pub url: Option<String>,
    /// Types of events; empty: all.
    pub events: Option<Vec<String>>,
    /// What a new signing secret is derived from.
    pub salt: Option<[u8; 16]>,
    /// Whether it is told; it goes on where it stopped.
    pub enabled: Option<bool>,
}

/// A webhook that a node has the right to tell for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedWebhook {
    /// The webhook.
    pub webhook: WebhookRecord,
    /// The fence: what an older claim reports is ignored.
    pub generation: u64,
}

/// What a node that holds a webhook reports. All but the last three keep the right to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookProgress {
    /// Everything up to here is nothing for it.
    Passed {
        /// The last such event.
        seq: u64,
    },
    /// This event was delivered.
    Delivered {
        /// The event.
        seq: u64,
        /// When.
        at: Timestamp,
    },
    /// This event is given up and kept apart, the newest `keep` of them.
    GivenUp {
        /// The event.
        seq: u64,
        /// When.
        at: Timestamp,
        /// How the last attempt ended.
        outcome: String,
        /// How many of them are kept.
        keep: u32,
    },
    /// An attempt failed; the next one is due after `delay`.
    Failed {
        /// When.
        at: Timestamp,
        /// How it ended.
        outcome: String,
        /// Until the next one.
        delay: Duration,
    },
    /// It is told nothing any more, until an owner says otherwise.
    Disabled {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Another may go on.
    Released,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub seq: u64,
    /// When it was given up.
    pub at: Timestamp,
    /// How often it was attempted.
    pub attempts: u32,
    /// How the last attempt ended.
    pub outcome: String,
}
