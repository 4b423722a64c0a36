//! Rooms, memberships and read markers.

use std::sync::Arc;

use async_trait::async_trait;
use parlor_domain::permission::Action;
use parlor_protocol::event::EventBody;
use parlor_protocol::id::{RoomId, RoomRef, UserId};
use parlor_protocol::room::{Role, RoomKind};
use parlor_protocol::time::Timestamp;
use parlor_protocol::user::UserRef;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::append::{Desk, Step, add_member, room_state};
use super::codec::{Word as _, count, id, integer, time, time_opt, word, word_opt};
use super::fault::{Fault, Outcome, Stop};
use super::sql::{members, rooms as sql};
use super::{Rules, invites, query, rows};
use crate::append::AppendRefused;
use crate::contract::{Result, Rooms};
use crate::record::{
    CreatedRoom, InviteRecord, MemberRecord, NewInvite, NewRoom, RoomAccess, RoomConflict,
    RoomFilter, RoomListing, RoomRecord,
};

#[async_trait]
impl Rooms for SqliteStore {
    async fn create_room(
        &self,
        room: NewRoom,
    ) -> Result<std::result::Result<CreatedRoom, RoomConflict>> {
        let rules = Arc::clone(&self.rules);
        self.write(move |conn| create(conn, &rules, &room)).await
    }

    async fn find_room(&self, room: &RoomRef, user: UserId) -> Result<Option<RoomAccess>> {
        let (room, rules) = (room.clone(), Arc::clone(&self.rules));
        self.read(move |conn| {
            let Some(room) = find(conn, &rules, &room)? else { return Ok(None) };
            let membership = rows::find_membership(conn, room.id, user)?;
            Ok(Some(RoomAccess { room, membership }))
        })
        .await
    }

    async fn find_room_listing(&self, room: RoomId, user: UserId) -> Result<Option<RoomListing>> {
        let rules = Arc::clone(&self.rules);
        self.read(move |conn| find_listing(conn, &rules, room, user)).await
    }

    async fn list_rooms(
        &self,
        user: UserId,
        filter: RoomFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RoomListing>> {
        let (after, rules) = (after.unwrap_or_default().to_owned(), Arc::clone(&self.rules));
        self.read(move |conn| {
            let ids = list_visible(conn, user, &filter, &after, limit)?;
            let listings = ids
                .into_iter()
                .filter_map(|room| find_listing(conn, &rules, room, user).transpose());
            listings.collect()
        })
        .await
    }

    async fn list_room_ids_of(&self, user: UserId) -> Result<Vec<RoomId>> {
        self.read(move |conn| {
            Ok(query::list(conn, members::LIST_ROOMS_OF, [user.0.as_bytes()], |row| id(row, 0))?)
        })
        .await
    }

    async fn list_members(
        &self,
        room: RoomId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MemberRecord>> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |conn| {
            let params = params![room.0.as_bytes(), after, limit];
            Ok(query::list(conn, members::LIST, params, |row| {
                Ok(MemberRecord {
                    user: rows::user_ref(row, 0)?,
                    role: word(row, 4)?,
                    joined_at: time(row, 5)?,
                    muted_until: time_opt(row, 6)?,
                    mute_reason: row.get(7)?,
                })
            })?)
        })
        .await
    }

    async fn delete_room(
        &self,
        room: RoomId,
        actor: UserId,
        at: Timestamp,
    ) -> Result<std::result::Result<(), AppendRefused>> {
        let rules = Arc::clone(&self.rules);
        self.write(move |conn| {
            settled((|| {
                let desk = Desk::open(conn, &rules, room, actor, at)?;
                desk.authorize(Action::Own)?;
                query::execute(conn, sql::DELETE, [room.0.as_bytes()])?;
                Ok(())
            })())
        })
        .await
    }

