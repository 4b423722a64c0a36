//! Changes of the room itself.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, RoomState};
use rusqlite::params;

use super::{Desk, Step};
use crate::append::Appended;
use crate::sqlite::query;
use crate::sqlite::sql::rooms as sql;

pub(super) fn update(
    desk: &mut Desk<'_>,
    name: Option<String>,
    topic: Option<String>,
    archived: Option<bool>,
) -> Step<Appended> {
    desk.authorize(Action::Update)?;
    if archived.is_some() {
        desk.authorize(Action::Own)?;
    }
    let room = &mut desk.room;
    let renamed = name.filter(|name| *name != room.name);
    let retopicked = topic.filter(|topic| *topic != room.topic);
    let told = renamed.is_some() || retopicked.is_some();
    let archived = archived.filter(|archived| *archived != room.archived);
    if let Some(name) = renamed {
        room.name = name;
    }
    if let Some(topic) = retopicked {
        room.topic = topic;
    }
    if told {
        let state = state(desk);
        desk.add_event(EventBody::RoomUpdated(state))?;
    }
    if let Some(archived) = archived {
        desk.room.archived = archived;
        let state = state(desk);
        desk.add_event(EventBody::RoomArchived(state))?;
    }
    let room = &desk.room;
    query::execute(
        desk.conn,
        sql::UPDATE,
        params![desk.room_key(), room.name, room.topic, room.archived],
    )?;
    Ok(desk.added())
}

/// Returns what a room is called and about.
pub(in crate::sqlite) fn state(desk: &Desk<'_>) -> RoomState {
    RoomState {
        slug: desk.room.slug.clone(),
        name: desk.room.name.clone(),
        kind: desk.room.kind,
        topic: desk.room.topic.clone(),
        archived: desk.room.archived,
        settings: parlor_protocol::room::RoomSettings::default(),
    }
}
