//! What of the store's records a caller may see, and how rooms and users are found.

use std::sync::Arc;

use parlor_domain::permission::{Action, Membership, Refused, authorize};
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::Room;
use parlor_protocol::user::{User, Visibility};
use parlor_store::record::{Account, RoomListing};
use parlor_store::{Append, Appended, Intent};

use crate::node::{Caller, Node};
use crate::reads::known::{Access, KnownRoom};
use crate::refusal::{Outcome, Refusal};

/// Finds a room in which the caller may do `action`.
pub(super) async fn find_room(
    node: &Node,
    caller: &Caller,
    room: &RoomRef,
    action: Action,
) -> Outcome<(Arc<KnownRoom>, Membership)> {
    let access = node.find_room(room, caller.user.id).await?;
    authorize(access.room.facts(), access.membership, action, node.now())?;
    // Nobody who is not a member is allowed anything.
    let membership = access.membership.ok_or_else(|| Refusal::from(Refused::NotAMember))?;
    Ok((access.room, membership))
}

/// Takes one read of history from the budget of the caller.
pub(super) fn charge_history(node: &Node, caller: &Caller) -> Outcome<()> {
    node.rate.history.check(&caller.user.id).map_err(|limited| {
        node.metrics.auth.rate_limited.with_label_values(&["history"]).inc();
        Refusal::from(limited)
    })
}

/// Finds a room that the caller may know of: public, or with the caller as member.
pub(super) async fn find_visible_room(
    node: &Node,
    caller: &Caller,
    room: &RoomRef,
) -> Outcome<Access> {
    let access = node.find_room(room, caller.user.id).await?;
    match authorize(access.room.facts(), access.membership, Action::Read, node.now()) {
        Err(refused @ Refused::Hidden) => Err(refused.into()),
        _ => Ok(access),
    }
}

/// Finds the user that a path names: by name, or `me`.
pub(crate) async fn find_user(node: &Node, caller: &Caller, name: &str) -> Outcome<Account> {
    let account = if name == "me" {
        node.store.find_user(caller.user.id).await?
    } else {
        node.store.find_user_by_name(name).await?
    };
    account.ok_or_else(|| Refusal::not_found("user"))
}

/// Adds to a room's log and waits for the commit.
pub(super) async fn append(
    node: &Node,
    room: RoomId,
    actor: UserId,
    intent: Intent,
) -> Outcome<Appended> {
    node.committer.append(Append { room, actor, at: node.now(), intent }).await
}

/// Returns a room as one caller sees it now.
pub(super) async fn show_room(node: &Node, room: RoomId, user: UserId) -> Outcome<Room> {
    let listing = node.store.find_room_listing(room, user).await?;
    listing.map(to_room).ok_or_else(|| Refusal::not_found("room"))
}

/// Returns a room of a list.
pub(super) fn to_room(listing: RoomListing) -> Room {
    let RoomListing {
        room,
        role,
        read_seq,
        unread,
        mentions,
        notifications,
        members,
        participants,
    } = listing;
    Room {
        id: room.id,
        slug: room.slug,
        name: room.name,
        kind: room.kind,
        topic: room.topic,
        archived: room.archived,
        epoch: room.head.epoch,
        seq: room.head.seq,
        role,
        unread,
        mentions,
        read_seq,
        notifications,
        settings: room.settings,
        members,
        participants,
        created_at: room.created_at,
    }
}

/// Returns a profile without what only its owner may see.
pub(super) fn to_public_user(mut user: User) -> User {
    user.email = None;
    if user.visibility == Visibility::Private {
        user.bio.clear();
    }
    user
}