    async fn delete_rooms_owned_by(
        &self,
        user: UserId,
        kind: Option<RoomKind>,
    ) -> Result<Vec<RoomId>> {
        self.write(move |conn| {
            let params = params![user.0.as_bytes(), kind.map(RoomKind::word)];
            let rooms: Vec<RoomId> =
                query::list(conn, sql::LIST_SOLELY_OWNED, params, |row| id(row, 0))?;
            for room in &rooms {
                query::execute(conn, sql::DELETE, [room.0.as_bytes()])?;
            }
            Ok(rooms)
        })
        .await
    }

    async fn set_read_marker(&self, room: RoomId, user: UserId, seq: u64) -> Result<Option<u64>> {
        self.write(move |conn| {
            let key = room.0.as_bytes();
            let newest = query::find(conn, sql::HEAD, [key], |row| count(row, 1))?;
            let Some(newest) = newest else { return Ok(None) };
            let seq = seq.min(newest);
            let params = params![key, user.0.as_bytes(), integer(seq)];
            let moved = query::execute(conn, members::MOVE_READ_MARKER, params)? > 0;
            Ok(moved.then_some(seq))
        })
        .await
    }

    async fn create_invite(
        &self,
        invite: NewInvite,
    ) -> Result<std::result::Result<(), AppendRefused>> {
        let rules = Arc::clone(&self.rules);
        self.write(move |conn| settled(invites::create(conn, &rules, &invite))).await
    }

    async fn find_invite(&self, code: &str, at: Timestamp) -> Result<Option<InviteRecord>> {
        let code = code.to_owned();
        self.read(move |conn| invites::find(conn, &code, at)).await
    }
}

/// Finds a room by id or slug.
pub(super) fn find(
    conn: &Connection,
    rules: &Rules,
    room: &RoomRef,
) -> Outcome<Option<RoomRecord>> {
    let read = |row: &rusqlite::Row<'_>| rows::room(row, &rules.epoch);
    Ok(match room.id() {
        Some(id) => rows::find_room(conn, id, &rules.epoch)?,
        None => query::find(conn, sql::FIND_BY_SLUG, [&room.0], read)?,
    })
}

