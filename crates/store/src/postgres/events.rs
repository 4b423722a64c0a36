//! Adds events to logs whose rooms are locked.

use parlor_protocol::event::Event;
use parlor_protocol::id::RoomId;
use uuid::Uuid;

use super::codec::integer;
use super::fault::Outcome;
use super::pools::Server;
use super::query::{self, Params};
use super::sql::messages as sql;
use crate::document;

/// Adds events as they are numbered, in one statement. Moving `rooms.last_seq` is left to the caller.
pub(super) async fn insert(tx: &Server, events: &[Event]) -> Outcome<()> {
    let rooms: Vec<Uuid> = events.iter().map(|event| event.room.0).collect();
    let seqs: Vec<i64> = events.iter().map(|event| integer(event.seq)).collect();
    let times: Vec<i64> = events.iter().map(|event| event.at.as_millis()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.body.kind()).collect();
    let actors: Vec<Option<Uuid>> =
        events.iter().map(|event| event.actor.as_ref().map(|actor| actor.id.0)).collect();
    let subjects: Vec<Option<Uuid>> =
        events.iter().map(|event| document::subject(&event.body).map(|user| user.0)).collect();
    let messages: Vec<Option<Uuid>> =
        events.iter().map(|event| event.body.message().map(|message| message.0)).collect();
    let documents: Vec<String> = events
        .iter()
        .map(|event| document::write(&event.body))
        .collect::<serde_json::Result<_>>()?;
    let params: Params<'_> =
        &[&rooms, &seqs, &times, &kinds, &actors, &subjects, &messages, &documents];
    query::execute(tx, sql::INSERT_EVENTS, params).await?;
    Ok(())
}

/// Returns the newest position of each room among events in ascending order of `seq`.
pub(super) fn heads(events: &[Event]) -> Vec<(RoomId, u64)> {
    let mut heads: Vec<(RoomId, u64)> = Vec::new();
    for event in events {
        match heads.iter_mut().find(|(room, _)| *room == event.room) {
            Some((_, seq)) => *seq = event.seq,
            None => heads.push((event.room, event.seq)),
        }
    }
    heads
}
