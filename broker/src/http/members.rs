//! Who is in a room: joining, inviting, roles, mutes, bans, leaving.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parlor_domain::naming::check_reason;
use parlor_domain::permission::Action;
use parlor_protocol::code::Code;
use parlor_protocol::http::{Ban, DeleteMemberRequest, MemberPage, Page, PutMemberRequest, Scope};
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::{Member, Role};
use parlor_protocol::user::PresenceStatus;
use parlor_store::Intent;
use parlor_store::moderation::BanRecord;
use parlor_store::record::{MemberFilter, MemberRecord};
use schemars::JsonSchema;
use serde::Deserialize;

use super::cursor::{self, List};
use super::endpoint::Endpoint;
use super::extract::{InPath, InQuery, OptionalJson};
use super::users::status_of;
use super::view::{append, find_room, find_user};
use crate::crowd::There;
use crate::node::{Caller, Node};
use crate::refusal::{Outcome, Refusal};

/// Longest beginning of a name, in characters.
const QUERY_MAX: usize = 100;
/// How often a page is filled up in place of those who have left.
const ROUNDS_MAX: usize = 4;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let refusals = [Code::NotFound, Code::NotAMember, Code::Forbidden, Code::Conflict];
    vec![
        Endpoint::get("/v1/rooms/{room}/members", "list_members", list_members)
            .scope(Scope::Read)
            .about("Members", "List the members of a room")
            .details(
                "`total` counts all members, and `online` those who are there. Large rooms are not \
                 told who comes and goes: their clients ask for this list, where `online` and \
                 `?status=online` are as of a moment ago.",
            )
            .query::<MembersQuery>()
            .answers::<MemberPage>(200, "A page of members, by user name.")
            .refuses(&[Code::NotFound, Code::NotAMember]),
        Endpoint::get("/v1/rooms/{room}/bans", "list_bans", list_bans)
            .scope(Scope::Moderate)
            .about("Members", "List who may not enter a room")
            .details("For moderators. Bans that have ended are not listed.")
            .query::<BansQuery>()
            .answers::<Page<Ban>>(200, "A page of bans, by user name.")
            .refuses(&[Code::NotFound, Code::NotAMember, Code::Forbidden]),
        Endpoint::put("/v1/rooms/{room}/members/{username}", "put_member", put_member)
            .scope(Scope::Rooms)
            .about("Members", "Join, invite, or change a member")
            .details(
                "For oneself, an empty object joins; a private room needs the code of an invite \
                 link. For someone else, a bot too, an empty object brings them in; `role`, `mute` \
                 or `ban` changes what they are. One change in a call.",
            )
            .optional_body::<PutMemberRequest>()
            .answers_nothing("It is so now.")
            .refuses(&refusals)
            .refuses(&[Code::RoomFull]),
        Endpoint::delete("/v1/rooms/{room}/members/{username}", "delete_member", delete_member)
            .scope(Scope::Rooms)
            .about("Members", "Leave a room, or remove a member from it")
            .optional_body::<DeleteMemberRequest>()
            .answers_nothing("They are not a member any more.")
            .refuses(&refusals),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct MembersQuery {
    /// Only those who are there; idle ones and bots are.
    status: Option<ThereOnly>,
    /// Only those with this role.
    role: Option<Role>,
    /// Only those whose user name begins with this.
    q: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BansQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items in the page, 1 to 200; 50 when absent.
    limit: Option<u32>,
}

/// The one status to ask for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ThereOnly {
    /// There.
    Online,
}

