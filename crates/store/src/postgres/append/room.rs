//! Changes of the room itself.

use parlor_domain::permission::Action;
use parlor_protocol::event::{EventBody, RoomState};
use parlor_protocol::http::PatchRoomSettings;

use super::{Desk, Step};
use crate::append::Appended;
use crate::postgres::fault::Fault;
use crate::postgres::sql::{moderation, rooms as sql};

/// What is to change; what is `None` stays.
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) archived: Option<bool>,
    pub(super) settings: Option<PatchRoomSettings>,
}

pub(super) async fn update(desk: &mut Desk<'_>, change: Change) -> Step<Appended> {
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
    }
    if told {
        let state = state(desk);
        desk.add_event(EventBody::RoomUpdated(state));
    }
    if let Some(archived) = archived {
        desk.room.archived = archived;
        let state = state(desk);
        desk.add_event(EventBody::RoomArchived(state));
    }
    let (key, room) = (desk.room_key(), desk.room.clone());
    desk.write(sql::UPDATE, &[&key, &room.name, &room.topic, &room.archived]).await?;
    if ruled.is_some() {
        let settings = serde_json::to_string(&room.settings).map_err(Fault::from)?;
        desk.write(sql::SET_SETTINGS, &[&key, &settings]).await?;
        if room.settings.slow_mode_seconds == 0 {
            desk.write(moderation::FORGET_LAST_POSTS, &[&key]).await?;
        }
    }
    Ok(desk.added())
}

/// Returns what a room is called and about.
pub(super) fn state(desk: &Desk<'_>) -> RoomState {
    RoomState {
        slug: desk.room.slug.clone(),
        name: desk.room.name.clone(),
        kind: desk.room.kind,
        topic: desk.room.topic.clone(),
        archived: desk.room.archived,
        settings: desk.room.settings,
    }
}
