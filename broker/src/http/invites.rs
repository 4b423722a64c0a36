//! Invite links: whoever has the code may join.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_auth::ticket;
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::http::{CreateInviteRequest, Invite, Page, Scope};
use parlor_protocol::id::{RoomRef, UserId};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_store::moderation::InviteListing;
use parlor_store::record::NewInvite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cursor::{self, List};
use super::endpoint::{Access, Endpoint};
use super::extract::{InPath, InQuery, OptionalJson};
use super::view::find_room;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

const DAY: u64 = 86_400;
/// Life of a link when nothing else is asked for.
const LIFE_DEFAULT: u64 = 7 * DAY;
/// Longest life of a link.
const LIFE_MAX: u64 = 30 * DAY;
/// Uses of a link when nothing else is asked for.
const USES_DEFAULT: u32 = 25;
/// Most uses of a link.
const USES_MAX: u32 = 1_000;
/// Longest code that is looked up.
const CODE_MAX: usize = 64;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/rooms/{room}/invites", "create_invite", create_invite)
            .scope(Scope::Rooms)
            .about("Members", "Make an invite link")
            .optional_body::<CreateInviteRequest>()
            .answers::<Invite>(201, "The link's code.")
            .refuses(&[Code::NotFound, Code::NotAMember, Code::Forbidden]),
        Endpoint::get("/v1/rooms/{room}/invites", "list_invites", list_invites)
            .scope(Scope::Rooms)
            .about("Members", "List the invite links that work")
            .details("Moderators see all of them, others those that they have made.")
            .query::<InvitesQuery>()
            .answers::<Page<Invite>>(200, "A page of links.")
            .refuses(&[Code::NotFound, Code::NotAMember]),
        Endpoint::delete("/v1/rooms/{room}/invites/{code}", "revoke_invite", revoke_invite)
            .scope(Scope::Rooms)
            .about("Members", "Revoke an invite link")
            .details("For whoever has made it, and for moderators.")
            .answers_nothing("The link works no more.")
            .refuses(&[Code::NotFound, Code::NotAMember]),
        Endpoint::get("/v1/invites/{code}", "get_invite", get_invite)
            .about("Members", "Tell what an invite link leads to")
            .details("For whoever has the code, also before they have an account.")
            .access(Access::Public)
            .answers::<InvitePreview>(200, "The room behind the link.")
            .refuses(&[Code::NotFound]),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct InvitesQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

/// The room behind an invite link, for those who have its code.
#[derive(Debug, Serialize, JsonSchema)]
struct InvitePreview {
    /// The link.
    #[serde(flatten)]
    invite: Invite,
    /// The room's short name.
    slug: String,
    /// The room's name.
    name: String,
    /// What kind of room it is.
    kind: RoomKind,
    /// What the room is about.
    topic: String,
    /// How many members it has.
    members: u64,
}

async fn create_invite(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    OptionalJson(request): OptionalJson<CreateInviteRequest>,
) -> Outcome<(StatusCode, Json<Invite>)> {
    let (room, _) = find_room(&node, &caller, &room, Action::Invite).await?;
    let life = request.expires_in.unwrap_or(LIFE_DEFAULT);
    if !(1..=LIFE_MAX).contains(&life) {
        let detail = format!("must be from 1 to {LIFE_MAX} seconds");
        return Err(Refusal::field("expires_in", "range", detail));
    }
    let max_uses = request.max_uses.unwrap_or(USES_DEFAULT);
    if !(1..=USES_MAX).contains(&max_uses) {
        return Err(Refusal::field("max_uses", "range", format!("must be from 1 to {USES_MAX}")));
    }
    let now = node.now();
    let life_ms = i64::try_from(life * 1_000).unwrap_or(i64::MAX);
    let invite = NewInvite {
        code: ticket::random(),
        room: room.id,
        creator: caller.user.id,
        at: now,
        expires_at: Timestamp::from_millis(now.as_millis() + life_ms),
        max_uses,
    };
    let answer = Invite {
        code: invite.code.clone(),
        room: room.id,
        expires_at: invite.expires_at,
        uses_left: max_uses,
        creator: Some(caller.user.clone()),
    };
    node.store.create_invite(invite).await??;
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn list_invites(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    InQuery(query): InQuery<InvitesQuery>,
) -> Outcome<Json<Page<Invite>>> {
    let limit = cursor::page_size(query.limit)?;
    let (room, member) = find_room(&node, &caller, &room, Action::Read).await?;
    let list = List::of("invites", room.id);
    let after = list.decode(query.cursor.as_deref())?;
    let creator = (member.role < Role::Moderator).then_some(caller.user.id);
    let now = node.now();
    let found = node.store.list_invites(room.id, creator, after.as_deref(), now, limit + 1).await?;
    let show = |invite: InviteListing| Invite {
        code: invite.code,
        room: room.id,
        expires_at: invite.expires_at,
        uses_left: invite.uses_left,
        creator: Some(invite.creator),
    };
    Ok(Json(list.page(found, limit, |invite| invite.code.clone(), show)))
}

async fn revoke_invite(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, code)): InPath<(RoomRef, String)>,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let revoked = code.len() <= CODE_MAX
        && node.store.revoke_invite(room.id, caller.user.id, &code, node.now()).await??;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::not_found("invite")) }
}

async fn get_invite(
    State(node): State<Arc<Node>>,
    InPath(code): InPath<String>,
) -> Outcome<Json<InvitePreview>> {
    let gone = || Refusal::new(Code::NotFound, "The invite is unknown, used up or expired.");
    if code.len() > CODE_MAX {
        return Err(gone());
    }
    let invite = node.store.find_invite(&code, node.now()).await?.ok_or_else(gone)?;
    // Nobody in particular: the code is what allows to know of the room.
    let nobody = UserId(uuid::Uuid::nil());
    let listing = node.store.find_room_listing(invite.room, nobody).await?.ok_or_else(gone)?;
    Ok(Json(InvitePreview {
        invite: Invite {
            code,
            room: invite.room,
            expires_at: invite.expires_at,
            uses_left: invite.uses_left,
            creator: None,
        },
        slug: listing.room.slug,
        name: listing.room.name,
        kind: listing.room.kind,
        topic: listing.room.topic,
        members: listing.members,
    }))
}