async fn list_members(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    InQuery(query): InQuery<MembersQuery>,
) -> Outcome<Json<MemberPage>> {
    let limit = cursor::page_size(query.limit)?;
    let prefix = query.q.unwrap_or_default().trim().to_lowercase();
    if prefix.chars().count() > QUERY_MAX {
        let detail = format!("may have at most {QUERY_MAX} characters");
        return Err(Refusal::field("q", "length", detail));
    }
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let list = List::of("members", room.id);
    let after = list.decode(query.cursor.as_deref())?;
    let total = node.store.count_members(room.id).await?.unwrap_or_default();
    let there = node.crowds.find(&node, room.id, total).await?;
    let filter = MemberFilter { role: query.role, prefix };
    let after = after.as_deref();
    let Page { items: found, next } = match query.status {
        Some(ThereOnly::Online) => {
            let found = find_there(&node, room.id, &there, &filter, after, limit).await?;
            Page { items: found.members, next: found.last.map(|last| list.encode(&last)) }
        }
        None => {
            let found = node.store.list_members_by(room.id, &filter, after, limit + 1).await?;
            list.page(found, limit, |member| member.user.username.clone(), |member| member)
        }
    };
    let users: Vec<UserId> = found.iter().map(|member| member.user.id).collect();
    let statuses = node.presence.list(&users).await.into_iter();
    let statuses = statuses.chain(std::iter::repeat(PresenceStatus::Offline));
    let show = |(member, status): (MemberRecord, PresenceStatus)| Member {
        status: status_of(&node, member.user.kind, status),
        user: member.user,
        role: member.role,
        joined_at: member.joined_at,
        muted_until: member.muted_until,
        mute_reason: member.mute_reason,
    };
    let items = found.into_iter().zip(statuses).map(show).collect();
    let online = u64::try_from(there.len()).unwrap_or(u64::MAX).min(total);
    Ok(Json(MemberPage { items, next, total, online }))
}

/// Members who are there.
struct Found {
    members: Vec<MemberRecord>,
    /// The name to go on after, where more may follow.
    last: Option<String>,
}

/// Returns at most so many of those who are there and whom the filter lets through, as they are now.
/// Who was there is known as of a moment ago: whoever has left meanwhile is not listed, and others
/// take the place. When very many have left, there may be fewer although more follow.
async fn find_there(
    node: &Node,
    room: RoomId,
    there: &[There],
    filter: &MemberFilter,
    after: Option<&str>,
    limit: u32,
) -> Outcome<Found> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let after = after.unwrap_or_default().to_lowercase();
    let begin = there.partition_point(|one| one.name <= after);
    let wanted = |one: &There| {
        filter.role.is_none_or(|role| one.role == role) && one.name.starts_with(&filter.prefix)
    };
    let mut rest = there.get(begin..).unwrap_or_default();
    let (mut members, mut last): (Vec<MemberRecord>, _) = (Vec::new(), None);
    for _ in 0..ROUNDS_MAX {
        let mut users: Vec<UserId> = Vec::new();
        while let Some((one, others)) = rest.split_first()
            && users.len() < limit - members.len()
        {
            rest = others;
            if wanted(one) {
                users.push(one.user);
                last = Some(one.name.clone());
            }
        }
        let found = node.store.find_members(room, &users).await?.into_iter().flatten();
        members.extend(found.filter(|one| filter.role.is_none_or(|role| one.role == role)));
        if members.len() >= limit {
            break;
        }
    }
    Ok(Found { members, last: last.filter(|_| rest.iter().any(wanted)) })
}

async fn list_bans(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath(room): InPath<RoomRef>,
    InQuery(query): InQuery<BansQuery>,
) -> Outcome<Json<Page<Ban>>> {
    let limit = cursor::page_size(query.limit)?;
    let (room, _) = find_room(&node, &caller, &room, Action::Moderate).await?;
    let list = List::of("bans", room.id);
    let after = list.decode(query.cursor.as_deref())?;
    let found = node.store.list_bans(room.id, after.as_deref(), node.now(), limit + 1).await?;
    let show = |ban: BanRecord| {
        let BanRecord { user, by, at, until, reason } = ban;
        Ban { user, by, at, until, reason }
    };
    Ok(Json(list.page(found, limit, |ban| ban.user.username.clone(), show)))
}

