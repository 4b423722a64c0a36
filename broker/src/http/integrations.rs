//! Incoming webhooks: other programs that post into a room by a secret address.
//!
//! An integration is a user of its own and a member of the room, so everyone sees who posts. What it
//! writes calls no bot: what bots say may come back by an outgoing webhook, for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_auth::{Issued, Mark, check_display_name};
use parlor_domain::body::check_body;
use parlor_domain::naming::slug_from;
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::event::Event;
use parlor_protocol::http::{
    CreateIntegrationRequest, HookPosted, HookRequest, Integration, NewIntegrationAddress, Page,
    Scope,
};
use parlor_protocol::id::{MessageId, RoomId, RoomRef, UserId};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{ServerRole, UserKind};
use parlor_store::record::{
    IntegrationRecord, IntegrationSecret, NewIntegration, NewUser, ProgramConflict,
};
use parlor_store::{Appended, Intent, NewMessage};

use super::ClientAddress;
use super::endpoint::{Access, Endpoint};
use super::extract::{IdempotencyKey, InPath, JsonBody};
use super::view::{append, find_room};
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// Integrations that a room may have.
const INTEGRATIONS_MAX: u32 = 20;
/// How exactly the time of the last use is kept.
const USED_EVERY: Duration = Duration::from_mins(1);
/// Letters of a name that stand in the user name, before what makes it unique.
const NAME_KEPT: usize = 20;
const REFUSALS: [Code; 3] = [Code::NotFound, Code::NotAMember, Code::Forbidden];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let one = "/v1/rooms/{room}/integrations/{integration}";
    vec![
        Endpoint::get("/v1/rooms/{room}/integrations", "list_integrations", list_integrations)
            .scope(Scope::Rooms)
            .about("Integrations", "List the programs that may post into a room")
            .details("For moderators.")
            .answers::<Page<Integration>>(200, "All of them, oldest first.")
            .refuses(&REFUSALS),
        Endpoint::post("/v1/rooms/{room}/integrations", "create_integration", create_integration)
            .scope(Scope::Rooms)
            .about("Integrations", "Let another program post into a room")
            .details(
                "For moderators. The program becomes a member under the given name. Whoever has \
                 the address may post, so keep it secret; it is told this one time.",
            )
            .body::<CreateIntegrationRequest>()
            .answers::<NewIntegrationAddress>(201, "The integration with its address.")
            .refuses(&REFUSALS)
            .refuses(&[Code::Conflict, Code::RoomFull]),
        Endpoint::post(
            "/v1/rooms/{room}/integrations/{integration}/rotate",
            "rotate_integration",
            rotate_integration,
        )
        .scope(Scope::Rooms)
        .about("Integrations", "Give an integration a new address")
        .details("For moderators. The old one works no longer.")
        .answers::<NewIntegrationAddress>(200, "The integration with its new address.")
        .refuses(&REFUSALS),
        Endpoint::delete(one, "delete_integration", delete_integration)
            .scope(Scope::Rooms)
            .about("Integrations", "End an integration")
            .details("For moderators. What it wrote stays.")
            .answers_nothing("Its address works no longer, and it has left the room.")
            .refuses(&REFUSALS),
        Endpoint::post("/v1/hooks/{secret}", "post_by_hook", post_by_hook)
            .about("Integrations", "Post into a room as an integration")
            .details(
                "The secret in the path is all the proof that is needed. Fields that are not known \
                 here are passed over, so what is made for the incoming webhooks of Slack works.",
            )
            .access(Access::Open)
            .idempotent()
            .body::<HookRequest>()
            .answers::<HookPosted>(201, "The message was written.")
            .answers::<HookPosted>(200, "The same message had been written before.")
            .refuses(&[
                Code::NotFound,
                Code::Forbidden,
                Code::RateLimited,
                Code::Unavailable,
                Code::Internal,
            ]),
    ]
}

async fn list_integrations(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
) -> Outcome<Json<Page<Integration>>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Moderate).await?;
    let found = node.store.list_integrations(room.id).await?;
    Ok(Json(Page { items: found.into_iter().map(view).collect(), next: None }))
}

