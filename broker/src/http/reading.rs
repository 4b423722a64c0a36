//! What one reader sees of a room, and sets for themselves: single messages and their older texts,
//! pins, read markers, notifications.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::http::{
    MessageVersion, NotificationsRequest, Page, ReadRequest, ReadState, Scope,
};
use parlor_protocol::id::{MessageId, RoomRef};
use parlor_protocol::message::Message;
use parlor_protocol::signal::{Receipt, Signal, SignalBody};
use parlor_store::Intent;

use super::ClientAddress;
use super::endpoint::Endpoint;
use super::extract::{InPath, JsonBody};
use super::messages::charge;
use super::view::{append, charge_history, find_room};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

const MESSAGE: &str = "/v1/rooms/{room}/messages/{message}";
const VERSIONS: &str = "/v1/rooms/{room}/messages/{message}/versions";
const PIN: &str = "/v1/rooms/{room}/messages/{message}/pin";
const REFUSALS: [Code; 2] = [Code::NotFound, Code::NotAMember];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(MESSAGE, "get_message", get_message)
            .about("Messages", "Return a message")
            .scope(Scope::Read)
            .answers::<Message>(200, "The message as it is now.")
            .refuses(&REFUSALS),
        Endpoint::get(VERSIONS, "list_versions", list_versions)
            .about("Messages", "List the texts that a message has had")
            .scope(Scope::Read)
            .details(
                "Oldest first, the present one last; the newest 50 of them. A redacted message has \
                 none.",
            )
            .answers::<Page<MessageVersion>>(200, "All that are kept, in one page.")
            .refuses(&REFUSALS),
        Endpoint::put(PIN, "pin_message", pin_message)
            .about("Messages", "Pin a message")
            .scope(Scope::Write)
            .details(
                "For moderators; in a direct room for everyone. A room has at most 50 pinned \
                 messages. A redacted message is pinned no longer.",
            )
            .answers_nothing("It is pinned.")
            .refuses(&REFUSALS)
            .refuses(&[Code::Forbidden, Code::Conflict]),
        Endpoint::delete(PIN, "unpin_message", unpin_message)
            .about("Messages", "Unpin a message")
            .scope(Scope::Write)
            .answers_nothing("It is not pinned.")
            .refuses(&REFUSALS)
            .refuses(&[Code::Forbidden]),
        Endpoint::get("/v1/rooms/{room}/pins", "list_pins", list_pins)
            .about("Messages", "List the pinned messages of a room")
            .scope(Scope::Read)
            .answers::<Page<Message>>(200, "All of them in one page, in the order of pinning.")
            .refuses(&REFUSALS),
        Endpoint::put("/v1/rooms/{room}/read", "mark_read", mark_read)
            .about("Rooms", "Set the read marker")
            .scope(Scope::Write)
            .details(
                "Also back, which marks messages unread; at most to the newest event. Others are \
                 told (`receipt`) when it goes forward.",
            )
            .body::<ReadRequest>()
            .answers::<ReadState>(200, "Where it stands, and what is after it.")
            .refuses(&REFUSALS),
        Endpoint::put("/v1/rooms/{room}/notifications", "set_notifications", set_notifications)
            .about("Rooms", "Choose which messages of a room to be told of")
            .scope(Scope::Write)
            .details(
                "Kept for all of the caller's clients, which act on it; the server sends every \
                 event all the same.",
            )
            .body::<NotificationsRequest>()
            .answers_nothing("It is set.")
            .refuses(&REFUSALS),
    ]
}

async fn get_message(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, message)): InPath<(RoomRef, MessageId)>,
) -> Outcome<Json<Message>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let message = node.store.find_message(room.id, message).await?;
    message.map(Json).ok_or_else(|| Refusal::not_found("message"))
}

async fn list_versions(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, message)): InPath<(RoomRef, MessageId)>,
) -> Outcome<Json<Page<MessageVersion>>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let versions = node.store.list_versions(room.id, message).await?;
    let items = versions.ok_or_else(|| Refusal::not_found("message"))?;
    Ok(Json(Page { items, next: None }))
}

async fn pin_message(
    node: State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    path: InPath<(RoomRef, MessageId)>,
) -> Outcome<StatusCode> {
    pin(node, caller, address, path, true).await
}

async fn unpin_message(
    node: State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    path: InPath<(RoomRef, MessageId)>,
) -> Outcome<StatusCode> {
    pin(node, caller, address, path, false).await
}

async fn pin(
    State(node): State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    InPath((room, message)): InPath<(RoomRef, MessageId)>,
    pin: bool,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Pin).await?;
    charge(&node, &caller, address, room.id)?;
    append(&node, room.id, caller.user.id, Intent::Pin { message, pin }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_pins(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
) -> Outcome<Json<Page<Message>>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    charge_history(&node, &caller)?;
    let items = node.store.list_pins(room.id).await?;
    Ok(Json(Page { items, next: None }))
}

async fn mark_read(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    JsonBody(request): JsonBody<ReadRequest>,
) -> Outcome<Json<ReadState>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let user = caller.user;
    let marked = node.store.mark_read(room.id, user.id, request.seq).await?;
    // Whoever was a member a moment ago and is none any more.
    let marked = marked.ok_or_else(|| Refusal::not_found("room"))?;
    if marked.forward {
        let body = SignalBody::Receipt(Receipt { user, seq: marked.state.read_seq });
        node.bus.publish_signal(Signal { room: room.id, body });
    }
    Ok(Json(marked.state))
}

async fn set_notifications(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    JsonBody(request): JsonBody<NotificationsRequest>,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    if node.store.set_notifications(room.id, caller.user.id, request.level).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found("room"))
    }
}
