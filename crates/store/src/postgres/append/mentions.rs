//! Whom a text mentions, decided when it is written.

use parlor_domain::mention::{Named, may_name_room, named};
use parlor_protocol::user::UserRef;
use uuid::Uuid;

use super::Desk;
use crate::postgres::codec::integer;
use crate::postgres::fault::Outcome;
use crate::postgres::query;
use crate::postgres::rows;
use crate::postgres::sql::reading as sql;

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
    pub(super) async fn resolve(desk: &Desk<'_>, body: &str) -> Outcome<Self> {
        let Named { names, room } = named(body);
        let users = if names.is_empty() {
            Vec::new()
        } else {
            let key: query::Params<'_> = &[&desk.room_key(), &names];
            query::list(desk.conn, sql::LIST_MEMBERS_BY_NAMES, key, |row| rows::user_ref(row, 0))
                .await?
        };
        let room = room && desk.member.is_some_and(|member| may_name_room(member.role));
        Ok(Self { users, room })
    }

    /// Returns the users as they are stored with the message.
    pub(super) fn column(&self) -> Option<Vec<Uuid>> {
        let ids = self.users.iter().map(|user| user.id.0);
        (!self.users.is_empty()).then(|| ids.collect())
    }

    /// Keeps for whom the message at `seq`, written by the actor, is.
    pub(super) async fn note(&self, desk: &mut Desk<'_>, seq: u64) -> Outcome<()> {
        let (room, sender) = (desk.room_key(), desk.actor.id);
        let users = self.users.iter().map(|user| user.id).filter(|user| *user != sender);
        let everyone = self.room.then(Uuid::nil);
        let users: Vec<Uuid> = users.map(|user| user.0).chain(everyone).collect();
        if !users.is_empty() {
            desk.write(sql::INSERT_MENTIONS, &[&room, &users, &integer(seq), &sender.0]).await?;
        }
        Ok(())
    }
}
