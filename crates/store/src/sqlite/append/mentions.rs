//! Whom a text mentions, decided when it is written.

use parlor_domain::mention::{Named, may_name_room, named};
use parlor_protocol::user::UserRef;
use rusqlite::params;
use uuid::Uuid;

use super::{Desk, Step};
use crate::sqlite::codec::integer;
use crate::sqlite::sql::reading as sql;
use crate::sqlite::{query, rows};

/// Whom a text mentions.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    /// Members of the room, in the order of the text.
    pub(super) users: Vec<UserRef>,
    /// Whether it mentions everyone.
    pub(super) room: bool,
}

impl Mentions {
    /// Finds those of the named who are members now.
    pub(super) fn resolve(desk: &Desk<'_>, body: &str) -> Step<Self> {
        let Named { names, room } = named(body);
        let mut users = Vec::new();
        for name in names {
            let key = params![desk.room_key(), name];
            users.extend(query::find(desk.conn, sql::FIND_MEMBER_BY_NAME, key, |row| {
                rows::user_ref(row, 0)
            })?);
        }
        let room = room && desk.member.is_some_and(|member| may_name_room(member.role));
        Ok(Self { users, room })
    }

    /// Returns the users as they are stored with the message.
    pub(super) fn column(&self) -> Option<Vec<u8>> {
        let ids = self.users.iter().flat_map(|user| *user.id.0.as_bytes());
        (!self.users.is_empty()).then(|| ids.collect())
    }

    /// Keeps for whom the message at `seq`, written by the actor, is.
    pub(super) fn note(&self, desk: &Desk<'_>, seq: u64) -> Step<()> {
        let (room, sender) = (desk.room_key(), desk.actor.id);
        let users = self.users.iter().map(|user| user.id).filter(|user| *user != sender);
        let everyone = self.room.then(Uuid::nil);
        for user in users.map(|user| user.0).chain(everyone) {
            let row = params![room, user.as_bytes(), integer(seq), sender.0.as_bytes()];
            query::execute(desk.conn, sql::INSERT_MENTION, row)?;
        }
        Ok(())
    }
}
