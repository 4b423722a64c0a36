//! What every node must hear of is noted in the transaction that does it.

use parlor_protocol::id::{RoomId, SessionId, UserId};
use uuid::Uuid;

use super::codec::integer;
use super::fault::Outcome;
use super::pools::Server;
use super::query;
use super::sql::meta as sql;
use crate::tail::Commit;

/// Notes what a transaction changes; several notes of one transaction become one row.
pub(super) async fn tell(tx: &Server, commit: &Commit) -> Outcome<()> {
    let Commit { rooms, deleted_rooms, sessions, users } = commit;
    if rooms.is_empty() && deleted_rooms.is_empty() && sessions.is_empty() && users.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = rooms.iter().map(|(_, seq)| integer(*seq)).collect();
    let rooms: Vec<Uuid> = rooms.iter().map(|(room, _)| room.0).collect();
    let deleted_rooms: Vec<Uuid> = deleted_rooms.iter().map(|room| room.0).collect();
    let sessions: Vec<Uuid> = sessions.iter().map(|session| session.0).collect();
    let users: Vec<Uuid> = users.iter().map(|user| user.0).collect();
    query::execute(tx, sql::TELL, &[&rooms, &seqs, &deleted_rooms, &sessions, &users]).await?;
    Ok(())
}

/// Notes that the logs of rooms have grown.
pub(super) async fn tell_of_rooms(tx: &Server, rooms: Vec<(RoomId, u64)>) -> Outcome<()> {
    tell(tx, &Commit { rooms, ..Commit::default() }).await
}

/// Notes that the logs of rooms have grown by a transaction that notes nothing else, with a mark by
/// which it can be told from any other.
pub(super) async fn tell_of_append(
    tx: &Server,
    rooms: &[Uuid],
    seqs: &[i64],
    mark: Uuid,
) -> Outcome<()> {
    query::execute(tx, sql::TELL_OF_APPEND, &[&rooms, &seqs, &mark]).await?;
    Ok(())
}

/// Notes that rooms were removed.
pub(super) async fn tell_of_deleted(tx: &Server, deleted_rooms: Vec<RoomId>) -> Outcome<()> {
    tell(tx, &Commit { deleted_rooms, ..Commit::default() }).await
}

/// Notes that logins were ended.
pub(super) async fn tell_of_sessions(tx: &Server, sessions: Vec<SessionId>) -> Outcome<()> {
    tell(tx, &Commit { sessions, ..Commit::default() }).await
}

/// Notes that a user was cut off, together with the logins that ended.
pub(super) async fn tell_of_user(
    tx: &Server,
    user: UserId,
    sessions: Vec<SessionId>,
) -> Outcome<()> {
    tell(tx, &Commit { users: vec![user], sessions, ..Commit::default() }).await
}
