//! Makes a room with its first members.

use std::collections::HashMap;

use parlor_protocol::event::{Event, EventBody, MemberChange, RoomState};
use parlor_protocol::id::UserId;
use parlor_protocol::room::{Role, RoomKind, RoomSettings};
use parlor_protocol::user::{UserKind, UserRef};
use tokio_postgres::Row;
use uuid::Uuid;

use super::count_owned;
use crate::postgres::codec::{Word as _, integer, value};
use crate::postgres::fault::{Fault, Outcome};
use crate::postgres::pools::Server;
use crate::postgres::query::Params;
use crate::postgres::sql::{members, rooms as sql, users};
use crate::postgres::{commit_log, events, query, rows};
use crate::record::{CreatedRoom, NewRoom, RoomConflict, RoomRecord};

/// Makes a room, or finds the one that this one repeats.
///
/// The creator's row is locked, so that the rooms of one owner are counted one at a time. Of two
/// that make the same direct room or take the same slug at the same time the index lets one pass,
/// and the other is repeated and finds it.
pub(super) async fn create(
    tx: &Server,
    new: &NewRoom,
    room_members: u32,
) -> Outcome<std::result::Result<CreatedRoom, RoomConflict>> {
    let mut wanted = new.members.clone();
    wanted.retain(|member| *member != new.creator);
    wanted.sort_unstable();
    wanted.dedup();
    wanted.insert(0, new.creator);
    let participants = participants_key(new, &wanted);
    query::execute(tx, users::LOCK, &[&new.creator.0]).await?;
    if let Some(room) = find_made_before(tx, new, participants.as_deref()).await? {
        return Ok(Ok(CreatedRoom { room, events: Vec::new() }));
    }
    let Some(users) = find_active(tx, &wanted).await? else {
        return Ok(Err(RoomConflict::NoSuchUser));
    };
    let owned = count_owned(tx, new.creator).await?;
    if owned >= i64::from(new.max_owned) || users.len() > room_members as usize {
        return Ok(Err(RoomConflict::TooMany));
    }
    // After all else, so that nobody tries names without making rooms.
    if query::exists(tx, sql::SLUG_TAKEN, &[&new.slug]).await? {
        return Ok(Err(RoomConflict::Slug));
    }
    let events = first_events(new, &users);
    let last_seq = integer(events.len() as u64);
    let params: Params<'_> = &[
        &new.id.0,
        &new.slug,
        &new.name,
        &new.kind.word(),
        &new.topic,
        &new.creator.0,
        &new.client_id,
        &participants,
        &new.at.as_millis(),
        &last_seq,
        &integer(users.len() as u64),
    ];
    query::execute(tx, sql::INSERT, params).await?;
    insert_members(tx, new, &users).await?;
    events::insert(tx, &events).await?;
    commit_log::tell_of_rooms(tx, events::heads(&events)).await?;
    let room =
        rows::find_room(tx, new.id).await?.ok_or(Fault::Contradiction("rooms lost a row"))?;
    Ok(Ok(CreatedRoom { room, events }))
}

/// A direct room is named by who is in it.
fn participants_key(new: &NewRoom, members: &[UserId]) -> Option<Vec<u8>> {
    if new.kind != RoomKind::Direct {
        return None;
    }
    let mut all = members.to_vec();
    all.sort_unstable();
    Some(all.iter().flat_map(|user| *user.0.as_bytes()).collect())
}

/// Finds the room that this one repeats.
async fn find_made_before(
    tx: &Server,
    new: &NewRoom,
    participants: Option<&[u8]>,
) -> Outcome<Option<RoomRecord>> {
    let read = |row: &Row| rows::room(row, tx.epoch());
    if let Some(room) = rows::find_room(tx, new.id).await? {
        return Ok(Some(room));
    }
    if let Some(client_id) = &new.client_id {
        let key: Params<'_> = &[&new.creator.0, client_id];
        if let Some(room) = query::find(tx, sql::FIND_BY_CLIENT_ID, key, read).await? {
            return Ok(Some(room));
        }
    }
    if let Some(participants) = participants {
        return query::find(tx, sql::FIND_BY_PARTICIPANTS, &[&participants], read).await;
    }
    Ok(None)
}

/// Finds users in the order given; `None` when one of them is unknown or not active.
async fn find_active(tx: &Server, wanted: &[UserId]) -> Outcome<Option<Vec<UserRef>>> {
    let ids: Vec<Uuid> = wanted.iter().map(|user| user.0).collect();
    let found = query::list(tx, users::LIST_REFS, &[&ids], |row| {
        Ok((rows::user_ref(row, 0)?, value::<bool>(row, 4)?))
    })
    .await?;
    let mut active: HashMap<UserId, UserRef> =
        found.into_iter().filter(|(_, active)| *active).map(|(user, _)| (user.id, user)).collect();
    Ok(wanted.iter().map(|user| active.remove(user)).collect())
}

fn role_of(new: &NewRoom, user: &UserRef) -> Role {
    if user.id == new.creator { Role::Owner } else { Role::Member }
}

/// The log begins with the room, and then who is in it. `users` begins with the creator.
fn first_events(new: &NewRoom, users: &[UserRef]) -> Vec<Event> {
    let state = RoomState {
        slug: new.slug.clone(),
        name: new.name.clone(),
        kind: new.kind,
        topic: new.topic.clone(),
        archived: false,
        settings: RoomSettings::default(),
    };
    let joined = users.iter().map(|user| {
        let role = role_of(new, user);
        let change = MemberChange {
            user: user.clone(),
            role,
            reason: None,
            muted_until: None,
            reason_text: None,
        };
        EventBody::MemberJoined(change)
    });
    let bodies = std::iter::once(EventBody::RoomCreated(state)).chain(joined);
    let actor = users.first();
    (1..)
        .zip(bodies)
        .map(|(seq, body)| Event { room: new.id, seq, at: new.at, actor: actor.cloned(), body })
        .collect()
}

/// Adds the members; what was said before counts as read.
async fn insert_members(tx: &Server, new: &NewRoom, users: &[UserRef]) -> Outcome<()> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.id.0).collect();
    let roles: Vec<&str> = users.iter().map(|user| role_of(new, user).word()).collect();
    let bots: Vec<bool> = users.iter().map(|user| user.kind == UserKind::Bot).collect();
    // The first event is about the room.
    let seqs: Vec<i64> = (2..).take(users.len()).collect();
    let params: Params<'_> = &[&new.id.0, &ids, &roles, &bots, &new.at.as_millis(), &seqs];
    query::execute(tx, members::INSERT_ALL, params).await?;
    Ok(())
}