async fn create_integration(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    JsonBody(request): JsonBody<CreateIntegrationRequest>,
) -> Outcome<(StatusCode, Json<NewIntegrationAddress>)> {
    let (room, _) = find_room(&node, &caller, &room, Action::Moderate).await?;
    let name = check_display_name(&request.name)
        .map_err(|refused| Refusal::field("name", "invalid", refused.to_string()))?;
    let Issued { secret, prefix, hash } = Mark::Integration.issue();
    let new = NewIntegration {
        secret: Some(IntegrationSecret { prefix, hash }),
        ..new_integration(&node, room.id, &caller, name)
    };
    let made = node.store.create_integration(new).await?.map_err(refuse)?;
    bring_in(&node, room.id, &caller, made.user.id).await?;
    Ok((StatusCode::CREATED, Json(with_address(made, &secret))))
}

/// Describes an integration without an address.
pub(super) fn new_integration(
    node: &Node,
    room: RoomId,
    caller: &Caller,
    name: String,
) -> NewIntegration {
    let id = UserId(node.clock.new_id());
    // The last letters of an id are random.
    let unique: String = id.0.simple().to_string().chars().skip(24).collect();
    let kept: String = slug_from(&name).unwrap_or_default().chars().take(NAME_KEPT).collect();
    let kept = kept.trim_matches('-');
    let user = NewUser {
        id,
        username: if kept.is_empty() {
            format!("hook-{unique}")
        } else {
            format!("{kept}-{unique}")
        },
        display_name: name,
        kind: UserKind::Integration,
        email: None,
        password_hash: None,
        role: ServerRole::User,
        at: node.now(),
    };
    NewIntegration { user, room, creator: caller.user.id, secret: None, max: INTEGRATIONS_MAX }
}

/// Makes a new integration a member, or takes it back.
pub(super) async fn bring_in(
    node: &Node,
    room: RoomId,
    caller: &Caller,
    integration: UserId,
) -> Outcome<()> {
    let joined = append(node, room, caller.user.id, Intent::Invite { user: integration }).await;
    if let Err(refusal) = joined {
        // Whether it joined may be unknown; without its row it can do nothing.
        node.store.delete_integration(room, integration).await?;
        return Err(refusal);
    }
    Ok(())
}

async fn rotate_integration(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, integration)): InPath<(RoomRef, UserId)>,
) -> Outcome<Json<NewIntegrationAddress>> {
    let (room, _) = find_room(&node, &caller, &room, Action::Moderate).await?;
    let Issued { secret, prefix, hash } = Mark::Integration.issue();
    let fresh = IntegrationSecret { prefix, hash };
    let rotated = node.store.rotate_integration(room.id, integration, fresh).await?;
    let rotated = rotated.ok_or_else(|| Refusal::not_found("integration"))?;
    Ok(Json(with_address(rotated, &secret)))
}

async fn delete_integration(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, integration)): InPath<(RoomRef, UserId)>,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Moderate).await?;
    let listed = node.store.list_integrations(room.id).await?;
    // Not one that speaks for a command: that one ends with it.
    if !listed.iter().any(|found| found.user.id == integration) {
        return Err(Refusal::not_found("integration"));
    }
    end(&node, room.id, &caller, integration).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends an integration and has it leave the room.
pub(super) async fn end(
    node: &Node,
    room: RoomId,
    caller: &Caller,
    integration: UserId,
) -> Outcome<()> {
    if !node.store.delete_integration(room, integration).await? {
        return Err(Refusal::not_found("integration"));
    }
    let left =
        append(node, room, caller.user.id, Intent::Kick { user: integration, reason: None }).await;
    match left {
        // Someone else has removed it before.
        Err(refusal) if refusal.code != Code::NotFound => Err(refusal),
        _ => Ok(()),
    }
}

async fn post_by_hook(
    State(node): State<Arc<Node>>,
    address: ClientAddress,
    key: IdempotencyKey,
    InPath(secret): InPath<String>,
    JsonBody(request): JsonBody<HookRequest>,
) -> Outcome<(StatusCode, Json<HookPosted>)> {
    let posted = post(&node, address, key, &secret, request).await;
    let outcome = posted.as_ref().map_or_else(|refusal| refusal.code.as_str(), |_| "posted");
    node.metrics.programs.posts.with_label_values(&[outcome]).inc();
    posted
}

