//! Rooms: making, finding, changing, deleting.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_bus::Control;
use parlor_domain::naming::{check_room_name, check_slug, check_topic, slug_from};
use parlor_domain::permission::{Action, SLOW_MODE_MAX};
use parlor_protocol::code::Code;
use parlor_protocol::http::{
    CreateRoomRequest, Page, PatchRoomRequest, PatchRoomSettings, Scope, TransferRoomRequest,
};
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::{Room, RoomKind};
use parlor_protocol::user::UserKind;
use parlor_store::Intent;
use parlor_store::record::{CreatedRoom, NewRoom, RoomConflict, RoomFilter};
use schemars::JsonSchema;
use serde::Deserialize;

use super::cursor::{self, List};
use super::endpoint::Endpoint;
use super::extract::{IdempotencyKey, InPath, InQuery, JsonBody};
use super::view::{append, find_room, find_user, find_visible_room, show_room, to_room};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// First members and bots of a new room.
const FIRST_MEMBERS_MAX: usize = 100;
/// Longest text to look for, in characters.
const QUERY_MAX: usize = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/rooms", "create_room", create_room)
            .scope(Scope::Rooms)
            .about("Rooms", "Make a room")
            .details(
                "The caller becomes its owner. A direct room between the same participants exists \
                 once and is returned when it is asked for again; one that names only the caller is \
                 for notes.",
            )
            .idempotent()
            .body::<CreateRoomRequest>()
            .answers::<Room>(201, "The room was made.")
            .answers::<Room>(200, "The room had been made before.")
            .refuses(&[Code::Conflict]),
        Endpoint::get("/v1/rooms", "list_rooms", list_rooms)
            .scope(Scope::Read)
            .about("Rooms", "List rooms: public ones, and those that the caller is a member of")
            .query::<RoomsQuery>()
            .answers::<Page<Room>>(200, "A page of rooms, by short name."),
        Endpoint::delete("/v1/rooms", "delete_rooms", delete_rooms)
            .scope(Scope::Rooms)
            .about("Rooms", "Delete all rooms that only the caller owns")
            .query::<DeleteRoomsQuery>()
            .answers::<DeletedRooms>(200, "The rooms that were deleted."),
        Endpoint::get("/v1/rooms/{room}", "get_room", get_room)
            .scope(Scope::Read)
            .about("Rooms", "Return a room")
            .answers::<Room>(200, "The room.")
            .refuses(&[Code::NotFound]),
        Endpoint::patch("/v1/rooms/{room}", "patch_room", patch_room)
            .scope(Scope::Rooms)
            .about("Rooms", "Rename, retopic, archive or reopen a room, or change its settings")
            .details(
                "What is absent stays as it is. `settings` say who may do what: owners change all \
                 of them, moderators `slow_mode_seconds`. A direct room has none.",
            )
            .body::<PatchRoomRequest>()
            .answers::<Room>(200, "The changed room.")
            .refuses(&[Code::NotFound, Code::NotAMember, Code::Forbidden]),
        Endpoint::post("/v1/rooms/{room}/transfer", "transfer_room", transfer_room)
            .scope(Scope::Moderate)
            .about("Rooms", "Give one's ownership of a room to another member")
            .details(
                "In one step: the other becomes owner, the caller a moderator. For more than one \
                 owner, give the role instead.",
            )
            .body::<TransferRoomRequest>()
            .answers::<Room>(200, "The room, as the caller sees it now.")
            .refuses(&[Code::NotFound, Code::NotAMember, Code::Forbidden, Code::Conflict]),
        Endpoint::delete("/v1/rooms/{room}", "delete_room", delete_room)
            .scope(Scope::Rooms)
            .about("Rooms", "Delete a room with all that is in it")
            .answers_nothing("The room is gone.")
            .refuses(&[Code::NotFound, Code::NotAMember, Code::Forbidden]),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RoomsQuery {
    /// Only rooms that the caller is a member of.
    mine: bool,
    /// Only rooms whose name, short name or topic contains this.
    q: Option<String>,
    /// Also archived rooms.
    archived: bool,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DeleteRoomsQuery {
    /// Must be `true`: only one's own rooms can be deleted together.
    mine: bool,
    /// Only rooms of this kind.
    kind: Option<RoomKind>,
}

/// Rooms that were deleted.
#[derive(Debug, serde::Serialize, JsonSchema)]
struct DeletedRooms {
    /// Their ids.
    deleted: Vec<RoomId>,
}

async fn create_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<CreateRoomRequest>,
) -> Outcome<(StatusCode, Json<Room>)> {
    let client_id = key.or(request.client_id.clone())?;
    let members = find_first_members(&node, &caller, &request).await?;
    let id = RoomId(node.clock.new_id());
    let name = check_room_name(&request.name).map_err(|r| Refusal::name("name", r))?;
    let topic = request.topic.as_deref().unwrap_or_default();
    let room = NewRoom {
        id,
        slug: first_slug(&request, &name, id)?,
        name,
        kind: request.kind,
        topic: check_topic(topic).map_err(|r| Refusal::name("topic", r))?,
        creator: caller.user.id,
        members,
        at: node.now(),
        client_id,
        max_owned: u32::try_from(node.config.limits.rooms_per_user).unwrap_or(u32::MAX),
    };
    let CreatedRoom { room, events } = create(&node, room, request.slug.is_some()).await?;
    let status = if events.is_empty() {
        // It was made before, and the caller may have left it or been put out of it since.
        find_visible_room(&node, &caller, &room.id.into()).await?;
        StatusCode::OK
    } else {
        node.bus.publish_events(events);
        StatusCode::CREATED
    };
    Ok((status, Json(show_room(&node, room.id, caller.user.id).await?)))
}

