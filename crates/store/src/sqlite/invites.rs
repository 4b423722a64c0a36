//! Invite links.

use parlor_domain::permission::Action;
use parlor_protocol::time::Timestamp;
use rusqlite::{Connection, params};

use super::append::{Desk, Step};
use super::codec::{id, time};
use super::fault::Outcome;
use super::sql::members as sql;
use super::{Rules, query};
use crate::record::{InviteRecord, NewInvite};

/// Makes a link, and forgets those of the room that no longer work.
pub(super) fn create(conn: &Connection, rules: &Rules, invite: &NewInvite) -> Step<()> {
    let desk = Desk::open(conn, rules, invite.room, invite.creator, invite.at)?;
    desk.authorize(Action::Invite)?;
    let (room, at) = (desk.room_key(), invite.at.as_millis());
    query::execute(conn, sql::FORGET_INVITES, params![room, at])?;
    query::execute(
        conn,
        sql::INSERT_INVITE,
        params![
            invite.code,
            room,
            invite.creator.0.as_bytes(),
            at,
            invite.expires_at.as_millis(),
            invite.max_uses,
        ],
    )?;
    Ok(())
}

/// Finds a link that still works.
pub(super) fn find(conn: &Connection, code: &str, at: Timestamp) -> Outcome<Option<InviteRecord>> {
    Ok(query::find(conn, sql::FIND_INVITE, params![code, at.as_millis()], |row| {
        Ok(InviteRecord { room: id(row, 0)?, expires_at: time(row, 1)?, uses_left: row.get(2)? })
    })?)
}
