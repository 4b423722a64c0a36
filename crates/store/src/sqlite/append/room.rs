//! Changes of the room itself.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, RoomState};
use parlor_protocol::http::PatchRoomSettings;
use rusqlite::params;

use super::{Desk, Step};
use crate::append::Appended;
use crate::sqlite::query;
use crate::sqlite::sql::{moderation, rooms as sql};

/// What is to change; what is `None` stays.
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) archived: Option<bool>,
    pub(super) settings: Option<PatchRoomSettings>,
}

pub(super) fn update(desk: &mut Desk<'_>, change: Change) -> Step<Appended> {
    let Change { name, topic, archived, settings } = change;
    desk.authorize(Action::Update)?;
    if archived.is_some() {
        desk.authorize(Action::Own)?;
    }
    if let Some(settings) = &settings {
        desk.authorize(if settings.changes_rules() {
            Action::SetRules
        } else {
            Action::SetSlowMode
        })?;
    }
    let room = &mut desk.room;
    let renamed = name.filter(|name| *name != room.name);
    let retopicked = topic.filter(|topic| *topic != room.topic);
    let ruled = settings.map(|change| change.apply(room.settings));
    let ruled = ruled.filter(|settings| *settings != room.settings);
    let told = renamed.is_some() || retopicked.is_some() || ruled.is_some();
    let archived = archived.filter(|archived| *archived != room.archived);
    if let Some(name) = renamed {
        room.name = name;
    }
    if let Some(topic) = retopicked {
        room.topic = topic;
    }
    if let Some(settings) = ruled {
        room.settings = settings;
        if settings.slow_mode_seconds == 0 {
            query::execute(desk.conn, moderation::FORGET_LAST_POSTS, [desk.room_key()])?;
        }
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
    let settings = serde_json::to_string(&room.settings)?;
    query::execute(
        desk.conn,
        sql::UPDATE,
        params![desk.room_key(), room.name, room.topic, room.archived, settings],
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
        settings: desk.room.settings,
    }
}