/// Makes the room; a short name that the caller did not choose gives way to one that is taken.
async fn create(node: &Node, room: NewRoom, chosen: bool) -> Outcome<CreatedRoom> {
    let tail = tail(room.id);
    let again = NewRoom { slug: with_tail(&room.slug, &tail), ..room.clone() };
    match node.store.create_room(room).await? {
        Err(RoomConflict::Slug) if !chosen => {
            node.store.create_room(again).await?.map_err(Refusal::from)
        }
        result => result.map_err(Refusal::from),
    }
}

fn first_slug(request: &CreateRoomRequest, name: &str, id: RoomId) -> Outcome<String> {
    if let Some(slug) = &request.slug {
        check_slug(slug).map_err(|refused| Refusal::name("slug", refused))?;
        return Ok(slug.clone());
    }
    let made = match request.kind {
        // Participants need no name for it, and it must not tell others who they are.
        RoomKind::Direct => format!("direct-{}", tail(id)),
        RoomKind::Public | RoomKind::Private => {
            slug_from(name).unwrap_or_else(|| format!("room-{}", tail(id)))
        }
    };
    Ok(made)
}

/// The random end of an id.
fn tail(id: RoomId) -> String {
    id.0.simple().to_string().chars().skip(20).collect()
}

fn with_tail(slug: &str, tail: &str) -> String {
    let head: String = slug.chars().take(64 - 1 - tail.len()).collect();
    let slug = format!("{}-{tail}", head.trim_end_matches('-'));
    // A name of hexadecimal digits would look like an id.
    if check_slug(&slug).is_ok() { slug } else { format!("room-{tail}") }
}

async fn find_first_members(
    node: &Node,
    caller: &Caller,
    request: &CreateRoomRequest,
) -> Outcome<Vec<UserId>> {
    if request.members.len() + request.bots.len() > FIRST_MEMBERS_MAX {
        let detail = format!("may have at most {FIRST_MEMBERS_MAX} names, with those of bots");
        return Err(Refusal::field("members", "length", detail));
    }
    let mut found = Vec::new();
    for (field, names, bots) in
        [("members", &request.members, false), ("bots", &request.bots, true)]
    {
        for (index, name) in names.iter().enumerate() {
            let account = node.store.find_user_by_name(name).await?;
            let account = account
                .filter(|account| account.active && (!bots || account.user.kind == UserKind::Bot));
            let what = if bots { "is not the name of a bot" } else { "is not the name of a user" };
            let account = account
                .ok_or_else(|| Refusal::field(&format!("{field}[{index}]"), "unknown", what))?;
            if account.user.id != caller.user.id && !found.contains(&account.user.id) {
                found.push(account.user.id);
            }
        }
    }
    // With oneself only when that was said.
    if request.kind == RoomKind::Direct && found.is_empty() && request.members.is_empty() {
        let detail = "must name who the conversation is with";
        return Err(Refusal::field("members", "required", detail));
    }
    Ok(found)
}

async fn list_rooms(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(query): InQuery<RoomsQuery>,
) -> Outcome<Json<Page<Room>>> {
    let limit = cursor::page_size(query.limit)?;
    let list = List::new("rooms");
    let after = list.decode(query.cursor.as_deref())?;
    if query.q.as_ref().is_some_and(|q| q.chars().count() > QUERY_MAX) {
        let detail = format!("may have at most {QUERY_MAX} characters");
        return Err(Refusal::field("q", "length", detail));
    }
    let wanted = query.q.map(|q| q.trim().to_owned()).filter(|q| !q.is_empty());
    let filter = RoomFilter { mine: query.mine, query: wanted, archived: query.archived };
    let found = node.store.list_rooms(caller.user.id, filter, after.as_deref(), limit + 1).await?;
    Ok(Json(list.page(found, limit, |listing| listing.room.slug.clone(), to_room)))
}

