//! Invite links.

use parlor_domain::permission::Action;
use parlor_protocol::time::Timestamp;

use super::access::Access;
use super::codec::{id, small, sought, time};
use super::fault::{Fault, Outcome, Stop};
use super::pools::Server;
use super::query::{self, Params};
use super::sql::members as sql;
use crate::record::{InviteRecord, NewInvite};

/// Makes a link, and forgets those of the room that no longer work.
pub(super) async fn create(tx: &Server, invite: &NewInvite, repeated: bool) -> Result<(), Stop> {
    let access = Access::open(tx, invite.room, invite.creator).await?;
    access.authorize(Action::Invite, invite.at)?;
    let at = invite.at.as_millis();
    query::execute(tx, sql::FORGET_INVITES, &[&invite.room.0, &at]).await?;
    let params: Params<'_> = &[
        &invite.code,
        &invite.room.0,
        &invite.creator.0,
        &at,
        &invite.expires_at.as_millis(),
        &i64::from(invite.max_uses),
    ];
    if query::execute(tx, sql::INSERT_INVITE, params).await? == 0 && !repeated {
        return Err(Fault::Contradiction("invites.code is not unique").into());
    }
    Ok(())
}

/// Finds a link that still works.
pub(super) async fn find(
    conn: &Server,
    code: &str,
    at: Timestamp,
) -> Outcome<Option<InviteRecord>> {
    query::find(conn, sql::FIND_INVITE, &[&sought(code), &at.as_millis()], |row| {
        Ok(InviteRecord { room: id(row, 0)?, expires_at: time(row, 1)?, uses_left: small(row, 2)? })
    })
    .await
}
