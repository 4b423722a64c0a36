//! Outgoing webhooks, as the owners of a room make and watch them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::http::{
    CreateWebhookRequest, DeadLetter, NewWebhookSecret, Page, PatchWebhookRequest, Redelivered,
    Scope, Webhook,
};
use parlor_protocol::id::{RoomId, RoomRef, WebhookId};
use parlor_store::record::{NewWebhook, WebhookChange, WebhookRecord};
use rand::Rng as _;

use super::endpoint::Endpoint;
use super::extract::{InPath, JsonBody};
use super::integrations::refuse;
use super::view::find_room;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};
use crate::webhooks::redeliver;

/// Webhooks that a room may have.
const WEBHOOKS_MAX: u32 = 10;
const REFUSALS: [Code; 3] = [Code::NotFound, Code::NotAMember, Code::Forbidden];

/// Every type of event.
const EVENTS: [&str; 16] = [
    "room.created",
    "room.updated",
    "room.archived",
    "member.joined",
    "member.left",
    "member.role_changed",
    "member.updated",
    "message.created",
    "message.edited",
    "message.redacted",
    "message.pinned",
    "message.unpinned",
    "message.completed",
    "reaction.added",
    "reaction.removed",
    "history.reset",
];

const ONE: &str = "/v1/rooms/{room}/webhooks/{webhook}";
const DEAD: &str = "/v1/rooms/{room}/webhooks/{webhook}/dead-letters";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/rooms/{room}/webhooks", "list_webhooks", list_webhooks)
            .scope(Scope::Rooms)
            .about("Integrations", "List the addresses that are told what happens in a room")
            .details("For owners.")
            .answers::<Page<Webhook>>(200, "All of them, oldest first.")
            .refuses(&REFUSALS),
        Endpoint::post("/v1/rooms/{room}/webhooks", "create_webhook", create_webhook)
            .scope(Scope::Rooms)
            .about("Integrations", "Have an address told what happens in a room")
            .details(
                "For owners. Each event is posted at least once, in order, and signed; one that \
                 fails is tried again. The secret is told this one time.",
            )
            .body::<CreateWebhookRequest>()
            .answers::<NewWebhookSecret>(201, "The webhook with its secret.")
            .refuses(&REFUSALS)
            .refuses(&[Code::Conflict]),
        Endpoint::get(ONE, "get_webhook", get_webhook)
            .scope(Scope::Rooms)
            .about("Integrations", "Return a webhook, and how it goes")
            .details("For owners.")
            .answers::<Webhook>(200, "The webhook.")
            .refuses(&REFUSALS),
        Endpoint::patch(ONE, "patch_webhook", patch_webhook)
            .scope(Scope::Rooms)
            .about("Integrations", "Change a webhook, or switch it on or off")
            .details("For owners. Switched on again, it goes on where it stopped.")
            .body::<PatchWebhookRequest>()
            .answers::<Webhook>(200, "The changed webhook.")
            .refuses(&REFUSALS),
        Endpoint::delete(ONE, "delete_webhook", delete_webhook)
            .scope(Scope::Rooms)
            .about("Integrations", "End a webhook")
            .details("For owners.")
            .answers_nothing("The address is told nothing more.")
            .refuses(&REFUSALS),
        Endpoint::post(
            "/v1/rooms/{room}/webhooks/{webhook}/rotate",
            "rotate_webhook",
            rotate_webhook,
        )
        .scope(Scope::Rooms)
        .about("Integrations", "Give a webhook a new secret")
        .details("For owners. What is delivered from now on is signed with it.")
        .answers::<NewWebhookSecret>(200, "The webhook with its new secret.")
        .refuses(&REFUSALS),
        Endpoint::get(DEAD, "list_dead_letters", list_dead_letters)
            .scope(Scope::Rooms)
            .about("Integrations", "List the events that were given up")
            .details("For owners. The newest hundred are kept.")
            .answers::<Page<DeadLetter>>(200, "All of them, newest first.")
            .refuses(&REFUSALS),
        Endpoint::post(
            "/v1/rooms/{room}/webhooks/{webhook}/dead-letters/{seq}/redeliver",
            "redeliver",
            deliver_again,
        )
        .scope(Scope::Rooms)
        .about("Integrations", "Deliver an event once more that was given up")
        .details("For owners. It is posted at once and out of order, as it is now.")
        .answers::<Redelivered>(200, "What came of it.")
        .refuses(&REFUSALS),
    ]
}

async fn list_webhooks(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
) -> Outcome<Json<Page<Webhook>>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Own).await?;
    let found = node.store.list_webhooks(room.id).await?;
    Ok(Json(Page { items: found.into_iter().map(view).collect(), next: None }))
}

async fn create_webhook(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    JsonBody(request): JsonBody<CreateWebhookRequest>,
) -> Outcome<(StatusCode, Json<NewWebhookSecret>)> {
    let (room, _) = find_room(&node, &caller, &room, Action::Own).await?;
    let events = check_events(request.events)?;
    let new = NewWebhook {
        id: WebhookId(node.clock.new_id()),
        room: room.id,
        creator: caller.user.id,
        url: node.outgoing.check_url(&request.url, caller.user.id).await?,
        events,
        salt: salt(),
        at: node.now(),
        max: WEBHOOKS_MAX,
    };
    let made = node.store.create_webhook(new).await?.map_err(refuse)?;
    Ok((StatusCode::CREATED, Json(with_secret(&node, made))))
}

