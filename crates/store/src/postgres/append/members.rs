//! Memberships: who comes, goes, and may do what.
//!
//! Each looks at all that may refuse it before it writes anything.

use parlor_domain::permission::{Action, Membership, check_rank};
use parlor_protocol::event::{EventBody, LeaveReason, MemberChange};
use parlor_protocol::id::UserId;
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{UserKind, UserRef};

use super::{Desk, Step};
use crate::append::{AppendRefused, Appended};
use crate::postgres::codec::{Word as _, count, id, integer, millis, sought, time_opt, value};
use crate::postgres::sql::{integrations, jobs, members as sql, moderation, people, rooms};
use crate::postgres::{query, rows};

pub(super) async fn join(desk: &mut Desk<'_>, invite: Option<&str>) -> Step<Appended> {
    if desk.member.is_some() {
        return Ok(Appended::Unchanged);
    }
    let (room, user) = (desk.room_key(), desk.actor.clone());
    let invited = match invite {
        Some(code) => {
            query::exists(desk.conn, sql::INVITE_IS_OF_ROOM, &[&sought(code), &room]).await?
        }
        None => false,
    };
    if desk.room.kind != RoomKind::Public && !invited {
        // A wrong code must not tell whether the room exists.
        return Err(AppendRefused::NoSuchRoom.into());
    }
    desk.refuse_in_direct_room()?;
    let lapsed = check_ban(desk, user.id).await?;
    let code = invite.filter(|_| desk.room.kind == RoomKind::Private);
    if let Some(code) = code {
        let at = desk.at.as_millis();
        if query::find(desk.conn, sql::FIND_INVITE, &[&code, &at], |_| Ok(())).await?.is_none() {
            return Err(AppendRefused::InvalidInvite.into());
        }
    }
    check_space(desk).await?;
    if let Some(code) = code {
        let at = desk.at.as_millis();
        desk.write(sql::USE_INVITE, &[&code, &room, &at]).await?;
    }
    lift_lapsed(desk, user.id, lapsed).await?;
    insert(desk, user, Role::Member).await?;
    Ok(desk.added())
}

pub(super) async fn invite(desk: &mut Desk<'_>, user: UserId) -> Step<Appended> {
    desk.authorize(Action::Invite)?;
    let (user, active) =
        rows::find_user_ref(desk.conn, user).await?.ok_or(AppendRefused::NoSuchUser)?;
    if rows::find_membership(desk.conn, desk.room.id, user.id).await?.is_some() {
        return Ok(Appended::Unchanged);
    }
    let key: query::Params<'_> = &[&desk.room.id.0, &user.id.0];
    if !active && !query::exists(desk.conn, integrations::IS_OF_ROOM, key).await? {
        return Err(AppendRefused::NoSuchUser.into());
    }
    let lapsed = check_ban(desk, user.id).await?;
    check_space(desk).await?;
    if !active {
        // An integration begins with its membership.
        desk.write(integrations::ACTIVATE, &[&user.id.0]).await?;
    }
    lift_lapsed(desk, user.id, lapsed).await?;
    insert(desk, user, Role::Member).await?;
    Ok(desk.added())
}

pub(super) async fn leave(desk: &mut Desk<'_>) -> Step<Appended> {
    let member = desk.authorize(Action::Read)?;
    desk.refuse_in_direct_room()?;
    let user = desk.actor.clone();
    check_owner_remains(desk, user.id, member).await?;
    remove(desk, user, member, LeaveReason::Left, None).await?;
    Ok(desk.added())
}

/// Tells the room that the actor is called differently.
pub(super) fn tell_name(desk: &mut Desk<'_>) -> Appended {
    let Some(Membership { role, muted_until }) = desk.member else {
        return Appended::Unchanged;
    };
    let user = desk.actor.clone();
    let change = MemberChange { user, role, reason: None, muted_until, reason_text: None };
    desk.add_event(EventBody::MemberUpdated(change));
    desk.added()
}

/// What an erased user leaves behind is given to who has been there longest.
pub(super) async fn depart(desk: &mut Desk<'_>) -> Step<Appended> {
    let Some(member) = desk.member else { return Ok(Appended::Unchanged) };
    let key: query::Params<'_> = &[&desk.room.id.0, &desk.actor.id.0];
    let is_last =
        member.role == Role::Owner && !query::exists(desk.conn, sql::HAS_OTHER_OWNER, key).await?;
    if is_last {
        let successor =
            query::find(desk.conn, people::FIND_SUCCESSOR, key, |row| id(row, 0)).await?;
        let successor = successor.ok_or(AppendRefused::Deserted)?;
        let (successor, theirs) = find_member(desk, successor).await?;
        if theirs.role != Role::Owner {
            give_role(desk, successor, theirs, Role::Owner).await?;
        }
    }
    let user = desk.actor.clone();
    remove(desk, user, member, LeaveReason::Deleted, None).await?;
    Ok(desk.added())
}

