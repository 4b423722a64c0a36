//! Messages: history, writing, changing, reactions, and stopping a bot.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_bus::Control;
use parlor_domain::body::check_body;
use parlor_domain::naming::check_emoji;
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::http::{Cancelled, EditMessageRequest, Scope};
use parlor_protocol::id::{MessageId, RoomId, RoomRef};
use parlor_protocol::message::Message;
use parlor_store::Intent;
use parlor_store::record::CancelOutcome;

use super::ClientAddress;
use super::endpoint::Endpoint;
use super::extract::{InPath, JsonBody};
use super::view::{append, find_room};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

mod history;
mod publish;
mod reply;

const REFUSALS: [Code; 3] = [Code::NotFound, Code::NotAMember, Code::Forbidden];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let reactions = "/v1/rooms/{room}/messages/{message}/reactions/{emoji}";
    vec![
        history::endpoint(),
        publish::endpoint(),
        Endpoint::delete("/v1/rooms/{room}/messages", "reset_history", reset_history)
            .scope(Scope::Moderate)
            .about("Messages", "Remove everything that was written in a room")
            .details("For everyone, also from what bots remember. The room's log goes on.")
            .answers_nothing("The history is empty.")
            .refuses(&REFUSALS),
        Endpoint::patch("/v1/rooms/{room}/messages/{message}", "edit_message", edit_message)
            .scope(Scope::Write)
            .about("Messages", "Change the text of one's own message")
            .body::<EditMessageRequest>()
            .answers::<Message>(200, "The changed message.")
            .refuses(&REFUSALS),
        Endpoint::delete("/v1/rooms/{room}/messages/{message}", "redact_message", redact_message)
            .scope(Scope::Write)
            .about("Messages", "Remove the text of a message")
            .answers_nothing("The text is gone; that there was a message stays.")
            .refuses(&REFUSALS),
        Endpoint::put(reactions, "add_reaction", add_reaction)
            .scope(Scope::Write)
            .about("Messages", "React to a message")
            .answers_nothing("The reaction is there.")
            .refuses(&REFUSALS)
            .refuses(&[Code::Conflict, Code::ValidationFailed]),
        Endpoint::delete(reactions, "remove_reaction", remove_reaction)
            .scope(Scope::Write)
            .about("Messages", "Take a reaction back")
            .answers_nothing("The reaction is gone.")
            .refuses(&REFUSALS)
            .refuses(&[Code::ValidationFailed]),
        Endpoint::post("/v1/rooms/{room}/messages/{message}/cancel", "cancel_reply", cancel_reply)
            .scope(Scope::Write)
            .about("Messages", "Stop a bot's reply")
            .details("Names the reply, or the message that called the bot.")
            .answers::<Cancelled>(
                202,
                "The bot was asked to stop; the reply keeps its text so far.",
            )
            .refuses(&REFUSALS)
            .refuses(&[Code::Conflict]),
    ]
}

async fn reset_history(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Own).await?;
    append(&node, room.id, caller.user.id, Intent::ResetHistory).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn edit_message(
    State(node): State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    InPath((room, message)): InPath<(RoomRef, MessageId)>,
    JsonBody(request): JsonBody<EditMessageRequest>,
) -> Outcome<Json<Message>> {
    let (room, _) = find_room(&node, &caller, &room, Action::EditOwn).await?;
    charge(&node, &caller, address, room.id)?;
    let body = check_body(&request.body, node.config.limits.body.get())?;
    append(&node, room.id, caller.user.id, Intent::Edit { message, body }).await?;
    let message = node.store.find_message(room.id, message).await?;
    message.map(Json).ok_or_else(|| Refusal::not_found("message"))
}

async fn redact_message(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, message)): InPath<(RoomRef, MessageId)>,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::RedactOwn).await?;
    append(&node, room.id, caller.user.id, Intent::Redact { message }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_reaction(
    node: State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    path: InPath<(RoomRef, MessageId, String)>,
) -> Outcome<StatusCode> {
    react(node, caller, address, path, true).await
}

async fn remove_reaction(
    node: State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    path: InPath<(RoomRef, MessageId, String)>,
) -> Outcome<StatusCode> {
    react(node, caller, address, path, false).await
}

async fn react(
    State(node): State<Arc<Node>>,
    caller: Caller,
    address: ClientAddress,
    InPath((room, message, emoji)): InPath<(RoomRef, MessageId, String)>,
    add: bool,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Write).await?;
    charge(&node, &caller, address, room.id)?;
    check_emoji(&emoji).map_err(|refused| Refusal::name("emoji", refused))?;
    append(&node, room.id, caller.user.id, Intent::React { message, emoji, add }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cancel_reply(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, message)): InPath<(RoomRef, MessageId)>,
) -> Outcome<(StatusCode, Json<Cancelled>)> {
    let (room, _) = find_room(&node, &caller, &room, Action::SteerBot).await?;
    let outcome = node.store.cancel_reply(room.id, message, caller.user.id, node.now()).await??;
    match outcome {
        CancelOutcome::Requested(job) => {
            node.bus.publish_control(Control::CancelReply(job));
            Ok((StatusCode::ACCEPTED, Json(Cancelled { job })))
        }
        CancelOutcome::Ended => Err(Refusal::new(Code::Conflict, "The reply has ended already.")),
    }
}

/// Takes one write from the budgets of author, address and room.
pub(super) fn charge(
    node: &Node,
    caller: &Caller,
    address: ClientAddress,
    room: RoomId,
) -> Outcome<()> {
    let checked = node.rate.check_publish(caller.user.id, address.key(), room);
    checked.inspect_err(|_| {
        node.metrics.auth.rate_limited.with_label_values(&["publish"]).inc();
    })
}
