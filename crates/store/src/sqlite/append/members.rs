//! Memberships: who comes, goes, and may do what.

use parlor_domain::permission::{Action, Membership, check_rank};
use parlor_protocol::event::{EventBody, LeaveReason, MemberChange};
use parlor_protocol::id::UserId;
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::{UserKind, UserRef};
use rusqlite::params;

use super::{Desk, Step};
use crate::append::{AppendRefused, Appended};
use crate::sqlite::codec::{Word as _, id, integer, millis, time_opt};
use crate::sqlite::sql::{integrations, jobs, members as sql, moderation, people, rooms};
use crate::sqlite::{query, rows};

pub(super) fn join(desk: &mut Desk<'_>, invite: Option<&str>) -> Step<Appended> {
    if desk.member.is_some() {
        return Ok(Appended::Unchanged);
    }
    let (room, user) = (desk.room_key(), desk.actor.clone());
    let invited = match invite {
        Some(code) => query::exists(desk.conn, sql::INVITE_IS_OF_ROOM, params![code, room])?,
        None => false,
    };
    if desk.room.kind != RoomKind::Public && !invited {
        // A wrong code must not tell whether the room exists.
        return Err(AppendRefused::NoSuchRoom.into());
    }
    desk.refuse_in_direct_room()?;
    check_ban(desk, user.id)?;
    if let Some(code) = invite.filter(|_| desk.room.kind == RoomKind::Private) {
        let params = params![code, room, desk.at.as_millis()];
        if query::execute(desk.conn, sql::USE_INVITE, params)? == 0 {
            return Err(AppendRefused::InvalidInvite.into());
        }
    }
    add(desk, user, Role::Member)?;
    Ok(desk.added())
}

pub(super) fn invite(desk: &mut Desk<'_>, user: UserId) -> Step<Appended> {
    desk.authorize(Action::Invite)?;
    let (user, active) = rows::find_user_ref(desk.conn, user)?.ok_or(AppendRefused::NoSuchUser)?;
    if rows::find_membership(desk.conn, desk.room.id, user.id)?.is_some() {
        return Ok(Appended::Unchanged);
    }
    let key = [desk.room_key(), *user.id.0.as_bytes()];
    if !active && !query::exists(desk.conn, integrations::IS_OF_ROOM, key)? {
        return Err(AppendRefused::NoSuchUser.into());
    }
    check_ban(desk, user.id)?;
    if !active {
        // An integration begins with its membership.
        query::execute(desk.conn, integrations::ACTIVATE, [user.id.0.as_bytes()])?;
    }
    add(desk, user, Role::Member)?;
    Ok(desk.added())
}

pub(super) fn leave(desk: &mut Desk<'_>) -> Step<Appended> {
    let member = desk.authorize(Action::Read)?;
    desk.refuse_in_direct_room()?;
    let user = desk.actor.clone();
    check_owner_remains(desk, user.id, member)?;
    remove(desk, user, member, LeaveReason::Left, None)?;
    Ok(desk.added())
}

/// Tells the room that the actor is called differently.
pub(super) fn tell_name(desk: &mut Desk<'_>) -> Step<Appended> {
    let Some(Membership { role, muted_until }) = desk.member else {
        return Ok(Appended::Unchanged);
    };
    let user = desk.actor.clone();
    let change = MemberChange { user, role, reason: None, muted_until, reason_text: None };
    desk.add_event(EventBody::MemberUpdated(change))?;
    Ok(desk.added())
}

/// What an erased user leaves behind is given to who has been there longest.
pub(super) fn depart(desk: &mut Desk<'_>) -> Step<Appended> {
    let Some(member) = desk.member else { return Ok(Appended::Unchanged) };
    let key = [desk.room_key(), *desk.actor.id.0.as_bytes()];
    let is_last =
        member.role == Role::Owner && !query::exists(desk.conn, sql::HAS_OTHER_OWNER, key)?;
    if is_last {
        let successor = query::find(desk.conn, people::FIND_SUCCESSOR, key, |row| id(row, 0))?;
        let successor = successor.ok_or(AppendRefused::Deserted)?;
        let (successor, theirs) = find_member(desk, successor)?;
        if theirs.role != Role::Owner {
            give_role(desk, successor, theirs, Role::Owner)?;
        }
    }
    let user = desk.actor.clone();
    remove(desk, user, member, LeaveReason::Deleted, None)?;
    Ok(desk.added())
}