/// Tells a refusal from a failure.
pub(super) fn settled<T>(step: Step<T>) -> Outcome<std::result::Result<T, AppendRefused>> {
    match step {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Refused(refused)) => Ok(Err(refused)),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

fn find_listing(
    conn: &Connection,
    rules: &Rules,
    room: RoomId,
    user: UserId,
) -> Outcome<Option<RoomListing>> {
    let key = [room.0.as_bytes(), user.0.as_bytes()];
    let found = query::find(conn, sql::FIND_LISTING, key, |row| {
        Ok(RoomListing {
            room: rows::room(row, &rules.epoch)?,
            members: count(row, 10)?,
            role: rows::role_opt(row, 11)?,
            read_seq: row.get::<_, Option<i64>>(12)?.map_or(0, i64::cast_unsigned),
            unread: count(row, 13)?,
            mentions: count(row, 14)?,
            notifications: word_opt(row, 15)?.unwrap_or_default(),
            participants: Vec::new(),
        })
    })?;
    let Some(mut listing) = found else { return Ok(None) };
    if listing.room.kind == RoomKind::Direct {
        listing.participants =
            query::list(conn, members::LIST_OTHERS, key, |row| rows::user_ref(row, 0))?;
    }
    Ok(Some(listing))
}

/// Lists the rooms of one page. The words are compared here: `SQLite` knows cases of ASCII only.
fn list_visible(
    conn: &Connection,
    user: UserId,
    filter: &RoomFilter,
    after: &str,
    limit: u32,
) -> Outcome<Vec<RoomId>> {
    let wanted = filter.query.as_deref().map(str::to_lowercase);
    let mut statement = conn.prepare_cached(sql::LIST_VISIBLE)?;
    let mut found =
        statement.query(params![user.0.as_bytes(), after, filter.mine, filter.archived])?;
    let mut rooms = Vec::new();
    while rooms.len() < limit as usize
        && let Some(row) = found.next()?
    {
        let fits = match &wanted {
            None => true,
            Some(wanted) => [1, 2, 3].into_iter().try_fold(false, |fits, column| {
                let text: String = row.get(column)?;
                Ok::<_, rusqlite::Error>(fits || text.to_lowercase().contains(wanted))
            })?,
        };
        if fits {
            rooms.push(id(row, 0)?);
        }
    }
    Ok(rooms)
}

fn create(
    conn: &Connection,
    rules: &Rules,
    new: &NewRoom,
) -> Outcome<std::result::Result<CreatedRoom, RoomConflict>> {
    let mut members = new.members.clone();
    members.retain(|member| *member != new.creator);
    members.sort_unstable();
    members.dedup();
    let participants = participants_key(new, &members);
    if let Some(room) = find_made_before(conn, rules, new, participants.as_deref())? {
        return Ok(Ok(CreatedRoom { room, events: Vec::new() }));
    }
    let mut users: Vec<UserRef> = Vec::with_capacity(members.len() + 1);
    for user in std::iter::once(new.creator).chain(members) {
        match rows::find_user_ref(conn, user)? {
            Some((user, true)) => users.push(user),
            _ => return Ok(Err(RoomConflict::NoSuchUser)),
        }
    }
    let creator = new.creator.0.as_bytes();
    let owned: u32 = query::get(conn, members::COUNT_OWNED, [creator], |row| row.get(0))?;
    if owned >= new.max_owned || users.len() > rules.room_members as usize {
        return Ok(Err(RoomConflict::TooMany));
    }
    // After all else, so that nobody tries names without making rooms.
    if query::exists(conn, sql::SLUG_TAKEN, [&new.slug])? {
        return Ok(Err(RoomConflict::Slug));
    }
    query::execute(
        conn,
        sql::INSERT,
        params![
            new.id.0.as_bytes(),
            new.slug,
            new.name,
            new.kind.word(),
            new.topic,
            creator,
            new.client_id,
            participants,
            new.at.as_millis(),
        ],
    )?;
    match tell_of_room(conn, rules, new, users) {
        Ok(created) => Ok(Ok(created)),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::Refused(_)) => Err(Fault::Contradiction("a new room refuses its members")),
    }
}

/// A direct room is named by who is in it.
fn participants_key(new: &NewRoom, members: &[UserId]) -> Option<Vec<u8>> {
    if new.kind != RoomKind::Direct {
        return None;
    }
    let mut all: Vec<UserId> = members.to_vec();
    all.push(new.creator);
    all.sort_unstable();
    Some(all.iter().flat_map(|user| *user.0.as_bytes()).collect())
}

/// Finds the room that this one repeats.
fn find_made_before(
    conn: &Connection,
    rules: &Rules,
    new: &NewRoom,
    participants: Option<&[u8]>,
) -> Outcome<Option<RoomRecord>> {
    let read = |row: &rusqlite::Row<'_>| rows::room(row, &rules.epoch);
    if let Some(room) = rows::find_room(conn, new.id, &rules.epoch)? {
        return Ok(Some(room));
    }
    if let Some(client_id) = &new.client_id {
        let key = params![new.creator.0.as_bytes(), client_id];
        if let Some(room) = query::find(conn, sql::FIND_BY_CLIENT_ID, key, read)? {
            return Ok(Some(room));
        }
    }
    if let Some(participants) = participants {
        return Ok(query::find(conn, sql::FIND_BY_PARTICIPANTS, [participants], read)?);
    }
    Ok(None)
}

fn tell_of_room(
    conn: &Connection,
    rules: &Rules,
    new: &NewRoom,
    users: Vec<UserRef>,
) -> Step<CreatedRoom> {
    let mut desk = Desk::open(conn, rules, new.id, new.creator, new.at)?;
    let state = room_state(&desk);
    desk.add_event(EventBody::RoomCreated(state))?;
    for user in users {
        let role = if user.id == new.creator { Role::Owner } else { Role::Member };
        add_member(&mut desk, user, role)?;
    }
    let events = std::mem::take(&mut desk.events);
    Ok(CreatedRoom { room: desk.room, events })
}