async fn get_webhook(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, webhook)): InPath<(RoomRef, WebhookId)>,
) -> Outcome<Json<Webhook>> {
    Ok(Json(view(find(&node, &caller, &room, webhook).await?)))
}

async fn patch_webhook(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, webhook)): InPath<(RoomRef, WebhookId)>,
    JsonBody(request): JsonBody<PatchWebhookRequest>,
) -> Outcome<Json<Webhook>> {
    let found = find(&node, &caller, &room, webhook).await?;
    let url = match request.url {
        Some(url) => Some(node.outgoing.check_url(&url, caller.user.id).await?),
        None => None,
    };
    let events = request.events.map(check_events).transpose()?;
    let change = WebhookChange { url, events, salt: None, enabled: request.enabled };
    Ok(Json(view(update(&node, found.room, webhook, change).await?)))
}

async fn delete_webhook(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, webhook)): InPath<(RoomRef, WebhookId)>,
) -> Outcome<StatusCode> {
    let found = find(&node, &caller, &room, webhook).await?;
    if !node.store.delete_webhook(found.room, webhook).await? {
        return Err(Refusal::not_found("webhook"));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate_webhook(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, webhook)): InPath<(RoomRef, WebhookId)>,
) -> Outcome<Json<NewWebhookSecret>> {
    let found = find(&node, &caller, &room, webhook).await?;
    let change = WebhookChange { salt: Some(salt()), ..WebhookChange::default() };
    let changed = update(&node, found.room, webhook, change).await?;
    Ok(Json(with_secret(&node, changed)))
}

async fn list_dead_letters(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, webhook)): InPath<(RoomRef, WebhookId)>,
) -> Outcome<Json<Page<DeadLetter>>> {
    let found = find(&node, &caller, &room, webhook).await?;
    let letters = node.store.list_dead_letters(found.id).await?;
    let view = |letter: parlor_store::record::DeadLetter| DeadLetter {
        seq: letter.seq,
        at: letter.at,
        attempts: letter.attempts,
        outcome: letter.outcome,
    };
    Ok(Json(Page { items: letters.into_iter().map(view).collect(), next: None }))
}

async fn deliver_again(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, webhook, seq)): InPath<(RoomRef, WebhookId, u64)>,
) -> Outcome<Json<Redelivered>> {
    let found = find(&node, &caller, &room, webhook).await?;
    let letters = node.store.list_dead_letters(found.id).await?;
    let gone = || Refusal::not_found("dead letter");
    letters.iter().find(|letter| letter.seq == seq).ok_or_else(gone)?;
    let Some(came) = redeliver(&node, &found, seq).await? else {
        // The history was reset: there is nothing to deliver.
        node.store.delete_dead_letter(found.id, seq).await?;
        return Err(gone());
    };
    let delivered = came.is_ok();
    let outcome = came.err().unwrap_or_else(|| "delivered".to_owned());
    Ok(Json(Redelivered { delivered, outcome }))
}

async fn find(
    node: &Node,
    caller: &Caller,
    room: &RoomRef,
    webhook: WebhookId,
) -> Outcome<WebhookRecord> {
    let (room, _) = find_room(node, caller, room, Action::Own).await?;
    let found = node.store.find_webhook(room.id, webhook).await?;
    found.ok_or_else(|| Refusal::not_found("webhook"))
}

async fn update(
    node: &Node,
    room: RoomId,
    webhook: WebhookId,
    change: WebhookChange,
) -> Outcome<WebhookRecord> {
    let changed = node.store.update_webhook(room, webhook, change).await?;
    changed.ok_or_else(|| Refusal::not_found("webhook"))
}

fn check_events(mut events: Vec<String>) -> Outcome<Vec<String>> {
    if let Some(index) = events.iter().position(|event| !EVENTS.contains(&event.as_str())) {
        let detail = "must be a type of event, such as message.created";
        return Err(Refusal::field(&format!("events[{index}]"), "unknown", detail));
    }
    events.sort_unstable();
    events.dedup();
    Ok(events)
}

/// Returns what a new signing secret is derived from.
pub(super) fn salt() -> [u8; 16] {
    rand::rng().random()
}

fn with_secret(node: &Node, record: WebhookRecord) -> NewWebhookSecret {
    let secret = node.outgoing.secret(&record.salt).show();
    NewWebhookSecret { webhook: view(record), secret }
}

fn view(record: WebhookRecord) -> Webhook {
    let (disabled_at, disabled_reason) = record.disabled.unzip();
    Webhook {
        id: record.id,
        url: record.url,
        events: record.events,
        creator: record.creator,
        created_at: record.created_at,
        enabled: disabled_at.is_none(),
        disabled_reason,
        disabled_at,
        seq: record.cursor,
        attempts: record.attempts,
        failing_since: record.failing_since,
        last_outcome: record.last_outcome,
        last_delivered_at: record.last_delivered_at,
        dead_letters: record.dead_letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_events_are_those_of_the_contract() {
        let schema = parlor_protocol::schema::websocket_schema().to_string();
        for event in EVENTS {
            assert!(schema.contains(&format!("\"const\":\"{event}\"")), "{event}");
        }
        assert!(check_events(vec!["message.created".into(), "nothing".into()]).is_err());
        let twice = vec!["message.created".to_owned(), "message.created".to_owned()];
        assert_eq!(check_events(twice).unwrap().len(), 1);
    }
}