async fn put_member(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, username)): InPath<(RoomRef, String)>,
    OptionalJson(request): OptionalJson<PutMemberRequest>,
) -> Outcome<StatusCode> {
    // Whether the caller may know of the room is decided where the change is made: an invite can
    // open a room that was hidden.
    let room = node.find_room(&room, caller.user.id).await?.room;
    let intent = match wanted(&node, &caller, &username, request).await {
        Ok(intent) => intent,
        Err(refusal) => {
            // Someone outside must not learn more of a hidden room than of one that is not there.
            find_room(&node, &caller, &room.id.into(), Action::Read).await?;
            return Err(refusal);
        }
    };
    append(&node, room.id, caller.user.id, intent).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns what is to be done with somebody, if the caller's token allows it.
async fn wanted(
    node: &Node,
    caller: &Caller,
    username: &str,
    request: PutMemberRequest,
) -> Outcome<Intent> {
    let account = find_user(node, caller, username).await?;
    if !account.active {
        return Err(Refusal::not_found("user"));
    }
    let user = account.user.id;
    let intent = intent(user == caller.user.id, user, request)?;
    if matches!(intent, Intent::SetRole { .. } | Intent::Mute { .. } | Intent::Ban { .. }) {
        caller.check_scope(Scope::Moderate)?;
    }
    Ok(intent)
}

fn intent(own: bool, user: UserId, request: PutMemberRequest) -> Outcome<Intent> {
    let PutMemberRequest { role, mute, ban, invite } = request;
    let changes =
        usize::from(role.is_some()) + usize::from(mute.is_some()) + usize::from(ban.is_some());
    if changes + usize::from(invite.is_some()) > 1 {
        return Err(Refusal::new(
            Code::ValidationFailed,
            "Send one of `role`, `mute`, `ban` and `invite` in a call.",
        ));
    }
    if let Some(role) = role {
        return Ok(Intent::SetRole { user, role });
    }
    if let Some(mute) = mute {
        let reason = check("mute.reason", mute.reason.as_deref())?;
        return Ok(Intent::Mute { user, until: mute.until, reason });
    }
    if let Some(ban) = ban {
        let reason = check("ban.reason", ban.reason.as_deref())?;
        return Ok(Intent::Ban { user, until: ban.until, reason });
    }
    match (own, invite) {
        (true, invite) => Ok(Intent::Join { invite }),
        (false, None) => Ok(Intent::Invite { user }),
        (false, Some(_)) => {
            Err(Refusal::field("invite", "unsupported", "is only for joining by oneself"))
        }
    }
}

fn check(field: &str, reason: Option<&str>) -> Outcome<Option<String>> {
    let checked = reason.map(check_reason).transpose();
    Ok(checked.map_err(|refused| Refusal::name(field, refused))?.flatten())
}

async fn delete_member(
    State(node): State<Arc<Node>>,
    caller: Caller,
    InPath((room, username)): InPath<(RoomRef, String)>,
    OptionalJson(request): OptionalJson<DeleteMemberRequest>,
) -> Outcome<StatusCode> {
    let (room, _) = find_room(&node, &caller, &room, Action::Read).await?;
    let user = find_user(&node, &caller, &username).await?.user.id;
    let reason = check("reason", request.reason.as_deref())?;
    let intent = match reason {
        Some(_) if user == caller.user.id => {
            let detail = "is for removing someone else";
            return Err(Refusal::field("reason", "unsupported", detail));
        }
        None if user == caller.user.id => Intent::Leave,
        reason => Intent::Kick { user, reason },
    };
    if matches!(intent, Intent::Kick { .. }) {
        caller.check_scope(Scope::Moderate)?;
    }
    append(&node, room.id, caller.user.id, intent).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use parlor_protocol::http::Restriction;

    use super::*;

    const ADA: UserId = UserId(uuid::Uuid::from_u128(1));

    #[test]
    fn empty_object_joins_or_invites() {
        let empty = PutMemberRequest::default;
        assert!(matches!(intent(true, ADA, empty()), Ok(Intent::Join { invite: None })));
        assert!(matches!(intent(false, ADA, empty()), Ok(Intent::Invite { user: ADA })));
    }

    #[test]
    fn two_changes_at_once_are_refused() {
        let both = PutMemberRequest {
            role: Some(Role::Owner),
            ban: Some(Restriction::default()),
            ..PutMemberRequest::default()
        };
        assert_eq!(intent(false, ADA, both).unwrap_err().code, Code::ValidationFailed);
    }

    #[test]
    fn invite_code_is_only_for_oneself() {
        let code =
            || PutMemberRequest { invite: Some("c".to_owned()), ..PutMemberRequest::default() };
        assert!(matches!(intent(true, ADA, code()), Ok(Intent::Join { invite: Some(_) })));
        assert!(intent(false, ADA, code()).is_err());
    }
}