pub(super) fn kick(desk: &mut Desk<'_>, user: UserId, reason: Option<String>) -> Step<Appended> {
    let actor = desk.authorize(Action::Moderate)?;
    let (user, member) = find_member(desk, user)?;
    check_rank(actor, member)?;
    check_owner_remains(desk, user.id, member)?;
    remove(desk, user, member, LeaveReason::Kicked, reason)?;
    Ok(desk.added())
}

pub(super) fn ban(
    desk: &mut Desk<'_>,
    user: UserId,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> Step<Appended> {
    let actor = desk.authorize(Action::Moderate)?;
    let (room, key) = (desk.room_key(), *user.0.as_bytes());
    if until.is_some_and(|until| until <= desk.at) {
        query::execute(desk.conn, sql::UNBAN, [room, key])?;
        return Ok(Appended::Unchanged);
    }
    let Some((user, _)) = rows::find_user_ref(desk.conn, user)? else {
        return Err(AppendRefused::NoSuchUser.into());
    };
    let member = rows::find_membership(desk.conn, desk.room.id, user.id)?;
    if let Some(member) = member {
        check_rank(actor, member)?;
        check_owner_remains(desk, user.id, member)?;
    }
    let by = *desk.actor.id.0.as_bytes();
    let row = params![room, key, by, desk.at.as_millis(), millis(until), reason];
    query::execute(desk.conn, sql::BAN, row)?;
    match member {
        Some(member) => remove(desk, user, member, LeaveReason::Banned, reason)?,
        None => revoke_invites_of(desk, user.id)?,
    }
    Ok(desk.added())
}

pub(super) fn mute(
    desk: &mut Desk<'_>,
    user: UserId,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> Step<Appended> {
    let actor = desk.authorize(Action::Moderate)?;
    let (user, member) = find_member(desk, user)?;
    check_rank(actor, member)?;
    // Until lifted: the end of time.
    let until = until.unwrap_or(Timestamp::from_millis(i64::MAX));
    let muted_until = Some(until).filter(|&until| until > desk.at);
    let reason = reason.filter(|_| muted_until.is_some());
    let key = [desk.room_key(), *user.id.0.as_bytes()];
    if member.muted_until == muted_until {
        let before: Option<String> =
            query::get(desk.conn, sql::FIND_MUTE_REASON, key, |row| row.get(0))?;
        if before == reason {
            return Ok(Appended::Unchanged);
        }
    }
    let by = muted_until.map(|_| *desk.actor.id.0.as_bytes());
    let row = params![key[0], key[1], millis(muted_until), reason, by];
    query::execute(desk.conn, sql::SET_MUTE, row)?;
    let role = member.role;
    let change = MemberChange { user, role, reason: None, muted_until, reason_text: reason };
    desk.add_event(EventBody::MemberRoleChanged(change))?;
    Ok(desk.added())
}

pub(super) fn set_role(desk: &mut Desk<'_>, user: UserId, role: Role) -> Step<Appended> {
    desk.authorize(Action::Own)?;
    let (user, member) = find_member(desk, user)?;
    if member.role == role {
        return Ok(Appended::Unchanged);
    }
    if role == Role::Owner {
        check_can_own(desk, user.id)?;
    }
    check_owner_remains(desk, user.id, member)?;
    give_role(desk, user, member, role)?;
    Ok(desk.added())
}

pub(super) fn transfer(desk: &mut Desk<'_>, user: UserId) -> Step<Appended> {
    let own = desk.authorize(Action::Own)?;
    desk.refuse_in_direct_room()?;
    let (user, member) = find_member(desk, user)?;
    if user.id == desk.actor.id {
        return Err(AppendRefused::NotAnOwner.into());
    }
    check_can_own(desk, user.id)?;
    if member.role != Role::Owner {
        give_role(desk, user, member, Role::Owner)?;
    }
    let actor = desk.actor.clone();
    give_role(desk, actor, own, Role::Moderator)?;
    Ok(desk.added())
}

/// Changes a role and tells it.
fn give_role(desk: &mut Desk<'_>, user: UserRef, member: Membership, role: Role) -> Step<()> {
    let row = params![desk.room_key(), user.id.0.as_bytes(), role.word()];
    query::execute(desk.conn, sql::SET_ROLE, row)?;
    let muted_until = member.muted_until;
    let change = MemberChange { user, role, reason: None, muted_until, reason_text: None };
    desk.add_event(EventBody::MemberRoleChanged(change))
}

/// Neither a program nor an account that was deactivated can look after a room.
fn check_can_own(desk: &Desk<'_>, user: UserId) -> Step<()> {
    match rows::find_user_ref(desk.conn, user)? {
        Some((user, true)) if user.kind == UserKind::User => Ok(()),
        _ => Err(AppendRefused::NotAnOwner.into()),
    }
}

/// Adds a member and tells it. What was said before counts as read.
pub(in crate::sqlite) fn add(desk: &mut Desk<'_>, user: UserRef, role: Role) -> Step<()> {
    let members: u32 =
        query::get(desk.conn, rooms::MEMBER_COUNT, [desk.room_key()], |row| row.get(0))?;
    if members >= desk.rules.room_members {
        return Err(AppendRefused::RoomFull.into());
    }
    query::execute(
        desk.conn,
        sql::INSERT,
        params![
            desk.room_key(),
            user.id.0.as_bytes(),
            role.word(),
            user.kind == UserKind::Bot,
            desk.at.as_millis(),
            integer(desk.next_seq()),
        ],
    )?;
    query::execute(desk.conn, sql::COUNT_UP, [desk.room_key()])?;
    let change = MemberChange { user, role, reason: None, muted_until: None, reason_text: None };
    desk.add_event(EventBody::MemberJoined(change))
}

/// Removes a member and tells it. What a bot still owes is ended by its worker.
pub(in crate::sqlite) fn remove(
    desk: &mut Desk<'_>,
    user: UserRef,
    member: Membership,
    reason: LeaveReason,
    reason_text: Option<String>,
) -> Step<()> {
    let key = [desk.room_key(), *user.id.0.as_bytes()];
    query::execute(desk.conn, sql::DELETE, key)?;
    query::execute(desk.conn, sql::COUNT_DOWN, [desk.room_key()])?;
    query::execute(desk.conn, moderation::NOTE_PAST_MEMBER, key)?;
    if reason != LeaveReason::Left {
        revoke_invites_of(desk, user.id)?;
    }
    if user.kind == UserKind::Bot {
        query::execute(desk.conn, jobs::REQUEST_CANCEL_OF_BOT, key)?;
    }
    let (role, reason) = (member.role, Some(reason));
    let change = MemberChange { user, role, reason, muted_until: None, reason_text };
    desk.add_event(EventBody::MemberLeft(change))
}

/// The links of whoever was put out would be a way back.
fn revoke_invites_of(desk: &Desk<'_>, user: UserId) -> Step<()> {
    let key = [desk.room_key(), *user.0.as_bytes()];
    query::execute(desk.conn, moderation::REVOKE_INVITES_OF, key)?;
    Ok(())
}

fn find_member(desk: &Desk<'_>, user: UserId) -> Step<(UserRef, Membership)> {
    let member = rows::find_membership(desk.conn, desk.room.id, user)?;
    let user = rows::find_user_ref(desk.conn, user)?;
    match (user, member) {
        (Some((user, _)), Some(member)) => Ok((user, member)),
        _ => Err(AppendRefused::NoSuchUser.into()),
    }
}

/// Refuses to take the last owner from a room in which others remain.
fn check_owner_remains(desk: &Desk<'_>, user: UserId, member: Membership) -> Step<()> {
    if member.role != Role::Owner {
        return Ok(());
    }
    let key = [desk.room_key(), *user.0.as_bytes()];
    if query::exists(desk.conn, sql::HAS_OTHER_OWNER, key)? {
        return Ok(());
    }
    let members: u32 =
        query::get(desk.conn, rooms::MEMBER_COUNT, [desk.room_key()], |row| row.get(0))?;
    if members > 1 {
        return Err(AppendRefused::LastOwner.into());
    }
    Ok(())
}

fn check_ban(desk: &Desk<'_>, user: UserId) -> Step<()> {
    let key = [desk.room_key(), *user.0.as_bytes()];
    let found =
        query::find(desk.conn, sql::FIND_BAN, key, |row| Ok((time_opt(row, 0)?, row.get(1)?)))?;
    match found {
        None => Ok(()),
        Some((Some(until), _)) if until <= desk.at => {
            query::execute(desk.conn, sql::UNBAN, key)?;
            Ok(())
        }
        Some((until, reason)) => Err(banned(desk, user, until, reason).into()),
    }
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