async fn post(
    node: &Node,
    address: ClientAddress,
    key: IdempotencyKey,
    secret: &str,
    request: HookRequest,
) -> Outcome<(StatusCode, Json<HookPosted>)> {
    let unknown = || Refusal::not_found("webhook");
    // First, so that secrets are not guessed at the store's expense.
    node.rate.hooks_address.check(&address.key())?;
    let hash = Mark::Integration.hash(secret).ok_or_else(unknown)?;
    let found = node.store.find_integration(hash).await?.ok_or_else(unknown)?;
    node.rate.hooks.check(&found.user.id)?;
    let now = node.now();
    let used_at = found.last_used_at.map_or(i64::MIN, Timestamp::as_millis);
    let exact = i64::try_from(USED_EVERY.as_millis()).unwrap_or(i64::MAX);
    if now.as_millis().saturating_sub(exact) >= used_at {
        node.store.touch_integration(found.user.id, now).await?;
    }
    let text = match request.username.as_deref().map(check_display_name).transpose() {
        Ok(None) => request.text,
        Ok(Some(name)) => format!("{name}: {}", request.text),
        Err(refused) => return Err(Refusal::field("username", "invalid", refused.to_string())),
    };
    let body = check_body(&text, node.config.limits.body.get()).map_err(|refused| {
        let mut refusal = Refusal::from(refused);
        for error in &mut refusal.errors {
            "text".clone_into(&mut error.field);
        }
        refusal
    })?;
    let client_id = key.or(request.client_id)?;
    write(node, &found, body, client_id).await
}

/// Writes a message as an integration.
async fn write(
    node: &Node,
    integration: &IntegrationRecord,
    body: String,
    client_id: Option<String>,
) -> Outcome<(StatusCode, Json<HookPosted>)> {
    let message = message(node, body, client_id);
    let appended =
        append(node, integration.room, integration.user.id, Intent::Publish(message)).await;
    let (status, event) = match appended {
        Ok(Appended::New { events, .. }) => (StatusCode::CREATED, events.into_iter().next()),
        Ok(Appended::Repeat { event }) => (StatusCode::OK, Some(event)),
        Ok(Appended::Unchanged) => (StatusCode::OK, None),
        // Removed from the room, it is as if it were not there.
        Err(refusal) if refusal.code == Code::NotAMember => {
            return Err(Refusal::not_found("webhook"));
        }
        Err(refusal) => return Err(refusal),
    };
    let posted = event.as_ref().and_then(posted);
    let posted = posted.ok_or_else(|| {
        Refusal::new(Code::Internal, "Something went wrong on the server; it was logged.")
    })?;
    Ok((status, Json(posted)))
}

/// Describes a message of an integration.
pub(super) fn message(node: &Node, body: String, client_id: Option<String>) -> NewMessage {
    NewMessage {
        id: MessageId(node.clock.new_id()),
        client_id,
        body,
        reply_to: None,
        thread: None,
        attachments: Vec::new(),
    }
}

fn posted(event: &Event) -> Option<HookPosted> {
    Some(HookPosted { message: event.body.message()?, seq: event.seq })
}

/// Says why a program was not let in.
pub(super) fn refuse(conflict: ProgramConflict) -> Refusal {
    match conflict {
        ProgramConflict::TooMany => {
            Refusal::new(Code::Conflict, "The room has as many of these as it may; end one first.")
        }
        ProgramConflict::Name => {
            let mut refusal = Refusal::field("name", "taken", "is taken");
            refusal.code = Code::Conflict;
            refusal
        }
        ProgramConflict::NoSuchRoom => Refusal::not_found("room"),
    }
}

fn with_address(record: IntegrationRecord, secret: &str) -> NewIntegrationAddress {
    NewIntegrationAddress { integration: view(record), path: format!("/v1/hooks/{secret}") }
}

fn view(record: IntegrationRecord) -> Integration {
    Integration {
        id: record.user.id,
        user: record.user,
        creator: record.creator,
        prefix: record.prefix.unwrap_or_default(),
        created_at: record.created_at,
        last_used_at: record.last_used_at,
    }
}