pub(super) async fn kick(
    desk: &mut Desk<'_>,
    user: UserId,
    reason: Option<String>,
) -> Step<Appended> {
    let actor = desk.authorize(Action::Moderate)?;
    let (user, member) = find_member(desk, user).await?;
    check_rank(actor, member)?;
    check_owner_remains(desk, user.id, member).await?;
    remove(desk, user, member, LeaveReason::Kicked, reason).await?;
    Ok(desk.added())
}

pub(super) async fn ban(
    desk: &mut Desk<'_>,
    user: UserId,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> Step<Appended> {
    let actor = desk.authorize(Action::Moderate)?;
    let (room, at) = (desk.room_key(), desk.at);
    if until.is_some_and(|until| until <= at) {
        desk.write(sql::UNBAN, &[&room, &user.0]).await?;
        return Ok(Appended::Unchanged);
    }
    let Some((user, _)) = rows::find_user_ref(desk.conn, user).await? else {
        return Err(AppendRefused::NoSuchUser.into());
    };
    let member = rows::find_membership(desk.conn, desk.room.id, user.id).await?;
    if let Some(member) = member {
        check_rank(actor, member)?;
        check_owner_remains(desk, user.id, member).await?;
    }
    let by = desk.actor.id.0;
    desk.write(sql::BAN, &[&room, &user.id.0, &by, &at.as_millis(), &millis(until), &reason])
        .await?;
    match member {
        Some(member) => remove(desk, user, member, LeaveReason::Banned, reason).await?,
        None => revoke_invites_of(desk, user.id).await?,
    }
    Ok(desk.added())
}

pub(super) async fn mute(
    desk: &mut Desk<'_>,
    user: UserId,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> Step<Appended> {
    let actor = desk.authorize(Action::Moderate)?;
    let (user, member) = find_member(desk, user).await?;
    check_rank(actor, member)?;
    // Until lifted: the end of time.
    let until = until.unwrap_or(Timestamp::from_millis(i64::MAX));
    let muted_until = Some(until).filter(|&until| until > desk.at);
    let reason = reason.filter(|_| muted_until.is_some());
    let room = desk.room_key();
    if member.muted_until == muted_until {
        let key: query::Params<'_> = &[&room, &user.id.0];
        let before: Option<String> =
            query::get(desk.conn, sql::FIND_MUTE_REASON, key, |row| value(row, 0)).await?;
        if before == reason {
            return Ok(Appended::Unchanged);
        }
    }
    let by = muted_until.map(|_| desk.actor.id.0);
    let row: query::Params<'_> = &[&room, &user.id.0, &millis(muted_until), &reason, &by];
    desk.write(sql::SET_MUTE, row).await?;
    let role = member.role;
    let change = MemberChange { user, role, reason: None, muted_until, reason_text: reason };
    desk.add_event(EventBody::MemberRoleChanged(change));
    Ok(desk.added())
}

pub(super) async fn set_role(desk: &mut Desk<'_>, user: UserId, role: Role) -> Step<Appended> {
    desk.authorize(Action::Own)?;
    let (user, member) = find_member(desk, user).await?;
    if member.role == role {
        return Ok(Appended::Unchanged);
    }
    if role == Role::Owner {
        check_can_own(desk, user.id).await?;
    }
    check_owner_remains(desk, user.id, member).await?;
    give_role(desk, user, member, role).await?;
    Ok(desk.added())
}

pub(super) async fn transfer(desk: &mut Desk<'_>, user: UserId) -> Step<Appended> {
    let own = desk.authorize(Action::Own)?;
    desk.refuse_in_direct_room()?;
    let (user, member) = find_member(desk, user).await?;
    if user.id == desk.actor.id {
        return Err(AppendRefused::NotAnOwner.into());
    }
    check_can_own(desk, user.id).await?;
    if member.role != Role::Owner {
        give_role(desk, user, member, Role::Owner).await?;
    }
    let actor = desk.actor.clone();
    give_role(desk, actor, own, Role::Moderator).await?;
    Ok(desk.added())
}

/// Changes a role and tells it.
async fn give_role(desk: &mut Desk<'_>, user: UserRef, member: Membership, role: Role) -> Step<()> {
    let room = desk.room_key();
    desk.write(sql::SET_ROLE, &[&room, &user.id.0, &role.word()]).await?;
    let muted_until = member.muted_until;
    let change = MemberChange { user, role, reason: None, muted_until, reason_text: None };
    desk.add_event(EventBody::MemberRoleChanged(change));
    Ok(())
}

/// Neither a program nor an account that was deactivated can look after a room.
async fn check_can_own(desk: &Desk<'_>, user: UserId) -> Step<()> {
    match rows::find_user_ref(desk.conn, user).await? {
        Some((user, true)) if user.kind == UserKind::User => Ok(()),
        _ => Err(AppendRefused::NotAnOwner.into()),
    }
}

/// Adds a member and tells it. What was said before counts as read.
async fn insert(desk: &mut Desk<'_>, user: UserRef, role: Role) -> Step<()> {
    let (room, at, next) = (desk.room_key(), desk.at.as_millis(), integer(desk.next_seq()));
    let bot = user.kind == UserKind::Bot;
    desk.write(sql::INSERT, &[&room, &user.id.0, &role.word(), &bot, &at, &next]).await?;
    desk.write(sql::COUNT_UP, &[&room]).await?;
    let change = MemberChange { user, role, reason: None, muted_until: None, reason_text: None };
    desk.add_event(EventBody::MemberJoined(change));
    Ok(())
}

/// Removes a member and tells it. What a bot still owes is ended by its worker.
async fn remove(
    desk: &mut Desk<'_>,
    user: UserRef,
    member: Membership,
    reason: LeaveReason,
    reason_text: Option<String>,
) -> Step<()> {
    let room = desk.room_key();
    desk.write(sql::DELETE, &[&room, &user.id.0]).await?;
    desk.write(sql::COUNT_DOWN, &[&room]).await?;
    desk.write(moderation::NOTE_PAST_MEMBER, &[&room, &user.id.0]).await?;
    if reason != LeaveReason::Left {
        revoke_invites_of(desk, user.id).await?;
    }
    if user.kind == UserKind::Bot {
        desk.write(jobs::REQUEST_CANCEL_OF_BOT, &[&room, &user.id.0]).await?;
    }
    let (role, reason) = (member.role, Some(reason));
    let change = MemberChange { user, role, reason, muted_until: None, reason_text };
    desk.add_event(EventBody::MemberLeft(change));
    Ok(())
}

/// The links of whoever was put out would be a way back.
async fn revoke_invites_of(desk: &mut Desk<'_>, user: UserId) -> Step<()> {
    let room = desk.room_key();
    desk.write(moderation::REVOKE_INVITES_OF, &[&room, &user.0]).await?;
    Ok(())
}

/// Finds someone who must be a member.
async fn find_member(desk: &Desk<'_>, user: UserId) -> Step<(UserRef, Membership)> {
    let found = tokio::try_join!(
        rows::find_user_ref(desk.conn, user),
        rows::find_membership(desk.conn, desk.room.id, user),
    )?;
    match found {
        (Some((user, _)), Some(member)) => Ok((user, member)),
        _ => Err(AppendRefused::NoSuchUser.into()),
    }
}

/// Refuses to take the last owner from a room in which others remain.
async fn check_owner_remains(desk: &Desk<'_>, user: UserId, member: Membership) -> Step<()> {
    if member.role != Role::Owner {
        return Ok(());
    }
    let key: query::Params<'_> = &[&desk.room.id.0, &user.0];
    if query::exists(desk.conn, sql::HAS_OTHER_OWNER, key).await? {
        return Ok(());
    }
    if count_members(desk).await? > 1 {
        return Err(AppendRefused::LastOwner.into());
    }
    Ok(())
}

async fn check_space(desk: &Desk<'_>) -> Step<()> {
    if count_members(desk).await? >= u64::from(desk.rules.room_members) {
        return Err(AppendRefused::RoomFull.into());
    }
    Ok(())
}

async fn count_members(desk: &Desk<'_>) -> Step<u64> {
    let key: query::Params<'_> = &[&desk.room.id.0];
    Ok(query::get(desk.conn, rooms::MEMBER_COUNT, key, |row| count(row, 0)).await?)
}

/// Refuses someone who is banned, and tells whether there was a ban that has ended.
async fn check_ban(desk: &Desk<'_>, user: UserId) -> Step<bool> {
    let key: query::Params<'_> = &[&desk.room.id.0, &user.0];
    let found =
        query::find(desk.conn, sql::FIND_BAN, key, |row| Ok((time_opt(row, 0)?, value(row, 1)?)));
    match found.await? {
        None => Ok(false),
        Some((Some(until), _)) if until <= desk.at => Ok(true),
        Some((until, reason)) => Err(banned(desk, user, until, reason).into()),
    }
}

async fn lift_lapsed(desk: &mut Desk<'_>, user: UserId, lapsed: bool) -> Step<()> {
    if lapsed {
        let room = desk.room_key();
        desk.write(sql::UNBAN, &[&room, &user.0]).await?;
    }
    Ok(())
}

/// Only whoever is banned is told why.
fn banned(
    desk: &Desk<'_>,
    user: UserId,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> AppendRefused {
    AppendRefused::Banned { until, reason: reason.filter(|_| desk.actor.id == user) }
}