async fn delete_rooms(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InQuery(query): InQuery<DeleteRoomsQuery>,
) -> Outcome<Json<DeletedRooms>> {
    if !query.mine {
        return Err(Refusal::field("mine", "required", "must be `true`"));
    }
    let deleted = node.store.delete_rooms_owned_by(caller.user.id, query.kind).await?;
    for room in &deleted {
        node.bus.publish_control(Control::RoomDeleted(*room));
    }
    Ok(Json(DeletedRooms { deleted }))
}

async fn get_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
) -> Outcome<Json<Room>> {
    let access = find_visible_room(&node, &caller, &room).await?;
    Ok(Json(show_room(&node, access.room.id, caller.user.id).await?))
}

async fn patch_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    JsonBody(request): JsonBody<PatchRoomRequest>,
) -> Outcome<Json<Room>> {
    let action = match (request.archived, &request.settings) {
        (None, None) => Action::Update,
        (None, Some(settings)) if !settings.changes_rules() => Action::SetSlowMode,
        (None, Some(_)) => Action::SetRules,
        (Some(_), _) => Action::Own,
    };
    let (room, _) = find_room(&node, &caller, &room, action).await?;
    let settings = request.settings.map(check_settings).transpose()?;
    let name = request.name.as_deref().map(check_room_name).transpose();
    let topic = request.topic.as_deref().map(check_topic).transpose();
    let change = Intent::Update {
        name: name.map_err(|refused| Refusal::name("name", refused))?,
        topic: topic.map_err(|refused| Refusal::name("topic", refused))?,
        archived: request.archived,
        settings,
    };
    append(&node, room.id, caller.user.id, change).await?;
    Ok(Json(show_room(&node, room.id, caller.user.id).await?))
}

fn check_settings(settings: PatchRoomSettings) -> Outcome<PatchRoomSettings> {
    match settings.slow_mode_seconds {
        Some(seconds) if seconds > SLOW_MODE_MAX => {
            let detail = format!("must be from 0 to {SLOW_MODE_MAX}; {seconds} was given");
            Err(Refusal::field("settings.slow_mode_seconds", "range", detail))
        }
        _ => Ok(settings),
    }
}

async fn transfer_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    JsonBody(request): JsonBody<TransferRoomRequest>,
) -> Outcome<Json<Room>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Own).await?;
    let user = find_user(&node, &caller, &request.username).await?.user.id;
    append(&node, room.id, caller.user.id, Intent::Transfer { user }).await?;
    Ok(Json(show_room(&node, room.id, caller.user.id).await?))
}

async fn delete_room(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Own).await?;
    node.store.delete_room(room.id, caller.user.id, node.now()).await??;
    node.bus.publish_control(Control::RoomDeleted(room.id));
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: RoomKind, slug: Option<&str>) -> CreateRoomRequest {
        CreateRoomRequest {
            name: "Tea & Cake".to_owned(),
            slug: slug.map(str::to_owned),
            kind,
            topic: None,
            members: Vec::new(),
            bots: Vec::new(),
            client_id: None,
        }
    }

    fn id() -> RoomId {
        RoomId(uuid::Uuid::from_u128(0x018f_2f3e_7b1c_7000_8000_0123_4567_89ab))
    }

    #[test]
    fn short_name_is_made_from_the_name_but_tells_nothing_of_direct_rooms() {
        let slug = |kind, name: &str| first_slug(&request(kind, None), name, id()).unwrap();
        assert_eq!(slug(RoomKind::Public, "Tea & Cake"), "tea-cake");
        assert_eq!(slug(RoomKind::Public, "部屋"), "room-0123456789ab");
        assert_eq!(slug(RoomKind::Direct, "Ada and Bob"), "direct-0123456789ab");
        assert!(first_slug(&request(RoomKind::Public, Some("Not ok")), "x", id()).is_err());
    }

    #[test]
    fn second_short_name_is_a_valid_one() {
        for slug in ["a", "tea-cake", &"a".repeat(64), &format!("{}-b", "a".repeat(50))] {
            let again = with_tail(slug, &tail(id()));
            assert!(check_slug(&again).is_ok(), "{again}");
        }
    }
}
